"""Rankings of all items: what is offered to whom in RecBole's evaluation, and the best items for people who are named."""

from __future__ import annotations

from collections.abc import Sequence
from logging import getLogger
from typing import Any

import numpy as np
import scipy.sparse
import torch
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.dataloader.general_dataloader import FullSortEvalDataLoader as RecBoleLoader
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import ModelType, get_model
from torch import Tensor

from recbole_esmr.data.recbole.sampling import pairs_of
from recbole_esmr.data.recbole.sequences import TEST, rows_to_answer, seen_before
from recbole_esmr.errors import ConfigError, DataError, nearest

_PARTS = {"train": 0, "valid": 1, "test": TEST}

USUAL = 4096
"""RecBole's ``eval_batch_size`` where nobody has set one."""

LEAST, MOST = 1 << 20, 1 << 24
"""Scores that are asked for at once: of as many people of a general model, of no more rows of a sequential one."""

ROWS = 256
"""Rows of a sequential model at once on a CPU, at most: what it makes of their histories stays in the processor's cache."""


class FullSortEvalDataLoader(RecBoleLoader):
    """RecBole's loader for full ranking, by tables; with ``repeatable: False`` no model is asked for what was seen before.

    RecBole leaves out, for general models, what a person had in the parts before, unless it is to be found in this part. The same
    is left out here for sequential models, ESMR included, which RecBole refuses with that key.

    RecBole asks a general model for ``eval_batch_size`` scores at once, which are those of four people where there are a thousand
    items, and a sequential one for as many rows, which are gigabytes where there are many items. Where nobody has set the key it
    is at least :data:`LEAST` scores of a general model that scores all items at once, and at most :data:`MOST` of a sequential
    one, of at most :data:`ROWS` rows on a CPU. The figures are the same.

    Attributes:
        asked, unasked: (U, I) what is to be found, and what is not asked for; the second None where everything is.
    """

    def __init__(self, config: Any, dataset: Any, sampler: Any, shuffle: bool = False) -> None:
        self.asked = _asked(dataset)
        if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            super().__init__(config, dataset, sampler, shuffle=shuffle)
            everything = config["repeatable"] or not hasattr(dataset, "plain")
            self.unasked = None if everything else _unasked(dataset, sampler, sequential=True)
        else:
            self._of_people(config, dataset, sampler)
            self.unasked = _unasked(dataset, sampler, sequential=False)

    def _of_people(self, config: Any, dataset: Any, sampler: Any) -> None:
        """RecBole's preparation for a general model, without its loop over interactions."""
        self.logger, self.is_sequential = getLogger(), False
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        dataset.sort(by=self.uid_field, ascending=True)
        self.uid2items_num = np.diff(self.asked.indptr).astype(np.int64)
        self.uid_list = torch.from_numpy(np.flatnonzero(self.uid2items_num))
        self.user_df = dataset.join(Interaction({self.uid_field: self.uid_list}))
        self.sample_size = len(self.user_df)
        AbstractDataLoader.__init__(self, config, dataset, sampler, shuffle=False)

    def _init_batch_size_and_step(self) -> None:
        asked, items = int(self.config["eval_batch_size"]), self._dataset.item_num
        if self.is_sequential:
            on_cpu = torch.device(self.config["device"]).type == "cpu"
            usual = min(asked, MOST // items, ROWS if on_cpu else asked)
            self.step = max(usual if asked == USUAL else asked, 1)
            self.set_batch_size(self.step)
        else:
            usual = LEAST if _scores_all(self.config) else asked
            self.step = max((usual if asked == USUAL else asked) // items, 1)
            self.set_batch_size(self.step * items)

    def collate_fn(self, index: Any) -> tuple[Any, ...]:
        if self.is_sequential:
            rows, history, positive_user, positive_item = super().collate_fn(index)
        else:
            rows, history = self.user_df[np.array(index)], None
            positive_user, positive_item = self._of_rows(self.asked, rows)
        if self.unasked is not None:
            history = self._of_rows(self.unasked, rows)
        return rows, history, positive_user, positive_item

    def _of_rows(self, pairs: scipy.sparse.csr_matrix, rows: Interaction) -> tuple[Tensor, Tensor]:
        """The pairs of the rows' people: place among the rows, and item."""
        place, item = pairs[rows[self.uid_field].numpy()].nonzero()
        return torch.from_numpy(place).long(), torch.from_numpy(item).long()


def _scores_all(config: Any) -> bool:
    """Whether many people more cost a model little: a general one that scores all items of each person by itself.

    Models of knowledge graphs gather neighbours of every pair, others score pairs one by one, and ``Random`` draws one list for
    all people of a batch.
    """
    if config["MODEL_TYPE"] != ModelType.GENERAL or config["model"] == "Random":
        return False
    try:
        model = get_model(config["model"])
    except ValueError:  # a model of the user's own
        return False
    return model.full_sort_predict is not AbstractRecommender.full_sort_predict


def _asked(dataset: Any) -> scipy.sparse.csr_matrix:
    """(U, I) what is to be found in a part."""
    rows = dataset.inter_feat
    return _pairs(dataset, rows[dataset.uid_field].numpy(), rows[dataset.iid_field].numpy())


def _unasked(dataset: Any, sampler: Any, sequential: bool) -> scipy.sparse.csr_matrix:
    """(U, I) what people had in the parts before, but for what is to be found."""
    if sequential:
        user, item = seen_before(dataset, _PARTS[getattr(sampler, "phase", None) or "test"])
    else:
        user, item = pairs_of(sampler.used_ids)
    had = _pairs(dataset, user, item)
    had -= had.multiply(_asked(dataset))
    had.eliminate_zeros()
    return had


def _pairs(dataset: Any, user: np.ndarray, item: np.ndarray) -> scipy.sparse.csr_matrix:
    """(U, I) with 1 where the person had the item."""
    shape = dataset.user_num, dataset.item_num
    once = np.unique(user.astype(np.int64) * shape[1] + item)
    return scipy.sparse.csr_matrix((np.ones(len(once), dtype=np.int8), np.divmod(once, shape[1])), shape=shape)


@torch.no_grad()
def full_sort_scores(uid_series: Sequence[int] | np.ndarray | Tensor, model: Any, test_data: Any, device: Any = None) -> Tensor:
    """The scores of all items for each person, in the order asked for.

    RecBole's function of that name fails for people without a test row, and answers a sequential model's test rows instead of
    people. Here everybody is answered once, from what they had before the test part.

    Args:
        uid_series: (B,) internal ids of people (``dataset.token2id``).
        model: a trained model of RecBole or ESMR.
        test_data: the test loader that it was made with (``load_data_and_model``).
        device: the model's own unless given.

    Returns:
        (B, I); −inf for the padding item, and with ``repeatable: False`` for what the person had before.

    Raises:
        DataError: an id that is none of the data set's.
    """
    dataset, config = test_data._dataset, test_data.config
    user = _known(uid_series, dataset)
    device = device or next((weight.device for weight in model.parameters()), torch.device("cpu"))
    model.eval()
    if test_data.is_sequential:
        rows = rows_to_answer(dataset, user)
        day = getattr(dataset, "day_field", None)
        if day is not None:
            untested = ~np.isin(user, dataset.inter_feat[dataset.uid_field].numpy())
            rows[day][torch.from_numpy(untested)] = dataset.trace.first_day + dataset.trace.days
    else:
        rows = dataset.join(Interaction({dataset.uid_field: torch.from_numpy(user)}))
    scores = _scores(rows.to(device), model, dataset)
    scores[:, 0] = -torch.inf
    if not config["repeatable"]:
        place, item = had_before(test_data, user)
        scores[torch.from_numpy(place), torch.from_numpy(item)] = -torch.inf
    return scores


def full_sort_topk(
    uid_series: Sequence[int] | np.ndarray | Tensor, model: Any, test_data: Any, k: int, device: Any = None
) -> tuple[Tensor, Tensor]:
    """The best ``k`` items for each person, in the order asked for.

    Args:
        uid_series, model, test_data, device: as of :func:`full_sort_scores`.
        k: at most the number of items.

    Returns:
        scores and internal ids of the items, (B, k) each, the best first; a score of −inf is an item that may not be shown.

    Raises:
        DataError: an id that is none of the data set's.
        ConfigError: more items than there are.
    """
    check_k(test_data._dataset, k)
    best = torch.topk(full_sort_scores(uid_series, model, test_data, device), k)
    return best.values, best.indices


def check_k(dataset: Any, k: int) -> None:
    """Refuse a list of more items than there are.

    Raises:
        ConfigError: how many there are.
    """
    items = dataset.item_num - 1
    if not 1 <= k <= items:
        raise ConfigError(f"k is {k}; data set '{dataset.dataset_name}' has {items} items. Expected 1 to {items}.")


def people_named(dataset: Any, names: Sequence[str] | None) -> np.ndarray:
    """RecBole's internal ids of people, (B,) in the order of their names; of everybody with None.

    Raises:
        DataError: somebody who is not in the data.
    """
    known = {str(name): number for number, name in enumerate(dataset.field2id_token[dataset.uid_field]) if number}
    for name in names or ():
        if name not in known:
            raise DataError(f"person '{name}' is not in data set '{dataset.dataset_name}'. {nearest(name, known)}")
    return np.array(list(known.values()) if names is None else [known[name] for name in names], dtype=np.int64)


def _known(uid_series: Any, dataset: Any) -> np.ndarray:
    user = np.atleast_1d(np.asarray(uid_series))
    if user.dtype.kind not in "iu":
        raise DataError(
            f"people are asked for by {user[:1].tolist()}; expected RecBole's internal ids. Make them of names with "
            f"dataset.token2id('{dataset.uid_field}', [...])."
        )
    wrong = (user < 1) | (user >= dataset.user_num)
    if wrong.any():
        raise DataError(
            f"person {user[wrong][0]}: data set '{dataset.dataset_name}' has the internal ids 1 to {dataset.user_num - 1}. Make "
            f"them of names with dataset.token2id('{dataset.uid_field}', [...])."
        )
    return user.astype(np.int64)


def had_before(test_data: Any, user: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and item of what the people had before the test part, except what is tested."""
    table = getattr(test_data, "unasked", None)
    if table is None:  # a loader that ranks sampled items
        table = test_data.unasked = _unasked(test_data._dataset, test_data._sampler, test_data.is_sequential)
    place, item = table[user].nonzero()
    return place, item


def _scores(rows: Interaction, model: Any, dataset: Any) -> Tensor:
    try:
        return model.full_sort_predict(rows).view(len(rows), dataset.item_num)
    except NotImplementedError:  # a model that scores pairs of a person and an item
        pairs = rows.repeat_interleave(dataset.item_num)
        pairs.update(dataset.get_item_feature().to(rows[dataset.uid_field].device).repeat(len(rows)))
        return model.predict(pairs).view(len(rows), dataset.item_num)
