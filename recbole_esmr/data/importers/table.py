"""A user's CSV files as text: each cell as it was written, and the file and the line that it comes from."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from recbole_esmr.data.importers.quotes import over_lines, records
from recbole_esmr.data.reading.raw import raw_bytes
from recbole_esmr.errors import ConfigError, DataError, nearest

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class Table:
    """Rows of one CSV file, or of several of one kind below each other.

    Attributes:
        cells: (N, columns) str, "" where a cell is empty; NaN where a file lacks a column that another has.
        paths: the files.
        file, line: (N,) which of them a row comes from, and the line on which it begins there.
        notes: what was found out about the files' dialect, in words.
    """

    cells: pd.DataFrame
    paths: tuple[Path, ...]
    file: np.ndarray
    line: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The files' names, for messages."""
        names = [path.name for path in self.paths]
        return ", ".join(names) if len(names) < 4 else f"{names[0]} … {names[-1]} ({len(names)} files)"

    def column(self, name: str) -> pd.Series:
        """The cells of a column, (N,).

        Raises:
            DataError: a file has no column of that name.
        """
        lacking = self.cells[name].isna() if name in self.cells else pd.Series(True, index=self.cells.index)
        if lacking.any() or name not in self.cells:
            path = self.paths[self.file[int(lacking.to_numpy().argmax())] if len(lacking) else 0]
            known = [str(other) for other in self.cells if not (len(lacking) and self.cells[other][lacking].isna().any())]
            one = " The file has one column only; is its `delimiter` another one?" if len(known) == 1 else ""
            raise DataError(f"{path}, line 1: the column '{name}' is missing. {nearest(name, known)}{one}")
        return self.cells[name]

    def place(self, row: int) -> str:
        """File and line of a row, for messages."""
        return f"{self.paths[self.file[row]]}, line {self.line[row]}"

    def refuse(self, wrong: pd.Series, column: str, mend: str) -> NoReturn:
        """Raise for the first row that is wrong, with its file, line, column and cell, and how many there are.

        Args:
            wrong: bool, indexed by row; some of the rows, one of them wrong.
            column: of the file.
            mend: what is expected, as whole sentences.
        """
        row = int(wrong.index[int(wrong.to_numpy().argmax())])
        cell, more = self.cells[column][row], int(wrong.sum()) - 1
        shown = "is empty" if cell.strip() == "" else f"holds {cell!r}"
        others = f" ({more} more such {'line' if more == 1 else 'lines'})" if more else ""
        raise DataError(f"{self.place(row)}, column '{column}': the cell {shown}{others}. {mend}")


def read_table(
    paths: Sequence[Path],
    delimiter: str | None = None,
    encoding: str | None = None,
    header: Sequence[str] | None = None,
) -> Table:
    """Read CSV files (or ``.gz``) of one kind as text. No cell is taken for a number or a missing value.

    Args:
        paths: one or more files.
        delimiter: between cells; None finds it out from each header.
        encoding: of the files; None reads UTF-8, and UTF-16 with a byte order mark.
        header: names of the columns of files that have no header.

    Raises:
        ConfigError: an encoding that Python does not know.
        DataError: no such file, another encoding, an ambiguous header, a quote that is not closed, or a row with more or fewer
            cells than the header.
    """
    frames, lines, notes = [], [], []
    for path in paths:
        frame, line, found = _read_file(path, delimiter, encoding, header)
        frames.append(frame)
        lines.append(line)
        notes += found
    if not any(len(frame) for frame in frames):
        raise DataError(f"{paths[0]}: has a header but no rows.")
    file = np.repeat(np.arange(len(paths)), [len(frame) for frame in frames])
    cells = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return Table(cells, tuple(paths), file, np.concatenate(lines), tuple(notes))


def _read_file(
    path: Path, delimiter: str | None, encoding: str | None, names: Sequence[str] | None
) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    notes = []
    text, found = _text(path, encoding)
    if found != "utf-8":
        notes.append(f"{path.name}: read as {found}")
    announced = text[4] if text[:4].lower() == "sep=" and text[5:6] in ("\r", "\n") else None  # Excel's own first line
    if delimiter is None:
        delimiter = announced or _delimiter(path, text)
        if delimiter != ",":
            notes.append(f"{path.name}: cells are separated by {DELIMITERS.get(delimiter, delimiter)}")
    rows, lines, ends = records(path, text, delimiter)
    if announced:
        rows, lines, ends = rows[1:], lines[1:], ends[1:]
    if names is not None:
        rows, lines, ends = [list(names), *rows], [0, *lines], [0, *ends]
    if not rows:
        raise DataError(f"{path}: is empty. The first line holds the names of the columns.")
    header, header_line = [" ".join(cell.split()) for cell in rows[0]], lines[0]
    _check_header(path, header_line, header)
    filled = np.fromiter((any(row) for row in rows[1:]), dtype=bool, count=len(rows) - 1)
    wrong = filled & (np.fromiter(map(len, rows[1:]), dtype=np.int64, count=len(rows) - 1) != len(header))
    if wrong.any():
        at = int(wrong.argmax()) + 1
        raise DataError(
            f"{path}, line {lines[at]}: has {len(rows[at])} cells and the {'format' if names else 'header'} {len(header)}. "
            f"Mend the line; a cell that holds {delimiter!r} itself stands in quotes."
        )
    notes += over_lines(path, text, delimiter, len(header), lines[1:], ends[1:])
    if (~filled).any():
        notes.append(f"{path.name}: {int((~filled).sum())} empty lines left out")
    kept = list(itertools.compress(rows[1:], filled))
    frame = pd.DataFrame(kept, columns=range(len(header)), dtype=object)
    named = [number for number, name in enumerate(header) if name]
    frame = frame[named].set_axis([header[number] for number in named], axis=1)
    return frame, np.array(lines[1:], dtype=np.int64)[filled], notes


def _text(path: Path, encoding: str | None) -> tuple[str, str]:
    """What a file holds, and the encoding in which it was read."""
    raw = raw_bytes(path, "Give --input the place of the original data.")
    found = encoding or next((name for mark, name in _BOMS.items() if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(found)
    except LookupError as error:
        raise ConfigError(f"encoding: '{encoding}' is none that Python knows. Give utf-8, latin-1, cp1252 or utf-16.") from error
    except UnicodeError as error:
        at = error.start if isinstance(error, UnicodeDecodeError) else 0
        raise DataError(
            f"{path}, line {raw.count(bytes([10]), 0, at) + 1}: is not {found.upper()} (byte {at}). If it comes from a Western "
            "European Windows or Excel, say `encoding: latin-1` in the mapping; else save it as UTF-8."
        ) from error
    if "\0" in text[:1000]:
        raise DataError(f"{path}: holds NUL bytes. If it is UTF-16, say `encoding: utf-16-le` in the mapping; else it is no CSV.")
    return text.removeprefix("\ufeff"), "utf-8" if found == "utf-8-sig" else found


def _delimiter(path: Path, text: str) -> str:
    """The delimiter that splits the header and the first rows into the same number of cells."""
    widths: dict[str, int] = {}
    even: dict[str, int] = {}
    for delimiter in DELIMITERS:
        first = [len(row) for row in itertools.islice(_readable(text, delimiter), 50) if row]
        if first and first[0] > 1:
            widths[delimiter] = first[0]
            if set(first) == {first[0]}:
                even[delimiter] = first[0]
    found = even or widths
    best = [delimiter for delimiter, width in found.items() if width == max(found.values())]
    if len(best) > 1:
        named = " or ".join(repr(delimiter) for delimiter in best)
        raise DataError(f'{path}, line 1: the cells may be separated by {named}. Say which: `delimiter: "{best[0]}"`.')
    return best[0] if best else ","


def _readable(text: str, delimiter: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text[:1_000_000], newline=""), delimiter=delimiter)
    except csv.Error:
        return


def _check_header(path: Path, line: int, header: list[str]) -> None:
    for number, name in enumerate(header):
        if name and name in header[:number]:
            raise DataError(
                f"{path}, line {line}: two columns are named '{name}' (column {header.index(name) + 1} and {number + 1}). "
                "Rename one of them."
            )
