"""The records of a CSV text: which lines each takes, and quotes that are not what they seem."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from recbole_esmr.errors import DataError


def records(path: Path, text: str, delimiter: str) -> tuple[list[list[str]], list[int], list[int]]:
    """The records of a CSV text, and the lines on which each begins and ends: a quoted cell may hold line ends.

    Raises:
        DataError: a quote that is not closed, a cell that goes on after its closing quote, or one that is too long for CSV.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, lines, ends, begin = [], [], [], 1
    try:
        for row in reader:
            rows.append(row)
            lines.append(begin)
            ends.append(reader.line_num)
            begin = reader.line_num + 1
    except csv.Error as error:
        if "expected after" in str(error):
            raise DataError(
                f"{path}, line {reader.line_num}: a cell goes on after its closing quote; it opens in line {begin}. Close each "
                'quote at the end of its cell; a quote within a quoted cell is written twice ("").'
            ) from error
        if "field larger" in str(error):
            raise DataError(
                f"{path}, line {begin}: a cell has more than {csv.field_size_limit():,} characters. Shorten it, or take "
                "out the quote that opens by mistake."
            ) from error
        opens = _open_quote(text, begin)
        raise DataError(f"{path}, line {opens}: the quote that opens here is never closed. Close it, or take it out.") from error
    return rows, lines, ends


def over_lines(path: Path, text: str, delimiter: str, width: int, begins: list[int], ends: list[int]) -> list[str]:
    """What is to be said of records that go over several lines.

    A quote that opens by mistake takes in whole rows up to the next quote. Such lines give it away: each of them alone has as
    many cells as the header. In a file of two columns a line of text with one delimiter has so too; there it is only said.

    Args:
        path, text, delimiter: of the file.
        width: number of cells of the header.
        begins, ends: the lines of each record.

    Raises:
        DataError: the lines of a record look like rows of their own.
    """
    several = [(begin, end) for begin, end in zip(begins, ends, strict=True) if end > begin]
    if not several:
        return []
    lines = list(io.StringIO(text, newline=""))
    for begin, end in several:
        rows = [line.count(delimiter) == width - 1 for line in lines[begin - 1 : end] if line.strip()]
        if width > 2 and all(rows[1:-1]) and sum(rows) > 1:  # the first and the last may hold quoted delimiters besides
            raise DataError(
                f"{path}, line {begin}: a quote opens here and closes in line {end}, and the lines between have as many cells "
                "as the header, so rows would be lost. Take out the stray quotes; if it is one text, take out its line ends."
            )
    begin, end = several[0]
    return [f"{path.name}: {len(several)} rows go over several lines within quotes, the first from line {begin} to {end}"]


def _open_quote(text: str, begin: int) -> int:
    """The line of the last quote that opens, in the record that begins on a line: all before it are closed."""
    lines = list(io.StringIO(text, newline=""))[begin - 1 :]
    record = "".join(lines).replace('""', "  ")
    return begin + len(list(io.StringIO(record[: record.rfind('"')] + "x", newline=""))) - 1
