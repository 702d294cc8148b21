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
from recbole_esmr.simulation import load_world, simulate
from recbole_esmr.trainer.offline_rl import LoggedDays, fit_reranker, logged_days

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
            days = logged_days(model, np.random.default_rng(seed))
            held = np.isin(days.user.numpy(), np.random.default_rng(seed).permutation(options.users)[: options.users // 5])
            model.settings = replace(model.settings, reranker_return_days=LONG)
            whole = logged_days(model, np.random.default_rng(seed))
            train, valid = _rows(days, ~held), _rows(whole, held)
            of_day = valid.reward.sum(dim=1) / valid.shown.sum(dim=1).clamp(min=1)
            later = valid.later + valid.discount * of_day[valid.following.clamp(min=0)]
            base_goal, mood_goal = valid.reward + later[:, None], valid.mood
            model.settings = replace(model.settings, reranker_return_days=model.config.esmr.reranker_return_days)
            for values in tqdm(list(itertools.product(*GRID.values())), desc=f"seed {seed}"):
                changes = dict(zip(GRID, values, strict=True))
                settings = replace(model.settings, **changes)
                value = type(model.item_value)(
                    days.state.shape[1], days.item.shape[2], settings.reranker_hidden_size, settings.reranker_ensemble
                )
                fit_reranker(value, train, settings, torch.Generator().manual_seed(seed))
                with torch.no_grad():
                    base, mood = value.base(valid.state, valid.item).mean(dim=0), value.mood(valid.state).mean(dim=0)
                errors = {
                    "base": float((base - base_goal)[valid.shown].square().mean()),
                    "mood": float((mood - mood_goal).square().mean()),
                }
                rows.append(changes | {"seed": seed} | errors)
    mean = pd.DataFrame(rows).groupby(list(GRID), as_index=False)[["base", "mood"]].mean()
    print(mean.assign(total=mean["base"] + mean["mood"]).sort_values("total").to_string(index=False, float_format="%.4f"))


def _rows(days: LoggedDays, keep: np.ndarray) -> LoggedDays:
    place = np.cumsum(keep) - 1
    kept = {field.name: getattr(days, field.name)[torch.from_numpy(keep)] for field in fields(days)}
    follow = kept["following"].numpy()
    kept["following"] = torch.from_numpy(np.where(follow >= 0, place[np.maximum(follow, 0)], -1))
    return LoggedDays(**kept)


if __name__ == "__main__":
    main()
