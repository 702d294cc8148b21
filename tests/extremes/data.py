"""A small plain log, and changes that make it extreme."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

Frames = dict[str, pd.DataFrame]
Change = Callable[[Frames], Frames | None]


def log(users: int = 12, items: int = 12, days: int = 12, shown: int = 3) -> Frames:
    """A plain log: each day ``shown`` items a person, of which the last is skipped, and a report; day 1 is 2024-03-24."""
    user, day, place = (axis.ravel() for axis in np.meshgrid(range(users), range(days), range(shown), indexing="ij"))
    item, watched = (3 * user + 2 * day + place) % items, (place < max(shown - 1, 1)).astype(int)
    people, item_ids = np.array([f"u{n}" for n in range(users)]), np.array([f"i{n}" for n in range(items)])
    mood = (np.arange(users)[:, None] + np.arange(days)) % 3
    imp = pd.DataFrame(
        {"user_id:token": people[user], "item_id:token": item_ids[item], "day:float": day + 1, "position:float": place}
        | {"propensity:float": min(shown / items, 1), "label:float": watched}
    )
    inter = imp[imp["label:float"] == 1]
    return {
        "inter": pd.DataFrame(
            {"user_id:token": inter["user_id:token"], "item_id:token": inter["item_id:token"]}
            | {"timestamp:float": 1_711_238_400 + 86_400 * (inter["day:float"] - 1) + 60 * inter["position:float"]}
            | {"day:float": inter["day:float"], "watch_ratio:float": 0.1 + 0.2 * (item[inter.index] % 4)}
        ),
        "imp": imp,
        "item": pd.DataFrame(
            {"item_id:token": item_ids, "emotion:token": np.array(["happy", "angry", "neutral"])[np.arange(items) % 3]}
            | {"emotion_intensity:float": 0.2 + 0.1 * (np.arange(items) % 8), "category:token": "news", "duration:float": 30}
        ),
        "user": pd.DataFrame({"user_id:token": people, "user_profile:token": "casual", "consent:float": 1}),
        "day": pd.DataFrame(
            {"user_id:token": np.repeat(people, days), "day:float": np.tile(np.arange(1, days + 1), users)}
            | {"emotion:token": np.array(["happy", "angry", "neutral"])[mood.ravel()], "logins:float": 1 + mood.ravel() % 2}
            | {"churned:float": 0}
        ),
    }


def column(suffix: str, name: str, value: Any) -> Change:
    """A column of one file set to a value, or to what a function makes of its frame."""

    def change(frames: Frames) -> None:
        frames[suffix][name] = value(frames[suffix]) if callable(value) else value

    return change


def rows(suffix: str, keep: Callable[[pd.DataFrame], Any]) -> Change:
    """The rows of one file that a function keeps."""
    return lambda frames: frames | {suffix: frames[suffix][keep(frames[suffix])]}


def without(*suffixes: str) -> Change:
    """The log without some of its files."""
    return lambda frames: {suffix: frame for suffix, frame in frames.items() if suffix not in suffixes}


def both(*changes: Change) -> Change:
    """One change after the other."""

    def change(frames: Frames) -> Frames:
        for one in changes:
            frames = one(frames) or frames
        return frames

    return change


def renamed(name: str, new: Callable[[str], str]) -> Change:
    """Ids of all files renamed."""

    def change(frames: Frames) -> None:
        for frame in frames.values():
            if name in frame:
                frame[name] = frame[name].map(new)

    return change


def stretched(days: int) -> Change:
    """The last day of everything, so many days later."""

    def change(frames: Frames) -> None:
        for frame in frames.values():
            if "day:float" in frame:
                frame.loc[frame["day:float"] == frame["day:float"].max(), "day:float"] += days
        frames["inter"] = frames["inter"].drop(columns="timestamp:float")

    return change


def one_day_each(frames: Frames) -> Frames:
    return {
        suffix: frame[frame["day:float"] == 1 + frame["user_id:token"].str[1:].astype(int)] if "day:float" in frame else frame
        for suffix, frame in frames.items()
    }
