"""Looks for people's names in every byte of a file, as whole words: ``u1`` is not found in ``u10``."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.checkpoint import ids_of, load_checkpoint
from recbole_esmr.erasure.rows import decoded, header_of
from recbole_esmr.errors import CheckpointError

MAGIC = b"recbole-esmr checkpoint"
"""What a checkpoint begins with."""
_BESIDE = r"\s\"'`,;|()\[\]{}<>=:/\\"
"""What may stand beside a whole word."""
_BY_CHANCE = 6
"""Names of fewer bytes are found in random bytes by chance, so in numbers they are not looked for."""


def found_in(path: Path, names: set[str], config: Mapping[str, Any]) -> list[str]:
    """Where in a file the names of people stand, each place in words without the name.

    Args:
        path: any file.
        names: of people.
        config: how atomic files are written, and their columns of items, in which a name is an item's.
    """
    raw = path.read_bytes()
    if raw.startswith(MAGIC):
        return list(dict.fromkeys(_in_checkpoint(path, raw, names)))
    if zipfile.is_zipfile(io.BytesIO(raw)):
        return list(dict.fromkeys(_in_arrays(path, names)))
    text = decoded(raw, config)
    if text is None:
        return ["among its bytes"] if _in_bytes(raw, names) else []
    return list(dict.fromkeys(_in_text(text[0], names, config)))


def _in_text(text: str, names: set[str], config: Mapping[str, Any]) -> Iterator[str]:
    lines = text.split("\n")
    columns, types, separator = header_of(lines[0], config)
    if not types or types[0] == "":
        found = _words(names).search(text)
        if found is not None:
            yield f"line {text.count(chr(10), 0, found.start()) + 1}"
        return
    cells = pd.Series(lines[1:], dtype=object).str.rstrip("\r").str.split(separator, regex=False)
    for place, (name, kind) in enumerate(zip(columns, types, strict=True)):
        if kind.startswith("token") and name != str(config["ITEM_ID_FIELD"]):
            cell: Any = cells.str[place].astype(object)  # where all lines are empty, pandas makes numbers of them
            parts = cell.str.split(str(config["seq_separator"]) if kind == "token_seq" else "\0").explode()
            theirs = parts.isin(names)
            if theirs.any():
                yield f"line {int(theirs[theirs].index[0]) + 2}, column '{name}'"


def _in_checkpoint(path: Path, raw: bytes, names: set[str]) -> Iterator[str]:
    try:
        checkpoint = load_checkpoint(path)
        known = ids_of(checkpoint)
    except CheckpointError:
        yield "it cannot be read as a checkpoint"
        return
    field = str(checkpoint.config.get("USER_ID_FIELD"))
    if known is not None and field in known.codes and known.numbers(field, names).any():
        yield "among its ids"
    words = _words(names)
    for part in ("config", "other_parameter", "training", "progress"):
        if any(words.search(text) for text in _texts(getattr(checkpoint, part))):
            yield f"in its {part}"
    if _in_bytes(raw, names):
        yield "among its bytes"


def _in_arrays(path: Path, names: set[str]) -> Iterator[str]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                array = arrays[name]
                if array.dtype.kind in "US":
                    texts = array.astype(str).reshape(-1)
                    words = _words(names)
                    if np.isin(texts, list(names)).any() or (texts.size < 100 and any(words.search(text) for text in texts)):
                        yield f"array '{name}'"
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile):
        if _in_bytes(path.read_bytes(), names):
            yield "among its bytes"


def _in_bytes(raw: bytes, names: set[str]) -> bool:
    long = [name for name in names if len(name.encode()) >= _BY_CHANCE]
    return bool(long) and re.search(_words(set(long)).pattern.encode(), raw) is not None


def _words(names: set[str]) -> re.Pattern[str]:
    """Finds the names as whole words; a name of digits alone only in quotation marks, for a number may be anything."""
    either = "|".join(re.escape(name) for name in sorted(names) if not name.isdigit())
    digits = "|".join(name for name in sorted(names) if name.isdigit())
    parts = [rf"(?:(?<=[{_BESIDE}])|^)(?:{either})(?=[{_BESIDE}]|$)"] if either else []
    return re.compile("|".join([*parts, *([rf"(?<=[\"'])(?:{digits})(?=[\"'])"] if digits else [])]), re.MULTILINE)


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield str(key)
            yield from _texts(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _texts(value)
    elif isinstance(tree, str):
        yield tree
