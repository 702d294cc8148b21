"""Each person's part of RecBole's metrics, and what is told from it of two models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from recbole_esmr.config import Config
from recbole_esmr.evaluator.by_person import PERSON, ROWS, ByPerson
from recbole_esmr.evaluator.comparing import PEOPLE, SEEDS, summarise
from recbole_esmr.quick_start import train_and_test

METRICS = ["Recall", "NDCG", "MRR", "NegativeExposure", "ItemCoverage"]
ONE_TEST = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
SHARES = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user", "mode": "full"}
SAMPLED = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user", "mode": "uni10"}


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
@pytest.mark.parametrize("eval_args", [ONE_TEST, SHARES, SAMPLED], ids=["one test", "several tests", "sampled"])
def test_parts_of_people_make_the_means_that_recbole_reports(data_path, model, eval_args):
    keys = {"data_path": str(data_path), "state": "ERROR", "show_progress": False, "epochs": 1, "metrics": METRICS}
    keys |= {"eval_args": eval_args, "topk": [3, 10], "valid_metric": "NDCG@10", "metric_decimal_place": 9}
    config = Config(model, "small", config_dict=keys, arguments=[])
    result = train_and_test(config, saved=False, people=ByPerson())
    parts, said = result["by_person"], result["test_result"]
    assert len(parts[PERSON]) == len(set(parts[PERSON])) == 40, "everybody of the data set"
    assert set(parts) == {PERSON, ROWS, *said} - {"itemcoverage@3", "itemcoverage@10"}, "coverage is no mean over people"
    for name in set(parts) - {PERSON, ROWS}:
        assert parts[name].sum() / parts[ROWS].sum() == pytest.approx(said[name], abs=1e-8), name
    assert (parts[ROWS].max() > 1) == (model == "SASRec" and eval_args is SHARES)


def test_a_person_has_the_same_name_under_every_model(data_path):
    keys = {"data_path": str(data_path), "state": "ERROR", "show_progress": False, "epochs": 1, "eval_args": ONE_TEST}
    keys |= {"metrics": ["Recall"], "topk": [60], "valid_metric": "Recall@60", "repeatable": True}
    configs = [Config(name, "small", config_dict=keys, arguments=[]) for name in ("BPR", "SASRec")]
    one, other = (train_and_test(config, saved=False, people=ByPerson())["by_person"] for config in configs)
    assert np.array_equal(one[PERSON], other[PERSON]) or set(one[PERSON]) == set(other[PERSON])


def _people(values, persons=None):
    values = np.asarray(values, dtype=float)
    return {PERSON: np.arange(len(values)) if persons is None else np.asarray(persons), ROWS: np.ones(len(values)), "m": values}


def _rows(people):
    return {key: {"m": float(part["m"].mean())} for key, part in people.items()}


def test_the_difference_is_paired_and_has_its_sign():
    """Two models that differ by a little, the same for everybody, on people who differ a lot."""
    rng = np.random.default_rng(0)
    worth = rng.normal(0, 1, 400)
    people = {(name, 1): _people(worth + rng.normal(0, 0.05, 400) + better) for name, better in (("A", 0.0), ("B", 0.02))}
    found = summarise(_rows(people), people, ["m"], np.random.default_rng(1))
    by_hand = ttest_rel(people["B", 1]["m"], people["A", 1]["m"])
    first, second = found
    assert first["difference"] is None and second["over"] == PEOPLE
    gap = second["difference"]
    assert gap["mean"] == pytest.approx(by_hand.statistic * gap_error(people), rel=1e-6) and gap["mean"] > 0
    assert (gap["low"], gap["high"]) == pytest.approx(by_hand.confidence_interval(), abs=0.001)
    assert gap["p"] == pytest.approx(by_hand.pvalue, rel=0.5) and gap["q"] == gap["p"], "one difference, no other to hold back"
    assert second["low"] < first["mean"] < second["high"], "their own intervals hold each other: only the pairing tells"


def gap_error(people):
    gap = people["B", 1]["m"] - people["A", 1]["m"]
    return gap.std(ddof=1) / np.sqrt(len(gap))


def test_who_is_not_asked_by_one_model_does_not_count_for_it():
    people = {("A", 1): _people([0, 1, 1, 1]), ("B", 1): _people([1, 0, 1], persons=[1, 2, 3])}
    found = summarise(_rows(people), people, ["m"], np.random.default_rng(0), 50)
    assert [entry["mean"] for entry in found] == pytest.approx([0.75, 2 / 3]), "each over its own people"
    assert found[1]["difference"]["mean"] == pytest.approx(2 / 3 - 1), "and both over those whom both were asked"


def test_without_people_seeds_are_what_there_is():
    rows = {("A", seed): {"m": value} for seed, value in zip((1, 2, 3), (0.1, 0.2, 0.3), strict=True)}
    rows |= {("B", seed): {"m": value} for seed, value in zip((1, 2, 3), (0.2, 0.3, 0.41), strict=True)}
    first, second = summarise(rows, {}, ["m"], np.random.default_rng(0))
    assert (first["mean"], first["sd"], first["over"]) == (pytest.approx(0.2), pytest.approx(0.1), SEEDS)
    assert first["high"] - first["mean"] == pytest.approx(4.302653 * 0.1 / np.sqrt(3), rel=1e-5), "t with two degrees of freedom"
    by_hand = ttest_rel([0.2, 0.3, 0.41], [0.1, 0.2, 0.3])
    assert second["difference"]["p"] == pytest.approx(by_hand.pvalue)
    alone = summarise({("A", 1): {"m": 0.1}, ("B", 1): {"m": 0.2}}, {}, ["m"], np.random.default_rng(0))
    assert alone[1]["difference"] is None and np.isnan(alone[1]["low"])


def test_of_many_equal_models_few_are_called_different():
    """The false discovery rate: in 60 comparisons of nine models with a first that is no better, hardly any has a star."""
    rng, called, alone = np.random.default_rng(5), 0, 0
    for _ in range(60):
        people = {(f"M{n}", 1): _people(rng.normal(0, 1, 80)) for n in range(10)}
        found = summarise(_rows(people), people, ["m"], np.random.default_rng(1), 200)
        gaps = [entry["difference"] for entry in found[1:]]
        called += any(gap["q"] < 0.05 for gap in gaps)
        alone += any(gap["p"] < 0.05 for gap in gaps)
    assert called <= 8 < alone, "without it every second table would have a star or nearly so"


def test_q_values_are_those_of_benjamini_and_hochberg():
    rng = np.random.default_rng(2)
    people = {(f"M{n}", 1): _people(rng.normal(0.15 * n, 1, 100)) for n in range(5)}
    found = summarise(_rows(people), people, ["m"], np.random.default_rng(1), 300)
    p = np.array([entry["difference"]["p"] for entry in found[1:]])
    order = np.argsort(p)
    by_hand = np.empty(4)
    by_hand[order] = np.minimum.accumulate((p[order] * 4 / np.arange(1, 5))[::-1])[::-1]
    assert [entry["difference"]["q"] for entry in found[1:]] == pytest.approx(by_hand.clip(max=1))


def test_a_model_of_which_a_seed_failed_is_compared_by_the_others():
    people = {("A", 1): _people([0, 1, 1]), ("A", 2): _people([0, 1, 0]), ("B", 1): _people([1, 1, 1])}
    found = summarise(_rows(people), people, ["m"], np.random.default_rng(0), 50)
    assert [entry["seeds"] for entry in found] == [2, 1] and found[0]["over"] == PEOPLE
    assert found[1]["difference"] is None and pd.isna(found[1]["low"])


def test_nothing_is_compared_with_a_model_that_is_not_there():
    """The first model has failed: the second does not silently take its place."""
    people = {("B", 1): _people([0, 1, 1]), ("C", 1): _people([1, 1, 1])}
    found = summarise(_rows(people), people, ["m"], np.random.default_rng(0), 50, first="A")
    assert [entry["difference"] for entry in found] == [None, None] and [entry["model"] for entry in found] == ["B", "C"]


def test_what_is_no_number_and_what_no_seed_moves_is_no_difference():
    rows = {(name, seed): {"m": value, "n": 0.5} for name, value in (("A", float("nan")), ("B", 0.2)) for seed in (1, 2, 3)}
    found = summarise(rows, {}, ["m", "n"], np.random.default_rng(0))
    assert all(entry["difference"] is None for entry in found), "not even of nothing but rounding"
    people = {("A", 1): _people([np.nan] * 4), ("B", 1): _people([1, 0, 1, 1])}
    gap = summarise(_rows(people), people, ["m"], np.random.default_rng(0), 50)[1]["difference"]
    assert gap is None or np.isnan(gap["q"])


def test_a_difference_is_over_the_people_whom_both_were_asked():
    """Who is missing in one model is easy for both: counting them for one alone would look like a difference."""
    people = {("A", 1): _people([1, 1, 1, 0, 1, 0, 1, 0]), ("B", 1): _people([0, 1, 0, 1, 0], persons=[3, 4, 5, 6, 7])}
    gap = summarise(_rows(people), people, ["m"], np.random.default_rng(0), 50)[1]["difference"]
    assert gap["mean"] == 0 and gap["over"] == PEOPLE
