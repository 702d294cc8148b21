"""Policies that need no training: random, popular, positive."""

from __future__ import annotations

import numpy as np

from recbole_esmr.feed import Feedback, Observation, top_slates
from recbole_esmr.policy.contract import NOT_BEGUN, Contract


class Random:
    """Items on offer in random order.

    Args:
        seed: of the policy's own numbers; the same seed gives the same slates to the same people.
    """

    contract: Contract = NOT_BEGUN

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def reset(self, users: np.ndarray, items: np.ndarray) -> None:
        self.contract = Contract.of(users, items)
        self._generator = np.random.default_rng(self._seed)
        self._shape = len(users), len(items)

    def recommend(self, observation: Observation) -> np.ndarray:
        self.contract.check_morning(observation)
        return top_slates(self._generator.random(self._shape, dtype=np.float32), observation)

    def observe(self, feedback: Feedback) -> None:
        self.contract = self.contract.after(feedback)

    def acted(self) -> np.ndarray:
        return np.zeros(self._shape[0], dtype=bool)


class _OneOrder:
    """The same order of items for everybody, by a score of each item."""

    contract: Contract = NOT_BEGUN

    def __init__(self, names: np.ndarray, score: np.ndarray) -> None:
        self._known = dict(zip(names, score, strict=True))

    def reset(self, users: np.ndarray, items: np.ndarray) -> None:
        self.contract = Contract.of(users, items)
        self._users = len(users)
        self.score = np.array([self._known.get(name, 0.0) for name in items])

    def recommend(self, observation: Observation) -> np.ndarray:
        self.contract.check_morning(observation)
        return top_slates(self.score[None, :], observation)

    def observe(self, feedback: Feedback) -> None:
        self.contract = self.contract.after(feedback)

    def acted(self) -> np.ndarray:
        return np.zeros(self._users, dtype=bool)


class Popular(_OneOrder):
    """The most viewed items first; counts go on as the days pass.

    Args:
        names: item names as in the atomic files.
        views: how often each was watched in the log.
    """

    def observe(self, feedback: Feedback) -> None:
        super().observe(feedback)
        watched = feedback.slates[feedback.watch_ratio > 0]
        self.score = self.score + np.bincount(watched, minlength=len(self.score))


class Positive(_OneOrder):
    """The most positive items first, whoever the person is.

    Args:
        names: item names as in the atomic files.
        tone: valence · intensity of each, in [−1, 1].
    """
