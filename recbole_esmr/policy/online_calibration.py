"""Online calibration: what the feed really brought, beside what was expected of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recbole_esmr.model.ranking import Correction

KEPT = 0.9
"""Share of the sums that is kept from one day to the next, so that they follow people who change."""

PRIOR = 200.0
"""Items whose expectation came true that the sums begin with."""


class OnlineCalibration:
    r"""Corrects the engagement that is expected of items, by their emotion, with what was observed.

    A ranker is trained on another feed than its own: what it picks is what it overrates, most of all where it leans on a liking
    that it has itself fed. An emotion that the policy shows much is overrated more than one that it leaves out, so that what is
    given up would seem cheap if both were held against one number. For each emotion g of the items (or none), and for the items
    k that the engagement ranking would show or would not,

    .. math:: c_{kg} = \frac{\sum observed + P}{\sum expected + P}

    over the days, each day's sums fading by :data:`KEPT`, with P the engagement of :data:`PRIOR` mean items. The factor is
    that of the items that it would show; the distrust of the others is the mean over g of their c beside it, each emotion
    weighing as much as was expected of it.

    Args:
        emotions: of the taxonomy.
    """

    def __init__(self, emotions: int) -> None:
        self._observed, self._expected = np.zeros((2, emotions + 1)), np.zeros((2, emotions + 1))
        self._mean = 0.0

    @property
    def emotions(self) -> int:
        """Of the taxonomy."""
        return self._observed.shape[1] - 1

    def correction(self) -> Correction:
        """The factors as they stand."""
        if self._mean <= 0:
            return Correction.none(self.emotions)
        prior = PRIOR * self._mean
        usual, other = (self._observed + prior) / np.maximum(self._expected + prior, 1e-12)
        weight = self._expected[1]
        distrust = min(float(np.average(other / usual, weights=weight)), 1.0) if weight.sum() > 0 else 1.0
        return Correction(usual, distrust)

    def add(self, observed: np.ndarray, expected: np.ndarray, emotion: np.ndarray, usual: np.ndarray, kept: float = KEPT) -> None:
        """Enter a day's shown items, (N,) each.

        Args:
            observed, expected: engagement, the latter before any correction.
            emotion: their codes, −1 without one.
            usual: bool, whether engagement alone would have shown them.
            kept: share of the sums so far that is kept; 1 within a day that comes in parts.
        """
        kinds = self.emotions + 1
        cell = kinds * (~usual).astype(int) + emotion + 1
        day = [np.bincount(cell, weights=value, minlength=2 * kinds).reshape(2, kinds) for value in (observed, expected)]
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
        found = cls(len(kept["observed"][0]) - 1)
        found._observed, found._expected = np.array(kept["observed"]), np.array(kept["expected"])
        found._mean = float(kept["mean"])
        return found
