"""What no slate may be: all of one emotion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.settings import SERVING, setting


@dataclass(frozen=True, kw_only=True)
class Guard:
    """The largest part of a slate that one emotion, or all negative emotions together, may have.

    An item counts for the emotion that it expresses most. Items without one, and emotions that are neither pleasant nor
    unpleasant, are not limited. A share above 0 always leaves one place. 1 limits nothing. Where too few other candidates are
    left a slate is filled with the best of what was held back.
    """

    emotion_share: float = setting("largest share of a slate that one emotion may have", low=0, high=1, changes=SERVING)
    negative_share: float = setting("largest share of a slate that negative emotions may have", low=0, high=1, changes=SERVING)

    @property
    def limits(self) -> bool:
        """Whether any slate could be too much of one emotion."""
        return min(self.emotion_share, self.negative_share) < 1

    def of(self, items: Catalogue, item: Tensor, size: np.ndarray) -> Limits | None:
        """The limits of slates of so many items (B,), chosen among items (B, C); None where nothing is limited."""
        if not self.limits:
            return None
        felt = items.place != 0
        one = np.where((items.emotion >= 0) & np.append(felt, False)[items.emotion], items.emotion, -1)
        negative = np.where((items.emotion >= 0) & np.append(items.place < 0, False)[items.emotion], 0, -1)
        pairs = (one, self.emotion_share), (negative, self.negative_share)
        return Limits(tuple((torch.from_numpy(kind)[item], _places(share, size)) for kind, share in pairs))


@dataclass(frozen=True)
class Limits:
    r"""How many items of a kind a slate may hold.

    Kinds are nested: an emotion lies within the negative ones or outside them. So the slates which keep all limits are the
    independent sets of a laminar matroid, and the best slate is the greedy one (Edmonds 1971): items by their value, without
    those whose kind is full.

    Attributes:
        kinds: pairs of the kind of each candidate, (B, C) whole numbers, −1 for one that counts for nothing, and the most items
            of a kind, (B,). The finer kinds come first.
    """

    kinds: tuple[tuple[Tensor, Tensor], ...]

    def held_back(self, value: Tensor) -> Tensor:
        """Which candidates a slate by ``value`` (B, C) leaves out because their kind is full, (B, C) bool."""
        held = torch.zeros_like(value, dtype=torch.bool)
        for kind, most in self.kinds:
            left = value.masked_fill(held, -torch.inf)
            held = held | ((kind >= 0) & (_place_in_kind(left, kind) >= most[:, None]))
        return held


def _places(share: float, size: np.ndarray) -> Tensor:
    """The places of slates (B,) that a share is, rounded down."""
    return torch.from_numpy(np.maximum(np.floor(share * size + 1e-9), share > 0).astype(np.int64))


def _place_in_kind(value: Tensor, kind: Tensor) -> Tensor:
    """How many of the same kind and row come before each by ``value``, (B, C)."""
    best = value.argsort(dim=1, descending=True, stable=True)
    by_kind = kind.gather(1, best).sort(dim=1, stable=True)
    order, sorted_kind = best.gather(1, by_kind.indices), by_kind.values
    at = torch.arange(value.shape[1]).expand_as(order)
    begins = torch.ones_like(sorted_kind, dtype=torch.bool)
    begins[:, 1:] = sorted_kind[:, 1:] != sorted_kind[:, :-1]
    first = torch.where(begins, at, 0).cummax(dim=1).values if value.shape[1] else at
    return torch.zeros_like(order).scatter(1, order, at - first)
