"""What a platform sees of its people's days, and what any feed policy is: the words between a policy and a world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Observation:
    """The morning of a day, before anything is shown. U people, I items.

    Attributes:
        day: the calendar day, from 1.
        active: (U,) bool, who is here today.
        slate_size: (U,) items to show each person; who is away is shown none.
        pool: (I,) bool, the items on offer today.
    """

    day: int
    active: np.ndarray
    slate_size: np.ndarray
    pool: np.ndarray


@dataclass(frozen=True)
class Feedback:
    """The evening of a day: all that the platform logs of it.

    Attributes:
        day: the calendar day.
        active: (U,) bool, who was here.
        slates: (U, K) item numbers as shown, −1 where nothing was.
        watch_ratio: (U, K) share of each item that was watched, in [0, 1]; 0 for a skip, and where nothing was shown.
        emotion: (U,) labels of the reported emotions, empty without a report.
        behaviour: the behaviour columns of the day, (U,) each, by the names of the ``.day`` file; NaN where one is not known.
    """

    day: int
    active: np.ndarray
    slates: np.ndarray
    watch_ratio: np.ndarray
    emotion: np.ndarray
    behaviour: dict[str, np.ndarray]


class Policy(Protocol):
    """Anything that fills feeds. It sees observations and feedback, never a latent.

    Users are known by name, items by number: their place in the names given to :meth:`reset`.
    """

    def reset(self, users: np.ndarray, items: np.ndarray) -> None:
        """Begin with these people and this catalogue: (U,) and (I,) names, as in the atomic files."""

    def recommend(self, observation: Observation) -> np.ndarray:
        """Slates of the day, (U, K) item numbers of the pool, best first, −1 after the person's slate size."""

    def observe(self, feedback: Feedback) -> None:
        """Learn what came of the day.

        Raises:
            DataError: an evening that cannot be; the policy is as it was before.
        """

    def acted(self) -> np.ndarray:
        """(U,) bool: where the last slates were not the engagement ranking but an intervention."""


def top_slates(score: np.ndarray, observation: Observation) -> np.ndarray:
    """Slates of the best-scored items on offer.

    Args:
        score: (U, I), or (1, I) where everybody gets the same order; higher is better; −∞ or NaN: never to be shown.
        observation: of the morning.

    Returns:
        (U, K), K the largest slate size; −1 after a person's slate size or where no item is left that may be shown.
    """
    size = np.where(observation.active, observation.slate_size, 0)
    longest = int(size.max(initial=0))
    offered = np.flatnonzero(observation.pool)
    score = score[:, offered]
    longest = min(longest, len(offered))
    best = np.argpartition(-score, max(longest - 1, 0), axis=1)[:, :longest] if longest else np.zeros((len(score), 0), dtype=int)
    order = np.argsort(-np.take_along_axis(score, best, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    there = np.take_along_axis(score, best, axis=1) > -np.inf  # numpy sorts NaN last, after the −∞
    return np.where(there & (np.arange(longest) < size[:, None]), offered[best], -1)
