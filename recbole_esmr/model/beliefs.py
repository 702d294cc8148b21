"""What is believed of given people at the end of each of their days."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recbole_esmr.data.trace import Trace
from recbole_esmr.data.user_days import eve
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.model.emotion_encoder import DayState, EmotionEncoder
from recbole_esmr.model.gate import Gate
from recbole_esmr.model.state import policy_states


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


def believe(encoder: EmotionEncoder, trace: Trace, taxonomy: Taxonomy) -> Beliefs:
    """Beliefs about the people of a trace; they cost what these people cost.

    Args:
        encoder: in evaluation mode; before its training it believes nothing of tomorrow (``forecast`` is 0).
        trace: the people's days.
        taxonomy: the emotions that the encoder knows.
    """
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
