"""The level tracker: four means of the reports so far, which simple forecasters read."""

from __future__ import annotations

import numpy as np

from recbole_esmr.data.user_days import last_known, mean_so_far, window_mean

TRACKER = ("running mean", "last", "3-day mean", "7-day mean")
"""The level tracker's features of the reported valence."""


def level_tracker(valence: np.ndarray) -> np.ndarray:
    """Running mean, last value, 3-day mean and 7-day mean of the reports up to each day.

    A value without a report in its window falls back on the running mean, and that on 0.

    Args:
        valence: shape (U, D), NaN without a report.

    Returns:
        shape (U, D, 4).
    """
    running = np.nan_to_num(mean_so_far(valence))
    means = [running]
    for value in (last_known(valence), window_mean(valence, 3), window_mean(valence, 7)):
        means.append(np.where(np.isfinite(value), value, running))
    return np.stack(means, axis=-1)
