"""The videos of a world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from recbole_esmr.emotion import Taxonomy
from recbole_esmr.simulation.random import choose, normal, uniform
from recbole_esmr.simulation.world import World


@dataclass(frozen=True)
class Catalogue:
    """Items of a world, shape (I,) each. ``quality`` (logits) is latent; the rest goes into the ``.item`` file."""

    emotion: np.ndarray  # codes of the taxonomy
    intensity: np.ndarray  # 0–1
    category: np.ndarray  # codes, in the order of the world's category_share
    theme: np.ndarray  # codes within the category
    duration: np.ndarray  # seconds
    quality: np.ndarray  # logits
    negative: np.ndarray  # intensity where the emotion's valence < 0, else 0
    positive: np.ndarray  # intensity where the emotion's valence > 0, else 0
    tone: np.ndarray  # valence · intensity, in [−1, 1]

    def __len__(self) -> int:
        return len(self.emotion)


def make_catalogue(world: World, taxonomy: Taxonomy, items: int, seed: int) -> Catalogue:
    """Draw ``items`` videos; item *i* is the same whatever the number of items."""
    settings, number = world.catalogue, np.arange(items)
    names = np.array(list(settings.emotion_share))
    emotion = taxonomy.encode(names)[choose(settings.emotion_share, uniform(seed, "item emotion", number))]
    mean, concentration = settings.intensity_mean, settings.intensity_concentration
    draw = uniform(seed, "item intensity", number)
    intensity = np.clip(betaincinv(mean * concentration, (1 - mean) * concentration, draw), 0.01, 1).round(3)
    shortest, longest = settings.duration_range
    spread = np.exp(settings.duration_spread * normal(seed, "item duration", number))
    valence = taxonomy.valence[emotion]
    return Catalogue(
        emotion=emotion,
        intensity=intensity,
        category=choose(settings.category_share, uniform(seed, "item category", number)),
        theme=(uniform(seed, "item theme", number) * settings.themes_per_category).astype(int),
        duration=np.clip(settings.duration_median * spread, shortest, longest).round(1),
        quality=0.8 * normal(seed, "item quality", number),
        negative=intensity * (valence < 0),
        positive=intensity * (valence > 0),
        tone=intensity * valence,
    )
