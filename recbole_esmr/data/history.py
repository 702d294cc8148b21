"""What each person watched before a given day."""

from __future__ import annotations

import numpy as np


class History:
    """All views, ordered by user and time.

    Args:
        user, day, item: shape (N,) each, ordered by user and, within a user, by time; days never go back.
        days: number of days D in the data.
    """

    def __init__(self, user: np.ndarray, day: np.ndarray, item: np.ndarray, days: int) -> None:
        self._days = days
        self._key = user.astype(np.int64) * (days + 1) + day
        self._item = item

    def next_day(self, user: np.ndarray, item: np.ndarray) -> History:
        """The views one day later: days move one back (the first keeps its place), ``user`` watched ``item`` on the last."""
        old_user, old_day = np.divmod(self._key, self._days + 1)
        users = np.concatenate([old_user, user])
        days = np.concatenate([np.maximum(old_day - 1, 0), np.full(len(user), self._days - 1)])
        order = np.lexsort((days, users))
        return History(users[order], days[order], np.concatenate([self._item, item])[order], self._days)

    def before(self, user: np.ndarray, day: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The last ``length`` items that each person watched on days before ``day``.

        Args:
            user, day: shape (B,).

        Returns:
            items, shape (B, length), the oldest first, 0 after the last; and how many there are, shape (B,).
        """
        start = np.searchsorted(self._key, user * (self._days + 1))
        end = np.searchsorted(self._key, user * (self._days + 1) + day)
        start = np.maximum(start, end - length)
        place = start[:, None] + np.arange(length)
        inside = place < end[:, None]
        items = np.where(inside, self._item[np.minimum(place, len(self._item) - 1)], 0)
        return items, end - start
