"""What each atomic file may hold, and a reader that says which file, line, column and value is wrong, and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from recbole_esmr.data.reading.atomic import AtomicFile, check_ids, read_atomic_file, refuse
from recbole_esmr.data.reading.consent import answers, consent_field
from recbole_esmr.data.reading.shares import shares_of
from recbole_esmr.data.reading.times import time_zone
from recbole_esmr.data.reading.zones import zone_of_rows
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.errors import DataError, nearest
from recbole_esmr.files import read_yaml, shipped


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
        dates: whether it may hold ISO dates instead, as a token.
        answer: whether it says yes or no, as a number or a token; :mod:`~recbole_esmr.data.reading.consent` says what of it is
            missing.
    """

    role: str
    type: str
    low: float | None = None
    high: float | None = None
    required: bool = False
    filled: bool = False
    whole: bool = False
    dates: bool = False
    answer: bool = False


_USER = Column("USER_ID_FIELD", "token", required=True, filled=True)
_ITEM = Column("ITEM_ID_FIELD", "token", required=True, filled=True)
LAST_DAY = 1e6  # RecBole keeps numbers in 32 bits, where 20240131 is 20240132
_DAY = Column("DAY_FIELD", "float", -LAST_DAY, LAST_DAY, required=True, filled=True, whole=True, dates=True)

FELT = tuple(Column(f"{what}_{when}_FIELD", "float", -1, 1) for what in ("VALENCE", "AROUSAL") for when in ("BEFORE", "AFTER"))
"""What people felt just before and just after an item."""

SCHEMA: dict[str, tuple[Column, ...]] = {
    "inter": (
        _USER,
        _ITEM,
        Column("TIME_FIELD", "float", filled=True, dates=True),
        Column("DAY_FIELD", "float", -LAST_DAY, LAST_DAY, filled=True, whole=True, dates=True),
        Column("WATCH_RATIO_FIELD", "float", 0, 1, filled=True),
        *FELT,
        Column("RANDOM_FIELD", "float", 0, 1, whole=True),
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
        Column("EMOTION_SHARE_FIELD", "float_seq"),
        Column("VALENCE_FIELD", "float", -1, 1),
        Column("INTENSITY_FIELD", "float", 0, 1),
        Column("CATEGORY_FIELD", "token"),
        Column("DURATION_FIELD", "float", 1e-3, None),
    ),
    "user": (
        _USER,
        Column("TIMEZONE_FIELD", "token"),
        Column("PROFILE_FIELD", "token"),
        Column("CONSENT_FIELD", "float", answer=True),
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

_SHARED_ROLES = ("DAY_FIELD", "EMOTION_FIELD")
"""Roles that may be in one file and not in another."""


@cache
def _usual_names() -> dict[str, str]:
    """What the columns are called unless the user says otherwise."""
    return {"USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "TIME_FIELD": "timestamp"} | read_yaml(
        shipped("properties") / "overall.yaml"
    )


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
    return checked(read_atomic_file(path, config), suffix, config, taxonomy)


def checked(file: AtomicFile, suffix: str, config: Mapping[str, object], taxonomy: Taxonomy) -> pd.DataFrame:
    """What :func:`read_atomic` makes of a file that is read already; rows that were left out of it are not looked at.

    Raises:
        DataError: the first thing that is wrong, with file, line, column, value and the mend.
    """
    path, frame = file.path, file.text.copy(deep=False)
    _check_header(file, suffix, config)
    consent = consent_field(config) if suffix == "user" else None
    for name, kind in file.types.items():
        if name == consent:
            frame[name] = answers(path, file.text[name])
        elif kind == "token" and name == str(config["TIME_FIELD"]):
            frame[name] = file.times(name, zone_of_rows(file, config))
        elif kind == "token" and name == str(config["DAY_FIELD"]):
            frame[name] = file.days(name, zone_of_rows(file, config))
        elif kind == "float":
            frame[name] = file.numbers(name)
    require_rows(file, suffix)
    for column in SCHEMA[suffix]:
        name = str(config[column.role])
        if name in frame and not column.answer and column.type != "float_seq":
            check_column(path, frame[name], column)
    emotion = str(config["EMOTION_FIELD"])
    if suffix in ("item", "day") and emotion in frame:
        _check_emotions(path, frame[emotion], taxonomy)
    if suffix == "item" and str(config["EMOTION_SHARE_FIELD"]) in frame:
        _check_shares(file, emotion, str(config["EMOTION_SHARE_FIELD"]), taxonomy)
    if suffix == "user" and str(config["TIMEZONE_FIELD"]) in frame:
        _check_zones(path, frame[str(config["TIMEZONE_FIELD"])])
    _check_unique(path, suffix, frame, config)
    if suffix == "day":
        _check_day_gaps(path, frame, config)
    if suffix == "inter":
        _check_time_order(path, frame, config)
    return frame


def require_ids(file: AtomicFile, roles: Mapping[str, str]) -> None:
    """Refuse a file without the columns of ids that every model needs.

    Args:
        file: the file.
        roles: name of each such column, by the key that gives it.

    Raises:
        DataError: a column is missing, or no token.
    """
    for role, name in roles.items():
        if name not in file.types:
            raise _missing(file, name, "token", role)
        if file.types[name] != "token":
            raise _other_type(file, name, "token")


def require_rows(file: AtomicFile, suffix: str) -> None:
    """Refuse a file with nothing but its header.

    Raises:
        DataError: it has no rows.
    """
    if file.text.empty:
        raise DataError(f"{file.path}: has a header but no rows. Write one row for each {_row_of(suffix)}.")


def _missing(file: AtomicFile, name: str, kind: str, role: str) -> DataError:
    return DataError(
        f"{file.path}, line 1: the column '{name}:{kind}' is missing. "
        f"Add it, or set {role} to the name it has here. {nearest(name, file.types)}"
    )


def _other_type(file: AtomicFile, name: str, kind: str) -> DataError:
    return DataError(f"{file.path}, line 1: '{name}' has the type '{file.types[name]}'. Write '{name}:{kind}' in the header.")


def _row_of(suffix: str) -> str:
    rows = {"inter": "interaction", "imp": "item shown", "item": "item", "user": "person", "day": "person and day"}
    return (rows | {"kg": "triple", "link": "item that has an entity"})[suffix]


def _check_header(file: AtomicFile, suffix: str, config: Mapping[str, object]) -> None:
    for column in SCHEMA[suffix]:
        name = str(config[column.role])
        if column.answer:
            continue
        if name not in file.types:
            if column.required:
                raise _missing(file, name, column.type, column.role)
            if name != _usual_names()[column.role] and column.role not in _elsewhere(file, suffix, config):
                raise DataError(
                    f"{file.path}, line 1: no column '{name}', which {column.role} names. {nearest(name, file.types)}"
                )
        elif file.types[name] != column.type and not (column.dates and file.types[name] == "token"):
            raise _other_type(file, name, column.type)


def _elsewhere(file: AtomicFile, suffix: str, config: Mapping[str, object]) -> tuple[str, ...]:
    """Roles that a file need not have, for another one may have them: a valence where it has labels, or none is asked for."""
    without = suffix == "item" or str(config["EMOTION_FIELD"]) in file.types
    return (*_SHARED_ROLES, "VALENCE_FIELD") if without else _SHARED_ROLES


def check_column(path: Path, values: pd.Series, column: Column) -> None:
    """Refuse a value that the column may not hold.

    Args:
        path: of the file.
        values: (N,) indexed by line; texts, or numbers with NaN where a cell is empty.
        column: what it may hold.

    Raises:
        DataError: the first such value, with line, column and mend.
    """
    if column.type == "token":
        if column.filled:
            check_ids(path, values)
        return
    if column.filled and values.isna().any():
        refuse(path, values, values.isna(), "every row needs a number. Fill it in or leave the row out")
    low, high = column.low, column.high
    outside = pd.Series(False, index=values.index)
    if low is not None:
        outside |= values < low
    if high is not None:
        outside |= values > high
    if outside.any():
        bounds = f"[{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}]"
        mend = "Count days, or write dates such as 2024-03-24 as a token" if column.dates else "Rescale the column"
        refuse(path, values, outside, f"expected a number in {bounds}. {mend}")
    if column.whole:
        part = values.notna() & (values != values.round())
        if part.any():
            refuse(path, values, part, "expected a whole number")


def _check_emotions(path: Path, labels: pd.Series, taxonomy: Taxonomy) -> None:
    unknown = taxonomy.unknown(labels.to_numpy())
    if unknown:
        wrong = labels.isin(unknown)
        first = str(labels[wrong].iloc[0])
        mend = f"not an emotion of the taxonomy '{taxonomy.name}'. {nearest(first, taxonomy.labels)} "
        refuse(path, labels, wrong, mend + "Mend the label or set emotion_taxonomy to a yaml that has it")


def _check_shares(file: AtomicFile, emotion: str, share: str, taxonomy: Taxonomy) -> None:
    if emotion in file.types:
        raise DataError(
            f"{file.path}, line 1: both '{emotion}' and '{share}' say what an item expresses. Keep one: a label is a share of 1."
        )
    shares_of(file.path, file.text[share], taxonomy)


def _check_zones(path: Path, zones: pd.Series) -> None:
    for name in zones[zones != ""].unique():
        try:
            time_zone(name)
        except DataError:
            refuse(path, zones, zones == name, "expected an IANA time zone such as Europe/Berlin, or an empty cell")


def _check_unique(path: Path, suffix: str, frame: pd.DataFrame, config: Mapping[str, object]) -> None:
    names = [str(config[role]) for role in _UNIQUE.get(suffix, ())]
    if names and all(name in frame for name in names):
        again = frame.duplicated(names)
        if again.any():
            line = again[again].index[0]
            values = {name: frame.loc[line, name] for name in names}
            what = ", ".join(
                f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
            )
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
