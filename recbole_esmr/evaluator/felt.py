"""RecBole metrics of how people felt after items, for every RecBole model on data with moods of the moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from recbole.evaluator.base_metric import AbstractMetric
from recbole.evaluator.collector import DataStruct
from recbole.utils import EvaluatorType
from torch import Tensor

from recbole_esmr.data.recbole.felt import BETTER, LIKED

ROW, PERSON, PLACE, RANK, FEELS, LIKES = range(6)
"""Columns of ``rec.felt``, one row an item of the evaluated part: its row of the evaluation, its person, its place in the top
list (infinite beyond it), the share of the offered items that are ranked below, whether it left its person better and whether
it was liked or did (1, 0, or −1 where nothing is known)."""


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


@dataclass(frozen=True)
class FeltPart:
    """How people felt about the items of a part that is evaluated.

    Attributes:
        key: (N,) sorted, person · items + item.
        items: I.
        better, liked: (N,) share of the person's interactions with the item that left them better, and that were liked or did;
            −1 where nothing is known.
    """

    key: np.ndarray
    items: int
    better: np.ndarray
    liked: np.ndarray

    @classmethod
    def of(cls, dataset: Any) -> FeltPart:
        """Of a part of a RecBole data set, whose rows hold what :func:`~recbole_esmr.data.recbole.felt.add_felt` has added."""
        rows, items = dataset.inter_feat, int(dataset.item_num)
        pair = rows[dataset.uid_field].numpy().astype(np.int64) * items + rows[dataset.iid_field].numpy()
        key, place = np.unique(pair, return_inverse=True)

        def mean(name: str) -> np.ndarray:
            told = rows[name].numpy().astype(float) if name in rows else np.full(len(pair), -1.0)
            count = np.bincount(place, weights=told >= 0)
            total = np.bincount(place, weights=np.where(told >= 0, told, 0.0))
            return np.where(count > 0, total / np.maximum(count, 1), -1.0)

        return cls(key, items, mean(BETTER), mean(LIKED))

    def rows(self, scores: Tensor, people: Tensor, row: Tensor, item: Tensor, longest: int) -> Tensor:
        """What the metrics need of P items of the evaluated part, (P, 6).

        Args:
            scores: (B, I), −inf for what is not offered.
            people: (B,) whose row each is.
            row, item: (P,) the row of each item of the part, and its number.
            longest: of the lists.
        """
        row, item = row.to(scores.device), item.to(scores.device)
        mine = scores[row]
        own, offered = mine.gather(1, item[:, None]), torch.isfinite(mine)
        below = ((mine < own) & offered).sum(dim=1)
        alike = (mine == own).sum(dim=1) - 1
        rank = (below + 0.5 * alike) / torch.clamp(offered.sum(dim=1) - 1, min=1)
        top = torch.topk(scores, min(longest, scores.shape[1]), dim=-1).indices
        hit = top[row] == item[:, None]
        place = torch.where(hit.any(dim=1), hit.float().argmax(dim=1).float(), torch.inf)
        person = people.to(row.device)[row]
        at = np.searchsorted(self.key, (person.long() * self.items + item).cpu().numpy())
        told = (torch.from_numpy(value[at]).to(row.device) for value in (self.better, self.liked))
        return torch.stack([column.double() for column in (row, person, place, rank, *told)], dim=1)


def of_all_processes(felt: Any) -> Any:
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
