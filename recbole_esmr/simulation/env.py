"""The closed loop: one row a person, one step a day; what is shown today moves tomorrow's mood."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.simulation import affect
from recbole_esmr.simulation.catalogue import make_catalogue
from recbole_esmr.simulation.population import make_population
from recbole_esmr.simulation.random import uniform
from recbole_esmr.simulation.world import World


class FeedEnv:
    """People who read a feed for a number of days.

    The methods follow gymnasium's vector API. An observation is what a platform sees: who is here today, how many items each
    is shown, and what was reported; never a latent. ``info`` of :meth:`step` holds what the platform logs of the day just lived.

    Args:
        world: the world.
        users: number of people U, or their numbers (user 7 lives the same life alone and among ten thousand).
        items: number of items I.
        seed: of every random number in it.
    """

    def __init__(self, world: World, users: int | np.ndarray, items: int, seed: int) -> None:
        self.world, self.seed = world, seed
        self.taxonomy = load_taxonomy(world.emotion_taxonomy)
        self.catalogue = make_catalogue(world, self.taxonomy, items, seed)
        self.people = make_population(world, self.catalogue, users, seed)
        self._slate_size = np.array(list(world.feed.slate_size.values()))[self.people.profile]
        self._churn = np.array(list(world.retention.churn.values()))[self.people.profile]
        self._returning = np.array(list(world.retention.returning.values()))[self.people.profile]

    def reset(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin day 1. Returns the observation of its morning and an empty info."""
        self.day = 1
        self._state = affect.first_state(self.world, self.people, self.seed)
        self.active = np.ones(len(self.people), dtype=bool)
        return self._wake(), {}

    def step(self, slates: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Live one day with the given feed, and wake on the next.

        Args:
            slates: shape (U, K), item numbers 0 … I−1; −1 shows nothing in that place.

        Returns:
            observation of the next morning; reward, shape (U,), watch hours of the day; terminated and truncated, shape (U,),
            all false; info with ``watch_ratio`` (U, K), ``negative_exposure`` and ``positive_exposure`` (U,).
        """
        shown = (slates >= 0) & self.active[:, None]
        item = np.where(shown, slates, 0)
        ratio = np.where(shown, self._watch(item), 0.0)
        count = np.maximum(shown.sum(axis=1), 1)
        negative = (ratio * self.catalogue.negative[item]).sum(axis=1) / count
        positive = (ratio * self.catalogue.positive[item]).sum(axis=1) / count
        hours = (ratio * self.catalogue.duration[item]).sum(axis=1) / 3600
        impact = np.where(self.active, affect.exposure_impact(self.world, self.people, negative, positive), 0.0)
        self.day += 1
        self._state = affect.next_state(self.world, self.people, self._state, impact, self.day, self.seed)
        draw = uniform(self.seed, "comes", self.people.number, self.day)
        self.active = np.where(self.active, draw >= self._churn, draw < self._returning)
        none = np.zeros(len(self.people), dtype=bool)
        info = {"watch_ratio": ratio, "negative_exposure": negative, "positive_exposure": positive}
        return self._wake(), hours, none, none, info

    @property
    def valence(self) -> np.ndarray:
        """The true valence of today, shape (U,): for the judge, never for a policy or a log."""
        return self._valence

    def _wake(self) -> dict[str, np.ndarray]:
        self._valence = affect.day_valence(self.world, self.people, self._state, self.day, self.seed)
        label = affect.reported_emotion(self.world, self.taxonomy, self.people, self._valence, self.day, self.seed)
        reports = uniform(self.seed, "reports", self.people.number, self.day) < self.world.observation.report_share
        weekend = self.world.feed.weekend_factor if self.day % 7 in (6, 0) else 1.0
        size = np.minimum(np.round(self._slate_size * weekend), len(self.catalogue)).astype(int)
        return {
            "active": self.active.copy(),
            "slate_size": np.where(self.active, size, 0),
            "emotion": np.where(self.active & reports, label, -1),
        }

    def _watch(self, item: np.ndarray) -> np.ndarray:
        """Watch ratio of each shown item, shape (U, K), 0 for a skip."""
        mood = np.clip((self._valence - self.people.home) / 0.17, -2, 2)[:, None]
        liking = np.take_along_axis(self.people.taste, item, axis=1) + self.world.feed.watch_bias
        liking = liking + self.world.population.congruence * mood * self.catalogue.tone[item]
        rows = np.arange(len(item))[:, None]
        chance = uniform(self.seed, "watch", self.people.number, self.day, size=len(self.catalogue))[rows, item]
        length = uniform(self.seed, "watch length", self.people.number, self.day, size=len(self.catalogue))[rows, item]
        ratio = np.clip(length ** np.exp(-0.5 * liking), 0.05, 1.0)
        return np.where(chance < expit(liking), ratio, 0.0)
