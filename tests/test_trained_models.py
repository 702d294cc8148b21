"""Commands that RecBole users expect: lists, figures again, a search of keys, config files that name model and data set."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from recbole_esmr import __version__, trained_models
from recbole_esmr.cli import main
from recbole_esmr.engines import RAY
from recbole_esmr.errors import ESMRError
from recbole_esmr.evaluator.full_sort import full_sort_topk
from recbole_esmr.quick_start import load_data_and_model, run_recbole
from recbole_esmr.trained_models import evaluate, recommend
from recbole_esmr.tuning import tune

RANKED = trained_models._ranked
FEW = {"state": "ERROR", "show_progress": False, "epochs": 2}


@pytest.fixture(scope="module")
def bpr(data_path, tmp_path_factory):
    keys = {**FEW, "data_path": str(data_path), "checkpoint_dir": str(tmp_path_factory.mktemp("bpr"))}
    return run_recbole("BPR", "small", config_dict=keys, arguments=[])


@pytest.mark.parametrize("which", ["ESMR", "BPR"])
def test_evaluated_again_a_model_has_the_figures_of_its_run(which, trained, bpr):
    run = trained[0] if which == "ESMR" else bpr
    found = evaluate(run["checkpoint"])
    assert found["test_result"] == run["test_result"] and found["valid_result"] == run["best_valid_result"]


def test_by_other_metrics(bpr, capsys):
    command = ["evaluate", str(bpr["checkpoint"]), "--metrics=['MRR','Hit']", "--topk=[5]", "--valid_metric=MRR@5"]
    assert main([*command, "--output=again.json"]) == 0
    found = json.loads(Path("again.json").read_text())
    assert set(found["test_result"]) == {"mrr@5", "hit@5"} and "mrr@5" in capsys.readouterr().out


@pytest.mark.parametrize("which", ["ESMR", "BPR"])
def test_lists_are_those_of_full_sort_topk(which, trained, bpr):
    path = (trained[0] if which == "ESMR" else bpr)["checkpoint"]
    config, model, dataset, _, _, test = load_data_and_model(path)
    lists = recommend(path, ["u7", "u2"], 4)
    users = dataset.token2id(dataset.uid_field, ["u7", "u2"])
    scores, items = full_sort_topk(users, model, test, 4, config["device"])
    assert lists["item"].tolist() == list(dataset.id2token(dataset.iid_field, items.cpu()).ravel())
    assert lists["user"].tolist() == ["u7"] * 4 + ["u2"] * 4 and lists["rank"].tolist() == [1, 2, 3, 4] * 2
    assert torch.allclose(torch.tensor(lists["score"].to_numpy()), scores.flatten().cpu())


def test_who_asks_for_everybody_and_for_some_is_refused(bpr, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["recommend", f"--checkpoint={bpr['checkpoint']}", "--all", "--users=u1"])
    assert ended.value.code == 2
    assert "argument --users: not allowed with argument --all" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--all"]])
def test_lists_of_everybody_go_into_a_file(bpr, capsys, words):
    assert main(["recommend", f"--checkpoint={bpr['checkpoint']}", "--topk=3", "--output=lists.csv", *words]) == 0
    lists = pd.read_csv("lists.csv")
    assert Path("lists.csv").read_text().startswith("user,rank,item,score\n")
    assert len(lists) == 120 and lists["user"].nunique() == 40 and "120 items for 40 people" in capsys.readouterr().out


@pytest.mark.parametrize("which", ["ESMR", "BPR"])
def test_lists_made_in_two_processes_are_the_same_to_the_last_digit(which, trained, bpr, monkeypatch):
    path = (trained[0] if which == "ESMR" else bpr)["checkpoint"]
    monkeypatch.setattr(trained_models, "AT_ONCE", 8)
    alone, together = recommend(path, topk=5), recommend(path, topk=5, processes=2)
    pd.testing.assert_frame_equal(alone, together, check_exact=True)
    assert alone["user"].nunique() == 40 and len(alone) == 200


def test_a_part_that_dies_three_times_is_named(bpr, monkeypatch):
    monkeypatch.setattr(trained_models, "AT_ONCE", 8)
    monkeypatch.setattr(trained_models, "_ranked", _dies)
    with pytest.raises(ESMRError, match=r"part [12] of 2 of the people was not ranked for: its process was killed by signal 9"):
        recommend(bpr["checkpoint"], processes=2)


def _dies(part):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_lists_of_a_ray_cluster_of_which_a_worker_is_killed(trained, monkeypatch, tmp_path):
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setattr(trained_models, "AT_ONCE", 8)
    alone = recommend(trained[0]["checkpoint"], topk=5)
    monkeypatch.setenv("ESMR_TEST_KILLED", str(tmp_path / "killed"))
    monkeypatch.setattr(trained_models, "_ranked", _dies_once)
    together = recommend(trained[0]["checkpoint"], topk=5, processes=2, engine=RAY)
    pd.testing.assert_frame_equal(alone, together, check_exact=True)
    assert (tmp_path / "killed").exists()


def _dies_once(part):
    """The first process that comes here is killed."""
    mark = Path(os.environ["ESMR_TEST_KILLED"])
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return RANKED(part)
    return os.kill(os.getpid(), signal.SIGKILL)


def test_lists_as_parquet(bpr, monkeypatch, capsys):
    command = ["recommend", f"--checkpoint={bpr['checkpoint']}", "--topk=3"]
    assert main([*command, "--output=lists.parquet"]) == 0 and main([*command, "--output=lists.csv"]) == 0
    tables = pd.read_parquet("lists.parquet"), pd.read_csv("lists.csv")
    assert tables[0].columns.tolist() == ["user", "rank", "item", "score"] and len(tables[0]) == 120
    assert tables[0]["item"].tolist() == tables[1]["item"].tolist()
    assert tables[0]["score"].to_numpy() == pytest.approx(tables[1]["score"].to_numpy(), rel=1e-5)
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert main([*command, "--output=other.parquet"]) == 2 and not Path("other.parquet").exists()
    assert "other.parquet: Parquet needs pyarrow" in capsys.readouterr().err


def test_what_is_not_to_be_shown_again_is_left_out(data_path, tmp_path):
    keys = {**FEW, "data_path": str(data_path), "checkpoint_dir": str(tmp_path), "repeatable": False}
    path = run_recbole("BPR", "small", config_dict=keys, arguments=[])["checkpoint"]
    _, _, dataset, train, valid, _ = load_data_and_model(path)
    lists = recommend(path, ["u1"], 60)
    user = dataset.token2id(dataset.uid_field, "u1")
    before = set()
    for part in (train, valid):
        rows = part._dataset.inter_feat
        before |= set(rows[dataset.iid_field][rows[dataset.uid_field] == user].tolist())
    tested = set(lists["item"]) & set(dataset.id2token(dataset.iid_field, list(before)))
    assert len(lists) < 60 and len(tested) <= 1, "but for what is itself to be found"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["recommend", "--users=nobody"], "person 'nobody' is not in data set 'small'."),
        (["recommend", "--topk=61"], "k is 61; data set 'small' has 60 items."),
        (["recommend", "--users=@none"], "--users=@none"),
    ],
)
def test_what_cannot_be_recommended_is_one_line(words, says, bpr, capsys):
    assert main([*words, f"--checkpoint={bpr['checkpoint']}"]) == 2
    assert says in capsys.readouterr().err


def test_config_files_name_model_and_data_set(data_path, capsys):
    Path("mine.yaml").write_text(f"model: BPR\ndataset: small\ndata_path: {data_path}\nepochs: 1\n")
    assert main(["run", "--config_files=mine.yaml", "--quiet"]) == 0
    assert "BPR on small" in capsys.readouterr().out
    assert main(["run", "--config_files=mine.yaml", "--model=Pop", "--quiet"]) == 0
    assert "Pop on small" in capsys.readouterr().out
    assert main(["run", "--model=BPR"]) == 2
    assert "no data set is named" in capsys.readouterr().err


def test_version_and_quiet(data_path, capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == f"recbole-esmr {__version__}"
    for place in (0, 1):
        words = ["run", "--model=BPR", "--dataset=small", f"--data_path={data_path}", "--epochs=1"]
        assert main([*words[:place], "--quiet", *words[place:]]) == 0
        said = capsys.readouterr()
        assert "BPR on small" in said.out and "INFO" not in said.err and "%|" not in said.err


def test_a_search_finds_the_best_by_the_validation_part(data_path, capsys):
    Path("ranges").write_text("learning_rate choice [0.1,1e-9]\nembedding_size choice [8,16]\n")
    command = ["tune", "--model=BPR", "--dataset=small", f"--data_path={data_path}", "--params_file=ranges", "--quiet"]
    assert main([*command, "--algo=exhaustive", "--epochs=3", "--output=tuned.json"]) == 0
    found, said = json.loads(Path("tuned.json").read_text()), capsys.readouterr().out
    scores = [trial["score"] for trial in found["trials"]]
    assert len(scores) == 4 and scores == sorted(scores, reverse=True) and found["best"] == found["trials"][0]
    assert found["best"]["keys"]["learning_rate"] == 0.1 and "The best keys: --" in said
    assert "test" not in said and "test_result" not in Path("tuned.json").read_text(), "the test part decides nothing"
    keys = {**FEW, "epochs": 3, "data_path": str(data_path), **found["best"]["keys"]}
    again = run_recbole("BPR", "small", config_dict=keys, saved=False, arguments=[])
    assert again["best_valid_score"] == found["best"]["score"]


def test_one_trial_that_cannot_be_is_not_the_end(data_path):
    Path("ranges").write_text("embedding_size choice [0,8]\ntrain_batch_size quniform 16,64,16\n")
    keys = [f"--data_path={data_path}", "--epochs=1", "--state=ERROR"]
    found = tune("BPR", "small", None, keys, "ranges", "random", 6, show_progress=False)
    assert found["best"]["keys"]["embedding_size"] == 8 and len(found["trials"]) == 6
    assert {bool(trial["failed"]) for trial in found["trials"]} == {True, False}
    assert all(isinstance(trial["keys"]["train_batch_size"], int) for trial in found["trials"])


def test_the_same_seed_searches_the_same(data_path):
    Path("ranges").write_text("learning_rate loguniform -8,-2\n")
    keys = [f"--data_path={data_path}", "--epochs=1", "--state=ERROR"]
    one, other = (tune("BPR", "small", None, keys, "ranges", "random", 3, show_progress=False) for _ in range(2))
    assert one["trials"] == other["trials"] and len({trial["keys"]["learning_rate"] for trial in one["trials"]}) == 3


@pytest.mark.parametrize(
    ("ranges", "keys", "says"),
    [
        ("learning_rate choice [0.1]", ["--learning_rate=0.2"], "--learning_rate is set and searched as well."),
        ("learning_rate between 1,2", [], "line 1: learning_rate has the range"),
        ("learning_rate uniform 5,1", [], "expected the smaller number first"),
        ("lerning_rate choice [0.1]", [], "unknown key 'lerning_rate'. Did you mean 'learning_rate'?"),
        (
            "learning_rate uniform 0,1",
            ["--algo=exhaustive"],
            "learning_rate is a range, and --algo=exhaustive tries choices alone",
        ),
        ("embedding_size choice [0]", [], "no trial has a figure of"),
        ("", [], "there are no ranges to search for BPR."),
    ],
)
def test_a_search_that_cannot_be(ranges, keys, says, data_path, capsys):
    Path("ranges").write_text(ranges)
    command = ["tune", "--model=BPR", "--dataset=small", f"--data_path={data_path}", "--params_file=ranges"]
    assert main([*command, *keys]) == 2 and says in capsys.readouterr().err


def test_without_hyperopt_one_line_names_the_extra(data_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "hyperopt", None)
    assert main(["tune", "--model=ESMR", "--dataset=small", f"--data_path={data_path}"]) == 2
    assert "Run `pip install 'recbole-esmr[tune]'`." in capsys.readouterr().err
