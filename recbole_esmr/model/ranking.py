"""How a slate is made: one function of beliefs, rankers, people, day and pool, and all of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.causal.responses import Responses
from recbole_esmr.causal.reward import ItemEffects
from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.log import Log
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.model.budget import SlateBudget
from recbole_esmr.model.engagement_ranker import EngagementFeatures, EngagementRanker
from recbole_esmr.model.gate import ALWAYS, Gate
from recbole_esmr.model.guard import Guard
from recbole_esmr.model.state import with_ratio
from recbole_esmr.settings import SERVING, section, setting

if TYPE_CHECKING:
    from recbole_esmr.rl.value import ItemValue

VIEWS, WATCH_TIME = "views", "watch_time"

UPLIFT, CALM = "uplift", "calm"
GOALS = (UPLIFT, CALM)
"""What a person may ask for: a better mood tomorrow, or to be spared what harms it and what excites."""

PREFER, AVOID = "prefer ", "avoid "
"""Beginnings of goals that name a strategy of emotion regulation, such as ``prefer reappraisal``."""


def goals_of(strategies: Sequence[str]) -> list[str]:
    """All goals that may be asked for where items have these strategies."""
    return [*GOALS, *(verb + name for name in strategies for verb in (PREFER, AVOID))]


@dataclass(frozen=True, kw_only=True)
class ServingRule:
    """How a trained model is served."""

    gate: Gate = section("gate_")
    guard: Guard = section("max_")
    candidates: int = setting("items that LightGBM ranks", low=1, high=1_000_000)
    rank_by: str = setting("what the engagement ranking maximises", choices=(VIEWS, WATCH_TIME))
    min_engagement: float = setting("floor under everybody's watch time together, as a share", low=0, high=1, changes=SERVING)
    min_engagement_slate: float = setting("floor under every slate's, as a share", low=0, high=1, changes=SERVING)
    pessimism: float = setting(
        "standard deviations of the ensemble taken off a value", low=0, high=10, key="reranker_pessimism", changes=SERVING
    )

    def floor(self, elasticity: float) -> float:
        r"""Least share of the usual watch time of who is here that keeps ``min_engagement`` of it all, absent people included.

        .. math:: f^{1 + η} = min\_engagement

        for who watches less also comes back less, by the elasticity η of :class:`~recbole_esmr.causal.responses.Responses`.
        """
        return self.min_engagement ** (1 / (1 + elasticity))


class Scores(Protocol):
    """A retriever: :class:`~recbole_esmr.model.retriever.Retrieval`, or one that knows no person."""

    @property
    def items(self) -> int:
        """I."""

    @property
    def sequential(self) -> bool:
        """Whether what was watched before the day changes the scores."""

    def __call__(self, log: Log, row: np.ndarray, day: np.ndarray) -> Tensor:
        """Scores (B, I) of all items for people in rows (B,) of the log on days (B,), on the CPU; −inf for the padding item."""


@dataclass(frozen=True)
class Rankers:
    """All that training made for ranking, beside the encoder.

    Ranking writes nothing to it. Its networks are those of the model: train them further, and it ranks otherwise.

    Attributes:
        retrieval: scores of all items.
        watch, views: expected watch ratio if shown; chance to be watched next among what is offered.
        stack: b₀, b₁, b₂ of :meth:`view_chance`.
        value: the re-ranker's Q; on any device.
        item_features: (I, X) of the items (:func:`~recbole_esmr.model.state.item_features`).
        effects: what items do to tomorrow's valence.
        responses: how strongly people respond.
        causal: whether the re-ranker credits items with their effects.
        acts: whether the re-ranker is trained, and has anything to act on.
        backbone: whether the retriever's own order is the engagement ranking.
        multiplier: of the engagement budget over the held-out days, by what is ranked by, for who is served alone; None where
            nobody could act on those days.
    """

    catalogue: Catalogue
    taxonomy: Taxonomy
    retrieval: Scores
    watch: EngagementRanker
    views: EngagementRanker
    stack: tuple[float, float, float]
    value: ItemValue
    item_features: Tensor
    effects: ItemEffects
    responses: Responses
    causal: bool
    acts: bool
    backbone: bool
    multiplier: Mapping[str, float | None]

    def view_chance(self, ranked: Tensor, retrieved: Tensor) -> Tensor:
        """Chance to be watched next, from what LightGBM says p and the retriever's score r: σ(b₀ + b₁ logit p + b₂ r)."""
        intercept, of_ranker, of_retriever = self.stack
        chance = intercept + of_ranker * ranked.clamp(1e-6, 1 - 1e-6).logit() + of_retriever * retrieved
        return chance.sigmoid()

    def effect(self, people: np.ndarray, item: np.ndarray, risk: np.ndarray | None = None) -> np.ndarray:
        r"""Effect of a feed of one item, watched whole, on the mood from tomorrow on, (B, C), valence units: :math:`s_u e_i`.

        Where effects differ between good and bad days it is what is to be expected, :math:`s_u ((1 - p_u) e_i + p_u e_i')`.

        Args:
            people: (B,) RecBole's internal ids, 0 for a newcomer.
            item: (B, C).
            risk: (B,) chance p that the day is a bad one.
        """
        effect: np.ndarray = self.responses.of(people)[:, None] * self.effects.at(item, risk)
        return effect

    def benefit(self, candidates: Candidates, state: Tensor, pessimism: float) -> Tensor:
        """The re-ranker's value of items, (B, C), relative to the mean candidate, for people in states (B, S)."""
        device = next(self.value.parameters()).device
        features = with_ratio(self.item_features[candidates.item], candidates.ratio)
        effect = candidates.effect if self.causal else torch.zeros_like(candidates.ratio)
        value = self.value(state.to(device), features.to(device), effect.to(device), pessimism).cpu()
        return value - value.mean(dim=1, keepdim=True)


@dataclass(frozen=True)
class Candidates:
    """C items for each of B people on a day, and what is expected of them.

    Attributes:
        row, day: (B,) the person's row in the log, and the day's index.
        item: (B, C) internal ids, in the retriever's order; 0 where a person has fewer.
        engagement: (B, C) double, by which the engagement ranking orders them: the chance to be watched next, or expected watch
            seconds, as ``rank_by`` says; −inf where there is no item.
        ratio: (B, C) expected watch ratio if shown.
        effect: (B, C) what a feed of the item would do to tomorrow's valence, ratio included, valence units.
    """

    row: np.ndarray
    day: np.ndarray
    item: Tensor
    engagement: Tensor
    ratio: Tensor
    effect: Tensor

    TENSORS: ClassVar = ("item", "engagement", "ratio", "effect")

    def take(self, rows: Tensor) -> Candidates:
        """Those of some of the people."""
        index = rows.numpy()
        return Candidates(self.row[index], self.day[index], *(getattr(self, name)[rows] for name in self.TENSORS))


Benefit = Callable[[Candidates], tuple[Tensor, Tensor]]
"""What candidates are good for, (B, C), and whether the re-ranker may act on it, (B,) bool."""


@dataclass(frozen=True)
class Correction:
    """What a feed has shown of the expected engagement of items: numbers to multiply it by.

    Attributes:
        factor: (E + 1,) for items without an emotion, and of each.
        distrust: for items that the engagement ranking would not show, beside ``factor``; at most 1.
    """

    factor: np.ndarray
    distrust: float

    @classmethod
    def none(cls, emotions: int) -> Correction:
        """Nothing has been shown yet."""
        return cls(np.ones(emotions + 1), 1.0)


@dataclass(frozen=True)
class Ranking:
    """Slates of B people with all that they were made of.

    Attributes:
        candidates: the items among which was chosen.
        benefit: (B, C) what each is good for.
        weight: (B,) how much the benefit weighs beside the engagement, 0 where the engagement ranking stays.
        value: (B, C) what the candidates are ranked by, −inf where there is none.
        held_back: (B, C) what of it the limits on one emotion have taken off, 0 where they hold nothing back.
        usual: (B, C) bool, the slate of the engagement ranking.
        slate: (B, K) columns of the candidates, best first, −1 after a slate's end.
        acted: (B,) bool, whether the slate is another than the engagement ranking's.
        engagement, usual_engagement: (B,) expected engagement of the slate and of the engagement ranking's, as corrected.
        kept: (B,) the slate's, less what a better mood takes from the watch time of the days to come.
        shares: (B,) bool, whether the budget that is shared pays for the slate: not for who asks for a goal.
        multiplier: of that budget; None where it was not given and nobody could act.
    """

    candidates: Candidates
    benefit: Tensor
    weight: Tensor
    value: Tensor
    held_back: Tensor
    usual: Tensor
    slate: Tensor
    acted: Tensor
    engagement: Tensor
    usual_engagement: Tensor
    kept: Tensor
    shares: Tensor
    multiplier: float | None

    @property
    def items(self) -> np.ndarray:
        """Items of the slates, (B, K), 0 after a slate's end."""
        return self.of_slate(self.candidates.item, 0).numpy()

    def of_slate(self, value: Tensor, fill: float) -> Tensor:
        """A part (B, C) of the items in the slates, (B, K)."""
        return value.gather(1, self.slate.clamp(min=0)).masked_fill(self.slate < 0, fill)


@torch.no_grad()
def rank(
    rankers: Rankers,
    log: Log,
    beliefs: Beliefs,
    row: np.ndarray,
    day: np.ndarray,
    rule: ServingRule,
    size: np.ndarray,
    *,
    offered: np.ndarray | None = None,
    retrieved: Tensor | None = None,
    multiplier: float | None = None,
    correction: Correction | None = None,
    goal: np.ndarray | None = None,
    benefit: Benefit | None = None,
    batch: int = 128,
) -> Ranking:
    """Rank items for people on a day; a pure function of its arguments.

    The retriever proposes candidates; LightGBM says what engagement to expect of each; where the gate is open the re-ranker's
    benefit weighs beside it, as much as the engagement budget over all of these people allows. Everything that is read lies
    before the day.

    Args:
        rankers: what training made.
        log: of the people; ``beliefs``: of the same people, row by row.
        row, day: (B,) for whom (rows of the log) and on which days (0 … D; below 0 on days before the log's, where nothing but
            the history and the counts of items is known).
        rule: how to serve.
        size: (B,) items of each slate.
        offered: (I,) bool, the items on offer; or by day, (days, I), a row for each that ``day`` names; all unless given.
        retrieved: (B, I) the retriever's scores, where they are known already.
        multiplier: of the budget; found over these people unless given.
        correction: of the expected engagement; none unless given.
        goal: (B,) what each person asks for, one of :data:`GOALS`, a strategy to prefer or avoid, or empty. Who asks gets as
            much as the floor under a slate allows, by the proven effects, whatever the gate says, and takes nothing from the
            others' budget.
        benefit: of another re-ranker; the learned one's unless given.
        batch: people whose candidates are made at once.
    """
    features = EngagementFeatures.of(log, beliefs.forecast, rankers.catalogue)
    make = benefit or _learned(rankers, beliefs, rule)
    items = len(rankers.item_features) - 1 if offered is None else int(offered.sum(axis=-1).max(initial=0))
    parts = []
    for start in range(0, max(len(row), 1), batch):  # one batch, of nobody, where there is nobody
        rows, days = row[start : start + batch], day[start : start + batch]
        scores = rankers.retrieval(log, rows, days) if retrieved is None else retrieved[start : start + batch]
        if offered is not None:
            pool = torch.from_numpy(offered if offered.ndim == 1 else offered[days])
            scores = scores.masked_fill(~pool, -torch.inf)
        found = _candidates(rankers, log, beliefs, features, rows, days, scores, rule, min(rule.candidates, items))
        parts.append((found, *make(found)))
    candidates = Candidates(
        row, np.maximum(day, 0), *(torch.cat([getattr(x, name) for x, *_ in parts]) for name in Candidates.TENSORS)
    )
    per_slate, may_act = torch.cat([x for _, x, _ in parts]), torch.cat([x for _, _, x in parts])
    benefits = per_slate / torch.from_numpy(np.maximum(size, 1))[:, None]  # a slate is worth the mean of its items
    consent, emotion = beliefs.consent[row], rankers.catalogue.emotion[candidates.item.numpy()]
    correction = correction or Correction.none(len(rankers.taxonomy))
    asks = torch.zeros(len(row), dtype=torch.bool) if goal is None else torch.from_numpy(goal != "")
    if goal is not None and asks.any():
        benefits = _asked(benefits, goal, consent, candidates, rankers)
    factor = np.where(consent[:, None], correction.factor[emotion + 1], 1.0)
    corrected, limits = candidates.engagement * torch.from_numpy(factor), rule.guard.of(rankers.catalogue, candidates.item, size)
    toll = rankers.responses.mood_cost * candidates.effect / torch.from_numpy(np.maximum(size, 1))[:, None]
    budget = SlateBudget(corrected, benefits, torch.from_numpy(size), correction.distrust, limits, toll)
    floor = rule.floor(rankers.responses.elasticity)
    weight, shared = _weights(budget, may_act, ~asks, rule, floor, multiplier)
    if asks.any():
        weight = torch.where(asks, budget.largest_weights(rule.min_engagement_slate), weight)
    slates = budget.slates(weight)
    columns = slates.columns
    inside = slates.inside & (candidates.engagement.gather(1, columns) > -torch.inf)
    return Ranking(
        candidates=candidates,
        benefit=benefits,
        weight=weight,
        value=slates.value,
        held_back=slates.held_back,
        usual=budget.usual,
        slate=columns.masked_fill(~inside, -1),
        acted=(~budget.usual.gather(1, columns) & inside).any(dim=1),
        engagement=slates.engagement,
        kept=slates.kept,
        usual_engagement=budget.usual_engagement,
        shares=~asks,
        multiplier=shared,
    )


def _candidates(
    rankers: Rankers, log: Log, beliefs: Beliefs, features: EngagementFeatures, row: np.ndarray, day: np.ndarray,
    retrieved: Tensor, rule: ServingRule, width: int,
) -> Candidates:  # fmt: skip
    """The ``width`` items with the best of the retriever's scores (B, I), and what is expected of them."""
    best, item = retrieved.topk(width, dim=1)
    table = pair_table(features, row, day, item, best)
    ratio = _shaped(rankers.watch.predict(table), item)
    if rankers.backbone:  # the order is the backbone's
        engagement = ratio
    elif rule.rank_by == VIEWS:
        engagement = rankers.view_chance(_shaped(rankers.views.predict(table), item), best)
    else:
        engagement = ratio * torch.from_numpy(rankers.catalogue.duration).float()[item]
    engagement = engagement.double() - 1e-9 * torch.arange(item.shape[1])  # ties go by the retriever
    none = best == -torch.inf
    known = np.maximum(day, 0)
    effect = torch.from_numpy(rankers.effect(log.people[row], item.numpy(), beliefs.risk[row, known])).float() * ratio
    return Candidates(row, known, item.masked_fill(none, 0), engagement.masked_fill(none, -torch.inf), ratio, effect)


def pair_table(features: EngagementFeatures, row: np.ndarray, day: np.ndarray, item: Tensor, retrieved: Tensor) -> np.ndarray:
    """LightGBM's features of items (B, C) with the retriever's scores, a line an item: (B · C, features)."""
    rows, days = (np.repeat(x, item.shape[1]) for x in (row, day))
    return features.table(rows, days, item.reshape(-1).numpy(), retrieved.reshape(-1).numpy())


def _learned(rankers: Rankers, beliefs: Beliefs, rule: ServingRule) -> Benefit:
    """The re-ranker's own benefit; with the causal reward and no effect proven there is nothing to hand over to."""
    gate = beliefs.gate(rule.gate) & rankers.acts

    def benefit(candidates: Candidates) -> tuple[Tensor, Tensor]:
        may_act = torch.from_numpy(gate[candidates.row, candidates.day])
        value = torch.zeros_like(candidates.ratio)
        acting = may_act.nonzero().squeeze(1)
        if len(acting) and candidates.item.shape[1]:
            part = candidates.take(acting)
            value[acting] = rankers.benefit(part, beliefs.morning[part.row, part.day], rule.pessimism)
        return value, may_act

    return benefit


def _asked(benefit: Tensor, goal: np.ndarray, consent: np.ndarray, candidates: Candidates, rankers: Rankers) -> Tensor:
    """The benefit, for who asks what items do for the goal.

    ``calm`` counts every harm and, of what lifts the mood, only what does not excite: an effect of an arousing item above 0
    counts as 0. A strategy that is preferred or avoided comes before any effect, and effects order the rest.
    Of who does not consent no goal is read.
    """
    item, reads = candidates.item, torch.from_numpy(consent)[:, None]
    effect = candidates.effect * reads
    excites = torch.from_numpy((rankers.catalogue.share @ rankers.taxonomy.arousal > 0)[item.numpy()])
    calming = torch.where(excites, effect.clamp(max=0), effect)
    of_goal = torch.where(torch.from_numpy(goal == CALM)[:, None], calming, effect)
    beyond = 1.0 + 2.0 * float(effect.abs().max()) if effect.numel() else 1.0
    for wanted in np.unique(goal[np.char.find(goal.astype(str), " ") > 0]).tolist():
        offers = torch.from_numpy(rankers.catalogue.strategy == wanted.partition(" ")[2])[item]
        asked = torch.from_numpy(goal == wanted)[:, None] & offers & reads
        of_goal = torch.where(asked, of_goal + (beyond if wanted.startswith(PREFER) else -beyond), of_goal)
    return torch.where(torch.from_numpy(goal != "")[:, None], of_goal, benefit)


def _weights(
    budget: SlateBudget, may_act: Tensor, shares: Tensor, rule: ServingRule, floor: float, multiplier: float | None
) -> tuple[Tensor, float | None]:
    """How much the benefit weighs in each slate, (B,), 0 where the re-ranker may not act; and the multiplier.

    One multiplier for everybody who ``shares`` in the budget, within each slate's floor; who does not counts as if left alone.
    With the gate ``always`` nothing is shared: each slate goes as far as ``floor`` under itself.
    """
    acts = may_act & shares
    if not acts.any():
        return torch.zeros(len(acts), dtype=torch.double), multiplier
    if rule.gate.rule == ALWAYS:
        return budget.largest_weights(floor) * acts, multiplier
    if multiplier is not None:
        return budget.weights(multiplier, rule.min_engagement_slate) * acts, multiplier
    most = budget.largest_weights(rule.min_engagement_slate) * acts
    shared = budget.multiplier(most, floor)
    return most.clamp(max=shared), shared


def _shaped(value: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(value).float().reshape(like.shape)
