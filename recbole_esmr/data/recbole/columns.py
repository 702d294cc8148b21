"""The columns that a config names: the files have them, they are of the right type, and every model is given them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_esmr.data.reading.atomic import read_header
from recbole_esmr.data.recbole.filtering import check_values
from recbole_esmr.errors import ConfigError, DataError, nearest

_SUFFIXES = ("inter", "item", "user", "kg", "link")
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
    named = {
        "val_interval": list(config["val_interval"] or {}),
        "threshold": _threshold(config),
        **{key: config[key] or [] for key in ("normalize_field", *_ALIASES)},
    }
    if not any(named.values()):
        return
    files = {suffix: types_of(config, suffix) for suffix in _SUFFIXES}
    if not files["inter"]:  # no such file, which the reader says, or one that RecBole will download
        return
    types = {name: kind for suffix in reversed(_SUFFIXES) for name, kind in files[suffix].items()}
    check_values(config, types)
    for key, names in named.items():
        for name in names:
            there = files["inter"] if key == "threshold" else types
            if name not in there:
                where = f"{config['dataset']}.inter" if key == "threshold" else f"no file of data set '{config['dataset']}'"
                lacks = "has no such column" if key == "threshold" else "has this column"
                raise ConfigError(f"{key}: {name}: {where} {lacks}. {nearest(str(name), there)}")
            _check_type(key, name, there[name])
            for suffix in _SUFFIXES:
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


def _threshold(config: Any) -> list[str]:
    given = config["threshold"]
    if given is None:
        return []
    if len(given) != 1:
        raise ConfigError(f"threshold is {given!r}; expected one column and a number, such as {{'watch_ratio': 0.5}}.")
    return list(given)


def _check_type(key: str, name: str, kind: str) -> None:
    expected = {"threshold": ("float",), **dict.fromkeys(_ALIASES, ("token", "token_seq"))}.get(key)
    if expected and kind not in expected:
        raise ConfigError(f"{key}: {name}: the column has the type '{kind}'; expected {' or '.join(expected)}.")


def _load(config: Any, key: str, suffix: str, name: str) -> None:
    """Add a column to ``load_col``, where that lists columns of its file."""
    if name in (config["unload_col"] or {}).get(suffix, ()):
        raise ConfigError(f"{key}: {name}: unload_col leaves this column of .{suffix} out. Take it from unload_col.")
    load = config["load_col"]
    if load is not None and load.get(suffix) != "*" and name not in (load.get(suffix) or ()):
        config["load_col"] = {**load, suffix: [*(load.get(suffix) or ()), name]}
