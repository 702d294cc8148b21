"""What cannot be written is said in one line that names it, and before the work where that can be known."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging import getLogger
from pathlib import Path

from recbole_esmr.errors import ConfigError, OutputError

_SPACE = "Free some space, or give another path."
_MEANING = {
    errno.ENOSPC: ("no space is left on the device", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EFBIG: ("it is larger than a file may be here", "Raise the limit (ulimit -f), or give another path."),
    errno.EROFS: ("the file system is read-only", "Give another path."),
    errno.EACCES: ("no permission", "Make it writable, or give another path."),
    errno.EPERM: ("no permission", "Make it writable, or give another path."),
    errno.EISDIR: ("it is a folder", "Give the path of a file."),
    errno.ENOTDIR: ("what should be a folder above it is a file", "Give another path."),
    errno.EEXIST: ("a file is in the way", "Give another path."),
    errno.ENAMETOOLONG: ("the name is too long", "Give a shorter one."),
    errno.EMFILE: ("too many files are open", "Raise the limit (ulimit -n)."),
    errno.ENFILE: ("too many files are open", "End other programs."),
    errno.EPIPE: ("nobody reads it any more", "Give a path that is read to the end, or a file."),
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_SAID_BY_NUMBER = re.compile(r"os error (\d+)")
_TRIED = 1 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_NAME = 255


def unwritable(path: str | Path, error: OSError) -> OutputError:
    """One line that says that ``path`` cannot be written, why, and what to do."""
    what, mend = _MEANING.get(error.errno or 0, (error.strerror or str(error), "Give a path that can be written."))
    return OutputError(f"{_CONTROL.sub('?', str(path))}: cannot be written: {what}. {mend}")


@contextmanager
def naming(path: str | Path, tried: Path | None = None) -> Iterator[None]:
    """Turn each failure to write in the block into one :class:`OutputError` that names ``path``.

    Args:
        path: what the user asked to have written.
        tried: the temporary file. Libraries have their own errors for a full disk (torch says RuntimeError); where one comes,
            it is tried whether this file can grow.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        yield
    except OutputError:
        raise
    except Exception as error:
        known = error if isinstance(error, OSError) and error.errno else _os_error(error)
        reason = known or (_cannot_grow(tried) if tried is not None else None) or error
        if not isinstance(reason, OSError):
            raise
        raise unwritable(path, reason) from error


def _os_error(error: BaseException) -> OSError | None:
    """The system's error that a library has put into its own words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return cause
        cause = cause.__cause__ or cause.__context__
    number = _SAID_BY_NUMBER.search(str(error))
    code = int(number[1]) if number else next((code for code in _FULL if os.strerror(code) in str(error)), None)
    return OSError(code, os.strerror(code)) if code in _FULL else None


def _cannot_grow(path: Path) -> OSError | None:
    try:
        with path.open("ab") as file:
            file.write(bytes(_TRIED))
    except OSError as error:
        return error
    return None


def is_stream(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or this process's own output: such are written to and not replaced."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    return not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)) or own_handle(path) is not None


def own_handle(path: Path) -> int | None:
    """1 or 2 where the path leads to what this process has as standard output or error."""
    for handle in (1, 2):
        with suppress(OSError):
            if os.path.samestat(os.stat(path), os.fstat(handle)):
                return handle
    return None


def expanded(path: str | Path) -> Path:
    """The path with ``~`` and ``~name`` as the home that they stand for.

    Raises:
        ConfigError: there is no person of that name.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{path}: there is no home of that name. Write the path out.") from error


def check_output(path: str | Path, folder: bool = False, replaced: bool = False) -> Path:
    """Refuse a path to which nothing can be written, before the work is done that would be lost.

    Where nothing is there yet, a file without a name is written in the nearest folder above and thrown away: permissions alone do
    not tell, for root has all of them on a file system that is read-only or full.

    Args:
        path: of the file, or the folder, to write.
        folder: whether a folder is to be written.
        replaced: whether the folder is replaced as a whole, for which the one above it must be writable.

    Returns:
        the path.

    Raises:
        ConfigError: what is in the way, and the mend.
    """
    what = "folder" if folder else "file"
    if not str(path):
        raise ConfigError(f"no {what} is named to write to. Give its path.")
    if _CONTROL.search(str(path)):
        raise ConfigError(f"{str(path)!r} holds a line end or another control character. Give a {what} a name without.")
    path = expanded(path)
    try:
        _check(path, Path(os.path.realpath(path)), folder, replaced)
    except OSError as error:
        raise ConfigError(str(unwritable(path, error))) from error
    return path


def _check(path: Path, target: Path, folder: bool, replaced: bool) -> None:
    if not folder and is_stream(path):
        if not os.access(path, os.W_OK):
            raise ConfigError(f"{path}: may not be written to. Make it writable, or give another path.")
        return
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in target.parts):
        raise OSError(errno.ENAMETOOLONG, "")
    if target.is_symlink():  # links were followed, so this one leads to itself
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if target.exists() and target.is_dir() != folder:
        raise ConfigError(
            f"{path}: is a {'file' if folder else 'folder'}. Give the path of a {'folder' if folder else 'file'} to write."
        )
    there = next(place for place in (target, *target.parents) if place.exists())
    if there != target and not there.is_dir():
        raise ConfigError(f"{path}: {there} is a file, so nothing can be written below it. Give another path.")
    if not os.access(there, os.W_OK):
        raise ConfigError(f"{path}: {there} may not be written to. Make it writable, or give another path.")
    if replaced and target.exists():
        if target in (here := Path.cwd().resolve(), *here.parents):
            raise ConfigError(f"{path}: is replaced as a whole, and the current folder lies in it. Start from another folder.")
        there = target.parent
    place = there if there.is_dir() else there.parent
    if not os.access(place, os.W_OK):
        raise ConfigError(f"{path}: {place} may not be written to. Make it writable, or give another path.")
    with tempfile.TemporaryFile(dir=place) as file:
        file.write(bytes(4096))


def check_room(folder: str | Path, least: int, likely: int) -> None:
    """Refuse, or warn of, a disk on which what will be written has no room.

    Args:
        folder: where it will be written; it need not exist yet.
        least: bytes that it takes for sure.
        likely: bytes that it may take.

    Raises:
        OutputError: fewer than ``least`` bytes are free.
    """
    absolute = Path(os.path.realpath(folder))
    there = next(place for place in (absolute, *absolute.parents) if place.exists())
    usage = shutil.disk_usage(there)
    if usage.total == 0 or usage.free >= likely:  # a file system that has no size says 0
        return
    free, needed = (f"{size / 1e6:,.1f} MB" for size in (usage.free, least if usage.free < least else likely))
    if usage.free < least:
        raise OutputError(f"{folder}: a checkpoint takes {needed}, and {free} are free. {_SPACE}")
    getLogger().warning("%s: checkpoints may take %s, and %s are free. %s", folder, needed, free, _SPACE)


def on_a_terminal() -> bool:
    """Whether somebody watches standard error, where progress bars are drawn."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it is closed
        return False
