"""Draw the figures of docs/worlds.md and docs/causal.md into docs/images: `python docs/make_figures.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recbole_esmr.quick_start import estimate_causal
from recbole_esmr.report.figures import save_forest, save_traces
from recbole_esmr.simulation import FeedEnv, load_world
from recbole_esmr.simulation.days import rollout_days
from recbole_esmr.simulation.logging_policy import LoggingFeed

if __name__ == "__main__":
    env = FeedEnv(load_world("reference"), users=20, items=1000, seed=1)
    valence = np.stack([day.valence for day in rollout_days(env, LoggingFeed(env), 30, counts=False)], axis=1)
    images = Path(__file__).parent / "images"
    save_traces(images / "traces.png", valence, env.people.vulnerable.tolist())
    effects, _ = estimate_causal("esmr-mini", arguments=["--state=ERROR"], graph_samples=0)
    save_forest(images / "effects.png", effects["effects"])
