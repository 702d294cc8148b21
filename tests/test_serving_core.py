"""The stateless core of a service: profiles, slates, exploration, and the budget that people share."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_esmr.errors import DataError
from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.model.linear_retriever import LinearRetrieval, distilled
from recbole_esmr.policy.esmr import ESMRPolicy
from recbole_esmr.serving.core import Request, explained, log_of, rank_all, rank_for, update
from recbole_esmr.serving.exploration import explored
from recbole_esmr.serving.feed import ServedFeed
from recbole_esmr.serving.profile import Day, Event, Profile, day_number, updated
from recbole_esmr.serving.spending import Receipt, Spending
from tests.feeds import model_of, proven


def lived(artifact, days=20, seed=0, person=0, feeling="sad"):
    """A profile after some days with a feed, from day 1 on."""
    rng, profile = np.random.default_rng([seed, person]), Profile(consent=True)
    for day in range(1, days + 1):
        slate = rank_for(artifact, profile, Request(day, 6))
        watched = [{"item": item, "watch_ratio": round(float(rng.random()), 3)} for item in slate.items]
        emotion = str(rng.choice(artifact.taxonomy.labels))
        event = Event.of_dict({"id": f"e{day}", "day": day, "shown": watched, "emotion": emotion}, artifact)
        profile, _ = update(artifact, profile, [event])
    return profile


# -- slates ------------------------------------------------------------------------------------------------------------------


def test_a_service_serves_as_the_policy_serves_newcomers(trained, artifact):
    """The same retriever, budget and days give the same slates, day after day, to the item."""
    model, dataset = model_of(trained, causal=proven()), trained[1][2]
    rule = replace(artifact.settings.serving, gate=replace(artifact.settings.serving.gate, rule="forecast"))
    trained_there = SimpleNamespace(
        encoder=model.encoder,
        rankers=replace(artifact.rankers, taxonomy=model.taxonomy),
        log=replace(model.log, past=artifact.stock.past(model.log.trace.days)),
        settings=SimpleNamespace(serving=rule),
    )
    policy, served = ESMRPolicy(trained_there, dataset), ServedFeed(artifact)
    users, items = np.array(["new1", "new2", "new3"]), np.array(artifact.stock.names[1:])
    policy.reset(users, items)
    served.reset(users, items)
    rng, acted = np.random.default_rng(0), 0
    first = model.log.trace.first_day + model.log.trace.days  # so that both name the same days of the week
    for day in range(first, first + 20):
        active = rng.random(3) < 0.8
        morning = Observation(day, active, np.where(active, 5, 0), rng.random(len(items)) < 0.7)
        policy._multiplier, policy._calibration = served.spending.multiplier, served.spending.sums
        slates = policy.recommend(morning)
        assert np.array_equal(served.recommend(morning), slates), day
        assert np.array_equal(served.acted(), policy.acted())
        acted += served.acted().sum()
        ratio = np.where(slates >= 0, rng.random(slates.shape), 0)
        felt = np.where(active, rng.choice(artifact.taxonomy.labels, 3), "")
        columns = {name: np.where(active, rng.random(3), np.nan) for name in artifact.behaviour[:3]}
        for one in (policy, served):
            one.observe(Feedback(day, active, slates, ratio, felt, columns))
    assert acted > 5, "the re-ranker had something to do"


def test_ranking_is_reading(artifact):
    profile = lived(artifact)
    before = profile.to_json()
    one, other = (rank_for(artifact, profile, Request(21, 6, explore=0.3, draw="x")) for _ in range(2))
    assert one.items == other.items and one.propensity == other.propensity and profile.to_json() == before


def test_nothing_of_the_day_itself_or_later_is_read(artifact):
    profile = lived(artifact)
    request = Request(15, 6)
    changed = replace(
        profile, days=tuple(replace(day, emotion="angry", shown=()) if day.day >= 15 else day for day in profile.days)
    )
    assert rank_for(artifact, profile, request).items == rank_for(artifact, changed, request).items


def test_who_is_served_beside_somebody_is_served_as_alone(artifact):
    people = [lived(artifact, days=6, person=person) for person in range(3)]
    together = rank_all(artifact, people, Request(8, 6))
    assert [slate.items for slate in together] == [rank_for(artifact, one, Request(8, 6)).items for one in people]


def test_without_consent_or_reranker_a_feed_is_the_engagement_ranking(artifact):
    profile = lived(artifact)
    acted = [rank_for(artifact, profile, Request(day, 6)).acted for day in range(21, 25)]
    assert any(acted)
    silent = replace(profile, consent=False)
    for day in range(21, 25):
        for slate in (rank_for(artifact, profile, Request(day, 6, rerank=False)), rank_for(artifact, silent, Request(day, 6))):
            assert not slate.acted and slate.items == slate.usual


def test_only_what_is_on_offer_is_shown(artifact):
    offer = artifact.stock.names[5:20]
    slate = rank_for(artifact, Profile(), Request(3, 30, items=offer))
    assert set(slate.items) == set(offer), "a short offer gives a short slate"
    with pytest.raises(DataError, match=r"items\[1\]: there is no item 'nothing'"):
        rank_for(artifact, Profile(), Request(3, 5, items=(offer[0], "nothing")))


def test_a_goal_is_followed_where_it_may_be(artifact):
    profile = lived(artifact)
    share = artifact.stock.catalogue.valence

    def pleasant(slate):
        return share[artifact.stock.numbers(slate.items, "")].mean()

    usual = rank_for(artifact, profile, Request(21, 6, rerank=False))
    assert pleasant(rank_for(artifact, profile, Request(21, 6, goal="uplift"))) > pleasant(usual)
    with pytest.raises(DataError, match=r"goal is 'uplifd'. Did you mean 'uplift'"):
        rank_for(artifact, profile, Request(21, 6, goal="uplifd"))


def test_reasons_add_up_to_the_order(artifact):
    profile = lived(artifact)
    found = explained(artifact, profile, Request(21, 6))
    value = [item["value"] for item in found["items"]]
    assert value == sorted(value, reverse=True) and 0 < found["chance_of_a_negative_day"] < 1
    assert all(sum(item["parts"].values()) == pytest.approx(item["value"]) for item in found["items"])
    assert explained(artifact, replace(profile, consent=False), Request(21, 6))["chance_of_a_negative_day"] is None


# -- profiles ----------------------------------------------------------------------------------------------------------------


def test_a_profile_is_a_small_document_that_comes_back_as_it_was(artifact):
    profile = lived(artifact, days=30)
    text = profile.to_json()
    assert Profile.of_dict(json.loads(text), artifact) == profile and len(text) < 10_000
    assert len(profile.days) == artifact.window, "older days have left"
    assert profile.earlier and len(profile.earlier) <= artifact.retrieval.longest


def test_what_the_window_has_left_still_tells_taste(artifact):
    profile = lived(artifact, days=30)
    log = log_of(artifact, [profile], 31)
    item, count = log.history.before(np.array([0]), np.array([artifact.window]), artifact.retrieval.longest)
    watched = [name for day in profile.days for name, ratio in day.shown if ratio > 0]
    expected = [*profile.earlier, *watched][-artifact.retrieval.longest :]
    assert [artifact.stock.names[number] for number in item[0, : count[0]]] == expected


def test_events_by_hand():
    first = Event("a", 3, (("v1", 0.5), ("v2", 0.0)), "happy", {"x": 1.0}, consent=True)
    second = Event("b", 3, (("v3", 1.0),), "sad", {"y": 2.0})
    profile, new = updated(Profile(), [first, second, first], window=2, longest=2)
    assert profile.days == (Day(3, (("v1", 0.5), ("v2", 0.0), ("v3", 1.0)), "sad", {"x": 1.0, "y": 2.0}),)
    assert [event.id for event in new] == ["a", "b"] and profile.events == ("a", "b") and profile.since == 3
    profile, _ = updated(profile, [Event("c", 5, (("v4", 0.1),))], 2, 2)
    assert [day.day for day in profile.days] == [5] and profile.earlier == ("v1", "v3"), "a skip is no view"
    profile, _ = updated(profile, [Event("d", 4, (("v5", 0.1),))], 2, 1)
    assert [day.day for day in profile.days] == [4, 5], "a late event of a day that is still read"
    same, new = updated(profile, [Event("d", 9)], 2, 2)
    assert same == profile and not new


def test_without_consent_nothing_felt_is_kept_and_withdrawing_takes_it_away():
    felt = Event("a", 3, (("v1", 0.5),), "sad", {"x": 1.0}, goal="calm")
    profile, _ = updated(Profile(), [felt], 9, 9)
    assert profile.days == (Day(3, (("v1", 0.5),)),) and profile.goal is None
    profile, _ = updated(Profile(), [Event("y", 2, consent=True), felt], 9, 9)
    assert profile.days[0].emotion == "sad" and profile.goal == "calm"
    profile, _ = updated(profile, [Event("n", 4, consent=False)], 9, 9)
    assert profile.days == (Day(3, (("v1", 0.5),)),) and profile.goal is None


WRONG_EVENTS = {
    "no id": ({"id": ""}, "event.id is empty"),
    "unknown field": ({"emotoin": "sad"}, "unknown field 'emotoin'. Did you mean 'emotion'"),
    "unknown label": ({"emotion": "hapy"}, "event.emotion is 'hapy'. Did you mean 'happy'"),
    "not a number": ({"shown": [{"item": "v1", "watch_ratio": float("nan")}]}, r"shown\[0\].watch_ratio is nan"),
    "percent": ({"shown": [{"item": "v1", "watch_ratio": 80}]}, "is 80; expected a number in"),
    "true": ({"shown": [{"item": "v1", "watch_ratio": True}]}, "is True; expected a number"),
    "unknown item": ({"shown": [{"item": "w1", "watch_ratio": 1}]}, r"shown\[0\].item: there is no item 'w1'"),
    "twice": ({"shown": [{"item": "v1", "watch_ratio": 1}] * 2}, "an item is there twice"),
    "too many": ({"shown": [{}] * 501}, "has 501 entries; expected at most 500"),
    "unknown column": ({"behaviour": {"scroling_time": 1}}, "Did you mean 'scrolling_time'"),
    "infinite": ({"behaviour": {"scrolling_time": float("inf")}}, "behaviour.scrolling_time is inf"),
    "a text": ({"behaviour": {"scrolling_time": "long"}}, "is 'long'; expected a number"),
    "goal": ({"goal": "be happy"}, "event.goal is 'be happy'"),
    "group": ({"group": "casul"}, "Did you mean 'casual'"),
    "consent": ({"consent": "yes"}, "expected true or false"),
    "tomorrow": ({"day": 100}, "has not come yet"),
    "no date": ({"day": "01.03.2026"}, "expected a date such as 2026-03-01"),
    "half a day": ({"day": 1.5}, "expected a whole number"),
    "no list": ({"shown": "v1"}, "expected a list"),
}


@pytest.mark.parametrize("said, message", WRONG_EVENTS.values(), ids=WRONG_EVENTS)
def test_a_wrong_event_is_refused_with_what_and_where(artifact, said, message):
    with pytest.raises(DataError, match=message):
        Event.of_dict({"id": "a", "day": 3, **said}, artifact, latest=50)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(said=JSON | st.dictionaries(st.sampled_from(list(Event.__dataclass_fields__)), JSON))
def test_an_event_is_read_or_refused_whatever_it_is(artifact, said):
    try:
        event = Event.of_dict(said, artifact)
    except DataError:
        return
    profile, _ = update(artifact, Profile(consent=True), [event])
    assert Profile.of_dict(json.loads(profile.to_json()), artifact) == profile


@settings(max_examples=200, deadline=None)
@given(said=JSON | st.dictionaries(st.sampled_from(list(Profile().as_dict())), JSON).map(lambda part: Profile().as_dict() | part))
def test_a_profile_is_read_or_refused_whatever_it_is(artifact, said):
    try:
        profile = Profile.of_dict(said, artifact)
    except DataError:
        return
    assert rank_for(artifact, profile, Request(3, 4)).items


def test_days_are_numbers_or_dates():
    assert day_number("1970-01-02", "day") == 1 and day_number(12, "day") == 12
    assert day_number("2026-03-01", "day") == 20513


# -- exploration -------------------------------------------------------------------------------------------------------------


def test_propensities_are_the_chances_by_counting():
    """Of 40,000 draws each (place, item) comes up as often as its logged chances say (inverse propensity weighting gives 1)."""
    counts, weighted = np.zeros((2, 4)), np.zeros((2, 4))
    for draw in range(40_000):
        found = explored([0, 1], np.arange(4), 0.3, str(draw))
        for place, (item, chance) in enumerate(zip(found.places, found.propensity, strict=True)):
            counts[place, item] += 1
            weighted[place, item] += 1 / chance
    share = counts / 40_000
    assert share[0] == pytest.approx([0.775, 0.075, 0.075, 0.075], abs=0.006)
    # the second place: item 1 unless something was drawn before it; by the law of total probability
    of_best = 0.775 * (0.7 + 0.3 / 3) + 0.15 * (0.3 / 3)
    assert share[1, 1] == pytest.approx(of_best, abs=0.006)
    assert weighted[0] / 40_000 == pytest.approx(np.ones(4), abs=0.06)


def test_without_exploration_the_best_are_shown_for_sure():
    found = explored([3, 1], np.arange(5), 0.0, "x")
    assert found.places == (3, 1) and found.propensity == (1.0, 1.0) and found.drawn == (False, False)


@settings(max_examples=100, deadline=None)
@given(size=st.integers(1, 6), more=st.integers(0, 5), share=st.floats(0.01, 1), draw=st.text(max_size=5))
def test_a_drawn_slate_holds_each_item_once_and_every_chance_is_above_zero(size, more, share, draw):
    found = explored(list(range(size)), np.arange(size + more), share, draw)
    assert len(set(found.places)) == size and all(0 < chance <= 1 + 1e-12 for chance in found.propensity)
    assert found == explored(list(range(size)), np.arange(size + more), share, draw), "the same draw is the same slate"


# -- what people share -------------------------------------------------------------------------------------------------------


def test_the_multiplier_by_hand(artifact):
    start = replace(Spending.of(artifact), multiplier=10.0, floor=0.9)

    def after(kept, spends=True):
        return start.after(Receipt(kept, 100.0, spends, {}), [], 3, artifact, True).multiplier

    assert after(95.0) == pytest.approx(10 * np.exp(0.1 * 0.5)), "half of what might be spent was left"
    assert after(85.0) == pytest.approx(10 * np.exp(-0.1 * 0.5)), "half as much again was spent"
    assert after(100.0) == pytest.approx(10 * np.exp(0.1)) and after(10.0) == pytest.approx(10 * np.exp(-0.1))
    assert after(85.0, spends=False) == 10.0, "who asked for a goal takes nothing from the others"


def test_a_receipt_comes_back_as_it_was(artifact):
    receipt = rank_for(artifact, lived(artifact), Request(21, 6)).receipt
    back = Receipt.of_dict(json.loads(json.dumps(receipt.as_dict())))
    assert back.kept == receipt.kept and back.expected.keys() == receipt.expected.keys()
    with pytest.raises(DataError, match=r"receipt\.kept is nan"):
        Receipt.of_dict({**receipt.as_dict(), "kept": float("nan")})


def test_what_a_better_mood_takes_is_on_the_receipt(artifact):
    """The slate costs more than its own watch time, and a receipt comes back whatever it costs."""
    dear = replace(artifact, learned=replace(artifact.learned, responses=replace(artifact.learned.responses, mood_cost=1.0)))
    for seed in range(6):
        profile = lived(artifact, seed=seed)
        plain, charged = rank_for(artifact, profile, Request(21, 6)), rank_for(dear, profile, Request(21, 6))
        if plain.acted and charged.items == plain.items:
            assert charged.receipt.kept < plain.receipt.kept and charged.receipt.usual == plain.receipt.usual
            break
    else:
        raise AssertionError("nobody's slate was changed")
    back = Receipt.of_dict({**charged.receipt.as_dict(), "kept": -2.5})
    spent = Spending.of(artifact)
    assert spent.after(back, [], 21, artifact, True).multiplier < spent.multiplier


def test_expectations_are_corrected_by_what_came(artifact):
    profile, spending = lived(artifact), Spending.of(artifact)
    slate = rank_for(artifact, profile, Request(21, 6), spending)
    for _ in range(200):
        spending = spending.after(slate.receipt, [(item, 0.0) for item in slate.items], 21, artifact, True)
    assert (spending.correction.factor <= 1).all() and spending.correction.factor.min() < 0.7, "nothing of it was watched"
    same = Spending.of(artifact).restored(json.loads(json.dumps(spending.as_dict())))
    assert same.multiplier == spending.multiplier and np.array_equal(same.correction.factor, spending.correction.factor)
    silent = Spending.of(artifact).after(slate.receipt, [(item, 0.0) for item in slate.items], 21, artifact, False)
    assert (silent.correction.factor == 1).all(), "nothing is read of who does not consent"


# -- the retriever -----------------------------------------------------------------------------------------------------------


def test_a_linear_retriever_by_hand():
    """Two people groups who watch different items; the distilled scores tell them apart by what they watched."""
    mean, direction = np.array([0.0, 1.0, 1.0, 0.0]), np.array([[0.0, 1.0, -1.0, 0.0]])
    taste = LinearRetrieval(mean, np.array([[0.0], [2.0], [-2.0], [0.0]]), np.array([0.5]), direction, 4)
    scores = taste.of_views(np.array([[1, 1, 2, 0], [3, 0, 0, 0]]), np.array([3, 1]))
    place = 0.5 + 2 * (2 - 1) / np.sqrt(3)
    assert scores[0] == pytest.approx([0, 1 + place, 1 - place, 0])
    assert scores[1] == pytest.approx([0, 1.5, 0.5, 0])
    more = taste.with_items(1)
    assert more.of_views(np.array([[1, 0, 0, 0]]), np.array([1]))[0, 4] == pytest.approx(2 / 3), "as the mean item"


@pytest.mark.parametrize("noise, low, high", [(0.0, 0.7, 1.0), (100.0, -0.3, 0.3)])
def test_distilled_says_what_a_retriever_says_as_far_as_views_tell_it(trained, noise, low, high):
    """Scores that follow from what was watched are found again in people who were left out (40 are few); noise is not."""
    log, items, longest = trained[1][1].log, 61, 50
    rng = np.random.default_rng(0)
    alike, own = rng.standard_normal((items, 3)), noise * rng.standard_normal((log.trace.users, items))

    def scores(of, row, day):
        item, count = of.history.before(row, day, longest)
        there = np.arange(longest) < count[:, None]
        taste = (there[..., None] * alike[item]).sum(axis=1) / np.sqrt(np.maximum(count, 1))[:, None]
        return torch.from_numpy(taste @ alike.T + own[row])

    class Made:
        __call__ = staticmethod(scores)

    made = Made()
    made.items, made.longest = items, longest
    linear, agreement = distilled(made, log)
    assert low <= agreement <= high and linear.items == items
    people = np.arange(1, log.trace.users)
    shapes = [np.shape(value) for value in vars(linear).values()]
    assert all(len(people) not in shape and log.trace.users not in shape for shape in shapes), "no row of anybody"
