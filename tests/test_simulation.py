"""Worlds: reproducible, honest about latents, moved by what is shown, and known to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from gymnasium.utils import env_checker, passive_env_checker
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space, iterate
from gymnasium.wrappers.vector import DictInfoToList, FlattenObservation, RecordEpisodeStatistics
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_esmr.errors import ConfigError, DataError
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


# -- rollouts -----------------------------------------------------------------------------------------------------------


class _Feed:
    """Shows the first items on offer."""

    def __init__(self, width=6):
        self.width = width

    def reset(self, users, items):
        self.users = len(users)

    def recommend(self, observation):
        items = np.flatnonzero(observation.pool)[: self.width]
        return np.where(np.arange(len(items)) < observation.slate_size[:, None], items, -1)

    def observe(self, feedback):
        pass

    def acted(self):
        return np.zeros(self.users, dtype=bool)


def _rolled_out(users, world=WORLD, days=6):
    env = FeedEnv(world, users, 60, seed=2)
    return [(day.valence, day.hours, day.feedback.emotion, day.feedback.active) for day in rollout_days(env, _Feed(), days)]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=8, unique=True))
def test_a_person_fares_the_same_in_any_batch(people):
    among = _rolled_out(np.array(people))
    alone = _rolled_out(np.array(people[-1:]))
    for many, one in zip(among, alone, strict=True):
        for column, own in zip(many, one, strict=True):
            assert np.array_equal(column[-1:], own)


def test_a_life_is_the_same_on_one_thread_and_two():
    threads, rollouts = torch.get_num_threads(), []
    for number in (1, 2):
        torch.set_num_threads(number)
        rollouts.append(_rolled_out(3000, days=3))
    torch.set_num_threads(threads)
    assert all(np.array_equal(a, b) for one, two in zip(*rollouts, strict=True) for a, b in zip(one, two, strict=True))


def test_another_life_of_the_same_people():
    env = FeedEnv(WORLD, 50, 60, seed=2)
    env.reset()
    home, valence, pool = env.people.home.clone(), env.valence, env.morning().pool
    env.reset(seed=3)
    assert torch.equal(env.people.home, home) and not np.array_equal(env.valence, valence)
    env.reset(seed=2)
    assert np.array_equal(env.valence, valence) and np.array_equal(env.morning().pool, pool)


def test_a_reset_without_a_seed_goes_on_to_rollouts_that_follow_from_the_last_seed():
    def mornings(env, seed=None):
        env.reset(seed=seed)
        found = [env.valence]
        for _ in range(2):
            env.reset()
            found.append(env.valence)
        return found

    env = FeedEnv(WORLD, 50, 60, seed=2, rollout_seed=7)
    first = mornings(env)
    assert not any(np.array_equal(first[i], first[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    for again in (mornings(env, 7), mornings(FeedEnv(WORLD, 50, 60, seed=2, rollout_seed=7))):
        assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert not np.array_equal(mornings(env, 8)[1], first[1])


def test_a_policy_meets_the_same_chance_whatever_was_reset_before():
    env = FeedEnv(WORLD, 20, 60, seed=2)
    one, other = ([day.valence for day in rollout_days(env, _Feed(), 3, counts=False)] for _ in range(2))
    assert np.array_equal(one, other)


# -- gymnasium's conventions -------------------------------------------------------------------------------------------


def test_spaces_are_the_single_ones_batched_and_hold_what_is_seen():
    env = FeedEnv(load_world("strong"), 200, 60, seed=2)
    assert env.observation_space == batch_space(env.single_observation_space, 200)
    assert env.action_space == batch_space(env.single_action_space, 200)
    assert env.single_action_space.contains(np.full(env.slate_width, -1)) and env.single_action_space.nvec[0] == 61
    seen, info = env.reset()
    assert info == {}
    for _ in range(15):
        assert env.observation_space.contains(seen)
        assert {name: value.dtype for name, value in seen.items()} == {n: s.dtype for n, s in env.observation_space.items()}
        first = next(iter(iterate(env.observation_space, seen)))
        assert env.single_observation_space.contains(first | {"active": np.asarray(first["active"])})
        morning = env.morning()
        assert (seen["pool"] == morning.pool).all() and seen["pool"].strides[0] == 0, "one row for all"
        assert np.array_equal(seen["active"], morning.active) and np.array_equal(seen["slate_size"], morning.slate_size)
        slates = _Feed(env.slate_width).recommend(morning)
        assert env.action_space.contains(np.pad(slates, ((0, 0), (0, env.slate_width - slates.shape[1])), constant_values=-1))
        seen, hours, ended, cut, info = env.step(slates)
        ratio = info["watch_ratio"]
        assert ratio.dtype == hours.dtype == env.valence.dtype == np.float32 and hours.shape == (200,)
        assert ((ratio == 0) | ((ratio >= 0.05) & (ratio <= 1))).all() and (ratio[slates < 0] == 0).all()
        assert (np.abs(env.valence) <= 1).all() and (hours >= 0).all() and not info["refused"].any()
        assert ended.dtype == cut.dtype == bool and ended.shape == cut.shape == (200,) and not (ended | cut).any()
        assert not np.shares_memory(ended, cut)


@pytest.mark.filterwarnings("error")
def test_gymnasiums_own_checks():
    """Gymnasium 1.4 has no checker for vector environments; these parts of its checkers hold for them, too."""
    env = FeedEnv(WORLD, 5, 60, seed=2)
    assert isinstance(env, VectorEnv)
    passive_env_checker.check_observation_space(env.observation_space)
    passive_env_checker.check_observation_space(env.single_observation_space)
    passive_env_checker.check_action_space(env.action_space)
    env_checker.check_reset_seed_determinism(env)
    env_checker.check_reset_options(env)
    env_checker.check_reset_return_type(env)
    passive_env_checker.env_reset_passive_checker(env, seed=3)
    env_checker.check_returned_data_not_reused(FeedEnv(WORLD, 1, 60, seed=2))  # it asks `if terminated`: one person
    env.action_space.seed(1)
    actions, rollouts = [env.action_space.sample() for _ in range(6)], []
    for seed in (4, 4, 5):
        trace = [env.reset(seed=seed)]
        for action in actions:
            trace.append(env.step(action))
            passive_env_checker.check_obs(trace[-1][0], env.observation_space, "step")
        rollouts.append(trace)
    assert env_checker.data_equivalence(rollouts[0], rollouts[1], exact=True)
    assert not env_checker.data_equivalence(rollouts[0], rollouts[2])


def test_gymnasiums_wrappers_take_it():
    env = DictInfoToList(FlattenObservation(RecordEpisodeStatistics(FeedEnv(WORLD, 4, 60, seed=2))))
    seen, infos = env.reset(seed=1)
    assert seen.shape == (4, 1 + 60 + env.unwrapped.slate_width + 1) and env.observation_space.contains(seen)
    _, reward, _, _, infos = env.step(env.action_space.sample())
    assert reward.shape == (4,) and infos[3]["watch_ratio"].shape == (env.unwrapped.slate_width,)


def test_what_cannot_be_shown_leaves_its_place_empty():
    env = FeedEnv(WORLD, 4, 60, seed=2)
    env.reset()
    env.active[3] = False
    env._size[:] = torch.tensor([3, 3, 2, 0])
    a, b, c = np.flatnonzero(env.morning().pool)[:3].tolist()
    off = int(np.flatnonzero(~env.morning().pool)[0])
    asked = np.array([[a, b, a, c, -1], [off, a, off, b, c], [b, -1, c, a, b], [a, b, c, -1, off]])
    refused = [[0, 0, 1, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 1], [1, 1, 1, 0, 1]]
    assert env.refused(asked).astype(int).tolist() == refused
    morning = env.snapshot()
    _, hours, _, _, info = env.step(asked)
    tomorrow = env.valence
    assert info["refused"].astype(int).tolist() == refused and (info["watch_ratio"][info["refused"]] == 0).all()
    env.reset(seed=2, options={"state": morning})
    env._size[:] = torch.tensor([3, 3, 2, 0])
    _, same, _, _, other = env.step(np.where(info["refused"], -1, asked))
    assert np.array_equal(hours, same) and np.array_equal(tomorrow, env.valence) and not other["refused"].any()
    assert np.array_equal(info["watch_ratio"], other["watch_ratio"])


def test_any_sample_of_the_action_space_can_be_lived():
    env = FeedEnv(WORLD, 30, 40, seed=2)
    seen, _ = env.reset()
    env.action_space.seed(5)
    for _ in range(5):
        slates, pool, size = env.action_space.sample(), env.morning().pool, seen["slate_size"]
        seen, *_, info = env.step(slates)
        shown = (slates >= 0) & ~info["refused"]
        for row in range(30):
            items = slates[row][shown[row]].tolist()
            first = list(dict.fromkeys(item for item in slates[row].tolist() if item >= 0 and pool[item]))
            assert items == first[: size[row]]


@pytest.mark.parametrize(
    ("slates", "says"),
    [
        (np.zeros((3, 2), dtype=int), r"slates have shape \(3, 2\); expected \(4, up to 24\)"),
        (np.full((4, 2), 60), "slates hold item 60; expected numbers from -1 to 59"),
        (np.full((4, 2), -2), "slates hold item -2; expected numbers from -1 to 59"),
        (np.full((4, 2), 1.0), "slates are of torch.float64; expected whole numbers"),
    ],
)
def test_what_is_no_action_is_refused(slates, says):
    env = FeedEnv(WORLD, 4, 60, seed=2)
    env.reset()
    for ask in (env.step, env.refused):
        with pytest.raises(ConfigError, match=says):
            ask(slates)


class _Wrong(_Feed):
    """Spoils the second person's slate."""

    def __init__(self, spoil):
        super().__init__(2)
        self.spoil = spoil

    def recommend(self, observation):
        slates = super().recommend(observation)
        return self.spoil(slates, observation)


def _twice(slates, observation):
    slates[1, 1] = slates[1, 0]
    return slates


def _not_on_offer(slates, observation):
    slates[1, 0] = np.flatnonzero(~observation.pool)[0]
    return slates


def _too_many(slates, observation):
    observation.slate_size[1] = 0
    items = np.flatnonzero(observation.pool)
    return np.where(np.arange(len(items)) < np.array([[1], [24], [0]]), items, -1)[:, :24]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_twice, r"day 1: _Wrong shows item (\d+) \(v\d+\) to person u6 twice. Show each item once"),
        (_not_on_offer, r"day 1: _Wrong shows item (\d+) \(v\d+\) to person u6, which is not on offer"),
        (_too_many, r"day 1: _Wrong shows item (\d+) \(v\d+\) to person u6, one more than the (\d+) of observation.slate_size"),
    ],
)
def test_a_policy_that_shows_what_cannot_be_shown_is_told_whom_and_what(spoil, says):
    env = FeedEnv(WORLD, np.array([4, 5, 6]), 60, seed=2)
    with pytest.raises(ConfigError, match=says):
        list(rollout_days(env, _Wrong(spoil), 2))


def test_tensors_in_and_out_on_a_device():
    rollouts = []
    for device in (None, "cpu"):
        env = FeedEnv(WORLD, 20, 60, seed=2, device=device)
        seen, _ = env.reset()
        assert isinstance(seen["active"], np.ndarray if device is None else torch.Tensor)
        assert torch.equal(torch.as_tensor(np.array(seen["pool"])), torch.from_numpy(env.morning().pool).expand(20, 60))
        slates = torch.from_numpy(np.flatnonzero(env.morning().pool)[:3]).expand(20, 3)
        _, hours, _, _, info = env.step(slates)
        rollouts.append([np.asarray(x) for x in (env.valence, hours, info["watch_ratio"], info["emotion"])])
    assert all(np.array_equal(a, b) for a, b in zip(*rollouts, strict=True))


def test_the_expected_watch_time_is_the_mean_of_what_is_watched():
    env = FeedEnv(WORLD, 20_000, 60, seed=2)
    env.reset()
    slates = _Feed().recommend(env.morning())
    expected = env.expected_hours(slates)
    _, hours, *_ = env.step(slates)
    assert hours.mean() == pytest.approx(expected.mean(), rel=0.01)


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
    at_usual, unused, used = (env.exposure.susceptible(env.people, k * usual.expand(5, -1))[:, shown] for k in (1, 0, 3))
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
    effect = 0.1 * env.exposure.susceptible(env.people, env.exposure.usual.expand(5, -1))[:, 0]
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
    assert {"reference", "null", "reversed", "confounded", "weak", "strong"} <= set(shipped_names("world"))
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
