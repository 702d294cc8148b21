"""What was shown to whom, and whether it was watched."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.history import ranges

_COLUMNS = ("user", "day", "item", "label", "watch_ratio", "propensity")


@dataclass(frozen=True)
class Impressions:
    """One row an item shown, ordered by user, day and position.

    Attributes:
        user: the person's row in the log. In the log of a whole data set rows are RecBole's internal ids.
        item: RecBole's internal id.
        day: day index of the trace (0 is the first day of the data).
        label: 1 watched, 0 skipped.
        watch_ratio: share of the item that was watched, 0–1; 0 for a skip.
        propensity: chance of the logging policy to show it, NaN where unknown.
        has_skips: whether skips were logged; if not, only what was watched is known.
    """

    user: np.ndarray
    day: np.ndarray
    item: np.ndarray
    label: np.ndarray
    watch_ratio: np.ndarray
    propensity: np.ndarray
    has_skips: bool

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: np.ndarray) -> Impressions:
        """The impressions of the given rows (a mask or an index)."""
        return Impressions(**{name: getattr(self, name)[rows] for name in _COLUMNS}, has_skips=self.has_skips)

    def of(self, rows: np.ndarray) -> Impressions:
        """The impressions of the people in these rows, as people 0, 1, …"""
        place, row = ranges(np.searchsorted(self.user, rows), np.searchsorted(self.user, rows, side="right"))
        return replace(self.take(place), user=row)

    def followed_by(self, later: Impressions) -> Impressions:
        """These impressions and later ones, in order."""
        both = {name: np.concatenate([getattr(self, name), getattr(later, name)]) for name in _COLUMNS}
        joined = Impressions(**both, has_skips=self.has_skips)
        return joined.take(np.lexsort((joined.day, joined.user)))


@dataclass(frozen=True)
class Seen:
    """All that people saw, items that RecBole's filters removed included.

    Attributes:
        impressions: with the rows of ``catalogue`` for items.
        catalogue: RecBole's items, and after them those that it does not know.
    """

    impressions: Impressions
    catalogue: Catalogue

    def first(self, items: int) -> Seen:
        """Of the first so many items alone."""
        known = self.impressions.item < items
        return Seen(self.impressions if known.all() else self.impressions.take(known), self.catalogue.first(items))


def make_impressions(shown: pd.DataFrame | None, watched: pd.DataFrame) -> Impressions:
    """Join what was shown with how long it was watched.

    Args:
        shown: columns user, day, item, position, propensity, label; or None where impressions were not logged, and what was
            watched is all that is known to have been shown.
        watched: columns user, day, item, watch_ratio.

    Returns:
        the impressions. A user, day and item that is shown more than once gets the mean watch ratio of its views; one that was
        watched and has no view, the mean of all views.
    """
    rows = watched if shown is None else shown
    position = () if shown is None else (shown["position"].to_numpy(),)
    order = np.lexsort((*position, rows["day"].to_numpy(), rows["user"].to_numpy()))  # rows that are alike keep their order
    user, day, item = (rows[name].to_numpy(np.int64)[order] for name in ("user", "day", "item"))
    if shown is None:
        label, ratio = np.ones(len(order), dtype=np.int64), watched["watch_ratio"].to_numpy(float)[order]
        propensity = np.full(len(order), np.nan)
    else:
        label, propensity = shown["label"].to_numpy(np.int64)[order], shown["propensity"].to_numpy(float)[order]
        usual = watched["watch_ratio"].mean()  # of what was watched and has no view to say how long
        ratio = np.where(label == 1, _watch_ratios(watched, user, day, item, usual), 0.0)
    return Impressions(user, day, item, label, ratio, propensity, has_skips=bool((label == 0).any()))


def _watch_ratios(watched: pd.DataFrame, user: np.ndarray, day: np.ndarray, item: np.ndarray, usual: float) -> np.ndarray:
    """The mean watch ratio of the views of each user, day and item, (N,); ``usual`` where there is none."""
    view = tuple(watched[name].to_numpy(np.int64) for name in ("user", "day", "item"))
    first = min(int(days.min(initial=0)) for days in (view[1], day))
    days, items = (1 + max(int(part.max(initial=0)) for part in parts) for parts in ((view[1], day), (view[2], item)))

    def key(user: np.ndarray, day: np.ndarray, item: np.ndarray) -> np.ndarray:
        return (user * (days - first) + day - first) * items + item

    viewed, row = np.unique(key(*view), return_inverse=True)
    total = np.bincount(row.reshape(-1), weights=watched["watch_ratio"].to_numpy(float))
    ratio = np.append(total / np.bincount(row.reshape(-1)), usual)
    asked = key(user, day, item)
    place = np.searchsorted(viewed, asked)
    found = np.append(viewed, -1)[place] == asked
    return ratio[np.where(found, place, len(viewed))]
