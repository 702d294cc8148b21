"""A contract test for each RecBole entry point: stock RecBole after `import recbole_esmr`, and ours."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.quick_start import load_data_and_model, objective_function, run_recbole
from recbole.trainer import HyperTuning
from recbole.utils import get_model, get_trainer, init_seed
from recbole.utils.case_study import full_sort_scores, full_sort_topk
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import recbole_esmr
from recbole_esmr.config import Config
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.model.learned import STAGES


def test_stock_run_recbole_knows_esmr(quick):
    result = run_recbole(model="ESMR", dataset="small", config_dict=quick)
    assert set(result) == {"best_valid_score", "valid_score_bigger", "best_valid_result", "test_result"}
    assert list(result["test_result"]) == ["recall@10", "ndcg@10", "negativeexposure@10", "expectedvalence@10"]


def test_stock_run_recbole_runs_its_own_models_with_a_saved_checkpoint(quick):
    keys = {key: quick[key] for key in ("data_path", "show_progress", "state")} | {"epochs": 1}
    result = run_recbole(model="BPR", dataset="small", config_dict=keys, saved=True)  # fails in stock RecBole on torch ≥ 2.6
    assert 0 <= result["test_result"]["recall@10"] <= 1


def test_same_seed_same_result_on_one_thread_or_two(quick):
    results = []
    for threads in (1, 2, 1):
        torch.set_num_threads(threads)
        results.append(run_recbole("ESMR", "small", config_dict=quick, saved=False)["test_result"])
    assert results[0] == results[1] == results[2]
    other = run_recbole("ESMR", "small", config_dict={**quick, "seed": 7}, saved=False)["test_result"]
    assert other != results[0]


@pytest.fixture(scope="module")
def full_recall():
    """Recall@10 among all items, of keys that are the same in every test: trained once."""
    found = []

    def of(keys):
        if not found:
            found.append(run_recbole("ESMR", "small", config_dict=keys)["test_result"]["recall@10"])
        return found[0]

    return of


@pytest.mark.parametrize("retriever", ["SASRec", "Pop", "LightGCN"])
def test_any_retriever(quick, retriever):
    keys = {**quick, "retriever": retriever, "epochs": 1}
    if retriever != "Pop":
        keys["retriever_config"] = {"n_layers": 1}
    result = run_recbole("ESMR", "small", config_dict=keys)
    assert 0 <= result["test_result"]["recall@10"] <= 1


@pytest.mark.parametrize("mode", ["uni20", "pop20"])
def test_sampled_evaluation(quick, mode, full_recall):
    """Recall among 21 sampled items is at least Recall among all 60."""
    full = full_recall(quick)
    sampled = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": mode}
    result = run_recbole("ESMR", "small", config_dict={**quick, "eval_args": sampled, "train_neg_sample_args": None})
    assert full <= result["test_result"]["recall@10"] <= 1


def test_labeled_evaluation(quick):
    """Value metrics on labelled rows: RecBole's own way to judge click predictions."""
    labeled = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "labeled"}
    keys = {"eval_args": labeled, "metrics": ["MAE", "RMSE"], "valid_metric": "MAE", "threshold": {"watch_ratio": 0.5}}
    keys["retriever_config"] = {"eval_args": {**labeled, "mode": "full"}, "metrics": ["NDCG"], "valid_metric": "NDCG@10"}
    result = run_recbole("ESMR", "small", config_dict={**quick, **keys})
    assert set(result["test_result"]) == {"mae", "rmse"}


def test_split_by_ratio(quick):
    by_ratio = {"split": {"RS": [0.7, 0.15, 0.15]}, "order": "TO", "group_by": "user", "mode": "full"}
    result = run_recbole("ESMR", "small", config_dict={**quick, "eval_args": by_ratio})
    assert 0 < result["test_result"]["recall@10"] <= 1


def test_a_config_that_no_training_can_use_may_load_data_and_is_refused_by_recboles_own_entry(data_path, quick):
    """RecBole's own tests build such configs: another topk beside its default valid_metric, models whose packages are missing."""
    from recbole.config import Config
    from recbole.data import create_dataset
    from recbole.quick_start import run_recbole as recboles_own

    keys = {**quick, "data_path": str(data_path), "topk": [3], "metrics": ["Recall"], "valid_metric": "MRR@10"}
    assert create_dataset(Config("BPR", "small", config_dict=keys)).item_num == 61
    with pytest.raises(recbole_esmr.errors.ConfigError, match="valid_metric is MRR@10; expected one of metrics"):
        recboles_own("BPR", "small", config_dict=keys)
    with pytest.raises(recbole_esmr.errors.ConfigError, match="valid_metric is MRR@10; expected one of metrics"):
        Config("ESMR", "small", config_dict=keys)


def test_objective_function_and_hyper_tuning(quick, tmp_path):
    space = {"choice": {"gate_streak": [1, 3]}}
    fixed = tmp_path / "fixed.yaml"
    lines = {**quick, "model": "ESMR", "dataset": "small", "encoder_epochs": 1, "reranker_epochs": 1}
    fixed.write_text(
        "".join(f"{key}: {str(value).lower() if isinstance(value, bool) else value}\n" for key, value in lines.items())
    )
    tuning = HyperTuning(
        recbole_esmr.objective_function, params_dict=space, algo="exhaustive", fixed_config_file_list=[str(fixed)]
    )
    tuning.run()
    assert tuning.best_params["gate_streak"] in (1, 3) and len(tuning.params2result) == 2
    result = next(iter(tuning.params2result.values()))
    assert result["model"] == "ESMR" and math.isfinite(result["best_valid_score"])
    assert objective_function is not recbole_esmr.objective_function  # RecBole's own stays, and knows ESMR
    stock = objective_function(config_dict={**quick, "model": "ESMR", "dataset": "small"})
    ours = recbole_esmr.objective_function(config_dict={**quick, "model": "ESMR", "dataset": "small"})
    assert stock == ours and get_model("ESMR") is ESMR


def test_load_data_and_model_and_full_sort(trained):
    result, _ = trained
    config, model, dataset, _, _, test_data = load_data_and_model(result["checkpoint"])
    users = dataset.token2id(dataset.uid_field, ["u1", "u2", "u3"])
    scores = full_sort_scores(users, model, test_data, device=config["device"])
    assert scores.shape == (3, dataset.item_num)
    best, items = full_sort_topk(users, model, test_data, k=5, device=config["device"])
    assert torch.equal(best, scores.topk(5).values) and (items > 0).all()


def _made(quick, **keys):
    config = Config("ESMR", "small", config_dict={**quick, **keys})
    init_seed(config["seed"], True)
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    model = get_model("ESMR")(config, train._dataset)
    return config, model, get_trainer(config["MODEL_TYPE"], "ESMR")(config, model), train, valid, test


def test_trainer_fit_callback_and_unsaved(quick, tmp_path):
    _, _, trainer, train, valid, _ = _made(quick)
    seen = []
    score, result = trainer.fit(train, valid, saved=False, callback_fn=lambda epoch, value: seen.append((epoch, value)))
    assert seen == [(0, score)] and result["ndcg@10"] == score
    assert list((tmp_path / "saved").iterdir()) == []
    assert trainer.fit(train, None, saved=False)[0] == -1


def test_resume_runs_only_the_stages_that_are_missing(quick, monkeypatch):
    _, model, trainer, train, valid, test = _made(quick)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "_fit_effects", stop)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(train, valid)
    assert model.learned.done == STAGES[:2]
    _, again, second, train, valid, test = _made(quick)
    second.resume_checkpoint(trainer.saved_model_file)
    assert again.learned.done == STAGES[:2] and again.learned.views.trees is not None
    second.fit(train, valid)
    assert again.learned.done == STAGES
    _, _, whole, train, valid, test = _made(quick)
    whole.fit(train, valid)
    assert second.evaluate(test) == whole.evaluate(test)


def test_predict_before_training_and_copying(quick):
    import copy

    _, model, _, train, _, _ = _made(quick)
    row = train._dataset[torch.tensor([1])]
    assert copy.deepcopy(model).predict(row).shape == (1,)


def test_benchmark_files(quick, data_path, tmp_path):
    folder = tmp_path / "cut"
    folder.mkdir()
    for suffix in ("imp", "item", "user", "day", "yaml"):
        (folder / f"cut.{suffix}").write_bytes((data_path / "small" / f"small.{suffix}").read_bytes())
    lines = (data_path / "small" / "small.inter").read_text().splitlines()
    day = np.array([float(line.split("\t")[3]) for line in lines[1:]])
    rows = np.array(lines[1:])
    for name, part in {"train": day <= 10, "valid": (day > 10) & (day <= 12), "test": day > 12}.items():
        (folder / f"cut.{name}.inter").write_text("\n".join([lines[0], *rows[part]]) + "\n")
    result = run_recbole("ESMR", str(folder), config_dict={**quick, "benchmark_filename": ["train", "valid", "test"]})
    assert 0 < result["test_result"]["recall@10"] <= 1


def test_tensorboard_and_log_files(quick, tmp_path):
    run_recbole("ESMR", "small", config_dict=quick)
    assert list((tmp_path / "log" / "ESMR").glob("ESMR-small-*.log"))
    curves: dict[str, list[float]] = {}
    for folder in (tmp_path / "log_tensorboard").iterdir():
        events = EventAccumulator(str(folder)).Reload()
        curves |= {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert len(curves["encoder/train_loss"]) == len(curves["encoder/valid_loss"]) == quick["encoder_epochs"]
    assert len(curves["reranker/bellman_error"]) == quick["reranker_epochs"]
    assert "reranker/calibration_mood_slope" in curves and 0 <= curves["encoder/counts_valence"][0] <= 1
    assert 0 < curves["engagement/auc"][0] < 1 and curves["engagement/watch_rounds"][0] >= 1
    assert "causal/negative_exposure" in curves and 0 < curves["valid/recall@10"][0] <= 1


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_are_drawn_on_a_terminal_alone(terminal, quick, monkeypatch):
    """Unless somebody says otherwise."""
    monkeypatch.setattr("recbole_esmr.config.on_a_terminal", lambda: terminal)
    own = {key: value for key, value in quick.items() if key != "show_progress"}
    assert Config("ESMR", "small", config_dict=own)["show_progress"] is terminal
    assert Config("BPR", "small", config_dict={**own, "show_progress": not terminal})["show_progress"] is not terminal


def test_configs_made_before_the_import_are_refused_with_the_mend(quick):
    from recbole.config.configurator import Config as StockConfig

    config, _, _, train, _, _ = _made(quick)
    stock = StockConfig.__new__(StockConfig)
    stock.final_config_dict = config.final_config_dict
    with pytest.raises(recbole_esmr.errors.ConfigError, match="import recbole_esmr"):
        ESMR(stock, train._dataset)


@pytest.mark.skipif(0 < torch.cuda.device_count() < 2, reason="RecBole gives each process a GPU of its own")
def test_several_processes(quick, data_path, tmp_path):
    """RecBole's `run` with nproc=2 on a CPU: the children register the plug-in, and both agree with one process."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    script = tmp_path / "several.py"
    script.write_text(
        "import recbole_esmr\nfrom recbole.quick_start import run\n"
        f"keys = {quick!r}\n"
        "if __name__ == '__main__':\n"
        "    alone = run('ESMR', 'small', config_dict=keys, saved=False)\n"
        "    keys['gpu_id'] = '0,1'\n"
        f"    both = run('ESMR', 'small', config_dict=keys, nproc=2, port='{port}')\n"
        "    print('RESULT', *(result['test_result']['recall@10'] for result in (alone, both)))\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # training is the same on as many threads, not across them
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False, env=environment
    )
    assert "RESULT" in done.stdout, done.stderr[-2000:]
    alone, both = map(float, done.stdout.split("RESULT")[1].split())
    assert both == pytest.approx(alone, abs=1e-4)
