"""A file written whole or not at all: a reader finds the old one or the new one, even after a power failure."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recbole_esmr.leftovers import clear_files, make_folder, reserved, to_disk
from recbole_esmr.outputs import is_stream, naming, own_handle


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and rename it to ``path`` when the block ends well.

    Mode and owner of a file that was there are kept. Of a link, the file that it leads to is replaced. A device or a pipe is
    written to and not replaced. What killed processes left in the folder is removed.

    Raises:
        OutputError: ``path`` cannot be written; what was there is intact and nothing temporary stays.
    """
    path = Path(path)
    with naming(path):
        if is_stream(path):
            with tempfile.TemporaryDirectory() as folder:
                temporary = Path(folder) / "content"
                temporary.touch()
                with naming(temporary, temporary):
                    yield temporary
                _pour(temporary, path)
            return
        target = Path(os.path.realpath(path))
        make_folder(target.parent)
        clear_files(target.parent)
        with reserved(target) as temporary:
            take_over(temporary, target)
            with naming(path, temporary):
                yield temporary
            to_disk(temporary)
            os.replace(temporary, target)
            to_disk(target.parent)


def take_over(new: Path, old: Path) -> None:
    """Give a new file the mode of the one that it replaces, and its owner where the system allows it."""
    with suppress(FileNotFoundError):
        known = os.stat(old)
        if hasattr(os, "chown"):
            for owner in ((known.st_uid, -1), (-1, known.st_gid)):
                with suppress(OSError):
                    os.chown(new, *owner)
        os.chmod(new, stat.S_IMODE(known.st_mode))


def _pour(content: Path, path: Path) -> None:
    """Write a file's content into a device, a pipe or this process's own output."""
    own = own_handle(path)
    if own is not None and sys.stdout is not None:
        sys.stdout.flush()  # what was printed before it comes before it
    handle = os.open(path, os.O_WRONLY) if own is None else os.dup(own)
    with content.open("rb") as source, open(handle, "wb") as goal:
        shutil.copyfileobj(source, goal)
