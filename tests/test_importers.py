"""Importers: their data run with every model, and what the user changed stays."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pandas as pd
import pytest

from recbole_esmr.cli import main
from recbole_esmr.config import Config
from recbole_esmr.data.importers import import_data
from recbole_esmr.data.importers.esmr_release import BEHAVIOUR
from recbole_esmr.errors import DataError
from recbole_esmr.files import read_yaml
from recbole_esmr.quick_start import load_data_and_model, run_recbole
from tests.conftest import QUICK

PEOPLE, DAYS, ITEMS = 8, 10, 12


def _log() -> pd.DataFrame:
    """Who watched what on which day, three items a person and day, with a mood; the same in every call."""
    rng = np.random.default_rng(4)
    user, day, place = (index.ravel() for index in np.indices((PEOPLE, DAYS, 3)))
    frame = pd.DataFrame({"user": user, "day": day + 1, "place": place, "item": rng.integers(0, ITEMS, user.size)})
    frame["mood"] = rng.integers(1, 8, (PEOPLE, DAYS)).repeat(3)
    return frame


def _release(folder) -> None:
    """A small copy of the form of ESMR's release, with ids that are no numbers."""
    log, labels = _log(), np.array(["happy", "angry", "churned"])
    name = log["user"].map("{:03d}".format)
    pd.DataFrame(
        {"user_id": name, "day": log["day"], "position": log["place"], "video_id": log["item"], "watch_time": 7.5}
    ).to_csv(folder / "watched.csv", index=False)
    days = log[log["place"] == 0].assign(user_id=name)
    behaviour = dict.fromkeys(BEHAVIOUR, days["mood"])
    keys = {"user_id": days["user_id"], "day": days["day"]}
    engagement = pd.DataFrame(keys | behaviour | {"user_profile": "keen", "churned": False})
    (folder / "engagement_dataset.csv.gz").write_bytes(gzip.compress(engagement.to_csv(index=False).encode()))
    pd.DataFrame(keys | {"user_emotion": labels[days["mood"] % 3]}).to_csv(folder / "user_emotion.csv", index=False)
    items = pd.DataFrame(
        {"video_id": range(ITEMS), "emotion": ["happy", "angry"] * 6, "emotion_intensity": 5, "video_duration": 15}
    )
    items.assign(category="news", theme="news_1").to_csv(folder / "content_dataset.csv", index=False)


def _ldos(folder) -> None:
    """A small file of the form of LDOS-CoMoDa: 30 columns of codes, no header."""
    log = _log()
    codes = pd.DataFrame(-1, index=log.index, columns=range(30))
    codes[0], codes[1], codes[2], codes[3], codes[13], codes[14] = (
        log["user"],
        log["item"],
        4,
        30,
        log["mood"],
        log["item"] % 7 + 1,
    )
    codes.to_csv(folder / "LDOS-CoMoDa.csv", index=False, header=False)


def five_columns(folder, encoding="utf-8-sig") -> None:
    """One export: person, activity, local date and time, time zone, mood from 1 to 7; some rows are there twice."""
    log = _log()
    log["when"] = (pd.Timestamp("2024-03-25") + pd.to_timedelta(log["day"], unit="D")).dt.strftime("%Y-%m-%d ")
    log["when"] += (9 + 6 * log["place"]).map("{:02d}:30".format)
    log["zone"] = np.where(log["user"] % 2, "America/New_York", "Europe/Berlin")
    log["person"], log["activity"] = log["user"].map("{:03d}".format), "act " + log["item"].astype(str)
    log = pd.concat([log, log.iloc[5:9]])[["person", "activity", "when", "zone", "mood"]]
    (folder / "export.csv").write_bytes(log.to_csv(index=False, lineterminator="\r\n").encode(encoding))


FIVE = """
file: export.csv
duplicates: drop
inter: {columns: {user_id: person, item_id: activity, timestamp: when}}
user: {columns: {user_id: person, timezone: zone}}
day: {columns: {user_id: person, day: when, valence: mood}, scale: {valence: [1, 7]}, aggregate: {valence: mean}}
"""
ONLY_DAYS = """
inter: {file: export.csv, columns: {user_id: person, item_id: activity, day: when}}
day: {file: export.csv, columns: {user_id: person, day: when, valence: mood}, scale: {valence: [7, 1]},
  aggregate: {valence: last}}
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Folders of data sets by name, one an importer."""
    root = tmp_path_factory.mktemp("imported")
    for name, make, form, mapping in (
        ("release", _release, "esmr-release", None),
        ("films", _ldos, "ldos-comoda", None),
        ("five", five_columns, "csv", FIVE),
        ("dates", five_columns, "csv", ONLY_DAYS),
    ):
        source = root / f"{name}-source"
        source.mkdir()
        make(source)
        if mapping is not None:
            (source / "map.yaml").write_text(mapping)
        import_data(form, source, root / name, source / "map.yaml" if mapping else None)
    return root


@pytest.mark.parametrize("model", ["BPR", "Pop", "SASRec", "ESMR"])
@pytest.mark.parametrize("name", ["release", "films", "five", "dates"])
def test_what_an_importer_writes_runs_with_every_model(imported, name, model):
    values = {**QUICK, "epochs": 1, "encoder_epochs": 1, "reranker_epochs": 1, "gate": "never"}
    if model != "ESMR":
        values = {key: value for key, value in values.items() if key in ("epochs", "state", "show_progress")}
    result = run_recbole(model, str(imported / name), config_dict=values, saved=False, arguments=[])
    assert 0 <= result["test_result"]["ndcg@10"] <= 1
    assert result["config"]["eval_args"]["order"] == "TO"
    assert {"user_id", "item_id", "timestamp"} <= set(result["config"]["load_col"]["inter"])


@pytest.mark.parametrize("model", ["FM", "DeepFM"])
def test_a_text_that_only_views_have_hinders_no_model(tmp_path, model):
    five_columns(tmp_path)
    _again(tmp_path, FIVE.replace("timestamp: when", "timestamp: when, place: zone"))
    assert "place:token" in (tmp_path / "mine" / "mine.inter").read_text().splitlines()[0].split("\t")
    values = {"epochs": 1, "state": "ERROR", "show_progress": False}
    result = run_recbole(model, str(tmp_path / "mine"), config_dict=values, saved=False, arguments=[])
    assert 0 <= result["test_result"]["ndcg@10"] <= 1


def test_the_releases_form_is_read_with_ids_as_text(imported):
    inter = pd.read_csv(imported / "release" / "release.inter", sep="\t", dtype=str)
    assert inter["user_id:token"].unique().tolist() == [f"{n:03d}" for n in range(PEOPLE)]
    assert set(inter["watch_ratio:float"]) == {"0.5"} and inter["timestamp:float"][:4].tolist() == ["0", "60", "120", "86400"]
    day = pd.read_csv(imported / "release" / "release.day", sep="\t", keep_default_na=False)
    mood = _log().drop_duplicates(["user", "day"])["mood"] % 3
    assert day["emotion:token"].tolist() == [["happy", "angry", ""][code] for code in mood]


def test_films_express_what_most_raters_said(imported):
    item = pd.read_csv(imported / "films" / "films.item", sep="\t", dtype=str).set_index("item_id:token")
    names = ["sad", "happy", "scared", "surprised", "angry", "disgusted", "neutral"]
    shares = item["emotion_share:float_seq"].map(lambda cell: [float(share) for share in cell.split()])
    said = shares.map(lambda row: names[row.index(max(row))])
    assert said.to_dict() == {str(code): names[code % 7] for code in _log()["item"].unique()}
    assert all(abs(sum(row) - 1) < 1e-5 for row in shares)


@pytest.mark.parametrize(
    ("make", "form", "file", "old", "new", "says"),
    [
        (
            _release,
            "esmr-release",
            "watched.csv",
            "7.5",
            "long",
            "watched.csv, line 2, column 'watch_time': the cell holds 'long'",
        ),
        (_release, "esmr-release", "user_emotion.csv", "000,2,", "000,1,", "user_emotion.csv, line 3, column 'day'"),
        (_release, "esmr-release", "content_dataset.csv", "1,angry", "0,angry", "content_dataset.csv, line 3, column 'video_id'"),
        (
            _release,
            "esmr-release",
            "content_dataset.csv",
            "1,angry",
            "1,angyr",
            "line 3, column 'emotion': the cell holds 'angyr'",
        ),
        (
            _release,
            "esmr-release",
            "user_emotion.csv",
            "000,2,happy",
            "000,2,Happy",
            "user_emotion.csv, line 3, column 'user_emotion': the cell holds 'Happy'. It is not an emotion. Did you mean",
        ),
        (
            _release,
            "esmr-release",
            "watched.csv",
            "0,1,0,8,",
            "0,1,0,88,",
            "watched.csv, line 2, column 'video_id': the cell holds '88'. content_",
        ),
        (
            _release,
            "esmr-release",
            "watched.csv",
            "0,1,0,8,7.5",
            "0,1,0,8,",
            "line 2, column 'watch_time': the cell is empty. Every row needs",
        ),
        (
            _release,
            "esmr-release",
            "user_emotion.csv",
            "000,2",
            "0,2",
            "line 3, column 'user_id': the cell holds '0'. engagement_dataset.csv.gz spells it '000'",
        ),
        (_ldos, "ldos-comoda", "LDOS-CoMoDa.csv", "0,", "0,0,", "LDOS-CoMoDa.csv, line 1: has 31 cells and the format 30"),
        (_ldos, "ldos-comoda", "LDOS-CoMoDa.csv", ",4,30", ",four,30", "line 1, column 'rating': the cell holds 'four'"),
    ],
)
def test_mistakes_in_other_formats_are_said_in_the_users_words(tmp_path, make, form, file, old, new, says):
    make(tmp_path)
    text = (tmp_path / file).read_text()
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        import_data(form, tmp_path, tmp_path / "out")
    assert says in str(caught.value) and not (tmp_path / "out").exists() and "mapping" not in str(caught.value)


def _edited(path, column: str, change) -> None:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.assign(**{column: change(frame[column])}).to_csv(path, index=False)


def test_days_of_labels_may_be_written_as_other_numbers(imported, tmp_path):
    _release(tmp_path)
    _edited(tmp_path / "user_emotion.csv", "day", lambda day: day + ".0")
    import_data("esmr-release", tmp_path, tmp_path / "release")
    assert (tmp_path / "release" / "release.day").read_text() == (imported / "release" / "release.day").read_text()


def test_what_the_files_of_the_release_do_not_share_is_said(tmp_path):
    _release(tmp_path)
    _edited(tmp_path / "user_emotion.csv", "day", lambda day: day.replace("9", "99"))
    _edited(tmp_path / "watched.csv", "watch_time", lambda time: "7500")
    report = import_data("esmr-release", tmp_path, tmp_path / "out")
    assert report.warnings == [
        "watched.csv, column 'watch_time': 100% of the rows were watched for longer than the item lasts. Are both in seconds? "
        "Divide the column that is in milliseconds by 1000.",
        f"user_emotion.csv: {PEOPLE} of {PEOPLE * DAYS} rows belong to no person and day of engagement_dataset.csv.gz.",
        f"engagement_dataset.csv.gz: {PEOPLE} of {PEOPLE * DAYS} rows have no label in user_emotion.csv.",
    ]
    _edited(tmp_path / "user_emotion.csv", "day", lambda day: "1" + day)
    with pytest.raises(DataError, match=r"user_emotion\.csv, line 2, column 'day': the cell holds '11' .*no row of this person"):
        import_data("esmr-release", tmp_path, tmp_path / "out")


def test_lines_of_films_that_are_there_twice_are_said(tmp_path):
    _ldos(tmp_path)
    path = tmp_path / "LDOS-CoMoDa.csv"
    lines = pd.Series(path.read_text().splitlines()).drop_duplicates().tolist()
    path.write_text("\n".join([*lines, *lines]) + "\n")
    report = import_data("ldos-comoda", tmp_path, tmp_path / "out")
    first = f"(the first: {path}, line {len(lines) + 1})"
    assert report.warnings == [
        f"{len(lines)} of {2 * len(lines)} lines repeat an earlier one cell by cell {first}. If they are there by mistake, leave "
        "them out."
    ]


# -- the five columns: from the files to the table in two commands --------------------------------------------------------


def test_an_export_offive_columns_in_two_commands(tmp_path, capsys):
    five_columns(tmp_path)
    (tmp_path / "map.yaml").write_text(FIVE)
    assert main(["import", "csv", "--input=.", "--mapping=map.yaml", "--output=diary"]) == 0
    said = capsys.readouterr().out.splitlines()
    rows = PEOPLE * DAYS * 3
    for words in (
        "export.csv: 4 rows that repeat an earlier one in every column are left out of .inter",
        "timestamp: dates without an offset, these in America/New_York, Europe/Berlin (export.csv, column 'when')",
        "valence: 1 to 7 became -1 to 1 (export.csv, column 'mood')",
        f"aggregate: {rows} rows became {PEOPLE * DAYS} days of people (valence mean)",
    ):
        assert f"  {words}" in said
    assert said[-1] == f"Written to diary: {PEOPLE} rows of .user, {rows} rows of .inter, {PEOPLE * DAYS} rows of .day"
    first = pd.read_csv("diary/diary.inter", sep="\t", dtype=str).iloc[0].tolist()
    assert first == ["000", f"act {_log()['item'][0]}", str(pd.Timestamp("2024-03-26 08:30").value // 10**9)]  # Berlin is UTC+1
    last = pd.read_csv("diary/diary.inter", sep="\t", dtype=str).iloc[-1]
    assert last["timestamp:float"] == str(pd.Timestamp("2024-04-05 01:30").value // 10**9)  # 21:30 in New York, UTC-4
    keys = [f"--{key}={value}" for key, value in QUICK.items()]
    assert main(["run", f"--dataset={tmp_path / 'diary'}", *keys]) == 0
    assert "ESMR on diary" in capsys.readouterr().out


def test_lists_are_no_longer_than_the_few_items_that_there_are(tmp_path):
    five_columns(tmp_path)
    text = (tmp_path / "export.csv").read_text(encoding="utf-8-sig")
    few = "".join(
        line for line in text.splitlines(keepends=True) if line.split(",")[1] in ("activity", "act 1", "act 2", "act 3")
    )
    (tmp_path / "export.csv").write_text(few)
    _again(tmp_path)
    values = {"epochs": 1, "state": "ERROR", "show_progress": False}
    result = run_recbole("BPR", str(tmp_path / "mine"), config_dict=values, saved=False, arguments=[])
    assert list(result["test_result"]) == ["recall@3", "ndcg@3"]


# -- NAME.yaml and what an import leaves behind ---------------------------------------------------------------------------


def _again(folder, mapping=FIVE):
    (folder / "map.yaml").write_text(mapping)
    return import_data("csv", folder, folder / "mine", folder / "map.yaml")


def test_what_the_user_changed_in_the_yaml_stays(tmp_path):
    five_columns(tmp_path)
    _again(tmp_path)
    path = tmp_path / "mine" / "mine.yaml"
    text = path.read_text().replace("topk:\n- 10\n", "topk: [5, 10]   # ours\n") + "# my note\nmax_day_gap: 900\n"
    path.write_text(text)
    report = _again(tmp_path, FIVE.replace("timestamp: when", "timestamp: when, mood: mood") + "timezone: Asia/Tokyo\n")
    values = read_yaml(path)
    assert values["topk"] == [5, 10] and values["max_day_gap"] == 900 and values["timezone"] == "Asia/Tokyo"
    assert values["load_col"]["inter"] == ["user_id", "item_id", "timestamp", "mood"], "not changed by the user: as imported"
    assert "topk: [5, 10]   # ours\n" in path.read_text() and "# my note\n" in path.read_text()
    assert "mine.yaml: topk stay as you have them" in report.notes
    _again(tmp_path)
    values = read_yaml(path)
    assert values["topk"] == [5, 10] and values["max_day_gap"] == 900
    assert "timezone" not in values and values["load_col"]["inter"] == ["user_id", "item_id", "timestamp"]


@pytest.mark.parametrize("text", ["{topk: [5], repeatable: true}\n", "---\ntopk: [5]\n...\n", "topk: [5]", "# nothing\n", ""])
def test_a_yaml_of_the_users_own_hand_is_completed(tmp_path, text):
    five_columns(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.yaml").write_text(text)
    for _ in range(2):
        _again(tmp_path)
        values = read_yaml(tmp_path / "mine" / "mine.yaml")
        assert values["topk"] == ([5] if "topk" in text else [10])
        assert values["load_col"] == {"inter": ["user_id", "item_id", "timestamp"]}


def test_files_of_an_earlier_import_do_not_stay_in_the_new_data(tmp_path):
    five_columns(tmp_path)
    _again(tmp_path)
    (tmp_path / "mine" / "README.md").write_text("mine")
    report = _again(tmp_path, "".join(line for line in FIVE.splitlines(keepends=True) if not line.startswith("day")))
    assert "mine.day of an earlier import removed" in report.notes
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["README.md", "mine.inter", "mine.user", "mine.yaml"]


def test_a_taxonomy_of_ones_own_travels_with_the_data_and_the_checkpoint(tmp_path, monkeypatch):
    five_columns(tmp_path)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "two.yaml").write_text("up: [0.5, 0.1]\ndown: [-0.5, 0]\n")
    (tmp_path / "maps" / "map.yaml").write_text(FIVE + "taxonomy: two.yaml\n")
    import_data("csv", tmp_path, tmp_path / "data" / "mine", tmp_path / "maps" / "map.yaml")
    shutil.rmtree(tmp_path / "maps")
    labels = {"up": [0.5, 0.1], "down": [-0.5, 0.0]}
    assert read_yaml(tmp_path / "data" / "mine" / "mine.yaml")["emotion_taxonomy"] == labels
    values = {"epochs": 1, "state": "ERROR", "show_progress": False, "checkpoint_dir": str(tmp_path / "saved")}
    result = run_recbole("Pop", str(tmp_path / "data" / "mine"), config_dict=values, arguments=[])
    (tmp_path / "far").mkdir()
    (tmp_path / "data").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "far")
    config, *_ = load_data_and_model(result["checkpoint"], {"data_path": str(tmp_path / "moved")})
    assert config["emotion_taxonomy"] == labels
    assert Config("ESMR", str(tmp_path / "moved" / "mine"), arguments=[])["emotion_taxonomy"] == labels
