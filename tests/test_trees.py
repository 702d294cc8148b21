"""LightGBM's trees as arrays: they predict to the last digit what LightGBM does, and no array that is no tree is walked."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_esmr.errors import CheckpointError
from recbole_esmr.model import tree_walk
from recbole_esmr.model.trees import Trees
from recbole_esmr.neighbours import torch_threads

COLUMNS = 4


def _table(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    table[:, 1] = rng.integers(0, 5, rows)
    table[rng.random(table.shape) < 0.1] = np.nan
    return table


def _trained(rounds=8, leaves=9, **parameters):
    table = _table()
    label = (np.nan_to_num(table[:, 0]) + table[:, 3] ** 2 > 0.5).astype(float)
    keys = {"objective": "cross_entropy", "num_leaves": leaves, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    return lightgbm.train({**keys, **parameters}, lightgbm.Dataset(table, label), rounds)


BOOSTER = _trained()
TREES = Trees.of(BOOSTER)


def _by_hand(trees: Trees, table: np.ndarray) -> np.ndarray:
    """The chance of each row, walked from split to split."""
    score = np.zeros(len(table))
    splits = leaves = 0
    for count in trees.leaves:
        for row, values in enumerate(table.astype(float)):
            node = 0 if count > 1 else -1
            while node >= 0:
                at = splits + node
                value, unknown_left = values[trees.feature[at]], trees.decision[at] & 2
                if np.isnan(value):
                    left = bool(unknown_left) if trees.decision[at] & 8 else trees.threshold[at] >= 0
                else:
                    left = value <= trees.threshold[at]
                node = (trees.left if left else trees.right)[at]
            score[row] += trees.leaf_value[leaves - 1 - node]
        splits, leaves = splits + count - 1, leaves + count
    return 1 / (1 + np.exp(-score))


@pytest.mark.parametrize(
    "parameters",
    [
        {"feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1},
        {"monotone_constraints": [1, 0, 0, 0], "lambda_l2": 1.0},
        {"leaves": 2},
        {"leaves": 31, "rounds": 40},
        {"min_data_in_leaf": 300},  # one leaf
    ],
)
def test_trees_predict_what_lightgbm_does_to_the_last_digit(parameters):
    booster = _trained(**parameters)
    trees = Trees.of(booster)
    again = Trees.of_dict(trees.as_dict())
    said = booster.predict(_table(seed=1), raw_score=True)
    assert np.array_equal(again._walk(_table(seed=1)), said)
    np.testing.assert_array_max_ulp(again.predict(_table(seed=1)), booster.predict(_table(seed=1)), maxulp=2)
    assert again.features == COLUMNS and len(again.leaves) == booster.num_trees()


def test_only_the_rounds_up_to_the_best_are_kept():
    booster = _trained()
    booster.best_iteration = 3
    assert len(Trees.of(booster).leaves) == 3
    assert np.array_equal(Trees.of(booster)._walk(_table()), booster.predict(_table(), raw_score=True))


FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)


@st.composite
def any_trees(draw):
    """Trees of any shape, with any numbers: each new split takes the place of a leaf, as LightGBM grows them."""
    counts = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    left, right = [], []
    for count in counts:
        own = [[-1, -1] for _ in range(count - 1)]
        open_ends = [(0, 0), (0, 1)]
        for split in range(1, count - 1):
            node, side = open_ends.pop(draw(st.integers(0, len(open_ends) - 1)))
            own[node][side] = split
            open_ends += [(split, 0), (split, 1)]
        for leaf, (node, side) in enumerate(draw(st.permutations(open_ends)) if count > 1 else []):
            own[node][side] = -1 - leaf
        left += [ends[0] for ends in own]
        right += [ends[1] for ends in own]
    splits = len(left)

    def numbers(values, count, dtype):
        return np.array(draw(st.lists(values, min_size=count, max_size=count)), dtype=dtype)

    return Trees(
        COLUMNS,
        np.array(counts),
        numbers(st.integers(0, COLUMNS - 1), splits, "int32"),
        numbers(FINITE | st.just(np.inf), splits, "float64"),
        numbers(st.sampled_from([0, 2, 8, 10]), splits, "int8"),
        np.array(left, dtype="int32"),
        np.array(right, dtype="int32"),
        numbers(st.floats(-50, 50), splits + len(counts), "float64"),
    )


@settings(max_examples=60, deadline=None)
@given(any_trees())
def test_any_trees_predict_what_they_say(trees):
    table = _table(30)
    assert trees.predict(table) == pytest.approx(_by_hand(trees, table), rel=1e-12)


def test_numbers_at_and_beside_a_threshold_go_where_lightgbm_sends_them():
    edges = np.unique(TREES.threshold[np.isfinite(TREES.threshold)]).astype(np.float32)
    beside = np.concatenate([edges, np.nextafter(edges, np.float32(-np.inf)), np.nextafter(edges, np.float32(np.inf))])
    table = np.repeat(np.concatenate([beside, [0, -np.inf, np.inf, np.nan, 1e38]]).astype(np.float32)[:, None], COLUMNS, axis=1)
    assert np.array_equal(TREES._walk(table), BOOSTER.predict(table, raw_score=True))


def test_many_rows_are_walked_in_parts_to_the_same_end(monkeypatch):
    monkeypatch.setattr(tree_walk, "_PART", 100)
    with torch_threads(3):
        assert np.array_equal(TREES._walk(_table(1001)), BOOSTER.predict(_table(1001), raw_score=True))
    assert len(TREES._walk(_table(0))) == 0


def test_a_machine_where_nothing_may_be_written_walks_all_the_same(monkeypatch):
    """numba finds no place for its cache, as in a container that is only read."""
    from numba.core.caching import _CacheLocator

    for locator in _CacheLocator.__subclasses__() + [x for y in _CacheLocator.__subclasses__() for x in y.__subclasses__()]:
        monkeypatch.setattr(locator, "from_function", classmethod(lambda *_: None))
    found = tree_walk.compiled.__wrapped__()
    assert type(found._cache).__name__ == "NullCache"
    total, walk = np.zeros(400), TREES._walk
    parts = (getattr(walk, field.name) for field in fields(walk)[1:])
    found(_table(), *parts, total)
    assert np.array_equal(total, walk(_table()))


def test_a_cache_that_was_cut_off_is_passed_over(monkeypatch, tmp_path):
    code = (
        "import sys; import numpy as np; from recbole_esmr.model.tree_walk import compiled; "
        "print(type(compiled()._cache).__name__)"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def cache():
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert cache() == "FunctionCache"
    (index,) = tmp_path.rglob("*.nbi")
    index.write_bytes(index.read_bytes()[:20])
    assert cache() == "NullCache"


def test_a_table_of_other_columns_is_refused():
    with pytest.raises(CheckpointError, match=r"read 4 columns; the table is of shape \(400, 3\)"):
        TREES.predict(_table()[:, :3])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_arrays_are_no_trees_or_trees_that_predict(data):
    """Where the change leaves trees, they come back with the answer that they hold."""
    kept = {name: np.copy(value) for name, value in TREES.as_dict().items()}
    kept["features"] = COLUMNS
    name = data.draw(st.sampled_from([name for name in kept if name != "features"]))
    array = kept[name]
    place = data.draw(st.integers(0, len(array) - 1))
    kind = data.draw(st.sampled_from(["set", "cut", "twice", "swap", "type"]))
    if kind == "set":
        drawn = FINITE | st.sampled_from([np.nan, np.inf]) if array.dtype.kind == "f" else st.integers(-128, 127)
        array[place] = data.draw(drawn)
    elif kind == "swap":
        other = data.draw(st.integers(0, len(array) - 1))
        array[[place, other]] = array[[other, place]]
    else:
        kept[name] = {"cut": array[:place], "twice": np.repeat(array, 2), "type": array.astype("int16")}[kind]
    try:
        trees = Trees.of_dict(kept)
    except CheckpointError as error:
        assert "LightGBM's trees" in str(error)
        return
    assert trees.predict(_table(20)) == pytest.approx(_by_hand(trees, _table(20)), rel=1e-12)


def _with(**change):
    return {**TREES.as_dict(), **change}


def _set(name, place, value):
    array = getattr(TREES, name).copy()
    array[place] = value
    return _with(**{name: array})


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (None, "does not hold features, leaves"),
        ({}, "does not hold features, leaves"),
        (_with(text="tree"), "does not hold features, leaves"),
        (_with(features=True), "features is a bool"),
        (_with(features=0), "a column is none of the 0"),
        (_with(features=2), "a column is none of the 2"),
        (_with(leaves=[9]), "leaves is a list"),
        (_with(leaves=TREES.leaves[:0]), "there is none"),
        (_with(leaves=TREES.leaves.astype("int32")), "leaves is not a row of int64"),
        (_with(leaves=TREES.leaves[:, None]), "leaves is not a row of int64"),
        (_with(leaves=TREES.leaves[1:]), "feature does not have the"),
        (_set("leaves", 0, 0), "a tree has no leaf, or above 131072"),
        (_set("leaves", 0, 2**62), "a tree has no leaf, or above 131072"),
        (_set("leaves", 0, 8), "feature does not have the"),
        (_with(leaf_value=TREES.leaf_value[1:]), "leaf_value does not have"),
        (_with(threshold=TREES.threshold[1:]), "threshold does not have"),
        (_set("threshold", 0, np.nan), "a number is not finite"),
        (_set("threshold", 0, -np.inf), "a number is not finite"),
        (_set("leaf_value", 5, np.inf), "a number is not finite"),
        (_set("feature", 0, -1), "a column is none of the 4"),
        (_set("feature", 0, 4), "a column is none of the 4"),
        (_set("decision", 0, 1), "a decision is none of 0, 2, 8, 10"),  # a category, whose values lie elsewhere
        (_set("decision", 0, 4), "a decision is none of"),
        (_set("decision", 0, -1), "a decision is none of"),
        (_set("left", 0, 0), "a split leads to itself"),
        (_set("left", 1, 0), "a split leads to itself, back or out of its tree"),
        (_set("left", 1, 1), "a split leads to itself"),
        (_set("right", 0, 8), "a split leads to itself, back or out of its tree"),
        (_set("right", 0, 2**31 - 1), "a split leads to itself, back or out of its tree"),
        (_set("right", 0, -10), "a leaf that there is not"),
        (_set("right", 0, -(2**31)), "a leaf that there is not"),
        (_set("right", 0, TREES.left[0]), "two splits lead to the same place"),
    ],
)
def test_what_is_no_trees_is_refused(kept, says):
    with pytest.raises(CheckpointError, match="LightGBM's trees") as caught:
        Trees.of_dict(kept)
    assert says in str(caught.value)
