"""RecBole's metrics of popularity, looked up in a table instead of item by item."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from recbole.evaluator import metrics


class AveragePopularity(metrics.AveragePopularity):
    """RecBole's: how often the items of a list were watched in training, on the mean."""

    def get_pop(self, item_matrix: np.ndarray, item_count: Mapping[int, int]) -> np.ndarray:
        """How often each item of the lists (B, K) was watched, (B, K)."""
        return _table(item_count, item_matrix)[item_matrix]


class TailPercentage(metrics.TailPercentage):
    """RecBole's: the share of a list that is of the least watched items."""

    def get_tail(self, item_matrix: np.ndarray, count_items: Mapping[int, int]) -> np.ndarray:
        """Whether each item of the lists (B, K) is one of them, (B, K): 0 or 1."""
        item, count = (np.array(list(part), dtype=np.int64) for part in (count_items.keys(), count_items.values()))
        least = item[np.lexsort((item, count))][: max(int(len(item) * self.tail), 1)]
        tail = item[count <= self.tail] if self.tail > 1 else least  # so many views at most, or so large a part of the items
        return _table(dict.fromkeys(tail.tolist(), 1), item_matrix)[item_matrix]


def _table(value: Mapping[int, int], items: np.ndarray) -> np.ndarray:
    """What a mapping says of each item, 0 where it says nothing."""
    known = np.array(list(value), dtype=np.int64)
    table = np.zeros(max(known.max(initial=0), items.max(initial=0)) + 1, dtype=np.int64)
    table[known] = list(value.values())
    return table
