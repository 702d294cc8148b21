"""What the re-ranker sees of a person in the morning."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recbole_esmr.data.trace import Trace
from recbole_esmr.emotion.episodes import streak_length

RECENT = 3
"""Days that count as recent."""

EXTRA = 5
"""Features beside the encoder's: streak, recent exposure of either sign, recent watch time, its trend."""


def policy_states(trace: Trace, hidden: Tensor, beliefs: np.ndarray, negative: np.ndarray) -> Tensor:
    """States on the morning of each day, from the days before it.

    Args:
        trace: people's days.
        hidden: (U, D, H) the encoder's state at the end of each day.
        beliefs: (U, D, B) its forecast with its uncertainty.
        negative: (U, D) bool, the believed state of each day.

    Returns:
        (U, D + 1, H + B + 5): zeros on the first morning and for who did not consent. The five: the negative days in a row (in
        weeks, at most one), the mean negative and positive exposure of three days, their mean watch hours (log1p, in minutes) and
        that less the running mean's.
    """
    recent = _mean(np.nan_to_num(trace.exposure), np.isfinite(trace.exposure[..., :1]), RECENT)
    there = trace.present[..., None]
    minutes = np.log1p(60 * trace.engagement)[..., None]
    lately, usually = _mean(minutes, there, RECENT), _mean(minutes, there, trace.days)
    streak = np.minimum(streak_length(negative), 7)[..., None] / 7
    extra = np.concatenate([streak, recent, lately, lately - usually], axis=-1)
    state = torch.cat([hidden, torch.from_numpy(beliefs).float(), torch.from_numpy(extra).float()], dim=-1)
    return functional.pad(state * torch.from_numpy(trace.consent)[:, None, None], (0, 0, 1, 0))


def _mean(value: np.ndarray, known: np.ndarray, days: int) -> np.ndarray:
    """Mean of the known values of the last ``days`` days, (U, D, F); 0 where there is none."""

    def within(x: np.ndarray) -> np.ndarray:
        total = x.cumsum(axis=1)
        return total - np.pad(total, ((0, 0), (days, 0), (0, 0)))[:, : x.shape[1]]

    return within(np.where(known, value, 0.0)) / np.maximum(within(known.astype(float)), 1)
