"""Captions of a world's items, whose meaning is known: what labellers and embeddings of texts are tried on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from recbole_esmr.emotion import Taxonomy
from recbole_esmr.errors import ConfigError
from recbole_esmr.files import read_yaml, shipped
from recbole_esmr.simulation.random import uniform
from recbole_esmr.simulation.videos import Videos

OWN, ELSE = 3, 3
"""Words of an emotion in a caption at most, and words that say nothing."""


def captions(videos: Videos, taxonomy: Taxonomy, categories: Sequence[str], seed: int) -> list[str]:
    """A caption of each item, a few words each; item *i* has the same whatever the number of items.

    One word of the item's emotion, and up to two more by its intensity, each of them now and then one of another emotion; its
    category and theme; and words that say nothing (``properties/captions.yaml``).

    Args:
        videos: the items.
        taxonomy: of their emotions.
        categories: names of theirs.
        seed: of the world.

    Raises:
        ConfigError: an emotion for which there are no words.
    """
    words = read_yaml(shipped("properties") / "captions.yaml")
    lacking = [label for label in taxonomy.labels if label not in words["emotion"]]
    if lacking:
        written = ", ".join(words["emotion"])
        raise ConfigError(f"captions: there are no words for {', '.join(lacking)}. Captions are written of {written}.")
    lists = [words["emotion"][label] for label in taxonomy.labels]
    number = torch.arange(len(videos))

    def draws(purpose: str, count: int) -> np.ndarray:
        return uniform(seed, purpose, number, index=torch.arange(count)).numpy()

    emotion, intensity = videos.emotion.cpu().numpy(), videos.intensity.cpu().numpy()
    others = len(lists) - 1
    other = (emotion[:, None] + 1 + (draws("caption other emotion", OWN) * others).astype(int)) % len(lists)
    of = np.where(draws("caption clarity", OWN) < float(words["clarity"]), emotion[:, None], other)
    many = 1 + np.round(intensity * (OWN - 1)).astype(int)
    place, order = draws("caption word", OWN), draws("caption order", OWN + ELSE + 2).argsort(axis=1)
    rest, nothing = draws("caption filler", ELSE), words["nothing"]
    category, theme = videos.category.cpu().numpy(), videos.theme.cpu().numpy()
    found = []
    for item in range(len(videos)):  # a sentence at a time: texts are no arrays
        own = [lists[of[item, n]][int(place[item, n] * len(lists[of[item, n]]))] for n in range(many[item])]
        name = categories[category[item]]
        every = [*own, *(nothing[int(x * len(nothing))] for x in rest[item]), name, f"{name}{theme[item] + 1}"]
        found.append(" ".join(every[n] for n in order[item] if n < len(every)))
    return found
