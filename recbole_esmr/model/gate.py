"""When the re-ranker acts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbole_esmr.emotion.episodes import latched, streak_length
from recbole_esmr.settings import SERVING, setting

FORECAST, STREAK, ALWAYS, NEVER = "forecast", "streak", "always", "never"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """On which mornings the re-ranker may act.

    ``streak`` is the rule of the ESMR paper (section on the policy switch): ``streak`` negative days in a row open the gate, the
    first day with a valence of at least ``recovery`` closes it. ``always`` and ``never`` are what they say. ``forecast`` leaves
    it to the budget (:mod:`~recbole_esmr.model.budget`) whom to spend it on, and so is open to all.
    """

    rule: str = setting("when the re-ranker acts", choices=(FORECAST, STREAK, ALWAYS, NEVER), key="gate", changes=SERVING)
    streak: int = setting("negative days in a row that open the gate", low=1, high=365, unit="days", changes=SERVING)
    recovery: float = setting("valence that closes the gate", low=-1, high=1, unit="valence", changes=SERVING)

    def opens(self, negative: np.ndarray, valence: np.ndarray) -> np.ndarray:
        """Whether the re-ranker may act on the day after each day, (U, D) bool: column *t* uses the days up to *t* only.

        Args:
            negative: (U, D) bool, believed state of each day.
            valence: (U, D) in [−1, 1], believed valence of each day.
        """
        if self.rule in (FORECAST, ALWAYS):
            return np.ones(negative.shape, dtype=bool)
        if self.rule == NEVER:
            return np.zeros(negative.shape, dtype=bool)
        return latched(opens=streak_length(negative) >= self.streak, closes=valence >= self.recovery)
