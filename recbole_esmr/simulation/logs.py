"""A platform's logs of a world as RecBole atomic files; nothing latent is ever written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recbole_esmr.feed import Feedback
from recbole_esmr.files import write_atomic_files
from recbole_esmr.memory import require_free
from recbole_esmr.protocol import BY_TIME
from recbole_esmr.simulation.captions import captions
from recbole_esmr.simulation.days import item_names, rollout_days, user_names
from recbole_esmr.simulation.env import FeedEnv, check_size
from recbole_esmr.simulation.environment_state import log_fingerprint, save_state
from recbole_esmr.simulation.logging_policy import LoggingFeed, check_tastes
from recbole_esmr.simulation.videos import largest_slate
from recbole_esmr.simulation.world import World

_LOADED = {"inter": ["user_id", "item_id", "timestamp", "day", "watch_ratio"], "item": ["item_id"]}

_BYTES_OF_PLACE = 200
"""Peak bytes of a place in a person's slate of a day, with its rows in the files."""


def simulate(
    world: World,
    users: int,
    items: int,
    days: int,
    seed: int,
    output: str | Path,
    people: str | Path | None = None,
    show_progress: bool = True,
    with_captions: bool = False,
) -> dict[str, int]:
    """Let people live under the world's logging policy and write what the platform saw.

    Writes ``NAME.inter``, ``.imp``, ``.item``, ``.user``, ``.day`` and the evaluation protocol as ``NAME.yaml`` into the folder
    ``output``, NAME being the folder's name. The same arguments give the same bytes.

    Args:
        world, users, items, days, seed: what to simulate.
        output: the folder.
        people: where to save the environment state of the evening after the last day, for a rollout that goes on with the same
        people.
        show_progress: whether to show a bar.
        with_captions: whether ``.item`` has a caption of each item, in which its emotion is written.

    Returns:
        the number of rows in each file, by suffix.

    Raises:
        ConfigError: more people, items or days than there is memory for, or emotions of which no captions can be written.
    """
    check_size(world, users, items, f"world {world.name}")
    check_tastes(world, users, items)
    rows = f"world {world.name}: the rows of {users:,} people on {days:,} days"
    require_free(_BYTES_OF_PLACE * users * days * min(largest_slate(world), items), rows, "Simulate fewer people or days.")
    env = FeedEnv(world, users, items, seed)
    feed = LoggingFeed(env)
    impressions, user_days = [], []
    for day in rollout_days(env, feed, days, description=f"Simulating {world.name}" if show_progress else ""):
        seen = day.feedback
        impressions.append(_impressions(seen, feed.propensity))
        columns = {"user": np.arange(users), "day": seen.day, "emotion": seen.emotion, **seen.behaviour}
        user_days.append(pd.DataFrame(columns))
    frames = _frames(env, pd.concat(impressions, ignore_index=True), pd.concat(user_days, ignore_index=True))
    if with_captions:
        written = captions(env.catalogue, env.taxonomy, list(world.catalogue.category_share), seed)
        frames["item"] = frames["item"].assign(**{"caption:token": written})
    made = f"World {world.name}: {users} people, {items} videos, {days} days, seed {seed}."
    settings = {"emotion_taxonomy": env.taxonomy.setting, "load_col": _LOADED, **BY_TIME}
    strategies = [*world.catalogue.strategy_share, ""]
    if len(strategies) > 1:
        offered = [strategies[code] for code in env.catalogue.strategy.tolist()]  # −1: none
        frames["item"] = frames["item"].assign(**{"strategy:token": offered})
        settings |= {"effect_features": ["emotion", "strategy"]}
    write_atomic_files(output, frames, settings, made)
    if people is not None:
        save_state(people, env, log_fingerprint(output))
    return {suffix: len(frame) for suffix, frame in frames.items()}


def _impressions(seen: Feedback, propensity: np.ndarray) -> pd.DataFrame:
    cells = user, position = np.nonzero(seen.slates >= 0)
    return pd.DataFrame(
        {
            "user": user,
            "item": seen.slates[cells],
            "day": seen.day,
            "position": position,
            "propensity": propensity[cells],
            "watch_ratio": seen.watch_ratio[cells].astype(float),
        }
    )


def _frames(env: FeedEnv, impressions: pd.DataFrame, behaviour: pd.DataFrame) -> dict[str, pd.DataFrame]:
    user_name, item_name = user_names(env.people.number.numpy()), item_names(len(env.catalogue))
    items = {name: getattr(env.catalogue, name).numpy() for name in ("emotion", "intensity", "category", "theme", "duration")}
    watched = impressions[impressions["watch_ratio"] > 0]
    seconds = 86400 * (watched["day"] - 1) + 36000 + 120 * watched["position"]
    day = behaviour.drop(columns=["user", "emotion"]).round(1)
    counts = [name for name in day if not name.endswith(("time", "duration", "time_spent", "spent_daily"))]
    day[counts] = day[counts].astype(int)
    day.insert(0, "user_id", user_name[behaviour["user"]])
    day.insert(2, "emotion", behaviour["emotion"].to_numpy())
    categories = list(env.world.catalogue.category_share)
    category = [categories[code] for code in items["category"]]
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
                "emotion:token": np.array(env.taxonomy.labels)[items["emotion"]],
                "emotion_intensity:float": items["intensity"].astype(float).round(3),
                "category:token": category,
                "theme:token": [f"{name}_{theme + 1}" for name, theme in zip(category, items["theme"], strict=True)],
                "duration:float": items["duration"].astype(float).round(1),
            }
        ),
        "user": pd.DataFrame({"user_id:token": user_name, "user_profile:token": profiles[env.people.profile.numpy()]}),
        "day": day.rename(columns=lambda name: f"{name}:{'token' if name in ('user_id', 'emotion') else 'float'}"),
    }
