"""Bring other data into RecBole's atomic files: one function a format, all checked before anything is written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recbole_esmr.data.importers.dataset_yaml import merged
from recbole_esmr.data.importers.fields import names
from recbole_esmr.data.importers.ids import compare_ids
from recbole_esmr.data.importers.imported import Imported
from recbole_esmr.data.importers.numeric import whole_as_int
from recbole_esmr.data.reading.schema import SCHEMA, read_atomic
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import DataError, UnknownNameError, nearest
from recbole_esmr.files import write_atomic_files


@dataclass(frozen=True)
class ImportReport:
    """What an import has done.

    Attributes:
        rows: number of rows written, by suffix.
        notes: how things were read, one line each.
        warnings: what may not be meant, one line each with its mend.
    """

    rows: dict[str, int]
    notes: list[str]
    warnings: list[str]


def import_data(name: str, source: str | Path, output: str | Path, mapping: str | Path | None = None) -> ImportReport:
    """Read ``source`` in the format ``name`` and write a data set into the folder ``output``.

    Args:
        name: ``esmr-release``, ``ldos-comoda``, ``open-play``, ``situnes`` or ``csv``.
        source: the folder or file to read.
        output: folder to write; its name becomes the data set's name. Atomic files of a data set that is there are replaced; what
            the user changed in its ``NAME.yaml`` stays.
        mapping: for ``csv``: the yaml file that says which column is what.

    Raises:
        UnknownNameError: no such format.
        ConfigError, DataError: something is wrong with the mapping, a file, a column or a value; then nothing is written.
    """
    importers = _importers()
    if name not in importers:
        raise UnknownNameError(f"unknown format '{name}'. {nearest(name, importers)}")
    if not Path(source).exists():
        raise DataError(f"--input={source}: no such file or folder. Give the place of the original data.")
    folder = Path(os.path.abspath(output))
    comment = f"Imported from {name}. What you change or add here stays when the data are imported again."
    try:
        imported = importers[name](Path(source), Path(mapping) if mapping else None)
        imported = replace(imported, frames={suffix: frame.apply(whole_as_int) for suffix, frame in imported.frames.items()})
        text, settings, kept = merged(folder / f"{folder.name}.yaml", imported.settings, comment)
        config = names() | settings
        _check(imported, folder, Path(output), config)
        warnings = [*imported.warnings, *compare_ids(imported, float(config["max_unknown_ids"]))]
    except DataError as error:
        raise DataError(f"{error} Nothing was written.") from error
    gone = [suffix for suffix in SCHEMA if suffix not in imported.frames and (folder / f"{folder.name}.{suffix}").is_file()]
    write_atomic_files(folder, imported.frames, text)
    notes = [*imported.notes]
    if kept:
        notes.append(f"{folder.name}.yaml: {', '.join(kept)} stay as you have them")
    if gone:
        notes.append(f"{', '.join(f'{folder.name}.{suffix}' for suffix in gone)} of an earlier import removed")
    return ImportReport({suffix: len(frame) for suffix, frame in imported.frames.items()}, notes, warnings)


def _importers() -> dict[str, Callable[[Path, Path | None], Imported]]:
    from recbole_esmr.data.importers.csv import read_csv
    from recbole_esmr.data.importers.esmr_release import read_esmr_release
    from recbole_esmr.data.importers.ldos_comoda import read_ldos_comoda
    from recbole_esmr.data.importers.open_play import read_open_play
    from recbole_esmr.data.importers.situnes import read_situnes

    return {
        "esmr-release": read_esmr_release,
        "ldos-comoda": read_ldos_comoda,
        "open-play": read_open_play,
        "situnes": read_situnes,
        "csv": read_csv,
    }


def _check(imported: Imported, folder: Path, output: Path, config: dict[str, Any]) -> None:
    """Read what would be written as a run would read it."""
    taxonomy = load_taxonomy(config["emotion_taxonomy"], folder)
    with tempfile.TemporaryDirectory() as temporary:
        trial = Path(temporary) / folder.name
        write_atomic_files(trial, imported.frames, {})
        for suffix in imported.frames:
            if suffix in SCHEMA:
                try:
                    read_atomic(trial / f"{folder.name}.{suffix}", suffix, config, taxonomy)
                except DataError as error:
                    raise imported.in_the_users_words(error, suffix, trial / folder.name, output / folder.name) from error
