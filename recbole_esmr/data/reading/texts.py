"""A text file in parts of whole lines: whatever its encoding and its line ends, however large it is."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path

from recbole_esmr.data.reading.raw import PART, raw_parts
from recbole_esmr.errors import DataError

COPIES = 3
"""How many times its size a file takes once it is read: a cell is a number or a place, and a table is held twice for a while."""

_MISSING = "A data set NAME lies in a folder NAME with NAME.inter in it."


def text_parts(path: Path, encoding: str, size: int = PART, copies: int = COPIES) -> Iterator[str]:
    """The text of a file, each line end a newline, in parts of about ``size`` bytes that end where a line ends.

    Args:
        path: of the file.
        encoding: of the file; a byte order mark of UTF-16 says otherwise.
        size: bytes that are read at once.
        copies: how many times the file's size must be free in memory.

    Raises:
        DataError: no such file, no text, another encoding, with the line, or more than memory holds. Of two faults the one in an
            earlier part is named.
    """
    decoder, ends, rest, lines, before = None, None, "", 1, 0
    for raw in raw_parts(path, _MISSING, size, copies=copies):
        if decoder is None or ends is None:
            encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else encoding
            decoder = _decoder(encoding)
            ends = io.IncrementalNewlineDecoder(None, translate=True)
        text, before = ends.decode(_decoded(path, encoding, decoder, raw, lines, before)), before + len(raw)
        whole, found, begun = text.rpartition("\n")
        if found:
            part = _without_nul(path, rest + whole + found, lines)
            lines, rest = lines + part.count("\n"), begun
            yield part
        else:
            rest += text
    if decoder is not None and ends is not None:
        rest += ends.decode(_decoded(path, encoding, decoder, b"", lines, before, final=True), final=True)
    if rest:
        yield _without_nul(path, rest, lines)


def _decoder(encoding: str) -> codecs.IncrementalDecoder:
    known = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=known)  # refuses Python's codecs that make no text
        return codecs.getincrementaldecoder(known)()
    except LookupError as error:
        raise DataError(f"encoding: '{encoding}' is none that Python knows. Give utf-8, latin-1, cp1252 or utf-16.") from error


def _decoded(
    path: Path, encoding: str, decoder: codecs.IncrementalDecoder, raw: bytes, lines: int, before: int, final: bool = False
) -> str:
    """The text of the next bytes; ``lines`` and ``before`` are the line and the byte where they begin, for the message."""
    waiting = decoder.getstate()[0]
    try:
        return decoder.decode(raw, final)
    except UnicodeDecodeError as error:
        begun = (waiting + raw)[: error.start].decode(encoding, "ignore")
        line = lines + begun.replace("\r\n", "\n").replace("\r", "\n").count("\n")
        raise DataError(
            f"{path}, line {line}: is not {encoding.upper()} (byte {before - len(waiting) + error.start}). Save the file as "
            "UTF-8, or set `encoding` to what it is, for example encoding: latin-1."
        ) from error
    except UnicodeError as error:
        raise DataError(f"{path}: is not {encoding.upper()} ({error}). Set `encoding` to what it is.") from error


def _without_nul(path: Path, text: str, lines: int) -> str:
    if "\x00" in text:
        line = lines + text.count("\n", 0, text.index("\x00"))
        raise DataError(
            f"{path}, line {line}: holds a NUL character. If the file is UTF-16, set encoding: utf-16-le; else mend it."
        )
    return text
