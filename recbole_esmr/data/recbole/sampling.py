"""Which items each person has, as a table: RecBole keeps a set of objects a person and a part, and asks them one by one.

The negatives that are drawn are RecBole's own, to the last one: only whether a person has an item is looked up elsewhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch


class Had:
    """The items of each person; it reads as RecBole's array of sets.

    Args:
        parts: sorted arrays of user · items + item, which together hold each pair once.
        users, items: how many there are, RecBole's padding among them.
    """

    def __init__(self, parts: tuple[np.ndarray, ...], users: int, items: int) -> None:
        self._parts, self._users, self._items = parts, users, items

    def __len__(self) -> int:
        return self._users

    def __getitem__(self, user: Any) -> Any:
        if np.ndim(user):
            return [self[one] for one in np.asarray(user)]
        if not -self._users <= user < self._users:
            raise IndexError(user)
        first = (int(user) % self._users) * self._items
        return {int(key) - first for part in self._parts for key in part[slice(*part.searchsorted([first, first + self._items]))]}

    def __iter__(self) -> Iterator[set[int]]:
        return (self[user] for user in range(self._users))

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Person and item of each pair, (N,) each."""
        user, item = np.divmod(np.concatenate(self._parts), self._items)
        return user, item

    @property
    def count(self) -> np.ndarray:
        """How many items each person has, (U,)."""
        return np.bincount(self.pairs[0], minlength=self._users)

    def has(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Whether these people have these items, (N,) bool."""
        key = user * self._items + item
        found = np.zeros(len(key), dtype=bool)
        for part in self._parts:
            if len(part):
                found |= part[np.minimum(part.searchsorted(key), len(part) - 1)] == key
        return found

    def and_of(self, user: np.ndarray, item: np.ndarray) -> Had:
        """With more pairs, of which some may be there already."""
        key = np.unique(user * self._items + item)
        if self._parts:
            key = key[~self.has(*np.divmod(key, self._items))]
        return Had((*self._parts, key), self._users, self._items)


class Alone:
    """The one item of each of N rows, which is all that may not be drawn for it where items may be shown again.

    Args:
        item: (N,).
    """

    def __init__(self, item: np.ndarray) -> None:
        self._item = item

    def __len__(self) -> int:
        return len(self._item)

    def has(self, row: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Whether it is the item of these rows, (N,) bool."""
        return np.asarray(self._item[row] == item)


def pairs_of(used: Any) -> tuple[np.ndarray, np.ndarray]:
    """Person and item of each pair in a sampler's ``used_ids``, (N,) each: a table, or sets of a sampler that keeps such."""
    if isinstance(used, Had):
        return used.pairs
    count = [len(items) for items in used]
    item = np.fromiter(itertools.chain.from_iterable(used), dtype=np.int64, count=sum(count))
    return np.repeat(np.arange(len(count)), count), item


def get_used_ids(_: Callable[..., Any], sampler: Any) -> dict[str, Had]:
    """``Sampler.get_used_ids``: what each person has in each part and those before it.

    Args:
        _: RecBole's own method, which goes through the interactions one by one.
        sampler: RecBole's sampler.

    Raises:
        ValueError: as RecBole, somebody has all items, so there is none to draw.
    """
    had, found = Had((), sampler.user_num, sampler.item_num), {}
    for phase, dataset in zip(sampler.phases, sampler.datasets, strict=True):
        rows = dataset.inter_feat
        had = had.and_of(*(rows[name].numpy().astype(np.int64) for name in (sampler.uid_field, sampler.iid_field)))
        found[phase] = had
    if (had.count == sampler.item_num - 1).any():
        raise ValueError(
            "Some users have interacted with all items, which we can not sample negative items for them. "
            "Please set `user_inter_num_interval` to filter those users."
        )
    return found


def sample_beside(_: Callable[..., Any], sampler: Any, user_ids: Any, item_ids: Any, num: int) -> Any:
    """``RepeatableSampler.sample_by_user_ids``: for each row any item but its own.

    Args:
        _: RecBole's own method, which makes a set a row.
        sampler: RecBole's sampler.
        user_ids, item_ids: (N,) of the rows.
        num: draws for each.

    Returns:
        as :func:`sample_by_key_ids`.
    """
    sampler.used_ids = Alone(np.asarray(item_ids))
    return sampler.sample_by_key_ids(np.arange(len(user_ids)), num)


def sample_by_key_ids(original: Callable[..., Any], sampler: Any, key_ids: Any, num: int) -> Any:
    """``AbstractSampler.sample_by_key_ids``: the same draws, all of them looked up at once.

    Args:
        original: RecBole's own method, for samplers that keep sets.
        sampler: RecBole's sampler.
        key_ids: (N,) people.
        num: draws for each.

    Returns:
        (num · N,) items, the first draw of everybody first.
    """
    had = sampler.used_ids
    if not isinstance(had, (Had, Alone)):
        return original(sampler, key_ids, num)
    people = np.tile(np.asarray(key_ids, dtype=np.int64), num)
    if len(people) and not 0 <= people.min() <= people.max() < len(had):
        raise IndexError("a person that the data do not have")
    items, open_ = np.zeros(len(people), dtype=np.int64), np.arange(len(people))
    while len(open_):
        items[open_] = sampler.sampling(len(open_))
        open_ = open_[had.has(people[open_], items[open_])]
    return torch.from_numpy(items)
