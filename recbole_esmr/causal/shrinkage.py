"""Effects of parts (an emotion, a state) shrunk toward the effect of the whole."""

from __future__ import annotations

import numpy as np


def shrunk(estimate: np.ndarray, error: np.ndarray, whole: float, whole_error: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Empirical Bayes: each part's effect is the whole's plus a deviation of variance τ², found by the method of moments.

    .. math:: τ^2 = \max\Big(0, \frac{\sum_p s_p^{-2} \big((b_p - b)^2 - s_p^2\big)}{\sum_p s_p^{-2}}\Big), \quad
              k_p = \frac{τ^2}{τ^2 + s_p^2}, \quad \tilde b_p = k_p b_p + (1 - k_p) b, \quad
              \tilde s_p^2 = k_p s_p^2 + (1 - k_p)^2 s^2

    (Morris 1983; the precise parts count most, as in DerSimonian and Laird 1986). With τ² = 0 the parts are the whole, error
    and all.

    Args:
        estimate, error: (P,) of the parts.
        whole, whole_error: of the whole.

    Returns:
        estimates and errors, (P,) each.
    """
    precision = 1 / np.maximum(error, 1e-150) ** 2
    excess = (precision * ((estimate - whole) ** 2 - error**2)).sum() / precision.sum() if len(estimate) else 0.0
    between = max(0.0, float(excess))
    own = between / np.maximum(between + error**2, 1e-300)
    return own * estimate + (1 - own) * whole, np.sqrt(own * error**2 + (1 - own) ** 2 * whole_error**2)
