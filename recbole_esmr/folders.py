"""Folders replaced as a whole: a reader finds the old one or the new one, each complete, even after a power failure."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from recbole_esmr.errors import ConfigError, OutputError
from recbole_esmr.leftovers import beside, held_if_dead, left_beside, make_folder, one_at_a_time, reserved, to_disk
from recbole_esmr.outputs import naming
from recbole_esmr.writing import take_over, written_whole


@contextmanager
def replaced_whole(folder: str | Path, replaced: Iterable[str] = ()) -> Iterator[Path]:
    """Give an empty folder that takes the place of ``folder`` when the block ends well, with what else lay in ``folder``.

    Args:
        folder: the folder; of a link, the folder that it leads to.
        replaced: names of files in it that go even where none of that name was written.

    Raises:
        ConfigError: the folder cannot be replaced: it may not be written to, is a mount point, or holds the current folder.
        OutputError: the new one cannot be written; the old one is intact.
    """
    target = Path(os.path.realpath(folder))
    if _is_around_us(target):
        raise ConfigError(f"{target}: is replaced as a whole, and the current folder lies in it. Start from another folder.")
    if target.exists() and not os.access(target, os.W_OK):  # a rename would not ask for that
        raise ConfigError(f"{target}: may not be written to. Make it writable, or give another folder.")
    with naming(folder):
        make_folder(target.parent)
        _clear_leftovers(target)
        with reserved(target, folder=True) as new:
            yield new
            error = _put_in_place(new, target, replaced)
    if error is not None:
        raise ConfigError(f"{target}: cannot be replaced ({error.strerror or error}). Give another folder.") from error


@contextmanager
def written_together(folder: str | Path) -> Iterator[Path]:
    """Give an empty folder whose files are all in ``folder`` at once when the block ends well, beside what else lies there.

    A folder that cannot be replaced as a whole, such as the current one or a mount point, gets one whole file after another; so
    does one in which a file of such a name is a link or a pipe.

    Raises:
        OutputError: a file cannot be written.
    """
    target = Path(os.path.realpath(folder))
    with naming(folder):
        make_folder(target.parent)
        fixed = target.exists() and (_is_around_us(target) or not os.access(target.parent, os.W_OK))
        if not fixed:
            _clear_leftovers(target)
        with reserved(target / "files" if fixed else target, folder=True) as new:
            try:
                yield new
            except OutputError as error:  # the user knows the folder, and not the hidden one
                raise OutputError(str(error).replace(str(new), str(folder))) from error
            names = sorted(os.listdir(new))
            special = any(os.path.lexists(target / name) and _is_special(target / name) for name in names)
            if fixed or special or _put_in_place(new, target) is not None:
                for name in names:
                    with written_whole(Path(folder) / name) as temporary:
                        shutil.copyfile(new / name, temporary)


def _is_special(path: Path) -> bool:
    return path.is_symlink() or not path.is_file()


def _is_around_us(target: Path) -> bool:
    here = Path.cwd().resolve()
    return target in (here, *here.parents)


def _put_in_place(new: Path, target: Path, replaced: Iterable[str] = ()) -> OSError | None:
    """Let ``new`` be ``target``, with what else lies in ``target``; returns the error where the two cannot be exchanged."""
    written = os.listdir(new)
    for name in written:
        to_disk(new / name)
        take_over(new / name, target / name)
    with one_at_a_time(target.parent):  # what another process puts there in the meantime would be lost
        if target.exists():
            _carry_over(target, new, {*written, *replaced})
            take_over(new, target)
        for place, _, _ in os.walk(new):
            to_disk(place)
        try:
            _swap(new, target)
        except OSError as error:
            return error
        to_disk(target.parent)
    return None


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

    try:
        shutil.copytree(target, new, symlinks=True, ignore=skipped, copy_function=link_or_copy, dirs_exist_ok=True)
    except shutil.Error as error:  # a list of (from, to, reason), and no number of the system's
        raise OSError(None, f"{error.args[0][0][0]} cannot be kept: {error.args[0][0][2]}") from error


def _swap(new: Path, target: Path) -> None:
    """Put ``new`` in the place of ``target``: in one step where there is no target or the system can exchange the two."""
    if not target.exists():
        os.rename(new, target)
    elif not _exchange(new, target):
        old = beside(target, "old")
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


def _clear_leftovers(target: Path) -> None:
    """Remove what dead processes left beside ``target``; a target that was moved away and not replaced is put back first."""
    new, old = (left_beside(target, what) for what in ("new", "old"))
    if not new and not old:
        return
    with one_at_a_time(target.parent), ExitStack() as stack:
        if not all(stack.enter_context(held_if_dead(path)) for path in new):
            return  # a process is alive, and may have moved the target away for a moment
        if old and not target.exists():
            os.rename(max(old, key=lambda path: path.stat().st_ctime), target)
        for path in (*new, *old):
            shutil.rmtree(path, ignore_errors=True)
