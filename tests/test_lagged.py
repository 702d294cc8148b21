"""Effects of what items are, over the days after: traits, the closed test, the posterior, days without a report."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from recbole_esmr.causal.carry_over import worth_of_days
from recbole_esmr.causal.effects import Method
from recbole_esmr.causal.estimates import Estimates, prediction_powered
from recbole_esmr.causal.graph import domain_graph
from recbole_esmr.causal.lagged import estimate_traits
from recbole_esmr.causal.nowcast import nowcast
from recbole_esmr.causal.panel import Design, Panel
from recbole_esmr.causal.posterior import posterior
from recbole_esmr.causal.traits import traits_of
from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.errors import IdentificationError
from tests.test_panel import _trace

EMOTIONS = {"angry": "negative", "lonely": "negative", "anxious": "negative", "happy": "positive", "excited": "positive"}
WORTH = partial(worth_of_days, discount=0.9, kept=0.5)


def _panel(effect, later=0.5, people=300, days=20, seed=0, reports=1.0, behaviour=0.0) -> Panel:
    """Exposures to five emotions act on tomorrow and, by ``later`` of it, on the day after; a hidden mood draws people to all.

    Args:
        effect: (5,) of a unit of exposure.
        reports: share of the days with one; behaviour: how much of the noise of a day its behaviour tells.
    """
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(people), days)
    n = len(user)
    home, hidden = rng.normal(0.3, 0.2, people)[user], rng.normal(0, 1, n)
    shown = rng.uniform(0, 0.4, (n, 5))
    exposure = 0.8 * shown - 0.05 * hidden[:, None] + rng.normal(0, 0.03, shown.shape)
    noise = [rng.normal(0, 0.3, n) for _ in range(2)]
    moods = [home + part * exposure @ np.array(effect) + 0.1 * hidden + e for part, e in zip((1, later), noise, strict=True)]
    table = {"user": user, "state": 0.0, "home_valence": home}
    for j, name in enumerate(EMOTIONS):
        table |= {f"exposure_{name}": exposure[:, j], f"shown_exposure_{name}": shown[:, j]}
    names, told = ("valence", "valence_2"), ("told_valence", "told_valence_2")
    for name, behind, mood, e in zip(names, told, moods, noise, strict=True):
        table[name] = np.where(rng.random(n) < reports, mood, np.nan)
        table[behind] = mood - e + behaviour * e + rng.normal(0, 0.05, n)
    design = Design(
        treatments=("negative_exposure", "positive_exposure"), outcomes=("valence",), confounders=("home_valence",),
        instruments={"negative_exposure": "shown_negative", "positive_exposure": "shown_positive"},
        traits={f"exposure_{name}": sign for name, sign in EMOTIONS.items()},
        trait_instruments={f"exposure_{name}": f"shown_exposure_{name}" for name in EMOTIONS},
        later=names, told=told if behaviour else (),
    )  # fmt: skip
    frame = pd.DataFrame(table)
    for sign in ("negative", "positive"):
        of_sign = [name for name, group in EMOTIONS.items() if group == sign]
        frame[f"{sign}_exposure"] = frame[[f"exposure_{name}" for name in of_sign]].mean(axis=1)
        frame[f"shown_{sign}"] = frame[[f"shown_exposure_{name}" for name in of_sign]].mean(axis=1)
    return Panel(frame, design)


def _found(panel, **options):
    return estimate_traits(panel, Method(domain_graph(panel.design), placebos=10, **options), WORTH)


def test_effects_that_cancel_within_a_sign_are_found_one_by_one():
    """Two negative emotions harm, one relieves as much as both: exposure by sign moves nothing."""
    truth = np.array([-0.25, 0.5, -0.25, 0.3, -0.3])
    found = _found(_panel(truth))
    assert found[0].joint < 0.001 and found[0].passed and found[0].identified_by == "slate"
    assert [np.sign(effect.weight) for effect in found] == [np.sign(x) for x in truth]
    for effect, true in zip(found, truth, strict=True):
        assert effect.low < 0.1 * true < effect.high and effect.by_day[0]["estimate"] == effect.estimate
        assert effect.by_day[1]["low"] < 0.05 * true < effect.by_day[1]["high"]
        assert effect.together["low"] < 0.15 * true < effect.together["high"]
        worth = 0.1 * true * (WORTH(2) @ [1, 0.5])
        assert effect.shrunk["low"] < worth < effect.shrunk["high"]
        assert 0 < abs(effect.weight) < abs(effect.shrunk["estimate"]), "discounted by its uncertainty"
        assert effect.backdoor["high"] < effect.high, "the hidden mood misleads what was watched"


def test_an_effect_that_comes_a_day_later_is_found():
    found = _found(_panel(np.array([-0.4, -0.4, -0.4, 0.3, 0.3]) * 0.02, later=50))
    assert found[0].joint < 0.025 and all(effect.weight < 0 for effect in found[:3])
    assert abs(found[0].by_day[1]["estimate"]) > 3 * abs(found[0].estimate)


def test_days_after_that_the_reports_do_not_reach_are_left_out():
    """Of the day after tomorrow hardly anything is known: tomorrow alone is asked, and counts whole."""
    truth = np.array([-0.4, -0.4, -0.4, 0.3, 0.3])
    panel = _panel(truth)
    panel.table.loc[20:, "valence_2"] = np.nan
    found = _found(panel)
    assert all(len(effect.by_day) == 1 for effect in found) and [np.sign(x.weight) for x in found] == np.sign(truth).tolist()
    assert found[0].shrunk["low"] < 0.1 * truth[0] < found[0].shrunk["high"]
    panel.table["valence"] = np.nan
    with pytest.raises(IdentificationError, match="0 user-days of 0 people have a feed and a known valence on the next day"):
        _found(panel)


def test_few_people_are_asked_after_less():
    """Five traits over two days are ten effects: of 36 people nine can be asked, so one day; of 13, three traits of one day."""
    truth = np.array([-1.0, -1.0, -1.0, 0.8, 0.8])
    for people, days, traits in ((41, 2, 5), (36, 1, 5), (13, 1, 3)):
        found = _found(_panel(truth, people=people, days=30))
        assert (len(found), len(found[0].by_day)) == (traits, days)
        assert found[0].low < 0.1 * truth[0] < found[0].high, "what is not asked after is still taken into account"


def test_where_nothing_is_nothing_weighs():
    closed = [all(effect.weight == 0 for effect in _found(_panel(np.zeros(5), seed=seed, people=100))) for seed in range(12)]
    assert sum(closed) >= 11


def test_effects_whose_promise_is_refuted_weigh_nothing(monkeypatch):
    """The five go through one set of refutations, on the day on which they are clearest; if one fails, none has a weight."""
    panel = _panel(np.array([-0.4, -0.4, -0.4, 0.3, 0.3]) * 0.1, later=10, people=200)
    asked = []

    def failing(rows, pairs, outcome, adjust, method):
        asked.append((pairs["promise"], outcome))
        return {"placebo_treatment": {"statistic": 0.0, "passed": False}}

    assert any(effect.weight for effect in _found(panel))
    monkeypatch.setattr("recbole_esmr.causal.lagged.refutations_of", failing)
    found = _found(panel)
    assert asked == [("shown_promise", "valence_2")]
    assert found[0].joint < 0.025 and all(effect.weight == 0 and not effect.passed for effect in found)


def test_a_trait_that_says_what_others_say_is_left_out():
    panel = _panel(np.array([-0.4, -0.4, -0.4, 0.3, 0.3]))
    table = panel.table.assign(same=panel.table["exposure_angry"], shown_same=panel.table["shown_exposure_angry"], never=0.0)
    design = replace(
        panel.design,
        traits={**panel.design.traits, "same": "category", "never": "category"},
        trait_instruments={**panel.design.trait_instruments, "same": "shown_same", "never": "never"},
    )
    assert [effect.treatment for effect in _found(Panel(table, design))] == [f"exposure_{name}" for name in EMOTIONS]
    with pytest.raises(IdentificationError, match="nothing of what items are varies"):
        _found(Panel(table, replace(design, traits={"never": "category"})))


def test_days_without_a_report_shorten_the_intervals_by_what_behaviour_tells():
    """One report in ten days and behaviour that tells 90 % of a day's noise: intervals of a third, and the truth inside."""
    truth = np.array([-0.3, -0.3, -0.3, 0.2, 0.2])
    panel = _panel(truth, people=400, reports=0.1, behaviour=0.9)
    without = Panel(panel.table, replace(panel.design, told=()))
    with_told, reports_alone = (np.array([(x.estimate, x.low, x.high) for x in _found(p)]).T for p in (panel, without))
    width = [(high - low).mean() for _, low, high in (with_told, reports_alone)]
    assert width[0] < 0.5 * width[1]
    assert ((with_told[1] < 0.1 * truth) & (0.1 * truth < with_told[2])).sum() >= 4


def test_what_is_told_wrongly_costs_nothing():
    """Told the opposite of the effect, and noise: the estimate stays with the reports."""
    truth = np.array([-0.3, -0.3, -0.3, 0.2, 0.2])
    panel = _panel(truth, people=400, reports=0.2, behaviour=0.1)
    rng = np.random.default_rng(5)
    wrong = {name: rng.normal(0, 1, len(panel.table)) - 3 * panel.table["exposure_angry"] for name in panel.design.told}
    found = _found(Panel(panel.table.assign(**wrong), panel.design))
    plain = _found(Panel(panel.table, replace(panel.design, told=())))
    for effect, other in zip(found, plain, strict=True):
        assert effect.error <= other.error * 1.001 and effect.estimate == pytest.approx(other.estimate, abs=other.error)


@pytest.mark.slow
def test_coverage_with_and_without_days_that_behaviour_tells():
    truth, covered, count = np.array([-0.3, 0.3, -0.3, 0.2, -0.2]), {True: 0, False: 0}, 0
    for seed in range(100):
        panel = _panel(truth, people=150, seed=seed, reports=0.3, behaviour=0.7)
        for told in (True, False):
            used = panel if told else Panel(panel.table, replace(panel.design, told=()))
            covered[told] += sum(x.low < 0.1 * true < x.high for x, true in zip(_found(used), truth, strict=True))
        count += 5
    assert all(0.92 * count < held < 0.98 * count for held in covered.values()), covered


# -- the test and the posterior ------------------------------------------------------------------------------------------


def _posterior(estimate, covariance, signs, **options):
    size = len(estimate)
    every, day = np.arange(size), np.zeros(size, dtype=int)
    return posterior(estimate, covariance, np.array(signs), every, day, np.ones(size, dtype=bool), people=500, **options)


def test_the_closed_test_has_the_false_alarms_it_promises():
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(6, 6))
    covariance = mix @ mix.T / 6 + 0.2 * np.eye(6)
    draws = rng.multivariate_normal(np.zeros(6), covariance, size=300)
    rejected = sum(_posterior(draw, covariance, [0, 0, 0, 1, 1, 1], seed=k).p_value < 0.05 for k, draw in enumerate(draws))
    assert 5 <= rejected <= 27, "one in twenty of 300"


def test_the_closed_test_finds_a_faint_common_effect_and_one_strong_emotion():
    """2.2 standard errors each in three of a sign: no line of the table proves it; or one of 4.5 beside five of none."""
    common = _posterior(np.array([-1.9, -1.9, -1.9, 1.7, 1.7, 1.7]), np.eye(6), [0, 0, 0, 1, 1, 1])
    alone = _posterior(np.array([0.3, -4.5, 0.1, 0.2, -0.3, 0.1]), np.eye(6), [0, 0, 0, 1, 1, 1])
    nothing = _posterior(np.array([0.5, -0.8, 0.3, 0.9, -0.6, 0.1]), np.eye(6), [0, 0, 0, 1, 1, 1])
    assert common.p_value < 0.025 and alone.p_value < 0.025 and nothing.p_value > 0.3


def test_the_posterior_draws_toward_the_group_and_an_odd_one_out_stays_itself():
    alike = _posterior(np.array([-5.0, -4.0, -1.0, 3.0]), np.eye(4), [0, 0, 0, 1])
    assert -4 < alike.mean[2] < -1.3, "borrows from its sign"
    assert alike.mean[3] > 1.5, "but not from the other"
    odd = _posterior(np.array([-9.0, -8.0, 8.5, 8.0]), np.eye(4), [0, 0, 0, 1])
    assert odd.mean[2] > 7 and np.sqrt(np.diag(odd.covariance))[2] < 1.1


def test_the_posterior_of_one_effect_equals_the_grid_by_hand():
    """N(b, 1), prior N(0, ω² + τ²) over the grid: the likelihood-weighted mean of shrunk estimates."""
    found = posterior(
        np.array([3.0]), np.eye(1), np.zeros(1), np.zeros(1), np.zeros(1, dtype=int), np.ones(1, dtype=bool), 10_000
    )
    spreads = np.array([0, 0.5, 1, 2, 4])
    variance = (spreads[:, None] ** 2 + spreads**2).ravel()[1:]
    likelihood = np.exp(-9 / 2 / (1 + variance)) / np.sqrt(1 + variance)
    weight, shrunk = likelihood / likelihood.sum(), variance / (1 + variance)
    mean = (weight * shrunk * 3).sum()
    spread = (weight * (shrunk + (3 * shrunk - mean) ** 2)).sum()
    assert found.mean[0] == pytest.approx(mean) and found.covariance[0, 0] == pytest.approx(spread)
    assert found.p_value == pytest.approx(0.0027, abs=0.003)
    total, width = found.of(np.array([[2.0]]))
    assert total[0] == pytest.approx(2 * mean) and width[0] == pytest.approx(2 * np.sqrt(spread))


def test_too_few_people_for_so_many_effects_is_an_error():
    with pytest.raises(IdentificationError, match="8 people have days that say something; 6 effects need at least 9"):
        posterior(np.zeros(6), np.eye(6), np.zeros(6), np.arange(6), np.zeros(6, dtype=int), np.ones(6, dtype=bool), 8)


def test_prediction_powered_by_hand():
    """One effect, two people: b = 1 with influence (1, −1), gap 0.4 with influence (0.5, 0): λ = 0.5 / 0.25, cut to 1."""
    reports = Estimates(np.array([1.0]), np.array([[1.0], [-1.0]]))
    told, everywhere = Estimates(np.array([0.7]), np.array([[0.5], [0.2]])), Estimates(np.array([0.3]), np.array([[0.0], [0.2]]))
    found = prediction_powered(reports, told, everywhere)
    assert found.value == pytest.approx([0.6]) and found.influence.ravel() == pytest.approx([0.5, -1.0])
    same = prediction_powered(reports, told, told)
    assert same.value == pytest.approx([1.0]) and same.influence.ravel() == pytest.approx([1.0, -1.0])


# -- what items are, and what behaviour tells ----------------------------------------------------------------------------


def _items() -> Catalogue:
    return Catalogue(
        share=np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]]),
        place=np.array([-0.5, 0.6, -0.7]),
        intensity=np.array([0, 0.8, 0.4, 1.0, 0]),
        category=np.array([-1, 0, 1, 1, -1]),
        categories=("fun", "news"),
        duration=np.array([30.0, 30.0, 30.0, 30.0, 30.0]),
        columns={"year": np.array([np.nan, 1990, 2000, np.nan, 2010]), "language": np.array(["", "en", "de", "en", ""])},
    )


def test_traits_by_hand():
    made = traits_of(_items(), ("sad", "happy", "angry"), ["emotion", "category", "year", "language", "duration", "emotion"])
    found = dict(zip(made.names, zip(made.groups, made.value.T.tolist(), strict=True), strict=True))
    year = np.sqrt(1.5)
    assert found == {
        "exposure_sad": ("negative", [0, 0.8, 0, 0, 0]),
        "exposure_happy": ("positive", [0, 0, 0.4, 1, 0]),
        "exposure_category=fun": ("category", [0, 1, 0, 0, 0]),
        "exposure_category=news": ("category", [0, 0, 1, 1, 0]),
        "exposure_year": ("year", [0, pytest.approx(-year), 0, 0, pytest.approx(year)]),
        "exposure_language=de": ("language", [0, 0, 1, 0, 0]),
        "exposure_language=en": ("language", [0, 1, 0, 1, 0]),
        "exposure_duration": ("duration", [0, 0, 0, 0, 0]),
    }
    assert len(traits_of(_items(), (), [])) == 0 and traits_of(_items(), (), []).value.shape == (5, 0)


def test_a_column_of_many_values_keeps_the_commonest():
    token = np.array(["", *(f"t{j % 40:02d}" for j in range(500)), "t39", "t38"])
    one = np.ones(len(token))
    catalogue = Catalogue(np.zeros((len(one), 0)), np.zeros(0), 0 * one, one.astype(int) * -1, (), one, {"tag": token})
    assert len(traits_of(catalogue, (), ["tag"])) == 30
    assert "exposure_tag=t38" not in traits_of(catalogue, (), ["tag"]).names or token.tolist().count("t38") > 12


def test_a_nowcast_follows_the_mood_and_never_reads_the_report_it_tells():
    rng = np.random.default_rng(0)
    mood = rng.normal(0.2, 0.3, (60, 1)) + rng.normal(0, 0.3, (60, 20))
    trace = _trace(np.where(rng.random(mood.shape) < 0.5, mood, np.nan), np.full((60, 20, 2), 0.1))
    steps = np.exp(3 + mood + rng.normal(0, 0.05, mood.shape)) + rng.exponential(5, (60, 1))
    trace = replace(trace, features=steps[..., None], feature_names=("steps",))
    every = np.ones(mood.shape, dtype=bool)
    told = nowcast(trace, every)
    assert np.corrcoef(told.ravel(), mood.ravel())[0, 1] > 0.9
    other = replace(trace, valence=trace.valence.copy())
    user, day = np.argwhere(np.isfinite(trace.valence))[100]
    other.valence[user, day] = -1.0
    assert nowcast(other, every)[user, day] == told[user, day]
    other.valence[user] = -1.0  # all of a person's reports: what was learned of the others still tells them
    assert np.allclose(nowcast(other, every)[user], nowcast(other, every)[user]) and (nowcast(other, every)[user] < 0.9).all()
    half = every.copy()
    half[:, 10:] = False
    late = replace(trace, valence=np.where(half, trace.valence, 0.9), features=np.where(half[..., None], trace.features, 7.0))
    assert np.array_equal(nowcast(late, half), nowcast(trace, half), equal_nan=True), "nothing of a day that may not be used"
    assert np.isnan(nowcast(replace(trace, consent=np.zeros(60, dtype=bool)), every)).all()
    assert np.isnan(nowcast(replace(trace, valence=np.full(mood.shape, np.nan)), every)).all()
