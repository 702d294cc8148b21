"""Any general or sequential RecBole model asked for the scores of all items."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.utils import ModelType
from torch import Tensor

from recbole_esmr.errors import ConfigError


class ItemScores:
    """Scores of all items by a trained RecBole model, whose weights must not change from here on.

    Many threads may ask it at once: what is kept (the mean over all people) is the same whoever makes it. A person the model
    has never met is scored from the history alone by a sequential model, and with the mean of all known people's scores by one
    that knows people only by their id.

    Args:
        model: general or sequential; it is put into evaluation mode.
        device: where it lives.

    Raises:
        ConfigError: a model that needs more than a person, an item and a history.
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        if model.type not in (ModelType.GENERAL, ModelType.SEQUENTIAL, ModelType.TRADITIONAL):
            raise ConfigError(
                f"{type(model).__name__} is neither a general nor a sequential model of RecBole: it cannot score all items from "
                "a person and a history. Take BPR, LightGCN, SASRec or another of those."
            )
        self.model, self._device = model.eval(), device
        self.sequential = model.type == ModelType.SEQUENTIAL

    @torch.no_grad()
    def __call__(self, user: Tensor, items: np.ndarray | None = None, length: np.ndarray | None = None) -> Tensor:
        """Scores of all items.

        Args:
            user: (B,) internal ids; 0, or an id beyond the model's, is a newcomer.
            items, length: (B, L) and (B,), histories and how long they are, for a sequential model.

        Returns:
            (B, I) on the model's device, as the model gives them; the padding item's column means nothing.
        """
        known = (user > 0) & (user < getattr(self.model, "n_users", len(user) + 1))
        fields = {self.model.USER_ID: torch.where(known, user, 1)} if hasattr(self.model, "USER_ID") else {}
        if self.sequential:
            if items is None or length is None:
                raise ConfigError(f"{type(self.model).__name__} needs each person's history.")
            fields[self.model.ITEM_SEQ] = torch.from_numpy(items)
            fields[self.model.ITEM_SEQ_LEN] = torch.from_numpy(length).clamp(min=1)
        scores = self._of_rows(Interaction(fields))
        if not self.sequential and not bool(known.all()):
            scores = torch.where(known.to(scores.device)[:, None], scores, self._newcomer)
        return scores

    @cached_property
    def _newcomer(self) -> Tensor:
        """(I,) mean over all known people."""
        parts = torch.arange(1, self.model.n_users).split(1024)
        totals = [self._of_rows(Interaction({self.model.USER_ID: part})).double().sum(dim=0) for part in parts]
        return (torch.stack(totals).sum(dim=0) / (self.model.n_users - 1)).float()

    def _of_rows(self, rows: Interaction) -> Tensor:
        rows = rows.to(self._device)
        try:
            return self.model.full_sort_predict(rows).view(len(rows), -1).float()
        except NotImplementedError:
            pairs = rows.repeat_interleave(self.model.n_items)
            items = torch.arange(self.model.n_items, device=self._device).repeat(len(rows))
            pairs.update(Interaction({self.model.ITEM_ID: items}))
            return self.model.predict(pairs).view(len(rows), -1).float()
