"""The emotion-sequence encoder: a causal Transformer over a person's days."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_esmr.data.trace import Trace

TRACKER_SIZE = 4


@dataclass
class DayBatch:
    """Model inputs of B people over D days.

    Attributes:
        features: (B, D, F) behaviour of the day, 0 where unknown.
        known: (B, D, F) whether each feature is known.
        report: (B, D) reported emotion code + 1; 0 without a report.
        valence: (B, D) reported valence, 0 without a report.
        profile: (B,) profile code + 1; 0 where unknown.
        tracker: (B, D, 4) running mean, last, 3-day and 7-day mean of the reported valence up to the day.
    """

    features: Tensor
    known: Tensor
    report: Tensor
    valence: Tensor
    profile: Tensor
    tracker: Tensor

    def rows(self, index: Tensor | slice, days: int | None = None) -> DayBatch:
        """The given people's part, of the first ``days`` days."""
        people = (getattr(self, field.name)[index] for field in fields(self))
        return DayBatch(*(part if part.dim() == 1 else part[:, :days] for part in people))

    def to(self, device: torch.device) -> DayBatch:
        return DayBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass
class DayState:
    """What the encoder believes at the end of each day; everything at day *t* uses days up to *t* only.

    Attributes:
        hidden: (B, D, H) the state that policies and rankers read.
        nowcast: (B, D, E) logits of today's emotion from today's behaviour and the reports before today.
        forecast: (B, D, E) logits of tomorrow's emotion, today's report included.
        mean, scale: (B, D) normal distribution of tomorrow's valence.
        negative: (B, D) logit that tomorrow is negative.
        episode: (B, D) logit that any of the next h days is negative.
    """

    hidden: Tensor
    nowcast: Tensor
    forecast: Tensor
    mean: Tensor
    scale: Tensor
    negative: Tensor
    episode: Tensor


def day_batch(trace: Trace, center: np.ndarray, spread: np.ndarray) -> DayBatch:
    """Inputs of all people of a trace; ``center`` and ``spread`` (F,) standardise the features."""
    known = np.isfinite(trace.features)
    scaled = np.where(known, (trace.features - center) / spread, 0.0)
    return DayBatch(
        features=torch.as_tensor(scaled, dtype=torch.float32).clamp(-6, 6),
        known=torch.as_tensor(known),
        report=torch.as_tensor(trace.emotion + 1),
        valence=torch.as_tensor(np.nan_to_num(trace.valence), dtype=torch.float32),
        profile=torch.as_tensor(trace.profile + 1),
        tracker=torch.as_tensor(level_tracker(trace.valence), dtype=torch.float32),
    )


def level_tracker(valence: np.ndarray) -> np.ndarray:
    """Running mean, last value, 3-day mean and 7-day mean of the reports up to each day.

    A value without a report in its window falls back on the running mean, and that on 0.

    Args:
        valence: shape (U, D), NaN without a report.

    Returns:
        shape (U, D, 4).
    """
    said = np.isfinite(valence)
    value = np.where(said, valence, 0.0)
    total, count = value.cumsum(axis=1), said.cumsum(axis=1)
    running = np.where(count > 0, total / np.maximum(count, 1), 0.0)
    day = np.arange(valence.shape[1])
    latest = np.maximum.accumulate(np.where(said, day, -1), axis=1)
    last = np.where(latest >= 0, np.take_along_axis(value, np.maximum(latest, 0), axis=1), running)
    means = [running, last]
    for window in (3, 7):
        before_total = np.pad(total, ((0, 0), (window, 0)))[:, :-window]
        before_count = np.pad(count, ((0, 0), (window, 0)))[:, :-window]
        within = count - before_count
        means.append(np.where(within > 0, (total - before_total) / np.maximum(within, 1), running))
    return np.stack(means, axis=-1)


class EmotionEncoder(nn.Module):
    """Reads days, remembers them causally, and says what today and tomorrow may feel like.

    A day is a set of feature tokens (FT-Transformer, Gorishniy et al. 2021), pooled with learned attention into a day vector;
    a causal Transformer runs over the days. Today's report enters after the Transformer's step of today, so the nowcast
    never sees the label that it predicts. Tomorrow's valence is the level tracker's linear forecast plus a residual that starts
    at zero.

    Args:
        feature_names: names of the F behaviour features.
        emotions: number E of emotions.
        profiles: number of profiles.
        hidden_size, layers, heads, dropout: of the Transformer.
        longest: days of the longest trace that will be read.
    """

    center: Tensor
    spread: Tensor
    place: Tensor
    tracker_weight: Tensor
    tracker_bias: Tensor
    tracker_scale: Tensor
    temperature: Tensor
    widening: Tensor
    fitted: Tensor

    def __init__(
        self,
        feature_names: tuple[str, ...],
        emotions: int,
        profiles: int,
        hidden_size: int,
        layers: int,
        heads: int,
        dropout: float,
        longest: int,
    ) -> None:
        super().__init__()
        count, width = len(feature_names), hidden_size
        self.feature_names = feature_names
        self.register_buffer("center", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        self.slope = nn.Parameter(torch.randn(count, width) / math.sqrt(width))
        self.offset = nn.Parameter(torch.randn(count, width) / math.sqrt(width))
        self.missing = nn.Parameter(torch.zeros(count, width))
        self.query = nn.Parameter(torch.zeros(width))
        self.report = nn.Embedding(emotions + 1, width)
        self.profile = nn.Embedding(profiles + 1, width)
        self.register_buffer("place", _sinusoids(longest, width), persistent=False)
        layer = nn.TransformerEncoderLayer(
            width, heads, dim_feedforward=2 * width, dropout=dropout, batch_first=True, norm_first=True
        )
        self.across_days = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.nowcast_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, emotions))
        self.join = nn.Sequential(nn.Linear(2 * width + TRACKER_SIZE + 1, width), nn.GELU(), nn.LayerNorm(width))
        self.forecast_head = nn.Linear(width + TRACKER_SIZE, emotions)
        self.risk_head = nn.Linear(width + TRACKER_SIZE, 2)
        self.residual_head = nn.Linear(width, 2)
        nn.init.zeros_(self.residual_head.weight)
        nn.init.zeros_(self.residual_head.bias)
        self.register_buffer("tracker_weight", torch.tensor([1.0, 0.0, 0.0, 0.0]))
        self.register_buffer("tracker_bias", torch.zeros(()))
        self.register_buffer("tracker_scale", torch.tensor(0.5))
        self.register_buffer("temperature", torch.ones(2))
        self.register_buffer("widening", torch.ones(()))
        self.register_buffer("fitted", torch.tensor(False))

    def fit_scales(self, trace: Trace, role: np.ndarray) -> None:
        """Standardise the features, and fit the level tracker by least squares, on the days where ``role`` (U, D) is true."""
        with np.errstate(invalid="ignore"):
            seen = np.where(role[..., None], trace.features, np.nan).reshape(-1, trace.features.shape[-1])
        some = np.isfinite(seen).sum(axis=0) > 1
        center, spread = np.zeros(len(some)), np.ones(len(some))
        center[some] = np.nanmean(seen[:, some], axis=0)
        spread[some] = np.maximum(np.nanstd(seen[:, some], axis=0), 1e-6)
        self.center.copy_(torch.as_tensor(center))
        self.spread.copy_(torch.as_tensor(spread))
        tracker, tomorrow = level_tracker(trace.valence)[:, :-1], trace.valence[:, 1:]
        use = np.isfinite(tomorrow) & role[:, 1:] & (np.isfinite(trace.valence).cumsum(axis=1)[:, :-1] > 0)
        if use.sum() > TRACKER_SIZE + 1:
            design = np.column_stack([tracker[use], np.ones(use.sum())])
            weight, *_ = np.linalg.lstsq(design, tomorrow[use], rcond=None)
            self.tracker_weight.copy_(torch.as_tensor(weight[:-1]))
            self.tracker_bias.copy_(torch.as_tensor(weight[-1]))
            self.tracker_scale.copy_(torch.as_tensor(max(float(np.std(tomorrow[use] - design @ weight)), 1e-3)))

    def inputs(self, trace: Trace) -> DayBatch:
        """The model inputs of all people of a trace, on this module's device."""
        return day_batch(trace, self.center.cpu().numpy(), self.spread.cpu().numpy()).to(self.center.device)

    def forward(self, days: DayBatch) -> DayState:
        """Beliefs at the end of each day, shapes as in :class:`DayState`."""
        today = self._day_vector(days)
        yesterday = self.report(functional.pad(days.report, (1, 0))[:, :-1])
        sequence = today + yesterday + self.profile(days.profile)[:, None] + self.place[: today.shape[1]]
        mask = nn.Transformer.generate_square_subsequent_mask(today.shape[1], device=today.device)
        memory = self.across_days(sequence, mask=mask, is_causal=True)
        report = self.report(days.report)
        hidden = self.join(torch.cat([memory, report, days.tracker, days.valence[..., None]], dim=-1))
        joined = torch.cat([hidden, days.tracker], dim=-1)
        residual, widen = self.residual_head(hidden).unbind(-1)
        base = days.tracker @ self.tracker_weight + self.tracker_bias
        risk = self.risk_head(joined)
        return DayState(
            hidden=hidden,
            nowcast=self.nowcast_head(memory) / self.temperature[0],
            forecast=self.forecast_head(joined) / self.temperature[1],
            mean=(base + residual).clamp(-1, 1),
            scale=self.tracker_scale * widen.clamp(-2, 2).exp() * self.widening,
            negative=risk[..., 0],
            episode=risk[..., 1],
        )

    def _day_vector(self, days: DayBatch) -> Tensor:
        known = days.known[..., None]
        value = days.features[..., None] * self.slope + self.offset
        token = torch.where(known, value, self.missing)
        attention = (token @ self.query / math.sqrt(token.shape[-1])).softmax(dim=-1)
        return functional.gelu(torch.einsum("bdf,bdfh->bdh", attention, token) * math.sqrt(token.shape[-2]))

    @torch.no_grad()
    def encode(self, trace: Trace, batch_users: int = 256) -> DayState:
        """Beliefs for all people of a trace, without dropout and gradients; (U, D, …) on the CPU."""
        batches = [(users, trace.days) for users in torch.arange(trace.users).split(batch_users)]
        return join_states(self.encode_batches(self.inputs(trace), batches), trace.days)

    @torch.no_grad()
    def encode_batches(self, days: DayBatch, batches: list[tuple[Tensor, int]]) -> list[DayState]:
        """Beliefs for each batch (people, number of days), without dropout and gradients."""
        training = self.training
        self.eval()
        states = [self(days.rows(users, count)) for users, count in batches]
        self.train(training)
        return states


def join_states(states: list[DayState], days: int) -> DayState:
    """The states of several batches as one on the CPU; shorter ones end in zeros."""

    def joined(parts: list[Tensor]) -> Tensor:
        full = parts[0].new_zeros(sum(len(part) for part in parts), days, *parts[0].shape[2:], device="cpu")
        start = 0
        for part in parts:
            full[start : start + len(part), : part.shape[1]] = part.cpu()
            start += len(part)
        return full

    return DayState(*(joined([getattr(state, field.name) for state in states]) for field in fields(DayState)))


def encoder_loss(state: DayState, labels: DayLabels) -> Tensor:
    """The training loss: one term a head, each a mean over the days whose label is known.

    .. math:: L = CE(today) + CE(tomorrow) + NLL(v_{t+1}; μ_t, σ_t) + BCE(negative_{t+1}) + BCE(episode_t)

    Args:
        state: the encoder's beliefs.
        labels: the labels of the same people and days, −1 or NaN where they must not be used.

    Returns:
        a scalar; 0 where no label is known.
    """
    terms = []
    for logits, target in ((state.nowcast, labels.today), (state.forecast, labels.tomorrow)):
        if (target >= 0).any():
            terms.append(functional.cross_entropy(logits[target >= 0], target[target >= 0]))
    known = torch.isfinite(labels.valence)
    if known.any():
        error = (labels.valence[known] - state.mean[known]) / state.scale[known]
        terms.append((0.5 * error**2 + state.scale[known].log()).mean())
    for logits, target in ((state.negative, labels.negative), (state.episode, labels.episode)):
        known = torch.isfinite(target)
        if known.any():
            terms.append(functional.binary_cross_entropy_with_logits(logits[known], target[known]))
    return torch.stack(terms).sum() if terms else 0.0 * state.mean.sum()


@dataclass
class DayLabels:
    """What the heads should have said, (B, D) each; −1 or NaN where unknown or not to be used.

    Attributes:
        today, tomorrow: emotion codes of the day and of the next.
        valence: of the next day.
        negative: 1.0 where the next day is negative.
        episode: 1.0 where any of the next h days is negative; NaN where one of them is unknown and none is negative.
    """

    today: Tensor
    tomorrow: Tensor
    valence: Tensor
    negative: Tensor
    episode: Tensor

    def rows(self, index: Tensor | slice, days: int | None = None) -> DayLabels:
        """The given people's part, of the first ``days`` days."""
        return DayLabels(*(getattr(self, field.name)[index][:, :days] for field in fields(self)))

    def to(self, device: torch.device) -> DayLabels:
        return DayLabels(*(getattr(self, field.name).to(device) for field in fields(self)))


def day_labels(trace: Trace, use: np.ndarray, horizon: int) -> DayLabels:
    """Labels from the days where ``use`` (U, D) is true; no other day's label appears in them."""
    emotion = np.where(use, trace.emotion, -1)
    negative = np.where(use, trace.negative, np.nan)
    valence = np.where(use, trace.valence, np.nan)
    ahead = np.stack([_shifted(negative, step, np.nan) for step in range(1, horizon + 1)])
    any_negative, any_unknown = (ahead == 1).any(axis=0), np.isnan(ahead).any(axis=0)
    episode = np.where(any_negative, 1.0, np.where(any_unknown, np.nan, 0.0))
    return DayLabels(
        today=torch.as_tensor(emotion),
        tomorrow=torch.as_tensor(_shifted(emotion, 1, -1)),
        valence=torch.as_tensor(_shifted(valence, 1, np.nan), dtype=torch.float32),
        negative=torch.as_tensor(_shifted(negative, 1, np.nan), dtype=torch.float32),
        episode=torch.as_tensor(episode, dtype=torch.float32),
    )


def _shifted(array: np.ndarray, step: int, fill: float) -> np.ndarray:
    moved = np.full_like(array, fill)
    if step < array.shape[1]:
        moved[:, :-step] = array[:, step:]
    return moved


def _sinusoids(length: int, width: int) -> Tensor:
    place = torch.arange(length)[:, None]
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(1000.0) / width))
    table = torch.zeros(length, width)
    table[:, 0::2] = torch.sin(place * rate)
    table[:, 1::2] = torch.cos(place * rate)[:, : width // 2]
    return table * 0.3
