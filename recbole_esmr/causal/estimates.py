"""Estimates of many effects with each person's influence on them, and how days without a report make them more precise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimates:
    """Estimates of m effects.

    Attributes:
        value: (m,).
        influence: (U, m) of each person on them: their outer products add up to the covariance.
    """

    value: np.ndarray
    influence: np.ndarray

    @classmethod
    def joined(cls, parts: list[Estimates]) -> Estimates:
        """The estimates of several fits on the same people, one after the other."""
        return cls(np.concatenate([part.value for part in parts]), np.concatenate([part.influence for part in parts], axis=1))

    @property
    def covariance(self) -> np.ndarray:
        """(m, m), clustered by person."""
        return self.influence.T @ self.influence

    @property
    def error(self) -> np.ndarray:
        """(m,) standard errors."""
        return np.sqrt((self.influence**2).sum(axis=0))

    @property
    def people(self) -> int:
        """Clusters that said something."""
        return int((self.influence != 0).any(axis=1).sum())

    def of(self, sums: np.ndarray) -> Estimates:
        """Linear combinations, (S, m) → S estimates."""
        return Estimates(sums @ self.value, self.influence @ sums.T)


def prediction_powered(reports: Estimates, told: Estimates, told_everywhere: Estimates) -> Estimates:
    r"""Estimates on days with a report, made more precise by what is told of all days (PPI++, Angelopoulos et al. 2023).

    .. math:: \hat b = \hat b_y - λ\, (\hat b_f - \hat b_f^*), \quad
              λ = \frac{\sum_j cov(\hat b_y, \hat b_f - \hat b_f^*)_j}{\sum_j var(\hat b_f - \hat b_f^*)_j} \in [0, 1]

    with y the reports, f what a model tells of the same days, and * all days, with a report or without. Where reports are missing
    at random the bracket has the mean 0 whatever the model tells, so a poor model costs nothing but its help; λ takes as much of
    it as makes the variance least. Covariances are clustered by person.

    Args:
        reports: of y; told: of f on days with a report; told_everywhere: of f on all days.
    """
    gap = Estimates(told.value - told_everywhere.value, told.influence - told_everywhere.influence)
    power, shared = float((gap.influence**2).sum()), float((reports.influence * gap.influence).sum())
    weight = min(max(shared / power, 0.0), 1.0) if power > 1e-300 else 0.0
    return Estimates(reports.value - weight * gap.value, reports.influence - weight * gap.influence)
