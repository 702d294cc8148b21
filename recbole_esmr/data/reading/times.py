"""Times and days: the unit of a number, ISO dates, and the calendar day on which a moment falls in a time zone."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from recbole_esmr.errors import DataError

SECONDS_A_DAY = 86400
UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""How many of each unit a second has."""

WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_OFFSET = r"\s?(?:[+-]\d{1,2}(?::?\d{2})?|[zZ]|UTC|GMT)$"
FROM_1970 = 1e8
"""Seconds from here on (March 1973) are counted from 1970-01-01 UTC; smaller ones from the first day of the data."""

LATEST = 7_258_118_400
"""Seconds since 1970 of the year 2200; a moment after it is a mistake of units, or a code for "never"."""

EXCEL = (30_000, 60_000)
"""Excel's numbers of days that mean 1982 to 2064."""

NO_TIMES = {
    "%Y%m%d": "dates written as YYYYMMDD",
    "%Y%m%d%H": "times written as YYYYMMDDhh",
    "%Y%m%d%H%M": "times written as YYYYMMDDhhmm",
    "%Y%m%d%H%M%S": "times written as YYYYMMDDhhmmss",
    "excel": "Excel's days since 1900",
    "days": "days since 1970",
    "minutes": "minutes since 1970",
    "far": "moments after the year 2200",
}
"""What numbers in a column of times may be instead, in words; written digits are named by their ``strptime`` format."""


def unit_of(number: np.ndarray) -> str | None:
    """The unit in which moments were written, from their size.

    As seconds 1e11 would lie in the year 5138, so from there on numbers are milliseconds, from 1e14 microseconds and from 1e17
    nanoseconds since 1970. Smaller numbers are seconds.

    Args:
        number: (N,) as written; NaN is left out.

    Returns:
        ``s``, ``ms``, ``us`` or ``ns``; None where the smallest and the largest number say different units.
    """
    known = np.abs(number[np.isfinite(number)])
    if not len(known):
        return "s"
    edges = np.array([1e11, 1e14, 1e17])
    low, high = (list(UNITS)[int(np.searchsorted(edges, size, side="right"))] for size in (known.min(), known.max()))
    return low if low == high else None


def not_a_time(number: np.ndarray) -> str | None:
    """What numbers are instead of unix times or seconds from the first day of the data; None where they may be such times.

    All numbers together decide. Written digits must all be valid dates. Minutes since 1970 would, as seconds, begin more than
    200 days after the first day of the data. Days since 1970 or 1900 would be seconds of less than an hour of the first day; such
    a short log is believed where its times are all multiples of ten.

    Args:
        number: (N,) as written; NaN is left out.

    Returns:
        a key of :data:`NO_TIMES`.
    """
    known = number[np.isfinite(number)]
    if not len(known):
        return None
    low, high = known.min(), known.max()
    for name, cells in (("%Y%m%d", 0), ("%Y%m%d%H", 1), ("%Y%m%d%H%M", 2), ("%Y%m%d%H%M%S", 3)):
        if low >= 19e6 * 100**cells and high < 21010000 * 100**cells and _are_written_dates(known, cells):
            return name
    if low >= 2e7 and high <= 4e7:
        return "minutes"
    if high - low <= 3653 and (known % 10 != 0).any():
        if low >= EXCEL[0] and high <= EXCEL[1]:
            return "excel"
        if low >= 14_000 and high <= 25_000:  # 2008 to 2038
            return "days"
    unit = unit_of(known)
    return "far" if unit is not None and high / UNITS[unit] >= LATEST else None


def _are_written_dates(number: np.ndarray, cells: int) -> bool:
    """Whether the digits of all numbers are year, month and day, and ``cells`` of hour, minute and second."""
    if (number != np.floor(number)).any():
        return False
    rest = number.astype(np.int64)
    for limit in (24, 60, 60)[:cells][::-1]:
        rest, cell = np.divmod(rest, 100)
        if (cell >= limit).any():
            return False
    month, day = rest // 100 % 100, rest % 100
    return bool(((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())


def time_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name such as ``Europe/Berlin``.

    Raises:
        DataError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # a name that is a path, or a folder of names
        raise DataError(
            f"unknown time zone '{name}'. Give an IANA name such as UTC, Europe/Berlin or America/New_York."
        ) from error


def seconds_of_dates(text: pd.Series, zone: str | pd.Series = "UTC", date_format: str = "ISO8601") -> pd.Series:
    """Seconds since 1970-01-01 UTC of dates and datetimes.

    Args:
        text: ``2024-03-24``, ``2024-03-24 21:00`` or ``2024-03-24T21:00:00+02:00``; empty cells are kept as NaN.
        zone: the IANA time zone in which those without an offset are meant, one for all or one a row.
        date_format: ``ISO8601``, or a format of ``strptime`` such as ``%d/%m/%Y``.

    Returns:
        float, NaN where the text is no such date. A local time that a clock skipped in spring is moved on by the skip; one that
        it showed twice in autumn is the first of the two.

    Raises:
        DataError: an unknown time zone.
    """
    offset = has_offset(text, date_format)
    seconds = pd.Series(np.nan, index=text.index)
    if offset.any():
        written = text[offset].str.strip()
        if date_format == "ISO8601":
            written = written.str.replace(r"\s?(?:[zZ]|UTC|GMT)$", "Z", regex=True)
        moments = pd.to_datetime(written, format=date_format, errors="coerce", utc=True)
        seconds[offset] = _since_1970(moments.dt.tz_localize(None))
    plain = ~offset & (text.str.strip() != "")
    if plain.any():
        local = _without_offset(text[plain].str.strip(), date_format)
        zones = pd.Series(zone, index=text.index) if isinstance(zone, str) else zone
        for name, rows in local.groupby(zones[plain]):  # a pass for each time zone, not for each row
            first_of_two = np.ones(len(rows), dtype=bool)
            moments = rows.dt.tz_localize(time_zone(str(name)), ambiguous=first_of_two, nonexistent="shift_forward")
            seconds[rows.index] = _since_1970(moments.dt.tz_convert("UTC").dt.tz_localize(None))
    return seconds


def has_offset(text: pd.Series, date_format: str = "ISO8601") -> pd.Series:
    """Whether datetimes say their offset from UTC, (N,) → (N,) bool.

    ISO times end with it: ``+02``, ``+0200``, ``+02:00``, ``Z``, ``UTC``; in other formats it stands where ``%z`` does.
    """
    if date_format != "ISO8601":
        return (text.str.strip() != "") & ("%z" in date_format or "%Z" in date_format)
    return text.str.strip().str.contains(rf"[T\s]\d{{1,6}}(?::\d{{2}})*(?:[.,]\d+)?{_OFFSET}", na=False)


def days_of_dates(text: pd.Series, date_format: str = "ISO8601") -> pd.Series:
    """Days since 1970-01-01 of calendar dates (a time of day is left out), NaN where the text is no date; (N,) → (N,).

    A date is what people's calendars said, so no time zone moves it.
    """
    date = text.str.strip()
    if date_format == "ISO8601":
        date = date.mask(has_offset(date), date.str.replace(_OFFSET, "", regex=True))
    local = _without_offset(date, date_format)
    return np.floor(_since_1970(local) / SECONDS_A_DAY)


def days_of_seconds(seconds: np.ndarray, zone: str | np.ndarray = "UTC") -> np.ndarray:
    """The calendar day, counted from 1970-01-01, on which each moment falls; summer time is minded.

    Args:
        seconds: (N,) since 1970-01-01 UTC.
        zone: the IANA time zone, one for all or (N,).

    Raises:
        DataError: an unknown time zone.
    """
    moments = pd.Series(pd.to_datetime(np.floor(seconds), unit="s", utc=True))
    zones = pd.Series(zone, index=moments.index) if isinstance(zone, str) else pd.Series(np.asarray(zone), index=moments.index)
    days = pd.Series(0.0, index=moments.index)
    for name, rows in moments.groupby(zones):
        days[rows.index] = np.floor(_since_1970(rows.dt.tz_convert(time_zone(str(name))).dt.tz_localize(None)) / SECONDS_A_DAY)
    return days.to_numpy(np.int64)


def is_date(day: int) -> bool:
    """Whether a day's number counts from 1970 (and so is a date), and not from the first day of the data."""
    return day * SECONDS_A_DAY >= FROM_1970


def weekday(day: np.ndarray) -> np.ndarray:
    """1 Monday … 7 Sunday; where days are no dates, day 1 is taken for a Monday. (N,) → (N,)."""
    return (day + np.where(day * SECONDS_A_DAY >= FROM_1970, 3, -1)) % 7 + 1  # 1970-01-01 was a Thursday


def date_of(day: int) -> str:
    """The ISO date of a day counted from 1970-01-01."""
    return str(np.datetime64(int(day), "D"))


def _without_offset(text: pd.Series, date_format: str) -> pd.Series:
    """Naive datetimes, NaT where the text is no date; (N,) → (N,).

    pandas finds an offset in ``08:0-0``, which :func:`has_offset` takes for the mistake that it is.
    """
    found = pd.to_datetime(text, format=date_format, errors="coerce")
    if not pd.api.types.is_datetime64_dtype(found):
        found = pd.to_datetime(found.map(lambda moment: pd.NaT if getattr(moment, "tzinfo", None) else moment))
    return found


def _since_1970(moments: pd.Series) -> pd.Series:
    """Seconds since 1970-01-01 of naive datetimes, NaN where there is none."""
    return (moments - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
