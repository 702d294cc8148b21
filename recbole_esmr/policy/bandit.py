"""Contextual bandits as baselines: which emotion in the feed lifts a person in this state, learned by association."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.data.log import Log
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.model.ranking import Candidates
from recbole_esmr.policy.baseline import Baseline

RIDGE = 1.0


class LinUCB(Baseline):
    r"""The upper confidence bound of what an item does to tomorrow's valence (LinUCB, Li et al. 2010), within the same budget.

    What the day after brings beyond what the reports foretold, v − v̂ (the level model's, which has read nothing of the day's
    feed), is explained by what was watched, z by emotion (mean of ratio · intensity over the items shown), in the context x of
    the evening before: φ = z ⊗ x,

    .. math:: \hat θ = A^{-1} \sum φ\, (v - \hat v), \quad A = I + \sum φ φ^T, \quad
              q_i = φ_i^T \hat θ + α\, σ \sqrt{φ_i^T A^{-1} φ_i}

    over the training's log and every day since. What is credited is what followed; nothing is identified or refuted.

    Args:
        model, dataset: as of :class:`~recbole_esmr.policy.baseline.Baseline`.
        optimism: α.
    """

    reads_tracked = True

    def __init__(self, model: ESMR, dataset: ESMRDataset, optimism: float = 1.0) -> None:
        super().__init__(model, dataset)
        self._optimism = optimism

    def lift(self, context: np.ndarray) -> np.ndarray:
        """Expected lift of a unit of each emotion in contexts (U, X); (U, E)."""
        return context @ self._theta.reshape(-1, context.shape[1]).T

    def _learn(self, log: Log, beliefs: Beliefs, days: slice) -> None:
        # what is shown on day t is chosen in the context of the evening before, and is rewarded on day t + 1
        context, exposure = contexts(beliefs)[:, :-2], self._exposure(log)[:, 1:-1]
        surprise = log.trace.valence[:, 2:] - beliefs.tracked[:, 1:-1]
        context, exposure, surprise = context[:, days], exposure[:, days], surprise[:, days]
        rows = np.isfinite(surprise) & log.trace.consent[:, None]
        target = surprise[rows]
        size = exposure.shape[2] * context.shape[2]
        features = np.einsum("ne,nx->nex", exposure[rows], context[rows]).reshape(len(target), size)
        if days.start == 0:
            self._precision, self._moment, self._square, self._count = RIDGE * np.eye(size), np.zeros(size), 0.0, 0
        self._precision, self._moment = self._precision + features.T @ features, self._moment + features.T @ target
        self._square, self._count = self._square + float(target @ target), self._count + len(target)
        self._covariance = np.linalg.inv(self._precision)
        self._theta = self._covariance @ self._moment
        seen = self._precision - RIDGE * np.eye(len(self._theta))  # Σ φφᵀ, so that Σ (t − θᵀφ)² needs no day again
        left = self._square - 2 * self._theta @ self._moment + self._theta @ seen @ self._theta
        self._noise = float(np.sqrt(np.maximum(left, 0.0) / self._count)) if self._count else 1.0

    def _value(self, found: Candidates) -> tuple[Tensor, Tensor]:
        x = contexts(self.beliefs)[found.row, -1]
        arms = len(self._theta) // x.shape[1]
        blocks = self._covariance.reshape(arms, x.shape[1], arms, x.shape[1])
        own = np.stack([blocks[arm, :, arm] for arm in range(arms)])
        spread = self._noise * np.sqrt(np.einsum("ux,exy,uy->ue", x, own, x))
        return self._lifted(self.lift(x) + self._optimism * spread, found)

    def _lifted(self, lift: np.ndarray, found: Candidates) -> tuple[Tensor, Tensor]:
        worth = torch.from_numpy(self._of_items(lift, found)).float() * found.ratio
        return worth, torch.from_numpy(self.beliefs.consent[found.row])


class Thompson(LinUCB):
    """As :class:`LinUCB`, but each person's lift is drawn from what is believed of it (Thompson sampling, Agrawal & Goyal 2013).

    Args:
        model, dataset: as of :class:`LinUCB`.
        seed: of the draws.
    """

    def __init__(self, model: ESMR, dataset: ESMRDataset, seed: int = 0) -> None:
        super().__init__(model, dataset, 0.0)
        self._seed = seed

    def reset(self, users: np.ndarray, items: np.ndarray, consent: np.ndarray | None = None) -> None:
        self._generator = np.random.default_rng(self._seed)
        super().reset(users, items, consent)

    def _value(self, found: Candidates) -> tuple[Tensor, Tensor]:
        x = contexts(self.beliefs)[found.row, -1]
        root = np.linalg.cholesky(self._covariance)
        drawn = self._theta + self._noise * self._generator.standard_normal((len(x), len(self._theta))) @ root.T
        return self._lifted(np.einsum("uex,ux->ue", drawn.reshape(len(x), -1, x.shape[1]), x), found)


def contexts(beliefs: Beliefs) -> np.ndarray:
    """(U, D, 4): one, the believed valence of the day, the forecast of the next, the chance that it is negative."""
    state = beliefs.state
    parts = [np.ones_like(beliefs.valence), beliefs.valence, state.mean.numpy(), state.negative.sigmoid().numpy()]
    return np.stack(parts, axis=-1) * beliefs.consent[:, None, None]
