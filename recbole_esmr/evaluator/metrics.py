"""RecBole metrics of the emotion in what is recommended, for every RecBole model on data with item emotions."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from recbole.evaluator.base_metric import TopkMetric
from recbole.evaluator.collector import Collector as RecBoleCollector
from recbole.evaluator.collector import DataStruct

from recbole_esmr.data.catalogue import load_catalogue, require_item_emotions
from recbole_esmr.evaluator.felt import ROW, FeltPart, of_all_processes


class _ItemMean(TopkMetric):
    """Mean over the top k of a number that each item has, then over the rows of the evaluation."""

    item_value = ""

    def calculate_metric(self, dataobject: DataStruct) -> dict[str, float]:
        recommended = dataobject.get("rec.items").numpy()
        value = dataobject.get(self.item_value).numpy()[recommended]
        mean = value.cumsum(axis=1) / np.arange(1, value.shape[1] + 1)
        found: dict[str, float] = self.topk_result(type(self).__name__.lower(), mean)
        return found


class NegativeExposure(_ItemMean):
    r"""How much negative emotion a list carries; smaller is better.

    .. math:: \frac1k \sum_{i \in top_k} g_i [v_i < 0]

    with intensity g in [0, 1] and valence v of the item's emotion; in [0, 1]. It is the exposure of DESIGN's definition for a
    list that is watched whole.
    """

    smaller = True
    item_value = "data.item_negative"
    metric_need: ClassVar = ["rec.items", "data.item_negative"]


class ExpectedValence(_ItemMean):
    r"""Mean tone of a list, in [−1, 1]; larger is more pleasant.

    .. math:: \frac1k \sum_{i \in top_k} g_i v_i
    """

    item_value = "data.item_tone"
    metric_need: ClassVar = ["rec.items", "data.item_tone"]


class Collector(RecBoleCollector):
    """RecBole's collector, which also finds the emotion of the items and of people, and survives counts that are no tensors."""

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
        super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
        if self._felt is not None and self.register.need("rec.felt"):
            people = interaction[self.config["USER_ID_FIELD"]]
            if len(people) != len(scores_tensor):  # items were sampled: a person has a row, and a line for each item
                people = torch.unique_consecutive(people)
            rows = self._felt.rows(scores_tensor, people, positive_u, positive_i, max(self.topk))
            rows[:, ROW] += self._rows
            self.data_struct.update_tensor("rec.felt", rows)
            self._rows += len(scores_tensor)

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
