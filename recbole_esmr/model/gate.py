"""When the re-ranker acts."""

from __future__ import annotations

import numpy as np

from recbole_esmr.emotion.episodes import latched, streak_length


def gate_open(rule: str, negative: np.ndarray, valence: np.ndarray, streak: int, recovery: float) -> np.ndarray:
    """Whether the re-ranker acts on the day after each day.

    ``streak`` is the rule of the ESMR paper (section on the policy switch): ``streak`` negative days in a row open the gate, the
    first day with a valence of at least ``recovery`` closes it. ``always`` and ``never`` are what they say. ``forecast`` leaves
    it to the budget (:mod:`~recbole_esmr.model.budget`) whom to spend it on, and so is open to all.

    Args:
        rule: forecast, streak, always or never.
        negative: shape (users, days), bool, believed state of each day.
        valence: shape (users, days), in [−1, 1], believed valence of each day.
        streak: days in a row that open the gate.
        recovery: valence that closes it.

    Returns:
        shape (users, days), bool; column *t* is the gate of day *t + 1*, so it uses days up to *t* only.
    """
    if rule in ("forecast", "always"):
        return np.ones(negative.shape, dtype=bool)
    if rule == "never":
        return np.zeros(negative.shape, dtype=bool)
    return latched(opens=streak_length(negative) >= streak, closes=valence >= recovery)
