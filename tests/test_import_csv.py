"""``import csv``: what people export goes in as they mean it, or is refused in one line with their file, line and column."""

from __future__ import annotations

import csv
import gzip
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recbole_esmr.data.importers import import_data
from recbole_esmr.data.reading.atomic import read_atomic_file
from recbole_esmr.errors import DataError
from recbole_esmr.files import read_yaml

VIEWS = "who,what,when\na,x,2024-03-24 21:00\na,y,2024-03-25 08:00\nb,x,2024-03-24 09:30\n"
ITEMS = "what,feels,strength\nx,happy,0.5\ny,angry,1\n"
DIARY = "who,date,mood,feels\na,2024-03-24,1,angry\na,2024-03-25,7,happy\nb,2024-03-24,4,\n"
MAPPING = """
inter: {file: views.csv, columns: {user_id: who, item_id: what, timestamp: when}}
item: {file: items.csv, columns: {item_id: what, emotion: feels, emotion_intensity: strength}}
day: {file: diary.csv, columns: {user_id: who, day: date, valence: mood}, scale: {valence: [1, 7]}}
"""
ONLY_VIEWS = "inter: {file: views.csv, columns: {user_id: who, item_id: what, timestamp: when}}\n"


def _import(folder: Path, mapping: str = MAPPING, **files: str | bytes):
    """Import files of a folder; ``views`` is views.csv. Returns the report and the atomic files as text, by suffix."""
    folder.mkdir(exist_ok=True)
    for name, content in {"views": VIEWS, "items": ITEMS, "diary": DIARY, **files}.items():
        (folder / f"{name}.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "map.yaml").write_text(mapping)
    report = import_data("csv", folder, folder / "mine", folder / "map.yaml")
    config = {"field_separator": "\t", "encoding": "utf-8"}
    return report, {suffix: read_atomic_file(folder / "mine" / f"mine.{suffix}", config).text for suffix in report.rows}


def _column(frame: pd.DataFrame, name: str) -> list[float]:
    return frame[name].astype(float).tolist()


# -- ids and dialects ---------------------------------------------------------------------------------------------------


def test_ids_are_text(tmp_path):
    people = [
        "001",
        "1",
        "1.0",
        "1e5",
        "0x10",
        "TRUE",
        "NA",
        "null",
        "None",
        "nan",
        " a",
        "a",
        "1234567890123456789",
        "ü 猫",
        "5'",
    ]
    views = "who,what,when\n" + "".join(f"{name},0000000008,{day}\n" for name in people for day in (1, 2))
    _, files = _import(tmp_path, ONLY_VIEWS, views=views)
    assert files["inter"]["user_id"].unique().tolist() == people
    assert files["inter"]["item_id"].unique().tolist() == ["0000000008"]


ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n\0"), min_size=1, max_size=8)


@given(st.lists(st.tuples(ids, ids).filter(lambda pair: all(name.strip() for name in pair)), min_size=1, max_size=12))
@example([("\ufeff", "0"), ("\ufeffb", "\ufeff")])
@settings(max_examples=60, deadline=None)
def test_any_ids_are_written_as_they_were_read(pairs):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with (path / "views.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("who", "what", "when"), *((*pair, 5) for pair in pairs)])
        (path / "map.yaml").write_text(ONLY_VIEWS)
        import_data("csv", path, path / "mine", path / "map.yaml")
        found = read_atomic_file(path / "mine" / "mine.inter", {"field_separator": "\t", "encoding": "utf-8"}).text
    assert list(zip(found["user_id"], found["item_id"], strict=True)) == pairs


@pytest.mark.parametrize(
    ("views", "keys"),
    [
        (VIEWS.encode("utf-8-sig"), ""),
        (VIEWS.replace("\n", "\r\n").encode("utf-8-sig"), ""),
        (VIEWS.replace("\n", "\r").encode(), ""),
        (VIEWS.encode("utf-16"), ""),
        (VIEWS.replace(",", ";").encode(), ""),
        (VIEWS.replace(",", "\t").encode(), ""),
        (VIEWS.replace(",", "|").encode(), ""),
        (b"sep=;\r\n" + VIEWS.replace(",", ";").encode(), ""),
        (VIEWS.replace(",", "~").encode(), "delimiter: '~'\n"),
        (VIEWS.replace(",", "\t").encode(), "delimiter: tab\n"),
        ((VIEWS + ",,\n\n").encode(), ""),
        (VIEWS.replace("who,", " who ,").encode(), ""),
        (VIEWS.replace("a,x", '"a","x"').encode(), ""),
    ],
)
def test_dialects_are_found_out_or_declared(tmp_path, views, keys):
    _, expected = _import(tmp_path / "plain", ONLY_VIEWS)
    _, files = _import(tmp_path / "other", keys + ONLY_VIEWS, views=views)
    assert files["inter"].equals(expected["inter"]) and len(files["inter"]) == 3


def test_latin_1_semicolons_and_decimal_commas(tmp_path):
    items = "what;feels;strength\nx;happy;0,5\ny;angry;0,25\n"
    views = VIEWS.replace(",", ";").replace("a;", "Zoë;").encode("latin-1")
    report, files = _import(tmp_path, "encoding: latin-1\n" + MAPPING, views=views, items=items)
    assert files["inter"]["user_id"].tolist() == ["Zoë", "Zoë", "b"]
    assert _column(files["item"], "emotion_intensity") == [0.5, 0.25]
    assert "items.csv, column 'strength': decimal comma" in report.notes
    _, files = _import(
        tmp_path, "encoding: latin-1\n" + MAPPING.replace("strength}", 'strength}, decimal: ","'), views=views, items=items
    )
    assert _column(files["item"], "emotion_intensity") == [0.5, 0.25]


def test_quoted_cells_may_hold_delimiters_quotes_and_line_ends(tmp_path):
    items = 'what,feels,strength,title\n"x",happy,0.5,"A ""long"" one,\nin two lines"\ny,angry,1,tab\there\n'
    mapping = MAPPING.replace("emotion_intensity: strength", "emotion_intensity: strength, title: title")
    report, files = _import(tmp_path, mapping, items=items)
    assert files["item"]["title"].tolist() == ['A "long" one, in two lines', "tab here"]
    assert any("tabs and line ends became spaces in 2 cells" in note for note in report.notes)


def test_texts_of_several_lines_pass_and_are_said(tmp_path):
    text = '"Dear all,\n\nthanks, and\nbye"'
    items = f"what,feels,strength,title\nx,happy,0.5,{text}\ny,angry,1,B\nz,happy,1,{text}\n"
    report, files = _import(tmp_path, items=items)
    assert files["item"]["item_id"].tolist() == ["x", "y", "z"]
    assert "items.csv: 2 rows go over several lines within quotes, the first from line 2 to 5" in report.notes


def test_several_files_of_one_kind_and_packed_ones(tmp_path):
    tmp_path.joinpath("views_b.csv").write_text("when,who,what\n2024-03-26,c,x\n")
    tmp_path.joinpath("views_a.csv.gz").write_bytes(gzip.compress(VIEWS.encode()))
    for file in ("[views_a.csv.gz, views_b.csv]", "'views_*'"):
        _, files = _import(tmp_path, ONLY_VIEWS.replace("views.csv", file))
        assert files["inter"]["user_id"].tolist() == ["a", "a", "b", "c"]


# -- times --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "keys", "seconds"),
    [
        (["2024-03-24", "2024-03-24 21:00"], "", [1711238400, 1711314000]),
        (["2024-03-24 21:00", "2024-07-24 21:00"], "timezone: Europe/Berlin", [1711310400, 1721847600]),  # UTC+1 and UTC+2
        (["2024-03-24T21:00:00+05:30", "2024-03-24T21:00:00Z"], "timezone: Europe/Berlin", [1711294200, 1711314000]),
        (["1711314000", "1711314000.5"], "", [1711314000, 1711314000.5]),
        (["1711314000000", "1711314000500"], "", [1711314000, 1711314000.5]),
        (["1711314000000000", "1711314000500000"], "", [1711314000, 1711314000.5]),
        (["1711314000000000000", "1711314001000000000"], "", [1711314000, 1711314001]),
        (["36000", "90000"], "", [36000, 90000]),
        (["2024-03-24 21:00:00+01", "2024-03-24 21:00:00+0100"], "timezone: Asia/Tokyo", [1711310400, 1711310400]),
    ],
)
def test_moments_become_seconds(tmp_path, cells, keys, seconds):
    views = "who,what,when\n" + "".join(f"a,x,{cell}\n" for cell in cells)
    _, files = _import(tmp_path, f"{keys}\n{ONLY_VIEWS}", views=views)
    assert _column(files["inter"], "timestamp") == seconds


def test_dates_of_any_format_that_is_said(tmp_path):
    views = "who,what,when\na,x,24.03.2024 21:00\n"
    _, files = _import(tmp_path, ONLY_VIEWS.replace("}}", "}, date_format: {timestamp: '%d.%m.%Y %H:%M'}}"), views=views)
    assert _column(files["inter"], "timestamp") == [1711314000]


@pytest.mark.parametrize(
    ("cell", "keys", "day"),
    [
        ("2024-03-24", "", 19806),
        ("2024-03-24", "timezone: Pacific/Auckland", 19806),  # a date is what the calendar said
        ("2024-03-24 23:30", "timezone: Pacific/Auckland", 19806),
        ("2024-03-24T23:30:00Z", "timezone: Europe/Berlin", 19807),
        ("1711323000", "timezone: Europe/Berlin", 19807),  # the same moment
        ("1711323000000", "", 19806),
    ],
)
def test_days_become_days_since_1970(tmp_path, cell, keys, day):
    mapping = "day: {file: diary.csv, columns: {user_id: who, day: date, emotion: feels}}\n"
    _, files = _import(tmp_path, f"{keys}\n{ONLY_VIEWS}{mapping}", diary=f"who,date,feels\na,{cell},angry\n")
    assert _column(files["day"], "day") == [day]


def test_day_numbers_stay_and_make_the_order_of_time(tmp_path):
    views = "who,what,day\na,y,3\na,x,3\nb,x,1\na,x,1\n"
    report, files = _import(tmp_path, ONLY_VIEWS.replace("timestamp: when", "day: day"), views=views)
    assert _column(files["inter"], "day") == [3, 3, 1, 1]
    assert _column(files["inter"], "timestamp") == [172800, 172801, 0, 0]
    assert "timestamp: made from the day, in the order of the rows" in report.notes


def test_days_that_are_dates_begin_at_midnight_of_the_zone(tmp_path):
    views = "who,what,day\na,y,2024-07-24\n"
    _, files = _import(tmp_path, "timezone: Europe/Berlin\n" + ONLY_VIEWS.replace("timestamp: when", "day: day"), views=views)
    assert _column(files["inter"], "timestamp") == [1721772000] and _column(files["inter"], "day") == [19928]


def test_people_in_two_time_zones(tmp_path):
    mapping = MAPPING + "user: {file: people.csv, columns: {user_id: who, timezone: zone}}\n"
    people = "who,zone\na,Europe/Berlin\nb,America/New_York\n"
    report, files = _import(tmp_path, mapping, people=people)
    assert _column(files["inter"], "timestamp") == [1711310400, 1711350000, 1711287000]  # UTC+1, UTC+1, UTC-4
    assert files["user"]["timezone"].tolist() == ["Europe/Berlin", "America/New_York"]
    assert any("America/New_York, Europe/Berlin" in note for note in report.notes)


def test_people_without_a_time_zone_are_said(tmp_path):
    mapping = MAPPING + "user: {file: people.csv, columns: {user_id: who, timezone: zone}}\n"
    report, files = _import(tmp_path, mapping, people="who,zone\na,Asia/Tokyo\nb,\n")
    assert _column(files["inter"], "timestamp") == [1711281600, 1711321200, 1711272600]  # UTC+9, UTC+9, UTC
    assert any("1 of 2 people of views.csv have no time zone" in line and "'b'" in line for line in report.warnings)
    report, _ = _import(tmp_path, "timezone: Europe/Berlin\n" + mapping, people="who,zone\na,Asia/Tokyo\nb,\n")
    assert report.warnings == []


def test_ids_without_a_partner_are_said(tmp_path):
    report, _ = _import(tmp_path, diary=DIARY + "c,2024-03-24,1,\n", items=ITEMS.replace("y,angry,1\n", ""))
    assert report.warnings == [
        "items.csv, column 'what': 1 of 2 ids of views.csv have no row here, for example 'y'.",
        "diary.csv, column 'who': 1 of 3 ids are in no row of views.csv (for example 'c'); a run leaves them out.",
    ]
    report, _ = _import(tmp_path, "max_unknown_ids: 1\n" + MAPPING, items="what,feels,strength\nq,happy,1\n")
    assert "2 of 2 ids of views.csv have no row here" in report.warnings[0]
    assert read_yaml(tmp_path / "mine" / "mine.yaml")["max_unknown_ids"] == 1


# -- numbers and scales -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "cells", "valence"),
    [
        ("[1, 7]", ["1", "4", "7", "2.5"], [-1, 0, 1, -0.5]),
        ("[7, 1]", ["1", "4", "7", "2.5"], [1, 0, -1, 0.5]),
        ("[0, 100]", ["0", "50", "100", "25"], [-1, 0, 1, -0.5]),
        ("[-3, 3]", ["-3", "0", "3", "-1.5"], [-1, 0, 1, -0.5]),
    ],
)
def test_scales_are_brought_to_the_range_of_the_field(tmp_path, scale, cells, valence):
    diary = "who,date,mood\n" + "".join(f"a,2024-03-{24 + n},{cell}\n" for n, cell in enumerate(cells))
    _, files = _import(tmp_path, MAPPING.replace("[1, 7]", scale), diary=diary)
    assert _column(files["day"], "valence") == valence


def test_a_scale_of_a_watch_ratio(tmp_path):
    mapping = ONLY_VIEWS.replace("timestamp: when}", "timestamp: when, watch_ratio: pct}, scale: {watch_ratio: [0, 100]}")
    _, files = _import(tmp_path, mapping, views="who,what,when,pct\na,x,5,25\na,x,6,100\n")
    assert _column(files["inter"], "watch_ratio") == [0.25, 1]


def test_positive_and_negative_affect_make_one_valence(tmp_path):
    mapping = MAPPING.replace("valence: mood", "valence: {positive: PA, negative: NA}").replace("[1, 7]", "[1, 5]")
    diary = "who,date,PA,NA\na,2024-03-24,5,1\na,2024-03-25,1,5\nb,2024-03-24,3,2\nb,2024-03-25,,2\n"
    _, files = _import(tmp_path, mapping, diary=diary)
    assert files["day"]["valence"].tolist() == ["1.0", "-1.0", "0.25", ""]  # (3 - 1) / 4 - (2 - 1) / 4


@pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("yes", "no"), ("T", "F"), ("1", "0")])
def test_labels_may_be_true_and_false(tmp_path, yes, no):
    mapping = ONLY_VIEWS + "imp: {file: feed.csv, columns: {user_id: who, item_id: what, day: day, label: clicked}}\n"
    feed = f"who,what,day,clicked\na,x,2024-03-24,{yes}\na,y,2024-03-24,{no}\n"
    _, files = _import(tmp_path, mapping, feed=feed)
    assert _column(files["imp"], "label") == [1, 0]
    with pytest.raises(DataError, match=r"feed\.csv, line 4, column 'clicked': the cell holds 'perhaps'"):
        _import(tmp_path, mapping, feed=feed.replace(f"{yes}\n", "1\n").replace(f"{no}\n", "0\n") + "b,x,2024-03-24,perhaps\n")


@pytest.mark.parametrize(
    ("seconds", "length", "says"),
    [
        ("5000", "20", "watched for longer than the item lasts. Are both in seconds? `multiply: {watch_seconds: 0.001}`"),
        ("5", "20000", "less than a hundredth of the item. Are both in seconds? `multiply: {duration: 0.001}`"),
        ("900", "30000", "half of the items last for more than 8 hours"),
        ("5", "20", None),
    ],
)
def test_lengths_in_another_unit_are_said(tmp_path, seconds, length, says):
    mapping = MAPPING.replace("timestamp: when", "timestamp: when, watch_seconds: sec").replace(
        "emotion_intensity: strength", "duration: length"
    )
    views = VIEWS.replace("\n", f",{seconds}\n").replace(f"when,{seconds}", "when,sec")
    report, _ = _import(tmp_path, mapping, views=views, items=f"what,feels,length\nx,happy,{length}\ny,angry,{length}\n")
    assert report.warnings == [] if says is None else any(says in line for line in report.warnings)


def test_shares_on_a_scale_of_percent_are_said(tmp_path):
    mapping = ONLY_VIEWS.replace("timestamp: when}", "timestamp: when, watch_ratio: pct}, scale: {watch_ratio: [0, 100]}")
    report, _ = _import(tmp_path, mapping, views="who,what,when,pct\na,x,5,0.25\na,x,6,1\n")
    assert any("column 'pct': all values lie in the lowest hundredth of the scale from 0 to 100" in w for w in report.warnings)


def test_rows_shown_twice_are_said(tmp_path):
    mapping = ONLY_VIEWS + "imp: {file: feed.csv, columns: {user_id: who, item_id: what, day: day, label: clicked}}\n"
    feed = "who,what,day,clicked\n" + "a,x,2024-03-24,1\na,y,2024-03-24,0\n" * 2
    report, _ = _import(tmp_path, mapping, feed=feed)
    assert any("2 rows of feed.csv repeat" in line and "feed.csv, line 4" in line for line in report.warnings)


def test_seconds_watched_and_the_length_make_a_ratio(tmp_path):
    mapping = MAPPING.replace("timestamp: when", "timestamp: when, watch_seconds: sec").replace(
        "emotion_intensity: strength", "duration: length"
    )
    views = "who,what,when,sec\na,x,5,15\na,y,6,30\nb,x,7,99\n"
    diary = "who,date,mood\na,1,1\n"
    report, files = _import(tmp_path, mapping, views=views, items="what,feels,length\nx,happy,60\ny,angry,30\n", diary=diary)
    assert _column(files["inter"], "watch_ratio") == [0.25, 1, 1]
    assert any("1 longer than it became 1" in note for note in report.notes)


def test_missing_cells_that_are_said_and_extra_columns(tmp_path):
    mapping = MAPPING.replace("valence: mood", "valence: mood, steps: steps, note: note, code: code").replace("}}\n", "}}\n")
    diary = "who,date,mood,steps,note,code\na,2024-03-24,NA,12,fine,007\nNA,2024-03-25,2,-99,NA,1\n"
    _, files = _import(tmp_path, "missing: [NA, -99]\n" + mapping, diary=diary)
    assert files["day"].columns.tolist() == ["user_id", "day", "valence", "steps", "note", "code"]
    assert files["day"]["user_id"].tolist() == ["a", "NA"]
    assert files["day"]["steps"].tolist() == ["12.0", ""] and files["day"]["code"].tolist() == ["007", "1"]
    assert files["day"]["valence"].iloc[0] == "" and files["day"]["note"].tolist() == ["fine", ""]


# -- rows that say one thing --------------------------------------------------------------------------------------------

PROMPTS = (
    "who,date,hour,mood,feels,minutes\n"
    "a,2024-03-24,21,3,happy,10\n"
    "a,2024-03-24,9,7,angry,20\n"
    "b,2024-03-24,9,4,,1\n"
    "a,2024-03-24,13,2,happy,\n"
    "a,2024-03-25,9,5,sad,5\n"
).replace("sad", "lonely")


@pytest.mark.parametrize(
    ("rules", "valence", "emotion", "minutes"),
    [
        ("{valence: mean}", [0, 0, 1 / 3], ["happy", "", "lonely"], ["15", "1", "5"]),
        ("{valence: last}", [-2 / 3, 0, 1 / 3], ["happy", "", "lonely"], ["15", "1", "5"]),
        ("{valence: worst, emotion: worst, minutes: sum}", [-2 / 3, 0, 1 / 3], ["angry", "", "lonely"], ["30", "1", "5"]),
        ("{valence: last, emotion: last}, order: hour", [-1 / 3, 0, 1 / 3], ["happy", "", "lonely"], ["15", "1", "5"]),
        ("{emotion: most, minutes: max}", [0, 0, 1 / 3], ["happy", "", "lonely"], ["20", "1", "5"]),
    ],
)
def test_several_prompts_a_day_become_one_by_a_stated_rule(tmp_path, rules, valence, emotion, minutes):
    mapping = MAPPING.replace("valence: mood}", "valence: mood, emotion: feels, minutes: minutes}")
    mapping = mapping.replace("[1, 7]}}", f"[1, 7]}}, aggregate: {rules}}}")
    report, files = _import(tmp_path, mapping, diary=PROMPTS)
    assert np.allclose(_column(files["day"], "valence"), valence, atol=1e-12)
    assert files["day"]["emotion"].tolist() == emotion and files["day"]["user_id"].tolist() == ["a", "b", "a"]
    assert files["day"]["minutes"].astype(float).tolist() == [float(number) for number in minutes]
    assert any(note.startswith("aggregate: 5 rows became 3 days of people (valence ") for note in report.notes)


@pytest.mark.parametrize(
    ("times", "order"),
    [
        (["2024-03-24 21:00", "2024-03-24 09:00"], ""),  # the day's own times
        (["24.03.2024 21:00", "24.03.2024 09:00"], ", date_format: {day: '%d.%m.%Y %H:%M'}"),
        (["2024-03-24", "2024-03-24"], ", order: at"),
        (["2024-03-24 09:00", "2024-03-24 21:00"], ", order: at"),
    ],
)
def test_the_last_of_a_day_is_the_latest(tmp_path, times, order):
    mapping = MAPPING.replace("[1, 7]}}", f"[1, 7]}}, aggregate: {{valence: last}}{order}}}")
    diary = f"who,date,at,mood\na,{times[0]},21:00,7\na,{times[1]},9:00,1\n"
    _, files = _import(tmp_path, mapping, diary=diary)
    assert _column(files["day"], "valence") == [1]


def test_one_file_may_hold_views_items_and_people(tmp_path):
    views = "who,what,when,feels,age\na,x,5,happy,\na,y,6,angry,30\nb,x,7,,41\na,x,8,happy,30\n"
    mapping = (
        "file: views.csv\n"
        "inter: {columns: {user_id: who, item_id: what, timestamp: when}}\n"
        "item: {columns: {item_id: what, emotion: feels}}\n"
        "user: {columns: {user_id: who, age: age}}\n"
    )
    report, files = _import(tmp_path, mapping, views=views)
    assert files["item"].to_numpy().tolist() == [["x", "happy"], ["y", "angry"]]
    assert files["user"].to_numpy().tolist() == [["a", "30"], ["b", "41"]]
    assert ".item: 2 rows from 4 rows of views.csv" in report.notes


def test_rows_that_repeat_are_said_and_left_out_where_asked(tmp_path):
    twice = VIEWS + VIEWS.split("\n", 1)[1]
    report, files = _import(tmp_path, views=twice)
    assert len(files["inter"]) == 6
    assert any("3 rows of views.csv repeat an earlier one" in line and "views.csv, line 5" in line for line in report.warnings)
    report, files = _import(tmp_path, "duplicates: drop\n" + MAPPING, views=twice)
    assert len(files["inter"]) == 3 and report.warnings == []


def test_rows_that_differ_in_a_column_that_is_not_mapped_are_no_repeats(tmp_path):
    mapping = "duplicates: drop\n" + MAPPING.replace("[1, 7]}}", "[1, 7]}, aggregate: {valence: mean}}").replace(
        "timestamp: when", "day: day"
    )
    diary = "who,date,hour,mood\na,2024-03-24,9,7\na,2024-03-24,14,7\na,2024-03-24,20,1\na,2024-03-24,20,1\n"
    views = "who,what,day,at\na,x,2024-03-24,10:00\na,x,2024-03-24,18:00\na,x,2024-03-24,18:00\n"
    report, files = _import(tmp_path, mapping, diary=diary, views=views)
    assert np.allclose(_column(files["day"], "valence"), [1 / 3])  # the mean of 7, 7 and 1 is 5
    assert len(files["inter"]) == 2
    assert "diary.csv: 1 rows that repeat an earlier one in every column are left out of .day" in report.notes
    views = "who,what,when,page\na,x,2024-03-24 10:00,1\na,x,2024-03-24 10:00,2\n"
    report, files = _import(tmp_path, "duplicates: drop\n" + MAPPING, views=views)
    assert len(files["inter"]) == 2 and any("They differ in other columns" in line for line in report.warnings)


def test_a_log_of_what_was_shown_is_also_the_log_of_what_was_watched(tmp_path):
    feed = "who,what,day,clicked\na,x,1,1\na,y,1,0\na,z,2,1\n"
    mapping = (
        "inter: {file: feed.csv, where: {clicked: 1}, columns: {user_id: who, item_id: what, day: day}}\n"
        "imp: {file: feed.csv, columns: {user_id: who, item_id: what, day: day, label: clicked}}\n"
    )
    _, files = _import(tmp_path, mapping, feed=feed)
    assert files["inter"]["item_id"].tolist() == ["x", "z"] and _column(files["imp"], "label") == [1, 0, 1]


def test_labels_are_renamed_also_where_they_are_numbers(tmp_path):
    items = "what,feels\nx,1\ny,2\nz, other \n"
    mapping = "emotions: {1: happy, 2: lonely, other: ''}\n" + MAPPING.replace(", emotion_intensity: strength", "")
    _, files = _import(tmp_path, mapping, items=items)
    assert files["item"]["emotion"].tolist() == ["happy", "lonely", ""]


def test_a_mood_that_is_never_negative_is_said(tmp_path):
    report, _ = _import(tmp_path, MAPPING.replace("scale: {valence: [1, 7]}", "multiply: {valence: 0.142}"))
    assert any("diary.csv: nobody is ever negative" in line and "scale: {valence: [1, 7]}" in line for line in report.warnings)
    report, _ = _import(tmp_path)
    assert report.warnings == []


def test_without_any_order_of_time_the_settings_stay_recboles(tmp_path):
    _import(tmp_path, "inter: {file: views.csv, columns: {user_id: who, item_id: what}}\n")
    assert read_yaml(tmp_path / "mine" / "mine.yaml") == {}
