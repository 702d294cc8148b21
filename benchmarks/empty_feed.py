"""How much better people would feel with nothing to see: the whole effect of a world's feed, in SD between persons.

    python benchmarks/empty_feed.py --worlds=reference,weak,field,null --seeds=8

The same people and random numbers live under the logging policy and with empty feeds; of the days after ``--warm_up`` the mean
difference of their valence is divided by the SD between persons of their mean valence. Six weeks without Facebook or Instagram
lift the emotional state by .060 and .041 of such SD (Allcott et al. 2025, NBER 33697).
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from tqdm import tqdm

from recbole_esmr.feed import Feedback
from recbole_esmr.simulation import FeedEnv, load_world
from recbole_esmr.simulation.logging_policy import LoggingFeed
from recbole_esmr.simulation.world import World


def valence(world: World, users: int, items: int, days: int, seed: int, empty: bool) -> np.ndarray:
    """(days, users) true valence under the logging policy, or with nothing to see."""
    env = FeedEnv(world, users, items, seed)
    env.reset(seed=seed)
    feed, found = LoggingFeed(env), []
    for _ in range(days):
        seen = env.morning()
        found.append(env.valence)
        slates = feed.recommend(seen)
        *_, info = env.step(np.full_like(slates, -1) if empty else slates)
        feed.observe(Feedback(seen.day, seen.active, slates, info["watch_ratio"], info["emotion"], behaviour={}))
    return np.stack(found)


def main() -> None:
    """Print a row a world: the mean over seeds, and the smallest and largest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", default="reference,weak,field,null", help="names (default: %(default)s)")
    for name, value in (("users", 500), ("items", 1000), ("days", 50), ("warm_up", 20), ("seeds", 8)):
        parser.add_argument(f"--{name}", type=int, default=value, help="default: %(default)s")
    given = parser.parse_args()
    rows = []
    for name in given.worlds.split(","):
        lifts = []
        for seed in tqdm(range(1, given.seeds + 1), desc=name, unit="seed"):
            usual, empty = (
                valence(load_world(name), given.users, given.items, given.days, seed, empty)[given.warm_up :]
                for empty in (False, True)
            )
            lifts.append(float((empty - usual).mean() / usual.mean(axis=0).std()))
        rows.append({"world": name, "mean": np.mean(lifts), "low": min(lifts), "high": max(lifts)})
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
