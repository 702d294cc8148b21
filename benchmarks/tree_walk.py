"""LightGBM's trees walked by compiled code, beside LightGBM itself: time and ratio on one thread, and whether sums are the same.

python benchmarks/tree_walk.py                    # trees and rows of nothing but noise, the worst for either
python benchmarks/tree_walk.py --signal=20        # rows that mostly go the same way
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import lightgbm
import numpy as np
import torch

from recbole_esmr.model.trees import Trees


def seconds(call: Callable[[], object], times: int) -> float:
    """Of a call, the least of several, for a machine is never slower than by others' doing."""
    call()
    took = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return min(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trees", type=int, default=144)
    parser.add_argument("--leaves", type=int, default=31)
    parser.add_argument("--features", type=int, default=26)
    parser.add_argument("--signal", type=float, default=1.0, help="how much the first feature counts beside the others")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    table = rng.normal(size=(200_000, options.features)).astype(np.float32)
    table[rng.random(table.shape) < 0.05] = np.nan
    weight = np.append(options.signal, rng.normal(size=options.features - 1))
    label = 1 / (1 + np.exp(-np.nan_to_num(table) @ weight))
    keys = {"objective": "cross_entropy", "num_leaves": options.leaves, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(keys, lightgbm.Dataset(table, label), options.trees)
    trees = Trees.of(booster)
    same = np.array_equal(trees._walk(table), booster.predict(table, raw_score=True, num_threads=1))
    for rows, times in ((200, 200), (200_000, 3)):
        part = table[:rows]
        theirs = seconds(lambda part=part: booster.predict(part, num_threads=1), times)
        ours = seconds(lambda part=part: trees.predict(part), times)
        print(f"{rows:,} rows: LightGBM {1000 * theirs:,.2f} ms, walked {1000 * ours:,.2f} ms, {theirs / ours:.1f} times as fast")
    print(f"the same sums, to the last digit: {same}")


if __name__ == "__main__":
    main()
