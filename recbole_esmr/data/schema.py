"""What each atomic file may hold, and a reader that says which file, line, column and value is wrong, and how to mend it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_esmr.emotion import Taxonomy
from recbole_esmr.errors import DataError, nearest

TYPES = ("token", "float", "token_seq", "float_seq")


@dataclass(frozen=True)
class Column:
    """A column with a meaning to ESMR.

    Attributes:
        role: the config key that holds its name in the files (``EMOTION_FIELD``).
        type: the type its header must have.
        low, high: the closed range of a float column; None is unbounded.
        required: whether the file is of no use without it.
        filled: whether every row needs a value.
        whole: whether values must be whole numbers.
    """

    role: str
    type: str
    low: float | None = None
    high: float | None = None
    required: bool = False
    filled: bool = False
    whole: bool = False


_USER = Column("USER_ID_FIELD", "token", required=True, filled=True)
_ITEM = Column("ITEM_ID_FIELD", "token", required=True, filled=True)
_LAST_DAY = 1e6  # RecBole keeps numbers in 32 bits, where 20240131 is 20240132
_DAY = Column("DAY_FIELD", "float", -_LAST_DAY, _LAST_DAY, required=True, filled=True, whole=True)

SCHEMA: dict[str, tuple[Column, ...]] = {
    "inter": (
        _USER,
        _ITEM,
        Column("TIME_FIELD", "float", filled=True),
        Column("DAY_FIELD", "float", -_LAST_DAY, _LAST_DAY, filled=True, whole=True),
        Column("WATCH_RATIO_FIELD", "float", 0, 1, filled=True),
    ),
    "imp": (
        _USER,
        _ITEM,
        _DAY,
        Column("IMPRESSION_POSITION_FIELD", "float", 0, None, filled=True, whole=True),
        Column("PROPENSITY_FIELD", "float", 1e-9, 1, filled=True),
        Column("IMPRESSION_LABEL_FIELD", "float", 0, 1, required=True, filled=True, whole=True),
    ),
    "item": (
        _ITEM,
        Column("EMOTION_FIELD", "token"),
        Column("INTENSITY_FIELD", "float", 0, 1),
        Column("CATEGORY_FIELD", "token"),
        Column("DURATION_FIELD", "float", 1e-3, None),
    ),
    "user": (
        _USER,
        Column("PROFILE_FIELD", "token"),
        Column("CONSENT_FIELD", "float", 0, 1, filled=True, whole=True),
    ),
    "day": (
        _USER,
        _DAY,
        Column("EMOTION_FIELD", "token"),
        Column("VALENCE_FIELD", "float", -1, 1),
        Column("CHURNED_FIELD", "float", 0, 1, whole=True),
    ),
}
"""The columns that ESMR reads, by file suffix. Other columns are the user's own; in ``.day`` they are behaviour."""

_UNIQUE = {"item": ("ITEM_ID_FIELD",), "user": ("USER_ID_FIELD",), "day": ("USER_ID_FIELD", "DAY_FIELD")}


def read_atomic(path: str | Path, suffix: str, config: Mapping[str, object], taxonomy: Taxonomy) -> pd.DataFrame:
    """Read one atomic file and check it against :data:`SCHEMA`.

    Args:
        path: the file.
        suffix: ``inter``, ``imp``, ``item``, ``user`` or ``day``.
        config: gives the field names, ``field_separator`` and ``max_day_gap``.
        taxonomy: the emotions that may occur.

    Returns:
        one column a field, named without its type; tokens as str ("" where empty), floats with NaN where empty; the index is
        the line number in the file (the header is line 1).

    Raises:
        DataError: the first thing that is wrong, with file, line, column, value and the mend.
    """
    path = Path(path)
    try:
        types = _read_header(path, suffix, config)
        frame = _read_rows(path, config, types)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    if frame.empty:
        raise DataError(f"{path}: has a header but no rows. Write one row for each {_row_of(suffix)}.")
    for column in SCHEMA[suffix]:
        name = str(config[column.role])
        if name in frame:
            _check_column(path, frame[name], column)
    emotion = str(config["EMOTION_FIELD"])
    if suffix in ("item", "day") and emotion in frame:
        _check_emotions(path, frame[emotion], taxonomy)
    _check_unique(path, suffix, frame, config)
    if suffix == "day":
        _check_day_gaps(path, frame, config)
    if suffix == "inter":
        _check_time_order(path, frame, config)
    return frame


def _row_of(suffix: str) -> str:
    return {"inter": "interaction", "imp": "item shown", "item": "item", "user": "person", "day": "person and day"}[suffix]


def _read_header(path: Path, suffix: str, config: Mapping[str, object]) -> dict[str, str]:
    if not path.is_file():
        raise DataError(f"{path}: no such file. A data set NAME lies in a folder NAME with NAME.inter in it.")
    with path.open(encoding="utf-8") as file:
        head = file.readline().rstrip("\r\n")
    if not head:
        raise DataError(f"{path}: is empty. The first line holds the columns as name:type.")
    types: dict[str, str] = {}
    for cell in head.split(str(config["field_separator"])):
        name, _, kind = cell.rpartition(":")
        if not name or kind not in TYPES:
            raise DataError(
                f"{path}, line 1: the header cell '{cell}' is not name:type with a type of {', '.join(TYPES)}. "
                f"Cells are separated by {config['field_separator']!r}."
            )
        if name in types:
            raise DataError(f"{path}, line 1: the column '{name}' is there twice. Keep one.")
        types[name] = kind
    for column in SCHEMA[suffix]:
        name = str(config[column.role])
        if name not in types:
            if column.required:
                raise DataError(
                    f"{path}, line 1: the column '{name}:{column.type}' is missing. "
                    f"Add it, or set {column.role} to the name it has here. {nearest(name, types)}"
                )
        elif types[name] != column.type:
            raise DataError(f"{path}, line 1: '{name}' has the type '{types[name]}'. Write '{name}:{column.type}' in the header.")
    return types


def _read_rows(path: Path, config: Mapping[str, object], types: dict[str, str]) -> pd.DataFrame:
    extra = "beyond the header"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)  # that cells are beyond the header is found below
            frame = pd.read_csv(
                path,
                sep=str(config["field_separator"]),
                header=None,
                skiprows=1,
                names=[*types, extra],
                dtype=str,
                keep_default_na=False,
                index_col=False,
                encoding="utf-8",
            )
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=list(types))
    except pd.errors.ParserError as error:
        raise DataError(f"{path}: {str(error).strip()}. Every line needs the {len(types)} cells of the header.") from error
    frame.index += 2
    ragged = frame[extra].fillna("") != ""
    if ragged.any():
        line = ragged[ragged].index[0]
        raise DataError(f"{path}, line {line}: has more than the {len(types)} cells of the header. Mend the line.")
    frame = frame[list(types)].copy()
    for name, kind in types.items():
        if kind == "float":
            frame[name] = _numbers(path, frame[name])
    return frame


def _numbers(path: Path, text: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    said = text.str.strip()
    wrong = (numbers.isna() & ~said.str.lower().isin(["", "nan"])) | np.isinf(numbers)
    if wrong.any():
        _refuse(path, text, wrong, "expected a finite number, or an empty cell")
    return numbers


def _refuse(path: Path, values: pd.Series, wrong: pd.Series, mend: str) -> None:
    line = wrong[wrong].index[0]
    count = int(wrong.sum())
    more = f" ({count} such lines)" if count > 1 else ""
    value = values.loc[line]
    shown = "empty" if value == "" or value != value else repr(value)
    raise DataError(f"{path}, line {line}, column '{values.name}': the value is {shown}; {mend}{more}.")


def _check_column(path: Path, values: pd.Series, column: Column) -> None:
    if column.type == "token":
        if column.filled:
            empty = values.str.strip() == ""
            if empty.any():
                _refuse(path, values, empty, "every row needs one. Fill it in or leave the row out")
        return
    if column.filled and values.isna().any():
        _refuse(path, values, values.isna(), "every row needs a number. Fill it in or leave the row out")
    low, high = column.low, column.high
    outside = pd.Series(False, index=values.index)
    if low is not None:
        outside |= values < low
    if high is not None:
        outside |= values > high
    if outside.any():
        bounds = f"[{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}]"
        _refuse(path, values, outside, f"expected a number in {bounds}. Rescale the column")
    if column.whole:
        part = values.notna() & (values != values.round())
        if part.any():
            _refuse(path, values, part, "expected a whole number")


def _check_emotions(path: Path, labels: pd.Series, taxonomy: Taxonomy) -> None:
    unknown = taxonomy.unknown(labels.to_numpy())
    if unknown:
        wrong = labels.isin(unknown)
        first = str(labels[wrong].iloc[0])
        mend = f"not an emotion of the taxonomy '{taxonomy.name}'. {nearest(first, taxonomy.labels)} "
        _refuse(path, labels, wrong, mend + "Mend the label or set emotion_taxonomy to a yaml that has it")


def _check_unique(path: Path, suffix: str, frame: pd.DataFrame, config: Mapping[str, object]) -> None:
    names = [str(config[role]) for role in _UNIQUE.get(suffix, ())]
    if names and all(name in frame for name in names):
        again = frame.duplicated(names)
        if again.any():
            line = again[again].index[0]
            what = ", ".join(f"{name} {frame.loc[line, name]}" for name in names)
            raise DataError(f"{path}, line {line}: {what} was there before. Keep one row for each {_row_of(suffix)}.")


def _check_day_gaps(path: Path, frame: pd.DataFrame, config: Mapping[str, object]) -> None:
    user, day = str(config["USER_ID_FIELD"]), str(config["DAY_FIELD"])
    ordered = frame.sort_values([user, day], kind="stable")
    gap = ordered.groupby(user)[day].diff()
    limit = float(str(config["max_day_gap"]))
    wide = gap > limit
    if wide.any():
        line = wide[wide].index[0]
        raise DataError(
            f"{path}, line {line}, column '{day}': {gap.loc[line]:g} days after the day before of {user} "
            f"{frame.loc[line, user]}. Days count calendar days, not seconds; if the gap is real, raise max_day_gap "
            f"(now {limit:g})."
        )


def _check_time_order(path: Path, frame: pd.DataFrame, config: Mapping[str, object]) -> None:
    user, day, time = (str(config[role]) for role in ("USER_ID_FIELD", "DAY_FIELD", "TIME_FIELD"))
    if day not in frame or time not in frame:
        return
    ordered = frame.sort_values([user, time], kind="stable")
    back = ordered.groupby(user)[day].diff() < 0
    if back.any():
        line = back[back].index[0]
        raise DataError(
            f"{path}, line {line}: {day} {frame.loc[line, day]:g} of {user} {frame.loc[line, user]} comes after a later "
            f"{day} by {time}. The two columns order the rows differently; mend one of them."
        )
