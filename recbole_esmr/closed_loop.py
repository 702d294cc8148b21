"""Train on a world's log, deploy on its people, and judge every policy by what it does to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from recbole_esmr.ceilings import Informed
from recbole_esmr.checkpoint import load_checkpoint, package_versions, threads
from recbole_esmr.config import ESMRSettings
from recbole_esmr.deployment import Platform, fingerprint_of, logged
from recbole_esmr.errors import ConfigError, HarmError, UnknownNameError, nearest
from recbole_esmr.evaluator.rollout import Rollouts, harms, joined, judge, rolled_out, survival_curve
from recbole_esmr.evaluator.statistics import Bootstrap
from recbole_esmr.feed import Policy
from recbole_esmr.files import SCHEMA_VERSION, read_yaml, shipped, write_json
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.policy.bandit import LinUCB, Thompson
from recbole_esmr.policy.baseline import Baseline
from recbole_esmr.policy.esmr import ESMRPolicy
from recbole_esmr.policy.recbole import RecBolePolicy
from recbole_esmr.policy.strategies import LinUCBStrategies, OneStrategy
from recbole_esmr.policy.tabular import PositiveWhileNegative, TabularQ
from recbole_esmr.policy.untrained import Popular, Positive, Random
from recbole_esmr.quick_start import load_data_and_model
from recbole_esmr.recbole_keys import converted
from recbole_esmr.recbole_models import MODEL_NAME, model_names
from recbole_esmr.settings import RERANKER, SERVING, flat_keys, parse_flat
from recbole_esmr.simulation import FeedEnv, World, load_world
from recbole_esmr.simulation.days import rollout_days
from recbole_esmr.simulation.environment_state import load_state
from recbole_esmr.simulation.logging_policy import LoggingFeed
from recbole_esmr.simulation.oracle import Oracle, Price
from recbole_esmr.simulation.twin import true_effects
from recbole_esmr.simulation.world import GROUPS
from recbole_esmr.work import Work, content_hash, fingerprint, hidden_beside

UNTRAINED = ("random", "pop", "positive", "logging")
"""Policies that need no model."""

BASELINES: dict[str, type[Baseline]] = {
    "tabular": TabularQ,
    "linucb": LinUCB,
    "linucb-strategies": LinUCBStrategies,
    "thompson": Thompson,
    "positive-while-negative": PositiveWhileNegative,
}
"""Other re-rankers on ESMR's engagement ranking, under the same budget."""

CEILINGS = ("oracle", "informed")
"""Policies that see what no platform could; they pay as much of the engagement ranking's watch time as others may."""

NOT_TRAINED = (*UNTRAINED, *CEILINGS)
"""Policies that nobody would deploy: their harm is no reason to stop."""

GAINS = dict(zip(("gain", "gain_informed"), CEILINGS, strict=True))
"""Figures that say how much of the way to each ceiling is covered."""

EVERYBODY = "everybody"
"""The group of all people."""

ONE_STRATEGY = "only"
"""The policy ``only+strategy=NAME``, of the same kind."""

BY_ESMR = ("engagement", *CEILINGS, *BASELINES, ONE_STRATEGY)
"""Policies that need a trained ESMR for its engagement ranker."""


def rollout(
    world: str,
    policies: Sequence[str],
    users: int = 1000,
    items: int = 1000,
    days: int = 30,
    seeds: Sequence[int] = (1, 2, 3),
    log_days: int = 30,
    log: str | Path | None = None,
    people: str | Path | None = None,
    new_people: bool = False,
    arguments: Sequence[str] = (),
    keep: str | Path | None = None,
    replicates: int = 1000,
    show_progress: bool = True,
    output: str | Path | None = None,
) -> tuple[dict[str, Any], dict[str, Rollouts]]:
    """Let people live under several policies, with the same random numbers, and judge the policies.

    Without ``people`` each seed is a world of its own: its people first live ``log_days`` under the world's logging policy, what
    is named without a checkpoint is trained on that log, and the same people go on under each policy. With ``log`` and
    ``people`` (from ``simulate``) the people of that log go on, and the seeds differ in what happens to them.

    Args:
        world: a shipped world or a yaml file; with ``people`` the log's own world is simulated.
        policies: random, pop, positive, logging, engagement, oracle, informed, ESMR, its baselines (:data:`BASELINES`) or any
            RecBole model; ``NAME:CHECKPOINT`` deploys a trained one (engagement, oracle and baselines take an ESMR);
            ``ESMR+key=value+…`` changes keys of the gate, the floors, the reward or the re-ranker.
        users, items, log_days: size of the log.
        days: of the rollout.
        seeds: of worlds, logs and trainings (or, with ``people``, of what happens to them).
        log, people: a simulated data set and its environment state.
        new_people: whether people who are not in the log are met instead.
        arguments: RecBole and ESMR keys for what is trained here, as ``--key=value``.
        keep: folder for logs, states, checkpoints and rollouts. What is there and is of the same is not made again.
        replicates: of the bootstrap.
        show_progress: whether to show bars.
        output: file to write the result to, as JSON. Unless ``keep`` is given, what is done is kept in a hidden folder beside it
            until then, so that the same call goes on after a stop.

    Returns:
        what ``rollout.json`` holds, and each policy's rollouts.

    Raises:
        UnknownNameError: a policy or world that does not exist.
        ConfigError: ``log`` without ``people`` or the reverse, or of other people; a checkpoint without them, of another model or
            trained on another log.
        CheckpointError: a checkpoint that is not to be used.
    """
    start = perf_counter()
    named = [_named(policy) for policy in policies]
    labels = _labels([policy.label for policy in named])
    if (log is None) != (people is None):
        raise ConfigError("--log and --people belong together: `recbole-esmr simulate --output=LOG --people=PEOPLE` writes both.")
    environment = load_state(people) if people is not None else None
    if environment is None and any(policy.checkpoint for policy in named):
        raise ConfigError(
            "a checkpoint knows the people and videos of the log it was trained on: give that log with --log and --people "
            "(`recbole-esmr simulate --output=LOG --people=PEOPLE`), or leave the checkpoint out."
        )
    if environment is not None and log is not None and fingerprint_of(log) != environment.log:
        raise ConfigError(f"{people} is not of the people in {log}: give what one `recbole-esmr simulate` wrote.")
    settings = environment.world if environment is not None else load_world(world)
    with Work.at(Path(keep) if keep else hidden_beside(output)) as work:
        parts: dict[str, list[Rollouts]] = {label: [] for label in labels}
        for place, seed in enumerate(seeds):
            own = work.part(f"seed-{seed}")
            if environment is not None and log is not None:
                platform = Platform(environment, Path(log).resolve(), own, tuple(arguments), seed)
            else:
                platform = logged(settings, users, items, log_days, seed, own, tuple(arguments), show_progress)
            if place == 0:
                _check(platform, named)
            for label, policy in zip(labels, named, strict=True):
                said = f"{label}, seed {seed}" if show_progress else ""
                parts[label].append(_rolled_out(platform, policy, label, days, place, new_people, said))
            if not (keep or output):
                own.removed()
        asked = {
            "users": environment.users if environment else users,
            "items": environment.items if environment else items,
            "log_days": int(environment.state["day"]) - 1 if environment else log_days,
            "days": days,
            "new_people": new_people,
            "arguments": list(arguments),
        }
        result, every = _result(parts, settings, policies, asked, seeds, replicates, environment is not None)
        result["timings"] = {"total": round(perf_counter() - start, 1)}
        if output:
            write_json(output, result)
        if not keep:
            work.removed()
    return result, every


def _result(
    parts: dict[str, list[Rollouts]], settings: World, policies: Sequence[str], asked: dict[str, Any], seeds: Sequence[int],
    replicates: int, shared: bool,
) -> tuple[dict[str, Any], dict[str, Rollouts]]:  # fmt: skip
    """What ``rollout.json`` holds but the time, and each policy's rollouts of all seeds."""
    every = {label: joined(part) for label, part in parts.items()}
    usual = "engagement" if "engagement" in every else next(iter(every))
    result: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "world": settings.name,
        "config": {
            "world": asdict(settings),
            "policies": list(policies),
            **asked,
        },
        "seed": list(seeds),
        "compared_with": usual,
        "policies": _judged(every, usual, replicates, shared),
        "groups": {
            group: _judged({name: part.take(rows) for name, part in every.items()}, usual, max(replicates // 5, 1), shared)
            for group, rows in _groups(every[usual], settings).items()
        },
        "by_day": {name: np.round(part.by_day, 4).tolist() for name, part in every.items()},
        "survival": {name: np.round(survival_curve(part.episodes), 4).tolist() for name, part in every.items()},
        "versions": package_versions(),
        "threads": threads(),
    }
    result["harms"] = harms({EVERYBODY: result["policies"], **result["groups"]})
    return result, every


def refuse_harm(result: dict[str, Any]) -> None:
    """Say so where a trained policy harms somebody; what needs no training is no recommender that anybody would deploy.

    Raises:
        HarmError: who, under what, by how much.
    """
    names = _labels([_named(policy).label for policy in result["config"]["policies"]])
    asked = {
        label for label, policy in zip(names, result["config"]["policies"], strict=True) if _named(policy).name in NOT_TRAINED
    }
    found = [harm for harm in result["harms"] if harm["policy"] not in asked]
    if found:
        told = "; ".join(
            f"{harm['group']} under {harm['policy']}, {harm['figure']} "
            f"{harm['mean']:+.4f} [{harm['low']:+.4f}, {harm['high']:+.4f}]"
            for harm in found
        )
        raise HarmError(f"worse off than under {result['compared_with']}: {told}. The results are written.")


def truth(world: World, users: int, items: int, days: int, seed: int) -> dict[str, Any]:
    """What ``simulate --truth`` writes: :func:`~recbole_esmr.simulation.twin.true_effects` and their setting."""
    start = perf_counter()
    found = true_effects(world, users, items, days, seed, emotions=True, days_after=3)
    return {
        "schema_version": SCHEMA_VERSION,
        "config": {"world": asdict(world), "users": users, "items": items, "days": days},
        "seed": seed,
        **found,
        "versions": package_versions(),
        "timings": {"total": round(perf_counter() - start, 1)},
    }


def check_policies(policies: Sequence[str]) -> None:
    """Refuse names of policies that there are not, and changes that cannot be made in a rollout.

    Raises:
        UnknownNameError, ConfigError: which, and the mend.
    """
    for policy in policies:
        _named(policy)


@dataclass(frozen=True)
class _Named:
    """A policy as it is asked for: ``NAME+key=value:CHECKPOINT``."""

    name: str
    changes: dict[str, str]
    checkpoint: str | None

    @property
    def label(self) -> str:
        return "+".join([self.name, *(f"{key}={value}" for key, value in self.changes.items())])


def _named(policy: str) -> _Named:
    what, colon, checkpoint = policy.partition(":")
    name, *changed = what.split("+")
    known = [*UNTRAINED, *BY_ESMR, *model_names()]
    if name not in known:
        raise UnknownNameError(f"there is no policy '{name}'. {nearest(name, [*UNTRAINED, *BY_ESMR, 'ESMR', *model_names()])}")
    if colon and name in UNTRAINED:
        raise ConfigError(f"policy '{name}' needs no checkpoint: write {name} instead of {policy}.")
    changes = {}
    if name == ONE_STRATEGY:
        key, _, value = "+".join(changed).partition("=")
        if key != "strategy" or not value:
            raise ConfigError(f"policy '{policy}': say which one, as in only+strategy=reappraisal.")
        return _Named(name, {"strategy": value}, checkpoint if colon else None)
    for change in changed:
        key, equals, value = change.partition("=")
        if name != MODEL_NAME or not equals:
            raise ConfigError(f"policy '{policy}': only ESMR takes changed keys, as in ESMR+gate=streak+reward=emotion.")
        may = [*flat_keys(ESMRSettings, SERVING), *flat_keys(ESMRSettings, RERANKER)]
        if key not in may:
            raise ConfigError(f"policy '{policy}': '{key}' cannot be changed in a rollout. {nearest(key, may)}")
        changes[key] = value
    served = flat_keys(ESMRSettings, SERVING)
    if colon and any(key not in served for key in changes):
        raise ConfigError(f"policy '{policy}': a checkpoint is served as it was trained. Change only {', '.join(served)}.")
    usual = read_yaml(shipped("properties") / "model" / f"{MODEL_NAME}.yaml")
    parse_flat(ESMRSettings, usual | converted(changes), where=f"policy '{policy}'")
    return _Named(name, changes, checkpoint if colon else None)


def _labels(names: list[str]) -> list[str]:
    """Each policy's name in the result; the second ESMR is called ESMR-2."""
    return [name if names.index(name) == i else f"{name}-{names[: i + 1].count(name)}" for i, name in enumerate(names)]


def _maker(platform: Platform, policy: _Named, days: int, usual: np.ndarray | None) -> Callable[[FeedEnv], Policy]:
    """A function that makes the policy for a world's people; ``usual`` is what a ceiling pays by."""
    name = policy.name
    if name == "random":
        return lambda env: Random(platform.seed)
    if name == "logging":
        return LoggingFeed
    if name in ("pop", "positive"):
        data = platform.data()
        names, catalogue, shown = data.field2id_token[data.iid_field], data.catalogue, data.impressions
        if name == "positive":
            return lambda env: Positive(names, catalogue.valence * catalogue.intensity)
        return lambda env: Popular(names, np.bincount(shown.item, weights=shown.label, minlength=len(names)))
    path, changes = _checkpoint_of(platform, policy)
    config, model, dataset, *_ = load_data_and_model(path, changes)
    if isinstance(model, ESMR):
        if name in BASELINES:
            baseline = BASELINES[name](model, dataset)
            return lambda env: baseline
        if name == ONE_STRATEGY:
            one = OneStrategy(model, dataset, policy.changes["strategy"])
            return lambda env: one
        if name == "informed":
            return lambda env: Informed(env, model, dataset, days, Price(usual=usual))
        feed = ESMRPolicy(model, dataset, gate=None if name == MODEL_NAME else "never")
        return (lambda env: Oracle(env, feed, days, Price(usual=usual))) if name == "oracle" else lambda env: feed
    ranking = RecBolePolicy(model, dataset, int(config["MAX_ITEM_LIST_LENGTH"]))
    return lambda env: ranking


def _checkpoint_of(platform: Platform, policy: _Named) -> tuple[Path, dict[str, Any]]:
    """The checkpoint that a policy deploys, trained here unless it is given, and the keys to load it with."""
    changes = {} if policy.name == ONE_STRATEGY else policy.changes
    if policy.checkpoint:
        return Path(policy.checkpoint), {**changes, "trust": platform.option("trust")}
    if policy.name in (*BY_ESMR, MODEL_NAME):
        return platform.variant(changes)
    return platform.trained(policy.name), {}


def _check(platform: Platform, named: Sequence[_Named]) -> None:
    """Refuse a policy that cannot be deployed on this platform, before anything is trained for another.

    Raises:
        ESMRError: a checkpoint of another model or log, or a model that cannot be trained on this one.
    """
    for policy in named:
        _check_strategy(policy, list(platform.environment.world.catalogue.strategy_share))
        if policy.checkpoint:
            _check_checkpoint(platform, policy, Path(policy.checkpoint))
    models = {MODEL_NAME if policy.name in BY_ESMR else policy.name for policy in named if not policy.checkpoint}
    for name in sorted(models - {*UNTRAINED}):
        if name == MODEL_NAME and platform.config(name)["label"] != "reported":
            raise _other_labels("ESMR")
        platform.check_trainable(name)


def _check_strategy(policy: _Named, offered: list[str]) -> None:
    if policy.name not in (ONE_STRATEGY, "linucb-strategies"):
        return
    if not offered:
        raise ConfigError(f"policy '{policy.label}': the items of this world offer no strategies. Take the world strategies.")
    if policy.name == ONE_STRATEGY and policy.changes["strategy"] not in offered:
        raise ConfigError(f"policy '{policy.label}': no item offers it. {nearest(policy.changes['strategy'], offered)}")


def _check_checkpoint(platform: Platform, policy: _Named, path: Path) -> None:
    found, wanted = load_checkpoint(path, trust=platform.option("trust")), MODEL_NAME if policy.name in BY_ESMR else policy.name
    if found.model != wanted:
        raise ConfigError(f"{path}: policy '{policy.name}' needs a checkpoint of {wanted}, not of {found.model}.")
    if wanted == MODEL_NAME and found.config.get("label") != "reported":
        raise _other_labels(path)
    log = Path(str(found.config.get("data_path")), str(found.config.get("dataset")))
    if fingerprint_of(log) != platform.environment.log:
        raise ConfigError(f"{path}: was trained on {log}, not on {platform.log}. Train on the log to go on from.")


def _other_labels(what: object) -> ConfigError:
    return ConfigError(f"{what}: was trained on labels made from behaviour; a world's people report. Train with label: reported.")


def _rolled_out(
    platform: Platform, policy: _Named, label: str, days: int, place: int, new_people: bool, description: str
) -> Rollouts:
    """People's rollouts under a policy: those that are kept and were made from the same, or new ones."""
    environment, untrained = platform.environment, policy.name in UNTRAINED
    made_from = {
        "policy": [policy.name, policy.changes, None if untrained else content_hash([_checkpoint_of(platform, policy)[0]])],
        "people": [asdict(environment.world), environment.users, environment.items, environment.seed, environment.log],
        "asked": [platform.seed, place, days, new_people, platform.arguments],
        "versions": package_versions(),
        "figures": [kept.name for kept in fields(Rollouts)],
    }
    name = f"rollout-{fingerprint(label)[:16]}"
    kept = platform.work.numbers(name, made_from)
    if kept is not None:
        return Rollouts(**kept)
    usual = None
    if policy.name in CEILINGS:
        engagement = _Named("engagement", {}, policy.checkpoint)
        said = f"engagement, for {description}" if description else ""
        usual = _rolled_out(platform, engagement, "engagement", days, place, new_people, said).hours_by_day
    make = _maker(platform, policy, days, usual)
    number, state = np.arange(environment.users), environment.state
    if new_people:
        number, state = number + environment.users, {"day": environment.state["day"]}
    env = platform.env(number)
    with torch.no_grad():
        found = rolled_out(env, rollout_days(env, make(env), days, state, description=description), seed=place)
    platform.work.keep_numbers(name, made_from, found.arrays())
    return found


def _judged(every: dict[str, Rollouts], usual: str, replicates: int, shared: bool) -> dict[str, Any]:
    here = every[usual]
    if len(here) == 0:
        return {}
    person = np.unique(here.user, return_inverse=True)[1] if shared else None
    seed = np.unique(here.seed, return_inverse=True)[1]
    ceilings = {figure: name for figure, name in GAINS.items() if name in every}
    return judge(every, usual, Bootstrap(seed, replicates, np.random.default_rng(0), person), ceilings)


def _groups(here: Rollouts, world: World) -> dict[str, np.ndarray]:
    groups = {name: here.vulnerable == bool(code) for code, name in enumerate(GROUPS)}
    profiles = world.population.profile_share
    return groups | {name: here.profile == code for code, name in enumerate(profiles)}
