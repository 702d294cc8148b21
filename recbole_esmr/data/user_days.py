"""One arithmetic of user-days: shifts, running and window means, sums of impressions by user-day, slates.

Tables have a row a person and a column a day, (U, D) or (U, D, …). What a function calls *known* is finite.
"""

from __future__ import annotations

import numpy as np


def spaced(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of some rows, evenly spaced among them."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def shifted(value: np.ndarray, days: int, fill: float = np.nan) -> np.ndarray:
    """Each day's value ``days`` days before it (after it, where negative); ``fill`` where there is no such day; same shape."""
    moved = np.full_like(value, fill)
    if days >= 0:
        moved[:, days:] = value[:, : max(value.shape[1] - days, 0)]
    else:
        moved[:, :days] = value[:, -days:]
    return moved


def eve(value: np.ndarray) -> np.ndarray:
    """Value at the end of the day before, (U, D, …) → (U, D + 1, …): zeros on the first day, and a column for the next day."""
    return np.concatenate([np.zeros_like(value[:, :1]), value], axis=1)


def mean_so_far(value: np.ndarray) -> np.ndarray:
    """Mean of the known values up to and with each day; NaN before the first; same shape."""
    known = np.isfinite(value)
    count = known.cumsum(axis=1)
    return np.where(known, value, 0.0).cumsum(axis=1) / np.where(count > 0, count, np.nan)


def window_sum(value: np.ndarray, days: int) -> np.ndarray:
    """Sum over the last ``days`` days, the day itself included; same shape."""
    total = value.cumsum(axis=1)
    return total - shifted(total, days, 0)


def window_mean(value: np.ndarray, days: int, known: np.ndarray | None = None) -> np.ndarray:
    """Mean of the known values of the last ``days`` days, the day itself included; NaN where there is none.

    Args:
        value: (U, D, …).
        days: length of the window.
        known: which values count, broadcast to ``value``; the finite ones unless given.
    """
    known = np.isfinite(value) if known is None else np.broadcast_to(known, value.shape)
    count = window_sum(known.astype(float), days)
    return window_sum(np.where(known, value, 0.0), days) / np.where(count > 0, count, np.nan)


def last_known(value: np.ndarray) -> np.ndarray:
    """The last known value up to and with each day, NaN before the first; (U, D)."""
    latest = np.maximum.accumulate(np.where(np.isfinite(value), np.arange(value.shape[1]), -1), axis=1)
    return np.where(latest >= 0, np.take_along_axis(value, np.maximum(latest, 0), axis=1), np.nan)


class UserDaySums:
    """Sums over what happened on each user-day, (U, D).

    Args:
        user, day: (N,) row and column of each event.
        users, days: U and D.

    Attributes:
        count: (U, D) number of events.
    """

    def __init__(self, user: np.ndarray, day: np.ndarray, users: int, days: int) -> None:
        self._shape, self._cell = (users, days), user * days + day
        self.count = self.sum(np.ones(len(self._cell)))

    def sum(self, value: np.ndarray) -> np.ndarray:
        """(N,) → (U, D)."""
        users, days = self._shape
        return np.bincount(self._cell, weights=value, minlength=users * days).reshape(users, days)

    def sum_by(self, value: np.ndarray, code: np.ndarray, size: int) -> np.ndarray:
        """Sums for each code 0 … ``size`` − 1 (events of another code count nowhere); (N,) → (U, D, size)."""
        users, days = self._shape
        known = (code >= 0) & (code < size)
        cell = self._cell[known] * size + code[known]
        return np.bincount(cell, weights=value[known], minlength=users * days * size).reshape(users, days, size)

    def mean(self, value: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """Sum of the values over their count (or over the sum of ``weight``), NaN where that is 0; (N,) → (U, D)."""
        divisor = self.count if weight is None else self.sum(weight)
        return self.sum(value) / np.where(divisor > 0, divisor, np.nan)


class SlateIndex:
    """Which slate each impression belongs to: a slate is all that one person was shown on one day.

    Args:
        user, day: (M,) of each impression.

    Attributes:
        user, day, size: (N,) of each slate, ordered by user and day; how many impressions it has.
        row, place: (M,) each impression's slate, and its place in it, in the order of the impressions.
    """

    def __init__(self, user: np.ndarray, day: np.ndarray) -> None:
        first = int(day.min(initial=0))  # below 0 before a log's window
        days = int(day.max(initial=0)) - first + 1
        pairs, row, size = np.unique(user.astype(np.int64) * days + day - first, return_inverse=True, return_counts=True)
        self.user, self.day, self.size = pairs // days, pairs % days + first, size
        self.row = row.reshape(-1)
        order = np.argsort(self.row, kind="stable")
        self.place = np.empty(len(self.row), dtype=np.int64)
        self.place[order] = np.arange(len(self.row)) - np.repeat(np.cumsum(size) - size, size)

    def __len__(self) -> int:
        return len(self.user)

    def padded(self, value: np.ndarray, fill: float = 0) -> np.ndarray:
        """The impressions' values by slate and place, (N, longest); ``fill`` after a slate's end."""
        table: np.ndarray = np.full((len(self), int(self.size.max(initial=0))), fill, dtype=value.dtype)
        table[self.row, self.place] = value
        return table


def sum_by_person(person: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Sum of the values of each person that occurs, in the order of their ids; (N,) → (people,)."""
    return np.bincount(np.unique(person, return_inverse=True)[1].reshape(-1), weights=value)
