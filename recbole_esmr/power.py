"""How many people it takes: logs of growing size of a world, and in how many of them its effects are found and are of use."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from recbole_esmr.causal.lagged import estimate_traits
from recbole_esmr.causal.reward import ItemEffects
from recbole_esmr.causal.traits import traits_of
from recbole_esmr.checkpoint import package_versions
from recbole_esmr.config import Config
from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.dataset import load_split
from recbole_esmr.data.trace import VALID
from recbole_esmr.errors import ConfigError, IdentificationError
from recbole_esmr.files import SCHEMA_VERSION, write_json
from recbole_esmr.recbole_models import MODEL_NAME
from recbole_esmr.simulation import World, load_world, simulate
from recbole_esmr.trainer.causal import causal_question

ENOUGH = 0.8
"""Share of the logs in which an effect is to be found (the usual power, Cohen 1988)."""

OF_USE = 0.5
"""Reach from which what is believed is called of use: half of what could be done with the truth."""


def power(
    world: str,
    people: Sequence[int],
    items: int = 600,
    days: int = 30,
    logs: int = 20,
    seed: int = 1,
    effect: float | None = None,
    arguments: Sequence[str] = (),
    output: str | Path | None = None,
    show_progress: bool = True,
) -> dict[str, Any]:
    r"""Ask logs of growing size what they are asked in training, and compare with what is true.

    A log *finds* the effects where the closed test of all traits rejects and their promise is not refuted: what opens the gate.
    Its *reach* is the correlation over the items of what they are believed to do with what they do, 0 where nothing is found:

    .. math:: reach = corr_i(\hat e_i, e_i)

    A feed that is moved a little toward :math:`\hat e`, at whatever price, lifts the mood by this share of what one that is moved
    toward e at that price does (the gain of a small step along a direction is its inner product with the gradient).

    Args:
        world: a shipped world or a yaml file.
        people: sizes of the logs; items, days: the same for all.
        logs: of each size.
        seed: of the first log; the next ones count on from it.
        effect: all effects are scaled so that the largest of +0.1 exposure is so many within-person SDs; the world's own unless
            given.
        arguments: RecBole and ESMR keys of the estimation, as ``--key=value``.
        output: file to write the result to, as JSON.

    Returns:
        ``sizes``: for each size ``people``, ``found`` (share of the logs), ``reach`` (mean), ``of_use`` (share of the logs whose
        reach is at least one half) and ``detectable`` (the smallest effect of +0.1 exposure to one trait of items on tomorrow's
        reported valence that is found with a chance of 80 %, mean over traits and logs); ``enough``: the least size from which on
        80 % find the effects; ``helps``: the least from which on the mean reach is at least one half; each None where no size is.

    Raises:
        ConfigError: a world without effects that is to be scaled, or one whose effects differ by state.
    """
    own = load_world(world)
    if own.catalogue.strategy_share:
        raise ConfigError(
            f"world '{world}': items offer strategies, whose effects differ by state; power asks after emotions alone."
        )
    start, settings = perf_counter(), _scaled(own, effect)
    sizes: list[dict[str, Any]] = []
    with tqdm(total=len(people) * logs, desc=f"Logs of {settings.name}", unit="log", disable=not show_progress) as bar:
        for users in sorted(people):
            rows = []
            for number in range(logs):
                rows.append(_asked(settings, users, items, days, seed + number, arguments))
                bar.update()
            found, reach, detectable = (np.array(column) for column in zip(*rows, strict=True))
            sizes.append(
                {
                    "people": users,
                    "found": float(found.mean()),
                    "reach": float(reach.mean()),
                    "of_use": float((reach >= OF_USE).mean()),
                    "detectable": float(np.nanmean(detectable)) if np.isfinite(detectable).any() else None,
                }
            )
    result = {
        "schema_version": SCHEMA_VERSION,
        "world": settings.name,
        "config": {
            "world": asdict(settings), "people": sorted(people), "items": items, "days": days, "logs": logs, "effect": effect,
            "arguments": list(arguments),
        },
        "seed": seed,
        "sizes": sizes,
        "enough": _from_when([row["found"] >= ENOUGH for row in sizes], sizes),
        "helps": _from_when([row["reach"] >= OF_USE for row in sizes], sizes),
        "versions": package_versions(),
        "timings": {"total": round(perf_counter() - start, 1)},
    }  # fmt: skip
    if output:
        write_json(output, result)
    return result


def _scaled(world: World, effect: float | None) -> World:
    if effect is None:
        return world
    largest = world.exposure.strength * max(map(abs, world.exposure.effect.values()), default=0.0)
    if largest == 0:
        raise ConfigError(f"world '{world.name}' has no effect that could be scaled to {effect:g}: take another world.")
    return replace(world, exposure=replace(world.exposure, strength=world.exposure.strength * effect / abs(largest)))


def _asked(world: World, users: int, items: int, days: int, seed: int, arguments: Sequence[str]) -> tuple[bool, float, float]:
    """Whether a log finds the effects, its reach, and the smallest effect that it could have shown."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        simulate(world, users, items, days, seed, log, show_progress=False)
        config = Config(MODEL_NAME, str(log), config_dict={"state": "ERROR", "show_progress": False}, arguments=list(arguments))
        data = load_split(config)
    settings, labels = config.esmr, data.taxonomy.labels
    use = data.trace.role <= VALID
    question = causal_question(data.trace, data.seen, labels, settings.causal, seed, use, settings.reranker.discount)
    try:
        effects = estimate_traits(*question)
    except IdentificationError:
        return False, 0.0, np.nan  # too small a log to ask
    asked = traits_of(data.catalogue, labels, settings.causal.features, settings.causal.by_state)
    believed = ItemEffects.of_weights([x.as_dict() for x in effects], asked)
    truth = _true_effects(world, data.catalogue, labels)[1:]
    differ = truth.std() > 0 and believed.valence[1:].std() > 0
    reach = float(np.corrcoef(believed.valence[1:], truth)[0, 1]) if differ else 0.0
    return bool(believed.valence.any()), reach, float(np.mean([x.detectable for x in effects]))


def _true_effects(world: World, catalogue: Catalogue, labels: Sequence[str]) -> np.ndarray:
    """What a feed of one item, watched whole, does to the mean person, (I,), within-person SDs."""
    of_label = np.array([*(world.exposure.effect.get(label, 0.0) for label in labels), 0.0])
    effect: np.ndarray = world.exposure.strength * of_label[catalogue.emotion] * catalogue.intensity / 0.1
    return effect


def _from_when(right: Sequence[bool], sizes: Sequence[dict[str, Any]]) -> int | None:
    """The least size from which on all are right."""
    until = next((place for place in range(len(right), 0, -1) if not right[place - 1]), 0)
    return int(sizes[until]["people"]) if until < len(sizes) else None
