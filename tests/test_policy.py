"""Feed policies: what they may see, what they remember, and what they show."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from recbole_esmr.errors import ConfigError
from recbole_esmr.feed import Feedback, Observation, top_slates
from recbole_esmr.model.scoring import ItemScores
from recbole_esmr.policy.baselines import Popular, Positive, Random
from recbole_esmr.policy.esmr import CROWD, ESMRPolicy
from recbole_esmr.policy.recbole import RecBolePolicy, _appended
from recbole_esmr.simulation import FeedEnv, load_world
from recbole_esmr.simulation.days import lived_days
from recbole_esmr.simulation.oracle import Oracle
from tests.conftest import QUICK

WORLD = load_world("reference")
PROVEN = {
    "effects": [
        {"treatment": f"{sign}_exposure", "outcome": "valence", "state": "all", "weight": weight}
        for sign, weight in (("negative", -0.05), ("positive", 0.03))
    ]
}
"""What a causal stage would have found."""


def _morning(users=3, items=6, size=2, pool=None, day=15):
    pool = np.ones(items, dtype=bool) if pool is None else np.array(pool, dtype=bool)
    return Observation(day, np.ones(users, dtype=bool), np.full(users, size), pool)


def _evening(slates, ratio, behaviour=None, emotion="", day=15):
    slates = np.array(slates)
    users = len(slates)
    words = np.array([emotion] * users)
    return Feedback(day, np.ones(users, dtype=bool), slates, np.array(ratio, dtype=np.float32), words, behaviour or {})


def test_top_slates_by_hand():
    score = np.array([[1.0, 5.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]])
    morning = Observation(1, np.array([True, True]), np.array([2, 1]), np.array([True, False, True, True]))
    assert top_slates(score, morning).tolist() == [[3, 2], [0, -1]]
    assert top_slates(score[:1], morning).tolist() == [[3, 2], [3, -1]], "one order for everybody"
    small = Observation(1, np.array([True]), np.array([3]), np.array([True, False, False, False]))
    assert top_slates(score[:1], small).tolist() == [[0]], "the pool is exhausted"
    nobody = Observation(1, np.array([False]), np.array([0]), np.ones(4, dtype=bool))
    assert top_slates(score[:1], nobody).shape == (1, 0)


def test_baselines_by_hand():
    names, world = np.array(["[PAD]", "b", "a"]), np.array(["a", "b", "c"])
    positive = Positive(names, np.array([0.0, -0.5, 0.8]))
    positive.reset(np.arange(2), world)
    assert positive.recommend(_morning(2, 3, 3)).tolist() == [[0, 2, 1]] * 2
    popular = Popular(names, np.array([0, 2, 1]))
    popular.reset(np.arange(2), world)
    assert popular.recommend(_morning(2, 3, 1)).tolist() == [[1], [1]]
    popular.observe(_evening([[0, 1], [0, -1]], [[0.5, 0.0], [1.0, 0.0]]))
    assert popular.recommend(_morning(2, 3, 1)).tolist() == [[0], [0]]


def test_random_is_fair_reproducible_and_keeps_to_the_pool():
    slates = []
    for seed in (1, 1, 2):
        policy = Random(seed)
        policy.reset(np.arange(6000), np.arange(6))
        slates.append(policy.recommend(_morning(6000, pool=[1, 1, 0, 1, 1, 0])))
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
    before = policy.recommend(_morning(3, len(items), 10))
    policy.observe(_evening([[0, 1, 2]] * 3, [[1.0, 0.0, 0.5]] * 3))
    assert policy._history[2, :2].tolist() == dataset.token2id("item_id", items[[0, 2]]).tolist() and policy._length[2] == 2
    after = policy.recommend(_morning(3, len(items), 10))
    assert not np.array_equal(before[2], after[2])
    policy.reset(users, items)
    assert np.array_equal(policy.recommend(_morning(3, len(items), 10)), before), "reset forgets"


def test_newcomers_of_a_model_that_knows_ids_get_the_mean_of_all(data_path):
    from recbole_esmr.quick_start import load_data_and_model, run_recbole

    values = {"data_path": str(data_path), "epochs": 1, "state": "ERROR", "show_progress": False}
    result = run_recbole("BPR", "small", config_dict=values, arguments=[])
    _, model, dataset, *_ = load_data_and_model(result["checkpoint"])
    scores = ItemScores(model, torch.device("cpu"))
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


def _esmr(trained, **kwargs):
    import copy

    _, (_, model, dataset, *_) = trained
    return ESMRPolicy(copy.deepcopy(model), dataset, **kwargs)


def _names(trained, field):
    _, (_, _, dataset, *_) = trained
    return np.array([name for name in dataset.field2id_token[field] if name != "[PAD]"])


def test_esmr_as_a_policy_ranks_as_the_model_scores(trained):
    policy, items, users = _esmr(trained, gate="never"), _names(trained, "item_id"), _names(trained, "user_id")[:5]
    policy.reset(users, items)
    pool = np.arange(len(items)) % 3 != 0
    slates = policy.recommend(_morning(5, len(items), 4, pool=pool))
    model, dataset = policy._model, trained[1][2]
    ids = torch.from_numpy(dataset.token2id("item_id", items))
    offered = torch.zeros(model.n_items, dtype=torch.bool)
    offered[ids[torch.from_numpy(pool)]] = True
    user = torch.from_numpy(dataset.token2id("user_id", users))
    score = model.score(user, torch.full((5,), model.trace.days), offered)[:, ids]
    assert np.array_equal(slates, score.topk(4, dim=1).indices.numpy()) and pool[slates].all()
    assert not policy.acted().any()


def test_esmr_reads_the_day_it_lived(trained):
    """A day through the policy gives the trace, impressions and history that the files of that day would have given."""
    policy, items, users = _esmr(trained), _names(trained, "item_id"), _names(trained, "user_id")
    policy.reset(users, items)
    old = policy._model.log
    slates, ratio = np.tile([0, 1, -1], (len(users), 1)), np.tile([0.5, 0.0, 0.0], (len(users), 1))
    slates[0] = -1
    columns = {"scrolling_time": np.arange(len(users), dtype=float), "churned": np.r_[1, np.zeros(len(users) - 1)]}
    policy.observe(_evening(slates, ratio, columns, "angry"))
    log, dataset = policy._model.log, trained[1][2]
    id_of = dataset.token2id("user_id", users)
    first = int(dataset.token2id("item_id", items[0]))
    assert log.trace.days == old.trace.days and log.trace.first_day == old.trace.first_day + 1
    assert np.array_equal(log.trace.emotion[:, :-1], old.trace.emotion[:, 1:])
    today = log.trace.emotion[id_of[1:], -1]
    assert (today == dataset.taxonomy.labels.index("angry")).all()
    place = log.trace.feature_names.index("scrolling_time")
    assert log.trace.features[id_of, -1, place].tolist() == columns["scrolling_time"].tolist()
    assert not log.trace.present[id_of[0], -1] and log.trace.present[id_of[1:], -1].all()
    intensity, duration = dataset.catalogue.intensity[first], dataset.catalogue.duration[first]
    part = 0 if dataset.catalogue.valence[first] < 0 else 1
    if dataset.catalogue.valence[first] != 0:
        assert log.trace.exposure[id_of[1], -1, part] == pytest.approx(0.5 * intensity / 2)
    assert log.trace.engagement[id_of[1], -1] == pytest.approx(0.5 * duration / 3600)
    last = log.impressions.day == log.trace.days - 1
    assert last.sum() == 2 * (len(users) - 1) and log.impressions.label[last].sum() == len(users) - 1
    item, length = log.history.before(id_of[1:2], np.array([log.trace.days]), 3)
    assert item[0, length[0] - 1] == first
    item, length = log.history.before(id_of[1:2], np.array([log.trace.days - 1]), 50)
    before, count = old.history.before(id_of[1:2], np.array([old.trace.days]), 50)
    assert item.tolist() == before.tolist() and length == count


def test_a_negative_streak_opens_the_gate_and_reset_forgets_it(trained):
    policy, items, users = _esmr(trained), _names(trained, "item_id"), _names(trained, "user_id")
    assert policy._model.settings.gate_streak == 1
    policy.reset(users, items)
    policy.recommend(_morning(len(users), len(items)))
    fresh = policy.acted().copy()
    nothing = np.full((len(users), 1), -1), np.zeros((len(users), 1))
    for emotion, expected in (("angry", True), ("happy", False)):
        policy.observe(_evening(*nothing, {"churned": np.zeros(len(users))}, emotion))
        policy.recommend(_morning(len(users), len(items)))
        gate = policy._model.gate()[policy._user, policy._model.trace.days]
        assert (gate == expected).all() and policy.acted().any() == expected
    policy.reset(users, items)
    policy.recommend(_morning(len(users), len(items)))
    assert np.array_equal(policy.acted(), fresh)


def test_a_person_may_ask_for_a_goal_whatever_the_gate_says(trained):
    """With proven effects the feed keeps its floor and is better for the goal; without, or without consent, nothing changes."""
    items, users = _names(trained, "item_id"), _names(trained, "user_id")
    morning = _morning(len(users), len(items), 5)

    def made(weight):
        policy = _esmr(trained, gate="never")
        model = policy._model
        model.causal = {
            "effects": [
                {"treatment": f"{sign}_exposure", "outcome": "valence", "state": "all", "weight": weight * value}
                for sign, value in (("negative", -0.05), ("positive", 0.03))
            ]
        }
        policy.reset(users, items)
        return policy, model

    policy, model = made(1.0)
    usual = policy.recommend(morning)
    lifted, calmed = (policy.recommend(morning, goal=goal) for goal in ("uplift", "calm"))
    assert not np.array_equal(lifted, usual) and policy.acted().any()
    ids = policy._item
    effect = model.item_effects().valence[0]
    arousing = (model.taxonomy.arousal[model.catalogue.emotion] > 0) & (model.catalogue.emotion >= 0)
    assert effect[ids[lifted]].mean() > effect[ids[usual]].mean()
    assert effect[ids[calmed]].mean() > effect[ids[usual]].mean()
    assert arousing[ids[calmed]].mean() < arousing[ids[lifted]].mean()
    expected = policy._expected
    for slates in (lifted, calmed):
        rows = np.arange(len(users))[:, None]
        share = expected[rows, slates].sum(axis=1) / expected[rows, usual].sum(axis=1)
        assert (share >= model.settings.min_engagement_slate - 1e-5).all()
    some = policy.recommend(morning, goal=["uplift", *[None] * (len(users) - 1)])
    assert np.array_equal(some[0], lifted[0]) and np.array_equal(some[1:], usual[1:])
    model.trace.consent[policy._user[0]] = False
    model.refresh()
    assert np.array_equal(policy.recommend(morning, goal="uplift")[0], policy.recommend(morning)[0])
    policy, _ = made(0.0)
    assert np.array_equal(policy.recommend(morning, goal="uplift"), policy.recommend(morning)), "nothing is proven"
    with pytest.raises(ConfigError, match=r"no goal 'upift'\. Did you mean 'uplift'"):
        policy.recommend(morning, goal="upift")
    with pytest.raises(ConfigError, match="2 goals for"):
        policy.recommend(morning, goal=["calm", None])


def test_who_asks_takes_nothing_from_the_others_budget(trained):
    items, users = _names(trained, "item_id"), np.tile(_names(trained, "user_id"), 2)
    policy = _esmr(trained, gate="forecast")
    policy._model.causal = PROVEN
    policy.reset(users, items)
    morning = _morning(len(users), len(items), 5)
    asks = ["calm", *[None] * (len(users) - 1)]
    policy._model.gate()[policy._user[0]] = False
    policy._model.gate()[policy._user[len(users) // 2]] = False  # the first person's double
    nobody = policy.recommend(morning)
    assert len(users) >= CROWD and policy.acted().any()
    assert np.array_equal(policy.recommend(morning, goal=asks)[1:], nobody[1:])


def test_an_evening_knows_who_was_away_without_being_told_twice(trained):
    policy, items, users = _esmr(trained), _names(trained, "item_id"), _names(trained, "user_id")
    policy.reset(users, items)
    here = np.arange(len(users)) % 2 == 0
    slates = np.where(here[:, None], 0, -1)
    policy.observe(Feedback(15, here, slates, np.where(slates >= 0, 0.5, 0.0), np.full(len(users), ""), {}))
    assert np.array_equal(policy._model.trace.present[policy._user, -1], here)


def test_without_consent_no_emotion_is_read_not_even_of_what_was_watched(trained):
    """Who refuses gets the engagement ranking, newcomers too, and their watching corrects nobody's expectation by mood."""
    items, users = _names(trained, "item_id"), np.append(_names(trained, "user_id"), "somebody new")
    policy, never = _esmr(trained, gate="always"), _esmr(trained, gate="never")
    refuses = np.zeros(len(users), dtype=bool)
    for one in (policy, never):
        one.reset(users, items, consent=refuses)
    morning = _morning(len(users), len(items), 5)
    slates = policy.recommend(morning)
    assert np.array_equal(slates, never.recommend(morning)) and not policy.acted().any()
    assert (policy._model.beliefs()[policy._user] == 0).all() and np.isnan(policy._model.trace.valence[policy._user]).all()
    policy.observe(_evening(slates, np.ones(slates.shape), {}, "angry"))
    assert policy._ledger.factor(np.array([-1, 0, 1])).tolist() == [1, 1, 1]
    assert np.isnan(policy._model.trace.valence[policy._user]).all()
    assert np.isfinite(_esmr(trained)._model.trace.valence).any(), "another policy's log is its own"


def test_one_persons_evenings_do_not_unlearn_the_items(trained):
    items, user = _names(trained, "item_id"), _names(trained, "user_id")[:1]
    policy = _esmr(trained, gate="always")
    policy.reset(user, items)
    days = policy._model.trace.days
    before = policy._model.engagement_features()._past.watch_ratio[days].copy()
    floor = policy._model.floor()
    acted = []
    for day in range(days + 1):
        slates = policy.recommend(_morning(1, len(items), 5, day=day))
        acted.append(policy.acted()[0])
        policy.observe(_evening(slates, np.ones(slates.shape), {}, "angry", day))
    assert np.array_equal(policy._model.engagement_features()._past.watch_ratio[days], before)
    assert policy._model.floor() == floor and any(acted)


def test_a_pool_of_strangers_gives_empty_feeds(trained):
    policy, users = _esmr(trained), _names(trained, "user_id")[:3]
    policy.reset(users, np.array(["never seen", "nor this"]))
    assert (policy.recommend(_morning(3, 2, 2)) == -1).all() and not policy.acted().any()


@pytest.mark.parametrize("gate", ["always", "forecast"])
def test_one_person_alone_a_batch_and_everybody(trained, gate):
    """Slates of people served together are those of each served alone, where no budget is shared."""
    items, users = _names(trained, "item_id"), _names(trained, "user_id")[:6]
    together = _esmr(trained, gate=gate)
    together.reset(users, items)
    slates = together.recommend(_morning(6, len(items), 4))
    for row, user in enumerate(users):
        alone = _esmr(trained, gate=gate)
        alone.reset(np.array([user]), items)
        assert np.array_equal(alone.recommend(_morning(1, len(items), 4))[0], slates[row])
    assert together.acted().any()


@pytest.mark.parametrize("opponent", ["tabular", "linucb", "thompson", "positive-while-negative"])
def test_opponents_keep_the_floor_and_are_reproducible(trained, opponent):
    import copy

    from recbole_esmr.closed_loop import OPPONENTS

    items, users = _names(trained, "item_id"), _names(trained, "user_id")
    morning, said = _morning(len(users), len(items), 5), []
    usual = _esmr(trained, gate="never")
    usual.reset(users, items)
    reference = usual.recommend(morning)
    for _ in range(2):
        _, (_, model, dataset, *_) = trained
        policy = OPPONENTS[opponent](copy.deepcopy(model), dataset)
        policy.reset(users, items)
        slates = policy.recommend(morning)
        rows = np.arange(len(users))[:, None]
        share = usual._expected[rows, slates].sum(axis=1) / usual._expected[rows, reference].sum(axis=1)
        assert (share >= policy._model.floor() - 1e-5).all() and policy.acted().any()
        assert (share < 1 - 1e-6)[policy.acted()].all()
        policy.observe(_evening(slates, np.full(slates.shape, 0.5), {"churned": np.zeros(len(users))}, "lonely", 15))
        said.append(np.concatenate([slates, policy.recommend(_morning(len(users), len(items), 5, day=16))], axis=1))
    assert np.array_equal(*said)


def test_tabular_q_is_the_fixed_point():
    """Two states that lead to each other; action 0 brings 1 in state 0, nothing else brings anything."""
    from recbole_esmr.policy.tabular import DISCOUNT, table

    before, after = np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])
    q = table(before, np.array([[1.0, 0], [0, 1], [1, 0], [0, 1]]), np.array([1.0, 0, 0, 0]), after)
    best = 1 / (1 - DISCOUNT**2)
    expected = [[best, DISCOUNT**2 * best], [DISCOUNT * best] * 2]
    assert q[:2] == pytest.approx(np.array(expected), rel=0.05) and (q[2:] == 0).all()


def test_bandits_without_any_report_lift_nothing(trained):
    import copy

    from recbole_esmr.policy.bandit import LinUCB

    _, (_, model, dataset, *_) = trained
    silent = copy.deepcopy(model)
    silent.trace.valence[:] = np.nan
    silent.trace.emotion[:] = -1
    silent.refresh()
    policy, items = LinUCB(silent, dataset, optimism=0.0), _names(trained, "item_id")
    policy.reset(_names(trained, "user_id")[:3], items)
    assert (policy._theta == 0).all() and (policy.recommend(_morning(3, len(items), 4)) >= 0).all()


def test_linucb_learns_which_emotion_lifts(trained):
    """On surprises made of one emotion's exposure alone, that emotion has the lift."""
    import copy

    from recbole_esmr.policy.bandit import LinUCB, emotion_exposure

    _, (_, model, dataset, *_) = trained
    policy = LinUCB(copy.deepcopy(model), dataset, optimism=0.0)
    trace = policy._trained_on.trace
    exposure = emotion_exposure(policy._model.impressions, policy._model, trace.users, trace.days)
    code = policy._model.taxonomy.labels.index("happy")
    mean = policy._model.day_state().mean.numpy()
    trace.valence[:, 1:] = mean[:, :-1] + 3 * exposure[:, :-1, code]
    policy._prepare()
    lift = policy._mean(np.array([[1.0, 0.0, 0.0, 0.0]]))[0]
    assert lift.argmax() == code and lift[code] > 3 * np.abs(np.delete(lift, code)).max()


def test_emotion_exposure_by_hand(trained):
    from recbole_esmr.policy.bandit import emotion_exposure

    _, (_, model, *_) = trained
    shown, trace = model.impressions, model.trace
    found = emotion_exposure(shown, model, trace.users, trace.days)
    signs = np.sign(model.taxonomy.valence)
    known = np.isfinite(trace.exposure[..., 0]) & trace.consent[:, None]
    assert found[known][:, signs < 0].sum(axis=1) == pytest.approx(trace.exposure[known][:, 0])
    assert found[known][:, signs > 0].sum(axis=1) == pytest.approx(trace.exposure[known][:, 1])


def test_esmr_meets_people_it_has_never_seen(trained):
    policy, items = _esmr(trained), _names(trained, "item_id")
    policy.reset(np.array(["u1", "nobody", "somebody"]), items)
    slates = policy.recommend(_morning(3, len(items), 4))
    assert np.array_equal(slates[1], slates[2]) and (slates >= 0).all()
    policy.observe(_evening([[0], [1], [2]], [[1.0], [1.0], [0.0]], {"churned": np.zeros(3)}, "lonely"))
    trace = policy._model.trace
    assert (trace.emotion[-2:, -1] >= 0).all() and trace.present[-2:, -1].all() and not trace.present[-2:, :-1].any()


def test_what_happens_after_the_slate_does_not_change_it(trained):
    """Leakage probe: the same past and another evening give the same slates of that day."""
    shown = []
    for emotion, ratio in (("angry", 0.0), ("happy", 1.0)):
        policy, items, users = _esmr(trained), _names(trained, "item_id"), _names(trained, "user_id")
        policy.reset(users, items)
        shown.append(policy.recommend(_morning(len(users), len(items), 5)))
        policy.observe(_evening(shown[-1], np.full(shown[-1].shape, ratio), {"churned": np.zeros(len(users))}, emotion))
    assert np.array_equal(*shown)


# -- the oracle ------------------------------------------------------------------------------------------------------


class _Longest:
    """An engagement ranking of a kind: the longest items first."""

    def __init__(self, env):
        self.duration = env.catalogue.duration.numpy()

    def reset(self, users, items):
        self.users = len(users)

    def recommend(self, observation):
        return top_slates(self.duration[None, :], observation)

    def observe(self, feedback):
        pass

    def acted(self):
        return np.zeros(self.users, dtype=bool)


def _oracle(world, floor=0.97, slate_floor=0.85, days=12):
    env = FeedEnv(load_world(world), 300, 100, seed=4)
    oracle, ratios, valence = Oracle(env, _Longest(env), days, floor, slate_floor), [], []
    seen, _ = env.reset()
    oracle.reset(np.arange(300), np.arange(100))
    for _ in range(days):
        morning = Observation(env.day, seen["active"], seen["slate_size"], seen["pool"])
        usual = env.expected_hours(_Longest(env).recommend(morning))
        slates = oracle.recommend(morning)
        here = seen["active"]
        got = env.expected_hours(slates)
        ratios.append((got.sum() / usual.sum(), (got[here] / usual[here]).min()))
        valence.append(env.valence)
        seen, *_ = env.step(slates)
    return np.array(ratios), np.array(valence)


@pytest.mark.parametrize("world", ["reference", "reversed"])
def test_the_oracle_keeps_its_budget_and_helps(world):
    ratios, valence = _oracle(world)
    assert (ratios[:, 0] >= 0.97 - 1e-6).all() and (ratios[:, 1] >= 0.85 - 1e-6).all()
    env = FeedEnv(load_world(world), 300, 100, seed=4)
    usual = np.array([day.valence for day in lived_days(env, _Longest(env), 12, counts=False)])
    assert (valence[3:] < 0).mean() < (usual[3:] < 0).mean() - 0.02


def test_a_looser_budget_helps_more():
    tight, loose = (_oracle("reference", floor, slate_floor)[1][3:] for floor, slate_floor in ((1.15, 1.0), (0.0, 0.0)))
    assert (loose < 0).mean() < (tight < 0).mean()


def test_quick_keys_are_esmr_keys():
    from recbole_esmr.config import Config

    assert Config("ESMR", "esmr-mini", config_dict=QUICK, arguments=[]).esmr.rank_by == "views"
