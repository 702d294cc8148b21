"""Transitions a second of the re-ranker's training, beside d3rlpy's DiscreteCQL and a dictionary-based tabular Q-learner.

    python benchmarks/reranker_speed.py              (with d3rlpy, in an environment of its own: pip install d3rlpy)

One run, the same logged impressions, the same width of network and batch; a transition is one item shown. d3rlpy's network
answers for all items at once from the state; ours reads the item's features. d3rlpy is no dependency of recbole-esmr.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import defaultdict

import numpy as np
import torch

from recbole_esmr.config import Config
from recbole_esmr.rl.double_q import fit_value
from recbole_esmr.rl.transitions import Transitions
from recbole_esmr.rl.value import ItemValue

PEOPLE, DAYS, SHOWN, ITEMS, STATE, FEATURES = 500, 24, 8, 1000, 50, 19


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=2, help="passes of ours (default: %(default)s)")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = PEOPLE * DAYS
    state = rng.standard_normal((rows, STATE)).astype(np.float32)
    item, reward = rng.integers(0, ITEMS, (rows, SHOWN)), rng.random((rows, SHOWN)).astype(np.float32)
    speed = {"recbole-esmr": _ours(state, item, reward, rng, options.epochs), "dictionary": _dictionary(state, item, reward)}
    try:
        speed["DiscreteCQL (d3rlpy)"] = _d3rlpy(state, item, reward)
    except ImportError:
        print("d3rlpy is not installed here, so DiscreteCQL is left out: pip install d3rlpy")
    for name, value in speed.items():
        print(
            f"{name:22s} {value:10,.0f} transitions a second; recbole-esmr is {speed['recbole-esmr'] / value:,.1f} times as fast"
        )


def _ours(state: np.ndarray, item: np.ndarray, reward: np.ndarray, rng: np.random.Generator, epochs: int) -> float:
    settings = Config("ESMR", "esmr-mini", config_dict={"reranker_epochs": epochs}, arguments=[]).esmr.reranker
    rows = len(state)
    row = np.arange(rows)
    following = np.where((row + 1) % DAYS, np.minimum(row + 1, rows - 1), -1)
    features = torch.from_numpy(rng.standard_normal((ITEMS, FEATURES)).astype(np.float32))
    there, zeros = torch.from_numpy(state), torch.zeros(rows)
    real = torch.ones(item.shape, dtype=torch.bool)
    days = Transitions(
        person=torch.from_numpy(row // DAYS), state=there, item=features[item], shown=real, weight=torch.ones(item.shape),
        reward=torch.from_numpy(reward), other=features[item[rng.permutation(rows)]], real=real, later=zeros,
        following=torch.from_numpy(following), discount=0.95 * torch.from_numpy(following >= 0).float(),
        truncated=torch.from_numpy(following < 0), mood=zeros + 1, mood_state=there, mood_discount=zeros + 0.5,
    )  # fmt: skip
    value = ItemValue(STATE, FEATURES, settings.hidden_size, settings.ensemble)
    start = time.perf_counter()
    fit_value(value, days, settings, torch.Generator().manual_seed(0))
    return epochs * rows * SHOWN / (time.perf_counter() - start)


def _d3rlpy(state: np.ndarray, item: np.ndarray, reward: np.ndarray, steps: int = 20, batch: int = 512 * SHOWN) -> float:
    import d3rlpy
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    width = 64
    config = d3rlpy.algos.DiscreteCQLConfig(
        batch_size=batch, encoder_factory=d3rlpy.models.VectorEncoderFactory(hidden_units=[width, width]), n_critics=3
    )
    observations = np.repeat(state, SHOWN, axis=0)
    ends = np.zeros(len(observations))
    ends[DAYS * SHOWN - 1 :: DAYS * SHOWN] = 1
    data = d3rlpy.dataset.MDPDataset(observations, item.reshape(-1), reward.reshape(-1), ends)
    algorithm = config.create(device=False)
    algorithm.build_with_dataset(data)
    algorithm.fit(data, n_steps=5, n_steps_per_epoch=5, show_progress=False, logger_adapter=d3rlpy.logging.NoopAdapterFactory())
    start = time.perf_counter()
    algorithm.fit(
        data, n_steps=steps, n_steps_per_epoch=steps, show_progress=False, logger_adapter=d3rlpy.logging.NoopAdapterFactory()
    )
    return steps * batch / (time.perf_counter() - start)


def _dictionary(state: np.ndarray, item: np.ndarray, reward: np.ndarray, rows: int = 200) -> float:
    """The reference code's kind of learner: keyed by the state's numbers, a maximum over all actions at each step."""
    q: dict[tuple[float, ...], dict[int, float]] = defaultdict(lambda: dict.fromkeys(range(ITEMS), 0.0))
    start = time.perf_counter()
    for row in range(rows):
        here, after = tuple(state[row].round(1).tolist()), tuple(state[row + 1].round(1).tolist())
        for action, value in zip(item[row].tolist(), reward[row].tolist(), strict=True):
            goal = value + 0.95 * max(q[after].values())
            q[here][action] += 0.1 * (goal - q[here][action])
    return rows * SHOWN / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
