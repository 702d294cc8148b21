"""The command line: files written, precedence, and one clear line for each mistake."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_esmr.cli import main
from recbole_esmr.report.tables import markdown
from tests.conftest import QUICK, SHARED

KEYS = [f"--{key}={value}" for key, value in QUICK.items()]


def test_run_writes_its_result(data_path, tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("gate_streak: 2\nranker_leaves: 7\n")
    command = ["run", f"--dataset={data_path / 'small'}", "--config_files=a.yaml", "--ranker_leaves=9", "--output=run.json"]
    assert main([*command, *KEYS]) == 0
    result = json.loads((tmp_path / "run.json").read_text())
    assert (result["model"], result["dataset"], result["config"]["gate_streak"], result["config"]["ranker_leaves"]) == (
        *("ESMR", "small"),
        *(2, 9),
    )
    shown = capsys.readouterr().out
    assert "ESMR on small" in shown and "hist_ols" in shown and "negative_exposure" in shown and "gate streak" in shown


def test_run_of_another_model(data_path, tmp_path, capsys):
    command = ["run", "--model=BPR", "--dataset=small", f"--data_path={data_path}", "--epochs=1", "--state=ERROR"]
    assert main([*command, "--output=run.json", "--show_progress=False"]) == 0
    result = json.loads((tmp_path / "run.json").read_text())
    assert result["emotion"] is None and result["policy"] is None and "negativeexposure@10" in result["test_result"]


def test_compare_writes_three_tables(data_path, tmp_path):
    command = ["compare", "--models=Pop,BPR", "--seeds=2", f"--dataset={data_path / 'small'}", "--output=out", "--epochs=1"]
    assert main([*command, "--state=ERROR", "--show_progress=False"]) == 0
    frame = pd.read_csv(tmp_path / "out" / "comparison.csv")
    assert frame[["model", "seed"]].to_numpy().tolist() == [["Pop", 2020], ["Pop", 2021], ["BPR", 2020], ["BPR", 2021]]
    assert re.search(r"^\| Pop +\| 2020 +\| 0\.\d{4} ", (tmp_path / "out" / "comparison.md").read_text(), re.MULTILINE)
    assert r"\begin{tabular}" in (tmp_path / "out" / "comparison.tex").read_text()


def test_markdown_by_hand():
    frame = pd.DataFrame(
        {"model": ["Pop", "ESMR"], "seed": [2020, 2021], "recall@10": [0.12345, np.nan], "said": ["0.10", "1 [0, 2]"]}
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown(frame).splitlines()]
    assert rows[0] == ["model", "seed", "recall@10", "said"] and all(set(cell) <= set(":-") for cell in rows[1])
    assert rows[2:] == [["Pop", "2020", "0.1235", "0.10"], ["ESMR", "2021", "nan", "1 [0, 2]"]], "text stays as it is"


def test_causal_writes_effects_graph_and_figures(data_path, tmp_path, capsys):
    keys = ["--causal_placebos=10", "--show_progress=False", "--state=ERROR"]
    command = ["causal", f"--dataset={data_path / 'small'}", "--all_days", "--graph_samples=2", "--output=effects.json"]
    assert main([*command, "--figures=out", *keys]) == 0
    result = json.loads((tmp_path / "effects.json").read_text())
    assert {"schema_version", "config", "seed", "versions", "timings", "effects", "graph"} <= set(result)
    assert set(result["graph"]["edges"][0]) == {"cause", "effect", "stability", "weight"}
    assert not any(edge["cause"].startswith("next_") for edge in result["graph"]["edges"])
    treatments = {effect["treatment"] for effect in result["effects"]}
    assert {"negative_exposure", "positive_exposure", "time_spent", "exposure_happy"} <= treatments
    shown = capsys.readouterr().out
    assert "identified by what was shown" in shown and "negative_exposure" in shown
    pictures = {"effects_on_valence.png", "effects_on_negative.png", "graph.png", "graph.gml", "graph.dot"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == pictures
    assert main([*command[:-1], "--output=again.json", *keys]) == 0
    assert json.loads((tmp_path / "again.json").read_text())["effects"] == result["effects"]


def test_the_back_door_can_be_asked_for_where_what_was_shown_is_known(data_path, capsys):
    command = ["causal", f"--dataset={data_path / 'small'}", "--graph_samples=0", "--show_progress=False", "--state=ERROR"]
    assert main([*command, "--all_days", "--causal_placebos=10", "--causal_identification=back-door"]) == 0
    shown = capsys.readouterr().out
    assert "identified by what was watched, adjusted" in shown and "negative_exposure" in shown and "time_spent" not in shown


def test_causal_without_what_was_shown_says_what_it_rests_on(data_path, tmp_path, capsys):
    folder = tmp_path / "data" / "small"
    shutil.copytree(data_path / "small", folder)
    (folder / "small.imp").unlink()
    command = ["causal", f"--dataset={folder}", "--graph_samples=0", "--show_progress=False", "--state=ERROR"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "identified by what was watched, adjusted" in shown and "time_spent" not in shown
    (folder / "small.day").unlink()
    assert main(command) == 2
    assert "nobody in data set 'small' reported an emotion" in capsys.readouterr().err


def test_simulate(tmp_path):
    assert main(["simulate", "--users=5", "--items=8", "--days=2", "--output=out/x"]) == 0
    assert sorted(path.name for path in (tmp_path / "out/x").iterdir()) == [
        *("x.day", "x.imp", "x.inter", "x.item", "x.user", "x.yaml"),
    ]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("run --model=ESRM --dataset=small", "unknown model 'ESRM'. Did you mean 'ESMR'?"),
        ("run --dataset=smal", "unknown data set 'smal'"),
        ("run --dataset=small --gate_streek=2", "unknown option '--gate_streek'. Did you mean 'gate_streak'?"),
        ("run --dataset=small --gate_streak=0", "gate_streak is 0"),
        ("causal --dataset=small --causal_identification=front-door", "expected one of slate, back-door"),
        ("causal --dataset=small --causal_graph=none.yaml", "none.yaml: cannot be read"),
        ("run --dataset=small --config_files=none.yaml", "none.yaml: cannot be read"),
        ("run --dataset=small --config_files=list.yaml", "list.yaml: holds a list"),
        ("run --dataset=small --config_files=broken.yaml", "broken.yaml, line 2"),
        ("run --dataset=small --config_files=typo.yaml", "unknown config key 'retreiver'. Did you mean 'retriever'?"),
        ("run --dataset=ml-100k", "'emotion:token'"),
        ("simulate --world=mars --output=x", "world 'mars' is neither a shipped world nor a file. Known: confounded, field"),
        ("import nonsense --input=. --output=x", "unknown format 'nonsense'"),
        ("import esmr-release --input=. --output=x", "content_dataset.csv: no such file"),
        ("import csv --input=. --output=x", "--mapping"),
    ],
)
def test_mistakes_give_one_line_and_exit_code_2(command, says, data_path, tmp_path, capsys):
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    (tmp_path / "typo.yaml").write_text("retreiver: BPR\n")
    words = command.split()
    if words[0] in ("run", "causal"):
        words += ["--state=ERROR", "--show_progress=False"] + ([f"--data_path={data_path}"] if "ml-100k" not in command else [])
    capsys.readouterr()
    assert main(words) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("recbole-esmr: ") and says in error[-1]
    assert not [line for line in error if "Traceback" in line]


def test_resume_continues_and_refuses_bad_checkpoints(trained, data_path, tmp_path, capsys):
    result, _ = trained
    good = Path(result["checkpoint"]).read_bytes()
    keys = [f"--{key}={value}" for key, value in {**QUICK, "gate_streak": 1, "data_path": data_path}.items()]
    (tmp_path / "a.pth").write_bytes(good)
    command = ["run", "--dataset=small", "--resume=a.pth"]
    assert main([*command, *keys, "--output=run.json"]) == 0
    assert json.loads((tmp_path / "run.json").read_text())["test_result"] == result["test_result"]

    def future():
        (tmp_path / "a.pth").write_bytes(good.replace(b"checkpoint 3", b"checkpoint 99", 1))

    wider = [key.replace("encoder_hidden_size=8", "encoder_hidden_size=16") for key in keys]
    for harm, words, says in (
        (lambda: (tmp_path / "a.pth").write_bytes(good[: len(good) // 2]), keys, "truncated"),
        (future, keys, "format 99"),
        (lambda: None, wider, "encoder_hidden_size was 8 and is 16"),
        (lambda: None, ["--model=BPR", *keys[-1:], "--epochs=1"], "a checkpoint of ESMR, not of BPR"),
        (lambda: (tmp_path / "a.pth").unlink(), keys, "no such checkpoint"),
    ):
        (tmp_path / "a.pth").write_bytes(good)
        harm()
        capsys.readouterr()
        assert main([*command, *words]) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert error[-1].startswith("recbole-esmr: ") and says in error[-1]
        assert not [line for line in error if "Traceback" in line]


@pytest.mark.parametrize(
    "words", [["simulate", "--output=x", "--uesrs=3"], ["simulate", "--output=x", "--users=0"], ["walk"], []]
)
def test_argparse_mistakes_also_exit_with_2(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2 and "recbole-esmr" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["run", "compare", "simulate", "import"])
def test_every_command_has_help_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0 and f"example: recbole-esmr {name} " in capsys.readouterr().out


def test_ml_100k_refuses_esmr_and_runs_bpr(tmp_path, capsys):
    assert main(["run", "--model=BPR", "--dataset=ml-100k", "--epochs=1", "--state=ERROR", "--show_progress=False"]) == 0
    assert "recall@10" in capsys.readouterr().out


needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder with real data is not beside this checkout")


@needs_shared
def test_import_ldos_comoda(tmp_path):
    assert main(["import", "ldos-comoda", f"--input={SHARED / 'data/ldos-comoda'}", "--output=films"]) == 0
    item = pd.read_csv(tmp_path / "films/films.item", sep="\t")
    day = pd.read_csv(tmp_path / "films/films.day", sep="\t")
    assert len(item) == 1232 and len(day) == 2296
    source = pd.read_csv(SHARED / "data/ldos-comoda/LDOS-CoMoDa.csv", header=None)
    named = source[source[14].between(1, 7)]
    most = named[1].value_counts().index[0]  # the film that most people rated
    votes = named[named[1] == most][14].value_counts()
    film = item[item["item_id:token"] == most].iloc[0]
    shares = np.array(film["emotion_share:float_seq"].split(), dtype=float)
    assert shares.sum() == pytest.approx(1, abs=1e-5) and shares.argmax() + 1 == votes.idxmax()
    assert 1 / 7 < shares.max() < votes.max() / votes.sum(), "pulled toward all films' shares"
    person = day[day["user_id:token"] == 23]
    assert person["day:float"].tolist() == list(range(1, len(person) + 1))


@needs_shared
def test_import_esmr_release(tmp_path):
    assert main(["import", "esmr-release", f"--input={SHARED / 'data/esmr-release'}", "--output=release"]) == 0
    day = pd.read_csv(tmp_path / "release/release.day", sep="\t")
    assert len(day) == 30_000 and day["emotion:token"].isna().sum() == 8929  # "churned" is no emotion
    assert set(day["emotion:token"].dropna()) == {"happy", "excited", "disappointed", "stressed", "frustrated"}
    assert sum(1 for _ in (tmp_path / "release/release.inter").open()) == 594_623


MAPPING = """
emotions: {joy: happy}
inter: {file: views.csv, columns: {user_id: who, item_id: what, day: day, watch_ratio: percent}, multiply: {watch_ratio: 0.01}}
item: {file: items.csv, columns: {item_id: what, emotion: feels}}
day: {file: diary.csv, columns: {user_id: who, day: day, emotion: feels}}
"""


def _csv(folder):
    (folder / "views.csv").write_text("who,what,day,percent\na,x,1,50\na,y,2,100\nb,x,1,25\n")
    (folder / "items.csv").write_text("what,feels\nx,joy\ny,angry\n")
    (folder / "diary.csv").write_text("who,day,feels\na,1,joy\nb,1,\n")
    (folder / "map.yaml").write_text(MAPPING)


def test_import_csv(tmp_path):
    _csv(tmp_path)
    assert main(["import", "csv", "--input=.", "--mapping=map.yaml", "--output=mine"]) == 0
    assert (tmp_path / "mine/mine.inter").read_text() == (
        "user_id:token\titem_id:token\tday:float\twatch_ratio:float\ttimestamp:float\n"
        "a\tx\t1\t0.5\t0\na\ty\t2\t1.0\t86400\nb\tx\t1\t0.25\t0\n"
    )
    assert (tmp_path / "mine/mine.item").read_text() == "item_id:token\temotion:token\nx\thappy\ny\tangry\n"


def test_import_without_item_emotions_asks_for_no_emotion_metric(tmp_path):
    _csv(tmp_path)
    (tmp_path / "map.yaml").write_text(MAPPING.replace(", emotion: feels}}\nday", "}}\nday"))
    assert main(["import", "csv", "--input=.", "--mapping=map.yaml", "--output=mine"]) == 0
    assert "NegativeExposure" not in (tmp_path / "mine/mine.yaml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("feels}}\nday", "feeels}}\nday", "the column 'feeels' is missing. Did you mean 'feels'?"),
        ("joy: happy", "joi: happy", "items.csv, line 2, column 'feels': the cell holds 'joy'. It is not an emotion"),
        (
            "multiply: {watch_ratio: 0.01}",
            "multiply: {}",
            "views.csv, line 2, column 'percent': the cell holds '50' (2 more such lines)",
        ),
        ("diary.csv", "dairy.csv", "dairy.csv: no such file"),
        ("item:", "itm:", "unknown key 'itm'. Did you mean 'item'?"),
        ("multiply", "multply", "unknown key 'multply'. Did you mean 'multiply'?"),
        ("inter:", "imp:", "'inter' is missing"),
    ],
)
def test_import_writes_nothing_when_something_is_wrong(tmp_path, capsys, old, new, says):
    _csv(tmp_path)
    (tmp_path / "map.yaml").write_text(MAPPING.replace(old, new))
    assert main(["import", "csv", "--input=.", "--mapping=map.yaml", "--output=mine"]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()
