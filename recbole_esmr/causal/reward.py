"""What the re-ranker is rewarded for: engagement, the paper's shaping terms, and proven effects on tomorrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_esmr.causal.effects import STATES, UNIT
from recbole_esmr.causal.panel import EMOTION

_STATES = STATES[1:]


@dataclass(frozen=True)
class ItemEffects:
    """Effect of a feed made of one item, watched whole, on tomorrow's valence; shape (2, I), in valence units.

    Row 0 for people in a stable state, row 1 for vulnerable ones (today's valence at least, or below, 0):

    .. math:: e_{si} = g_i\\, (w_{s,±} + w_{e(i)} - w_{±}) / 0.1

    with w the weights of :mod:`~recbole_esmr.causal.effects`: of the item's emotion e, of its sign's group ±, and of the group in
    state s. Without a weight of its own an emotion has its group's.
    """

    valence: np.ndarray

    @classmethod
    def from_weights(
        cls,
        effects: Iterable[Mapping[str, Any]],
        negative: np.ndarray,
        positive: np.ndarray,
        emotion: np.ndarray | None = None,
        labels: Sequence[str] = (),
    ) -> ItemEffects:
        """From effects with a ``weight``; effects of other outcomes and treatments do not count.

        Args:
            effects: as dicts.
            negative, positive: intensity of the items of each sign, 0 for the others, (I,).
            emotion: code of each item's emotion, (I,), and ``labels``, their names; for effects of single emotions.
        """
        weight = {
            (effect["treatment"], effect["state"]): float(effect["weight"])
            for effect in effects
            if effect["outcome"] == "valence"
        }
        total = np.zeros((len(_STATES), len(negative)))
        for group, intensity in (("negative_exposure", negative), ("positive_exposure", positive)):
            whole = weight.get((group, "all"), 0.0)
            of_item = np.full(len(intensity), whole)
            for code, label in enumerate(labels if emotion is not None else ()):
                of_item[emotion == code] = weight.get((EMOTION + label, "all"), whole)
            for row, state in enumerate(_STATES):
                total[row] += (weight.get((group, state), whole) + of_item - whole) * intensity / UNIT
        return cls(total)

    def of(self, item: np.ndarray, vulnerable: np.ndarray) -> np.ndarray:
        """Effects of items for people in a state; same shape as ``item`` and ``vulnerable`` (bool)."""
        return self.valence[vulnerable.astype(int), item]


@dataclass(frozen=True)
class Reward:
    """The reward of showing an item; the reward of a slate is the mean over its items.

    .. math:: r = a\\,ratio + [kind ≠ engagement] (b\\,[v_t < 0 ≤ v_{t+1}] - c\\,|v_{t+1} - v_t| - d\\,[gone])
              + [kind = causal]\\, λ\\, ratio · e_i

    Attributes:
        kind: engagement, emotion (the paper's shaping terms on observed moods) or causal (and the proven effects).
        engagement, valence, transition, volatility, churn: the weights a, λ, b, c, d.
    """

    kind: str
    engagement: float
    valence: float
    transition: float
    volatility: float
    churn: float

    def of_items(self, watch_ratio: np.ndarray, effect: np.ndarray) -> np.ndarray:
        """The part that differs between the items of a slate; same shape as the arguments.

        Args:
            watch_ratio: 0–1.
            effect: of a full view on tomorrow's valence, in valence units.
        """
        causal = self.valence * watch_ratio * effect if self.kind == "causal" else 0.0
        return self.engagement * watch_ratio + causal

    def of_days(self, today: np.ndarray, tomorrow: np.ndarray, gone: np.ndarray) -> np.ndarray:
        """The part that all items of a day share; an unknown valence gives no bonus and no penalty.

        Args:
            today, tomorrow: valence in [−1, 1], NaN where unknown.
            gone: bool, whether the person did not come on the next day.
        """
        if self.kind == "engagement":
            return np.zeros(today.shape)
        change = np.nan_to_num(np.abs(tomorrow - today))
        recovered = (today < 0) & (tomorrow >= 0)
        return self.transition * recovered - self.volatility * change - self.churn * gone

    def bounds(self, effect: np.ndarray) -> tuple[float, float]:
        """Smallest and largest reward of an item with an effect among ``effect``: r is linear in all it reads, nothing saturates.

        .. math:: -c·2 - d + \\min(0, λ \\min e) \\le r \\le a + b + \\max(0, λ \\max e)
        """
        shaped = self.kind != "engagement"
        causal = self.valence * np.append(effect, 0.0) if self.kind == "causal" else np.zeros(1)
        low = -shaped * (2 * self.volatility + self.churn) + min(0.0, float(causal.min()))
        return low, self.engagement + shaped * self.transition + max(0.0, float(causal.max()))
