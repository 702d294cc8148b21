"""Any general or sequential RecBole model as the retriever that proposes ESMR's candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from recbole_esmr.data.log import Log
from recbole_esmr.data.recbole.histories import Histories
from recbole_esmr.model.cold_items import ColdItems
from recbole_esmr.model.scoring import ItemScores
from recbole_esmr.settings import setting

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class RetrieverSettings:
    """Which model proposes."""

    backbone: str | None = setting("a RecBole model whose own order is the engagement ranking")
    retriever: str = setting("a general or sequential RecBole model")
    retriever_config: dict[str, Any] = setting("RecBole keys of the retriever")

    @property
    def name(self) -> str:
        """The RecBole model that proposes candidates: the backbone where there is one."""
        return self.backbone or self.retriever


class Retriever(nn.Module):
    """A RecBole model that scores all items for a person on a day, from what was watched on days before.

    Args:
        config: RecBole's config of the model itself.
        dataset: what it learns from.

    Attributes:
        watched: (I,) bool, the items in it.
    """

    watched: Tensor

    def __init__(self, config: Config, dataset: Dataset) -> None:
        super().__init__()
        self.config = config
        self.model = config.model_class(config, dataset).to(config["device"])
        self.register_buffer("watched", _watched(dataset, self.model.n_items))
        self._cold: tuple[np.ndarray, ColdItems | None] | None = None
        self.trained = False  # some models of RecBole, Pop for one, cannot answer before they are

    def frozen(self, embeddings: Mapping[str, np.ndarray] | None = None) -> Retrieval:
        """Its scores as they are now; make a new one when the weights have changed.

        Args:
            embeddings: of the items, by which those that it has not learned are scored.
        """
        scores = ItemScores(self.model, self.config["device"]) if self.trained else None
        cold = self._cold_items(embeddings) if embeddings else None
        return Retrieval(scores, self.model.n_items, int(self.config["MAX_ITEM_LIST_LENGTH"]), cold)

    def _cold_items(self, embeddings: Mapping[str, np.ndarray]) -> ColdItems | None:
        """Those that are not ``watched``, found once."""
        watched = self.watched.cpu().numpy()
        if self._cold is None or not np.array_equal(self._cold[0], watched):
            self._cold = watched.copy(), ColdItems.of(embeddings, watched)
        return self._cold[1]

    def other_parameter(self) -> dict[str, Any]:
        """RecBole's ``other_parameter`` without modules, whose weights are in the state dict anyway."""
        return {k: v for k, v in self.model.other_parameter().items() if not isinstance(v, nn.Module)}


@dataclass(frozen=True)
class Retrieval:
    """A retriever's scores, standardised within a row.

    Attributes:
        scores: of the trained model; None before training.
        items: I.
        longest: items of a history that it reads.
        cold: items that it has not learned, and what they are like; None where there are none or nothing tells.
    """

    scores: ItemScores | None
    items: int
    longest: int
    cold: ColdItems | None = None

    @property
    def sequential(self) -> bool:
        """Whether what was watched before the day changes the scores."""
        return self.scores is not None and self.scores.sequential

    @torch.no_grad()
    def __call__(self, log: Log, row: np.ndarray, day: np.ndarray) -> Tensor:
        """Scores of all items for the people in these rows of the log.

        Args:
            log: whose history is read.
            row: (B,) rows of the log.
            day: (B,) day indices; only days before count.

        Returns:
            (B, I) on the CPU, −inf for the padding item; all zero before training.
        """
        if self.scores is None or not len(row):
            scores = torch.zeros(len(row), self.items)
        else:
            history = log.history.before(row, day, self.longest) if self.sequential else (None, None)
            scores = self.scores(torch.from_numpy(log.people[row]), *history).cpu()
            real = scores[:, 1:]
            scores = (scores - real.mean(dim=1, keepdim=True)) / real.std(dim=1, keepdim=True).clamp(min=1e-6)
            if self.cold is not None:
                scores = self.cold.scored(scores)
        scores[:, 0] = -torch.inf
        return scores


def _watched(dataset: Dataset, items: int) -> Tensor:
    """The items that the rows and their histories hold, (I,) bool."""
    rows = dataset.inter_feat
    lists = dataset.iid_field + str(dataset.config["LIST_SUFFIX"])
    found = torch.zeros(items, dtype=torch.bool)
    if isinstance(rows, Histories):
        found[rows.reached(dataset.iid_field)] = True
    else:
        for name in {dataset.iid_field, lists} & set(rows):
            found[torch.as_tensor(np.asarray(rows[name])).long().flatten()] = True
    found[0] = False
    return found
