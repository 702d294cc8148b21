"""The stack of LightGBM on the retriever, and another model as the whole backbone."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from recbole_esmr.config import Config
from recbole_esmr.data.trace import TEST
from recbole_esmr.model.ranking import rank
from recbole_esmr.model.retriever import Retriever
from recbole_esmr.quick_start import load_data_and_model, retrain_reranker, run_recbole
from recbole_esmr.trainer import esmr_trainer
from recbole_esmr.trainer.engagement import MIXES, Asked, best_mix, fit_rankers, fit_rankers_again, ndcg
from recbole_esmr.trainer.held_out import engagement_report
from recbole_esmr.trainer.retriever import batch_size, fit_retriever


def test_ndcg_by_hand_and_as_sklearn():
    from sklearn.metrics import ndcg_score

    score = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    label = np.array([[False, True, True], [True, False, False], [False, False, False]])
    first = (1 / np.log2(3) + 1 / np.log2(4)) / (1 + 1 / np.log2(3))
    assert ndcg(score, label) == pytest.approx([first, 1 / np.log2(4), 0.0])
    rng = np.random.default_rng(0)
    score, label = rng.random((50, 30)), rng.random((50, 30)) < 0.2
    label[:, 0] = True
    assert ndcg(score, label).mean() == pytest.approx(ndcg_score(label, score, k=10))


def test_the_stack_takes_the_better_mix_only_if_it_is_clearly_better():
    rng = np.random.default_rng(1)
    label = np.zeros((400, 20), dtype=bool)
    label[np.arange(400), rng.integers(0, 20, 400)] = True
    noise = rng.standard_normal((400, 20))
    person = np.arange(400) // 2
    assert best_mix(3.0 * label + noise, noise, label, person) == max(MIXES)  # the ranker knows, the retriever does not
    assert best_mix(noise, 3.0 * label + rng.standard_normal((400, 20)), label, person) == 0.0  # the reverse
    assert best_mix(2.0 * label + noise, 2.0 * label + rng.standard_normal((400, 20)), label, person) in MIXES[2:6]  # both
    few = slice(0, 4)  # so few days prove nothing
    slight = 0.3 * label + rng.standard_normal((400, 20))
    assert best_mix(slight[few], noise[few], label[few], person[few]) == 0.0


def test_a_day_of_one_person_is_one_voice():
    """Two standard errors over people: the same person's days repeated a hundred times are no more evidence."""
    rng = np.random.default_rng(2)
    label = np.zeros((6, 20), dtype=bool)
    label[np.arange(6), rng.integers(0, 20, 6)] = True
    retrieved, ranked = rng.standard_normal((6, 20)), rng.standard_normal((6, 20)) + 1.5 * label
    once = best_mix(ranked, retrieved, label, np.arange(6))
    again = [np.tile(value, (100, 1)) for value in (ranked, retrieved, label)]
    assert best_mix(*again, np.tile(np.arange(6), 100)) == once


def test_without_a_validation_interaction_the_retrievers_order_stays(trained):
    _, (_, model, *_) = trained
    settings = replace(model.settings.ranker, rounds=2)
    untrained = replace(model.rankers, stack=(0.0, 0.0, 1.0))
    nothing = Asked(*np.zeros((3, 0), dtype=int))
    for asked in (None, nothing):
        fitted = fit_rankers(model.log, model.beliefs(), untrained, settings, asked, 20, 1)
        assert fitted.stack == (0.0, 0.0, 1.0) and fitted.watch.trees is not untrained.watch.trees


def test_with_a_backbone_the_order_is_its_own_and_the_policy_re_ranks_it(quick):
    result = run_recbole("ESMR", "small", config_dict={**quick, "backbone": "SASRec", "gate": "streak"}, arguments=[])
    _, model, *_ = load_data_and_model(result["checkpoint"])
    assert type(model.retriever.model).__name__ == "SASRec"
    log, rankers, beliefs, rule = model.log, model.rankers, model.beliefs(), model.settings.serving
    gate = beliefs.gate(rule.gate)[:, :-1]
    for is_open in (False, True):
        pairs = np.argwhere((gate if is_open else ~gate) & log.trace.present)[-20:]
        user, day = pairs.T
        said = model.score(user, day).cpu()
        _, item = rankers.retrieval(log, user, day).topk(rule.candidates, dim=1)
        kept = said.gather(1, item).argsort(dim=1, descending=True, stable=True) == torch.arange(item.shape[1])
        if is_open:
            assert not kept.all(), "the policy re-ranks the backbone's list"
            ratio = rank(rankers, log, beliefs, user, day, rule, np.full(len(user), 5)).candidates.ratio
            top = said.gather(1, item).topk(model.slate_size, dim=1).indices
            share = ratio.gather(1, top).sum(dim=1) / ratio.topk(model.slate_size, dim=1).values.sum(dim=1)
            assert (share >= rule.min_engagement_slate - 1e-4).all(), "within the floor"
        else:
            assert kept.all(), "where the gate is closed the list is SASRec's"
    assert set(result["test_result"]) >= {"recall@10", "ndcg@10"}


@pytest.mark.parametrize("retriever", ["BPR", "DMF", "NeuMF"])
def test_a_general_retriever_learns_the_same_from_the_columns_that_it_reads(retriever, quick, monkeypatch):
    """Pairwise, by ratings and point by point: weights and epochs are those of a loader that cuts all columns."""
    trained = []
    for whole in (False, True):
        with monkeypatch.context() as patch:
            if whole:
                patch.setattr("recbole_esmr.trainer.retriever._as_it_reads", lambda data, config: data)
            keys = {**quick, "retriever": retriever, "epochs": 2}
            checkpoint = run_recbole("ESMR", "small", config_dict=keys, arguments=[])["checkpoint"]
        _, model, *_ = load_data_and_model(checkpoint)
        trained.append(model.retriever.state_dict())
    assert trained[0].keys() == trained[1].keys()
    assert all(torch.equal(value, trained[1][name]) for name, value in trained[0].items())


def test_the_last_fit_reads_all_of_recboles_training_rows_and_no_other(quick, monkeypatch):
    """What is chosen, is chosen by a retriever of the training days; what serves has seen every training row, and no test row."""
    seen, reported = [], []

    def fitted(retriever, data, *rest):
        seen.append(set(zip(*(data.inter_feat[name].tolist() for name in ("user_id", "item_id", "timestamp")), strict=True)))
        fit_retriever(retriever, data, *rest)

    def asked(log, beliefs, rankers, *rest):
        reported.append(len(seen))
        return engagement_report(log, beliefs, rankers, *rest)

    monkeypatch.setattr("recbole_esmr.trainer.esmr_trainer.fit_retriever", fitted)
    monkeypatch.setattr("recbole_esmr.trainer.esmr_trainer.engagement_report", asked)
    checkpoint = run_recbole("ESMR", "small", config_dict={**quick, "retriever": "LightGCN"}, arguments=[])["checkpoint"]
    _, model, _, train, valid, test = load_data_and_model(checkpoint)
    rows = [
        set(zip(*(data._dataset.inter_feat[name].tolist() for name in ("user_id", "item_id", "timestamp")), strict=True))
        for data in (train, valid, test)
    ]
    assert len(seen) == 2 and seen[0] < seen[1] == rows[0] and not seen[1] & (rows[1] | rows[2])
    assert reported == [1], "the figures of the test days are made before the last fit"
    graphs = [
        Retriever(model.retriever.config, data).model.norm_adj_matrix._nnz()
        for data in (train._dataset, train._dataset.on_training_days())
    ]
    assert graphs[1] < graphs[0] == model.retriever.model.norm_adj_matrix._nnz(), (
        "a loaded model has the graph that it serves with"
    )
    tuned = [fit_rankers_again(*model.parts(), model.settings.ranker, 1) for _ in range(2)]
    later = copy.deepcopy(model)
    late = later.log.trace.role == TEST
    shown = later.log.impressions
    hidden = late[shown.user, shown.day]
    later.log = replace(later.log, impressions=replace(shown, watch_ratio=np.where(hidden, 1.0, shown.watch_ratio)))
    blind = fit_rankers_again(*later.parts(), model.settings.ranker, 1)
    first, *others = [x.watch.trees.as_dict() for x in (*tuned, blind)]
    same = [np.array_equal(first[name], other[name]) for other in others for name in first]
    assert hidden.any() and all(same), "and LightGBM no test day"


def test_parts_of_some_people_are_theirs(trained):
    """Row by row what the parts of everybody say of them, and what is asked of them finds their rows."""
    model = trained[1][1]
    whole, beliefs, _ = model.parts()
    log, some, _ = model.parts(7)
    assert model.parts(whole.trace.users)[0] is whole
    rows = np.linspace(0, whole.trace.users - 1, 7).round().astype(int)
    assert log.people.tolist() == rows.tolist() and log.trace.users == 7
    assert torch.allclose(some.morning, beliefs.morning[rows], atol=1e-6) and np.allclose(some.risk, beliefs.risk[rows])
    users = np.array([rows[2], rows[2] + 1, rows[6]])
    asked = Asked(users, np.array([4, 5, 6]), np.array([7, 8, 9])).of(log)
    assert (asked.user.tolist(), asked.day.tolist(), asked.item.tolist()) == ([2, 6], [4, 6], [7, 9])


def test_of_many_people_some_are_learned_from(quick, monkeypatch):
    """12 of 40: LightGBM, the re-ranker, its budget and its estimates read no row of anybody else."""
    read = {"fit_rankers": [], "fit_rankers_again": [], "logged_transitions": [], "find_multipliers": []}

    def watched(name, original):
        def call(log, *others, **names):
            read[name].append(len(log.people))
            return original(log, *others, **names)

        return call

    for name in read:
        monkeypatch.setattr(esmr_trainer, name, watched(name, getattr(esmr_trainer, name)))
    keys = {**quick, "ranker_people": 12, "reranker_people": 13, "reward": "causal"}
    result = run_recbole("ESMR", "small", config_dict=keys, saved=False, arguments=[])
    assert read == {"fit_rankers": [12], "fit_rankers_again": [12], "logged_transitions": [13, 13], "find_multipliers": [13]}
    assert 0 < result["test_result"]["recall@10"] <= 1 and 0.4 < result["engagement"]["auc"] < 1


def test_a_re_ranker_that_is_trained_anew_leaves_the_other_stages_and_their_figures(quick, tmp_path):
    checkpoint = run_recbole("ESMR", "small", config_dict=quick, arguments=[])["checkpoint"]
    retrain_reranker(checkpoint, {"reward": "emotion"}, tmp_path / "other.pth")
    before, after = (load_data_and_model(path)[1] for path in (checkpoint, tmp_path / "other.pth"))
    assert after.learned.done == before.learned.done and after.settings.reward.kind == "emotion"
    assert after.learned.diagnostics["engagement"] == before.learned.diagnostics["engagement"] is not None
    for name, weight in before.retriever.state_dict().items():
        assert torch.equal(weight, after.retriever.state_dict()[name])
    assert after.learned.watch.trees.as_dict().keys() == before.learned.watch.trees.as_dict().keys()
    assert after.learned.timings["last fit"] == before.learned.timings["last fit"]


@pytest.mark.parametrize(
    ("keys", "people", "expected"),
    [
        ({}, 10_000, 2048),
        ({}, 100_000, 20_480),
        ({}, 25_001, 5120),
        ({"train_batch_size": 512}, 100_000, 512),
        ({"retriever": "SASRec"}, 100_000, 2048),
    ],
)
def test_batches_grow_with_people_where_a_step_costs_as_much_as_there_are_people(quick, keys, people, expected):
    assert batch_size(Config("ESMR", "small", config_dict={**quick, **keys}).of_retriever(), people) == expected
