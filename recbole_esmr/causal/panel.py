"""The user-day table on which effects are estimated: today's feed, what came before it, and tomorrow's mood."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recbole_esmr.data.trace import Trace

TREATMENTS = ("negative_exposure", "positive_exposure")
OUTCOMES = ("valence",)
CONFOUNDERS = (
    "valence_today",
    "valence_yesterday",
    "home_valence",
    "negative_exposure_yesterday",
    "positive_exposure_yesterday",
    "time_spent",
    "weekend",
)


def make_panel(trace: Trace, use: np.ndarray) -> pd.DataFrame:
    """One row a user-day *t* with a feed, a report on *t* and a report on *t + 1*.

    Args:
        trace: people's days.
        use: (U, D) bool, the days whose outcome may be used (the training days).

    Returns:
        columns user, day, :data:`TREATMENTS`, :data:`CONFOUNDERS` (in valence units, exposure in [0, 1], hours, 0/1) and
        :data:`OUTCOMES` (of the next day). ``home_valence`` is the mean of the reports up to *t*; ``valence_yesterday`` falls
        back on it, yesterday's exposure on the person's mean up to *t*; ``weekend`` is days 6 and 7 of a week that begins
        with day 1.
    """
    said = np.isfinite(trace.valence)
    home = np.nan_to_num(trace.valence).cumsum(axis=1) / np.maximum(said.cumsum(axis=1), 1)
    before = _yesterday(trace.valence)
    weekend = np.isin((trace.first_day + np.arange(trace.days)) % 7, (6, 0)).astype(float) * trace.shared_calendar
    columns = {
        "negative_exposure": trace.exposure[..., 0],
        "positive_exposure": trace.exposure[..., 1],
        "valence_today": trace.valence,
        "valence_yesterday": np.where(np.isfinite(before), before, home),
        "home_valence": home,
        "time_spent": trace.engagement,
        "weekend": np.broadcast_to(weekend, home.shape),
    }
    for part, name in enumerate(TREATMENTS):
        today = trace.exposure[..., part]
        seen = np.isfinite(today)
        mean = np.nan_to_num(today).cumsum(axis=1) / np.maximum(seen.cumsum(axis=1), 1)
        lagged = _yesterday(today)
        columns[f"{name}_yesterday"] = np.where(np.isfinite(lagged), lagged, mean)
    outcome = np.full(trace.valence.shape, np.nan)
    outcome[:, :-1] = np.where(use, trace.valence, np.nan)[:, 1:]
    rows = np.isfinite(outcome) & said & np.isfinite(trace.exposure[..., 0])
    user, day = np.nonzero(rows)
    panel = {"user": user, "day": day} | {name: value[rows] for name, value in columns.items()}
    return pd.DataFrame(panel | {"valence": outcome[rows]})


def _yesterday(value: np.ndarray) -> np.ndarray:
    lagged = np.full(value.shape, np.nan)
    lagged[:, 1:] = value[:, :-1]
    return lagged
