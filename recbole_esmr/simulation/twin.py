"""Twins: the same people and random numbers under two feeds that differ in one thing. The true causal effects of a world."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from tqdm import tqdm

from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.simulation.env import FeedEnv
from recbole_esmr.simulation.logging_policy import LoggingFeed
from recbole_esmr.simulation.world import World

AMOUNT = 0.1
"""The change of exposure that an effect is stated for."""

OUTCOMES = ("valence", "negative", "engagement", "active", "reported_valence", "reported_negative")
STATES = ("all", "stable", "vulnerable")


def true_effects(
    world: World, users: int, items: int, days: int, seed: int, amount: float = AMOUNT, show_progress: bool = True,
    emotions: bool = False, days_after: int = 1,
) -> dict[str, Any]:  # fmt: skip
    r"""True effects of a day's exposure on the days after, under the world's logging policy.

    For every day that a person is there, a twin lives the same day with ``amount`` more exposure (spread over the emotions of
    that sign as the catalogue has them, or of one emotion) and every random number shared. Then both go on under the logging
    policy. The effect on the day h later is the mean difference of their days:

    .. math:: τ_h = \frac{1}{n} \sum_{u,t} \left( y_{u,t+h}(x_{ut} + 0.1) - y_{u,t+h}(x_{ut}) \right)

    Args:
        world, users, items, days, seed: whose days; the same as of :func:`~recbole_esmr.simulation.logs.simulate`.
        amount: added to the exposure; 0 gives twins with equal feeds.
        emotions: whether the exposure to each emotion, and to each strategy, is asked after, too.
        days_after: days on which effects are looked for.

    Returns:
        ``effects``: a list of treatment (negative_exposure, positive_exposure, exposure_angry, …), days_after, outcome (valence;
        negative and active as probabilities; engagement in watch hours; ``reported_valence`` and ``reported_negative``: of the
        label that the person would report, which is the scale of the logs), state (all; stable or vulnerable: today's true
        valence at least or below 0), value and n_user_days; ``negative_day_share`` of all user-days under the logging policy.
    """
    env, twin = (FeedEnv(world, users, items, seed) for _ in range(2))
    usual, valence_of = env.exposure.usual.numpy()[: len(env.taxonomy)], env.taxonomy.valence
    nudges = {}
    for name, part in (("negative_exposure", valence_of < 0), ("positive_exposure", valence_of > 0)):
        share = usual * part
        nudges[name] = amount * share / max(share.sum(), 1e-12)
    if emotions:
        unit, strategies = amount * np.eye(len(env.exposure.usual)), list(world.catalogue.strategy_share)
        nudges |= {f"exposure_{label}": unit[code] for code, label in enumerate(env.taxonomy.labels) if usual[code] > 0}
        nudges |= {f"exposure_strategy={name}": unit[len(usual) + code] for code, name in enumerate(strategies)}
    total = np.zeros((len(nudges), days_after, len(OUTCOMES), len(STATES)))
    count, negative_days = np.zeros(len(STATES)), 0
    feed = LoggingFeed(env)
    env.reset(seed=seed)
    for _ in tqdm(range(days), desc=f"Twins of {world.name}", unit="day", disable=not show_progress):
        morning, valence = env.snapshot(), env.valence
        seen = env.morning()
        slates = feed.recommend(seen)
        negative_days += int((valence < 0).sum())
        before = copy.copy(feed)
        plain = _next_days(twin, copy.copy(before), morning, slates, None, days_after)
        states = np.stack([np.ones(users, dtype=bool), valence >= 0, valence < 0]) & seen.active
        count += states.sum(axis=1)
        for row, nudge in enumerate(nudges.values()):
            change = _next_days(twin, copy.copy(before), morning, slates, nudge, days_after) - plain
            total[row] += change @ states.T
        *_, info = env.step(slates)
        feed.observe(_feedback(seen, slates, info))
    mean = total / np.maximum(count, 1)
    effects = [
        {
            "treatment": treatment, "days_after": h + 1, "outcome": outcome, "state": state, "value": float(mean[i, h, j, k]),
            "n_user_days": int(count[k]),
        }
        for i, treatment in enumerate(nudges)
        for h in range(days_after)
        for j, outcome in enumerate(OUTCOMES)
        for k, state in enumerate(STATES)
    ]  # fmt: skip
    return {"effects": effects, "negative_day_share": negative_days / (users * days)}


def _next_days(
    twin: FeedEnv, feed: LoggingFeed, morning: dict[str, Any], slates: np.ndarray, nudge: np.ndarray | None, days: int
) -> np.ndarray:
    """Outcomes, one row each, (days, 6, U), of the days after a day with ``slates`` and an exposure moved by ``nudge``."""
    twin.reset(seed=twin.rollout_seed, options={"state": morning})
    today = twin.morning()
    *_, info = twin.step(slates, nudge)
    outcomes = []
    for _ in range(days):
        feed.observe(_feedback(today, slates, info))
        valence, today = twin.valence, twin.morning()
        reported, slates = twin.taxonomy.valence[twin.label], feed.recommend(today)
        _, hours, _, _, info = twin.step(slates)
        outcomes.append(np.stack([valence, valence < 0, hours, today.active, reported, reported < 0]).astype(float))
    return np.stack(outcomes)


def _feedback(seen: Observation, slates: np.ndarray, info: dict[str, Any]) -> Feedback:
    return Feedback(seen.day, seen.active, slates, info["watch_ratio"], info["emotion"], behaviour={})
