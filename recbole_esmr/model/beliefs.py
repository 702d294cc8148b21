"""What is believed of given people at the end of each of their days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recbole_esmr.data.log import Log
from recbole_esmr.data.sparse_days import SparseDays
from recbole_esmr.data.trace import Trace
from recbole_esmr.data.user_days import eve
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.model.emotion_encoder import DayState, EmotionEncoder
from recbole_esmr.model.gate import Gate
from recbole_esmr.model.state import EXTRA, policy_states


@dataclass(frozen=True)
class Beliefs:
    """Beliefs of P people over D days, made by :func:`believe`; a column *d* of P × D knows the days up to *d* alone.

    Attributes:
        state: what the encoder says: hidden state, nowcast, forecast, (P, D, …) each.
        negative: (P, D) bool, whether each day was negative: as reported; without a report as the encoder believes of the day
            from the person's behaviour. A day away is not negative.
        valence: (P, D) valence of each day, the same way.
        forecast: (P, D, E + 4) tomorrow in numbers: probabilities of the emotions, mean and scale of the valence, the chances
            of a negative day and of a negative episode; 0 without consent.
        tracked: (P, D) tomorrow's valence as the reports alone foretell it (the level tracker).
        half_width: (P, D) half of the 80 % interval of tomorrow's valence.
        risk: (P, D + 1) chance that the day is negative, on its morning, as forecast the evening before; 0 on the first day and
            without consent.
        vulnerable: (P, D) chance that the day was negative, the state in which effects are told apart: 0 or 1 where the person
            reported, ``risk`` elsewhere.
        morning: (P, D + 1, S) what the re-ranker sees on the morning of each day (:mod:`~recbole_esmr.model.state`).
        consent: (P,) bool.
    """

    state: DayState
    negative: np.ndarray
    valence: np.ndarray
    forecast: np.ndarray
    tracked: np.ndarray
    half_width: np.ndarray
    risk: np.ndarray
    vulnerable: np.ndarray
    morning: Tensor
    consent: np.ndarray

    def gate(self, gate: Gate) -> np.ndarray:
        """Whether the re-ranker may act on the morning of each day, (P, D + 1) bool; never without consent, nor on the first."""
        return eve(gate.opens(self.negative, self.valence)) & self.consent[:, None]


def believe(encoder: EmotionEncoder, trace: Trace, taxonomy: Taxonomy, asked: np.ndarray | None = None) -> Beliefs:
    """Beliefs about the people of a trace; they cost what these people cost.

    Where nobody has reported and the encoder is not trained, nothing is encoded. Of a long trace the people are encoded block by
    block, and what is wide is kept for the mornings that are asked for, and for the evenings before them, alone.

    Args:
        encoder: in evaluation mode; before its training it believes nothing of tomorrow (``forecast`` is 0).
        trace: the people's days.
        taxonomy: the emotions that the encoder knows.
        asked: (P, D + 1) bool, the mornings to keep of a long trace (:func:`asked_mornings`); asking for another is an error.
    """
    if not (encoder.fitted or trace.has_emotion):
        return _nothing(encoder, trace)
    if asked is None:
        return _of(encoder, trace, taxonomy)
    return _joined(((_of(encoder, trace.of(people), taxonomy), asked[people]) for people in trace.blocks()), trace.days)


def asked_mornings(log: Log, after: int) -> np.ndarray:
    """The mornings that training and reports ask for, (P, D + 1) bool.

    Those of days on which something is known or was watched, of the ``after`` days that follow a known one (at least one, so that
    each known day's evening is kept), and of the day after the last.
    """
    trace = log.trace
    known = trace.present | np.isfinite(trace.valence)
    asked = np.pad(known, ((0, 0), (0, 1)))
    for step in range(1, min(max(after, 1), trace.days) + 1):
        asked[:, step:] |= known[:, : trace.days + 1 - step]
    asked[log.history.days] = True
    asked[:, -1] = True
    return asked


def _of(encoder: EmotionEncoder, trace: Trace, taxonomy: Taxonomy) -> Beliefs:
    state = encoder.encode(trace)
    chance = state.negative.sigmoid()
    numbers = torch.stack([state.mean, state.scale, chance, state.episode.sigmoid()], dim=-1)
    known = trace.consent[:, None, None] & bool(encoder.fitted)
    forecast = torch.cat([state.forecast.softmax(dim=-1), numbers], dim=-1).numpy() * known
    negative, valence = _believed_days(encoder, state, trace, taxonomy)
    risk = eve(chance.numpy() * known[..., 0])
    return Beliefs(
        state=state,
        negative=negative,
        valence=valence,
        forecast=forecast,
        tracked=encoder.tracked(trace),
        half_width=(state.scale * encoder.half_width.cpu()).numpy(),
        risk=risk,
        vulnerable=np.where(np.isfinite(trace.valence), trace.negative == 1, risk[:, :-1]),
        morning=policy_states(trace, state.hidden, forecast, negative),
        consent=trace.consent,
    )


def _nothing(encoder: EmotionEncoder, trace: Trace) -> Beliefs:
    """Of people of whom nobody has reported, by an encoder that has learned nothing: the same of everybody, held once."""
    people, days, kinds = trace.users, trace.days, len(encoder.emotions)

    def everywhere(*shape: int, value: float = 0.0) -> Tensor:
        return torch.tensor(value).expand(people, *shape)

    scale = float(encoder.tracker_scale * encoder.widening)
    emotions, days_of = everywhere(days, kinds), everywhere(days)
    state = DayState(
        hidden=everywhere(days, encoder.width),
        nowcast=emotions,
        forecast=emotions,
        mean=days_of,
        scale=everywhere(days, value=scale),
        negative=days_of,
        episode=days_of,
    )
    return Beliefs(
        state=state,
        negative=np.broadcast_to(False, (people, days)),
        valence=days_of.numpy(),
        forecast=everywhere(days, kinds + 4).numpy(),
        tracked=days_of.numpy(),
        half_width=everywhere(days, value=scale * float(encoder.half_width)).numpy(),
        risk=everywhere(days + 1).numpy(),
        vulnerable=days_of.numpy(),
        morning=everywhere(days + 1, encoder.width + kinds + 4 + EXTRA),
        consent=trace.consent,
    )


NARROW = ("negative", "valence", "tracked", "half_width", "risk", "vulnerable", "consent")
NARROW_STATE = ("mean", "scale", "negative", "episode")
"""What beliefs hold in one number a day, and so for every day."""


def _joined(parts: Iterable[tuple[Beliefs, np.ndarray]], days: int) -> Beliefs:
    """The beliefs of several blocks of people as one; of what is wide the mornings asked for (P, D + 1) and their evenings alone."""
    narrow: dict[str, list[np.ndarray]] = {name: [] for name in NARROW}
    of_state: dict[str, list[Tensor]] = {name: [] for name in NARROW_STATE}
    rows, mornings, wide = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)], []
    people = 0
    for beliefs, asked in parts:
        row, morning = np.nonzero(asked)
        later = morning > 0
        evening = row[later], morning[later] - 1
        state = beliefs.state
        wide.append((state.nowcast[evening], state.forecast[evening], beliefs.forecast[evening], beliefs.morning[row, morning]))
        rows.append(row + people)
        mornings.append(morning)
        people += len(asked)
        for name, kept in narrow.items():
            value = getattr(beliefs, name)
            kept.append(value.astype(np.float32) if value.dtype == float else value)
        for name, tensors in of_state.items():
            tensors.append(getattr(state, name))
    row, morning = np.concatenate(rows), np.concatenate(mornings)
    later = morning > 0
    nowcast, forecast, numbers, states = zip(*wide, strict=True)

    def of_evenings(value: Any) -> Any:
        return SparseDays(row[later], morning[later] - 1, value, (people, days), None)

    hidden = states[0].new_empty(0, 0)  # it is a part of ``morning``, and nobody else reads it
    nothing = np.zeros(0, dtype=np.int64)
    return Beliefs(
        state=DayState(
            hidden=cast(Tensor, SparseDays(nothing, nothing, hidden, (people, days), None)),
            nowcast=of_evenings(torch.cat(nowcast)),
            forecast=of_evenings(torch.cat(forecast)),
            **{name: torch.cat(tensors) for name, tensors in of_state.items()},
        ),
        forecast=of_evenings(np.concatenate(numbers)),
        morning=cast(Tensor, SparseDays(row, morning, torch.cat(states), (people, days + 1), None)),
        **{name: np.concatenate(kept) for name, kept in narrow.items()},
    )


def _believed_days(encoder: EmotionEncoder, state: DayState, trace: Trace, taxonomy: Taxonomy) -> tuple[np.ndarray, np.ndarray]:
    """Whether each day was negative, and its valence, (P, D) each."""
    if encoder.labelled:
        probability = state.nowcast.softmax(dim=-1).numpy()
        valence = probability @ taxonomy.valence
        negative = probability[..., taxonomy.negative].sum(axis=-1) > 0.5
    else:  # only numbers were ever reported, so the nowcast of labels has learned nothing: yesterday's forecast of today
        valence = functional.pad(state.mean, (1, 0))[:, :-1].numpy()
        negative = valence < 0
    said = np.isfinite(trace.valence)
    valence = np.where(said, np.nan_to_num(trace.valence), valence)
    return np.where(said, trace.negative == 1, negative) & trace.present, valence
