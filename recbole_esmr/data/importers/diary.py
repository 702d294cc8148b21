"""A diary without a feed as a data set that RecBole can load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from recbole_esmr.data.importers.imported import Imported, Origin
from recbole_esmr.data.reading.times import SECONDS_A_DAY
from recbole_esmr.protocol import BY_TIME

DIARY = "diary"
"""The one item of a data set that was made from a diary without a feed."""


def views_of(days: pd.DataFrame) -> pd.DataFrame:
    """The ``.inter`` of a diary alone: its one item on each day of a person; ``days`` has ``user_id`` and ``day``."""
    return days[["user_id", "day"]].assign(item_id=DIARY)


def of_diary(days: pd.DataFrame, origin: Origin, notes: Sequence[str], warnings: Sequence[str]) -> Imported:
    """A study that is a diary alone.

    Args:
        days: one row a person's day: ``user_id``, ``day`` (days since 1970), ``valence`` and behaviour, all numbers but the id.
        origin: of its rows.
        notes, warnings: what is to be said.
    """
    views = views_of(days).assign(timestamp=days["day"] * SECONDS_A_DAY)
    frames = {"inter": views, "day": days}
    typed = {
        suffix: frame.rename(columns={name: f"{name}:{'token' if name in ('user_id', 'item_id') else 'float'}" for name in frame})
        for suffix, frame in frames.items()
    }
    settings: dict[str, Any] = {"load_col": {"inter": list(views)}, **BY_TIME}
    settings |= {"topk": [1], "valid_metric": "NDCG@1", "metrics": ["Recall", "NDCG"]}
    return Imported(typed, settings, dict.fromkeys(frames, origin), list(notes), list(warnings))
