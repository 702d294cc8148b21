"""Places of a slate drawn by known chances, so that what is logged tells what other slates would have brought."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Explored:
    """A slate of K places.

    Attributes:
        places: columns of the candidates, in the order in which they are shown.
        propensity: chance of each to stand where it stands, given those before it.
        drawn: whether it was drawn.
    """

    places: tuple[int, ...]
    propensity: tuple[float, ...]
    drawn: tuple[bool, ...]


def explored(chosen: Sequence[int], candidates: np.ndarray, share: float, draw: str) -> Explored:
    r"""A slate in which each place is drawn evenly from all candidates left with chance ε, and is the next best one otherwise.

    .. math:: p(i \mid \text{before}) = (1 - ε)\, [i \text{ is the next best}] + \frac{ε}{|\text{left}|}

    Args:
        chosen: columns of the slate without draws, best first.
        candidates: columns of all candidates.
        share: ε, in [0, 1].
        draw: what the draws follow from.
    """
    if share == 0 or not chosen:
        return Explored(tuple(chosen), (1.0,) * len(chosen), (False,) * len(chosen))
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(draw.encode()).digest()[:8], "big"))
    left, best = [int(column) for column in candidates], list(chosen)
    places, chances, drawn = [], [], []
    for _ in range(len(chosen)):
        lot = bool(random.random() < share) or not best
        place = left[int(random.integers(len(left)))] if lot else best[0]
        chances.append(share / len(left) + (1 - share) * bool(best and place == best[0]))
        places.append(place)
        drawn.append(lot)
        left.remove(place)
        if place in best:
            best.remove(place)
    return Explored(tuple(places), tuple(chances), tuple(drawn))
