"""Items that nobody has watched yet, scored by the items that they are like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.errors import CheckpointError

NEIGHBOURS = 10

_ROUNDED = 1e-3
"""How far components may be apart that were computed on another number of threads."""


@dataclass(frozen=True)
class ColdItems:
    r"""Scores of items that a retriever has not learned, from those of their neighbours.

    .. math:: r_{uc} = \sum_{j \in N(c)} w_{cj} r_{uj}, \quad w_{cj} \propto \max(\cos(z_c, z_j), 0)

    with N(c) the watched items whose embeddings are nearest to that of the item c.

    Attributes:
        item: (N,) the items.
        like: (N, K) items that they are like; weight: (N, K) their weights, which add up to 1.
    """

    item: Tensor
    like: Tensor
    weight: Tensor

    @classmethod
    def of(cls, embeddings: Mapping[str, np.ndarray], watched: np.ndarray, most: int = NEIGHBOURS) -> ColdItems | None:
        """Those among items (I,) with embeddings (I, …) by modality; None where there are none, or nothing to tell them by.

        An item of which no modality is known is like nothing, and stays as the retriever has it.

        Args:
            embeddings: as of the catalogue.
            watched: (I,) bool, the items that the retriever has learned from.
            most: neighbours of an item.
        """
        if not embeddings:
            return None
        table = np.concatenate(list(embeddings.values()), axis=1)
        length = np.linalg.norm(table, axis=1)
        unit = table / np.maximum(length, 1e-12)[:, None]
        warm = np.flatnonzero(watched & (length > 0))
        cold = np.flatnonzero(~watched & (length > 0))
        cold = cold[cold > 0]  # 0 is the padding
        if not len(warm) or not len(cold):
            return None
        count = min(most, len(warm))
        near, weight = np.empty((len(cold), count), dtype=np.int64), np.empty((len(cold), count), dtype=np.float32)
        for start in range(0, len(cold), 1024):  # parts of what would be cold × warm
            alike = unit[cold[start : start + 1024]] @ unit[warm].T
            best = np.argpartition(-alike, count - 1, axis=1)[:, :count]
            near[start : start + 1024] = warm[best]
            weight[start : start + 1024] = np.maximum(np.take_along_axis(alike, best, axis=1), 1e-6)
        weight /= weight.sum(axis=1, keepdims=True)
        return cls(*(torch.from_numpy(value) for value in (cold, near, weight)))

    def scored(self, scores: Tensor) -> Tensor:
        """The scores (B, I) with those of the cold items in their place."""
        found = scores.clone()
        of_cold = torch.zeros(len(scores), len(self.item))
        for like, weight in zip(
            self.like.T, self.weight.T, strict=True
        ):  # a neighbour at a time: never people × items × neighbours
            of_cold += scores[:, like] * weight
        found[:, self.item] = of_cold
        return found


def require_same_embeddings(here: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray]) -> None:
    """Refuse embeddings that a model was not trained on: its weights are of their components, whose axes come from all items.

    Args:
        here: of the catalogue, by modality.
        kept: those of a checkpoint.

    Raises:
        CheckpointError: other modalities, items or vectors.
    """
    same = isinstance(kept, Mapping) and here.keys() == kept.keys()
    if not same or not all(
        isinstance(kept[name], np.ndarray) and kept[name].shape == value.shape and np.allclose(kept[name], value, atol=_ROUNDED)
        for name, value in here.items()
    ):
        raise CheckpointError(
            "item_embeddings are not those it was trained on: other modalities, other items, or other vectors. Use the same "
            ".item and files, or train again."
        )
