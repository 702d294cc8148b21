"""Histories of a sequential model's rows: made when a batch asks for them, where RecBole keeps them for all rows.

RecBole writes out, for every row, the last ``MAX_ITEM_LIST_LENGTH`` values of every column: fifty times as much as the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor


@dataclass(frozen=True)
class Places:
    """Where each of N rows lies among the interactions.

    Attributes:
        row: (N,) the interaction that it holds the fields of.
        start: (N,) the first interaction of its history.
        length: (N,) how many interactions the history has.
    """

    row: Tensor
    start: Tensor
    length: Tensor

    def __len__(self) -> int:
        return int(self.row.unsqueeze(-1).shape[0])

    def at(self, index: Any) -> Places:
        """Of some rows."""
        return Places(self.row[index], self.start[index], self.length[index])


class Histories(Interaction):
    """Rows of interactions, each with some that lie before it as lists; only their places are kept.

    It reads as RecBole's ``Interaction``. An index gives rows written out, as RecBole's own; a list of all rows that is asked for
    is made, and then kept, for whoever asks once asks again.

    Args:
        plain: the n interactions, ordered by person and time.
        places: of the rows among them.
        longest: L, the length of a list; what lies after a history's end is 0.
        lists: the field of each list, by the list's name.
        length_field: name of the column of lengths.
    """

    interaction: Any  # RecBole: a dictionary of columns

    def __init__(self, plain: Interaction, places: Places, longest: int, lists: dict[str, str], length_field: str) -> None:
        self.interaction, self.length = _Columns(plain, places, longest, lists, length_field), len(places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str) or not isinstance(self.interaction, _Columns):  # add_prefix makes the columns
            return super().__getitem__(index)
        return Interaction(dict(self.at(index).interaction))

    def at(self, index: Any) -> Histories:
        """Some rows, still by their places."""
        if not isinstance(index, (int, slice)):
            index = torch.as_tensor(index)
            index = index if index.numel() else index.long()  # torch makes numbers with a point of an empty list
        rows = object.__new__(Histories)
        rows.interaction = self.interaction.at(index)
        rows.length = len(rows.interaction.places)
        return rows

    def reached(self, field: str) -> Tensor:
        """The values of a field in all interactions that a row or its history holds, each interaction once."""
        return self.interaction.reached(field)

    def _reindex(self, index: Any) -> None:
        self.interaction = self.at(index).interaction


class _Columns(MutableMapping[str, Tensor]):
    """The columns of :class:`Histories` by their names, RecBole's order; those that were set are kept as they are."""

    def __init__(self, plain: Interaction, places: Places, longest: int, lists: dict[str, str], length_field: str) -> None:
        self.places, self._plain = places, plain
        self._longest, self._lists, self._length_field = longest, lists, length_field
        self._own: dict[str, Tensor] = {}
        self._names = dict.fromkeys([*plain, length_field, *lists])

    def __getitem__(self, name: str) -> Tensor:
        if name in self._own:
            return self._own[name]
        if name not in self._names:
            raise KeyError(name)
        if name == self._length_field:
            return self.places.length
        if name not in self._lists:
            return self._plain[name][self.places.row]
        value = self._plain[self._lists[name]]
        place = torch.arange(self._longest)
        inside = place < self.places.length.unsqueeze(-1)
        found = value[(self.places.start.unsqueeze(-1) + place).clamp(max=len(value) - 1)]
        self._own[name] = found.masked_fill(~inside.reshape(inside.shape + (1,) * (value.dim() - 1)), 0)
        return self._own[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __setitem__(self, name: str, column: Tensor) -> None:
        self._names[name] = None
        self._own[name] = column

    def __delitem__(self, name: str) -> None:
        del self._names[name]
        self._own.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def reached(self, field: str) -> Tensor:
        value, one = self._plain[field], torch.ones_like(self.places.start)
        ends = torch.zeros(len(value) + 1, dtype=torch.long)
        ends.index_add_(0, self.places.start, one)
        ends.index_add_(0, self.places.start + self.places.length, -one)
        inside = ends.cumsum(0)[:-1] > 0
        inside[self.places.row] = True
        return value[inside]

    def at(self, index: Any) -> _Columns:
        """The columns of some rows."""
        some = _Columns(self._plain, self.places.at(index), self._longest, self._lists, self._length_field)
        some._names = dict(self._names)
        some._own = {name: column[index] for name, column in self._own.items()}
        return some


def data_augmentation(_: Callable[..., Any], dataset: Any) -> None:
    """``SequentialDataset.data_augmentation``: each interaction is the target of those before it, the first of a person of none.

    Args:
        _: RecBole's own method, which goes through the rows one by one and writes every list out.
        dataset: RecBole's data set.
    """
    dataset._aug_presets()
    dataset._check_field("uid_field", "time_field")
    dataset.sort(by=[dataset.uid_field, dataset.time_field])
    plain = dataset.inter_feat
    user = plain[dataset.uid_field].numpy()
    row = np.arange(len(user))
    first = np.maximum.accumulate(np.where(np.append(True, user[1:] != user[:-1]), row, 0))
    target = row[row > first]
    start = np.maximum(first[target], target - dataset.max_item_list_len)
    dataset.inter_feat = before(dataset, plain, target, start, target - start)


def some_rows(rows: Interaction, index: Tensor) -> Interaction:
    """Some rows: by their places where these are kept, else written out."""
    return rows.at(index) if isinstance(rows, Histories) else rows[index]


def before(dataset: Any, plain: Interaction, row: np.ndarray, start: np.ndarray, length: np.ndarray) -> Histories:
    """Rows with their histories, of the interactions of a sequential data set.

    Args:
        dataset: names the columns, as RecBole's ``_aug_presets`` has named them.
        plain: its interactions, ordered by person and time.
        row, start, length: (N,) of :class:`Places`.
    """
    lists = {getattr(dataset, f"{name}_list_field"): name for name in plain if name != dataset.uid_field}
    places = Places(*(torch.from_numpy(place) for place in (row, start, length)))
    return Histories(plain, places, dataset.max_item_list_len, lists, dataset.item_list_length_field)
