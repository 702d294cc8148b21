"""Trajectory metrics against hand-computed numbers, statsmodels and known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.duration.survfunc import SurvfuncRight

from recbole_esmr.evaluator import trajectory

NAN = np.nan
TRACE = np.array([[0.2, -0.1, -0.3, 0.1, -0.2, NAN, 0.0, -0.4]])
traces = arrays(
    float, st.tuples(st.integers(1, 5), st.integers(2, 12)), elements=st.sampled_from([-0.5, -0.1, 0.0, 0.3, 0.8, NAN])
)


def test_levels_and_volatility_by_hand():
    trace = np.array([[0.0, 0.4, 0.2, 0.6]])
    assert trajectory.negative_share(TRACE) == pytest.approx(4 / 7)
    assert trajectory.within_sd(trace) == pytest.approx(np.sqrt((0.09 + 0.01 + 0.01 + 0.09) / 3))
    assert trajectory.rmssd(trace) == pytest.approx(np.sqrt((0.16 + 0.04 + 0.16) / 3))


def test_level_volatility_and_centroid_of_etrajeval_by_hand():
    """States 0.5, 0.7, 0.6, 0.8: steps of 0.2, −0.1, 0.2 from 0.5, 0.3 and 0.4 below the top."""
    trace = np.array([[0.0, 0.4, 0.2, 0.6]])
    assert trajectory.emotional_level(np.array([[0.1, 0.9, 0.2, NAN]])) == pytest.approx(0.7)
    assert trajectory.trajectory_volatility(trace) == pytest.approx((0.5 * 0.2 - 0.3 * 0.1 + 0.4 * 0.2) / 3)
    assert trajectory.centroid(trace)[0] == pytest.approx([0.6, 0.7])
    noise, drift = (0.04 + 0.01 + 0.04) / 2 / 3, (0.3 - (0.64 - 0.25) / 2) / 3
    assert trajectory.volatility_split(trace)[0] == pytest.approx([noise, drift])
    assert np.isnan(trajectory.trajectory_volatility(np.array([[0.1, NAN, 0.3]]))).all()


def test_volatility_rewards_noise_and_its_drift_does_not():
    """Nobody rises; who goes to and fro scores higher by half the mean squared step, 0.5 · 0.2²."""
    to_and_fro, calm = np.array([[0.2, -0.2] * 10 + [0.2]]), np.full((1, 21), 0.2)
    assert trajectory.trajectory_volatility(to_and_fro) - trajectory.trajectory_volatility(calm) == pytest.approx(0.02)
    assert trajectory.volatility_split(to_and_fro)[0] == pytest.approx([0.02, 0])


@settings(max_examples=200, deadline=None)
@given(traces)
def test_volatility_is_its_noise_and_the_drift_of_each_run_of_known_days(valence):
    whole, parts = trajectory.trajectory_volatility(valence), trajectory.volatility_split(valence)
    for state, volatility, (noise, drift) in zip((valence + 1) / 2, whole, parts, strict=True):
        runs = [state[known] for known in np.ma.clump_unmasked(np.ma.masked_invalid(state))]
        steps = sum(len(run) - 1 for run in runs)
        if steps == 0:
            assert np.isnan([volatility, noise, drift]).all()
            continue
        assert noise == pytest.approx(sum((np.diff(run) ** 2).sum() for run in runs) / 2 / steps)
        ends = sum((run[-1] - run[0]) - (run[-1] ** 2 - run[0] ** 2) / 2 for run in runs)
        assert drift == pytest.approx(ends / steps, abs=1e-12)
        assert volatility == pytest.approx(noise + drift, abs=1e-12)


def test_differences_do_not_reach_over_a_gap():
    assert trajectory.rmssd(np.array([[0.0, NAN, 1.0, 0.5]])) == pytest.approx(0.5)
    assert trajectory.trajectory_volatility(np.array([[0.0, NAN, 1.0, 0.5]])) == pytest.approx(0.0)
    assert trajectory.trajectory_volatility(np.array([[0.0, NAN, 0.5, 1.0]])) == pytest.approx(0.25 * 0.25)
    assert trajectory.centroid(np.array([[0.0, NAN, 1.0, 0.5]]))[0] == pytest.approx([1.0, 0.75])


def test_autocorrelation_by_hand_and_of_a_long_series():
    trace = np.array([[1.0, 2.0, 4.0, 1.0]])
    apart = np.array([-1.0, 0.0, 2.0, -1.0])
    expected = ((apart[1:] * apart[:-1]).sum() / 3) / ((apart**2).sum() / 4)
    assert trajectory.autocorrelation(trace, 1) == pytest.approx(expected)
    generator = np.random.default_rng(0)
    value, series = np.zeros(3000), []
    for _ in range(31):  # 3000 people, 31 days of AR(1) with 0.5
        value = 0.5 * value + generator.normal(size=3000)
        series.append(value)
    days = np.stack(series, axis=1)[:, 1:]
    assert trajectory.inertia(days).mean() == pytest.approx(0.5, abs=0.03)
    assert trajectory.autocorrelation(days, 1).mean() < 0.45


def test_negative_episodes_by_hand():
    """Runs of days 2–3 (ended on day 4), 5 (cut off by the unknown day 6) and 8 (cut off by the end): two that say nothing."""
    ended, censored = trajectory.negative_episodes(TRACE)
    assert ended.tolist() == [[0, 1, 0, 0, 0, 0, 0, 0]] and censored.sum() == 0
    ended, censored = trajectory.negative_episodes(np.array([[0.1, -0.1, -0.1, -0.1]]))
    assert ended.sum() == 0 and censored.tolist() == [[0, 1, 0, 0]], "lasts longer than 2 days"


def test_an_episode_whose_beginning_is_not_seen_is_left_out():
    """Under way on day 1; after the unknown day 4; seen from day 7 on, ended on day 9."""
    ended, censored = trajectory.negative_episodes(np.array([[-0.1, -0.1, 0.1, NAN, -0.1, 0.0, -0.1, -0.1, 0.1]]))
    assert np.flatnonzero(ended[0]).tolist() == [1] and ended.sum() == 1 and censored.sum() == 0
    ended, censored = trajectory.negative_episodes(np.full((1, 5), -0.1))
    assert ended.sum() == censored.sum() == 0


def test_the_mean_length_of_episodes_is_that_of_a_known_process():
    """Days that turn negative and back as a Markov chain that stays with chance 0.75: runs of 4 days on average."""
    generator = np.random.default_rng(0)
    negative, days = np.zeros(20_000, dtype=bool), []
    for _ in range(40):
        draw = generator.uniform(size=len(negative))
        negative = np.where(negative, draw < 0.75, draw < 0.3)
        days.append(negative)
    valence = np.where(np.stack(days, axis=1), -1.0, 1.0)
    ended, censored = trajectory.negative_episodes(valence)
    curve = trajectory.survival(ended.sum(axis=0), censored.sum(axis=0))
    assert curve[1:6] == pytest.approx(0.75 ** np.arange(1, 6), abs=0.01)
    assert trajectory.restricted_mean(curve) == pytest.approx(4.0, abs=0.05)


def test_episodes_met_in_a_window_last_as_long_as_all_do():
    """Episodes of 1 day (70 %) or 10 days (30 %), 3.7 on average; the process has run for long before its 30 days are cut out."""
    generator = np.random.default_rng(0)
    people = 20_000
    negative, left, days = np.zeros(people, dtype=bool), np.ones(people, dtype=int), []
    for _ in range(130):
        left -= 1
        over = left == 0
        negative = negative ^ over
        lasts = np.where(negative, np.where(generator.uniform(size=people) < 0.7, 1, 10), generator.geometric(0.25, size=people))
        left = np.where(over, lasts, left)
        days.append(negative)
    valence = np.where(np.stack(days[100:], axis=1), -1.0, 1.0)
    curve = trajectory.survival(*(counts.sum(axis=0) for counts in trajectory.negative_episodes(valence)))
    assert curve[:12] == pytest.approx([1, *[0.3] * 9, 0, 0], abs=0.01)
    assert trajectory.restricted_mean(curve) == pytest.approx(3.7, abs=0.03)


def test_recoveries_met_in_a_window_last_as_long_as_all_do():
    """A chain of low, very low, middling and high days that has run for long: a spell begins low, and some go on very low."""
    move = np.array([[0.0, 0.3, 0.0, 0.7], [0.0, 0.5, 0.4, 0.1], [0.0, 0.5, 0.4, 0.1], [0.2, 0.0, 0.0, 0.8]])
    generator = np.random.default_rng(0)
    state, days = np.zeros(20_000, dtype=int), []
    for _ in range(130):
        state = (generator.uniform(size=len(state))[:, None] > move.cumsum(axis=1)[state]).sum(axis=1)
        days.append(state)
    valence = np.array([-0.6, -1.0, -0.1, 0.1])[np.stack(days[100:], axis=1)]
    found = trajectory.recoveries(valence, np.zeros(len(state)), np.full(len(state), 0.5))
    curve = trajectory.survival(*(counts.sum(axis=0) for counts in found))
    expected = [np.linalg.matrix_power(move[:3, :3], day)[0].sum() for day in range(31)]  # not yet high after so many days
    assert curve[:25] == pytest.approx(expected[:25], abs=0.01)
    assert trajectory.restricted_mean(curve) == pytest.approx(sum(expected[:30]), abs=0.1)


def test_recoveries_by_hand():
    """Level 0, SD 0.2: drop on day 2, back on day 5 (3 days); drop on day 6, the window ends on day 8 (censored after 2)."""
    trace = np.array([[0.0, -0.5, -0.3, -0.1, 0.1, -0.3, NAN, -0.1]])
    ended, censored = trajectory.recoveries(trace, np.array([0.0]), np.array([0.2]))
    assert np.flatnonzero(ended[0]).tolist() == [2] and np.flatnonzero(censored[0]).tolist() == [1]
    ended, censored = trajectory.recoveries(np.array([[0.0, 0.0, -0.5]]), np.array([0.0]), np.array([0.2]))
    assert ended.sum() == censored.sum() == 0, "a drop on the last day was never followed"


@pytest.mark.parametrize(
    ("trace", "ended", "censored"),
    [
        ([-0.5, -0.1, -0.5, 0.1, -0.5, 0.2], [1], []),  # on day 1; followed to day 4, so day 3 begins nothing; day 5 counts
        ([-0.1, -0.5, -0.1, 0.1, -0.3, -0.1, 0.3], [2], []),  # day 1 may lie in a spell, so day 2 may
        ([0.1, NAN, -0.5, -0.1, 0.1, -0.5, -0.5, -0.1], [], [2]),  # may have begun on the unknown day
        ([-0.5, -0.5, -0.1], [], []),
    ],
)
def test_a_recovery_whose_drop_may_have_begun_unseen_is_left_out(trace, ended, censored):
    found = trajectory.recoveries(np.array([trace]), np.array([0.0]), np.array([0.2]))
    assert [(np.flatnonzero(counts[0]) + 1).tolist() for counts in found] == [ended, censored]
    assert [counts.sum() for counts in found] == [len(ended), len(censored)]


def test_kaplan_meier_by_hand():
    """Spells of 1, 2, 2+, 3, 4+ days: S = 4/5, 4/5 · 3/4, 3/5 · 1/2, 3/10."""
    ended, censored = np.array([1, 1, 1, 0]), np.array([0, 1, 0, 1])
    curve = trajectory.survival(ended, censored)
    assert curve == pytest.approx([1, 0.8, 0.6, 0.3, 0.3])
    assert trajectory.restricted_mean(curve) == pytest.approx(2.7)
    assert trajectory.median_length(curve) == 3
    assert np.isnan(trajectory.survival(0 * ended, 0 * ended)).all()
    assert trajectory.median_length(np.array([1.0, 0.9, 0.8])) == 3, "more than half outlast the window of 2 days"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=40))
def test_kaplan_meier_is_that_of_statsmodels(spells):
    length, ended = (np.array(column) for column in zip(*spells, strict=True))
    counts = [np.bincount(length[mask] - 1, minlength=9) for mask in (ended, ~ended)]
    curve = trajectory.survival(*counts)
    if ended.any():
        reference = SurvfuncRight(length, ended.astype(int))
        assert curve[reference.surv_times.astype(int)] == pytest.approx(reference.surv_prob)
    else:
        assert (curve == 1).all()


@settings(max_examples=200, deadline=None)
@given(traces)
def test_episodes_hold_every_negative_day_of_a_run_seen_to_begin_once(valence):
    negative, known = valence < 0, np.isfinite(valence)
    begun = negative.copy()  # whether the day lies in a run whose beginning is seen
    begun[:, 0] = False
    for day in range(1, valence.shape[1]):
        begun[:, day] &= begun[:, day - 1] | (known[:, day - 1] & ~negative[:, day - 1])
    last = begun & ~np.pad(negative[:, 1:], ((0, 0), (0, 1)))
    cut_off = last & ~np.pad(known[:, 1:], ((0, 0), (0, 1)))
    ended, censored = trajectory.negative_episodes(valence)
    days = (ended + censored) @ np.arange(1, valence.shape[1] + 1)
    assert np.array_equal(days + cut_off.sum(axis=1), begun.sum(axis=1)), "a run that is cut off counts a day less"


@settings(max_examples=200, deadline=None)
@given(traces)
def test_people_do_not_touch_each_other(valence):
    figures = ("within_sd", "rmssd", "emotional_level", "negative_share", "trajectory_volatility", "volatility_split", "centroid")
    for figure in (getattr(trajectory, name) for name in figures):
        with np.errstate(all="ignore"):
            assert np.array_equal(figure(valence)[-1:], figure(valence[-1:]), equal_nan=True)
    for spells in (trajectory.negative_episodes, trajectory.recoveries):
        for many, one in zip(spells(valence), spells(valence[-1:]), strict=True):
            assert np.array_equal(many[-1:], one)
