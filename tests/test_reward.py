"""Rewards by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_esmr.causal.reward import ItemEffects, Reward


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


def test_a_state_counts_where_the_whole_does_not():
    effects = [_effect("negative_exposure", "all", 0.0), _effect("negative_exposure", "vulnerable", -0.06)]
    found = ItemEffects.from_weights(effects, np.array([0, 0.5]), np.zeros(2))
    assert np.allclose(found.valence, [[0, 0], [0, -0.3]])


def test_no_weights_no_effects():
    effects = [_effect("negative_exposure", state, 0.0) for state in ("all", "stable", "vulnerable")]
    assert not ItemEffects.from_weights(effects, np.ones(3), np.ones(3)).valence.any()


def test_reward_by_hand_and_one_switch():
    weights = {"engagement": 2.0, "valence": 5.0, "transition": 0.5, "volatility": 0.3, "churn": 0.7}
    ratio, effect = np.array([0.5, 0.0]), np.array([-0.2, -0.2])
    today, tomorrow = np.array([-0.5, 0.5, 0.2, -0.1]), np.array([0.3, -0.5, np.nan, -0.1])
    gone = np.array([False, False, True, False])
    by_kind = {kind: Reward(kind, **weights) for kind in ("engagement", "emotion", "causal")}
    assert by_kind["engagement"].of_items(ratio, effect).tolist() == [1.0, 0.0]
    assert by_kind["emotion"].of_items(ratio, effect).tolist() == [1.0, 0.0]
    assert np.allclose(by_kind["causal"].of_items(ratio, effect), [1.0 - 5 * 0.5 * 0.2, 0.0])
    shaping = [0.5 - 0.3 * 0.8, -0.3 * 1.0, -0.7, 0.0]
    assert np.allclose(by_kind["emotion"].of_days(today, tomorrow, gone), shaping)
    assert np.allclose(by_kind["causal"].of_days(today, tomorrow, gone), shaping)
    assert by_kind["engagement"].of_days(today, tomorrow, gone).tolist() == [0, 0, 0, 0]


def test_without_proven_effects_causal_is_emotion():
    weights = {"engagement": 1.0, "valence": 5.0, "transition": 0.5, "volatility": 0.5, "churn": 0.5}
    ratio, nothing = np.linspace(0, 1, 5), np.zeros(5)
    assert np.array_equal(
        Reward("causal", **weights).of_items(ratio, nothing), Reward("emotion", **weights).of_items(ratio, nothing)
    )


@pytest.mark.parametrize("kind", ["engagement", "emotion", "causal"])
@given(
    weights=st.lists(st.floats(0, 100), min_size=5, max_size=5),
    numbers=st.tuples(st.floats(0, 1), st.floats(-2, 2), st.floats(-1, 1), st.floats(-1, 1)),
    gone=st.booleans(),
)
def test_a_reward_is_bounded_and_does_not_saturate(kind, weights, numbers, gone):
    reward = Reward(kind, *weights)
    ratio, effect, today, tomorrow = map(np.array, numbers)
    total = reward.of_items(ratio, effect) + reward.of_days(today, tomorrow, np.array(gone))
    low, high = reward.bounds(effect)
    assert low - 1e-9 <= total <= high + 1e-9
    more = Reward(kind, weights[0] + 1, *weights[1:])
    assert np.allclose(more.of_items(ratio, effect) - reward.of_items(ratio, effect), ratio)  # linear: the step never fades
