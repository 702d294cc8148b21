"""ESMR as a feed policy: one person or everybody, goals, consent, and the days it lives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recbole_esmr.errors import ConfigError
from recbole_esmr.feed import Feedback
from recbole_esmr.policy.esmr import CROWD
from tests.conftest import QUICK
from tests.feeds import PROVEN, esmr_policy, evening_of, morning_of, names_of


def test_esmr_as_a_policy_ranks_as_the_model_scores(trained):
    policy, items, users = esmr_policy(trained, gate="never"), names_of(trained, "item_id"), names_of(trained, "user_id")[:5]
    policy.reset(users, items)
    pool = np.arange(len(items)) % 3 != 0
    slates = policy.recommend(morning_of(5, len(items), 4, pool=pool))
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
    policy, items, users = esmr_policy(trained), names_of(trained, "item_id"), names_of(trained, "user_id")
    policy.reset(users, items)
    old = policy._model.log
    slates, ratio = np.tile([0, 1, -1], (len(users), 1)), np.tile([0.5, 0.0, 0.0], (len(users), 1))
    slates[0] = -1
    columns = {"scrolling_time": np.arange(len(users), dtype=float), "churned": np.r_[1, np.zeros(len(users) - 1)]}
    policy.observe(evening_of(slates, ratio, columns, "angry"))
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
    policy, items, users = esmr_policy(trained), names_of(trained, "item_id"), names_of(trained, "user_id")
    assert policy._model.settings.gate_streak == 1
    policy.reset(users, items)
    policy.recommend(morning_of(len(users), len(items)))
    fresh = policy.acted().copy()
    nothing = np.full((len(users), 1), -1), np.zeros((len(users), 1))
    for emotion, expected in (("angry", True), ("happy", False)):
        policy.observe(evening_of(*nothing, {"churned": np.zeros(len(users))}, emotion))
        policy.recommend(morning_of(len(users), len(items)))
        gate = policy._model.gate()[policy._user, policy._model.trace.days]
        assert (gate == expected).all() and policy.acted().any() == expected
    policy.reset(users, items)
    policy.recommend(morning_of(len(users), len(items)))
    assert np.array_equal(policy.acted(), fresh)


def test_a_person_may_ask_for_a_goal_whatever_the_gate_says(trained):
    """With proven effects the feed keeps its floor and is better for the goal; without, or without consent, nothing changes."""
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")
    morning = morning_of(len(users), len(items), 5)

    def made(weight):
        policy = esmr_policy(trained, gate="never")
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
    items, users = names_of(trained, "item_id"), np.tile(names_of(trained, "user_id"), 2)
    policy = esmr_policy(trained, gate="forecast")
    policy._model.causal = PROVEN
    policy.reset(users, items)
    morning = morning_of(len(users), len(items), 5)
    asks = ["calm", *[None] * (len(users) - 1)]
    policy._model.gate()[policy._user[0]] = False
    policy._model.gate()[policy._user[len(users) // 2]] = False  # the first person's double
    nobody = policy.recommend(morning)
    assert len(users) >= CROWD and policy.acted().any()
    assert np.array_equal(policy.recommend(morning, goal=asks)[1:], nobody[1:])


def test_an_evening_knows_who_was_away_without_being_told_twice(trained):
    policy, items, users = esmr_policy(trained), names_of(trained, "item_id"), names_of(trained, "user_id")
    policy.reset(users, items)
    here = np.arange(len(users)) % 2 == 0
    slates = np.where(here[:, None], 0, -1)
    policy.observe(Feedback(15, here, slates, np.where(slates >= 0, 0.5, 0.0), np.full(len(users), ""), {}))
    assert np.array_equal(policy._model.trace.present[policy._user, -1], here)


def test_without_consent_no_emotion_is_read_not_even_of_what_was_watched(trained):
    """Who refuses gets the engagement ranking, newcomers too, and their watching corrects nobody's expectation by mood."""
    items, users = names_of(trained, "item_id"), np.append(names_of(trained, "user_id"), "somebody new")
    policy, never = esmr_policy(trained, gate="always"), esmr_policy(trained, gate="never")
    refuses = np.zeros(len(users), dtype=bool)
    for one in (policy, never):
        one.reset(users, items, consent=refuses)
    morning = morning_of(len(users), len(items), 5)
    slates = policy.recommend(morning)
    assert np.array_equal(slates, never.recommend(morning)) and not policy.acted().any()
    assert (policy._model.beliefs()[policy._user] == 0).all() and np.isnan(policy._model.trace.valence[policy._user]).all()
    policy.observe(evening_of(slates, np.ones(slates.shape), {}, "angry"))
    assert policy._ledger.factor(np.array([-1, 0, 1])).tolist() == [1, 1, 1]
    assert np.isnan(policy._model.trace.valence[policy._user]).all()
    assert np.isfinite(esmr_policy(trained)._model.trace.valence).any(), "another policy's log is its own"


def test_one_persons_evenings_do_not_unlearn_the_items(trained):
    items, user = names_of(trained, "item_id"), names_of(trained, "user_id")[:1]
    policy = esmr_policy(trained, gate="always")
    policy.reset(user, items)
    days = policy._model.trace.days
    before = policy._model.engagement_features()._past.watch_ratio[days].copy()
    floor = policy._model.floor()
    acted = []
    for day in range(days + 1):
        slates = policy.recommend(morning_of(1, len(items), 5, day=day))
        acted.append(policy.acted()[0])
        policy.observe(evening_of(slates, np.ones(slates.shape), {}, "angry", day))
    assert np.array_equal(policy._model.engagement_features()._past.watch_ratio[days], before)
    assert policy._model.floor() == floor and any(acted)


def test_a_pool_of_strangers_gives_empty_feeds(trained):
    policy, users = esmr_policy(trained), names_of(trained, "user_id")[:3]
    policy.reset(users, np.array(["never seen", "nor this"]))
    assert (policy.recommend(morning_of(3, 2, 2)) == -1).all() and not policy.acted().any()


@pytest.mark.parametrize("gate", ["always", "forecast"])
def test_one_person_alone_a_batch_and_everybody(trained, gate):
    """Slates of people served together are those of each served alone, where no budget is shared."""
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")[:6]
    together = esmr_policy(trained, gate=gate)
    together.reset(users, items)
    slates = together.recommend(morning_of(6, len(items), 4))
    for row, user in enumerate(users):
        alone = esmr_policy(trained, gate=gate)
        alone.reset(np.array([user]), items)
        assert np.array_equal(alone.recommend(morning_of(1, len(items), 4))[0], slates[row])
    assert together.acted().any()


def test_esmr_meets_people_it_has_never_seen(trained):
    policy, items = esmr_policy(trained), names_of(trained, "item_id")
    policy.reset(np.array(["u1", "nobody", "somebody"]), items)
    slates = policy.recommend(morning_of(3, len(items), 4))
    assert np.array_equal(slates[1], slates[2]) and (slates >= 0).all()
    policy.observe(evening_of([[0], [1], [2]], [[1.0], [1.0], [0.0]], {"churned": np.zeros(3)}, "lonely"))
    trace = policy._model.trace
    assert (trace.emotion[-2:, -1] >= 0).all() and trace.present[-2:, -1].all() and not trace.present[-2:, :-1].any()


def test_what_happens_after_the_slate_does_not_change_it(trained):
    """Leakage probe: the same past and another evening give the same slates of that day."""
    shown = []
    for emotion, ratio in (("angry", 0.0), ("happy", 1.0)):
        policy, items, users = esmr_policy(trained), names_of(trained, "item_id"), names_of(trained, "user_id")
        policy.reset(users, items)
        shown.append(policy.recommend(morning_of(len(users), len(items), 5)))
        policy.observe(evening_of(shown[-1], np.full(shown[-1].shape, ratio), {"churned": np.zeros(len(users))}, emotion))
    assert np.array_equal(*shown)


# -- the oracle ------------------------------------------------------------------------------------------------------


def test_quick_keys_are_esmr_keys():
    from recbole_esmr.config import Config

    assert Config("ESMR", "esmr-mini", config_dict=QUICK, arguments=[]).esmr.rank_by == "views"
