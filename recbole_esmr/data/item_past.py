"""What everybody's impressions of the days before say of each item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbole_esmr.data.impressions import Impressions

PRIOR_IMPRESSIONS = 20.0
"""Strength of the shrinkage of an item's watch ratio toward the mean of all items."""


@dataclass(frozen=True)
class ItemPast:
    """How often each item was shown, viewed and watched by day, and what that says on the morning of each day.

    Counts of the training part as a whole would tell an item by the very label that is to be predicted; counts of earlier days
    cannot, in training or later. Where days count each person's own steps there is no earlier day of others: all is NaN.

    Attributes:
        shown, views, watched: (D, I) impressions, views and summed watch ratio of the day.
        known: whether days are dates, the same for everybody.
        popularity: (D + 1, I) log of the views before the day, relative to the mean item.
        watch_ratio: (D + 1, I) mean watch ratio before the day, shrunk.
    """

    shown: np.ndarray
    views: np.ndarray
    watched: np.ndarray
    known: bool
    popularity: np.ndarray
    watch_ratio: np.ndarray

    @classmethod
    def of(cls, impressions: Impressions, items: int, days: int, known: bool = True) -> ItemPast:
        """Of a log with so many items and days."""
        cell = impressions.day * items + impressions.item
        weights = (None, impressions.label, impressions.watch_ratio)
        counts = [np.bincount(cell, weights=w, minlength=days * items).reshape(days, items).astype(float) for w in weights]
        return cls._from_counts(counts, known)

    def next_day(self, today: Impressions) -> ItemPast:
        """One day later: without the first day, and with the impressions of the day just lived (of any people)."""
        items = self.shown.shape[1]
        weights = (None, today.label, today.watch_ratio)
        new = [np.bincount(today.item, weights=w, minlength=items)[None].astype(float) for w in weights]
        old = (self.shown, self.views, self.watched)
        return self._from_counts([np.concatenate([x[1:], y]) for x, y in zip(old, new, strict=True)], self.known)

    @classmethod
    def _from_counts(cls, counts: list[np.ndarray], known: bool) -> ItemPast:
        shown, views, watched = counts
        if not known:
            nothing = np.full((len(shown) + 1, shown.shape[1]), np.nan)
            return cls(shown, views, watched, known, nothing, nothing)
        shown_before, views_before, watched_before = (
            np.concatenate([np.zeros((1, x.shape[1])), x.cumsum(axis=0)]) for x in (shown, views, watched)
        )
        mean = watched_before.sum(axis=1, keepdims=True) / np.maximum(shown_before.sum(axis=1, keepdims=True), 1)
        popularity = np.log1p(views_before / np.maximum(views_before.mean(axis=1, keepdims=True), 1e-9))
        watch_ratio = (watched_before + PRIOR_IMPRESSIONS * mean) / (shown_before + PRIOR_IMPRESSIONS)
        return cls(shown, views, watched, known, popularity, watch_ratio)

    def usual_ratio(self, day: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Mean watch ratio of items on the days before, (N,); a half where it is not known."""
        return np.nan_to_num(self.watch_ratio[day, item], nan=0.5)
