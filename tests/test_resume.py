"""A training that was stopped, wherever that was, comes to the result of one that never was."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_esmr import progress
from recbole_esmr.errors import CheckpointError, Interrupted
from recbole_esmr.progress import BestWeights, Progress, RandomStates
from recbole_esmr.quick_start import run_recbole
from recbole_esmr.trainer import checkpointing

SHORT = {"epochs": 3, "show_progress": False, "state": "ERROR", "train_batch_size": 512}
UNI = {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "uni20"}}
DYNAMIC = {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": True, "candidate_num": 3}

RUNS = {
    "BPR": {},
    "BPR, negatives drawn in the evaluation": UNI,
    "BPR, stopped early": {"epochs": 12, "stopping_step": 1, "learning_rate": 0.05},
    "BPR, judged every other epoch": {"epochs": 5, "eval_step": 2},
    "BPR, never judged": {"eval_step": 0},
    "BPR, negatives from the model": {"train_neg_sample_args": DYNAMIC},
    "SASRec": {"hidden_size": 16, "inner_size": 16, "n_layers": 1, "train_neg_sample_args": None},
    "GRU4Rec": {"dropout_prob": 0.5, "train_neg_sample_args": None, "learner": "adagrad", "hidden_size": 16},
    "LightGCN": {},
    "MultiVAE": {"train_neg_sample_args": None},
    "RecVAE": {"train_neg_sample_args": None},
    "LINE": {},
    "SGL": {},
    "BERT4Rec": {"hidden_size": 16, "inner_size": 16, "n_layers": 1, "train_neg_sample_args": None},
    "Pop": {},
    "ItemKNN": {},
}


def _same(result):
    """What must be the same: all but how long it took and where it lies."""
    return {key: value for key, value in result.items() if key not in ("timings", "checkpoint")}


class _Stopped:
    """Stops a training after so many writes of its checkpoint."""

    def __init__(self, monkeypatch):
        self.left = None
        save = checkpointing.save_checkpoint

        def save_and_stop(*arguments):
            save(*arguments)
            if self.left is not None:
                self.left -= 1
                if self.left == 0:
                    raise KeyboardInterrupt

        monkeypatch.setattr(checkpointing, "save_checkpoint", save_and_stop)
        monkeypatch.setattr(progress, "SECONDS", 0.0)

    def often(self, run, writes=2):
        """The result of a training that is stopped after every few writes, and how often it was."""
        resume, stops = None, 0
        while True:
            self.left = writes
            try:
                return run(resume), stops
            except Interrupted as stop:
                assert stop.checkpoint is not None
                resume, stops = stop.checkpoint, stops + 1


@pytest.fixture
def stopped(monkeypatch):
    return _Stopped(monkeypatch)


@pytest.mark.parametrize("name", RUNS)
def test_recboles_models_go_on_to_the_last_digit(name, data_path, stopped):
    model = name.split(",")[0]
    keys = {**SHORT, **RUNS[name], "data_path": str(data_path)}

    def run(resume=None):
        return run_recbole(model, "small", config_dict=keys, arguments=[], resume=resume)

    whole = run()
    found, stops = stopped.often(run)
    assert _same(found) == _same(whole) and stops >= 1
    stopped.left = None
    assert _same(run(found["checkpoint"])) == _same(whole), "one that has ended says the same again"


def test_esmr_goes_on_to_the_last_digit(quick, stopped):
    def run(resume=None):
        return run_recbole("ESMR", "small", config_dict=quick, arguments=[], resume=resume)

    whole = run()
    found, stops = stopped.often(run, writes=3)
    for part in ("test_result", "best_valid_result", "emotion", "engagement", "causal", "policy"):
        assert found[part] == whole[part], part
    assert _same(found) == _same(whole) and stops >= 8
    stopped.left = None
    assert _same(run(found["checkpoint"])) == _same(whole)


@pytest.fixture(scope="module")
def half(data_path, tmp_path_factory):
    """A checkpoint of BPR that was stopped."""
    folder, patch = tmp_path_factory.mktemp("half"), pytest.MonkeyPatch()
    patch.chdir(folder)
    stop = _Stopped(patch)
    stop.left = 2
    keys = {**SHORT, "data_path": str(data_path), "checkpoint_dir": str(folder)}
    with pytest.raises(Interrupted) as stopped:
        run_recbole("BPR", "small", config_dict=keys, arguments=[])
    patch.undo()
    return Path(stopped.value.checkpoint)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 7}, "seed was 2020 and is 7"),
        ({"epochs": 5}, "epochs was 3 and is 5"),
        ({"learning_rate": 0.5, "embedding_size": 8}, "embedding_size was 64 and is 8; learning_rate was 0.001 and is 0.5"),
        ({"topk": [10, 20]}, "topk was [10] and is [10, 20]"),
        ({"user_inter_num_interval": "[3,inf)"}, "user_inter_num_interval was '[0,inf)' and is '[3,inf)'"),
        ({"dataset": "other"}, "dataset was 'small' and is 'other'"),
        ({"model": "Pop"}, "is a checkpoint of BPR, not of Pop"),
    ],
)
def test_other_keys_are_refused_by_name(half, data_path, tmp_path, change, says):
    shutil.copytree(data_path, tmp_path / "data")
    other = tmp_path / "data/other"
    other.mkdir()
    for file in (data_path / "small").iterdir():
        shutil.copy(file, other / file.name.replace("small.", "other."))
    keys = {**SHORT, "data_path": str(tmp_path / "data"), "model": "BPR", "dataset": "small", **change}
    before = half.read_bytes()
    with pytest.raises(CheckpointError) as refused:
        run_recbole(keys.pop("model"), keys.pop("dataset"), config_dict=keys, arguments=[], resume=half)
    assert says in str(refused.value) and str(half) in str(refused.value) and half.read_bytes() == before


def test_keys_without_effect_may_differ(half, data_path, tmp_path):
    shutil.copytree(data_path / "small", tmp_path / "moved/small")
    shutil.copy(half, tmp_path / "half.pth")
    keys = {**SHORT, "data_path": str(tmp_path / "moved"), "checkpoint_dir": "elsewhere", "state": "INFO"}
    found = run_recbole("BPR", "small", config_dict=keys, arguments=[], resume=tmp_path / "half.pth")
    whole = run_recbole("BPR", "small", config_dict=keys, arguments=[])
    assert _same(found) == _same(whole)


def test_other_rows_under_the_same_names_are_refused(half, data_path, tmp_path):
    shutil.copytree(data_path / "small", tmp_path / "small")
    file = tmp_path / "small/small.inter"
    lines = file.read_text().splitlines()
    lines[-1] = lines[-1].replace(lines[-1].split("\t")[1], lines[1].split("\t")[1])
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(CheckpointError, match=r"the files of data set 'small'|other users or items"):
        run_recbole("BPR", "small", config_dict={**SHORT, "data_path": str(tmp_path)}, arguments=[], resume=half)


def test_esmr_with_another_retriever_is_refused(quick, stopped):
    stopped.left = 1
    with pytest.raises(Interrupted) as stop:
        run_recbole("ESMR", "small", config_dict=quick, arguments=[])
    stopped.left = None
    with pytest.raises(CheckpointError, match=r"retriever was '\w+' and is 'SASRec'"):
        run_recbole("ESMR", "small", config_dict={**quick, "retriever": "SASRec"}, arguments=[], resume=stop.value.checkpoint)


def test_stopped_before_the_first_write_names_no_checkpoint(quick, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("recbole_esmr.trainer.esmr_trainer.fit_encoder", stop)
    with pytest.raises(Interrupted) as stopped:
        run_recbole("ESMR", "small", config_dict=quick, arguments=[])
    assert stopped.value.checkpoint is None


# -- progress itself -------------------------------------------------------------------------------------------------------


class _Sum:
    def __init__(self):
        self.total = 0.0

    def state_dict(self):
        return {"total": self.total}

    def load_state_dict(self, state):
        self.total = state["total"]


def _train(tree):
    """A training of a step and a loop, and what it came to; ``tree`` is the root of its progress."""
    generator, total = torch.Generator().manual_seed(1), _Sum()
    first = tree.step("first", lambda _: float(np.random.random()))
    for _ in tree.part("second").through(5, total=total, numbers=RandomStates(generator)):
        total.total += float(torch.rand(1, generator=generator)) + np.random.random()
    return first, total.total, np.random.random()


def test_a_loop_and_a_step_go_on_where_they_were_written(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    written = []
    np.random.seed(3)
    whole = _train(Progress(write=lambda tree: written.append(_copied(tree))))
    assert len(written) == 6 and [tree["second"]["done"] for tree in written[1:]] == [0, 1, 2, 3, 4]
    for tree in written:
        np.random.seed(99)
        assert _train(Progress(tree)) == whole


def _copied(tree):
    if isinstance(tree, dict):
        return {key: _copied(value) for key, value in tree.items()}
    return tree.clone() if isinstance(tree, torch.Tensor) else tree


def test_writes_are_half_a_minute_apart(monkeypatch):
    now, written = [0.0], []
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    tree = Progress(write=written.append)
    monkeypatch.setattr(tree._clock, "last", 0.0)
    for now[0] in (0.0, 29.0, 30.0, 31.0, 59.0, 60.5):
        tree.part("a").keep(lambda: {"at": now[0]})
    assert written == [{"a": {"at": 30.0}}, {"a": {"at": 60.5}}]


def test_the_best_round_is_the_first_of_equals_and_nan_is_none():
    module, best = torch.nn.Linear(1, 1), BestWeights(bigger=True)
    kept = []
    for score in (float("nan"), 0.5, 0.5, 0.7, 0.6):
        with torch.no_grad():
            module.weight.fill_(score)
        best.judge(score, module)
        kept.append((best.score, best.since))
    assert kept == [(None, 1), (0.5, 0), (0.5, 1), (0.7, 0), (0.7, 1)]
    assert float(best.weights["weight"]) == pytest.approx(0.7)
