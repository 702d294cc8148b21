"""What LightGBM's trees say of many rows, compiled: several times as fast as LightGBM itself, to the last digit the same sums."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recbole_esmr.errors import CheckpointError

if TYPE_CHECKING:
    from recbole_esmr.model.trees import Trees

_TOGETHER = 64
"""Rows that walk through a tree side by side."""

_PART = 65_536
"""Rows from which on another thread is worth its start."""


@dataclass(frozen=True, eq=False)
class TreeWalk:
    """Trees with N splits and leaves in all, laid out so that a step is the same for every row, whichever way it goes.

    A leaf leads to itself, so that all rows take as many steps as the tree is deep. Thresholds are rounded down to single
    precision: of numbers in single precision the same ones lie below.

    Attributes:
        features: columns of a table.
        source, unknown: (K,) the columns that are read, and what stands there for an unknown value; a column is read once for
            each way in which unknown values go.
        place, threshold: (N,) what is asked of a row: whether its number at ``place`` of K is at most ``threshold``.
        child: (2N,) where a node leads, 2n if it is more, 2n + 1 if it is not.
        value: (N,) of a leaf.
        root, depth: (T,) of each tree.
    """

    features: int
    source: np.ndarray
    unknown: np.ndarray
    place: np.ndarray
    threshold: np.ndarray
    child: np.ndarray
    value: np.ndarray
    root: np.ndarray
    depth: np.ndarray

    @classmethod
    def of(cls, trees: Trees) -> TreeWalk:
        """Lay trees out."""
        left, right = trees.ends()
        splits, count = len(left), len(left) + len(trees.leaf_value)
        leaf = np.arange(splits, count)
        way = np.where(trees.decision & 8, np.where(trees.decision & 2, 1, 0), 2)  # right, left, or as if it were 0
        read, place = np.unique(trees.feature.astype(np.int64) * 3 + way, return_inverse=True)
        with np.errstate(over="ignore"):
            threshold = trees.threshold.astype(np.float32)
        threshold = np.where(threshold > trees.threshold, np.nextafter(threshold, np.float32(-np.inf)), threshold)
        first = np.concatenate([[0], (trees.leaves - 1).cumsum()[:-1]])
        root = np.where(trees.leaves > 1, first, splits + first + np.arange(len(trees.leaves)))
        return cls(
            features=trees.features,
            source=(read // 3).astype(np.uint32),
            unknown=np.array([np.nan, -np.inf, 0], dtype=np.float32)[read % 3],
            place=np.concatenate([place.reshape(-1), np.zeros(count - splits)]).astype(np.uint32),
            threshold=np.concatenate([threshold, np.zeros(count - splits)]).astype(np.float32),
            child=np.stack([np.concatenate([right, leaf]), np.concatenate([left, leaf])], axis=1).reshape(-1).astype(np.uint32),
            value=np.concatenate([np.zeros(splits), trees.leaf_value]),
            root=root.astype(np.uint32),
            depth=_depths(root, left, right),
        )

    def __call__(self, table: np.ndarray) -> np.ndarray:
        """Sum of the leaves that each row ends in, (N,) double, for a table (N, features) in single precision.

        Many rows walk on as many threads as torch computes on.

        Raises:
            CheckpointError: a table of other columns.
        """
        if table.ndim != 2 or table.shape[1] != self.features:
            raise CheckpointError(f"LightGBM's trees read {self.features} columns; the table is of shape {table.shape}.")
        table, total, walk = np.ascontiguousarray(table, dtype=np.float32), np.zeros(len(table)), compiled()
        tree = (self.source, self.unknown, self.place, self.threshold, self.child, self.value, self.root, self.depth)
        threads = min(torch.get_num_threads(), -(-len(table) // _PART))
        if threads <= 1:
            walk(table, *tree, total)
            return total
        size = -(-len(table) // threads)
        starts = range(0, len(table), size)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda start: walk(table[start : start + size], *tree, total[start : start + size]), starts))
        return total


def _depths(root: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Steps from each root to its farthest leaf, (T,)."""
    depth, tree, node, level = np.zeros(len(root), dtype=np.uint32), np.arange(len(root)), root, 0
    while len(node):
        depth[tree], level = level, level + 1
        inner = node < len(left)
        tree, node = np.tile(tree[inner], 2), np.concatenate([left[node[inner]], right[node[inner]]])
    return depth


def _walk(
    table: Any, source: Any, unknown: Any, place: Any, threshold: Any, child: Any, value: Any, root: Any, depth: Any, total: Any
) -> None:
    """Add to ``total`` what the trees say of each row; unsigned numbers, for signed ones might count from the end."""
    read = np.empty(len(source) * _TOGETHER, np.float32)
    node = np.empty(_TOGETHER, np.uint32)
    for start in range(0, len(table), _TOGETHER):
        count = np.uint32(min(_TOGETHER, len(table) - start))
        for k in range(len(source)):
            for i in range(count):
                number = table[start + i, source[k]]
                read[k * count + i] = unknown[k] if np.isnan(number) else number
        for t in range(len(root)):
            node[:] = root[t]
            for _ in range(depth[t]):
                for i in range(count):
                    row = np.uint32(i)
                    at = node[row]
                    node[row] = child[at + at + np.uint32(read[place[at] * count + row] <= threshold[at])]
            for i in range(count):
                total[start + i] += value[node[i]]


@cache
def compiled() -> Callable[..., None]:
    """The walk in machine code, kept beside this file for the next process where a file may be written."""
    import numba

    numbers, single, double = numba.uint32[::1], numba.float32[::1], numba.float64[::1]
    arrays = (numbers, single, numbers, single, numbers, double, numbers, numbers, double)
    signature = numba.void(numba.float32[:, ::1], *arrays)
    try:
        return numba.njit(signature, nogil=True, cache=True)(_walk)
    except Exception:  # nowhere to write, a full disk, or a file that a power failure has cut: it is only a cache
        return numba.njit(signature, nogil=True)(_walk)
