"""Stage 2: train the retriever, then LightGBM on what was shown."""

from __future__ import annotations

import itertools
from dataclasses import replace
from logging import getLogger
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.data.utils import _create_sampler, get_dataloader
from recbole.utils import EvaluatorType

from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.trace import TRAIN, VALID
from recbole_esmr.errors import DataError
from recbole_esmr.model.engagement_ranker import EngagementRanker
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.trainer.checkpointing import get_trainer


def fit_retriever(model: ESMR, train_data: TrainDataLoader, valid_data: Any, show_progress: bool) -> None:
    """Train the retriever with RecBole's own trainer for it on the training days, early-stopped on the validation interactions.

    It has its own loaders: in each of several processes it sees all of the data, and so becomes the same model.
    """
    config, retriever = model.retriever.config, model.retriever.model
    data, negatives = train_data._dataset.on_training_days(), config["train_neg_sample_args"]
    sampler = _create_sampler(data, [data], negatives["distribution"], True, negatives["alpha"])
    loader = get_dataloader(config, "train")(config, data, sampler.set_phase("train") if sampler else None, shuffle=True)
    judge = None
    if valid_data and config["eval_type"] == EvaluatorType.RANKING:
        sampler = _create_sampler(data, [data], "uniform", True).set_phase("valid")
        judge = get_dataloader(config, "valid")(config, valid_data._dataset, sampler, shuffle=False)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, retriever)
    best = _BestWeights(retriever, bigger=config["valid_metric_bigger"])
    trainer.fit(loader, judge, verbose=False, saved=False, show_progress=show_progress, callback_fn=best.keep)
    trainer.tensorboard.close()
    best.restore()
    model.retriever.trained = True


def fit_rankers(model: ESMR, valid_data: Any, generator: np.random.Generator) -> None:
    """Train LightGBM on the training days, early-stopped on the validation days.

    Twice: the watch ratio of what is shown, from the impressions; and which item is watched next, from what was watched and items
    drawn from the whole catalogue, for that is what a list over all items is asked for. RecBole's validation interactions (None
    where there are none) say how far to trust the second.
    """
    shown = with_negatives(model.impressions, model.settings.ranker_negatives, model.n_items, generator)
    watched = replace(model.impressions.take(model.impressions.label == 1), has_skips=False)
    views = with_negatives(watched, model.settings.ranker_negatives, model.n_items, generator)
    model.refresh()
    _fit(model, model.watch_ranker, shown, shown.watch_ratio, generator)
    _fit(model, model.view_ranker, views, views.label, generator)
    if not model.settings.backbone:
        model.view_stack = stack(model, valid_data._dataset.inter_feat if valid_data else None)


MIXES = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Weights of LightGBM's log odds that are tried beside the retriever's score."""


def stack(model: ESMR, asked: Interaction | None) -> list[float]:
    """Weights of LightGBM and the retriever in the chance to be watched next.

    LightGBM and the retriever have learned the same days, and neither has been asked what RecBole's evaluation asks (by default a
    person's last interaction, which is another thing than all that a day's feed was watched for). So RecBole's own validation
    interactions tell how far to trust each: of :data:`MIXES` the one with the best NDCG@10 is taken, if it beats the retriever
    alone by more than two standard errors (paired, over people); otherwise the retriever's order stays. A logistic regression
    turns the score into a chance.

    Args:
        model: with trained retriever and ``view_ranker``.
        asked: validation interactions.

    Returns:
        intercept, weight of LightGBM's log odds, weight of the retriever's score.
    """
    alone = [0.0, 0.0, 1.0]
    from sklearn.linear_model import LogisticRegression

    if asked is None or not len(asked):
        return alone
    days, items = model.trace.days, model.n_items
    on = (asked[model.day_field].numpy() - model.trace.first_day).round().astype(np.int64)
    cell = asked[model.USER_ID].numpy() * days + on
    pairs = np.unique(cell)
    user, day = torch.from_numpy(pairs // days), torch.from_numpy(pairs % days)
    best, item = model.retriever.scores(user, day).cpu().topk(min(model.settings.candidates, items - 1), dim=1)
    label = np.isin(pairs[:, None] * items + item.numpy(), cell * items + asked[model.ITEM_ID].numpy())
    if label.all() or not label.any():
        return alone
    chance = model.view_ranker.predict(model.engagement_table(user, day, item, best)).reshape(label.shape).clip(1e-6, 1 - 1e-6)
    ranked, retrieved = np.log(chance / (1 - chance)), best.numpy()
    mix = best_mix(ranked, retrieved, label, user.numpy())
    score = mix * ranked + retrieved
    calibration = LogisticRegression(C=1e6, max_iter=1000).fit(score.reshape(-1, 1), label.ravel())
    slope = max(float(calibration.coef_[0, 0]), 1e-3)
    return [float(calibration.intercept_[0]), slope * mix, slope]


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
    people = np.unique(person, return_inverse=True)[1].reshape(-1)
    scatter = np.bincount(people, weights=better - better.mean())
    error = float(np.sqrt((scatter**2).sum())) / len(better)
    return MIXES[best] if better.mean() > 2 * error else 0.0


def ndcg(score: np.ndarray, label: np.ndarray, k: int = 10) -> np.ndarray:
    """NDCG@k of each row, (N,), 0 where nothing is labelled.

    .. math:: NDCG = \\sum_{r=1}^{k} \\frac{y_{(r)}}{\\log_2(r + 1)} \\Big/ \\sum_{r=1}^{\\min(k, n_+)} \\frac{1}{\\log_2(r + 1)}

    Args:
        score, label: (N, C) scores, and labels y in {0, 1}; −inf and 0 after the end of a shorter row.
        k: cut-off.
    """
    top = np.argsort(-score, axis=1, kind="stable")[:, :k]
    discount = 1 / np.log2(np.arange(top.shape[1]) + 2)
    gained = np.take_along_axis(label, top, axis=1) @ discount
    ideal = np.append(0.0, discount.cumsum())[np.minimum(label.sum(axis=1), top.shape[1])]
    return np.where(ideal > 0, gained / np.maximum(ideal, 1e-12), 0.0)


def _fit(model: ESMR, ranker: EngagementRanker, rows: Impressions, label: np.ndarray, generator: np.random.Generator) -> None:
    role, settings = model.trace.role[rows.user, rows.day], model.settings

    def part(code: int) -> tuple[np.ndarray, np.ndarray]:
        where = np.flatnonzero(role == code)
        if len(where) > settings.ranker_rows:
            where = np.sort(generator.choice(where, settings.ranker_rows, replace=False))
        return impression_features(model, rows.take(where)), label[where]

    train, valid = part(TRAIN), part(VALID)
    if len(train[1]) == 0:
        raise DataError("no impression or interaction lies on a training day. Widen day_split, or let .imp cover all days.")
    rounds = ranker.fit(
        train,
        valid if len(valid[1]) else None,
        rounds=settings.ranker_rounds,
        stopping_rounds=settings.ranker_stopping_rounds,
        learning_rate=settings.ranker_learning_rate,
        leaves=settings.ranker_leaves,
        seed=int(model.config["seed"]),
    )
    getLogger().info(f"LightGBM kept {rounds} rounds.")


def impression_features(model: ESMR, rows: Impressions) -> np.ndarray:
    """LightGBM's features of each impression, from the days before it; shape (N, features)."""
    return model.engagement_features().table(rows.user, rows.day, rows.item, retrieved_scores(model, rows))


def retrieved_scores(model: ESMR, rows: Impressions, batch: int = 1024) -> np.ndarray:
    """The retriever's standardised score of each impression, shape (N,)."""
    pairs, inverse = np.unique(np.stack([rows.user, rows.day]), axis=1, return_inverse=True)
    scores = np.empty(len(rows), dtype=np.float32)
    inverse = inverse.reshape(-1)
    order = np.argsort(inverse, kind="stable")
    edges = np.searchsorted(inverse[order], np.arange(0, pairs.shape[1] + batch, batch))
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        first = number * batch
        user, day = torch.from_numpy(pairs[:, first : first + batch])
        part = order[start:end]
        table = model.retriever.scores(user, day).cpu().numpy()
        scores[part] = table[inverse[part] - first, rows.item[part]]
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


class _BestWeights:
    """Keeps the weights of the best validation epoch in memory, for RecBole's trainer keeps them only in files."""

    def __init__(self, model: torch.nn.Module, bigger: bool) -> None:
        self._model, self._sign = model, 1 if bigger else -1
        self._score: float | None = None
        self._weights: dict[str, torch.Tensor] | None = None

    def keep(self, epoch: int, score: float) -> None:
        if self._score is None or self._sign * score > self._score:
            self._score = self._sign * score
            self._weights = {name: value.clone() for name, value in self._model.state_dict().items()}

    def restore(self) -> None:
        if self._weights is not None:
            self._model.load_state_dict(self._weights)
            for name in getattr(self._model, "other_parameter_name", ()):
                if name.startswith("restore_"):  # embeddings cached by RecBole's graph models
                    setattr(self._model, name, None)
