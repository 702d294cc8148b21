"""Streaks and episodes of negative emotion along a trajectory of days, for all users at once."""

from __future__ import annotations

import numpy as np


def streak_length(flag: np.ndarray) -> np.ndarray:
    r"""Length of the run of true days that ends at each day.

    .. math:: s_t = (s_{t-1} + 1)\,[flag_t]

    Args:
        flag: shape (users, days), bool.

    Returns:
        shape (users, days), int: 0 on days where ``flag`` is false.

    Example:
        >>> streak_length(np.array([[True, True, False, True]]))
        array([[1, 2, 0, 1]])
    """
    day = np.arange(1, flag.shape[1] + 1)
    last_break = np.maximum.accumulate(np.where(flag, 0, day), axis=1)
    return np.where(flag, day - last_break, 0)


def latched(opens: np.ndarray, closes: np.ndarray) -> np.ndarray:
    """State of a latch after each day: open from a day in ``opens`` until a later day in ``closes``.

    A day that is in both opens the latch.

    Args:
        opens: shape (users, days), bool.
        closes: shape (users, days), bool.

    Returns:
        shape (users, days), bool.

    Example:
        >>> latched(np.array([[False, True, False, False]]), np.array([[False, False, False, True]]))
        array([[False,  True,  True, False]])
    """
    day = np.arange(1, opens.shape[1] + 1)
    last_open = np.maximum.accumulate(np.where(opens, day, 0), axis=1)
    last_close = np.maximum.accumulate(np.where(closes & ~opens, day, 0), axis=1)
    return last_open > last_close
