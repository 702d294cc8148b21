"""Search the re-ranker's training keys on held-out people of `reference` logs.

    python benchmarks/tune_reranker.py --users=1000 --seeds=101,102

Four fifths of the people train Q, the others judge it by the squared error on their training days against the discounted rewards
that followed to the end of these days, as logged: no network has a say in the target. No rollout is looked at. Prints a table,
best first.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from recbole_esmr import load_data_and_model, run_recbole
from recbole_esmr.rl.double_q import RerankerSettings, fit_value
from recbole_esmr.rl.transitions import Transitions
from recbole_esmr.rl.value import ItemValue
from recbole_esmr.simulation import load_world, simulate
from recbole_esmr.trainer.reranker import logged_transitions

GRID = {
    "reranker_learning_rate": [0.0005, 0.002],
    "reranker_epochs": [5, 10],
    "reranker_conservatism": [0.0, 0.02, 0.2],
    "reranker_hidden_size": [64],
}


LONG = 60
"""Days: longer than a log."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1000, help="people of each log (default: %(default)s)")
    parser.add_argument("--seeds", default="101,102", help="of the logs (default: %(default)s)")
    options = parser.parse_args()
    rows = []
    for seed in map(int, options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            simulate(load_world("reference"), options.users, 1000, 30, seed, log, show_progress=False)
            keys = {"seed": seed, "checkpoint_dir": folder, "show_progress": False, "state": "ERROR"}
            path = run_recbole("ESMR", str(log), config_dict=keys, arguments=[])["checkpoint"]
            _, model, *_ = load_data_and_model(path)
            settings = model.settings.reranker
            days, whole = _transitions(model, settings, seed), _transitions(model, replace(settings, return_days=LONG), seed)
            held = np.isin(days.person.numpy(), np.random.default_rng(seed).permutation(options.users)[: options.users // 5])
            train, valid = _rows(days, ~held), _rows(whole, held & ~whole.truncated.numpy())
            of_day = whole.reward.sum(dim=1) / whole.shown.sum(dim=1).clamp(min=1)
            last = of_day[whole.following[torch.from_numpy(held & ~whole.truncated.numpy())]]
            base_target, mood_target = valid.reward + (valid.later + valid.discount * last)[:, None], valid.mood
            for values in tqdm(list(itertools.product(*GRID.values())), desc=f"seed {seed}"):
                changes = dict(zip(GRID, values, strict=True))
                tried = replace(settings, **{key.removeprefix("reranker_"): value for key, value in changes.items()})
                value = ItemValue(days.state.shape[1], days.item.shape[2], tried.hidden_size, tried.ensemble)
                fit_value(value, train, tried, torch.Generator().manual_seed(seed))
                with torch.no_grad():
                    base, mood = value.base(valid.state, valid.item).mean(dim=0), value.mood(valid.state).mean(dim=0)
                errors = {
                    "base": float((base - base_target)[valid.shown].square().mean()),
                    "mood": float((mood - mood_target).square().mean()),
                }
                rows.append(changes | {"seed": seed} | errors)
    mean = pd.DataFrame(rows).groupby(list(GRID), as_index=False)[["base", "mood"]].mean()
    print(mean.assign(total=mean["base"] + mean["mood"]).sort_values("total").to_string(index=False, float_format="%.4f"))


def _transitions(model, settings: RerankerSettings, seed: int) -> Transitions:
    generator = np.random.default_rng(seed)
    return logged_transitions(model.log, model.beliefs(), model.rankers, model.settings.reward, settings, generator)


def _rows(days: Transitions, keep: np.ndarray) -> Transitions:
    place = np.cumsum(keep) - 1
    kept = {field.name: getattr(days, field.name)[torch.from_numpy(keep)] for field in fields(days)}
    follow = kept["following"].numpy()
    kept["following"] = torch.from_numpy(np.where(follow >= 0, place[np.maximum(follow, 0)], -1))
    return Transitions(**kept)


if __name__ == "__main__":
    main()
