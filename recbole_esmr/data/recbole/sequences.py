"""One split for all models: a sequential model's rows go to the part that their interactions go to for every other model.

RecBole makes histories first and splits what is left, n − 1 rows of a person's n interactions. So a person of two interactions is
tested on the second by BPR and trained on it by SASRec, and shares such as [0.8, 0.1, 0.1] cut at other places. Here the
interactions are split, and the histories follow. With ``rows: recbole`` it is RecBole's split all the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction

from recbole_esmr.data.recbole.histories import before, some_rows
from recbole_esmr.errors import DataError
from recbole_esmr.protocol import as_recbole

_PLACE = "place in the order of people and time"
TEST = 2


def build(_: Callable[..., Any], dataset: Any) -> list[Any]:
    """Replaces ``SequentialDataset.build``: the training, validation and test part of a sequential data set.

    Leaves on the data set and its parts ``plain``, the interactions ordered by person and time, and ``plain_part``, (n,) int, the
    part of each: a person's first interaction is no row of any part, for nothing came before it.

    Raises:
        DataError: nobody has two interactions.
    """
    parent: Any = super(SequentialDataset, dataset)
    if dataset.config["benchmark_filename"] is not None:
        return list(parent.build())
    parent._change_feat_format()
    dataset.sort(by=[dataset.uid_field, dataset.time_field])
    plain, user = dataset.inter_feat, dataset.inter_feat[dataset.uid_field].numpy()
    has_past = np.append(False, user[1:] == user[:-1])
    if not has_past.any():
        raise DataError(
            f"data set '{dataset.dataset_name}': nobody has two interactions, and {dataset.config['model']} learns what follows "
            "what. Give longer histories, or take a model such as BPR or Pop."
        )
    split = np.flatnonzero(has_past) if as_recbole(dataset.config) else np.arange(len(user))
    places = [split[place] for place in _split_places(dataset, plain[torch.from_numpy(split)])]
    dataset.plain, dataset.plain_part = plain, np.zeros(len(user), dtype=np.int8)
    for part, place in enumerate(places):
        dataset.plain_part[place] = part
    dataset.data_augmentation()
    dataset._drop_unused_col()
    row = np.where(has_past, has_past.cumsum() - 1, -1)
    return [dataset.copy(some_rows(dataset.inter_feat, torch.from_numpy(row[place][row[place] >= 0]))) for place in places]


def _split_places(dataset: Any, plain: Interaction) -> list[np.ndarray]:
    """The places of the interactions that RecBole's own split gives each part."""
    general = copy.copy(dataset)
    asked = {dataset.uid_field, dataset.iid_field, dataset.time_field} & set(plain)
    general.inter_feat = Interaction({**{name: plain[name] for name in asked}, _PLACE: torch.arange(len(plain))})
    general._change_feat_format = lambda: None  # its rows are ready, and are not to become histories
    general._drop_unused_col = lambda: None
    return [part.inter_feat[_PLACE].numpy() for part in super(SequentialDataset, general).build()]


def seen_before(dataset: Any, part: int) -> tuple[np.ndarray, np.ndarray]:
    """Person and item of each interaction of the parts before ``part``, of a part of a data set that :func:`build` made."""
    before = dataset.plain_part < part
    return dataset.plain[dataset.uid_field].numpy()[before], dataset.plain[dataset.iid_field].numpy()[before]


def rows_to_answer(dataset: Any, user: np.ndarray) -> Interaction:
    """One row a person, in the order given: what a sequential model would be asked at the beginning of the test part.

    Args:
        dataset: a part of a data set that :func:`build` made.
        user: (B,) internal ids.

    Returns:
        B rows as RecBole makes them: the fields of the person's first test interaction (of the last one, without a test row), and
        the last ``MAX_ITEM_LIST_LENGTH`` interactions before it as lists.
    """
    plain = dataset.plain
    people = plain[dataset.uid_field].numpy()
    first, end = np.searchsorted(people, user), np.searchsorted(people, user, side="right")
    tested = np.bincount(people[dataset.plain_part == TEST], minlength=dataset.user_num)[user]
    history = end - tested  # by time, what is tested comes last
    start = np.maximum(first, history - dataset.max_item_list_len)
    row = np.where(tested > 0, history, end - 1).clip(0, len(people) - 1)
    rows = before(dataset, plain, row, start, history - start)[:]
    rows[dataset.item_list_length_field] = torch.from_numpy((history - start).clip(min=1))
    rows[dataset.uid_field] = torch.from_numpy(user)
    return dataset.join(rows)
