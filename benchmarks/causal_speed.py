"""How long does the causal stage take, and how does its cost grow?

    python benchmarks/causal_speed.py                    # 1,000 people x 30 days, refutations and graph included
    python benchmarks/causal_speed.py --upto=3000000     # and 10 and 100 times as many user-days: the people of the log
    repeated, with noise

Estimates use all user-days; refutations a random 30,000 of them at most, the graph 3,000 in each bootstrap sample.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from recbole.data import create_dataset

from recbole_esmr.causal.analysis import analyse
from recbole_esmr.causal.effects import Method
from recbole_esmr.causal.graph import domain_graph
from recbole_esmr.causal.nowcast import nowcast
from recbole_esmr.causal.panel import Panel, make_panel
from recbole_esmr.causal.traits import traits_of
from recbole_esmr.config import Config
from recbole_esmr.simulation import load_world, simulate


def repeated(panel: Panel, times: int) -> Panel:
    """The panel's people ``times`` over, each copy with a little noise, as people of their own."""
    rng = np.random.default_rng(0)
    table = pd.concat([panel.table] * times, ignore_index=True)
    table["user"] += np.repeat(np.arange(times), len(panel.table)) * (panel.table["user"].max() + 1)
    for name in (*panel.design.treatments, *panel.design.instruments.values(), "valence", "valence_today", "home_valence"):
        table[name] += rng.normal(0, 0.05 * panel.table[name].std(), len(table))
    return Panel(table, panel.design)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upto", type=int, default=0, help="user-days of the largest panel")
    parser.add_argument("--graph_samples", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        simulate(load_world("reference"), 1000, 1000, 30, 1, log, show_progress=False)
        data = create_dataset(Config("ESMR", str(log), config_dict={"state": "CRITICAL"}, arguments=[]))
    start = time.perf_counter()
    every_day = np.ones(data.trace.present.shape, dtype=bool)
    traits = traits_of(data.catalogue, data.taxonomy.labels, ["emotion", "category"])
    told = nowcast(data.trace, every_day)
    panel = make_panel(data.trace, data.impressions, data.catalogue, every_day, traits, days_after=3, told=told)
    making = time.perf_counter() - start
    times = [1] + [n for n in (10, 100) if n * 30_000 <= options.upto]
    for n in times:
        table = repeated(panel, n) if n > 1 else panel
        start = time.perf_counter()
        found = analyse(table, Method(domain_graph(table.design)), options.graph_samples)
        seconds = time.perf_counter() - start + (making if n == 1 else 0)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        tried = sum(len(effect.refutations) for effect in found.effects)
        print(
            f"{n * 30_000:>9,} user-days ({len(table.table):,} with a feed): {seconds:6.1f} s, {len(found.effects)} effects, "
            f"{tried} refutations, {len(found.edges)} edges, peak memory {memory:.1f} GB",
            flush=True,
        )


if __name__ == "__main__":
    main()
