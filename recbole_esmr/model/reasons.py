"""Why a slate is as it is: what each candidate is ranked by, in parts that add up to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.causal.effects import UNIT
from recbole_esmr.causal.traits import EXPOSURE, IN_STATE, STABLE, VULNERABLE, Traits
from recbole_esmr.data.log import Log
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.model.ranking import Rankers, Ranking
from recbole_esmr.model.state import with_ratio
from recbole_esmr.settings import setting

ENGAGEMENT, LEARNED, DOUBT = "expected engagement", "what else the re-ranker learned", "disagreement of the re-ranker's networks"
GUARD = "limit on one emotion"
"""The parts that are no effect of what an item is."""


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """What leaves the program about single people."""

    export_emotions: bool = setting("whether what is believed of single people is printed and written, by name")


@dataclass(frozen=True)
class Reasons:
    r"""The value of each candidate in parts.

    .. math:: h_{ui} + w_u q_{ui} - l_{ui} = \sum_r part_{uir}, \quad
              part_{uif} = \frac{w_u}{K_u} \Big(M_u\, s_u\, ratio_{ui}\, g_{if} \frac{w_f}{0.1} - \text{mean over candidates}\Big)

    for a trait f (:class:`~recbole_esmr.causal.traits.Traits`) with weight w_f, M what a unit of mood is worth to the person
    today, s their susceptibility. :data:`LEARNED` is the same of the re-ranker's B, :data:`DOUBT` of its pessimism;
    :data:`ENGAGEMENT` is what the engagement ranking ranks by,
    :data:`GUARD` is l, what a full kind takes off (:class:`~recbole_esmr.model.guard.Guard`).

    Attributes:
        names: of the R parts.
        part: (B, C, R); 0 of everything but the engagement and the limit where a slate is the engagement ranking's.
        amount: (B, C, R) how much of a trait an item brings if it is shown, exposure units; 0 of other parts.
        weight: (B, R) effect of a unit of it on the person's mood, discounted by its uncertainty; 0 of other parts.
    """

    names: tuple[str, ...]
    part: Tensor
    amount: Tensor
    weight: Tensor

    def without(self, name: str) -> Tensor:
        """What the candidates would be ranked by without a part, (B, C)."""
        rest = [place for place, other in enumerate(self.names) if other != name]
        return self.part[..., rest].sum(dim=-1)

    def of_item(self, place: int, column: int, name: str) -> dict[str, Any]:
        """One candidate: what it is ranked by, and the part other than engagement that lifts it most above the others.

        Args:
            place: of the person; column: of the candidate.
            name: of the item.
        """
        parts = dict(zip(self.names, self.part[place, column].tolist(), strict=True))
        lifts = {part: value for part, value in parts.items() if part != ENGAGEMENT and value > 0}
        best = max(lifts, key=lambda part: lifts[part]) if lifts else None
        return {"item": name, "value": sum(parts.values()), "lifted_by": best, "parts": parts}


@torch.no_grad()
def reasons_of(
    ranking: Ranking, rankers: Rankers, log: Log, beliefs: Beliefs, traits: Traits, weights: dict[str, float], size: np.ndarray,
    pessimism: float,
) -> Reasons:  # fmt: skip
    """The parts of a ranking that the learned re-ranker has made.

    Args:
        ranking: made with the others.
        traits: what the items are.
        weights: by the name of each trait's exposure, per :data:`~recbole_esmr.causal.effects.UNIT`.
        size: (B,) items of each slate.
        pessimism: of the serving rule.
    """
    candidates, weight = ranking.candidates, ranking.weight
    item, row, day = candidates.item.numpy(), candidates.row, candidates.day
    names, groups = _kinds(traits)
    risk = beliefs.risk[row, day]
    chance = np.stack([np.ones_like(risk), 1 - risk, risk], axis=1)[
        :, np.searchsorted([STABLE, VULNERABLE], traits.state, "right")
    ]
    each = np.array([weights.get(name, 0.0) for name in traits.names]) / UNIT
    own = rankers.responses.of(log.people[row])[:, None] * chance * each  # (B, F)
    of_trait = np.zeros((len(row), len(names)))
    amount = np.zeros((*item.shape, len(names)))
    ratio = candidates.ratio.double()
    for place, members in enumerate(groups):
        of_trait[:, place] = own[:, members].sum(axis=1)  # the columns of a trait hold the same amounts
        amount[..., place] = traits.value[item, members[0]]
    shown = torch.from_numpy(amount) * ratio[..., None]
    device = next(rankers.value.parameters()).device
    state = beliefs.morning[row, day].to(device)
    features = with_ratio(rankers.item_features[candidates.item], candidates.ratio).to(device)
    base, mood = rankers.value.base(state, features).cpu().double(), rankers.value.mood(state).cpu().double()
    effect = candidates.effect.double() if rankers.causal else torch.zeros_like(ratio)
    doubt = -pessimism * (base + mood[..., None] * effect).std(dim=0)
    of_mood = mood.mean(dim=0)[:, None, None] * shown * torch.from_numpy(of_trait)[:, None] * float(rankers.causal)
    benefit = torch.cat([of_mood, base.mean(dim=0)[..., None], doubt[..., None]], dim=-1)
    scale = weight.double() / torch.from_numpy(np.maximum(size, 1))
    part = (benefit - benefit.mean(dim=1, keepdim=True)) * scale[:, None, None]
    real = candidates.engagement > -torch.inf
    guard = -ranking.held_back.double()
    of_benefit = weight.double()[:, None] * ranking.benefit.double()
    engagement = torch.where(real, ranking.value.double() - of_benefit - guard, -torch.inf)
    nothing = torch.zeros(*item.shape, 4, dtype=torch.double)
    return Reasons(
        names=(*names, LEARNED, DOUBT, GUARD, ENGAGEMENT),
        part=torch.cat([part, guard[..., None], engagement[..., None]], dim=-1),
        amount=torch.cat([shown, nothing], dim=-1),
        weight=torch.cat([torch.from_numpy(of_trait), torch.zeros(len(row), 4)], dim=-1),
    )


def _kinds(traits: Traits) -> tuple[list[str], list[list[int]]]:
    """The traits without the state of the day they were asked after on, and the columns of each."""
    plain = []
    for name, state in zip(traits.names, traits.state.tolist(), strict=True):
        plain.append(name.removeprefix(EXPOSURE).removesuffix(IN_STATE[state]))
    names = list(dict.fromkeys(plain))
    return names, [[place for place, other in enumerate(plain) if other == name] for name in names]
