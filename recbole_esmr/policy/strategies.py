"""Baselines over strategies of emotion regulation: one for everybody, and a contextual bandit that chooses among them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.errors import ConfigError, nearest
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.model.ranking import Candidates
from recbole_esmr.policy.bandit import LinUCB
from recbole_esmr.policy.baseline import Baseline


class LinUCBStrategies(LinUCB):
    """LinUCB whose arms are strategies, as in contextual bandits for interpersonal emotion regulation (arXiv 2408.07704).

    Args:
        model, dataset: as of :class:`~recbole_esmr.policy.bandit.LinUCB`.

    Raises:
        ConfigError: the items have no strategies.
    """

    def __init__(self, model: ESMR, dataset: ESMRDataset) -> None:
        super().__init__(model, dataset)
        if not self._rankers.catalogue.strategies:
            raise _without()

    @cached_property
    def arms(self) -> np.ndarray:
        """Which strategy each item offers, (I, A)."""
        items = self._rankers.catalogue
        return (items.strategy[:, None] == np.array(items.strategies)).astype(float)


class OneStrategy(Baseline):
    """Pushes the items of one strategy to everybody, whatever they feel.

    Args:
        model, dataset: as of :class:`~recbole_esmr.policy.baseline.Baseline`.
        strategy: its name.

    Raises:
        ConfigError: no item has it.
    """

    def __init__(self, model: ESMR, dataset: ESMRDataset, strategy: str) -> None:
        super().__init__(model, dataset)
        known = self._rankers.catalogue.strategies
        if not known:
            raise _without()
        if strategy not in known:
            raise ConfigError(f"strategy={strategy}: no item has it. {nearest(strategy, known)}")
        self._of_strategy = torch.from_numpy(self._rankers.catalogue.strategy == strategy).float()

    def _value(self, found: Candidates) -> tuple[Tensor, Tensor]:
        return self._of_strategy[found.item] * found.ratio, torch.from_numpy(self.beliefs.consent[found.row])


def _without() -> ConfigError:
    return ConfigError("no item has a strategy: `.item` needs the column 'strategy:token'.")
