"""Worlds: reproducible, honest about latents, moved by what is shown, and known to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.feed import Feedback
from recbole_esmr.files import shipped_names
from recbole_esmr.simulation import FeedEnv, load_world, simulate
from recbole_esmr.simulation.days import rollout_days
from recbole_esmr.simulation.environment_state import load_state
from recbole_esmr.simulation.logging_policy import LoggingFeed, inclusion_probabilities, systematic_sample
from recbole_esmr.simulation.random import normal, uniform, uniform_pair
from recbole_esmr.simulation.twin import true_effects

WORLD = load_world("reference")


# -- logs ------------------------------------------------------------------------------------------------------------


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


def test_the_people_of_a_log_go_on_where_it_ended(tmp_path):
    simulate(WORLD, 12, 30, 5, 4, tmp_path / "log", people=tmp_path / "people.npz", show_progress=False)
    hidden = load_state(tmp_path / "people.npz")
    assert (hidden.world, hidden.users, hidden.items, hidden.seed, int(hidden.state["day"])) == (WORLD, 12, 30, 4, 6)
    through, later = FeedEnv(WORLD, 12, 30, 4), FeedEnv(hidden.world, 12, 30, 4)
    lived = [day.valence for day in rollout_days(through, LoggingFeed(through), 5, counts=False)]
    later.reset(seed=4, options={"state": hidden.state})
    assert np.array_equal(later.valence, through.valence) and not np.array_equal(later.valence, lived[-1])


def test_a_broken_environment_state_is_refused(tmp_path):
    (tmp_path / "people.npz").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(DataError, match="is not an environment state"):
        load_state(tmp_path / "people.npz")
    with pytest.raises(DataError, match="no such file"):
        load_state(tmp_path / "none.npz")
    np.save(tmp_path / "x.npy", np.zeros(3))
    np.savez(tmp_path / "y.npz", header=np.array('{"users": 3}'))
    for name in ("x.npy", "y.npz"):
        with pytest.raises(DataError, match="is not an environment state"):
            load_state(tmp_path / name)
    env = FeedEnv(WORLD, 3, 30, 1)
    env.reset()
    with pytest.raises(ConfigError, match="is of 3 people; this world has 4"):
        FeedEnv(WORLD, 4, 30, 1).reset(options={"state": env.snapshot()})


# -- days ------------------------------------------------------------------------------------------------------------


def test_the_next_day_by_hand():
    """susceptibility · SD · Σ β (x − usual) · factor / 0.1, where neither noise nor clipping differs."""
    env = FeedEnv(WORLD, 300, 60, seed=2)
    env.reset()
    item = int(np.flatnonzero(env.morning().pool & (env.catalogue.tone.numpy() < 0))[0])
    emotion = int(env.catalogue.emotion[item])
    label = env.taxonomy.labels[emotion]
    after = []
    for slate in (item, -1):
        env.reset(seed=2)
        _, _, _, _, info = env.step(np.full((300, 1), slate))
        after.append((env.valence.copy(), info["watch_ratio"][:, 0]))
    exposure = after[0][1] * float(env.catalogue.intensity[item])
    effect = WORLD.exposure.effect[label] * env.people.susceptibility.numpy() * env.people.within_sd.numpy() * exposure / 0.1
    unclipped = (np.abs(after[0][0]) < 1) & (np.abs(after[1][0]) < 1)
    assert np.allclose((after[0][0] - after[1][0])[unclipped], effect[unclipped], atol=1e-5)
    assert (effect[after[0][1] > 0] < 0).all() and (after[0][1] > 0).mean() > 0.2


def test_habituation_by_hand():
    """(1 + κ) / (1 + κ · load / usual), with κ = 1: twice the effect on the unaccustomed, half after three times the usual."""
    env = FeedEnv(replace(WORLD, exposure=replace(WORLD.exposure, habituation=1.0)), 5, 60, seed=2)
    usual, shown = env.exposure.usual, env.exposure.usual > 0
    at_usual, unused, used = (
        env.exposure.susceptible(env.people, k * usual.expand(5, -1), torch.zeros(5, dtype=torch.bool))[:, shown]
        for k in (1, 0, 3)
    )
    assert torch.allclose(unused, 2 * at_usual) and torch.allclose(used, at_usual / 2)


def test_delay_by_hand():
    """Three quarters of the effect come the next day, one quarter the day after, when the first part has decayed."""
    env = FeedEnv(replace(WORLD, exposure=replace(WORLD.exposure, habituation=0.0, delay=0.25)), 5, 60, seed=2)
    nudge, empty, rollouts = torch.zeros(len(env.taxonomy)), np.full((5, 1), -1), []
    nudge[0] = 0.1
    for moved in (None, nudge):
        env.reset(seed=2)
        env.step(empty, moved)
        first = env.state.clone()
        env.active[:] = True
        env.step(empty)
        rollouts.append((first, env.state.clone()))
    effect = 0.1 * env.exposure.susceptible(env.people, env.exposure.usual.expand(5, -1), torch.zeros(5, dtype=torch.bool))[:, 0]
    assert torch.allclose(rollouts[1][0] - rollouts[0][0], 0.75 * effect, atol=1e-6)
    assert torch.allclose(rollouts[1][1] - rollouts[0][1], (0.75 * WORLD.affect.inertia + 0.25) * effect, atol=1e-6)


def test_low_mood_and_life_events_draw_to_negative_content():
    for world, name in ((WORLD, "mood"), (load_world("confounded"), "event")):
        env = FeedEnv(world, 4000, 60, seed=2)
        env.reset()
        items = torch.arange(60)
        negative = items[env.catalogue.tone < -0.3]
        lift = env.interest(negative).mean(dim=1) - env.people.taste[:, env.catalogue.kind[negative]].mean(dim=1)
        feeling = torch.from_numpy(env.valence) - env.people.home
        low = feeling < -env.people.within_sd
        assert low.any() and lift[low].mean() > lift[~low].mean() + 0.1, name


# -- worlds ----------------------------------------------------------------------------------------------------------


def test_the_shipped_worlds():
    others = {
        "null",
        "reversed",
        "confounded",
        "hidden",
        "weak",
        "strong",
        "field",
        "signs",
        "late",
        "quiet",
        "personal",
        "strategies",
    }
    assert {"reference", *others} == set(shipped_names("world"))
    strength = {name: load_world(name).exposure.strength for name in shipped_names("world")}
    assert (strength["null"], strength["reversed"], strength["weak"], strength["strong"]) == (0, -1, 0.5, 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("base: mars\n", "base 'mars' is not a shipped world"),
        ("base: null\naffect:\n  inertia: 0.5\n", "itself has a base"),
        ("base: reference\naffect:\n  inertia: 1.5\n", r"affect: inertia is 1.5; expected a number in \[0, 0.99\]"),
        ("base: reference\naffect:\n  inertai: 0.5\n", "unknown key 'inertai'. Did you mean 'inertia'"),
        ("base: reference\npopulation:\n  home: {genral: 0.1}\n", "population: home has the keys"),
        ("base: reference\nexposure:\n  effect: {hapy: 1}\n", "exposure: effect names 'hapy'. Did you mean 'happy'"),
        ("base: reference\ncatalogue:\n  emotion_share: {happy: 0.5}\n", "sums to"),
        ("base: reference\ncatalogue:\n  duration_range: [90, 10]\n", "expected .shortest, longest. in seconds"),
        ("base: reference\nfeed:\n  sessions: {casual: 1, keen: 2}\n", "feed: sessions has the keys"),
    ],
)
def test_a_wrong_world_is_refused(text, says, tmp_path):
    path = tmp_path / "world.yaml"
    path.write_text(text)
    with pytest.raises((ConfigError, Exception), match=says) as caught:
        load_world(str(path))
    assert str(path) in str(caught.value)


# -- truth -----------------------------------------------------------------------------------------------------------


def _truth(name, **kwargs):
    found = true_effects(load_world(name), 300, 100, 8, 3, show_progress=False, **kwargs)
    return {(e["treatment"], e["outcome"], e["state"]): e["value"] for e in found["effects"]}


def test_true_effects():
    truth = {name: _truth(name) for name in ("reference", "null", "reversed", "weak")}
    assert max(map(abs, truth["null"].values())) <= 1e-6
    for treatment, sign in (("negative_exposure", -1), ("positive_exposure", 1)):
        for state in ("all", "stable", "vulnerable"):
            key = treatment, "valence", state
            assert sign * truth["reference"][key] > 0.005 and sign * truth["reversed"][key] < -0.005
            assert truth["weak"][key] == pytest.approx(truth["reference"][key] / 2, rel=0.15)
        assert sign * truth["reference"][treatment, "negative", "all"] < 0
        assert truth["reference"][treatment, "active", "all"] == 0
        reported = truth["reference"][treatment, "reported_valence", "all"]
        assert (
            1 < reported / truth["reference"][treatment, "valence", "all"] < 2
        )  # words are stronger than feelings (report_gain 1.5)


def _valence(world, empty):
    """(days, people) under the logging policy, or with nothing to see."""
    env = FeedEnv(world, 500, 1000, 1)
    env.reset(seed=1)
    feed = LoggingFeed(env)
    days = []
    for _ in range(50):
        seen = env.morning()
        days.append(env.valence)
        slates = feed.recommend(seen)
        *_, info = env.step(np.full_like(slates, -1) if empty else slates)
        feed.observe(Feedback(seen.day, seen.active, slates, info["watch_ratio"], info["emotion"], behaviour={}))
    return np.stack(days)[20:]


def test_an_empty_feed_lifts_the_people_of_field_as_leaving_facebook_did():
    """.060 and .041 SD between persons (NBER 33697)."""
    world = load_world("field")
    usual, empty = (_valence(world, empty) for empty in (False, True))
    assert 0.03 < (empty - usual).mean() / usual.mean(axis=0).std() < 0.06


def test_what_each_emotion_does_in_signs():
    """The sign-wise effects nearly cancel, and those of single emotions do not."""
    truth = _truth("signs")
    assert abs(truth["negative_exposure", "valence", "all"]) < 0.5 * abs(
        _truth("reference")["negative_exposure", "valence", "all"]
    )
    effect = load_world("signs").exposure.effect
    assert effect["lonely"] > 0 > effect["anxious"] and effect["happy"] > 0 > effect["excited"]


def test_what_each_emotion_does_on_the_days_after():
    """Half of an effect comes a day later in `late`; what is there fades by the inertia; a trait that has no effect has none."""
    found = true_effects(load_world("late"), 300, 100, 8, 3, show_progress=False, emotions=True, days_after=3)
    of = {
        (e["treatment"], e["days_after"]): e["value"]
        for e in found["effects"]
        if (e["outcome"], e["state"]) == ("valence", "all")
    }
    inertia = load_world("late").affect.inertia
    for emotion in ("angry", "happy"):
        first, second, third = (of[f"exposure_{emotion}", h] for h in (1, 2, 3))
        assert second / first == pytest.approx(1 + inertia, rel=0.15) and third / second == pytest.approx(inertia, rel=0.15)
    assert of["exposure_neutral", 1] == of["exposure_neutral", 2] == 0


def test_twins_with_equal_feeds_are_equal_to_the_bit():
    assert set(_truth("reference", amount=0.0).values()) == {0.0}


def test_the_true_effect_by_hand():
    """Without habituation, clipping or events the effect is the mean susceptibility · SD · effect of the usual mix."""
    found = _truth("reference")["negative_exposure", "valence", "all"]
    env = FeedEnv(WORLD, 300, 100, 3)
    share = env.exposure.usual.numpy() * (env.taxonomy.valence < 0)
    mix = (env.exposure.effect.numpy() * share).sum() / share.sum()
    plain = 0.1 * mix * float((env.people.susceptibility * env.people.within_sd).mean())
    assert found == pytest.approx(plain, rel=0.2)


# -- the logging policy and the random numbers -------------------------------------------------------------------------


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
    people, index = torch.arange(2000), torch.arange(20)
    draws = uniform(1, "test", people, 3, index)
    assert draws.min() > 0 and draws.max() < 1
    assert abs(draws.mean() - 0.5) < 0.005 and abs(draws.var() - 1 / 12) < 0.002
    deviates = normal(1, "test", torch.arange(40_000))
    assert abs(deviates.mean()) < 0.02 and abs(deviates.std() - 1) < 0.02
    pair = uniform_pair(1, "test", people, 3, index)
    others = [uniform(1, "other", people, 3), uniform(1, "test", people, 4), uniform(2, "test", people, 3)]
    for draw in [*others, draws[:, 1], pair[1][:, 0].double()]:
        assert abs(np.corrcoef(draws[:, 0], draw)[0, 1]) < 0.08
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.08
    for part in pair:
        assert part.min() > 0 and part.max() < 1 and abs(part.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(pair[0].flatten(), pair[1].flatten())[0, 1]) < 0.01


def test_the_hash_is_splitmix64():
    """The published test vector of SplitMix64 seeded with 1234567."""
    from recbole_esmr.simulation.random import _mix

    state = torch.tensor([1234567], dtype=torch.int64)
    assert int(_mix(state)) % 2**64 == 6457827717110365317


def test_every_key_of_a_world_is_explained():
    from dataclasses import fields, is_dataclass
    from pathlib import Path

    text = (Path(__file__).parents[1] / "docs" / "worlds.md").read_text(encoding="utf-8")
    sections = [getattr(WORLD, f.name) for f in fields(WORLD) if is_dataclass(getattr(WORLD, f.name))]
    assert [f.name for section in sections for f in fields(section) if f"`{f.name}`" not in text] == []


def test_a_step_before_the_first_reset_is_refused():
    env = FeedEnv(WORLD, 3, 30, 1)
    with pytest.raises(ConfigError, match=r"call reset\(\) before step\(\)"):
        env.step(np.full((3, 2), -1))
