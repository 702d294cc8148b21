"""The platform's feed that wrote the logs: engagement-seeking, mood-congruent, with known propensities."""

from __future__ import annotations

import numpy as np
import torch

from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.memory import require_free
from recbole_esmr.simulation.env import FeedEnv
from recbole_esmr.simulation.population import known_taste
from recbole_esmr.simulation.random import uniform
from recbole_esmr.simulation.world import World

_BYTES, _BYTES_ON_OFFER = 16, 90
"""Peak bytes of a person's taste for an item, and more of it on the days on which the item is on offer."""


def inclusion_probabilities(weight: np.ndarray, size: np.ndarray) -> np.ndarray:
    r"""Probability of each item to be in a slate of ``size`` items drawn in proportion to ``weight``.

    .. math:: π_{ui} = \min(1, c_u w_{ui}), \quad \sum_i π_{ui} = K_u

    Args:
        weight: shape (U, I), positive.
        size: shape (U,), items in the slate, at most I.

    Returns:
        shape (U, I), in (0, 1]; rows sum to ``size``.
    """
    capped = np.zeros(weight.shape, dtype=bool)
    probability = weight * (size / weight.sum(axis=1))[:, None]
    while (over := probability > 1).any():
        capped |= over
        left = size - capped.sum(axis=1)
        free = np.where(capped, 0.0, weight)
        probability = np.where(capped, 1.0, free * (left / np.maximum(free.sum(axis=1), 1e-300))[:, None])
    return probability


def systematic_sample(probability: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """A fixed-size sample with exactly the given inclusion probabilities (Madow 1949).

    Args:
        probability: shape (U, I), rows sum to a whole number.
        draw: shape (U,), uniform in (0, 1).

    Returns:
        shape (U, I), bool; as many true cells in a row as its probabilities sum to.
    """
    upto = np.cumsum(probability, axis=1)
    upto = upto * (np.round(upto[:, -1]) / upto[:, -1])[:, None]
    steps = np.floor(upto - draw[:, None] + 1)
    return np.diff(steps, axis=1, prepend=0) > 0


def check_tastes(world: World, users: int, items: int) -> None:
    """Refuse more people and items than there is memory for what the platform believes of their tastes.

    Raises:
        ConfigError: how much is needed.
    """
    needed = users * items * int(_BYTES + _BYTES_ON_OFFER * world.feed.pool_share)
    require_free(needed, f"world {world.name}: the tastes of {users:,} people for {items:,} items", "Simulate fewer.")


class LoggingFeed:
    """The platform's own feed as a policy: what it believes of tastes, lifted toward the tone of what was watched last.

    It needs the world only for the platform's imperfect estimate of tastes and for its random numbers; no mood is read.

    Args:
        env: the world's people and items.

    Raises:
        ConfigError: more people and items than there is memory for.

    Attributes:
        propensity: (U, K) inclusion probabilities of the last slates, 0 where nothing is shown.
    """

    def __init__(self, env: FeedEnv) -> None:
        self._env, self._settings = env, env.world.feed
        check_tastes(env.world, len(env.people), len(env.catalogue))
        self._taste = known_taste(env.world, env.people, env.catalogue, env.seed).cpu().numpy()
        self._tone = env.catalogue.tone.cpu().numpy()
        self.reset(np.array([]), np.array([]))

    def reset(self, users: np.ndarray, items: np.ndarray) -> None:
        self._last_tone = np.zeros(len(self._taste))

    def recommend(self, observation: Observation) -> np.ndarray:
        """Draw the day's slates; they stand in random order, as a day's items come in several visits."""
        env, settings, size = self._env, self._settings, observation.slate_size
        offered = np.flatnonzero(observation.pool)
        score = self._taste[:, offered] + settings.congruent_feed * self._last_tone[:, None] * self._tone[offered]
        softmax = np.exp((score - score.max(axis=1, keepdims=True)) / settings.temperature)
        softmax /= softmax.sum(axis=1, keepdims=True)
        weight = (1 - settings.exploration) * softmax + settings.exploration / len(offered)
        probability = inclusion_probabilities(weight, np.maximum(size, 1))
        number, day = env.people.number, observation.day
        draw = uniform(env.rollout_seed, "slate", number, day).cpu().numpy()
        shown = systematic_sample(probability, draw) & (size > 0)[:, None]
        longest = int(shown.sum(axis=1).max(initial=0))
        place = (
            uniform(env.rollout_seed, "place in slate", number, day, torch.from_numpy(offered).to(number.device)).cpu().numpy()
        )
        order = np.argsort(np.where(shown, place, np.inf), axis=1, kind="stable")[:, :longest]
        here = np.take_along_axis(shown, order, axis=1)
        self.propensity = np.where(here, np.take_along_axis(probability, order, axis=1), 0.0)
        return np.where(here, offered[order], -1)

    def observe(self, feedback: Feedback) -> None:
        """Remember the tone of what each person watched today, all that the platform knows of the mood."""
        ratio = feedback.watch_ratio
        tone = (ratio * self._tone[feedback.slates]).sum(axis=1) / np.maximum(ratio.sum(axis=1), 1e-9)
        self._last_tone = np.where(ratio.sum(axis=1) > 0, tone, self._last_tone)

    def acted(self) -> np.ndarray:
        return np.zeros(len(self._taste), dtype=bool)
