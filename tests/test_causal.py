"""Effects against a truth that is known, and rewards by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from recbole_esmr.causal.effects import Effect, domain_graph, estimate_effects, judged
from recbole_esmr.causal.panel import CONFOUNDERS, make_panel
from recbole_esmr.causal.reward import ItemEffects, Reward
from recbole_esmr.data.trace import Trace
from recbole_esmr.errors import IdentificationError


def _panel(effect: float, people=120, days=20, seed=0) -> pd.DataFrame:
    """Mood draws people to negative items and carries over to tomorrow: the naive association is wrong, the effect known."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(people), days)
    n = len(user)
    home = rng.normal(0.3, 0.3, people)[user]
    today = home + rng.normal(0, 0.3, n)
    negative = np.clip(0.3 - 0.2 * today + rng.normal(0, 0.1, n), 0, 1)
    frame = {name: rng.normal(0, 0.1, n) for name in CONFOUNDERS}
    frame |= {"valence_today": today, "home_valence": home, "weekend": rng.integers(0, 2, n).astype(float)}
    shared = rng.normal(0, 0.1, people)[user]  # what the clustered interval has to notice
    tomorrow = 0.4 * today + 0.3 * home + effect * negative + shared + rng.normal(0, 0.2, n)
    treatments = {"negative_exposure": negative, "positive_exposure": rng.uniform(0, 0.3, n)}
    return pd.DataFrame({"user": user, "day": 0} | treatments | frame | {"valence": tomorrow})


def test_the_back_door_finds_the_truth_where_the_naive_association_does_not():
    negative, positive = estimate_effects(_panel(-0.5), level=0.95, placebos=20, seed=1)
    assert (negative.treatment, negative.outcome, negative.state) == ("negative_exposure", "valence", "all")
    assert negative.low < -0.05 < negative.high  # the truth: −0.5 · 0.1
    assert abs(negative.estimate + 0.05) < 0.02
    assert abs(negative.naive + 0.05) > 3 * abs(negative.estimate + 0.05)
    assert negative.passed and negative.weight < 0 and abs(negative.weight) < abs(negative.estimate)
    assert abs(negative.refutations["placebo_treatment"]["statistic"]) < 0.01
    assert positive.low < 0 < positive.high and positive.weight == 0


def test_no_effect_no_weight():
    assert [effect.weight for effect in estimate_effects(_panel(0.0, seed=4), 0.95, 20, 1)] == [0, 0]


def test_estimate_and_interval_equal_statsmodels():
    panel = _panel(-0.5)
    ours = estimate_effects(panel, 0.9, 10, 1, ["negative_exposure"])[0]
    design = sm.add_constant(panel[["negative_exposure", "positive_exposure", *CONFOUNDERS]])
    fit = sm.OLS(panel["valence"], design).fit(cov_type="cluster", cov_kwds={"groups": panel["user"]}, use_t=True)
    low, high = fit.conf_int(alpha=0.1).loc["negative_exposure"]
    assert np.allclose([ours.estimate, ours.low, ours.high], 0.1 * np.array([fit.params["negative_exposure"], low, high]))


def test_the_graph_has_tiers():
    graph = domain_graph("negative_exposure", "valence")
    assert list(graph.successors("valence")) == []
    assert set(graph.predecessors("negative_exposure")) == {"positive_exposure", *CONFOUNDERS}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda panel: panel.head(20), "20 user-days of 1 people"),
        (lambda panel: panel.assign(negative_exposure=0.2), "negative_exposure is the same on all user-days"),
        (lambda panel: panel.assign(valence=0.2), "valence is the same on all user-days"),
    ],
)
def test_what_cannot_be_estimated_is_an_error(change, says):
    with pytest.raises(IdentificationError, match=says):
        estimate_effects(change(_panel(0.1)), 0.95, 10, 1)


@pytest.mark.parametrize(
    ("estimate", "low", "high", "passed", "error", "weight"),
    [
        (-0.04, -0.06, -0.02, True, 0.01, -0.04 * (1 - 1 / 16)),
        (0.04, -0.01, 0.09, True, 0.025, 0.0),  # the interval holds 0
        (-0.04, -0.06, -0.02, False, 0.01, 0.0),  # the refutation failed
        (0.02, 0.001, 0.04, True, 0.03, 0.0),  # less than its own error
    ],
)
def test_weight_by_hand(estimate, low, high, passed, error, weight):
    refutation = {"placebo_treatment": {"statistic": 0.0, "passed": passed}}
    effect = judged(Effect("negative_exposure", "valence", "all", estimate, low, high, 0.0, 99, refutation), error)
    assert effect.weight == pytest.approx(weight) and effect.passed is passed


def _trace(valence, exposure) -> Trace:
    users, days = valence.shape
    nothing = np.zeros((users, days))
    return Trace(
        first_day=1,
        emotion=np.where(np.isfinite(valence), 0, -1),
        valence=valence,
        features=np.zeros((users, days, 0)),
        feature_names=(),
        present=np.isfinite(exposure[..., 0]),
        exposure=exposure,
        engagement=nothing + 0.5,
        emotion_hours=np.zeros((users, days, 9)),
        category_hours=np.zeros((users, days, 1)),
        profile=np.zeros(users, dtype=int),
        profiles=("x",),
        consent=np.ones(users, dtype=bool),
        role=np.zeros((users, days), dtype=np.int8),
    )


def test_panel_by_hand():
    nan = np.nan
    valence = np.array([[0.2, -0.4, nan, 0.6, 0.0]])
    negative = np.array([[0.1, 0.2, 0.3, 0.4, 0.5]])
    trace = _trace(valence, np.stack([negative, 1 - negative], axis=-1))
    panel = make_panel(trace, use=np.ones((1, 5), dtype=bool))
    assert panel["day"].tolist() == [0, 3]  # days with a report today and tomorrow
    assert panel["valence"].tolist() == [-0.4, 0.0]
    assert panel["valence_today"].tolist() == [0.2, 0.6]
    assert panel["negative_exposure"].tolist() == [0.1, 0.4]
    assert np.allclose(panel["home_valence"], [0.2, (0.2 - 0.4 + 0.6) / 3])
    assert np.allclose(panel["valence_yesterday"], [0.2, (0.2 - 0.4 + 0.6) / 3])  # none known: the person's mean
    assert np.allclose(panel["negative_exposure_yesterday"], [0.1, 0.3])
    held_out = np.array([[True, True, True, True, False]])
    assert make_panel(trace, use=held_out)["day"].tolist() == [0]


def test_item_effects_by_hand():
    effects = [
        {"treatment": "negative_exposure", "outcome": "valence", "state": "all", "weight": -0.04},
        {"treatment": "positive_exposure", "outcome": "valence", "state": "all", "weight": 0.02},
        {"treatment": "positive_exposure", "outcome": "engagement", "state": "all", "weight": 9.0},
    ]
    negative, positive = np.array([0, 0.5, 0]), np.array([0, 0, 0.8])
    assert np.allclose(ItemEffects.from_weights(effects, negative, positive).valence, [0, -0.2, 0.16])


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


@pytest.mark.slow
def test_intervals_cover_the_truth_and_nothing_is_found_where_nothing_is():
    """100 logs with an effect of −0.05 and 100 with none: coverage of the 95 % interval, and how often a null gets a weight."""
    covered, found, false_alarms = 0, 0, 0
    for seed in range(100):
        effect = estimate_effects(_panel(-0.5, people=60, days=15, seed=seed), 0.95, 20, seed, ["negative_exposure"])[0]
        covered += effect.low < -0.05 < effect.high
        found += effect.weight < 0
        null = estimate_effects(_panel(0.0, people=60, days=15, seed=1000 + seed), 0.95, 20, seed, ["negative_exposure"])[0]
        false_alarms += null.weight != 0
    assert covered >= 90 and found >= 90 and false_alarms <= 10, (covered, found, false_alarms)
