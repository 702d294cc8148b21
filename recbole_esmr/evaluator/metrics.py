"""RecBole metrics of the emotion in what is recommended, for every RecBole model on data with item emotions."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from recbole.evaluator.base_metric import AbstractMetric
from recbole.evaluator.collector import Collector as RecBoleCollector
from recbole.evaluator.collector import DataStruct
from recbole.utils import EvaluatorType

from recbole_esmr.data.catalogue import load_catalogue, require_item_emotions
from recbole_esmr.data.recbole.felt import BETTER, LIKED


class _ItemMean(AbstractMetric):
    """Mean over the top k of a number that each item has, then over the rows of the evaluation."""

    metric_type = EvaluatorType.RANKING
    item_value = ""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.topk = config["topk"]

    def calculate_metric(self, dataobject: DataStruct) -> dict[str, float]:
        recommended = dataobject.get("rec.items").numpy()
        value = dataobject.get(self.item_value).numpy()[recommended]
        mean = value.cumsum(axis=1).mean(axis=0) / np.arange(1, value.shape[1] + 1)
        name = type(self).__name__.lower()
        return {f"{name}@{k}": round(float(mean[k - 1]), self.decimal_place) for k in self.topk}


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


class LikedRecall(AbstractMetric):
    r"""Recall of what people liked, or what left them better; larger is better.

    .. math:: \frac{1}{|R|} \sum_{r \in R} \frac{|top_k(r) \cap L_r|}{|L_r|}

    with L the row's items in the evaluated part that were rated at least ``liked_rating`` or after which the valence was higher
    than before (above 0 where it was not asked before), and R the rows that have any. A hit on what made somebody feel worse is
    none. After the recall of liked items of empathetic conversational recommendation (Zhang et al. 2024, arXiv 2409.10527).
    """

    metric_type = EvaluatorType.RANKING
    metric_need: ClassVar = ["rec.felt"]

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.topk = config["topk"]

    def calculate_metric(self, dataobject: DataStruct) -> dict[str, float]:
        felt = dataobject.get("rec.felt").numpy()
        row, place = felt[felt[:, LIKES] > 0][:, [ROW, PLACE]].T
        count = np.bincount(row.astype(int))
        has = count > 0
        found: dict[str, float] = {}
        for k in self.topk:
            hits = np.bincount(row.astype(int), weights=place < k)
            found[f"likedrecall@{k}"] = round(float((hits[has] / count[has]).mean()) if has.any() else np.nan, self.decimal_place)
        return found


class FeelAUC(AbstractMetric):
    r"""How well a ranking tells what leaves a person better from what does not; 0.5 is chance.

    .. math:: \frac{1}{|U|} \sum_{u \in U} \frac{1}{|B_u||W_u|} \sum_{b \in B_u, w \in W_u}
              [ρ_b > ρ_w] + \tfrac12 [ρ_b = ρ_w]

    with B and W a person's items in the evaluated part after which their valence was higher than before (above 0 where it was
    not asked before), and those after which it was not; ρ the share of all items that the model ranks below; U who has both.
    """

    metric_type = EvaluatorType.RANKING
    metric_need: ClassVar = ["rec.felt"]

    def calculate_metric(self, dataobject: DataStruct) -> dict[str, float]:
        felt = dataobject.get("rec.felt").numpy()
        felt = felt[felt[:, FEELS] >= 0]
        each = [_auc(part[:, RANK], part[:, FEELS] > 0.5) for part in _by_person(felt)]
        return {"feelauc": round(float(np.nanmean(each)) if np.isfinite(each).any() else np.nan, self.decimal_place)}


ROW, PERSON, PLACE, RANK, FEELS, LIKES = range(6)
"""Columns of ``rec.felt``, one row an item of the evaluated part: its row of the evaluation, its person, its place in the top
list (infinite beyond it), the share of the offered items that are ranked below, whether it left its person better and whether
it was liked or did (1, 0, or −1 where nothing is known)."""


def _of_all_processes(felt: Any) -> Any:
    """The rows of every process, where several evaluate: a mean over some people is not one over their parts."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return felt
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, felt)
    first = np.cumsum([0, *(float(part[:, ROW].max()) + 1 if len(part) else 0 for part in parts[:-1])])
    for part, start in zip(parts, first.tolist(), strict=True):
        part[:, ROW] += start
    return torch.cat(parts)


def _by_person(felt: np.ndarray) -> list[np.ndarray]:
    felt = felt[np.argsort(felt[:, PERSON], kind="stable")]
    return np.split(felt, np.flatnonzero(np.diff(felt[:, PERSON])) + 1) if len(felt) else []


def _auc(score: np.ndarray, better: np.ndarray) -> float:
    """Area under the ROC curve, NaN where all are of one kind."""
    good, bad = score[better], score[~better]
    if not len(good) or not len(bad):
        return np.nan
    gap = good[:, None] - bad
    return float(((gap > 0) + 0.5 * (gap == 0)).mean())


class Collector(RecBoleCollector):
    """RecBole's collector, which also finds the emotion of the items and of people, and survives counts that are no tensors."""

    _rows = 0
    _felt: dict[str, np.ndarray] | None = None

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
        """Collect how people felt about the items of the part that is evaluated next: mean by person and item."""
        self._felt = {}
        if not self.register.need("rec.felt"):
            return
        rows, self._rows = dataset.inter_feat, 0
        key = rows[dataset.uid_field].numpy().astype(np.int64) * dataset.item_num + rows[dataset.iid_field].numpy()
        self._felt["key"], place = np.unique(key, return_inverse=True)
        self._felt["items"] = np.array(dataset.item_num)
        for name in (BETTER, LIKED):
            told = rows[name].numpy().astype(float) if name in rows else np.full(len(key), -1.0)
            count = np.bincount(place, weights=told >= 0)
            total = np.bincount(place, weights=np.where(told >= 0, told, 0.0))
            self._felt[name] = np.where(count > 0, total / np.maximum(count, 1), -1.0)

    def eval_batch_collect(self, scores_tensor: Any, interaction: Any, positive_u: Any, positive_i: Any) -> None:
        super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
        if self._felt and self.register.need("rec.felt"):
            people = interaction[self.config["USER_ID_FIELD"]]
            if len(people) != len(scores_tensor):  # items were sampled: a person has a row, and a line for each item
                people = torch.unique_consecutive(people)
            where, item = positive_u.to(scores_tensor.device), positive_i.to(scores_tensor.device)
            own = scores_tensor[where, item][:, None]
            offered = torch.isfinite(scores_tensor).sum(dim=1)[where]
            below = ((scores_tensor[where] < own) & torch.isfinite(scores_tensor[where])).sum(dim=1)
            alike = (scores_tensor[where] == own).sum(dim=1) - 1
            rank = (below + 0.5 * alike) / torch.clamp(offered - 1, min=1)
            top = torch.topk(scores_tensor, min(max(self.topk), scores_tensor.shape[1]), dim=-1).indices
            hit = top[where] == item[:, None]
            place = torch.where(hit.any(dim=1), hit.float().argmax(dim=1).float(), torch.inf)
            person = people.to(where.device)[where]
            key = (person.long() * int(self._felt["items"]) + item).cpu().numpy()
            at = np.searchsorted(self._felt["key"], key)
            told = (torch.from_numpy(self._felt[name][at]).to(where.device) for name in (BETTER, LIKED))
            columns = [column.double() for column in (where + self._rows, person, place, rank, *told)]
            self.data_struct.update_tensor("rec.felt", torch.stack(columns, dim=1))
            self._rows += len(scores_tensor)

    def get_data_struct(self) -> DataStruct:
        plain = {k: v for k, v in self.data_struct._data_dict.items() if not hasattr(v, "cpu")}
        for name in plain:  # item counters and numbers, on which RecBole would call .cpu()
            del self.data_struct[name]
        struct = super().get_data_struct()
        if "rec.felt" in self.data_struct:
            struct.set("rec.felt", _of_all_processes(struct.get("rec.felt")))
            del self.data_struct["rec.felt"]
        for name, value in plain.items():
            self.data_struct.set(name, value)
            struct.set(name, value)
        return struct
