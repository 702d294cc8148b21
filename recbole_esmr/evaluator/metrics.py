"""RecBole metrics of the emotion in what is recommended, for every RecBole model on data with item emotions."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from recbole.evaluator.base_metric import TopkMetric
from recbole.evaluator.collector import DataStruct


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
