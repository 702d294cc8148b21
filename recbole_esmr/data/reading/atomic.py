"""One reader for atomic files, for every model: each cell is text until a column is known to be numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.lines import Lines, by_value, joined
from recbole_esmr.data.reading.texts import text_parts
from recbole_esmr.data.reading.times import days_of_dates, days_of_seconds, has_offset, seconds_of_dates
from recbole_esmr.errors import DataError, plain

TYPES = ("token", "float", "token_seq", "float_seq")
NO_NUMBER = ("", "nan", "na", "n/a", "null", "none", "<na>", "#n/a")
"""Cells of a number column that say that nothing is known, in any case. In a text column they are people's and things' names."""

LARGEST = 1e30
"""Largest number in size that a column may hold: the models compute in 32 bits, where 1e39 is infinite."""

_HEADER_BYTES = 1 << 16
_OTHER_SEPARATORS = (",", ";", "|", "\t", " ")


@dataclass(frozen=True)
class AtomicFile:
    """An atomic file as text.

    Attributes:
        path: of the file.
        types: the type of each column, by its name, in order.
        text: (N, columns) str, "" where a cell is empty; the index is the line in the file (the header is line 1).
    """

    path: Path
    types: dict[str, str]
    text: pd.DataFrame

    def numbers(self, name: str) -> pd.Series:
        """A column as numbers, (N,) float, NaN where a cell is empty.

        Raises:
            DataError: a cell is no finite number.
        """
        return numbers(self.path, self.text[name])

    def times(self, name: str, zone: str | pd.Series = "UTC") -> pd.Series:
        """A column of moments as numbers: as written where its type is float, seconds since 1970 where it holds dates.

        Args:
            name: of the column.
            zone: the IANA time zone in which dates without an offset are meant, one for all or one a row.

        Raises:
            DataError: a cell is no number, or no date.
        """
        if self.types[name] == "float":
            return self.numbers(name)
        return self._dates(name, seconds_of_dates(self.text[name], zone), "2024-03-24 21:00")

    def days(self, name: str, zone: str | pd.Series = "UTC") -> pd.Series:
        """A column of days as numbers: as written where its type is float, days since 1970 where it holds dates.

        Args:
            name: of the column.
            zone: the IANA time zone whose calendar counts for a moment with an offset, one for all or one a row.

        Raises:
            DataError: a cell is no number, or no date.
        """
        if self.types[name] == "float":
            return self.numbers(name)
        text = self.text[name]
        days, offset = days_of_dates(text), has_offset(text)
        if offset.any():  # a moment is on the day that its person's calendar showed
            moments = seconds_of_dates(text[offset])
            known = moments[moments.notna()]
            days[known.index] = days_of_seconds(
                known.to_numpy(), zone if isinstance(zone, str) else zone[known.index].to_numpy(str)
            )
        return self._dates(name, days, "2024-03-24")

    def _dates(self, name: str, found: pd.Series, example: str) -> pd.Series:
        wrong = found.isna() & (self.text[name].str.strip() != "")
        if wrong.any():
            refuse(self.path, self.text[name], wrong, f"expected a date such as {example}, or '{name}:float' with numbers")
        return found


def read_atomic_file(path: str | Path, config: Mapping[str, object], surplus: Callable[[str], None] | None = None) -> AtomicFile:
    """Read an atomic file as text: quotation marks are text, no cell is taken for a missing value or a number.

    Args:
        path: the file; a byte order mark and the line ends of any system are read.
        config: gives ``field_separator`` and ``encoding`` (UTF-8 unless given).
        surplus: is told of lines that have more cells than the header, whose last cells are then left out; None refuses them.

    Raises:
        DataError: no such file, another encoding, a header that is not ``name:type``, or a line with more or fewer cells.
    """
    path, separator = Path(path), str(config["field_separator"])
    texts = text_parts(path, _encoding(config))
    head, _, body = next(texts, "").partition("\n")
    if not head:
        raise DataError(f"{path}: is empty. The first line holds the columns as name:type.")
    types = _types(path, head, separator)
    lines = Lines(path, list(types), separator, refuse_surplus=surplus is None)
    text = joined([lines.cells(part) for part in chain([body], texts)])
    if surplus is not None and lines.surplus:
        surplus(lines.surplus)
    return AtomicFile(path, types, text)


def read_header(path: str | Path, config: Mapping[str, object]) -> dict[str, str]:
    """The type of each column of an atomic file, by its name, in order; only the beginning of the file is read.

    Args:
        path: the file.
        config: as of :func:`read_atomic_file`.

    Raises:
        DataError: another encoding, or a header that is not ``name:type``.
    """
    head = next(text_parts(Path(path), _encoding(config), _HEADER_BYTES, copies=0), "").partition("\n")[0]
    return _types(Path(path), head, str(config["field_separator"]))


def _encoding(config: Mapping[str, object]) -> str:
    return str(config["encoding"] or "utf-8") if "encoding" in config else "utf-8"


def _types(path: Path, head: str, separator: str) -> dict[str, str]:
    types: dict[str, str] = {}
    for other in _OTHER_SEPARATORS:
        parts = head.strip().split(other)
        if separator not in head.strip() and len(parts) > 1 and all(part.strip().rpartition(":")[2] in TYPES for part in parts):
            raise DataError(
                f"{path}, line 1: the columns are separated by {other!r}, and field_separator is {separator!r}. Set "
                f"field_separator: {json.dumps(other)} in the data set's yaml, or separate the cells by {separator!r}."
            )
    for cell in head.split(separator):
        name, _, kind = cell.strip().rpartition(":")
        if not name or kind not in TYPES:
            raise DataError(
                f"{path}, line 1: the header cell '{cell}' is not name:type with a type of {', '.join(TYPES)}. "
                f"Cells are separated by {separator!r}."
            )
        if name in types:
            raise DataError(f"{path}, line 1: the column '{name}' is there twice. Keep one.")
        types[name] = kind
    return types


def numbers(path: Path, text: pd.Series) -> pd.Series:
    """A column of text as numbers, (N,) float; NaN where a cell is empty or says that nothing is known.

    Raises:
        DataError: a cell is something else, not finite, or beyond :data:`LARGEST`.
    """
    found = by_value(text, lambda texts: pd.to_numeric(texts, errors="coerce").astype(float))
    odd = ~(found.abs() <= LARGEST)
    if odd.any():
        wrong = odd & ~text.str.strip().str.lower().isin(NO_NUMBER)
        if wrong.any():
            comma = str(text[wrong].iloc[0]).strip().replace(",", ".", 1).replace(".", "", 1).lstrip("-").isdigit()
            mend = "write the decimal comma as a point" if comma else "expected a finite number, or an empty cell"
            if found[wrong].notna().iloc[0] and np.isfinite(found[wrong].iloc[0]):
                mend = f"expected a number of at most {LARGEST:g} in size. Write it in another unit"
            refuse(path, text, wrong, mend)
    return found


def refuse(path: Path, values: pd.Series, wrong: pd.Series, mend: str) -> None:
    """Raise for the first wrong value of a column, with its line and how many there are.

    Args:
        path: of the file.
        values: (N,) of the column, indexed by line.
        wrong: (N,) bool.
        mend: what is expected, without a full stop.
    """
    line = wrong[wrong].index[0]
    count = int(wrong.sum())
    more = f" ({count} such lines)" if count > 1 else ""
    value = values.loc[line]
    shown = "empty" if value == "" or value != value else f"{value:.15g}" if isinstance(value, float) else repr(plain(value))
    raise DataError(f"{path}, line {line}, column '{values.name}': the value is {shown}; {mend}{more}.")


def check_ids(path: Path, text: pd.Series, nobody: Callable[[str], None] | None = None) -> None:
    """Refuse ids that are none.

    Args:
        path: of the file.
        text: (N,) the ids, indexed by line.
        nobody: is told how many are empty, whose rows the caller leaves out; None refuses them.

    Raises:
        DataError: one is empty, or is ``[PAD]``, which is RecBole's name for its padding.
    """
    empty = by_value(text, lambda texts: texts.str.strip() == "")
    if nobody is not None and empty.any():
        nobody(
            f"{path}, column '{text.name}': {int(empty.sum())} of {len(text)} rows have no id, line {empty.idxmax()} the first. "
            "They are left out."
        )
    elif empty.any():
        refuse(path, text, empty, "every row needs one. Fill it in or leave the row out")
    taken = text == "[PAD]"
    if taken.any():
        refuse(path, text, taken, "this is RecBole's name for its padding. Rename it")
