"""What is believed of given people at the end of each of their days."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recbole_esmr.data.sparse_days import SparseDays
from recbole_esmr.data.trace import Trace
from recbole_esmr.data.user_days import eve, shifted, window_sum
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.model.days import days_in
from recbole_esmr.model.emotion_encoder import DayState, EmotionEncoder
from recbole_esmr.model.gate import Gate
from recbole_esmr.model.state import EXTRA, lately_lived, policy_states


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
        tracked: (P, D) tomorrow's valence as the reports alone foretell it (the level model).
        risk: (P, D + 1) chance that the day is negative, on its morning, as forecast the evening before; 0 on the first day and
            without consent.
        morning: (P, D + 1, S) what the re-ranker sees on the morning of each day (:mod:`~recbole_esmr.model.state`).
        consent: (P,) bool.
    """

    state: DayState
    negative: np.ndarray
    valence: np.ndarray
    forecast: np.ndarray
    tracked: np.ndarray
    risk: np.ndarray
    morning: Tensor
    consent: np.ndarray

    def gate(self, gate: Gate) -> np.ndarray:
        """Whether the re-ranker may act on the morning of each day, (P, D + 1) bool; never without consent, nor on the first."""
        return eve(gate.opens(self.negative, self.valence)) & self.consent[:, None]


def believe(
    encoder: EmotionEncoder, trace: Trace, taxonomy: Taxonomy, after: int = 7,
    asked: tuple[np.ndarray, np.ndarray] | None = None, tracked: bool = True,
) -> Beliefs:  # fmt: skip
    """Beliefs about the people of a trace; they cost what these people cost.

    Where nobody has reported and the encoder is not trained, nothing is encoded. Of a long trace only the evenings that somebody
    builds on are encoded and kept: of known days, of the day before one, of the ``after`` days that follow, of the last day, and
    those before the mornings that are asked for. What is believed of them is the same. Asking for another is an error, and in
    what holds one number a day (``negative``, ``valence``, …) nothing is believed of it.

    Args:
        encoder: in evaluation mode; before its training it believes nothing of tomorrow (``forecast`` is 0).
        trace: the people's days.
        taxonomy: the emotions that the encoder knows.
        after: how many days after a known one are kept of a long trace.
        asked: (N,) people and days whose mornings are kept as well.
        tracked: whether ``tracked`` is asked for, which training reads and ranking does not; zeros otherwise.
    """
    if not (encoder.fitted or trace.has_emotion):
        return nothing_believed(encoder, trace)
    if not trace.long:
        return _of(encoder, trace, taxonomy, tracked)
    return believe_long(encoder, trace, taxonomy, after, asked)


def _of(encoder: EmotionEncoder, trace: Trace, taxonomy: Taxonomy, tracked: bool) -> Beliefs:
    state = encoder.encode(trace)
    known = trace.consent[:, None, None] & bool(encoder.fitted)
    forecast = _numbers(state) * known
    foretold = functional.pad(state.mean, (1, 0))[:, :-1]
    negative, valence = _with_reports(trace, *_nowcast(encoder, state, foretold, taxonomy))
    risk = eve(state.negative.sigmoid().numpy() * known[..., 0])
    return Beliefs(
        state=state,
        negative=negative,
        valence=valence,
        forecast=forecast,
        tracked=encoder.tracked(trace) if tracked else np.zeros(trace.valence.shape),
        risk=risk,
        morning=policy_states(trace, state.hidden, forecast, negative),
        consent=trace.consent,
    )


def nothing_believed(encoder: EmotionEncoder, trace: Trace) -> Beliefs:
    """Of people of whom nobody has reported, by an encoder that has learned nothing: the same of everybody, held once."""
    people, days, kinds = trace.users, trace.days, len(encoder.emotions)

    def everywhere(*shape: int, value: float = 0.0) -> Tensor:
        return torch.tensor(value).expand(people, *shape)

    scale = encoder.usual_scale()
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
        risk=everywhere(days + 1).numpy(),
        morning=everywhere(days + 1, encoder.width + kinds + 4 + EXTRA),
        consent=trace.consent,
    )


def foretold(encoder: EmotionEncoder, trace: Trace, after: int = 7) -> np.ndarray:
    """Each day's valence as forecast the evening before, (U, D); 0 on the first day, and where nothing is believed.

    It is :func:`believe`'s ``state.mean``, a few people after another, and nothing else of what is believed is held.
    """
    mean = np.zeros(trace.valence.shape)
    if encoder.fitted or trace.has_emotion:
        for people in trace.blocks():
            some = trace.of(people)
            if trace.long:
                row, day, state = _evenings(encoder, some, _kept(some, after)[1])
                mean[people[row], day] = state.mean.numpy()
            else:
                mean[people] = encoder.encode(some).mean.numpy()
    return shifted(mean, 1, 0.0)


def believe_long(
    encoder: EmotionEncoder, trace: Trace, taxonomy: Taxonomy, after: int, asked: tuple[np.ndarray, np.ndarray] | None
) -> Beliefs:
    """:func:`believe` of a long trace: block by block, and only the evenings that somebody builds on."""
    extra = np.zeros((trace.users, trace.days + 1), dtype=bool)
    extra[:, -1] = True
    if asked is not None:
        extra[asked] = True
    return _stacked([_of_block(encoder, trace.of(people), taxonomy, after, extra[people, 1:]) for people in trace.blocks()])


def _kept(trace: Trace, after: int) -> tuple[np.ndarray, np.ndarray]:
    """(P, D) bool each: the known days of a long trace and the ``after`` days that follow; these and the day before them."""
    known = trace.known
    near = window_sum(known.astype(np.int32), max(after, 1) + 1) > 0
    return near, near | shifted(known, -1, False)


def _evenings(encoder: EmotionEncoder, trace: Trace, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray, DayState]:
    """Row, day and state of the N evenings in a mask (P, D)."""
    days = days_in(kept)
    row, place = np.nonzero(days >= 0)
    return row, days[row, place], DayState(*(value[row, place] for value in encoder.encode(trace, days=days).values()))


def _of_block(encoder: EmotionEncoder, trace: Trace, taxonomy: Taxonomy, after: int, extra: np.ndarray) -> Beliefs:
    """Of some people of a long trace; ``extra`` (P, D) are evenings to keep beside those around the known days."""
    near, kept = _kept(trace, after)
    kept, shape = kept | extra, (trace.users, trace.days)
    row, day, state = _evenings(encoder, trace, kept)

    def every(value: Any, fill: float) -> np.ndarray:
        table = np.full(shape, fill, dtype=value.dtype)
        table[row, day] = value
        return table

    consent = trace.consent[row] & bool(encoder.fitted)
    numbers = _numbers(state) * consent[:, None]
    mean, chance = every(state.mean.numpy(), 0.0), every(state.negative.sigmoid().numpy() * consent, 0.0)
    negative, valence = (
        every(value, 0) for value in _nowcast(encoder, state, torch.from_numpy(shifted(mean, 1, 0.0)[row, day]), taxonomy)
    )
    negative, valence = _with_reports(trace, negative, np.where(near, valence, 0.0))
    scale, risk = every(state.scale.numpy(), encoder.usual_scale()), eve(chance)
    lived = lately_lived(trace, negative)[row, day]
    mornings = torch.cat([state.hidden, torch.from_numpy(numbers).float(), torch.from_numpy(lived).float()], dim=-1)
    first = np.pad(kept, ((0, 0), (1, 0)), constant_values=True)  # and the first morning, of which nothing is known
    person, morning = np.nonzero(first)
    states = mornings.new_zeros(len(person), mornings.shape[1])
    states[torch.from_numpy(morning > 0)] = mornings * torch.from_numpy(trace.consent[row])[:, None]

    def of_evenings(value: Any) -> Any:
        return SparseDays(row, day, value, shape, None)

    return Beliefs(
        state=DayState(
            hidden=of_evenings(state.hidden[:, :0]),  # it is a part of ``morning``, and nobody else reads it
            nowcast=of_evenings(state.nowcast),
            forecast=of_evenings(state.forecast),
            mean=torch.from_numpy(mean),
            scale=torch.from_numpy(scale),
            negative=torch.from_numpy(every(state.negative.numpy(), 0.0)),
            episode=torch.from_numpy(every(state.episode.numpy(), 0.0)),
        ),
        negative=negative,
        valence=valence.astype(np.float32),
        forecast=of_evenings(numbers),
        tracked=encoder.tracked(trace).astype(np.float32),
        risk=risk,
        morning=cast(Tensor, SparseDays(person, morning, states, (shape[0], shape[1] + 1), None)),
        consent=trace.consent,
    )


def _stacked(parts: list[Any]) -> Any:
    """Beliefs, states, tables or arrays of several groups of people as one."""
    first = parts[0]
    if isinstance(first, (Beliefs, DayState)):
        return type(first)(*(_stacked([getattr(part, field.name) for part in parts]) for field in fields(first)))
    if isinstance(first, SparseDays):
        return SparseDays.stacked(parts, _stacked)
    return torch.cat(parts) if isinstance(first, Tensor) else np.concatenate(parts)


def _numbers(state: DayState) -> np.ndarray:
    """``Beliefs.forecast`` of a fitted encoder, (…, E + 4)."""
    numbers = torch.stack([state.mean, state.scale, state.negative.sigmoid(), state.episode.sigmoid()], dim=-1)
    return torch.cat([state.forecast.softmax(dim=-1), numbers], dim=-1).numpy()


def _nowcast(encoder: EmotionEncoder, state: DayState, foretold: Tensor, taxonomy: Taxonomy) -> tuple[np.ndarray, np.ndarray]:
    """Whether each day was negative, and its valence, from behaviour; ``foretold`` is yesterday's forecast of it."""
    if encoder.labelled:
        probability = state.nowcast.softmax(dim=-1).numpy()
        return probability[..., taxonomy.negative].sum(axis=-1) > 0.5, probability @ taxonomy.valence
    valence = foretold.numpy()  # only numbers were ever reported, so the nowcast of labels has learned nothing
    return valence < 0, valence


def _with_reports(trace: Trace, negative: np.ndarray, valence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same, (P, D) each, as reported where there is a report; a day away is not negative."""
    said = np.isfinite(trace.valence)
    valence = np.where(said, np.nan_to_num(trace.valence), valence)
    return np.where(said, trace.negative == 1, negative) & trace.present, valence
