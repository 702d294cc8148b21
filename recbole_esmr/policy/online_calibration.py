"""Online calibration: what the feed really brought, beside what was expected of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recbole_esmr.model.ranking import UNCORRECTED, Correction

KEPT = 0.9
"""Share of the sums that is kept from one day to the next, so that they follow people who change."""

PRIOR = 200.0
"""Items whose expectation came true that the sums begin with."""


class OnlineCalibration:
    r"""Corrects the engagement that is expected of items, by their emotional sign, with what was observed.

    A ranker is trained on another feed than its own: what it picks is what it overrates, most of all where it leans on a liking
    that it has itself fed. For each sign g of the items' valence, and for the items k that the engagement ranking would show or
    would not,

    .. math:: c_{kg} = \frac{\sum observed + P}{\sum expected + P}

    over the days, each day's sums fading by :data:`KEPT`, with P the engagement of :data:`PRIOR` mean items. The factor is
    that of the items that it would show; the distrust of the others is the mean over g of their c beside it, each sign
    weighing as much as was expected of it.
    """

    def __init__(self) -> None:
        self._observed, self._expected = np.zeros((2, 3)), np.zeros((2, 3))
        self._mean = 0.0

    def correction(self) -> Correction:
        """The factors as they stand."""
        if self._mean <= 0:
            return UNCORRECTED
        prior = PRIOR * self._mean
        usual, other = (self._observed + prior) / np.maximum(self._expected + prior, 1e-12)
        weight = self._expected[1]
        distrust = min(float(np.average(other / usual, weights=weight)), 1.0) if weight.sum() > 0 else 1.0
        return Correction(usual, distrust)

    def add(self, observed: np.ndarray, expected: np.ndarray, sign: np.ndarray, usual: np.ndarray, kept: float = KEPT) -> None:
        """Enter a day's shown items, (N,) each.

        Args:
            observed, expected: engagement, the latter before any correction.
            sign: of their valence, −1, 0 or 1.
            usual: bool, whether engagement alone would have shown them.
            kept: share of the sums so far that is kept; 1 within a day that comes in parts.
        """
        cell = 3 * (~usual).astype(int) + sign + 1
        day = [np.bincount(cell, weights=value, minlength=6).reshape(2, 3) for value in (observed, expected)]
        self._observed, self._expected = kept * self._observed + day[0], kept * self._expected + day[1]
        if len(expected):
            self._mean = float(expected.mean())

    def copy(self) -> OnlineCalibration:
        """One that goes on by itself."""
        return self.of_dict(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The sums, as JSON can hold them."""
        return {"observed": self._observed.tolist(), "expected": self._expected.tolist(), "mean": self._mean}

    @classmethod
    def of_dict(cls, kept: Mapping[str, Any]) -> OnlineCalibration:
        """The inverse of :meth:`as_dict`."""
        found = cls()
        found._observed, found._expected = np.array(kept["observed"]), np.array(kept["expected"])
        found._mean = float(kept["mean"])
        return found
