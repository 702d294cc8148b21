"""The emotion-sequence encoder: a causal Transformer over a person's days, around a level model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_esmr.data.sparse_days import SparseDays
from recbole_esmr.data.trace import Trace
from recbole_esmr.data.user_days import spaced
from recbole_esmr.errors import CheckpointError
from recbole_esmr.model.attention import BINS, AcrossDays, WithinDay
from recbole_esmr.model.calibration import platt
from recbole_esmr.model.days import DayBatch, DayLabels, Foresee, day_batch, day_labels, days_in
from recbole_esmr.model.level import FORESEEN, PEOPLE, LevelModel
from recbole_esmr.settings import setting

RECENT = len(FORESEEN) + 2
"""Numbers of the reports that every head reads: what the level model foresees, today's valence, and whether it was reported."""


@dataclass(frozen=True, kw_only=True)
class EncoderShape:
    """Shape of the encoder."""

    hidden_size: int = setting("width of the day vectors", low=4, high=1024)
    layers: int = setting("Transformer layers across days", low=1, high=24)
    heads: int = setting("attention heads", low=1, high=64)
    dropout: float = setting("dropout", low=0, high=0.9)


@dataclass(frozen=True, kw_only=True)
class EncoderSettings(EncoderShape):
    """Shape and training of the encoder."""

    epochs: int = setting("epochs of the encoder", low=1, high=100_000)
    stopping_step: int = setting("epochs without progress before the encoder stops", low=1, high=100_000)
    learning_rate: float = setting("learning rate of the encoder", low=1e-8, high=1)
    weight_decay: float = setting("weight decay of the encoder", low=0, high=10)
    calibrate: bool = setting("calibrate on the validation days")
    batch_users: int = setting("people in a batch", low=1, high=1_000_000)
    epoch_batches: int = setting("batches of an epoch, at most", low=1, high=1_000_000)
    horizon: int = setting("reach of the episode forecast", low=1, high=60, unit="days", key="forecast_horizon")
    pretrained: str | None = setting("file of `recbole-esmr pretrain` to begin from", key="pretrained_encoder")
    baselines: str = setting(
        "which baselines `run` trains beside the encoder", choices=("cheap", "all"), key="forecast_baselines"
    )


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

    def values(self) -> list[Tensor]:
        """Its tensors, in order."""
        return [getattr(self, field.name) for field in fields(self)]


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


class EmotionEncoder(nn.Module):
    """Reads days, remembers them causally, and says what today and tomorrow may feel like.

    Attention within the day makes a day vector; a causal Transformer runs over the days. Today's report enters after the
    Transformer's step of today, so the nowcast never sees the label that it predicts. What is forecast starts from a simple
    forecaster that was fitted beforehand, and the network adds a residual that starts at zero: tomorrow's valence, its spread and
    the risk of a negative day from the level model, tomorrow's emotion from how often one emotion follows another. The residuals
    of valence, spread and risks count only where they won on the validation days beyond what chance would give
    (``shrink``, ``spread_share``, ``risk_share``); elsewhere the level model's word stands.

    Args:
        feature_names: names of the F behaviour features.
        emotions, profiles: names of the E emotions and of the profiles.
        hidden_size, layers, heads, dropout: of the Transformer.
        within_day, across_days, level: false leaves the part out, for comparison.
    """

    center: Tensor
    spread: Tensor
    transition: Tensor
    episode_line: Tensor
    temperature: Tensor
    risk_scale: Tensor
    shrink: Tensor
    spread_share: Tensor
    risk_share: Tensor
    widening: Tensor
    fitted: Tensor
    labelled: Tensor
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
        level: bool = True,
    ) -> None:
        super().__init__()
        count, kinds, width = len(feature_names), len(emotions), hidden_size
        self.feature_names, self.emotions, self.profiles = feature_names, emotions, profiles
        self.uses_level, self._dropout = level, dropout
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
        self.level = LevelModel()
        self.register_buffer("episode_line", torch.tensor([1.0, 0.0]))
        self.register_buffer("transition", torch.full((kinds, kinds), 1 / kinds))
        self.register_buffer("temperature", torch.ones(2))
        self.register_buffer("risk_scale", torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        self.register_buffer("shrink", torch.ones(()))
        self.register_buffer("spread_share", torch.ones(()))
        self.register_buffer("risk_share", torch.ones(2))
        self.register_buffer("widening", torch.ones(()))
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("labelled", torch.tensor(False))  # whether it was trained on labels, or on valence alone

    @property
    def width(self) -> int:
        """H, the size of the hidden state."""
        return self.within_day.value.shape[-1]

    # -- what is fitted before and after training ----------------------------------------------------------------------

    def forget_calibration(self) -> None:
        """Make the shrinkage and the calibration neutral, as before a first training."""
        for buffer in (self.temperature, self.shrink, self.spread_share, self.risk_share, self.widening):
            buffer.fill_(1.0)
        self.risk_scale.copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))

    def fit_scales(self, trace: Trace, role: np.ndarray) -> Scales:
        """Standardise the features on the days where ``role`` (U, D) is true: each data set has scales and bins of its own.

        Returns:
            what is in use from now on, to be put back by :meth:`use_scales` after another data set's was.
        """
        raw = trace.features
        if isinstance(raw, SparseDays):
            user, day, value = raw.kept
            seen = value[role[user, day]]
        else:
            seen = raw[role]
        some = np.isfinite(seen).sum(axis=0) > 1
        center, spread = np.zeros(len(some) + 1), np.ones(len(some) + 1)  # the last for features that the trace lacks
        center[:-1][some] = np.nanmean(seen[:, some], axis=0)
        spread[:-1][some] = np.maximum(np.nanstd(seen[:, some], axis=0), 1e-6)
        edges = np.tile(np.linspace(-2, 2, BINS + 1), (len(some) + 1, 1))
        scaled = (seen[:, some] - center[:-1][some]) / spread[:-1][some]
        if some.any():  # of no columns NumPy makes an array of another shape
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

    def fit_simple(self, traces: list[Trace], roles: list[np.ndarray], horizon: int) -> None:
        """Fit the simple forecasters on the days where each trace's ``role`` (U, D) is true.

        The level model by maximum likelihood, the transitions between emotions by counting (one added to each count), the risk of
        an episode within ``horizon`` days by logistic regression on the level model's logit of a negative day.
        """
        count = np.ones(tuple(self.transition.shape))
        for trace, role in zip(traces, roles, strict=True):
            for people in trace.blocks():
                emotion = np.where(role[people], trace.emotion[people], -1)
                both = (emotion[:, :-1] >= 0) & (emotion[:, 1:] >= 0)
                np.add.at(count, (emotion[:, :-1][both], emotion[:, 1:][both]), 1.0)
        self.level.fit([np.where(role, trace.valence, np.nan) for trace, role in zip(traces, roles, strict=True)])
        self.transition.copy_(torch.as_tensor(count / count.sum(axis=1, keepdims=True)))
        chances, happened = [np.zeros(0)], [np.zeros(0)]
        for trace, role in zip(traces, roles, strict=True):
            people = spaced(np.flatnonzero(np.isfinite(trace.valence).any(axis=1)), PEOPLE)
            some = trace.of(people)
            episode = day_labels(some, role[people], horizon).episode.numpy()
            known = np.isfinite(episode)
            asked = days_in(known)
            chances.append(self.level.foresee(some.valence, asked)[asked >= 0][:, 2])
            happened.append(episode[known])
        chance, target = (torch.from_numpy(np.concatenate(parts)) for parts in (chances, happened))
        self.episode_line.copy_(platt(chance, target))

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

    def inputs(self, trace: Trace, days: np.ndarray | None = None, foresee: Foresee | None = None) -> DayBatch:
        """The model inputs of all people of a trace, on this module's device; ``days`` as in ``day_batch``.

        ``foresee`` stands for the level model, where what it says is known already.
        """
        code = {name: index for index, name in enumerate(self.profiles)}
        codes = np.array([*(code.get(name, -1) for name in trace.profiles), -1])
        trace = replace(trace, profile=codes[trace.profile])
        scales = self.center.cpu().numpy(), self.spread.cpu().numpy()
        batch = day_batch(trace, foresee or self.level.foresee, *scales, self.columns(trace), days)
        return batch.to(self.center.device)

    # -- beliefs -------------------------------------------------------------------------------------------------------

    def forward(self, days: DayBatch) -> DayState:
        """Beliefs at the end of each day, shapes as in :class:`DayState`."""
        recent = torch.cat([days.foreseen, days.valence[..., None], days.said[..., None]], dim=-1)
        memory = self._remember(days, recent)
        hidden = self.join(torch.cat([memory, self.report(days.report), recent], dim=-1))
        joined = torch.cat([hidden, recent], dim=-1)
        residual, widen = self.residual_head(joined).unbind(-1)
        base, usual, chance = days.foreseen.unbind(-1)
        if not self.uses_level:
            base, usual, chance = torch.zeros_like(base), torch.full_like(usual, ALONE), torch.zeros_like(chance)
        mean = (base + self.shrink * residual).clamp(-1, 1)
        spread = (usual + self.spread_share * widen.clamp(-2, 2)).exp()
        nowcast = self.nowcast_head(memory)
        today = functional.one_hot((days.report - 1).clamp(min=0), nowcast.shape[-1]).to(nowcast.dtype)
        today = torch.where(days.report[..., None] > 0, today, nowcast.softmax(dim=-1))
        forecast = (today @ self.transition).log() + self.forecast_head(joined)
        within = self.episode_line[0] * chance + self.episode_line[1]
        negative, episode = (torch.stack([chance, within], dim=-1) + self.risk_share * self.risk_head(joined)).unbind(-1)
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
        before = functional.pad(recent, (0, 0, 1, 0))[:, :-1] if days.eve is None else days.eve
        report_before = functional.pad(days.report, (1, 0))[:, :-1] if days.eve_report is None else days.eve_report
        known_before = torch.ones_like(before, dtype=torch.bool)
        memory = self.within_day(
            torch.cat([days.features, before], dim=-1),
            torch.cat([days.own, torch.zeros_like(before)], dim=-1),
            torch.cat([days.known, known_before], dim=-1),
            [report_before, days.profile[:, None].expand_as(days.report)],
        )
        for block in self.across_days:
            memory = block(memory, days.present, days.day)
        return memory

    def tracked(self, trace: Trace) -> np.ndarray:
        """Tomorrow's valence as the level model foresees it from the reports alone, (U, D), in [−1, 1].

        It has read nothing of what the day's feed held, so what tomorrow brings beyond it may be credited to that feed.
        """
        tracked: np.ndarray = np.clip(self.level.expect(trace.valence), -1, 1)
        return tracked

    def believed(self) -> dict[str, float]:
        """In which share each residual of the network counts, 0 to 1; at 0 the level model alone foretells."""
        negative, episode = self.risk_share.tolist()
        return {"valence": float(self.shrink), "spread": float(self.spread_share), "negative": negative, "episode": episode}

    def usual_scale(self) -> float:
        """Scale of a day's valence of somebody of whom nothing is known."""
        return float(np.exp(self.level.foresee(np.full((1, 1), np.nan))[0, 0, 1])) * float(self.widening)

    @torch.no_grad()
    def encode(self, trace: Trace, batch_users: int = 256, days: np.ndarray | None = None) -> DayState:
        """Beliefs for all people of a trace, of an encoder in evaluation mode; (U, D, …) on the CPU.

        At most ``batch_users`` are encoded at once, and fewer over many days. With ``days`` (U, K), as in ``day_batch``, the
        beliefs are (U, K, …), and the same as over all days.
        """
        count = trace.days if days is None else days.shape[1]
        batches = [(users, count) for users in torch.arange(trace.users).split(min(batch_users, people_at_once(count)))]
        return join_states(self.encode_batches(self.inputs(trace, days), batches), count)

    @torch.no_grad()
    def encode_batches(self, days: DayBatch, batches: list[tuple[Tensor, int]]) -> list[DayState]:
        """Beliefs for each batch (people, number of days), of an encoder in evaluation mode."""
        return [self(days.rows(users, count)) for users, count in batches]

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
    def of_settings(
        cls, settings: EncoderSettings, features: tuple[str, ...], emotions: tuple[str, ...], profiles: tuple[str, ...]
    ) -> EmotionEncoder:
        """An untrained encoder for data with these behaviour features, emotions and profiles."""
        return cls(features, emotions, profiles, settings.hidden_size, settings.layers, settings.heads, settings.dropout)

    @classmethod
    def of_shape(cls, shape: Mapping[str, Any]) -> EmotionEncoder:
        """An untrained encoder of the shape that :meth:`shape` gave."""
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in shape.items()}
        return cls(**values)


ALONE = float(np.log(0.5))
"""Log of the scale that the network starts from where the level model is left out."""

AT_ONCE = 10_000_000
"""Scores of the attention over the days, and a hundred for a day's own attention, that are made at once."""


def people_at_once(days: int) -> int:
    """How many people can be encoded together over so many days."""
    return max(1, AT_ONCE // (max(days, 1) * max(days, 100)))


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
