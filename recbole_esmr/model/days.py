"""People's days as tensors: what the emotion encoder reads, and what it should have said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.data.trace import Trace
from recbole_esmr.data.user_days import eve, shifted

PRIOR_DAYS = 3.0
"""Strength, in days, of the population in a person's own running mean and spread."""


@dataclass
class _Rows:
    """Tensors with a row a person; those with more than one dimension have a column a day."""

    def rows(self, index: Tensor | slice, days: int | None = None):
        """The given people's part, of the first ``days`` days."""
        parts = (None if value is None else value[index] for value in self._values())
        return type(self)(*(part if part is None or part.dim() == 1 else part[:, :days] for part in parts))

    def to(self, device: torch.device):
        return type(self)(*(None if value is None else value.to(device) for value in self._values()))

    def _values(self) -> list[Tensor | None]:
        return [getattr(self, field.name) for field in fields(self)]


@dataclass
class DayBatch(_Rows):
    """Model inputs of B people over D days.

    Attributes:
        features: (B, D, F) behaviour of the day, standardised over all people; 0 where unknown.
        own: (B, D, F) the same, standardised by the person's own days before (see :func:`own_scale`); 0 where unknown.
        known: (B, D, F) whether each feature is known.
        present: (B, D) whether anything is known of the day.
        report: (B, D) reported emotion code + 1; 0 without a report.
        valence: (B, D) reported valence, 0 without a report.
        said: (B, D) 1.0 with a report of valence.
        profile: (B,) profile code + 1; 0 where unknown.
        foreseen: (B, D, 3) what the level model says of tomorrow by the reports up to the day.
        day: (B, D) the days' numbers, where not every day is a column, as in a long trace; otherwise None.
        eve, eve_report: (B, D, 5) and (B, D), of the day before, where it is not the column before: its foreseen, valence and
            said, and its report; otherwise None.
    """

    features: Tensor
    own: Tensor
    known: Tensor
    present: Tensor
    report: Tensor
    valence: Tensor
    said: Tensor
    profile: Tensor
    foreseen: Tensor
    day: Tensor | None = None
    eve: Tensor | None = None
    eve_report: Tensor | None = None


@dataclass
class DayLabels(_Rows):
    """What the heads should have said, (B, D) each; −1 or NaN where unknown or not to be used.

    Attributes:
        today, tomorrow: emotion codes of the day and of the next.
        valence: of the next day.
        negative: 1.0 where the next day is negative.
        episode: 1.0 where any of the next h days is negative; NaN where one of them is unknown.
    """

    today: Tensor
    tomorrow: Tensor
    valence: Tensor
    negative: Tensor
    episode: Tensor


Foresee = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
"""The level model's: from valence (U, D) and days (U, K), or None for every day, to what it says of the day after each."""


def day_batch(
    trace: Trace,
    foresee: Foresee,
    center: np.ndarray,
    spread: np.ndarray,
    columns: np.ndarray | None = None,
    days: np.ndarray | None = None,
) -> DayBatch:
    """Inputs of all people of a trace.

    Args:
        trace: people's days.
        foresee: the level model's, (U, K, 3).
        center, spread: (F,) standardise the features.
        columns: (F,) the trace's feature for each of the model's, −1 for one that the trace lacks; all in order unless given.
        days: (U, K) the days of each person to read, in order and −1 after the last, among them all of which anything is known;
            every day unless given.
    """
    foreseen, said = foresee(trace.valence, days), np.isfinite(trace.valence)
    place: dict[str, Tensor] = {}
    if days is not None:
        row, number = np.arange(trace.users)[:, None], np.maximum(days, 0)
        before = np.stack([np.nan_to_num(trace.valence), said], axis=-1)[row, np.maximum(number - 1, 0)]
        recent = np.concatenate([foresee(trace.valence, number - 1), before], axis=-1)
        place["day"] = torch.as_tensor(number)
        place["eve"] = torch.as_tensor(np.where(number[..., None] > 0, recent, 0.0), dtype=torch.float32)
        place["eve_report"] = torch.as_tensor(shifted(trace.emotion, 1, -1)[row, number] + 1, dtype=torch.long)
        trace = trace.at(days)
        said = np.isfinite(trace.valence)
    raw = trace.features
    if columns is not None:
        raw = np.concatenate([raw, np.full((*raw.shape[:2], 1), np.nan)], axis=-1)[..., columns]
    known = np.isfinite(raw)
    scaled = np.where(known, (raw - center) / spread, np.nan)
    scaled = np.clip(scaled, -6, 6)
    return DayBatch(
        features=torch.as_tensor(np.nan_to_num(scaled), dtype=torch.float32),
        own=torch.as_tensor(own_scale(scaled), dtype=torch.float32),
        known=torch.as_tensor(known),
        present=torch.as_tensor(known.any(axis=-1) | said | trace.present),
        report=torch.as_tensor(trace.emotion + 1, dtype=torch.long),
        valence=torch.as_tensor(np.nan_to_num(trace.valence), dtype=torch.float32),
        said=torch.as_tensor(said, dtype=torch.float32),
        profile=torch.as_tensor(trace.profile + 1),
        foreseen=torch.as_tensor(foreseen, dtype=torch.float32),
        **place,
    )


def days_in(mask: np.ndarray) -> np.ndarray:
    """The days of each person in a mask (U, D), in order and −1 after the last; (U, K)."""
    most = int(mask.sum(axis=1).max(initial=0))
    day = np.argsort(~mask, axis=1, kind="stable")[:, :most]
    return np.where(np.take_along_axis(mask, day, axis=1), day, -1)


def own_scale(scaled: np.ndarray) -> np.ndarray:
    r"""Each day relative to the person's own days before it.

    .. math:: \frac{x_t - m_{t-1}}{s_{t-1}}, \quad m = \frac{\sum x}{n + n_0}, \quad
        s^2 = \frac{\sum x^2 + n_0}{n + n_0} - m^2

    with n_0 = :data:`PRIOR_DAYS` days of the population (mean 0, variance 1), so that a newcomer is compared with everybody.

    Args:
        scaled: (U, D, F), standardised over all people, NaN where unknown.

    Returns:
        (U, D, F) in [−6, 6], 0 where unknown.
    """
    known = np.isfinite(scaled)
    value = np.where(known, scaled, 0.0)

    def before(x: np.ndarray) -> np.ndarray:
        return eve(x.cumsum(axis=1))[:, :-1]

    count = before(known.astype(float)) + PRIOR_DAYS
    mean = before(value) / count
    variance = (before(value**2) + PRIOR_DAYS) / count - mean**2
    return np.where(known, np.clip((value - mean) / np.sqrt(np.maximum(variance, 0.01)), -6, 6), 0.0)


def day_labels(trace: Trace, use: np.ndarray, horizon: int, days: np.ndarray | None = None) -> DayLabels:
    """Labels from the days where ``use`` (U, D) is true; no other day's label appears in them.

    Args:
        trace: people's days.
        use: which days' labels may be read.
        horizon: h.
        days: (U, K) the days of each person to label, −1 for none; every day unless given.
    """
    emotion = np.where(use, trace.emotion, -1)
    negative = np.where(use, trace.negative, np.nan)
    valence = np.where(use, trace.valence, np.nan)
    ahead = np.stack([shifted(negative, -step) for step in range(1, horizon + 1)])
    unknown = np.isnan(ahead).any(axis=0)  # a window with a gap would be known only where it is negative
    episode = np.where(unknown, np.nan, (ahead == 1).any(axis=0))
    labels = {
        "today": emotion,
        "tomorrow": shifted(emotion, -1, -1),
        "valence": shifted(valence, -1),
        "negative": shifted(negative, -1),
        "episode": episode,
    }
    if days is not None:
        row = np.arange(trace.users)[:, None]
        for name, value in labels.items():
            labels[name] = np.where(days >= 0, value[row, days], -1 if value.dtype.kind == "i" else np.nan)
    codes = ("today", "tomorrow")
    return DayLabels(
        **{name: torch.as_tensor(value, dtype=torch.long if name in codes else torch.float32) for name, value in labels.items()}
    )
