"""What the re-ranker is rewarded for: engagement, and the mood of the day after, credited by what is proven to cause it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from recbole_esmr.causal.effects import UNIT
from recbole_esmr.causal.traits import ANY, STABLE, VULNERABLE, Traits
from recbole_esmr.settings import RERANKER, setting


@dataclass(frozen=True)
class ItemEffects:
    r"""Effect of a feed made of one item, watched whole, on the mood from tomorrow on; shape (I,) each, in valence units.

    .. math:: e_i = \sum_f g_{if}\, w_f / 0.1

    with g how much of the trait f the item has (:mod:`~recbole_esmr.causal.traits`) and w the traits' weights
    (:mod:`~recbole_esmr.causal.lagged`).

    Attributes:
        valence: on a stable day; vulnerable: on a vulnerable one, where that is not the same.
    """

    valence: np.ndarray
    vulnerable: np.ndarray | None = None

    @property
    def any(self) -> bool:
        """Whether any item has an effect on some day."""
        return bool(self.valence.any() or (self.vulnerable is not None and self.vulnerable.any()))

    def at(self, item: np.ndarray, risk: np.ndarray | None = None) -> np.ndarray:
        """Expected effects of items (B, C) on days that are vulnerable with chances (B,); on stable ones unless given."""
        stable: np.ndarray = self.valence[item]
        if self.vulnerable is None or risk is None:
            return stable
        return stable + risk[:, None] * (self.vulnerable[item] - stable)

    @classmethod
    def of_weights(cls, effects: Iterable[Mapping[str, Any]], traits: Traits) -> ItemEffects:
        """From the effects that have a ``weight``, as dicts; those of other treatments than the items' traits do not count."""
        weight = weights_on_valence(effects)
        each = np.array([weight.get(name, 0.0) for name in traits.names]) / UNIT
        stable, vulnerable = (
            traits.value @ np.where(np.isin(traits.state, [ANY, state]), each, 0.0) for state in (STABLE, VULNERABLE)
        )
        return cls(stable, vulnerable if (traits.state != ANY).any() else None)


def weights_on_valence(effects: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """What the reward uses of the effects on tomorrow's valence, by treatment."""
    return {effect["treatment"]: float(effect["weight"]) for effect in effects if effect["outcome"] == "valence"}


@dataclass(frozen=True)
class Reward:
    r"""The reward of a slate: what its items bring themselves, and the mood of the day after.

    .. math:: r = \frac1K \sum_i a\,ratio_i + R(v_t, v_{t+1}) - d\,[gone], \quad
              R(v, v') = -n\,[v' < 0] + b\,[v < 0 \le v'] - c\,|v' - v|

    The kinds differ in how an item is credited with the mood R, and in nothing else: ``engagement`` not at all; ``emotion`` (the
    paper's) by what followed, the R of the day after being that of all items shown; ``causal`` by what the item is proven to
    cause, :math:`δ_i\, ∂E[R]/∂v'` with δ the item's effect on tomorrow's valence.
    """

    kind: str = setting(
        "what the re-ranker maximises", choices=("engagement", "emotion", "causal"), key="reward", changes=RERANKER
    )
    engagement: float = setting("weight a of the watch ratio", low=0, high=1000, changes=RERANKER)
    negative: float = setting("cost n of a negative day", low=0, high=1000, changes=RERANKER)
    transition: float = setting("bonus b for leaving the negative", low=0, high=1000, changes=RERANKER)
    volatility: float = setting("weight c of the day-to-day change of valence", low=0, high=1000, changes=RERANKER)
    churn: float = setting("penalty d for not coming back", low=0, high=1000, changes=RERANKER)

    def of_items(self, watch_ratio: np.ndarray) -> np.ndarray:
        """What the items bring themselves; same shape as ``watch_ratio``, 0–1."""
        return self.engagement * watch_ratio

    def of_days(self, today: np.ndarray, tomorrow: np.ndarray, gone: np.ndarray) -> np.ndarray:
        """What all items of a day share; an unknown valence gives no bonus and no penalty.

        Args:
            today, tomorrow: valence in [−1, 1], NaN where unknown.
            gone: bool, whether the person did not come on the next day.
        """
        mood = np.zeros(today.shape)
        if self.kind == "emotion":
            change = np.nan_to_num(np.abs(tomorrow - today))
            recovered = (today < 0) & (tomorrow >= 0)
            mood = self.transition * recovered - self.negative * (tomorrow < 0) - self.volatility * change
        return mood - self.churn * gone

    def of_valence(self, today: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
        r"""What a unit of tomorrow's valence is worth, for a forecast N(μ, σ²) of it; 0 unless the kind is causal.

        .. math:: \frac{∂E[R]}{∂μ} = (n + b\,[v < 0])\, \tfrac1σ φ(μ/σ) + c\,(2Φ(\tfrac{v - μ}{σ}) - 1)

        The first term is the risk at the margin: who is far from the negative, on either side, is moved by little. What a better
        tomorrow does to R of the step from tomorrow on (no bonus left to win, a longer way down) is left out.

        Args:
            today: believed valence v of today.
            mean, scale: of the forecast of tomorrow's valence; same shape.
        """
        if self.kind != "causal":
            return np.zeros(today.shape)
        density = norm.pdf(mean / scale) / scale
        calmer = 2 * norm.cdf((today - mean) / scale) - 1
        return (self.negative + self.transition * (today < 0)) * density + self.volatility * calmer

    def bounds(self) -> tuple[float, float]:
        r"""Smallest and largest reward of a logged item: r is linear in all it reads, nothing saturates.

        .. math:: -n - 2c - d \le r \le a + b
        """
        mood = self.kind == "emotion"
        low = -mood * (self.negative + 2 * self.volatility) - self.churn
        return low, self.engagement + mood * self.transition
