"""Ids that should be the same in two files: how many have no partner, in each direction, and whether they are spelled alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recbole_esmr.errors import DataError

LOOKALIKES = 0.05
"""Share of ids that may differ from their partner in spelling alone before the file is refused."""


@dataclass(frozen=True)
class Partners:
    """The ids of one file beside those of ``.inter``.

    Attributes:
        file: its name, such as ``mine.day``.
        field: name of the column.
        ids, unknown: different ids of the file, and how many of them ``.inter`` does not know.
        rows, unknown_rows: the file's rows, and how many have such an id.
        absent: ids of ``.inter`` that the file has no row for.
        known: different ids of ``.inter``.
        example, absent_example: one of each, "" where there is none.
        lookalikes: ids without a partner that would have one if upper case, spaces, leading zeros and a ``.0`` did not count.
        lookalike: such an id, and the one of ``.inter`` that it looks like.
    """

    file: str
    field: str
    ids: int
    unknown: int
    rows: int
    unknown_rows: int
    absent: int
    known: int
    example: str
    absent_example: str
    lookalikes: int
    lookalike: tuple[str, str]

    @property
    def spelled_differently(self) -> bool:
        """Whether more than a few ids differ from their partner in spelling alone."""
        return self.lookalikes > LOOKALIKES * max(min(self.ids, self.known), 1)

    def check(self, share: float, lost: bool, meaning: str = "are left out") -> str:
        """What is to be said of them, "" where all have partners.

        Args:
            share: largest share without a partner.
            lost: whether rows of the file without a partner are lost; else ids of ``.inter`` without a row are counted.
            meaning: what becomes of such rows.

        Raises:
            DataError: more than that have none, or the two files spell the same ids differently.
        """
        inter = "an interaction"
        self.check_spelling()
        missing, of = (self.unknown, self.ids) if lost else (self.absent, self.known)
        if missing > share * max(of, 1):
            text = (
                f"{missing} of {of} ids are in no interaction (for example {self.example!r})"
                if lost
                else f"{missing} of {of} ids of .inter have no row here (for example {self.absent_example!r})"
            )
            raise DataError(
                f"{self.file}, column '{self.field}': {text}. Use the same ids in all files; if they are right, raise "
                f"max_unknown_ids (now {share:g})."
            )
        parts = []
        if self.unknown and lost:
            many = f"{self.unknown} of {self.ids} ids ({self.unknown_rows} of {self.rows} rows)"
            parts.append(f"{many} are in no interaction and {meaning}, for example {self.example!r}")
        if self.absent and (not lost or self.absent > 0.5 * self.known):
            parts.append(f"{self.absent} of {self.known} ids that have {inter} have no row, for example {self.absent_example!r}")
        return f"{self.file}, column '{self.field}': {'; '.join(parts)}." if parts else ""

    def check_spelling(self, other: str = ".inter") -> None:
        """Refuse ids that only case, spaces or leading zeros keep from their partners.

        Args:
            other: the file that the partners are in.

        Raises:
            DataError: the two files spell the same ids differently.
        """
        if self.spelled_differently:
            ours, theirs = self.lookalike
            raise DataError(
                f"{self.file}, column '{self.field}': {self.lookalikes} of {self.ids} ids are spelled differently in {other}, "
                f"for example {ours!r} here and {theirs!r} there. Write the same ids in all files."
            )


def partners(file: str, ids: pd.Series, known: pd.Series) -> Partners:
    """Compare a file's column of ids with those that interactions know.

    Args:
        file: its name, for messages.
        ids: (N,) text, named as the column.
        known: (M,) text.
    """
    here, there = pd.Index(ids.unique()), pd.Index(known.unique())
    unknown, absent = here.difference(there, sort=False), there.difference(here, sort=False)
    spelled = pd.Series(absent, index=_plain(absent), dtype=object)
    spelled = spelled[~spelled.index.duplicated()]
    alike = pd.Series(_plain(unknown), index=unknown, dtype=object).map(spelled).dropna()
    return Partners(
        file=file,
        field=str(ids.name),
        ids=len(here),
        unknown=len(unknown),
        rows=len(ids),
        unknown_rows=int(ids.isin(unknown).sum()),
        absent=len(absent),
        known=len(there),
        example=str(unknown[0]) if len(unknown) else "",
        absent_example=str(absent[0]) if len(absent) else "",
        lookalikes=len(alike),
        lookalike=(str(alike.index[0]), str(alike.iloc[0])) if len(alike) else ("", ""),
    )


def _plain(ids: pd.Index) -> np.ndarray:
    """Ids without what spreadsheets change: case, spaces, leading zeros, a decimal point without decimals."""
    text = pd.Series(np.asarray(ids, dtype=object), dtype=object).astype(str)
    text = text.str.strip().str.casefold().str.replace(r"\.0+$", "", regex=True).str.replace(r"^0+(?=\d)", "", regex=True)
    return text.to_numpy()
