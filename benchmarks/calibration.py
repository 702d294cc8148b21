"""Are the days of a world's people like real people's days? A table of simulated against real.

    python benchmarks/calibration.py                              # the reference world under its logging policy
    python benchmarks/calibration.py --world=strong --users=2000
    python benchmarks/calibration.py --daily=daily.csv            # the same statistics of your own study

Real figures are medians over persons of three experience-sampling studies (benchmarks/studies.yaml names them). A simulated
median is `in` where it lies between the smallest and the largest of the studies' medians.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.stats import skew

from recbole_esmr.evaluator import trajectory
from recbole_esmr.report.tables import markdown
from recbole_esmr.simulation import FeedEnv, load_world
from recbole_esmr.simulation.days import rollout_days
from recbole_esmr.simulation.logging_policy import LoggingFeed

WARM_UP = 10
"""Days that are lived and not counted, so that nobody is met in the state they were drawn in."""


def describe(valence: np.ndarray) -> dict[str, list[float]]:
    """Median, 10th and 90th percentile over persons of each statistic (one number where it is one of all people)."""
    apart = trajectory.innovations(valence)
    by_person = {
        "home base (mean)": np.nanmean(valence, axis=1),
        "within-person SD": trajectory.within_sd(valence),
        "AR(1), bias-corrected": trajectory.inertia(valence),
        **{f"autocorrelation, lag {lag}": trajectory.autocorrelation(valence, lag) for lag in (1, 2, 3, 4)},
        "RMSSD": trajectory.rmssd(valence),
        "share of negative days": trajectory.negative_share(valence),
    }
    table = {name: [float(np.nanquantile(value, q)) for q in (0.5, 0.1, 0.9)] for name, value in by_person.items()}
    ended, censored = trajectory.negative_episodes(valence)
    lengths = (ended + censored).sum(axis=0)
    for days in (1, 2, 3):
        table[f"episodes of {days} days, %"] = [100 * lengths[days - 1] / lengths.sum()]
    table["episodes of 4+ days, %"] = [100 * lengths[3:].sum() / lengths.sum()]
    curve = trajectory.survival(*(counts.sum(axis=0) for counts in trajectory.recoveries(valence)))
    table["recovery after a drop, median days"] = [float(trajectory.median_length(curve))]
    table["recovered the next day, %"] = [100 * (1 - float(curve[1]))]
    scaled = apart / np.nanstd(apart, axis=1, ddof=1)[:, None]
    table["skew of innovations"] = [float(skew(scaled[np.isfinite(scaled)]))]
    return table


def simulated(world: str, users: int, days: int, seed: int) -> dict[str, np.ndarray]:
    """Valence of each group under the logging policy."""
    env = FeedEnv(load_world(world), users, 1000, seed)
    lives = rollout_days(env, LoggingFeed(env), days + WARM_UP, counts=False, description=f"Living {world}")
    valence = np.stack([day.valence for day in lives], axis=1)[:, WARM_UP:].astype(float)
    vulnerable = env.people.vulnerable.numpy()
    return {"general": valence[~vulnerable], "vulnerable": valence[vulnerable]}


def daily(path: Path) -> np.ndarray:
    """(U, D) from a csv file with the columns person, day and valence."""
    frame = pd.read_csv(path)
    return frame.pivot_table(index="person", columns="day", values="valence").to_numpy(float)


def table(world: str, users: int, days: int, seed: int, studies: dict) -> pd.DataFrame:
    """One row a statistic: the groups' medians [10th, 90th], the studies', their range, and whether each group is in it."""
    people = {group: describe(valence) for group, valence in simulated(world, users, days, seed).items()}
    rows = []
    for name in next(iter(people.values())):
        real = [study[name][0] for study in studies.values() if study.get(name)]
        row = {"statistic": name}
        for group, described in people.items():
            row[group] = _text(described[name])
        for study, values in studies.items():
            row[study] = _text(values.get(name))
        row["range of medians"] = f"{min(real):.2f} to {max(real):.2f}"
        for group, described in people.items():
            row[f"{group} in"] = "in" if min(real) - 0.005 <= described[name][0] <= max(real) + 0.005 else "OUT"
        rows.append(row)
    return pd.DataFrame(rows)


def _text(values: list[float] | None) -> str:
    if not values:
        return ""
    return f"{values[0]:.2f}" + (f" [{values[1]:.2f}, {values[2]:.2f}]" if len(values) == 3 else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="reference")
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument(
        "--days",
        type=int,
        default=27,
        help="of the window (default: 27, between the studies' 21 and 33: autocorrelations fall with it)",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--daily", type=Path, help="describe the people of this csv (person, day, valence) instead of a world")
    options = parser.parse_args()
    if options.daily:
        for name, values in describe(daily(options.daily)).items():
            print(f"{name}: [{', '.join(f'{value:.2f}' for value in values)}]")
        return 0
    studies = yaml.safe_load(Path(__file__).with_name("studies.yaml").read_text(encoding="utf-8"))
    result = table(options.world, options.users, options.days, options.seed, studies)
    print(markdown(result))
    return int((result[["general in", "vulnerable in"]] == "OUT").any(axis=None))


if __name__ == "__main__":
    sys.exit(main())
