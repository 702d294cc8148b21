"""A store that belongs to a trial: one plan, and the arms that were dealt out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.serving.artifact import Artifact
from recbole_esmr.serving.profile import Profile
from recbole_esmr.serving.store import Store
from recbole_esmr.serving.trial.assignment import dealt, strata_of
from recbole_esmr.serving.trial.outcomes import observed
from recbole_esmr.serving.trial.plan import PERSON, Plan

TRIAL = "trial"
"""Name under which a store keeps the hash of its plan."""


def hold_to(plan: Plan, store: Store) -> None:
    """Let a store be that of a plan, from the first time on.

    Raises:
        ConfigError: it is that of another.
    """
    with store.changing() as connection:
        known = store.kept(connection, TRIAL)
        if known is None:
            store.keep(connection, TRIAL, plan.hash)
        elif known != plan.hash:
            raise ConfigError(
                f"the store belongs to the plan with the hash {known[:12]}…, and this one has {plan.hash[:12]}…. Give the plan "
                "that the trial began with, or another store."
            )


def assign(plan: Plan, store: Store, artifact: Artifact) -> dict[str, dict[str, int]]:
    """Deal out arms to everybody who consents and was here in the pre-period, within strata, once, before the trial begins.

    Strata are the group, and the third of the primary outcome in the pre-period. Who comes later is assigned by hash alone.

    Returns:
        how many people of each arm there are in each stratum.

    Raises:
        ConfigError: the plan assigns days, or the store belongs to another plan.
        DataError: arms were dealt out already, the trial has begun, or nobody was here.
    """
    if plan.unit != PERSON:
        raise ConfigError("the plan assigns each day of a person by hash: there is nothing to deal out.")
    hold_to(plan, store)
    people = observed(store, artifact, plan)
    if people.days_lived:
        raise DataError(
            f"people were served in {people.days_lived} days of the trial, by their lots. Assign once, before its first day."
        )
    before = people.outcome(plan.primary, slice(0, people.baseline))
    strata = strata_of(before, people.group)
    arms = dealt(plan, people.people.tolist(), strata)
    with store.changing() as connection:
        for person, arm, stratum in zip(people.people.tolist(), arms, strata, strict=True):
            known = Profile.of_dict(store.profile(connection, person, change=True), artifact)
            if known.arm is not None:
                raise DataError("arms were dealt out already. Assign once, before the first day of the trial.")
            store.keep_profile(connection, person, replace(known, arm=arm, stratum=stratum).to_json())
    table = np.array(list(zip(strata, arms, strict=True)))
    return {
        one: {arm: int(((table[:, 0] == one) & (table[:, 1] == arm)).sum()) for arm in sorted(set(arms))}
        for one in sorted(set(strata))
    }
