"""Open Play (Ballou et al. 2025): a month of daily moods of people who play video games. A diary alone: it holds no feed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recbole_esmr.data.importers.diary import of_diary
from recbole_esmr.data.importers.imported import Imported, Origin
from recbole_esmr.data.importers.moments import days
from recbole_esmr.data.importers.numeric import Cells, numbers
from recbole_esmr.data.importers.plausible import repeated_lines
from recbole_esmr.data.importers.table import Table, read_table

ANSWERS = {
    "played": ("played24hr", {"No": 0, "Yes": 1}),
    "stress": ("had_stress", {"No": 0, "Yes": 1}),
    "sleep_quality": ("sleep_diary_quality", {"Very poor": 1, "Poor": 2, "Fair": 3, "Good": 4, "Very good": 5}),
}
NUMBERS = {"life_satisfaction": "life_sat", **{f"needs_{item}": f"bpnsfs_{item}" for item in range(1, 7)}}
UNKNOWN = "NA"


def read_open_play(path: Path, _: Path | None = None) -> Imported:
    """Read ``survey_daily.csv`` (or ``.csv.gz``), or the folder that holds it.

    A day is the date of the survey in UTC, for the study says nobody's time zone; several surveys of a day are averaged. Valence
    is ``affective_valence``, 0 to 100, brought to −1 to 1. Surveys without it are left out.

    Raises:
        DataError: no such file, a column is missing, or a cell is no answer.
    """
    if path.is_dir():
        packed = path / "survey_daily.csv.gz"
        path = packed if packed.is_file() else path / "survey_daily.csv"
    table = read_table([path])
    person, valence = table.column("pid"), _number(table, "affective_valence")
    outside = ~valence.between(0, 100) & valence.notna()
    if outside.any():
        table.refuse(outside, "affective_valence", "Expected a number from 0 to 100.")
    rows = pd.DataFrame({"user_id": person, "day": _day(table), "valence": valence / 50 - 1})
    for name, (column, codes) in ANSWERS.items():
        rows[name] = _answer(table, column, codes)
    for name, column in NUMBERS.items():
        rows[name] = _number(table, column)
    kept = rows[valence.notna()]
    daily = kept.groupby(["user_id", "day"], sort=False).mean().round(6).reset_index()
    daily.index = pd.Index(kept.drop_duplicates(["user_id", "day"]).index)
    again = len(kept) - len(daily)
    notes = [f"{len(rows) - len(kept)} of {len(rows)} surveys say no valence; {again} second surveys of a day are averaged"]
    columns = {"user_id": "pid", "day": "date", "valence": "affective_valence"}
    return of_diary(daily, Origin(table, columns), notes, repeated_lines(table))


def _cells(table: Table, column: str) -> Cells:
    text = table.column(column)
    return Cells(table, column, text.mask(text == UNKNOWN, ""), mapped=False)


def _number(table: Table, column: str) -> pd.Series:
    return numbers(_cells(table, column), ".")[0]


def _day(table: Table) -> pd.Series:
    cells = _cells(table, "date")
    cells.refuse(cells.empty, "Every survey needs its date.")
    return days(cells, "day", "UTC", None, ".")[0]


def _answer(table: Table, column: str, codes: dict[str, int]) -> pd.Series:
    cells = _cells(table, column)
    found = cells.text.map(codes).astype(float)
    cells.refuse(found.isna() & ~cells.empty, f"Expected {', '.join(codes)} or {UNKNOWN}.")
    return found
