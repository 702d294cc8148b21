"""How often the off-policy estimates' intervals hold the truth, over logs of a world.

    python benchmarks/off_policy_coverage.py --world=reference --users=300 --seeds=20

ESMR is trained on each log. Its slates on the held-out days are then shown, for the record only, to the same people on the same
mornings of the same world, which gives their true expected watch minutes; the log's own slates are lived.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from recbole_esmr import load_data_and_model, run_recbole
from recbole_esmr.data.user_days import SlateIndex
from recbole_esmr.feed import Feedback
from recbole_esmr.model.ranking import WATCH_TIME
from recbole_esmr.simulation import FeedEnv, load_world, simulate
from recbole_esmr.simulation.days import item_names, user_names
from recbole_esmr.simulation.logging_policy import LoggingFeed
from recbole_esmr.trainer.off_policy import deploy, held_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="reference", help="(default: %(default)s)")
    parser.add_argument("--users", type=int, default=300, help="people of each log (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=20, help="number of logs (default: %(default)s)")
    parser.add_argument("--first_seed", type=int, default=201, help="(default: %(default)s)")
    options = parser.parse_args()
    rows = []
    for seed in tqdm(range(options.first_seed, options.first_seed + options.seeds), desc="Logs"):
        with tempfile.TemporaryDirectory() as folder:
            world, log = load_world(options.world), Path(folder) / "log"
            simulate(world, options.users, 500, 30, seed, log, show_progress=False)
            keys = {"seed": seed, "checkpoint_dir": folder, "show_progress": False, "state": "ERROR"}
            path = run_recbole("ESMR", str(log), config_dict=keys, arguments=[])["checkpoint"]
            _, model, dataset, *_ = load_data_and_model(path)
            said = model.learned.diagnostics["off_policy"]["watch_minutes"]
            true = _true_minutes(world, options.users, seed, model, dataset)
            rows.append([true, said["logged"], *(said[name][key] for name in ("snips", "dr") for key in ("mean", "low", "high"))])
    table = np.array(rows)
    true = table[:, 0]
    print(f"{options.world}: true value {true.mean():.2f} watch minutes a day, the log's {table[:, 1].mean():.2f}")
    for place, name in ((2, "SNIPS"), (5, "doubly robust")):
        mean, low, high = table[:, place : place + 3].T
        inside = (low <= true) & (true <= high)
        print(f"{name:14s} bias {np.mean(mean - true):+.3f}, half width {np.mean(high - low) / 2:.3f}, holds the truth in "
              f"{inside.sum()} of {len(true)}")  # fmt: skip


@torch.no_grad()
def _true_minutes(world, users, seed, model, dataset) -> float:
    """Mean true expected watch minutes of the policy's slates on the held-out user-days."""
    shown, rule = held_out(model.log), replace(model.settings.serving, rank_by=WATCH_TIME)
    slates, chosen = SlateIndex(shown.user, shown.day), deploy(model.log, model.beliefs(), model.rankers, rule, shown).items
    names, items = dataset.field2id_token[dataset.uid_field], dataset.field2id_token[dataset.iid_field]
    person = {name: row for row, name in enumerate(user_names(np.arange(users)))}
    number = {name: row for row, name in enumerate(item_names(500))}
    env = FeedEnv(world, users, 500, seed)
    feed, total = LoggingFeed(env), 0.0
    env.reset(seed=seed)
    feed.reset(np.array([]), np.array([]))
    for day in range(30):
        rows = np.flatnonzero(slates.day == day)
        if len(rows):
            ours = np.full((users, env.slate_width), -1)
            for row in rows:
                found = [number[items[item]] for item in chosen[row] if item > 0]
                ours[person[names[slates.user[row]]], : len(found)] = found
            total += 60 * float(env.expected_hours(ours).sum())
        morning = env.morning()
        shown = feed.recommend(morning)
        *_, info = env.step(shown)
        feed.observe(Feedback(morning.day, morning.active, shown, info["watch_ratio"], np.array([]), {}))
    return total / len(slates)


if __name__ == "__main__":
    main()
