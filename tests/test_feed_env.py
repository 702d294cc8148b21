"""Days under a policy: the same for a person in any batch and on any thread, by gymnasium's vector conventions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.utils import env_checker, passive_env_checker
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space, iterate
from gymnasium.wrappers.vector import DictInfoToList, FlattenObservation, RecordEpisodeStatistics
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_esmr.errors import ConfigError
from recbole_esmr.simulation import FeedEnv, load_world
from recbole_esmr.simulation.days import rollout_days

WORLD = load_world("reference")


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
