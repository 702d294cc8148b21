"""The items of a service: what training knew of them, and what has been added, changed and withdrawn since."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.item_past import ItemPast
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.errors import DataError, nearest, plain
from recbole_esmr.label.labeller import ROUNDED
from recbole_esmr.serving.checks import in_range, one_line

FIELDS = ("item", "emotion", "share", "intensity", "category", "duration", "strategy")
"""What may be said of an item, beside the columns that effects were asked of."""

LONGEST_NAME = 200
"""Characters of an item's name."""

LONGEST = 86_400.0
"""Seconds that an item may last."""


@dataclass(frozen=True)
class Stock:
    """The items of a service by number; number 0 is no item.

    Attributes:
        names: (I,) of the items, "" first.
        catalogue: what they are.
        counts: (3, I) impressions, views and summed watch ratio in the log of the training.
        dated: whether that log's days were dates, so that its counts say something of all people.
        offered: (I,) bool, whether an item may be shown; a withdrawn one may not, and is still known.
        learned: the first so many were there in training.
    """

    names: tuple[str, ...]
    catalogue: Catalogue
    counts: np.ndarray
    dated: bool
    offered: np.ndarray
    learned: int

    @cached_property
    def number(self) -> dict[str, int]:
        """The number of each name."""
        return {name: place for place, name in enumerate(self.names) if place}

    def numbers(self, names: Sequence[str], where: str) -> np.ndarray:
        """The numbers of names.

        Raises:
            DataError: a name that no item has.
        """
        for place, name in enumerate(names):
            if name not in self.number:
                raise DataError(f"{where}[{place}]: there is no item {plain(name)!r}. Add it first, or leave it out.")
        return np.array([self.number[name] for name in names], dtype=np.int64)

    def past(self, window: int) -> ItemPast:
        """What the training's log says of the items, on any day of a window."""
        item = np.flatnonzero(self.counts[0] > 0)
        day = np.full(len(item), -1)
        return ItemPast(item, day, self.counts[:, item], len(self.names), window, early=1, known=self.dated)

    def with_items(self, items: Sequence[Mapping[str, Any]], taxonomy: Taxonomy, where: str = "items") -> Stock:
        """With items added, or changed where the name is known. One that was withdrawn is offered again.

        Args:
            items: what each is: ``item`` (its name), and any of ``emotion`` (a label) or ``share`` (of labels), ``intensity`` in
                [0, 1], ``category``, ``duration`` in seconds, ``strategy``, and the columns that effects were asked of.
            taxonomy: of the labels.
            where: they were said, for messages.

        Raises:
            DataError: anything else; nothing is changed.
        """
        rows = [self._row(item, taxonomy, f"{where}[{place}]") for place, item in enumerate(items)]
        new = list(dict.fromkeys(row["item"] for row in rows if row["item"] not in self.number))
        number = {**self.number, **{name: len(self.names) + place for place, name in enumerate(new)}}
        grown, catalogue = len(new), self.catalogue
        arrays: dict[str, Any] = {
            "share": np.concatenate([catalogue.share, np.zeros((grown, catalogue.share.shape[1]))]),
            "intensity": np.append(catalogue.intensity, np.zeros(grown)),
            "category": np.append(catalogue.category, np.full(grown, -1)),
            "duration": np.append(catalogue.duration, np.full(grown, self._usual_duration)),
        }
        columns = {
            name: np.append(value, np.full(grown, np.nan if value.dtype.kind == "f" else "")).astype(
                float if value.dtype.kind == "f" else object
            )
            for name, value in catalogue.columns.items()
        }
        for row in rows:
            place = number[row["item"]]
            for name in arrays:
                arrays[name][place] = row[name]
            for name in columns:
                columns[name][place] = row["columns"][name]
        columns = {name: value if value.dtype.kind == "f" else value.astype(str) for name, value in columns.items()}
        embeddings = {
            name: np.concatenate([table, np.zeros((grown, table.shape[1]), table.dtype)])
            for name, table in catalogue.embeddings.items()
        }
        offered = np.append(self.offered, np.ones(grown, dtype=bool))
        offered[[number[row["item"]] for row in rows]] = True
        return replace(
            self,
            names=(*self.names, *new),
            catalogue=replace(catalogue, **arrays, columns=columns, embeddings=embeddings),
            counts=np.concatenate([self.counts, np.zeros((3, grown))], axis=1),
            offered=offered,
        )

    def without(self, names: Sequence[str], where: str = "items") -> Stock:
        """With items withdrawn: they are not shown any more, and what people saw of them still counts.

        Raises:
            DataError: a name that no item has; nothing is withdrawn.
        """
        offered = self.offered.copy()
        offered[self.numbers(names, where)] = False
        return replace(self, offered=offered)

    def shares(self, said: Mapping[str, Any], taxonomy: Taxonomy, where: str) -> np.ndarray:
        """What an item expresses, (E,): its ``share``, its one ``emotion``, or zeros.

        Raises:
            DataError: an unknown label, or shares that are none.
        """
        share, label = said.get("share"), said.get("emotion")
        if share is not None and label is not None:
            raise DataError(f"{where}: has both 'emotion' and 'share'. Give one of them.")
        if label is not None:
            share = {str(label): 1.0}
        if share is None:
            return np.zeros(len(taxonomy))
        if not isinstance(share, Mapping):
            raise DataError(f"{where}: share is {plain(share)!r}; expected such as {{{taxonomy.labels[0]!r}: 1.0}}.")
        found = np.zeros(len(taxonomy))
        for name, value in share.items():
            if name not in taxonomy.labels:
                raise DataError(f"{where}: there is no emotion {plain(name)!r}. {nearest(str(name), taxonomy.labels)}")
            found[taxonomy.labels.index(name)] = in_range(value, f"{where}: share of '{name}'", 0, 1)
        if abs(found.sum() - 1) > ROUNDED:
            raise DataError(f"{where}: the shares add up to {found.sum():g}; expected 1.")
        return np.asarray(found / found.sum())

    @cached_property
    def _usual_duration(self) -> float:
        return float(np.median(self.catalogue.duration[1 : self.learned])) if self.learned > 1 else 30.0

    def _row(self, said: Any, taxonomy: Taxonomy, where: str) -> dict[str, Any]:
        if not isinstance(said, Mapping):
            raise DataError(f"{where}: is {plain(said)!r}; expected what an item is, such as {{'item': 'v1'}}.")
        known = (*FIELDS, *(name for name in self.catalogue.columns if name not in FIELDS))
        for key in said:
            if key not in known:
                raise DataError(f"{where}: unknown field {plain(key)!r}. {nearest(str(key), known)}")
        name = one_line(said.get("item"), f"{where}: item", LONGEST_NAME)
        if not name:
            raise DataError(f"{where}: has no name. Give it as 'item'.")
        share = self.shares(said, taxonomy, where)
        category = one_line(said.get("category") or "", f"{where}: category", LONGEST_NAME)
        intensity, duration = said.get("intensity"), said.get("duration")
        columns = {
            column: (math.nan if said.get(column) is None else in_range(said[column], f"{where}: {column}", -1e15, 1e15))
            if value.dtype.kind == "f"
            else one_line(said.get(column) or "", f"{where}: {column}", LONGEST_NAME)
            for column, value in self.catalogue.columns.items()
        }
        names = self.catalogue.categories
        return {
            "item": name,
            "share": share,
            "intensity": (1.0 if intensity is None else in_range(intensity, f"{where}: intensity", 0, 1)) * bool(share.any()),
            "category": names.index(category) if category in names else -1,  # trees know no category that came later
            "duration": self._usual_duration if duration is None else in_range(duration, f"{where}: duration", 0.1, LONGEST),
            "columns": columns,
        }
