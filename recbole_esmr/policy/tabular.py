"""Opponents that need no network: the paper's tabular Q-learning, and a rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.causal.reward import Reward
from recbole_esmr.emotion.episodes import streak_length
from recbole_esmr.model.esmr import Candidates
from recbole_esmr.model.gate import gate_open
from recbole_esmr.policy.bandit import emotion_exposure
from recbole_esmr.policy.opponent import Opponent

LEARNING_RATE, DISCOUNT, SWEEPS = 0.1, 0.95, 1000
"""The paper's α and γ; passes over the logged days."""

MOODS, STREAKS, HABITS = 3, 4, 3


class TabularQ(Opponent):
    """The paper's tabular Q-learning: emotions in the feed as actions, discretised states, the streak gate.

    A state is the believed mood of the day (negative, about neutral, positive), the negative days in a row (0 to 3 or more) and
    the third of the day's watch time; an action is an emotion, done as much as it was watched. With r, the terms of the day in
    the paper's emotion reward,

    .. math:: Q(s, a) \\leftarrow Q(s, a) + α\\, \\overline{(r + γ \\max_{a'} Q(s', a') - Q(s, a))}

    the mean being over all logged days in *s*, weighted by the exposure to *a*: the log is read as often as it takes.

    Args:
        model, dataset, batch: as of :class:`~recbole_esmr.policy.opponent.Opponent`.
    """

    def _prepare(self) -> None:
        super()._prepare()
        model = self._model
        trace, settings = model.trace, model.settings
        negative, valence = model.believed_days()
        mood = np.digitize(valence, [0.0, 0.2]) * ~negative
        edges = np.quantile(trace.engagement[trace.present], [1 / 3, 2 / 3]) if trace.present.any() else [0.0, 0.0]
        streak = np.minimum(streak_length(negative), STREAKS - 1)
        self._state = (mood * STREAKS + streak) * HABITS + np.digitize(trace.engagement, edges)
        self._open = gate_open("streak", negative, valence, settings.gate_streak, settings.gate_recovery)[:, -1] & trace.consent
        exposure = emotion_exposure(model.impressions, model, trace.users, trace.days)
        # what is shown on day t is chosen in the state of the evening before, and is rewarded by the step to day t + 1
        use = trace.present[:, 1:-1] & trace.consent[:, None]
        before, after, shown = self._state[:, :-2][use], self._state[:, 1:-1][use], exposure[:, 1:-1][use]
        rewards = replace(Reward.of(settings), kind="emotion")
        today, tomorrow = trace.valence[:, 1:-1][use], trace.valence[:, 2:][use]
        self.q = table(before, shown, rewards.of_days(today, tomorrow, ~trace.present[:, 2:][use]), after)

    def _benefit(self, user: Tensor, day: Tensor, found: Candidates) -> tuple[Tensor, Tensor]:
        items, item = self._model.catalogue, found.item.numpy()
        value = self.q[self._state[user.numpy(), -1]]
        value = value - value.mean(axis=1, keepdims=True)
        of_item = np.take_along_axis(value, np.maximum(items.emotion[item], 0), axis=1) * items.intensity[item]
        return torch.from_numpy(of_item).float() * found.ratio, torch.from_numpy(self._open[user.numpy()])


def table(before: np.ndarray, action: np.ndarray, reward: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Q of each state and action, (36, A).

    Args:
        before, after: (N,) states.
        action: (N, A) how much of each action was done.
        reward: (N,).
    """
    states, actions = MOODS * STREAKS * HABITS, action.shape[1]
    q, brought = np.zeros((states, actions)), np.zeros((states, actions))
    led = np.zeros((states, states, actions))
    np.add.at(led, (before, after), action)
    np.add.at(brought, before, action * reward[:, None])
    weight = led.sum(axis=1)
    seen = weight > 0
    for _ in range(SWEEPS):
        goal = brought + DISCOUNT * np.einsum("san,a->sn", led, q.max(axis=1))
        q += LEARNING_RATE * np.where(seen, goal / np.maximum(weight, 1e-12) - q, 0.0)
    return q


class PositiveWhileNegative(Opponent):
    """A rule: positive items for who was negative yesterday, within each slate's floor; nothing is learned.

    Args:
        model, dataset, batch: as of :class:`~recbole_esmr.policy.opponent.Opponent`.
    """

    def _benefit(self, user: Tensor, day: Tensor, found: Candidates) -> tuple[Tensor, Tensor]:
        items, item, model = self._model.catalogue, found.item.numpy(), self._model
        tone = torch.from_numpy(items.valence[item] * items.intensity[item]).float() * found.ratio
        return tone, torch.from_numpy(model.believed_days()[0][user.numpy(), -1] & model.trace.consent[user.numpy()])
