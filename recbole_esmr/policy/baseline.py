"""Another re-ranker on ESMR's engagement ranking, under the same engagement budget."""

from __future__ import annotations

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

    def _exposure(self, log: Log) -> np.ndarray:
        """Exposure to each emotion by day, (U, D, E): mean of watch ratio · intensity over the items shown; 0 without any."""
        items, shown = self._rankers.catalogue, log.impressions
        sums = UserDaySums(shown.user, shown.day, log.trace.users, log.trace.days)
        felt = shown.watch_ratio * items.intensity[shown.item]
        of_emotion = [sums.sum(felt * share[shown.item]) for share in items.share.T]
        return np.stack(of_emotion, axis=-1) / np.maximum(sums.count, 1)[..., None]

    def _of_items(self, by_emotion: np.ndarray, found: Candidates) -> np.ndarray:
        """What a unit of exposure to each emotion is good for, (B, E), as the worth of watching each candidate whole; (B, C)."""
        items, item = self._rankers.catalogue, found.item.numpy()
        return np.einsum("be,bce->bc", by_emotion, items.share[item]) * items.intensity[item]
