"""Off-policy estimates: by hand, against known truth, and what they refuse; and ESMR's own slates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recbole_esmr.data.user_days import SlateIndex
from recbole_esmr.errors import DataError
from recbole_esmr.model.ranking import WATCH_TIME
from recbole_esmr.ope import ESTIMATORS, LoggedSlates, doubly_robust, ips, snips
from recbole_esmr.ope.estimators import _ratio
from recbole_esmr.trainer.off_policy import calibration, deploy, held_out, off_policy_estimates
from tests.feeds import PROVEN, model_of

GOOD = {
    "slate": np.array([0, 0, 1]),
    "reward": np.array([1.0, 2.0, 4.0]),
    "propensity": np.array([0.5, 0.25, 0.5]),
    "chosen": np.array([True, False, True]),
    "predicted": np.array([0.5, 1.0, 3.0]),
    "person": np.array([7, 8]),
    "size": np.array([1, 1]),
    "value": np.array([0.5, 3.0]),
}


def test_estimates_by_hand():
    log = LoggedSlates(**GOOD)
    assert ips(log).mean == pytest.approx((1 / 0.5 + 4 / 0.5) / 2)
    assert snips(log).mean == pytest.approx((1 / 0.5 + 4 / 0.5) / (1 / 0.5 + 1 / 0.5))
    assert doubly_robust(log).mean == pytest.approx((0.5 + 0.5 / 0.5 + 3 + 1 / 0.5) / 2)
    nothing = LoggedSlates(**{**GOOD, "chosen": np.zeros(3, dtype=bool)})
    assert ips(nothing).mean == 0 and np.isnan(snips(nothing).mean) and doubly_robust(nothing).mean == pytest.approx(1.75)


def test_one_person_has_no_interval():
    found = ips(LoggedSlates(**{**GOOD, "person": np.array([7, 7])}))
    assert found.mean == 5 and np.isnan(found.low) and np.isnan(found.high)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"propensity": np.array([0.5, 0.0, 0.5])}, r"propensity is 0 to 0\.5; expected chances in \(0, 1\]"),
        ({"propensity": np.array([0.5, 1.5, 0.5])}, r"propensity is 0\.5 to 1\.5"),
        ({"propensity": np.array([0.5, np.nan, 0.5])}, "propensity is nan to nan"),
        ({"reward": np.array([1.0, np.inf, 0.0])}, "reward is 1 numbers that are not finite"),
        ({"reward": np.array([1.0])}, r"reward is \(1,\); expected \(3,\)"),
        ({"value": np.zeros(3)}, r"value is \(3,\); expected \(2,\)"),
        ({"slate": np.array([0, 0, 2])}, "slate is 0 to 2; expected 0 to 1"),
        ({"chosen": np.array([1, 0, 1])}, "chosen is int64; expected bool"),
    ],
)
def test_wrong_arguments_are_named(change, says):
    with pytest.raises(DataError, match=says):
        LoggedSlates(**{**GOOD, **change})


def test_intervals_hold_a_known_truth():
    """One item a slate of five, shown by known chances; the judged policy shows item 0: worth .7 on the mean."""
    rng, held = np.random.default_rng(0), dict.fromkeys(ESTIMATORS, 0)
    chance, worth = np.array([0.1, 0.2, 0.2, 0.2, 0.3]), np.array([0.7, 0.3, 0.5, 0.1, 0.2])
    for _ in range(200):
        person = np.repeat(np.arange(60), 10)
        item = rng.choice(5, 600, p=chance)
        liking = np.repeat(rng.normal(0, 0.2, 60), 10)
        log = LoggedSlates(
            slate=np.arange(600), reward=worth[item] + liking + rng.normal(0, 0.3, 600), propensity=chance[item],
            chosen=item == 0, predicted=np.full(600, 0.6), person=person, size=np.ones(600), value=np.full(600, 0.6),
        )  # fmt: skip
        for name, estimator in ESTIMATORS.items():
            found = estimator(log, 0.95)
            held[name] += found.low <= 0.7 <= found.high
    assert all(0.9 <= count / 200 <= 0.99 for count in held.values()), held


def test_ratio_intervals_against_a_bootstrap_of_people():
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(300), 4)
    top, bottom = rng.gamma(2, 1, 1200) + np.repeat(rng.normal(0, 1, 300), 4), rng.gamma(3, 1, 1200)
    said = _ratio(top, bottom, user, 0.95)
    tops, bottoms = top.reshape(300, 4).sum(axis=1), bottom.reshape(300, 4).sum(axis=1)
    draws = rng.integers(0, 300, (4000, 300))
    low, high = np.quantile(tops[draws].sum(axis=1) / bottoms[draws].sum(axis=1), [0.025, 0.975])
    assert said.mean == pytest.approx(top.sum() / bottom.sum())
    assert (said.low, said.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


# -- ESMR's own slates -------------------------------------------------------------------------------------------------


def _of(model):
    return model.log, model.beliefs(), model.rankers, replace(model.settings.serving, rank_by=WATCH_TIME)


def test_a_policy_that_shows_what_was_logged_is_worth_what_was_logged(trained):
    """With propensity 1 and the logged slates chosen, SNIPS and DR are both the logged mean."""
    import torch

    model = model_of(trained)
    model.log.impressions.propensity[:] = 1.0
    log, beliefs, rankers, rule = _of(model)
    shown = held_out(log)
    found = deploy(log, beliefs, rankers, rule, shown)
    item = torch.from_numpy(SlateIndex(shown.user, shown.day).padded(shown.item))
    slate = torch.arange(item.shape[1]).expand_as(item).masked_fill(item == 0, -1)
    candidates = replace(found.candidates, item=item, ratio=torch.full(item.shape, 0.3))
    said = off_policy_estimates(log, beliefs, rankers, replace(found, candidates=candidates, slate=slate))
    assert said["matched"] == len(shown)
    watched = shown.watch_ratio * model.catalogue.duration[shown.item] / 60
    minutes = SlateIndex(shown.user, shown.day).padded(watched).sum(axis=1).mean()
    for name in ("logged", "snips", "dr"):
        value = said["watch_minutes"][name]
        assert (value if name == "logged" else value["mean"]) == pytest.approx(minutes, rel=1e-6)


def test_deployed_slates_are_on_offer_and_keep_the_budget(trained):
    log, beliefs, rankers, rule = _of(model_of(trained))
    shown = held_out(log)
    found, slates = deploy(log, beliefs, rankers, rule, shown), SlateIndex(shown.user, shown.day)
    assert found.items.shape[0] == len(slates) and ((found.items > 0).sum(axis=1) <= slates.size).all()
    for user, day, items in zip(slates.user, slates.day, found.items, strict=True):
        assert set(items[items > 0]) <= set(shown.item[shown.day == day]), user
        assert len(set(items[items > 0])) == (items > 0).sum()
    kept, usual = found.engagement, found.usual_engagement
    least = rule.floor(rankers.responses.elasticity) * float(usual.sum())
    assert found.acted.any() and float(kept.sum()) >= float(found.kept.sum()) >= least - 1e-4
    assert (kept >= rule.min_engagement_slate * usual - 1e-4).all()
    proven = _of(model_of(trained, causal=PROVEN))[2]
    dear = replace(proven, responses=replace(proven.responses, mood_cost=1.0))
    cheap, charged = (deploy(log, beliefs, one, rule, shown) for one in (proven, dear))
    assert float(charged.kept.sum()) < float(charged.engagement.sum()) and charged.multiplier < cheap.multiplier
    assert float(charged.kept.sum()) >= least - 1e-4, "what a better mood takes is paid from the same budget"
    closed = deploy(log, beliefs, rankers, replace(rule, gate=replace(rule.gate, rule="never")), shown)
    assert (closed.engagement == closed.usual_engagement).all() and not closed.acted.any() and closed.multiplier is None


def test_calibration_by_hand():
    said = np.linspace(0, 1, 1000)
    found = calibration(said, 3 * said + 1)
    assert found["slope"] == pytest.approx(3) and found["intercept"] == pytest.approx(1) and len(found["bins"]) == 10
    assert np.isnan(calibration(np.ones(5), np.arange(5.0))["slope"])
