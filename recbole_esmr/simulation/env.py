"""The closed loop: one row a person, one step a day; what is shown today moves tomorrow's mood."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import ConfigError
from recbole_esmr.simulation import affect
from recbole_esmr.simulation.catalogue import largest_slate, make_catalogue, on_offer
from recbole_esmr.simulation.population import make_population
from recbole_esmr.simulation.random import uniform, uniform_pair
from recbole_esmr.simulation.world import World

LEAST_WATCHED = 0.05
"""Share of an item that even the least interested viewer has seen before going on."""


class FeedEnv(VectorEnv):
    """People who read a feed for a number of days, after gymnasium's vector API: one row a person.

    An observation is what a platform sees in the morning: who is here (``active``), how many items each is to be shown
    (``slate_size``), and which items are on offer (``pool``, one row for all); never a latent. ``info`` of :meth:`step` is what
    the platform logs of the day just lived. Nothing terminates: who stops coming may come back.

    Args:
        world: the world.
        users: number of people U, or their numbers (user 7 lives the same life alone and among ten thousand).
        items: number of items I.
        seed: of who the people and what the items are.
        life_seed: of what happens to them; ``seed`` unless given. ``reset(seed=...)`` sets it, too.
        device: give a torch device to compute there and get tensors; None computes on the CPU and gives numpy arrays.

    Attributes:
        people, catalogue: latents, for the judge.
        slate_width: K, the most items anybody is shown in a day.
    """

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.DISABLED}

    def __init__(
        self,
        world: World,
        users: int | np.ndarray,
        items: int,
        seed: int,
        life_seed: int | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.world, self.seed, self.life_seed = world, seed, seed if life_seed is None else life_seed
        self._numpy, self.device = device is None, torch.device(device or "cpu")
        self.taxonomy = load_taxonomy(world.emotion_taxonomy)
        self.catalogue = make_catalogue(world, self.taxonomy, items, seed, self.device)
        number = torch.arange(users) if isinstance(users, int) else torch.as_tensor(users, dtype=torch.int64)
        self.people = make_population(world, self.taxonomy, number.to(self.device), seed)
        self.exposure = affect.Exposure(world, self.taxonomy, self.device)
        self.slate_width = min(largest_slate(world), items)
        self._sessions = self._by_profile(world.feed.sessions)
        self._churn = self._by_profile(world.retention.churn)
        self._returning = self._by_profile(world.retention.returning)
        places = np.stack([self.taxonomy.valence, self.taxonomy.arousal])
        self._places = tuple(torch.from_numpy(places).float().to(self.device))
        place = torch.arange(self.slate_width, device=self.device) % world.feed.session_size
        self._tired = world.feed.fatigue * place / max(world.feed.session_size - 1, 1)
        doublings = torch.log2(self.catalogue.duration / world.catalogue.duration_median)
        self._appeal = self.catalogue.quality + world.population.arousal_hook * self.catalogue.arousal
        self._appeal += world.feed.watch_bias - world.feed.patience * doublings
        self.num_envs = len(self.people)
        sizes = self.slate_width + 1
        self.single_observation_space = Dict({"active": Discrete(2), "slate_size": Discrete(sizes)})
        self.single_action_space = Box(-1, items - 1, (self.slate_width,), np.int64)
        spaces = {"active": MultiBinary(self.num_envs), "slate_size": MultiDiscrete(np.full(self.num_envs, sizes))}
        self.observation_space = Dict({**spaces, "pool": MultiBinary(items)})
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    # -- gymnasium's methods -----------------------------------------------------------------------------------------

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin day 1, or go on from ``options["hidden"]``, what :meth:`hidden` of such an env gave.

        Returns:
            the observation of the morning and an empty info.
        """
        if seed is not None:
            self.life_seed = seed
        users, emotions = len(self.people), len(self.taxonomy)
        start = {
            "day": 1,
            "state": affect.first_state(self.people, self.life_seed),
            "load": self.exposure.usual.expand(users, emotions),
            "pending": torch.zeros(users, device=self.device),
            "active": torch.ones(users, dtype=torch.bool, device=self.device),
        }
        hidden = start | ((options or {}).get("hidden") or {})
        self.day = int(hidden["day"])
        values = {name: torch.as_tensor(value, device=self.device).clone() for name, value in hidden.items()}
        self._state, self._load, self._pending, self.active = (values[name] for name in ("state", "load", "pending", "active"))
        if len(self._state) != users:
            raise ConfigError(f"the hidden state is of {len(self._state)} people; this world has {users}. Give the same people.")
        return self._wake(), {}

    def step(self, slates: Any, nudge: Any = None) -> tuple[dict[str, Any], Any, Any, Any, dict[str, Any]]:
        """Live one day with the given feed, and wake on the next.

        Args:
            slates: (U, K) item numbers on offer today, any K up to ``slate_width``; −1 shows nothing in that place.
            nudge: (E,) or (U, E), added to the day's exposure to each emotion: for :mod:`~recbole_esmr.simulation.twin` only.

        Returns:
            observation of the next morning; reward, (U,) float32, watch hours of the day; terminated and truncated, (U,), all
            false; info: ``watch_ratio`` (U, K) float32 and ``emotion`` (U,), the reported codes, −1 without a report.

        Raises:
            ConfigError: slates of another shape, too many items for a person, an item that does not exist or is not on offer.
        """
        slates = torch.as_tensor(slates, device=self.device)
        self._check(slates)
        shown = (slates >= 0) & self.active[:, None]
        count = shown.sum(dim=1)
        if bool((count > self._size).any()):
            raise ConfigError("a slate holds more items than observation['slate_size'] allows: end it with -1.")
        count = count.clamp(min=1)
        item = slates.clamp(min=0)
        ratio = self._watch(item).mul_(shown)
        felt = torch.zeros(len(self.people), len(self.taxonomy), device=self.device)
        felt.scatter_add_(1, self.catalogue.emotion[item], ratio * self.catalogue.intensity[item])
        felt = felt / count[:, None]
        seconds = (ratio * self.catalogue.duration[item]).sum(dim=1)
        info = {"watch_ratio": ratio, "emotion": self._report()}
        self._live(felt if nudge is None else felt + torch.as_tensor(nudge, dtype=torch.float32, device=self.device))
        self._stay(seconds / count)
        self.day += 1
        none = torch.zeros(len(self.people), dtype=torch.bool, device=self.device)
        return self._wake(), *(self._out(x) for x in (seconds / 3600, none, none)), {k: self._out(v) for k, v in info.items()}

    # -- for the judge, never for a policy or a log --------------------------------------------------------------------

    @property
    def valence(self) -> Any:
        """The true valence of today, (U,)."""
        return self._out(self._valence)

    def hidden(self) -> dict[str, Any]:
        """All that a later ``reset(options={"hidden": ...})`` needs to go on from this morning."""
        names = {"state": self._state, "load": self._load, "pending": self._pending, "active": self.active}
        return {"day": self.day} | {name: self._out(value.clone()) for name, value in names.items()}

    @property
    def label(self) -> Any:
        """The emotion that each person would report today if they report, (U,) codes."""
        return self._out(self._label())

    @property
    def state(self) -> Tensor:
        """The slow state of today, (U,), valence units."""
        return self._state

    @property
    def susceptible(self) -> Tensor:
        """(U, E) change of the next days' state for a unit of today's exposure to each emotion, valence units."""
        return self.exposure.susceptible(self.people, self._load)

    def interest(self, item: Tensor) -> Tensor:
        """Log odds, (U, n), that each person watches each ``item`` (U, n) or (n,) today, before fatigue."""
        kind, tone = self.catalogue.kind[item], self.catalogue.tone[item]
        taste = self.people.taste[:, kind] if item.dim() == 1 else self.people.taste.gather(1, kind)
        return taste.add_(self._appeal[item]).addcmul_(self._pull[:, None], tone)

    def expected_ratio(self, interest: Tensor) -> Tensor:
        """Mean watch ratio for log odds ℓ of a watch: σ(ℓ) (m + (1 − m) σ(ℓ/2)) with the least part m = 0.05."""
        return interest.sigmoid() * (LEAST_WATCHED + (1 - LEAST_WATCHED) * (interest / 2).sigmoid())

    def expected_hours(self, slates: Any) -> Any:
        """True expected watch hours of slates, (U,)."""
        slates = torch.as_tensor(slates, device=self.device)
        shown, item = (slates >= 0) & self.active[:, None], slates.clamp(min=0)
        ratio = self.expected_ratio(self.interest(item) - self._tired[: slates.shape[1]])
        return self._out((ratio * self.catalogue.duration[item] * shown).sum(dim=1) / 3600)

    # -- a day -------------------------------------------------------------------------------------------------------

    def _wake(self) -> dict[str, Any]:
        world, people, seed = self.world, self.people, self.life_seed
        self._valence = affect.day_valence(people, self._state, self.day, seed)
        mood = ((self._valence - people.home) / people.within_sd).clamp(-2, 2)
        in_mind = affect.event_in_mind(world, people, self.day, seed)
        self._pull = world.population.congruence * mood - world.feed.event_pull * in_mind
        weekend = world.feed.weekend_factor if self.day % 7 in (6, 0) else 1.0
        visits = torch.floor(self._sessions * weekend + uniform(seed, "visits", people.number, self.day)).clamp(min=1)
        size = (visits * world.feed.session_size).clamp(max=self.slate_width).long()
        self._pool = on_offer(world, len(self.catalogue), self.day, self.life_seed).to(self.device)
        self._size = torch.where(self.active, size, 0)
        return {name: self._out(x) for name, x in (("active", self.active), ("slate_size", self._size), ("pool", self._pool))}

    def _report(self) -> Tensor:
        people, seed = self.people, self.life_seed
        reports = uniform(seed, "reports", people.number, self.day) < self.world.observation.report_share
        return torch.where(self.active & reports, self._label(), -1)

    def _label(self) -> Tensor:
        return affect.reported_emotion(self.world, self._places, self.people, self._valence, self.day, self.life_seed)

    def _watch(self, item: Tensor) -> Tensor:
        """Watch ratio of each shown item, (U, K), 0 for a skip."""
        interest = self.interest(item).sub_(self._tired[: item.shape[1]])
        chance, length = uniform_pair(self.life_seed, "watch", self.people.number, self.day, item)
        watches = chance < interest.sigmoid()
        ratio = length.log_().mul_(interest.mul_(-0.5).exp_()).exp_()
        return ratio.mul_(1 - LEAST_WATCHED).add_(LEAST_WATCHED).mul_(watches)

    def _live(self, felt: Tensor) -> None:
        """Move the slow state to the next day."""
        impact = self.exposure.impact(self.people, felt, self._load) * self.active
        delay = self.world.exposure.delay
        now = (1 - delay) * impact + self._pending
        self._pending = delay * impact
        self._load = self.exposure.next_load(self._load, felt)
        self._state = affect.next_state(self.world, self.people, self._state, now, self.day + 1, self.life_seed)

    def _stay(self, seconds: Tensor) -> None:
        """Who comes tomorrow: the longer the items shown today held a person (mean seconds), the fewer stop coming."""
        draw = uniform(self.life_seed, "comes", self.people.number, self.day + 1)
        satisfied = (seconds / self.world.catalogue.duration_median - self.world.exposure.usual_watch) / 0.1
        stop = (self._churn * torch.exp(-self.world.retention.loyalty * satisfied)).clamp(max=1)
        self.active = torch.where(self.active, draw >= stop, draw < self._returning)

    def _check(self, slates: Tensor) -> None:
        if slates.dim() != 2 or len(slates) != len(self.people) or slates.shape[1] > self.slate_width:
            expected = f"({len(self.people)}, up to {self.slate_width})"
            raise ConfigError(f"slates have shape {tuple(slates.shape)}; expected {expected}: a row a person.")
        if slates.numel() and (int(slates.max()) >= len(self.catalogue) or int(slates.min()) < -1):
            raise ConfigError(f"slates hold item {int(slates.max())}; expected numbers from -1 to {len(self.catalogue) - 1}.")
        if not bool((self._pool[slates.clamp(min=0)] | (slates < 0)).all()):
            raise ConfigError("slates hold an item that is not on offer today: choose among observation['pool'].")

    def _by_profile(self, values: dict[str, float]) -> Tensor:
        order = [values[name] for name in self.world.population.profile_share]
        return torch.tensor(order, dtype=torch.float32, device=self.device)[self.people.profile]

    def _out(self, value: Tensor) -> Any:
        return value.cpu().numpy() if self._numpy else value
