"""A world: a typed yaml file that says who lives in it, what is shown and how feeds move moods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.emotion.taxonomy import MOST
from recbole_esmr.errors import ConfigError, UnknownNameError, nearest
from recbole_esmr.files import read_yaml, shipped, shipped_names
from recbole_esmr.settings import parse, setting

GROUPS = ("general", "vulnerable")
"""The groups of a population, by code."""


@dataclass(frozen=True, kw_only=True)
class CatalogueSettings:
    emotion_share: dict[str, float] = setting("share of the items that carry each emotion", low=0, high=1)
    intensity_mean: float = setting("mean emotion intensity of the items", low=0.05, high=0.95)
    intensity_concentration: float = setting("Beta concentration of the intensity", low=1, high=100)
    category_share: dict[str, float] = setting("share of the items in each category", low=0, high=1)
    strategy_share: dict[str, float] = setting("share of the items that offer each strategy of emotion regulation", low=0, high=1)
    themes_per_category: int = setting("themes in each category", low=1, high=20)
    duration_median: float = setting("median length of a video", low=1, high=3600, unit="seconds")
    duration_spread: float = setting("SD of the log length", low=0, high=2)
    duration_range: list[float] = setting("shortest and longest video", low=1, high=3600, unit="seconds")


@dataclass(frozen=True, kw_only=True)
class PopulationSettings:
    profile_share: dict[str, float] = setting("share of the people with each profile", low=0, high=1)
    vulnerable_share: float = setting("share of the people in the vulnerable group", low=0, high=1)
    home: dict[str, float] = setting("mean home base, by group", low=-1, high=1, unit="valence")
    home_sd: dict[str, float] = setting("SD of the home bases within a group", low=0, high=1, unit="valence")
    susceptibility: dict[str, float] = setting("mean strength of the effects on a person, by group", low=0, high=5)
    susceptibility_spread: float = setting("SD of the log susceptibility within a group", low=0, high=2)
    taste_strength: float = setting("SD of a person's taste for a category or an emotion", low=0, high=5, unit="logits")
    congruence: float = setting("pull of an item of tone 1 for a mood 1 SD above home", low=0, high=5, unit="logits")
    arousal_hook: float = setting("pull of an item of arousal 1 and intensity 1 in any mood", low=0, high=5, unit="logits")


@dataclass(frozen=True, kw_only=True)
class AffectSettings:
    inertia: float = setting("share of the slow state kept from one day to the next", low=0, high=0.99)
    within_sd: dict[str, float] = setting("SD of a person's ordinary days, by group", low=0.01, high=1, unit="valence")
    state_share: dict[str, float] = setting("share of that variance that is slow state, by group", low=0, high=1)
    event_rate: dict[str, float] = setting("share of days with a bad life event, by group", low=0, high=1)
    event_size: float = setting("mean drop of a bad life event", low=0, high=2, unit="valence")
    event_warning: float = setting("share of events that are known, and followed online, the day before", low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class ExposureSettings:
    effect: dict[str, float] = setting(
        "effect of +0.1 exposure to an emotion on the next day", low=-5, high=5, unit="within-person SD"
    )
    strategy_effect: dict[str, float] = setting(
        "effect of +0.1 exposure to a strategy, on a day of a valence of at least 0", low=-5, high=5, unit="within-person SD"
    )
    strategy_effect_low: dict[str, float] = setting(
        "the same on a day of a valence below 0", low=-5, high=5, unit="within-person SD"
    )
    strength: float = setting("multiplies all effects", low=-5, high=5)
    usual_watch: float = setting(
        "mean watch ratio of what is shown; the exposure that follows from it moves nobody", low=0.01, high=1
    )
    habituation: float = setting("how much a usual load dampens an effect relative to none", low=0, high=10)
    habituation_days: float = setting("half-life of the load", low=0.1, high=100, unit="days")
    delay: float = setting("share of the effect that comes a day later", low=0, high=1)


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
    loyalty: float = setting("fall of the log chance to stop for +0.1 median length watched an item", low=0, high=5)


@dataclass(frozen=True, kw_only=True)
class FeedSettings:
    sessions: dict[str, float] = setting("mean visits on a working day of presence, by profile", low=0, high=20, unit="visits")
    session_size: int = setting("items shown in a visit", low=1, high=100, unit="items")
    weekend_factor: float = setting("visits at the weekend relative to a working day", low=0.2, high=5)
    pool_share: float = setting("share of the catalogue that is on offer on a day", low=0.01, high=1)
    watch_bias: float = setting("log odds that an average item is watched", low=-5, high=5, unit="logits")
    patience: float = setting("loss of interest for each doubling of the length", low=0, high=5, unit="logits")
    fatigue: float = setting("loss of interest from the first to the last item of a visit", low=0, high=5, unit="logits")
    event_pull: float = setting("pull of an item of tone -1 on the day of a life event", low=0, high=5, unit="logits")
    knowledge_noise: float = setting("SD of the platform's error about a person's taste", low=0, high=5, unit="logits")
    congruent_feed: float = setting("lift of an item of tone 1 after watching tone 1", low=0, high=20, unit="logits")
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
    own = values.get("emotion_taxonomy")
    if isinstance(own, str) and own not in shipped_names("emotion"):
        values["emotion_taxonomy"] = str(path.parent / own)  # relative to the file that names it
    if "base" in values:
        base = str(values.pop("base") or "null")  # in yaml a bare null is nothing, and a world's name
        if base not in shipped_names("world"):
            raise UnknownNameError(f"{path}: base '{base}' is not a shipped world. {nearest(base, shipped_names('world'))}")
        root = read_yaml(shipped("properties") / "world" / f"{base}.yaml")
        if "base" in root:
            raise ConfigError(
                f"{path}: base '{base}' itself has a base ('{root['base']}'); give '{root['base']}' and the keys of both."
            )
        values = _merged(root, values)
    return world_of(values | {"name": path.stem}, str(path))


def world_of(values: Mapping[str, Any], where: str) -> World:
    """A world from the values of its keys, checked.

    Args:
        values: by key; sections are mappings.
        where: they come from, for messages.

    Raises:
        UnknownNameError: no such taxonomy.
        ConfigError: an unknown key, a value out of range, shares that do not sum to 1.
    """
    world = parse(World, _without_strategies(values), where)
    _check_tables(world, where)
    return world


def _without_strategies(values: Mapping[str, Any]) -> dict[str, Any]:
    """A world that says nothing of strategies has none."""
    found = dict(values)
    for section, names in (("catalogue", ["strategy_share"]), ("exposure", ["strategy_effect", "strategy_effect_low"])):
        if isinstance(found.get(section), Mapping):
            found[section] = {**{key: {} for key in names}, **found[section]}
    return found


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        is_section = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if is_section else value
    return merged


def _check_tables(world: World, path: str) -> None:
    for section, values in asdict(world).items():
        for key, table in values.items() if isinstance(values, dict) else ():
            if isinstance(table, dict):
                _check_names(table, f"{path}: {section}: {key}")
    shares = {
        "catalogue: emotion_share": world.catalogue.emotion_share,
        "catalogue: category_share": world.catalogue.category_share,
        "population: profile_share": world.population.profile_share,
    }
    for where, share in shares.items():
        total = sum(share.values())
        if abs(total - 1) > 1e-6:
            raise ConfigError(f"{path}: {where} sums to {total:g}; expected shares that sum to 1.")
    strategies = world.catalogue.strategy_share
    if sum(strategies.values()) > 1 + 1e-6:
        raise ConfigError(
            f"{path}: catalogue: strategy_share sums to {sum(strategies.values()):g}; expected at most 1, the rest having none."
        )
    for key in ("strategy_effect", "strategy_effect_low"):
        if set(getattr(world.exposure, key)) != set(strategies):
            raise ConfigError(
                f"{path}: exposure: {key} has the keys {sorted(getattr(world.exposure, key))}; expected those of catalogue: "
                f"strategy_share, {sorted(strategies)}."
            )
    length = world.catalogue.duration_range
    if len(length) != 2 or length[0] > length[1]:
        raise ConfigError(f"{path}: catalogue: duration_range is {list(length)}; expected [shortest, longest] in seconds.")
    labels = load_taxonomy(world.emotion_taxonomy).labels
    for where, table in {
        "catalogue: emotion_share": world.catalogue.emotion_share,
        "exposure: effect": world.exposure.effect,
    }.items():
        for label in table:
            if label not in labels:
                raise ConfigError(f"{path}: {where} names '{label}'. {nearest(label, labels)}")
    profiles, groups = set(world.population.profile_share), set(GROUPS)
    for where, table, expected in (
        ("retention: churn", world.retention.churn, profiles),
        ("retention: returning", world.retention.returning, profiles),
        ("feed: sessions", world.feed.sessions, profiles),
        ("population: home", world.population.home, groups),
        ("population: home_sd", world.population.home_sd, groups),
        ("population: susceptibility", world.population.susceptibility, groups),
        ("affect: within_sd", world.affect.within_sd, groups),
        ("affect: state_share", world.affect.state_share, groups),
        ("affect: event_rate", world.affect.event_rate, groups),
    ):
        if set(table) != expected:
            raise ConfigError(f"{path}: {where} has the keys {sorted(table)}; expected {sorted(expected)}.")


def _check_names(table: Mapping[Any, float], where: str) -> None:
    """Names are text, and go into files, whose cells no tab and no line end may part."""
    if len(table) > MOST:
        raise ConfigError(f"{where} has {len(table)} names; expected at most {MOST}.")
    for name in table:
        if not isinstance(name, str):
            raise ConfigError(f"{where}: the name {name!r} is no text to yaml. Put it in quotes, such as '{name}'.")
        if not name.isprintable() or name.strip() != name or not name:
            raise ConfigError(f"{where}: {name!r} is no name. Give one without spaces around it, tabs and line ends.")
