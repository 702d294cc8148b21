"""A user's cells as moments and days: ISO dates, dates of any format, unix times in any unit, day numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recbole_esmr.data.importers.numeric import Cells, are_numbers, numbers
from recbole_esmr.data.reading.times import (
    EXCEL,
    FROM_1970,
    NO_TIMES,
    SECONDS_A_DAY,
    UNITS,
    WORDS,
    days_of_dates,
    days_of_seconds,
    has_offset,
    not_a_time,
    seconds_of_dates,
    unit_of,
)

FORMATS = tuple(
    f"{date}{time}"
    for date in (
        *("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y", "%b %d, %Y", "%Y%m%d"),
        *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y"),
    )
    for time in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
)
"""Formats of dates that are looked for, to name one in a message; none is taken without the user's word."""

Zone = str | pd.Series


def formats_of(text: pd.Series) -> list[str]:
    """The formats of :data:`FORMATS` that fit the first thousand dates."""
    some = text[text.str.strip() != ""].str.strip().iloc[:1000]
    return [form for form in FORMATS if len(some) and pd.to_datetime(some, format=form, errors="coerce").notna().all()]


def moments(cells: Cells, field: str, zone: Zone, date_format: str | None, decimal: str | None) -> tuple[pd.Series, str]:
    """Seconds since 1970-01-01 UTC, or since the first day of the data where the user's seconds count from there.

    Args:
        cells: dates, or unix times.
        field: their name, for messages.
        zone: where dates without an offset are meant, one for all or one a row.
        date_format: of ``strptime``; None reads ISO dates and numbers.

    Returns:
        (N,) float, and how they were read.

    Raises:
        DataError: a cell that is no such moment, or numbers in several units.
    """
    if date_format is None and _are_numbers(cells):
        number, _ = numbers(cells, decimal)
        _refuse_no_times(cells, field, number)
        unit = unit_of(number.to_numpy())
        if unit is None or number.abs().min() < FROM_1970 <= number.abs().max():
            size = number.abs().to_numpy()
            low, high = (int(number.index[int(place)]) for place in (np.nanargmin(size), np.nanargmax(size)))
            other = f"{cells.table.cells[cells.column][low]} in {cells.table.place(low)}"
            cells.refuse(
                number.index.to_series() == high,
                f"It does not count as {other} does. Write all times in one unit, from one beginning.",
            )
        counted = "since 1970" if number.abs().max() >= FROM_1970 else "from the first day of the data"
        return number / UNITS[str(unit)], f"{WORDS[str(unit)]} {counted}"
    seconds = seconds_of_dates(cells.text, zone, date_format or "ISO8601")
    _check_dates(cells, field, seconds, date_format)
    return seconds, _words(cells, zone, date_format)


def days(cells: Cells, field: str, zone: Zone, date_format: str | None, decimal: str | None) -> tuple[pd.Series, str]:
    """Calendar days as days since 1970-01-01; whole numbers of the user's own count stay as they are.

    A date is what a calendar said, so no time zone moves it. A moment with an offset, or a unix time, falls on the day that the
    calendar in ``zone`` had.

    Args, Raises: as of :func:`moments`.

    Returns:
        (N,) float, and how they were read.
    """
    if date_format is None and _are_numbers(cells):
        number, _ = numbers(cells, decimal)
        if number.abs().min() >= FROM_1970:
            seconds, words = moments(cells, field, zone, None, decimal)
            return _days(seconds, zone), f"the calendar days of {words}, in {_named(zone)}"
        if EXCEL[0] <= number.min() and number.max() <= EXCEL[1]:
            cells.refuse(number.notna(), _mend("excel", field))
        written = f'such as `date_format: {{{field}: "%Y%m%d"}}` for 20240324'
        cells.refuse(number.abs() > 1e6, f"Expected a day number or a date. Say how dates are written, {written}.")
        cells.refuse(number.notna() & (number != number.round()), "Expected a whole number of days, or a date.")
        return number, "numbers, as they are"
    offset = has_offset(cells.text, date_format or "ISO8601")
    found = pd.Series(np.nan, index=cells.text.index)
    found[~offset] = days_of_dates(cells.text[~offset], date_format or "ISO8601")
    if offset.any():
        seconds = seconds_of_dates(cells.text[offset], zone if isinstance(zone, str) else zone[offset], date_format or "ISO8601")
        found[offset] = _days(seconds, zone)
    _check_dates(cells, field, found, date_format)
    return found, "dates" + (f"; moments with an offset fall on days in {_named(zone)}" if offset.any() else "")


def midnights(day: pd.Series, zone: Zone) -> pd.Series:
    """Seconds since 1970-01-01 UTC of the beginning of calendar days in a zone; (N,) → (N,)."""
    dates = pd.Series(pd.to_datetime(day.to_numpy() * SECONDS_A_DAY, unit="s"), index=day.index)
    return seconds_of_dates(dates.dt.strftime("%Y-%m-%d"), zone)


def _days(seconds: pd.Series, zone: Zone) -> pd.Series:
    known = seconds[seconds.notna()]
    found = pd.Series(np.nan, index=seconds.index)
    found[known.index] = days_of_seconds(known.to_numpy(), zone if isinstance(zone, str) else zone[known.index].to_numpy())
    return found


def _are_numbers(cells: Cells) -> bool:
    """Whether times are written as numbers; where most are, all must be."""
    number = are_numbers(cells.text) | cells.empty
    some = are_numbers(cells.text[~cells.empty])
    if some.mean() > 0.5:
        cells.refuse(~number, "Expected a number, as in the rows before and after; a time has one notation in a column.")
    return bool(some.all())


def _refuse_no_times(cells: Cells, field: str, number: pd.Series) -> None:
    """Refuse numbers that are written dates, or days or minutes: as seconds they would all fall on one day."""
    kind = not_a_time(number.to_numpy())
    if kind == "far":
        cells.refuse(number == number.max(), _mend(kind, field))
    elif kind is not None:
        cells.refuse(number.notna(), _mend(kind, field))


def _mend(kind: str, field: str) -> str:
    if kind.startswith("%"):
        return f'The numbers are {NO_TIMES[kind]}: say `date_format: {{{field}: "{kind}"}}`.'
    if kind == "far":
        return "It lies after the year 2199. Mend the cell; if it stands for a time that is not known, leave the row out."
    mends = {
        "excel": "Format the column in Excel as date and time, yyyy-mm-dd hh:mm, and export it again.",
        "days": "Map the column to `day`.",
        "minutes": "Write dates, or seconds since 1970 (60 times as many).",
    }
    return f"The numbers are {NO_TIMES[kind]}, not seconds. {mends[kind]}"


def _check_dates(cells: Cells, field: str, found: pd.Series, date_format: str | None) -> None:
    wrong = found.isna() & ~cells.empty
    if not wrong.any():
        return
    if date_format is not None:
        cells.refuse(wrong, f'Expected a date as `date_format: {{{field}: "{date_format}"}}` says.')
    fits = formats_of(cells.text)
    form = " or ".join(f'`date_format: {{{field}: "{form}"}}`' for form in fits)
    form = form or f'such as `date_format: {{{field}: "%d.%m.%Y %H:%M"}}` for 24.03.2024 21:00'
    which = " (say which)" if len(fits) > 1 else ""
    cells.refuse(
        wrong, f"Expected a number, or a date such as 2024-03-24 21:00. Other dates: say how they are written, {form}{which}."
    )


def _words(cells: Cells, zone: Zone, date_format: str | None) -> str:
    offset = has_offset(cells.text, date_format or "ISO8601")
    if offset[~cells.empty].all():
        return "dates with their own offset"
    return f"dates {'with and ' if offset.any() else ''}without an offset, these in {_named(zone)}"


def _named(zone: Zone) -> str:
    if isinstance(zone, str):
        return zone
    names = sorted(set(zone))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
