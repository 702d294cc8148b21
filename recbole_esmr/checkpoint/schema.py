"""Whether what a file holds has the types that a class declares: a dataclass, or a ``TypedDict``."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from recbole_esmr.errors import CheckpointError


def check_types(values: Any, declared: type, where: str) -> None:
    """Refuse values that lack a field of a class, have another one, or one of another type.

    Args:
        values: a dictionary with the class's fields, from a file.
        declared: the class.
        where: what the dictionary is, for the message.

    Raises:
        CheckpointError: the message names the field.
    """
    hints = get_type_hints(declared)
    if not isinstance(values, dict) or set(values) != set(hints):
        raise CheckpointError(f"{where} does not hold {', '.join(hints)} and nothing else. Train again.")
    for name, hint in hints.items():
        _check(values[name], hint, f"{where}.{name}")


def _check(value: Any, hint: Any, where: str) -> None:
    kind, arguments = get_origin(hint) or hint, get_args(hint)
    if is_typeddict(hint) or is_dataclass(hint):
        check_types(value, hint, where)
    elif not _is(value, kind, arguments):
        words = getattr(hint, "__name__", str(hint)) if not arguments else str(hint)
        raise CheckpointError(f"{where} is a {type(value).__name__}; expected {words}. Train again.")
    elif kind in (list, tuple):
        inner = arguments * len(value) if kind is list else arguments
        inner = arguments[:1] * len(value) if Ellipsis in arguments else inner
        if len(inner) != len(value):
            raise CheckpointError(f"{where} has {len(value)} values; expected {len(inner)}. Train again.")
        for place, (item, of_item) in enumerate(zip(value, inner, strict=True)):
            _check(item, of_item, f"{where}[{place}]")
    elif kind in (dict, Mapping) and arguments:
        for key, item in value.items():
            _check(key, arguments[0], f"a key of {where}")
            _check(item, arguments[1], f"{where}.{str(key)[:80]}")


def _is(value: Any, kind: Any, arguments: tuple[Any, ...]) -> bool:
    if kind in (Union, types.UnionType):  # of plain types alone
        return any(_is(value, option, ()) for option in arguments)
    if kind is Any:
        return True
    if kind is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    return type(value) is (dict if kind is Mapping else type(None) if kind is None else kind)
