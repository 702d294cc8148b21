"""Rewards by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_esmr.causal.carry_over import carry_over, worth_of_days
from recbole_esmr.causal.panel import Design, Panel
from recbole_esmr.causal.reward import ItemEffects, Reward
from recbole_esmr.causal.susceptibility import LIMITS, susceptibility, susceptibility_of
from recbole_esmr.causal.traits import Traits


def test_item_effects_by_hand():
    """Item 1 is angry with intensity 0.5 and of category b, item 2 has a trait without an effect."""
    traits = Traits(
        ("exposure_angry", "exposure_category=b", "exposure_lonely"), ("negative", "category", "negative"),
        np.array([[0, 0, 0], [0.5, 1, 0], [0, 0, 0.8]]), np.ones(3), np.full(3, -1),
    )  # fmt: skip
    effects = [
        {"treatment": treatment, "outcome": outcome, "weight": weight}
        for treatment, outcome, weight in (
            ("exposure_angry", "valence", -0.04),
            ("exposure_category=b", "valence", 0.01),
            ("negative_exposure", "valence", -9.0),
            ("exposure_angry", "engagement", 9.0),
        )
    ]
    assert np.allclose(ItemEffects.of_weights(effects, traits).valence, [0, -0.2 + 0.1, 0])
    assert not ItemEffects.of_weights([], traits).valence.any()


WEIGHTS = {"engagement": 2.0, "negative": 1.0, "transition": 0.5, "volatility": 0.3, "churn": 0.7}


def test_reward_by_hand_and_one_switch():
    today, tomorrow = np.array([-0.5, 0.5, 0.2, -0.1]), np.array([0.3, -0.5, np.nan, -0.1])
    gone = np.array([False, False, True, False])
    by_kind = {kind: Reward(kind, **WEIGHTS) for kind in ("engagement", "emotion", "causal")}
    for reward in by_kind.values():
        assert reward.of_items(np.array([0.5, 0.0])).tolist() == [1.0, 0.0]
    shaping = [0.5 - 0.3 * 0.8, -1 - 0.3 * 1.0, -0.7, -1.0]
    assert np.allclose(by_kind["emotion"].of_days(today, tomorrow, gone), shaping)
    assert np.allclose(by_kind["causal"].of_days(today, tomorrow, gone), [0, 0, -0.7, 0]), (
        "the mood is not credited by what followed"
    )
    assert (
        by_kind["engagement"].of_days(today, tomorrow, gone).tolist() == by_kind["causal"].of_days(today, tomorrow, gone).tolist()
    )
    for kind in ("engagement", "emotion"):
        assert by_kind[kind].of_valence(today, today, np.ones(4)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("today", [-0.4, 0.3])
@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.25])
def test_the_worth_of_a_unit_of_valence_is_the_slope_of_the_expected_reward(today, mean):
    """∂E[R]/∂μ against the same by Monte Carlo with common random numbers."""
    causal, emotion = (Reward(kind, **{**WEIGHTS, "churn": 0.0}) for kind in ("causal", "emotion"))
    noise, step = np.random.default_rng(0).standard_normal(400_000) * 0.2, 0.02

    def expected(mu):
        return emotion.of_days(np.full(len(noise), today), mu + noise, np.zeros(len(noise), dtype=bool)).mean()

    slope = (expected(mean + step) - expected(mean - step)) / (2 * step)
    said = causal.of_valence(np.array(today), np.array(mean), np.array(0.2))
    assert said == pytest.approx(slope, abs=0.03)


@pytest.mark.parametrize("kind", ["engagement", "emotion", "causal"])
@given(
    weights=st.lists(st.floats(0, 100), min_size=5, max_size=5),
    numbers=st.tuples(st.floats(0, 1), st.floats(-1, 1), st.floats(-1, 1)),
    gone=st.booleans(),
)
def test_a_reward_is_bounded_and_does_not_saturate(kind, weights, numbers, gone):
    reward = Reward(kind, *weights)
    ratio, today, tomorrow = map(np.array, numbers)
    total = reward.of_items(ratio) + reward.of_days(today, tomorrow, np.array(gone))
    low, high = reward.bounds()
    assert low - 1e-9 <= total <= high + 1e-9
    more = Reward(kind, weights[0] + 1, *weights[1:])
    assert np.allclose(more.of_items(ratio) - reward.of_items(ratio), ratio)  # linear: the step never fades


# -- how long a push lasts, and for whom it is strong -------------------------------------------------------------------


@pytest.mark.parametrize("truth", [0.3, 0.7])
def test_carry_over_is_found_whatever_the_home_bases_and_the_gaps(truth):
    rng = np.random.default_rng(1)
    state, days = rng.standard_normal(2000) * 0.1, []
    for _ in range(30):
        days.append(state + rng.normal(0, 0.1, 2000))
        state = truth * state + rng.normal(0, 0.1 * (1 - truth**2) ** 0.5, 2000)
    valence = np.stack(days, axis=1) + rng.normal(0, 0.4, (2000, 1))
    valence[rng.random(valence.shape) < 0.3] = np.nan
    assert carry_over(valence) == pytest.approx(truth, abs=0.08)


def test_carry_over_of_too_little_is_none():
    assert carry_over(np.full((5, 10), np.nan)) == 0 and carry_over(np.zeros((3, 3))) == 0


def test_an_effect_counts_by_the_days_on_which_it_is_there():
    """A push that fades as moods do is worth itself, whatever is looked at; one that comes a day late is worth its delay."""
    for days in (1, 3, 6):
        worth = worth_of_days(days, 0.9, 0.5)
        assert worth @ 0.5 ** np.arange(days) == pytest.approx(1)
    assert worth_of_days(3, 0.9, 0.5) == pytest.approx([0.55, 0.9 * 0.55, 0.81])
    late = np.array([0, 1, 0.5])
    assert worth_of_days(3, 0.9, 0.5) @ late == pytest.approx(0.9)


def _responding(truth, noise, seed=2, days=30):
    """User-days of people who respond so strongly: user, day, promise (N,), surprises over three days after, a third unknown."""
    rng = np.random.default_rng(seed)
    user, day = (x.ravel() for x in np.indices((len(truth), days)))
    promise = rng.normal(0, 0.1, len(user))
    surprise = truth[user][:, None] * promise[:, None] * [1, 0.7, 0.5] + rng.normal(0, noise, (len(user), 3))
    surprise[rng.random(surprise.shape) < 0.3] = np.nan
    return user, day, promise, surprise


def test_susceptibility_is_found_where_people_differ_and_not_where_they_do_not():
    rng = np.random.default_rng(3)
    like = rng.normal(size=(1000, 2))
    truth = np.exp(rng.normal(0, 0.5, 1000) + 0.5 * like[:, 0])
    truth /= truth.mean()
    for noise, least in ((0.02, 0.95), (0.5, 0.7)):
        said = susceptibility(*_responding(truth, noise), like)
        assert np.corrcoef(said, truth)[0, 1] > least
        assert said.mean() == pytest.approx(1, abs=0.1) and ((said >= LIMITS[0]) & (said <= LIMITS[1])).all()
        assert 0.8 < np.polyfit(said, truth, 1)[0] < 1.5, "what is said to differ does"
    apart = [susceptibility(*_responding(truth, 0.5), moderators) for moderators in (like, np.zeros((1000, 2)))]
    assert np.corrcoef(apart[0], truth)[0, 1] > np.corrcoef(apart[1], truth)[0, 1] + 0.05, "what people are like tells of it"
    nobody_differs = susceptibility(*_responding(np.ones(1000), 0.5), like)
    assert nobody_differs.std() < 0.1 < truth.std() / 5, "noise is not taken for a difference between people"


def test_susceptibility_of_who_says_too_little_is_ones():
    user, day, promise, surprise = _responding(np.r_[np.full(40, 2.0), np.full(40, 0.5)], 0.05)
    nothing = np.zeros((80, 1))
    assert (susceptibility(user, day, promise, np.full(surprise.shape, np.nan), nothing) == 1).all()
    assert (susceptibility(user, day, 0 * promise, surprise, nothing) == 1).all()
    surprise[user == 0], surprise[(user == 79) & (day >= 3)] = np.nan, np.nan
    said = susceptibility(user, day, promise, surprise, nothing)
    assert said[0] == 1 and said[-1] == 1, "no day, and three days, are too few"
    assert said[1:40].min() > said[40:-1].max()


def test_susceptibility_of_a_panel_reads_what_was_shown_and_takes_out_what_came_before():
    """Half of the people respond twice as strongly; what came before drives the mood, and what is shown follows it."""
    rng = np.random.default_rng(0)
    user, day = (x.ravel() for x in np.indices((300, 25)))
    tone = rng.normal(0, 1, len(user))
    shown = 0.2 + 0.05 * tone + rng.normal(0, 0.05, len(user))
    strong = np.where(user < 150, 2.0, 1.0)
    table = {"user": user, "day": day, "state": 0.0, "home_valence": 0.1, "watched_tone": tone}
    table |= {"exposure_sad": shown + rng.normal(0, 0.05, len(user)), "shown_exposure_sad": shown}
    table["valence"] = -strong * shown + 2 * tone + rng.normal(0, 0.05, len(user))
    design = Design(
        ("x",), ("valence",), ("home_valence", "watched_tone"), traits={"exposure_sad": "negative"},
        trait_instruments={"exposure_sad": "shown_exposure_sad"},
    )  # fmt: skip
    panel = Panel(pd.DataFrame(table), design)
    said = susceptibility_of(panel, [{"treatment": "exposure_sad", "weight": -0.1}], 302)
    assert 1.5 < said[:150].mean() / said[150:300].mean() < 2.1 and (said[300:] == 1).all(), "shrunk a little"
    assert (susceptibility_of(panel, [{"treatment": "exposure_sad", "weight": 0.0}], 302) == 1).all()
