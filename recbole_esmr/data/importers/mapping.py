"""The yaml file that says which column of which CSV file is what, read and checked before any CSV file is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_esmr.data.importers.fields import IDS, TIMES, WATCH_SECONDS, known
from recbole_esmr.data.importers.table import DELIMITERS
from recbole_esmr.data.reading.schema import SCHEMA, Column
from recbole_esmr.data.reading.times import time_zone
from recbole_esmr.emotion import Taxonomy, load_taxonomy
from recbole_esmr.errors import ConfigError, DataError, ESMRError, closest, nearest
from recbole_esmr.files import read_yaml
from recbole_esmr.settings import keys, parse, setting

NUMBER_RULES, LABEL_RULES = ("mean", "last", "worst", "min", "max", "sum"), ("last", "worst", "most")
AFFECT = ("positive", "negative")
SHARES = "emotion_share"
NUMBERS_ALONE = "valence-arousal"
"""The taxonomy where nothing is labelled by name."""

_COMMON: dict[str, Any] = {
    "file": None,
    "delimiter": None,
    "decimal": None,
    "encoding": None,
    "missing": [],
    "duplicates": "keep",
}
"""Keys of a part that may also be said once for all of them."""

_PART: dict[str, Any] = {
    **_COMMON,
    "where": {},
    "multiply": {},
    "scale": {},
    "date_format": {},
    "aggregate": {},
    "order": None,
}
_ALL: dict[str, Any] = {
    **_COMMON,
    "taxonomy": None,
    "emotions": {},
    "timezone": None,
    "max_day_gap": None,
    "days_are_steps": None,
    "max_unknown_ids": None,
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which columns of which files become one atomic file."""

    file: Any = setting("a file name, a pattern such as views_*.csv, or a list of file names")
    columns: dict[str, Any] = setting("field: column of the file")
    where: dict[str, Any] = setting("column: value, or list of values, of the rows to take")
    multiply: dict[str, float] = setting("field: factor")
    scale: dict[str, list[float]] = setting("field: [lowest, highest] of your scale")
    date_format: dict[str, str] = setting("field: format of its dates, such as %d.%m.%Y %H:%M")
    duplicates: str = setting("what becomes of rows that repeat an earlier one", choices=("keep", "drop"))
    aggregate: dict[str, str] = setting("field: rule by which several rows of a person's day become one")
    order: str | None = setting("the column that orders the rows of a person's day")
    delimiter: str | None = setting("character between cells")
    decimal: str | None = setting("decimal sign", choices=(".", ","))
    encoding: str | None = setting("encoding of the files, such as latin-1")
    missing: list[Any] = setting("cells that say that nothing is known, ids excepted")


@dataclass(frozen=True, kw_only=True)
class _Whole:
    file: Any = setting("the file of parts that name none")
    taxonomy: Any = setting("a shipped taxonomy, the path of one, or its labels")
    emotions: dict[str, Any] = setting("label in the files: label of the taxonomy")
    timezone: str | None = setting("IANA time zone of dates without an offset")
    max_day_gap: int | None = setting("longest gap between days", low=1)
    days_are_steps: bool | None = setting("whether days count each person's own steps")
    max_unknown_ids: float | None = setting("share of a file's ids that may be in no interaction", low=0, high=1)
    duplicates: str = setting("what becomes of rows that repeat an earlier one", choices=("keep", "drop"))
    delimiter: str | None = setting("character between cells")
    decimal: str | None = setting("decimal sign", choices=(".", ","))
    encoding: str | None = setting("encoding of the files, such as latin-1")
    missing: list[Any] = setting("cells that say that nothing is known, ids excepted")


@dataclass(frozen=True)
class CSVMapping:
    """A mapping file.

    Attributes:
        path: of the file.
        parts: by suffix, in the order in which they need each other.
        taxonomy: the emotions; named, whether the mapping names them.
        emotions: labels to rename.
        timezone: of local times, None where none is named.
        settings: RecBole keys that the mapping gives to NAME.yaml.
    """

    path: Path
    parts: dict[str, Part]
    taxonomy: Taxonomy
    emotions: dict[str, str]
    timezone: str | None
    settings: dict[str, Any]


def load_mapping(path: Path) -> CSVMapping:
    """Read a mapping file and check every key, field, label, rule and time zone in it.

    Raises:
        ConfigError: the first thing that is wrong, with the nearest that is known.
    """
    given = read_yaml(path)
    for key in given:
        if key not in (*SCHEMA, *keys(_Whole)):
            raise ConfigError(f"{path}: unknown key '{key}'. {nearest(str(key), [*SCHEMA, *keys(_Whole)])}")
    if "inter" not in given and ("day" not in given or "imp" in given):
        raise ConfigError(
            f"{path}: the part 'inter' is missing; RecBole needs to know who met which item. (A diary alone has the part "
            f"'day' and no other but 'user'.)"
        )
    own = {key: value for key, value in given.items() if key not in SCHEMA and value is not None}
    whole = parse(_Whole, _ALL | own, str(path))
    common = {key: getattr(whole, key) for key in _COMMON}
    parts: dict[str, Part] = {}
    for suffix in ("user", "item", "inter", "imp", "day"):  # zones and lengths before what is read with them
        if suffix in given:
            parts[suffix] = _part(given[suffix], common, suffix, f"{path}: {suffix}")
    lengths = "item" in parts and "duration" in parts["item"].columns
    views = parts["inter"].columns if "inter" in parts else {}
    if WATCH_SECONDS in views and not lengths and "duration" not in views:
        raise ConfigError(
            f"{path}: inter: {WATCH_SECONDS} needs the length of each item: map `duration` (seconds) in the part 'item', or here."
        )
    named = NUMBERS_ALONE if whole.taxonomy is None and _numbers_alone(parts) else whole.taxonomy
    taxonomy = _taxonomy(named, path)
    settings: dict[str, Any] = {"emotion_taxonomy": taxonomy.setting} if named is not None else {}
    for suffix, part in parts.items():
        _check_shares(part.columns.get(SHARES), taxonomy, f"{path}: {suffix}")
    if whole.timezone is not None:
        try:
            time_zone(whole.timezone)
        except DataError as error:
            raise ConfigError(f"{path}: timezone: {error}") from error
    for key in ("timezone", "max_day_gap", "days_are_steps", "max_unknown_ids"):
        if getattr(whole, key) is not None:
            settings[key] = getattr(whole, key)
    return CSVMapping(path, parts, taxonomy, _renamed(whole.emotions, taxonomy, path), whole.timezone, settings)


def _numbers_alone(parts: Mapping[str, Part]) -> bool:
    """Whether items have a valence, and nothing an emotion by name."""
    labels = {name for part in parts.values() for name in ("emotion", SHARES) if name in part.columns}
    return "item" in parts and "valence" in parts["item"].columns and not labels


def _check_shares(columns: Any, taxonomy: Taxonomy, where: str) -> None:
    for label in columns if isinstance(columns, Mapping) else ():
        if label not in taxonomy.labels:
            raise ConfigError(
                f"{where}: columns: {SHARES} names '{label}', which is no emotion of the taxonomy '{taxonomy.name}'. "
                f"{nearest(label, taxonomy.labels)}"
            )


def _taxonomy(given: Any, path: Path) -> Taxonomy:
    try:
        return load_taxonomy("esmr" if given is None else given, path.parent)
    except ESMRError as error:
        raise ConfigError(f"{path}: taxonomy: {error}") from error


def _renamed(emotions: dict[str, Any], taxonomy: Taxonomy, path: Path) -> dict[str, str]:
    renamed = {_text(old, f"{path}: emotions"): "" if new is None else str(new) for old, new in emotions.items()}
    for old, new in renamed.items():
        if new and new not in taxonomy.labels:
            raise ConfigError(
                f"{path}: emotions: '{old}' becomes '{new}', which is no emotion of the taxonomy '{taxonomy.name}'. "
                f"{nearest(new, taxonomy.labels)} An empty text ('') leaves the label out."
            )
    return renamed


def _part(given: Any, common: Mapping[str, Any], suffix: str, where: str) -> Part:
    if not isinstance(given, Mapping) or not isinstance(given.get("columns"), Mapping):
        raise ConfigError(f"{where}: expected `columns: {{field: column of the file}}`.")
    own = {str(key): value for key, value in given.items() if value is not None}
    part = parse(Part, _PART | {key: value for key, value in common.items() if value} | own, where)
    columns = {str(field): _column(column, str(field), suffix, where) for field, column in part.columns.items()}
    _check_fields(columns, suffix, where)
    _check_changes(part, columns, suffix, where)
    delimiter = {**{name: sign for sign, name in DELIMITERS.items()}, "\\t": "\t"}.get(part.delimiter or "", part.delimiter)
    if delimiter is not None and len(delimiter) != 1:
        raise ConfigError(f"{where}: delimiter is {delimiter!r}; expected one character, or comma, semicolon, tab or pipe.")
    missing = [_text(cell, f"{where}: missing") for cell in part.missing]
    taken = {}
    for column, cells in part.where.items():
        taken[str(column)] = [_text(cell, f"{where}: where") for cell in (cells if isinstance(cells, list) else [cells])]
    return replace(part, columns=columns, delimiter=delimiter, missing=missing, where=taken)


def _text(value: Any, where: str) -> str:
    """A cell or a name as text; yaml takes a bare yes, no, null or 2024-03-24 for something else."""
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return str(value)
    raise ConfigError(f"{where}: {value!r} is no text to yaml. Put it in quotes, such as 'no'.")


def _column(column: Any, field: str, suffix: str, where: str) -> Any:
    """The name of a column; of ``valence`` also those of positive and negative affect, of ``emotion_share`` one an emotion."""
    if (suffix, field) == ("item", SHARES):
        if not isinstance(column, Mapping) or len(column) < 2:
            raise ConfigError(
                f"{where}: columns: {SHARES} is {column!r}; expected the column of each emotion, such as `{{happy: p_happy, "
                "sad: p_sad}`."
            )
        return {str(label): _text(name, f"{where}: columns: {field}: {label}") for label, name in column.items()}
    if not isinstance(column, Mapping):
        return _text(column, f"{where}: columns: {field}")
    if (suffix, field) != ("day", "valence") or set(column) != set(AFFECT):
        raise ConfigError(
            f"{where}: columns: {field} is {dict(column)!r}; expected the name of a column, or for the valence of a day "
            "`{positive: COLUMN, negative: COLUMN}`."
        )
    return {sign: _text(column[sign], f"{where}: columns: {field}: {sign}") for sign in AFFECT}


def _check_fields(columns: dict[str, Any], suffix: str, where: str) -> None:
    fields = known(suffix)
    for name, column in fields.items():
        if column is not None and column.required and name not in columns:
            raise ConfigError(f"{where}: columns: the field '{name}' is missing, which every row needs. {nearest(name, columns)}")
    for field in columns:
        meant = None if field in fields else closest(field, [name for name in fields if name not in columns], cutoff=0.8)
        if meant is not None:
            raise ConfigError(f"{where}: columns: the field '{field}' means nothing here. Did you mean '{meant}'?")
        if not field or any(character in field for character in ":\t\r\n"):
            raise ConfigError(f"{where}: columns: {field!r} is no name of a field. Give a name without colon, tab and line end.")
    said = [name for name in ("emotion", SHARES) if name in columns]
    if len(said) > 1:
        raise ConfigError(f"{where}: columns: both {' and '.join(said)} say what an item expresses. Keep one.")
    if WATCH_SECONDS in columns and "watch_ratio" in columns:
        raise ConfigError(f"{where}: columns: both watch_ratio and {WATCH_SECONDS}. Keep the one that you trust.")


def _check_changes(part: Part, columns: dict[str, Any], suffix: str, where: str) -> None:
    """That scales, factors, formats and rules name fields that can have them."""
    fields = known(suffix)
    for key in ("multiply", "scale", "date_format", "aggregate"):
        for field in getattr(part, key):
            if field not in columns:
                raise ConfigError(f"{where}: {key} names '{field}', which is no field of `columns`. {nearest(field, columns)}")
    for field in (*part.multiply, *part.scale):
        column = fields.get(field)
        if field in (*IDS, *TIMES) or (column is not None and column.type != "float"):
            raise ConfigError(f"{where}: '{field}' is no number, so neither `multiply` nor `scale` can change it.")
    for field, ends in part.scale.items():
        column = fields.get(field)
        if column is None or column.low is None or column.high is None:
            raise ConfigError(f"{where}: scale: '{field}' has no range of its own to be brought to. Use `multiply`, or leave it.")
        if len(ends) != 2 or ends[0] == ends[1]:
            raise ConfigError(f"{where}: scale: {field} is {list(ends)}; expected the two ends of your scale, such as [1, 7].")
        if field in part.multiply:
            raise ConfigError(f"{where}: '{field}' has both `scale` and `multiply`. Keep one.")
    if isinstance(columns.get("valence"), dict) and "valence" not in part.scale:
        raise ConfigError(
            f"{where}: valence from two columns needs the ends of their scale, such as `scale: {{valence: [1, 5]}}`."
        )
    for field, form in part.date_format.items():
        if field not in TIMES:
            raise ConfigError(f"{where}: date_format: '{field}' is no time. Only {' and '.join(TIMES)} are.")
        try:
            pd.to_datetime(pd.Series(["no date"]), format=form, errors="coerce")
        except ValueError as error:
            raise ConfigError(
                f"{where}: date_format: {field} is '{form}'; expected a format of strptime such as %d.%m.%Y %H:%M ({error})."
            ) from error
    if suffix != "day" and (part.aggregate or part.order):
        raise ConfigError(f"{where}: `aggregate` and `order` are for the part 'day'.")
    for field, rule in part.aggregate.items():
        rules = LABEL_RULES if field == "emotion" else _number_rules(field, fields.get(field))
        if field in (*IDS, *TIMES) or rule not in rules:
            raise ConfigError(f"{where}: aggregate: {field} is '{rule}'; expected for {field} one of {', '.join(rules)}.")


def _number_rules(field: str, meant: Column | None) -> tuple[str, ...]:
    """The rules of a field of numbers: a sum leaves the range of a field that has one, and only a mood has a worst."""
    ranged = meant is not None and meant.high is not None
    return tuple(rule for rule in NUMBER_RULES if (rule != "worst" or field == "valence") and (rule != "sum" or not ranged))
