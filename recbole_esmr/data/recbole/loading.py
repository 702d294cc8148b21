"""How RecBole's data sets read their files once the plug-in is there: each model the same rows, in the same order.

RecBole's own reading takes people called NA for missing, lets a stray quotation mark swallow lines, and orders moments as 32-bit
numbers, in which two minutes are one. These functions take the place of two of its methods (see
:mod:`recbole_esmr.plugin`), so what ESMR is compared with learns from, and is tested on, the very same rows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from recbole.utils import FeatureSource, FeatureType, ModelType

from recbole_esmr.data.reading.atomic import AtomicFile, check_ids, read_atomic_file, refuse
from recbole_esmr.data.reading.consent import answers, consent_field
from recbole_esmr.data.reading.felt import felt_names
from recbole_esmr.data.reading.lines import by_value
from recbole_esmr.data.reading.schema import require_ids, require_rows
from recbole_esmr.data.reading.times import FROM_1970, NO_TIMES, UNITS, not_a_time, unit_of
from recbole_esmr.data.reading.zones import zone_of_rows
from recbole_esmr.data.recbole.felt import add_felt, without_silent
from recbole_esmr.errors import ConfigError, DataError, closest, nearest
from recbole_esmr.protocol import as_recbole

_IDS = {
    FeatureSource.INTERACTION: ("USER_ID_FIELD", "ITEM_ID_FIELD"),
    FeatureSource.USER: ("USER_ID_FIELD",),
    FeatureSource.ITEM: ("ITEM_ID_FIELD",),
    FeatureSource.KG: ("HEAD_ENTITY_ID_FIELD", "RELATION_ID_FIELD", "TAIL_ENTITY_ID_FIELD"),
    "link": ("ITEM_ID_FIELD", "ENTITY_ID_FIELD"),
}
"""The keys that name the columns of ids of RecBole's files; they are loaded whatever ``load_col`` says."""

_NEEDED = (FeatureSource.INTERACTION, FeatureSource.KG, "link")
"""What is loaded even where ``load_col`` does not name it."""


def load_feat(_: Callable[..., Any], dataset: Any, filepath: str, source: Any) -> pd.DataFrame | None:
    """``Dataset._load_feat``: one file, with ids as the text they are, and numbers checked.

    Args:
        _: RecBole's own method.
        dataset: RecBole's data set, which keeps the fields' types.
        filepath: the atomic file.
        source: RecBole's name of what it describes.

    Returns:
        a column a field that ``load_col`` asks for, and the time where rows are ordered by it; None where none is asked for.

    Raises:
        DataError: a file that cannot be read as meant; the message names file, line, column and mend.
    """
    load, unload = dataset._get_load_and_unload_col(source)
    if load == set() and source not in _NEEDED:
        return None
    file = getattr(dataset, "file_read", None) or read_atomic_file(filepath, dataset.config, _told(dataset))
    ids = {role: str(dataset.config[role]) for role in _IDS.get(source, ()) if dataset.config[role] is not None}
    require_ids(file, ids)
    if source in _IDS:
        require_rows(file, getattr(source, "value", source))
    if source == FeatureSource.INTERACTION:
        unload = {*(unload or ()), *_unfelt(dataset)}
    asked = [
        name for name in file.types if name in ids.values() or ((load is None or name in load) and name not in (unload or ()))
    ]
    columns = {name: _column(dataset, file, name) for name in asked}
    if source == FeatureSource.INTERACTION:
        columns = without_silent(dataset, file, columns)
    types = {name: FeatureType(file.types[name]) for name in asked}
    if source == FeatureSource.INTERACTION:
        _add_time(dataset, file, columns, types)
        felt = add_felt(dataset, file)
        columns, types = columns | felt, types | dict.fromkeys(felt, FeatureType.FLOAT)
    if not columns:
        dataset.logger.warning(f"No columns has been loaded from [{source}]")
        return None
    for name, kind in types.items():
        if isinstance(source, FeatureSource) or source != "link":
            dataset.field2source[name], dataset.field2type[name] = source, kind
            if kind in (FeatureType.FLOAT, FeatureType.FLOAT_SEQ):
                dataset.field2bucketnum[name] = 2
            dataset.field2seqlen[name] = _length(dataset, columns, name, kind)
    frame = pd.DataFrame(columns)
    if source == FeatureSource.INTERACTION and not dataset.config["rm_dup_inter"]:
        _say_duplicates(dataset, file, columns)
    return frame.reset_index(drop=True)


def load_inter_feat(original: Callable[..., Any], dataset: Any, token: str, dataset_path: str) -> None:
    """``Dataset._load_inter_feat``: then the rows in the order of their exact times, where RecBole orders by time.

    Rows of one moment have no order of their own. They get one that depends on what they say and not on where they stand in
    the file. The files of ``benchmark_filename`` keep theirs, because RecBole cuts them by row. With ``rows: recbole`` all
    rows keep theirs until ids are numbered; :func:`dataframe_to_interaction` puts them in order.

    Args:
        original: RecBole's own method.
        dataset, token, dataset_path: its arguments.

    Raises:
        DataError: no such file.
    """
    path = Path(dataset_path) / f"{token}.inter"
    if dataset.benchmark_filename_list is None and not path.is_file():
        raise DataError(f"{path}: no such file. A data set NAME lies in a folder NAME with NAME.inter in it.")
    original(dataset, token, dataset_path)
    if ordered_by_time(dataset.config):
        frame = dataset.inter_feat
        if dataset.time_field not in frame:
            dataset.logger.warning(
                f"Neither '{dataset.time_field}' nor '{_day_field(dataset)}' in {token}.inter: lines are taken as in order."
            )
            frame[dataset.time_field] = np.arange(len(frame), dtype=float)
            frame.attrs["line_order"] = True
            dataset.set_field_property(dataset.time_field, FeatureType.FLOAT, FeatureSource.INTERACTION, 1)
        elif dataset.benchmark_filename_list is None and not as_recbole(dataset.config):
            order = order_of_time(frame, dataset.time_field, [dataset.uid_field, dataset.iid_field])
            dataset.inter_feat = frame.iloc[order].reset_index(drop=True)


def fill_nan(_: Callable[..., Any], dataset: Any) -> None:
    """``Dataset._fill_nan``: padding for an unknown id, the column's mean for an unknown number, an empty list for a sequence.

    RecBole fills a column that pandas 3 hands out as a copy, so there nothing would be filled.

    Args:
        _: RecBole's own method.
        dataset: RecBole's data set.
    """
    for name in dataset.feat_name_list:
        feat = getattr(dataset, name)
        for field in feat:
            kind = dataset.field2type[field]
            if kind == FeatureType.TOKEN:
                feat[field] = feat[field].fillna(0)
            elif kind == FeatureType.FLOAT:
                feat[field] = feat[field].fillna(feat[field].mean())
            else:
                nothing = np.array([], dtype=np.int64 if kind == FeatureType.TOKEN_SEQ else float)
                feat[field] = feat[field].apply(lambda cell, nothing=nothing: nothing if isinstance(cell, float) else cell)


def dataframe_to_interaction(original: Callable[..., Any], dataset: Any, data: pd.DataFrame) -> Any:
    """``Dataset._dataframe_to_interaction``, from columns that are tensors' own: those of pandas 3 are not to be written to.

    With ``rows: recbole`` the interactions are put in the order of their exact times before; those of one moment stay as they
    stand. RecBole orders them afterwards, when times are 32-bit numbers.

    Args:
        original: RecBole's own method, which asks each column for its ``values``.
        dataset: RecBole's data set.
        data: a column a field.

    Returns:
        RecBole's interaction, a tensor a field.
    """
    if data is dataset.inter_feat and _sorted_late(dataset):
        data = data.sort_values(dataset.time_field, kind="stable")
    columns = {name: column.to_numpy() for name, column in data.items()}
    own = {name: column if column.flags.writeable else column.copy() for name, column in columns.items()}
    return original(dataset, {name: SimpleNamespace(values=column) for name, column in own.items()})


def preload_weight(original: Callable[..., Any], dataset: Any, field: str) -> np.ndarray:
    """``Dataset.get_preload_weight``: vectors of a file in 32 bits, as all weights are; torch multiplies no 64 bits by them.

    Args:
        original: RecBole's own method.
        dataset: RecBole's data set.
        field: the column of ids whose vectors are asked for.
    """
    return np.asarray(original(dataset, field), dtype=np.float32)


def ordered_by_time(config: Any) -> bool:
    """Whether RecBole needs the order of time: to split by it, or to make sequences."""
    return config["MODEL_TYPE"] == ModelType.SEQUENTIAL or (config["eval_args"] or {}).get("order") == "TO"


def _sorted_late(dataset: Any) -> bool:
    config = dataset.config
    return ordered_by_time(config) and as_recbole(config) and dataset.benchmark_filename_list is None


def order_of_time(frame: pd.DataFrame, time: str, names: list[str]) -> np.ndarray:
    """Places of the rows in the order of time, (N,); rows of one moment are ordered by a hash of what they say.

    A hash, and not the ids themselves: else the test item of everybody who saw several things in one moment would be the one
    with the last name.

    Args:
        frame: the rows.
        time: name of the column of moments.
        names: the columns of ids, by which rows of one moment are told apart first.
    """
    plain = [name for name in frame if not isinstance(frame[name].iloc[0], np.ndarray)]
    keys = (pd.util.hash_pandas_object(frame[columns], index=False).to_numpy() for columns in (plain, names))
    return np.lexsort((*keys, frame[time].to_numpy()))


def _unfelt(dataset: Any) -> set[str]:
    """The columns of what people felt, but for those by which rows are filtered; ESMR's own data set reads them all."""
    if getattr(dataset, "reads_moments", False):
        return set()
    config = dataset.config
    return set(felt_names(config).values()) - {*(config["val_interval"] or {}), *(config["threshold"] or {})}


def _told(dataset: Any) -> Callable[[str], None] | None:
    """Who is told of what RecBole's own way with data leaves out; None where it is refused."""
    return dataset.logger.warning if as_recbole(dataset.config) else None


def _day_field(dataset: Any) -> str:
    return str(dataset.config["DAY_FIELD"] or "day")


def _column(dataset: Any, file: AtomicFile, name: str) -> pd.Series:
    kind, config = file.types[name], dataset.config
    if name == dataset.time_field and kind in ("float", "token"):
        return seconds_of(file, name, config)
    if name == _day_field(dataset) and kind in ("float", "token"):
        return file.days(name, zone_of_rows(file, config) if kind == "token" else "UTC")
    if file.path.suffix == ".user" and name == consent_field(config):
        yes = answers(file.path, file.text[name])
        return yes if kind == "float" else yes.map({1.0: "1", 0.0: "0"})
    if kind == "float":
        return file.numbers(name)
    text = file.text[name]
    if kind == "token" and name in (dataset.uid_field, dataset.iid_field):
        check_ids(file.path, text, _told(dataset))
    if kind == "token":
        if name in (dataset.uid_field, dataset.iid_field):
            return text.where(by_value(text, lambda texts: texts.str.strip() != ""), np.nan)
        return text.where(text != "", np.nan)
    separator = config["seq_separator"]
    parts = text.map(lambda cell: [part for part in cell.split(separator) if part])
    if kind == "float_seq":
        each = parts.explode()
        numbers = pd.to_numeric(each, errors="coerce")
        wrong = (numbers.isna() & each.notna()).groupby(level=0).any()
        if wrong.any():
            refuse(file.path, text, wrong, f"expected numbers separated by {separator!r}")
        return parts.map(lambda cell: np.array(cell, dtype=float))
    return parts.map(np.array)


def seconds_of(file: AtomicFile, name: str, config: Any) -> pd.Series:
    """The moments of an atomic file in seconds, (N,): of numbers in ``time_unit`` (by their size unless set), or of dates.

    Raises:
        DataError: an empty cell, no number and no date, numbers that are something else than times, or such that some look
            like seconds and others like milliseconds.
    """
    dates = file.types[name] == "token"
    number = file.times(name, zone_of_rows(file, config) if dates else "UTC")
    if number.isna().any():
        refuse(file.path, file.text[name], number.isna(), "every row needs a time. Fill it in or leave the row out")
    if dates:
        return number
    _refuse_no_times(file, name, number.to_numpy())
    unit = str(config["time_unit"] or "auto")
    if unit != "auto" and unit not in UNITS:
        raise ConfigError(f"time_unit is {unit!r}; expected auto, {', '.join(UNITS)}.")
    found = unit_of(number.to_numpy()) if unit == "auto" else unit
    if found is None:
        low, high = number.abs().min(), number.abs().max()
        raise DataError(
            f"{file.path}, column '{name}': the values reach from {low:.15g} to {high:.15g}, which are different units of time. "
            "Write all of them in seconds, or set time_unit."
        )
    seconds = number / UNITS[found]
    early = (seconds < FROM_1970) & (seconds.max() >= 1e9)
    if early.any():
        refuse(file.path, file.text[name], early, "other rows lie decades later. Mend it, or set time_unit (ms, us, ns)")
    return seconds


def _refuse_no_times(file: AtomicFile, name: str, number: np.ndarray) -> None:
    what = not_a_time(number)
    if what is not None:
        first = file.text[name].iloc[0]
        raise DataError(
            f"{file.path}, column '{name}': the values, such as {first!r}, look like {NO_TIMES[what]}. Write seconds since 1970, "
            f"or dates such as 2024-03-24 21:00 under '{name}:token'."
        )


def _add_time(dataset: Any, file: AtomicFile, columns: dict[str, pd.Series], types: dict[str, FeatureType]) -> None:
    """The time, where rows are ordered by it; a file without one is ordered by its days."""
    time, day = dataset.time_field, _day_field(dataset)
    if time in columns:
        types[time] = FeatureType.FLOAT
    if day in columns:
        types[day] = FeatureType.FLOAT
    if time in columns or time is None or not ordered_by_time(dataset.config):
        return
    if time in file.types:
        columns[time] = _column(dataset, file, time)
    elif time != "timestamp":
        raise DataError(f"{file.path}, line 1: no column '{time}', which TIME_FIELD names. {nearest(time, file.types)}")
    elif day in file.types:
        like = closest(time, set(file.types) - {day}, cutoff=0.5)
        hint = f" If '{like}' holds times, set TIME_FIELD: {like}." if like else ""
        dataset.logger.warning(
            f"No column '{time}' in {file.path.name}: rows are ordered by '{day}', and those of one day have no order.{hint}"
        )
        columns[time] = _column(dataset, file, day)
    else:
        return
    types[time] = FeatureType.FLOAT


def _length(dataset: Any, columns: dict[str, pd.Series], name: str, kind: FeatureType) -> int:
    """The longest sequence of a field, 1 for other fields; sequences longer than ``seq_len`` says are cut."""
    if kind not in (FeatureType.TOKEN_SEQ, FeatureType.FLOAT_SEQ):
        return 1
    limit = (dataset.config["seq_len"] or {}).get(name)
    if limit:
        columns[name] = columns[name].map(lambda cell: cell[:limit])
    return int(columns[name].map(len).max())


def _say_duplicates(dataset: Any, file: AtomicFile, columns: dict[str, pd.Series]) -> None:
    again = repeated(file, columns, dataset.uid_field, dataset.iid_field, dataset.time_field)
    if again.any():
        line = again[again].index[0]
        dataset.logger.warning(
            f"{file.path.name}: {int(again.sum())} of {len(again)} lines say again what another line says (line {line} is the "
            "first): a test item may stand in the history that it is predicted from. Remove them, or set rm_dup_inter: first."
        )


def repeated(file: AtomicFile, columns: dict[str, pd.Series], user: str, item: str, time: str) -> pd.Series:
    """(N,) whether a line repeats an earlier one: the same person, item and moment; without a moment, the same in all columns."""
    if time not in file.types or time not in columns:
        return file.text.duplicated()
    names = [name for name in (user, item) if name in file.types]
    return file.text[names].assign(moment=columns[time]).duplicated()
