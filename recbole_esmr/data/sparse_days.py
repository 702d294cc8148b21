"""Tables of people's days that hold only the days of which something is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from recbole_esmr.data.history import ranges


class SparseDays:
    """A (U, D, …) table that keeps R user-days and reads as an array; on all other days it holds one value, ``fill``.

    ``table[people]`` is the dense (P, D, …) array of some people, ``table[user, day]`` holds N user-days, ``table[:, day]``
    those of a day; any other index makes the whole array first. The values are numpy's or torch's, and so is what is read.

    Args:
        user, day: (R,) of the kept user-days, ordered by user and day, none of them twice.
        value: (R, …).
        shape: U and D.
        fill: of all other days; None where they are not known, and asking for one is an error.
    """

    def __init__(self, user: np.ndarray, day: np.ndarray, value: Any, shape: tuple[int, ...], fill: float | None) -> None:
        self._key, self._value, self._fill = user.astype(np.int64) * shape[1] + day, value, fill
        self.shape = (*shape, *value.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def kept(self) -> tuple[np.ndarray, np.ndarray, Any]:
        """User and day of each kept user-day, (R,) each, and its value, (R, …)."""
        user, day = np.divmod(self._key, self.shape[1])
        return user, day, self._value

    def of(self, people: np.ndarray) -> SparseDays:
        """The table of the people in these rows, as people 0, 1, …"""
        place, row, day = self._rows(people)
        return SparseDays(row, day, self._value[place], (len(people), self.shape[1]), self._fill)

    @classmethod
    def stacked(cls, tables: Sequence[SparseDays], join: Callable[[list[Any]], Any] = np.concatenate) -> SparseDays:
        """The tables of several groups of people below each other; ``join`` puts their values together."""
        first = np.cumsum([0, *(len(table) for table in tables)])
        user = np.concatenate([table.kept[0] + start for table, start in zip(tables, first[:-1], strict=True)])
        day = np.concatenate([table.kept[1] for table in tables])
        value = join([table.kept[2] for table in tables])
        return cls(user, day, value, (int(first[-1]), tables[0].shape[1]), tables[0]._fill)

    def without(self, people: np.ndarray) -> SparseDays:
        """The table with nothing kept of the people in a mask (U,)."""
        user, day, value = self.kept
        stay = ~people[user]
        return SparseDays(user[stay], day[stay], value[stay], self.shape[:2], self._fill)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple) and len(index) == 2 and isinstance(index[0], slice) and isinstance(index[1], int):
            index = np.arange(len(self))[index[0]], np.asarray(index[1])  # one day of several people
        if isinstance(index, tuple) and len(index) == 2 and all(_whole_numbers(part) for part in index):
            return self._at(*np.broadcast_arrays(*index))
        if isinstance(index, slice):
            return self._of(np.arange(len(self))[index])
        if _whole_numbers(index) and np.ndim(index) == 1:
            return self._of(np.asarray(index))
        return self._of(np.arange(len(self)))[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._of(np.arange(len(self))), dtype=dtype)

    def _rows(self, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Place, row among these people and day of all that is kept of them."""
        days = self.shape[1]
        place, row = ranges(np.searchsorted(self._key, people * days), np.searchsorted(self._key, (people + 1) * days))
        return place, row, self._key[place] % days

    def _of(self, people: np.ndarray) -> Any:
        place, row, day = self._rows(people)
        table = self._filled((len(people), self.shape[1]))
        table[row, day] = self._value[place]
        return table

    def _at(self, user: np.ndarray, day: np.ndarray) -> Any:
        days = self.shape[1]
        if np.any((day < -days) | (day >= days)):
            raise IndexError(f"a day outside of the {days} days of the table")
        key = user.astype(np.int64) * days + np.where(day < 0, day + days, day)
        place = np.minimum(np.searchsorted(self._key, key), max(len(self._key) - 1, 0))
        there = self._key[place] == key if len(self._key) else np.zeros(key.shape, dtype=bool)
        if there.all():
            return self._value[place]
        found = self._filled(key.shape)
        found[there] = self._value[place[there]]
        return found

    def _filled(self, shape: tuple[int, ...]) -> Any:
        if self._fill is None:
            raise LookupError("nothing was kept of a day that is asked for")
        shape = (*shape, *self.shape[2:])
        if isinstance(self._value, np.ndarray):
            return np.full(shape, self._fill, self._value.dtype)
        return self._value.new_full(shape, self._fill)


def _whole_numbers(index: Any) -> bool:
    return isinstance(index, (int, np.integer)) or (isinstance(index, np.ndarray) and index.dtype.kind in "iu")
