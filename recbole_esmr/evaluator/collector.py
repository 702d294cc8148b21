"""What RecBole's evaluation gathers of each batch of scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.evaluator.collector import Collector as RecBoleCollector
from recbole.evaluator.collector import DataStruct
from torch import Tensor

from recbole_esmr.data.catalogue import load_catalogue, require_item_emotions
from recbole_esmr.evaluator.felt import ROW, FeltPart, of_all_processes

_COMPARED = 1 << 22
"""Scores that are compared at once."""


class Collector(RecBoleCollector):
    """RecBole's collector, which also finds the emotion of the items and of people, and survives counts that are no tensors.

    What RecBole's metrics read is the same, made with one search for the best items instead of two and without sorting all.
    """

    _rows = 0
    _felt: FeltPart | None = None

    def data_collect(self, train_data: Any) -> None:
        super().data_collect(train_data)
        self.item_collect(train_data._dataset)

    def item_collect(self, dataset: Any) -> None:
        """Collect the items' emotion, once.

        Raises:
            DataError: an emotion metric is asked for and no item has an emotion.
        """
        needs = [name for name in ("data.item_negative", "data.item_tone") if self.register.need(name)]
        if all(name in self.data_struct for name in needs):
            return
        catalogue = load_catalogue(dataset)
        require_item_emotions(catalogue, dataset)
        values = {"data.item_negative": catalogue.negative, "data.item_tone": catalogue.intensity * catalogue.valence}
        for name in needs:
            self.data_struct.set(name, torch.from_numpy(values[name]))

    def felt_collect(self, dataset: Any) -> None:
        """Collect how people felt about the items of the part that is evaluated next."""
        self._felt, self._rows = FeltPart.of(dataset) if self.register.need("rec.felt") else None, 0

    def eval_batch_collect(self, scores_tensor: Any, interaction: Any, positive_u: Any, positive_i: Any) -> None:
        self._rank_collect(scores_tensor, positive_u, positive_i)
        if self.register.need("rec.score"):
            self.data_struct.update_tensor("rec.score", scores_tensor)
        if self.register.need("data.label"):
            self.data_struct.update_tensor("data.label", interaction[self.config["LABEL_FIELD"]].to(self.device))
        if self._felt is not None and self.register.need("rec.felt"):
            people = interaction[self.config["USER_ID_FIELD"]]
            if len(people) != len(scores_tensor):  # items were sampled: a person has a row, and a line for each item
                people = torch.unique_consecutive(people)
            rows = self._felt.rows(scores_tensor, people, positive_u, positive_i, max(self.topk))
            rows[:, ROW] += self._rows
            self.data_struct.update_tensor("rec.felt", rows)
            self._rows += len(scores_tensor)

    def _rank_collect(self, scores: Tensor, positive_u: Tensor, positive_i: Tensor) -> None:
        """Of rows (B, I) of scores the best items, which of them are to be found, and where all that are to be found stand."""
        listed, found, ranked = (self.register.need(name) for name in ("rec.items", "rec.topk", "rec.meanrank"))
        if listed or found:
            best = torch.topk(scores, max(self.topk), dim=-1).indices
        if listed:
            self.data_struct.update_tensor("rec.items", best)
        if found:
            asked = torch.zeros_like(scores, dtype=torch.bool)
            asked[positive_u, positive_i] = True
            rows = torch.cat([asked.gather(1, best), asked.sum(dim=1, keepdim=True)], dim=1)
            self.data_struct.update_tensor("rec.topk", rows.int())
        if ranked:
            places = mean_ranks(scores.cpu().numpy(), positive_u.cpu().numpy(), positive_i.cpu().numpy())
            self.data_struct.update_tensor("rec.meanrank", torch.from_numpy(places).float().to(self.device))

    def get_data_struct(self) -> DataStruct:
        plain = {k: v for k, v in self.data_struct._data_dict.items() if not hasattr(v, "cpu")}
        for name in plain:  # item counters and numbers, on which RecBole would call .cpu()
            del self.data_struct[name]
        struct = super().get_data_struct()
        if "rec.felt" in self.data_struct:
            struct.set("rec.felt", of_all_processes(struct.get("rec.felt")))
            del self.data_struct["rec.felt"]
        for name, value in plain.items():
            self.data_struct.set(name, value)
            struct.set(name, value)
        return struct


def mean_ranks(scores: np.ndarray, row: np.ndarray, item: np.ndarray) -> np.ndarray:
    r"""Where the items that are to be found stand among all that may be shown; tied items share the mean of their places.

    .. math:: r_{ui} = |\{j : s_{uj} > s_{ui}\}| + \tfrac12 (|\{j : s_{uj} = s_{ui}\}| + 1)

    Args:
        scores: (B, I), −inf for what may not be shown.
        row, item: (N,) what is to be found.

    Returns:
        (B, 3): the sum of a row's ranks r, how many items may be shown, how many are to be found.
    """
    people, items = scores.shape
    row, item = np.divmod(np.unique(row.astype(np.int64) * items + item), items)
    rank, size = np.zeros(len(row)), max(_COMPARED // items, 1)
    for start in range(0, len(row), size):
        part = slice(start, start + size)
        own, others = scores[row[part], item[part]][:, None], scores[row[part]]
        above, tied = np.count_nonzero(others > own, axis=1), np.count_nonzero(others == own, axis=1)
        rank[part] = above + (tied + 1) / 2
    total, asked = np.bincount(row, rank, minlength=people), np.bincount(row, minlength=people)
    return np.stack([total, np.count_nonzero(scores > -np.inf, axis=1), asked], axis=1)
