"""The platform's feed that wrote the logs: engagement-seeking, mood-congruent, with known propensities."""

from __future__ import annotations

import numpy as np

from recbole_esmr.simulation.random import uniform
from recbole_esmr.simulation.world import World


def inclusion_probabilities(weight: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Probability of each item to be in a slate of ``size`` items drawn in proportion to ``weight``.

    .. math:: π_{ui} = \\min(1, c_u w_{ui}), \\quad \\sum_i π_{ui} = K_u

    Args:
        weight: shape (U, I), positive.
        size: shape (U,), items in the slate, at most I.

    Returns:
        shape (U, I), in (0, 1]; rows sum to ``size``.
    """
    capped = np.zeros(weight.shape, dtype=bool)
    probability = weight * (size / weight.sum(axis=1))[:, None]
    while (over := probability > 1).any():
        capped |= over
        left = size - capped.sum(axis=1)
        free = np.where(capped, 0.0, weight)
        probability = np.where(capped, 1.0, free * (left / np.maximum(free.sum(axis=1), 1e-300))[:, None])
    return probability


def systematic_sample(probability: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """A fixed-size sample with exactly the given inclusion probabilities (Madow 1949).

    Args:
        probability: shape (U, I), rows sum to a whole number.
        draw: shape (U,), uniform in (0, 1).

    Returns:
        shape (U, I), bool; as many true cells in a row as its probabilities sum to.
    """
    upto = np.cumsum(probability, axis=1)
    upto = upto * (np.round(upto[:, -1]) / upto[:, -1])[:, None]
    steps = np.floor(upto - draw[:, None] + 1)
    return np.diff(steps, axis=1, prepend=0) > 0


def logging_slates(
    world: World, score: np.ndarray, size: np.ndarray, users: np.ndarray, day: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the day's slates.

    Args:
        score: shape (U, I), the platform's engagement scores in logits.
        size: shape (U,), whole numbers of items to show, 0 for who is away.
        users: shape (U,), the addresses of the random numbers.

    Returns:
        slates, shape (U, K) in random order (a day's items come in several visits), −1 where a slate is shorter than the
        longest, and propensities, shape (U, K), 0 there.
    """
    settings, items = world.feed, score.shape[1]
    softmax = np.exp((score - score.max(axis=1, keepdims=True)) / settings.temperature)
    softmax /= softmax.sum(axis=1, keepdims=True)
    weight = (1 - settings.exploration) * softmax + settings.exploration / items
    probability = inclusion_probabilities(weight, np.maximum(size, 1))
    shown = systematic_sample(probability, uniform(seed, "slate", users, day)) & (size > 0)[:, None]
    longest = int(shown.sum(axis=1).max(initial=0))
    place = uniform(seed, "place in slate", users, day, size=items)
    order = np.argsort(np.where(shown, place, np.inf), axis=1, kind="stable")[:, :longest]
    here = np.take_along_axis(shown, order, axis=1)
    propensity = np.take_along_axis(probability, order, axis=1)
    return np.where(here, order, -1), np.where(here, propensity, 0.0)
