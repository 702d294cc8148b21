"""RecBole's filters of rows: their keys checked before anything is read, and run so that what leaves nothing is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from recbole.utils import FeatureType, ModelType

from recbole_esmr.data.reading.times import UNITS, days_of_dates, seconds_of_dates, unit_of
from recbole_esmr.errors import ConfigError, nearest
from recbole_esmr.values import read_value

STEPS = {
    "_filter_nan_user_or_item": (),
    "_remove_duplication": ("rm_dup_inter",),
    "_filter_by_field_value": ("val_interval",),
    "_filter_inter_by_user_or_item": ("filter_inter_by_user_or_item",),
    "_filter_by_inter_num": ("user_inter_num_interval", "item_inter_num_interval"),
}
"""RecBole's filters in their order, and the keys that set each."""

COUNTS = ("user_inter_num_interval", "item_inter_num_interval", "entity_kg_num_interval", "relation_kg_num_interval")
"""Keys that hold an interval of how many rows a person, an item, an entity or a relation may have."""

_ALL = "[0,inf)"
"""RecBole's own interval of how many interactions a person or an item may have: any."""
_INTERVAL = re.compile(r"\s*([\[(])\s*([^,;\[\]()]+?)\s*,\s*([^,;\[\]()]+?)\s*([\])])\s*")
_DATE_ALONE = re.compile(r"\d{4}-\d{2}-\d{2}")

Interval = tuple[str, float, float, str]
"""A bracket, two bounds and a bracket, as RecBole's own functions take them."""


def check_filters(config: Any) -> None:
    """Refuse a filter that RecBole would leave out, or stumble over, once the data are read.

    Args:
        config: the keys as given; a ``val_interval`` that came as text from the command line is replaced by what it says.

    Raises:
        ConfigError: the key, what it holds, and the right form.
    """
    for key in COUNTS:
        if config[key] is not None:
            _intervals(key, config[key], _number)
    config["val_interval"] = _mapping(config["val_interval"])
    for key in ("val_interval", "rm_dup_inter", *COUNTS[:2]):
        if config["benchmark_filename"] is not None and config[key] not in (None, {}, _ALL):
            raise ConfigError(f"{key}: RecBole filters no parts of benchmark_filename. Filter the files, and leave {key} out.")


def check_values(config: Any, types: Mapping[str, str]) -> None:
    """Refuse a ``val_interval`` that its column cannot be compared with.

    Args:
        config: ``val_interval``, checked by :func:`check_filters`, and the names of the columns of moments and days.
        types: the type of each column of the files that a filter may read.

    Raises:
        ConfigError: an unknown column, or a value that is no interval, or no list of texts.
    """
    for name, wanted in (config["val_interval"] or {}).items():
        where = f"val_interval: {name}"
        if name not in types:
            raise ConfigError(f"{where}: no file of data set '{config['dataset']}' has this column. {nearest(str(name), types)}")
        if types[name] == "float" or name in (config["TIME_FIELD"], config["DAY_FIELD"]):
            intervals_of(config, name, wanted)
        elif types[name] != "token":
            raise ConfigError(
                f"{where}: is a column of lists ({types[name]}), and a filter compares single values. Leave it out."
            )
        elif not isinstance(wanted, list):
            raise ConfigError(
                f"{where} is {wanted!r}; expected a list of texts to keep such as ['a', 'b'], for it is a token column."
            )


def intervals_of(config: Any, name: str, wanted: Any) -> list[Interval]:
    """The intervals of a column of numbers, in the unit in which the column is kept: moments in seconds, days in days.

    Bounds of the column of moments are read as its cells are: numbers in ``time_unit`` (by their size unless set), or dates. A
    date without a time of day is the whole day, so ``[2024-03-01,2024-03-31]`` holds the last of March.

    Raises:
        ConfigError: no interval.
    """
    read: Callable[[str, bool, Any], float] = _number
    if name == config["TIME_FIELD"]:
        read = _seconds
    elif name == config["DAY_FIELD"]:
        read = _day
    return _intervals(f"val_interval: {name}", wanted, read, config)


def data_filtering(_: Callable[..., Any], dataset: Any) -> None:
    """``Dataset._data_filtering``: RecBole's filters one after another, and which of them left nothing.

    Args:
        _: RecBole's own method, which runs the same filters.
        dataset: RecBole's data set.

    Raises:
        ConfigError: after a filter no interaction, person or item is left.
    """
    for step, keys in STEPS.items():
        before = len(dataset.inter_feat)
        getattr(dataset, step)()
        empty = [name for name in dataset.feat_name_list if getattr(dataset, name).empty]
        if empty:
            said = (
                " and ".join(f"{key}: {dataset.config[key]}" for key in keys if dataset.config[key] not in (None, False, _ALL))
                or "missing ids"
            )
            what = {"inter_feat": "interaction", "user_feat": "person", "item_feat": "item"}.get(empty[0], "row")
            raise ConfigError(
                f"data set '{dataset.dataset_name}': {said} leaves no {what} of {before} interactions. Widen the filter."
            )
    dataset._reset_index()


def filter_nan_user_or_item(_: Callable[..., Any], dataset: Any) -> None:
    """``Dataset._filter_nan_user_or_item``: rows without a person or item go; the reader has said which.

    Args:
        _: RecBole's own method, which stumbles where one row has no person and another no item.
        dataset: RecBole's data set.
    """
    for name in dataset.feat_name_list:
        frame = getattr(dataset, name)
        ids = [field for field in (dataset.uid_field, dataset.iid_field) if field in frame]
        setattr(dataset, name, frame.dropna(subset=ids))


def filter_inter_by_user_or_item(original: Callable[..., Any], dataset: Any) -> None:
    """``Dataset._filter_inter_by_user_or_item``: and who is left out with their interactions, for having no row, is counted.

    Args:
        original: RecBole's own method.
        dataset: RecBole's data set.
    """
    name, frame = dataset.dataset_name, dataset.inter_feat
    if dataset.config["filter_inter_by_user_or_item"] is True:
        for field, suffix, who in ((dataset.uid_field, "user", "people"), (dataset.iid_field, "item", "items")):
            listed = getattr(dataset, f"{suffix}_feat")
            absent = pd.Series(False, index=frame.index) if listed is None else ~frame[field].isin(listed[field])
            if absent.any():
                dataset.logger.warning(
                    f"{name}.{suffix}: {frame[field][absent].nunique():,} {who} of {name}.inter have no row, so their "
                    f"{int(absent.sum()):,} of {len(frame):,} interactions are left out. Add the rows, or set "
                    "filter_inter_by_user_or_item: False to keep them."
                )
    original(dataset)


def drop_unused_col(original: Callable[..., Any], dataset: Any) -> None:
    """``Dataset._drop_unused_col``: also what a context-aware model cannot read of an item that nobody has chosen yet.

    To rank all items it needs their features and the person's. Texts of ``.inter`` belong to one interaction, and RecBole's
    models stop at them after the training.

    Args:
        original: RecBole's own method.
        dataset: RecBole's data set.
    """
    original(dataset)
    config, frame = dataset.config, dataset.inter_feat
    if config["MODEL_TYPE"] != ModelType.CONTEXT or "full" not in config["eval_args"]["mode"].values():
        return
    texts = (FeatureType.TOKEN, FeatureType.TOKEN_SEQ)
    roles = (dataset.uid_field, dataset.iid_field, dataset.label_field)
    dropped = [
        name
        for name in frame.columns
        if name not in roles and (dataset.field2type[name] in texts or name in config["numerical_features"])
    ]
    for name in dropped:
        dataset._del_col(frame, name)
    if dropped:
        dataset.logger.warning(
            f"{dataset.dataset_name}.inter: {', '.join(dropped)} belong to one interaction, so they are not known of the items "
            f"that {config['model']} ranks, and it does not read them."
        )


def filter_by_field_value(_: Callable[..., Any], dataset: Any) -> None:
    """``Dataset._filter_by_field_value``: bounds of moments and days are read as the cells of their columns.

    Args:
        _: RecBole's own method, which compares moments with seconds whatever the file holds.
        dataset: RecBole's data set.
    """
    for name, wanted in (dataset.config["val_interval"] or {}).items():
        for place in dataset.feat_name_list:
            frame = getattr(dataset, place)
            if name not in frame:
                continue
            if dataset.field2type[name] == FeatureType.FLOAT:
                kept = dataset._within_intervals(frame[name].to_numpy(), intervals_of(dataset.config, name, wanted))
            else:
                kept = frame[name].isin([str(value) for value in wanted]).to_numpy()
            setattr(dataset, place, frame[kept].copy())


def _mapping(given: Any) -> dict[str, Any] | None:
    if isinstance(given, str):
        given = read_value(given)
    if given is not None and not isinstance(given, dict):
        raise ConfigError(
            f"val_interval is {given!r}; expected columns with intervals or lists of texts, such as "
            "{'watch_ratio': '[0.5,inf)', 'place': ['home']}."
        )
    return given


def _intervals(where: str, given: Any, read: Callable[[str, bool, Any], float], config: Any = None) -> list[Interval]:
    found = []
    for text in str(given).split(";"):
        parts = _INTERVAL.fullmatch(text)
        if parts is None:
            raise _no_interval(where, given)
        left, low, high, right = parts.groups()
        try:
            interval = left, read(low, left == "(", config), read(high, right == "]", config), right
        except ValueError as error:
            raise _no_interval(where, given) from error
        if not interval[1] <= interval[2]:
            raise ConfigError(f"{where} is {given!r}: its lower bound is above the upper one. Exchange them.")
        found.append(interval)
    return found


def _no_interval(where: str, given: Any) -> ConfigError:
    return ConfigError(f"{where} is {given!r}; expected an interval such as '[5,inf)', '(0,0.5]' or, of several, '[0,1];[3,4]'.")


def _number(text: str, _: bool, __: Any) -> float:
    number = float(text)
    if np.isnan(number):
        raise ValueError(text)
    return number


def _seconds(text: str, after: bool, config: Any) -> float:
    """A bound of moments; ``after`` takes the end of a date's day and not its beginning."""
    zone, unit = str(config["timezone"] or "UTC"), str(config["time_unit"] or "auto")
    try:
        number = _number(text, after, config)
    except ValueError:
        whole_day = _DATE_ALONE.fullmatch(text) is not None
        date = str(np.datetime64(text, "D") + 1) if whole_day and after else text
        found = float(seconds_of_dates(pd.Series([date]), zone).iloc[0])
        if np.isnan(found):
            raise
        return np.nextafter(found, -np.inf) if whole_day and after else found
    return number / UNITS[unit if unit in UNITS else unit_of(np.array([number])) or "s"]


def _day(text: str, after: bool, config: Any) -> float:
    try:
        return _number(text, after, config)
    except ValueError:
        found = float(days_of_dates(pd.Series([text])).iloc[0])
        if np.isnan(found):
            raise
        return found
