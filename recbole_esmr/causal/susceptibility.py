"""How strongly each person responds to a feed, shrunk toward everybody."""

from __future__ import annotations

import numpy as np

LIMITS = (0.25, 4.0)
"""A person's susceptibility is kept between a quarter of everybody's and four times it."""


def susceptibility(surprise: np.ndarray, uplift: np.ndarray) -> np.ndarray:
    r"""Factor by which each person responds to what is shown, relative to everybody.

    The slope of a person's surprises on the uplift that their feeds promised, beyond everybody's,

    .. math:: d_u = \frac{\sum_t \tilde x_{ut}\, \tilde e_{ut}}{\sum_t \tilde x_{ut}^2} - d, \quad
              b_u = 1 + \frac{τ^2}{τ^2 + σ^2 / \sum_t \tilde x_{ut}^2}\, d_u

    (tildes: less the person's mean; d: the slope of all days together). τ² is what odd and even days agree on, the covariance of
    their slopes, so that no noise is taken for a difference between people. A month says little of one person: most of the factor
    is 1.

    Args:
        surprise: (U, D) valence of the day after less its forecast in the evening, NaN where unknown.
        uplift: (U, D) effect promised by what was shown on each day on the valence of the day after, NaN where nothing was shown.

    Returns:
        (U,), in :data:`LIMITS`; 1 for who has fewer than six days that say something.
    """
    use = np.isfinite(surprise) & np.isfinite(uplift)
    odd = use & (np.arange(use.shape[1]) % 2 == 1)
    some = (odd.sum(axis=1) >= 3) & ((use & ~odd).sum(axis=1) >= 3)
    factor = np.ones(len(surprise))
    if some.sum() < 2:
        return factor
    (slope, power, noise), *halves = (_slopes(surprise[some], uplift[some], part[some]) for part in (use, odd, use & ~odd))
    weight = np.minimum(halves[0][1], halves[1][1])
    if weight.sum() <= 0:
        return factor
    between = max(float(np.average(halves[0][0] * halves[1][0], weights=weight)), 0.0)
    factor[some] = 1 + between / np.maximum(between + noise / np.maximum(power, 1e-12), 1e-12) * slope
    return np.clip(factor, *LIMITS)


def _slopes(surprise: np.ndarray, uplift: np.ndarray, use: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Each person's slope beyond everybody's, Σ x² behind it, and the variance of the noise."""
    count = np.maximum(use.sum(axis=1, keepdims=True), 1)

    def centred(value: np.ndarray) -> np.ndarray:
        known = np.where(use, value, 0.0)
        return np.where(use, known - known.sum(axis=1, keepdims=True) / count, 0.0)

    x, e = centred(uplift), centred(surprise)
    power, product = (x**2).sum(axis=1), (x * e).sum(axis=1)
    everybody = product.sum() / max(power.sum(), 1e-12)
    slope = np.where(power > 1e-12, product / np.maximum(power, 1e-12) - everybody, 0.0)
    return slope, power, float((e**2).sum() / max((count - 1).sum(), 1))
