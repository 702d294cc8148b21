"""A trial in a world, where the truth is known: what it finds, how often, and how often it finds what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from recbole_esmr.checkpoint import package_versions
from recbole_esmr.deployment import Platform, logged
from recbole_esmr.files import SCHEMA_VERSION, write_json
from recbole_esmr.quick_start import load_data_and_model
from recbole_esmr.recbole_models import MODEL_NAME
from recbole_esmr.serving.artifact import Artifact
from recbole_esmr.serving.export import exported
from recbole_esmr.serving.feed import ServedFeed
from recbole_esmr.serving.trial.analysis import analysed
from recbole_esmr.serving.trial.assignment import arm_of, dealt, strata_of
from recbole_esmr.serving.trial.outcomes import Observed
from recbole_esmr.serving.trial.plan import PERSON, TREATED, Plan, people_needed, spread_of
from recbole_esmr.simulation import load_world
from recbole_esmr.simulation.days import rollout_days
from recbole_esmr.work import Work, hidden_beside

ASSIGNMENTS = 200
"""Assignments of the same people by which power and false positives are counted."""


def simulate_trial(
    world: str, plan: Plan, people: int = 500, items: int = 600, log_days: int = 30, trials: int = 10, seed: int = 1,
    assignments: int = ASSIGNMENTS, arguments: Sequence[str] = (), keep: str | Path | None = None,
    output: str | Path | None = None, show_progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Let people of a world live through a trial, and analyse it as planned.

    People live ``log_days`` under the world's logging policy; on that log an ESMR is trained and exported. Each trial goes on
    from there with other random numbers: the pre-period under the engagement ranking of the artifact, then the trial, every
    person served from their own profile. Each person lives through both arms, with the same random numbers, so that the true
    mean effect is known; what a trial sees of a person is the arm that was assigned. Other assignments of the same people count
    how often the effect is found, and, with both arms the engagement ranking, how often one is found that is not there.

    Args:
        world: a shipped world, or a yaml file.
        plan: of the trial; its people, start and hash are those of each simulated trial.
        people, items, log_days: of the world.
        trials: how many.
        seed: of the world, its log and its training; what happens afterwards differs by trial.
        assignments: of each trial.
        arguments: RecBole and ESMR keys of the training, as ``--key=value``.
        keep: folder that keeps log and checkpoint.
        output: file to write the result to, as JSON.
    """
    start = perf_counter()
    with Work.at(Path(keep) if keep else hidden_beside(output)) as work:
        settings = load_world(world)
        platform = logged(settings, people, items, log_days, seed, work, tuple(arguments), show_progress)
        config, model, dataset, *_ = load_data_and_model(platform.trained(MODEL_NAME), {"state": "WARNING"})
        artifact = exported(model, dataset, config)
        rows = []
        for number in tqdm(range(trials), desc="Trials", disable=not show_progress):
            one = replace(plan, name=f"{plan.name} {number + 1}", start=log_days + 1 + plan.baseline_days, people=people)
            rows.append(_trial(replace(platform, seed=seed + 1000 * (number + 1)), artifact, one, assignments))
    result = {
        "schema_version": SCHEMA_VERSION,
        "world": world,
        "people": people,
        "unit": plan.unit,
        "acts": artifact.rankers.acts,
        "trials": rows,
        "power": float(np.mean([row["power"] for row in rows])),
        "false_positives": float(np.mean([row["false_positives"] for row in rows])),
        "covered": float(np.mean([row["covered"] for row in rows])) if plan.unit == PERSON else None,
        "people_needed": int(np.median([row["people_needed"] for row in rows])),
        "versions": package_versions(),
        "timings": {"total": round(perf_counter() - start, 2)},
    }
    if output:
        write_json(output, result)
    return result


def _trial(platform: Platform, artifact: Artifact, plan: Plan, assignments: int) -> dict[str, Any]:
    names = [f"u{number + 1}" for number in range(platform.environment.users)]
    shape = (len(names), plan.days)
    control = _lived(platform, artifact, plan, np.zeros(shape, dtype=bool))
    treated = _lived(platform, artifact, plan, np.ones(shape, dtype=bool)) if artifact.rankers.acts else control
    before = control.outcome(plan.primary, slice(0, control.baseline))
    strata = strata_of(before, control.group)
    after = slice(control.baseline, None)
    gain = treated.outcome(plan.primary, after) - control.outcome(plan.primary, after)
    truth = float(np.nanmean(gain))

    def assigned(number: int) -> np.ndarray:
        one = replace(plan, name=f"{plan.name}/{number}")
        if plan.unit == PERSON:
            return np.repeat(np.array([[arm == TREATED] for arm in dealt(one, names, strata)]), plan.days, axis=1)
        return np.array([[arm_of(one, name, plan.start + day) == TREATED for day in range(plan.days)] for name in names])

    def seen(arm: np.ndarray, other: Observed) -> Observed:
        if plan.unit == PERSON:  # people do not meet, so what each lives is what the arm brings
            whole = np.column_stack([np.zeros((len(names), control.baseline), dtype=bool), arm])
            lived = ("valence", "minutes", "here")
            parts: dict[str, Any] = {name: np.where(whole, getattr(other, name), getattr(control, name)) for name in lived}
            return replace(control, **parts, treated=arm)
        return replace(other, treated=arm)

    first = assigned(0)
    lived = seen(first, treated if plan.unit == PERSON else _lived(platform, artifact, plan, first))
    found = _looks(plan, lived)[-1]
    primary = found["outcomes"][plan.primary]
    crossed, false, covered = [], [], []
    for number in range(assignments):
        arm = assigned(number)
        if plan.unit == PERSON:
            looks = _looks(plan, seen(arm, treated))
            one = looks[-1]["outcomes"][plan.primary]
            crossed.append(any(look["crossed"] for look in looks))
            covered.append(one["low"] <= truth <= one["high"])
        false.append(any(look["crossed"] for look in _looks(plan, replace(control, treated=arm))))
    if plan.unit != PERSON:  # of days that are assigned anew nobody knows what the others would have brought
        crossed = [found["crossed"]]
    sd, correlation = spread_of(control.outcome(plan.primary, after), before)
    needed = people_needed(plan.minimum_effect, sd, correlation, plan.treated, plan.alpha, plan.power)
    return {
        "truth": truth,
        "estimate": primary["difference"],
        "low": primary["low"],
        "high": primary["high"],
        "crossed": found["crossed"],
        "harmed": found["harmed"],
        "consort": found["consort"],
        "power": float(np.mean(crossed)),
        "false_positives": float(np.mean(false)),
        "covered": float(np.mean(covered)) if covered else None,
        "sd": sd,
        "correlation": correlation,
        "people_needed": needed,
        "watch_minutes": {name: found["outcomes"]["watch_minutes"][name] for name in ("difference", "low", "high")}
        if "watch_minutes" in found["outcomes"]
        else None,
    }


def _looks(plan: Plan, trial: Observed) -> list[dict[str, Any]]:
    """What each of the planned looks says."""
    return [analysed(plan, trial, look + 1) for look in range(len(plan.looks))]


def _lived(platform: Platform, artifact: Artifact, plan: Plan, treated: np.ndarray) -> Observed:
    """What people live in the pre-period and the trial, each served from their own profile."""
    environment, people = platform.environment, platform.environment.users
    env = platform.env(np.arange(people))

    def rerank(day: int) -> np.ndarray:
        return treated[:, day - plan.start] if plan.runs_on(day) else np.zeros(people, dtype=bool)

    feed = ServedFeed(artifact, rerank, plan.explore, platform.seed)
    days = list(rollout_days(env, feed, plan.baseline_days + plan.days, environment.state))
    valence_of = dict(zip(env.taxonomy.labels, env.taxonomy.valence.tolist(), strict=True))
    valence = np.array([[valence_of.get(label, np.nan) for label in day.feedback.emotion.tolist()] for day in days]).T
    names = np.array([f"u{number + 1}" for number in range(people)])
    minutes, here = 60 * np.stack([day.hours for day in days], axis=1), np.stack([day.feedback.active for day in days], axis=1)
    return Observed(names, np.full(people, ""), np.full(people, ""), valence, minutes, here, treated, plan.baseline_days)
