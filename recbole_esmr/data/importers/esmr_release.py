"""The data that the authors of ESMR released: 1,000 people, 30 days, 1,000 videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recbole_esmr.data.importers.ids import same_spelling
from recbole_esmr.data.importers.imported import Imported, Origin
from recbole_esmr.data.importers.numeric import Cells, numbers
from recbole_esmr.data.importers.plausible import odd_lengths, repeated_lines
from recbole_esmr.data.importers.table import Table, read_table
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import nearest
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
        DataError: a file or a column is missing, or the files do not fit each other.
    """
    content = read_table([folder / "content_dataset.csv"])
    days = read_table([_one_of(folder, "engagement_dataset.csv")])
    watched = read_table([_one_of(folder, "watched.csv")])
    labels = read_table([_one_of(folder, "user_emotion.csv")])
    _refuse_twice(content, ["video_id"])
    _refuse_twice(labels, ["user_id", "day"])
    _refuse_twice(days, ["user_id", "day"])
    churned = days.column("churned").map({"True": 1, "1": 1, "False": 0, "0": 0})
    if churned.isna().any():
        days.refuse(churned.isna(), "churned", "Expected True or False.")
    item, day_number = watched.column("video_id"), _filled(watched, "day")
    seconds, length = _filled(watched, "watch_time"), _lengths(content, watched)
    warnings = [line for table in (content, days, watched, labels) for line in repeated_lines(table)]
    mend = "Divide the column that is in milliseconds by 1000."
    warnings += odd_lengths(f"{watched.name}, column 'watch_time'", seconds, length, mend)
    emotion, without = _emotions(days, labels)
    frames = {
        "inter": pd.DataFrame(
            {
                "user_id:token": watched.column("user_id"),
                "item_id:token": item,
                "timestamp:float": SECONDS_A_DAY * (day_number - 1) + 60 * _filled(watched, "position"),
                "day:float": day_number,
                "watch_ratio:float": (seconds / length).clip(0, 1).round(3),
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
            | {"emotion:token": emotion}
            | {f"{name}:float": _numbers(days, name) for name in BEHAVIOUR}
            | {"churned:float": churned}
        ),
    }
    settings = {
        "load_col": {"inter": ["user_id", "item_id", "timestamp", "day", "watch_ratio"]},
        **BY_TIME,
    }
    origins = {
        "inter": Origin(watched, {"user_id": "user_id", "item_id": "video_id", "day": "day", "watch_ratio": "watch_time"}),
        "item": Origin(content, {"item_id": "video_id", "emotion": "emotion", "duration": "video_duration"}),
        "day": Origin(days, {name: name for name in ("user_id", "day", *BEHAVIOUR, "churned")}),
    }
    return Imported(frames, settings, origins, warnings=[*warnings, *without])


def _emotions(days: Table, labels: Table) -> tuple[np.ndarray, list[str]]:
    """The label of each person's day, (N,) str, "" where there is none or the person did not come; and what is to be said.

    Raises:
        DataError: a label that is none of the taxonomy, or most labels belong to no day.
    """
    known, label = load_taxonomy("esmr").labels, labels.column("user_emotion")
    wrong = ~label.isin(["churned", *known])
    if wrong.any():
        labels.refuse(wrong, "user_emotion", f"It is not an emotion. {nearest(str(label[wrong].iloc[0]), ['churned', *known])}")
    same_spelling(labels, "user_id", labels.column("user_id"), days.name, days.column("user_id"))
    of, on = (pd.MultiIndex.from_arrays([table.column("user_id"), _filled(table, "day")]) for table in (labels, days))
    lost = pd.Series(~of.isin(on))
    if lost.mean() > 0.5:
        labels.refuse(lost, "day", f"{days.name} has no row of this person and day. Use the same ids and days in both files.")
    warnings = []
    if lost.any():
        warnings.append(f"{labels.name}: {int(lost.sum())} of {len(lost)} rows belong to no person and day of {days.name}.")
    emotion = pd.Series(label.to_numpy(), index=of).reindex(on)
    if emotion.isna().any():
        warnings.append(f"{days.name}: {int(emotion.isna().sum())} of {len(on)} rows have no label in {labels.name}.")
    return emotion.replace("churned", "").fillna("").to_numpy(dtype=object), warnings


def _lengths(content: Table, watched: Table) -> pd.Series:
    """The seconds that each watched video lasts, (N,).

    Raises:
        DataError: a watched video has none.
    """
    item = watched.column("video_id")
    same_spelling(watched, "video_id", item, content.name, content.column("video_id"))
    length = item.map(pd.Series(_numbers(content, "video_duration").to_numpy(), index=content.column("video_id")))
    if not (length > 0).all():
        watched.refuse(~(length > 0), "video_id", f"{content.name} gives no video_duration for it. Add it, or leave the row out.")
    return length


def _refuse_twice(table: Table, keys: list[str]) -> None:
    again = pd.DataFrame({key: table.column(key) for key in keys}).duplicated()
    if again.any():
        table.refuse(again, keys[-1], f"There is an earlier row of the same {' and '.join(keys)}. Keep one.")


def _numbers(table: Table, column: str) -> pd.Series:
    return numbers(Cells(table, column, table.column(column), mapped=False), ".")[0]


def _filled(table: Table, column: str) -> pd.Series:
    found = _numbers(table, column)
    if not (found >= 0).all():
        table.refuse(~(found >= 0), column, "Every row needs a number of at least 0.")
    return found


def _one_of(folder: Path, name: str) -> Path:
    packed = folder / f"{name}.gz"
    return packed if packed.is_file() else folder / name
