"""The data that the authors of ESMR released: 1,000 people, 30 days, 1,000 videos."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recbole_esmr.data.importers.imported import Imported, Origin
from recbole_esmr.data.importers.numeric import Cells, numbers
from recbole_esmr.data.importers.table import Table, read_table
from recbole_esmr.protocol import BY_TIME

BEHAVIOUR = (
    *("scrolling_time", "video_watching_duration", "post_story_views", "time_spent_daily", "daily_logins"),
    *("posting_frequency", "liking_behavior", "commenting_activity", "sharing_behavior", "educational_time_spent"),
    *("entertainment_time_spent", "news_time_spent", "inspirational_time_spent"),
)
SECONDS_A_DAY = 86400


def read_esmr_release(folder: Path, _: Path | None = None) -> Imported:
    """Read ``content_dataset.csv``, ``engagement_dataset.csv(.gz)``, ``watched.csv(.gz)`` and ``user_emotion.csv(.gz)``.

    The label "churned" means that the person did not come, so the day has no emotion. Intensities 1–10 become 0.1–1. What was
    shown and not watched was not recorded, so there is no ``.imp``. Timestamps are seconds since the first day.

    Raises:
        DataError: a file or a column is missing.
    """
    content = read_table([folder / "content_dataset.csv"])
    days = read_table([_one_of(folder, "engagement_dataset.csv")])
    watched = read_table([_one_of(folder, "watched.csv")])
    labels = read_table([_one_of(folder, "user_emotion.csv")])
    _refuse_twice(content, ["video_id"])
    _refuse_twice(labels, ["user_id", "day"])
    churned = days.column("churned").map({"True": 1, "1": 1, "False": 0, "0": 0})
    if churned.isna().any():
        days.refuse(churned.isna(), "churned", "Expected True or False.")
    item, day_number = watched.column("video_id"), _numbers(watched, "day")
    length = item.map(pd.Series(_numbers(content, "video_duration").to_numpy(), index=content.column("video_id")))
    ratio = (_numbers(watched, "watch_time") / length).clip(0, 1)
    label = pd.Series(labels.column("user_emotion").to_numpy(), index=[labels.column("user_id"), labels.column("day")])
    emotion = label.reindex(pd.MultiIndex.from_arrays([days.column("user_id"), days.column("day")])).fillna("")
    frames = {
        "inter": pd.DataFrame(
            {
                "user_id:token": watched.column("user_id"),
                "item_id:token": item,
                "timestamp:float": SECONDS_A_DAY * (day_number - 1) + 60 * _numbers(watched, "position"),
                "day:float": day_number,
                "watch_ratio:float": ratio.round(3),
            }
        ),
        "item": pd.DataFrame(
            {
                "item_id:token": content.column("video_id"),
                "emotion:token": content.column("emotion"),
                "emotion_intensity:float": _numbers(content, "emotion_intensity") / 10,
                "category:token": content.column("category"),
                "theme:token": content.column("theme"),
                "duration:float": _numbers(content, "video_duration"),
            }
        ),
        "user": pd.DataFrame({f"{name}:token": days.column(name) for name in ("user_id", "user_profile")}).drop_duplicates(
            "user_id:token"
        ),
        "day": pd.DataFrame(
            {"user_id:token": days.column("user_id"), "day:float": _numbers(days, "day")}
            | {"emotion:token": emotion.where(emotion != "churned", "").to_numpy()}
            | {f"{name}:float": _numbers(days, name) for name in BEHAVIOUR}
            | {"churned:float": churned}
        ),
    }
    settings = {
        "load_col": {"inter": ["user_id", "item_id", "timestamp", "day", "watch_ratio"]},
        **BY_TIME,
    }
    origins = {
        "inter": Origin(watched, {"user_id": "user_id", "item_id": "video_id", "day": "day"}),
        "item": Origin(content, {"item_id": "video_id", "emotion": "emotion", "duration": "video_duration"}),
        "day": Origin(days, {name: name for name in ("user_id", "day", *BEHAVIOUR, "churned")}),
    }
    return Imported(frames, settings, origins)


def _refuse_twice(table: Table, keys: list[str]) -> None:
    again = pd.DataFrame({key: table.column(key) for key in keys}).duplicated()
    if again.any():
        table.refuse(again, keys[-1], f"There is an earlier row of the same {' and '.join(keys)}. Keep one.")


def _numbers(table: Table, column: str) -> pd.Series:
    return numbers(Cells(table, column, table.column(column)), ".")[0]


def _one_of(folder: Path, name: str) -> Path:
    packed = folder / f"{name}.gz"
    return packed if packed.is_file() else folder / name
