"""The bootstrap: right widths and coverage, paired differences, weighted tails."""

from __future__ import annotations

import numpy as np
import pytest

from recbole_esmr.evaluator.statistics import Bootstrap, difference, lowest_share, remembered, weighted_mean


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


def test_seeds_alone_by_hand():
    """Seeds of 1, 2 and 3 for everybody: 2 ± 4.302653 · 1/√3, the t interval of 2 degrees of freedom; an unknown seed is none."""
    seed_of, half = np.repeat(np.arange(3), 40), 4.302653 / np.sqrt(3)
    found = _bootstrap(seed_of).interval({"x": weighted_mean(seed_of + 1.0)})["x"]
    # the mean of all moves a little with how many people each seed has in a replicate
    assert [found["low"], found["mean"], found["high"]] == pytest.approx([2 - half, 2, 2 + half], abs=0.02)
    person = np.tile(np.arange(40), 3)
    found = _bootstrap(seed_of, person).interval({"x": weighted_mean(seed_of + 1.0)})["x"]
    assert [found["low"], found["mean"], found["high"]] == pytest.approx([2 - half, 2, 2 + half])
    value = np.where(seed_of < 2, seed_of + 1.0, np.nan)
    found = _bootstrap(seed_of, person).interval({"x": weighted_mean(value)})["x"]
    assert [found["low"], found["mean"], found["high"]] == pytest.approx([1.5 - 12.706205 / 2, 1.5, 1.5 + 12.706205 / 2])


def test_seeds_that_differ_no_more_than_their_people_leave_the_peoples_interval():
    value = np.random.default_rng(0).normal(size=(3, 100))
    value -= value.mean(axis=1, keepdims=True)
    seed_of = np.repeat(np.arange(3), 100)
    found = _bootstrap(seed_of).interval({"x": weighted_mean(value.ravel())})["x"]
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * value.std() / np.sqrt(300), rel=0.1)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("seeds", "between"), [(1, 0.0), *((seeds, between) for seeds in (3, 5) for between in (0.0, 0.2, 1.0))])
def test_intervals_cover_the_truth_whether_or_not_seeds_vary(seeds, between, shared):
    """1000 studies of 60 people a seed, SD 1, with nothing, little or nearly all of the variance between seeds; the truth is 0.

    Where people are shared, half of their variance is theirs under every seed.
    """
    generator, people = np.random.default_rng(3), 60
    seed_of, person = np.repeat(np.arange(seeds), people), np.tile(np.arange(people), seeds)

    def study():
        own = generator.normal(size=len(person))
        if shared:
            own = np.sqrt(0.5) * (own + generator.normal(size=people)[person])
        return weighted_mean(own + between * generator.normal(size=seeds)[seed_of])

    found = _bootstrap(seed_of, person if shared else None, 300).interval({str(number): study() for number in range(1000)})
    covered = np.mean([part["low"] <= 0 <= part["high"] for part in found.values()])
    assert 0.92 <= covered <= 0.985


def test_a_figure_that_is_the_same_for_everybody_is_certain():
    found = _bootstrap(np.repeat(np.arange(5), 30)).interval({"x": weighted_mean(np.full(150, 0.1))})["x"]
    assert found == {"mean": 0.1, "low": 0.1, "high": 0.1}


def test_a_figure_without_anybody_is_unknown():
    found = _bootstrap(np.repeat(np.arange(2), 30)).interval({"x": weighted_mean(np.full(60, np.nan))})["x"]
    assert np.isnan(list(found.values())).all()


def test_a_remembered_figure_is_computed_once_for_each_weights():
    asked = []
    figure = remembered(lambda weight: asked.append(1) or weight.sum(axis=1))
    one, two = np.ones((1, 2)), np.full((1, 2), 2.0)
    assert [figure(one)[0], figure(one)[0], figure(two)[0], figure(one)[0]] == [2, 2, 4, 2]
    assert len(asked) == 3


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
    found = _bootstrap(np.repeat(np.arange(3), 100)).interval(statistics)
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
