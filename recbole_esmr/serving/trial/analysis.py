"""A trial analysed as it was planned: intention to treat, the pre-period as covariate, subgroups, looks."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from recbole_esmr.checkpoint.content import package_versions
from recbole_esmr.errors import DataError
from recbole_esmr.files import SCHEMA_VERSION
from recbole_esmr.serving.trial.assignment import strata_of, thirds
from recbole_esmr.serving.trial.outcomes import Observed
from recbole_esmr.serving.trial.plan import CONTROL, HARM, OUTCOMES, PERSON, TREATED, Plan
from recbole_esmr.serving.trial.sequential import bounds

LEAST = 10
"""People of each arm in a subgroup, at least, of which anything is said."""


def analysed(plan: Plan, trial: Observed, look: int | None = None) -> dict[str, Any]:
    """What the trial says, by its plan.

    Args:
        plan: of the trial.
        trial: what happened to its people.
        look: which of the planned looks it is, from 1; the last unless given.

    Returns:
        the plan's hash, CONSORT numbers, each outcome's means and difference with its interval, whether the primary one crosses
        its bound, and the subgroups with what is a harm in them.

    Raises:
        DataError: an arm is empty, or nobody of it has reported.
    """
    look = len(plan.looks) if look is None else look
    if not 1 <= look <= len(plan.looks):
        raise DataError(f"look {look}: the plan has {len(plan.looks)} looks. Name one of them.")
    days = max(round(plan.looks[look - 1] * plan.days), 1)
    if trial.days_lived < days:
        raise DataError(
            f"look {look} reads {days} days of the trial, and {trial.days_lived} have been lived. Wait until they are over: a "
            "look before its time raises the chance of a false positive."
        )
    part = trial.until(days)
    bound = bounds(plan.looks[:look], plan.alpha)[-1]
    known = [name for name in plan.secondary if min(_known(part, name)) >= 2]  # nobody may have reported
    outcomes = {name: difference(plan, part, name) for name in (plan.primary, *known)}
    primary = outcomes[plan.primary]
    subgroups = _subgroups(plan, part)
    return {
        "schema_version": SCHEMA_VERSION,
        "plan": plan.name,
        "plan_hash": plan.hash,
        "unit": plan.unit,
        "look": look,
        "days": days,
        "bound": bound,
        "crossed": bool(abs(primary["z"]) >= bound),
        "consort": _consort(plan, part),
        "outcomes": {name: {**found, "meaning": OUTCOMES[name]} for name, found in outcomes.items()},
        "subgroups": subgroups,
        "harmed": [one["subgroup"] for one in subgroups if one["harm"]],
        "versions": package_versions(),
    }


def difference(plan: Plan, trial: Observed, name: str, rows: np.ndarray | None = None) -> dict[str, float]:
    r"""Means of the arms and their difference, treated less control, with a 1 − α interval.

    People: least squares of the outcome on the arm, the outcome in the pre-period and whether there is one (centred), their
    products with the arm (Lin 2013; with one covariate this is CUPED), and strata of ten people and more, as they were when arms
    were dealt out; HC3 standard errors, and the quantiles of t.
    Person-days: with means of persons and days taken off (two-way within), clustered by person.

    Args:
        plan, trial: of the trial.
        name: of the outcome.
        rows: (N,) bool, the people of a subgroup.
    """
    use = np.ones(len(trial.people), dtype=bool) if rows is None else rows
    after = slice(trial.baseline, None)
    if plan.unit == PERSON:
        outcome, arm = trial.outcome(name, after), trial.treated[:, 0]
        use = use & np.isfinite(outcome)
        before = trial.outcome(name, slice(0, trial.baseline))
        primary = trial.outcome(plan.primary, slice(0, trial.baseline))
        now = strata_of(primary, trial.group)
        strata = [kept or one for kept, one in zip(trial.stratum, now, strict=True)] if rows is None else [""] * len(use)
        covariates, dummies = _covariates(before, strata, use)
        estimate, error, freedom = lin(outcome[use], arm[use], covariates, dummies)
        means = [float(outcome[use & (arm == one)].mean()) if (use & (arm == one)).any() else np.nan for one in (False, True)]
        people = int(use.sum())
    else:
        outcome, arm = trial.of_days(name)[:, after], trial.treated
        cells = np.isfinite(outcome) & use[:, None]
        estimate, error = within(outcome, arm, cells)
        freedom = max(int(cells.any(axis=1).sum()) - 1, 1)
        means = [float(outcome[cells & (arm == one)].mean()) if (cells & (arm == one)).any() else np.nan for one in (False, True)]
        people = int(cells.any(axis=1).sum())
    if not np.isfinite(estimate):
        raise DataError(f"{name}: nothing is known of one of the arms. Wait until people of both have reported.")
    reach = student.ppf(1 - plan.alpha / 2, freedom) * error
    p = float(2 * student.sf(abs(estimate) / error, freedom)) if error > 0 else 1.0
    z = float(np.sign(estimate) * norm.isf(max(p, 1e-300) / 2))  # as far out as the t is
    return {
        "people": people, CONTROL: means[0], TREATED: means[1], "difference": estimate, "low": estimate - reach,
        "high": estimate + reach, "error": error, "z": z, "p": p,
    }  # fmt: skip


def lin(
    outcome: np.ndarray, arm: np.ndarray, covariates: np.ndarray, strata: np.ndarray | None = None
) -> tuple[float, float, int]:
    """Lin's estimate of a mean effect, its HC3 standard error and degrees of freedom; NaN where an arm is empty.

    Args:
        outcome: (N,). arm: (N,) bool. covariates: (N, C), with products with the arm; strata: (N, S), without.
    """
    if not arm.any() or arm.all():
        return np.nan, np.nan, 1
    centred = covariates - covariates.mean(axis=0)
    beside = np.zeros((len(arm), 0)) if strata is None else strata
    table = np.column_stack([np.ones(len(arm)), arm, centred, arm[:, None] * centred, beside]).astype(float)
    inverse = np.linalg.pinv(table.T @ table)
    weight = inverse @ (table.T @ outcome)
    leverage = np.clip(np.einsum("nc,cd,nd->n", table, inverse, table), 0, 1 - 1e-9)
    scaled = table * ((outcome - table @ weight) / (1 - leverage))[:, None]
    variance = inverse @ (scaled.T @ scaled) @ inverse
    freedom = max(len(arm) - int(np.linalg.matrix_rank(table)), 1)
    return float(weight[1]), float(np.sqrt(max(variance[1, 1], 0.0))), freedom


def within(outcome: np.ndarray, arm: np.ndarray, cells: np.ndarray) -> tuple[float, float]:
    """Difference of person-days, person and day taken off, and its standard error clustered by person; NaN without contrast.

    Args:
        outcome, arm: (N, T). cells: (N, T) bool, the days that count.
    """
    y, x = _two_way(np.where(cells, outcome, 0.0), cells), _two_way(np.where(cells, arm, 0.0).astype(float), cells)
    power, people = float((x * x).sum()), int(cells.any(axis=1).sum())
    if power <= 1e-9 or people < 2:
        return np.nan, np.nan
    slope = float((x * y).sum() / power)
    scores = (x * (y - slope * x)).sum(axis=1)
    return slope, float(np.sqrt(people / (people - 1) * (scores**2).sum()) / power)


def _two_way(value: np.ndarray, cells: np.ndarray, rounds: int = 200) -> np.ndarray:
    """A table without the means of its rows and columns over the cells that count (alternating projections)."""
    found = np.where(cells, value, 0.0)
    for _ in range(rounds):
        step = 0.0
        for axis in (1, 0):
            count = np.maximum(cells.sum(axis=axis, keepdims=True), 1)
            mean = found.sum(axis=axis, keepdims=True) / count
            found = np.where(cells, found - mean, 0.0)
            step = max(step, float(np.abs(mean).max(initial=0.0)))
        if step < 1e-12:
            break
    return found


def _known(trial: Observed, name: str, rows: np.ndarray | None = None) -> tuple[int, int]:
    """How many people of each arm an outcome is known of in the trial; of person-days everybody is in both."""
    known = np.isfinite(trial.outcome(name, slice(trial.baseline, None))) & (True if rows is None else rows)
    return int((known & ~trial.treated.all(axis=1)).sum()), int((known & trial.treated.any(axis=1)).sum())


def _covariates(before: np.ndarray, stratum: list[str], use: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is known of people beforehand, (N, C), and the strata that are large enough, (N, S), of who counts."""
    known = np.isfinite(before)
    usual = before[use & known].mean() if (use & known).any() else 0.0
    columns = [np.where(known, before, usual)]
    if 0 < (use & ~known).sum() < use.sum():
        columns.append(~known)
    names, count = np.unique(np.array(stratum, dtype=str)[use], return_counts=True)
    large = names[count >= LEAST]
    if len(large) == len(names):  # else the small ones together are the rest
        large = large[1:]
    dummies = [np.array([one == name for one in stratum]) for name in large]
    strata = np.column_stack([np.zeros((len(use), 0)), *dummies])
    return np.column_stack(columns)[use].astype(float), strata[use].astype(float)


def _subgroups(plan: Plan, trial: Observed) -> list[dict[str, Any]]:
    """The primary outcome by the third of the pre-period and by group; a harm where the interval leaves out 0 on the bad side."""
    third = thirds(trial.outcome(plan.primary, slice(0, trial.baseline)))
    parts = {f"pre-period third {part + 1}": third == part for part in range(3)}
    parts |= {f"group {name}": trial.group == name for name in np.unique(trial.group) if name}
    found = []
    for name, rows in parts.items():
        if min(_known(trial, plan.primary, rows)) < LEAST:
            continue
        one = difference(plan, trial, plan.primary, rows)
        side = HARM[plan.primary]
        harm = (side > 0 and one["low"] > 0) or (side < 0 and one["high"] < 0)
        found.append({"subgroup": name, **one, "harm": harm})
    return found


def _consort(plan: Plan, trial: Observed) -> dict[str, Any]:
    """How many people were assigned, lost and analysed (CONSORT 2010)."""
    reported = np.isfinite(trial.valence[:, trial.baseline :]).any(axis=1)
    came = trial.here[:, trial.baseline :].any(axis=1)
    arms = {CONTROL: ~trial.treated[:, 0], TREATED: trial.treated[:, 0]} if plan.unit == PERSON else {}
    return {
        "assigned": len(trial.people) + sum(trial.withdrew.values()),
        "withdrew": sum(trial.withdrew.values()),
        "never_came": int((~came).sum()),
        "came_and_never_reported": int((came & ~reported).sum()),
        "analysed": int(reported.sum()),
        "arms": {
            name: {
                "assigned": int(rows.sum()) + trial.withdrew.get(name, 0),
                "withdrew": trial.withdrew.get(name, 0),
                "never_came": int((rows & ~came).sum()),
                "came_and_never_reported": int((rows & came & ~reported).sum()),
                "analysed": int((rows & reported).sum()),
            }
            for name, rows in arms.items()
        },
        "planned": plan.people,
    }  # fmt: skip
