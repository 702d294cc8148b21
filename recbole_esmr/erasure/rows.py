"""Takes people out of files of rows: every other row stays as it is written, byte for byte."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.atomic import TYPES

_SEPARATORS = ("\t", ",", ";", "|")
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


@dataclass(frozen=True)
class Cut:
    """A file without some people: what it then holds, how many lines (of JSON: parts) are gone, and whose."""

    content: bytes
    lines: int
    names: frozenset[str]


def without_people(path: Path, names: set[str], config: Mapping[str, Any]) -> Cut | None:
    """What a file holds without these people.

    An atomic file, or one of cells with a header, loses the rows whose person they are; JSON the objects and the keys. A cell is
    compared whole, so ``u1`` is not ``u10``.

    Args:
        path: any file.
        names: of the people, as the files spell them.
        config: name of the column of people, how files are written.

    Returns:
        None where the file holds no rows of theirs.
    """
    found = decoded(path.read_bytes(), config)
    if found is None:
        return None
    text, codec = found
    if path.suffix in (".json", ".jsonl", ".ndjson"):
        kept, gone, whose = _of_json(text, path.suffix != ".json", names, str(config["USER_ID_FIELD"]))
    else:
        lines = list(io.StringIO(text, newline=""))
        theirs, whose = _lines_of(lines, path, names, config)
        kept, gone = "".join(compress(lines, ~theirs)), int(theirs.sum())
    return Cut(kept.encode(codec), gone, frozenset(whose)) if gone else None


def decoded(raw: bytes, config: Mapping[str, Any]) -> tuple[str, str] | None:
    """A file's text, a byte order mark included, and its encoding; None where it is no text."""
    codec = _BYTE_ORDER_MARKS.get(raw[:2]) or str(config["encoding"] or "utf-8")
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text else (text, codec)


def header_of(line: str, config: Mapping[str, Any]) -> tuple[list[str], list[str], str]:
    """Names and types of the columns, and what separates the cells; types are "" where the file is not atomic."""
    head = line.lstrip("\ufeff").rstrip("\r\n")
    separator = str(config["field_separator"])
    parts = [cell.strip().rpartition(":") for cell in head.split(separator)]
    if all(name and kind in TYPES for name, _, kind in parts):
        return [name for name, _, _ in parts], [kind for _, _, kind in parts], separator
    separator = max(_SEPARATORS, key=head.count)
    names = next(csv.reader([head], delimiter=separator), [])
    return [name.strip() for name in names], [""] * len(names), separator


def _lines_of(lines: list[str], path: Path, names: set[str], config: Mapping[str, Any]) -> tuple[np.ndarray, set[str]]:
    """Whether each line is one of these people's, (N,) bool, and whose; the header is nobody's."""
    theirs, whose = np.zeros(len(lines), dtype=bool), set[str]()
    if not lines:
        return theirs, whose
    columns, types, separator = header_of(lines[0], config)
    of_people = {str(config["USER_ID_FIELD"]), *(config["alias_of_user_id"] or ())}
    places = [place for place, name in enumerate(columns) if name in of_people]
    if path.suffix == ".net":  # RecBole-GNN's social network: two people a line
        places = [place for place, kind in enumerate(types) if kind == "token"]
    if types[:1] == [""] and any('"' in line for line in lines):
        return _quoted_lines(lines, places, separator, names)
    cells = pd.Series(lines[1:], dtype=object).str.rstrip("\r\n").str.split(separator, regex=False)
    for place in places:
        cell: Any = cells.str[place].astype(object)  # where all lines are empty, pandas makes numbers of them
        if types[place].endswith("_seq"):
            cell = cell.str.split(str(config["seq_separator"])).explode()
        found = cell.isin(names)
        whose |= set(cell[found])
        theirs[1:] |= found.groupby(level=0).any().to_numpy(bool)
    return theirs, whose


def _quoted_lines(lines: list[str], places: list[int], separator: str, names: set[str]) -> tuple[np.ndarray, set[str]]:
    """The same for cells in quotation marks, which may go over several lines."""
    theirs, whose = np.zeros(len(lines), dtype=bool), set[str]()
    reader, start = csv.reader(lines, delimiter=separator), 0
    for row in reader:
        found = names.intersection(row[place] for place in places if place < len(row)) if start else set()
        theirs[start : reader.line_num] = bool(found)
        whose |= found
        start = reader.line_num
    return theirs, whose


def _of_json(text: str, by_line: bool, names: set[str], user: str) -> tuple[str, int, set[str]]:
    """JSON text without what is of these people, how many parts are gone, and whose; as it was where it is no JSON."""
    try:
        values = [json.loads(line) for line in text.splitlines() if line.strip()] if by_line else json.loads(text)
    except (ValueError, RecursionError):
        return text, 0, set()
    gone: list[str] = []

    def kept(value: Any) -> Any:
        if isinstance(value, list):
            whose = [str(item.get(user)) if isinstance(item, dict) else item if isinstance(item, str) else "" for item in value]
            gone.extend(name for name in whose if name in names)
            return [kept(item) for item, name in zip(value, whose, strict=True) if name not in names]
        if isinstance(value, dict):
            theirs = {key for key in value if key in names and not key.isdigit()}  # a number may count days
            gone.extend(theirs)
            return {key: kept(item) for key, item in value.items() if key not in theirs}
        return value

    rest = kept(values)
    text = "".join(json.dumps(value) + "\n" for value in rest) if by_line else json.dumps(rest, indent=2) + "\n"
    return text, len(gone), set(gone)
