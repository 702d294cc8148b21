"""The behaviour columns of a day: they follow the mood with noise, so that it can be inferred, imperfectly."""

from __future__ import annotations

import numpy as np

from recbole_esmr.simulation.env import FeedEnv
from recbole_esmr.simulation.random import normal


def behaviour(env: FeedEnv, day: int, valence: np.ndarray, slates: np.ndarray, ratio: np.ndarray) -> dict[str, np.ndarray]:
    """What the platform counted on ``day``, (U,) each: watch seconds by category, and counts that follow the mood.

    A column is ``size · exp(mood · gain · 2 (valence − home) + noise)``, gain ``behaviour_mood``, noise SD ``behaviour_noise``.

    Args:
        env: the world's people and items.
        day: the day just lived.
        valence: (U,), felt on it.
        slates, ratio: (U, K), what was shown, −1 for nothing, and the watch ratios.
    """
    settings, people, item = env.world.observation, env.people, np.maximum(slates, 0)
    feeling = valence - people.home.cpu().numpy()
    seconds = ratio * env.catalogue.duration.cpu().numpy()[item]
    category = env.catalogue.category.cpu().numpy()[item]
    watching, shown = seconds.sum(axis=1), (slates >= 0).sum(axis=1)

    def follows(name: str, mood: float) -> np.ndarray:
        noise = normal(env.rollout_seed, f"behaviour {name}", people.number, day).cpu().numpy()
        return np.exp(mood * settings.behaviour_mood * feeling * 2 + settings.behaviour_noise * noise)

    scrolling = 12 * shown * follows("scrolling", -1)
    columns = {
        "scrolling_time": scrolling,
        "video_watching_duration": watching,
        "post_story_views": np.round(1.5 * shown * follows("views", -0.5)),
        "time_spent_daily": watching + scrolling,
        "daily_logins": np.round(np.maximum(3 * follows("logins", -0.5), 1)),
        "posting_frequency": np.round(1.2 * follows("posting", 1.5)),
        "liking_behavior": np.round(0.4 * shown * follows("liking", 1)),
        "commenting_activity": np.round(0.15 * shown * follows("commenting", 0.5)),
        "sharing_behavior": np.round(0.1 * shown * follows("sharing", 1)),
    }
    for code, name in enumerate(env.world.catalogue.category_share):
        columns[f"{name}_time_spent"] = (seconds * (category == code)).sum(axis=1)
    here = shown > 0
    return {name: np.where(here, value, 0) for name, value in columns.items()} | {"churned": (~here).astype(int)}
