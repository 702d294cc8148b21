"""The safe file format: what was saved comes back, and what must not be used is refused."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
import scipy.sparse
import torch

from recbole_esmr.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from recbole_esmr.errors import CheckpointError
from recbole_esmr.quick_start import load_data_and_model, run_recbole


def _checkpoint(**change):
    values = {
        "model": "BPR",
        "config": {"seed": 1},
        "ids": "abc",
        "state_dict": {"w": torch.arange(3.0)},
        "other_parameter": {"text": "tree", "none": None, "list": [1, 2.5, True], "array": np.arange(4).reshape(2, 2)},
        "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "training": {"epoch": 3, "cur_step": 0, "best_valid_score": 0.5},
    }
    return Checkpoint(**{**values, **change})


def test_round_trip(tmp_path):
    matrix = scipy.sparse.csc_matrix(np.array([[0, 1.5], [2.0, 0]]))
    given = _checkpoint(other_parameter={**_checkpoint().other_parameter, "sparse": matrix})
    save_checkpoint(tmp_path / "a.pth", given)
    back = load_checkpoint(tmp_path / "a.pth", model="BPR")
    assert torch.equal(back.state_dict["w"], torch.arange(3.0))
    assert (back.model, back.config, back.ids, back.training) == (given.model, given.config, given.ids, given.training)
    assert back.other_parameter["text"] == "tree" and back.other_parameter["list"] == [1, 2.5, True]
    assert back.other_parameter["array"].tolist() == [[0, 1], [2, 3]]
    assert back.other_parameter["sparse"].format == "csc" and (back.other_parameter["sparse"] != matrix).nnz == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "a.pth"]


def test_nothing_is_pickled_and_nothing_half_written(tmp_path):
    save_checkpoint(tmp_path / "a.pth", _checkpoint())
    before = (tmp_path / "a.pth").read_bytes()
    with pytest.raises(CheckpointError, match="cannot be saved without pickling"):
        save_checkpoint(tmp_path / "a.pth", _checkpoint(other_parameter={"x": object()}))
    assert (tmp_path / "a.pth").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def _first_line(path, old, new):
    path.write_bytes(path.read_bytes().replace(old, new, 1))


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (_truncate, "truncated"),
        (lambda path: path.write_bytes(pickle.dumps({"config": object})), "is a pickle"),
        (lambda path: torch.save({"config": object}, path), "is a pickle"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text("weights"), "is no checkpoint of recbole-esmr"),
        (lambda path: _first_line(path, b"checkpoint 3", b"checkpoint 99"), "is a checkpoint of format 99"),
        (lambda path: _first_line(path, b"sha256=", b"sha512="), "the first line is damaged"),
        (lambda path: save_checkpoint(path, _checkpoint(model="ESMR")), "a checkpoint of ESMR, not of BPR"),
        (lambda path: path.unlink(), "no such checkpoint"),
    ],
)
def test_bad_checkpoints_are_refused(tmp_path, harm, says):
    path = tmp_path / "a.pth"
    save_checkpoint(path, _checkpoint())
    harm(path)
    with pytest.raises(CheckpointError, match=r"a\.pth") as caught:
        load_checkpoint(path, model="BPR")
    assert says in str(caught.value)


def test_esmr_saves_and_loads_the_same_scores(trained):
    result, (_, model, _, _, _, test_data) = trained
    _, again, *_ = load_data_and_model(result["checkpoint"])
    rows = test_data._dataset[torch.arange(len(test_data._dataset))]
    assert torch.equal(model.full_sort_predict(rows), again.full_sort_predict(rows))
    assert again.learned.causal == model.learned.causal and list(again.learned.done) == list(result["timings"])[3:]


def test_a_checkpoint_of_other_sizes_says_so(trained):
    result, _ = trained
    with pytest.raises(CheckpointError, match="size mismatch"):
        load_data_and_model(result["checkpoint"], {"encoder_hidden_size": 16})


def test_lines_may_stand_in_any_order(trained, data_path, tmp_path):
    """RecBole numbers ids by appearance; rows are put in the order of time before, so a shuffled file gives the same scores."""
    result, (_, model, *_, test_data) = trained
    shutil.copytree(data_path / "small", tmp_path / "small")
    for suffix in ("inter", "imp", "day", "user"):
        lines = (tmp_path / f"small/small.{suffix}").read_text().splitlines()
        (tmp_path / f"small/small.{suffix}").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    _, again, *_ = load_data_and_model(result["checkpoint"], {"data_path": str(tmp_path)})
    rows = test_data._dataset[torch.arange(len(test_data._dataset))]
    assert torch.allclose(model.full_sort_predict(rows), again.full_sort_predict(rows), atol=1e-5)


def test_a_checkpoint_of_ids_in_another_order_says_so(trained, data_path, tmp_path):
    """Where other people appear first, every weight would belong to somebody else."""
    result, _ = trained
    shutil.copytree(data_path / "small", tmp_path / "small")
    for suffix in ("inter", "imp", "day", "user"):
        path = tmp_path / f"small/small.{suffix}"
        swapped = {"u1": "u2", "u2": "u1"}
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        path.write_text("\n".join("\t".join([swapped.get(row[0], row[0]), *row[1:]]) for row in rows) + "\n")
    with pytest.raises(CheckpointError, match="in another order"):
        load_data_and_model(result["checkpoint"], {"data_path": str(tmp_path)})


def test_recboles_tree_models_keep_their_own_trainers():
    from recbole.trainer import trainer as recbole_trainer

    from recbole_esmr.trainer.checkpointing import get_trainer

    assert get_trainer(None, "LightGBM") is recbole_trainer.LightGBMTrainer


@pytest.mark.parametrize("model", ["Pop", "ItemKNN", "EASE", "LightGCN", "SASRec"])
def test_recboles_own_models_load_from_the_safe_format(model, quick):
    keys = {key: quick[key] for key in ("data_path", "show_progress", "state")} | {"epochs": 1}
    result = run_recbole(model, "small", config_dict=keys, arguments=[])
    config, loaded, _, _, _, test_data = load_data_and_model(result["checkpoint"])
    from recbole.utils import get_trainer

    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, loaded)
    assert trainer.evaluate(test_data, load_best_model=False) == result["test_result"]


def test_the_budgets_multiplier_is_found_anew_when_a_floor_changes(trained):
    """Served alone, a person gets the multiplier of the keys they are served by, not of those the model was trained with."""
    from recbole_esmr.trainer.off_policy import find_multipliers

    path = trained[0]["checkpoint"]
    loose, strict, same = (
        load_data_and_model(path, {"gate": "forecast", "min_engagement": floor})[1] for floor in (0.9, 0.99, 0.97)
    )
    found = [model.learned.multiplier["watch_time"] for model in (loose, same, strict)]
    assert found[0] > found[1] > found[2] > 0
    by_hand = find_multipliers(strict.log, strict.beliefs(), strict.rankers, strict.settings.serving)
    assert strict.learned.multiplier == by_hand
    assert load_data_and_model(path)[1].learned.multiplier == trained[1][1].learned.multiplier, "nothing changed: as trained"
