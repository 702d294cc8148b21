"""Baselines that need no network: the paper's tabular Q-learning, and a rule."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.data.log import Log
from recbole_esmr.emotion.episodes import streak_length
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.model.gate import STREAK
from recbole_esmr.model.ranking import Candidates
from recbole_esmr.policy.baseline import Baseline

LEARNING_RATE, DISCOUNT, SWEEPS = 0.1, 0.95, 1000
"""The paper's α and γ; passes over the logged days."""

MOODS, STREAKS, HABITS = 3, 4, 3


class TabularQ(Baseline):
    r"""The paper's tabular Q-learning: emotions in the feed as actions, discretised states, the streak gate.

    A state is the believed mood of the day (negative, about neutral, positive), the negative days in a row (0 to 3 or more) and
    the third of the day's watch time; an action is an emotion, done as much as it was watched. With r, the terms of the day in
    the paper's emotion reward,

    .. math:: Q(s, a) \leftarrow Q(s, a) + α\, \overline{(r + γ \max_{a'} Q(s', a') - Q(s, a))}

    the mean being over all days so far in *s*, weighted by the exposure to *a*: the log is read as often as it takes.

    Args:
        model, dataset: as of :class:`~recbole_esmr.policy.baseline.Baseline`.
    """

    def _learn(self, log: Log, beliefs: Beliefs, days: slice) -> None:
        trace, exposure = log.trace, self._exposure(log)
        if days.start == 0:
            here = trace.engagement[trace.present]
            self._edges = np.quantile(here, [1 / 3, 2 / 3]) if len(here) else np.zeros(2)
            self._steps = Steps.none(exposure.shape[2])
        state = self._states(log, beliefs)
        # what is shown on day t is chosen in the state of the evening before, and is rewarded by the step to day t + 1
        use = (trace.present[:, 1:-1] & trace.consent[:, None])[:, days]

        def part(value: np.ndarray) -> np.ndarray:
            return value[:, days][use]

        rewards = replace(self._settings.reward, kind="emotion")
        reward = rewards.of_days(part(trace.valence[:, 1:-1]), part(trace.valence[:, 2:]), part(~trace.present[:, 2:]))
        self._steps = self._steps.followed_by(part(state[:, :-2]), part(exposure[:, 1:-1]), reward, part(state[:, 1:-1]))
        self.q = self._steps.solved()

    def _states(self, log: Log, beliefs: Beliefs) -> np.ndarray:
        """State at the end of each day, (U, D)."""
        mood = np.digitize(beliefs.valence, [0.0, 0.2]) * ~beliefs.negative
        streak = np.minimum(streak_length(beliefs.negative), STREAKS - 1)
        return (mood * STREAKS + streak) * HABITS + np.digitize(log.trace.engagement, self._edges)

    def _value(self, found: Candidates) -> tuple[Tensor, Tensor]:
        value = self.q[self._states(self.log, self.beliefs)[found.row, -1]]
        worth = self._of_items(value - value.mean(axis=1, keepdims=True), found)
        opens = self.beliefs.gate(replace(self.rule.gate, rule=STREAK))[found.row, -1]
        return torch.from_numpy(worth).float() * found.ratio, torch.from_numpy(opens)


@dataclass(frozen=True)
class Steps:
    """Sums over steps from state to state, all that the Q-table needs of them.

    Attributes:
        led: (S, S, A) how much of each action was done on the way from a state to another.
        brought: (S, A) reward that came with it.
    """

    led: np.ndarray
    brought: np.ndarray

    @classmethod
    def none(cls, actions: int) -> Steps:
        states = MOODS * STREAKS * HABITS
        return cls(np.zeros((states, states, actions)), np.zeros((states, actions)))

    def followed_by(self, before: np.ndarray, action: np.ndarray, reward: np.ndarray, after: np.ndarray) -> Steps:
        """With N steps more.

        Args:
            before, after: (N,) states.
            action: (N, A) how much of each action was done.
            reward: (N,).
        """
        led, brought = self.led.copy(), self.brought.copy()
        np.add.at(led, (before, after), action)
        np.add.at(brought, before, action * reward[:, None])
        return Steps(led, brought)

    def solved(self) -> np.ndarray:
        """Q of each state and action, (S, A); 0 where an action was never done."""
        weight = self.led.sum(axis=1)
        q = np.zeros(self.brought.shape)
        for _ in range(SWEEPS):
            target = self.brought + DISCOUNT * np.einsum("san,a->sn", self.led, q.max(axis=1))
            q += LEARNING_RATE * np.where(weight > 0, target / np.maximum(weight, 1e-12) - q, 0.0)
        return q


class PositiveWhileNegative(Baseline):
    """A rule: positive items for who was negative yesterday; nothing is learned.

    Args:
        model, dataset: as of :class:`~recbole_esmr.policy.baseline.Baseline`.
    """

    def _value(self, found: Candidates) -> tuple[Tensor, Tensor]:
        items, item = self._rankers.catalogue, found.item.numpy()
        tone = torch.from_numpy(items.valence[item] * items.intensity[item]).float() * found.ratio
        return tone, torch.from_numpy(self.beliefs.negative[found.row, -1] & self.beliefs.consent[found.row])
