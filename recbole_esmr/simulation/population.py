"""The people of a world: who they are before any day begins. All of it is latent but the profile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbole_esmr.simulation.catalogue import Catalogue
from recbole_esmr.simulation.random import choose, normal, uniform
from recbole_esmr.simulation.world import World


@dataclass(frozen=True)
class Population:
    """Traits, shape (U,) unless said otherwise."""

    number: np.ndarray  # the address of each person's random numbers
    profile: np.ndarray  # codes, in the order of the world's profile_share
    vulnerable: np.ndarray  # bool
    home: np.ndarray  # home base of valence
    susceptibility: np.ndarray  # multiplies the effect of what is watched; mean 1
    taste: np.ndarray  # (U, I) logits: how much the person likes each item in a neutral mood
    known_taste: np.ndarray  # (U, I) logits: the platform's estimate of it

    def __len__(self) -> int:
        return len(self.number)


def make_population(world: World, catalogue: Catalogue, users: int | np.ndarray, seed: int) -> Population:
    """Draw people; person *u* is the same alone and among ten thousand.

    Args:
        world: the world they live in.
        catalogue: the items they have a taste for.
        users: how many people (numbered from 0), or their numbers.
        seed: of the world.
    """
    settings = world.population
    number = np.arange(users) if isinstance(users, int) else np.asarray(users)
    vulnerable = uniform(seed, "vulnerable", number) < settings.vulnerable_share
    home_mean = np.where(vulnerable, settings.home_mean_vulnerable, settings.home_mean)
    home_sd = np.where(vulnerable, settings.home_sd_vulnerable, settings.home_sd)
    spread = settings.susceptibility_spread
    for_category = normal(seed, "taste category", number, size=len(world.catalogue.category_share))
    for_emotion = normal(seed, "taste emotion", number, size=int(catalogue.emotion.max()) + 1)
    taste = (for_category[:, catalogue.category] + for_emotion[:, catalogue.emotion]) / np.sqrt(2)
    taste = settings.taste_strength * taste + catalogue.quality
    error = world.feed.knowledge_noise * normal(seed, "known taste", number, size=len(catalogue))
    return Population(
        number=number,
        profile=choose(settings.profile_share, uniform(seed, "profile", number)),
        vulnerable=vulnerable,
        home=np.clip(home_mean + home_sd * normal(seed, "home", number), -0.9, 0.9),
        susceptibility=np.exp(spread * normal(seed, "susceptibility", number) - spread**2 / 2),
        taste=taste,
        known_taste=taste + error,
    )
