"""Data with hardly anything in them: trained and written, or refused in one line before the training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recbole.trainer import Trainer

from recbole_esmr.cli import main
from recbole_esmr.trainer.esmr_trainer import ESMRTrainer
from tests.conftest import QUICK


def _data(tmp_path, users, length, items):
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    rows = [
        f"u{user}\ti{(user + step) % items}\t{1_000_000_000 + 86_400 * step + user}\t{step + 1}\n"
        for user in range(users)
        for step in range(length)
    ]
    (folder / "tiny.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\tday:float\n" + "".join(rows))
    (folder / "tiny.item").write_text("item_id:token\temotion:token\n" + "".join(f"i{n}\thappy\n" for n in range(items)))
    (folder / "tiny.yaml").write_text("load_col: {inter: [user_id, item_id, timestamp]}\n")
    return folder


def _run(folder, model, split, k=2, **keys):
    quick = {**QUICK, "epochs": 1} if model == "ESMR" else {"epochs": 1, "state": "ERROR", "show_progress": False}
    judged = {"eval_args": {"split": split, "order": "TO", "group_by": "user", "mode": "full"}, "topk": [k], "metrics": ["NDCG"]}
    words = {**quick, **judged, "valid_metric": f"NDCG@{k}", "repeatable": True, **keys}
    command = ["run", f"--model={model}", f"--dataset={folder}", "--output=run.json"]
    return main([*command, *(f"--{key}={value}" for key, value in words.items())])


@pytest.mark.parametrize("model", ["ESMR", "BPR", "SASRec", "FM", "ItemKNN"])
@pytest.mark.parametrize(
    ("split", "empty"),
    [
        ({"RS": [1.0, 0, 0]}, ("best_valid_result", "test_result")),
        ({"RS": [0.8, 0.2, 0]}, ("test_result",)),
        ({"LS": "valid_only"}, ("test_result",)),
        ({"LS": "test_only"}, ("best_valid_result",)),
    ],
)
def test_a_part_that_the_split_leaves_empty_has_no_figures(tmp_path, capsys, model, split, empty):
    assert _run(_data(tmp_path, users=6, length=5, items=8), model, split) == 0
    result = json.loads(Path("run.json").read_text())
    assert {part for part in ("best_valid_result", "test_result") if result[part] is None} == set(empty)
    shown = capsys.readouterr().out
    words = " and ".join({"best_valid_result": "validation", "test_result": "test"}[part] for part in empty)
    assert f"No figures for {words}: eval_args " in shown


@pytest.mark.parametrize("model", ["ESMR", "BPR", "SASRec", "FM", "ItemKNN", "MultiVAE"])
@pytest.mark.parametrize(
    ("size", "keys", "says"),
    [
        ({"users": 6, "length": 5, "items": 4}, {"k": 9}, "has 4 items, and topk [9] asks for lists of 9. Set topk: [4]"),
        ({"users": 6, "length": 5, "items": 1}, {"k": 1}, "has 1 item, so there is nothing to choose between"),
        ({"users": 6, "length": 5, "items": 2}, {"repeatable": False}, "somebody has had every item"),
    ],
)
def test_too_little_is_refused_before_the_training(tmp_path, capsys, monkeypatch, model, size, keys, says):
    for trainer in (Trainer, ESMRTrainer):
        monkeypatch.setattr(trainer, "fit", lambda *_, **__: pytest.fail("something was trained"))
    assert _run(_data(tmp_path, **size), model, {"LS": "valid_and_test"}, **keys) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("recbole-esmr: data set 'tiny': ") and says in error[-1]
    assert "Traceback" not in "".join(error) and not Path("run.json").exists()


@pytest.mark.parametrize(
    ("model", "length", "says"),
    [
        ("SASRec", 1, "nobody has two interactions, and SASRec learns what follows what"),
        ("ESMR", 1, "nobody has two interactions, and ESMR learns what follows what"),
        ("SASRec", 2, "leaves SASRec nothing to train on"),
        ("ESMR", 3, "leaves ESMR nothing to train on"),
        ("BPR", 1, ""),
        ("BPR", 2, ""),
        ("SASRec", 4, ""),
        ("ESMR", 4, ""),
    ],
)
def test_one_or_two_interactions_a_person(tmp_path, capsys, model, length, says):
    assert _run(_data(tmp_path, users=6, length=length, items=8), model, {"LS": "valid_and_test"}) == (2 if says else 0)
    assert says in capsys.readouterr().err
    assert Path("run.json").exists() != bool(says)


@pytest.mark.parametrize("model", ["ESMR", "BPR", "SASRec"])
def test_a_single_person(tmp_path, model):
    assert _run(_data(tmp_path, users=1, length=9, items=8), model, {"LS": "valid_and_test"}) == 0
    assert 0 <= json.loads(Path("run.json").read_text())["test_result"]["ndcg@2"] <= 1


@pytest.mark.parametrize("model", ["BPR", "Pop", "FM"])
def test_a_single_interaction(tmp_path, model):
    folder = _data(tmp_path, users=1, length=1, items=8)
    (folder / "tiny.yaml").write_text("load_col: {inter: [user_id, item_id, timestamp], item: [item_id]}\n")
    assert _run(folder, model, {"LS": "valid_and_test"}) == 0


@pytest.mark.parametrize(("length", "says"), [(1, "nobody has two interactions"), (2, ""), (3, "")])
def test_what_trains_no_recommender_needs_no_training_part(tmp_path, capsys, length, says):
    """The causal stage and an encoder learn from people's days, of which there may be enough where histories are short."""
    folder = _data(tmp_path, users=6, length=length, items=8)
    moods = [f"u{user}\t{day}\t{'happy' if (user + day) % 3 else 'angry'}\n" for user in range(6) for day in range(1, 9)]
    (folder / "tiny.day").write_text("user_id:token\tday:float\temotion:token\n" + "".join(moods))
    quick = ["--state=ERROR", "--show_progress=False", "--encoder_epochs=1", "--causal_placebos=10"]
    for words in (["causal", f"--dataset={folder}", "--graph_samples=0"], ["pretrain", f"--datasets={folder}", "--output=e.pth"]):
        assert main([*words, *quick]) == (2 if says else 0)
        assert says in capsys.readouterr().err
