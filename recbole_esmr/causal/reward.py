"""What the re-ranker is rewarded for: engagement, the paper's shaping terms, and proven effects on tomorrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_esmr.causal.effects import UNIT


@dataclass(frozen=True)
class ItemEffects:
    """Effect of a feed made of one item, watched whole, on tomorrow's valence; shape (I,), in valence units.

    .. math:: e_i = (w_- g_i [v_i < 0] + w_+ g_i [v_i > 0]) / 0.1
    """

    valence: np.ndarray

    @classmethod
    def from_weights(cls, effects: Iterable[Mapping[str, Any]], negative: np.ndarray, positive: np.ndarray) -> ItemEffects:
        """From effects with a ``weight`` and the items' negative and positive intensity, shape (I,) each."""
        exposure = {"negative_exposure": negative, "positive_exposure": positive}
        total = np.zeros(len(negative))
        for effect in effects:
            if effect["outcome"] == "valence" and effect["state"] == "all":
                total += effect["weight"] / UNIT * exposure[effect["treatment"]]
        return cls(total)


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
