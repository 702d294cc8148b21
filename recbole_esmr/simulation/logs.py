"""A platform's logs of a world as RecBole atomic files; nothing latent is ever written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from recbole_esmr.files import write_atomic_files
from recbole_esmr.protocol import BY_TIME
from recbole_esmr.simulation.env import FeedEnv
from recbole_esmr.simulation.logging_policy import logging_slates
from recbole_esmr.simulation.random import normal
from recbole_esmr.simulation.world import World

_LOADED = {"inter": ["user_id", "item_id", "timestamp", "day", "watch_ratio"]}


def simulate(
    world: World, users: int, items: int, days: int, seed: int, output: str | Path, show_progress: bool = True
) -> dict[str, int]:
    """Let people live under the world's logging policy and write what the platform saw.

    Writes ``NAME.inter``, ``.imp``, ``.item``, ``.user``, ``.day`` and the evaluation protocol as ``NAME.yaml`` into the folder
    ``output``, NAME being the folder's name. The same arguments give the same bytes.

    Returns:
        the number of rows in each file, by suffix.
    """
    env = FeedEnv(world, users, items, seed)
    seen, _ = env.reset()
    tone = np.zeros(users)  # of what was watched last: all the platform knows of the mood
    impressions, behaviour = [], []
    for day in tqdm(range(1, days + 1), desc=f"Simulating {world.name}", unit="day", disable=not show_progress):
        score = env.people.known_taste + world.feed.congruent_feed * tone[:, None] * env.catalogue.tone * 4
        slates, propensity = logging_slates(world, score, seen["slate_size"], env.people.number, day, seed)
        emotion, active, valence = seen["emotion"], seen["active"], env.valence
        seen, _, _, _, info = env.step(slates)
        ratio = info["watch_ratio"]
        watched_tone = (ratio * env.catalogue.tone[slates]).sum(axis=1) / np.maximum(ratio.sum(axis=1), 1e-9)
        tone = np.where(ratio.sum(axis=1) > 0, watched_tone, tone)
        impressions.append(_impressions(day, slates, propensity, ratio))
        behaviour.append(_behaviour(env, day, active, emotion, valence, slates, ratio))
    frames = _frames(env, pd.concat(impressions, ignore_index=True), pd.concat(behaviour, ignore_index=True))
    made = f"World {world.name}: {users} people, {items} videos, {days} days, seed {seed}."
    settings = {"emotion_taxonomy": world.emotion_taxonomy, "load_col": _LOADED, **BY_TIME}
    write_atomic_files(output, frames, settings, made)
    return {suffix: len(frame) for suffix, frame in frames.items()}


def _impressions(day: int, slates: np.ndarray, propensity: np.ndarray, ratio: np.ndarray) -> pd.DataFrame:
    user, position = np.nonzero(slates >= 0)
    cells = user, position
    return pd.DataFrame(
        {
            "user": user,
            "item": slates[cells],
            "day": day,
            "position": position,
            "propensity": propensity[cells],
            "watch_ratio": ratio[cells],
        }
    )


def _behaviour(
    env: FeedEnv,
    day: int,
    active: np.ndarray,
    emotion: np.ndarray,
    valence: np.ndarray,
    slates: np.ndarray,
    ratio: np.ndarray,
) -> pd.DataFrame:
    """The day's behaviour columns: what was watched by category, and counts that follow the mood with noise."""
    settings, number = env.world.observation, env.people.number
    seconds = ratio * env.catalogue.duration[slates] * (slates >= 0)
    categories = list(env.world.catalogue.category_share)
    by_category = {
        f"{name}_time_spent": (seconds * (env.catalogue.category[slates] == code)).sum(axis=1)
        for code, name in enumerate(categories)
    }
    watching = seconds.sum(axis=1)
    shown = (slates >= 0).sum(axis=1)
    feeling = valence - env.people.home

    def log_noise(name: str, mood: float) -> np.ndarray:
        noise = settings.behaviour_noise * normal(env.seed, f"behaviour {name}", number, day)
        return np.exp(mood * settings.behaviour_mood * feeling * 2 + noise)

    scrolling = 12 * shown * log_noise("scrolling", -1)
    columns = {
        "scrolling_time": scrolling,
        "video_watching_duration": watching,
        "post_story_views": np.round(1.5 * shown * log_noise("views", -0.5)),
        "time_spent_daily": watching + scrolling,
        "daily_logins": np.round(np.maximum(3 * log_noise("logins", -0.5), 1)),
        "posting_frequency": np.round(1.2 * log_noise("posting", 1.5)),
        "liking_behavior": np.round(0.4 * shown * log_noise("liking", 1)),
        "commenting_activity": np.round(0.15 * shown * log_noise("commenting", 0.5)),
        "sharing_behavior": np.round(0.1 * shown * log_noise("sharing", 1)),
        **by_category,
    }
    return pd.DataFrame(
        {"user": np.arange(len(number)), "day": day, "emotion": emotion}
        | {name: np.where(active, value, 0) for name, value in columns.items()}
        | {"churned": (~active).astype(int)}
    )


def _frames(env: FeedEnv, impressions: pd.DataFrame, behaviour: pd.DataFrame) -> dict[str, pd.DataFrame]:
    user_width, item_width = len(str(len(env.people))), len(str(len(env.catalogue)))
    user_name = np.array([f"u{number + 1:0{user_width}d}" for number in range(len(env.people))])
    item_name = np.array([f"v{number + 1:0{item_width}d}" for number in range(len(env.catalogue))])
    labels = np.append(env.taxonomy.labels, "")
    watched = impressions[impressions["watch_ratio"] > 0]
    seconds = 86400 * (watched["day"] - 1) + 36000 + 120 * watched["position"]
    day = behaviour.drop(columns=["user", "emotion"]).round(1)
    counts = [name for name in day if not name.endswith(("time", "duration", "time_spent", "spent_daily"))]
    day[counts] = day[counts].astype(int)
    day.insert(0, "user_id", user_name[behaviour["user"]])
    day.insert(2, "emotion", labels[behaviour["emotion"]])
    categories = list(env.world.catalogue.category_share)
    category = [categories[code] for code in env.catalogue.category]
    profiles = np.array(list(env.world.population.profile_share))
    return {
        "inter": pd.DataFrame(
            {
                "user_id:token": user_name[watched["user"]],
                "item_id:token": item_name[watched["item"]],
                "timestamp:float": seconds,
                "day:float": watched["day"],
                "watch_ratio:float": watched["watch_ratio"].round(3),
            }
        ),
        "imp": pd.DataFrame(
            {
                "user_id:token": user_name[impressions["user"]],
                "item_id:token": item_name[impressions["item"]],
                "day:float": impressions["day"],
                "position:float": impressions["position"],
                "propensity:float": impressions["propensity"].round(4).clip(lower=1e-4),
                "label:float": (impressions["watch_ratio"] > 0).astype(int),
            }
        ),
        "item": pd.DataFrame(
            {
                "item_id:token": item_name,
                "emotion:token": np.array(env.taxonomy.labels)[env.catalogue.emotion],
                "emotion_intensity:float": env.catalogue.intensity,
                "category:token": category,
                "theme:token": [f"{name}_{theme + 1}" for name, theme in zip(category, env.catalogue.theme, strict=True)],
                "duration:float": env.catalogue.duration,
            }
        ),
        "user": pd.DataFrame({"user_id:token": user_name, "user_profile:token": profiles[env.people.profile]}),
        "day": day.rename(columns=lambda name: f"{name}:{'token' if name in ('user_id', 'emotion') else 'float'}"),
    }
