"""How a person's affect moves from one day to the next."""

from __future__ import annotations

import numpy as np

from recbole_esmr.emotion import Taxonomy
from recbole_esmr.simulation.population import Population
from recbole_esmr.simulation.random import normal, uniform
from recbole_esmr.simulation.world import World


def first_state(world: World, people: Population, seed: int) -> np.ndarray:
    """The slow state on day 0, drawn from its stationary distribution. Shape (U,), valence units."""
    return world.affect.state_sd * normal(seed, "first state", people.number)


def next_state(world: World, people: Population, state: np.ndarray, impact: np.ndarray, day: int, seed: int) -> np.ndarray:
    """The slow state of ``day``: yesterday's state, an innovation, a life event, and what was watched yesterday.

    .. math:: s_t = φ s_{t-1} + σ_s\\sqrt{1-φ^2}\\,ε_t - e_t + E[e] + impact_{t-1}

    Args:
        state: shape (U,), of the day before, in valence units.
        impact: shape (U,), effect of yesterday's exposure, in valence units.

    Returns:
        shape (U,), in valence units.
    """
    settings = world.affect
    innovation = settings.state_sd * np.sqrt(1 - settings.inertia**2) * normal(seed, "innovation", people.number, day)
    happens = uniform(seed, "event", people.number, day) < settings.event_rate
    size = -settings.event_size * np.log(uniform(seed, "event size", people.number, day))
    event = settings.event_rate * settings.event_size - happens * size
    return settings.inertia * state + innovation + event + impact


def day_valence(world: World, people: Population, state: np.ndarray, day: int, seed: int) -> np.ndarray:
    """The valence felt on ``day``: home base + slow state + day noise, in [−1, 1]. Shape (U,)."""
    noise = world.affect.noise_sd * normal(seed, "day noise", people.number, day)
    return np.clip(people.home + state + noise, -1, 1)


def exposure_impact(world: World, people: Population, negative: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Effect of a day's exposure on the state of the next day, in valence units. Shape (U,).

    .. math:: impact = susceptibility · (β_- (x_- - \\bar x_-) + β_+ (x_+ - \\bar x_+)) / 0.1
    """
    settings = world.exposure
    moved = settings.negative * (negative - settings.usual_negative) + settings.positive * (positive - settings.usual_positive)
    return people.susceptibility * moved / 0.1


def reported_emotion(
    world: World, taxonomy: Taxonomy, people: Population, valence: np.ndarray, day: int, seed: int
) -> np.ndarray:
    """The label a person gives to the day, drawn near (gain · valence, an arousal of the day) in the circumplex; (U,) codes."""
    settings = world.observation
    arousal = 0.3 + 0.4 * normal(seed, "arousal", people.number, day)
    far = (settings.report_gain * valence[:, None] - taxonomy.valence) ** 2 + (arousal[:, None] - taxonomy.arousal) ** 2
    gumbel = -np.log(-np.log(uniform(seed, "report", people.number, day, size=len(taxonomy))))
    return np.argmax(gumbel - far / (2 * settings.report_noise**2), axis=1)
