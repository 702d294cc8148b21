"""The file of parameter ranges that RecBole's ``HyperTuning`` searches, read without evaluating it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from recbole_esmr.errors import ConfigError
from recbole_esmr.outputs import expanded
from recbole_esmr.values import MAX_FILE, read_value, shown

_RANGES = {"uniform": 2, "quniform": 3, "loguniform": 2}
"""RecBole's kinds of ranges, and how many numbers each takes."""


def space_of_file(_: Callable[..., Any], file: str | Path) -> dict[str, Any]:
    """``HyperTuning._build_space_from_file``: lines such as ``learning_rate choice [0.01,0.001]`` or ``dropout uniform 0,0.5``.

    Args:
        _: RecBole's own method, which evaluates the choices as Python.
        file: the file.

    Returns:
        hyperopt's space.

    Raises:
        ConfigError: the file cannot be read, or a line is none of these; the message names file and line.
    """
    from hyperopt import hp

    path, space = expanded(file), {}
    try:
        with path.open(encoding="utf-8") as lines:
            text = lines.read(MAX_FILE)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}). Give the path of a text file.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        name, kind, given = (*line.split(maxsplit=2), "", "", "")[:3]
        if not given:
            continue
        where = f"{path}, line {number}: {name}"
        if kind == "choice":
            space[name] = hp.choice(name, _choices(given, where))
        elif kind in _RANGES:
            space[name] = getattr(hp, kind)(name, *_numbers(given, kind, where))
        else:
            raise ConfigError(f"{where} has the range {shown(kind)}; expected one of choice, {', '.join(_RANGES)}.")
    return space


def _choices(given: str, where: str) -> list[Any]:
    try:
        choices = read_value(given)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    if not isinstance(choices, list) or not choices:
        raise ConfigError(f"{where} is {shown(given)}; expected a list of choices such as [0.01,0.001].")
    return choices


def _numbers(given: str, kind: str, where: str) -> list[float]:
    numbers = [read_value(part) for part in given.split(",")]
    if len(numbers) != _RANGES[kind] or not all(isinstance(number, int | float) for number in numbers):
        raise ConfigError(f"{where} is {shown(given)}; expected {_RANGES[kind]} numbers with commas between them.")
    return [float(number) for number in numbers]
