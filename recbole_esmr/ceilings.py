"""The ceiling of learning effects: a policy that is told effects, moods and susceptibilities, and has learned tastes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.model.gate import FORECAST
from recbole_esmr.model.ranking import Benefit, Candidates
from recbole_esmr.policy.esmr import ESMRPolicy
from recbole_esmr.simulation import FeedEnv
from recbole_esmr.simulation.oracle import Price, averted, gone_on, moved_by


class Informed(ESMRPolicy):
    r"""ESMR's engagement ranking and budget with the world's own benefit of an item, :math:`m_u\, g_{ui}\, ratio_{ui}`.

    m and g are those of :class:`~recbole_esmr.simulation.oracle.Oracle`; the watch ratio and the engagement are what ESMR
    expects. Between it and the oracle lies what is not known of tastes; between ESMR and it, what is not known of effects, moods
    and people.

    Args:
        env: the world that is lived in, with all its latents.
        model, dataset: as of :class:`~recbole_esmr.policy.esmr.ESMRPolicy`.
        days: length of the rollout.
        price: what may be spent of the watch time of all people together.
    """

    def __init__(self, env: FeedEnv, model: ESMR, dataset: ESMRDataset, days: int, price: Price) -> None:
        super().__init__(model, dataset, FORECAST)
        unguarded = replace(self._rankers.responses, elasticity=0.0, mood_cost=0.0)  # the price counts what comes of it
        self._rankers = replace(self._rankers, responses=unguarded)
        self._env, self._price, self._days = env, price, days

    def reset(self, users: np.ndarray, items: np.ndarray, consent: np.ndarray | None = None) -> None:
        super().reset(users, items, consent)
        self._left, self._uplift = self._days - 1, torch.zeros(len(users), device=self._env.device)
        self._price.begin()

    def recommend(self, observation: Observation, goal: str | Sequence[str | None] | None = None) -> np.ndarray:
        """Slates of the day, as of :class:`~recbole_esmr.policy.esmr.ESMRPolicy`."""
        self.rule = replace(self.rule, min_engagement=1.0)
        usual = self._hours(super().recommend(observation, goal))
        self.rule = replace(self.rule, min_engagement=self._price.floor(usual))
        slates = super().recommend(observation, goal)
        self._price.spent(self._hours(slates))
        return slates

    def observe(self, feedback: Feedback) -> None:
        """Read the day."""
        super().observe(feedback)
        env, item = self._env, torch.from_numpy(np.maximum(feedback.slates, 0)).to(self._env.device)
        ratio = torch.from_numpy(np.asarray(feedback.watch_ratio, dtype=np.float32)).to(env.device)
        shown = torch.from_numpy(feedback.slates >= 0).to(env.device)
        moved = (moved_by(env, item) * ratio * shown).sum(dim=1) / shown.sum(dim=1).clamp(min=1)
        self._uplift, self._left = gone_on(env, self._uplift, moved, shown.any(dim=1)), self._left - 1

    def _first_multiplier(self) -> float | None:
        return None  # ESMR's is in units of ESMR's benefit

    def _benefit(self) -> Benefit | None:
        worth = averted(self._env, self._uplift, self._left).cpu()

        def benefit(found: Candidates) -> tuple[Tensor, Tensor]:
            number = torch.from_numpy(np.maximum(self._number[found.item.numpy()], 0))
            row = torch.from_numpy(found.row)
            effect = moved_by(self._env, number.to(self._env.device), row).cpu() * found.ratio
            return worth[row][:, None] * effect, torch.ones(len(row), dtype=torch.bool)

        return benefit

    def _hours(self, slates: np.ndarray) -> float:
        """Expected hours a person."""
        return float(torch.as_tensor(self._env.expected_hours(slates)).mean())
