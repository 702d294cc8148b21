"""The ceiling: its budget, and that more of it helps."""

from __future__ import annotations

import numpy as np
import pytest

from recbole_esmr.feed import top_slates
from recbole_esmr.simulation import FeedEnv, load_world
from recbole_esmr.simulation.days import rollout_days
from recbole_esmr.simulation.oracle import Oracle, Price

WORLD = load_world("reference")


class _Longest:
    """An engagement ranking of a kind: the longest items first."""

    def __init__(self, env):
        self.duration = env.catalogue.duration.numpy()

    def reset(self, users, items):
        self.users = len(users)

    def recommend(self, observation):
        return top_slates(self.duration[None, :], observation)

    def observe(self, feedback):
        pass

    def acted(self):
        return np.zeros(self.users, dtype=bool)


def _oracle(world, floor=0.97, slate_floor=0.85, days=12):
    env = FeedEnv(load_world(world), 300, 100, seed=4)
    oracle, ratios, valence = Oracle(env, _Longest(env), days, Price(floor), slate_floor), [], []
    env.reset()
    oracle.reset(np.arange(300), np.arange(100))
    for _ in range(days):
        morning = env.morning()
        usual = env.expected_hours(_Longest(env).recommend(morning))
        slates = oracle.recommend(morning)
        here = morning.active
        got = env.expected_hours(slates)
        ratios.append((got.sum() / usual.sum(), (got[here] / usual[here]).min()))
        valence.append(env.valence)
        assert not env.refused(slates).any()
        env.step(slates)
    return np.array(ratios), np.array(valence)


@pytest.mark.parametrize("world", ["reference", "reversed"])
def test_the_oracle_keeps_its_budget_and_helps(world):
    ratios, valence = _oracle(world)
    assert (ratios[:, 0] >= 0.97 - 1e-6).all() and (ratios[:, 1] >= 0.85 - 1e-6).all()
    env = FeedEnv(load_world(world), 300, 100, seed=4)
    usual = np.array([day.valence for day in rollout_days(env, _Longest(env), 12, counts=False)])
    assert (valence[3:] < 0).mean() < (usual[3:] < 0).mean() - 0.02


def test_a_looser_budget_helps_more():
    tight, loose = (_oracle("reference", floor, slate_floor)[1][3:] for floor, slate_floor in ((1.15, 1.0), (0.0, 0.0)))
    assert (loose < 0).mean() < (tight < 0).mean()


def test_a_price_by_hand():
    """Of 1, 2, 2 usual hours a person 0.9 a day may be spent; what was spared is spent later, and no day goes below its least."""
    price = Price(0.9, np.array([1.0, 2.0, 2.0]))
    price.begin()
    assert price.floor(1.0) == pytest.approx(0.9)
    price.spent(1.0)
    assert price.floor(1.6) == pytest.approx(1.0), "0.9 * 3 − 1 = 1.7 are owed, more than who still comes would watch"
    price.spent(1.6)
    assert price.floor(2.0) == pytest.approx((0.9 * 5 - 2.6) / 2)
    price.spent(2.5)
    price.begin()
    assert price.floor(4.0) == Price.LEAST, "0.9 are owed, and 4 would be watched"
    assert Price(0.8).floor(7.0) == 0.8, "without a rollout to pay by it is a share of each day"
