"""LightGBM's trees as arrays: what training leaves, a checkpoint keeps, and ranking asks.

LightGBM trusts the text that it reads: a crafted one makes it crash, or walk in a circle for ever. So no text from a file
reaches it: LightGBM trains, and these arrays, once checked, predict (:mod:`~recbole_esmr.model.tree_walk`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from recbole_esmr.checkpoint.schema import check_types
from recbole_esmr.errors import CheckpointError
from recbole_esmr.model.tree_walk import TreeWalk

if TYPE_CHECKING:
    import lightgbm

_NAMES = {  # of the arrays in LightGBM's text
    "feature": "split_feature",
    "threshold": "threshold",
    "decision": "decision_type",
    "left": "left_child",
    "right": "right_child",
    "leaf_value": "leaf_value",
}
_DTYPES = {
    "leaves": "int64",
    "feature": "int32",
    "threshold": "float64",
    "decision": "int8",
    "left": "int32",
    "right": "int32",
    "leaf_value": "float64",
}
_MOST_LEAVES = 131_072  # of a tree, LightGBM's own limit
_DECISIONS = (0, 2, 8, 10)
"""Of splits of numbers: 2 where an unknown value goes left, 8 where unknown values were seen in training."""


@dataclass(frozen=True, eq=False)
class Trees:
    """T binary trees with N splits in all, and so N + T leaves.

    Attributes:
        features: columns of the table that the trees read.
        leaves: (T,) leaves of each tree; those of one tree after the other fill the arrays that follow.
        feature, threshold, decision: (N,) what is asked at a split: a column, the bound of the left side, how unknown values go.
        left, right: (N,) where a split leads: the tree's split of that number, which comes later, or −1 − its leaf.
        leaf_value: (N + T,).

    Raises:
        CheckpointError: these are no such trees.
    """

    features: int
    leaves: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    decision: np.ndarray
    left: np.ndarray
    right: np.ndarray
    leaf_value: np.ndarray

    def __post_init__(self) -> None:
        for wrong, what in self._faults():
            if wrong:
                raise CheckpointError(f"LightGBM's trees: {what}. Train again.")

    def _faults(self) -> Any:
        """Whether each of the things is so that may be wrong; each is asked only where those before are not."""
        for name, dtype in _DTYPES.items():
            array = getattr(self, name)
            yield array.ndim != 1 or array.dtype != dtype, f"{name} is not a row of {dtype}"
        yield not len(self.leaves), "there is none"
        yield (self.leaves < 1).any() or (self.leaves > _MOST_LEAVES).any(), f"a tree has no leaf, or above {_MOST_LEAVES}"
        trees, splits = len(self.leaves), int(self.leaves.sum()) - len(self.leaves)
        for name in ("feature", "threshold", "decision", "left", "right"):
            yield len(getattr(self, name)) != splits, f"{name} does not have the {splits} values of {trees} trees' splits"
        yield len(self.leaf_value) != splits + trees, f"leaf_value does not have {splits + trees} values"
        bounds = np.where(self.threshold == np.inf, 0.0, self.threshold)  # known values go left of infinity, unknown ones right
        yield not (np.isfinite(bounds).all() and np.isfinite(self.leaf_value).all()), "a number is not finite"
        yield (self.feature < 0).any() or (self.feature >= self.features).any(), f"a column is none of the {self.features}"
        yield not np.isin(self.decision, _DECISIONS).all(), f"a decision is none of {', '.join(map(str, _DECISIONS))}"
        own = np.repeat(self.leaves - 1, self.leaves - 1)
        place = np.arange(splits) - self._before()
        for side in (self.left.astype(np.int64), self.right.astype(np.int64)):
            yield ((side >= 0) & ((side <= place) | (side >= own))).any(), "a split leads to itself, back or out of its tree"
            yield (side < -1 - own).any(), "a split leads to a leaf that there is not"
        ends = np.concatenate(self.ends())
        yield len(np.unique(ends)) != 2 * splits, "two splits lead to the same place"

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Where splits lead on the left and on the right, (N,) each: a split's number, or N + a leaf's, over all trees."""
        before, tree = self._before(), np.repeat(np.arange(len(self.leaves)), self.leaves - 1)
        sides, splits = (self.left.astype(np.int64), self.right.astype(np.int64)), len(self.feature)
        left, right = (np.where(side >= 0, before + side, splits + before + tree - 1 - side) for side in sides)
        return left, right

    def _before(self) -> np.ndarray:
        """How many splits the trees before each split's own have, (N,)."""
        per_tree = self.leaves - 1
        return np.repeat(per_tree.cumsum() - per_tree, per_tree)

    @classmethod
    def of(cls, booster: lightgbm.Booster) -> Trees:
        """The trees that a trained model uses."""
        text = booster.model_to_string(num_iteration=booster.best_iteration)
        trees = [dict(line.split("=", 1) for line in tree.split("\n\n")[0].split("\n")[1:]) for tree in text.split("\nTree=")[1:]]

        def joined(name: str) -> np.ndarray:
            dtype = _DTYPES[name]
            return np.concatenate([np.array(tree[_NAMES[name]].split(), dtype=dtype) for tree in trees]).astype(dtype)

        leaves = np.array([int(tree["num_leaves"]) for tree in trees])
        return cls(booster.num_feature(), leaves, *(joined(name) for name in _NAMES))

    def predict(self, table: np.ndarray) -> np.ndarray:
        """The chance of each row of a table (N, features) in single precision, (N,), as LightGBM's cross-entropy gives it.

        Raises:
            CheckpointError: a table of other columns.
        """
        chance: np.ndarray = expit(self._walk(table))
        return chance

    @cached_property
    def _walk(self) -> TreeWalk:
        return TreeWalk.of(self)

    @classmethod
    def of_dict(cls, kept: Any) -> Trees:
        """The inverse of :meth:`as_dict`.

        Raises:
            CheckpointError: something else was kept.
        """
        check_types(kept, cls, "LightGBM's trees")
        return cls(**kept)

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
