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
        return Seen(self.impressions.take(self.impressions.item < items), self.catalogue.first(items))


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
    if shown is None:
        rows = watched.assign(label=1, propensity=np.nan)
    else:
        usual = watched["watch_ratio"].mean()  # of what was watched and has no view to say how long
        ratio = watched.groupby(["user", "day", "item"], as_index=False)["watch_ratio"].mean()
        rows = shown.sort_values(["user", "day", "position"], kind="stable")
        rows = rows.merge(ratio, on=["user", "day", "item"], how="left", sort=False)
        rows["watch_ratio"] = np.where(rows["label"] == 1, rows["watch_ratio"].fillna(usual), 0.0)
    rows = rows.sort_values(["user", "day"], kind="stable")
    return Impressions(
        user=rows["user"].to_numpy(np.int64),
        day=rows["day"].to_numpy(np.int64),
        item=rows["item"].to_numpy(np.int64),
        label=rows["label"].to_numpy(np.int64),
        watch_ratio=rows["watch_ratio"].to_numpy(float),
        propensity=rows["propensity"].to_numpy(float),
        has_skips=bool((rows["label"] == 0).any()),
    )
