"""Any general or sequential RecBole model as a feed policy."""

from __future__ import annotations

from dataclasses import replace
from logging import getLogger
from typing import TYPE_CHECKING

import numpy as np
import torch

from recbole_esmr.feed import Feedback, Observation, top_slates
from recbole_esmr.model.scoring import ItemScores
from recbole_esmr.policy.contract import NOT_BEGUN, Contract

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


class RecBolePolicy:
    """Ranks the items on offer by a trained model's scores; its weights stay, the histories it reads grow as the days pass.

    Args:
        model: a trained general or sequential RecBole model.
        dataset: the data it was trained on, as :func:`~recbole_esmr.quick_start.load_data_and_model` gives it.
        longest: items of a history that a sequential model reads.
    """

    contract: Contract = NOT_BEGUN

    def __init__(self, model: torch.nn.Module, dataset: Dataset, longest: int) -> None:
        self._scores = ItemScores(model, next(model.parameters()).device)
        self._dataset, self._longest = dataset, longest

    def reset(self, users: np.ndarray, items: np.ndarray) -> None:
        self.contract = Contract.of(users, items)
        self._user = known_ids(self._dataset, self._dataset.uid_field, users)
        self._item = known_items(self._dataset, items)
        self._history, self._length = self._logged()

    def recommend(self, observation: Observation) -> np.ndarray:
        self.contract.check_morning(observation)
        longest = min(int(observation.slate_size.max(initial=0)), int(observation.pool.sum()))
        slates = np.full((len(self._user), longest), -1)
        here = np.flatnonzero(observation.active)
        for rows in np.array_split(here, max(1, len(here) // 1024)) if len(here) else ():
            scores = self._scores(torch.from_numpy(self._user[rows]), self._history[rows], self._length[rows])
            score = scores.cpu().numpy()[:, self._item]
            score[:, self._item == 0] = -np.inf  # items that the model has never met
            part = replace(observation, active=observation.active[rows], slate_size=observation.slate_size[rows])
            found = top_slates(score, part)
            slates[rows, : found.shape[1]] = found
        return slates

    def observe(self, feedback: Feedback) -> None:
        """Append what was watched to the histories, in the order in which it was shown."""
        self.contract = self.contract.after(feedback)
        watched = (feedback.watch_ratio > 0) & (self._item[np.maximum(feedback.slates, 0)] > 0)
        order = np.argsort(~watched, axis=1, kind="stable")
        item = np.take_along_axis(self._item[np.maximum(feedback.slates, 0)], order, axis=1)
        self._history, self._length = _appended(self._history, self._length, item, watched.sum(axis=1))

    def acted(self) -> np.ndarray:
        return np.zeros(len(self._user), dtype=bool)

    def _logged(self) -> tuple[np.ndarray, np.ndarray]:
        """What the log holds of each person: the last row's history and its target."""
        history = np.zeros((len(self._user), self._longest), dtype=np.int64)
        length = np.zeros(len(self._user), dtype=np.int64)
        if not self._scores.sequential:
            return history, length
        data = self._dataset
        rows = data.inter_feat
        table = np.zeros((data.user_num, self._longest), dtype=np.int64)
        count = np.zeros(data.user_num, dtype=np.int64)
        user = rows[data.uid_field].numpy()
        order = np.lexsort((rows[data.time_field].numpy(), user))
        last = order[np.append(user[order][1:] != user[order][:-1], True)]
        latest = rows[torch.from_numpy(last)]
        table[user[last]] = latest[data.item_id_list_field].numpy()[:, : self._longest]
        count[user[last]] = latest[data.item_list_length_field].numpy()
        target = latest[data.iid_field].numpy()[:, None]
        table[user[last]], count[user[last]] = _appended(
            table[user[last]], count[user[last]], target, np.ones(len(last), dtype=int)
        )
        known = self._user > 0
        history[known], length[known] = table[self._user[known]], count[self._user[known]]
        return history, length


def known_ids(dataset: Dataset, field: str, names: np.ndarray) -> np.ndarray:
    """RecBole's internal ids of names, (n,) int64, 0 for a name that it does not know."""
    token_id = dataset.field2token_id[field]
    return np.array([token_id.get(str(name), 0) for name in names], dtype=np.int64)


def known_items(dataset: Dataset, names: np.ndarray) -> np.ndarray:
    """RecBole's internal ids of items, (n,) int64, 0 for those that it does not know; warns where it knows none of them."""
    found = known_ids(dataset, dataset.iid_field, names)
    if not found.any():
        getLogger().warning(
            "reset: the model knows none of the %d items, such as %r, so feeds stay empty; it was trained on items such as %r.",
            *(len(found), str(names[0]), str(dataset.field2id_token[dataset.iid_field][1])),
        )
    return found


def _appended(history: np.ndarray, length: np.ndarray, item: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Histories (U, L) with the first ``count`` of ``item`` (U, K) after their ``length``; the oldest fall out."""
    longest = history.shape[1]
    both = np.concatenate([history, np.zeros_like(item)], axis=1)
    place = length[:, None] + np.arange(item.shape[1])
    rows, columns = np.nonzero(np.arange(item.shape[1]) < count[:, None])
    both[rows, place[rows, columns]] = item[rows, columns]
    total = length + count
    shift = np.maximum(total - longest, 0)
    index = shift[:, None] + np.arange(longest)
    kept = np.take_along_axis(both, np.minimum(index, both.shape[1] - 1), axis=1)
    return np.where(np.arange(longest) < (total - shift)[:, None], kept, 0), total - shift
