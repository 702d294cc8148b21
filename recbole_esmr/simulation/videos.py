"""The videos of a world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from recbole_esmr.emotion import Taxonomy
from recbole_esmr.simulation.random import choose, normal, uniform
from recbole_esmr.simulation.world import World


@dataclass(frozen=True)
class Videos:
    """Items of a world, shape (I,) each, float32 or int64. ``quality`` is latent; the rest goes into the ``.item`` file."""

    emotion: Tensor  # codes of the taxonomy
    intensity: Tensor  # 0–1
    category: Tensor  # codes, in the order of the world's category_share
    theme: Tensor  # codes within the category
    strategy: Tensor  # codes, in the order of the world's strategy_share; −1 for none
    duration: Tensor  # seconds
    quality: Tensor  # logits
    tone: Tensor  # valence · intensity, in [−1, 1]
    arousal: Tensor  # arousal · intensity, in [−1, 1]
    kind: Tensor  # category · E + emotion, the index of a person's taste

    def __len__(self) -> int:
        return len(self.emotion)

    @property
    def negative(self) -> Tensor:
        """Intensity where the emotion's valence < 0, else 0."""
        return self.intensity * (self.tone < 0)

    @property
    def positive(self) -> Tensor:
        """Intensity where the emotion's valence > 0, else 0."""
        return self.intensity * (self.tone > 0)


def make_videos(world: World, taxonomy: Taxonomy, items: int, seed: int, device: torch.device) -> Videos:
    """Draw ``items`` videos; item *i* is the same whatever the number of items."""
    settings, number = world.catalogue, torch.arange(items)
    codes = torch.from_numpy(taxonomy.encode(np.array(list(settings.emotion_share))))
    emotion = codes[choose(settings.emotion_share, uniform(seed, "item emotion", number))]
    mean, concentration = settings.intensity_mean, settings.intensity_concentration
    draw = uniform(seed, "item intensity", number).numpy()
    intensity = np.clip(betaincinv(mean * concentration, (1 - mean) * concentration, draw), 0.01, 1).round(3)
    shortest, longest = settings.duration_range
    duration = settings.duration_median * torch.exp(settings.duration_spread * normal(seed, "item duration", number))
    strategies = settings.strategy_share
    none = max(1 - sum(strategies.values()), 0.0)
    strategy = choose({**strategies, "": none}, uniform(seed, "item strategy", number))
    category = choose(settings.category_share, uniform(seed, "item category", number))
    columns = {
        "emotion": emotion,
        "intensity": torch.from_numpy(intensity),
        "category": category,
        "theme": (uniform(seed, "item theme", number) * settings.themes_per_category).long(),
        "strategy": torch.where(strategy < len(strategies), strategy, -1),
        "duration": duration.clamp(shortest, longest).double().round(decimals=1),
        "quality": 0.8 * normal(seed, "item quality", number),
        "tone": torch.from_numpy(taxonomy.valence)[emotion] * torch.from_numpy(intensity),
        "arousal": torch.from_numpy(taxonomy.arousal)[emotion] * torch.from_numpy(intensity),
        "kind": category * len(taxonomy) + emotion,
    }
    return Videos(**{name: (x.float() if x.is_floating_point() else x).to(device) for name, x in columns.items()})


def on_offer(world: World, items: int, day: int, seed: int) -> Tensor:
    """The day's pool, (I,) bool: each item is on offer with chance ``pool_share``, never fewer than the largest slate."""
    draw = uniform(seed, "pool", torch.arange(items), day)
    least = min(items, largest_slate(world))
    limit = draw.kthvalue(least).values
    return draw <= torch.clamp(limit, min=world.feed.pool_share)


def largest_slate(world: World) -> int:
    """Most items that anybody is ever shown in a day: visits on a good weekend times the size of a visit."""
    feed = world.feed
    return (int(max(feed.sessions.values()) * max(feed.weekend_factor, 1.0)) + 1) * feed.session_size
