"""How much memory and time does a long and thin log take: few views a person, over years?

    python benchmarks/long_log.py                                   # 9,000 views of 300 people over 3,000 days
    python benchmarks/long_log.py --reports=0.3                     # the same, and a report on three of ten days with a view
    python benchmarks/long_log.py --views=1000000 --people=50000 --days=2000 --items=20000   # a large one
    python benchmarks/long_log.py --people=3000 --max_days=365      # other options are those of `recbole-esmr run`

Prints the seconds of each stage and the peak resident memory of the process that ran `recbole-esmr run`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_esmr.emotion import load_taxonomy

FEW = ["--epochs=3", "--encoder_epochs=3", "--ranker_rounds=50", "--reranker_epochs=2"]
USUAL = [*FEW, "--max_day_gap=3000", "--show_progress=False"]


def write_log(folder: Path, views: int, people: int, days: int, items: int, reports: float, seed: int) -> None:
    """Write a data set: people, items and days drawn at random, and reports on a share of the days with a view.

    Args:
        folder: where to; its name is the data set's.
        views, people, days, items: how many.
        reports: share of the user-days with a view on which the person reports an emotion; without reports there is no ``.day``.
        seed: of the draws.
    """
    generator, labels = np.random.default_rng(seed), np.array(load_taxonomy("esmr").labels)
    folder.mkdir(parents=True)
    who, what = generator.integers(0, people, views), (generator.pareto(1.0, views) * items / 50).astype(int) % items
    when = generator.integers(0, days, views)
    inter = pd.DataFrame({"user_id:token": who, "item_id:token": what})
    inter["timestamp:float"] = when * 86400.0 + generator.integers(0, 86400, views)
    inter["day:float"], inter["watch_ratio:float"] = when, generator.random(views).round(3)
    inter.to_csv(folder / f"{folder.name}.inter", sep="\t", index=False)
    catalogue = pd.DataFrame(
        {"item_id:token": np.arange(items), "emotion:token": labels[generator.integers(0, len(labels), items)]}
    )
    catalogue["emotion_intensity:float"] = generator.random(items).round(3)
    catalogue["category:token"] = generator.choice(["news", "music", "sport", "film"], items)
    catalogue["duration:float"] = generator.integers(10, 300, items)
    catalogue.to_csv(folder / f"{folder.name}.item", sep="\t", index=False)
    if reports > 0:
        told = inter[["user_id:token", "day:float"]].drop_duplicates()
        told = told[generator.random(len(told)) < reports]
        told = told.assign(**{"emotion:token": labels[generator.integers(0, len(labels), len(told))]})
        told.to_csv(folder / f"{folder.name}.day", sep="\t", index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"views": 9000, "people": 300, "days": 3000, "items": 500, "seed": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--reports", type=float, default=0.0)
    options, further = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "long"
        write_log(folder, options.views, options.people, options.days, options.items, options.reports, options.seed)
        command = [sys.executable, "-m", "recbole_esmr.cli", "run", "--model=ESMR", f"--dataset={folder}"]
        start = time.perf_counter()
        done = subprocess.run([*command, *USUAL, f"--output={name}/run.json", *further], capture_output=True, text=True)
        seconds = time.perf_counter() - start
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        results = list(Path(name).rglob("run.json"))
        timings = json.loads(results[0].read_text())["timings"] if results else done.stderr.strip().splitlines()[-1][-300:]
    print(f"{vars(options)} {further}")
    used, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20
    print(f"exit {done.returncode}, {seconds:.0f} s ({used:.0f} s of CPU), peak {peak:.2f} GiB")
    print(timings)


if __name__ == "__main__":
    main()
