"""The columns that a config names: the files have them, they are of the right type, and every model is given them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_esmr.data.reading.atomic import read_header
from recbole_esmr.data.recbole.filtering import check_values
from recbole_esmr.errors import ConfigError, DataError, nearest

_SUFFIXES = ("inter", "item", "user", "kg", "link")
_MAY_LACK = ("day", "imp")
"""ESMR's own files, without which it does with less."""
_ALIASES = ("alias_of_user_id", "alias_of_item_id", "alias_of_entity_id", "alias_of_relation_id")


def types_of(config: Any, suffix: str) -> dict[str, str]:
    """The type of each column of ``NAME.suffix``, or of its first part under ``benchmark_filename``; {} without the file.

    Raises:
        DataError: its header is not ``name:type``.
    """
    path = _path(config, suffix, *(config["benchmark_filename"] or ())[:1])
    return read_header(path, config) if path.is_file() else {}


def columns(config: Any, suffix: str) -> list[str]:
    """The names in the header that :func:`types_of` reads."""
    return list(types_of(config, suffix))


def check_columns(config: Any) -> None:
    """Let every model load the columns that filters, labels and aliases read, and refuse those that are not there.

    Without it RecBole stops at a column that ``load_col`` does not name, for some of the models.

    Raises:
        ConfigError: the key, the column, and what there is.
        DataError: a part of ``benchmark_filename`` is missing.
    """
    _check_parts(config)
    _check_suffixes(config)
    _check_fields(config)
    _check_named(config)
    _check_loaded(config)


def _check_named(config: Any) -> None:
    weights = config["preload_weight"] or {}
    named = {
        "val_interval": list(config["val_interval"] or {}),
        "threshold": _threshold(config),
        "discretization": list(config["discretization"] or {}),
        "preload_weight": [*weights, *weights.values()],
        **{key: config[key] or [] for key in ("numerical_features", "normalize_field", *_ALIASES)},
    }
    if not any(named.values()):
        return
    more = [suffix for suffix in config["additional_feat_suffix"] or () if suffix not in _MAY_LACK]
    files = {suffix: types_of(config, suffix) for suffix in (*_SUFFIXES, *more)}
    if not files["inter"]:  # no such file, which the reader says, or one that RecBole will download
        return
    types = {name: kind for suffix in reversed(files) for name, kind in files[suffix].items()}
    check_values(config, types)
    for pair in weights.items():
        if not any(set(pair) <= set(files[suffix]) for suffix in more):
            raise ConfigError(f"preload_weight: {': '.join(pair)}: expected two columns of one file of additional_feat_suffix.")
    for key, names in named.items():
        for name in names:
            there = files["inter"] if key == "threshold" else types
            if name not in there:
                where = f"{config['dataset']}.inter" if key == "threshold" else f"no file of data set '{config['dataset']}'"
                lacks = "has no such column" if key == "threshold" else "has this column"
                raise ConfigError(f"{key}: {name}: {where} {lacks}. {nearest(str(name), there)}")
            _check_type(key, name, there[name])
            for suffix in files:
                if name in files[suffix]:
                    _load(config, key, suffix, name)
                    break


def _path(config: Any, suffix: str, *part: str) -> Path:
    name = ".".join([str(config["dataset"]), *(part if suffix == "inter" else ()), suffix])
    return Path(str(config["data_path"])) / name


def _check_parts(config: Any) -> None:
    parts = config["benchmark_filename"]
    if parts is None:
        return
    if len(parts) != 3:
        raise ConfigError(
            f"benchmark_filename is {parts!r}; expected the names of three parts, for training, validation and test, such as "
            "['train', 'valid', 'test']."
        )
    for part in parts:
        path = _path(config, "inter", part)
        if not path.is_file():
            raise DataError(f"{path}: no such file, and benchmark_filename names it. Write it, or mend benchmark_filename.")


def _check_suffixes(config: Any) -> None:
    """Refuse suffixes of files that are not there."""
    more = config["additional_feat_suffix"] or []
    for suffix in more:
        if suffix in _SUFFIXES:
            raise ConfigError(f"additional_feat_suffix: .{suffix} is read anyway. Take it out.")
        path = _path(config, suffix)
        if suffix not in _MAY_LACK and path.parent.is_dir() and not path.is_file():
            raise ConfigError(f"additional_feat_suffix: {path} is not there. Take {suffix} out.")
    for suffix in config["unused_col"] or {}:
        if suffix not in (*_SUFFIXES, *more):
            raise ConfigError(f"unused_col: unknown suffix '{suffix}'. {nearest(suffix, (*_SUFFIXES, *more))}")


def _check_loaded(config: Any) -> None:
    """Refuse columns of a file that are both listed and left out, which RecBole does not take together."""
    load, unload = config["load_col"] or {}, config["unload_col"] or {}
    for suffix in load:
        if load[suffix] not in ("*", []) and unload.get(suffix):
            raise ConfigError(
                f"unload_col: load_col lists columns of .{suffix} as well. Take the columns out of load_col, or set {suffix}: "
                "'*' in it."
            )


def _check_fields(config: Any) -> None:
    """Refuse a column in two roles, and a role without a column."""
    user, item = ({config[f"{role}_ID_FIELD"], *(config[f"alias_of_{role.lower()}_id"] or ())} for role in ("USER", "ITEM"))
    if user & item:
        raise ConfigError(f"{', '.join(sorted(user & item))}: is named both as people and as items. Name each column once.")
    if config["TIME_FIELD"] is None and config["eval_args"]["order"] == "TO":
        raise ConfigError("TIME_FIELD is ~, and eval_args has `order: TO`. Name the column of moments, or set `order: RO`.")
    for name in config["discretization"] or {}:
        if name not in config["numerical_features"]:
            raise ConfigError(f"discretization: {name}: is not among numerical_features. Add it there.")


def _threshold(config: Any) -> list[str]:
    given = config["threshold"]
    if given is None:
        return []
    if len(given) != 1:
        raise ConfigError(f"threshold is {given!r}; expected one column and a number, such as {{'watch_ratio': 0.5}}.")
    return list(given)


def _check_type(key: str, name: str, kind: str) -> None:
    numbers = dict.fromkeys(("numerical_features", "discretization"), ("float", "float_seq"))
    expected = {"threshold": ("float",), **numbers, **dict.fromkeys(_ALIASES, ("token", "token_seq"))}.get(key)
    if expected and kind not in expected:
        raise ConfigError(f"{key}: {name}: the column has the type '{kind}'; expected {' or '.join(expected)}.")


def _load(config: Any, key: str, suffix: str, name: str) -> None:
    """Add a column to ``load_col``, where that lists columns of its file."""
    if name in (config["unload_col"] or {}).get(suffix, ()):
        raise ConfigError(f"{key}: {name}: unload_col leaves this column of .{suffix} out. Take it from unload_col.")
    load = config["load_col"]
    if load is not None and load.get(suffix) != "*" and name not in (load.get(suffix) or ()):
        config["load_col"] = {**load, suffix: [*(load.get(suffix) or ()), name]}
