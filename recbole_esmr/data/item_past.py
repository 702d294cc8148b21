"""What everybody's impressions of the days before say of each item."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recbole_esmr.data.impressions import Impressions

PRIOR_IMPRESSIONS = 20.0
"""Strength of the shrinkage of an item's watch ratio toward the mean of all items."""


@dataclass(frozen=True)
class ItemPast:
    """How often each item was shown, viewed and watched by day, and what that says on the morning of each day.

    Counts of the training part as a whole would tell an item by the very label that is to be predicted; counts of earlier days
    cannot, in training or later. Where days count each person's own steps there is no earlier day of others: all is NaN.

    It keeps the N item-days on which something was shown, so it grows with the impressions and not with days × items.

    Attributes:
        item, day: (N,) of each item-day, ordered by item and day.
        counts: (3, N) its impressions, views and summed watch ratio.
        items, days: how many items I and days D there are; days before the log's window have numbers below 0.
        early: how many days before the window count.
        known: whether days are dates, the same for everybody.
    """

    item: np.ndarray
    day: np.ndarray
    counts: np.ndarray
    items: int
    days: int
    early: int
    known: bool

    @classmethod
    def of(cls, impressions: Impressions, items: int, days: int, known: bool = True, early: int = 0) -> ItemPast:
        """Of a log with so many items and days, and the impressions of ``early`` days before it."""
        span = early + days
        weights = (np.ones(len(impressions)), impressions.label, impressions.watch_ratio)
        cell, row = np.unique(impressions.item * span + impressions.day + early, return_inverse=True)
        counts = np.stack([np.bincount(row.reshape(-1), weights=w, minlength=len(cell)) for w in weights])
        item, day = np.divmod(cell, span)
        return cls(item, day - early, counts, items, days, early, known)

    def next_day(self, today: Impressions) -> ItemPast:
        """One day later: without the first day, and with the impressions of the day just lived (of any people)."""
        new = ItemPast.of(today, self.items, 1)
        stay = self.day > -self.early
        item = np.concatenate([self.item[stay], new.item])
        day = np.concatenate([self.day[stay] - 1, np.full(len(new.item), self.days - 1)])
        counts = np.concatenate([self.counts[:, stay], new.counts], axis=1)
        order = np.lexsort((day, item))
        return ItemPast(item[order], day[order], counts[:, order], self.items, self.days, self.early, self.known)

    def popularity(self, day: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Log of the views of items on the days before, relative to the mean item; (N,), ``day`` up to D."""
        if not self.known:
            return np.full(np.shape(item), np.nan)
        _, views, _ = self._before(day, item)
        mean = self._totals[1, self._column(day)] / self.items
        return np.log1p(views / np.maximum(mean, 1e-9))

    def watch_ratio(self, day: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Mean watch ratio of items on the days before, shrunk toward that of all items; (N,), ``day`` up to D."""
        if not self.known:
            return np.full(np.shape(item), np.nan)
        shown, _, watched = self._before(day, item)
        all_shown, _, all_watched = self._totals[:, self._column(day)]
        return (watched + PRIOR_IMPRESSIONS * all_watched / np.maximum(all_shown, 1)) / (shown + PRIOR_IMPRESSIONS)

    def usual_ratio(self, day: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Mean watch ratio of items on the days before, (N,); a half where it is not known."""
        return np.nan_to_num(self.watch_ratio(day, item), nan=0.5)

    def _column(self, day: np.ndarray) -> np.ndarray:
        return np.clip(np.asarray(day) + self.early, 0, self.early + self.days)

    def _before(self, day: np.ndarray, item: np.ndarray) -> np.ndarray:
        """(3, N) counts of items on the days before."""
        first = np.asarray(item) * (self.early + self.days + 1)
        start, end = np.searchsorted(self._key, first), np.searchsorted(self._key, first + self._column(day))
        return self._running[:, end] - self._running[:, start]

    @cached_property
    def _key(self) -> np.ndarray:
        return self.item * (self.early + self.days + 1) + self.day + self.early

    @cached_property
    def _running(self) -> np.ndarray:
        """(3, N + 1) sums of the counts of the item-days before each."""
        return np.pad(self.counts.cumsum(axis=1), ((0, 0), (1, 0)))

    @cached_property
    def _totals(self) -> np.ndarray:
        """(3, early + D + 1) counts of all items on the days before each day."""
        size = self.early + self.days
        by_day = np.stack([np.bincount(self.day + self.early, weights=w, minlength=size) for w in self.counts])
        return np.pad(by_day.cumsum(axis=1), ((0, 0), (1, 0)))
