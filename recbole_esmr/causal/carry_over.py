"""How long a push to the mood lasts: the carry-over of its slow part from day to day, from the log."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

_LAGS = 10
_GRID = np.linspace(0.05, 0.95, 91)


def carry_over(valence: np.ndarray) -> float:
    """Share φ of a push to the mood that is left a day later.

    Mood is taken for a home base, a slow AR(1) state and day noise, so that the mean squared difference over k days is

    .. math:: D_k = E (v_{t+k} - v_t)^2 = 2σ_{noise}^2 + 2σ_{slow}^2 (1 - φ^k)

    whatever the home bases; φ is fitted by least squares, each lag weighing as much as it has pairs. Differences need no person's
    mean, so short traces do not bias it. That what content does fades as the rest of the mood does is an assumption.

    Args:
        valence: (U, D), NaN where unknown.

    Returns:
        φ in [0.05, 0.95]; 0 where fewer than three lags have a pair.
    """
    lags = range(1, min(_LAGS, valence.shape[1] - 1) + 1)
    total, count = np.zeros(len(lags)), np.zeros(len(lags))
    for lag in lags:
        difference = valence[:, lag:] - valence[:, :-lag]
        square = difference[np.isfinite(difference)] ** 2
        total[lag - 1], count[lag - 1] = square.sum(), len(square)
    if (count > 0).sum() < 3:
        return 0.0
    mean = total / np.maximum(count, 1)
    weight, after = np.sqrt(count), np.arange(1, len(mean) + 1)
    errors = [nnls(np.stack([weight, weight * (1 - phi**after)], axis=1), weight * mean)[1] for phi in _GRID]
    return float(_GRID[int(np.argmin(errors))])


def worth_of_days(days: int, discount: float, kept: float) -> np.ndarray:
    r"""What an effect on the mood of each day after counts, (H,), relative to a push of tomorrow's mood that fades by φ a day.

    .. math:: w_h = (1 - γφ)\, γ^{h-1} \text{ for } h < H, \quad w_H = γ^{H-1}

    A push b that fades as the rest of the mood does, b, φb, φ²b, …, is worth b; after the last day that is looked at an effect
    is taken to fade so. One that comes late, or lasts longer, is worth more than tomorrow shows.

    Args:
        days: H, at least 1.
        discount: γ of a day; kept: φ, below 1.
    """
    worth = discount ** np.arange(days, dtype=float)
    worth[:-1] *= 1 - discount * kept
    return worth
