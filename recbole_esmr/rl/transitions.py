"""Slates of a log as transitions: what was shown in a state, what it brought, and where the person stood the next time."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Returns:
    """n-step returns of N steps, ordered by person and day; the step's own reward is not in them.

    Attributes:
        total: (N,) discounted rewards of the steps that follow within the return, G.
        following: (N,) step at which the value function goes on, −1 where there is none.
        interval: (N,) days from the step to ``following``, 0 where there is none.
        discount: (N,) of the value there, γ to the power of ``interval``; 0 where there is none.
        terminated: (N,) bool, nothing follows: the target is the reward alone.
        truncated: (N,) bool, the log ends with this step: what follows is unknown, and so is the target.
    """

    total: np.ndarray
    following: np.ndarray
    interval: np.ndarray
    discount: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


def n_step_returns(
    reward: np.ndarray, person: np.ndarray, day: np.ndarray, days: int, discount: float, ended: np.ndarray | None = None
) -> Returns:
    r"""Returns over the steps of the next n days.

    .. math:: G_t = \sum_{j > t,\, d_j < d_m} γ^{d_j - d_t} r_j, \quad \text{then } γ^{d_m - d_t} V(s_m)

    with d the days of a person's steps and m the first step at least n days later; where the log ends before, the last step, for
    a value is known there (Sutton and Barto 2018, section 7.1, with the discount of a semi-Markov process: a day is a day,
    however many steps lie in it).

    Args:
        reward: (N,) of each step.
        person, day: (N,) whole numbers, ordered by person and, within a person, by day; a person has one step a day.
        days: n; discount: γ of a day.
        ended: (N,) bool, at a person's last step: whether nothing can follow it; nobody's unless given.

    Raises:
        ValueError: steps that are not ordered.
    """
    step = np.arange(len(reward))
    code = np.unique(person, return_inverse=True)[1].reshape(-1)
    if (np.diff(code) < 0).any() or ((np.diff(day) <= 0) & (np.diff(code) == 0)).any():
        raise ValueError("steps are ordered by person and day, one a day; got them in another order.")
    first_day = day.min(initial=0)
    key = code * (day.max(initial=0) - first_day + days + 1) + day - first_day
    last = np.searchsorted(code, code, side="right") - 1
    goes_on = np.searchsorted(key, key + days)  # the first step at least n days later
    cut = goes_on > last  # the log ends before
    final = cut & (np.zeros(len(reward), dtype=bool) if ended is None else ended)[last]
    stop = np.where(final, last + 1, np.where(cut, last, goes_on))
    total = np.zeros(len(reward))
    for ahead in range(1, days):  # at most one step a day; steps are vectorised
        place = np.minimum(step + ahead, len(reward) - 1)
        total += np.where(step + ahead < stop, discount ** (day[place] - day).clip(min=0).astype(float) * reward[place], 0.0)
    following = np.where(final | (stop <= step), -1, stop)
    interval = np.where(following >= 0, day[following] - day, 0)
    return Returns(
        total=total,
        following=following,
        interval=interval,
        discount=np.where(following >= 0, float(discount) ** interval, 0.0),
        terminated=final,
        truncated=(following < 0) & ~final,
    )


@dataclass
class Transitions:
    """N user-days as transitions; items padded to the longest slate K.

    Attributes:
        person: (N,) whose.
        state: (N, S) on the morning of the day.
        item: (N, K, X) features of what was shown; shown: (N, K) bool, which of them exist.
        weight: (N, K) inverse propensity of what was shown, mean 1 over all that was shown; 1 where it is not known.
        reward: (N, K) what each item brought, the day's terms included.
        other: (N, L, X) features that items shown to others would have for this person; real: (N, L) bool, which exist.
        later: (N,) n-step return; following: (N,) the transition at which the value goes on, −1 where there is none;
            discount: (N,) of its value; truncated: (N,) bool, what follows is unknown (:class:`Returns`).
        mood: (N,) discounted worth of a unit of mood over the days that it lasts, up to n days.
        mood_state: (N, S) of the morning after these; mood_discount: (N,) of its M.
    """

    person: Tensor
    state: Tensor
    item: Tensor
    shown: Tensor
    weight: Tensor
    reward: Tensor
    other: Tensor
    real: Tensor
    later: Tensor
    following: Tensor
    discount: Tensor
    truncated: Tensor
    mood: Tensor
    mood_state: Tensor
    mood_discount: Tensor

    def __len__(self) -> int:
        return len(self.state)

    def to(self, device: torch.device) -> Transitions:
        """The same on a device."""
        return Transitions(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    @property
    def known(self) -> Tensor:
        """Numbers of the transitions whose target is known."""
        return (~self.truncated).nonzero().squeeze(1)
