"""What an importer has read, where each row of it comes from, and what is to be said of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_esmr.data.importers.table import Table
from recbole_esmr.errors import DataError


@dataclass(frozen=True)
class Origin:
    """Where the rows of an atomic file come from: the row's index in its frame is its row in ``table``.

    Attributes:
        table: of the user.
        columns: the user's column of each field.
    """

    table: Table
    columns: dict[str, str]


@dataclass(frozen=True)
class Imported:
    """Atomic files in memory.

    Attributes:
        frames: by suffix; columns are named ``field:type``.
        settings: the RecBole keys that the data set needs.
        origins: by suffix, where known.
        notes: how things were read, each one line.
        warnings: what may not be meant, each one line with its mend.
    """

    frames: dict[str, pd.DataFrame]
    settings: dict[str, Any]
    origins: dict[str, Origin] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def in_the_users_words(self, error: DataError, suffix: str, trial: Path, output: Path) -> DataError:
        """The error of a reader of the atomic file, with the user's file, line, column and cell in the place of ours."""
        message, origin = str(error), self.origins.get(suffix)
        found = re.match(rf"{re.escape(str(trial))}\.{suffix}, line (\d+)(?:, column '([^']*)')?(.*)", message, re.DOTALL)
        if found is None or origin is None or int(found[1]) < 2:
            return DataError(f"{message.replace(str(trial), str(output))}")
        row = int(self.frames[suffix].index[int(found[1]) - 2])
        column, rest = origin.columns.get(found[2] or ""), found[3]
        if column is not None:
            cell = origin.table.cells[column][row]
            rest = re.sub(r"^: the value is [^;]*;", lambda _: f": the cell holds {cell!r};", rest)
        place = f", column '{column}'" if column is not None else f" ({found[2]})" if found[2] else ""
        return DataError(f"{origin.table.place(row)}{place}{rest}")
