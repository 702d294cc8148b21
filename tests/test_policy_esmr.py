"""ESMR as a feed policy: one person or everybody, goals, consent, threads, and the days it lives."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from recbole_esmr.errors import ConfigError
from recbole_esmr.feed import Feedback
from recbole_esmr.model.ranking import rank
from recbole_esmr.policy.esmr import CROWD, ESMRPolicy
from tests.feeds import PROVEN, esmr_policy, evening_of, model_of, morning_of, names_of


def _kept(policy, slates):
    """Expected engagement of slates as a share of the engagement ranking's, (U,), by the policy's last ranking."""
    found = policy.ranking.candidates
    expected = np.full((len(slates), len(policy._number)), np.nan)
    np.put_along_axis(expected, found.item.numpy(), found.engagement.numpy(), axis=1)
    of_slates = np.take_along_axis(expected, policy._item[slates], axis=1).sum(axis=1)
    return of_slates / policy.ranking.usual_engagement.numpy()


def test_esmr_as_a_policy_ranks_as_the_model_scores(trained):
    model, dataset = model_of(trained), trained[1][2]
    model.settings = replace(model.settings, serving=replace(model.settings.serving, rank_by="watch_time"))
    policy, items, users = ESMRPolicy(model, dataset, "never"), names_of(trained, "item_id"), names_of(trained, "user_id")[:5]
    policy.reset(users, items)
    pool = np.arange(len(items)) % 3 != 0
    slates = policy.recommend(morning_of(5, len(items), 4, pool=pool))
    ids = dataset.token2id("item_id", items)
    offered = np.zeros(model.n_items, dtype=bool)
    offered[ids[pool]] = True
    gate = replace(model.settings.serving.gate, rule="never")
    model.settings = replace(model.settings, serving=replace(model.settings.serving, gate=gate))
    user = dataset.token2id("user_id", users)
    score = model.score(user, np.full(5, model.log.trace.days), offered)[:, torch.from_numpy(ids)]
    assert np.array_equal(slates, score.topk(4, dim=1).indices.cpu().numpy()) and pool[slates].all()
    assert not policy.acted().any()


def test_esmr_reads_the_day_it_lived(trained):
    """A day through the policy gives the trace, impressions and history that the files of that day would have given."""
    policy, items, users = esmr_policy(trained), names_of(trained, "item_id"), names_of(trained, "user_id")
    dataset = trained[1][2]
    signed = np.flatnonzero(dataset.catalogue.valence[dataset.token2id("item_id", items)] != 0)[:2]
    policy.reset(users, items)
    old = policy.log
    slates = np.tile([*signed, -1], (len(users), 1))
    ratio = np.tile([0.5, 0.0, 0.0], (len(users), 1))
    slates[0], ratio[0] = -1, 0.0
    columns = {"scrolling_time": np.arange(len(users), dtype=float), "churned": np.r_[1, np.zeros(len(users) - 1)]}
    policy.observe(evening_of(slates, ratio, columns, "angry"))
    log = policy.log
    first = int(dataset.token2id("item_id", items[signed[0]]))
    assert log.trace.days == old.trace.days and log.trace.first_day == old.trace.first_day + 1
    assert np.array_equal(log.trace.emotion[:, :-1], old.trace.emotion[:, 1:])
    assert (log.trace.emotion[1:, -1] == dataset.taxonomy.labels.index("angry")).all()
    place = log.trace.feature_names.index("scrolling_time")
    assert log.trace.features[:, -1, place].tolist() == columns["scrolling_time"].tolist()
    assert not log.trace.present[0, -1] and log.trace.present[1:, -1].all()
    intensity, duration = dataset.catalogue.intensity[first], dataset.catalogue.duration[first]
    part = int(dataset.catalogue.valence[first] > 0)
    other = dataset.catalogue.valence[dataset.token2id("item_id", items[signed[1]])]
    assert intensity > 0 and other != 0
    assert log.trace.exposure[1, -1, part] == pytest.approx(0.5 * intensity / 2)
    assert log.trace.engagement[1, -1] == pytest.approx(0.5 * duration / 3600)
    last = log.impressions.day == log.trace.days - 1
    assert last.sum() == 2 * (len(users) - 1) and log.impressions.label[last].sum() == len(users) - 1
    item, length = log.history.before(np.array([1]), np.array([log.trace.days]), 3)
    assert item[0, length[0] - 1] == first
    item, length = log.history.before(np.array([1]), np.array([log.trace.days - 1]), 50)
    before, count = old.history.before(np.array([1]), np.array([old.trace.days]), 50)
    assert item.tolist() == before.tolist() and length == count


def test_a_negative_streak_opens_the_gate_and_reset_forgets_it(trained):
    policy, items, users = esmr_policy(trained), names_of(trained, "item_id"), names_of(trained, "user_id")
    assert policy.rule.gate.streak == 1
    policy.reset(users, items)
    policy.recommend(morning_of(len(users), len(items)))
    fresh = policy.acted().copy()
    nothing = np.full((len(users), 1), -1), np.zeros((len(users), 1))
    for day, emotion, expected in ((15, "happy", False), (16, "angry", True)):
        policy.observe(evening_of(*nothing, {"churned": np.zeros(len(users))}, emotion, day))
        policy.recommend(morning_of(len(users), len(items), day=day + 1))
        gate = policy.beliefs.gate(policy.rule.gate)[:, policy.log.trace.days]
        assert (gate == expected).all() and policy.acted().any() == expected
    assert not np.array_equal(policy.acted(), fresh)
    policy.reset(users, items)
    policy.recommend(morning_of(len(users), len(items)))
    assert np.array_equal(policy.acted(), fresh)


def test_a_person_may_ask_for_a_goal_whatever_the_gate_says(trained):
    """With proven effects the feed keeps its floor and is better for the goal; without, or without consent, nothing changes."""
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")
    morning = morning_of(len(users), len(items), 5)
    model, dataset = model_of(trained, causal=PROVEN), trained[1][2]
    policy = ESMRPolicy(model, dataset, "never")
    policy.reset(users, items)
    usual = policy.recommend(morning)
    calmed, lifted = (policy.recommend(morning, goal=goal) for goal in ("calm", "uplift"))
    assert not np.array_equal(lifted, usual) and policy.acted().any()
    ids = policy._item
    effect = model.rankers.effects.valence
    arousing = (model.taxonomy.arousal[model.catalogue.emotion] > 0) & (model.catalogue.emotion >= 0)
    assert effect[ids[lifted]].mean() > effect[ids[usual]].mean()
    assert effect[ids[calmed]].mean() > effect[ids[usual]].mean()
    assert arousing[ids[calmed]].mean() < arousing[ids[lifted]].mean()
    for slates in (lifted, calmed):
        assert (_kept(policy, slates) >= policy.rule.min_engagement_slate - 1e-5).all()
    some = policy.recommend(morning, goal=["uplift", *[None] * (len(users) - 1)])
    assert np.array_equal(some[0], lifted[0]) and np.array_equal(some[1:], usual[1:])
    consent = policy.log.trace.consent.copy()
    consent[0] = False
    policy.reset(users, items, consent)
    assert np.array_equal(policy.recommend(morning, goal="uplift")[0], policy.recommend(morning)[0])
    unproven = {"effects": [{**effect, "weight": 0.0} for effect in PROVEN["effects"]]}
    policy = esmr_policy(trained, gate="never", causal=unproven)
    policy.reset(users, items)
    assert np.array_equal(policy.recommend(morning, goal="uplift"), policy.recommend(morning)), "nothing is proven"
    with pytest.raises(ConfigError, match=r"no goal 'upift'\. Did you mean 'uplift'"):
        policy.recommend(morning, goal="upift")
    with pytest.raises(ConfigError, match="2 goals for"):
        policy.recommend(morning, goal=["calm", None])


def test_who_asks_takes_nothing_from_the_others_budget(trained):
    """Of two people alike, who are both held back from the budget, one asks: that one's slate changes, and nobody else's."""
    items, users = names_of(trained, "item_id"), np.tile(names_of(trained, "user_id"), 2)
    policy = esmr_policy(trained, gate="streak", causal=PROVEN)
    policy.reset(users, items)
    here = policy.beliefs.gate(policy.rule.gate)[:, -1]
    closed = int(np.flatnonzero(~here[: len(users) // 2])[0])
    morning = morning_of(len(users), len(items), 5)
    asks = [None] * len(users)
    asks[closed] = "uplift"
    nobody = policy.recommend(morning)
    assert len(users) >= CROWD and policy.acted().any()
    asked = policy.recommend(morning, goal=asks)
    others = np.arange(len(users)) != closed
    assert np.array_equal(asked[others], nobody[others]) and not np.array_equal(asked[closed], nobody[closed])


def test_who_asks_moves_no_multiplier_of_the_others(trained):
    """A few people: the step of dual ascent after a morning is that of those who do not ask."""
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")[:6]
    policy = esmr_policy(trained, gate="forecast", causal=PROVEN)
    morning, after = morning_of(6, len(items), 5), []
    for people, goal in ((users, ["uplift", *[None] * 5]), (users[1:], [None] * 5)):
        policy.reset(people, items)
        before = policy._multiplier
        policy.recommend(morning_of(len(people), len(items), 5), goal=goal)
        after.append(policy._multiplier)
    assert after[0] == pytest.approx(after[1]) and after[0] != before > 0
    never = esmr_policy(trained, gate="never", causal=PROVEN)
    never.reset(users, items)
    before = never._multiplier
    never.recommend(morning, goal="uplift")
    assert never._multiplier == before and never.acted().any()


def test_an_evening_is_held_against_its_own_morning_alone(trained):
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")
    policy = esmr_policy(trained, gate="never")
    policy.reset(users, items)
    slates = policy.recommend(morning_of(len(users), len(items), 5))
    evening = evening_of(slates, np.full(slates.shape, 0.5), {}, "angry")
    policy.observe(evening)
    once = policy._calibration.correction()
    policy.observe(replace(evening, day=16))
    again = policy._calibration.correction()
    assert np.array_equal(once.factor, again.factor) and (once.factor != 1).any()


def test_on_a_log_without_skips_a_lived_day_knows_what_was_watched_alone(trained):
    """As the files of that day would have said: exposure is over the watched items, a skip is no impression."""
    model, dataset = model_of(trained), trained[1][2]
    model.log = replace(model.log, impressions=replace(model.log.impressions, has_skips=False))
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")[:3]
    signed = np.flatnonzero(dataset.catalogue.valence[dataset.token2id("item_id", items)] != 0)[:2]
    policy = ESMRPolicy(model, dataset, "never")
    policy.reset(users, items)
    policy.observe(evening_of(np.tile(signed, (3, 1)), np.tile([0.5, 0.0], (3, 1)), {}, "angry"))
    first = int(dataset.token2id("item_id", items[signed[0]]))
    part = int(dataset.catalogue.valence[first] > 0)
    assert policy.log.trace.exposure[:, -1, part] == pytest.approx(0.5 * dataset.catalogue.intensity[first])
    assert not policy.log.impressions.has_skips and (policy.log.impressions.day == policy.log.trace.days - 1).sum() == 3


def test_nobody_and_nothing_on_offer_give_empty_rankings(trained):
    model = model_of(trained)
    log, beliefs, rankers = model.parts()
    nobody, rule = np.zeros(0, dtype=int), replace(model.settings.serving, rank_by="watch_time")
    for gate in ("always", "forecast", "never"):
        served = replace(rule, gate=replace(rule.gate, rule=gate))
        assert rank(rankers, log, beliefs, nobody, nobody, served, nobody).items.shape[0] == 0
        nothing = np.zeros(model.n_items, dtype=bool)
        found = rank(rankers, log, beliefs, np.array([1, 2]), np.array([14, 14]), served, np.array([3, 3]), offered=nothing)
        assert (found.slate == -1).all() and not found.acted.any() and (found.items == 0).all()
    assert torch.isinf(model.score(np.array([1]), np.array([14]), nothing)).all()


def test_an_evening_knows_who_was_away_without_being_told_twice(trained):
    policy, items, users = esmr_policy(trained), names_of(trained, "item_id"), names_of(trained, "user_id")
    policy.reset(users, items)
    here = np.arange(len(users)) % 2 == 0
    slates = np.where(here[:, None], 0, -1)
    policy.observe(Feedback(15, here, slates, np.where(slates >= 0, 0.5, 0.0), np.full(len(users), ""), {}))
    assert np.array_equal(policy.log.trace.present[:, -1], here)


def test_without_consent_no_emotion_is_read_not_even_of_what_was_watched(trained):
    """Who refuses gets the engagement ranking, newcomers too, and their watching corrects nobody's expectation by mood."""
    items, users = names_of(trained, "item_id"), np.append(names_of(trained, "user_id"), "somebody new")
    policy, never, with_it = (esmr_policy(trained, gate=gate) for gate in ("always", "never", "always"))
    refuses = np.zeros(len(users), dtype=bool)
    for one in (policy, never):
        one.reset(users, items, consent=refuses)
    with_it.reset(users, items)
    morning = morning_of(len(users), len(items), 5)
    slates = policy.recommend(morning)
    assert np.array_equal(slates, never.recommend(morning)) and not policy.acted().any()
    assert (policy.beliefs.forecast == 0).all() and np.isnan(policy.log.trace.valence).all()
    for one in (policy, with_it):
        one.recommend(morning)
        one.observe(evening_of(slates, np.ones(slates.shape), {}, "angry"))
    assert (policy._calibration.correction().factor == 1).all()
    assert (with_it._calibration.correction().factor != 1).any()
    assert np.isnan(policy.log.trace.valence).all() and np.isfinite(with_it.log.trace.valence).any()


def test_one_persons_evenings_do_not_unlearn_the_items(trained):
    items, user = names_of(trained, "item_id"), names_of(trained, "user_id")[:1]
    policy = esmr_policy(trained, gate="always")
    policy.rule = replace(policy.rule, min_engagement=0.7)
    policy.reset(user, items)
    days = policy.log.trace.days
    grid = [x.ravel() for x in np.mgrid[: days + 1, : len(items)]]
    before = policy.log.past.watch_ratio(*grid)
    acted = []
    for day in range(days + 1):
        slates = policy.recommend(morning_of(1, len(items), 5, day=day))
        acted.append(policy.acted()[0])
        policy.observe(evening_of(slates, np.ones(slates.shape), {}, "angry", day))
    assert np.array_equal(policy.log.past.watch_ratio(*grid), before) and any(acted)
    longest = trained[1][0]["MAX_ITEM_LIST_LENGTH"]
    assert len(policy.log.history) <= 5 * days + longest, "what nobody reads any more is dropped"


def test_a_pool_of_strangers_gives_empty_feeds(trained):
    policy, users = esmr_policy(trained), names_of(trained, "user_id")[:3]
    policy.reset(users, np.array(["never seen", "nor this"]))
    assert (policy.recommend(morning_of(3, 2, 2)) == -1).all() and not policy.acted().any()


@pytest.mark.parametrize("gate", ["always", "forecast"])
def test_one_person_alone_a_batch_and_everybody(trained, gate):
    """Slates of people served together are those of each served alone, where no budget is shared."""
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")[:30]
    together = esmr_policy(trained, gate=gate)
    together.reset(users, items)
    slates = together.recommend(morning_of(30, len(items), 4))
    for row, user in enumerate(users):
        alone = esmr_policy(trained, gate=gate)
        alone.reset(np.array([user]), items)
        assert np.array_equal(alone.recommend(morning_of(1, len(items), 4))[0], slates[row])
    assert together.acted().any()


def test_a_person_costs_what_a_person_costs(trained):
    """The policy of one person holds one person's days, and of everybody's views only their own."""
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")
    alone, together = esmr_policy(trained), esmr_policy(trained)
    alone.reset(users[3:4], items)
    together.reset(users, items)
    assert alone.log.trace.features.shape[0] == alone.beliefs.morning.shape[0] == 1
    whole = together.log
    assert len(alone.log.impressions) == (whole.impressions.user == 3).sum() < len(whole.impressions)
    assert len(alone.log.history) < len(whole.history)
    for given, length in ((alone.log, 7), (whole.of(np.array([3])), 7)):
        found, count = given.history.before(np.array([0]), np.array([given.trace.days]), length)
        said, known = whole.history.before(np.array([3]), np.array([whole.trace.days]), length)
        assert found.tolist() == said.tolist() and count == known
    alone.recommend(morning_of(1, len(items), 5))
    assert alone.ranking.candidates.item.shape == (1, 20), "candidates, not people times items"


def test_esmr_meets_people_it_has_never_seen(trained):
    policy, items = esmr_policy(trained), names_of(trained, "item_id")
    policy.reset(np.array(["u1", "nobody", "somebody"]), items)
    slates = policy.recommend(morning_of(3, len(items), 4))
    assert np.array_equal(slates[1], slates[2]) and (slates >= 0).all()
    policy.observe(evening_of([[0], [1], [2]], [[1.0], [1.0], [0.0]], {"churned": np.zeros(3)}, "lonely"))
    trace = policy.log.trace
    assert (trace.emotion[-2:, -1] >= 0).all() and trace.present[-2:, -1].all() and not trace.present[-2:, :-1].any()


def test_an_evening_changes_no_belief_about_the_days_before_it(trained):
    """Leakage probe: two evenings that differ in all they hold leave the same beliefs about every earlier morning."""
    after = []
    for emotion, ratio in (("angry", 0.0), ("happy", 1.0)):
        policy, items, users = esmr_policy(trained), names_of(trained, "item_id"), names_of(trained, "user_id")
        policy.reset(users, items)
        slates = policy.recommend(morning_of(len(users), len(items), 5))
        policy.observe(evening_of(slates, np.full(slates.shape, ratio), {"churned": np.zeros(len(users))}, emotion))
        after.append(policy.beliefs)
    one, other = after
    assert torch.equal(one.morning[:, :-1], other.morning[:, :-1]) and not torch.equal(one.morning[:, -1], other.morning[:, -1])
    assert np.array_equal(one.valence[:, :-1], other.valence[:, :-1])
    assert np.array_equal(one.risk[:, :-1], other.risk[:, :-1]) and not np.array_equal(one.risk[:, -1], other.risk[:, -1])


# -- one model, many policies ------------------------------------------------------------------------------------------


def _days_of(model, dataset, users, items, days=3):
    policy = ESMRPolicy(model, dataset, "always")
    policy.reset(users, items)
    said = []
    for day in range(days):
        slates = policy.recommend(morning_of(len(users), len(items), 4, day=day))
        ratio = (slates + day) % 3 / 2.0
        policy.observe(evening_of(slates, ratio, {}, ("angry", "happy")[day % 2], day))
        said.append(slates)
    return np.stack(said)


def test_policies_that_take_turns_on_one_model_do_not_meet(trained):
    """Two policies in one thread, day by day in turn, give the slates that each gives alone."""
    model, dataset, items, users = model_of(trained), trained[1][2], names_of(trained, "item_id"), names_of(trained, "user_id")
    groups = [users[:7], users[20:30]]
    alone = [_days_of(model, dataset, group, items) for group in groups]
    policies = [ESMRPolicy(model, dataset, "always") for _ in groups]
    for policy, group in zip(policies, groups, strict=True):
        policy.reset(group, items)
    for day in range(3):
        for place, policy in enumerate(policies):
            slates = policy.recommend(morning_of(len(groups[place]), len(items), 4, day=day))
            assert np.array_equal(slates, alone[place][day])
            policy.observe(evening_of(slates, (slates + day) % 3 / 2.0, {}, ("angry", "happy")[day % 2], day))


def test_one_model_serves_many_threads_at_once(trained):
    """Eight threads, each with policies of its own on one shared model: every slate is the one that a single thread makes."""
    model, dataset, items, users = model_of(trained), trained[1][2], names_of(trained, "item_id"), names_of(trained, "user_id")
    groups = [
        users[start : start + size] for start, size in ((0, 1), (1, 2), (5, 4), (9, 1), (12, 8), (20, 1), (21, 6), (30, 10))
    ]
    alone = [_days_of(model, dataset, group, items) for group in groups]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    begin = threading.Barrier(len(groups))

    def lived(place):
        begin.wait()
        return [_days_of(model, dataset, groups[place], items) for _ in range(3)]

    with ThreadPoolExecutor(len(groups)) as pool:
        for place, tries in enumerate(pool.map(lived, range(len(groups)))):
            assert all(np.array_equal(said, alone[place]) for said in tries)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
