"""A comparison or rollout that was stopped goes on when it is given again, and says what one says that never was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from recbole_esmr import cells, closed_loop, deployment, quick_start
from recbole_esmr.cells import RESOURCES
from recbole_esmr.closed_loop import rollout
from recbole_esmr.comparison import compare
from recbole_esmr.errors import ConfigError, ESMRError
from recbole_esmr.leftovers import locked
from recbole_esmr.trainer import esmr_trainer
from recbole_esmr.work import Work, fingerprint, hidden_beside
from tests.conftest import QUICK
from tests.test_resume import _Stopped

SHORT = {"epochs": 2, "show_progress": False, "state": "ERROR"}
TINY = {**QUICK, "epochs": 1, "encoder_epochs": 1, "reranker_epochs": 1, "encoder_hidden_size": 4, "ranker_rounds": 5}
KEYS = [f"--{key}={value}" for key, value in TINY.items()]
WORLD = {"users": 40, "items": 60, "days": 3, "log_days": 8, "seeds": [1, 2], "replicates": 20, "show_progress": False}
POLICIES = ["pop", "BPR", "ESMR+reward=engagement"]


class _Calls:
    """The calls of a function; each run may make so many and is then stopped."""

    def __init__(self, monkeypatch, module, name):
        self.left, self.made = None, []
        real = getattr(module, name)

        def counted(*arguments, **keys):
            if self.left == 0:
                raise KeyboardInterrupt
            if self.left is not None:
                self.left -= 1
            self.made.append(arguments)
            return real(*arguments, **keys)

        monkeypatch.setattr(module, name, counted)

    def until_done(self, run):
        """What a run says that is stopped after each call, and how often it was."""
        stops = 0
        while True:
            self.left = 1
            try:
                return run(), stops
            except KeyboardInterrupt:
                stops += 1


def _table(found):
    return found.table.drop(columns=list(RESOURCES), errors="ignore").to_dict("records")


@pytest.fixture
def compared(data_path):
    """Two models by two seeds."""

    def run(output=None, models=("BPR", "Pop"), **keys):
        return compare(
            models, "small", [1, 2], config_dict={**SHORT, "data_path": str(data_path), **keys}, arguments=[], output=output
        )

    return run


def test_a_comparison_goes_on_after_each_cell(compared, monkeypatch):
    whole = compared()
    calls = _Calls(monkeypatch, cells, "train_into")
    found, stops = calls.until_done(lambda: compared("out"))
    assert _table(found) == _table(whole) and stops == 3
    assert len(calls.made) == 4, "each cell was trained once"
    assert {path.name for path in Path("out").iterdir()} == {f"comparison.{end}" for end in ("csv", "md", "tex", "json")}


def test_the_cell_in_work_goes_on_from_its_checkpoint(compared, monkeypatch):
    small = {"hidden_size": 16, "inner_size": 16, "n_layers": 1, "train_batch_size": 512}
    whole = compared(models=["BERT4Rec"], **small)
    stopped = _Stopped(monkeypatch)
    stopped.left = 2
    with pytest.raises(KeyboardInterrupt):
        compared("out", models=["BERT4Rec"], **small)
    stopped.left, resumed = None, []
    train = quick_start.train_and_test
    monkeypatch.setattr(quick_start, "train_and_test", lambda *a, **k: resumed.append(k.get("resume")) or train(*a, **k))
    assert _table(compared("out", models=["BERT4Rec"], **small)) == _table(whole)
    assert [path and path.name for path in resumed] == ["BERT4Rec-1.pth", None]


@pytest.mark.parametrize("change", [{"learning_rate": 0.05}, {"user_inter_num_interval": "[2,inf)"}])
def test_cells_of_other_keys_are_computed_again(compared, change, monkeypatch):
    calls = _Calls(monkeypatch, cells, "train_into")
    calls.left = 2
    with pytest.raises(KeyboardInterrupt):
        compared("out")
    calls.left, calls.made = None, []
    found = compared("out", **change)
    assert len(calls.made) == 4 and _table(found) == _table(compared(**change))


def test_cells_of_other_data_are_computed_again(compared, data_path, tmp_path, monkeypatch):
    shutil.copytree(data_path / "small", tmp_path / "data/small")
    here = {"data_path": str(tmp_path / "data")}
    calls = _Calls(monkeypatch, cells, "train_into")
    calls.left = 2
    with pytest.raises(KeyboardInterrupt):
        compared("out", **here)
    rows = (tmp_path / "data/small/small.inter").read_text().splitlines()
    (tmp_path / "data/small/small.inter").write_text("\n".join(rows[:-3]) + "\n")
    calls.left, calls.made = None, []
    assert _table(compared("out", **here)) == _table(compared(**here)) and len(calls.made) == 8


def test_failed_cells_are_tried_again_and_only_they(compared, monkeypatch):
    real, fails = cells.train_into, [True]

    def failing(config, path, people):
        if config["model"] == "Pop" and fails[0]:
            raise RuntimeError("out of memory")
        return real(config, path, people)

    monkeypatch.setattr(cells, "train_into", failing)
    first = compared("out")
    assert [row["model"] for row in first.rows] == ["BPR", "BPR"] and len(first.failed) == 2
    fails[0], calls = False, _Calls(monkeypatch, cells, "train_into")
    second = compared("out")
    assert [arguments[0]["model"] for arguments in calls.made] == ["Pop", "Pop"] and not second.failed
    assert _table(second) == _table(compared())


def test_two_at_once_in_one_folder_are_refused(compared):
    Path(".out.work").mkdir()
    with locked(Path(".out.work")), pytest.raises(ConfigError, match=r"\.out\.work: another process is working there"):
        compared("out")
    Path("kept").mkdir()
    with locked(Path("kept")), pytest.raises(ConfigError, match="kept: another process is working there"):
        rollout("reference", ["pop"], keep="kept", **WORLD)


def _same(result):
    """All but the time, as text: a figure that is not a number is the same as another that is none."""
    return json.dumps({key: value for key, value in result.items() if key != "timings"})


def test_a_rollout_goes_on_after_each_training_and_each_rollout(monkeypatch):
    def run(**where):
        return rollout("reference", POLICIES, arguments=KEYS, **{**WORLD, "seeds": [1]}, **where)[0]

    whole = run()
    lived, logs = _Calls(monkeypatch, closed_loop, "rolled_out"), _Calls(monkeypatch, deployment, "simulate")
    trained, varied = _Calls(monkeypatch, deployment, "train_into"), _Calls(monkeypatch, esmr_trainer, "fit_value")
    found, stops = lived.until_done(lambda: run(output="rollout.json"))
    assert _same(found) == _same(whole) and stops == 2
    assert (len(lived.made), len(logs.made), len(trained.made), len(varied.made)) == (3, 1, 2, 2), "each was made once"
    assert [path.name for path in Path().iterdir() if path.name.endswith((".json", ".work"))] == ["rollout.json"]
    assert _same(json.loads(Path("rollout.json").read_text())) == _same(whole).replace("NaN", "null")
    lived.left, lived.made, trained.made = None, [], []
    found, stops = trained.until_done(lambda: run(keep="kept"))
    assert _same(found) == _same(whole) and stops == 1 and len(lived.made) == 3
    lived.made, logs.made, trained.made = [], [], []
    assert _same(run(keep="kept")) == _same(whole) and not lived.made + logs.made + trained.made


def test_what_is_kept_of_another_world_is_not_mixed_in():
    first = rollout("reference", ["pop", "random"], keep="kept", **WORLD)[0]
    other = {**WORLD, "users": 50}
    assert _same(rollout("reference", ["pop", "random"], keep="kept", **other)[0]) == _same(
        rollout("reference", ["pop", "random"], **other)[0]
    )
    longer = {**WORLD, "log_days": 9}
    assert _same(rollout("reference", ["pop", "random"], keep="kept", **longer)[0]) == _same(
        rollout("reference", ["pop", "random"], **longer)[0]
    )
    assert _same(rollout("reference", ["pop", "random"], keep="kept", **WORLD)[0]) == _same(first)


@pytest.mark.parametrize(
    ("policies", "arguments", "says"),
    [
        (["ESMR", "BPR", "SASRek"], [], "there is no policy 'SASRek'"),
        (["ESMR", "NCL"], [], "NCL: needs the package faiss"),
        (["BPR", "ESMR+gate=strek"], [], "gate"),
        (["BPR", "ESMR"], ["--label=behaviour-clusters"], "label: reported"),
        (["BPR", "KGCN"], [], "KGCN: reads a knowledge graph"),
    ],
)
def test_a_policy_that_cannot_be_trained_is_refused_before_any_is(policies, arguments, says, monkeypatch):
    monkeypatch.setattr(deployment, "train_into", lambda *_: pytest.fail("something was trained"))
    with pytest.raises(ESMRError) as refused:
        rollout("reference", policies, arguments=[*KEYS, *arguments], **WORLD)
    assert says in str(refused.value)


def test_what_is_kept_is_known_again_by_what_it_was_made_from(tmp_path):
    with Work.at(tmp_path / "work") as work:
        work.keep_row("a", {"seed": 1, "of": [1.5, "x"]}, {"ndcg@10": 0.1 + 0.2, "none": float("nan")})
        work.keep_numbers("b", ["k"], {"x": np.arange(3.0), "y": np.array([True])})
        assert work.row("a", {"of": [1.5, "x"], "seed": 1})["ndcg@10"] == 0.1 + 0.2
        assert work.row("a", {"seed": 2, "of": [1.5, "x"]}) is None and work.row("c", {}) is None
        assert work.numbers("b", ["k"])["x"].tolist() == [0, 1, 2] and work.numbers("b", ["other"]) is None
        whole = (work.folder / "b.npz").read_bytes()
        for harm in (b"", whole[:50], whole[:-30], b"{}"):
            (work.folder / "b.npz").write_bytes(harm)
            (work.folder / "a.json").write_bytes(harm)
            assert work.numbers("b", ["k"]) is None and work.row("a", {"seed": 1, "of": [1.5, "x"]}) is None
        work.removed()
        assert not work.folder.exists()
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})


def test_nothing_is_kept_beside_a_device():
    assert hidden_beside("/dev/null") is None and hidden_beside(None) is None
    assert hidden_beside("a/b.json") == Path("a/.b.json.work").resolve()
