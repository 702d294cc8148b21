"""Times and days: units by size, ISO dates, calendar days in time zones, summer time."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_esmr.data.reading.times import (
    date_of,
    days_of_dates,
    days_of_seconds,
    not_a_time,
    seconds_of_dates,
    time_zone,
    unit_of,
)
from recbole_esmr.errors import DataError

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")


@pytest.mark.parametrize(
    ("number", "unit"),
    [
        ([36000, 36120], "s"),
        ([1_711_281_600, 1_711_314_000], "s"),
        ([1_711_281_600_000, 1_711_314_000_000], "ms"),
        ([1_711_281_600_000_000], "us"),
        ([1_711_281_600_000_000_000], "ns"),
        ([np.nan, 5.0], "s"),
        ([], "s"),
        ([1_711_281_600, 1_711_281_600_000], None),
    ],
)
def test_unit_by_size(number, unit):
    assert unit_of(np.array(number, dtype=float)) == unit


_DAYS = 19_806 + np.arange(30) + 10 / 24  # 2024-03-24 10:00 UTC and the same hour of the days after


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ([20240324, 20240402, np.nan], "%Y%m%d"),
        ([2024032410, 2024040223], "%Y%m%d%H"),
        ([202403241000, 202404022359], "%Y%m%d%H%M"),
        ([20240324100000, 20240402235959], "%Y%m%d%H%M%S"),
        (_DAYS + 25_569, "excel"),
        (np.floor(_DAYS) + 25_569, "excel"),
        (_DAYS, "days"),
        (_DAYS * 1440, "minutes"),
        ([1_711_281_600, 9_999_999_999], "far"),
        ([1e22], "far"),
        # seconds since 1970 in every unit, and seconds from the first day of the data
        (_DAYS * 86_400, None),
        (_DAYS * 86_400e3, None),
        (_DAYS * 86_400e9, None),
        ([0, 30 * 86_400], None),
        ([36_000, 90_000], None),
        ([36_000, 36_060, 36_120], None),
        ([36_000], None),
        ([5, 6, 7], None),
        ([20240324, 20241301], "minutes"),
        ([19_000_101, 50_000_000], None),
        ([1_711_281_600, 1_711_281_600_000], None),
        ([], None),
    ],
)
def test_numbers_that_are_no_times_are_told_by_their_size_and_spread(number, kind):
    assert not_a_time(np.array(number, dtype=float)) == kind


@given(st.lists(st.integers(0, 30 * 86_400), min_size=2).filter(lambda some: max(some) - min(some) > 3653))
def test_seconds_from_the_first_day_are_times(seconds):
    assert not_a_time(np.array(seconds, dtype=float)) is None


@pytest.mark.parametrize("offset", ["+01", "+0100", "+01:00", " +01", "+1:00"])
@pytest.mark.parametrize("time", ["2024-03-24 10:00:00", "2024-03-24T10:00:00.000", "20240324T100000"])
def test_an_offset_in_every_notation(time, offset):
    text = pd.Series([time + offset, time, time + "Z", time + " UTC"])
    nine = 1_711_238_400 + 9 * 3600  # 2024-03-24 09:00 UTC
    assert seconds_of_dates(text, "Asia/Tokyo").tolist() == [nine, nine - 8 * 3600, nine + 3600, nine + 3600]
    assert days_of_dates(text).tolist() == [19_806] * 4


def test_an_offset_where_the_format_has_one():
    text, form = pd.Series(["24.03.2024 10:00 +0100", "24.03.2024 10:00 +0000"]), "%d.%m.%Y %H:%M %z"
    assert seconds_of_dates(text, "Asia/Tokyo", form).tolist() == [1_711_270_800, 1_711_274_400]
    assert seconds_of_dates(pd.Series(["24 03-24"]), "Asia/Tokyo", "%d %m-%y").tolist() == [1_711_238_400 - 9 * 3600]


def test_dates_with_and_without_an_offset():
    text = pd.Series(["2024-03-24", "2024-03-24 21:00", "2024-03-24T21:00:00+02:00", "2024-03-24T19:00:00Z", "", "soon"])
    seconds = seconds_of_dates(text, "Europe/Berlin")  # UTC+1 on that day
    noon = 1_711_238_400  # 2024-03-24 00:00 UTC
    assert seconds[:4].tolist() == [noon - 3600, noon + 20 * 3600, noon + 19 * 3600, noon + 19 * 3600]
    assert seconds[4:].isna().all()


def test_dates_of_people_in_two_zones():
    text = pd.Series(["2024-07-01 08:00", "2024-07-01 08:00"])
    seconds = seconds_of_dates(text, pd.Series(["Europe/Berlin", "America/New_York"]))
    assert seconds[1] - seconds[0] == 6 * 3600


def test_the_hour_that_a_clock_skips_and_the_one_it_shows_twice():
    skipped, twice = seconds_of_dates(pd.Series(["2024-03-31 02:30", "2024-10-27 02:30"]), "Europe/Berlin")
    assert skipped == datetime.datetime(2024, 3, 31, 1, 0, tzinfo=datetime.timezone.utc).timestamp()
    assert twice == datetime.datetime(2024, 10, 27, 0, 30, tzinfo=datetime.timezone.utc).timestamp()


def test_a_date_is_a_date_whatever_the_offset():
    days = days_of_dates(pd.Series(["1970-01-01", "1970-01-02T23:59:00+14:00", "1970-01-03 00:00Z", "", "yesterday"]))
    assert days[:3].tolist() == [0, 1, 2] and days[3:].isna().all()
    assert days_of_dates(pd.Series(["24/03/2024"]), "%d/%m/%Y")[0] == 19806 and date_of(19806) == "2024-03-24"


@given(st.lists(st.tuples(st.integers(0, 4_000_000_000), st.sampled_from(ZONES)), min_size=1, max_size=20))
def test_calendar_days_are_those_of_the_standard_library(moments):
    seconds, zones = np.array([m for m, _ in moments], dtype=float), np.array([z for _, z in moments])
    expected = [
        (datetime.datetime.fromtimestamp(m, ZoneInfo(z)).date() - datetime.date(1970, 1, 1)).days for m, z in moments
    ]  # fmt: skip
    assert days_of_seconds(seconds, zones).tolist() == expected


@pytest.mark.parametrize("name", ["Berlin", "../etc", "", "Europe"])
def test_unknown_zones_are_refused(name):
    with pytest.raises(DataError, match="unknown time zone"):
        time_zone(name)
