"""What items are: the traits whose exposure may move a mood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recbole_esmr.data.catalogue import Catalogue

EXPOSURE = "exposure_"
"""Beginning of the names of the exposures to single traits."""

SIGNS = ("negative", "neutral", "positive")
"""Groups of the emotions, by the sign of their valence."""

MOST = 30
"""Values of a token column that are traits of their own: the commonest."""


@dataclass(frozen=True)
class Traits:
    """F traits of I items.

    Attributes:
        names: of the exposure to each trait: ``exposure_angry``, ``exposure_category=news``, ``exposure_duration``.
        groups: of each, (F,): effects within a group are pooled. The sign of an emotion, or the column.
        value: (I, F) how much of each trait an item has: intensity times the share of an emotion, 1 for the value of a token
            column, SDs from the mean for a number (0 where it is not known).
        unit: (F,) what 1 of ``value`` is in the column's own unit: the SD of a number, 1 of others.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    value: np.ndarray
    unit: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


NONE = Traits((), (), np.zeros((0, 0)), np.zeros(0))
"""No traits at all."""


def traits_of(catalogue: Catalogue, labels: Sequence[str], features: Sequence[str]) -> Traits:
    """The traits that are asked for.

    Args:
        catalogue: the items.
        labels: names of the emotions by code.
        features: ``emotion``, ``category``, ``intensity``, ``duration``, or columns of the ``.item`` file that the catalogue
            holds.
    """
    named: dict[str, tuple[str, np.ndarray]] = {}
    spread: dict[str, float] = {}
    numbers = {"intensity": catalogue.intensity, "duration": np.log(catalogue.duration)}
    for feature in dict.fromkeys(features):
        if feature == "emotion":
            named |= _emotions(catalogue, labels)
        elif feature == "category":
            names = np.array([*catalogue.categories, ""])
            named |= _values("category", names[catalogue.category])
        else:
            column = numbers[feature] if feature in numbers else catalogue.columns[feature]
            if column.dtype.kind == "f":
                standardised, spread[EXPOSURE + feature] = _standardised(column, of=np.arange(len(column)) > 0)
                named[EXPOSURE + feature] = (feature, standardised)
            else:
                named |= _values(feature, column)
    values = [value for _, value in named.values()]
    table = np.stack(values, axis=1) if values else np.zeros((len(catalogue), 0))
    unit = np.array([spread.get(name, 1.0) for name in named])
    return Traits(tuple(named), tuple(group for group, _ in named.values()), table, unit)


def _emotions(catalogue: Catalogue, labels: Sequence[str]) -> dict[str, tuple[str, np.ndarray]]:
    """The emotions that items have."""
    found = {}
    for code, label in enumerate(labels):
        share = catalogue.share[:, code]
        if share.any():
            found[EXPOSURE + label] = (SIGNS[int(np.sign(catalogue.place[code])) + 1], catalogue.intensity * share)
    return found


def _values(column: str, value: np.ndarray) -> dict[str, tuple[str, np.ndarray]]:
    """The commonest values of a token column; "" is none."""
    values, count = np.unique(value[value != ""], return_counts=True)
    common = sorted(values[np.argsort(-count, kind="stable")[:MOST]])
    return {f"{EXPOSURE}{column}={one}": (column, (value == one).astype(float)) for one in common}


def _standardised(value: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, float]:
    """SDs from the mean, 0 where a number is not known; and the SD."""
    known = np.isfinite(value) & of
    spread = value[known].std() if known.any() else 0.0
    if spread <= 0:
        return np.zeros(len(value)), 1.0
    return np.where(known, (value - value[known].mean()) / spread, 0.0), float(spread)
