"""How people respond: to a feed with their mood, and to watching with coming back. Learned in training, kept in use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_esmr.causal.effects import UNIT


@dataclass(frozen=True)
class Responses:
    """What was learned of people's responses from the training days.

    Attributes:
        susceptibility: (U,) how strongly each person's mood responds, relative to everybody
            (:func:`~recbole_esmr.causal.susceptibility.susceptibility`).
        elasticity: relative change of presence for one of watch time, see :func:`return_elasticity`.
    """

    susceptibility: np.ndarray
    elasticity: float = 0.0

    def of(self, people: np.ndarray) -> np.ndarray:
        """Susceptibility of people by RecBole's internal id; a newcomer (id 0) responds as everybody, 1."""
        return self.susceptibility[people]


def return_elasticity(effects: Iterable[Mapping[str, Any]], present: np.ndarray, hours: np.ndarray, use: np.ndarray) -> float:
    r"""Relative change of presence for one of watch time, in [0, 1].

    .. math:: η = \frac{∂\,presence\ tomorrow}{∂\,hours} \cdot \frac{hours}{presence\,(1 - ρ)}

    with ρ how much a day of presence raises the next. The effect is taken at the upper end of its interval, proven or not: a
    benefit is claimed only where it is proven, a harm is guarded against where it cannot be excluded.

    Args:
        effects: what the causal stage found.
        present, hours: (U, D) presence and watch hours.
        use: (U, D) bool, the days that may be read.
    """
    rows = (x for x in effects if (x["treatment"], x["outcome"], x["state"]) == ("time_spent", "active", "all"))
    high = max((float(effect["high"]) for effect in rows), default=0.0)
    both = use[:, :-1] & use[:, 1:]
    here, later = present[:, :-1] & both, present[:, 1:]
    away = ~present[:, :-1] & both
    if high <= 0 or not here.any():
        return 0.0
    stays, returns = later[here].mean(), later[away].mean() if away.any() else 0.0
    slope = high / UNIT * hours[:, :-1][here].mean() / max(stays, 1e-9) / max(1 - (stays - returns), 0.1)
    return float(min(slope, 1.0))
