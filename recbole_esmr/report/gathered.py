"""Results that commands have written as JSON, found again and put on one page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recbole_esmr.errors import ConfigError
from recbole_esmr.outputs import is_stream
from recbole_esmr.report.page import Page
from recbole_esmr.report.pages import kind_of, page_of

LARGEST = 200 * 2**20
"""Bytes of a file that is read."""

_NUMBERS = ("mean", "low", "high", "sd", "p", "q", "estimate", "naive", "detectable", "place")
"""Keys whose null is not-a-number, which JSON does not have."""

_WRITERS = "`run`, `compare`, `rollout`, `causal`, `power` and `audit` write results with --output"


def page_of_files(places: Sequence[Path]) -> Page:
    """The page of the results in some files and folders, and in folders within; other JSON files are passed over.

    Raises:
        ConfigError: a file that holds no result or not all of one, or a folder that holds none.
    """
    results = []
    for place in places:
        files = _files(place) if place.is_dir() else [place]
        found = [(file, result) for file in files for result in (_read(file),) if result is not None]
        if not found:
            what = "holds no result" if place.is_dir() else "is no result"
            raise ConfigError(f"{place}: {what}. {_WRITERS}.")
        for file, result in found:
            _try(file, result)
        results += [result for _, result in found]
    return page_of(results)


def _files(folder: Path) -> list[Path]:
    """The JSON files of a folder, then those of the folders within; hidden ones hold what is not finished."""
    found = [file for file in folder.rglob("*.json") if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    return sorted((file for file in found if file.is_file()), key=lambda file: (len(file.parts), file))


def page_beside(output: Path | None, folder: bool = False) -> Path:
    """Where the page of a result goes: into its folder, beside its file, or here.

    Args:
        output: what the result is written to, or read from.
        folder: whether that is a folder, which may not be there yet.

    Raises:
        ConfigError: the page would take the place of the result, or lie beside a device.
    """
    if output is None:
        return Path("report.html")
    if folder or output.is_dir():
        return output / "report.html"
    if is_stream(output) or output.suffix.lower() == ".html":
        raise ConfigError(
            f"--report writes a page beside --output, and {output} leaves no room for one. Name a file such as x.json."
        )
    return output.with_suffix(".html")


def _try(file: Path, result: dict[str, Any]) -> None:
    try:
        page_of([result])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:  # somebody else wrote or changed it
        raise ConfigError(f"{file}: is not whole ({type(error).__name__}: {error}). Write it again; {_WRITERS}.") from error


def _read(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > LARGEST:
            return None
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError):  # no JSON
        return None
    return _numbers(result) if kind_of(result) else None


def _numbers(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: float("nan") if value is None and key in _NUMBERS else _numbers(value) for key, value in tree.items()}
    return [_numbers(value) for value in tree] if isinstance(tree, list) else tree
