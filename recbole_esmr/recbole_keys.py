"""What each of RecBole's keys holds: a table, by which every value is checked before RecBole sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import recbole
from recbole.utils import ModelType
from recbole.utils.argument_list import dataset_arguments, evaluation_arguments, general_arguments, training_arguments

from recbole_esmr.errors import ConfigError, nearest
from recbole_esmr.files import read_yaml, shipped
from recbole_esmr.kinds import (
    Kind,
    anything,
    either,
    fields,
    flag,
    list_of,
    mapping_of,
    nothing,
    number,
    one_of,
    only,
    optional,
    text,
    whole,
)  # fmt: skip
from recbole_esmr.protocol import BY_TIME
from recbole_esmr.values import shown

_A_NAME = text("a name")
_NAMES = list_of(_A_NAME, "a list of columns such as ['age', 'watch_ratio']")
_PICKLE = nothing("RecBole unpickles what it names, and a pickle can run code")
_DERIVED = nothing("it follows from the model and the other keys")
_COLUMNS = "a mapping such as {'inter': ['user_id', 'item_id']}"
_INTERVAL = either("an interval such as '[5,inf)'", text(""), Kind("", lambda value: str(list_of(number(), "").read(value))))
_KEPT = "RecBole keeps what is pre-trained as pickles, which can run code"

_MOST_SAMPLED = 10_000
"""Items that are sampled against one that was taken; of more, RecBole is asked for all of them by ``mode: full``."""

_LOSSES_OF = {"SINE": ("NLL",)}
"""Losses of sequential models that only they have."""

_NEEDS_OF_TRANSFORMS = {"mask_itemseq": "mask_ratio", "crop_itemseq": "eta", "reorder_itemseq": "beta"}
"""RecBole's transformations of a batch that read a key, and which."""

KINDS: dict[str, Kind] = {
    # What is written where, and by whom
    **dict.fromkeys(("model", "dataset", "checkpoint_dir", "wandb_project", "ip"), _A_NAME),
    "data_path": text("a folder", empty=True),
    "state": optional(text("a level of the log such as INFO")),
    "gpu_id": either(
        "the number of a GPU, or several such as '0,1'",
        text("", empty=True),
        Kind("", lambda value: str(whole(-1).read(value))),
        Kind("", lambda value: ",".join(map(str, list_of(whole(0), "").read(value)))),
    ),
    **dict.fromkeys(("use_gpu", "reproducibility", "show_progress", "log_wandb", "shuffle"), flag()),
    **dict.fromkeys(("save_dataset", "save_dataloaders"), flag()),
    **dict.fromkeys(("sign", "trust"), optional(text("the path of a file"))),  # of keys, for checkpoints
    "seed": whole(0, 2**32 - 1),
    **dict.fromkeys(("local_rank", "offset", "port"), whole(0)),
    "worker": whole(0, 256),
    **dict.fromkeys(("nproc", "world_size"), whole(-1)),
    **dict.fromkeys(("dataset_save_path", "dataloaders_save_path", "warm_up"), _PICKLE),
    **dict.fromkeys(("pre_model_path", "pretrain_path", "mf_pretrain_path", "mlp_pretrain_path"), _PICKLE),
    **dict.fromkeys(("device", "MODEL_TYPE", "MODEL_INPUT_TYPE", "eval_type", "single_spec"), _DERIVED),
    **dict.fromkeys(("valid_neg_sample_args", "test_neg_sample_args"), _DERIVED),
    # Training
    **dict.fromkeys(("epochs", "stopping_step", "eval_step"), whole(0)),
    **dict.fromkeys(("train_batch_size", "eval_batch_size"), whole(1)),
    "MAX_ITEM_LIST_LENGTH": whole(1, 10_000),
    **dict.fromkeys(("metric_decimal_place", "loss_decimal_place"), whole(0, 15)),
    "learner": one_of("adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam", any_case=True),
    "learning_rate": number(above=0, high=1e6),
    "weight_decay": number(low=0, high=1e6),
    "clip_grad_norm": optional(
        fields("a mapping such as {'max_norm': 5}", ("max_norm",), max_norm=number(above=0), norm_type=number(above=0))
    ),
    "train_neg_sample_args": optional(
        fields(
            "a mapping such as {'distribution': 'uniform', 'sample_num': 1}",
            distribution=optional(one_of("uniform", "popularity")),
            sample_num=either(f"a whole number from 1 to {_MOST_SAMPLED:,}", whole(1, _MOST_SAMPLED), one_of("none")),
            alpha=either("a number from 0 to 10", number(low=0, high=10), one_of("none")),
            dynamic=flag(),
            candidate_num=whole(0, _MOST_SAMPLED),
        )
    ),
    **dict.fromkeys(("require_pow", "enable_amp", "enable_scaler"), flag()),
    "transform": optional(
        one_of(*_NEEDS_OF_TRANSFORMS, "inverse_itemseq", "user_defined")
    ),
    # Stages whose results RecBole hands on as pickles, and a name that it would evaluate
    "use_pretrain": only(False, _KEPT),
    "train_method": only("no_pretrain", _KEPT),
    "phase": only("teacher_training", _KEPT),
    "teacher": one_of("CrossNet", "CIN", "DAGFM"),
    # Sizes of models that are whole numbers in all of them
    **dict.fromkeys(("embedding_size", "hidden_size", "inner_size", "n_heads"), whole(1, 1_000_000)),
    "n_layers": whole(0, 1_000),
    # Evaluation
    "eval_args": mapping_of(anything(), f"a mapping such as {BY_TIME['eval_args']}"),
    "metrics": list_of(_A_NAME, "metrics such as [Recall, NDCG]", alone=True, empty=False),
    "topk": list_of(whole(1), "whole numbers of at least 1, such as [10]", alone=True, empty=False),
    "valid_metric": text("a metric such as NDCG@10"),
    **dict.fromkeys(("repeatable", "valid_metric_bigger"), flag()),
    # Files and their columns
    **dict.fromkeys(("USER_ID_FIELD", "ITEM_ID_FIELD", "LABEL_FIELD", "NEG_PREFIX", "LIST_SUFFIX"), _A_NAME),
    **dict.fromkeys(("ITEM_LIST_LENGTH_FIELD", "POSITION_FIELD"), _A_NAME),
    **dict.fromkeys(("field_separator", "seq_separator"), text("a separator", control="\t")),
    **dict.fromkeys(("HEAD_ENTITY_ID_FIELD", "TAIL_ENTITY_ID_FIELD", "RELATION_ID_FIELD", "ENTITY_ID_FIELD"), _A_NAME),
    **dict.fromkeys(("RATING_FIELD", "TIME_FIELD", "encoding"), optional(_A_NAME)),
    "seq_len": optional(mapping_of(whole(1), "a mapping such as {'tags': 5}")),
    "load_col": optional(mapping_of(either("'*' or a list of columns", one_of("*"), _NAMES), _COLUMNS)),
    **dict.fromkeys(("unload_col", "unused_col"), optional(mapping_of(_NAMES, _COLUMNS))),
    "additional_feat_suffix": optional(list_of(_A_NAME, "a list of suffixes such as ['ent']", alone=True)),
    "numerical_features": _NAMES,
    "benchmark_filename": optional(
        list_of(_A_NAME, "the names of three parts, for training, validation and test, such as ['train', 'valid', 'test']")
    ),
    **dict.fromkeys(("normalize_field", "selected_features"), optional(_NAMES)),
    **dict.fromkeys((f"alias_of_{what}_id" for what in ("user", "item", "entity", "relation")), optional(_NAMES)),
    **dict.fromkeys(("normalize_all", "filter_inter_by_user_or_item"), optional(flag())),
    "kg_reverse_r": flag(),
    "rm_dup_inter": optional(
        either("first or last, which says what of the same person and item is kept", one_of("first", "last"))
    ),
    "threshold": optional(mapping_of(number(), "one column and a number, such as {'watch_ratio': 0.5}")),
    "preload_weight": optional(mapping_of(_A_NAME, "a mapping such as {'ent_id': 'ent_emb'}")),
    "discretization": optional(
        mapping_of(
            either(
                "a mapping such as {'method': 'ED', 'bucket': 10} or {'method': 'LD'}",
                fields("", needs=("method", "bucket"), method=one_of("ED"), bucket=whole(1)),
                fields("", needs=("method",), method=one_of("LD"), bucket=whole(1)),
            ),
            "a mapping such as {'length': {'method': 'ED', 'bucket': 10}}",
        )
    ),
    **dict.fromkeys((f"{what}_inter_num_interval" for what in ("user", "item")), optional(_INTERVAL)),
    **dict.fromkeys((f"{what}_kg_num_interval" for what in ("entity", "relation")), optional(_INTERVAL)),
    # The plug-in's keys beside those of ESMR's settings, which check themselves
    **dict.fromkeys(("timezone", "time_unit"), _A_NAME),
    **dict.fromkeys(("days_are_steps", "items_felt"), flag()),
    "max_unknown_ids": number(low=0, high=1),
    "max_day_gap": whole(1),
    "max_days": optional(whole(1)),
    "liked_rating": optional(number()),
    "memory_limit": optional(number(above=0, unit="GiB")),
    "emotion_taxonomy": anything(),  # a name, a file, or the labels themselves; load_taxonomy says which
    **dict.fromkeys(("backbone", "pretrained_encoder", "causal_graph"), anything(as_typed=True, optional=True)),
}  # fmt: skip
"""Keys of RecBole and of the plug-in's ``overall.yaml``. Those of RecBole's models hold what their yaml files hold."""

AS_RECBOLE: dict[str, Kind] = {"learner": _A_NAME, "learning_rate": number(low=0, high=1e6)}
"""Keys of which RecBole's own entry points take more: of an optimizer that there is not RecBole warns, and takes Adam."""

NOT_FROM_FILES = {"local_rank": "the processes of one training are given it when they start"}
"""Keys that no file and no command line sets, and why: this one opens a network connection."""
NOT_FROM_DATA = NOT_FROM_FILES | dict.fromkeys(
    ("checkpoint_dir", "log_wandb", "wandb_project", "sign", "trust", "export_emotions"),
    "a data set does not say what is written where. Set it in a config file or on the command line",
)
"""Keys that the file of a data set, which may be somebody else's, does not set."""


@cache
def known_keys() -> Mapping[str, Kind]:
    """Every key that RecBole's yaml files, its lists of arguments and the plug-in know, and what it holds."""
    held: dict[str, list[Any]] = {}
    for file in _yaml_files(Path(recbole.__file__).parent / "properties"):
        for key, value in read_yaml(file).items():
            held.setdefault(key, []).append(value)
    found = {key: _like(values) for key, values in held.items()}
    for file in _yaml_files(shipped("properties")):
        own = {key: value for key, value in read_yaml(file).items() if key not in KINDS}
        found |= {key: anything(as_typed=key not in held and isinstance(value, str)) for key, value in own.items()}
    named = (*general_arguments, *training_arguments, *evaluation_arguments, *dataset_arguments)
    return {**dict.fromkeys((*named, "config_files", "loss_type", "eta"), anything()), **found, **KINDS}


def converted(values: Mapping[Any, Any], kinds: Mapping[str, Kind] | None = None) -> dict[str, Any]:
    """Values of the command line or of a ``config_dict``, where texts stand for values, as RecBole uses them.

    Args:
        values: by key; of unknown keys they stay as they are.
        kinds: of keys that hold something else here than :func:`known_keys` says.

    Raises:
        ConfigError: the first key that holds something else than it should.
    """
    found, known = {}, {**known_keys(), **(kinds or {})}
    for key, value in values.items():
        try:
            found[key] = known.get(key, anything()).of_option(value) if isinstance(value, str) else value
        except ConfigError as error:
            raise ConfigError(f"{key}: {error}") from error
    return checked(found, kinds=kinds)


def convert(_: Callable[..., Any], config: Any, values: dict[str, Any]) -> dict[str, Any]:
    """``Config._convert_config_dict`` of RecBole's own class.

    Args:
        _: RecBole's own method, which evaluates texts as Python.
        config: RecBole's config.
        values: texts and other values by key.
    """
    return converted(values)


def checked(
    values: Mapping[Any, Any],
    where: str = "",
    never: Mapping[str, str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
) -> dict[str, Any]:
    """The values of a file, of the command line or of a ``config_dict``, as RecBole uses them.

    Args:
        values: by key; of unknown keys they stay as they are.
        where: what messages begin with, for example ``mine.yaml: ``.
        never: keys that are not set there, and why.
        kinds: of keys that hold something else here than :func:`known_keys` says.

    Raises:
        ConfigError: the first key that holds something else than it should.
    """
    found, known = {}, {**known_keys(), **(kinds or {})}
    for key, value in values.items():
        if not isinstance(key, str):
            raise ConfigError(f"{where}a key is {shown(key)}; expected a text such as epochs.")
        if key in (never or {}):
            raise ConfigError(f"{where}{key} is not set here: {(never or {})[key]}.")
        found[key] = known[key].checked(value, where + key) if key in known else value
    return found


def check_keys(given: Iterable[str], wrong: str) -> None:
    """Refuse keys that neither RecBole nor the plug-in knows.

    Raises:
        ConfigError: ``wrong``, the key, and the nearest known one.
    """
    for key in given:
        if key not in known_keys():
            raise ConfigError(f"{wrong} {shown(key)}. {nearest(str(key)[:80], known_keys())}")


def check_together(config: Any) -> None:
    """Refuse a ``loss_type`` that no sequential model of RecBole has, and a ``transform`` without the key that it reads.

    Raises:
        ConfigError: the key, what it holds, and what is expected.
    """
    loss, losses = config["loss_type"], ("CE", "BPR", *_LOSSES_OF.get(config.model, ()))
    if config["MODEL_TYPE"] == ModelType.SEQUENTIAL and loss is not None and loss not in losses:
        raise ConfigError(f"{config.model}: loss_type is {shown(loss)}; expected one of {', '.join(losses)}.")
    needs = _NEEDS_OF_TRANSFORMS.get(config["transform"])
    if needs is not None and not isinstance(config[needs], int | float):
        raise ConfigError(f"transform: {config['transform']} reads {needs}, which is {shown(config[needs])}. Set it to a number.")


def _yaml_files(properties: Path) -> list[Path]:
    files = [properties / "overall.yaml", *properties.glob("model/*.yaml"), *properties.glob("quick_start_config/*.yaml")]
    return [file for file in (*files, *properties.glob("dataset/*.yaml")) if file.is_file() and "url" not in file.stem]


def _like(values: list[Any]) -> Kind:
    """The kind of the values that RecBole's yaml files give a key; any kind where they differ."""
    such = f"such as {shown(values[0])}"
    types = {float if type(value) is int else type(value) for value in values}
    if types == {bool}:
        return flag()
    if types == {float} and all(value in (0, 1) for value in values):
        return either(f"a number {such}", number(), flag())
    if types == {float}:
        return Kind(f"a number {such}", number().read)
    if types == {str}:
        return optional(text(f"a text {such}", empty=True))
    if types == {list}:
        return list_of(anything(), f"a list {such}")
    return mapping_of(anything(), f"a mapping {such}") if types == {dict} else anything()
