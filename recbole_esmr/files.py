"""Files that come with the package, and files written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from recbole_esmr.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """The folder ``properties`` or ``datasets`` that comes with recbole-esmr.

    In the wheel both lie inside the package; in a source checkout they lie beside it, at the top level.
    """
    inside = _PACKAGE / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


def shipped_names(folder: str) -> list[str]:
    """Names (without ``.yaml``) of the yaml files in a shipped folder such as ``properties/world``."""
    return sorted(path.stem for path in shipped("properties").joinpath(folder).glob("*.yaml"))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read one yaml mapping.

    Raises:
        ConfigError: the file is missing, is not yaml, or does not hold a mapping; the message names file and line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Give the path of a yaml file.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8. Save it as UTF-8.") from error
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not valid yaml ({getattr(error, 'problem', error)}).") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds a {type(values).__name__}; expected a mapping of `key: value` lines.")
    return values


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and rename it to ``path`` when the block ends well.

    A reader sees the old file or the new one, never half of either; on an error nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as JSON, whole or not at all. NaN and infinity become ``null``, as JSON has neither."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(_finite(content), indent=2) + "\n", encoding="utf-8")


def write_atomic_files(folder: str | Path, frames: dict[str, pd.DataFrame], settings: dict[str, Any], comment: str) -> None:
    """Write a RecBole data set: ``NAME.SUFFIX`` for each frame and ``NAME.yaml`` with its settings, all of them or none.

    Args:
        folder: where to; its name is the data set's name.
        frames: by suffix; columns are named ``field:type``.
        settings: RecBole keys that every model needs for this data set; the plug-in's Config reads them.
        comment: first line of the yaml file.
    """
    folder = Path(folder)
    with ExitStack() as files:
        for suffix, frame in frames.items():
            frame.to_csv(files.enter_context(written_whole(folder / f"{folder.name}.{suffix}")), sep="\t", index=False)
        text = f"# {comment}\n" + yaml.safe_dump(settings, sort_keys=False)
        files.enter_context(written_whole(folder / f"{folder.name}.yaml")).write_text(text, encoding="utf-8")


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if hasattr(content, "item"):
        content = content.item()
    if isinstance(content, float) and not (abs(content) < float("inf")):
        return None
    return content


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
