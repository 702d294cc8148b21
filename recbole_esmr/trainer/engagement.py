"""Stage 2: train LightGBM on what was shown."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from logging import getLogger
from typing import Any

import numpy as np
import torch

from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.log import Log
from recbole_esmr.data.trace import TRAIN, VALID
from recbole_esmr.data.user_days import SlateIndex, sum_by_person
from recbole_esmr.errors import DataError
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.model.engagement_ranker import EngagementFeatures, EngagementRanker, RankerSettings
from recbole_esmr.model.ranking import Rankers, Scores, pair_table
from recbole_esmr.model.trees import Trees
from recbole_esmr.progress import Progress


@dataclass(frozen=True)
class Asked:
    """What an evaluation asks for: N items that people watched on a day.

    Attributes:
        user, day, item: (N,); ``user`` is a person's row in the log that is asked.
    """

    user: np.ndarray
    day: np.ndarray
    item: np.ndarray

    def __len__(self) -> int:
        return len(self.user)

    def of(self, log: Log) -> Asked:
        """What is asked of the people of a log, by their rows in it; ids are in the order of rows."""
        row = np.minimum(np.searchsorted(log.people, self.user), len(log.people) - 1)
        there = log.people[row] == self.user
        return Asked(row[there], self.day[there], self.item[there])


def fit_rankers(
    log: Log, beliefs: Beliefs, rankers: Rankers, settings: RankerSettings, asked: Asked | None, candidates: int, seed: int,
    progress: Progress | None = None,
) -> Rankers:  # fmt: skip
    """Train LightGBM on the training days, early-stopped on the validation days.

    Twice: the watch ratio of what is shown, from the impressions; and which item is watched next, from what was watched and items
    drawn from the whole catalogue, for that is what a list over all items is asked for.

    Args:
        log, beliefs: of everybody.
        rankers: with a trained retriever.
        settings: of the training.
        asked: RecBole's validation interactions, which say how far to trust the second; None where there are none.
        candidates: how many of the retriever's items are ranked.
        seed: of negatives, samples and LightGBM.
        progress: where each of the two is kept when it is done.

    Returns:
        the rankers, with ``watch``, ``views`` and (unless the order is a backbone's) ``stack``.
    """
    generator = np.random.default_rng([seed, 2])
    shown, views = _shown_and_views(log, len(rankers.catalogue), settings, generator)
    progress = progress or Progress()

    def fitted(name: str, rows: Impressions, label: np.ndarray) -> EngagementRanker:
        chosen = _chosen(log, rows, settings.rows, generator)  # before the step, for the next one draws after it

        def trees(_: Progress) -> dict[str, Any] | None:
            made = _fit(log, beliefs, rankers, settings, rows, label, chosen, seed).trees
            return made.as_dict() if made else None

        def read(made: Any) -> EngagementRanker:
            return EngagementRanker(made and Trees.of_dict(made), rankers.watch.columns)

        return progress.step(name, trees, read)

    watch = fitted("watch", shown, shown.watch_ratio)
    rankers = replace(rankers, watch=watch, views=fitted("views", views, views.label))
    if rankers.backbone or asked is None or not len(asked):
        return rankers
    return replace(rankers, stack=stack(log, beliefs, rankers, asked, candidates))


def fit_rankers_again(log: Log, beliefs: Beliefs, rankers: Rankers, settings: RankerSettings, seed: int) -> Rankers:
    """Train LightGBM on training and validation days together, for as many rounds as the validation days have chosen.

    Args:
        log, beliefs, settings, seed: as of :func:`fit_rankers`.
        rankers: what that has made, with the retriever that serves.
    """
    generator = np.random.default_rng([seed, 7])
    shown, views = _shown_and_views(log, len(rankers.catalogue), settings, generator)

    def again(ranker: EngagementRanker, rows: Impressions, label: np.ndarray) -> EngagementRanker:
        chosen = np.flatnonzero(log.trace.role[rows.user, rows.day] <= VALID)
        if len(chosen) > settings.rows:
            chosen = np.sort(generator.choice(chosen, settings.rows, replace=False))
        features = impression_features(log, beliefs, rankers, rows.take(chosen))
        rounds = replace(settings, rounds=max(ranker.rounds, 1))
        return EngagementRanker.fit((features, label[chosen]), None, rounds, seed, ranker.columns)

    watch = again(rankers.watch, shown, shown.watch_ratio)
    return replace(rankers, watch=watch, views=again(rankers.views, views, views.label))


def _shown_and_views(
    log: Log, items: int, settings: RankerSettings, generator: np.random.Generator
) -> tuple[Impressions, Impressions]:
    """What the watch ratio is learned from, and what tells a view from items drawn from the whole catalogue."""
    watched = replace(log.impressions.take(log.impressions.label == 1), has_skips=False)
    shown, views = (with_negatives(rows, settings.negatives, items, generator) for rows in (log.impressions, watched))
    return shown, views


BATCH = 1024
"""User-days that the retriever scores at once."""

MIXES = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Weights of LightGBM's log odds that are tried beside the retriever's score."""


def stack(log: Log, beliefs: Beliefs, rankers: Rankers, asked: Asked, candidates: int) -> tuple[float, float, float]:
    """Weights of LightGBM and the retriever in the chance to be watched next.

    LightGBM and the retriever have learned the same days, and neither has been asked what RecBole's evaluation asks (by default a
    person's last interaction, which is another thing than all that a day's feed was watched for). So RecBole's own validation
    interactions tell how far to trust each: of :data:`MIXES` the one with the best NDCG@10 is taken, if it beats the retriever
    alone by more than two standard errors (paired, over people); otherwise the retriever's order stays. A logistic regression
    turns the score into a chance.

    Args:
        log, beliefs: of everybody.
        rankers: with trained retriever and ``views``.
        asked: validation interactions.
        candidates: how many of the retriever's items are ranked.

    Returns:
        intercept, weight of LightGBM's log odds, weight of the retriever's score.
    """
    from sklearn.linear_model import LogisticRegression

    slates, items = SlateIndex(asked.user, asked.day), len(rankers.catalogue)
    user, day = slates.user, slates.day
    features, parts = EngagementFeatures.of(log, beliefs.forecast, rankers.catalogue), []
    for start in range(0, len(user), BATCH):
        people, days = user[start : start + BATCH], day[start : start + BATCH]
        best, item = rankers.retrieval(log, people, days).topk(min(candidates, items - 1), dim=1)
        chance = rankers.views.predict(pair_table(features, people, days, item, best))
        parts.append((item, best, torch.from_numpy(chance.reshape(best.shape))))
    item, best, chances = (torch.cat(part) for part in zip(*parts, strict=True))
    label = np.isin(np.arange(len(slates))[:, None] * items + item.numpy(), slates.row * items + asked.item)
    if label.all() or not label.any():
        return 0.0, 0.0, 1.0
    chance = chances.numpy().clip(1e-6, 1 - 1e-6)
    ranked, retrieved = np.log(chance / (1 - chance)), best.numpy()
    mix = best_mix(ranked, retrieved, label, user)
    score = mix * ranked + retrieved
    calibration = LogisticRegression(C=1e6, max_iter=1000).fit(score.reshape(-1, 1), label.ravel())
    slope = max(float(calibration.coef_[0, 0]), 1e-3)
    return float(calibration.intercept_[0]), slope * mix, slope


def best_mix(ranked: np.ndarray, retrieved: np.ndarray, label: np.ndarray, person: np.ndarray) -> float:
    """Weight of ``ranked`` beside ``retrieved`` with the best NDCG@10; 0 unless it is better by more than two standard errors.

    Args:
        ranked, retrieved: (N, C) scores of N user-days' candidates.
        label: (N, C) bool, what was watched.
        person: (N,) whose; people are the units of the standard error.
    """
    quality = np.stack([ndcg(mix * ranked + retrieved, label) for mix in MIXES])
    best = int(quality.mean(axis=1).argmax())
    better = quality[best] - quality[0]
    scatter = sum_by_person(person, better - better.mean())
    error = float(np.sqrt((scatter**2).sum())) / len(better)
    return MIXES[best] if better.mean() > 2 * error else 0.0


def ndcg(score: np.ndarray, label: np.ndarray, k: int = 10) -> np.ndarray:
    r"""NDCG@k of each row, (N,), 0 where nothing is labelled.

    .. math:: NDCG = \sum_{r=1}^{k} \frac{y_{(r)}}{\log_2(r + 1)} \Big/ \sum_{r=1}^{\min(k, n_+)} \frac{1}{\log_2(r + 1)}

    Args:
        score, label: (N, C) scores, and labels y in {0, 1}; −inf and 0 after the end of a shorter row.
        k: cut-off.
    """
    top = np.argsort(-score, axis=1, kind="stable")[:, :k]
    discount = 1 / np.log2(np.arange(top.shape[1]) + 2)
    gained = np.take_along_axis(label, top, axis=1) @ discount
    ideal = np.append(0.0, discount.cumsum())[np.minimum(label.sum(axis=1), top.shape[1])]
    return np.where(ideal > 0, gained / np.maximum(ideal, 1e-12), 0.0)


def _chosen(log: Log, rows: Impressions, most: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Which rows of the training and of the validation days are learned from: all, or a random choice of so many."""
    role = log.trace.role[rows.user, rows.day]
    parts = [np.flatnonzero(role == part) for part in (TRAIN, VALID)]
    return [np.sort(generator.choice(part, most, replace=False)) if len(part) > most else part for part in parts]


def _fit(
    log: Log, beliefs: Beliefs, rankers: Rankers, settings: RankerSettings, rows: Impressions, label: np.ndarray,
    chosen: list[np.ndarray], seed: int,
) -> EngagementRanker:  # fmt: skip
    train, valid = ((impression_features(log, beliefs, rankers, rows.take(where)), label[where]) for where in chosen)
    if len(train[1]) == 0:
        raise DataError("no impression or interaction lies on a training day. Widen day_split, or let .imp cover all days.")
    ranker = EngagementRanker.fit(train, valid if len(valid[1]) else None, settings, seed, rankers.watch.columns)
    getLogger().info(f"LightGBM kept {ranker.rounds} rounds.")
    return ranker


def impression_features(log: Log, beliefs: Beliefs, rankers: Rankers, rows: Impressions) -> np.ndarray:
    """LightGBM's features of each impression, from the days before it; shape (N, features)."""
    retrieved = retrieved_scores(rankers.retrieval, log, rows)
    features = EngagementFeatures.of(log, beliefs.forecast, rankers.catalogue)
    return features.table(rows.user, rows.day, rows.item, retrieved)


def retrieved_scores(retrieval: Scores, log: Log, rows: Impressions, batch: int = BATCH) -> np.ndarray:
    """The retriever's standardised score of each impression, shape (N,)."""
    day = (
        rows.day if retrieval.sequential else np.zeros_like(rows.day)
    )  # without a history a person's scores are the same every day
    slates = SlateIndex(rows.user, day)
    scores = np.empty(len(rows), dtype=np.float32)
    order = np.argsort(slates.row, kind="stable")
    edges = np.searchsorted(slates.row[order], np.arange(0, len(slates) + batch, batch))
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        first = number * batch
        table = retrieval(log, slates.user[first : first + batch], slates.day[first : first + batch]).numpy()
        part = order[start:end]
        scores[part] = table[slates.row[part] - first, rows.item[part]]
    return scores


def with_negatives(shown: Impressions, per_view: int, items: int, generator: np.random.Generator) -> Impressions:
    """The impressions, with sampled skips where skips were not logged.

    Each view gets ``per_view`` items drawn uniformly, as RecBole samples its negatives.
    """
    if shown.has_skips:
        return shown
    views = np.arange(len(shown))
    again = np.repeat(views, per_view)
    drawn = generator.integers(1, items, size=len(again))
    order = np.argsort(np.concatenate([views, again]), kind="stable")

    def joined(real: np.ndarray, sampled: np.ndarray) -> np.ndarray:
        return np.concatenate([real, sampled])[order]

    zeros = np.zeros(len(again))
    return Impressions(
        user=joined(shown.user, shown.user[again]),
        day=joined(shown.day, shown.day[again]),
        item=joined(shown.item, drawn),
        label=joined(shown.label, zeros.astype(shown.label.dtype)),
        watch_ratio=joined(shown.watch_ratio, zeros),
        propensity=joined(shown.propensity, zeros * np.nan),
        has_skips=True,
    )
