"""The arithmetic of user-days, by hand and against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_esmr.data.history import History, ranges
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.item_past import PRIOR_IMPRESSIONS, ItemPast
from recbole_esmr.data.user_days import (
    SlateIndex,
    UserDaySums,
    eve,
    last_known,
    mean_so_far,
    shifted,
    spaced,
    sum_by_person,
    window_mean,
    window_sum,
)

NAN = np.nan


def test_shifts_by_hand():
    value = np.array([[1.0, 2.0, 3.0]])
    assert shifted(value, 1, 0).tolist() == [[0, 1, 2]] and shifted(value, -1, 9).tolist() == [[2, 3, 9]]
    assert (
        shifted(value, 0).tolist() == value.tolist() and np.isnan(shifted(value, 5)).all() and np.isnan(shifted(value, -3)).all()
    )
    assert shifted(np.array([[True, True]]), -1, False).tolist() == [[True, False]]
    assert eve(value).tolist() == [[0, 1, 2, 3]]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9))
def test_means_are_those_of_pandas(seed, days):
    rng = np.random.default_rng(seed)
    value = np.where(rng.random((4, 7)) < 0.6, rng.standard_normal((4, 7)), NAN)
    frame = pd.DataFrame(value.T)
    for found, expected in (
        (mean_so_far(value), frame.expanding(1).mean()),
        (window_mean(value, days), frame.rolling(days, min_periods=1).mean()),
        (window_sum(np.nan_to_num(value), days), frame.fillna(0).rolling(days, min_periods=1).sum()),
        (last_known(value), frame.ffill()),
    ):
        assert np.allclose(found, expected.to_numpy().T, equal_nan=True)


def test_a_window_over_what_counts():
    value, known = np.array([[[1.0], [2.0], [4.0]]]), np.array([[[True], [False], [True]]])
    assert window_mean(value, 2, known)[0, :, 0].tolist() == [1, 1, 4]


def test_sums_and_slates_are_those_of_pandas():
    rng = np.random.default_rng(1)
    user, day, code = rng.integers(0, 4, 200), rng.integers(0, 5, 200), rng.integers(-1, 3, 200)
    value = rng.random(200)
    frame = pd.DataFrame({"user": user, "day": day, "code": code, "value": value})
    sums = UserDaySums(user, day, 5, 6)
    by_day = frame.groupby(["user", "day"])["value"]
    for (u, d), expected in by_day.sum().items():
        assert sums.sum(value)[u, d] == pytest.approx(expected)
    assert np.isnan(sums.mean(value)[4]).all() and sums.count.sum() == 200
    assert sums.sum_by(value, code, 3)[..., 1].sum() == pytest.approx(value[code == 1].sum())
    assert np.allclose(sums.mean(value, weight=value)[sums.count > 0], 1)
    slates = SlateIndex(user, day)
    assert slates.size.tolist() == by_day.size().tolist() and np.allclose(slates.padded(value).sum(axis=1), by_day.sum())
    table = slates.padded(value, NAN)
    for row, (_, part) in enumerate(by_day):
        assert table[row, : len(part)].tolist() == part.tolist() and np.isnan(table[row, len(part) :]).all()
    assert np.array_equal(table[slates.row, slates.place], value)
    assert np.allclose(sum_by_person(user, value), frame.groupby("user")["value"].sum())
    early = SlateIndex(np.array([1, 0, 1, 0]), np.array([-2, 3, 0, -2]))  # days before a log's window
    assert (early.user.tolist(), early.day.tolist(), early.row.tolist()) == ([0, 0, 1, 1], [-2, 3, -2, 0], [2, 1, 3, 0])
    nothing = SlateIndex(np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    assert len(nothing) == 0 and nothing.padded(np.zeros(0)).shape == (0, 0)


def test_ranges_by_hand():
    place, row = ranges(np.array([3, 5, 5]), np.array([5, 5, 7]))
    assert place.tolist() == [3, 4, 5, 6] and row.tolist() == [0, 0, 2, 2]


def test_a_history_keeps_what_is_read_and_drops_the_rest():
    """Views before the window stay up to the length that is read; a year of evenings does not grow."""
    history = History(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([5, 6, 7]), days=2, longest=3)
    for day in range(400):
        history = history.next_day(np.array([0, 0]), np.array([day % 50 + 1, day % 50 + 2]))
    items, count = history.before(np.array([0, 1]), np.array([2, 2]), 6)
    assert items[0].tolist() == [48, 49, 49, 50, 50, 51] and count.tolist() == [6, 1] and items[1, 0] == 7
    assert len(history) == 8, "four of the two days, the last three before them; one of somebody who has long been away"


@pytest.mark.parametrize("early", [0, 100])
def test_a_history_of_400_days_is_that_of_a_log_of_its_last_days(early):
    """Bounded by the days of the log and the longest history, whatever came before, and the answers are those of all views."""
    rng, people, days, longest = np.random.default_rng(1), 30, 14, 20
    views = rng.poisson(rng.uniform(0, 4, (people, 1)), (people, early + days + 400))
    person, day = (np.repeat(x.ravel(), views.ravel()) for x in np.mgrid[:people, : views.shape[1]])
    item = rng.integers(1, 99, len(person))
    begun = day < early + days
    served = History(person[begun], day[begun] - early, item[begun], days, longest, early)
    largest = 0
    for now in range(early + days, views.shape[1]):
        served = served.next_day(person[day == now], item[day == now])
        largest = max(largest, len(served) - int(((day > now - days) & (day <= now)).sum()))
    assert largest <= people * longest
    whole = History(person, day - 400 - early, item, days, longest, early=400 + early)
    row, asked = (x.ravel() for x in np.mgrid[:people, : days + 1])
    for length in (1, 7, longest):
        for said, expected in zip(served.before(row, asked, length), whole.before(row, asked, length), strict=True):
            assert np.array_equal(said, expected)
    for said, expected in zip(served.days, whole.days, strict=True):
        assert np.array_equal(said, expected)


def _impressions(day, item, ratio):
    size = len(day)
    return Impressions(
        np.zeros(size, dtype=int), np.array(day), np.array(item), (np.array(ratio) > 0).astype(int), np.array(ratio, dtype=float),
        np.full(size, NAN), True,
    )  # fmt: skip


def test_the_past_of_items_knows_earlier_days_alone_and_rolls_on():
    shown = _impressions([0, 0, 1], [1, 2, 1], [1.0, 0.0, 0.5])
    past = ItemPast.of(shown, items=3, days=2)
    mean = 0.5
    assert past.watch_ratio(np.zeros(3, dtype=int), np.arange(3)).tolist() == [0, 0, 0]
    assert past.watch_ratio(np.array([1]), np.array([1])) == pytest.approx(
        (1 + PRIOR_IMPRESSIONS * mean) / (1 + PRIOR_IMPRESSIONS)
    )
    assert past.popularity(np.array([2]), np.array([1])) == pytest.approx(np.log1p(2 / (2 / 3))), "two of the two views"
    later = past.next_day(_impressions([0], [2], [1.0]))
    rolled = ItemPast.of(_impressions([0, 1], [1, 2], [0.5, 1.0]), items=3, days=2)
    day, item = (x.ravel() for x in np.mgrid[:3, :3])
    for name in ("popularity", "watch_ratio"):
        assert getattr(later, name)(day, item) == pytest.approx(getattr(rolled, name)(day, item)), name
    assert np.isnan(ItemPast.of(shown, 3, 2, known=False).popularity(day, item)).all()
    assert ItemPast.of(shown, 3, 2, known=False).usual_ratio(np.array([1]), np.array([1])).tolist() == [0.5]


def test_some_rows_are_spaced_evenly():
    rows = np.arange(100) * 2
    assert spaced(rows, 100) is rows and spaced(rows, 3).tolist() == [0, 100, 198] and spaced(rows, 1).tolist() == [0]
    assert len(set(spaced(rows, 99))) == 99 and len(spaced(rows[:0], 5)) == 0
