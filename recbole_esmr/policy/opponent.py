"""Another re-ranker on ESMR's engagement ranker."""

from __future__ import annotations

from recbole.data.dataset import Dataset
from torch import Tensor

from recbole_esmr.model.budget import Slates
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.policy.esmr import ESMRPolicy


class Opponent(ESMRPolicy):
    """Ranks by a benefit of its own, as far as the floor under each slate allows; a subclass says ``_benefit``.

    Args:
        model, dataset, batch: as of :class:`~recbole_esmr.policy.esmr.ESMRPolicy`, whose engagement ranker and floor it shares.
    """

    def __init__(self, model: ESMR, dataset: Dataset, batch: int = 128) -> None:
        super().__init__(model, dataset, "never", batch)

    def _weights(self, slates: Slates, may_act: Tensor) -> Tensor:
        return slates.largest_weights(self._model.floor()) * may_act
