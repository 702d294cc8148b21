"""Files that come with the package, yaml read, JSON and data sets written whole or not at all."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_esmr.errors import ConfigError, DataError, MissingPackageError
from recbole_esmr.folders import replaced_whole
from recbole_esmr.outputs import naming
from recbole_esmr.values import MAX_FILE, read_yaml_text, yaml_text
from recbole_esmr.writing import written_whole

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 2
"""Of every JSON file that is written. 2: the ranking rebuilt, trajectory figures as ETrajEval defines them."""

ATOMIC_SUFFIXES = ("inter", "imp", "item", "user", "day")
"""Of the files of a data set that ESMR reads."""

_PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """The folder ``properties`` or ``datasets`` that comes with recbole-esmr.

    In the wheel both lie inside the package; in a source checkout they lie beside it, at the top level.
    """
    inside = _PACKAGE / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


def shipped_names(folder: str) -> list[str]:
    """Names (without ``.yaml``) of the yaml files in a shipped folder such as ``properties/world``."""
    return sorted(path.stem for path in shipped("properties").joinpath(folder).glob("*.yaml"))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read one yaml mapping.

    Raises:
        ConfigError: the file is missing or too large, is not yaml, or does not hold a mapping; the message names file and line.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read ({reason}). Give the path of a yaml file.") from error
    if len(content) > MAX_FILE:
        raise ConfigError(f"{path}: is larger than {MAX_FILE:,} bytes; expected a short yaml file. Take out what is no setting.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: is not UTF-8. Save the file as UTF-8.") from error
    values = read_yaml_text(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds a {type(values).__name__}; expected a mapping of `key: value` lines.")
    return values


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as JSON, whole or not at all. NaN and infinity become ``null``, as JSON has neither."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(finite(content), indent=2) + "\n", encoding="utf-8")


def write_atomic_files(
    folder: str | Path, frames: dict[str, pd.DataFrame], settings: dict[str, Any] | str, comment: str = ""
) -> None:
    """Write a RecBole data set: ``NAME.SUFFIX`` for each frame and ``NAME.yaml`` with its settings, all of them or none.

    They are written into a hidden folder ``.NAME.new-*`` beside ``folder``, which then takes its place in one step. Atomic files
    of the data set that was there go with it (:data:`ATOMIC_SUFFIXES`); what else lay in the folder stays in it. So a process
    that is killed leaves the old data set or the new one, each whole. Where the system cannot exchange two folders in one step
    (Linux can), a kill between two renames leaves no ``folder`` but both data sets, the old one as ``.NAME.old-*``. The next
    write to the same folder puts that back and removes what dead processes left.

    Cells are separated by tabs and never quoted, so what is written is what a reader finds to whom quotation marks are text.

    Args:
        folder: where to; its name is the data set's name. Of a link, the folder that it leads to is replaced.
        frames: by suffix; columns are named ``field:type``.
        settings: RecBole keys that every model needs for this data set, or the whole text of the yaml file; the plug-in's Config
            reads them.
        comment: first line of the yaml file, where its text is not given.

    Raises:
        ConfigError: the folder cannot be replaced: it may not be written to, is a mount point, or holds the current folder.
        OutputError: a file cannot be written; the old data set is intact.
        DataError: a text holds a tab, a line end or a NUL, which no atomic file can hold.
    """
    name = Path(os.path.abspath(folder)).name
    text = settings if isinstance(settings, str) else f"# {comment}\n" + yaml_text(settings)
    for suffix, frame in frames.items():
        _check_cells(f"{name}.{suffix}", frame)
    with replaced_whole(folder, [f"{name}.{suffix}" for suffix in ATOMIC_SUFFIXES]) as new:
        for suffix, frame in frames.items():
            single = frame.select_dtypes("float32")  # 0.1 is 0.1 in 32 bits too, and not 0.10000000149011612
            frame = frame.assign(**{column: single[column].astype(str).astype(float) for column in single})
            file = new / f"{name}.{suffix}"
            with naming(Path(folder) / file.name, file):
                frame.to_csv(file, sep="\t", index=False, quoting=csv.QUOTE_NONE, lineterminator="\n")
        with naming(Path(folder) / f"{name}.yaml"):
            (new / f"{name}.yaml").write_text(text, encoding="utf-8")


def check_table(path: str | Path) -> None:
    """Refuse, before long work, a file of Parquet where no library for it is installed.

    Raises:
        MissingPackageError: pyarrow is not installed, or does not go with numpy.
    """
    if not _is_parquet(path):
        return
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:  # or too new for this numpy
        raise MissingPackageError(
            f"{path}: Parquet needs pyarrow ({error}). Run `pip install 'recbole-esmr[parquet]'`, or let the file end in .csv."
        ) from error


def write_table(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a table as Parquet where the file's name ends so, as CSV otherwise; ids as they are, for programs.

    Raises:
        OutputError: the file cannot be written; what was there is intact.
    """
    with written_whole(path) as temporary:
        if _is_parquet(path):
            frame.to_parquet(temporary, index=False, engine="pyarrow")
        else:
            frame.to_csv(temporary, index=False)


def _is_parquet(path: str | Path) -> bool:
    return Path(path).suffix.lower() == ".parquet"


def _check_cells(name: str, frame: pd.DataFrame) -> None:
    for column in frame.select_dtypes(exclude=["number", "bool"]):
        wrong = frame[column].astype(str).str.contains("[\t\r\n\0]")
        if wrong.any():
            raise DataError(
                f"{name}, column '{column}': {str(frame[column][wrong].iloc[0])!r} holds a tab, a line end or a NUL, which an "
                "atomic file cannot hold. Replace it."
            )


def finite(content: Any) -> Any:
    """A tree of what JSON can hold, with None for numbers that are none."""
    if isinstance(content, dict):
        return {str(key): finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    if hasattr(content, "item"):
        content = content.item()
    if isinstance(content, float) and not (abs(content) < float("inf")):
        return None
    return content
