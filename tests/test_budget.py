"""The engagement budget: by hand, against brute force, and its floors."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recbole_esmr.model.budget import SlateBudget
from recbole_esmr.policy.online_calibration import PRIOR, OnlineCalibration


def _slates(engagement, benefit, size, distrust=1.0):
    return SlateBudget(torch.tensor(engagement), torch.tensor(benefit), torch.tensor(size), distrust)


def test_slates_by_hand():
    slates = _slates([[5.0, 4.0, 3.0, 1.0]], [[0.0, -1.0, 1.0, 2.0]], [2])
    assert slates.usual.tolist() == [[True, True, False, False]] and slates.usual_engagement.tolist() == [9]
    found = slates.slates(torch.tensor([0.0]))
    columns, inside = found.columns, found.inside
    assert columns.tolist() == [[0, 1]] and inside.all()
    assert slates.slates(torch.tensor([0.6])).columns.tolist() == [[0, 2]], "4 − 0.6 < 3 + 0.6"
    assert slates.engagement(torch.tensor([0.6])).tolist() == [8]
    assert slates.slates(torch.tensor([10.0])).columns.tolist() == [[3, 2]]


def test_weights_and_the_multiplier_by_hand():
    """At w = 1 the third item replaces the second (4 < 3 + w), at w = 2 the fourth the first (5 < 1 + 2 w)."""
    slates = _slates([[5.0, 4.0, 3.0, 1.0]] * 2, [[0.0, 0.0, 1.0, 2.0]] * 2, [2, 2])
    assert slates.largest_weights(8 / 9 - 1e-6).tolist() == pytest.approx([2, 2], rel=1e-3)
    assert slates.largest_weights(0.95).tolist() == pytest.approx([1, 1], rel=1e-3)
    most = torch.tensor([2.0, 0.0])
    assert slates.multiplier(most, 0.94) == pytest.approx(2, rel=1e-3), "one of them costs 1 of 18"
    assert slates.multiplier(most, 0.95) == pytest.approx(1, rel=1e-3)


def test_a_multiplier_is_found_however_little_some_are_worth():
    """The second person's benefit is 10⁻¹¹ of the first's: the budget still goes to the first."""
    slates = _slates([[5.0, 4.0, 3.0, 1.0]] * 2, [[0.0, 0.0, 1.0, 2.0], [0.0, 0.0, 1e-11, 2e-11]], [2, 2])
    most = slates.largest_weights(0.5)
    assert most[1] > 1e10 * most[0]
    assert slates.multiplier(most, 0.95) == pytest.approx(1, rel=1e-3)


def test_items_never_chosen_before_are_distrusted():
    slates = _slates([[5.0, 4.0, 3.0]], [[0.0, 0.0, 1.0]], [2], 0.5)
    assert slates.engagement(torch.tensor([4.0])).tolist() == [5 + 1.5], "the third is worth half of 3"
    assert slates.engagement(torch.tensor([0.0])).tolist() == [9], "the usual ones are worth what they were"


def test_shorter_slates_missing_candidates_and_nobody():
    slates = _slates([[2.0, 1.0, -torch.inf], [3.0, 2.0, 1.0]], [[0.0, 1.0, 5.0], [0.0, 0.0, 9.0]], [3, 1])
    weight = slates.largest_weights(0.5)
    assert torch.isfinite(weight).all() and torch.isfinite(slates.engagement(weight)).all()
    assert slates.usual_engagement.tolist() == [3, 3]
    assert np.isfinite(slates.multiplier(weight, 0.9))
    nobody = SlateBudget(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    assert nobody.multiplier(nobody.largest_weights(0.9), 0.9) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 0.99), st.floats(0.4, 1.0))
@example(249, 0.75, 1.0)  # two items of nearly the same benefit, whose places only a larger weight would exchange
def test_floors_hold_and_the_budget_is_spent(seed, floor, slate_part):
    generator = torch.Generator().manual_seed(seed)
    engagement, benefit = torch.rand(12, 15, generator=generator), torch.randn(12, 15, generator=generator)
    slates = SlateBudget(engagement, benefit, torch.randint(1, 6, (12,), generator=generator))
    most = slates.largest_weights(floor * slate_part)
    assert (slates.engagement(most) >= floor * slate_part * slates.usual_engagement - 1e-5).all()
    multiplier = slates.multiplier(most, floor)
    weight = most.clamp(max=multiplier)
    assert slates.engagement(weight).sum() >= floor * slates.usual_engagement.sum() - 1e-4
    spent = slates.engagement(most).sum() < floor * slates.usual_engagement.sum()
    more = most.clamp(max=multiplier * 1.001)
    assert not spent or (multiplier > 0 and slates.engagement(more).sum() < floor * slates.usual_engagement.sum())
    free = most >= 0.999 * slates.largest_weights(0.0)  # as large as any weight is
    further = slates.engagement(most * 1.001) < floor * slates.usual_engagement * slate_part
    assert (free | further).all() and (most > 0).all(), "each goes as far as its floor, or as far as weights go"


def test_the_multiplier_is_as_good_as_brute_force():
    """Two people, all pairs of slates: no pair within the floor has more benefit than a whisker above the budget's."""
    generator = torch.Generator().manual_seed(3)
    engagement, benefit = 1 + torch.rand(2, 8, generator=generator), torch.randn(2, 8, generator=generator)
    slates = SlateBudget(engagement, benefit, torch.tensor([3, 3]))
    most = slates.largest_weights(0.0)
    weight = most.clamp(max=slates.multiplier(most, 0.9))
    columns = slates.slates(weight).columns
    got, cost = float(benefit.gather(1, columns).sum()), float(engagement.gather(1, columns).sum())
    least = 0.9 * float(slates.usual_engagement.sum())
    every = [list(combinations(range(8), 3))] * 2
    best_at_this_cost = max(
        float(benefit[0, list(a)].sum() + benefit[1, list(b)].sum())
        for a in every[0]
        for b in every[1]
        if float(engagement[0, list(a)].sum() + engagement[1, list(b)].sum()) >= cost - 1e-6
    )
    assert cost >= least - 1e-5 and got == pytest.approx(best_at_this_cost, abs=1e-5)


def test_what_a_better_mood_takes_is_paid_from_the_budget():
    """Slates of one: the benefit costs 1 of 10 today, and 5 % of the usual 10 in the days to come."""
    engagement, benefit = torch.tensor([[10.0, 9.0]] * 2), torch.tensor([[0.0, 2.0]] * 2)
    size, toll = torch.tensor([1, 1]), torch.tensor([[0.01, 0.06], [-0.01, -0.06]])
    slates = SlateBudget(engagement, benefit, size, toll=toll)
    none, all_of_it = torch.zeros(2), torch.full((2,), 10.0)
    assert slates.kept(none).tolist() == [10, 10]
    assert slates.engagement(all_of_it).tolist() == [9, 9]
    assert slates.kept(all_of_it).tolist() == pytest.approx([8.5, 9]), "a mood made worse earns nothing"
    most = slates.largest_weights(0.5)
    paid, refused = (slates.kept(most.clamp(max=slates.multiplier(most, floor))) for floor in (0.87, 0.88))
    assert paid.tolist() == pytest.approx([8.5, 9]), "17.5 of 20 are kept, 17.4 were to be"
    assert refused.tolist() == [10, 10], "17.6 were to be"


def test_online_calibration_by_hand():
    calibration = OnlineCalibration(2)
    assert calibration.correction().factor.tolist() == [1, 1, 1] and calibration.correction().distrust == 1
    many = 100 * int(PRIOR)
    emotion, usual = np.repeat([-1, 1, 1], many), np.repeat([True, True, False], many)
    calibration.add(np.repeat([1.8, 1.0, 0.5], many), np.full(3 * many, 2.0), emotion, usual)
    found = calibration.correction()
    assert found.factor == pytest.approx([0.9, 1.0, 0.5], abs=0.01) and found.factor[1] == 1, (
        "nothing of the first emotion was shown"
    )
    assert found.distrust == pytest.approx(0.25 / 0.5, abs=0.01)
    for _ in range(60):  # the old days fade
        calibration.add(np.full(3 * many, 2.0), np.full(3 * many, 2.0), emotion, usual)
    assert calibration.correction().factor == pytest.approx([1, 1, 1], abs=0.01)
