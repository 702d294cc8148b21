"""The data that the authors of ESMR released: 1,000 people, 30 days, 1,000 videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recbole_esmr.data.importers import Imported, read_table
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
    content = read_table(
        folder / "content_dataset.csv", ["video_id", "emotion", "emotion_intensity", "video_duration", "category", "theme"]
    )
    days = read_table(_one_of(folder, "engagement_dataset.csv"), ["user_id", "day", "user_profile", "churned", *BEHAVIOUR])
    watched = read_table(_one_of(folder, "watched.csv"), ["user_id", "day", "position", "video_id", "watch_time"])
    labels = read_table(_one_of(folder, "user_emotion.csv"), ["user_id", "day", "user_emotion"])
    labels["user_emotion"] = labels["user_emotion"].where(labels["user_emotion"] != "churned", "")
    days = days.merge(labels, on=["user_id", "day"], how="left", validate="one_to_one")
    watched = watched.merge(content[["video_id", "video_duration"]], on="video_id", how="left", validate="many_to_one")
    ratio = (watched["watch_time"] / watched["video_duration"]).clip(0, 1)
    frames = {
        "inter": pd.DataFrame(
            {
                "user_id:token": watched["user_id"],
                "item_id:token": watched["video_id"],
                "timestamp:float": SECONDS_A_DAY * (watched["day"] - 1) + 60 * watched["position"],
                "day:float": watched["day"],
                "watch_ratio:float": ratio.round(3),
            }
        ),
        "item": pd.DataFrame(
            {
                "item_id:token": content["video_id"],
                "emotion:token": content["emotion"],
                "emotion_intensity:float": content["emotion_intensity"] / 10,
                "category:token": content["category"],
                "theme:token": content["theme"],
                "duration:float": content["video_duration"],
            }
        ),
        "user": days.drop_duplicates("user_id")[["user_id", "user_profile"]].rename(columns=lambda name: f"{name}:token"),
        "day": pd.DataFrame(
            {"user_id:token": days["user_id"], "day:float": days["day"], "emotion:token": days["user_emotion"].fillna("")}
            | {f"{name}:float": days[name] for name in BEHAVIOUR}
            | {"churned:float": days["churned"].astype(np.int64)}
        ),
    }
    settings = {
        "load_col": {"inter": ["user_id", "item_id", "timestamp", "day", "watch_ratio"]},
        **BY_TIME,
    }
    return Imported(frames, settings)


def _one_of(folder: Path, name: str) -> Path:
    packed = folder / f"{name}.gz"
    return packed if packed.is_file() else folder / name
