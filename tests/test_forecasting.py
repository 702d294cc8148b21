"""The first stage alone: diaries without a feed, forecasts of numbers without labels."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from recbole_esmr.cli import main
from recbole_esmr.forecasting import forecast

QUICK = ["--encoder_epochs=2", "--state=ERROR", "--show_progress=False"]


@pytest.fixture(scope="module")
def diary(tmp_path_factory):
    """A folder with a diary of 30 people over 25 days, moods 1 to 7, and the mapping of it."""
    folder, rng = tmp_path_factory.mktemp("diary"), np.random.default_rng(0)
    rows = []
    for person in range(30):
        state, home = 0.0, rng.normal(4, 1)
        for day in range(25):
            state = 0.6 * state + rng.normal(0, 0.6)
            if rng.random() < 0.9:
                rows.append(
                    (f"p{person}", f"2024-05-{day + 1:02d}", round(float(np.clip(home + state, 1, 7)), 1), rng.integers(4, 10))
                )
    pd.DataFrame(rows, columns=["who", "date", "mood", "sleep"]).to_csv(folder / "moods.csv", index=False)
    columns = "columns: {user_id: who, day: date, valence: mood, sleep: sleep}"
    (folder / "map.yaml").write_text(f"day: {{file: moods.csv, {columns}, scale: {{valence: [1, 7]}}}}\n")
    return folder


@pytest.fixture
def imported(diary, tmp_path, capsys):
    assert main(["import", "csv", f"--input={diary}", f"--mapping={diary / 'map.yaml'}", "--output=datasets/diary"]) == 0
    assert ".inter: a diary alone: the item 'diary' on each of its days" in capsys.readouterr().out
    return tmp_path / "datasets" / "diary"


def test_a_diary_alone_is_imported_and_foretold(imported, diary, capsys):
    views = pd.read_csv(imported / "diary.inter", sep="\t", dtype=str)
    assert len(views) == len(pd.read_csv(diary / "moods.csv")) and set(views["item_id:token"]) == {"diary"}
    assert main(["forecast", f"--dataset={imported}", *QUICK, "--output=f.json", "--figures=figures"]) == 0
    said = capsys.readouterr().out
    assert "Tomorrow, on the test days" in said and "valence and risk: " in said and "reliability.png" in said
    assert "confusion" not in said and "accuracy" not in said
    emotion = json.loads((imported.parents[1] / "f.json").read_text())["emotion"]
    assert emotion["nowcast"] is None and set(emotion["network"]) == {"valence", "spread", "negative", "episode"}
    assert set(emotion["baselines"]) == {"majority", "persistence", "hist_ols", "lightgbm"}
    for part in (emotion, *emotion["baselines"].values()):
        assert (
            set(part["forecast"]) >= {"valence_mae", "negative_auroc", "brier", "coverage80"}
            and "macro_f1" not in part["forecast"]
        )
    assert emotion["forecast"]["valence_mae"] < 0.9 * emotion["baselines"]["majority"]["forecast"]["valence_mae"]
    assert 0.7 < emotion["forecast"]["coverage80"] < 0.95


def test_all_baselines_foretell_numbers_without_labels(imported):
    found = forecast(str(imported), arguments=[*QUICK, "--forecast_baselines=all"])["emotion"]["baselines"]
    majority = found["majority"]["forecast"]["valence_mae"]
    assert {"person_mean", "ewma", "gru"} < set(found)
    assert all(part["nowcast"] is None and 0 < part["forecast"]["valence_mae"] < 1.1 * majority for part in found.values())


def test_same_seed_same_forecast(imported):
    one, two = (forecast(str(imported), arguments=QUICK)["emotion"]["forecast"] for _ in range(2))
    assert one == two


def test_a_pretrained_encoder_is_begun_from(imported, data_path, capsys):
    assert main(["pretrain", f"--datasets={data_path / 'small'}", "--output=encoder.pth", *QUICK]) == 0
    capsys.readouterr()
    assert main(["forecast", f"--dataset={imported}", "--pretrained_encoder=encoder.pth", *QUICK]) == 2
    assert "was trained without the columns sleep" in capsys.readouterr().err, "it is read, and refused where it does not fit"


def test_a_diary_is_not_recommended_from(imported, capsys):
    assert main(["run", f"--dataset={imported}", *QUICK]) == 2
    said = capsys.readouterr().err
    assert "nothing to choose between" in said and "`recbole-esmr forecast`" in said


def test_labels_are_foretold_too(data_path, capsys):
    assert main(["forecast", f"--dataset={data_path / 'small'}", *QUICK]) == 0
    said = capsys.readouterr().out
    assert "nowcast_accuracy" in said and "macro_f1" in said


def test_nothing_to_be_judged_by_is_refused(imported, capsys):
    path = imported / "diary.day"
    lines = path.read_text().splitlines()
    first = [line for line in lines[1:] if line.split("\t")[1] < "19848"]  # the reports of the first days alone
    path.write_text("\n".join([lines[0], *first]) + "\n")
    assert main(["forecast", f"--dataset={imported}", *QUICK]) == 2
    assert "so nothing can be foretold. day_split is" in capsys.readouterr().err


def test_a_mapping_without_views_and_without_a_diary_is_refused(diary, tmp_path, capsys):
    (tmp_path / "map.yaml").write_text("user: {file: moods.csv, columns: {user_id: who}}\n")
    assert main(["import", "csv", f"--input={diary}", "--mapping=map.yaml", "--output=o"]) == 2
    assert "the part 'inter' is missing" in capsys.readouterr().err


def test_a_draft_of_a_diary_alone(diary, capsys):
    assert main(["import", "csv", f"--input={diary}", "--draft"]) == 0
    said = capsys.readouterr().out
    assert "day:" in said and "\ninter:" not in said
