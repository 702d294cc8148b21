"""What ESMR believes of logs that others made: days, zones, filters, skips, ids that differ between files; by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recbole_esmr.config import Config
from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.data.reading.calendar import shift_to_views
from recbole_esmr.data.reading.partners import partners
from recbole_esmr.data.reading.times import date_of
from recbole_esmr.errors import DataError

MIDNIGHT = 1_711_238_400  # 2024-03-24 00:00 UTC
DAY = 86400
ITEM = "item_id:token\temotion:token\temotion_intensity:float\tduration:float\n"
ITEM += "x\tangry\t0.8\t36\ny\thappy\t0.5\t72\nz\tneutral\t1\t30\n"


def _write(folder, **files):
    path = folder / "mine"
    path.mkdir(exist_ok=True)
    for suffix, rows in {"item": ITEM, **files}.items():
        (path / f"mine.{suffix}").write_text(
            rows if isinstance(rows, str) else "\n".join("\t".join(map(str, row)) for row in rows)
        )
    return str(path)


def _load(path, **keys):
    return ESMRDataset(Config("ESMR", path, config_dict={"state": "ERROR", "load_col": None, **keys}, arguments=[]))


def _inter(*rows, head=("user_id:token", "item_id:token", "timestamp:float")):
    return [head, *rows]


def _present(dataset, person):
    row = dataset.trace.present[dataset.token2id("user_id", person)]
    return [date_of(dataset.trace.first_day + day) for day in np.flatnonzero(row)]


VIEWS = [
    ("a", "x", MIDNIGHT + 5 * 3600),
    ("a", "y", MIDNIGHT + 23.5 * 3600),
    ("a", "z", MIDNIGHT + DAY + 3600),
    ("b", "x", MIDNIGHT),
]


@pytest.mark.parametrize(("unit", "words"), [(1, "s"), (1e3, "ms"), (1e6, "us"), (1e9, "ns")])
def test_days_begin_at_midnight_in_every_unit(tmp_path, unit, words):
    """A view in the morning belongs to its own date, not to 24 hours from the first view."""
    path = _write(tmp_path, inter=_inter(*((u, i, f"{t * unit:.0f}") for u, i, t in VIEWS)))
    for keys in ({}, {"time_unit": words}):
        dataset = _load(path, **keys)
        assert _present(dataset, "a") == ["2024-03-24", "2024-03-25"] and _present(dataset, "b") == ["2024-03-24"]


def test_days_of_people_in_two_time_zones(tmp_path, caplog):
    user = [("user_id:token", "timezone:token"), ("a", "America/New_York"), ("b", "Pacific/Auckland")]
    dataset = _load(_write(tmp_path, inter=_inter(*VIEWS), user=user))
    assert _present(dataset, "a") == ["2024-03-24"]  # 01:00, 19:30 and 21:00 of that day in New York
    assert _present(dataset, "b") == ["2024-03-24"]  # 13:00 in Auckland
    assert "dates in people's time zones (America/New_York, Pacific/Auckland)" in caplog.text
    berlin = _load(_write(tmp_path, inter=_inter(*VIEWS), user=[("user_id:token",), ("a",), ("b",)]), timezone="Europe/Berlin")
    assert _present(berlin, "a") == ["2024-03-24", "2024-03-25"]  # 23:30 UTC is the next day there
    with pytest.raises(DataError, match="unknown time zone 'Berlin'"):
        _load(_write(tmp_path, inter=_inter(*VIEWS)), timezone="Berlin")


@pytest.mark.parametrize(
    ("first", "kind"),
    [(0, "float"), (1, "float"), (19806, "float"), ("2024-03-24", "token")],
    ids=["from 0", "from 1", "since 1970", "dates"],
)
def test_reports_meet_the_views_of_their_day(tmp_path, first, kind):
    """`.day` counts from 0, from 1 or from 1970, or holds dates: the angry day is the day of the angry video."""
    second = "2024-03-25" if kind == "token" else first + 1
    day = [("user_id:token", f"day:{kind}", "emotion:token"), ("a", first, "angry"), ("a", second, "happy"), ("b", first, "")]
    trace = (dataset := _load(_write(tmp_path, inter=_inter(*VIEWS), day=day))).trace
    a = dataset.token2id("user_id", "a")
    assert (date_of(trace.first_day), trace.days) == ("2024-03-24", 2)
    assert [dataset.taxonomy.labels[code] for code in trace.emotion[a]] == ["angry", "happy"]
    assert trace.exposure[a, 0].tolist() == [0.4, 0.25]  # x and y on the 24th, whole


def test_impressions_tell_which_count_they_have(tmp_path):
    """Nothing was shown on the first day of `.imp`'s own count, so its smallest number would mislead; its views do not."""
    views = [("a", "x", MIDNIGHT), ("a", "y", MIDNIGHT + DAY), ("b", "x", MIDNIGHT + 2 * DAY), ("b", "z", MIDNIGHT + 3 * DAY)]
    for shift in (0, 1):
        shown = [
            ("user_id:token", "item_id:token", "day:float", "label:float"),
            ("a", "y", 1 + shift, 1),
            ("a", "z", 1 + shift, 0),
        ]
        shown += [("b", "x", 2 + shift, 1), ("b", "z", 3 + shift, 1)]
        dataset = _load(_write(tmp_path, inter=_inter(*views), imp=shown))
        rows = dataset.impressions
        assert dataset.trace.first_day == 19806 and rows.day.tolist() == [0, 1, 1, 2, 3]


@pytest.mark.parametrize(
    ("reports", "shown", "message"),
    [
        ([("a", 5), ("b", 9)], None, "begin at 5 and mine.inter has only times"),
        ([("a", -3), ("b", 9)], None, "begin at -3"),
        ([("a", 1), ("b", 1), ("b", 40), ("a", 40), ("a", 41)], None, "may count each person's own days"),
        (None, [("a", "x", 7, 1), ("b", "x", 9, 1)], "do not fit the times"),
    ],
)
def test_days_that_cannot_be_told_are_refused(reports, shown, message):
    views = pd.DataFrame({"user": ["a", "b"], "item": ["x", "x"], "day": [19806, 19809]})
    reports = reports and pd.DataFrame(reports, columns=["user", "day"])
    shown = shown and pd.DataFrame(shown, columns=["user", "item", "day", "label"])
    with pytest.raises(DataError, match=message):
        shift_to_views(views, reports, shown, "mine")


def test_dates_beside_times_that_are_no_dates_are_refused():
    views = pd.DataFrame({"user": ["a"], "item": ["x"], "day": [1]})
    with pytest.raises(DataError, match="do not count from 1970"):
        shift_to_views(views, pd.DataFrame({"user": ["a"], "day": [19806]}), None, "mine")


HEAD = ("user_id:token", "item_id:token", "timestamp:float", "day:float", "watch_ratio:float")
RATIOS = [("a", "x", 1, 1, 0.1), ("a", "y", 2, 1, 0.9), ("a", "z", 3, 1, 0.8)]
RATIOS += [("b", "x", 4, 1, 0.2), ("b", "y", 5, 1, 1), ("b", "z", 6, 2, 1)]
SHOWN = [
    ("user_id:token", "item_id:token", "day:float", "label:float"),
    *((u, i, d, 1) for u, i, _, d, _ in RATIOS),
    ("b", "x", 2, 0),
]


@pytest.mark.parametrize(
    "filters",
    [
        {"val_interval": {"watch_ratio": "[0.5,inf)"}},
        {"item_inter_num_interval": "[2,inf)", "val_interval": {"watch_ratio": "(0.15,inf)"}},
        {"item_inter_num_interval": "[2,inf)", "val_interval": {"watch_ratio": "(0.3,inf)"}},
        {"rm_dup_inter": "first"},
    ],
    ids=["short views dropped", "rare items kept", "rare items dropped", "repeats dropped"],
)
@pytest.mark.parametrize("imp", [True, False])
def test_what_was_seen_does_not_depend_on_filters(tmp_path, filters, imp):
    path = _write(tmp_path, inter=_inter(*RATIOS, head=HEAD), **({"imp": SHOWN} if imp else {}))
    plain, filtered = _load(path), _load(path, **filters)
    for person in "ab":
        one, other = (dataset.token2id("user_id", person) for dataset in (plain, filtered))
        assert np.allclose(plain.trace.exposure[one], filtered.trace.exposure[other], equal_nan=True)
        assert np.allclose(plain.trace.engagement[one], filtered.trace.engagement[other])
    a = plain.token2id("user_id", "a")
    assert np.allclose(plain.trace.exposure[a, 0], [0.1 * 0.8 / 3, 0.9 * 0.5 / 3])
    rows = filtered.impressions
    ratio = {(u, i): r for u, i, r in zip(rows.user, rows.item, rows.watch_ratio, strict=True)}
    if "x" in filtered.field2token_id["item_id"]:
        assert ratio[filtered.token2id("user_id", "a"), filtered.token2id("item_id", "x")] == 0.1  # not 1.0


def test_a_log_without_skips_is_a_log_of_views(tmp_path, caplog):
    dataset = _load(_write(tmp_path, inter=_inter(*RATIOS, head=HEAD), imp=SHOWN[:-1]))
    assert not dataset.impressions.has_skips and "what was shown and skipped is not logged" in caplog.text
    assert _load(_write(tmp_path, inter=_inter(*RATIOS, head=HEAD), imp=SHOWN)).impressions.has_skips


def test_watched_without_a_view_counts_as_usual_and_is_said(tmp_path, caplog):
    dataset = _load(_write(tmp_path, inter=_inter(*RATIOS, head=HEAD), imp=[*SHOWN, ("a", "x", 2, 1)]))
    assert "1 of 7 rows with label 1 have no view" in caplog.text
    a, x = dataset.token2id("user_id", "a"), dataset.token2id("item_id", "x")
    rows = dataset.impressions
    assert rows.watch_ratio[(rows.user == a) & (rows.item == x) & (rows.day == 1)] == pytest.approx(
        np.mean([r[-1] for r in RATIOS])
    )


def test_a_mood_that_is_never_negative_is_said(tmp_path, caplog):
    day = [("user_id:token", "day:float", "valence:float"), ("a", 1, 1 / 7), ("b", 1, 6 / 7)]
    _load(_write(tmp_path, inter=_inter(*RATIOS, head=HEAD), day=day))
    assert "nobody ever reports a negative emotion (the lowest valence is 0.142857)" in caplog.text
    caplog.clear()
    _load(_write(tmp_path, inter=_inter(*RATIOS, head=HEAD), day=[*day, ("a", 2, -0.2)]))
    assert "negative emotion" not in caplog.text


PEOPLE = [f"P{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (str.lower, "10 of 10 ids are spelled differently in .inter, for example 'p0' here and 'P0' there"),
        (lambda name: name + " ", "spelled differently in .inter, for example 'P0 ' here"),
        (lambda name: name if name < "P3" else "X" + name, "7 of 10 ids are in no interaction (for example 'XP3')"),
    ],
)
def test_ids_that_differ_between_files_are_refused(tmp_path, change, message):
    views = [(person, item, 10 * place + step, 1, 0.5) for place, person in enumerate(PEOPLE) for step, item in enumerate("xyz")]
    day = [("user_id:token", "day:float", "emotion:token"), *((change(person), 1, "happy") for person in PEOPLE)]
    with pytest.raises(DataError) as caught:
        _load(_write(tmp_path, inter=_inter(*views, head=HEAD), day=day))
    assert message in str(caught.value) and "mine.day, column 'user_id'" in str(caught.value)
    if "no interaction" in message:
        assert "max_unknown_ids" in str(caught.value)
        assert _load(_write(tmp_path, inter=_inter(*views, head=HEAD), day=day), max_unknown_ids=0.8).trace.has_emotion


def test_numbers_that_a_spreadsheet_has_changed_are_found():
    found = partners("mine.item", pd.Series(["1.0", "2.0", "7"], name="item_id"), pd.Series(["001", "2", "9"]))
    assert (found.ids, found.unknown, found.absent, found.lookalikes) == (3, 3, 3, 2) and found.lookalike == ("1.0", "001")
    with pytest.raises(DataError, match="2 of 3 ids are spelled differently"):
        found.check(1.0, lost=False)


def test_ids_without_partner_are_counted_in_each_direction():
    found = partners("mine.day", pd.Series(["a", "a", "b", "c"], name="who"), pd.Series(["a", "d", "e", "b"]))
    assert (found.ids, found.unknown, found.rows, found.unknown_rows, found.known, found.absent) == (3, 1, 4, 1, 4, 2)
    said = found.check(0.5, lost=True)
    assert said == "mine.day, column 'who': 1 of 3 ids (1 of 4 rows) are in no interaction and are left out, for example 'c'."
    assert "2 of 4 ids that have an interaction have no row, for example 'd'" in found.check(0.5, lost=False)
    assert partners("f", pd.Series(["a"], name="who"), pd.Series(["a", "a"])).check(0.0, lost=True) == ""


def test_a_view_without_an_impression_was_shown(tmp_path, caplog):
    """One of six views has no row in `.imp`: it is added; the exposure is the one of the whole log."""
    whole = _load(_write(tmp_path, inter=_inter(*RATIOS, head=HEAD), imp=SHOWN))
    less = _load(_write(tmp_path, inter=_inter(*RATIOS, head=HEAD), imp=[SHOWN[0], *SHOWN[2:]]))
    assert "1 of 6 views of mine.inter have no row with label 1: they are added as shown" in caplog.text
    assert less.impressions.has_skips and len(less.impressions) == len(whole.impressions)
    assert np.allclose(less.trace.exposure, whole.trace.exposure, equal_nan=True)


def test_a_log_of_what_was_shown_that_lacks_most_views_is_none(tmp_path, caplog):
    less = _load(_write(tmp_path, inter=_inter(*RATIOS, head=HEAD), imp=[SHOWN[0], SHOWN[1], SHOWN[-1]]))
    assert "5 of 6 views of mine.inter have no row with label 1, so what was shown is not logged" in caplog.text
    assert not less.impressions.has_skips and len(less.impressions) == 6


def test_impressions_of_another_day_are_refused_and_repeated_ones_said(tmp_path, caplog):
    _load(_write(tmp_path, inter=_inter(*RATIOS, head=HEAD), imp=[*SHOWN, SHOWN[1]]))
    assert "mine.imp: 1 of 8 lines say again what another line says" in caplog.text
    moved = [SHOWN[0], *((u, i, d - 1, n) for u, i, d, n in SHOWN[1:])]
    with pytest.raises(DataError, match=r"6 of 6 rows with label 1 have no view .* if 1 were added to the days of \.imp"):
        _load(_write(tmp_path, inter=_inter(*RATIOS, head=HEAD), imp=moved))


def test_impressions_of_another_time_zone_are_refused(tmp_path):
    """Half of the views lie before midnight UTC, on the next day in Berlin, by which `.imp` was counted."""
    views = [
        (p, i, MIDNIGHT + day * DAY + hour * 3600) for p in "ab" for day, (i, hour) in enumerate([("x", 23.5), ("y", 12)] * 4)
    ]
    dates = [int(day + 1 + (hour > 23)) for _ in "ab" for day, (_, hour) in enumerate([("x", 23.5), ("y", 12)] * 4)]
    shown = [SHOWN[0], *((p, i, day, 1) for (p, i, _), day in zip(views, dates, strict=True)), ("a", "z", 1, 0)]
    path = _write(tmp_path, inter=_inter(*views), imp=shown)
    with pytest.raises(DataError, match=r"50% of what was watched has its view a day before or after.* set timezone"):
        _load(path)
    assert _load(path, timezone="Europe/Berlin").impressions.has_skips


def test_reports_that_would_fit_another_day_much_better_are_said(tmp_path, caplog):
    views = [(p, i, 10 * d + n, d, 0.5) for p in "ab" for d in (1, 4, 8) for n, i in enumerate("xy")]
    day = [("user_id:token", "day:float", "emotion:token"), *((p, d - 1, "happy") for p in "ab" for d in (1, 4, 8))]
    _load(_write(tmp_path, inter=_inter(*views, head=HEAD), day=day))
    assert "0% of the reports lie on a day with a view of their person, and 100% would if their days were 1 later" in caplog.text


@pytest.mark.parametrize("keys", [{}, {"unload_col": {"user": ["consent"], "inter": ["watch_ratio"]}}])
def test_consent_and_watch_ratio_are_read_whatever_recbole_unloads(tmp_path, keys, caplog):
    user = [("user_id:token", "consent:float"), ("a", 0)]
    day = [("user_id:token", "day:float", "emotion:token"), ("a", 1, "angry"), ("b", 1, "happy")]
    dataset = _load(
        _write(tmp_path, inter=_inter(*RATIOS, head=HEAD), user=user, day=day), filter_inter_by_user_or_item=False, **keys
    )
    assert dataset.trace.consent.tolist() == [True, False, False]  # nobody has asked b
    assert "1 people of mine.inter have no row, so no consent" in caplog.text and not np.isfinite(dataset.trace.valence).any()
    assert dataset.impressions.watch_ratio.sum() == pytest.approx(4.0)


def test_dates_are_meant_in_the_zone_of_their_person(tmp_path):
    user = [("user_id:token", "timezone:token"), ("a", "America/New_York"), ("b", "Asia/Tokyo")]
    moments = [(p, i, t) for p in "ab" for i, t in (("x", "2024-03-23 02:00"), ("y", "2024-03-24 23:30"), ("z", "2024-03-26"))]
    day = [("user_id:token", "day:token", "emotion:token"), ("a", "2024-03-25T02:30:00Z", "angry"), ("b", "2024-03-24", "happy")]
    head = ("user_id:token", "item_id:token", "timestamp:token")
    dataset = _load(_write(tmp_path, inter=_inter(*moments, head=head), user=user, day=day))
    for person in "ab":
        assert _present(dataset, person) == ["2024-03-23", "2024-03-24", "2024-03-26"]
        said = np.flatnonzero(np.isfinite(dataset.trace.valence[dataset.token2id("user_id", person)]))
        assert [date_of(dataset.trace.first_day + day) for day in said] == ["2024-03-24"]


@pytest.mark.parametrize(
    ("files", "keys", "message"),
    [
        (
            {"user": [("user_id:token", "timezone:token"), ("a", "UTC"), ("b", "Berlin")]},
            {},
            "mine.user, line 3, column 'timezone'",
        ),
        (
            {"day": [("user_id:token", "day:float", "emotion:token"), ("[PAD]", 1, "happy")]},
            {},
            "mine.day, line 2.*RecBole's name",
        ),
        ({"day": [("user_id:token", "day:float", "mood:float"), ("a", 1, 1)]}, {"VALENCE_FIELD": "moood"}, "Did you mean 'mood'"),
        (
            {"user": [("user_id:token", "agree:float"), ("a", 1)]},
            {"CONSENT_FIELD": "agreed"},
            "'agreed', which CONSENT_FIELD names",
        ),
        (
            {"inter": [("user_id:token", "item_id:token"), ("a", "x"), ("a", "y")], "imp": SHOWN},
            {},
            "has neither 'timestamp' nor 'day'",
        ),
    ],
)
def test_files_that_cannot_be_meant_so_are_refused(tmp_path, files, keys, message):
    with pytest.raises(DataError, match=message):
        _load(_write(tmp_path, **{"inter": _inter(*RATIOS, head=HEAD), **files}), **keys)


def test_columns_of_the_users_own_may_have_any_name(tmp_path):
    day = [("user_id:token", "day:float", "emotion:token", "user:float", "item:float"), ("a", 1, "angry", 3, 4)]
    dataset = _load(_write(tmp_path, inter=_inter(*RATIOS, head=HEAD), day=day))
    a = dataset.token2id("user_id", "a")
    assert {"user (own)", "item (own)"} < set(dataset.trace.feature_names)
    assert dataset.trace.features[a, 0, dataset.trace.feature_names.index("user (own)")] == 3
