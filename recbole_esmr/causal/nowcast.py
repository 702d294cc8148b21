"""A day's mood as the day's behaviour tells it: rough, but known on days without a report."""

from __future__ import annotations

import numpy as np

from recbole_esmr.data.trace import Trace
from recbole_esmr.data.user_days import last_known, shifted

FOLDS = 5
"""Parts of the people; each is told by what was learned of the others."""

_PENALTIES = np.logspace(0, 4, 9)


def nowcast(trace: Trace, use: np.ndarray, seed: int = 0) -> np.ndarray:
    r"""Valence of each day by ridge regression on the day's behaviour, cross-fitted by person.

    Behaviour enters as :math:`sign(x)\, log(1 + |x|)`, as a difference from the person's own mean, and the mean too; beside it
    stand exposure, watch hours, and the reports of all *other* days. A person's own reports never teach the model that tells
    their days, and the report of a day is no part of what tells it: so
    :func:`~recbole_esmr.causal.estimates.prediction_powered` may hold it against that report.

    Args:
        trace: people's days.
        use: (U, D) bool, the days that may be read.
        seed: of the folds.

    Returns:
        (U, D), NaN on days of which no behaviour is known, and everywhere where fewer than :data:`FOLDS` people reported.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    use = use & trace.consent[:, None]
    user, day = np.nonzero(use & trace.present)
    told = np.full(use.shape, np.nan)
    said = np.where(use, trace.valence, np.nan)[user, day]
    if not len(user) or len(np.unique(user[np.isfinite(said)])) < FOLDS:
        return told
    table = _features(trace, use, user, day)
    fold = np.random.default_rng(seed).permutation(trace.users) % FOLDS
    value = np.full(len(user), np.nan)
    for part in range(FOLDS):
        others, theirs = np.isfinite(said) & (fold[user] != part), fold[user] == part
        if theirs.any() and others.any():
            model = make_pipeline(StandardScaler(), RidgeCV(_PENALTIES)).fit(table[others], said[others])
            value[theirs] = model.predict(table[theirs])
    told[user, day] = value
    return told


def _features(trace: Trace, use: np.ndarray, user: np.ndarray, day: np.ndarray) -> np.ndarray:
    """What tells each of N user-days, (N, features), without a gap."""
    behaviour = np.asarray(trace.features[user, day], dtype=float)
    behaviour = np.column_stack([np.sign(behaviour) * np.log1p(np.abs(behaviour)), np.log1p(60 * trace.engagement[user, day])])
    known = np.isfinite(behaviour)
    filled = np.where(known, behaviour, 0.0)
    people, row = np.unique(user, return_inverse=True)
    count = np.stack([np.bincount(row, weights=column, minlength=len(people)) for column in known.T], axis=1)
    total = np.stack([np.bincount(row, weights=column, minlength=len(people)) for column in filled.T], axis=1)
    everybody = filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    usual = np.where(count > 0, total / np.maximum(count, 1), everybody)[row]
    valence = np.where(use, trace.valence, np.nan)
    last = last_known(shifted(valence, 1))[user, day]
    said = np.isfinite(valence)
    others = said.sum(axis=1)[user] - said[user, day]
    level = (np.nansum(valence, axis=1)[user] - np.nan_to_num(valence)[user, day]) / (others + 1)
    exposure = np.nan_to_num(trace.exposure[user, day])
    return np.column_stack([np.where(known, behaviour - usual, 0.0), usual, exposure, level, others, np.nan_to_num(last)])
