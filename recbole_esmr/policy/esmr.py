"""ESMR as a feed policy: the same model, reading each day's feedback before it fills the next day's feeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import Dataset

from recbole_esmr.feed import Feedback, Observation, top_slates
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.policy.recbole import known_ids


class ESMRPolicy:
    """Ranks the items on offer by :meth:`~recbole_esmr.model.esmr.ESMR.score`.

    The model's weights stay. Its log goes on: a window as long as the log it was trained on. People it has never met begin with
    nothing known. With ``gate="never"`` it is the engagement ranker alone. A deployed feed is judged by watch time, so that is
    what the engagement ranking maximises here.

    Args:
        model: a trained ESMR; the policy sets its log, so give each policy its own.
        dataset: the data it was trained on.
        gate: instead of the model's own.
        batch: people scored at once.
    """

    def __init__(self, model: ESMR, dataset: Dataset, gate: str | None = None, batch: int = 1024) -> None:
        self._model, self._dataset, self._batch = model, dataset, batch
        self._trained_on = model.log
        model.settings = replace(model.settings, rank_by="watch_time", gate=gate or model.settings.gate)

    def reset(self, users: np.ndarray, items: np.ndarray) -> None:
        user = known_ids(self._dataset, self._dataset.uid_field, users)
        new = user == 0
        user[new] = self._trained_on.trace.users + np.arange(new.sum())
        self._user, self._acted = user, np.zeros(len(users), dtype=bool)
        self._item = known_ids(self._dataset, self._dataset.iid_field, items)
        self._model.log = self._trained_on.with_newcomers(int(new.sum()))

    def recommend(self, observation: Observation) -> np.ndarray:
        score = np.full((len(self._user), len(self._item)), -np.inf, dtype=np.float32)
        offered = torch.zeros(self._model.n_items, dtype=torch.bool)
        offered[torch.from_numpy(self._item[observation.pool])] = True
        offered[0] = False
        today = self._model.trace.days
        active = np.flatnonzero(observation.active)
        for start in range(0, len(active), self._batch):
            rows = active[start : start + self._batch]
            user = torch.from_numpy(self._user[rows])
            scores = self._model.score(user, torch.full_like(user, today), offered)
            score[rows] = scores.cpu().numpy()[:, self._item]
        self._acted = self._model.gate()[self._user, today]
        return top_slates(score, observation)

    def observe(self, feedback: Feedback) -> None:
        row, position = cells = np.nonzero((feedback.slates >= 0) & (self._item[np.maximum(feedback.slates, 0)] > 0))
        ratio = feedback.watch_ratio[cells].astype(float)
        shown = pd.DataFrame(
            {
                "user": self._user[row],
                "item": self._item[feedback.slates[cells]],
                "position": position,
                "label": (ratio > 0).astype(int),
                "watch_ratio": ratio,
            }
        )
        user_days = pd.DataFrame({"user": self._user, "emotion": feedback.emotion, **feedback.behaviour})
        model = self._model
        model.log = model.log.next_day(shown, user_days, model.catalogue, model.taxonomy)

    def acted(self) -> np.ndarray:
        """Where the gate was open, so that the re-ranker ordered the candidates."""
        return self._acted
