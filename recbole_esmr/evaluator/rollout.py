"""What a policy does to people: their rollouts under it, and the figures that judge it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np

from recbole_esmr.evaluator import trajectory
from recbole_esmr.evaluator.statistics import Bootstrap, Statistic, difference, lowest_share, remembered, weighted_mean
from recbole_esmr.simulation.days import Day
from recbole_esmr.simulation.env import FeedEnv

WORSE_OFF = 0.02
"""A person is worse off under a policy if their mean valence is lower by more than this, an eighth of a within-person SD."""

EMOTION_METRICS = (
    *("negative_day_share", "episode_days", "recovery_days", "recovery_median", "volatility_sd", "volatility_rmssd", "valence"),
    *("emotional_level", "trajectory_volatility", "volatility_noise", "volatility_drift", "centroid_before", "centroid_after"),
)
"""Figures of what people feel; all others are of what they do or of the policy."""


@dataclass(frozen=True)
class Rollouts:
    """N people's rollouts under one policy, a row each; daily traces are reduced to what the figures need.

    Attributes:
        seed, user: (N,) under which seed, and whose.
        profile: (N,) codes; vulnerable: (N,) bool.
        days: (N,) days of the rollout; active, acted: (N,) days on which the person was here and the policy intervened.
        hours, expected_hours: (N,) watch hours in all, and their expectation.
        valence, negative_share, sd, rmssd, level, volatility: (N,), as :mod:`~recbole_esmr.evaluator.trajectory` defines them.
        volatility_parts, centroid: (N, 2), as ``volatility_split`` and ``centroid`` there.
        episodes, recoveries: (N, 2, D) counts of ended and of censored spells by length.
        hours_by_day: (D,) expected watch hours on each day, the mean over the people of a chunk, here or not.
        by_day: (Q, D) quantiles 0.1, 0.25, 0.5, 0.75, 0.9 of valence on each day, over the rows of a chunk; for the fan chart.
    """

    seed: np.ndarray
    user: np.ndarray
    profile: np.ndarray
    vulnerable: np.ndarray
    days: np.ndarray
    active: np.ndarray
    acted: np.ndarray
    hours: np.ndarray
    expected_hours: np.ndarray
    valence: np.ndarray
    negative_share: np.ndarray
    sd: np.ndarray
    rmssd: np.ndarray
    level: np.ndarray
    volatility: np.ndarray
    volatility_parts: np.ndarray
    centroid: np.ndarray
    episodes: np.ndarray
    recoveries: np.ndarray
    hours_by_day: np.ndarray
    by_day: np.ndarray

    def __len__(self) -> int:
        return len(self.seed)

    def take(self, rows: np.ndarray) -> Rollouts:
        """The given rows."""
        days = {name: getattr(self, name) for name in DAYS}
        return Rollouts(**{f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name not in DAYS}, **days)

    def arrays(self) -> dict[str, np.ndarray]:
        """The attributes by name, to be kept in a file."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


DAYS = ("hours_by_day", "by_day")
"""What a rollout keeps by day and not by person."""

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def rolled_out(env: FeedEnv, days: Iterable[Day], seed: int) -> Rollouts:
    """Run the days (see :func:`~recbole_esmr.simulation.days.rollout_days`) and keep what the figures need.

    Memory is that of one trace (U, D) in float32; for more people than fit, run them in chunks and :func:`joined` the rollouts.
    """
    valence: list[np.ndarray] = []
    of_day: list[float] = []
    hours = expected = np.zeros(len(env.people), dtype=np.float32)
    active = acted = np.zeros(len(env.people), dtype=int)
    for day in days:
        valence.append(day.valence)
        of_day.append(float(day.expected_hours.mean()))
        hours, expected = hours + day.hours, expected + day.expected_hours
        active, acted = active + day.feedback.active, acted + day.acted
    trace = np.stack(valence, axis=1)
    people = env.people
    home, spread = people.home.cpu().numpy(), people.within_sd.cpu().numpy()
    number = len(people)
    return Rollouts(
        seed=np.full(number, seed),
        user=people.number.cpu().numpy(),
        profile=people.profile.cpu().numpy(),
        vulnerable=people.vulnerable.cpu().numpy(),
        days=np.full(number, trace.shape[1]),
        active=active,
        acted=acted,
        hours=hours,
        expected_hours=expected,
        valence=trace.mean(axis=1),
        negative_share=trajectory.negative_share(trace).astype(np.float32),
        sd=trajectory.within_sd(trace),
        rmssd=trajectory.rmssd(trace).astype(np.float32),
        level=trajectory.emotional_level(trace).astype(np.float32),
        volatility=trajectory.trajectory_volatility(trace).astype(np.float32),
        volatility_parts=trajectory.volatility_split(trace).astype(np.float32),
        centroid=trajectory.centroid(trace).astype(np.float32),
        episodes=_counts(trajectory.negative_episodes(trace)),
        recoveries=_counts(trajectory.recoveries(trace, home, spread)),
        hours_by_day=np.array(of_day),
        by_day=np.quantile(trace, QUANTILES, axis=0),
    )


def joined(parts: list[Rollouts]) -> Rollouts:
    """Several rollouts as one; what is kept by day is averaged."""
    every = {f.name: [getattr(part, f.name) for part in parts] for f in fields(Rollouts)}
    return Rollouts(**{name: np.mean(x, axis=0) if name in DAYS else np.concatenate(x) for name, x in every.items()})


def figures(here: Rollouts, usual: Rollouts) -> dict[str, Statistic]:
    """Every figure of a policy as a function of people's weights.

    ``negative_day_share`` share of days with valence < 0; ``episode_days`` and ``recovery_days`` Kaplan–Meier means restricted to
    the window, ``recovery_median`` the Kaplan–Meier median; ``volatility_sd``, ``volatility_rmssd``, ``valence``,
    ``emotional_level``, ``trajectory_volatility`` and its two parts ``volatility_noise`` and ``volatility_drift``,
    ``centroid_before`` and ``centroid_after`` means over people; ``engagement`` watch minutes a day of presence; ``watch_time``
    expected watch minutes a day, present or not; ``retention`` share of days on which people come; ``acted_share`` share of days
    of presence on which the policy intervened; ``worse_off_share`` share of people whose mean valence is lower than under
    ``usual`` by more than :data:`WORSE_OFF`; ``worst_decile_change`` mean change of valence of the tenth that fared worst.

    Args:
        here: rollouts under the policy.
        usual: the same people's rollouts under the policy it is compared with, row by row.
    """
    change = here.valence - usual.valence
    return {
        "negative_day_share": weighted_mean(here.negative_share),
        "episode_days": partial(_spells, here.episodes, trajectory.restricted_mean),
        "recovery_days": partial(_spells, here.recoveries, trajectory.restricted_mean),
        "recovery_median": partial(_spells, here.recoveries, trajectory.median_length),
        "volatility_sd": weighted_mean(here.sd),
        "volatility_rmssd": weighted_mean(here.rmssd),
        "valence": weighted_mean(here.valence),
        "emotional_level": weighted_mean(here.level),
        "trajectory_volatility": weighted_mean(here.volatility),
        "volatility_noise": weighted_mean(here.volatility_parts[:, 0]),
        "volatility_drift": weighted_mean(here.volatility_parts[:, 1]),
        "centroid_before": weighted_mean(here.centroid[:, 0]),
        "centroid_after": weighted_mean(here.centroid[:, 1]),
        "engagement": weighted_mean(60 * here.hours, here.active),
        "watch_time": weighted_mean(60 * here.expected_hours, here.days),
        "retention": weighted_mean(here.active, here.days),
        "acted_share": weighted_mean(here.acted, here.active),
        "worse_off_share": weighted_mean((change < -WORSE_OFF).astype(float)),
        "worst_decile_change": lowest_share(change, 0.1),
    }


NO_CEILINGS: Mapping[str, str] = {}


def judge(
    policies: dict[str, Rollouts], usual: str, bootstrap: Bootstrap, ceilings: Mapping[str, str] = NO_CEILINGS
) -> dict[str, dict[str, Any]]:
    """All figures of all policies with intervals, and their paired differences from the policy ``usual``.

    ``ceilings`` names figures such as ``gain``, and for each a policy: the figure is the part of the distance from ``usual`` to
    that policy in negative-day share that is covered.

    Returns:
        by policy, by figure, ``{mean, low, high}``; under ``difference`` the same of policy minus ``usual``.
    """
    every = {
        name: {figure: remembered(statistic) for figure, statistic in figures(here, policies[usual]).items()}
        for name, here in policies.items()
    }
    share = {name: part["negative_day_share"] for name, part in every.items()}
    for figure, ceiling in ceilings.items():
        for name, part in every.items():
            part[figure] = partial(_covered, share[usual], share[name], share[ceiling])
    wanted: dict[str, Statistic] = {}
    for name, part in every.items():
        for figure, statistic in part.items():
            wanted[f"{name}\t{figure}"] = statistic
            wanted[f"{name}\t{figure}\t{usual}"] = difference(statistic, every[usual][figure])
    found = bootstrap.interval(wanted)
    return {
        name: {figure: found[f"{name}\t{figure}"] for figure in part}
        | ({"difference": {figure: found[f"{name}\t{figure}\t{usual}"] for figure in part}} if name != usual else {})
        for name, part in every.items()
    }


HARMS = {"valence": -1, "negative_day_share": 1}
"""Figures of which less (−1) or more (1) is worse for a person."""


def harms(judged: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Who is worse off under a policy than under the one compared with, beyond the 95 % interval of the paired difference.

    Args:
        judged: by group of people, what :func:`judge` says of the policies.

    Returns:
        an entry a policy, group and figure of :data:`HARMS`: ``policy``, ``group``, ``figure``, and the difference as ``mean``,
        ``low``, ``high``.
    """
    found = []
    for group, policies in judged.items():
        for policy, part in policies.items():
            for figure, worse in HARMS.items():
                change = part.get("difference", {}).get(figure)
                if change and min(worse * change["low"], worse * change["high"]) > 0:
                    found.append({"policy": policy, "group": group, "figure": figure, **change})
    return found


def survival_curve(spells: np.ndarray) -> np.ndarray:
    """Kaplan–Meier curve of all people's spells (N, 2, D); (D + 1,)."""
    ended, censored = spells.sum(axis=0)
    return trajectory.survival(ended, censored)


def _covered(usual: Statistic, here: Statistic, best: Statistic, weight: np.ndarray) -> np.ndarray:
    start, room = usual(weight), usual(weight) - best(weight)
    return (start - here(weight)) / np.where(np.abs(room) < 1e-9, np.nan, room)


def _spells(spells: np.ndarray, figure: Any, weight: np.ndarray) -> np.ndarray:
    counts = weight @ spells.reshape(len(spells), -1)
    ended, censored = counts.reshape(len(weight), 2, -1).transpose(1, 0, 2)
    return figure(trajectory.survival(ended, censored))


def _counts(spells: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return np.stack(spells, axis=1).astype(np.uint16)
