"""Moments: what somebody felt just before and just after an item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.felt import AFTER, BEFORE

OUTCOMES = ("valence", "arousal")


@dataclass(frozen=True)
class Moments:
    """M items after which somebody said how they felt.

    Attributes:
        user: (M,) the person's row in the log.
        item: (M,) row of the catalogue of all items that were seen.
        day: (M,) day index of the trace.
        before, after: (M, 2) valence and arousal in [−1, 1], NaN where nobody said.
        random: (M,) 1 where the item was drawn at random, 0 where somebody or a recommender chose it, NaN where nobody knows.
    """

    user: np.ndarray
    item: np.ndarray
    day: np.ndarray
    before: np.ndarray
    after: np.ndarray
    random: np.ndarray

    @classmethod
    def of(cls, views: pd.DataFrame) -> Moments:
        """The rows of which something is known afterwards.

        Args:
            views: columns user, item and day as numbers and, where there are such, those of the moods and ``random``.
        """

        def columns(names: tuple[str, ...]) -> np.ndarray:
            return np.stack([views.get(name, pd.Series(np.nan, views.index)).to_numpy(float) for name in names], axis=1)

        user, item, day = (views[name].to_numpy(np.int64) for name in ("user", "item", "day"))
        every = cls(
            user=user,
            item=item,
            day=day,
            before=columns(BEFORE),
            after=columns(AFTER),
            random=columns(("random",))[:, 0],
        )
        return every.take(np.isfinite(every.after).any(axis=1))

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: np.ndarray) -> Moments:
        """Those of some rows (a mask or an index)."""
        return Moments(**{name: value[rows] for name, value in vars(self).items()})
