"""Values on the command line: each is read and checked where it enters."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from recbole_esmr.errors import ConfigError
from recbole_esmr.outputs import check_output, expanded


def path(text: str) -> Path:
    return _or_refused(expanded, text)  # a shell leaves the ~ of --output=~/run.json as it is


def new_file(text: str) -> Path:
    return _or_refused(check_output, text)


def new_folder(text: str) -> Path:
    return _or_refused(partial(check_output, folder=True), text)


def new_data_set(text: str) -> Path:
    return _or_refused(partial(check_output, folder=True, replaced=True), text)


def _or_refused(read: Callable[[str], Path], text: str) -> Path:
    try:
        return read(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def files(text: str) -> list[Path]:
    """The files of one ``--config_files``: a path that has spaces in it, or RecBole's several paths with spaces between them."""
    paths = [path(word) for word in text.split()]
    if path(text).exists() or not any(path.exists() for path in paths):
        return [path(text)] if text.strip() else []
    return paths


def positive(text: str) -> int:
    return _whole(text, 1, 2**63 - 1)


def seed(text: str) -> int:
    return _whole(text, 0, 2**32 - 1)  # what numpy takes


def sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted({positive(part) for part in text.split(",")}))


def days(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(_whole(part, -(2**31), 2**31) for part in text.split(",")))


def effect(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 10:
        raise argparse.ArgumentTypeError(f"{text[:40]} is not a number above 0 and at most 10")
    return number


def share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{text[:40]} is not a share above 0 and at most 1")
    return number


def part(text: str) -> float:
    return part_of(1)(text)


def part_of(most: float) -> Callable[[str], float]:
    """Reads a number from 0 to the most."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0 <= number <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]} is not a number from 0 to {most:g}")
        return number

    return read


def port(text: str) -> int:
    return _whole(text, 0, 65_535)


def count(text: str) -> int:
    return _whole(text, 0, 2**63 - 1)


def _whole(text: str, low: int, high: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"{text[:40]} is not a whole number from {low} to {high}")
    return number
