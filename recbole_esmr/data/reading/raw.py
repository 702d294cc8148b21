"""The bytes of a user's file, or one line that says what lies there instead."""

from __future__ import annotations

import gzip
import io
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

from recbole_esmr.errors import DataError
from recbole_esmr.memory import GIB, free_memory

PART = 1 << 24
"""Bytes of a file that are worked on at once, where it is read in parts."""

_COPIES = 8
"""How many times its size a text takes in memory while it is read, at least."""

_PACKED = {
    b"PK\x03\x04": "a zip archive or an Excel file. Unpack it, or save it as CSV in UTF-8",
    b"\x1f\x8b": "packed with gzip. Unpack it, or end its name with .gz where a CSV file is imported",
    b"BZh": "packed with bzip2. Unpack it",
    b"\xfd7zXZ\x00": "packed with xz. Unpack it",
    b"%PDF": "a PDF. Export the data as CSV",
    b"PAR1": "a Parquet file. Export the data as CSV",
}
"""How files begin that are no text."""


def raw_bytes(path: Path, missing: str) -> bytes:
    """What a file holds, unpacked where its name ends with ``.gz``.

    Args:
        path: of the file.
        missing: how to mend it that there is none, as a sentence.

    Raises:
        DataError: no file lies there, it may not be read, it is no text, or it does not fit into memory.
    """
    packed = path.suffix == ".gz"
    raw = b"".join(raw_parts(path, missing, text=not packed, copies=_COPIES))
    return _unpacked(path, raw) if packed else raw


def raw_parts(path: Path, missing: str, size: int = PART, text: bool = True, copies: int = 0) -> Iterator[bytes]:
    """What a file holds, in parts of ``size`` bytes.

    Args:
        path: of the file.
        missing: how to mend it that there is none, as a sentence.
        size: bytes of a part.
        text: whether an archive or a document is refused.
        copies: how many times its size must fit into memory, for what is made of it.

    Raises:
        DataError: as :func:`raw_bytes`.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device, and no file"
            raise DataError(f"{path}: is {kind}. {missing}")
        _require_room(path, path.stat().st_size, copies)
        with path.open("rb") as file:
            first = True
            while part := file.read(size):
                if first and text:
                    _refuse_packed(path, part)
                first = False
                yield part
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # a NUL in a path is a ValueError
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: no such file. {missing}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). {missing}") from error


def _refuse_packed(path: Path, raw: bytes) -> None:
    for begins, what in _PACKED.items():
        if raw.startswith(begins):
            raise DataError(f"{path}: is {what}.")


def _unpacked(path: Path, raw: bytes) -> bytes:
    limit = free_memory() // _COPIES
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            unpacked = file.read(limit)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}). Pack it again with gzip.") from error
    _require_room(path, len(unpacked), _COPIES)
    return unpacked


def _require_room(path: Path, size: int, copies: int) -> None:
    free = free_memory()
    if copies * size >= free:
        raise DataError(
            f"{path}: holds {size / GIB:,.1f} GiB or more, which takes {copies} times as much to read, and "
            f"{free / GIB:,.1f} GiB of memory are free. Give less of it."
        )
