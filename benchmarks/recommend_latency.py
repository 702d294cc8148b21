"""Milliseconds of one person's feed: `recommend` in the morning, `observe` in the evening, on one core.

    python benchmarks/recommend_latency.py
    python benchmarks/recommend_latency.py --checkpoint=saved/ESMR.pth

A trained ESMR serves one person from a pool of all items; the retriever proposes --candidates of them. What does not depend on
the morning's pool is computed in the evening, which is timed beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from recbole_esmr import load_data_and_model, run_recbole
from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.policy.esmr import ESMRPolicy
from recbole_esmr.simulation import load_world, simulate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="of an ESMR; without it one is trained on 1,000 people of `reference`")
    parser.add_argument("--candidates", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--calls", type=int, default=200, help="mornings timed (default: %(default)s)")
    parser.add_argument("--slate", type=int, default=10, help="items of a feed (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = options.checkpoint or _trained(folder)
        _, model, dataset, *_ = load_data_and_model(path, {"candidates": options.candidates})
    policy = ESMRPolicy(model, dataset)
    names, items = dataset.field2id_token[dataset.uid_field], dataset.field2id_token[dataset.iid_field][1:]
    active, size, pool = np.array([True]), np.array([options.slate]), np.ones(len(items), dtype=bool)
    rng = np.random.default_rng(0)
    took: dict[str, list[float]] = {"recommend": [], "observe": []}
    acted = 0
    for call in range(options.calls):
        if call % 10 == 0:
            policy.reset(names[[rng.integers(1, len(names))]], np.asarray(items))
        observation = Observation(call % 10, active, size, pool)
        slates = _timed(took["recommend"], policy.recommend, observation)
        acted += int(policy.acted()[0])
        ratio = rng.random(slates.shape) * (slates >= 0)
        _timed(took["observe"], policy.observe, Feedback(call % 10, active, slates, ratio, np.array([""]), {}))
    print(
        f"{options.candidates} candidates of {len(items)} items, one core; "
        f"the feed was re-ranked in {acted} of {options.calls} calls"
    )
    for name, seconds in took.items():
        middle, late = np.quantile(seconds, [0.5, 0.95]) * 1000
        print(f"{name:10s} median {middle:6.2f} ms, 95 % within {late:6.2f} ms")


def _timed(into: list[float], function, argument):
    start = time.perf_counter()
    with torch.no_grad():
        result = function(argument)
    into.append(time.perf_counter() - start)
    return result


def _trained(folder: str) -> str:
    log = Path(folder) / "log"
    simulate(load_world("reference"), 1000, 1000, 30, 1, log, show_progress=False)
    keys = {"seed": 1, "checkpoint_dir": folder, "show_progress": False, "state": "ERROR"}
    return run_recbole("ESMR", str(log), config_dict=keys, arguments=[])["checkpoint"]


if __name__ == "__main__":
    main()
