"""Folders replaced as a whole: a reader finds the old one or the new one, each complete, even after a power failure."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from recbole_esmr.errors import ConfigError


@contextmanager
def replaced_whole(target: Path, replaced: Iterable[str] = ()) -> Iterator[Path]:
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
            to_disk(new / name)
        if target.exists():
            _carry_over(target, new, {*written, *replaced})
        for place, _, _ in os.walk(new):
            to_disk(place)
        try:
            _swap(new, target)
        except OSError as error:
            raise ConfigError(f"{target}: cannot be replaced ({error.strerror or error}). Give another folder.") from error
        to_disk(target.parent)
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
            to_disk(destination)

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


def to_disk(path: str | Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk: then it outlives a power failure."""
    folder = os.path.isdir(path)
    with suppress(OSError) if folder else nullcontext():  # not every system lets a folder be opened
        handle = os.open(path, os.O_RDONLY if folder or os.name == "posix" else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
