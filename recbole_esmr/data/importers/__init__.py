"""Bring other data into RecBole's atomic files: one function a format, all checked before anything is written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_esmr.data.schema import SCHEMA, read_atomic
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import DataError, UnknownNameError, nearest
from recbole_esmr.files import read_yaml, shipped, write_atomic_files


@dataclass(frozen=True)
class Imported:
    """Atomic files in memory: a frame by suffix (columns ``field:type``) and the RecBole keys that the data set needs."""

    frames: dict[str, pd.DataFrame]
    settings: dict[str, Any]


def import_data(name: str, source: str | Path, output: str | Path, mapping: str | Path | None = None) -> dict[str, int]:
    """Read ``source`` in the format ``name`` and write a data set into the folder ``output``.

    Args:
        name: ``esmr-release``, ``ldos-comoda`` or ``csv``.
        source: the folder or file to read.
        output: folder to write; its name becomes the data set's name.
        mapping: for ``csv``: the yaml file that says which column is what.

    Returns:
        number of rows by suffix.

    Raises:
        UnknownNameError: no such format.
        DataError: a file or column is missing, or a value breaks the schema; then nothing is written.
    """
    importers = _importers()
    if name not in importers:
        raise UnknownNameError(f"unknown format '{name}'. {nearest(name, importers)}")
    imported = importers[name](Path(source), Path(mapping) if mapping else None)
    _check(imported, Path(output))
    write_atomic_files(output, imported.frames, imported.settings, f"Imported from {name}.")
    return {suffix: len(frame) for suffix, frame in imported.frames.items()}


def _importers() -> dict[str, Callable[[Path, Path | None], Imported]]:
    from recbole_esmr.data.importers.csv import read_csv
    from recbole_esmr.data.importers.esmr_release import read_esmr_release
    from recbole_esmr.data.importers.ldos_comoda import read_ldos_comoda

    return {"esmr-release": read_esmr_release, "ldos-comoda": read_ldos_comoda, "csv": read_csv}


def read_table(path: Path, columns: list[str] | None = None, **options: Any) -> pd.DataFrame:
    """Read a CSV file of a source; ``columns`` must be among its columns.

    Raises:
        DataError: no such file, not a CSV, or a column is missing.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file. Give --input the place of the original data.")
    try:
        frame = pd.read_csv(path, **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}).") from error
    for column in columns or []:
        if column not in frame:
            raise DataError(f"{path}, line 1: the column '{column}' is missing. {nearest(column, map(str, frame.columns))}")
    return frame


def _check(imported: Imported, output: Path) -> None:
    """Read what would be written as a run would read it."""
    config = read_yaml(shipped("properties") / "overall.yaml") | {
        "field_separator": "\t",
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "TIME_FIELD": "timestamp",
    }
    config |= imported.settings
    taxonomy = load_taxonomy(str(config["emotion_taxonomy"]))
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / output.name
        write_atomic_files(trial, imported.frames, {}, "")
        for suffix in imported.frames:
            if suffix in SCHEMA:
                try:
                    read_atomic(trial / f"{output.name}.{suffix}", suffix, config, taxonomy)
                except DataError as error:
                    raise DataError(str(error).replace(str(trial), str(output)) + " Nothing was written.") from error
