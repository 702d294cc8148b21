"""What each person watched before a given day."""

from __future__ import annotations

import numpy as np


class History:
    """All views, ordered by person and time.

    Args:
        row, day, item: shape (N,) each, ordered by person (row of the log) and, within a person, by time; days never go back.
        days: number of days D in the log.
        longest: items of a history that anybody reads. What lies before the log's window is kept up to that length.
        early: how many days before the log's window are told apart; their numbers lie below 0.

    A log that has moved on by :meth:`next_day` tells one such day.
    """

    def __init__(self, row: np.ndarray, day: np.ndarray, item: np.ndarray, days: int, longest: int, early: int = 0) -> None:
        self._days, self._longest, self._early = days, longest, early
        self._span = early + days + 1
        self._key = row.astype(np.int64) * self._span + day + early
        self._item = item

    def __len__(self) -> int:
        return len(self._item)

    @property
    def days(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and day of each view on the log's days."""
        row, day = np.divmod(self._key, self._span)
        inside = day >= self._early
        return row[inside], day[inside] - self._early

    def of(self, rows: np.ndarray) -> History:
        """The histories of the people in these rows, as rows 0, 1, …"""
        base = rows.astype(np.int64) * self._span
        start, end = np.searchsorted(self._key, base), np.searchsorted(self._key, base + self._span)
        place, row = ranges(start, end)
        day = self._key[place] % self._span - self._early
        return History(row, day, self._item[place], self._days, self._longest, self._early)

    def next_day(self, row: np.ndarray, item: np.ndarray) -> History:
        """The views one day later: days move one back, ``row`` watched ``item`` on the last.

        The views of the D days stay, and of all before them each person's last ``longest``, as those of one day: however long
        people are served, no more is kept, and from the first of the D days on :meth:`before` says what it would of them all.
        """
        old_row, old_day = np.divmod(self._key, self._span)
        rows = np.concatenate([old_row, row])
        days = np.concatenate([np.maximum(old_day - self._early - 1, -1), np.full(len(row), self._days - 1)])
        order = np.lexsort((days, rows))
        rows, days, items = rows[order], days[order], np.concatenate([self._item, item])[order]
        end = np.searchsorted(rows * (self._days + 1) + days, rows * (self._days + 1))  # of each person's views before the days
        keep = (days >= 0) | (end - np.arange(len(rows)) <= self._longest)
        return History(rows[keep], days[keep], items[keep], self._days, self._longest, early=1)

    def before(self, row: np.ndarray, day: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The last ``length`` items that each person watched on days before ``day``.

        Args:
            row, day: shape (B,).

        Returns:
            items, shape (B, length), the oldest first, 0 after the last; and how many there are, shape (B,).
        """
        start = np.searchsorted(self._key, row * self._span)
        end = np.searchsorted(self._key, row * self._span + np.clip(day + self._early, 0, self._span - 1))
        start = np.maximum(start, end - length)
        place = start[:, None] + np.arange(length)
        inside = place < end[:, None]
        item = np.append(self._item, 0)  # a history without any view reads as zeros
        return np.where(inside, item[np.minimum(place, len(self._item))], 0), end - start


def ranges(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers start_i … end_i − 1 of each i one after another, and the i that each is of; (sum of lengths,) each."""
    size = end - start
    row = np.repeat(np.arange(len(start)), size)
    return np.arange(len(row)) - np.repeat(size.cumsum() - size, size) + start[row], row
