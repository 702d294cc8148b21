"""Policies that need no training: random, popular, positive, and a planted amplifier."""

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


class Amplifier:
    """Keeps a share of each slate for the emotion that its person has watched most, and fills the rest by chance.

    A recommender whose amplification is known: the places that are kept are of that emotion, as long as enough such items are on
    offer.

    Args:
        names: (I,) of the items; share: (I, E) what each expresses.
        strength: share of the slate, 0 to 1.
        seed: of the rest.
    """

    contract: Contract = NOT_BEGUN

    def __init__(self, names: np.ndarray, share: np.ndarray, strength: float, seed: int) -> None:
        self._place = {str(name): place for place, name in enumerate(names)}
        self._share_of, self._strength, self._seed = share, strength, seed

    def reset(self, users: np.ndarray, items: np.ndarray) -> None:
        self.contract = Contract.of(users, items)
        self._generator = np.random.default_rng(self._seed)
        nothing = np.zeros(self._share_of.shape[1])
        self._share = np.array(
            [self._share_of[self._place[name]] if name in self._place else nothing for name in map(str, items)]
        )
        self._watched = np.zeros((len(users), len(nothing)))

    def recommend(self, observation: Observation) -> np.ndarray:
        self.contract.check_morning(observation)
        score, other = self._generator.random((2, len(self._watched), len(self._share)))
        liked = (self._share[:, self._watched.argmax(axis=1)].T > 0.5) & self._watched.any(axis=1)[:, None]  # (U, I)
        first = top_slates(np.where(liked, other, -np.inf), observation)
        kept = np.round(self._strength * observation.slate_size)[:, None]
        row, place = np.nonzero((np.arange(first.shape[1]) < kept) & (first >= 0))
        score[row, first[row, place]] += 1  # before all that comes by chance
        return top_slates(score, observation)

    def observe(self, feedback: Feedback) -> None:
        self.contract = self.contract.after(feedback)
        share = self._share[np.maximum(feedback.slates, 0)] * np.where(feedback.slates >= 0, feedback.watch_ratio, 0.0)[..., None]
        self._watched += share.sum(axis=1)

    def acted(self) -> np.ndarray:
        return np.zeros(len(self._watched), dtype=bool)
