"""Any CSV files, with a yaml file that says which column is what; ``docs/data.md`` describes it.

For example::

    timezone: Europe/Berlin        # of dates without an offset
    emotions: {joy: happy}         # labels to rename
    inter:
      file: views_*.csv
      columns: {user_id: person, item_id: video, timestamp: when, watch_ratio: percent}
      scale: {watch_ratio: [0, 100]}
    day:
      file: diary.csv
      columns: {user_id: person, day: date, valence: mood}
      scale: {valence: [1, 7]}
      aggregate: {valence: mean}

Without `inter`, and with `day`, the data are a diary alone: nothing can be recommended from it, and tomorrow can be foretold.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from recbole_esmr.data.importers.combine import aggregated, default_rule, once, order_of, refuse_several
from recbole_esmr.data.importers.diary import DIARY, views_of
from recbole_esmr.data.importers.fields import TIMEZONE, known
from recbole_esmr.data.importers.imported import Imported, Origin
from recbole_esmr.data.importers.mapping import CSVMapping, Part, load_mapping
from recbole_esmr.data.importers.moments import midnights
from recbole_esmr.data.importers.part import Known, read_part
from recbole_esmr.data.importers.plausible import doubts
from recbole_esmr.data.importers.table import Table, read_table
from recbole_esmr.data.reading.consent import says_who_consents
from recbole_esmr.data.reading.times import SECONDS_A_DAY, is_date
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.protocol import BY_TIME


def read_csv(source: Path, mapping: Path | None) -> Imported:
    """Read the CSV files that ``mapping`` names, in the folder ``source`` (or ``source`` itself where it is a file).

    Raises:
        ConfigError: no mapping, or something in it that means nothing.
        DataError: a file, a column or a cell that is wrong; the message names file, line, column and the mend.
    """
    if mapping is None:
        raise ConfigError("csv needs --mapping=FILE.yaml that says which column is what. `--draft` writes one to begin with.")
    said = load_mapping(mapping)
    told, read = Known(), dict[Any, Table]()
    frames: dict[str, pd.DataFrame] = {}
    origins: dict[str, Origin] = {}
    for suffix, part in said.parts.items():
        paths = _files(source, part.file, f"{mapping}: {suffix}")
        key = (*paths, part.delimiter, part.encoding)
        if key not in read:
            read[key] = read_table(paths, part.delimiter, part.encoding)
            told.notes += read[key].notes
        frame = read_part(suffix, part, read[key], said, told)
        columns = {name: column for name, column in part.columns.items() if isinstance(column, str)}
        frames[suffix] = _combined(suffix, part, frame, read[key], columns, said, told)
        origins[suffix] = Origin(read[key], columns)
        if suffix == "user" and TIMEZONE in frame:
            told.zones = frames[suffix].set_index("user_id")[TIMEZONE]
        if suffix == "item" and "duration" in frame:
            told.lengths = frames[suffix].set_index("item_id")["duration"]
        told.notes.append(f".{suffix}: {len(frames[suffix])} rows from {len(read[key].cells)} rows of {read[key].name}")
    if "day" in frames:
        _refuse_unread_consent(said, [*read.values()])
    if "inter" not in frames:
        frames["inter"], origins["inter"] = views_of(frames["day"]), origins["day"]
        told.notes.append(
            f".inter: a diary alone: the item '{DIARY}' on each of its days, for RecBole; `recbole-esmr forecast` is for it"
        )
    _add_timestamp(frames, said, told)
    own = [str(name) for name in frames["inter"] if _is_own_text(frames["inter"], str(name))]
    if own:
        told.notes.append(f".inter: {', '.join(own)} stay out of `load_col`: models cannot rank by a text that only views have")
    told.warnings += doubts(frames, origins, said)
    settings = {**_protocol(frames), **said.settings}
    typed = {suffix: _typed(frame, suffix) for suffix, frame in frames.items()}
    return Imported(typed, settings, origins, told.notes, told.warnings)


def _refuse_unread_consent(said: CSVMapping, tables: Sequence[Table]) -> None:
    """Refuse to pass over a column that seems to say who lets their days be read.

    Raises:
        DataError: the column, and how to say what it is.
    """
    used = set[str]()
    for part in said.parts.values():
        used |= {column for column in part.columns.values() if isinstance(column, str)} | set(part.where)
    people = {part.columns["user_id"] for part in said.parts.values() if "user_id" in part.columns}
    for table in tables:
        for column in map(str, table.cells if people & set(map(str, table.cells)) else []):
            if column not in used and says_who_consents(column, table.cells[column].fillna("")):
                raise DataError(
                    f"{table.name}: the column '{column}' looks as if it said who consents, and the mapping does not read it. If "
                    f"it does, map it in a part 'user' that reads {table.name}: `consent: {column}`. If it says something else, "
                    f"give it a name of your own in the part that reads it, such as `newsletter: {column}`."
                )


def _files(source: Path, named: Any, where: str) -> list[Path]:
    """The files that a part names: one, a list, or all that a pattern fits, in the order of their names."""
    if named is None:
        if source.is_dir():
            raise ConfigError(f"{where}: {source} is a folder; name the file with `file: NAME.csv`.")
        return [source]
    folder, found = source if source.is_dir() else source.parent, []
    for name in named if isinstance(named, list) else [named]:
        path = folder / str(name)
        exact = os.path.isfile(path) or not any(sign in str(name) for sign in "*?[")  # Path.is_file raises on a name too long
        try:
            if not exact and any("**" in part and part != "**" for part in Path(str(name)).parts):  # Python 3.13 takes it for *
                raise ValueError("'**' is only allowed as an entire path component")
            matches = [path] if exact else sorted(folder.glob(str(name)))
        except (ValueError, NotImplementedError, OSError) as error:
            raise ConfigError(
                f"{where}: '{name}' is no pattern of file names ({error}). Write one such as views_*.csv."
            ) from error
        if not matches:
            raise ConfigError(f"{where}: no file in {folder} fits the pattern '{name}'.")
        found += matches
    if not found or len(set(found)) < len(found):
        raise ConfigError(f"{where}: file is {named!r}; expected one or more files, each of them once.")
    return found


def _combined(
    suffix: str, part: Part, frame: pd.DataFrame, table: Table, columns: dict[str, str], said: CSVMapping, told: Known
) -> pd.DataFrame:
    """One row a person in ``user``, an item in ``item``, a person's day in ``day``; the other parts as they are."""
    if suffix in ("user", "item"):
        return once(frame, f"{suffix}_id", table, columns)
    if suffix != "day":
        return frame
    if not part.aggregate:
        refuse_several(frame, table, columns)
        return frame
    merged = aggregated(frame, part.aggregate, order_of(table, part, frame.index), said.taxonomy)
    fields = frame.columns.drop(["user_id", "day"])
    rules = ", ".join(f"{name} {part.aggregate.get(name, default_rule(frame[name]))}" for name in fields)
    ordered = f", ordered by '{part.order}'" if part.order else ""
    told.notes.append(f"aggregate: {len(frame)} rows became {len(merged)} days of people ({rules}{ordered})")
    return merged


def _add_timestamp(frames: dict[str, pd.DataFrame], said: CSVMapping, told: Known) -> None:
    """A ``timestamp`` from the day where ``inter`` has none: every model orders by it. Rows of a day keep their order."""
    frame = frames["inter"]
    if "timestamp" in frame or "day" not in frame:
        return
    day = frame["day"]
    seconds = (day - 1) * SECONDS_A_DAY  # day 1 begins with second 0
    if len(frame) and is_date(int(day.min())):
        default = said.timezone or "UTC"
        zone = default if told.zones is None else frame["user_id"].map(told.zones).replace("", np.nan).fillna(default)
        seconds = midnights(day, zone)
    frames["inter"] = frame.assign(timestamp=seconds + frame.groupby(["user_id", "day"]).cumcount())
    told.notes.append("timestamp: made from the day, in the order of the rows")


def _protocol(frames: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """What every model needs to know of the data; nothing where there is no order to test by."""
    load = {"inter": [name for name in frames["inter"] if not _is_own_text(frames["inter"], str(name))]}
    if "timestamp" not in frames["inter"]:
        return {"load_col": load} if len(load["inter"]) < frames["inter"].shape[1] else {}
    settings = {"load_col": load, **BY_TIME}
    longest = min(*BY_TIME["topk"], frames["inter"]["item_id"].nunique())  # a list cannot be longer than the catalogue
    settings |= {"topk": [longest], "valid_metric": f"NDCG@{longest}"}
    items = frames.get("item", pd.DataFrame())
    said = [items[name] for name in ("emotion", "emotion_share", "valence") if name in items]
    if not any(((one != "") & one.notna()).any() for one in said):
        settings["metrics"] = ["Recall", "NDCG"]
    return settings


def _is_own_text(views: pd.DataFrame, name: str) -> bool:
    """Whether a column of ``inter`` is text of the user's own, which no model may load.

    RecBole's context-aware models want every text column of an interaction also for the items that they rank, which have none.
    """
    return name not in known("inter") and not is_numeric_dtype(views[name])


def _typed(frame: pd.DataFrame, suffix: str) -> pd.DataFrame:
    """Columns named ``field:type``."""
    names = {}
    for name in frame:
        column = known(suffix).get(str(name))
        text = "float" if is_numeric_dtype(frame[name]) else "token"
        names[name] = f"{name}:{text if column is None else column.type}"
    return frame.rename(columns=names)
