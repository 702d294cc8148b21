"""Metrics by hand; the forecast's judges against scikit-learn and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recbole.evaluator.collector import DataStruct
from sklearn.calibration import calibration_curve
from sklearn.metrics import ndcg_score

from recbole_esmr.config import Config
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.errors import DataError
from recbole_esmr.evaluator.forecast import expected_calibration_error, reliability
from recbole_esmr.evaluator.metrics import ExpectedValence, NegativeExposure
from recbole_esmr.quick_start import run_recbole
from recbole_esmr.report.tables import run_table
from recbole_esmr.trainer.held_out import slate_ndcg


def test_emotion_metrics_by_hand():
    struct = DataStruct()
    struct.set("rec.items", torch.tensor([[1, 2, 3], [3, 3, 1]]))
    struct.set("data.item_negative", torch.tensor([0.0, 0.5, 0.0, 0.8]))
    struct.set("data.item_tone", torch.tensor([0.0, -0.3, 0.4, -0.6]))
    config = {"metric_decimal_place": 6, "topk": [1, 3]}
    negative = NegativeExposure(config).calculate_metric(struct)
    assert negative == pytest.approx(
        {"negativeexposure@1": (0.5 + 0.8) / 2, "negativeexposure@3": (1.3 / 3 + 2.1 / 3) / 2}, abs=1e-6
    )
    tone = ExpectedValence(config).calculate_metric(struct)
    assert tone == pytest.approx({"expectedvalence@1": -0.45, "expectedvalence@3": (-0.5 / 3 - 1.5 / 3) / 2}, abs=1e-6)


@pytest.mark.parametrize("model", ["BPR", "Pop", "SASRec"])
def test_emotion_metrics_for_recboles_own_models(model, quick):
    """They work beside RecBole's metrics, those that crash in stock RecBole 1.2.1 included, and equal the item table."""
    metrics = ["Recall", "NDCG", "NegativeExposure", "ExpectedValence", "ItemCoverage", "GiniIndex", "AveragePopularity"]
    keys = {"epochs": 1, "metrics": metrics, "data_path": quick["data_path"], "show_progress": False, "state": "ERROR"}
    result = run_recbole(model, "small", config_dict=keys, saved=False, arguments=[])["test_result"]
    assert list(result)[:4] == ["recall@10", "ndcg@10", "negativeexposure@10", "expectedvalence@10"]
    assert 0 < result["negativeexposure@10"] < 1 and -1 < result["expectedvalence@10"] < 1


def test_smaller_negative_exposure_is_better(quick):
    config = Config("BPR", "small", config_dict={**quick, "valid_metric": "NegativeExposure@10"})
    assert config["valid_metric_bigger"] is False


def test_emotion_metrics_without_item_emotions_name_the_columns():
    keys = {"epochs": 1, "metrics": ["NegativeExposure"], "valid_metric": "NegativeExposure@10", "show_progress": False}
    with pytest.raises(DataError, match=r"'emotion:token'"):
        run_recbole("Pop", "ml-100k", config_dict={**keys, "state": "ERROR"}, saved=False, arguments=[])


def test_calibration_error_equals_scikit_learn():
    rng = np.random.default_rng(0)
    probability = np.r_[rng.uniform(0, 0.8, size=4000), 0.0, 0.3, 0.5, 0.5, 0.7]  # two empty bins, and values on edges
    happened = (rng.uniform(size=4005) < probability**2).astype(int)
    observed, forecast = calibration_curve(happened, probability, n_bins=10)
    table = reliability(probability, happened)
    assert np.allclose(table["observed"], observed) and np.allclose(table["forecast"], forecast)
    assert table["days"].sum() == 4005 and len(table) == 8
    error = (np.abs(observed - forecast) * table["days"]).sum() / 4005
    assert expected_calibration_error(probability, happened) == pytest.approx(error)


def test_reliability_by_hand():
    table = reliability(np.array([0.2, 0.4, 0.5, 0.9, 1.0]), np.array([0, 1, 0, 1, 1]), bins=2)
    assert table.to_dict("records") == [
        {"forecast": pytest.approx(1.1 / 3), "observed": pytest.approx(1 / 3), "days": 3},  # 0.5 belongs to the lower
        {"forecast": pytest.approx(0.95), "observed": 1.0, "days": 2},
    ]
    error = (abs(1 - 1.1) + 2 * 0.05) / 5
    assert expected_calibration_error(np.array([0.2, 0.4, 0.5, 0.9, 1.0]), np.array([0, 1, 0, 1, 1]), 2) == pytest.approx(error)


def test_slate_ndcg_equals_scikit_learn():
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(6), [3, 12, 15, 7, 11, 4])
    label = rng.integers(0, 2, len(user))
    label[user == 5] = 0  # nothing watched: no say
    score = rng.normal(size=len(user))
    nothing = np.zeros(len(user))
    shown = Impressions(user, nothing.astype(int), nothing.astype(int), label, nothing, nothing, has_skips=True)
    each = [ndcg_score([label[user == u]], [score[user == u]], k=10) for u in range(5) if label[user == u].any()]
    assert slate_ndcg(shown, score, 10) == pytest.approx(np.mean(each))


def test_run_reports_every_key_of_the_design(trained):
    result, _ = trained
    forecast = {"accuracy", "macro_f1", "valence_mae", "valence_r2", "negative_auroc", "brier", "ece", "coverage80"}
    emotion = result["emotion"]
    assert set(emotion["nowcast"]) == {"accuracy", "macro_f1"} and set(emotion["forecast"]) == forecast
    assert set(emotion["baselines"]) == {"majority", "persistence", "hist_ols", "lightgbm"}
    for said in emotion["baselines"].values():
        assert set(said["nowcast"]) == {"accuracy", "macro_f1"} and set(said["forecast"]) == forecast
    assert set(result["engagement"]) == {"auc", "ndcg@10", "skips", "retriever"}
    assert set(result["engagement"]["retriever"]) == {"auc", "ndcg@10"}
    keys = {"treatment", "outcome", "state", "estimate", "low", "high", "naive", "n_user_days", "refutations", "passed", "weight"}
    found = [(effect["treatment"], effect["outcome"], effect["state"]) for effect in result["causal"]["effects"]]
    assert all(keys < set(effect) for effect in result["causal"]["effects"]) and len(found) == len(set(found))
    assert {(t, o, "all") for t in ("negative_exposure", "positive_exposure") for o in ("valence", "active")} <= set(found)
    assert set(result["causal"]) == {"effects", "graph", "warnings", "skipped"}
    assert set(result["policy"]) == {"reward", "gate", "acted_share", "diagnostics"} and result["policy"]["acted_share"] > 0
    general = {"schema_version", "config", "seed", "versions", "timings", "checkpoint", "test_result", "best_valid_result"}
    assert general <= set(result)
    assert {"emotion encoder", "engagement", "causal reward", "re-ranker"} <= set(result["timings"])


def test_the_table_says_why_there_are_no_engagement_figures(trained):
    result = dict(trained[0])
    assert "retriever alone" in run_table(result) and "skips: logged" in run_table(result)
    reason = "every item shown on a test day was watched"
    result["engagement"] = {"auc": None, "ndcg@10": None, "skips": "logged", "reason": reason}
    assert f"no figures: {reason}" in run_table(result)
