"""What the re-ranker is rewarded for: engagement, and the mood of the day after, credited by what is proven to cause it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from recbole_esmr.causal.effects import STATES, UNIT
from recbole_esmr.causal.panel import EMOTION
from recbole_esmr.settings import RERANKER, setting

_STATES = STATES[1:]


@dataclass(frozen=True)
class ItemEffects:
    r"""Effect of a feed made of one item, watched whole, on tomorrow's valence; shape (2, I), in valence units.

    Row 0 for people in a stable state, row 1 for vulnerable ones (today's valence at least, or below, 0):

    .. math:: e_{si} = g_i\, (w_{s,±} + w_{e(i)} - w_{±}) / 0.1

    with w the weights of :mod:`~recbole_esmr.causal.effects`: of the item's emotion e, of its sign's group ±, and of the group in
    state s. Without an effect of its own an emotion or a state has its group's. 0 where the emotion or the state weighs nothing
    beside a group that does, where the two disagree in sign, or where the sum has another sign than they: no sum of corrections
    is a proof.
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
                of_state = weight.get((group, state), whole)
                joint, lacks = of_state + of_item - whole, (whole != 0) & ((of_item == 0) | (of_state == 0))
                agree = (of_item * of_state >= 0) & (joint * (of_state + of_item) > 0)
                total[row] += np.where(agree & ~lacks, joint, 0.0) * intensity / UNIT
        return cls(total)

    def of(self, item: np.ndarray, vulnerable: np.ndarray) -> np.ndarray:
        """Effects of items for people who are vulnerable with a chance p, (1 − p) e_stable + p e_vulnerable.

        Args:
            item: ids, any shape.
            vulnerable: the chance, broadcast to ``item``.
        """
        stable, weak = self.valence[:, item]
        effect: np.ndarray = (1 - vulnerable) * stable + vulnerable * weak
        return effect


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
