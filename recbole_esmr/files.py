"""Files that come with the package, and files and folders written whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.folders import replaced_whole, to_disk
from recbole_esmr.values import MAX_FILE, read_yaml_text, yaml_text

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 2
"""Of every JSON file and checkpoint that is written. 2: the ranking rebuilt, trajectory figures as ETrajEval defines them."""

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


def check_output(path: str | Path, folder: bool = False) -> Path:
    """Refuse a path to which nothing can be written, before the work is done that would be lost.

    Args:
        path: of the file, or the folder, to write.
        folder: whether a folder is to be written.

    Returns:
        the path.

    Raises:
        ConfigError: what is in the way, and the mend.
    """
    what = "folder" if folder else "file"
    if not str(path):
        raise ConfigError(f"no {what} is named to write to. Give its path.")
    path = expanded(path)
    if path.exists() and path.is_dir() != folder:
        raise ConfigError(f"{path}: is a {'file' if folder else 'folder'}. Give the path of a {what} to write.")
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if there != path and not there.is_dir():
        raise ConfigError(f"{path}: {there} is a file, so nothing can be written below it. Give another path.")
    if not os.access(there, os.W_OK):
        raise ConfigError(f"{path}: {there} may not be written to. Make it writable, or give another path.")
    return path


def expanded(path: str | Path) -> Path:
    """The path with ``~`` and ``~name`` as the home that they stand for.

    Raises:
        ConfigError: there is no person of that name.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{path}: there is no home of that name. Write the path out.") from error


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and rename it to ``path`` when the block ends well.

    A reader sees the old file or the new one, never half of either, not even after a power failure; on an error nothing is left
    behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        to_disk(temporary)
        os.replace(temporary, path)
        to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as JSON, whole or not at all. NaN and infinity become ``null``, as JSON has neither."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(_finite(content), indent=2) + "\n", encoding="utf-8")


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
        DataError: a text holds a tab, a line end or a NUL, which no atomic file can hold.
    """
    name = Path(os.path.abspath(folder)).name
    text = settings if isinstance(settings, str) else f"# {comment}\n" + yaml_text(settings)
    for suffix, frame in frames.items():
        _check_cells(f"{name}.{suffix}", frame)
    with replaced_whole(Path(os.path.realpath(folder)), [f"{name}.{suffix}" for suffix in ATOMIC_SUFFIXES]) as new:
        for suffix, frame in frames.items():
            single = frame.select_dtypes("float32")  # 0.1 is 0.1 in 32 bits too, and not 0.10000000149011612
            frame = frame.assign(**{column: single[column].astype(str).astype(float) for column in single})
            frame.to_csv(new / f"{name}.{suffix}", sep="\t", index=False, quoting=csv.QUOTE_NONE, lineterminator="\n")
        (new / f"{name}.yaml").write_text(text, encoding="utf-8")


def _check_cells(name: str, frame: pd.DataFrame) -> None:
    for column in frame.select_dtypes(object):
        wrong = frame[column].astype(str).str.contains("[\t\r\n\0]")
        if wrong.any():
            raise DataError(
                f"{name}, column '{column}': {str(frame[column][wrong].iloc[0])!r} holds a tab, a line end or a NUL, which an "
                "atomic file cannot hold. Replace it."
            )


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if hasattr(content, "item"):
        content = content.item()
    if isinstance(content, float) and not (abs(content) < float("inf")):
        return None
    return content


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
