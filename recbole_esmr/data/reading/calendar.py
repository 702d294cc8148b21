"""Which days the views were on where ``.inter`` says only moments, and which of them the other files' day numbers mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.times import FROM_1970, SECONDS_A_DAY, date_of, days_of_seconds, is_date
from recbole_esmr.errors import DataError

_NEAR = 7
"""Days around a person's views in which their reports may lie."""

_BETTER = 0.1
"""By how much more of the reports must lie on days with a view before another count of days is thought likelier."""

_OTHER_ZONE = 0.05
"""Share of what was watched whose view is a day off from which on days must have been made in another time zone."""

_AGREE = 0.5
"""Share of the rows that must agree with the views before day numbers are taken to mean the same."""


@dataclass(frozen=True)
class ViewDays:
    """The days of the views, made from their moments.

    Attributes:
        day: (N,) whole numbers: days since 1970-01-01 where moments count from 1970, else days of the data, the first being 1.
        words: how they were made, for a message.
    """

    day: np.ndarray
    words: str


def days_of_views(seconds: np.ndarray, zone: str | np.ndarray) -> ViewDays:
    """The calendar days of moments.

    Args:
        seconds: (N,) since 1970-01-01 UTC, or since the midnight before the first view where they are smaller than 1e8.
        zone: IANA time zone, one for all or (N,).

    Raises:
        DataError: an unknown time zone.
    """
    if seconds.min(initial=np.inf) >= FROM_1970:
        day = days_of_seconds(seconds, zone)
        zones = sorted(set(np.unique(np.asarray(zone)).tolist()))
        where = zones[0] if len(zones) == 1 else f"people's time zones ({', '.join(zones[:3])}{' …' if len(zones) > 3 else ''})"
        elsewhere = " (set timezone where people live elsewhere)" if where == "UTC" else ""
        return ViewDays(day, f"dates in {where}{elsewhere}, {date_of(day.min())} to {date_of(day.max())}")
    day = np.floor(seconds / SECONDS_A_DAY).astype(np.int64) + 1
    return ViewDays(day, f"counted from second 0, which begins day 1; {day.min()} to {day.max()}")


def shift_to_views(views: pd.DataFrame, reports: pd.DataFrame | None, shown: pd.DataFrame | None, name: str) -> int:
    """What must be added to the day numbers of ``.day`` and ``.imp`` so that they mean the days of the views.

    Day numbers may count from 1970 or from the first view's day, which is 1 or 0. Where impressions were logged, the count is
    taken in which most of what was watched has its view on that day; else the smallest number tells.

    Args:
        views: columns user, item, day: days as :func:`days_of_views` makes them.
        reports: columns user, day; None where there are none.
        shown: columns user, item, day and label (1 watched); None where there are none.
        name: of the data set, for messages.

    Raises:
        DataError: no count fits the views, or several do; the message says what to write instead.
    """
    frames = [frame for frame in (reports, shown) if frame is not None]
    if not frames:
        return 0
    numbers = pd.concat([frame["day"] for frame in frames])
    first, dates = int(views["day"].min()), is_date(int(views["day"].min()))
    shifts = {0: first, 1: first - 1} if dates else {0: 1, 1: 0}
    mend = f"Write the column `day` into {name}.inter too, or dates such as 2024-03-24 (as `day:token`) into the other files."
    if is_date(int(numbers.min())):
        if not dates:
            raise DataError(
                f"data set '{name}': the days of .day or .imp are dates ({date_of(int(numbers.min()))} …), but the times of "
                f"{name}.inter do not count from 1970. {mend}"
            )
        shift = 0
    elif shown is not None and (shown["label"] == 1).any():
        agree = {shift: _viewed(views, shown, shift) for shift in shifts.values()}
        shift = max(agree, key=lambda shift: agree[shift])
        if agree[shift] < _AGREE:
            raise DataError(
                f"data set '{name}': the day numbers of {name}.imp do not fit the times of {name}.inter: counted from the first "
                f"view's day, at most {agree[shift]:.0%} of what was watched has a view on its day. If the times are not in "
                f"seconds, set time_unit (ms, us, ns). {mend}"
            )
        near = max(_viewed(views, shown, shift, around=1), agree[shift])
        if near > agree[shift] + _OTHER_ZONE:
            raise DataError(
                f"data set '{name}': {near - agree[shift]:.0%} of what was watched has its view a day before or after. The days "
                f"of {name}.imp were made in another time zone: set timezone to an IANA name such as Europe/Berlin."
            )
    elif int(numbers.min()) in shifts:
        shift = shifts[int(numbers.min())]
    else:
        raise DataError(
            f"data set '{name}': the day numbers of {name}.day begin at {int(numbers.min())} and {name}.inter has only times, so "
            f"which day is which date cannot be told. {mend}"
        )
    if reports is not None:
        near = _near_views(views, reports, shift)
        if near < _AGREE:
            raise DataError(
                f"data set '{name}': only {near:.0%} of the rows of {name}.day lie within {_NEAR} days of their person's views. "
                f"Its days may count each person's own days. {mend}"
            )
    return shift


def _viewed(views: pd.DataFrame, shown: pd.DataFrame, shift: int, around: int = 0) -> float:
    """Share of what was watched that has a view of the same person and item on its day, or so many days around it."""
    watched = shown.loc[shown["label"] == 1, ["user", "item", "day"]]
    known = pd.MultiIndex.from_frame(views[["user", "item", "day"]].astype({"day": np.int64}))
    found = np.zeros(len(watched), dtype=bool)
    for more in range(-around, around + 1):
        days = watched.assign(day=watched["day"].astype(np.int64) + shift + more)
        found |= pd.MultiIndex.from_frame(days).isin(known)
    return float(found.mean())


def _near_views(views: pd.DataFrame, reports: pd.DataFrame, shift: int) -> float:
    """Share of the rows, of people with views, that lie near them."""
    span = views.groupby("user")["day"].agg(["min", "max"])
    known = reports[reports["user"].isin(span.index)]
    if known.empty:
        return 1.0
    day, span = known["day"].to_numpy() + shift, span.loc[known["user"]]
    return float(((day >= span["min"].to_numpy() - _NEAR) & (day <= span["max"].to_numpy() + _NEAR)).mean())


def warn_of_shifted(name: str, views: pd.DataFrame, reports: pd.DataFrame, warn: Callable[[str], object]) -> None:
    """Say so where people's reports would lie much better on days with a view if their days were counted otherwise.

    Args:
        name: of the data set.
        views: columns user, day.
        reports: columns user, day, of reports alone.
        warn: told so.
    """
    known = pd.MultiIndex.from_frame(views[["user", "day"]].astype({"day": np.int64})).unique()
    fits = {}
    for shift in (0, *(sign * days for days in range(1, _NEAR + 1) for sign in (1, -1))):
        moved = reports[["user"]].assign(day=reports["day"].astype(np.int64) + shift)
        fits[shift] = float(pd.MultiIndex.from_frame(moved).isin(known).mean()) if len(moved) else 1.0
    best = max(fits, key=lambda shift: fits[shift])
    if fits[best] > fits[0] + _BETTER:
        warn(
            f"{name}.day: {fits[0]:.0%} of the reports lie on a day with a view of their person, and {fits[best]:.0%} would if "
            f"their days were {abs(best)} {'later' if best > 0 else 'earlier'}. Do both files count days alike?"
        )
