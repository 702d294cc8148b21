"""Who gets what: by a hash of the plan and the unit, so that anybody can make the assignment again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from recbole_esmr.serving.trial.plan import CONTROL, PERSON, TREATED, Plan


def lot(plan: Plan, unit: str) -> float:
    """A number in [0, 1) that follows from the plan and the unit's name, and from nothing else."""
    digest = hashlib.sha256(f"{plan.hash}:{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def arm_of(plan: Plan, person: str, day: int, kept: str | None = None) -> str:
    """The arm of a person on a day; ``kept`` is the one that :func:`dealt` gave, where it did."""
    if plan.unit == PERSON:
        return kept or _arm(lot(plan, person), plan)
    return _arm(lot(plan, f"{person}:{day}"), plan)


def dealt(plan: Plan, people: Sequence[str], stratum: Sequence[str]) -> list[str]:
    """Arms of people (N,), dealt out within strata: of each stratum as near the planned share as whole people allow.

    Within a stratum people are ordered by their lot, and the first of them are treated; whether half a person more is treated is
    a lot of the stratum.
    """
    number = np.array([lot(plan, person) for person in people])
    arms = np.full(len(people), CONTROL, dtype=object)
    for one in sorted(set(stratum)):
        rows = np.flatnonzero(np.array(stratum, dtype=object) == one)
        exact = plan.treated * len(rows)
        count = int(exact) + (lot(plan, f"stratum:{one}") < exact - int(exact))
        arms[rows[np.argsort(number[rows], kind="stable")[:count]]] = TREATED
    return arms.tolist()


def strata_of(baseline: np.ndarray, group: Sequence[str] | np.ndarray) -> list[str]:
    """Strata of people: the group, and the third of the primary outcome in the pre-period; its own of who has none."""
    third = thirds(baseline)
    return [f"{one}/{'none' if part < 0 else part}" for one, part in zip(group, third.tolist(), strict=True)]


def group_of(stratum: str) -> str:
    """The group of a stratum."""
    return stratum.rpartition("/")[0]


def thirds(baseline: np.ndarray) -> np.ndarray:
    """Third of the people (N,) that each belongs to by a number: 0, 1 or 2, −1 where it is not known."""
    known = np.isfinite(baseline)
    if not known.any():
        return np.full(len(baseline), -1)
    edges = np.quantile(baseline[known], [1 / 3, 2 / 3])
    return np.where(known, np.searchsorted(edges, np.nan_to_num(baseline), side="left"), -1)


def _arm(number: float, plan: Plan) -> str:
    return TREATED if number < plan.treated else CONTROL
