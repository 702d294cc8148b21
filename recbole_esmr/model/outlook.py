"""What the encoder believes of people, for whoever asks: soft and hard predictions with their uncertainty, and trends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.model.level import NORMAL_80


@dataclass(frozen=True)
class Outlook:
    """Beliefs of U people at the end of one day; NaN (and label −1) for who did not consent.

    Nothing of this is written or logged by itself: a predicted emotion is as sensitive as a reported one.

    Attributes:
        today, tomorrow: (U, E) probabilities of the emotions.
        label: (U,) code of tomorrow's likeliest emotion.
        valence, low, high: (U,) tomorrow's valence and its 80 % interval, in [−1, 1].
        negative: (U,) probability that tomorrow is negative; episode: that any of the next ``forecast_horizon`` days is.
        trend: (U,) change of the believed valence over three days, a day: (v_t − v_{t−2}) / 2; 0 before the third day.
    """

    today: np.ndarray
    tomorrow: np.ndarray
    label: np.ndarray
    valence: np.ndarray
    low: np.ndarray
    high: np.ndarray
    negative: np.ndarray
    episode: np.ndarray
    trend: np.ndarray


def outlook(beliefs: Beliefs, day: int = -1) -> Outlook:
    """What is believed at the end of a day.

    Args:
        beliefs: of the people, who are the rows.
        day: column; the last unless given.
    """
    state, silent = beliefs.state, ~beliefs.consent
    column = range(state.mean.shape[1])[day]
    half, mean = NORMAL_80 * state.scale[:, column].numpy(), state.mean[:, column].numpy()
    believed = beliefs.valence
    trend = (believed[:, column] - believed[:, column - 2]) / 2 if column >= 2 else np.zeros(len(mean))
    tomorrow = state.forecast[:, column].softmax(dim=-1).numpy()

    def withheld(value: np.ndarray) -> np.ndarray:
        return np.where(silent.reshape(-1, *[1] * (value.ndim - 1)), np.nan, value)

    return Outlook(
        today=withheld(state.nowcast[:, column].softmax(dim=-1).numpy()),
        tomorrow=withheld(tomorrow),
        label=np.where(silent, -1, tomorrow.argmax(axis=1)),
        valence=withheld(mean),
        low=withheld(np.clip(mean - half, -1, 1)),
        high=withheld(np.clip(mean + half, -1, 1)),
        negative=withheld(state.negative[:, column].sigmoid().numpy()),
        episode=withheld(state.episode[:, column].sigmoid().numpy()),
        trend=withheld(trend),
    )
