"""A world: a typed yaml file that says who lives in it, what is shown and how feeds move moods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import ConfigError, UnknownNameError, nearest
from recbole_esmr.files import read_yaml, shipped, shipped_names
from recbole_esmr.settings import parse, setting


@dataclass(frozen=True, kw_only=True)
class CatalogueSettings:
    emotion_share: dict[str, float] = setting("share of the items that carry each emotion", low=0, high=1)
    intensity_mean: float = setting("mean emotion intensity of the items", low=0.05, high=0.95)
    intensity_concentration: float = setting("Beta concentration of the intensity", low=1, high=100)
    category_share: dict[str, float] = setting("share of the items in each category", low=0, high=1)
    themes_per_category: int = setting("themes in each category", low=1, high=20)
    duration_median: float = setting("median length of a video", low=1, high=3600, unit="seconds")
    duration_spread: float = setting("SD of the log length", low=0, high=2)
    duration_range: list[float] = setting("shortest and longest video", low=1, high=3600, unit="seconds")


@dataclass(frozen=True, kw_only=True)
class PopulationSettings:
    profile_share: dict[str, float] = setting("share of the people with each profile", low=0, high=1)
    vulnerable_share: float = setting("share of the people in the vulnerable group", low=0, high=1)
    home_mean: float = setting("mean home valence of the general group", low=-1, high=1, unit="valence")
    home_sd: float = setting("SD of the home valence of the general group", low=0, high=1, unit="valence")
    home_mean_vulnerable: float = setting("mean home valence of the vulnerable group", low=-1, high=1, unit="valence")
    home_sd_vulnerable: float = setting("SD of the home valence of the vulnerable group", low=0, high=1, unit="valence")
    susceptibility_spread: float = setting("SD of the log susceptibility to what is watched", low=0, high=2)
    taste_strength: float = setting("SD of a person's taste for a category or an emotion", low=0, high=5, unit="logits")
    congruence: float = setting("mood congruence: how much a low mood draws to negative items", low=0, high=5, unit="logits")


@dataclass(frozen=True, kw_only=True)
class AffectSettings:
    inertia: float = setting("share of the slow state kept from one day to the next", low=0, high=0.99)
    state_sd: float = setting("SD of the slow state within a person", low=0, high=1, unit="valence")
    noise_sd: float = setting("SD of the day noise within a person", low=0, high=1, unit="valence")
    event_rate: float = setting("share of days with a bad life event", low=0, high=1)
    event_size: float = setting("mean drop of a bad life event", low=0, high=2, unit="valence")


@dataclass(frozen=True, kw_only=True)
class ExposureSettings:
    negative: float = setting("effect of +0.1 negative exposure on tomorrow's valence", low=-0.5, high=0.5, unit="valence")
    positive: float = setting("effect of +0.1 positive exposure on tomorrow's valence", low=-0.5, high=0.5, unit="valence")
    usual_negative: float = setting("negative exposure that moves nobody", low=0, high=1)
    usual_positive: float = setting("positive exposure that moves nobody", low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class ObservationSettings:
    report_share: float = setting("share of active days with a self-report", low=0, high=1)
    report_gain: float = setting("how much stronger a reported label is than the felt valence", low=0.1, high=5)
    report_noise: float = setting("width of the labels' pull in the circumplex", low=0.05, high=2)
    behaviour_noise: float = setting("SD of the log noise in the behaviour columns", low=0, high=2)
    behaviour_mood: float = setting("effect of one valence unit on the log behaviour columns", low=0, high=5)


@dataclass(frozen=True, kw_only=True)
class RetentionSettings:
    churn: dict[str, float] = setting("chance a day to stop coming, by profile", low=0, high=1)
    returning: dict[str, float] = setting("chance a day to come back, by profile", low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class FeedSettings:
    slate_size: dict[str, float] = setting("items shown a day, by profile", low=1, high=200, unit="items")
    weekend_factor: float = setting("items shown at the weekend relative to a working day", low=0.2, high=5)
    watch_bias: float = setting("log odds that an average item is watched", low=-5, high=5, unit="logits")
    knowledge_noise: float = setting("SD of the platform's error about a person's taste", low=0, high=5, unit="logits")
    congruent_feed: float = setting("how much the feed follows the tone of what was just watched", low=0, high=5, unit="logits")
    temperature: float = setting("softmax temperature of the logging policy", low=0.05, high=10)
    exploration: float = setting("share of the feed drawn uniformly", low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class World:
    """A world, as read from ``properties/world/NAME.yaml``; every key is explained there with its source."""

    name: str = setting("name of the world")
    emotion_taxonomy: str = setting("taxonomy of the emotions in it")
    catalogue: CatalogueSettings
    population: PopulationSettings
    affect: AffectSettings
    exposure: ExposureSettings
    observation: ObservationSettings
    retention: RetentionSettings
    feed: FeedSettings


def load_world(name: str) -> World:
    """Load a shipped world by name, or any yaml file by its path.

    A file may hold ``base: NAME`` and only the keys in which it differs from that world.

    Raises:
        UnknownNameError: neither a shipped world nor an existing file; the message lists the worlds.
        ConfigError: an unknown key, a value out of range, shares that do not sum to 1.
    """
    path = shipped("properties") / "world" / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
        if not path.is_file():
            raise UnknownNameError(
                f"world '{name}' is neither a shipped world nor a file. {nearest(name, shipped_names('world'))}"
            )
    values = read_yaml(path)
    if "base" in values:
        base = read_yaml(shipped("properties") / "world" / f"{values.pop('base')}.yaml")
        values = _merged(base, values)
    world = parse(World, values | {"name": path.stem}, where=str(path))
    _check_shares(world, path)
    return world


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        is_section = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if is_section else value
    return merged


def _check_shares(world: World, path: Path) -> None:
    shares = {
        "catalogue: emotion_share": world.catalogue.emotion_share,
        "catalogue: category_share": world.catalogue.category_share,
        "population: profile_share": world.population.profile_share,
    }
    for where, share in shares.items():
        total = sum(share.values())
        if abs(total - 1) > 1e-6:
            raise ConfigError(f"{path}: {where} sums to {total:g}; expected shares that sum to 1.")
    labels = load_taxonomy(world.emotion_taxonomy).labels
    for label in world.catalogue.emotion_share:
        if label not in labels:
            raise ConfigError(f"{path}: catalogue: emotion_share names '{label}'. {nearest(label, labels)}")
    profiles = set(world.population.profile_share)
    for where, table in {
        "retention: churn": world.retention.churn,
        "retention: returning": world.retention.returning,
        "feed: slate_size": world.feed.slate_size,
    }.items():
        if set(table) != profiles:
            raise ConfigError(f"{path}: {where} has the profiles {sorted(table)}; expected {sorted(profiles)}.")
