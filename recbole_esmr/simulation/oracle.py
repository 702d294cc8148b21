"""The ceiling: a policy that sees latents and world parameters. No real platform could be it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.feed import Feedback, Observation, Policy
from recbole_esmr.simulation.env import FeedEnv

BISECTIONS = 20


class Oracle:
    r"""Minimises the share of negative days while people's true expected watch time stays near the engagement ranking's.

    Each day it chooses slates that maximise, over the items i of person u,

    .. math:: \sum_i h_{ui} + \min(λ\, m_u, w_u)\, g_{ui}

    with the expected watch hours h, the expected change g of the slow state, and the marginal benefit m_u: how many negative days
    to come a unit of the slow state averts,

    .. math:: m_u = \sum_{k \ge 0} φ^k\, p_{v_{u,t+1+k}}(0)

    p being the density of the valence of that day given today's state. One multiplier λ for everybody, found by bisection, spends
    the engagement budget where it helps most; w_u keeps each slate above its own floor.

    Args:
        env: the world that is lived in, with all its latents.
        engagement: the policy whose slates set the floor; asked each day about the oracle's own people.
        days: length of the rollout; what happens after it does not count.
        floor: least watch time over all people, as a share of what the engagement slates would get.
        slate_floor: the same for every single slate.
    """

    def __init__(self, env: FeedEnv, engagement: Policy, days: int, floor: float = 0.97, slate_floor: float = 0.85) -> None:
        self._env, self._engagement, self._days = env, engagement, days
        self._floor, self._slate_floor = floor, slate_floor

    def reset(self, users: np.ndarray, items: np.ndarray) -> None:
        self._engagement.reset(users, items)
        self._left = self._days - 1  # what is shown on the last day changes no day that counts
        self._uplift = torch.zeros(len(users), device=self._env.device)
        self._moved = np.zeros(len(users), dtype=bool)

    def recommend(self, observation: Observation) -> np.ndarray:
        env = self._env
        reference = self._engagement.recommend(observation)
        usual = torch.as_tensor(env.expected_hours(reference), device=env.device)
        offered = torch.from_numpy(np.flatnonzero(observation.pool)).to(env.device)
        size = torch.from_numpy(observation.slate_size).to(env.device)
        ratio = env.expected_ratio(env.interest(offered))
        hours = ratio * env.catalogue.duration[offered] / 3600
        moved = env.susceptible[:, env.catalogue.emotion[offered]] * env.catalogue.intensity[offered] * ratio
        moved = moved / size.clamp(min=1)[:, None]

        def slates(weight: Tensor) -> Tensor:
            best = (hours + weight[:, None] * moved).topk(min(int(size.max()), len(offered)), dim=1).indices
            return torch.where(torch.arange(best.shape[1], device=env.device) < size[:, None], offered[best], -1)

        def expected(weight: Tensor) -> Tensor:
            return torch.as_tensor(env.expected_hours(slates(weight)), device=env.device)

        benefit = self._benefit()
        most = self._largest_weights(expected, self._slate_floor * usual)
        low, high = 0.0, float((most / benefit.clamp(min=1e-9)).max()) + 1e-6
        need = self._floor * usual.sum()
        if expected(torch.minimum(high * benefit, most)).sum() < need:
            for _ in range(BISECTIONS + 10):  # λ spans many orders of magnitude
                middle = (low * high) ** 0.5 if low > 0 else high * 1e-6
                enough = expected(torch.minimum(middle * benefit, most)).sum() >= need
                low, high = (middle, high) if enough else (low, middle)
                if not enough and low == 0.0 and middle < 1e-12:
                    break
        else:
            low = high
        weight = torch.minimum(low * benefit, most)
        chosen = slates(weight)
        place = torch.searchsorted(offered, chosen.clamp(min=0))
        uplift = (moved.gather(1, place) * (chosen >= 0)).sum(dim=1) - (env.susceptible * env.exposure.usual).sum(dim=1)
        self._uplift = 0.7 * self._uplift + 0.3 * torch.where(size > 0, uplift, 0.0)
        self._left -= 1
        shown = chosen.cpu().numpy()
        width = max(shown.shape[1], reference.shape[1])
        self._moved = (_padded(shown, width) != _padded(reference, width)).any(axis=1)
        return shown

    def observe(self, feedback: Feedback) -> None:
        self._engagement.observe(feedback)

    def acted(self) -> np.ndarray:
        """Where the slate is not the engagement ranking's."""
        return self._moved

    def _largest_weights(self, expected, floor: Tensor) -> Tensor:
        """The largest weight of the mood in each person's slate that keeps the slate above its floor, (U,)."""
        low = torch.zeros_like(floor)
        high = torch.full_like(floor, 1e3)
        for step in range(BISECTIONS):
            middle = high if step == 0 else torch.where(low > 0, (low * high).sqrt(), high * 0.03)
            enough = expected(middle) >= floor
            low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
        return low

    def _benefit(self) -> Tensor:
        """Negative days to come that a unit of tomorrow's slow state averts, (U,); the oracle's usual uplift goes on."""
        env, people = self._env, self._env.people
        inertia, event_size = env.world.affect.inertia, env.world.affect.event_size
        delay = env.world.exposure.delay
        state, total, previous = env.state, torch.zeros(len(people), device=env.device), 0.0
        for ahead in range(min(self._left, 40)):  # a day more each; people are vectorised
            kept = inertia ** (ahead + 1)
            mean = people.home + kept * state + self._uplift * (1 - kept) / (1 - inertia) - self._uplift * inertia**ahead / 2
            events = people.event_rate * 2 * event_size**2 * (1 - inertia ** (2 * ahead + 2)) / (1 - inertia**2)
            variance = people.state_sd**2 * (1 - kept**2) + people.noise_sd**2 + events
            density = torch.exp(-(mean**2) / (2 * variance)) / (2 * torch.pi * variance).sqrt()
            total = total + ((1 - delay) * inertia**ahead + delay * previous) * density
            previous = inertia**ahead
        return total


def _padded(slates: np.ndarray, width: int) -> np.ndarray:
    return np.pad(slates, ((0, 0), (0, width - slates.shape[1])), constant_values=-1)
