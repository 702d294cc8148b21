"""RecBole's negatives: the same draws from a table as from RecBole's sets."""

from __future__ import annotations

import numpy as np
import pytest
from recbole.data.interaction import Interaction
from recbole.sampler import RepeatableSampler, Sampler
from recbole.sampler.sampler import AbstractSampler
from torch import from_numpy

import recbole_esmr  # noqa: F401 (teaches RecBole)
from recbole_esmr.data.recbole.sampling import pairs_of

OWN_IDS, OWN_SAMPLE = Sampler.get_used_ids.recboles_own, AbstractSampler.sample_by_key_ids.recboles_own


class _Part:
    uid_field, iid_field, user_num, item_num = "user_id", "item_id", 9, 12

    def __init__(self, seed: int, rows: int = 14) -> None:
        rng = np.random.default_rng(seed)
        user, item = rng.integers(1, 9, rows), rng.integers(1, 12, rows)
        self.inter_feat = Interaction({"user_id": from_numpy(user), "item_id": from_numpy(item)})


@pytest.fixture
def sampler():
    return Sampler(["train", "valid", "test"], [_Part(1), _Part(2), _Part(3)])


def test_each_part_holds_the_sets_that_recbole_makes(sampler):
    theirs = OWN_IDS(sampler)
    for phase in ("train", "valid", "test"):
        ours = sampler.set_phase(phase).used_ids
        assert list(ours) == [{int(item) for item in items} for items in theirs[phase]]
        assert ours[3] == theirs[phase][3] and ours[np.array([1, 5])] == [theirs[phase][1], theirs[phase][5]]
        assert ours.count.tolist() == [len(items) for items in theirs[phase]]
        user, item = np.indices((9, 12)).reshape(2, -1)
        assert ours.has(user, item).tolist() == [i in theirs[phase][u] for u, i in zip(user, item, strict=True)]
        pairs = [sorted(zip(*(part.tolist() for part in pairs_of(used)), strict=True)) for used in (ours, theirs[phase])]
        assert pairs[0] == pairs[1] and len(set(pairs[0])) == len(pairs[0])
    with pytest.raises(IndexError):
        ours[9]


@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
@pytest.mark.parametrize("people", [[4], [2, 2, 2], [1, 7, 3, 3, 8, 5]])
def test_the_draws_are_recboles_to_the_last_one(sampler, distribution, people):
    sampler.set_distribution(distribution)
    ours, theirs = sampler.set_phase("test"), sampler.set_phase("test")
    theirs.used_ids = np.array(list(OWN_IDS(sampler)["test"]))
    for num in (1, 3):
        np.random.seed(5)
        drawn = ours.sample_by_user_ids(np.array(people), None, num)
        after = np.random.random()
        np.random.seed(5)
        expected = OWN_SAMPLE(theirs, np.array(people), num)
        assert drawn.dtype == expected.dtype and drawn.tolist() == expected.tolist() and after == np.random.random()
        assert not ours.used_ids.has(np.tile(people, num), drawn.numpy()).any()


def test_whom_the_data_do_not_have_is_refused_as_by_recbole(sampler):
    with pytest.raises(ValueError, match=r"user_id \[9\] not exist"):
        sampler.set_phase("train").sample_by_user_ids(np.array([1, 9]), None, 1)


def test_who_has_everything_is_refused_as_by_recbole():
    part = _Part(1)
    part.inter_feat = Interaction({"user_id": from_numpy(np.full(11, 2)), "item_id": from_numpy(np.arange(1, 12))})
    with pytest.raises(ValueError, match="interacted with all items"):
        Sampler("train", part)


@pytest.mark.parametrize("items", [[4], [4, 4, 4], [4, 5, 6, 1]])
def test_where_items_may_be_shown_again_the_draws_are_recboles_too(items):
    repeatable = RepeatableSampler("train", _Part(1)).set_phase("train")
    people, items = np.arange(1, len(items) + 1), np.array(items)
    for num in (1, 30):
        np.random.seed(1)
        drawn = repeatable.sample_by_user_ids(people, items, num)
        np.random.seed(1)
        repeatable.used_ids = np.array([{item} for item in items])
        assert drawn.tolist() == OWN_SAMPLE(repeatable, np.arange(len(items)), num).tolist()
        assert not (drawn.numpy() == np.tile(items, num)).any()
