"""The closed loop: one row a person, one step a day; what is shown today moves tomorrow's mood."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import ConfigError
from recbole_esmr.feed import Observation
from recbole_esmr.memory import require_free
from recbole_esmr.simulation import affect
from recbole_esmr.simulation.population import make_population
from recbole_esmr.simulation.random import uniform, uniform_pair
from recbole_esmr.simulation.videos import largest_slate, make_videos, on_offer
from recbole_esmr.simulation.world import World

LEAST_WATCHED = 0.05
"""Share of an item that even the least interested viewer has seen before going on."""

_BYTES_OF_KIND, _BYTES_OF_PLACE, _BYTES_OF_ITEM = 16, 60, 200
"""Peak bytes of a person's taste for one kind of item, of one place of their slate, and of an item."""


class FeedEnv(VectorEnv):
    """People who read a feed for a number of days, after gymnasium's vector API: one row a person.

    An observation is what a platform sees in the morning, a row a person: who is here (``active``, bool), how many items each is
    to be shown (``slate_size``, 0 … K, 0 for who is away), and which items are on offer (``pool``, (U, I) bool, the same row for
    all; a view that costs no memory); never a latent. An action is K item numbers a person, −1 for nothing. ``info`` of
    :meth:`step` is what the platform logs of the day just lived. Nothing terminates: who stops coming may come back.

    Args:
        world: the world.
        users: number of people U, or their numbers (user 7 fares the same alone and among ten thousand).
        items: number of items I.
        seed: of who the people and what the items are.
        rollout_seed: of what happens to them; ``seed`` unless given. The first ``reset()`` begins with it.
        device: give a torch device to compute there and get tensors; None computes on the CPU and gives numpy arrays.

    Attributes:
        people, catalogue: latents, for the judge.
        slate_width: K, the most items anybody is shown in a day.
    """

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.DISABLED}
    _begun: bool

    def __init__(
        self,
        world: World,
        users: int | np.ndarray,
        items: int,
        seed: int,
        rollout_seed: int | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        check_size(world, users if isinstance(users, int) else len(users), items, f"world {world.name}")
        number = torch.arange(users) if isinstance(users, int) else torch.as_tensor(users, dtype=torch.int64)
        self.world, self.seed = world, seed
        self._set_rollout(seed if rollout_seed is None else rollout_seed)
        self._numpy, self.device = device is None, torch.device(device or "cpu")
        self.taxonomy = load_taxonomy(world.emotion_taxonomy)
        self.catalogue = make_videos(world, self.taxonomy, items, seed, self.device)
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
        self.single_observation_space = Dict(
            {
                "active": Box(0, 1, (), np.bool_),
                "slate_size": Discrete(self.slate_width + 1),
                "pool": Box(0, 1, (items,), np.bool_),
            }
        )
        self.single_action_space = MultiDiscrete(np.full(self.slate_width, items + 1), start=np.full(self.slate_width, -1))

    # -- gymnasium's methods -----------------------------------------------------------------------------------------

    @cached_property
    def observation_space(self) -> Dict:
        """The single observation space, batched; made when it is asked for, as its bounds take some U · I bytes."""
        return batch_space(self.single_observation_space, self.num_envs)

    @cached_property
    def action_space(self) -> Box:
        """The single action space, batched."""
        return batch_space(self.single_action_space, self.num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin day 1, or go on from ``options["state"]``, what :meth:`snapshot` of such an env gave.

        Args:
            seed: of what happens to people, kept as ``rollout_seed``; the same seed gives the same rollout. Without one the first
                reset begins with the env's ``rollout_seed``, and each later one begins a new rollout, whose seed
                ``np_random`` draws: the whole sequence follows from the last seed that was given.
            options: ``state``, an environment state.

        Returns:
            the observation of the morning and an empty info.

        Raises:
            ConfigError: an environment state of another number of people.
        """
        if seed is not None:
            self._set_rollout(seed)
        elif self._begun:
            self.rollout_seed = int(self.np_random.integers(2**63))
        self._begun = True
        users, traits = len(self.people), len(self.exposure.usual)
        start = {
            "day": 1,
            "state": affect.first_state(self.people, self.rollout_seed),
            "load": self.exposure.usual.expand(users, traits),
            "pending": torch.zeros(users, device=self.device),
            "active": torch.ones(users, dtype=torch.bool, device=self.device),
        }
        standing = start | ((options or {}).get("state") or {})
        self.day = int(standing["day"])
        values = {name: torch.as_tensor(value, device=self.device).clone() for name, value in standing.items()}
        self._state, self._load, self._pending, self.active = (values[name] for name in ("state", "load", "pending", "active"))
        if len(self._state) != users:
            raise ConfigError(
                f"the environment state is of {len(self._state)} people; this world has {users}. Give the same people."
            )
        return self._wake(), {}

    def step(self, slates: Any, nudge: Any = None) -> tuple[dict[str, Any], Any, Any, Any, dict[str, Any]]:
        """Live one day with the given feed, and wake on the next.

        An item that cannot be shown (see :meth:`refused`) is not: its place stays empty, as if it were −1, and
        ``info["refused"]`` says so. Any sample of the action space can be played, then; a policy in
        :func:`~recbole_esmr.simulation.days.rollout_days` is held to slates that can be shown as they are.

        Args:
            slates: (U, K) item numbers, any K up to ``slate_width``; −1 shows nothing in that place.
            nudge: (E + S,), added to the day's exposure to each emotion and strategy, or (E,) to emotions alone; a row a person
                where it is not the same for all. For :mod:`~recbole_esmr.simulation.twin` only.

        Returns:
            observation of the next morning; reward, (U,) float32, watch hours of the day; terminated and truncated, (U,), all
            false; info: ``watch_ratio`` (U, K) float32, ``emotion`` (U,), the reported codes, −1 without a report, and
            ``refused`` (U, K) bool.

        Raises:
            ConfigError: before the first :meth:`reset`; slates of another shape, of no whole numbers, or with an item that does
                not exist.
        """
        if not self._begun:
            raise ConfigError("nobody has woken in this environment yet: call reset() before step().")
        slates = self._checked(slates)
        refused = self._refused(slates)
        shown = (slates >= 0) & ~refused
        count = shown.sum(dim=1).clamp(min=1)
        item = slates.clamp(min=0)
        ratio = self._watch(item).mul_(shown)
        emotions = len(self.taxonomy)
        felt = torch.zeros(len(self.people), len(self.exposure.usual) + 1, device=self.device)  # the last: of no strategy
        felt.scatter_add_(1, self.catalogue.emotion[item], ratio * self.catalogue.intensity[item])
        if len(self.exposure.usual) > emotions:
            strategy = self.catalogue.strategy[item]
            felt.scatter_add_(1, torch.where(strategy < 0, felt.shape[1] - 1, emotions + strategy), ratio)
        felt = felt[:, :-1] / count[:, None]
        seconds = (ratio * self.catalogue.duration[item]).sum(dim=1)
        info = {"watch_ratio": ratio, "emotion": self._report(), "refused": refused}
        if nudge is not None:
            more = torch.as_tensor(nudge, dtype=torch.float32, device=self.device)
            felt = felt + torch.nn.functional.pad(more, (0, felt.shape[1] - more.shape[-1]))
        self._live(felt)
        self._stay(seconds / count)
        self.day += 1
        terminated, truncated = (torch.zeros_like(self.active) for _ in range(2))
        results = (self._out(value) for value in (seconds / 3600, terminated, truncated))
        return self._wake(), *results, {name: self._out(value) for name, value in info.items()}

    # -- what a policy may ask, too --------------------------------------------------------------------------------------

    def morning(self) -> Observation:
        """Today's observation in the words of a feed policy: the pool is one row, (I,), and all is numpy."""
        active, size, pool = (value.cpu().numpy().copy() for value in (self.active, self._size, self._pool))
        return Observation(self.day, active, size, pool)

    def refused(self, slates: Any) -> Any:
        """Places whose item cannot be shown today, (U, K) bool.

        An item is refused where it is not on offer, where it stands in the slate already, and where the person's
        ``slate_size`` is used up by the items before it; who is away is shown nothing.

        Args:
            slates: (U, K) item numbers, as of :meth:`step`.

        Raises:
            ConfigError: as of :meth:`step`.
        """
        return self._out(self._refused(self._checked(slates)))

    # -- for the judge, never for a policy or a log --------------------------------------------------------------------

    @property
    def valence(self) -> Any:
        """The true valence of today, (U,)."""
        return self._out(self._valence)

    def snapshot(self) -> dict[str, Any]:
        """All that a later ``reset(options={"state": ...})`` needs to go on from this morning."""
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
        """(U, E + S) change of the next days' state for a unit of today's exposure to emotions and strategies, valence units."""
        return self.exposure.susceptible(self.people, self._load, self._valence < 0)

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
        world, people, seed = self.world, self.people, self.rollout_seed
        self._valence = affect.day_valence(people, self._state, self.day, seed)
        mood = ((self._valence - people.home) / people.within_sd).clamp(-2, 2)
        in_mind = affect.event_in_mind(world, people, self.day, seed)
        self._pull = world.population.congruence * mood - world.feed.event_pull * in_mind
        weekend = world.feed.weekend_factor if self.day % 7 in (6, 0) else 1.0
        visits = torch.floor(self._sessions * weekend + uniform(seed, "visits", people.number, self.day)).clamp(min=1)
        size = (visits * world.feed.session_size).clamp(max=self.slate_width).long()
        self._pool = on_offer(world, len(self.catalogue), self.day, self.rollout_seed).to(self.device)
        self._size = torch.where(self.active, size, 0)
        self._not_offered = torch.nn.functional.pad(~self._pool, (0, 1))  # −1 looks up the last, which is never refused
        pool, shape = self._pool.clone(), (len(self.people), len(self._pool))
        view = np.broadcast_to(pool.numpy(), shape) if self._numpy else pool.expand(shape)
        return {"active": self._out(self.active.clone()), "slate_size": self._out(self._size.clone()), "pool": view}

    def _report(self) -> Tensor:
        people, seed = self.people, self.rollout_seed
        reports = uniform(seed, "reports", people.number, self.day) < self.world.observation.report_share
        return torch.where(self.active & reports, self._label(), -1)

    def _label(self) -> Tensor:
        return affect.reported_emotion(self.world, self._places, self.people, self._valence, self.day, self.rollout_seed)

    def _watch(self, item: Tensor) -> Tensor:
        """Watch ratio of each shown item, (U, K), 0 for a skip."""
        interest = self.interest(item).sub_(self._tired[: item.shape[1]])
        chance, length = uniform_pair(self.rollout_seed, "watch", self.people.number, self.day, item)
        watches = chance < interest.sigmoid()
        ratio = length.log_().mul_(interest.mul_(-0.5).exp_()).exp_()
        return ratio.mul_(1 - LEAST_WATCHED).add_(LEAST_WATCHED).mul_(watches)

    def _live(self, felt: Tensor) -> None:
        """Move the slow state to the next day."""
        impact = self.exposure.impact(self.people, felt, self._load, self._valence < 0) * self.active
        delay = self.world.exposure.delay
        now = (1 - delay) * impact + self._pending
        self._pending = delay * impact
        self._load = self.exposure.next_load(self._load, felt)
        self._state = affect.next_state(self.world, self.people, self._state, now, self.day + 1, self.rollout_seed)

    def _stay(self, seconds: Tensor) -> None:
        """Who comes tomorrow: the longer the items shown today held a person (mean seconds), the fewer stop coming."""
        draw = uniform(self.rollout_seed, "comes", self.people.number, self.day + 1)
        satisfied = (seconds / self.world.catalogue.duration_median - self.world.exposure.usual_watch) / 0.1
        stop = (self._churn * torch.exp(-self.world.retention.loyalty * satisfied)).clamp(max=1)
        self.active = torch.where(self.active, draw >= stop, draw < self._returning)

    def _set_rollout(self, seed: int) -> None:
        super().reset(seed=int(seed) % 2**64)  # of np_random
        self.rollout_seed, self._begun = seed, False

    def _checked(self, slates: Any) -> Tensor:
        slates = torch.as_tensor(slates, device=self.device)
        if slates.dim() != 2 or len(slates) != len(self.people) or slates.shape[1] > self.slate_width:
            expected = f"({len(self.people)}, up to {self.slate_width})"
            raise ConfigError(f"slates have shape {tuple(slates.shape)}; expected {expected}: a row a person.")
        if slates.is_floating_point() or slates.dtype == torch.bool:
            raise ConfigError(f"slates are of {slates.dtype}; expected whole numbers, the items' numbers.")
        low, high = (int(slates.min()), int(slates.max())) if slates.numel() else (-1, -1)
        if low < -1 or high >= len(self.catalogue):
            wrong = low if low < -1 else high
            raise ConfigError(f"slates hold item {wrong}; expected numbers from -1 to {len(self.catalogue) - 1}.")
        return slates.long()

    def _refused(self, slates: Tensor) -> Tensor:
        refused = self._not_offered[slates]
        if _any_repeated(slates):
            refused |= _repeated(slates)
        shown = (slates >= 0) & ~refused
        if bool((shown.sum(dim=1) > self._size).any()):
            refused |= shown & (shown.cumsum(dim=1) > self._size[:, None])
        return refused

    def _by_profile(self, values: dict[str, float]) -> Tensor:
        order = [values[name] for name in self.world.population.profile_share]
        return torch.tensor(order, dtype=torch.float32, device=self.device)[self.people.profile]

    def _out(self, value: Tensor) -> Any:
        return value.cpu().numpy() if self._numpy else value


def check_size(world: World, users: int, items: int, where: str) -> None:
    """Refuse a world with nobody or nothing in it, or one that no memory holds, before anything is made.

    Args:
        world: the world.
        users, items: people and videos in it.
        where: they come from, for the message.

    Raises:
        ConfigError: what is wrong with them.
    """
    if users < 1 or items < 1:
        raise ConfigError(f"{where}: has {users} people and {items} items; expected at least one of each.")
    kinds = len(world.catalogue.category_share) * len(load_taxonomy(world.emotion_taxonomy))
    width = min(largest_slate(world), items)
    needed = users * (_BYTES_OF_KIND * kinds + _BYTES_OF_PLACE * width) + _BYTES_OF_ITEM * items
    require_free(needed, f"{where}: {users:,} people with {items:,} items", "Simulate fewer.")


def _any_repeated(slates: Tensor) -> bool:
    """Whether an item stands in a row twice; −1 may. numpy sorts short rows of int32 several times as fast as torch."""
    if slates.device.type == "cpu":
        ordered: Any = np.sort(slates.numpy().astype(np.int32), axis=1)
    else:
        ordered = slates.sort(dim=1).values
    return bool(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any())


def _repeated(slates: Tensor) -> Tensor:
    """Where an item stands in its row again, (U, K) bool; −1 may."""
    ordered, place = slates.sort(dim=1, stable=True)
    again = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    return torch.zeros_like(slates, dtype=torch.bool).scatter_(1, place[:, 1:], again)
