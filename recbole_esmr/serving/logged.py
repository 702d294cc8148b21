"""What a server has logged, as a data set to train on: with chances, and of nobody who has withdrawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.times import is_date
from recbole_esmr.errors import DataError
from recbole_esmr.files import write_atomic_files
from recbole_esmr.protocol import BY_TIME
from recbole_esmr.serving.artifact import Artifact
from recbole_esmr.serving.service import current_stock
from recbole_esmr.serving.stock import Stock
from recbole_esmr.serving.store import Store

_LOADED = {"inter": ["user_id", "item_id", "timestamp", "day", "watch_ratio"], "item": ["item_id"]}


def write_log(store: Store, artifact: Artifact, output: str | Path) -> dict[str, int]:
    """Write atomic files of what a store holds, whole or not at all.

    Of people who have not consented, have withdrawn or were deleted there is nothing in them. Items that were shown without a
    receipt have no propensity, so the column is written only where every item has one.

    Args:
        store: of the server.
        artifact: that it serves: what the items are.
        output: folder to write; its name becomes the data set's name.

    Returns:
        how many rows each file has, by suffix.

    Raises:
        DataError: nobody who consents was shown anything.
    """
    with store.reading() as connection:
        everybody = [one for one in store.everybody(connection) if one[1]["consent"]]
        stock = current_stock(store, connection, artifact)
    shown = [
        {"user": person, "day": event["day"], "item": item, "watch_ratio": ratio, "propensity": chance}
        for person, _, events in everybody
        for event in events
        for item, ratio, chance in event.get("shown", [])
    ]
    if not shown:
        raise DataError("the store holds nothing that was shown to anybody who consents. Serve first.")
    seen = pd.DataFrame(shown)
    seen["position"] = seen.groupby(["user", "day"]).cumcount()
    frames = {**_seen(seen), "item": _items(stock, artifact), "user": _people(everybody), "day": _days(everybody, seen)}
    settings = {"emotion_taxonomy": artifact.taxonomy.setting, "load_col": _LOADED, **BY_TIME}
    features = [name for name in artifact.settings.causal.features if name in ("emotion", *stock.catalogue.columns)]
    if features != ["emotion"]:
        settings["effect_features"] = list(artifact.settings.causal.features)
    write_atomic_files(output, frames, settings, f"Logged by recbole-esmr serve, artifact {artifact.fingerprint}.")
    return {suffix: len(frame) for suffix, frame in frames.items()}


def _seen(seen: pd.DataFrame) -> dict[str, pd.DataFrame]:
    watched = seen[seen["watch_ratio"] > 0].drop_duplicates(["user", "day", "item"], keep="last")
    midnight = watched["day"].map(lambda day: 86_400 * (day if is_date(day) else day - 1))
    impressions = pd.DataFrame(
        {
            "user_id:token": seen["user"],
            "item_id:token": seen["item"],
            "day:float": seen["day"],
            "position:float": seen["position"],
            "label:float": (seen["watch_ratio"] > 0).astype(int),
        }
    )
    if seen["propensity"].notna().all():
        impressions["propensity:float"] = seen["propensity"].astype(float).clip(lower=1e-9)
    views = pd.DataFrame(
        {
            "user_id:token": watched["user"],
            "item_id:token": watched["item"],
            "timestamp:float": midnight + 36_000 + watched["position"],
            "day:float": watched["day"],
            "watch_ratio:float": watched["watch_ratio"].round(4),
        }
    )
    return {"inter": views, "imp": impressions}


def _items(stock: Stock, artifact: Artifact) -> pd.DataFrame:
    catalogue, rows = stock.catalogue, np.arange(1, len(stock.names))
    share = [" ".join(f"{value:.6g}" for value in row) if row.any() else "" for row in catalogue.share[rows]]
    names = np.array([*catalogue.categories, ""])
    frame = pd.DataFrame(
        {
            "item_id:token": np.array(stock.names)[rows],
            "emotion_share:float_seq": share,
            "emotion_intensity:float": catalogue.intensity[rows].round(6),
            "category:token": names[catalogue.category[rows]],
            "duration:float": catalogue.duration[rows].round(3),
        }
    )
    for name, value in catalogue.columns.items():
        frame[f"{name}:{'float' if value.dtype.kind == 'f' else 'token'}"] = value[rows]
    return frame


def _people(everybody: list[tuple[str, dict[str, Any], list[dict[str, Any]]]]) -> pd.DataFrame:
    rows = [(person, profile["group"] or "", "yes") for person, profile, _ in everybody]
    return pd.DataFrame(rows, columns=["user_id:token", "user_profile:token", "consent:token"])


def _days(everybody: list[tuple[str, dict[str, Any], list[dict[str, Any]]]], seen: pd.DataFrame) -> pd.DataFrame:
    """A row for each person-day between the first and the last of which anything is known; a day without a feed is one away."""
    said = [
        {"user": person, "day": event["day"], "emotion": event.get("emotion"), **event.get("behaviour", {})}
        for person, _, events in everybody
        for event in events
        if "shown" in event or "emotion" in event or "behaviour" in event
    ]
    known = pd.DataFrame(said).groupby(["user", "day"], as_index=False).last()
    span = known.groupby("user")["day"].agg(["min", "max"])
    every = [(person, day) for person, first, last in span.itertuples() for day in range(int(first), int(last) + 1)]
    days = pd.DataFrame(every, columns=["user", "day"]).merge(known, on=["user", "day"], how="left")
    here = pd.MultiIndex.from_frame(seen[["user", "day"]])
    days["churned"] = (~pd.MultiIndex.from_frame(days[["user", "day"]]).isin(here)).astype(int)
    days["emotion"] = days["emotion"].fillna("")
    names = {"user": "user_id:token", "emotion": "emotion:token"}
    return days.rename(columns=lambda name: names.get(name, f"{name}:float"))
