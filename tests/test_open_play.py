"""Open Play's daily surveys as a diary."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest

from recbole_esmr.cli import main
from recbole_esmr.data.importers import import_data
from recbole_esmr.errors import DataError
from tests.test_cli import SHARED, needs_shared

NEEDS = [f"bpnsfs_{item}" for item in range(1, 7)]
HEAD = ",".join(["pid", "date", "played24hr", "had_stress", "sleep_diary_quality", "life_sat", *NEEDS, "affective_valence"])
ROWS = [
    "a,2024-10-02T14:23:32Z,Yes,No,Very good,60,1,2,3,4,5,6,100",
    "a,2024-10-03T23:59:59Z,No,Yes,Poor,NA,1,2,3,4,5,6,0",
    "a,2024-10-03T01:00:00Z,Yes,NA,NA,40,1,2,3,4,5,6,50",
    "b,2024-10-04T10:00:00Z,NA,No,Fair,60,NA,2,3,4,5,6,NA",
    "b,2024-10-05T10:00:00Z,Yes,No,Fair,60,7,2,3,4,5,6,75",
]


def _import(tmp_path, rows=ROWS, head=HEAD):
    with gzip.open(tmp_path / "survey_daily.csv.gz", "wt") as file:
        file.write("\n".join([head, *rows]) + "\n")
    report = import_data("open-play", tmp_path, tmp_path / "played")
    return report, pd.read_csv(tmp_path / "played/played.day", sep="\t", dtype={"user_id:token": str})


def test_surveys_become_days(tmp_path):
    report, day = _import(tmp_path)
    assert report.notes == ["1 of 5 surveys say no valence; 1 second surveys of a day are averaged"]
    first = (pd.Timestamp("2024-10-02") - pd.Timestamp(0)).days
    assert day["user_id:token"].tolist() == ["a", "a", "b"] and day["day:float"].tolist() == [first, first + 1, first + 3]
    assert day["valence:float"].tolist() == [1.0, -0.5, 0.5]
    assert day["played:float"].tolist() == [1, 0.5, 1] and day["sleep_quality:float"].tolist() == [5, 2, 3]
    assert day["life_satisfaction:float"].tolist() == [60, 40, 60] and day["needs_1:float"].tolist() == [1, 1, 7]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Very good", "great", r"line 2, column 'sleep_diary_quality': the cell holds 'great'\. Expected Very poor, Poor"),
        (",100", ",101", r"line 2, column 'affective_valence': the cell holds '101'\. Expected a number from 0 to 100"),
        (",100", ",high", r"line 2, column 'affective_valence': the cell holds 'high'"),
        ("2024-10-02T14:23:32Z", "soon", r"line 2, column 'date': the cell holds 'soon'"),
        ("2024-10-02T14:23:32Z", "NA", r"line 2, column 'date': .*Every survey needs its date"),
        ("a,2024-10-02T14:23:32Z", ",2024-10-02T14:23:32Z", r"line 2, column 'pid'"),
    ],
)
def test_cells_that_are_no_answers_are_refused(tmp_path, old, new, says):
    with pytest.raises(DataError, match=says):
        _import(tmp_path, [ROWS[0].replace(old, new), *ROWS[1:]])
    assert not (tmp_path / "played").exists()


def test_a_column_that_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match="the column 'had_stress' is missing"):
        _import(tmp_path, head=HEAD.replace("had_stress", "stressed"))


@needs_shared
def test_the_study_itself(tmp_path, capsys):
    assert main(["import", "open-play", f"--input={SHARED / 'data/open-play'}", "--output=open-play"]) == 0
    assert "14721 rows of .day" in capsys.readouterr().out
    day = pd.read_csv(tmp_path / "open-play/open-play.day", sep="\t")
    assert day["user_id:token"].nunique() == 1268 and day["valence:float"].between(-1, 1).all()
    assert not day.duplicated(["user_id:token", "day:float"]).any()
