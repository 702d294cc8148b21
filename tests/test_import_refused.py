"""``import csv`` of bad files and mappings: one line each, in the words of the user who wrote them, and nothing is written."""

from __future__ import annotations

import pytest

from recbole_esmr.errors import ConfigError, DataError
from tests.test_import_csv import DIARY, ITEMS, MAPPING, ONLY_VIEWS, VIEWS, _column, _import

_PROMPT = DIARY + "a,2024-03-25,2,\n"
BAD_FILES = [
    ({"views": "who,what,when,who\na,x,5,b\n"}, ["views.csv, line 1: two columns are named 'who' (column 1 and 4)"]),
    ({"views": "who,what,when\na,x,5,\n"}, ["views.csv, line 2: has 4 cells and the header 3"]),
    ({"views": "who,what,when\na,x,5\na,x\n"}, ["views.csv, line 3: has 2 cells and the header 3"]),
    ({"views": "who,what,\na,x,5\n"}, ["views.csv, line 1: the column 'when' is missing. Known: what, who"]),
    ({"views": "who what when\na x 5\n"}, ["the column 'who' is missing", "delimiter"]),
    ({"views": 'who,what,when\na,x,5\na,"x,6\na,x,7\n'}, ["views.csv, line 3: the quote that opens here is never closed"]),
    ({"views": 'who,what,when\n"a\nb",x,5\na,y,5\nc,"d,6\n'}, ["views.csv, line 5: the quote that opens here"]),
    (
        {"views": 'who,what,when\na,"x,5\nb,"y",6\n'},
        ["views.csv, line 3: a cell goes on after its closing quote; it opens in line 2"],
    ),
    *(
        ({"views": f"who,what,when\n{rows}"}, [f"views.csv, line {first}: a quote opens here and closes in line {last}", "stray"])
        for rows, first, last in (
            ('a,"x,5\nb,y",6\n', 2, 3),
            ('a,x,5\na,"y,6\nb,y,7\nb,z,8\nb,z",9\nc,x,9\n', 3, 6),
            ('"a, b","x,5\nb,y,6\nc,y",6\n', 2, 4),
            ('a,"x,5\r\nb,y,6\r\nb,x,6\r\n"",",8\r\n', 2, 5),
        )
    ),
    ({"views": "who;what,when\na;x,5\n"}, ["views.csv, line 1: the cells may be separated by ',' or ';'", "delimiter"]),
    ({"views": VIEWS.replace("a,", "Zoë,").encode("latin-1")}, ["views.csv, line 2: is not UTF-8", "`encoding: latin-1`"]),
    ({"views": VIEWS.encode("utf-16-le")}, ["views.csv", "encoding: utf-16-le"]),
    ({"views": ""}, ["views.csv: is empty"]),
    ({"views": "who,what,when\n"}, ["has a header but no rows"]),
    (
        {"views": "who,what,when\na,x,5\n ,x,6\n"},
        ["views.csv, line 3, column 'who': the cell is empty", "Every row needs its user_id"],
    ),
    (
        {"views": 'who,what,when\na,x,5\na,"x\ty",6\n'},
        ["views.csv, line 3, column 'what': the cell holds 'x\\ty'", "part of an id"],
    ),
    ({"views": 'who,what,when\n"a\nb",x,5\na,y,5\na,,6\n'}, ["views.csv, line 2, column 'who': the cell holds 'a\\nb'"]),
    (
        {"views": "who,what,when\na,x,5\na,x,\n"},
        ["views.csv, line 3, column 'when': the cell is empty", "Every row needs its timestamp"],
    ),
    ({"views": "who,what,when\na,x,24.03.2024\n"}, ["line 2, column 'when'", '`date_format: {timestamp: "%d.%m.%Y"}`']),
    ({"views": "who,what,when\na,x,2024-03-24 9:05 PM\n"}, ['`date_format: {timestamp: "%Y-%m-%d %I:%M %p"}`']),
    ({"views": "who,what,when\na,x,24.03.24\n"}, ['`date_format: {timestamp: "%d.%m.%y"}`']),
    ({"views": "who,what,when\na,x,24th of March\n"}, ["such as `date_format", "for 24.03.2024 21:00"]),
    ({"views": "who,what,when\na,x,04/03/2024\n"}, ['"%d/%m/%Y"', '"%m/%d/%Y"', "say which"]),
    (
        {"views": "who,what,when\na,x,5\na,x,6\na,x,soon\n"},
        ["views.csv, line 4, column 'when': the cell holds 'soon'"],
    ),
    ({"views": "who,what,when\na,x,1711314000\na,x,1711314000000\n"}, ["line 3, column 'when'", "1711314000 in", "one unit"]),
    ({"views": "who,what,when\na,x,0\na,x,1711314000\n"}, ["line 3, column 'when'", "one unit, from one beginning"]),
    *(
        (
            {"views": "who,what,when\n" + "".join(f"a,x,{cell}\n" for cell in cells)},
            ["views.csv, line 2, column 'when'", "(1 more such line)", mend],
        )
        for cells, mend in (
            (("20240324", "20240402"), 'YYYYMMDD: say `date_format: {timestamp: "%Y%m%d"}`'),
            (("202403241000", "202404022100"), '`date_format: {timestamp: "%Y%m%d%H%M"}`'),
            (("20240324100000", "20240402210000"), '`date_format: {timestamp: "%Y%m%d%H%M%S"}`'),
            (("45375.41667", "45376.5"), "Excel's days since 1900, not seconds. Format the column in Excel as date and time"),
            (("28521240", "28522680"), "minutes since 1970, not seconds"),
            (("19806", "19807"), "days since 1970, not seconds. Map the column to `day`"),
        )
    ),
    (
        {"views": "who,what,when\na,x,1711281600\na,x,9999999999\n"},
        ["views.csv, line 3, column 'when': the cell holds '9999999999'. It lies after the year 2199"],
    ),
    (
        {"diary": DIARY.replace("2024-03-24", "45375").replace("2024-03-25", "45376")},
        ["column 'date'", "Excel's days since 1900"],
    ),
    (
        {"items": "what,feels,strength\nx,joy,1\n"},
        ["items.csv, line 2, column 'feels': the cell holds 'joy'", "`emotions: {joy: LABEL}`"],
    ),
    ({"items": ITEMS.replace("0.5", "1,5")}, ["items.csv, line 2: has 4 cells"]),
    ({"items": ITEMS.replace("0.5", "five")}, ["items.csv, line 2, column 'strength': the cell holds 'five'", "missing: [five]"]),
    ({"items": ITEMS.replace("0.5", "inf")}, ["column 'strength': the cell holds 'inf'"]),
    (
        {"items": ITEMS.replace("0.5", "5")},
        ["items.csv, line 2, column 'strength': the cell holds '5'", "scale: {emotion_intensity: [1, 5]}"],
    ),
    ({"items": 'what;feels;strength\nx;happy;"1,234"\n'}, ["the cell holds '1,234'", 'decimal: ","']),
    (
        {"items": ITEMS + "x,angry,0.5\n"},
        ["items.csv, line 4, column 'feels': the cell holds 'angry'", "items.csv, line 2 holds 'happy'"],
    ),
    (
        {"diary": DIARY.replace("a,2024-03-24,1", "a,2024-03-24,8")},
        ["diary.csv, line 2, column 'mood': the cell holds '8'", "from 1 to 7"],
    ),
    (
        {"diary": _PROMPT},
        ["diary.csv, line 5, column 'date': 'a' has several rows on day 2024-03-25", "aggregate: {valence: mean}"],
    ),
    ({"diary": DIARY.replace("2024-03-25", "20240325").replace("2024-03-24", "20240324")}, ["diary.csv", '"%Y%m%d"']),
    ({"diary": DIARY.replace("2024-03-25", "2024-02-30")}, ["diary.csv, line 3, column 'date': the cell holds '2024-02-30'"]),
    ({"diary": DIARY.replace("2024", "2014")}, ["diary.csv and views.csv have no day in common: 2014-03-24 to 2014-03-25 here"]),
    (
        {"diary": DIARY.replace("\na,", "\nA ,").replace("\nb,", "\nB ,")},
        ["diary.csv, line 2, column 'who': the cell holds 'A ' (1 more such line). views.csv spells it 'a'; 2 of 2 ids differ"],
    ),
    ({"items": ITEMS.replace("x,", "X,")}, ["items.csv, line 2, column 'what': the cell holds 'X'. views.csv spells it 'x'"]),
    (
        {"diary": DIARY.replace("\na,", "\nann,").replace("\nb,", "\nbob,")},
        ["diary.csv, line 2, column 'who': the cell holds 'ann'", "2 of 2 ids are in no row of views.csv", "`max_unknown_ids`"],
    ),
    (
        {"items": "what,feels,strength\nq,happy,1\n"},
        ["items.csv, column 'what': 2 of 2 ids of views.csv have no row here, for example 'x'"],
    ),
    (
        {"views": VIEWS.replace("b,x", "[PAD],x")},
        ["views.csv, line 4, column 'who': the cell holds '[PAD]'; this is RecBole's name for its padding. Rename it"],
    ),
    (
        {"diary": DIARY.replace("2024-03-24", "3").replace("2024-03-25", "4")},
        ["diary.csv, line 2, column 'date': the day numbers of diary.csv begin at 3 and views.csv has only times", "Map `day`"],
    ),
    (
        {"diary": "who,date,mood\na,1,1\na,90,2\nb,91,3\n"},
        ["diary.csv, line 2, column 'date': only 33% of the rows of diary.csv lie within 7 days of their person's views"],
    ),
    (
        {"diary": DIARY.replace("2024-03-25", "2027-03-25")},
        ["diary.csv, line 3, column 'date'", "days after the day before", "max_day_gap"],
    ),
    ({"views": "who,what,when\na,x,5\na,x,6\n"}, ["have no day in common"]),
]


@pytest.mark.parametrize(("files", "words"), BAD_FILES)
def test_bad_files_are_refused_in_the_users_words(tmp_path, files, words):
    with pytest.raises((DataError, ConfigError)) as caught:
        _import(tmp_path, **files)
    message = str(caught.value)
    assert not [word for word in words if word not in message], message
    assert message.endswith("Nothing was written.") and "\n" not in message and not (tmp_path / "mine").exists()
    assert "mine" not in message.replace(str(tmp_path), ""), "a file that the user did not write"


BAD_MAPPINGS = [
    ("inter:", "intr:", "unknown key 'intr'. Did you mean 'inter'?"),
    ("file: views.csv", "fiel: views.csv", "map.yaml: inter: unknown key 'fiel'. Did you mean 'file'?"),
    ("views.csv", "view.csv", "view.csv: no such file"),
    ("views.csv", "'view_*.csv'", "no file in"),
    ("views.csv", "'/*.csv'", "'/*.csv' is no pattern of file names"),
    ("views.csv", "'v**.csv'", "'v**.csv' is no pattern of file names"),
    ("views.csv", "v" * 500, "cannot be read (File name too long)"),
    ("file: views.csv, ", "", "is a folder; name the file"),
    ("user_id: who, item_id: what, t", "user_id: who, t", "inter: columns: the field 'item_id' is missing"),
    ("valence: mood", "valance: mood", "the field 'valance' means nothing here. Did you mean 'valence'?"),
    (
        "item_id: what, emotion: feels",
        "item_id: true, emotion: feels",
        "columns: item_id: True is no text to yaml. Put it in quotes",
    ),
    ("[1, 7]", "[1, 1]", "expected the two ends of your scale"),
    ("[1, 7]", "[1, 4, 7]", "expected the two ends of your scale"),
    ("[1, 7]", "7", "expected a list"),
    ("scale: {valence", "scale: {mood", "scale names 'mood', which is no field of `columns`"),
    (
        "scale: {valence: [1, 7]}",
        "aggregate: {valence: median}",
        "aggregate: valence is 'median'; expected for valence one of mean, last",
    ),
    (
        "scale: {valence: [1, 7]}",
        "aggregate: {valence: sum}",
        "aggregate: valence is 'sum'; expected for valence one of mean, last, worst, min, max.",
    ),
    (
        "scale: {valence: [1, 7]}",
        "order: who, aggregate: {valence: last}, scale: {valence: [1, 7]}",
        "a time such as 21:00 or a date",
    ),
    ("scale: {valence: [1, 7]}", "multiply: {day: 2}", "'day' is no number"),
    ("scale: {valence: [1, 7]}", "order: hour, aggregate: {valence: last}", "diary.csv, line 1: the column 'hour' is missing"),
    ("valence: mood}", "valence: {good: mood}}", "`{positive: COLUMN, negative: COLUMN}`"),
    ("inter:", "timezone: Berlin\ninter:", "timezone: unknown time zone 'Berlin'"),
    ("inter:", "taxonomy: none.yaml\ninter:", "map.yaml: taxonomy: emotion_taxonomy 'none.yaml' is neither"),
    (
        "inter:",
        "emotions: {joy: hapy}\ninter:",
        "'joy' becomes 'hapy', which is no emotion of the taxonomy 'esmr'. Did you mean 'happy'?",
    ),
    ("inter:", "delimiter: ';;'\ninter:", "delimiter is ';;'; expected one character"),
    ("inter:", "decimal: ';'\ninter:", "decimal is ';'; expected one of ., ,"),
    ("inter:", "encoding: latin-99\ninter:", "encoding: 'latin-99' is none that Python knows"),
    ("inter:", "duplicates: maybe\ninter:", "duplicates is 'maybe'; expected one of keep, drop"),
    ("timestamp: when}", "timestamp: when}, where: {what: q}", "inter: where: no row of views.csv has q in the column 'what'"),
    ("timestamp: when}", "timestamp: when, watch_seconds: when}", "watch_seconds needs the length of each item"),
    ("timestamp: when}", "timestamp: when}, date_format: {timestamp: '%d/%m'}", "the cell holds '2024-03-24 21:00'"),
    (
        "timestamp: when}",
        "timestamp: when}, date_format: {timestamp: '%D.%Q'}",
        "timestamp is '%D.%Q'; expected a format of strptime",
    ),
    ("timestamp: when}", "timestamp: when}, date_format: {user_id: '%d'}", "date_format: 'user_id' is no time"),
]


@pytest.mark.parametrize(("old", "new", "says"), BAD_MAPPINGS)
def test_bad_mappings_are_refused(tmp_path, old, new, says):
    with pytest.raises((DataError, ConfigError)) as caught:
        _import(tmp_path, MAPPING.replace(old, new, 1))
    assert says in str(caught.value) and not (tmp_path / "mine").exists()


def test_a_zone_that_is_none_and_one_that_changes(tmp_path):
    mapping = ONLY_VIEWS + "user: {file: views.csv, columns: {user_id: who, timezone: zone}}\n"
    for zones, says in (
        (("Berlin", "UTC"), "views.csv, line 2, column 'zone': the cell holds 'Berlin'"),
        (("Europe/Berlin", "UTC"), "views.csv, line 3, column 'zone': the cell holds 'UTC'"),
    ):
        views = "who,what,when,zone\n" + "".join(f"a,x,2024-03-24 21:00,{zone}\n" for zone in zones)
        with pytest.raises(DataError, match=says):
            _import(tmp_path, mapping, views=views)


def test_lengths_of_views_that_no_seconds_need_are_kept(tmp_path):
    _, files = _import(tmp_path, ONLY_VIEWS.replace("when}", "when, duration: len}"), views="who,what,when,len\na,x,5,30\n")
    assert _column(files["inter"], "duration") == [30]


def test_an_item_without_a_length_is_refused(tmp_path):
    mapping = MAPPING.replace("timestamp: when", "timestamp: when, watch_seconds: sec").replace(
        "emotion_intensity: s", "duration: s"
    )
    views = "who,what,when,sec\na,x,5,15\na,y,6,30\n"
    with pytest.raises(DataError, match=r"views\.csv, line 3, column 'what': the cell holds 'y'.*no `duration`"):
        _import(tmp_path, mapping, views=views, items="what,feels,strength\nx,happy,60\ny,angry,\n")


def test_what_only_the_schema_finds_is_said_of_the_users_row(tmp_path):
    """A day that goes back while time goes on: found by the reader of atomic files, said in the user's file and line."""
    views = 'who,what,when,day,"two\nlines"\na,x,5,2,\na,y,6,1,\n'
    with pytest.raises(DataError, match=r"views\.csv, line 4.*day 1 of user_id a comes after a later day"):
        _import(tmp_path, ONLY_VIEWS.replace("timestamp: when", "timestamp: when, day: day"), views=views)
