"""Let a policy fill the feeds of a world, day after day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from recbole_esmr.errors import ConfigError
from recbole_esmr.feed import Feedback, Policy
from recbole_esmr.simulation.behaviour import behaviour
from recbole_esmr.simulation.env import FeedEnv

LONGEST = 36_525
"""Days of a hundred years, which is as long as a log is read."""


@dataclass(frozen=True)
class Day:
    """One day of U people, as the judge sees it.

    Attributes:
        feedback: what the platform logged.
        valence: (U,) true valence, of the active and of the absent.
        hours: (U,) watch hours.
        expected_hours: (U,) their expectation before chance had its say.
        acted: (U,) bool, where the policy intervened.
    """

    feedback: Feedback
    valence: np.ndarray
    hours: np.ndarray
    expected_hours: np.ndarray
    acted: np.ndarray


def user_names(number: np.ndarray) -> np.ndarray:
    """Names of people in the atomic files: ``u1`` for number 0."""
    return np.array([f"u{n + 1}" for n in number])


def item_names(items: int) -> np.ndarray:
    """Names of items in the atomic files: ``v1`` for number 0."""
    return np.array([f"v{n + 1}" for n in range(items)])


def rollout_days(
    env: FeedEnv,
    policy: Policy,
    days: int,
    state: dict | None = None,
    counts: bool = True,
    description: str = "",
) -> Iterator[Day]:
    """Days of the world under the policy.

    Args:
        env: the world; its ``rollout_seed`` counts, so that the same env gives the same random numbers to each policy.
        policy: fills the feeds.
        days: how many.
        state: an environment state to go on from; None begins at day 1.
        counts: whether behaviour columns are made (they cost more than the day itself).
        description: of the progress bar; empty shows none.

    Raises:
        ConfigError: more than :data:`LONGEST` days; a slate holds an item that is not on offer, an item twice, or more items than
            the person is to be shown.
    """
    if days > LONGEST:
        raise ConfigError(f"a rollout of {days:,} days: expected at most {LONGEST:,}, a hundred years.")
    labels = np.append(env.taxonomy.labels, "")
    env.reset(seed=env.rollout_seed, options={"state": state} if state else None)
    policy.reset(user_names(env.people.number.cpu().numpy()), item_names(len(env.catalogue)))
    for _ in tqdm(range(days), desc=description, unit="day", disable=not description):
        morning, valence = env.morning(), env.valence
        day, active = morning.day, morning.active
        slates = policy.recommend(morning)
        _require_showable(env, policy, slates)
        expected = env.expected_hours(slates)
        _, hours, _, _, info = env.step(slates)
        columns = behaviour(env, day, valence, slates, info["watch_ratio"]) if counts else {}
        feedback = Feedback(day, active, slates, info["watch_ratio"], labels[info["emotion"]], columns)
        policy.observe(feedback)
        yield Day(feedback, valence, hours, expected, policy.acted() & active)


def _require_showable(env: FeedEnv, policy: Policy, slates: np.ndarray) -> None:
    """A world would leave the place empty; of a policy it is a mistake, which must not pass for a shorter feed."""
    refused = env.refused(slates)
    if not refused.any():
        return
    row, place = np.argwhere(refused)[0].tolist()
    item, morning = int(slates[row, place]), env.morning()
    if not morning.pool[item]:
        why = ", which is not on offer. Choose among observation.pool"
    elif item in slates[row, :place]:
        why = " twice. Show each item once"
    else:
        why = f", one more than the {morning.slate_size[row]} of observation.slate_size. End the slate with -1"
    person = user_names(env.people.number[row : row + 1].cpu().numpy())[0]
    shown = f"item {item} ({item_names(item + 1)[-1]})"
    raise ConfigError(f"day {morning.day}: {type(policy).__name__} shows {shown} to person {person}{why}.")
