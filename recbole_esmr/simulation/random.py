"""Counter-based random numbers: a draw is a function of (seed, purpose, user, day, index) alone.

A generator with a hidden position would give user 7 other numbers in a batch of ten than in a batch of ten thousand, and
other numbers once a policy acts. Here each draw hashes its own address (SplitMix64, Steele et al. 2014), so policies and
twins share every random number.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor


def _signed(word: int) -> int:
    word %= 2**64
    return word - 2**64 if word >= 2**63 else word


_STEP, _FIRST, _SECOND = (_signed(word) for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _mix(word: Tensor) -> Tensor:
    """SplitMix64's finaliser of ``word + step``; torch's int64 wraps around, and shifts keep the sign, hence the masks."""
    word = word + _STEP
    word.bitwise_xor_((word >> 30).bitwise_and_(2**34 - 1)).mul_(_FIRST)
    word.bitwise_xor_((word >> 27).bitwise_and_(2**37 - 1)).mul_(_SECOND)
    return word.bitwise_xor_((word >> 31).bitwise_and_(2**33 - 1))


def _words(seed: int, purpose: str, user: Tensor, day: int, index: Tensor | None) -> Tensor:
    """64 random bits for each address."""
    name, number, when = (torch.tensor(_signed(value), device=user.device) for value in (zlib.crc32(purpose.encode()), seed, day))
    word = _mix(_mix(_mix(number ^ _mix(name)) ^ _mix(user)) ^ _mix(when))
    return word if index is None else _mix(word[:, None] ^ _mix(index))


def uniform(seed: int, purpose: str, user: Tensor, day: int = 0, index: Tensor | None = None) -> Tensor:
    """Uniform draws in (0, 1).

    Args:
        seed: of the world.
        purpose: what the draw is for; different purposes are independent.
        user: shape (U,), int64, the users' numbers.
        day: the day's number.
        index: shape (n,) or (U, n), int64, what else the draw belongs to (an item, an emotion); None for one draw a user.

    Returns:
        float64, shape (U,) or (U, n).
    """
    bits = (_words(seed, purpose, user, day, index) >> 11).bitwise_and_(2**53 - 1)
    return bits.double().add_(0.5).mul_(2.0**-53)


def uniform_pair(seed: int, purpose: str, user: Tensor, day: int, index: Tensor) -> tuple[Tensor, Tensor]:
    """Two independent float32 draws in (0, 1) for the price of one, 23 bits each; arguments and shapes as :func:`uniform`."""
    word = _words(seed, purpose, user, day, index)
    first, second = (word >> 41).bitwise_and_(2**23 - 1), word.bitwise_right_shift_(18).bitwise_and_(2**23 - 1)
    return first.float().add_(0.5).mul_(2.0**-23), second.float().add_(0.5).mul_(2.0**-23)


def normal(seed: int, purpose: str, user: Tensor, day: int = 0, index: Tensor | None = None) -> Tensor:
    """Standard normal float32 draws, by inversion of :func:`uniform`; same arguments and shapes."""
    return torch.special.ndtri(uniform(seed, purpose, user, day, index)).float()


def choose(shares: dict[str, float], draw: Tensor) -> Tensor:
    """The key of ``shares`` into whose part of (0, 1) each uniform draw falls, as codes 0 … len(shares)−1."""
    edges = torch.tensor(list(shares.values()), dtype=draw.dtype, device=draw.device).cumsum(0)
    return torch.searchsorted(edges, draw * edges[-1], right=True).clamp_(max=len(edges) - 1)
