"""ESMR's opponents: the same floor, and what each of them learns."""

from __future__ import annotations

import numpy as np
import pytest

from tests.feeds import esmr_policy, evening_of, morning_of, names_of


@pytest.mark.parametrize("opponent", ["tabular", "linucb", "thompson", "positive-while-negative"])
def test_opponents_keep_the_floor_and_are_reproducible(trained, opponent):
    import copy

    from recbole_esmr.closed_loop import OPPONENTS

    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")
    morning, said = morning_of(len(users), len(items), 5), []
    usual = esmr_policy(trained, gate="never")
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
        policy.observe(evening_of(slates, np.full(slates.shape, 0.5), {"churned": np.zeros(len(users))}, "lonely", 15))
        said.append(np.concatenate([slates, policy.recommend(morning_of(len(users), len(items), 5, day=16))], axis=1))
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
    policy, items = LinUCB(silent, dataset, optimism=0.0), names_of(trained, "item_id")
    policy.reset(names_of(trained, "user_id")[:3], items)
    assert (policy._theta == 0).all() and (policy.recommend(morning_of(3, len(items), 4)) >= 0).all()


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
