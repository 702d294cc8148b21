"""What the re-ranker sees of a person in the morning, and of an item."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.trace import Trace
from recbole_esmr.data.user_days import window_mean
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
        (U, D + 1, H + B + 5): zeros on the first morning and for who did not consent.
    """
    lived = torch.from_numpy(lately_lived(trace, negative)).float()
    state = torch.cat([hidden, torch.from_numpy(beliefs).float(), lived], dim=-1)
    return functional.pad(state * torch.from_numpy(trace.consent)[:, None, None], (0, 0, 1, 0))


def lately_lived(trace: Trace, negative: np.ndarray) -> np.ndarray:
    """The part of a state that the encoder does not make, at the end of each day, (U, D, 5).

    The negative days in a row (in weeks, at most one), the mean negative and positive exposure of three days, their mean watch
    hours (log1p, in minutes) and that less the running mean's.
    """
    recent = np.nan_to_num(window_mean(np.nan_to_num(trace.exposure), RECENT, np.isfinite(trace.exposure[..., :1])))
    there = trace.present[..., None]
    minutes = np.log1p(60 * np.asarray(trace.engagement))[..., None]
    lately, usually = (np.nan_to_num(window_mean(minutes, days, there)) for days in (RECENT, trace.days))
    streak = np.minimum(streak_length(negative), 7)[..., None] / 7
    return np.concatenate([streak, recent, lately, lately - usually], axis=-1)


def item_features(items: Catalogue) -> Tensor:
    """(I, X): shares of the emotions, category one-hot, valence, intensity and their products, log length, embeddings."""
    category = np.eye(len(items.categories) + 1)[items.category][:, :-1]
    numbers = [items.valence, items.intensity, items.negative, items.positive, np.log(items.duration) / 5]
    return torch.from_numpy(np.column_stack([items.share, category, *numbers, *items.embeddings.values()])).float()


def with_ratio(features: Tensor, ratio: Tensor) -> Tensor:
    """Features of items (…, X) with the expected watch ratio (…,) as the last; (…, X + 1)."""
    return torch.cat([features, ratio.unsqueeze(-1)], dim=-1)
