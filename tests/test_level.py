"""The level model against exact conditioning of a multivariate normal, on known truth, and on awkward reports."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import multivariate_normal, norm

from recbole_esmr.evaluator.tracker import level_tracker
from recbole_esmr.model.level import COARSE, INERTIAS, NORMAL_80, SWINGS, WIDE, LevelModel

HOME, BETWEEN, SPREAD, INERTIA, LASTING = 0.2, 0.3, 0.25, 0.7, 0.6
REPORTS = np.array([[0.4, np.nan, np.nan, -0.1, 0.3, np.nan], [np.nan, np.nan, -0.6, np.nan, np.nan, np.nan], [np.nan] * 6])


def _model(varies=-20.0, inertia_varies=-20.0, rare=-40.0):
    """A model of hyperparameters that are said, without a least noise."""
    model = LevelModel()
    logit = [np.log(share / (1 - share)) for share in (INERTIA, LASTING)]
    said = [HOME, np.log(BETWEEN), np.log(SPREAD), varies, logit[0], inertia_varies, logit[1], rare]
    model.weights.copy_(torch.tensor(said))
    model.coarseness.zero_()
    return model


def _exact(said, spread=SPREAD, inertia=INERTIA):
    """Mean and variance of the day after the last of ``said`` (D,), and the log likelihood of the reports."""
    days = np.flatnonzero(np.isfinite(said))
    gap = np.abs(np.subtract.outer([*days, len(said)], [*days, len(said)]))
    cov = BETWEEN**2 + LASTING * spread**2 * inertia**gap + (1 - LASTING) * spread**2 * (gap == 0)
    if not len(days):
        return HOME, cov[0, 0], 0.0
    weight = np.linalg.solve(cov[:-1, :-1], cov[:-1, -1])
    likelihood = multivariate_normal(np.full(len(days), HOME), cov[:-1, :-1]).logpdf(said[days])
    return HOME + weight @ (said[days] - HOME), cov[-1, -1] - weight @ cov[:-1, -1], likelihood


def test_one_kind_of_person_is_the_exact_conditional_normal():
    foreseen = _model().foresee(REPORTS)
    for person in range(3):
        for day in range(6):
            mean, variance, _ = _exact(REPORTS[person, : day + 1])
            assert foreseen[person, day, 0] == pytest.approx(mean, abs=1e-9)
            assert np.exp(foreseen[person, day, 1]) == pytest.approx(np.sqrt(variance), rel=1e-5)
            chance = norm.cdf(-mean / np.sqrt(variance))
            assert foreseen[person, day, 2] == pytest.approx(np.log(chance / (1 - chance)), abs=1e-5)


def test_kinds_of_people_are_weighed_by_how_likely_they_make_the_reports():
    varies, inertia_varies = 0.5, 0.8
    foreseen = _model(np.log(varies), np.log(inertia_varies)).foresee(REPORTS)
    (at, share), (place, part) = (np.polynomial.hermite_e.hermegauss(nodes) for nodes in (SWINGS, INERTIAS))
    logit = np.log(INERTIA / (1 - INERTIA))
    for person in range(3):
        kinds = []
        for swing, one in zip(at, share, strict=True):
            for inertia, other in zip(place, part, strict=True):
                spread, carried = SPREAD * np.exp(varies * swing), 1 / (1 + np.exp(-logit - inertia_varies * inertia))
                mean, variance, likelihood = _exact(REPORTS[person], spread, carried)
                kinds.append((one * other * np.exp(likelihood), mean, np.sqrt(variance)))
        weight, mean, spread = np.array(kinds).T
        weight /= weight.sum()
        centre, half = weight @ mean, NORMAL_80 * np.exp(foreseen[person, -1, 1])
        assert foreseen[person, -1, 0] == pytest.approx(centre, abs=1e-9)
        inside = norm.cdf((centre + half - mean) / spread) - norm.cdf((centre - half - mean) / spread)
        assert weight @ inside == pytest.approx(0.8, abs=1e-5)
        chance = weight @ norm.cdf(-mean / spread)
        assert foreseen[person, -1, 2] == pytest.approx(np.log(chance / (1 - chance)), abs=1e-6)


def test_a_rare_day_by_hand():
    """One report: the posterior over which kind of day it was, made one normal distribution again."""
    rare, said = 0.1, 1.4
    foreseen = _model(rare=np.log(rare / (1 - rare))).foresee(np.array([[said]]))[0, 0, 0]
    level, noise = BETWEEN**2 + LASTING * SPREAD**2, (1 - LASTING) * SPREAD**2
    usual, far = level + noise, level + noise + WIDE * SPREAD**2
    odds = np.array([(1 - rare) * norm.pdf(said, HOME, np.sqrt(usual)), rare * norm.pdf(said, HOME, np.sqrt(far))])
    chance = odds / odds.sum()
    gain = chance @ [1 / usual, 1 / far] * (said - HOME)
    assert foreseen == pytest.approx(HOME + (BETWEEN**2 + INERTIA * LASTING * SPREAD**2) * gain, abs=1e-9)
    assert foreseen < _model().foresee(np.array([[said]]))[0, 0, 0], "a day far out says less of the days after it"


def _people(users, days, seed, share=0.8, rare=0.02):
    """People of the model, and the spread of each."""
    rng = np.random.default_rng(seed)
    home = rng.normal(size=users)
    home = HOME + BETWEEN * (home - home.mean()) / home.std()
    spread = 0.15 * np.exp(0.5 * rng.normal(size=users))
    inertia = 1 / (1 + np.exp(-0.85 - 0.5 * rng.normal(size=users)))
    state, said = np.sqrt(LASTING) * spread * rng.normal(size=users), np.empty((users, days))
    for day in range(days):
        noise = rng.normal(size=users) * spread * np.sqrt(1 - LASTING + WIDE * (rng.random(users) < rare))
        said[:, day] = home + state + noise
        state = inertia * state + np.sqrt((1 - inertia**2) * LASTING) * spread * rng.normal(size=users)
    return np.where(rng.random((users, days)) < share, said, np.nan), spread


@pytest.fixture(scope="module")
def known_truth():
    said, spread = _people(500, 40, seed=1)
    model = LevelModel()
    model.fit([said])
    return model, said, spread


def test_the_hyperparameters_are_found(known_truth):
    home, between, swing, varies, inertia, _, lasting, rare = known_truth[0].weights.tolist()
    assert home == pytest.approx(HOME, abs=0.04) and np.exp(between) == pytest.approx(BETWEEN, rel=0.1)
    assert np.exp(swing) == pytest.approx(0.15, rel=0.1) and np.exp(varies) == pytest.approx(0.5, rel=0.2)
    assert 1 / (1 + np.exp(-inertia)) == pytest.approx(0.7, abs=0.08)
    assert 1 / (1 + np.exp(-lasting)) == pytest.approx(LASTING, abs=0.2)
    assert 1 / (1 + np.exp(-rare)) == pytest.approx(0.02, abs=0.012)


def test_others_are_foreseen_better_than_by_the_level_tracker_with_intervals_that_know_the_person(known_truth):
    model = known_truth[0]
    said, spread = _people(600, 40, seed=2)
    foreseen, truth = model.foresee(said)[:, 5:-1], said[:, 6:]
    asked = np.isfinite(truth)
    tracker = level_tracker(said)[:, 5:-1][asked]
    design = np.column_stack([tracker, np.ones(len(tracker))])
    line = design @ np.linalg.lstsq(design, truth[asked], rcond=None)[0]  # fitted on the very rows it is judged on
    error = truth[asked] - foreseen[asked][:, 0]
    assert np.abs(error).mean() < 0.99 * np.abs(truth[asked] - line).mean()
    inside = np.abs(error) <= NORMAL_80 * np.exp(foreseen[asked][:, 1])
    tercile = np.digitize(np.broadcast_to(spread[:, None], truth.shape)[asked], np.quantile(spread, [1 / 3, 2 / 3]))
    assert inside.mean() == pytest.approx(0.8, abs=0.02)
    for part in range(3):
        assert inside[tercile == part].mean() == pytest.approx(0.8, abs=0.06)
    chance, happened = 1 / (1 + np.exp(-foreseen[asked][:, 2])), truth[asked] < 0
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 1)):
        some = (chance >= low) & (chance < high)
        assert happened[some].mean() == pytest.approx(chance[some].mean(), abs=0.04)


def test_nothing_of_a_later_day_is_read_and_chosen_days_are_the_same(known_truth):
    model, said, _ = known_truth
    some = said[:20]
    every = model.foresee(some)
    changed = some.copy()
    changed[:, 25:] = -0.9
    assert np.array_equal(model.foresee(changed)[:, :25], every[:, :25])
    days = np.array([[3, 17, 39, -1]] * 20)
    assert np.allclose(model.foresee(some, days)[:, :3], every[:, [3, 17, 39]], atol=1e-12)


def test_a_long_gap_leads_back_home(known_truth):
    model = known_truth[0]
    said = np.full((1, 400), np.nan)
    said[0, :3] = -0.8
    mean = model.foresee(said)[0, :, 0]
    assert mean[2] < mean[20] < mean[399], "the swing fades"
    assert mean[399] < HOME - 0.1, "what was learned of the home base stays"


@pytest.mark.parametrize(
    "said",
    [np.zeros((0, 5)), np.full((4, 5), np.nan), np.array([[0.5, np.nan]]), np.full((30, 10), 1.0), np.tile([-1.0, 1.0], (30, 5))],
    ids=["nobody", "no report", "one report", "always the same", "from end to end"],
)
def test_awkward_reports_leave_a_finite_forecast(said):
    model = LevelModel()
    model.fit([said])
    assert np.isfinite(model.weights.numpy()).all() and float(model.coarseness) >= (COARSE * 0.02) ** 2 - 1e-12
    assert np.isfinite(model.foresee(said)).all()


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (3, 9), elements=st.sampled_from([-1.0, -0.3, 0.0, 0.7, 1.0, np.nan])))
def test_whatever_is_reported_tomorrow_is_a_distribution(said):
    foreseen = LevelModel().foresee(said)
    assert np.isfinite(foreseen).all() and (np.abs(foreseen[..., 0]) <= 1).all() and (np.abs(foreseen[..., 2]) <= 8).all()
    assert (np.exp(foreseen[..., 1]) < 1).all()


def test_same_reports_same_model_on_one_thread_or_two():
    said, _ = _people(80, 20, seed=3)
    found, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            model = LevelModel()
            model.fit([said])
            found.append(model.weights.clone())
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_several_studies_are_fitted_together():
    one, two = _people(60, 20, seed=4)[0], _people(60, 35, seed=5)[0]
    together, padded = LevelModel(), LevelModel()
    together.fit([one, two])
    padded.fit([np.concatenate([np.pad(one, ((0, 0), (0, 15)), constant_values=np.nan), two])])
    assert torch.allclose(together.weights, padded.weights, atol=1e-6)
