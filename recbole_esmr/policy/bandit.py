"""Contextual bandits as opponents of ESMR: which emotion in the feed lifts a person in this state, learned by association."""

from __future__ import annotations

import numpy as np
import torch
from recbole.data.dataset import Dataset
from torch import Tensor

from recbole_esmr.data.impressions import Impressions
from recbole_esmr.model.esmr import ESMR, Candidates
from recbole_esmr.policy.opponent import Opponent

RIDGE = 1.0


class LinUCB(Opponent):
    """The upper confidence bound of what an item does to tomorrow's valence (LinUCB, Li et al. 2010), within each slate's floor.

    The surprise of the day after, v − v̂, is explained by what was watched, z by emotion (mean of ratio · intensity over the
    items shown), in the person's context x: φ = z ⊗ x,

    .. math:: \\hat θ = A^{-1} \\sum φ\\, (v - \\hat v), \\quad A = I + \\sum φ φ^T, \\quad
              q_i = φ_i^T \\hat θ + α\\, σ \\sqrt{φ_i^T A^{-1} φ_i}

    fitted anew each evening on the log's window. What is credited is what followed; nothing is identified or refuted.

    Args:
        model, dataset, batch: as of :class:`~recbole_esmr.policy.opponent.Opponent`.
        optimism: α.
    """

    def __init__(self, model: ESMR, dataset: Dataset, optimism: float = 1.0, batch: int = 128) -> None:
        super().__init__(model, dataset, batch)
        self._optimism = optimism

    def _prepare(self) -> None:
        super()._prepare()
        model = self._model
        trace, state = model.trace, model.day_state()
        self._context = _contexts(model)
        surprise = trace.valence[:, 1:] - state.mean[:, :-1].numpy()
        exposure = emotion_exposure(model.impressions, model, trace.users, trace.days)
        rows = np.nonzero(np.isfinite(surprise) & trace.consent[:, None])
        features = np.einsum("ne,nx->nex", exposure[rows], self._context[rows])
        features = features.reshape(len(rows[0]), exposure.shape[2] * self._context.shape[2])
        target = surprise[rows]
        self._covariance = np.linalg.inv(RIDGE * np.eye(features.shape[1]) + features.T @ features)
        self._theta = self._covariance @ features.T @ target
        self._noise = float((target - features @ self._theta).std()) if len(target) else 1.0

    def _benefit(self, user: Tensor, day: Tensor, found: Candidates) -> tuple[Tensor, Tensor]:
        x = self._context[user.numpy(), -1]
        emotions = len(self._model.taxonomy)
        blocks = self._covariance.reshape(emotions, x.shape[1], emotions, x.shape[1])
        own = np.stack([blocks[e, :, e] for e in range(emotions)])
        spread = self._noise * np.sqrt(np.einsum("ux,exy,uy->ue", x, own, x))
        return self._by_emotion(self._mean(x) + self._optimism * spread, user, found)

    def _mean(self, x: np.ndarray) -> np.ndarray:
        """Expected lift of a unit of each emotion in contexts (U, X); (U, E)."""
        return x @ self._theta.reshape(-1, x.shape[1]).T

    def _by_emotion(self, lift: np.ndarray, user: Tensor, found: Candidates) -> tuple[Tensor, Tensor]:
        items, item = self._model.catalogue, found.item.numpy()
        of_item = np.take_along_axis(lift, np.maximum(items.emotion[item], 0), axis=1) * items.intensity[item]
        return torch.from_numpy(of_item).float() * found.ratio, torch.from_numpy(self._model.trace.consent[user.numpy()])


class Thompson(LinUCB):
    """As :class:`LinUCB`, but each person's lift is drawn from what is believed of it (Thompson sampling, Agrawal & Goyal 2013).

    Args:
        model, dataset, batch: as of :class:`LinUCB`.
        seed: of the draws.
    """

    def __init__(self, model: ESMR, dataset: Dataset, seed: int = 0, batch: int = 128) -> None:
        super().__init__(model, dataset, 0.0, batch)
        self._seed = seed

    def reset(self, users: np.ndarray, items: np.ndarray, consent: np.ndarray | None = None) -> None:
        self._generator = np.random.default_rng(self._seed)
        super().reset(users, items, consent)

    def _benefit(self, user: Tensor, day: Tensor, found: Candidates) -> tuple[Tensor, Tensor]:
        x = self._context[user.numpy(), -1]
        root = np.linalg.cholesky(self._covariance)
        drawn = self._theta + self._noise * self._generator.standard_normal((len(x), len(self._theta))) @ root.T
        return self._by_emotion(np.einsum("uex,ux->ue", drawn.reshape(len(x), -1, x.shape[1]), x), user, found)


def _contexts(model: ESMR) -> np.ndarray:
    """(U, D, 4): one, the believed valence of the day, the forecast of the next, the chance that it is negative."""
    state, (_, valence) = model.day_state(), model.believed_days()
    parts = [np.ones_like(valence), valence, state.mean.numpy(), state.negative.sigmoid().numpy()]
    return np.stack(parts, axis=-1) * model.trace.consent[:, None, None]


def emotion_exposure(shown: Impressions, model: ESMR, users: int, days: int) -> np.ndarray:
    """Exposure to each emotion on each day, (U, D, E): mean of watch ratio · intensity over the items shown; 0 without any."""
    items, emotions = model.catalogue, len(model.taxonomy)
    cell, emotion = shown.user * days + shown.day, items.emotion[shown.item]
    known = emotion >= 0
    felt = (shown.watch_ratio * items.intensity[shown.item])[known]
    total = np.bincount(cell[known] * emotions + emotion[known], weights=felt, minlength=users * days * emotions)
    count = np.bincount(cell, minlength=users * days)
    return total.reshape(users, days, emotions) / np.maximum(count, 1).reshape(users, days, 1)
