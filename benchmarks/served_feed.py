"""What a feed loses when people are served from profiles by an artifact that knows nobody: in a world, beside the trained model.

    python benchmarks/served_feed.py --world=reference --users=500 --items=600 --seed=801

The same people, with the same random numbers, live under the engagement ranking and under ESMR, each served by the trained model,
which knows their log, and by its artifact, which begins with empty profiles. The first --warm days are not judged.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from recbole_esmr import load_data_and_model
from recbole_esmr.deployment import logged
from recbole_esmr.feed import Policy
from recbole_esmr.policy.esmr import ESMRPolicy
from recbole_esmr.serving.export import exported
from recbole_esmr.serving.feed import ServedFeed
from recbole_esmr.simulation import load_world
from recbole_esmr.simulation.days import rollout_days
from recbole_esmr.work import Work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="reference", help="(default: %(default)s)")
    parser.add_argument("--users", type=int, default=500, help="(default: %(default)s)")
    parser.add_argument("--items", type=int, default=600, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=801, help="(default: %(default)s)")
    parser.add_argument("--days", type=int, default=30, help="that are judged (default: %(default)s)")
    parser.add_argument("--warm", type=int, default=10, help="days before them (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Work.at(Path(folder)) as work:
        platform = logged(load_world(options.world), options.users, options.items, 30, options.seed, work, (), True)
        config, model, dataset, *_ = load_data_and_model(platform.trained("ESMR"), {"state": "ERROR"})
        artifact = exported(model, dataset, config)
        env = platform.env(np.arange(options.users))

        def served(acts: bool) -> Callable[[], Policy]:
            return lambda: ServedFeed(artifact, lambda day: np.full(options.users, acts))

        policies: dict[str, Callable[[], Policy]] = {
            "engagement, trained model": lambda: ESMRPolicy(model, dataset, "never"),
            "engagement, artifact": served(False),
            "ESMR, trained model": lambda: ESMRPolicy(model, dataset),
            "ESMR, artifact": served(True),
        }
        print(f"{options.world}, {options.users} people, {options.items} videos, seed {options.seed}; the retrievers agree to")
        print(f"r = {artifact.agreement:.3f} within people who were left out of the fit\n")
        for name, make in policies.items():
            days = list(rollout_days(env, make(), options.warm + options.days, platform.environment.state))[options.warm :]
            negative = np.mean([(day.valence < 0).mean() for day in days])
            minutes = 60 * np.mean([day.expected_hours.mean() for day in days])
            print(f"{name}: negative days {negative:.4f}, expected watch minutes a day {minutes:.3f}", flush=True)


if __name__ == "__main__":
    main()
