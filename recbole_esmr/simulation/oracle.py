"""The ceiling: a policy that sees latents and world parameters. No real platform could be it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.feed import Feedback, Observation, Policy
from recbole_esmr.simulation.env import FeedEnv

BISECTIONS = 20


class Price:
    """What a ceiling may spend: watch time stays at a share of the engagement ranking's.

    Args:
        share: least watch time as a share.
        usual: (D,) expected hours a person on each day of the same people's rollout under the engagement ranking. With it the
            share holds of what comes of all days together, those included who come less often; without it of each day's feeds.
    """

    LEAST = 0.9
    """No single day goes below this share."""

    def __init__(self, share: float = 0.97, usual: np.ndarray | None = None) -> None:
        self._share, self._usual = share, usual

    def begin(self) -> None:
        """The first day."""
        self._day, self._got = 0, 0.0

    def floor(self, usual: float) -> float:
        """Least share of the engagement slates' hours today, which are ``usual`` a person."""
        if self._usual is None or usual <= 0:
            return self._share
        owed = self._share * float(self._usual[: self._day + 1].sum()) - self._got
        return min(max(owed / usual, self.LEAST), 1.0)

    def spent(self, hours: float) -> None:
        """Enter the expected hours a person of the day's slates."""
        self._day, self._got = self._day + 1, self._got + hours


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
        price: what may be spent of the watch time of all people together.
        slate_floor: least watch time of every single slate, as a share of what the engagement slate would get.
    """

    def __init__(
        self, env: FeedEnv, engagement: Policy, days: int, price: Price | None = None, slate_floor: float = 0.85
    ) -> None:
        self._env, self._engagement, self._days = env, engagement, days
        self._price, self._slate_floor = price or Price(), slate_floor

    def reset(self, users: np.ndarray, items: np.ndarray) -> None:
        self._engagement.reset(users, items)
        self._left = self._days - 1  # what is shown on the last day changes no day that counts
        self._uplift = torch.zeros(len(users), device=self._env.device)
        self._moved = np.zeros(len(users), dtype=bool)
        self._price.begin()

    def recommend(self, observation: Observation) -> np.ndarray:
        env = self._env
        reference = self._engagement.recommend(observation)
        usual = torch.as_tensor(env.expected_hours(reference), device=env.device)
        offered = torch.from_numpy(np.flatnonzero(observation.pool)).to(env.device)
        size = torch.from_numpy(observation.slate_size).to(env.device)
        ratio = env.expected_ratio(env.interest(offered))
        hours = ratio * env.catalogue.duration[offered] / 3600
        moved = moved_by(env, offered) * ratio / size.clamp(min=1)[:, None]

        def slates(weight: Tensor) -> Tensor:
            best = (hours + weight[:, None] * moved).topk(min(int(size.max()), len(offered)), dim=1).indices
            return torch.where(torch.arange(best.shape[1], device=env.device) < size[:, None], offered[best], -1)

        def expected(weight: Tensor) -> Tensor:
            return torch.as_tensor(env.expected_hours(slates(weight)), device=env.device)

        benefit = averted(env, self._uplift, self._left)
        most = self._largest_weights(expected, self._slate_floor * usual)
        low, high = 0.0, float((most / benefit.clamp(min=1e-9)).max()) + 1e-6
        need = self._price.floor(float(usual.sum()) / len(usual)) * usual.sum()
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
        self._price.spent(float(torch.as_tensor(env.expected_hours(chosen)).sum()) / len(usual))
        place = torch.searchsorted(offered, chosen.clamp(min=0))
        self._uplift = gone_on(env, self._uplift, (moved.gather(1, place) * (chosen >= 0)).sum(dim=1), size > 0)
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


def averted(env: FeedEnv, uplift: Tensor, left: int) -> Tensor:
    """Negative days to come that a unit of tomorrow's slow state averts, (U,).

    Args:
        env: with all its latents.
        uplift: (U,) change of the slow state that each person's feeds make a day, which is taken to go on.
        left: days of the rollout after tomorrow.
    """
    people = env.people
    inertia, event_size = env.world.affect.inertia, env.world.affect.event_size
    delay = env.world.exposure.delay
    total, previous = torch.zeros(len(people), device=env.device), 0.0
    for ahead in range(min(left, 40)):  # a day more each; people are vectorised
        kept = inertia ** (ahead + 1)
        mean = people.home + kept * env.state + uplift * (1 - kept) / (1 - inertia) - uplift * inertia**ahead / 2
        events = people.event_rate * 2 * event_size**2 * (1 - inertia ** (2 * ahead + 2)) / (1 - inertia**2)
        variance = people.state_sd**2 * (1 - kept**2) + people.noise_sd**2 + events
        density = torch.exp(-(mean**2) / (2 * variance)) / (2 * torch.pi * variance).sqrt()
        total = total + ((1 - delay) * inertia**ahead + delay * previous) * density
        previous = inertia**ahead
    return total


def gone_on(env: FeedEnv, uplift: Tensor, moved: Tensor, here: Tensor) -> Tensor:
    """The running mean (U,) of what feeds do to the slow state, after a day on which they moved it by ``moved`` (U,)."""
    beyond = moved - (env.susceptible * env.exposure.usual).sum(dim=1)
    return 0.7 * uplift + 0.3 * torch.where(here, beyond, 0.0)


def moved_by(env: FeedEnv, item: Tensor, people: Tensor | None = None) -> Tensor:
    """Change of the slow state by a feed of one item, watched whole.

    Args:
        item: (C,) numbers, or (B, C) for each of the people.
        people: (B,) numbers; all of them unless given.

    Returns:
        (B, C).
    """
    emotion, intensity, strategy = (getattr(env.catalogue, name)[item] for name in ("emotion", "intensity", "strategy"))
    susceptible = env.susceptible if people is None else env.susceptible[people]

    def of(code: Tensor) -> Tensor:
        return susceptible[:, code] if item.dim() == 1 else susceptible.gather(1, code)

    moved = of(emotion) * intensity
    if susceptible.shape[1] > len(env.taxonomy):
        moved = moved + of(len(env.taxonomy) + strategy.clamp(min=0)) * (strategy >= 0)
    return moved


def _padded(slates: np.ndarray, width: int) -> np.ndarray:
    return np.pad(slates, ((0, 0), (0, width - slates.shape[1])), constant_values=-1)
