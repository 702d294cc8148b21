"""How people respond: to a feed with their mood, to watching with coming back, and to their mood with watching."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_esmr.causal.effects import UNIT
from recbole_esmr.causal.linear import fit_linear
from recbole_esmr.errors import IdentificationError

CELLS = 20_000_000
"""Of the table of user-days by days of the calendar that :func:`mood_cost` makes, at most."""


@dataclass(frozen=True)
class Responses:
    """What was learned of people's responses from the training days.

    Attributes:
        susceptibility: (U,) how strongly each person's mood responds, relative to everybody
            (:func:`~recbole_esmr.causal.susceptibility.susceptibility`).
        elasticity: relative change of presence for one of watch time, see :func:`return_elasticity`.
        mood_cost: share of the usual watch time that a unit of push to the mood takes over the days that it lasts, see
            :func:`mood_cost`.
    """

    susceptibility: np.ndarray
    elasticity: float = 0.0
    mood_cost: float = 0.0

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


def mood_cost(valence: np.ndarray, hours: np.ndarray, kept: float) -> float:
    r"""Share of the usual watch time that a unit of push to the mood takes over the days that it lasts, in [0, 1].

    .. math:: κ = \min\Big(1, \frac{\max(0, -β)}{1 - φ}\Big), \quad \log hours_{ut} = β\, v_{ut} + a_u + b_t

    Some feeds hold people most where they feel worst; whoever feels better watches less of them. β compares each person with
    themself, on days of the calendar that are alike, and is taken at the lower end of its 95 % interval: an association, so a
    guard and no claim.

    Args:
        valence: (U, D) as reported, NaN where it is not known or may not be read.
        hours: (U, D) watched.
        kept: φ, the share of a push that is left a day later.
    """
    person, day = np.nonzero(np.isfinite(valence))
    watched = np.asarray(hours[person, day])
    person, day, watched = (value[watched > 0] for value in (person, day, watched))
    most = CELLS // valence.shape[1]
    if len(person) > most:  # a column a day of the calendar: of a long log some people, evenly spaced, tell
        some = np.unique(person)
        chosen = np.isin(person, some[:: math.ceil(len(person) / most)])
        person, day, watched = person[chosen], day[chosen], watched[chosen]
    calendar = (day[:, None] == np.unique(day)[1:]).astype(float)
    if len(person) <= len(np.unique(person)) + calendar.shape[1] + 2:  # nothing is left to compare
        return 0.0
    try:
        fit = fit_linear(np.log(watched), valence[person, day][:, None], calendar, person, within_person=True)
    except IdentificationError:  # moods never vary
        return 0.0
    return float(min(max(-fit.interval(0.95)[0][0], 0.0) / (1 - kept), 1.0))
