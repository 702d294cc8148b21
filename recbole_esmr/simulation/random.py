"""Counter-based random numbers: a draw is a function of (seed, purpose, user, day, index) alone.

A generator with a hidden position would give user 7 other numbers in a batch of ten than in a batch of ten thousand, and
other numbers once a policy acts. Here each draw hashes its own address (SplitMix64, Steele et al. 2014), so policies and
twins are compared on the same lives.
"""

from __future__ import annotations

import zlib

import numpy as np
from scipy.special import ndtri


def _mix(word: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        word = word + np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return word ^ (word >> np.uint64(31))


def uniform(seed: int, purpose: str, user: np.ndarray, day: int = 0, size: int | None = None) -> np.ndarray:
    """Uniform draws in (0, 1).

    Args:
        seed: of the world.
        purpose: what the draw is for; different purposes are independent.
        user: shape (U,), the users' numbers.
        day: the day's number.
        size: draws for each user, or None for one.

    Returns:
        shape (U,), or (U, size).
    """
    key = _mix(np.array([seed], dtype=np.uint64) ^ _mix(np.array([zlib.crc32(purpose.encode())], dtype=np.uint64)))
    word = _mix(_mix(key ^ _mix(np.asarray(user, dtype=np.uint64))) ^ _mix(np.array([day], dtype=np.uint64)))
    if size is not None:
        word = _mix(word[:, None] ^ _mix(np.arange(size, dtype=np.uint64))[None, :])
    return ((word >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normal(seed: int, purpose: str, user: np.ndarray, day: int = 0, size: int | None = None) -> np.ndarray:
    """Standard normal draws, by inversion of :func:`uniform`; same arguments and shapes."""
    return ndtri(uniform(seed, purpose, user, day, size))


def choose(shares: dict[str, float], draw: np.ndarray) -> np.ndarray:
    """The key of ``shares`` into whose part of (0, 1) each uniform draw falls, as codes 0 … len(shares)−1."""
    edges = np.cumsum(list(shares.values()))
    return np.minimum(np.searchsorted(edges, draw * edges[-1], side="right"), len(edges) - 1)
