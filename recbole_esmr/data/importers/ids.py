"""Ids that should be the same in all of a user's files, compared in the user's words before anything is written."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from recbole_esmr.data.importers.imported import Imported
from recbole_esmr.data.importers.table import Table
from recbole_esmr.data.reading.partners import Partners, partners
from recbole_esmr.errors import DataError

_PADDING = "[PAD]"
_COMPARED = (
    ("user", "user_id", False),
    ("item", "item_id", False),
    ("day", "user_id", True),
    ("imp", "user_id", True),
    ("imp", "item_id", True),
)
"""Which ids of which file are compared with those of the interactions, and whether rows without a partner are lost."""


def compare_ids(imported: Imported, share: float) -> list[str]:
    """Compare the ids of each file with those of the interactions, as a run will.

    Args:
        imported: frames and the user's tables that they come from.
        share: largest share of ids without a partner.

    Returns:
        what is to be said of ids without a partner, one line each.

    Raises:
        DataError: more than that have none, the files spell the same ids differently, or an id is RecBole's own.
    """
    ids = {
        (suffix, name): frame[f"{name}:token"]
        for suffix, frame in imported.frames.items()
        for name in ("user_id", "item_id")
        if suffix in imported.origins and f"{name}:token" in frame
    }
    for (suffix, name), values in ids.items():
        if (values == _PADDING).any():
            origin = imported.origins[suffix]
            mend = "This is RecBole's name for its padding. Rename it wherever it occurs."
            origin.table.refuse(values == _PADDING, origin.columns[name], mend)
    warnings = []
    for suffix, name, lost in _COMPARED:
        if (suffix, name) not in ids or ("inter", name) not in ids:
            continue
        origin, known = imported.origins[suffix], ids["inter", name]
        own = (name.removesuffix("_id"), name)
        if lost and own in ids:  # people and items that a file of their own names need no interaction
            known = pd.concat([known, ids[own]])
        column, other = origin.columns[name], imported.origins["inter"].table.name
        compared = same_spelling(origin.table, column, ids[suffix, name], other, known)
        _refuse_strangers(origin.table, ids[suffix, name], other, known, compared, share, lost)
        if lost and compared.unknown:
            warnings.append(
                f"{compared.file}, column '{column}': {compared.unknown} of {compared.ids} ids are in no row of {other} (for "
                f"example {compared.example!r}); a run leaves them out."
            )
        if not lost and compared.absent:
            warnings.append(
                f"{compared.file}, column '{column}': {compared.absent} of {compared.known} ids of {other} have no row here, for "
                f"example {compared.absent_example!r}."
            )
    return warnings


def same_spelling(table: Table, column: str, ids: pd.Series, other: str, known: pd.Series) -> Partners:
    """Compare the ids of a column with those of another file.

    Args:
        table, column: where the ids stand.
        ids: (N,) text, indexed by row.
        other: name of the other file.
        known: (M,) text, its ids.

    Raises:
        DataError: the two files spell the same ids differently.
    """
    compared = partners(table.name, ids.rename(column), known)
    if compared.unknown:  # a file may spell a person in both ways, so all known ids are looked through
        strangers = partners(table.name, ids[~ids.isin(known)].rename(column), known)
        compared = replace(compared, lookalikes=strangers.lookalikes, lookalike=strangers.lookalike)
    if compared.spelled_differently:
        ours, theirs = compared.lookalike
        table.refuse(
            ids == ours,
            column,
            f"{other} spells it {theirs!r}; {compared.lookalikes} of {compared.ids} ids differ in spelling alone (upper case, "
            "spaces, zeros). Write the same ids in all files.",
        )
    return compared


def _refuse_strangers(
    table: Table, ids: pd.Series, other: str, known: pd.Series, compared: Partners, share: float, lost: bool
) -> None:
    """Refuse a file of which more than a share of the ids has no partner."""
    mend = f"Use the same ids in all files; if they are right, raise `max_unknown_ids` (now {share:g})."
    if lost and compared.unknown > share * compared.ids:
        table.refuse(
            ~ids.isin(known), compared.field, f"{compared.unknown} of {compared.ids} ids are in no row of {other}. {mend}"
        )
    if not lost and compared.absent > share * compared.known:
        raise DataError(
            f"{table.name}, column '{compared.field}': {compared.absent} of {compared.known} ids of {other} have no row here, "
            f"for example {compared.absent_example!r}. {mend}"
        )
