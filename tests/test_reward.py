"""Rewards by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_esmr.causal.carry_over import carry_over
from recbole_esmr.causal.reward import ItemEffects, Reward
from recbole_esmr.causal.susceptibility import LIMITS, susceptibility


def _effect(treatment: str, state: str, weight: float, outcome: str = "valence") -> dict:
    return {"treatment": treatment, "outcome": outcome, "state": state, "weight": weight}


def test_item_effects_by_hand():
    effects = [
        _effect("negative_exposure", "all", -0.04),
        _effect("positive_exposure", "all", 0.02),
        _effect("positive_exposure", "all", 9.0, outcome="engagement"),
    ]
    negative, positive = np.array([0, 0.5, 0]), np.array([0, 0, 0.8])
    assert np.allclose(ItemEffects.from_weights(effects, negative, positive).valence, [[0, -0.2, 0.16]] * 2)


def test_item_effects_by_state_and_emotion():
    effects = [
        _effect("negative_exposure", "all", -0.04),
        _effect("negative_exposure", "stable", -0.03),
        _effect("negative_exposure", "vulnerable", -0.06),
        _effect("exposure_angry", "all", -0.02),
    ]
    negative, positive = np.array([0, 0.5, 0.5]), np.zeros(3)
    emotion = np.array([-1, 0, 1])  # item 1 is angry; item 2 has an emotion without an effect of its own
    found = ItemEffects.from_weights(effects, negative, positive, emotion, ("angry", "lonely"))
    assert np.allclose(found.valence, [[0, (-0.3 + 0.2) * 0.5, -0.3 * 0.5], [0, (-0.6 + 0.2) * 0.5, -0.6 * 0.5]])
    assert np.allclose(found.of(np.array([1, 2]), np.array([True, False])), [-0.2, -0.15])


@pytest.mark.parametrize(
    ("stable", "angry", "expected"),
    [
        (0.0, -0.02, 0.0),  # nothing proven in this state: −0.02 + 0.04 would call harm a lift
        (-0.05, 0.0, 0.0),  # nothing proven of this emotion
        (-0.01, -0.02, 0.0),  # −0.01 − 0.02 + 0.04: two corrections are no proof of the other sign
        (0.01, -0.02, 0.0),  # the state and the emotion disagree
        (-0.03, -0.03, -0.2),
    ],
)
def test_no_sum_of_corrections_turns_a_harm_into_a_lift(stable, angry, expected):
    effects = [
        _effect("negative_exposure", "all", -0.04),
        _effect("negative_exposure", "stable", stable),
        _effect("exposure_angry", "all", angry),
    ]
    found = ItemEffects.from_weights(effects, np.array([0, 1.0]), np.zeros(2), np.array([-1, 0]), ("angry",))
    assert found.valence[0] == pytest.approx([0, expected])


def test_a_state_counts_where_the_whole_does_not():
    effects = [_effect("negative_exposure", "all", 0.0), _effect("negative_exposure", "vulnerable", -0.06)]
    found = ItemEffects.from_weights(effects, np.array([0, 0.5]), np.zeros(2))
    assert np.allclose(found.valence, [[0, 0], [0, -0.3]])


def test_no_weights_no_effects():
    effects = [_effect("negative_exposure", state, 0.0) for state in ("all", "stable", "vulnerable")]
    assert not ItemEffects.from_weights(effects, np.ones(3), np.ones(3)).valence.any()


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


def test_susceptibility_is_shrunk_to_what_a_month_can_say():
    rng = np.random.default_rng(2)
    uplift = rng.normal(0, 0.1, (3000, 30))
    truth = np.exp(rng.normal(0, 0.5, 3000))
    for noise, least in ((0.02, 0.95), (0.3, 0.35)):
        said = susceptibility((truth[:, None] - 1) * uplift + rng.normal(0, noise, uplift.shape), uplift)
        assert np.corrcoef(said, truth)[0, 1] > least
        assert said.mean() == pytest.approx(1, abs=0.1) and ((said >= LIMITS[0]) & (said <= LIMITS[1])).all()
    nobody_differs = susceptibility(rng.normal(0, 0.3, uplift.shape), uplift)
    assert nobody_differs.std() < 0.12, "noise is not taken for a difference between people"


def test_susceptibility_of_who_says_too_little_is_ones():
    assert susceptibility(np.full((3, 9), np.nan), np.ones((3, 9))).tolist() == [1, 1, 1]
    assert susceptibility(np.ones((3, 9)), np.zeros((3, 9))).tolist() == [1, 1, 1]
