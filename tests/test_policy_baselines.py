"""ESMR's baselines: the same budget, and what each of them learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recbole_esmr.closed_loop import BASELINES
from recbole_esmr.policy.bandit import LinUCB, contexts
from recbole_esmr.policy.tabular import DISCOUNT, Steps
from tests.feeds import esmr_policy, evening_of, model_of, morning_of, names_of

OF_EMOTIONS = sorted(set(BASELINES) - {"linucb-strategies"})
"""Those that need no strategies; the other one is met in tests/test_strategies.py."""


@pytest.mark.parametrize("baseline", OF_EMOTIONS)
def test_baselines_keep_esmrs_budget_and_are_reproducible(trained, baseline):
    """Together at least 97 % of the usual engagement, each slate at least 85 %: as ESMR, and not 97 % in each slate."""
    items, users = names_of(trained, "item_id"), np.tile(names_of(trained, "user_id"), 2)
    morning, said = morning_of(len(users), len(items), 5), []
    for _ in range(2):
        policy = BASELINES[baseline](model_of(trained), trained[1][2])
        policy.reset(users, items)
        slates = policy.recommend(morning)
        kept, usual = policy.ranking.engagement, policy.ranking.usual_engagement
        floor = policy.rule.floor(policy._rankers.responses.elasticity)
        assert policy.acted().any() and float(policy.ranking.kept.sum()) >= floor * float(usual.sum()) - 1e-4
        assert (kept >= policy.rule.min_engagement_slate * usual - 1e-5).all()
        assert bool((kept < floor * usual - 1e-3).any()), "the budget is shared: some spend more, others less"
        policy.observe(evening_of(slates, np.full(slates.shape, 0.5), {"churned": np.zeros(len(users))}, "lonely", 15))
        said.append(np.concatenate([slates, policy.recommend(morning_of(len(users), len(items), 5, day=16))], axis=1))
    assert np.array_equal(*said)


@pytest.mark.parametrize("baseline", OF_EMOTIONS)
def test_a_few_people_alone_keep_the_budget_too(trained, baseline):
    """Fewer than a crowd: what ESMR's benefit costs says nothing of another's, so the budget is found anew."""
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")[:10]
    policy = BASELINES[baseline](model_of(trained, multiplier={"views": 1e6, "watch_time": 1e6}), trained[1][2])
    policy.reset(users, items)
    policy.recommend(morning_of(10, len(items), 5))
    kept, usual = policy.ranking.kept, policy.ranking.usual_engagement
    assert float(kept.sum()) >= policy.rule.floor(policy._rankers.responses.elasticity) * float(usual.sum()) - 1e-4


def test_tabular_q_is_the_fixed_point():
    """Two states that lead to each other; action 0 brings 1 in state 0, nothing else brings anything."""
    before, after = np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])
    half = Steps.none(2).followed_by(before[:1], np.array([[1.0, 0]]), np.ones(1), after[:1])
    q = half.followed_by(before[1:], np.array([[0, 1.0], [1, 0], [0, 1]]), np.zeros(3), after[1:]).solved()
    best = 1 / (1 - DISCOUNT**2)
    expected = [[best, DISCOUNT**2 * best], [DISCOUNT * best] * 2]
    assert q[:2] == pytest.approx(np.array(expected), rel=0.05) and (q[2:] == 0).all()


def test_bandits_without_any_report_lift_nothing(trained):
    silent = model_of(trained)
    silent.log.trace.valence[:] = np.nan
    silent.log.trace.emotion[:] = -1
    policy, items = LinUCB(silent, trained[1][2], optimism=0.0), names_of(trained, "item_id")
    policy.reset(names_of(trained, "user_id")[:3], items)
    assert (policy._theta == 0).all() and (policy.recommend(morning_of(3, len(items), 4)) >= 0).all()


def test_linucb_learns_which_emotion_lifts_though_the_encoder_foresees_it(trained, monkeypatch):
    """Where tomorrow is what the reports foretell and one emotion's exposure, that emotion has the lift: all of it.

    The encoder has read the exposure; held against its forecast, what it has learned of the lift would be gone.
    """
    monkeypatch.setattr("recbole_esmr.policy.bandit.RIDGE", 1e-6)
    model = model_of(trained)
    policy = LinUCB(model, trained[1][2], optimism=0.0)
    trace = model.log.trace
    exposure = policy._exposure(model.log)
    code = model.taxonomy.labels.index("happy")
    for day in range(1, trace.days):  # each day's report is part of the next day's forecast
        trace.valence[:, day] = model.encoder.tracked(trace)[:, day - 1] + 3 * exposure[:, day - 1, code]
    policy.reset(names_of(trained, "user_id"), names_of(trained, "item_id"))
    lift = policy.lift(np.array([[1.0, 0.0, 0.0, 0.0]]))[0]
    assert lift.argmax() == code and lift[code] > 3 * np.abs(np.delete(lift, code)).max()
    assert policy.lift(contexts(policy.beliefs)[1:, -1])[:, code].mean() == pytest.approx(3, abs=0.05)


def test_every_evening_adds_to_what_was_learned(trained):
    """After an evening θ is that of least squares on all days, the new one included; who is served learns from everybody."""
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")
    policy = LinUCB(model_of(trained), trained[1][2])
    policy.reset(users[:4], items)
    before, precision = policy._count, policy._precision.copy()
    trace = policy._trained_on.trace
    assert before == (np.isfinite(trace.valence[:, 2:]) & trace.consent[:, None]).sum()
    slates = policy.recommend(morning_of(4, len(items), 5))
    policy.observe(evening_of(slates, np.full(slates.shape, 0.5), {"churned": np.zeros(4)}, "lonely"))
    assert policy._count == before + 4
    context, exposure = contexts(policy.beliefs)[:, -3], policy._exposure(policy.log)[:, -2]
    features = np.einsum("ne,nx->nex", exposure, context).reshape(4, -1)
    assert policy._precision == pytest.approx(precision + features.T @ features)


def test_emotion_exposure_adds_up_to_that_of_its_sign(trained):
    policy = LinUCB(model_of(trained), trained[1][2])
    log = policy._trained_on
    found, signs = policy._exposure(log), np.sign(policy._rankers.taxonomy.valence)
    known = np.isfinite(log.trace.exposure[..., 0]) & log.trace.consent[:, None]
    assert found[known][:, signs < 0].sum(axis=1) == pytest.approx(log.trace.exposure[known][:, 0])
    assert found[known][:, signs > 0].sum(axis=1) == pytest.approx(log.trace.exposure[known][:, 1])


def test_the_gate_decides_who_and_not_how_much(trained):
    """A streak gate under the same budget: who is let through may spend it all, within the floor of a slate."""
    items, users = names_of(trained, "item_id"), np.tile(names_of(trained, "user_id"), 2)
    policy = esmr_policy(trained, gate="streak")
    policy.rule = replace(policy.rule, gate=replace(policy.rule.gate, streak=1))
    policy.reset(users, items)
    policy.recommend(morning_of(len(users), len(items), 5))
    opens = policy.beliefs.gate(policy.rule.gate)[:, -1]
    kept, usual = policy.ranking.engagement.numpy(), policy.ranking.usual_engagement.numpy()
    assert opens.any() and not opens.all() and not policy.acted()[~opens].any()
    assert kept.sum() >= policy.rule.floor(policy._rankers.responses.elasticity) * usual.sum() - 1e-4
    assert (kept >= policy.rule.min_engagement_slate * usual - 1e-5).all()
