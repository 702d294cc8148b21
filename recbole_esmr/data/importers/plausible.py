"""What the parts of an import say together: repeated rows, moods that are never negative, calendars that do not meet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

import numpy as np
import pandas as pd

from recbole_esmr.data.importers.fields import TIMEZONE
from recbole_esmr.data.importers.imported import Origin
from recbole_esmr.data.importers.mapping import CSVMapping
from recbole_esmr.data.importers.table import Table
from recbole_esmr.data.reading.calendar import days_of_views, shift_to_views
from recbole_esmr.data.reading.times import SECONDS_A_DAY, date_of, is_date
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.errors import DataError

_LONG = 6 * 3600
"""Seconds; items that usually last longer are probably given in another unit."""


def doubts(frames: Mapping[str, pd.DataFrame], origins: Mapping[str, Origin], mapping: CSVMapping) -> list[str]:
    """What may not be meant, one line each with its mend.

    Args:
        frames: fields by suffix, indexed by the user's rows.
        origins: where they come from.
        mapping: gives the taxonomy, which tells the negative emotions, and the time zone.

    Raises:
        DataError: days of two parts that cannot be days of one calendar.
    """
    _check_calendar(frames, origins)
    _check_day_numbers(frames, origins, mapping.timezone or "UTC")
    return [
        *_repeats(frames["inter"], origins["inter"]),
        *(_shown_again(frames["imp"], origins["imp"]) if "imp" in frames else []),
        *(_long_items(frames["item"], origins["item"]) if "item" in frames else []),
        *_never_negative(frames, origins, mapping.taxonomy),
    ]


def _repeats(views: pd.DataFrame, origin: Origin) -> list[str]:
    again = views.duplicated([name for name in ("user_id", "item_id", "timestamp") if name in views])
    if "timestamp" not in views or not again.any():
        return []
    first = origin.table.place(int(views.index[int(again.to_numpy().argmax())]))
    mend = "If they are the same view, say `duplicates: drop` in the mapping."
    if not origin.table.cells.loc[views.index].duplicated().any():
        mend = "They differ in other columns of the file; if they are the same view, leave one of them out of the file."
    return [
        f"{int(again.sum())} rows of {origin.table.name} repeat an earlier one of the same person, item and time (the first: "
        f"{first}). {mend}"
    ]


def _shown_again(shown: pd.DataFrame, origin: Origin) -> list[str]:
    again = origin.table.cells.loc[shown.index].duplicated()
    if not again.any():
        return []
    first = origin.table.place(int(shown.index[int(again.to_numpy().argmax())]))
    return [
        f"{int(again.sum())} rows of {origin.table.name} repeat an earlier one in every column (the first: {first}). If they "
        "were shown once, say `duplicates: drop` in the mapping."
    ]


def _long_items(items: pd.DataFrame, origin: Origin) -> list[str]:
    if "duration" not in items or not items["duration"].median() > _LONG:
        return []
    return [
        f"{origin.table.name}, column '{origin.columns['duration']}': half of the items last for more than "
        f"{items['duration'].median() / 3600:.0f} hours. If they are milliseconds, say `multiply: {{duration: 0.001}}`."
    ]


def repeated_lines(table: Table) -> list[str]:
    """What is to be said of lines of a file that are there twice, in formats where nobody can leave them out by a mapping."""
    again = table.cells.duplicated()
    if not again.any():
        return []
    first = table.place(int(again.to_numpy().argmax()))
    return [
        f"{int(again.sum())} of {len(again)} lines repeat an earlier one cell by cell (the first: {first}). If they are there by "
        "mistake, leave them out."
    ]


def odd_lengths(where: str, seconds: pd.Series, length: pd.Series, mend: str) -> list[str]:
    """What is to be said where people watched for longer than the items last, or for hardly any of it.

    Args:
        where: the column of what was watched, for messages.
        seconds: (N,) watched.
        length: (N,) of the items.
        mend: how to bring one of the two to seconds.
    """
    over, hardly = (seconds > length).mean(), (seconds < 0.01 * length).mean()
    if max(over, hardly) <= 0.5:
        return []
    said = "for longer than the item lasts" if over > hardly else "for less than a hundredth of the item"
    return [f"{where}: {max(over, hardly):.0%} of the rows were watched {said}. Are both in seconds? {mend}"]


def _never_negative(frames: Mapping[str, pd.DataFrame], origins: Mapping[str, Origin], taxonomy: Taxonomy) -> list[str]:
    if "day" not in frames:
        return []
    day = frames["day"]
    moods = [day["valence"]] if "valence" in day else []
    if "emotion" in day:
        moods.append(pd.Series(taxonomy.valence_of(taxonomy.encode(day["emotion"].to_numpy(str)))))
    if not any(mood.notna().any() for mood in moods) or any((mood < 0).any() for mood in moods):
        return []
    return [
        f"{origins['day'].table.name}: nobody is ever negative (valence below 0). If the column goes over another scale, say its "
        "two ends in the part 'day' of the mapping, such as `scale: {valence: [1, 7]}`."
    ]


def _check_calendar(frames: Mapping[str, pd.DataFrame], origins: Mapping[str, Origin]) -> None:
    """Refuse days of other parts that lie on another calendar than those of ``inter``."""
    views = frames["inter"]
    if "day" in views:
        first, last = views["day"].min(), views["day"].max()
    elif "timestamp" in views:
        first, last = views["timestamp"].min() // SECONDS_A_DAY - 1, views["timestamp"].max() // SECONDS_A_DAY + 1
    else:
        return
    for suffix in {"imp", "day"} & set(frames):
        day = frames[suffix]["day"]
        dates = is_date(int(day.min()))
        if is_date(int(first)) and not dates and "day" not in views:
            continue  # they count from the first day of the views, which the run finds
        if dates != is_date(int(first)) or day.min() > last or day.max() < first:
            raise DataError(
                f"{origins[suffix].table.name} and {origins['inter'].table.name} have no day in common: "
                f"{_span(day.min(), day.max())} here, {_span(first, last)} there. "
                "Map `day` of both to dates, or to numbers that count alike."
            )


def _check_day_numbers(frames: Mapping[str, pd.DataFrame], origins: Mapping[str, Origin], zone: str) -> None:
    """Refuse days that a run could not bring to the days of views which say only their times."""
    views, others = frames["inter"], [suffix for suffix in ("day", "imp") if suffix in frames]
    if "day" in views or "timestamp" not in views or not others:
        return
    zones = pd.Series(zone, index=views.index)
    if "user" in frames and TIMEZONE in frames["user"]:
        zones = views["user_id"].map(frames["user"].set_index("user_id")[TIMEZONE]).replace("", np.nan).fillna(zone)
    made = days_of_views(views["timestamp"].to_numpy(), zones.to_numpy(str))
    short = {"user_id": "user", "item_id": "item"}
    read = {suffix: frames[suffix].rename(columns=short) for suffix in others}
    try:
        shift_to_views(views.rename(columns=short).assign(day=made.day), read.get("day"), read.get("imp"), "")
    except DataError as error:
        reason = re.split(r" (?:If the times|Its days may|Write the column)", str(error).removeprefix("data set '': "))[0]
        reason = re.sub(r"\.(day|imp|inter)\b", lambda found: origins[found[1]].table.name, reason)
        suffix = others[-1] if ".imp" in str(error) else others[0]
        origin, row = origins[suffix], cast(int, frames[suffix]["day"].idxmin())
        mend = "Map `day` to dates, or map a column of day numbers in the part 'inter' too."
        raise DataError(f"{origin.table.place(row)}, column '{origin.columns['day']}': {reason} {mend}") from error


def _span(first: float, last: float) -> str:
    return f"{date_of(int(first))} to {date_of(int(last))}" if is_date(int(first)) else f"{int(first)} to {int(last)}"
