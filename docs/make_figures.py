"""Draw the figures of docs/worlds.md into docs/images: `python docs/make_figures.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recbole_esmr.report.figures import save_traces
from recbole_esmr.simulation import FeedEnv, load_world
from recbole_esmr.simulation.days import lived_days
from recbole_esmr.simulation.logging_policy import LoggingFeed

if __name__ == "__main__":
    env = FeedEnv(load_world("reference"), users=20, items=1000, seed=1)
    valence = np.stack([day.valence for day in lived_days(env, LoggingFeed(env), 30, counts=False)], axis=1)
    save_traces(Path(__file__).parent / "images" / "traces.png", valence, env.people.vulnerable.tolist())
