"""What the columns of a CSV file seem to be, by their names and their cells. Guesses for a draft, never for an import."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from recbole_esmr.data.importers.moments import formats_of
from recbole_esmr.data.importers.numeric import are_numbers
from recbole_esmr.data.importers.table import Table, read_table
from recbole_esmr.data.reading.times import seconds_of_dates
from recbole_esmr.errors import DataError

NAMES = {
    "user_id": r"user_?(id)?|uid|person|people|pid|participant\w*|subject\w*|subj\w*|respondent\w*|who"
    r"|(member|customer|account|viewer|listener|reader|player)\w*",
    "item_id": r"item_?(id)?|iid|video_?(id)?|movie\w*|film\w*|content_?id|post_?(id)?|article\w*|product\w*|activity|what"
    r"|(song|track|asset|clip|media|episode|story|title)(_?id)?s?",
    "timestamp": r"time_?stamp|time|when|date_?time|ts|sec|seconds|unix\w*|\w+_?at|start\w*",
    "day": r"day|date|study_?day|day_?(no|nr|number)|\w+_(date|day|on)",
    "watch_ratio": r"watch(ed)?_?(ratio|share|pct|percent)|watched|ratio|share|percent\w*|pct|completion\w*"
    r"|(pct|percent|share)_\w+|\w+_(pct|percent|ratio)",
    "watch_seconds": r"watch_?(time|seconds|duration)|watched_?seconds|seconds_?watched|play_?time",
    "emotion": r"emotion\w*|feel\w*|label|mood\w*|affect|tone",
    "valence": r"valence\w*|mood\w*|affect\w*|happiness|pleasant\w*",
    "positive": r"pa|positive\w*|pos_?affect",
    "negative": r"na|negative\w*|neg_?affect",
    "emotion_intensity": r"(emotion_?)?intensity|strength",
    "category": r"category|genre|topic",
    "duration": r"(item_?|video_?)?(duration|length)(_?s|_?sec\w*)?|runtime",
    "user_profile": r"(user_?)?(profile|kind|type)|segment",
    "consent": r"\w*consent\w*",
    "timezone": r"time_?zone|tz|zone",
    "label": r"(was_|is_)?(label|watched|clicked?|seen|viewed|played|opened)",
    "position": r"position|place|rank|slot",
    "propensity": r"propensity|pscore",
}
"""How a field's column is often named: patterns of its whole name in lower case. The first that fits is taken."""

TEXT = ("user_id", "item_id", "emotion", "category", "user_profile", "timezone")
YES, NO = ("1", "1.0", "yes", "true"), ("0", "0.0", "no", "false")
NOTHING = ("NA", "N/A", "n/a", "na", "null", "NULL", "None", "nan", "NaN", ".", "-", "-99", "-999")
"""Cells that often stand for a value that is missing."""


@dataclass
class Guess:
    """A CSV file and what its columns seem to be.

    Attributes:
        path, table: the file and what it holds.
        fields: column by field.
        rest: the other columns of numbers.
        encoding: where it is not UTF-8.
    """

    path: Path
    table: Table
    fields: dict[str, str]
    rest: list[str]
    encoding: str | None

    def text(self, field: str) -> pd.Series:
        """The cells of a field's column, without spaces around them and without those that say nothing."""
        return known(self.table.cells[self.fields[field]])


def guess(path: Path) -> Guess:
    """Read a file and guess what each column is.

    Raises:
        DataError: it cannot be read as CSV.
    """
    encoding = None
    try:
        table = read_table([path])
    except DataError as error:
        if "is not UTF-8" not in str(error):
            raise
        encoding = "latin-1"
        table = read_table([path], encoding=encoding)
    fields: dict[str, str] = {}
    for column in map(str, table.cells):
        field = next((name for name in NAMES if name not in fields and _fits(name, column, table.cells[column])), None)
        if field is not None:
            fields[field] = column
    if {"positive", "negative"} & set(fields) != {"positive", "negative"}:
        fields = {name: column for name, column in fields.items() if name not in ("positive", "negative")}
    numeric = [str(name) for name in table.cells if str(name) not in fields.values() and _is_numeric(known(table.cells[name]))]
    return Guess(path, table, fields, numeric, encoding)


def known(cells: pd.Series) -> pd.Series:
    """The cells that say something."""
    text = cells.str.strip()
    return text[~text.isin(["", *NOTHING])]


def is_date(text: pd.Series) -> bool:
    """Whether cells are dates, ISO or of a usual format."""
    some = text.iloc[:200]
    return bool(len(some) and (seconds_of_dates(some).notna().all() or formats_of(some)))


def _is_numeric(text: pd.Series) -> bool:
    return bool(len(text) and are_numbers(text).all())


def _fits(field: str, column: str, cells: pd.Series) -> bool:
    name = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
    text = known(cells)
    if not re.fullmatch(NAMES[field], name) or text.empty:
        return False
    if field == "timestamp":
        return _is_numeric(text) or is_date(text)
    if field == "day":
        whole = _is_numeric(text) and bool((text.astype(float) % 1 == 0).all())
        return is_date(text) or (whole and not (name.endswith("_on") and text.isin([*YES, *NO]).all()))  # such as alerts_on
    if field == "label":
        return bool(text.str.lower().isin([*YES, *NO]).all())
    if field == "consent":
        return True  # a column of that name is never passed over: what it holds is checked when it is read
    if field == "watch_ratio":
        return _is_numeric(text) and not text.isin([*YES, *NO]).all()  # whether, not how much
    if field == "emotion":
        return not _is_numeric(text) and text.nunique() <= 30
    return field in TEXT or _is_numeric(text)
