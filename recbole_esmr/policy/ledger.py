"""What the feed really brought beside what was expected of it: the engagement budget's books."""

from __future__ import annotations

import numpy as np

KEPT = 0.9
"""Share of the books that is kept from one day to the next, so that they follow people who change."""

PRIOR = 200.0
"""Items whose expectation came true that every page begins with."""


class Ledger:
    """Corrects the engagement that is expected of items, by their emotional sign, with what was observed.

    A ranker is trained on another feed than its own: what it picks is what it overrates, most of all where it leans on a liking
    that it has itself fed. For each sign g of the items' valence and for the items that the engagement ranking would (u) or would
    not (n) show,

    .. math:: c_{g} = \\frac{\\sum observed + P_g}{\\sum expected + P_g}

    over the days, each day's books fading by :data:`KEPT`, with P the engagement of :data:`PRIOR` mean items.
    """

    def __init__(self) -> None:
        self._observed, self._expected = np.zeros((2, 3)), np.zeros((2, 3))
        self._mean = 0.0

    def factor(self, sign: np.ndarray) -> np.ndarray:
        """Correction of items by the sign (−1, 0, 1) of their valence; same shape."""
        return self._ratio()[0][sign + 1]

    def distrust(self) -> float:
        """Further factor on items that the engagement ranking would not show, at most 1."""
        usual, other = self._ratio()
        weight = self._expected[1]
        return float(min(np.average(other / usual, weights=weight), 1.0)) if weight.sum() > 0 else 1.0

    def book(self, observed: np.ndarray, expected: np.ndarray, sign: np.ndarray, usual: np.ndarray) -> None:
        """Enter a day's shown items, (N,) each.

        Args:
            observed, expected: engagement, the latter before any correction.
            sign: of their valence.
            usual: bool, whether engagement alone would have shown them.
        """
        cell = 3 * (~usual).astype(int) + sign + 1
        day = [np.bincount(cell, weights=value, minlength=6).reshape(2, 3) for value in (observed, expected)]
        self._observed, self._expected = KEPT * self._observed + day[0], KEPT * self._expected + day[1]
        if len(expected):
            self._mean = float(expected.mean())

    def _ratio(self) -> np.ndarray:
        prior = PRIOR * self._mean
        return (self._observed + prior) / np.maximum(self._expected + prior, 1e-12) if self._mean > 0 else np.ones((2, 3))
