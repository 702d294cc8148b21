"""Feed policies that need no ESMR: what they may see, what they remember, and what they show."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import numpy as np
import pytest
import torch

from recbole_esmr.errors import ConfigError
from recbole_esmr.feed import Feedback, Observation, top_slates
from recbole_esmr.model.scoring import ItemScores
from recbole_esmr.policy.recbole import RecBolePolicy, _appended
from recbole_esmr.policy.untrained import Popular, Positive, Random
from tests.feeds import evening_of, morning_of


def test_top_slates_by_hand():
    score = np.array([[1.0, 5.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]])
    morning = Observation(1, np.array([True, True]), np.array([2, 1]), np.array([True, False, True, True]))
    assert top_slates(score, morning).tolist() == [[3, 2], [0, -1]]
    assert top_slates(score[:1], morning).tolist() == [[3, 2], [3, -1]], "one order for everybody"
    small = Observation(1, np.array([True]), np.array([3]), np.array([True, False, False, False]))
    assert top_slates(score[:1], small).tolist() == [[0]], "the pool is exhausted"
    nobody = Observation(1, np.array([False]), np.array([0]), np.ones(4, dtype=bool))
    assert top_slates(score[:1], nobody).shape == (1, 0)
    away = Observation(1, np.array([False, True]), np.array([2, 1]), np.ones(4, dtype=bool))
    assert top_slates(score, away).tolist() == [[-1], [0]], "who is away is shown nothing"


def test_an_item_without_a_score_is_never_shown_however_short_the_pool():
    low, none = -np.inf, np.nan
    score = np.array([[low, 1.0, none, 2.0], [none, low, low, none], [none, 3.0, low, np.inf], [4.0, low, -5.0, none]])
    everything = Observation(1, np.ones(4, dtype=bool), np.array([3, 3, 4, 1]), np.ones(4, dtype=bool))
    assert top_slates(score, everything).tolist() == [[3, 1, -1, -1], [-1] * 4, [3, 1, -1, -1], [0, -1, -1, -1]]
    short = Observation(1, np.ones(4, dtype=bool), np.full(4, 4), np.array([True, True, True, False]))
    assert top_slates(score, short).tolist() == [[1, -1, -1], [-1] * 3, [1, -1, -1], [0, 2, -1]]
    assert top_slates(score[:1], short).tolist() == [[1, -1, -1]] * 4


def test_baselines_by_hand():
    names, world = np.array(["[PAD]", "b", "a"]), np.array(["a", "b", "c"])
    positive = Positive(names, np.array([0.0, -0.5, 0.8]))
    positive.reset(np.arange(2), world)
    assert positive.recommend(morning_of(2, 3, 3)).tolist() == [[0, 2, 1]] * 2
    popular = Popular(names, np.array([0, 2, 1]))
    popular.reset(np.arange(2), world)
    assert popular.recommend(morning_of(2, 3, 1)).tolist() == [[1], [1]]
    popular.observe(evening_of([[0, 1], [0, -1]], [[0.5, 0.0], [1.0, 0.0]]))
    assert popular.recommend(morning_of(2, 3, 1, day=16)).tolist() == [[0], [0]]


def test_random_is_fair_reproducible_and_keeps_to_the_pool():
    slates = []
    for seed in (1, 1, 2):
        policy = Random(seed)
        policy.reset(np.arange(6000), np.arange(6))
        slates.append(policy.recommend(morning_of(6000, pool=[1, 1, 0, 1, 1, 0])))
    assert np.array_equal(slates[0], slates[1]) and not np.array_equal(slates[0], slates[2])
    assert np.bincount(slates[0].ravel(), minlength=6) / 6000 == pytest.approx([0.5, 0.5, 0, 0.5, 0.5, 0], abs=0.03)


def test_observations_hold_no_latent():
    assert {f.name for f in fields(Observation)} == {"day", "active", "slate_size", "pool"}
    assert {f.name for f in fields(Feedback)} == {"day", "active", "slates", "watch_ratio", "emotion", "behaviour"}


def test_histories_grow_and_the_oldest_fall_out():
    history, length = np.array([[1, 2, 0], [4, 5, 6], [0, 0, 0]]), np.array([2, 3, 0])
    item = np.array([[7, 8], [7, 8], [7, 8]])
    grown, size = _appended(history, length, item, np.array([2, 1, 0]))
    assert grown.tolist() == [[2, 7, 8], [5, 6, 7], [0, 0, 0]] and size.tolist() == [3, 3, 0]


@pytest.fixture(scope="module")
def sequential(data_path, tmp_path_factory):
    """A trained GRU4Rec with its data."""
    from recbole_esmr.quick_start import load_data_and_model, run_recbole

    values = {"data_path": str(data_path), "checkpoint_dir": str(tmp_path_factory.mktemp("gru")), "epochs": 1}
    quiet = {"state": "ERROR", "show_progress": False, "train_neg_sample_args": None}
    result = run_recbole("GRU4Rec", "small", config_dict={**values, **quiet}, arguments=[])
    return load_data_and_model(result["checkpoint"])


def test_a_sequential_model_reads_what_was_just_watched(sequential, data_path):
    import pandas as pd

    _, model, dataset, *_ = sequential
    policy = RecBolePolicy(model, dataset, 20)
    items = np.array([name for name in dataset.field2id_token["item_id"] if name != "[PAD]"])
    users = np.array(["u3", "u7", "u9999"])
    policy.reset(users, items)
    log = pd.read_csv(data_path / "small" / "small.inter", sep="\t")
    for row, user in enumerate(users[:2]):
        own = log[log["user_id:token"] == user].sort_values("timestamp:float", kind="stable")["item_id:token"].to_numpy()[-20:]
        read = dataset.field2id_token["item_id"][policy._history[row, : policy._length[row]]]
        assert read.tolist() == own.tolist()
    assert policy._length[2] == 0, "a newcomer has no history"
    before = policy.recommend(morning_of(3, len(items), 10))
    policy.observe(evening_of([[0, 1, 2]] * 3, [[1.0, 0.0, 0.5]] * 3))
    assert policy._history[2, :2].tolist() == dataset.token2id("item_id", items[[0, 2]]).tolist() and policy._length[2] == 2
    after = policy.recommend(morning_of(3, len(items), 10, day=16))
    assert not np.array_equal(before[2], after[2])
    policy.reset(users, items)
    assert np.array_equal(policy.recommend(morning_of(3, len(items), 10)), before), "reset forgets"


def test_items_that_the_model_has_never_met_are_not_shown(sequential):
    _, model, dataset, *_ = sequential
    policy = RecBolePolicy(model, dataset, 20)
    known = [name for name in dataset.field2id_token["item_id"] if name != "[PAD]"][:2]
    policy.reset(np.array(["u3", "u9999"]), np.array([known[0], "new1", known[1], "new2"]))
    slates = policy.recommend(morning_of(2, size=4, pool=[1, 1, 1, 1]))
    assert np.sort(slates, axis=1).tolist() == [[-1, -1, 0, 2]] * 2 and (slates[:, 2:] == -1).all()
    assert policy.recommend(morning_of(2, size=4, pool=[0, 1, 0, 1])).tolist() == [[-1, -1]] * 2


@pytest.mark.parametrize("model", ["LightGCN", "DMF", "SASRec"])
def test_a_model_that_keeps_what_it_computed_serves_many_threads(data_path, model):
    """LightGCN and DMF keep embeddings at their first answer: whichever thread makes them, the slates are those of one thread."""
    from recbole_esmr.config import Config
    from recbole_esmr.data.dataset import load_data
    from recbole_esmr.recbole_models import build_model

    keys = {"data_path": str(data_path), "state": "ERROR"}
    config = Config(model, "small", config_dict=keys, arguments=[])
    dataset, train, *_ = load_data(config)
    built, users = build_model(config, train._dataset), dataset.field2id_token["user_id"][1:]
    items, begin = np.asarray(dataset.field2id_token["item_id"][1:]), threading.Barrier(8)

    def days(shared, thread):
        policy, said = RecBolePolicy(shared, dataset, 20), []
        policy.reset(users[thread * 5 : thread * 5 + 5], items)
        for day in (15, 16):
            said.append(policy.recommend(morning_of(5, len(items), 4, day=day)))
            policy.observe(evening_of(said[-1], (said[-1] + day) % 3 / 2.0, day=day))
        return np.stack(said)

    def served(thread):
        begin.wait()
        return days(built, thread)

    fresh = copy.deepcopy(built)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(served, range(8)))
    assert all(np.array_equal(said, days(fresh, thread)) for thread, said in enumerate(together))


def test_newcomers_of_a_model_that_knows_ids_get_the_mean_of_all(data_path):
    from recbole_esmr.quick_start import load_data_and_model, run_recbole

    values = {"data_path": str(data_path), "epochs": 1, "state": "ERROR", "show_progress": False}
    result = run_recbole("BPR", "small", config_dict=values, arguments=[])
    _, model, dataset, *_ = load_data_and_model(result["checkpoint"])
    scores = ItemScores(model, next(model.parameters()).device)
    everybody = scores(torch.arange(1, dataset.user_num))
    newcomer = scores(torch.tensor([dataset.user_num + 5, 3, 0]))
    assert torch.allclose(newcomer[0], everybody.mean(dim=0), atol=1e-5) and torch.equal(newcomer[0], newcomer[2])
    assert torch.allclose(newcomer[1], everybody[2], atol=1e-6)


def test_a_model_that_needs_more_than_a_history_is_refused(data_path):
    from recbole.data import create_dataset

    from recbole_esmr.config import Config, model_class

    config = Config("FM", "small", config_dict={"data_path": str(data_path), "state": "ERROR"}, arguments=[])
    with pytest.raises(ConfigError, match="FM is neither a general nor a sequential model"):
        ItemScores(model_class("FM")(config, create_dataset(config)), torch.device("cpu"))
