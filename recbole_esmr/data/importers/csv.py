"""Any CSV files, with a yaml file that says which column is what.

For example::

    taxonomy: esmr                 # optional: a taxonomy or the path of one
    emotions: {joy: happy}         # optional: labels to rename
    inter:
      file: views.csv              # optional where --input is a file
      columns: {user_id: person, item_id: video, timestamp: seconds, day: day, watch_ratio: share}
    item:
      file: videos.csv
      columns: {item_id: video, emotion: feeling, emotion_intensity: strength}
      multiply: {emotion_intensity: 0.1}     # optional: factors, to bring a column to its range
    day:
      file: diary.csv
      columns: {user_id: person, day: day, emotion: feeling}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from recbole_esmr.data.importers import Imported, read_table
from recbole_esmr.data.schema import SCHEMA
from recbole_esmr.errors import ConfigError, DataError, nearest
from recbole_esmr.files import read_yaml
from recbole_esmr.protocol import BY_TIME

_PART_KEYS = ("file", "columns", "multiply")
_TOKENS = ("user_id", "item_id", "emotion", "category", "theme", "user_profile")


def read_csv(source: Path, mapping: Path | None) -> Imported:
    """Read the CSV files that ``mapping`` names, in the folder ``source`` (or ``source`` itself where it is a file).

    Raises:
        ConfigError: no mapping, or an unknown key in it.
        DataError: a file or column is missing.
    """
    if mapping is None:
        raise ConfigError("csv needs --mapping=FILE.yaml that says which column is what. `docs/data.md` has an example.")
    parts = read_yaml(mapping)
    settings: dict[str, Any] = {}
    if "taxonomy" in parts:
        settings["emotion_taxonomy"] = str(parts.pop("taxonomy"))
    rename = parts.pop("emotions", {})
    for suffix in parts:
        if suffix not in SCHEMA:
            raise ConfigError(f"{mapping}: unknown key '{suffix}'. {nearest(str(suffix), [*SCHEMA, 'taxonomy', 'emotions'])}")
    if "inter" not in parts:
        raise ConfigError(f"{mapping}: the part 'inter' is missing; RecBole needs to know who met which item.")
    frames = {suffix: _frame(source, part, rename, f"{mapping}: {suffix}") for suffix, part in parts.items()}
    if any(column in frames["inter"] for column in ("timestamp:float", "day:float")):
        settings |= BY_TIME
        if "emotion:token" not in frames.get("item", ()):
            settings["metrics"] = ["Recall", "NDCG"]
    return Imported(frames, settings)


def _frame(source: Path, part: Any, rename: dict[str, str], where: str) -> pd.DataFrame:
    if not isinstance(part, dict) or not isinstance(part.get("columns"), dict):
        raise ConfigError(f"{where}: expected `columns: {{field: column of the file}}`.")
    for key in part:
        if key not in _PART_KEYS:
            raise ConfigError(f"{where}: unknown key '{key}'. {nearest(str(key), _PART_KEYS)}")
    path = source / str(part["file"]) if source.is_dir() and "file" in part else source
    if path.is_dir():
        raise DataError(f"{where}: {path} is a folder; name the file with `file: NAME.csv`.")
    columns = {str(field): str(column) for field, column in part["columns"].items()}
    table = read_table(path, list(columns.values()))
    frame = pd.DataFrame({field: table[column] for field, column in columns.items()})
    for field, factor in (part.get("multiply") or {}).items():
        if field not in frame or not pd.api.types.is_numeric_dtype(frame[field]):
            raise ConfigError(f"{where}: multiply names '{field}', which is no numeric field of `columns`.")
        frame[field] = frame[field] * factor
    if "emotion" in frame:
        frame["emotion"] = frame["emotion"].replace(rename)
    types = {field: "token" if field in _TOKENS or not _is_number(frame[field]) else "float" for field in frame}
    return frame.rename(columns={field: f"{field}:{kind}" for field, kind in types.items()})


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) or values.isna().all()
