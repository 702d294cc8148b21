"""What a platform may say to a policy; every morning and evening is held against it before anything of it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.schema import LAST_DAY, SCHEMA, Column
from recbole_esmr.errors import DataError, closest, nearest, plain
from recbole_esmr.feed import Feedback, Observation

LARGEST = 1e15
"""A behaviour column of a day has no number beyond it: the networks compute in 32 bits, where its square is still one."""

_NO_BEHAVIOUR = ("user", "day", "emotion")
"""What is known of a day beside its behaviour columns."""


def _column(suffix: str, role: str) -> Column:
    return next(column for column in SCHEMA[suffix] if column.role == role)


WATCH_RATIO = _column("inter", "WATCH_RATIO_FIELD")
BEHAVIOUR = {"valence": _column("day", "VALENCE_FIELD"), "churned": _column("day", "CHURNED_FIELD")}
"""Columns of a day with a range; any other is a number up to :data:`LARGEST`."""


@dataclass(frozen=True)
class Contract:
    """The people and items that a policy began with, and the day that comes next.

    What concerns everybody (a shape, a type, the day) is refused whole. A value of one person is an event of that person:
    :meth:`after` refuses the evening and names the first, :meth:`wrong` lists all of them, and :meth:`without_wrong` leaves these
    people's events out, so that everybody else's day is not lost.

    Attributes:
        people: (U,) names.
        items: how many there are.
        labels: the emotions that may be reported; None where reports are not read.
        columns: the behaviour columns that are read.
        day: the day whose evening comes next; None before the first evening.
    """

    people: np.ndarray
    items: int
    labels: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    day: int | None = field(default=None, kw_only=True)

    @classmethod
    def of(
        cls,
        people: np.ndarray,
        items: np.ndarray,
        consent: np.ndarray | None = None,
        labels: Sequence[str] | None = None,
        columns: Sequence[str] = (),
    ) -> Contract:
        """Of what a policy is reset with.

        Args:
            people, items: (U,) and (I,) names; no item twice.
            consent: (U,) bool, where it is given.
            labels, columns: as of the class.

        Raises:
            DataError: they are something else.
        """
        named = {"users": np.asarray(people), "items": np.asarray(items)}
        for what, names in named.items():
            if names.ndim != 1:
                raise DataError(f"reset: {what} have the shape {names.shape}; expected one name each, a row of them.")
            if not len(names):
                raise DataError(f"reset: {what} are none. Name those that are served.")
        again = pd.Index(named["items"]).duplicated()
        if again.any():
            raise DataError(f"reset: the item {plain(named['items'][again][0])!r} is there twice. Name each item once.")
        if consent is not None:
            _require(consent, "reset: consent", "b", (len(people),))
        return cls(named["users"], len(items), None if labels is None else tuple(labels), tuple(columns))

    def check_morning(self, observation: Observation) -> None:
        """Refuse a morning that breaks the contract.

        Raises:
            DataError: a shape, a type, a day out of turn, or whose slate size is none.
        """
        self._check_day("observation", observation.day)
        what = f"observation of day {observation.day}"
        _require(observation.active, f"{what}: active", "b", self.people.shape)
        _require(observation.pool, f"{what}: pool", "b", (self.items,))
        size = observation.slate_size
        _require(size, f"{what}: slate_size", "iu", self.people.shape)
        if (size < 0).any():
            row = int(np.argmax(size < 0))
            raise DataError(f"{what}: slate_size of '{self.people[row]}' (row {row}) is {size[row]}; expected 0 or more items.")

    def after(self, feedback: Feedback) -> Contract:
        """The contract of the day after an evening.

        Raises:
            DataError: anything of the evening breaks the contract; nothing of it may be read.
        """
        wrong = self.wrong(feedback)
        if len(wrong):
            first = wrong.iloc[0]
            more = f" (and {len(wrong) - 1:,} more wrong values)" if len(wrong) > 1 else ""
            meant = " " + nearest(str(first["given"]), self.labels or ()) if first["field"] == "emotion" else ""
            raise DataError(
                f"feedback of day {feedback.day}: {first['reason']}{more}.{meant} Nothing of the evening was read: mend it, or "
                "leave the events of these people out with contract.without_wrong(feedback)."
            )
        return replace(self, day=int(feedback.day) + 1)

    def without_wrong(self, feedback: Feedback) -> tuple[Feedback, pd.DataFrame]:
        """An evening without the events of the people of whom anything is wrong: of them, only whether they were here is read.

        Returns:
            the evening that keeps the contract, and what was wrong with the other, as of :meth:`wrong`.

        Raises:
            DataError: what concerns everybody breaks the contract.
        """
        wrong = self.wrong(feedback)
        out = np.zeros(len(self.people), dtype=bool)
        out[wrong["row"].to_numpy(int)] = True
        if not out.any():
            return feedback, wrong
        right = replace(
            feedback,
            slates=np.where(out[:, None], -1, feedback.slates),
            watch_ratio=np.where(out[:, None], 0, feedback.watch_ratio),
            emotion=np.where(out, "", feedback.emotion),
            behaviour={name: np.where(out, np.nan, value) for name, value in feedback.behaviour.items()},
        )
        return right, wrong

    def wrong(self, feedback: Feedback) -> pd.DataFrame:
        """Every value of a person's evening that breaks the contract.

        Returns:
            columns row, person, field, given and reason (what is wrong, and what is expected), a line each.

        Raises:
            DataError: what concerns everybody breaks the contract.
        """
        self._check_evening(feedback)
        lines = [pd.DataFrame(columns=["row", "person", "field", "given", "reason"])]
        for name, value, mask, expected in self._wrong_values(feedback):
            if not mask.any():
                continue
            cells = np.nonzero(mask)
            people, given = self.people[cells[0]], value[cells].tolist()
            place = [f" in place {at}" for at in cells[1]] if len(cells) > 1 else [""] * len(given)
            reason = [
                f"{name} of '{person}' (row {row}){where} is {shown!r}; expected {expected}"
                for person, row, where, shown in zip(people, cells[0], place, given, strict=True)
            ]
            line = {"row": cells[0], "person": people, "field": name, "given": given, "reason": reason}
            lines.append(pd.DataFrame(line).astype(object))
        return pd.concat(lines, ignore_index=True)

    def _wrong_values(self, feedback: Feedback) -> Iterator[tuple[str, np.ndarray, np.ndarray, str]]:
        """Field, its values, where they are wrong, and what is expected there."""
        slates, ratio = feedback.slates, feedback.watch_ratio
        shown = slates >= 0
        none = (slates < -1) | (slates >= self.items)
        yield "slates", slates, none, f"a number of one of the {self.items:,} items, from 0 on, or -1 for none"
        yield "slates", slates, _repeated(slates), "each item once in a slate"
        yield "slates", slates, shown & ~none & ~feedback.active[:, None], "-1, for who is not active is shown nothing"
        yield "watch_ratio", ratio, shown & _outside(ratio, WATCH_RATIO), _range(WATCH_RATIO)
        yield "watch_ratio", ratio, ~shown & (ratio != 0), "0 where nothing was shown"
        if self.labels is not None:
            unknown = ~pd.Series(feedback.emotion, dtype=object).isin([*self.labels, ""]).to_numpy()
            yield "emotion", feedback.emotion, unknown, "a label of the taxonomy, or '' without a report"
        for name, value in feedback.behaviour.items():
            column = BEHAVIOUR.get(name, Column("", "float", -LARGEST, LARGEST))
            yield f"behaviour '{name}'", value, _outside(value, column) & ~np.isnan(value), f"{_range(column)}, or nan if unknown"

    def _check_evening(self, feedback: Feedback) -> None:
        self._check_day("feedback", feedback.day)
        what, people = f"feedback of day {feedback.day}", self.people.shape
        _require(feedback.active, f"{what}: active", "b", people)
        _require(feedback.slates, f"{what}: slates", "iu", (*people, None))
        _require(feedback.watch_ratio, f"{what}: watch_ratio", "iuf", feedback.slates.shape)
        if self.labels is not None:
            _require(feedback.emotion, f"{what}: emotion", "UO", people)
        if not isinstance(feedback.behaviour, Mapping):
            raise DataError(f"{what}: behaviour is of {type(feedback.behaviour).__name__}; expected a dict of columns by name.")
        for name, value in feedback.behaviour.items():
            if name in _NO_BEHAVIOUR:
                raise DataError(f"{what}: '{name}' is no behaviour column. Leave it out of behaviour.")
            missing = [known for known in self.columns if known not in feedback.behaviour]
            meant = None if name in self.columns else closest(str(name), missing)
            if meant is not None:
                raise DataError(f"{what}: the log has no behaviour column '{name}'. Did you mean '{meant}'?")
            _require(value, f"{what}: behaviour '{name}'", "iuf", people)

    def _check_day(self, what: str, day: Any) -> None:
        if not len(self.people):
            raise DataError(f"{what}: the policy serves nobody yet. Call reset(users, items) first.")
        if not isinstance(day, int | np.integer) or isinstance(day, bool):
            raise DataError(f"{what}: day is {plain(day)!r}; expected a whole number, the calendar day.")
        if abs(int(day)) > LAST_DAY:
            raise DataError(f"{what}: day is {plain(day)!r}; expected a calendar day of at most {LAST_DAY:,.0f} in size.")
        if self.day is not None and day != self.day:
            raise DataError(
                f"{what} of day {day}: the evening of day {self.day - 1} was read, so day {self.day} comes next. Give the "
                "days in order, one evening each; of a day on which nobody was here, an evening with nobody active. If the days "
                "were counted wrongly from the first, begin anew with reset."
            )


_KINDS = {"b": "bool", "iu": "whole numbers", "iuf": "numbers", "UO": "texts"}


def _require(value: Any, what: str, kinds: str, shape: tuple[int | None, ...]) -> None:
    """Refuse what is no array of a kind and shape; None stands for any length."""
    wanted = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
    expected = f"expected an array of {_KINDS[kinds]} with the shape {wanted}"
    if type(value) is not np.ndarray:  # a masked array would hide what is under its mask
        raise DataError(f"{what} is of {type(value).__name__}; {expected}.")
    fits = value.ndim == len(shape) and all(want in (None, size) for want, size in zip(shape, value.shape, strict=True))
    if value.dtype.kind not in kinds or not fits:
        raise DataError(f"{what} is an array of {value.dtype} with the shape {value.shape}; {expected}.")


def _outside(value: np.ndarray, column: Column) -> np.ndarray:
    """Where a column's values may not be; NaN included."""
    inside = (value >= column.low) & (value <= column.high)
    return ~(inside & (value == np.round(value))) if column.whole else ~inside


def _range(column: Column) -> str:
    return "0 or 1" if column.whole else f"a number from {column.low:g} to {column.high:g}"


def _repeated(slates: np.ndarray) -> np.ndarray:
    """Where an item stands in its row again, (U, K) bool; −1 may."""
    order = np.argsort(slates, axis=1, kind="stable")
    ordered = np.take_along_axis(slates, order, axis=1)
    again = np.zeros(slates.shape, dtype=bool)
    np.put_along_axis(again, order[:, 1:], (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0), axis=1)
    return again


NOT_BEGUN = Contract(np.empty(0, dtype=str), 0)
"""Of a policy that was not reset yet: it refuses every morning and evening."""
