"""Milliseconds of an evening (`observe`) and the morning after it (`recommend`), for one person and for many, on one core.

    python benchmarks/recommend_latency.py
    python benchmarks/recommend_latency.py --checkpoint=saved/ESMR.pth --groups=1,50,1000

A trained ESMR serves a group of the log's people from a pool of all items; the retriever proposes --candidates of them.
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
    parser.add_argument("--groups", default="1,50,1000", help="people served together (default: %(default)s)")
    parser.add_argument(
        "--days", type=int, default=100, help="evenings and mornings of the smallest group (default: %(default)s)"
    )
    parser.add_argument("--slate", type=int, default=10, help="items of a feed (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = options.checkpoint or trained(folder)
        _, model, dataset, *_ = load_data_and_model(path, {"candidates": options.candidates})
    people = len(dataset.field2id_token[dataset.uid_field]) - 1
    print(f"{people} people in the log, {options.candidates} candidates of {model.n_items - 1} items, one core")
    for group in map(int, options.groups.split(",")):
        took, acted = lived(model, dataset, group, max(options.days // group, 5), options.slate)
        whole = took["observe"] + took["recommend"]
        parts = ", ".join(f"{name} {1000 * np.median(seconds):.2f} ms" for name, seconds in took.items())
        print(
            f"{group:6d} people: median {1000 * np.median(whole):8.2f} ms, 95 % within {1000 * np.quantile(whole, 0.95):8.2f} ms "
            f"({parts}); re-ranked {acted:.0%}"
        )


def lived(model, dataset, group: int, days: int, slate: int) -> tuple[dict[str, np.ndarray], float]:
    """Seconds of each evening and of the morning after it, and the share of slates that were re-ranked."""
    policy, rng = ESMRPolicy(model, dataset), np.random.default_rng(0)
    names, items = dataset.field2id_token[dataset.uid_field], np.asarray(dataset.field2id_token[dataset.iid_field][1:])
    active, size, pool = np.ones(group, dtype=bool), np.full(group, slate), np.ones(len(items), dtype=bool)
    took: dict[str, list[float]] = {"observe": [], "recommend": []}
    policy.reset(names[rng.permutation(np.arange(1, len(names)))[:group]], items)
    acted, slates = [], policy.recommend(Observation(0, active, size, pool))
    for day in range(1, days + 2):
        ratio = rng.random(slates.shape) * (slates >= 0)
        feedback = Feedback(day - 1, active, slates, ratio, np.array(["happy", "sad", ""])[rng.integers(0, 3, group)], {})
        start = time.perf_counter()
        policy.observe(feedback)
        middle = time.perf_counter()
        slates = policy.recommend(Observation(day, active, size, pool))
        took["observe"].append(middle - start)
        took["recommend"].append(time.perf_counter() - middle)
        acted.append(policy.acted().mean())
    return {name: np.array(seconds[1:]) for name, seconds in took.items()}, float(np.mean(acted))


def trained(folder: str) -> str:
    """A checkpoint of ESMR on 1,000 people of `reference`."""
    log = Path(folder) / "log"
    simulate(load_world("reference"), 1000, 1000, 30, 1, log, show_progress=False)
    keys = {"seed": 1, "checkpoint_dir": folder, "show_progress": False, "state": "ERROR"}
    return run_recbole("ESMR", str(log), config_dict=keys, arguments=[])["checkpoint"]


if __name__ == "__main__":
    main()
