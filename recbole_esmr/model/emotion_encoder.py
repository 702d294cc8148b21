"""The emotion-sequence encoder: a causal Transformer over a person's days, around a level tracker."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_esmr.data.trace import Trace
from recbole_esmr.errors import CheckpointError
from recbole_esmr.model.days import TRACKER, DayBatch, DayLabels, day_batch, level_tracker

RECENT = len(TRACKER) + 2
"""Numbers of the reports that every head reads: the level tracker, today's valence, and whether it was reported."""


BINS = 4
"""Quantile bins of the piecewise-linear encoding of a number."""

SETTLED = 4
"""Reports from which on a person's running mean tells their level: the tracker is fitted on later days where enough exist."""


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


@dataclass(frozen=True)
class Scales:
    """How one data set's features are standardised and binned.

    Attributes:
        center, spread: (F,) mean and standard deviation of each feature.
        edges: (F, 5) edges of its quantile bins, standardised.
    """

    center: Tensor
    spread: Tensor
    edges: Tensor


class WithinDay(nn.Module):
    """Attention within a day: a [CLS] query reads the day's feature tokens (FT-Transformer, Gorishniy et al. 2021).

    A number is encoded piecewise linearly over its quantiles (Gorishniy et al. 2022), so that a token can bend where the data
    do. Its token is linear in that, in the number itself and in the number on the person's own scale, or a vector of its own
    where the number is missing. A token of a category is an embedding. Each head scores the tokens and mixes their values; keys
    and values are linear in the token, so they are learned for each feature at once, and a day costs what its tokens cost, not
    their square.

    Args:
        features: number F of numeric features.
        sizes: number of codes of each categorical feature.
        width: of a day vector H.
        heads: attention heads.
        attend: false takes the plain mean of the tokens, for comparison.
    """

    edges: Tensor

    def __init__(
        self, features: int, sizes: tuple[int, ...], width: int, heads: int, dropout: float, attend: bool = True
    ) -> None:
        super().__init__()
        self.heads, self.attend = heads, attend
        parts = 4 + BINS  # the number, on the person's own scale, known, missing, and its place among the quantiles
        self.value = nn.Parameter(torch.randn(parts, features, width) / math.sqrt(width))
        self.key = nn.Parameter(torch.zeros(parts, features, heads))
        self.register_buffer("edges", torch.linspace(-2, 2, BINS + 1).repeat(features, 1))
        tables = [nn.Embedding(size, width + heads) for size in sizes]
        for table in tables:
            nn.init.normal_(table.weight, std=1 / math.sqrt(width))
        self.codes = nn.ModuleList(tables)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor, own: Tensor, known: Tensor, codes: list[Tensor]) -> Tensor:
        """(B, D, F) numbers, their own-scaled twins and whether they are known, (B, D) codes → (B, D, H)."""
        there = known.to(features.dtype)
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        place = ((features[..., None] - low) / (high - low)).clamp(0, 1)
        parts = torch.cat([torch.stack([features, own, torch.ones_like(own)], dim=-1), place], dim=-1) * there[..., None]
        parts = torch.cat([parts, 1 - there[..., None]], dim=-1)  # (B, D, F, 4 + BINS)
        values = self.value.unflatten(-1, (self.heads, -1))  # (4 + BINS, F, heads, w)
        tables = [table(code) for table, code in zip(self.codes, codes, strict=True)]
        width = self.value.shape[-1]
        scores = [torch.einsum("bdfk,kfh->bdfh", parts, self.key), *(table[..., None, width:] for table in tables)]
        score = torch.cat(scores, dim=2)
        weight = score.softmax(dim=2) if self.attend else torch.full_like(score, 1 / score.shape[2])
        count = features.shape[-1]
        # weight of a token times its parts first: the (B, D, F, H) values are never made
        weighted = weight[:, :, :count].permute(3, 0, 1, 2)[..., None] * parts  # (heads, B, D, F, 4 + BINS)
        day = torch.bmm(weighted.flatten(3).flatten(1, 2), values.permute(2, 1, 0, 3).flatten(1, 2))  # (heads, B · D, w)
        day = day.transpose(0, 1).reshape(*parts.shape[:2], self.heads, -1)
        for index, table in enumerate(tables):
            day = day + weight[:, :, count + index, :, None] * table[..., :width].unflatten(-1, (self.heads, -1))
        day = day.flatten(2) * math.sqrt(score.shape[2])
        return day + self.dropout(self.mlp(day))


class AcrossDays(nn.Module):
    """A pre-norm Transformer block over days: each day attends to itself and to the known days before it.

    A score falls with the days in between, a rate a head (ALiBi, Press et al. 2022), so a gap of missing days counts as the time
    that it is, and a trace may be longer than any in training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.rate = nn.Parameter(torch.linspace(-3.0, 0.0, heads))  # log of the fall in the score a day

    def forward(self, days: Tensor, present: Tensor) -> Tensor:
        """(B, D, H) day vectors, (B, D) whether anything is known of each day → (B, D, H)."""
        length = days.shape[1]
        day = torch.arange(length, device=days.device)
        gap = (day[:, None] - day[None, :]).clamp(min=0)
        allowed = (day[:, None] > day) & present[:, None, None, :] | (day[:, None] == day)
        bias = (-self.rate.exp()[:, None, None] * gap).expand(len(days), -1, -1, -1).masked_fill(~allowed, -torch.inf)
        parts = self.project(self.before_attention(days)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        query, key, value = parts.unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(parts.dtype))
        days = days + functional.dropout(self.join(mixed.transpose(1, 2).flatten(2)), dropout)
        return days + functional.dropout(self.mlp(self.before_mlp(days)), dropout)


class EmotionEncoder(nn.Module):
    """Reads days, remembers them causally, and says what today and tomorrow may feel like.

    Attention within the day makes a day vector; a causal Transformer runs over the days. Today's report enters after the
    Transformer's step of today, so the nowcast never sees the label that it predicts. What is forecast starts from a simple
    forecaster that was fitted beforehand, and the network adds a residual that starts at zero: tomorrow's valence from the level
    tracker by least squares, tomorrow's emotion from how often one emotion follows another, the risk of a negative day from the
    valence forecast. The residuals of the valence and of its spread are shrunk by what they gained on the validation days, to
    nothing if that was nothing.

    Args:
        feature_names: names of the F behaviour features.
        emotions, profiles: names of the E emotions and of the profiles.
        hidden_size, layers, heads, dropout: of the Transformer.
        within_day, across_days, level_tracker: false leaves the part out, for comparison.
    """

    center: Tensor
    spread: Tensor
    tracker_weight: Tensor
    tracker_bias: Tensor
    tracker_scale: Tensor
    transition: Tensor
    temperature: Tensor
    risk_scale: Tensor
    shrink: Tensor
    spread_share: Tensor
    widening: Tensor
    half_width: Tensor
    fitted: Tensor
    within_day: WithinDay

    def __init__(
        self,
        feature_names: tuple[str, ...],
        emotions: tuple[str, ...],
        profiles: tuple[str, ...],
        hidden_size: int,
        layers: int,
        heads: int,
        dropout: float,
        within_day: bool = True,
        across_days: bool = True,
        level_tracker: bool = True,
    ) -> None:
        super().__init__()
        count, kinds, width = len(feature_names), len(emotions), hidden_size
        self.feature_names, self.emotions, self.profiles = feature_names, emotions, profiles
        self.uses_tracker, self._dropout = level_tracker, dropout
        self.register_buffer("center", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        sizes = (kinds + 1, len(profiles) + 1)
        self.within_day = WithinDay(count + RECENT, sizes, width, heads, dropout, within_day)
        self.across_days = nn.ModuleList([AcrossDays(width, heads, dropout) for _ in range(layers if across_days else 0)])
        self.nowcast_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, kinds))
        self.report = nn.Embedding(kinds + 1, width)
        self.join = nn.Sequential(nn.Linear(2 * width + RECENT, width), nn.GELU(), nn.Dropout(dropout), nn.LayerNorm(width))
        self.forecast_head = nn.Linear(width + RECENT, kinds)
        self.risk_head = nn.Linear(width + RECENT, 2)
        self.residual_head = nn.Linear(width + RECENT, 2)
        for head in (self.forecast_head, self.risk_head, self.residual_head):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.register_buffer("tracker_weight", torch.tensor([1.0, 0.0, 0.0, 0.0]))
        self.register_buffer("tracker_bias", torch.zeros(()))
        self.register_buffer("tracker_scale", torch.tensor(0.5))
        self.register_buffer("transition", torch.full((kinds, kinds), 1 / kinds))
        self.register_buffer("temperature", torch.ones(2))
        self.register_buffer("risk_scale", torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        self.register_buffer("shrink", torch.ones(()))
        self.register_buffer("spread_share", torch.ones(()))
        self.register_buffer("widening", torch.ones(()))
        self.register_buffer("half_width", torch.tensor(1.2815516))
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def width(self) -> int:
        """H, the size of the hidden state."""
        return self.within_day.value.shape[-1]

    # -- what is fitted before and after training ----------------------------------------------------------------------

    def forget_calibration(self) -> None:
        """Make the shrinkage and the calibration neutral, as before a first training."""
        for buffer, value in ((self.temperature, 1.0), (self.shrink, 1.0), (self.spread_share, 1.0), (self.widening, 1.0)):
            buffer.fill_(value)
        self.half_width.fill_(1.2815516)
        self.risk_scale.copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))

    def fit_scales(self, trace: Trace, role: np.ndarray) -> Scales:
        """Standardise the features on the days where ``role`` (U, D) is true: each data set has scales and bins of its own.

        Returns:
            what is in use from now on, to be put back by :meth:`use_scales` after another data set's was.
        """
        raw = trace.features
        with np.errstate(invalid="ignore"):
            seen = np.where(role[..., None], raw, np.nan).reshape(-1, raw.shape[-1])
        some = np.isfinite(seen).sum(axis=0) > 1
        center, spread = np.zeros(len(some) + 1), np.ones(len(some) + 1)  # the last for features that the trace lacks
        center[:-1][some] = np.nanmean(seen[:, some], axis=0)
        spread[:-1][some] = np.maximum(np.nanstd(seen[:, some], axis=0), 1e-6)
        edges = np.tile(np.linspace(-2, 2, BINS + 1), (len(some) + 1, 1))
        scaled = (seen[:, some] - center[:-1][some]) / spread[:-1][some]
        edges[:-1][some] = np.nanquantile(scaled, np.linspace(0, 1, BINS + 1), axis=0).T
        edges = np.maximum.accumulate(edges + 1e-3 * np.arange(BINS + 1), axis=1)  # equal quantiles become narrow bins
        columns = self.columns(trace)
        parts = (torch.as_tensor(part[columns], dtype=torch.float32) for part in (center, spread, edges))
        scales = Scales(*(part.to(self.center.device) for part in parts))
        self.use_scales(scales)
        return scales

    def use_scales(self, scales: Scales) -> None:
        """Put a data set's scales and bins into use."""
        self.center.copy_(scales.center)
        self.spread.copy_(scales.spread)
        self.within_day.edges[: len(scales.edges)] = scales.edges

    def fit_simple(self, traces: list[Trace], roles: list[np.ndarray]) -> None:
        """Fit the simple forecasters on the days where each trace's ``role`` (U, D) is true.

        The level tracker by least squares, the transitions between emotions by counting (one added to each count).
        """
        from sklearn.linear_model import LinearRegression

        designs, targets = [np.zeros((0, len(TRACKER)))], [np.zeros(0)]
        count = np.ones(tuple(self.transition.shape))
        for trace, role in zip(traces, roles, strict=True):
            tomorrow = trace.valence[:, 1:]
            reports = np.isfinite(trace.valence).cumsum(axis=1)[:, :-1]
            use = np.isfinite(tomorrow) & role[:, 1:] & (reports > 0)
            settled = use & (reports >= SETTLED)
            use = settled if settled.sum() > 20 * len(TRACKER) else use
            designs.append(level_tracker(trace.valence)[:, :-1][use])
            targets.append(tomorrow[use])
            emotion = np.where(role, trace.emotion, -1)
            both = (emotion[:, :-1] >= 0) & (emotion[:, 1:] >= 0)
            np.add.at(count, (emotion[:, :-1][both], emotion[:, 1:][both]), 1.0)
        design, target = np.concatenate(designs), np.concatenate(targets)
        if len(target) > len(TRACKER) + 1:
            line = LinearRegression().fit(design, target)
            self.tracker_weight.copy_(torch.as_tensor(line.coef_))
            self.tracker_bias.copy_(torch.as_tensor(line.intercept_))
            self.tracker_scale.copy_(torch.as_tensor(max(float(np.std(target - line.predict(design))), 1e-3)))
        self.transition.copy_(torch.as_tensor(count / count.sum(axis=1, keepdims=True)))

    def columns(self, trace: Trace) -> np.ndarray:
        """The trace's feature for each of the encoder's, −1 (an unknown feature) for one that the trace lacks."""
        place = {name: index for index, name in enumerate(trace.feature_names)}
        return np.array([place.get(name, -1) for name in self.feature_names], dtype=int)

    def require(self, trace: Trace, emotions: tuple[str, ...], source: str) -> None:
        """Refuse a trace whose features, profiles or emotions the encoder does not know.

        Raises:
            CheckpointError: the message names the columns and what to do.
        """
        for what, mine, here in (
            ("the columns", self.feature_names, trace.feature_names),
            ("the profiles", self.profiles, trace.profiles),
        ):
            unknown = [name for name in here if name not in mine]
            if unknown:
                raise CheckpointError(
                    f"{source}: was trained without {what} {', '.join(unknown)} that this data set has. "
                    "Pre-train with this data set among the others, or leave them out of its files."
                )
        if emotions != self.emotions:
            raise CheckpointError(
                f"{source}: was trained on the emotions {', '.join(self.emotions)}; this data set has {', '.join(emotions)}. "
                "Pre-train on data of the same taxonomy."
            )

    def inputs(self, trace: Trace) -> DayBatch:
        """The model inputs of all people of a trace, on this module's device."""
        code = {name: index for index, name in enumerate(self.profiles)}
        codes = np.array([*(code.get(name, -1) for name in trace.profiles), -1])
        trace = replace(trace, profile=codes[trace.profile])
        days = day_batch(trace, self.center.cpu().numpy(), self.spread.cpu().numpy(), self.columns(trace))
        return days.to(self.center.device)

    # -- beliefs -------------------------------------------------------------------------------------------------------

    def forward(self, days: DayBatch) -> DayState:
        """Beliefs at the end of each day, shapes as in :class:`DayState`."""
        recent = torch.cat([days.tracker, days.valence[..., None], days.said[..., None]], dim=-1)
        memory = self._remember(days, recent)
        hidden = self.join(torch.cat([memory, self.report(days.report), recent], dim=-1))
        joined = torch.cat([hidden, recent], dim=-1)
        residual, widen = self.residual_head(joined).unbind(-1)
        base = days.tracker @ self.tracker_weight + self.tracker_bias if self.uses_tracker else torch.zeros_like(residual)
        mean = (base + self.shrink * residual).clamp(-1, 1)
        spread = self.tracker_scale * (self.spread_share * widen.clamp(-2, 2)).exp()
        nowcast = self.nowcast_head(memory)
        today = functional.one_hot((days.report - 1).clamp(min=0), nowcast.shape[-1]).to(nowcast.dtype)
        today = torch.where(days.report[..., None] > 0, today, nowcast.softmax(dim=-1))
        forecast = (today @ self.transition).log() + self.forecast_head(joined)
        risk = torch.special.log_ndtr(-mean / spread) - torch.special.log_ndtr(mean / spread)
        negative, episode = (risk[..., None].clamp(-8, 8) + self.risk_head(joined)).unbind(-1)
        return DayState(
            hidden=hidden,
            nowcast=nowcast / self.temperature[0],
            forecast=forecast / self.temperature[1],
            mean=mean,
            scale=spread * self.widening,
            negative=self.risk_scale[0, 0] * negative + self.risk_scale[0, 1],
            episode=self.risk_scale[1, 0] * episode + self.risk_scale[1, 1],
        )

    def _remember(self, days: DayBatch, recent: Tensor) -> Tensor:
        """The day's vector after attention over the days, (B, D, H): knows today's behaviour and yesterday's report."""
        before = functional.pad(recent, (0, 0, 1, 0))[:, :-1]
        known_before = torch.ones_like(before, dtype=torch.bool)
        memory = self.within_day(
            torch.cat([days.features, before], dim=-1),
            torch.cat([days.own, torch.zeros_like(before)], dim=-1),
            torch.cat([days.known, known_before], dim=-1),
            [functional.pad(days.report, (1, 0))[:, :-1], days.profile[:, None].expand_as(days.report)],
        )
        for block in self.across_days:
            memory = block(memory, days.present)
        return memory

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

    # -- saving --------------------------------------------------------------------------------------------------------

    def shape(self) -> dict[str, Any]:
        """What :meth:`of_shape` needs, as JSON can hold it."""
        names = {"feature_names": self.feature_names, "emotions": self.emotions, "profiles": self.profiles}
        return {key: list(value) for key, value in names.items()} | {
            "hidden_size": self.width,
            "layers": len(self.across_days),
            "heads": self.within_day.heads,
            "dropout": self._dropout,
        }

    @classmethod
    def of_shape(cls, shape: Mapping[str, Any]) -> EmotionEncoder:
        """An untrained encoder of the shape that :meth:`shape` gave."""
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in shape.items()}
        return cls(**values)


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
