"""The bootstrap: right widths, paired differences, weighted tails."""

from __future__ import annotations

import numpy as np
import pytest

from recbole_esmr.evaluator.statistics import Bootstrap, difference, lowest_share, weighted_mean


def _bootstrap(seed_of, person_of=None, replicates=2000):
    return Bootstrap(np.asarray(seed_of), replicates, np.random.default_rng(1), person_of)


def test_the_interval_of_a_mean_is_that_of_theory():
    value = np.random.default_rng(0).normal(size=400)
    found = _bootstrap(np.zeros(400, dtype=int)).interval({"mean": weighted_mean(value)})["mean"]
    half = 1.96 * value.std() / 20
    assert found["mean"] == pytest.approx(value.mean(), abs=1e-8)
    assert found["high"] - found["low"] == pytest.approx(2 * half, rel=0.1)


def test_seeds_that_differ_widen_the_interval():
    seed_of = np.repeat(np.arange(5), 100)
    value = seed_of + np.random.default_rng(0).normal(size=500) * 0.01
    of_seeds = _bootstrap(seed_of).interval({"x": weighted_mean(value)})["x"]
    of_people = _bootstrap(np.zeros(500, dtype=int)).interval({"x": weighted_mean(value)})["x"]
    assert of_seeds["high"] - of_seeds["low"] > 5 * (of_people["high"] - of_people["low"])


def test_the_same_people_under_several_seeds_are_resampled_together():
    person = np.tile(np.arange(50), 4)
    value = person.astype(float)
    together = _bootstrap(np.repeat(np.arange(4), 50), person).interval({"x": weighted_mean(value)})["x"]
    apart = _bootstrap(np.repeat(np.arange(4), 50)).interval({"x": weighted_mean(value)})["x"]
    assert together["high"] - together["low"] > 1.3 * (apart["high"] - apart["low"])


def test_a_paired_difference_of_equals_is_nothing_and_of_a_shift_is_certain():
    value = np.random.default_rng(0).normal(size=300)
    statistics = {"same": difference(weighted_mean(value), weighted_mean(value))}
    statistics["shift"] = difference(weighted_mean(value + 0.5), weighted_mean(value))
    found = _bootstrap(np.zeros(300, dtype=int)).interval(statistics)
    assert found["same"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert found["shift"]["low"] == pytest.approx(0.5) and found["shift"]["high"] == pytest.approx(0.5)


def test_weighted_figures_by_hand():
    weight = np.array([[1.0, 2.0, 0.0, 1.0]])
    assert weighted_mean(np.array([1.0, 2.0, 100.0, np.nan]))(weight) == pytest.approx(5 / 3)
    assert weighted_mean(np.array([2.0, 3.0, 0.0, 4.0]), np.array([1, 1, 5, 2]))(weight) == pytest.approx(
        (2 + 6 + 4) / (1 + 2 + 2)
    )
    assert lowest_share(np.array([3.0, 1.0, -9.0, 2.0]), 0.5)(weight) == pytest.approx(1.0)
    assert lowest_share(np.array([3.0, 1.0, 0.0, 2.0]), 0.75)(weight) == pytest.approx((1 + 1 + 2) / 3)
    assert np.isnan(weighted_mean(np.array([np.nan]))(np.array([[1.0]]))).all()


def test_resamples_are_the_same_at_every_call():
    bootstrap = _bootstrap(np.repeat([0, 1], 20), replicates=120)
    first, second = ([block.copy() for block in bootstrap.weights()] for _ in range(2))
    assert sum(len(block) for block in first) == 120
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
