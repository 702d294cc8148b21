"""How models are judged: the split by time that a data set with days brings along, and what one comparison holds equal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recbole.utils import ModelType

from recbole_esmr.errors import ConfigError, nearest
from recbole_esmr.values import shown

BY_TIME: dict[str, Any] = {
    "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
    "repeatable": True,
    "MAX_ITEM_LIST_LENGTH": 20,
    "metrics": ["Recall", "NDCG", "NegativeExposure", "ExpectedValence"],
    "topk": [10],
    "valid_metric": "NDCG@10",
}
"""RecBole keys written into the ``NAME.yaml`` of simulated and imported data: each person's last interaction is the test, the one
before it the validation; what was seen may be shown again; sequential models read 20 items, which keeps them fast on a CPU."""

EMOTION_METRICS = ("NegativeExposure", "ExpectedValence")
MOMENT_METRICS = ("LikedRecall", "FeelAUC")
"""Metrics of how people felt after an item."""

_MODE = re.compile(r"full|labeled|(uni|pop)[1-9]\d{0,4}")

ROWS = ("shared", "recbole")
"""Values of the key ``rows``. ``shared``: each model is given the same rows, in one order, and one split. ``recbole``: lines
that RecBole reads are read, and what it leaves out is left out with a warning; rows of one moment stand as in the file; histories
are split, and not the interactions that they end with."""

FILTERS = ("val_interval", "user_inter_num_interval", "item_inter_num_interval", "rm_dup_inter", "filter_inter_by_user_or_item")
SHARED = (
    "rows",
    *("eval_args", "repeatable", "metrics", "topk", "valid_metric", "metric_decimal_place", "MAX_ITEM_LIST_LENGTH"),
    *("benchmark_filename", "load_col", "unload_col", "unused_col", "threshold", *FILTERS),
    *("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD", "data_path", "dataset"),
)
"""RecBole keys that decide which rows a model learns from, what it is asked and how the answer is judged."""


def defaults(config: Mapping[str, Any], columns: Callable[[str], list[str]]) -> dict[str, Any]:
    """What holds for every model of a comparison where neither the data set nor the user sets a key.

    Rows are split by time (:data:`BY_TIME`). Every model is given the same columns: of ``.inter`` people, items, times and what a
    filter reads, so that neither the day nor how long an item was watched, which are not known when an item is chosen, become
    features of it; of ``.item`` and ``.user`` all.

    Args:
        config: any of the models' configs, for the names of fields and the filters.
        columns: the names in the header of the data set's file of that suffix.
    """
    inter = columns("inter")
    time = config["TIME_FIELD"] if config["TIME_FIELD"] in inter else config["DAY_FIELD"]
    read = [config["USER_ID_FIELD"], config["ITEM_ID_FIELD"], time, config["LABEL_FIELD"]]
    read += [*(config["val_interval"] or {}), *(config["threshold"] or {})]
    has_emotion = any(config[role] in columns("item") for role in ("EMOTION_FIELD", "EMOTION_SHARE_FIELD", "VALENCE_FIELD"))
    metrics = [name for name in BY_TIME["metrics"] if has_emotion or name not in EMOTION_METRICS]
    load = {"inter": [name for name in dict.fromkeys(read) if name in inter]} | dict.fromkeys(("item", "user", "kg", "link"), "*")
    return BY_TIME | {"metrics": metrics, "load_col": load}


def shared(config: Mapping[str, Any]) -> dict[str, Any]:
    """The protocol that a config holds to: its :data:`SHARED` keys."""
    return {key: config[key] for key in SHARED}


def require_one(protocols: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse models that would be judged by different protocols.

    Raises:
        ConfigError: the first key that differs, and two of the models.
    """
    (first, agreed), *others = protocols.items()
    for model, protocol in others:
        for key in SHARED:
            if _without_graph(key, protocol[key]) != _without_graph(key, agreed[key]):
                raise ConfigError(
                    f"{key} is {protocol[key]!r} for {model} and {agreed[key]!r} for {first}: they would not be comparable. "
                    f"Set {key} for both, in a config file or on the command line."
                )


def _without_graph(key: str, value: Any) -> Any:
    """A ``load_col`` without the knowledge graph, which only the models that are given it read."""
    if key != "load_col" or value is None:
        return value
    return {suffix: names for suffix, names in value.items() if suffix not in ("kg", "link")}


def in_words(said: str, config: Mapping[str, Any]) -> str:
    """What RecBole says of an evaluation that it refuses, in words that name the keys and the mend."""
    if "Full sort evaluation" in said:
        return f"metrics {config['metrics']} judge labels, and mode full ranks items. Set metrics such as NDCG, or mode: labeled."
    if "Ranking metrics and value metrics" in said:
        return f"metrics {config['metrics']} judge rankings (NDCG, Recall) and labels (AUC, LogLoss). Set metrics of one kind."
    return " ".join(said.split())


def check_eval_args(given: Any) -> None:
    """Refuse an ``eval_args`` that RecBole would stumble over when it splits.

    Raises:
        ConfigError: what is wrong with it, and what is expected.
    """
    known = {"split", "group_by", "order", "mode"}
    if not isinstance(given, Mapping):
        raise ConfigError(f"eval_args is {shown(given)}; expected a mapping such as {BY_TIME['eval_args']}.")
    for key in given:
        if key not in known:
            raise ConfigError(f"eval_args: unknown key {shown(key)}. {nearest(str(key)[:80], known)}")
    for key, choices in (("order", ("RO", "TO")), ("group_by", ("user", "none", "None", None))):
        if given.get(key, choices[0]) not in choices:
            raise ConfigError(f"eval_args: {key} is {shown(given[key])}; expected one of {', '.join(map(str, choices))}.")
    if "split" in given:
        _check_split(given["split"])
    modes = given.get("mode", "full")
    if isinstance(modes, Mapping) and set(modes) - {"valid", "test"}:
        raise ConfigError(f"eval_args: mode is {shown(modes)}; expected the keys valid and test.")
    for mode in modes.values() if isinstance(modes, Mapping) else [modes]:
        if not isinstance(mode, str) or not _MODE.fullmatch(mode):
            raise ConfigError(
                f"eval_args: mode is {shown(mode)}; expected full, labeled, or a number of sampled items such as uni100 or "
                "pop100, of at most five digits."
            )


def as_recbole(config: Mapping[str, Any]) -> bool:
    """Whether a model is given its rows in RecBole's own way."""
    return bool(config["rows"] == "recbole")


def check_rows(given: Any, is_esmr: bool) -> None:
    """Refuse a value of ``rows`` that there is not, and RecBole's own for ESMR.

    Raises:
        ConfigError: what it is, and what is expected.
    """
    if given not in ROWS:
        raise ConfigError(f"rows is {shown(given)}; expected {' or '.join(ROWS)}.")
    if is_esmr and given != "shared":
        raise ConfigError("rows: ESMR's data are always read as shared. Leave rows out, or set rows: shared.")


def check_judged(config: Any) -> None:
    """Refuse a ``valid_metric`` that is not judged, and a split that a sequential model cannot be asked by.

    Raises:
        ConfigError: the key, what it holds, and what is expected.
    """
    if config["MODEL_TYPE"] == ModelType.SEQUENTIAL and config["eval_args"]["order"] != "TO":
        raise ConfigError(
            f"eval_args: {config['model']} reads what came before, so it needs `order: TO`; given {config['eval_args']['order']}."
        )
    name, _, k = str(config["valid_metric"]).partition("@")
    if name.lower() not in [metric.lower() for metric in config["metrics"]] or (k and k not in map(str, config["topk"])):
        raise ConfigError(
            f"valid_metric is {config['valid_metric']}; expected one of metrics {config['metrics']} at one of topk "
            f"{config['topk']}."
        )


def _check_split(split: Any) -> None:
    kinds = "{LS: valid_and_test}, {RS: [0.8, 0.1, 0.1]} or {TS: [0.8, 0.1, 0.1]}"
    if not isinstance(split, Mapping) or len(split) != 1 or next(iter(split)) not in ("LS", "RS", "TS"):
        raise ConfigError(f"eval_args: split is {shown(split)}; expected {kinds}.")
    ((kind, value),) = split.items()
    if kind == "LS":
        parts: Sequence[str] = ("valid_and_test", "valid_only", "test_only")
        if value not in parts:
            raise ConfigError(f"eval_args: split LS is {shown(value)}; expected one of {', '.join(parts)}.")
        return
    shares = (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(share, int | float) and 0 <= share <= 1e9 for share in value)
    )
    if not shares or not value[0] > 0:
        raise ConfigError(
            f"eval_args: split {kind} is {shown(value)}; expected three shares, for training, validation and test, the first "
            f"above 0: {kinds}."
        )
