"""How well somebody who sees a person's slate can tell their mood."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.evaluator.statistics import Bootstrap, Statistic, difference, weighted_mean

FOLDS = 5
"""Parts of the people; of each the attacker has seen the slates and moods of the others alone."""

STRANGER, ACQUAINTANCE = "stranger", "acquaintance"
"""Who sees one slate of somebody unknown; who has seen that person's other slates, too, and asks which of the days were bad."""


LOTS = 20
"""Times that moods are dealt out again, so that slates tell nothing: how far a figure then strays from 0.5."""


def leaks(
    slates: dict[str, np.ndarray], negative: np.ndarray, person: np.ndarray, seed: int, replicates: int = 500
) -> dict[str, dict[str, dict[str, Any]]]:
    r"""Attribute inference of a negative day from what its slate is made of.

    An attacker who knows slates and moods of other people learns to tell negative days: a logistic regression and boosted trees,
    cross-fitted by person. What the two say (in log odds) is added up and ranked within each fold. The figure is

    .. math:: AUC = P(\hat y_i > \hat y_j \mid y_i = 1, y_j = 0)

    0.5 where a slate tells nothing. For the stranger i and j are any two person-days. The acquaintance is given a slate less the
    mean of that person's slates, and i and j are days of the same person. The 95 % interval is :math:`AUC \pm 1.96 s`; s is the
    larger of what people make it vary (bootstrap), and of what it varies where moods are dealt out by lot and the attackers learn
    anew, which they do from few days.

    Args:
        slates: by name (N, F) what each slate is made of; the same person-days under every name.
        negative: (N,) bool, whether the day was negative.
        person: (N,) codes, of two people or more.
        seed: of lots and resamples.
        replicates: of the bootstrap over people.

    Returns:
        by name, for :data:`STRANGER` and :data:`ACQUAINTANCE`, ``mean``, ``low``, ``high``, and under ``difference`` the same of
        it less that of the first name; NaN where nobody has days of both kinds.
    """
    people, person = np.unique(person, return_inverse=True)
    attacks = {STRANGER: _of_stranger, ACQUAINTANCE: _of_acquaintance}
    cases = [(name, who) for name in slates for who in attacks]
    figures = {(name, who): attacks[who](slates[name], negative, person) for name, who in cases}
    generator, everybody = np.random.default_rng([seed, 6]), np.ones((1, len(people)))
    lots = [_dealt_out(negative, person, generator) for _ in range(LOTS)]
    strayed = {(name, who): [attacks[who](slates[name], lot, person)(everybody)[0] for lot in lots] for name, who in cases}
    spread = {case: float(np.std(found)) for case, found in strayed.items()}
    first = next(iter(slates))
    asked = {f"{name}\t{who}": statistic for (name, who), statistic in figures.items()}
    asked |= {f"{name}\t{who}\tless": difference(figures[name, who], figures[first, who]) for name, who in figures}
    bootstrap = Bootstrap(np.zeros(len(people), dtype=int), replicates, np.random.default_rng([seed, 2]))
    found = bootstrap.interval(asked)
    said: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in slates}
    for name, who in figures:
        less = 0.0 if name == first else float(np.hypot(spread[name, who], spread[first, who]))
        said[name][who] = {
            **_at_least(found[f"{name}\t{who}"], spread[name, who]),
            "difference": _at_least(found[f"{name}\t{who}\tless"], less),
        }
    return said


def _at_least(found: dict[str, float], spread: float) -> dict[str, float]:
    """An estimate with the wider of its bootstrap's interval and of that by its spread where nothing is to be told."""
    reach = max(1.96 * spread, (found["high"] - found["low"]) / 2)
    return {"mean": found["mean"], "low": found["mean"] - reach, "high": found["mean"] + reach}


def _of_stranger(made_of: np.ndarray, negative: np.ndarray, person: np.ndarray) -> Statistic:
    return _auc(_told(made_of, negative, person), negative, person)


def _of_acquaintance(made_of: np.ndarray, negative: np.ndarray, person: np.ndarray) -> Statistic:
    return _auc_within(_told(made_of - _means(made_of, person), negative, person), negative, person)


def _dealt_out(negative: np.ndarray, person: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Each person's moods on other days of theirs."""
    lot = np.empty_like(negative)
    lot[np.argsort(person, kind="stable")] = negative[np.lexsort((generator.random(len(person)), person))]
    return lot


def make_up(items: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    """What a bystander sees of slates (N, K; 0 after a slate's end): shares of emotions and categories, mean intensity and
    length; (N, F)."""
    known = catalogue.category[:, None] == np.arange(len(catalogue.categories))
    each = np.column_stack([catalogue.share, known, catalogue.intensity, np.log(np.maximum(catalogue.duration, 1e-3))])
    each[0] = 0
    return np.asarray(each[items].sum(axis=1) / np.maximum((items > 0).sum(axis=1), 1)[:, None])


def _told(made_of: np.ndarray, negative: np.ndarray, person: np.ndarray) -> np.ndarray:
    """How likely a day is a negative one, by attackers who do not know the person: its place among those of its fold, (N,).

    From 0 to 1, so that folds whose attackers were taught more or fewer negative days are on one scale; 0 where there is nothing
    to learn from.
    """
    told = np.zeros(len(made_of))
    folds = GroupKFold(min(FOLDS, int(person.max()) + 1))
    for known, asked in folds.split(made_of, groups=person):
        if negative[known].min() == negative[known].max():
            continue
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(made_of[known], negative[known])
        trees = LGBMClassifier(n_estimators=100, learning_rate=0.05, num_leaves=15, random_state=1, n_jobs=1, verbose=-1)
        trees.fit(made_of[known], negative[known])
        odds = linear.decision_function(made_of[asked]) + trees.predict(made_of[asked], raw_score=True)
        told[asked] = rankdata(odds) / len(asked)
    return told


def _auc(told: np.ndarray, negative: np.ndarray, person: np.ndarray) -> Statistic:
    """The AUC over all person-days as a function of people's weights."""
    order = np.argsort(told, kind="stable")
    level = np.unique(told[order], return_inverse=True)[1]
    ends = np.flatnonzero(np.append(np.diff(level) > 0, True))
    who, bad = person[order], negative[order]

    def statistic(weight: np.ndarray) -> np.ndarray:
        of_day = weight[:, who]
        good, worse = (np.cumsum(of_day * kind, axis=1)[:, ends] for kind in (~bad, bad))
        of_level = np.diff(worse, axis=1, prepend=0)
        below = np.concatenate([np.zeros((len(weight), 1)), good[:, :-1]], axis=1)
        pairs = good[:, -1] * worse[:, -1]
        won = (of_level * (below + good) / 2).sum(axis=1)
        return np.divide(won, pairs, out=np.full(len(weight), np.nan), where=pairs > 0)

    return statistic


def _auc_within(told: np.ndarray, negative: np.ndarray, person: np.ndarray) -> Statistic:
    """The AUC over pairs of days of the same person: pairs won over pairs, summed over people."""
    days = pd.DataFrame({"person": person, "bad": negative, "rank": pd.Series(told).groupby(person).rank().to_numpy()})
    bad, every = days[days["bad"]].groupby("person")["rank"].agg(["sum", "size"]), np.bincount(person)
    ranks, worse = np.zeros((2, len(every)))
    ranks[bad.index], worse[bad.index] = bad["sum"], bad["size"]
    return weighted_mean(ranks - worse * (worse + 1) / 2, worse * (every - worse))  # Mann and Whitney (1947)


def _means(value: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Each person's mean, for each of their rows."""
    total = np.zeros((int(person.max()) + 1, value.shape[1]))
    np.add.at(total, person, value)
    return np.asarray((total / np.bincount(person)[:, None])[person])
