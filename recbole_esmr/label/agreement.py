"""Whether labels agree with what people, or another labeller, say, and what their noise does to effects."""

from __future__ import annotations

import numpy as np


def agreement(one: np.ndarray, other: np.ndarray, seed: int = 0, replicates: int = 1000) -> dict[str, float]:
    r"""Agreement of two sets of valences, and by how much the noise of the first shrinks an effect.

    Krippendorff's α of two raters on an interval scale (Krippendorff 2004), and the attenuation λ of an effect that is estimated
    with the first set, when the second holds the truth up to noise of its own (Fuller 1987, regression calibration):

    .. math:: α = 1 - \frac{\frac1N \sum_i (x_i - y_i)^2}{2 \operatorname{var}(x_1, …, x_N, y_1, …, y_N)}, \qquad
        λ = \frac{\operatorname{cov}(x, y)}{\operatorname{var}(x)}

    Args:
        one, other: (N,) valences of the same items.
        seed, replicates: of the bootstrap over items, for the interval of λ.

    Returns:
        ``alpha``, ``correlation``, ``attenuation`` with ``attenuation_low`` and ``attenuation_high`` (95 %), ``items``.
    """
    if len(one) < 3 or not one.std() or not other.std():
        nothing = dict.fromkeys(("alpha", "correlation", "attenuation", "attenuation_low", "attenuation_high"), float("nan"))
        return nothing | {"items": float(len(one))}
    draws = np.random.default_rng(seed).integers(0, len(one), (replicates, len(one)))
    x, y = one[draws], other[draws]
    centred = x - x.mean(axis=1, keepdims=True)
    spread = (centred**2).mean(axis=1)
    slopes = (centred * y).mean(axis=1)[spread > 0] / spread[spread > 0]
    low, high = np.quantile(slopes, [0.025, 0.975])
    return {
        "alpha": float(1 - ((one - other) ** 2).mean() / (2 * np.concatenate([one, other]).var(ddof=1))),
        "correlation": float(np.corrcoef(one, other)[0, 1]),
        "attenuation": float(np.cov(one, other)[0, 1] / one.var(ddof=1)),
        "attenuation_low": float(low),
        "attenuation_high": float(high),
        "items": float(len(one)),
    }
