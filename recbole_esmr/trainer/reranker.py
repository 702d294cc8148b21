"""Stage 4: what the value function learns from, made of a log."""

from __future__ import annotations

import numpy as np
import torch

from recbole_esmr.causal.carry_over import carry_over
from recbole_esmr.causal.reward import Reward
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.log import Log
from recbole_esmr.data.trace import TRAIN
from recbole_esmr.data.user_days import SlateIndex
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.model.engagement_ranker import EngagementFeatures
from recbole_esmr.model.ranking import Rankers, pair_table
from recbole_esmr.model.state import with_ratio
from recbole_esmr.rl.double_q import RerankerSettings
from recbole_esmr.rl.transitions import Transitions, n_step_returns
from recbole_esmr.trainer.engagement import with_negatives

LARGEST_WEIGHT = 10.0
"""Inverse propensities are cut off at so many times their mean."""


def logged_transitions(
    log: Log,
    beliefs: Beliefs,
    rankers: Rankers,
    reward: Reward,
    settings: RerankerSettings,
    generator: np.random.Generator,
    part: int = TRAIN,
) -> Transitions:
    """Turn the impressions of the days of ``part`` into transitions.

    The engagement terms are those of each item; the terms of the day are shared by its items. What follows a day is looked for
    within the part alone, so a person's last day in it is truncated: what came after it is not known.
    """
    trace = log.trace
    shown = with_negatives(log.impressions, 1, len(rankers.catalogue), generator)
    shown = shown.take((trace.role[shown.user, shown.day] == part) & trace.consent[shown.user])
    shown = shown.take(at_most(settings.items, shown, generator))
    slates = SlateIndex(shown.user, shown.day)
    user, day = slates.user, slates.day
    item, there = slates.padded(shown.item), slates.padded(np.ones(len(shown), dtype=bool))
    stranger = generator.permutation(len(slates))
    ratio = _expected_ratios(log, beliefs, rankers, user, day, np.concatenate([item, item[stranger]], axis=1))
    features = with_ratio(rankers.item_features[np.concatenate([item, item[stranger]], axis=1)], ratio)
    tomorrow, gone = _tomorrow(log, user, day, part)
    of_day = reward.of_days(trace.valence[user, day], tomorrow, gone)[:, None]
    rewards = np.where(there, slates.padded(reward.of_items(shown.watch_ratio)) + of_day, 0.0)
    returns = n_step_returns(
        rewards.sum(axis=1) / np.maximum(there.sum(axis=1), 1), user, day, settings.return_days, settings.discount
    )
    mood, until, mood_discount = _mood_returns(log, beliefs, reward, settings, user, day, part)
    return Transitions(
        person=torch.from_numpy(user),
        state=beliefs.morning[user, day],
        item=features[:, : item.shape[1]],
        shown=torch.from_numpy(there),
        weight=torch.from_numpy(slates.padded(_inverse_propensity(shown.propensity))).float(),
        reward=torch.from_numpy(rewards).float(),
        other=features[:, item.shape[1] :],
        real=torch.from_numpy(there[stranger]),
        later=torch.from_numpy(returns.total).float(),
        following=torch.from_numpy(returns.following),
        discount=torch.from_numpy(returns.discount).float(),
        truncated=torch.from_numpy(returns.truncated),
        mood=torch.from_numpy(mood).float(),
        mood_state=beliefs.morning[user, until],
        mood_discount=torch.from_numpy(mood_discount).float(),
    )


def at_most(count: int, shown: Impressions, generator: np.random.Generator) -> np.ndarray:
    """A random choice of at most ``count`` impressions of each user-day, as a mask (M,)."""
    order = np.argsort(generator.random(len(shown)))
    chosen = np.empty(len(shown), dtype=bool)
    chosen[order] = SlateIndex(shown.user[order], shown.day[order]).place < count
    return chosen


def _expected_ratios(
    log: Log, beliefs: Beliefs, rankers: Rankers, user: np.ndarray, day: np.ndarray, item: np.ndarray, batch: int = 1024
) -> torch.Tensor:
    """Expected watch ratio of items (N, C) for a person on a day, (N, C)."""
    features = EngagementFeatures.of(log, beliefs.forecast, rankers.catalogue)
    ratios = [torch.zeros(0, item.shape[1])]
    for start in range(0, len(user), batch):
        rows, days, items = user[start : start + batch], day[start : start + batch], torch.from_numpy(item[start : start + batch])
        table = pair_table(features, rows, days, items, rankers.retrieval(log, rows, days).gather(1, items))
        ratios.append(torch.from_numpy(rankers.watch.predict(table)).float().reshape(items.shape))
    return torch.cat(ratios)


def _tomorrow(log: Log, user: np.ndarray, day: np.ndarray, part: int) -> tuple[np.ndarray, np.ndarray]:
    """Valence of the day after, NaN where unknown or of another part, and whether the person stayed away."""
    trace = log.trace
    later = np.minimum(day + 1, trace.days - 1)
    known = (day + 1 < trace.days) & (trace.role[user, later] == part)
    return np.where(known, trace.valence[user, later], np.nan), known & ~trace.present[user, later]


def _mood_returns(
    log: Log, beliefs: Beliefs, reward: Reward, settings: RerankerSettings, user: np.ndarray, day: np.ndarray, part: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""n-day worth of a unit of the valence of the day after, as believed each evening.

    .. math:: m_t = \sum_{k=0}^{n-1} (γφ)^k \frac{∂E[R_{t+k}]}{∂v}

    a unit of tomorrow's valence being φ of one the day after (:func:`~recbole_esmr.causal.carry_over.carry_over`).

    Returns:
        m (N,); the morning after (N,), and the discount of its M.
    """
    trace, state = log.trace, beliefs.state
    use = trace.role == part
    kept = settings.discount * carry_over(np.where(trace.role == TRAIN, trace.valence, np.nan))
    worth = reward.of_valence(beliefs.valence, state.mean.numpy(), state.scale.numpy())
    total, until, discount = np.zeros(len(user)), day.copy(), np.ones(len(user))
    for _ in range(settings.return_days):
        inside = (until < trace.days) & use[user, np.minimum(until, trace.days - 1)]
        total += np.where(inside, discount * worth[user, np.minimum(until, trace.days - 1)], 0.0)
        until, discount = until + inside, np.where(inside, discount * kept, discount)
    return total, until, discount


def _inverse_propensity(propensity: np.ndarray) -> np.ndarray:
    known = np.isfinite(propensity) & (propensity > 0)
    if not known.any():
        return np.ones(len(propensity))
    weight = np.where(known, 1 / np.where(known, propensity, 1.0), np.nan)
    weight = np.minimum(weight / np.nanmean(weight), LARGEST_WEIGHT)
    return np.where(known, weight / np.nanmean(weight), 1.0)
