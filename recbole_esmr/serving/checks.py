"""Values that clients send, checked where they enter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from recbole_esmr.errors import DataError, nearest, plain


def in_range(value: Any, where: str, low: float, high: float) -> float:
    """A number in [low, high].

    Raises:
        DataError: something else, NaN among it.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise DataError(f"{where} is {_short(value)}; expected a number in [{low:g}, {high:g}].")
    return float(value)


def whole(value: Any, where: str, low: int, high: int) -> int:
    """A whole number in [low, high].

    Raises:
        DataError: something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise DataError(f"{where} is {_short(value)}; expected a whole number in [{low}, {high}].")
    return value


def one_line(value: Any, where: str, longest: int) -> str:
    """A text of one printable line.

    Raises:
        DataError: something else.
    """
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise DataError(f"{where} is {_short(value)}; expected a printable text of at most {longest} characters.")
    return value


def one_of(value: Any, where: str, known: Iterable[str]) -> str:
    """One of some names.

    Raises:
        DataError: something else; the message names the nearest.
    """
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise DataError(f"{where} is {_short(value)}. {nearest(str(value)[:100], names)}")
    return value


def known_fields(said: Any, where: str, known: Iterable[str]) -> Mapping[str, Any]:
    """A mapping of known fields alone.

    Raises:
        DataError: something else; the message names the nearest field.
    """
    names = list(known)
    if not isinstance(said, Mapping):
        raise DataError(f"{where} is {_short(said)}; expected an object with the fields {', '.join(names)}.")
    for key in said:
        if key not in names:
            raise DataError(f"{where}: unknown field {_short(key)}. {nearest(str(key)[:100], names)}")
    return said


def a_list(value: Any, where: str, longest: int) -> list[Any]:
    """A list of at most so many.

    Raises:
        DataError: something else.
    """
    if not isinstance(value, list | tuple):
        raise DataError(f"{where} is {_short(value)}; expected a list.")
    if len(value) > longest:
        raise DataError(f"{where} has {len(value):,} entries; expected at most {longest:,}.")
    return list(value)


def _short(value: Any) -> str:
    shown = repr(plain(value))
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
