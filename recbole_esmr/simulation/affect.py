"""How a person's affect moves from one day to the next."""

from __future__ import annotations

import torch
from torch import Tensor

from recbole_esmr.emotion import Taxonomy
from recbole_esmr.simulation.population import Population
from recbole_esmr.simulation.random import normal, uniform
from recbole_esmr.simulation.world import World


def first_state(people: Population, seed: int) -> Tensor:
    """The slow state on day 1, drawn from its stationary distribution. Shape (U,), valence units."""
    return people.state_sd * normal(seed, "first state", people.number)


def event_drop(world: World, people: Population, day: int, seed: int) -> Tensor:
    """How much a bad life event lowers the slow state of ``day``; 0 for most. Shape (U,), valence units."""
    happens = uniform(seed, "event", people.number, day) < people.event_rate
    size = -world.affect.event_size * uniform(seed, "event size", people.number, day).log()
    return (happens * size).float()


def event_in_mind(world: World, people: Population, day: int, seed: int) -> Tensor:
    """Who follows a life event online on ``day``: that of the day, or one known a day ahead. Shape (U,), bool."""
    tomorrow = uniform(seed, "event", people.number, day + 1) < people.event_rate
    known = uniform(seed, "event warning", people.number, day + 1) < world.affect.event_warning
    return (uniform(seed, "event", people.number, day) < people.event_rate) | (tomorrow & known)


def next_state(world: World, people: Population, state: Tensor, impact: Tensor, day: int, seed: int) -> Tensor:
    r"""The slow state of ``day``: yesterday's state, an innovation, a life event, and what was watched before.

    .. math:: s_t = φ s_{t-1} + σ_s\sqrt{1-φ^2}\,ε_t - e_t + E[e] + impact_{t-1}

    Args:
        state: shape (U,), of the day before, in valence units.
        impact: shape (U,), of the exposure of the days before, in valence units.

    Returns:
        shape (U,), in valence units.
    """
    settings = world.affect
    innovation = people.state_sd * (1 - settings.inertia**2) ** 0.5 * normal(seed, "innovation", people.number, day)
    usual = people.event_rate * settings.event_size
    return settings.inertia * state + innovation + usual - event_drop(world, people, day, seed) + impact


def day_valence(people: Population, state: Tensor, day: int, seed: int) -> Tensor:
    """The valence felt on ``day``: home base + slow state + day noise, in [−1, 1]. Shape (U,)."""
    return (people.home + state + people.noise_sd * normal(seed, "day noise", people.number, day)).clamp(-1, 1)


class Exposure:
    r"""Effects of a day's exposure on the state of the next days.

    .. math:: impact = S\, s_u σ_u \sum_e β_e \frac{x_e - \bar x_e}{0.1} f_e, \quad f_e =
        \frac{1 + κ}{1 + κ\, l_e / \bar x_e}

    with exposure x_e (mean over the impressions of watch ratio · intensity of emotion e), the usual exposure x̄_e of the
    world's catalogue, strength S, susceptibility s_u, within-person SD σ_u, and the load l_e, a running mean of past exposure:
    what one is used to moves one less (habituation κ). After the E emotions come the S strategies of the world: exposure to one
    is the mean watch ratio of its items, and its β depends on whether the day's valence is below 0.
    """

    def __init__(self, world: World, taxonomy: Taxonomy, device: torch.device) -> None:
        settings, catalogue = world.exposure, world.catalogue

        def by_emotion(values: dict[str, float]) -> Tensor:
            return torch.tensor([values.get(label, 0.0) for label in taxonomy.labels], dtype=torch.float32, device=device)

        def by_strategy(values: dict[str, float]) -> Tensor:
            return torch.tensor([values[name] for name in catalogue.strategy_share], dtype=torch.float32, device=device)

        usual = by_emotion(catalogue.emotion_share) * catalogue.intensity_mean * settings.usual_watch
        self.usual = torch.cat([usual, by_strategy(catalogue.strategy_share) * settings.usual_watch])
        """(E + S,) exposure that moves nobody."""
        emotions = by_emotion(settings.effect)
        self.effect = settings.strength * torch.cat([emotions, by_strategy(settings.strategy_effect)]) / 0.1
        """(E + S,) within-person SDs for a unit of exposure, on a day of a valence of at least 0."""
        self.effect_low = settings.strength * torch.cat([emotions, by_strategy(settings.strategy_effect_low)]) / 0.1
        """The same on a day of a valence below 0."""
        self._habituation, self._kept = settings.habituation, 0.5 ** (1 / settings.habituation_days)
        self._load_unit = self.usual.clamp(min=1e-6)

    def susceptible(self, people: Population, load: Tensor, low: Tensor) -> Tensor:
        """(U, E + S) change of the next days' state for a unit of exposure to each emotion and strategy, in valence units.

        Args:
            people: U of them.
            load: (U, E + S).
            low: (U,) bool, whose valence of the day is below 0.
        """
        factor = (1 + self._habituation) / (1 + self._habituation * load / self._load_unit)
        effect = torch.where(low[:, None], self.effect_low, self.effect)
        return (people.susceptibility * people.within_sd)[:, None] * effect * factor

    def impact(self, people: Population, exposure: Tensor, load: Tensor, low: Tensor) -> Tensor:
        """(U,) change of the next days' state by the day's exposure (U, E + S); the others as of :meth:`susceptible`."""
        return ((exposure - self.usual) * self.susceptible(people, load, low)).sum(dim=1)

    def next_load(self, load: Tensor, exposure: Tensor) -> Tensor:
        """(U, E + S) the load after the day."""
        return self._kept * load + (1 - self._kept) * exposure


def reported_emotion(
    world: World, places: tuple[Tensor, Tensor], people: Population, valence: Tensor, day: int, seed: int
) -> Tensor:
    """The label a person gives to the day, drawn near (gain · valence, an arousal of the day) in the circumplex.

    Args:
        places: valence and arousal of the labels, (E,) each.
        valence: (U,), felt on the day.

    Returns:
        (U,) codes.
    """
    settings = world.observation
    arousal = 0.3 + 0.4 * normal(seed, "arousal", people.number, day)
    far = (settings.report_gain * valence[:, None] - places[0]) ** 2 + (arousal[:, None] - places[1]) ** 2
    label = torch.arange(len(places[0]), device=valence.device)
    gumbel = -(-uniform(seed, "report", people.number, day, label).log()).log()
    return (gumbel - far / (2 * settings.report_noise**2)).argmax(dim=1)
