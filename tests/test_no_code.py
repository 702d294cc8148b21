"""Hostile and mistaken values: wherever a value comes from, nothing of it runs, and what is wrong with it is said in one line."""

from __future__ import annotations

import pickle
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from recbole.config.configurator import Config as StockConfig
from recbole.data import create_dataset, data_preparation
from recbole.quick_start import run_recbole as stock_run
from recbole.trainer import HyperTuning

from recbole_esmr.checkpoint import load_checkpoint, save_checkpoint
from recbole_esmr.cli import main
from recbole_esmr.closed_loop import rollout
from recbole_esmr.config import Config
from recbole_esmr.errors import CheckpointError, ConfigError, ESMRError
from recbole_esmr.quick_start import load_data_and_model, run_recbole

CODE = (
    "__import__('pathlib').Path('canary').touch()",
    "[__import__('pathlib').Path('canary').touch()]",
    "{'a': open('canary', 'w')}",
    "exec(\"open('canary', 'w')\")",
)
TAGS = ("!!python/object/apply:os.mkdir [canary]", "!!python/object/new:os.mkdir [canary]", "!!python/name:os.mkdir canary")
KEYS = ("learner", "seed", "metrics", "eval_args", "embedding_size", "gpu_id", "data_path", "gate", "retriever_config")


@pytest.fixture(autouse=True)
def _nothing_ran(tmp_path):
    """Every payload of this file would leave something called canary where it runs."""
    yield
    assert not list(tmp_path.rglob("canary*")), "a value was evaluated"


def test_what_is_tried_here_runs_in_recbole_itself(tmp_path):
    """Or the other tests would show nothing."""
    evaluate = StockConfig._convert_config_dict.recboles_own
    for code in CODE:
        evaluate(None, {"learner": code})
        assert (tmp_path / "canary").exists(), code
        (tmp_path / "canary").unlink()
    pickle.loads(pickle.dumps(_Canary()))
    assert (tmp_path / "canary").exists()
    (tmp_path / "canary").unlink()


def _tried(*arguments, **keys):
    """What comes of it: a config, whose retriever's is made too, or a typed error of one line."""
    try:
        config = Config(*arguments, **keys)
        if config.model == "ESMR":
            config.of_retriever()
    except ESMRError as error:
        assert "\n" not in str(error) and len(str(error)) < 800, error


@pytest.mark.parametrize("key", KEYS)
def test_no_value_is_code(mine, tmp_path, monkeypatch, key):
    """Each key, from the command line, a config_dict, a config file, NAME.yaml, the retriever's keys, and for RecBole's own."""
    usual = {"data_path": str(mine())}
    others = usual if key != "data_path" else {}
    for code in CODE:
        _tried("ESMR", "small", config_dict=others, arguments=[f"--{key}={code}"])
        _tried("ESMR", "small", config_dict={**usual, key: code}, arguments=[])
        _tried("ESMR", "small", config_dict={**usual, "retriever_config": {key: code}}, arguments=[])
        monkeypatch.setattr("sys.argv", ["run.py", f"--{key}={code}"])
        _tried("BPR", "small", config_dict=others)
        with suppress(Exception):  # RecBole's own class knows no typed errors
            StockConfig("BPR", "ml-100k", config_dict={key: code})
        monkeypatch.setattr("sys.argv", ["run.py"])
    for code in (*CODE[:2], *TAGS):
        line = f"{key}: {code}\n" if code in TAGS else yaml.safe_dump({key: code})
        (tmp_path / "mine.yaml").write_text(line)
        _tried("BPR", "small", [tmp_path / "mine.yaml"], usual, arguments=[])
        mine(line)
        _tried("ESMR", "small", config_dict=usual, arguments=[])
        mine()
    assert not list(tmp_path.rglob("canary*")), "a value was evaluated"


@pytest.mark.parametrize(
    "command",
    [
        "run --model=BPR --dataset=small",
        "check --dataset=small",
        "compare --models=BPR,Pop --dataset=small",
        "causal --dataset=small",
        "pretrain --datasets=small --output=encoder.pth",
        "rollout --policy=Pop --users=12 --items=20 --days=2 --log_days=6 --seeds=1",
    ],
)
def test_no_command_runs_what_it_is_given(data_path, capsys, command):
    place = [] if command.startswith("rollout") else [f"--data_path={data_path}"]
    for code in CODE:
        assert main([*command.split(), *place, f"--learner={code}"]) == 2
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert said.startswith("recbole-esmr: learner is ") and "expected one of adam, adamw, sgd" in said


@pytest.mark.parametrize("value", [*CODE, "exit()", "1/0", "[10]*10**10", "sometimes", "5"])
def test_a_policys_keys_are_read_before_anything_is_simulated(value):
    with pytest.raises(ConfigError, match=r"gate is .*; expected one of forecast, streak, always, never|only ESMR takes"):
        rollout("reference", [f"ESMR+gate={value}"], users=10, items=10, days=2)


def test_a_checkpoints_header_is_no_code(data_path, tmp_path):
    keys = {"data_path": str(data_path), "epochs": 1, "show_progress": False, "state": "ERROR"}
    path = Path(run_recbole("BPR", "small", config_dict=keys, arguments=[])["checkpoint"])
    usual = load_checkpoint(path)
    assert load_data_and_model(path)[0]["learner"] == "adam"
    with open(tmp_path / "pickled", "wb") as file:
        pickle.dump(_Canary(), file)
    hostile = [{key: code} for code in CODE for key in ("learner", "seed", "embedding_size", "topk", "data_path", "eval_args")]
    hostile += [{key: str(tmp_path / "pickled")} for key in ("dataset_save_path", "dataloaders_save_path", "pre_model_path")]
    for change in (*hostile, {"local_rank": 0, "ip": "127.0.0.1"}, {"MODEL_TYPE": 1}, {"metrics": [None]}, {"seed": "1"}):
        other = tmp_path / "other.pth"
        save_checkpoint(other, replace(usual, config={**usual.config, **change}))
        with pytest.raises(ESMRError) as refused:
            load_data_and_model(other)
        assert "\n" not in str(refused.value)
        if "data_path" not in change:
            assert isinstance(refused.value, CheckpointError) and str(refused.value).startswith(f"{other}: ")
            assert next(iter(change)) in str(refused.value)


class _Canary:
    """Unpickled, it leaves a file."""

    def __reduce__(self):
        return (open, ("canary", "w"))


@pytest.mark.parametrize("model", ["ESMR", "BPR", "SASRec"])
def test_a_planted_cache_is_never_opened(data_path, tmp_path, caplog, model):
    """Named by a key, or lying where RecBole looks for it; and what is to be saved is said not to be, with the same result."""
    values = {"data_path": str(data_path), "checkpoint_dir": "saved", "show_progress": False}
    fresh = create_dataset(Config(model, "small", config_dict=values, arguments=[]))
    (tmp_path / "saved").mkdir()
    planted = [f"small-{kind}.pth" for kind in ("Dataset", "SequentialDataset", "ESMRDataset", f"for-{model}-dataloader")]
    for name in planted:
        (tmp_path / "saved" / name).write_bytes(pickle.dumps(_Canary()))
    config = Config(model, "small", config_dict={**values, "save_dataset": True, "save_dataloaders": "yes"}, arguments=[])
    dataset = create_dataset(config)
    caplog.clear()
    data_preparation(config, dataset)
    dataset.save()
    assert "split data are not saved" in caplog.text and "the data set 'small' is not saved" in caplog.text
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == sorted(planted)
    assert np.array_equal(fresh.inter_feat["item_id"], create_dataset(config).inter_feat["item_id"])
    for key in ("dataset_save_path", "dataloaders_save_path"):
        with pytest.raises(ConfigError, match=f"{key} is .*; expected nothing, for RecBole unpickles what it names"):
            Config(model, "small", config_dict={**values, key: "saved/small-Dataset.pth"}, arguments=[])


def test_recboles_own_quick_start_opens_no_planted_cache(data_path, tmp_path):
    (tmp_path / "saved").mkdir()
    for kind in ("Dataset", "for-BPR-dataloader"):
        (tmp_path / "saved" / f"small-{kind}.pth").write_bytes(pickle.dumps(_Canary()))
    keys = {"data_path": str(data_path), "epochs": 1, "show_progress": False, "state": "ERROR", "save_dataset": True}
    assert stock_run("BPR", "small", config_dict=keys)["test_result"]["recall@10"] >= 0


@pytest.mark.parametrize(
    ("model", "keys", "says"),
    [
        ("ConvNCF", {"pre_model_path": "a.pth"}, "pre_model_path is 'a.pth'; expected nothing"),
        ("ConvNCF", {"train_method": "after_pretrain"}, "train_method is 'after_pretrain'; expected no_pretrain"),
        ("NAIS", {"pretrain_path": "a.pth"}, "pretrain_path is 'a.pth'; expected nothing"),
        ("NeuMF", {"mf_pretrain_path": "a.pth"}, "mf_pretrain_path is 'a.pth'; expected nothing"),
        ("NeuMF", {"mlp_pretrain_path": "a.pth"}, "mlp_pretrain_path is 'a.pth'; expected nothing"),
        ("NeuMF", {"use_pretrain": True}, "use_pretrain is True; expected False, for RecBole keeps"),
        ("FM", {"warm_up": "a.pth"}, "warm_up is 'a.pth'; expected nothing"),
        ("KD_DAGFM", {"phase": "distillation"}, "phase is 'distillation'; expected teacher_training"),
        ("KD_DAGFM", {"teacher": "print"}, "teacher is 'print'; expected one of CrossNet, CIN, DAGFM"),
        ("LDiffRec", {"n_cate": 2}, "item_emb.npy, which is no array of numbers"),
    ],
)
def test_what_recbole_would_unpickle_or_evaluate_is_refused(mine, model, keys, says):
    data = mine()
    np.save(data / "small" / "item_emb.npy", np.array([_Canary()], dtype=object), allow_pickle=True)
    with pytest.raises(ConfigError) as refused:
        Config(model, "small", config_dict={"data_path": str(data), **keys}, arguments=[])
    assert says in str(refused.value)


def test_a_file_of_parameter_ranges_is_read_and_not_evaluated(tmp_path):
    file = tmp_path / "model.test"
    file.write_text(
        "learning_rate choice [0.01, 0.001]\nmlp_hidden_size choice ['[64,64]','[128]']\n\ndropout uniform 0,0.5\n"
        "k quniform 1,10,1\nreg loguniform -8,0\n"
    )
    tuning = HyperTuning(lambda *_: None, params_file=str(file), algo="random")
    assert list(tuning.space) == ["learning_rate", "mlp_hidden_size", "dropout", "k", "reg"]
    assert [part.obj for part in tuning.space["learning_rate"].pos_args[1:]] == [0.01, 0.001]
    assert [part.obj for part in tuning.space["mlp_hidden_size"].pos_args[1:]] == ["[64,64]", "[128]"]
    for line, says in {
        **{f"a choice {code}": "expected a list of choices" for code in (CODE[0], CODE[3], "5", "[]")},
        "a uniform 0": "expected 2 numbers",
        "a uniform 0,x": "expected 2 numbers",
        "a normal 0,1": "has the range 'normal'; expected one of choice, uniform",
    }.items():
        file.write_text(f"b choice [1]\n{line}\n")
        with pytest.raises(ConfigError) as refused:
            HyperTuning(lambda *_: None, params_file=str(file))
        assert f"{file}, line 2: a" in str(refused.value) and says in str(refused.value)
