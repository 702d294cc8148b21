"""Every general and sequential RecBole model as a feed policy: the same slates twice, and from eight threads on one model.

    python benchmarks/trust/recbole_threads.py --models=LightGCN,DMF,SASRec

Models are not trained first: what may differ between threads is what a model keeps while it is asked, not its weights.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_data
from recbole_esmr.errors import ESMRError
from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.policy.recbole import RecBolePolicy
from recbole_esmr.recbole_models import build_model, model_names
from recbole_esmr.simulation import load_world, simulate

THREADS, PEOPLE, LONGEST = 8, 5, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(sorted(model_names())), help="(default: all)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        simulate(load_world("reference"), THREADS * PEOPLE, 60, 14, 3, f"{folder}/small", show_progress=False)
        print("| model | asked twice | slates of eight threads that differ |\n|---|---|---|")
        for name in options.models.split(","):
            try:
                config = Config(name, "small", config_dict={"data_path": folder, "state": "CRITICAL"}, arguments=[])
                dataset, train, *_ = load_data(config)
                twice, wrong = asked(build_model(config, train._dataset), dataset)
                print(f"| {name} | {'the same' if twice else 'differs'} | {wrong} |", flush=True)
            except (ESMRError, KeyError, AttributeError, RuntimeError) as error:  # some need other data, or a training
                print(f"| {name} | – | {type(error).__name__}: {str(error).splitlines()[0][:60]} |", flush=True)


def asked(model: Any, dataset: Any) -> tuple[bool, int]:
    """Whether a model says the same twice, and how many of the threads' slates differ from a single thread's."""
    users, fresh = dataset.field2id_token[dataset.uid_field][1:], copy.deepcopy(model)
    groups = [users[thread * PEOPLE : (thread + 1) * PEOPLE] for thread in range(THREADS)]
    alone, again = ([days_of(model, dataset, group) for group in groups] for _ in range(2))
    begin = threading.Barrier(THREADS)

    def served(thread: int) -> int:
        begin.wait()
        return sum(int((days_of(fresh, dataset, groups[thread]) != alone[thread]).any(axis=2).sum()) for _ in range(3))

    with ThreadPoolExecutor(THREADS) as pool:
        wrong = sum(pool.map(served, range(THREADS)))
    return all(np.array_equal(*pair) for pair in zip(alone, again, strict=True)), wrong


def days_of(model: Any, dataset: Any, people: np.ndarray, days: int = 3) -> np.ndarray:
    """Slates of some days, (days, U, K)."""
    policy, items = RecBolePolicy(model, dataset, LONGEST), np.asarray(dataset.field2id_token[dataset.iid_field][1:])
    policy.reset(people, items)
    here, said = np.ones(len(people), dtype=bool), []
    for day in range(days):
        slates = policy.recommend(Observation(day, here, np.full(len(people), 5), np.ones(len(items), dtype=bool)))
        ratio = np.where(slates >= 0, (slates + day) % 3 / 2.0, 0.0)
        policy.observe(Feedback(day, here, slates, ratio, np.full(len(people), ""), {}))
        said.append(slates)
    return np.stack(said)


if __name__ == "__main__":
    main()
