"""Typed settings: a mapping from yaml becomes a frozen dataclass, or an error that names the key and the mend.

A settings class declares each key once, with its range and its unit; the values themselves live in yaml::

    @dataclass(frozen=True, kw_only=True)
    class Affect:
        inertia: float = setting("share of yesterday's state kept today", low=0, high=0.99)

    affect = parse(Affect, {"inertia": 0.75}, where="reference.yaml: affect")
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from recbole_esmr.errors import ConfigError, nearest, plain

T = TypeVar("T")

_LARGEST = 2**63
"""Whole numbers are smaller in size: larger ones fit no array."""

SERVING, RERANKER = "serving", "re-ranker"
"""What a changed key asks of a trained model: to serve it otherwise, or to train its re-ranker anew. Other keys: all of it."""


def setting(
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    unit: str = "",
    key: str = "",
    changes: str = "",
) -> Any:
    """Declare one key of a settings class.

    Args:
        meaning: what it says, for messages.
        low, high: closed range ``[low, high]``; choices: the values that are allowed; unit: of the number.
        key: its name in a flat yaml, where that is not the section's prefix and the field's name.
        changes: :data:`SERVING` or :data:`RERANKER`, where it may change after training.
    """
    declared = {"meaning": meaning, "low": low, "high": high, "choices": choices, "unit": unit, "key": key, "changes": changes}
    return dataclasses.field(metadata=declared)


def section(prefix: str) -> Any:
    """Declare a settings class as part of another whose yaml is flat: its keys are ``prefix`` and the field's name."""
    return dataclasses.field(metadata={"prefix": prefix})


def keys(cls: type) -> list[str]:
    """The key names of a settings class."""
    return [field.name for field in dataclasses.fields(cls)]


def flat_keys(cls: type, changes: str | None = None, prefix: str = "") -> list[str]:
    """The yaml's keys of a class with sections; only those declared with ``changes``, where given."""
    hints, found = typing.get_type_hints(cls), []
    for key, field in _named(cls, prefix):
        if "prefix" in field.metadata:
            found += flat_keys(hints[field.name], changes, field.metadata["prefix"])
        elif changes is None or field.metadata["changes"] == changes:
            found.append(key)
    return found


def parse(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build ``cls`` from ``values``, checking every key, type and range (nested settings classes included).

    Args:
        cls: a dataclass whose fields are declared with :func:`setting`, or are settings classes themselves.
        values: the mapping read from yaml.
        where: what the mapping is, for the error message (a file name, ``"config of ESMR"``).

    Raises:
        ConfigError: an unknown key (with the nearest known one), a missing key, a wrong type, a value out of range.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: holds {values!r}; expected a mapping with the keys {', '.join(keys(cls))}.")
    for key in values:
        if key not in keys(cls):
            raise ConfigError(f"{where}: unknown key '{key}'. {nearest(str(key), keys(cls))}")
    return _built(cls, values, where, [(field.name, field) for field in dataclasses.fields(cls)])  # type: ignore[arg-type]


def parse_flat(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build a class of sections (see :func:`section`) from a flat mapping, as :func:`parse` builds a nested one.

    Args:
        cls: a dataclass whose fields are declared with :func:`section`.
        values: holds the sections' keys (:func:`flat_keys`); others are none of its business.
        where: as of :func:`parse`.

    Raises:
        ConfigError: a missing key, a wrong type, a value out of range.
    """
    return _built(cls, values, where, _named(cls, ""))


def _named(cls: type, prefix: str) -> list[tuple[str, Any]]:
    """Flat key and field of each setting of a section; a section within has no key of its own."""
    return [(field.metadata.get("key") or prefix + field.name, field) for field in dataclasses.fields(cls)]


def _built(cls: type[T], values: Mapping[str, Any], where: str, named: list[tuple[str, Any]]) -> T:
    hints = typing.get_type_hints(cls)
    checked: dict[str, Any] = {}
    for key, field in named:
        if "prefix" in field.metadata:
            part = hints[field.name]
            checked[field.name] = _built(part, values, where, _named(part, field.metadata["prefix"]))
            continue
        if key not in values:
            raise ConfigError(f"{where}: the key '{key}' is missing ({field.metadata.get('meaning', 'a section')}).")
        value, hint = values[key], hints[field.name]
        if dataclasses.is_dataclass(hint):
            checked[field.name] = parse(typing.cast(type, hint), value, f"{where}: {key}")
        else:
            checked[field.name] = _check(value, hint, field.metadata, f"{where}: {key}")
    return cls(**checked)


def _check(value: Any, hint: Any, declared: Mapping[str, Any], where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):  # only `X | None` is used
        if value is None:
            return None
        return _check(value, arguments[0], declared, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} is {value!r}; expected a mapping such as {{name: value}}.")
        return {key: _check(item, arguments[1], declared, f"{where}.{key}") for key, item in value.items()}
    if origin in (list, tuple):
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} is {value!r}; expected a list such as [1, 2].")
        return tuple(_check(item, arguments[0], declared, f"{where}[{i}]") for i, item in enumerate(value))
    if hint is Any:
        return value
    return _check_scalar(value, hint, declared, where)


def _check_scalar(value: Any, kind: type, declared: Mapping[str, Any], where: str) -> Any:
    value = plain(value)
    unit = f" {declared['unit']}" if declared["unit"] else ""
    if isinstance(value, int) and abs(value) >= _LARGEST:
        raise ConfigError(
            f"{where} is a number of {value.bit_length()} bits; expected one below 2^63{unit}: {declared['meaning']}."
        )
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, kind) or (kind in (int, float) and isinstance(value, bool)):
        raise ConfigError(f"{where} is {value!r}; expected {_article(kind)}{unit}: {declared['meaning']}.")
    if declared["choices"] and value not in declared["choices"]:
        raise ConfigError(f"{where} is {value!r}; expected one of {', '.join(declared['choices'])}.")
    low, high = declared["low"], declared["high"]
    if isinstance(value, int | float) and not isinstance(value, bool):
        outside = (low is not None and value < low) or (high is not None and value > high)
        if outside or not math.isfinite(value):
            bounds = f"[{'-inf' if low is None else low}, {'inf' if high is None else high}]"
            raise ConfigError(f"{where} is {value!r}; expected a number in {bounds}{unit}: {declared['meaning']}.")
    return value


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[kind]
