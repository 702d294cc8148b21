"""Kinds of values that a key can hold: what each is in words, and how it is read."""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_esmr.errors import ConfigError, nearest
from recbole_esmr.values import read_value, shown, unquoted

_NONE = ("none", "null", "~")
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
MOST = 2**31 - 1
"""The largest whole number that a key takes unless it says otherwise."""
LARGEST = 1e300
"""The largest number."""
LONGEST, LONGEST_NAME = 4096, 255
"""Characters of a text, which may be a path; bytes of a name in it, of which no file has more."""


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        words: what is expected, for messages.
        read: the value as it is used; or :class:`Wrong` where it is of another kind.
        as_typed: whether a text on the command line is the value itself, whatever number or list it looks like.
        optional: whether None is one of its values.
    """

    words: str
    read: Callable[[Any], Any]
    as_typed: bool = False
    optional: bool = False

    def of_option(self, text: str) -> Any:
        """The value that a text on the command line stands for, before it is checked."""
        if not self.as_typed:
            return read_value(text)
        return None if self.optional and text.strip().lower() in _NONE else unquoted(text)

    def checked(self, value: Any, where: str) -> Any:
        """The value as it is used.

        Raises:
            ConfigError: it is of another kind; the message begins with ``where``.
        """
        try:
            return self.read(value)
        except Wrong as error:
            raise ConfigError(where + (str(error) or f" is {shown(value)}; expected {self.words}.")) from error


class Wrong(ValueError):
    """A value of another kind; what it says, if anything, goes after the name of the key."""


def text(words: str, empty: bool = False, control: str = "") -> Kind:
    """A text on one line, of at least one character unless ``empty``; ``control``: control characters that it may hold."""

    def read(value: Any) -> str:
        found = os.fspath(value) if isinstance(value, os.PathLike) else value
        if not isinstance(found, str) or len(found) > LONGEST or not (found or empty):
            raise Wrong
        if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") and letter not in control for letter in found):
            raise Wrong
        try:
            too_long = max(len(os.fsencode(part)) for part in found.split(os.sep)) > LONGEST_NAME
        except UnicodeEncodeError as error:
            raise Wrong from error
        if too_long:
            raise Wrong
        return found

    return Kind(f"{words} (a text, in quotation marks where it looks like something else)", read, as_typed=True)


def one_of(*names: str, any_case: bool = False) -> Kind:
    """One of several texts; in ``any_case``, where they are written in lower case here."""

    def read(value: Any) -> str:
        found = value.lower() if any_case and isinstance(value, str) else value
        if not isinstance(found, str) or found not in names:
            raise Wrong
        return found

    return Kind(f"one of {', '.join(names)}", read, as_typed=True)


def flag() -> Kind:
    """True or False, which may also be written as 1, yes or on."""

    def read(value: Any) -> bool:
        found = _FLAGS.get(value.lower()) if isinstance(value, str) else value
        if not isinstance(found, bool | int | np.bool_) or found not in (0, 1):
            raise Wrong
        return bool(found)

    return Kind("True or False", read)


def whole(low: int, high: int = MOST) -> Kind:
    """A whole number in ``[low, high]``."""

    def read(value: Any) -> int:
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not low <= value <= high:
            raise Wrong
        return int(value)

    return Kind(f"a whole number of at least {low} and at most {high}", read)


def number(low: float = -math.inf, above: float = -math.inf, high: float = math.inf, unit: str = "") -> Kind:
    """A finite number of at least ``low``, more than ``above`` and at most ``high``; ``unit`` for messages."""

    def read(value: Any) -> float | int:
        if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
            raise Wrong
        found = value.item() if isinstance(value, np.integer | np.floating) else value
        if not (low <= found <= high and above < found and abs(found) <= LARGEST):
            raise Wrong
        return found

    said = [f"of at least {low:g}"] * (low > -math.inf) + [f"above {above:g}"] * (above > -math.inf)
    said += [f"of at most {high:g}"] * (high < math.inf)
    return Kind(" ".join([f"a number of {unit}" if unit else "a number", " and ".join(said)]).strip(), read)


def list_of(kind: Kind, words: str, alone: bool = False, empty: bool = True) -> Kind:
    """A list of values of one kind; ``alone``: or one such value, which becomes a list."""

    def read(value: Any) -> list[Any]:
        if alone and not isinstance(value, list | tuple):
            value = [value]
        if not isinstance(value, list | tuple) or not (value or empty):
            raise Wrong
        return [kind.read(part) for part in value]

    return Kind(words, read)


def mapping_of(kind: Kind, words: str) -> Kind:
    """A mapping of texts to values of one kind."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) and key for key in value):
            raise Wrong
        return {key: _read(kind, key, part) for key, part in value.items()}

    return Kind(words, read)


def fields(words: str, needs: tuple[str, ...] = (), **kinds: Kind) -> Kind:
    """A mapping whose keys are known, each of its own kind; ``needs``: those that it has in any case."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise Wrong
        for key in value:
            if key not in kinds:
                raise Wrong(f": unknown key {shown(key)}. {nearest(str(key)[:80], kinds)}")
        for key in needs:
            if key not in value:
                raise Wrong(f" has no {key}; expected {words}.")
        return {key: _read(kinds[key], key, part) for key, part in value.items()}

    return Kind(words, read)


def _read(kind: Kind, key: str, value: Any) -> Any:
    """An entry of a mapping; the error names it."""
    try:
        return kind.read(value)
    except Wrong as error:
        raise Wrong(f": {key}" + (str(error) or f" is {shown(value)}; expected {kind.words}.")) from error


def either(words: str, *kinds: Kind) -> Kind:
    """A value of the first of several kinds that it is of."""

    def read(value: Any) -> Any:
        for kind in kinds:
            try:
                return kind.read(value)
            except Wrong:
                continue
        raise Wrong

    return Kind(words, read, kinds[0].as_typed)


def optional(kind: Kind) -> Kind:
    """A value of a kind, or None."""

    def read(value: Any) -> Any:
        return None if value is None or (isinstance(value, str) and value.lower() in _NONE[:2]) else kind.read(value)

    return Kind(f"{kind.words}, or ~ for none", read, kind.as_typed, optional=True)


def only(value: Any, why: str) -> Kind:
    """One value alone."""

    def read(given: Any) -> Any:
        if given != value:
            raise Wrong
        return value

    return Kind(f"{value}, for {why}", read)


def anything(as_typed: bool = False, optional: bool = False) -> Kind:
    """A value that somebody else checks."""
    return Kind("", lambda value: value, as_typed, optional)


def nothing(why: str) -> Kind:
    """A key that is not to be set."""

    def read(value: Any) -> Any:
        if value not in (None, ""):
            raise Wrong
        return value

    return Kind(f"nothing, for {why}. Leave it out", read, as_typed=True)
