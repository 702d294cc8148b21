"""What happened to the people of a trial, day by day, from what a server has logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recbole_esmr.errors import DataError
from recbole_esmr.serving.artifact import Artifact
from recbole_esmr.serving.store import Store
from recbole_esmr.serving.trial.assignment import arm_of, group_of
from recbole_esmr.serving.trial.plan import ARMS, TREATED, Plan


@dataclass(frozen=True)
class Observed:
    """N people over the pre-period and the trial, B + T days.

    Attributes:
        people: (N,) ids. group: (N,) of which each is, as of the assignment; "" where it is not known.
        stratum: (N,) in which the arm was dealt out, "" of who was assigned by their lot.
        valence: (N, B + T) as reported, NaN without a report.
        minutes: (N, B + T) watched. here: (N, B + T) bool.
        treated: (N, T) bool, as assigned.
        baseline: B.
        withdrew: by arm, how many of the trial have withdrawn their consent: nothing else of them is analysed.
    """

    people: np.ndarray
    group: np.ndarray
    stratum: np.ndarray
    valence: np.ndarray
    minutes: np.ndarray
    here: np.ndarray
    treated: np.ndarray
    baseline: int
    withdrew: Mapping[str, int] = field(default_factory=dict)

    @property
    def days_lived(self) -> int:
        """Days of the trial until the last one of which anything is known."""
        lived = np.flatnonzero((self.here | np.isfinite(self.valence))[:, self.baseline :].any(axis=0))
        return int(lived.max()) + 1 if len(lived) else 0

    def outcome(self, name: str, days: slice) -> np.ndarray:
        """An outcome of each person over some of the days, (N,), NaN where it is not known."""
        valence = self.valence[:, days]
        known = np.isfinite(valence)
        count = np.where(known.any(axis=1), known.sum(axis=1), np.nan)
        if name == "negative_days":
            return np.asarray((np.nan_to_num(valence) < 0).sum(axis=1) / count)
        if name == "valence":
            return np.asarray(np.nan_to_num(valence).sum(axis=1) / count)
        value = self.minutes if name == "watch_minutes" else self.here.astype(float)
        return np.asarray(value[:, days].mean(axis=1)) if value[:, days].shape[1] else np.full(len(value), np.nan)

    def of_days(self, name: str) -> np.ndarray:
        """An outcome of each day, (N, B + T), NaN where it is not known."""
        if name == "negative_days":
            return np.where(np.isfinite(self.valence), self.valence < 0, np.nan)
        return self.valence if name == "valence" else self.minutes if name == "watch_minutes" else self.here.astype(float)

    def until(self, days: int) -> Observed:
        """The same until so many days of the trial have passed."""
        end = self.baseline + days
        cut: dict[str, Any] = {name: getattr(self, name)[:, :end] for name in ("valence", "minutes", "here")}
        return replace(self, **cut, treated=self.treated[:, :days])


def observed(store: Store, artifact: Artifact, plan: Plan) -> Observed:
    """What the store holds of the people of a trial: those who consent and of whom anything is known by its end.

    Args:
        store: of the server.
        artifact: that it serves: emotions and lengths of items.
        plan: of the trial.

    Raises:
        DataError: nobody is.
    """
    first, span = plan.start - plan.baseline_days, plan.baseline_days + plan.days
    with store.reading() as connection:
        everybody = list(store.everybody(connection))
    consenting = [one for one in everybody if one[1]["consent"]]
    rows = [one for one in consenting if _within(one[2], first, plan.end)]
    if not rows:
        raise DataError("the store holds nobody who consents and was here in the days of the plan. Serve first.")
    shape = (len(rows), span)
    valence, minutes, here = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape, dtype=bool)
    place, number, duration = artifact.taxonomy, artifact.stock.number, artifact.stock.catalogue.duration
    for row, (_, _, events) in enumerate(rows):
        for event in events:
            column = event["day"] - first
            if not 0 <= column < span:
                continue
            if event.get("emotion") in place.labels:
                valence[row, column] = place.valence[place.labels.index(event["emotion"])]
            for item, ratio, _ in event.get("shown", []):
                here[row, column] = True
                minutes[row, column] += ratio * (duration[number[item]] if item in number else 0.0) / 60
    treated = np.array(
        [
            [arm_of(plan, person, plan.start + day, known.get("arm")) == TREATED for day in range(plan.days)]
            for person, known, _ in rows
        ]
    )
    gone = [
        arm_of(plan, person, plan.start, known.get("arm"))
        for person, known, events in everybody
        if _left(known, events, first, plan)
    ]
    stratum = np.array([known.get("stratum") or "" for _, known, _ in rows])
    return Observed(
        people=np.array([person for person, *_ in rows]),
        group=np.array([_group(known, events, plan) for _, known, events in rows]),
        stratum=stratum,
        valence=valence,
        minutes=minutes,
        here=here,
        treated=treated,
        baseline=plan.baseline_days,
        withdrew={arm: gone.count(arm) for arm in ARMS},
    )


def _left(known: Mapping[str, Any], events: list[dict[str, Any]], first: int, plan: Plan) -> bool:
    """Whether somebody was of the trial, and has withdrawn since: they were dealt an arm, or were known with their consent in the
    days of the plan and withdrew it after its first day."""
    if known["consent"]:
        return False
    consents, counted, withdrew = False, False, plan.start - 1
    for event in events:
        consents = consents if event.get("consent") is None else event["consent"]
        withdrew = event["day"] if event.get("consent") is False else withdrew
        counted |= consents and _within([event], first, plan.end)
    return bool(known.get("arm")) or (counted and withdrew >= plan.start)


def _group(known: Mapping[str, Any], events: list[dict[str, Any]], plan: Plan) -> str:
    """The group somebody was of when they were assigned: as dealt, else as said before the first day, else as said first."""
    if known.get("stratum"):
        return group_of(known["stratum"])
    said = [(event["day"], event["group"]) for event in events if event.get("group")]
    before = [group for day, group in said if day < plan.start]
    return str(before[-1] if before else said[0][1] if said else known["group"] or "")


def _within(events: list[dict[str, object]], first: int, end: int) -> bool:
    return any(first <= int(str(event["day"])) < end and ("shown" in event or "emotion" in event) for event in events)
