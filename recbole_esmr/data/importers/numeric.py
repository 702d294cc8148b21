"""A user's cells as numbers: decimal signs, scales, ranges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from recbole_esmr.data.importers.table import Table
from recbole_esmr.data.reading.schema import Column

_POINT = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_COMMA = _POINT.replace(r"\.", ",")
SCALES = (
    *((1, 5), (1, 7), (1, 9), (0, 4), (0, 10), (1, 10), (0, 100)),
    *((-1, 1), (-2, 2), (-3, 3), (-4, 4), (-5, 5), (-10, 10), (-50, 50), (-100, 100)),
)
"""Usual scales of answers."""

_SIGNS = {".": _POINT, ",": _COMMA}


@dataclass(frozen=True)
class Cells:
    """The cells of one column in some rows of a table.

    Attributes:
        table, column: where they stand.
        text: (N,) str, indexed by row; "" where nothing is known.
        mapped: whether a mapping may say what cells mean.
    """

    table: Table
    column: str
    text: pd.Series
    mapped: bool = True

    @property
    def empty(self) -> pd.Series:
        """(N,) bool: the cells that say nothing."""
        return self.text.str.strip() == ""

    @property
    def where(self) -> str:
        """Files and column, for messages."""
        return f"{self.table.name}, column '{self.column}'"

    def refuse(self, wrong: pd.Series, mend: str) -> None:
        """Raise for the first wrong cell, if one is."""
        if wrong.any():
            self.table.refuse(wrong, self.column, mend)


def are_numbers(text: pd.Series) -> pd.Series:
    """Whether cells are plain decimal numbers, with a point or a comma; (N,) bool."""
    return text.str.strip().str.fullmatch(f"{_POINT}|{_COMMA}")


def is_amount(text: pd.Series) -> bool:
    """Whether a column of the user's own is one of numbers: codes such as ``007`` and ids of 16 digits and more are not."""
    known = text.str.strip()
    known = known[known != ""]
    codes = known.str.contains(r"^[+-]?0\d|^\d{16,}$")
    return bool(are_numbers(known).all() and not codes.any())


def decimal_sign(text: pd.Series) -> str | None:
    """The decimal sign of a column of numbers; None where ``1,234`` may be either of two numbers."""
    commas = text[text.str.contains(",", regex=False)].str.strip()
    if commas.empty or text.str.contains(".", regex=False).any() or not commas.str.fullmatch(_COMMA).all():
        return "."
    return None if commas.str.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}").all() else ","


def numbers(cells: Cells, decimal: str | None = None) -> tuple[pd.Series, str | None]:
    """The numbers that cells hold.

    Args:
        cells: of a column.
        decimal: its decimal sign; None finds it out where it is plain.

    Returns:
        (N,) float, NaN where a cell is empty; and a note where the decimal sign was found to be a comma.

    Raises:
        DataError: a cell is no finite number, or its comma may be a decimal sign or not.
    """
    plain = cells.text.str.strip()
    sign = decimal or decimal_sign(plain)
    if sign is None:
        comma = plain.str.contains(",", regex=False)
        mend = 'Say `decimal: ","` in the mapping if the comma is the decimal sign; take it out if it separates thousands.'
        cells.refuse(comma, mend)
    known = plain != ""
    fits = plain.str.fullmatch(_SIGNS[str(sign)])
    mend = f"Expected a number with the decimal sign '{sign}', or an empty cell."
    if cells.mapped:
        missing = f"`missing: [{_first(plain, known & ~fits)}]`"
        mend += f" If this text stands for a value that is missing, say so in the mapping: {missing}."
    cells.refuse(known & ~fits, mend)
    found = plain.where(known, "nan").str.replace(",", ".", regex=False).astype(float)
    cells.refuse(pd.Series(np.isinf(found), index=found.index), "The number is too large.")
    return found, f"{cells.where}: decimal comma" if sign == "," and decimal is None else None


def truths(cells: Cells) -> Cells:
    """Cells of a column of 1 and 0 in which true and false, or yes and no, are written instead of them."""
    plain = cells.text.str.strip().str.casefold()
    for yes, no in (("true", "false"), ("yes", "no"), ("t", "f"), ("y", "n")):
        if plain.isin([yes, no]).any():  # whatever else is there stays, and is refused by name
            return replace(cells, text=cells.text.where(~plain.isin([yes, no]), plain.map({yes: "1", no: "0"})))
    return cells


def _first(text: pd.Series, wrong: pd.Series) -> str:
    return " ".join(str(text[wrong].iloc[0]).split()) if wrong.any() else ""


def whole_as_int(values: pd.Series) -> pd.Series:
    """Numbers that are all whole as integers, which are written without a decimal point; others as they are."""
    if values.dtype != float or values.isna().any() or (values != values.round()).any() or (values.abs() >= 2**53).any():
        return values
    return values.astype(np.int64)


def typical_scale(values: pd.Series, longer: bool = False) -> list[int] | None:
    """The narrowest of the usual scales that holds all values; None where none does, for nobody's scale ends where answers do.

    Args:
        values: what was written.
        longer: whether the largest twentieth may lie beyond it, as views that are watched again do.
    """
    low, high = float(values.min()), float(values.quantile(0.95) if longer else values.max())
    fitting = [ends for ends in SCALES if ends[0] <= low and high <= ends[1]]
    return [*min(fitting, key=lambda ends: ends[1] - ends[0])] if fitting else None


def scaled(cells: Cells, values: pd.Series, ends: tuple[float, float], field: str, to: tuple[float, float]) -> pd.Series:
    """Bring numbers linearly from the user's scale to a field's range; ``ends`` the wrong way round turn the scale.

    .. math:: y = b_0 + (b_1 - b_0) (x - a_0) / (a_1 - a_0)

    Args:
        cells, values: what was written and its numbers, (N,).
        ends: a_0 and a_1, of the user's scale.
        field: its name, for messages.
        to: b_0 and b_1, of the field.

    Raises:
        DataError: a number outside the user's scale.
    """
    start, end = ends
    low, high = min(ends), max(ends)
    mend = f"The scale of {field} was said to run from {start:g} to {end:g}. Mend the cell, or say the ends of your scale."
    cells.refuse((values < low) | (values > high), mend)
    return to[0] + (to[1] - to[0]) * (values - start) / (end - start)


def check_range(cells: Cells, values: pd.Series, field: str, column: Column, part: str) -> None:
    """Refuse numbers outside the range of a field, with the mapping's way to bring them there."""
    low, high = column.low, column.high
    below = values < low if low is not None else pd.Series(False, index=values.index)
    above = values > high if high is not None else pd.Series(False, index=values.index)
    seen = f"{values.min():.6g} to {values.max():.6g}"
    if low is not None and high is not None:
        example = typical_scale(values, field == "watch_ratio") or [0, 100]
        mend = (
            f"Expected a number in the range [{low:g}, {high:g}] for {field}; the column goes from {seen}. Say the two ends of "
            f"your scale in the part '{part}' of the mapping, such as `scale: {{{field}: {example}}}`."
        )
    else:
        mend = f"Expected a number of at least {low:g} for {field}." if low is not None else ""
    cells.refuse(below | above, mend)
    if column.whole:
        cells.refuse(values.notna() & (values != values.round()), f"Expected a whole number for {field}.")
