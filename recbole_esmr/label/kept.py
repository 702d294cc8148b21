"""Labels that were given before: a labeller that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from recbole_esmr.errors import DataError
from recbole_esmr.label.labeller import Label, Labeller, checked_label

AT_ONCE = 100
"""Labels that are kept together; so many are given again after a stop."""


def labels_of(texts: Sequence[str], labeller: Labeller, file: Path) -> Iterator[Label]:
    """The label of each text, in order; of texts that this labeller has labelled before, as it was kept.

    Args:
        texts: to label; equal ones are asked for once.
        labeller: who labels.
        file: where labels are kept, by the hash of labeller and text; the texts themselves are not.

    Raises:
        DataError: the file is none of ours, or what it holds is no label.
    """
    keys = [hashlib.sha256(f"{labeller.name}\0{text}".encode()).hexdigest() for text in texts]
    try:
        with closing(sqlite3.connect(file)) as base:
            base.execute("CREATE TABLE IF NOT EXISTS label (text TEXT PRIMARY KEY, said TEXT NOT NULL)")
            known = {key for (key,) in base.execute("SELECT text FROM label")}
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
            fresh = labeller.label(list(missing.values())) if missing else iter(())
            new: dict[str, Label] = {}
            waiting: list[tuple[str, str]] = []
            asked = iter(missing)
            try:
                for key in keys:
                    if key in missing and key not in new:
                        new[next(asked)] = said = next(fresh)
                        waiting.append((key, json.dumps(said.as_json())))
                        if len(waiting) >= AT_ONCE:
                            _keep(base, waiting)
                    if key in new:
                        yield new[key]
                    else:
                        (text,) = base.execute("SELECT said FROM label WHERE text = ?", (key,)).fetchone()
                        yield checked_label(json.loads(text), list(labeller.emotions), str(file))
            finally:
                _keep(base, waiting)
    except (sqlite3.Error, json.JSONDecodeError) as error:
        raise DataError(f"{file}: holds no labels of an earlier run, or cannot be written ({error}). Remove it.") from error


def _keep(base: sqlite3.Connection, waiting: list[tuple[str, str]]) -> None:
    with base:
        base.executemany("INSERT OR REPLACE INTO label VALUES (?, ?)", waiting)
    waiting.clear()
