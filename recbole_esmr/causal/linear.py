"""Least squares and two-stage least squares with errors clustered by person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_esmr.errors import IdentificationError

BLOCK = 100_000
"""Rows that are worked on at once."""


@dataclass(frozen=True)
class LinearFit:
    """Coefficients of k treatments.

    Attributes:
        estimate: (k,).
        influence: (G, k) sum of each person's influence on the estimate: their outer products add up to its covariance.
        error: (k,) standard errors.
        cleaned: (N, k) what is left of each instrument after confounders and the other treatments; scaled so that the slope
            of the outcome on column j alone is estimate j (Frisch, Waugh and Lovell).
        outcome: (N,) what is left of the outcome after the confounders.
        strength: (k,) t² of each treatment on its cleaned instrument, clustered: below 10 an instrument is weak (Staiger
            and Stock 1997); infinite without instruments.
        people: number of clusters G.
    """

    estimate: np.ndarray
    influence: np.ndarray
    error: np.ndarray
    cleaned: np.ndarray
    outcome: np.ndarray
    strength: np.ndarray
    people: int

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Interval of each coefficient by Student's t with G − 1 degrees of freedom."""
        from scipy.stats import t

        reach = t.ppf(0.5 + level / 2, max(self.people - 1, 1)) * self.error
        return self.estimate - reach, self.estimate + reach

    def joint_test(self, treatments: int) -> float:
        """p-value that the first so many coefficients are all 0 (Wald, F with k and G − 1 degrees of freedom)."""
        from scipy.stats import f

        estimate, influence = self.estimate[:treatments], self.influence[:, :treatments]
        wald = float(estimate @ np.linalg.pinv(influence.T @ influence) @ estimate)
        return float(f.sf(wald / treatments, treatments, max(self.people - 1, 1)))


def fit_linear(
    outcome: np.ndarray,
    treatments: np.ndarray,
    confounders: np.ndarray,
    person: np.ndarray,
    instruments: np.ndarray | None = None,
    within_person: bool = False,
) -> LinearFit:
    r"""Least squares, or with as many instruments as treatments two-stage least squares.

    .. math:: \hat β = (Z^T X)^{-1} Z^T y, \quad
              \hat V = c\, (Z^T X)^{-1} \Big( \sum_g Z_g^T e_g e_g^T Z_g \Big) (X^T Z)^{-1}

    on what is left after a constant and the confounders, with X the treatments, Z = X without instruments, e the residuals and
    g the persons (Liang and Zeger 1986). c = G/(G−1) · (N−1)/(N−K) corrects for few persons, as Stata and linearmodels
    (``debiased=True``) do; K counts the constant, the confounders, the treatments and, with ``within_person``, each person.

    Args:
        outcome: (N,).
        treatments, instruments: (N, k).
        confounders: (N, m).
        person: (N,) ids.
        within_person: compare each person with themself only (person fixed effects).

    Raises:
        IdentificationError: the instruments do not move the treatments apart from each other.
    """
    everything = np.column_stack([outcome, treatments, treatments if instruments is None else instruments])
    known = np.column_stack([np.ones(len(outcome)), confounders])
    codes, group = np.unique(person, return_inverse=True)
    if within_person:
        everything, known = (within(value, group) for value in (everything, known[:, 1:]))
    if known.shape[1]:
        known /= np.maximum(np.abs(known).max(axis=0), 1e-12)
        _clear(everything, known)
    k = treatments.shape[1]
    y, x, z = everything[:, 0], everything[:, 1 : k + 1], everything[:, k + 1 :]
    scale = np.linalg.norm(z, axis=0) * np.linalg.norm(x, axis=0)
    if (scale < 1e-12).any() or np.linalg.cond(z.T @ x / np.sqrt(np.outer(scale, scale))) > 1e8:
        raise IdentificationError(
            "the treatments (or what was shown) do not vary apart from each other and from what came before."
        )
    weight = z @ np.linalg.inv(z.T @ x).T
    estimate = weight.T @ y
    residual = y - x @ estimate
    people, rows = len(codes), len(y)
    free = rows - known.shape[1] - k - (people if within_person else 0)
    correction = people / max(people - 1, 1) * (rows - 1) / max(free, 1)
    influence = np.sqrt(correction) * _group_sum(weight * residual[:, None], group, people)
    cleaned = weight / (weight**2).sum(axis=0)
    strength = np.full(k, np.inf)
    if instruments is not None:
        slope = (cleaned * x).sum(axis=0) / (cleaned**2).sum(axis=0)
        spread = _group_sum(cleaned * (x - cleaned * slope), group, people)
        strength = (slope * (cleaned**2).sum(axis=0)) ** 2 / (correction * (spread**2).sum(axis=0))
    return LinearFit(estimate, influence, np.sqrt((influence**2).sum(axis=0)), cleaned, y, strength, people)


def _clear(value: np.ndarray, known: np.ndarray) -> None:
    """Take from each column of ``value`` (N, k) what least squares on ``known`` (N, m) explains, in place and part by part.

    A triangle of all rows is made of the triangles of their parts (Demmel, Grigori, Hoemmen and Langou 2012), so no copy of the
    rows is needed, and nothing is squared as in the normal equations.
    """
    rows, m = known.shape
    triangle: Any = np.zeros((0, m + value.shape[1]))
    parts = [slice(start, start + BLOCK) for start in range(0, rows, BLOCK)]
    for part in parts:
        triangle = np.linalg.qr(np.vstack([triangle, np.hstack([known[part], value[part]])]), mode="r")
    slope = np.linalg.lstsq(triangle[:m, :m], triangle[:m, m:], rcond=float(np.finfo(float).eps) * max(rows, m))[0]
    for part in parts:
        value[part] -= known[part] @ slope


def apart(value: np.ndarray, known: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Which columns vary apart from ``known`` and from those before them.

    Args:
        value: (N, k).
        known: (N, m).
        among: (k,) bool, the columns that others must vary apart from; all unless given.

    Returns:
        (k,) bool.
    """
    basis = np.linalg.qr(known / np.maximum(np.abs(known).max(axis=0), 1e-12))[0]
    found = np.zeros(value.shape[1], dtype=bool)
    for j, column in enumerate(value.T):
        left, size = column - basis @ (basis.T @ column), np.linalg.norm(column - column.mean())
        found[j] = size >= 1e-9 and np.linalg.norm(left) >= 1e-5 * size
        if found[j] and (among is None or among[j]):
            basis = np.column_stack([basis, left / np.linalg.norm(left)])
    return found


def _group_sum(value: np.ndarray, group: np.ndarray, size: int) -> np.ndarray:
    columns = [np.bincount(group, weights=column, minlength=size) for column in value.T]
    return np.stack(columns, axis=1)


def within(value: np.ndarray, person: np.ndarray) -> np.ndarray:
    """What is left of each column, (N, P), after each person's mean."""
    group = np.unique(person, return_inverse=True)[1]
    size = int(group.max()) + 1 if len(group) else 0
    mean = _group_sum(value, group, size) / np.bincount(group, minlength=size)[:, None]
    return np.asarray(value - mean[group])
