"""One trained model, served from several threads at once: errors, and slates that differ from those of a single thread.

    python benchmarks/serve_threads.py --threads=8 --seconds=60
    python benchmarks/serve_threads.py --checkpoint=saved/ESMR.pth

Each thread lives days with policies of its own, for groups of 1 to 8 people; every slate is held against the one that a single
thread has made beforehand.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from recommend_latency import trained

from recbole_esmr import load_data_and_model
from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.policy.esmr import ESMRPolicy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="of an ESMR; without it one is trained on 1,000 people of `reference`")
    parser.add_argument("--threads", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="(default: %(default)s)")
    parser.add_argument("--groups", type=int, default=40, help="of people, to choose among (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        _, model, dataset, *_ = load_data_and_model(options.checkpoint or trained(folder))
    names, rng = dataset.field2id_token[dataset.uid_field][1:], np.random.default_rng(0)
    groups = [rng.choice(names, rng.integers(1, 9), replace=False) for _ in range(options.groups)]
    expected = [days_of(model, dataset, group) for group in groups]
    begin, end = threading.Barrier(options.threads), time.monotonic() + options.seconds

    def served(thread: int) -> tuple[int, int]:
        own, slates, wrong = np.random.default_rng(thread + 1), 0, 0
        begin.wait()
        while time.monotonic() < end:
            place = int(own.integers(len(groups)))
            said = days_of(model, dataset, groups[place])
            slates, wrong = slates + said.shape[0] * said.shape[1], wrong + int((said != expected[place]).any(axis=2).sum())
        return slates, wrong

    with ThreadPoolExecutor(options.threads) as pool:
        counts = np.array(list(pool.map(served, range(options.threads))))  # an error in a thread is raised here
    slates, wrong = counts.sum(axis=0)
    print(f"{options.threads} threads, {options.seconds:.0f} s: {slates} slates, {wrong} differ from a single thread's, no error")


def days_of(model, dataset, people: np.ndarray, days: int = 3) -> np.ndarray:
    """Slates of some days, (days, U, K)."""
    policy, items = ESMRPolicy(model, dataset), np.asarray(dataset.field2id_token[dataset.iid_field][1:])
    policy.reset(people, items)
    active, size, pool = np.ones(len(people), dtype=bool), np.full(len(people), 10), np.ones(len(items), dtype=bool)
    said = []
    for day in range(days):
        slates = policy.recommend(Observation(day, active, size, pool))
        ratio, emotion = (slates + day) % 3 / 2.0, np.full(len(people), ("angry", "happy", "")[day % 3])
        policy.observe(Feedback(day, active, slates, ratio, emotion, {}))
        said.append(slates)
    return np.stack(said)


if __name__ == "__main__":
    main()
