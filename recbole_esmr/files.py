"""Files that come with the package, and files and folders written whole or not at all."""

from __future__ import annotations

import csv
import ctypes
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from recbole_esmr.errors import ConfigError, DataError

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
        ConfigError: the file is missing, is not yaml, or does not hold a mapping; the message names file and line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Give the path of a yaml file.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8. Save it as UTF-8.") from error
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not valid yaml ({getattr(error, 'problem', error)}).") from error
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
        _to_disk(temporary)
        os.replace(temporary, path)
        _to_disk(path.parent)
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
    text = settings if isinstance(settings, str) else f"# {comment}\n" + yaml.safe_dump(settings, sort_keys=False)
    for suffix, frame in frames.items():
        _check_cells(f"{name}.{suffix}", frame)
    with _replaced_whole(Path(os.path.realpath(folder)), [f"{name}.{suffix}" for suffix in ATOMIC_SUFFIXES]) as new:
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


@contextmanager
def _replaced_whole(target: Path, replaced: Iterable[str] = ()) -> Iterator[Path]:
    """Give an empty folder that takes the place of ``target`` when the block ends well, with what else lay in ``target``.

    Args:
        target: the folder.
        replaced: names of files in ``target`` that go even where none of that name was written.
    """
    here = Path.cwd().resolve()
    if target in (here, *here.parents):
        raise ConfigError(f"{target}: is replaced as a whole, and the current folder lies in it. Start from another folder.")
    if target.exists() and not os.access(target, os.W_OK):  # a rename would not ask for that
        raise ConfigError(f"{target}: may not be written to. Make it writable, or give another folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(target)
    new = _beside(target, "new")
    new.mkdir()
    lock = _lock(new)
    try:
        yield new
        written = os.listdir(new)
        for name in written:
            _to_disk(new / name)
        if target.exists():
            _carry_over(target, new, {*written, *replaced})
        for place, _, _ in os.walk(new):
            _to_disk(place)
        try:
            _swap(new, target)
        except OSError as error:
            raise ConfigError(f"{target}: cannot be replaced ({error.strerror or error}). Give another folder.") from error
        _to_disk(target.parent)
    finally:
        shutil.rmtree(new, ignore_errors=True)  # after an exchange the old folder has this name
        if lock is not None:
            os.close(lock)


def _carry_over(target: Path, new: Path, without: set[str]) -> None:
    """Give ``new`` all of ``target`` but the names ``without``, by a second link to each file where that can be."""

    def link_or_copy(source: str, destination: str) -> None:
        try:
            os.link(source, destination)
        except OSError:
            shutil.copy2(source, destination)
            _to_disk(destination)

    def skipped(place: str, names: list[str]) -> set[str]:
        return without.intersection(names) if Path(place) == target else set()

    shutil.copytree(target, new, symlinks=True, ignore=skipped, copy_function=link_or_copy, dirs_exist_ok=True)


def _swap(new: Path, target: Path) -> None:
    """Put ``new`` in the place of ``target``: in one step where there is no target or the system can exchange the two."""
    if not target.exists():
        os.rename(new, target)
    elif not _exchange(new, target):
        old = _beside(target, "old")
        try:
            os.rename(target, old)
            os.rename(new, target)
        except BaseException:
            if old.exists() and not target.exists():
                os.rename(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, by Linux's ``renameat2``; false where the system or the file system cannot."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):  # an older C library, or no Unix
        return False
    here, exchange = -100, 2  # AT_FDCWD of <fcntl.h>, RENAME_EXCHANGE of <linux/fs.h>
    return bool(renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def _beside(target: Path, what: str) -> Path:
    return target.with_name(f".{target.name}.{what}-{secrets.token_hex(4)}")


def _clear_leftovers(target: Path) -> None:
    """Remove what dead processes left beside ``target``; a target that was moved away and not replaced is put back first."""
    new, old = (
        [path for path in target.parent.iterdir() if path.name.startswith(f".{target.name}.{what}-")] for what in ("new", "old")
    )
    for path in new:
        try:
            lock = _lock(path)
        except BlockingIOError:  # its process is alive, and may have moved the target away for a moment
            return
        if lock is not None:
            os.close(lock)
    if old and not target.exists():
        os.rename(max(old, key=lambda path: path.stat().st_ctime), target)
    for path in (*new, *old):
        shutil.rmtree(path, ignore_errors=True)


def _lock(folder: Path) -> int | None:
    """A handle that locks a folder until it is closed or its process ends; None where there are no such locks.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # no Unix, or just removed
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return handle


def _to_disk(path: str | Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk: then it outlives a power failure."""
    folder = os.path.isdir(path)
    with suppress(OSError) if folder else nullcontext():  # not every system lets a folder be opened
        handle = os.open(path, os.O_RDONLY if folder or os.name == "posix" else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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
