"""LikedRecall and FeelAUC: by hand, from scores, for every kind of model, and what they ask of the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.evaluator.collector import DataStruct

from recbole_esmr.errors import DataError
from recbole_esmr.evaluator.felt import FeelAUC, LikedRecall
from recbole_esmr.evaluator.full_sort import full_sort_scores
from recbole_esmr.quick_start import load_data_and_model, run_recbole
from tests.felt_data import felt_keys, write_felt


def test_the_metrics_by_hand():
    struct, inf = DataStruct(), np.inf
    #        row person place rank feels likes
    felt = [[0, 1, 0, 0.9, 1, 1], [0, 1, inf, 0.2, 0, 0], [0, 1, 4, 0.7, 1, 1], [0, 1, 2, 0.9, 0, 1], [0, 1, 1, 0.95, -1, -1]]
    felt += [[1, 2, inf, 0.1, 0, 0], [2, 3, inf, 0.5, 1, 1], [2, 3, inf, 0.5, 0, -1]]
    struct.set("rec.felt", torch.tensor(felt, dtype=torch.float64))
    config = {"metric_decimal_place": 6, "topk": [3, 5]}
    assert LikedRecall(config).calculate_metric(struct) == {
        "likedrecall@3": pytest.approx((2 / 3 + 0) / 2), "likedrecall@5": pytest.approx((3 / 3 + 0) / 2),
    }  # fmt: skip
    # person 1: better .9 and .7, not better .2 and .9: pairs 1, .5, 1, 0; person 3: a tie; person 2 has no pair
    assert FeelAUC(config).calculate_metric(struct) == {"feelauc": pytest.approx((2.5 / 4 + 0.5) / 2)}


@pytest.mark.parametrize("model", ["BPR", "Pop"])
def test_the_metrics_of_a_run_are_those_of_its_scores(tmp_path, model):
    """Computed again from all scores and the file, with plain loops."""
    folder = write_felt(tmp_path)
    keys = felt_keys(liked_rating=5, topk=[3])
    result = run_recbole(model, str(folder), config_dict=keys, arguments=[])
    _, trained, _, _, _, test = load_data_and_model(result["checkpoint"])
    rows = test._dataset.inter_feat
    frame = pd.read_csv(folder / "felt.inter", sep="\t").sort_values(["user_id:token", "timestamp:float"])
    recalls, aucs = [], []
    for name, part in frame.groupby("user_id:token"):
        mine = part.iloc[-9:]
        user = test._dataset.token2id("user_id", name)
        assert (rows["user_id"] == user).sum() == 9
        item = torch.tensor(test._dataset.token2id("item_id", mine["item_id:token"].tolist()))
        better = (mine["valence_after:float"] > mine["valence_before:float"]).to_numpy()
        liked = better | (mine["rating:float"] == 5).to_numpy()
        score = full_sort_scores([user], trained, test)[0]
        felt = pd.DataFrame({"item": item, "better": better, "liked": liked}).groupby("item").mean()
        top = set(torch.topk(score, 3).indices.tolist())
        hits = [number in top for number in felt.index if felt["liked"][number] > 0]  # RecBole counts an item of a person once
        recalls += [np.mean(hits)] if hits else []
        up = [score[number] for number in felt.index if felt["better"][number] > 0.5]
        down = [score[number] for number in felt.index if felt["better"][number] <= 0.5]
        if up and down:
            aucs.append(np.mean([(a > b) + 0.5 * (a == b) for a in up for b in down]))
    assert result["test_result"]["likedrecall@3"] == pytest.approx(np.mean(recalls), abs=1e-4)
    assert result["test_result"]["feelauc"] == pytest.approx(np.mean(aucs), abs=1e-4)


@pytest.mark.parametrize("mode", ["full", "uni10"])
@pytest.mark.parametrize("model", ["BPR", "SASRec", "FM"])
def test_every_kind_of_model_and_evaluation_has_them(tmp_path, model, mode):
    folder = write_felt(tmp_path)
    keys = felt_keys()
    keys["eval_args"] = {**keys["eval_args"], "mode": mode}
    result = run_recbole(model, str(folder), config_dict=keys, saved=False, arguments=[])["test_result"]
    assert 0 <= result["likedrecall@3"] <= result["likedrecall@7"] <= 1 and 0 < result["feelauc"] < 1


def test_moods_are_no_features_of_a_context_aware_model(tmp_path):
    """What it learns and recommends does not change with what people felt, though all columns of the file are loaded."""
    one = write_felt(tmp_path / "one")
    write_felt(tmp_path / "two", **{"valence_after:float": 0.5, "valence_before:float": -0.5})
    keys = felt_keys(load_col=None, metrics=["Recall", "NDCG", "LikedRecall"])
    found = [
        run_recbole("FM", str(tmp_path / place / "felt"), config_dict=keys, saved=False, arguments=[]) for place in ("one", "two")
    ]
    same = [{name: value for name, value in result["test_result"].items() if "liked" not in name} for result in found]
    assert one.is_dir() and same[0] == same[1] and found[0]["test_result"] != found[1]["test_result"]


@pytest.mark.parametrize(
    ("columns", "keys", "says"),
    [
        ({"valence_after:float": ""}, {}, r"the metric LikedRecall needs 'valence_after:float'"),
        (
            {"valence_after:float": ""},
            {"metrics": ["Recall", "FeelAUC"], "liked_rating": 3},
            r"the metric FeelAUC needs 'valence_after",
        ),
        ({"valence_after:float": 3}, {}, r"felt.inter, line 2, column 'valence_after': the value is 3; expected .* \[-1, 1\]"),
        ({}, {"liked_rating": 3, "RATING_FIELD": "stars"}, r"liked_rating asks for the column 'stars:float'"),
    ],
)
def test_what_a_metric_needs_is_said(tmp_path, columns, keys, says):
    folder = write_felt(tmp_path, **columns)
    with pytest.raises(DataError, match=says):
        run_recbole("Pop", str(folder), config_dict=felt_keys() | keys, saved=False, arguments=[])


def test_ratings_alone_say_what_is_liked(tmp_path):
    folder = write_felt(tmp_path, **{"valence_after:float": ""})
    keys = felt_keys(liked_rating=1) | {"metrics": ["Recall", "LikedRecall"]}
    result = run_recbole("Pop", str(folder), config_dict=keys, saved=False, arguments=[])["test_result"]
    assert 0 < result["likedrecall@7"] <= 1


def test_a_part_of_benchmark_filename_may_do_without_moods(tmp_path):
    folder = write_felt(tmp_path)
    frame = pd.read_csv(folder / "felt.inter", sep="\t")
    place = frame.groupby("user_id:token").cumcount()
    for name, rows in (("train", place < 20), ("valid", place.between(20, 24)), ("test", place > 24)):
        part = frame[rows].assign(**({} if name == "test" else {"valence_after:float": ""}))
        part.to_csv(folder / f"felt.{name}.inter", sep="\t", index=False)
    keys = felt_keys(benchmark_filename=["train", "valid", "test"])
    result = run_recbole("Pop", str(folder), config_dict=keys, saved=False, arguments=[])
    assert 0 < result["test_result"]["feelauc"] < 1 and np.isnan(result["best_valid_result"]["feelauc"])
