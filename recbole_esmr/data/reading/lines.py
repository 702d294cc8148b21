"""The cells of lines of text, part by part; what is said many times is held once."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_esmr.errors import DataError

SMALL = 1 << 16
"""Characters below which it is quicker to hold each cell by itself."""


class Lines:
    """Cuts a file's lines into cells, a part at a time.

    Args:
        path: of the file, for messages.
        names: of the columns.
        separator: between two cells.
        refuse_surplus: whether a line with more cells than the header is refused; else its last cells are left out.
    """

    def __init__(self, path: Path, names: list[str], separator: str, refuse_surplus: bool) -> None:
        self._path, self._names, self._separator, self._refuse = path, names, separator, refuse_surplus
        self._next, self._filled = 2, 0  # the header is line 1
        self._more, self._first_more = 0, 0

    @property
    def surplus(self) -> str:
        """What is to be said of lines that had more cells than the header; nothing where none had."""
        if not self._more:
            return ""
        return (
            f"{self._path}, line {self._first_more}: has more cells than the header, as {self._more} of {self._filled} "
            "lines have. The cells beyond it are left out."
        )

    def cells(self, body: str) -> pd.DataFrame:
        """The cells of the next lines, (N, columns) str or category; empty lines are left out, but count in the index.

        Raises:
            DataError: a line with more or fewer cells than the header.
        """
        names, separator, first = self._names, self._separator, self._next
        if len(separator) > 1:
            body, separator = body.replace(separator, "\x1f"), "\x1f"
        raw = np.frombuffer(body.encode("utf-8", "surrogatepass"), dtype=np.uint8)
        ends = np.flatnonzero(raw == ord("\n"))
        starts, ends = np.append(0, ends + 1), np.append(ends, len(raw))
        inside = np.searchsorted(starts, np.flatnonzero(raw == ord(separator)), side="right") - 1
        cells = np.bincount(inside, minlength=len(starts)) + 1
        filled = ends > starts
        more, ragged = filled & (cells > len(names)), filled & (cells != len(names))
        if not self._refuse:
            if more.any() and not self._more:
                self._first_more = first + int(more.argmax())
            self._more += int(more.sum())
            ragged &= ~more
        if ragged.any():
            at = int(ragged.argmax())
            raise DataError(
                f"{self._path}, line {first + at}: has {cells[at]} cells and the header {len(names)}. Cells are separated by "
                f"{separator!r}; mend the line."
            )
        self._next += len(starts) - 1
        self._filled += int(filled.sum())
        if not filled.any():
            return pd.DataFrame(columns=names, dtype=object)
        text = pd.read_csv(
            io.StringIO("\ufeff" + body, newline=""),  # pandas takes one mark away, even where it is the beginning of an id
            sep=separator,
            names=names,
            usecols=range(len(names)),
            dtype=str if len(body) < SMALL else "category",
            na_filter=False,
            quoting=3,  # QUOTE_NONE
            skip_blank_lines=False,
            index_col=False,
            low_memory=False,
        )
        text.index = pd.RangeIndex(first, first + len(text))
        return text[filled[: len(text)]]


def joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The cells of all parts, (N, columns) str: equal cells of a column are one string, but in a file of a few lines."""
    parts = [part for part in parts if len(part)] or list(parts[:1])
    if len(parts) == 1 and not isinstance(parts[0].dtypes.iloc[0], pd.CategoricalDtype):
        return parts[0]
    columns = {}
    for name in parts[0]:
        whole = pd.api.types.union_categoricals([part[name].astype("category") for part in parts])
        columns[name] = np.asarray(whole.categories, dtype=object)[whole.codes]
    index = parts[0].index
    for part in parts[1:]:
        index = index.append(part.index)  # of ranges that follow each other pandas makes one
    return pd.DataFrame(columns, index=index)


def by_value(text: pd.Series, of: Callable[[pd.Series], pd.Series]) -> pd.Series:
    """What a function makes of each cell, asked once for each different text."""
    code, texts = pd.factorize(text, use_na_sentinel=False)
    return pd.Series(of(pd.Series(texts, dtype=text.dtype)).to_numpy()[code], index=text.index, name=text.name)
