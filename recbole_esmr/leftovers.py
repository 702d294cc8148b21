"""Temporary files and folders beside what they replace: locked while their process lives, removed when it is dead."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

_FILE = re.compile(r"\..+\.new-[0-9a-f]{8}", re.DOTALL)
_NAME_MAX = 200
"""Bytes of a target's name that a temporary name keeps, for most file systems take names of 255."""
_A_DAY = 86_400.0
_PATIENCE = 10.0


@contextmanager
def reserved(target: Path, folder: bool = False) -> Iterator[Path]:
    """A hidden new file or folder ``.NAME.new-…`` beside ``target``, locked, and removed at the end where it still has its name.

    Args:
        target: what it will replace.
        folder: whether a folder is wanted.
    """
    path, lock = _made(target, folder)
    try:
        yield path
    finally:
        if folder:
            shutil.rmtree(path, ignore_errors=True)  # after an exchange the old folder has this name
        else:
            path.unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)


def clear_files(folder: Path) -> None:
    """Remove the temporary files in a folder whose processes are dead, whatever they were to replace."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in [entry for entry in entries if _FILE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]:
            with suppress(OSError), held_if_dead(Path(entry.path)) as dead:
                if dead:
                    os.unlink(entry.path)


def beside(target: Path, what: str) -> Path:
    """A hidden name beside ``target`` that nothing has."""
    return target.with_name(f"{_prefix(target)}.{what}-{secrets.token_hex(4)}")


def left_beside(target: Path, what: str) -> list[Path]:
    """What has such a name beside ``target`` now."""
    return [path for path in target.parent.iterdir() if path.name.startswith(f"{_prefix(target)}.{what}-")]


@contextmanager
def held_if_dead(path: Path) -> Iterator[bool]:
    """Whether the process that made a temporary file or folder is dead; nobody else finds it dead during the block."""
    try:
        lock = _lock(path)
    except BlockingIOError:
        yield False
        return
    try:
        yield lock is not None or _is_old(path)  # no locks here: only age tells
    finally:
        if lock is not None:
            os.close(lock)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file or folder until the block ends.

    Raises:
        BlockingIOError: another process holds it.
    """
    lock = _lock(path)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait for others that replace something in this folder; not for long, for somebody may hold the lock for another reason."""
    lock, end = None, time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            lock = _lock(folder)
            break
        except BlockingIOError:
            time.sleep(0.02)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def to_disk(path: str | Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk: then it outlives a power failure."""
    folder = os.path.isdir(path)
    with suppress(OSError) if folder else nullcontext():  # not every system lets a folder be opened
        handle = os.open(path, os.O_RDONLY if folder or os.name == "posix" else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_folder(path: str | Path) -> None:
    """Make a folder and those above it, on the disk; another process may be making them at the same time."""
    path = Path(path)
    missing = [place for place in (path, *path.parents) if not place.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for place in missing:
        to_disk(place.parent)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > _A_DAY
    except FileNotFoundError:  # its process has removed it
        return True


def _prefix(target: Path) -> str:
    return "." + os.fsdecode(os.fsencode(target.name)[:_NAME_MAX])


def _made(target: Path, folder: bool) -> tuple[Path, int | None]:
    while True:
        path = beside(target, "new")
        if folder:
            path.mkdir()
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            lock = _lock(path)
        except BlockingIOError:  # another process took it for a dead one's before it was locked, and removes it
            continue
        if path.exists():
            return path, lock
        if lock is not None:
            os.close(lock)


def _lock(path: Path) -> int | None:
    """A handle that locks a file or folder until it is closed or its process ends; None where there are no such locks.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    try:
        import fcntl

        handle = os.open(path, os.O_RDONLY)
    except (ImportError, OSError):  # no Unix, just removed, or not ours to read
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return handle
