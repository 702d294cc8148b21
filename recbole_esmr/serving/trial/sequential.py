"""Looks at a trial before its end that do not raise the chance of a false positive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

POINTS = 801
"""Of the grid on which what has not crossed a bound is kept."""


def spent(share: float, alpha: float) -> float:
    r"""What of the level may be spent after a share t of the information (Lan and DeMets 1983, O'Brien–Fleming type).

    .. math:: α^*(t) = 2 \big(2 - 2 Φ(z_{1 - α/4} / \sqrt t)\big)

    half of it on either side.
    """
    return float(4 - 4 * norm.cdf(norm.ppf(1 - alpha / 4) / np.sqrt(share)))


def bounds(shares: Sequence[float], alpha: float) -> list[float]:
    r"""Two-sided bounds of |z| at each look.

    At look k it is the c_k with :math:`P(|Z_1| < c_1, …, |Z_{k-1}| < c_{k-1}, |Z_k| \ge c_k) = α^*(t_k) - α^*(t_{k-1})`. The
    scores :math:`S_k = Z_k \sqrt{t_k}` are a Brownian motion, whose density within the bounds is carried from look to look by
    numerical integration (Armitage, McPherson and Rowe 1969).

    Args:
        shares: of the information at the looks, rising to at most 1.
        alpha: two-sided level.
    """
    found: list[float] = []
    place, weight, before = np.zeros(1), np.ones(1), 0.0  # the scores so far, and how likely each is
    for look, share in enumerate(shares):
        budget = spent(share, alpha) - (spent(shares[look - 1], alpha) if look else 0.0)
        step = np.sqrt(share - before)

        def beyond(score: float, place: np.ndarray = place, weight: np.ndarray = weight, step: float = step) -> float:
            return float((weight * (norm.sf((score - place) / step) + norm.cdf((-score - place) / step))).sum())

        score = float(brentq(lambda score, beyond=beyond, budget=budget: beyond(score) - budget, 1e-6, 12.0, xtol=1e-10))
        found.append(score / float(np.sqrt(share)))
        grid = np.linspace(-score, score, POINTS)
        simpson = np.r_[1, np.tile([4, 2], POINTS // 2)[:-1], 1] * (grid[1] - grid[0]) / 3
        weight = simpson * (norm.pdf((grid[:, None] - place) / step) / step * weight).sum(axis=1)
        place, before = grid, share
    return found
