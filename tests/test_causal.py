"""Effects against a truth that is known: estimates, intervals, refutations, weights."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from dowhy import CausalModel
from dowhy.causal_refuter import test_significance as dowhy_significance
from hypothesis import given
from hypothesis import strategies as st
from linearmodels.iv import IV2SLS
from scipy.stats import f

from recbole_esmr.causal import linear
from recbole_esmr.causal.analysis import analyse, warnings_of
from recbole_esmr.causal.effects import Effect, Method, discounted, estimate_effects, judged, weigh_parts
from recbole_esmr.causal.graph import domain_graph
from recbole_esmr.causal.linear import fit_linear
from recbole_esmr.causal.panel import Design, Panel
from recbole_esmr.causal.refutation import SIGNIFICANCE, chance_of_nothing, identified, quiet, refute
from recbole_esmr.causal.sensitivity import explain_away
from recbole_esmr.causal.shrinkage import shrunk
from recbole_esmr.data.importers import import_data
from recbole_esmr.errors import IdentificationError
from recbole_esmr.quick_start import estimate_causal
from recbole_esmr.simulation import load_world, simulate
from tests.conftest import SHARED

WATCHED = Design(("negative_exposure", "positive_exposure"), ("valence",), ("valence_today", "home_valence"))
SHOWN = replace(WATCHED, instruments={"negative_exposure": "shown_negative", "positive_exposure": "shown_positive"})


def _panel(effect: float, hidden=0.0, people=120, days=20, seed=0, design=WATCHED) -> Panel:
    """Mood draws people to negative items and carries over to tomorrow; ``hidden`` is a mood that nobody reports.

    What is shown is random; the naive association is wrong, the back door too if there is a hidden mood; the effect is known.
    """
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(people), days)
    n = len(user)
    home = rng.normal(0.3, 0.3, people)[user]
    today, unsaid = home + rng.normal(0, 0.3, n), rng.normal(0, 1, n)
    shown = rng.uniform(0, 0.4, n)
    negative = 0.8 * shown - 0.1 * today - 0.08 * hidden * unsaid + rng.normal(0, 0.05, n)
    shared = rng.normal(0, 0.1, people)[user]  # what the clustered interval has to notice
    tomorrow = 0.4 * today + 0.3 * home + effect * negative + 0.1 * hidden * unsaid + shared + rng.normal(0, 0.2, n)
    other = rng.uniform(0, 0.3, n)
    table = {"user": user, "state": (today < 0).astype(float), "valence_today": today, "home_valence": home}
    table |= {"negative_exposure": negative, "positive_exposure": other + rng.normal(0, 0.02, n)}
    table |= {"shown_negative": shown, "shown_positive": other, "valence": tomorrow}
    return Panel(pd.DataFrame(table), design)


def _method(panel: Panel, **options) -> Method:
    return Method(domain_graph(panel.design), **({"placebos": 10, "seed": 1} | options))


def test_the_back_door_finds_the_truth_where_the_naive_association_does_not():
    panel = _panel(-0.5)
    negative, positive = estimate_effects(panel, "valence", _method(panel, placebos=20))
    assert (negative.treatment, negative.outcome, negative.state) == ("negative_exposure", "valence", "all")
    assert negative.identified_by == "back-door" and negative.low < -0.05 < negative.high  # the truth: −0.5 · 0.1
    assert abs(negative.naive + 0.05) > 3 * abs(negative.estimate + 0.05)
    assert negative.passed and negative.weight < 0 and abs(negative.weight) < abs(negative.estimate)
    assert set(negative.refutations) == {
        *("placebo_treatment", "random_common_cause", "data_subset", "propensity_weighting", "unobserved_common_cause"),
    }
    assert abs(negative.refutations["placebo_treatment"]["statistic"]) < 0.01
    assert abs(negative.refutations["propensity_weighting"]["statistic"] + 0.05) < 0.02
    assert positive.low < 0 < positive.high and positive.weight == 0 and positive.refutations == {}


def test_what_was_shown_finds_the_truth_where_a_hidden_mood_misleads_the_back_door_and_a_warning_says_so():
    panel = _panel(-0.5, hidden=1.0, design=SHOWN)
    effect = estimate_effects(panel, "valence", _method(panel))[0]
    assert effect.identified_by == "slate" and effect.low < -0.05 < effect.high
    assert effect.backdoor["high"] < -0.05 and effect.backdoor["differs"] < 0.001  # the back door: wrong, and sure of it
    assert effect.refutations["slate_moves_exposure"]["passed"] and effect.weight < 0
    assert "something that is not logged drives both watching and mood" in warnings_of([effect])[0]
    honest = _panel(-0.5, hidden=0.0, design=SHOWN)
    assert warnings_of(estimate_effects(honest, "valence", _method(honest))) == []


def test_a_back_door_effect_comes_with_what_it_rests_on():
    panel = _panel(-0.5)
    said = warnings_of(estimate_effects(panel, "valence", _method(panel)))
    assert len(said) == 1 and "what was shown is not logged" in said[0]


def test_no_effect_no_weight():
    for design in (WATCHED, SHOWN):
        panel = _panel(0.0, seed=4, design=design)
        assert [effect.weight for effect in estimate_effects(panel, "valence", _method(panel))] == [0, 0]


@pytest.mark.parametrize(("moves", "proof"), [(0.04, False), (0.08, True)])
def test_a_slate_that_hardly_moves_the_exposure_is_no_proof(moves, proof):
    """The interval leaves out 0 and every other check passes: only the strength of the slate tells the two apart."""
    table, noise = _panel(-0.5, hidden=1.0, design=SHOWN).table, np.random.default_rng(1).normal(0, 0.1, 2400)
    weak = table.assign(shown_negative=moves * table["shown_negative"] + noise, valence=table["valence"] - 0.3 * noise)
    panel = Panel(weak, SHOWN)
    effect = estimate_effects(panel, "valence", _method(panel))[0]
    assert effect.high < 0 and effect.joint < 0.05 and (effect.strength > 10) == proof
    failed = [name for name, refutation in effect.refutations.items() if not refutation["passed"]]
    assert failed == ([] if proof else ["slate_moves_exposure"]) and (effect.weight < 0) == proof


def test_least_squares_equals_statsmodels():
    table = _panel(-0.5).table
    names, known = ["negative_exposure", "positive_exposure"], ["valence_today", "home_valence"]
    fit = fit_linear(table["valence"].to_numpy(), table[names].to_numpy(), table[known].to_numpy(), table["user"].to_numpy())
    design = sm.add_constant(table[names + known])
    peer = sm.OLS(table["valence"], design).fit(cov_type="cluster", cov_kwds={"groups": table["user"]}, use_t=True)
    assert np.allclose(fit.estimate, peer.params[names]) and np.allclose(fit.error, peer.bse[names])
    assert np.allclose(np.column_stack(fit.interval(0.9)), peer.conf_int(alpha=0.1).loc[names])


def _clustered(treatments: int, seed=0):
    """Outcome, so many treatments with a hidden cause, 2 confounders, person of each row, as many instruments as treatments.

    40 people with 1 to 24 days each, in no order, who differ in their instruments and in what they feel.
    """
    rng = np.random.default_rng(seed)
    person = rng.permutation(np.repeat(np.arange(40), rng.integers(1, 25, 40)))
    n, own, hidden = len(person), rng.normal(size=(40, 4))[person], rng.normal(size=len(person))
    w, z = rng.normal(size=(n, 2)), rng.normal(size=(n, 3)) + own[:, :3]
    x = z @ rng.normal(size=(3, 3)) + w @ rng.normal(size=(2, 3)) + hidden[:, None] + rng.normal(size=(n, 3))
    y = x @ [0.5, -1.0, 0.2] + w @ [1.0, 2.0] + 2 * hidden + own[:, 3] + rng.normal(size=n)
    return y, x[:, :treatments], w, person, z[:, :treatments]


@pytest.mark.parametrize("within_person", [False, True])
@pytest.mark.parametrize("instrumented", [False, True])
@pytest.mark.parametrize("treatments", [1, 3])
@pytest.mark.parametrize("rows_at_once", [100_000, 7])
def test_estimate_and_clustered_covariance_equal_linearmodels(treatments, instrumented, within_person, rows_at_once, monkeypatch):
    monkeypatch.setattr(linear, "BLOCK", rows_at_once)
    y, x, w, person, z = _clustered(treatments)
    fit = fit_linear(y, x, w, person, z if instrumented else None, within_person)
    known = np.column_stack([np.eye(40)[person] if within_person else np.ones(len(y)), w])
    peer = IV2SLS(y, known, x, z) if instrumented else IV2SLS(y, np.column_stack([known, x]), None, None)
    said = peer.fit(cov_type="clustered", clusters=person, debiased=True)  # c = G/(G−1) · (N−1)/(N−K), as ours
    assert fit.people == 40 and np.allclose(fit.estimate, said.params.to_numpy()[-treatments:], rtol=1e-9)
    covariance = said.cov.to_numpy()[-treatments:, -treatments:]
    assert np.allclose(fit.influence.T @ fit.influence, covariance, rtol=1e-9)
    assert np.allclose(fit.error, np.sqrt(np.diag(covariance)), rtol=1e-9)
    assert np.isinf(fit.strength).all() != instrumented


def test_confounders_that_say_the_same_twice_change_nothing(monkeypatch):
    y, x, w, person, z = _clustered(2)
    alone = fit_linear(y, x, w, person, z).estimate
    monkeypatch.setattr(linear, "BLOCK", 50)
    assert np.allclose(fit_linear(y, x, np.column_stack([w, w[:, 0] * 3, w @ [1, 2]]), person, z).estimate, alone, rtol=1e-9)


def test_the_strength_of_an_instrument_equals_linearmodels():
    """With one treatment the clustered F of its first stage; with several t² on what the others leave of the instrument."""
    y, x, w, person, z = _clustered(1)
    clustered = {"cov_type": "clustered", "clusters": person, "debiased": True}
    known = np.column_stack([np.ones(len(y)), w])
    first = IV2SLS(y, known, x, z).fit(**clustered).first_stage
    assert fit_linear(y, x, w, person, z).strength == pytest.approx(first.diagnostics["f.stat"].to_numpy(), rel=1e-9)
    y, x, w, person, z = _clustered(3)
    fit, rows = fit_linear(y, x, w, person, z), len(y)
    for j in range(3):
        alone = IV2SLS(x[:, j], np.column_stack([known, fit.cleaned[:, j]]), None, None).fit(**clustered)
        free = (rows - 6) / (rows - 4)  # K counts all three treatments, here it counts one
        assert fit.strength[j] == pytest.approx(alone.tstats.to_numpy()[-1] ** 2 * free, rel=1e-9)


def test_the_cleaned_slope_is_the_estimate():
    """DoWhy's refuters see these columns alone: so they refute this very estimate."""
    y, x, w, person, z = _clustered(3)
    fit = fit_linear(y, x, w, person, z)
    assert [sm.OLS(fit.outcome, fit.cleaned[:, j]).fit().params[0] for j in range(3)] == pytest.approx(fit.estimate)


@pytest.mark.parametrize(("slope", "rows", "simulations"), [(0.3, 400, 60), (0.0, 400, 60), (-2.0, 3000, 120), (0.05, 3000, 120)])
def test_refuters_on_sums_of_products_say_what_dowhy_says(slope, rows, simulations):
    """The same simulations by other random numbers: their means within four standard errors, their p-values alike."""
    rng = np.random.default_rng(rows)
    x = rng.gamma(2, 1, rows)
    y = slope * x + rng.normal(0, 1, rows)
    frame, error = pd.DataFrame({"treatment": x, "outcome": y}), 1 / np.sqrt(rows * x.var())
    mine = refute(frame, error, simulations, 0)
    with quiet():
        model = CausalModel(frame, "treatment", "outcome", graph=nx.DiGraph([("treatment", "outcome")]))
        estimand = identified(model)
        plain = model.estimate_effect(estimand, method_name="backdoor.linear_regression")
        for name, ours, spread, options in (
            ("placebo_treatment_refuter", "placebo_treatment", error * y.std(), {"placebo_type": "permute"}),
            ("random_common_cause", "random_common_cause", error / np.sqrt(rows), {}),
            ("data_subset_refuter", "data_subset", error / 2, {"subset_fraction": 0.8}),
        ):
            theirs = model.refute_estimate(
                estimand, plain, method_name=name, num_simulations=simulations, random_state=np.random.RandomState(0), **options
            )
            assert mine[ours]["statistic"] == pytest.approx(theirs.new_effect, abs=4 * np.sqrt(2 / simulations) * spread), name
            assert mine[ours]["passed"] is True, name
            if name.startswith("placebo"):
                assert theirs.refutation_result["p_value"] > SIGNIFICANCE


@pytest.mark.parametrize("count", [20, 99, 100, 400])
def test_the_placebos_p_value_is_dowhys(count):
    simulated = np.random.default_rng(count).normal(0.1, 0.2, count)
    theirs = dowhy_significance(SimpleNamespace(value=0.0), simulated)["p_value"]
    assert chance_of_nothing(simulated) == pytest.approx(theirs, rel=1e-9)


def test_refuters_notice_what_is_not_the_data():
    """A single row carries the estimate: four fifths of the rows say something else."""
    rng = np.random.default_rng(0)
    x = np.append(rng.normal(0, 0.01, 200), 50.0)
    found = refute(pd.DataFrame({"treatment": x, "outcome": np.append(np.zeros(200), 1.0)}), 1e-6, 30, 0)
    assert not found["data_subset"]["passed"], "a single row carries it"


def test_habituation_is_averaged_over_the_days_and_not_over_those_who_watch_most():
    rng = np.random.default_rng(0)
    user, n = np.repeat(np.arange(400), 30), 12_000
    used_to = rng.uniform(0, 0.4, 400)[user]
    shown = rng.uniform(0, 0.4, n) * (0.3 + 2 * used_to)
    exposure = shown + rng.normal(0, 0.01, n)
    effect = -0.6 + used_to  # on average −0.4; weaker where more is shown
    table = {"user": user, "state": 0.0, "used_to": used_to, "x": exposure, "z": shown}
    table["valence"] = effect * exposure + rng.normal(0, 0.1, n)
    design = Design(("x",), ("valence",), ("used_to",), {"x": "z"})
    plain, averaged = Panel(pd.DataFrame(table), design), Panel(pd.DataFrame(table), replace(design, moderators={"x": "used_to"}))
    assert estimate_effects(plain, "valence", _method(plain))[0].estimate > -0.037
    assert estimate_effects(averaged, "valence", _method(averaged))[0].estimate == pytest.approx(-0.04, abs=0.0015)


def test_sensitivity_equals_the_closed_form():
    """Robustness value of Cinelli and Hazlett (2020, eq. 16): f = |t|/√df, RV = (√(f⁴ + 4f²) − f²)/2."""
    table = _panel(-0.5).table
    known = table[["valence_today", "home_valence", "positive_exposure"]]
    said = explain_away(table["negative_exposure"].to_numpy(), table["valence"].to_numpy(), known, ("valence_today",), 0)
    peer = sm.OLS(table["valence"], sm.add_constant(pd.concat([table[["negative_exposure"]], known], axis=1))).fit()
    f = abs(peer.tvalues["negative_exposure"]) / np.sqrt(peer.df_resid)
    assert said["statistic"] == pytest.approx((np.sqrt(f**4 + 4 * f**2) - f**2) / 2, rel=1e-6)
    assert said["benchmark"] == "valence_today" and said["passed"] and 0 < said["left"] < 1


def test_a_hidden_cause_as_strong_as_an_observed_one_would_explain_a_faint_effect_away():
    rng = np.random.default_rng(0)
    mood = rng.normal(0, 1, 3000)
    exposure = 0.5 * mood + rng.normal(0, 1, 3000)
    outcome = mood + 0.08 * exposure + rng.normal(0, 1, 3000)
    said = explain_away(exposure, outcome, pd.DataFrame({"mood": mood}), ("mood",), 0)
    assert said["left"] < 0 and not said["passed"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table.head(20), "20 user-days of 1 people have a feed and a known valence"),
        (lambda table: table.assign(negative_exposure=0.2, positive_exposure=0.1), "the same on all user-days"),
        (lambda table: table.assign(valence=0.2), "valence is the same on all user-days"),
        (lambda table: table.assign(positive_exposure=2 * table["negative_exposure"]), "do not vary apart"),
    ],
)
def test_what_cannot_be_estimated_is_an_error(change, says):
    panel = Panel(change(_panel(0.1).table), WATCHED)
    with pytest.raises(IdentificationError, match=says):
        estimate_effects(panel, "valence", _method(panel))


def test_what_the_graph_does_not_identify_is_an_error():
    panel = _panel(-0.5)
    graph = domain_graph(WATCHED)
    graph.add_edges_from([("felt_mood", "negative_exposure"), ("felt_mood", "next_valence")])
    graph.nodes["felt_mood"]["observed"] = "no"
    with pytest.raises(IdentificationError, match="does not identify the effect of negative_exposure on next_valence"):
        estimate_effects(panel, "valence", Method(graph))
    with pytest.raises(IdentificationError, match="does not hold negative_exposure"):
        estimate_effects(panel, "valence", Method(nx.DiGraph([("a", "b")])))


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
    effect = Effect(
        "negative_exposure", "valence", "all", estimate, low, high, 0.0, 99, error, refutations=refutation, joint=0.04
    )
    assert judged(effect, 0.95).weight == pytest.approx(weight) and judged(effect, 0.95).passed is passed
    assert judged(effect, 0.97).weight == 0, "all together prove nothing at that level"


def _no_effect(rng):
    """Outcome, 3 treatments without an effect, 2 confounders, person of each row: 60 people who differ, 8 days each."""
    x, known = rng.standard_normal((480, 3)), rng.standard_normal((480, 2))
    y = known @ [1.0, -1.0] + np.repeat(rng.standard_normal(60), 8) + rng.standard_normal(480)
    return y, x, known, np.repeat(np.arange(60), 8)


@pytest.mark.parametrize("seed", range(3))
def test_the_joint_test_equals_statsmodels(seed):
    y, x, known, person = _no_effect(np.random.default_rng(seed))
    design = sm.add_constant(np.column_stack([x, known]))
    peer = sm.OLS(y, design).fit(cov_type="cluster", cov_kwds={"groups": person}).f_test(np.eye(6)[1:4])
    assert fit_linear(y, x, known, person).joint_test(3) == pytest.approx(f.sf(float(peer.fvalue), 3, 59), rel=1e-6)


def test_the_joint_test_has_the_false_alarms_it_promises():
    rng = np.random.default_rng(0)
    rejected = sum(fit_linear(*_no_effect(rng)).joint_test(3) < 0.05 for _ in range(200))
    assert 2 <= rejected <= 22, "one in twenty"


def test_shrinkage_by_hand():
    # deviations ±0.04 with errors 0.01: τ² = 0.0016 − 0.0001 = 0.0015, k = 0.0015/0.0016
    mean, error = shrunk(np.array([0.06, 0.14]), np.array([0.01, 0.01]), 0.1, 0.005)
    k = 15 / 16
    assert np.allclose(mean, [0.1 - 0.04 * k, 0.1 + 0.04 * k])
    assert np.allclose(error, np.sqrt(k * 0.0001 + (1 - k) ** 2 * 0.000025))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8), st.floats(-1, 1), st.floats(0.01, 1))
def test_a_shrunk_part_lies_between_itself_and_the_whole(parts, whole, error):
    mean, _ = shrunk(np.array(parts), np.full(len(parts), error), whole, 0.1)
    assert (mean >= np.minimum(parts, whole) - 1e-9).all() and (mean <= np.maximum(parts, whole) + 1e-9).all()


@given(st.floats(-1, 1), st.floats(0, 1))
def test_a_discounted_estimate_is_never_larger_and_keeps_its_sign(estimate, error):
    weight = discounted(estimate, error)
    assert abs(weight) <= abs(estimate) and weight * estimate >= 0


def test_parts_borrow_from_the_whole_and_inherit_its_refutation():
    tried = {"placebo_treatment": {"statistic": 0.0, "passed": True}}
    whole = judged(Effect("x", "valence", "all", -0.05, -0.07, -0.03, 0, 99, 0.01, refutations=tried), 0.95)
    parts = [Effect("x", "valence", state, -0.05, -0.11, 0.01, 0, 50, 0.03) for state in ("stable", "vulnerable")]
    weighed = weigh_parts(parts, whole, 1.96)
    assert [part.weight for part in weighed] == [pytest.approx(-0.05 * (1 - 1 / 25))] * 2  # τ² = 0: the whole's
    assert [part.weight for part in weigh_parts(parts, replace(whole, joint=0.06), 1.96)] == [0, 0], "the joint test comes first"
    refuted = replace(whole, passed=False)
    assert [part.weight for part in weigh_parts(parts, refuted, 1.96)] == [0, 0]
    assert weighed[0].shrunk == pytest.approx({"estimate": -0.05, "low": -0.05 - 0.0196, "high": -0.05 + 0.0196})
    untried = replace(whole, refutations={})
    assert [part.weight for part in weigh_parts(parts, untried, 1.96)] == [0, 0]  # nobody tried to refute it


def test_the_whole_stage_by_state_and_the_same_twice():
    panel = _panel(-0.5, design=SHOWN)
    first, second = (analyse(panel, _method(panel)) for _ in range(2))
    assert first.as_dict() == second.as_dict()
    assert {effect.state for effect in first.effects} == {"all", "stable", "vulnerable"}
    by_state = {e.state: e for e in first.effects if e.treatment == "negative_exposure"}
    assert by_state["all"].n_user_days == by_state["stable"].n_user_days + by_state["vulnerable"].n_user_days


@pytest.mark.slow  # tests/test_same_seed.py asks a smaller log the same in every run
def test_the_numbers_are_the_same_in_every_process(tmp_path):
    """DoWhy keeps back-door columns in a set, whose order hangs on PYTHONHASHSEED; no digit of the report may."""
    simulate(load_world("strong"), 100, 60, 10, 3, tmp_path / "log", show_progress=False)
    code = (
        "import json, sys; from recbole_esmr.quick_start import estimate_causal; sys.argv = sys.argv[:1];"
        "keys = {'show_progress': False, 'state': 'ERROR', 'causal_placebos': 10};"
        f"found = estimate_causal({str(tmp_path / 'log')!r}, config_dict=keys, arguments=[], graph_samples=1)[1];"
        "print('JSON', json.dumps(found.as_dict(), default=float), list(found.graph().edges))"
    )
    run = [sys.executable, "-W", "ignore", "-c", code]
    started = [
        subprocess.Popen(run, env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        for seed in ("1", "2")
    ]
    one, other = (process.communicate()[0].partition("JSON")[2] for process in started)
    assert one.count("propensity_weighting") > 1 and one == other


@pytest.mark.slow
def test_intervals_cover_the_truth_and_nothing_is_found_where_nothing_is():
    """100 logs with a hidden mood and an effect of −0.05, and 400 with none: coverage of the 95 % interval, false alarms."""
    covered, found, false_alarms = 0, 0, 0
    for seed in range(100):
        panel = _panel(-0.5, hidden=1.0, people=60, days=15, seed=seed, design=SHOWN)
        effect = estimate_effects(panel, "valence", _method(panel, seed=seed))[0]
        covered += effect.low < -0.05 < effect.high
        found += effect.weight < 0
    for seed in range(1000, 1400):
        panel = _panel(0.0, hidden=1.0, people=60, days=15, seed=seed, design=SHOWN)
        false_alarms += estimate_effects(panel, "valence", _method(panel, seed=seed))[0].weight != 0
    assert covered >= 90 and found >= 60 and false_alarms <= 28, (covered, found, false_alarms)


@pytest.mark.slow
def test_where_content_does_not_touch_labels_nothing_is_found(tmp_path):
    """The ESMR release: its labels come from behaviour alone, so no exposure may have a weight."""
    if not (SHARED / "data" / "esmr-release").is_dir():
        pytest.skip("the ESMR release is not there; it is not shipped")
    import_data("esmr-release", SHARED / "data" / "esmr-release", tmp_path / "release", None)
    values = {"state": "ERROR", "show_progress": False}
    result, _ = estimate_causal(str(tmp_path / "release"), config_dict=values, arguments=[], graph_samples=0)
    exposures = [effect for effect in result["effects"] if "exposure" in effect["treatment"]]
    assert len(exposures) > 20 and {effect["weight"] for effect in exposures} == {0.0}
