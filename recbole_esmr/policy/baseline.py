"""Another re-ranker on ESMR's engagement ranking, under the same engagement budget."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from torch import Tensor

from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.data.log import Log
from recbole_esmr.data.user_days import UserDaySums
from recbole_esmr.feed import Feedback
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.model.gate import FORECAST
from recbole_esmr.model.ranking import Benefit, Candidates
from recbole_esmr.policy.esmr import ESMRPolicy


class Baseline(ESMRPolicy):
    """Ranks by a benefit of its own, as far as one engagement budget over all people and the floor under each slate allow.

    A subclass says what candidates are good for (``_value``), and what it learns from a log (``_learn``): from that of the
    training at each :meth:`reset`, and every evening from the days that the new one adds.

    Args:
        model, dataset: as of :class:`~recbole_esmr.policy.esmr.ESMRPolicy`, whose engagement ranking and budget it shares.
    """

    def __init__(self, model: ESMR, dataset: ESMRDataset) -> None:
        super().__init__(model, dataset, FORECAST)

    def reset(self, users: np.ndarray, items: np.ndarray, consent: np.ndarray | None = None) -> None:
        super().reset(users, items, consent)
        self._learn(self._trained_on, self._believe(self._trained_on), slice(0, None))

    def observe(self, feedback: Feedback) -> None:
        super().observe(feedback)
        self._learn(self.log, self.beliefs, slice(-1, None))

    def _benefit(self) -> Benefit | None:
        return self._value

    def _first_multiplier(self) -> float | None:
        return None  # ESMR's is in units of ESMR's benefit

    def _learn(self, log: Log, beliefs: Beliefs, days: slice) -> None:
        """Learn from what the outcomes of some days of a log say; ``slice(0, None)``, all of them, begins anew."""

    def _value(self, found: Candidates) -> tuple[Tensor, Tensor]:
        """What candidates are good for, (B, C), and who may be served by it, (B,) bool."""
        raise NotImplementedError

    @cached_property
    def arms(self) -> np.ndarray:
        """How much of each of A arms an item is, (I, A): here of each emotion, its intensity times the share of it."""
        items = self._rankers.catalogue
        return np.asarray(items.share * items.intensity[:, None])

    def _exposure(self, log: Log) -> np.ndarray:
        """Exposure to each arm by day, (U, D, A): mean over the items shown of watch ratio times arm; 0 without any."""
        shown = log.impressions
        sums = UserDaySums(shown.user, shown.day, log.trace.users, log.trace.days)
        of_arm = [sums.sum(shown.watch_ratio * arm[shown.item]) for arm in self.arms.T]
        return np.stack(of_arm, axis=-1) / np.maximum(sums.count, 1)[..., None]

    def _of_items(self, by_arm: np.ndarray, found: Candidates) -> np.ndarray:
        """What a unit of exposure to each arm is good for, (B, A), as the worth of watching each candidate whole; (B, C)."""
        return np.einsum("ba,bca->bc", by_arm, self.arms[found.item.numpy()])
