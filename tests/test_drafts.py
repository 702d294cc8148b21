"""Drafts of a mapping: a draft imports as it is, or says what it could not tell."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

from recbole_esmr.cli import main
from recbole_esmr.data.importers import import_data
from recbole_esmr.data.importers.draft import draft_mapping
from recbole_esmr.errors import DataError
from tests.test_importers import FIVE, five_columns


def _written(folder, **files: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)


PLAIN = {
    "views_1": "pid;video_id;watched_at;watch_time\n001;7;24.03.2024 21:00;12,5\n002;8;25.03.2024 09:00;30\n",
    "views_2": "pid;video_id;watched_at;watch_time\n001;8;26.03.2024 21:00;15\n",
    "videos": "video_id;emotion;length;genre\n7;Happy;25;news\n8;Angry;30;fun\n",
    "diary": "pid;date;PA;NA;steps\n001;2024-03-24;4;2;100\n001;2024-03-24;5;1;NA\n002;2024-03-25;1;5;80\n",
    "people": "pid;profile;consent\n001;keen;1\n002;casual;1\n",
    "notes": "text\nnothing\n",
}


def test_a_draft_of_a_plain_set_imports_as_it_is(tmp_path):
    _written(tmp_path / "exports", **PLAIN)
    text = draft_mapping(tmp_path / "exports")
    said = yaml.safe_load(text)
    assert said["inter"]["file"] == ["views_1.csv", "views_2.csv"]
    assert said["inter"]["columns"] == {
        "user_id": "pid",
        "item_id": "video_id",
        "timestamp": "watched_at",
        "watch_seconds": "watch_time",
    }
    assert said["inter"]["date_format"] == {"timestamp": "%d.%m.%Y %H:%M"}
    assert said["emotions"] == {"Happy": "happy", "Angry": "angry"} and said["missing"] == ["NA"]
    assert said["day"]["columns"]["valence"] == {"positive": "PA", "negative": "NA"} and said["day"]["scale"] == {
        "valence": [1, 5]
    }
    assert said["day"]["aggregate"] == {"valence": "mean"}
    assert said["user"]["columns"] == {"user_id": "pid", "user_profile": "profile", "consent": "consent"}
    assert "# not used: notes.csv (text)" in text and "steps: steps" in text
    (tmp_path / "map.yaml").write_text(text)
    report = import_data("csv", tmp_path / "exports", tmp_path / "mine", tmp_path / "map.yaml")
    assert report.rows == {"user": 2, "item": 2, "inter": 3, "day": 2}
    assert pd.read_csv(tmp_path / "mine" / "mine.inter", sep="\t")["watch_ratio:float"].tolist() == [0.5, 1, 0.5]


def test_a_draft_finds_files_in_upper_case(tmp_path):
    (tmp_path / "VIEWS.CSV").write_text("user,item,day\na,x,1\na,y,2\n")
    assert yaml.safe_load(draft_mapping(tmp_path))["inter"]["file"] == "VIEWS.CSV"


@pytest.mark.parametrize(
    ("files", "part", "expected"),
    [
        (
            {"feed": "user,item,time,clicked\na,x,1,1\na,y,2,0\n"},
            "imp",
            {"user_id": "user", "item_id": "item", "day": "time", "label": "clicked"},
        ),
        (
            {"feed": "user,item,day,place,clicked\na,x,1,0,yes\na,y,1,1,no\n", "v": "user,item,time,watched\na,x,1,0.5\n"},
            "inter",
            {"user_id": "user", "item_id": "item", "timestamp": "time", "watch_ratio": "watched"},
        ),
        (
            {"v": "user,item,day\na,x,1\n", "people": "user,consent\na,agreed\n"},
            "user",
            {"user_id": "user", "consent": "consent"},  # whatever it holds, it is not passed over
        ),
        ({"v": "user,item,date\na,x,2024-03-24\n"}, "inter", {"user_id": "user", "item_id": "item", "timestamp": "date"}),
        ({"v": "user,item,day\na,x,1\na,y,2\n"}, "inter", {"user_id": "user", "item_id": "item", "day": "day"}),
        ({"v": "user,item,time,genre\na,x,1,news\nb,x,2,news\n"}, "item", {"item_id": "item", "category": "genre"}),
    ],
)
def test_what_a_draft_makes_of_columns(tmp_path, files, part, expected):
    _written(tmp_path, **files)
    assert yaml.safe_load(draft_mapping(tmp_path))[part]["columns"] == expected


def test_a_switch_is_no_day(tmp_path):
    _written(tmp_path, views="user,item,day\na,x,1\n", people="user,profile,alerts_on\na,keen,1\nb,keen,0\n")
    said = yaml.safe_load(draft_mapping(tmp_path))
    assert said["user"]["file"] == "people.csv" and "day" not in said


def test_whether_something_was_watched_is_no_share_of_it(tmp_path):
    _written(
        tmp_path,
        views="member,video,time\na,x,2024-03-24T20:00:00\n",
        feed="member,video,date,place,watched\na,x,2024-03-24,0,1\na,y,2024-03-24,1,0\n",
    )
    said = yaml.safe_load(draft_mapping(tmp_path))
    assert said["inter"]["file"] == "views.csv" and said["imp"]["columns"]["label"] == "watched"


def test_a_draft_knows_the_names_that_platforms_use(tmp_path):
    """Accounts and assets; a file with times and shares is the views, that of what was shown is not; a consent is never lost."""
    _written(
        tmp_path,
        playback="account_id,asset_id,started_at,pct_watched\na,x,2024-03-24T20:00:00,55\nb,y,2024-03-24T21:00:00,70\n",
        impressions="account_id,asset_id,served_on,slot,was_played\na,x,2024-03-24,0,TRUE\na,y,2024-03-24,1,FALSE\n",
        catalogue="asset_id,tone,length_s\nx,Happy,30\ny,Angry,20\n",
        accounts="account_id,signup,research_consent\na,2020-01-01,Yes\nb,2020-01-01,No\n",
        mood_diary="account_id,entry_date,mood_word\na,2024-03-24,happy\nb,2024-03-24,angry\n",
    )
    said = yaml.safe_load(draft_mapping(tmp_path))
    assert {part: said[part]["file"] for part in ("inter", "imp", "item", "user", "day")} == {
        "inter": "playback.csv",
        "imp": "impressions.csv",
        "item": "catalogue.csv",
        "user": "accounts.csv",
        "day": "mood_diary.csv",
    }
    assert said["inter"]["columns"]["watch_ratio"] == "pct_watched" and said["user"]["columns"]["consent"] == "research_consent"
    assert said["day"]["columns"] == {"user_id": "account_id", "day": "entry_date", "emotion": "mood_word"}
    assert said["inter"]["scale"] == {"watch_ratio": [0, 100]}


@pytest.mark.parametrize(("watched", "skipped"), [("1", "0"), ("True", "False"), ("Yes", "No")])
def test_the_rows_that_were_watched_are_those_of_the_file(tmp_path, watched, skipped):
    _written(
        tmp_path / "exports", feed=f"user,item,day,clicked,mode\na,x,1,{watched},app\na,y,1,{skipped},web\nb,x,2,{watched},web\n"
    )
    text = draft_mapping(tmp_path / "exports")
    assert "# not used: mode" in text
    (tmp_path / "map.yaml").write_text(text)
    assert import_data("csv", tmp_path / "exports", tmp_path / "mine", tmp_path / "map.yaml").rows == {"inter": 2, "imp": 3}


def test_a_draft_of_thefive_columns_and_of_labels_that_nobody_knows(tmp_path):
    five_columns(tmp_path)
    said = yaml.safe_load(draft_mapping(tmp_path / "export.csv"))
    assert {suffix: said[suffix]["columns"] for suffix in ("inter", "user", "day")} == {
        suffix: part["columns"] for suffix, part in yaml.safe_load(FIVE).items() if suffix in ("inter", "user", "day")
    }
    _written(tmp_path / "b", v="user,item,date,feeling\na,x,03/04/2024,glee\na,x,03/05/2024,woe\n")
    text = draft_mapping(tmp_path / "b")
    assert "# glee: WHICH" in text and text.count("# which of these?") == 4, "two formats, of inter and of day"
    (tmp_path / "b" / "map.yaml").write_text(text)
    with pytest.raises(DataError, match="say which"):
        import_data("csv", tmp_path / "b", tmp_path / "out", tmp_path / "b" / "map.yaml")


def test_the_draft_command_prints_or_writes_and_overwrites_nothing(tmp_path, capsys):
    _written(tmp_path / "exports", **PLAIN)
    assert main(["import", "csv", "--input=exports", "--draft"]) == 0
    printed = capsys.readouterr().out
    assert main(["import", "csv", "--input=exports", "--draft", "--mapping=map.yaml"]) == 0
    assert (tmp_path / "map.yaml").read_text() == printed
    for words, says in (
        (["csv", "--input=exports", "--draft", "--mapping=map.yaml"], "map.yaml: is there already"),
        (["ldos-comoda", "--input=exports", "--draft"], "--draft is for csv"),
        (["csv", "--input=exports", "--mapping=map.yaml"], "import needs --output=FOLDER"),
        (["csv", "--input=none", "--mapping=map.yaml", "--output=o"], "--input=none: no such file or folder"),
        (["csv", "--input=none", "--draft"], "--input=none: no such file or folder"),
    ):
        capsys.readouterr()
        assert main(["import", *words]) == 2
        assert says in capsys.readouterr().err
