"""The first world: reproducible, honest about latents, and moved by what is shown."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_esmr.simulation import FeedEnv, load_world, simulate
from recbole_esmr.simulation.logging_policy import inclusion_probabilities, systematic_sample
from recbole_esmr.simulation.random import normal, uniform

WORLD = load_world("reference")


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path):
    for name, seed in (("a/x", 5), ("b/x", 5), ("c/x", 6)):
        simulate(WORLD, 10, 20, 4, seed, tmp_path / name, show_progress=False)
    for suffix in ("inter", "imp", "item", "user", "day"):
        a, b, c = ((tmp_path / name / f"x.{suffix}").read_bytes() for name in ("a/x", "b/x", "c/x"))
        assert a == b
        assert a != c


def test_files_hold_what_a_platform_sees_and_no_latent(tmp_path):
    simulate(WORLD, 10, 20, 4, 5, tmp_path / "x", show_progress=False)
    columns = {s: list(pd.read_csv(tmp_path / "x" / f"x.{s}", sep="\t").columns) for s in ("inter", "imp", "item", "user", "day")}
    assert columns["inter"] == ["user_id:token", "item_id:token", "timestamp:float", "day:float", "watch_ratio:float"]
    assert columns["user"] == ["user_id:token", "user_profile:token"]
    assert columns["item"][1:] == ["emotion:token", "emotion_intensity:float", "category:token", "theme:token", "duration:float"]
    assert columns["imp"][2:] == ["day:float", "position:float", "propensity:float", "label:float"]
    written = " ".join(name for names in columns.values() for name in names)
    for latent in ("home", "valence", "suscept", "vulner", "taste", "quality"):
        assert latent not in written
    imp = pd.read_csv(tmp_path / "x" / "x.imp", sep="\t")
    inter = pd.read_csv(tmp_path / "x" / "x.inter", sep="\t")
    assert imp["label:float"].sum() == len(inter)


def _life(users, slates):
    env = FeedEnv(WORLD, users, 30, seed=2)
    env.reset()
    valence = []
    for _ in range(6):
        valence.append(env.valence)
        env.step(np.tile(slates, (len(env.people), 1)))
    return np.array(valence), env


def test_a_person_lives_the_same_life_alone_and_among_many():
    alone, _ = _life(np.array([7]), np.arange(5))
    among, _ = _life(50, np.arange(5))
    assert np.array_equal(alone[:, 0], among[:, 7])


def test_what_is_shown_moves_the_next_day_in_the_right_direction():
    env = FeedEnv(WORLD, 400, 200, seed=2)
    bad, good = np.argsort(-env.catalogue.negative)[:10], np.argsort(-env.catalogue.positive)[:10]
    after = {}
    for name, slate in (("bad", bad), ("good", good), ("bad again", bad)):
        env.reset()
        first = env.valence
        env.step(np.tile(slate, (400, 1)))
        after[name] = env.valence - first
    assert np.array_equal(after["bad"], after["bad again"])
    difference = after["good"] - after["bad"]
    assert (difference >= -1e-12).all()
    # by hand: susceptibility · (β₊ x₊ − β₋ x₋) / 0.1, where clipping at ±1 does not bite
    assert 0.03 < difference.mean() < 0.6


@settings(max_examples=50)
@given(st.integers(1, 8), st.integers(9, 30), st.integers(0, 10_000))
def test_propensities_sum_to_the_slate_and_samples_have_its_size(size, items, seed):
    weight = np.random.default_rng(seed).exponential(size=(5, items)) ** 3 + 1e-6
    probability = inclusion_probabilities(weight, np.full(5, size))
    assert np.allclose(probability.sum(axis=1), size) and (probability <= 1 + 1e-12).all() and (probability > 0).all()
    sample = systematic_sample(probability, np.random.default_rng(seed).uniform(0.01, 0.99, 5))
    assert (sample.sum(axis=1) == size).all()


def test_systematic_sampling_has_the_stated_probabilities():
    probability = inclusion_probabilities(np.array([[4.0, 2.0, 1.0, 1.0]]), np.array([2]))
    assert np.allclose(probability, [[1.0, 0.5, 0.25, 0.25]])
    draws = (np.arange(4000) + 0.5) / 4000
    often = systematic_sample(np.repeat(probability, 4000, axis=0), draws).mean(axis=0)
    assert np.allclose(often, probability[0], atol=2e-3)


def test_counter_based_draws_are_uniform_normal_and_independent():
    draws = uniform(1, "test", np.arange(2000), day=3, size=20)
    assert draws.min() > 0 and draws.max() < 1
    assert abs(draws.mean() - 0.5) < 0.005 and abs(draws.var() - 1 / 12) < 0.002
    deviates = normal(1, "test", np.arange(40_000))
    assert abs(deviates.mean()) < 0.02 and abs(deviates.std() - 1) < 0.02
    other = [
        uniform(1, "other", np.arange(2000), 3),
        uniform(1, "test", np.arange(2000), 4),
        uniform(2, "test", np.arange(2000), 3),
    ]
    for draw in other:
        assert abs(np.corrcoef(draws[:, 0], draw)[0, 1]) < 0.08
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.08
