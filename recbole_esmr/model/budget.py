"""How much of the benefit may weigh in each slate: one engagement budget over all people, and a floor under every slate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_esmr.model.guard import Limits

_STEPS = 18
_DECADES = 4.0


@dataclass(frozen=True)
class Slates:
    """What :class:`SlateBudget` makes of a weight for each of B people.

    Attributes:
        value: (B, C) what each candidate is ranked by.
        held_back: (B, C) what the limits have taken off it, so that what they hold back comes after all others.
        columns, inside: (B, K) columns of the slates, best first, and which of them exist.
        engagement: (B,) expected of the slates.
        kept: (B,) the same, less what they take from the days to come beyond the usual ones.
    """

    value: Tensor
    held_back: Tensor
    columns: Tensor
    inside: Tensor
    engagement: Tensor
    kept: Tensor


class SlateBudget:
    r"""The slates of B people as a function of how much the benefit weighs in each.

    A person's slate holds the K items with the largest

    .. math:: h_{ui} + w_u\, q_{ui}

    with the expected engagement h and the benefit q; with w = 0 it is the engagement ranking's. The engagement of the slate never
    rises with w, so that a floor under it, or under the sum over people, is met by bisection (a Lagrange multiplier, Everett
    1963). What is ``kept`` beside that need not fall with every step of w; the floor holds of it all the same.

    Args:
        engagement: (B, C) expected engagement of each candidate, at least 0, in any unit; −inf for what is no candidate.
        benefit: (B, C).
        size: (B,) items to show each person.
        distrust: factor on the engagement of items that the engagement ranking would not show, at most 1: what was never chosen
            is predicted too well.
        limits: that every slate keeps, the usual one too; what they cost is no part of the budget. Where too few candidates are
            left the slate is filled with the best of those held back.
        toll: (B, C) what an item in a slate takes from the engagement of the days to come, as a share of the usual one's: who
            feels better may watch less. It counts in the budget over all people, not in the floor under a slate of today.

    Attributes:
        usual: (B, C) bool, the engagement ranking's slates.
        usual_engagement: (B,) expected engagement of these.
    """

    def __init__(
        self, engagement: Tensor, benefit: Tensor, size: Tensor, distrust: float = 1.0, limits: Limits | None = None,
        toll: Tensor | None = None,
    ) -> None:  # fmt: skip
        width = min(int(size.max()) if len(size) else 0, engagement.shape[1])
        self._inside, self._limits = torch.arange(width) < size[:, None], limits
        held_back = self._taken_off(engagement)
        best = (engagement if held_back is None else engagement - held_back).topk(width, dim=1).indices
        self.usual = torch.zeros_like(engagement, dtype=torch.bool).scatter(1, best, self._inside)
        self.usual_engagement = _total(engagement.gather(1, best), self._inside)
        self._engagement = torch.where(self.usual, engagement, min(distrust, 1.0) * engagement)
        self._benefit = benefit
        taken = torch.zeros_like(engagement) if toll is None else toll * self.usual_engagement[:, None]
        self._toll = taken.masked_fill(engagement == -torch.inf, 0.0)
        self._usual_toll = _total(self._toll.gather(1, best), self._inside, signed=True)
        real = engagement > -torch.inf
        spread = _spread(engagement, real) / _spread(benefit, real).clamp(min=1e-12)
        self._unit = torch.where(_spread(benefit, real) > 1e-12, spread, 0.0)

    def slates(self, weight: Tensor) -> Slates:
        """The slates of weights w (B,), with all that is asked of them."""
        value, held_back = self._values(weight)
        columns = self._best(value)
        engagement = self._engagement_of(columns)
        held_back = torch.zeros_like(value) if held_back is None else held_back
        return Slates(value, held_back, columns, self._inside, engagement, engagement - self._toll_of(columns))

    def engagement(self, weight: Tensor) -> Tensor:
        """Expected engagement of the slates, (B,)."""
        return self._engagement_of(self._best(self._values(weight)[0]))

    def kept(self, weight: Tensor) -> Tensor:
        """Expected engagement of the slates, less their toll, (B,)."""
        columns = self._best(self._values(weight)[0])
        return self._engagement_of(columns) - self._toll_of(columns)

    def largest_weights(self, floor: float) -> Tensor:
        """The largest weight that keeps each slate's engagement at ``floor`` of the usual one's, (B,)."""
        least = floor * self.usual_engagement
        low, high = torch.full_like(least, -_DECADES), torch.full_like(least, _DECADES)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            enough = self.engagement(10**middle * self._unit) >= least
            low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
        weight = 10**low * self._unit
        return torch.where(self.engagement(weight) >= least, weight, 0.0)

    def weights(self, multiplier: float, floor: float) -> Tensor:
        """The smaller of a multiplier and the largest weight that keeps each slate's engagement at ``floor``, (B,).

        The largest weight is looked for only where the multiplier itself does not keep the floor: engagement never rises with w.
        """
        weight = torch.where(self._unit > 0, torch.full_like(self._unit, multiplier), 0.0)
        if bool((self.engagement(weight) >= floor * self.usual_engagement).all()):
            return weight
        return self.largest_weights(floor).clamp(max=multiplier)

    def multiplier(self, most: Tensor, floor: float) -> float:
        """The λ up to which the slates of weights min(λ, most) keep ``floor`` of all usual engagement together, tolls paid.

        Args:
            most: (B,) each slate's largest weight, 0 for who is to be left alone.
            floor: share, 0–1.
        """
        least = floor * float(self.usual_engagement.sum())

        def kept(weight: Tensor) -> float:
            return float(self.kept(weight).sum())

        high = float(most.max()) if len(most) else 0.0
        if high <= 0 or kept(most) >= least:
            return high
        low = float(most[most > 0].min()) * 10 ** (-2 * _DECADES)  # at which nobody's slate changes
        wider = math.log10(high / low) / (2 * _DECADES)
        for _ in range(_STEPS + 4 + math.ceil(math.log2(wider))):
            middle = (low * high) ** 0.5
            enough = kept(most.clamp(max=middle)) >= least
            low, high = (middle, high) if enough else (low, middle)
        return low if kept(most.clamp(max=low)) >= least else 0.0

    def _values(self, weight: Tensor) -> tuple[Tensor, Tensor | None]:
        """What candidates are ranked by, and what the limits have taken off it."""
        value = torch.where(weight[:, None] > 0, self._engagement + weight[:, None] * self._benefit, self._engagement)
        held_back = self._taken_off(value)
        return (value if held_back is None else value - held_back), held_back

    def _best(self, value: Tensor) -> Tensor:
        """Columns of the slates, best first, (B, K)."""
        return value.topk(self._inside.shape[1], dim=1).indices

    def _engagement_of(self, columns: Tensor) -> Tensor:
        return _total(self._engagement.gather(1, columns), self._inside)

    def _toll_of(self, columns: Tensor) -> Tensor:
        """What slates take from the days to come beyond the usual ones, (B,); one that makes a mood worse earns nothing by it."""
        toll = _total(self._toll.gather(1, columns), self._inside, signed=True) - self._usual_toll
        return toll.clamp(min=0)

    def _taken_off(self, value: Tensor) -> Tensor | None:
        """What comes off values (B, C), so that what the limits hold back comes last; None where nothing is limited."""
        if self._limits is None:
            return None
        beyond = _spread(value, value > -torch.inf)[:, None] + 1
        return torch.where(self._limits.held_back(value), beyond, 0.0)


RATE = 0.1
"""Step of the dual ascent."""


def ascended(multiplier: float, kept: float, usual: float, floor: float) -> float:
    r"""The multiplier λ of a budget after a step of dual ascent, for the people still to come.

    .. math:: λ \leftarrow λ \exp\big(0.1\, \operatorname{clip}(\tfrac{kept / usual - f}{1 - f}, -1, 1)\big)

    Args:
        multiplier: λ before.
        kept, usual: expected engagement of the slates shown, and of the engagement ranking's.
        floor: f, share of the usual engagement that is to be kept; at 1 nothing may be spent, and λ stays.
    """
    if usual <= 0 or floor >= 1:
        return multiplier
    return multiplier * math.exp(RATE * min(max((kept / usual - floor) / (1 - floor), -1.0), 1.0))


def _total(value: Tensor, inside: Tensor, signed: bool = False) -> Tensor:
    return value.masked_fill(~inside, 0.0).clamp(min=-torch.inf if signed else 0).sum(dim=1)


def _spread(value: Tensor, real: Tensor) -> Tensor:
    """Largest less smallest of each row, (B,); 0 where there is none."""
    if not value.numel():
        return value.new_zeros(len(value))
    top = value.masked_fill(~real, -torch.inf).amax(dim=1)
    bottom = value.masked_fill(~real, torch.inf).amin(dim=1)
    return torch.where(real.any(dim=1), top - bottom, 0.0)
