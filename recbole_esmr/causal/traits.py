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

BY_STATE = ("strategy",)
"""Features that may be named in ``effect_by_state`` without being asked after."""

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
        state: (F,) of the day on which the trait is asked after: :data:`STABLE`, :data:`VULNERABLE`, or :data:`ANY` day.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    value: np.ndarray
    unit: np.ndarray
    state: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


NONE = Traits((), (), np.zeros((0, 0)), np.zeros(0), np.zeros(0, dtype=int))
"""No traits at all."""


ANY, STABLE, VULNERABLE = -1, 0, 1
"""States of a day: whether its valence is at least or below 0."""

IN_STATE = {ANY: "", STABLE: ", stable", VULNERABLE: ", vulnerable"}
"""What the name of a trait ends in."""


def traits_of(
    catalogue: Catalogue, labels: Sequence[str], features: Sequence[str], by_state: Sequence[str] = (), first: int | None = None
) -> Traits:
    """The traits that are asked for.

    Args:
        catalogue: the items.
        labels: names of the emotions by code.
        features: ``emotion``, ``category``, ``intensity``, ``duration``, or columns of the ``.item`` file that the catalogue
            holds.
        by_state: those of them that are asked after apart on stable and on vulnerable days.
        first: items whose values are traits and by whose mean and SD numbers are standardised, where others came later; all
            unless given.
    """
    original = np.arange(len(catalogue)) < (len(catalogue) if first is None else first)
    named: dict[str, tuple[str, np.ndarray]] = {}
    spread: dict[str, float] = {}
    numbers = {"intensity": catalogue.intensity, "duration": np.log(catalogue.duration)}
    for feature in dict.fromkeys(features):
        if feature == "emotion":
            named |= _emotions(catalogue, labels)
        elif feature == "category":
            names = np.array([*catalogue.categories, ""])
            named |= _values("category", names[catalogue.category], original)
        else:
            column = numbers[feature] if feature in numbers else catalogue.columns[feature]
            if column.dtype.kind == "f":
                standardised, spread[EXPOSURE + feature] = _standardised(column, of=original & (np.arange(len(column)) > 0))
                named[EXPOSURE + feature] = (feature, standardised)
            else:
                named |= _values(feature, column, original)
    apart = {group for group, _ in named.values() if group in by_state}
    if "emotion" in by_state:
        apart |= set(SIGNS)
    every = [
        (name + IN_STATE[state], group + IN_STATE[state], value, spread.get(name, 1.0), state)
        for name, (group, value) in named.items()
        for state in ((STABLE, VULNERABLE) if group in apart else (ANY,))
    ]
    if not every:
        return Traits((), (), np.zeros((len(catalogue), 0)), np.zeros(0), np.zeros(0, dtype=int))
    names, groups, values, units, states = zip(*every, strict=True)
    return Traits(names, groups, np.stack(values, axis=1), np.array(units), np.array(states))


def _emotions(catalogue: Catalogue, labels: Sequence[str]) -> dict[str, tuple[str, np.ndarray]]:
    """The emotions that items have."""
    found = {}
    for code, label in enumerate(labels):
        share = catalogue.share[:, code]
        if share.any():
            found[EXPOSURE + label] = (SIGNS[int(np.sign(catalogue.place[code])) + 1], catalogue.intensity * share)
    return found


def _values(column: str, value: np.ndarray, of: np.ndarray) -> dict[str, tuple[str, np.ndarray]]:
    """The commonest values of a token column among some items; "" is none."""
    values, count = np.unique(value[(value != "") & of], return_counts=True)
    common = sorted(values[np.argsort(-count, kind="stable")[:MOST]])
    return {f"{EXPOSURE}{column}={one}": (column, (value == one).astype(float)) for one in common}


def _standardised(value: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, float]:
    """SDs from the mean, 0 where a number is not known; and the SD."""
    known = np.isfinite(value) & of
    spread = value[known].std() if known.any() else 0.0
    if spread <= 0:
        return np.zeros(len(value)), 1.0
    return np.where(known, (value - value[known].mean()) / spread, 0.0), float(spread)
