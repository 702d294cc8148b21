"""Why these items for this person on this day: the ranking's own parts in one sentence a slate and a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from recbole_esmr.causal.reward import weights_on_valence
from recbole_esmr.causal.traits import EXPOSURE
from recbole_esmr.checkpoint import json_config, package_versions, threads
from recbole_esmr.data.trace import BLOCK
from recbole_esmr.errors import ConfigError
from recbole_esmr.evaluator.full_sort import had_before, people_named
from recbole_esmr.files import SCHEMA_VERSION, write_json
from recbole_esmr.model.esmr import ESMR, Ranked
from recbole_esmr.model.reasons import ENGAGEMENT, GUARD, Reasons, reasons_of
from recbole_esmr.quick_start import load_data_and_model

FEWEST = 10
"""People of whom together something is said; of fewer it would be said of each."""


@dataclass(frozen=True)
class Slates(Ranked):
    """The slates of some people on some days, and why they are as they are; a row each.

    Attributes:
        reasons: the values of the candidates in parts.
    """

    reasons: Reasons


def explain(
    checkpoint: str | Path,
    people: Sequence[str] | None = None,
    days: Sequence[int] | None = None,
    config_dict: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
) -> dict[str, Any]:
    """Explain the slates that a trained ESMR gives, as ``full_sort_topk`` would.

    Unless ``export_emotions`` is true in ``config_dict`` what is said is of all people together: how many slates the policy would
    change, why, and at what price. With it each person-day has a sentence and a table, by name. What a checkpoint or a data set
    says of that key does not count.

    Args:
        checkpoint: of ESMR.
        people: their ids, all unless given; only with ``export_emotions``.
        days: day numbers as in the data, from the first to the one after the last, which is the one asked for unless given.
        config_dict: keys to change, such as ``export_emotions`` or ``data_path``.
        output: a file to write what is returned to, as JSON.

    Returns:
        ``schema_version``, ``config``, ``summary``, ``slates`` (None unless ``export_emotions``), ``versions``, ``timings``.

    Raises:
        ConfigError: a checkpoint of another model, a day that is not in the data, or single people without ``export_emotions``.
        DataError: a person who is not in the data.
    """
    start = perf_counter()
    config, model, dataset, _, _, test_data = load_data_and_model(checkpoint, {"state": "WARNING", **(config_dict or {})})
    if not isinstance(model, ESMR):
        raise ConfigError(f"{checkpoint}: is a checkpoint of {config['model']}. Only ESMR's rankings have parts to explain.")
    exported = config.esmr.export.export_emotions
    known = len(dataset.field2id_token[dataset.uid_field]) - 1
    if not exported and (people is not None or known < FEWEST):
        who = "single people" if people is not None else f"{known} people, nearly of each"
        raise ConfigError(f"that would say of {who} what is believed of their mood. Ask for it with export_emotions: True.")
    user, day = _asked(dataset, people, days)
    rows: list[dict[str, Any]] = []
    at_once = max(1, BLOCK // model.log.trace.days)
    for first in range(0, len(user), at_once):
        asked = user[first : first + at_once]
        seen = None if config["repeatable"] else had_before(test_data, asked)
        part = slates_of(model, asked, day[first : first + at_once], seen)
        rows += [_said(part, place, model, dataset) for place in range(len(part.ranking.weight))]
    result = {
        "schema_version": SCHEMA_VERSION,
        "config": json_config(config),
        "checkpoint": str(checkpoint),
        "summary": _summary(rows),
        "slates": rows if exported else None,
        "versions": package_versions(),
        "threads": threads(),
        "timings": {"total": round(perf_counter() - start, 2)},
    }
    if output:
        write_json(output, result)
    return result


def slates_of(model: ESMR, user: np.ndarray, day: np.ndarray, seen: tuple[np.ndarray, np.ndarray] | None = None) -> Slates:
    """The slates of people (B,) on days (B,), 0 … D, by the model's own rule, budget and slate size, with their reasons.

    ``seen`` are rows and items that are not to be shown.
    """
    rule = model.settings.serving
    ranked = model.ranked(user, day, rule, seen=seen)
    weights, size = weights_on_valence(model.learned.causal["effects"]), np.full(len(user), model.slate_size)
    reasons = reasons_of(ranked.ranking, ranked.rankers, ranked.log, ranked.beliefs, model.traits, weights, size, rule.pessimism)
    return Slates(**vars(ranked), reasons=reasons)


def _asked(dataset: Any, people: Sequence[str] | None, days: Sequence[int] | None) -> tuple[np.ndarray, np.ndarray]:
    """Internal ids and day indices of all that is asked, (B,) each."""
    trace = dataset.trace
    first, last = int(trace.first_day), int(trace.first_day) + trace.days
    index = np.array([last if days is None else day for day in (days or [last])], dtype=np.int64) - first
    wrong = index[(index < 0) | (index > trace.days)]
    if len(wrong):
        raise ConfigError(f"day {wrong[0] + first}: the data have the days {first} to {last - 1}, and {last} is the next one.")
    user = people_named(dataset, people)
    return np.repeat(user, len(index)), np.tile(index, len(user))


def _said(slates: Slates, place: int, model: ESMR, dataset: Any) -> dict[str, Any]:
    """What is said of one person-day."""
    ranking, reasons, candidates = slates.ranking, slates.reasons, slates.ranking.candidates
    row, day = int(candidates.row[place]), int(candidates.day[place])
    columns = ranking.slate[place][ranking.slate[place] >= 0]
    usual = ranking.usual[place].nonzero().squeeze(1)
    new = torch.tensor([column for column in columns.tolist() if column not in set(usual.tolist())], dtype=torch.long)
    gone = torch.tensor([column for column in usual.tolist() if column not in set(columns.tolist())], dtype=torch.long)
    names = dataset.field2id_token[dataset.iid_field]
    item = candidates.item[place].numpy()
    kept = float(ranking.engagement[place] / ranking.usual_engagement[place].clamp(min=1e-12))
    acted = bool(ranking.acted[place])
    swap = (reasons.part[place][new].sum(dim=0) - reasons.part[place][gone].sum(dim=0)).tolist() if acted else []
    gains = {name: gain for name, gain in zip(reasons.names, swap, strict=False) if name not in (ENGAGEMENT, GUARD) and gain > 0}
    reason = max(gains, key=lambda name: gains[name]) if gains else None
    risk = float(slates.beliefs.risk[row, day])
    said: dict[str, Any] = {
        "user": str(dataset.field2id_token[dataset.uid_field][slates.log.people[row]]),
        "day": day + int(dataset.trace.first_day),
        "acted": acted,
        "reason": reason,
        "chance_of_a_negative_day": risk if slates.beliefs.consent[row] else None,
        "weight": float(ranking.weight[place]),
        "engagement_kept": kept,
        "shown_instead": [str(names[item[column]]) for column in new.tolist()],
        "left_out": [str(names[item[column]]) for column in gone.tolist()],
        "changed_by": dict(sorted(gains.items(), key=lambda pair: -pair[1])),
        "items": [reasons.of_item(place, column, str(names[item[column]])) for column in columns.tolist()],
    }
    return said | {"sentence": _sentence(said, slates, place, new, gone, model)}


def _sentence(said: Mapping[str, Any], slates: Slates, place: int, new: torch.Tensor, gone: torch.Tensor, model: ESMR) -> str:
    who, row = f"{said['user']}, day {said['day']}", int(slates.ranking.candidates.row[place])
    if not said["acted"]:
        limited = ", within the limits on one emotion" if bool((slates.ranking.held_back[place] > 0).any()) else ""
        return f"{who}: what the engagement ranking shows{limited}, for {_why_not(slates, row, place)}."
    count = len(said["shown_instead"])
    is_not = "is not" if count == 1 else "are not"
    head = f"{who}: {count} of {len(said['items'])} items {is_not} what the engagement ranking would show"
    price = f"{100 * (1 - said['engagement_kept']):.1f} % less expected engagement"
    risk = f"the chance of a negative day is forecast at {said['chance_of_a_negative_day']:.0%}"
    number = slates.reasons.names.index(said["reason"]) if said["reason"] else -1
    weight = float(slates.reasons.weight[place, number]) if said["reason"] else 0.0
    if weight == 0:
        return f"{head}, for {said['reason'] or 'what the re-ranker learned'}; {price}; {risk}."
    change = float(slates.reasons.amount[place][new, number].sum() - slates.reasons.amount[place][gone, number].sum())
    told, they_bring = _estimate(model, said["reason"]), "it brings" if count == 1 else "they bring"
    what, does = f"{'more' if change > 0 else 'less'} {_plain(said['reason'])}", "lifts" if weight > 0 else "lowers"
    return f"{head}, mostly because {they_bring} {what}, which {does} the mood from tomorrow on{told}; {price}; {risk}."


def _why_not(slates: Slates, row: int, place: int) -> str:
    if not slates.beliefs.consent[row]:
        return "nothing of this person's mood is read without consent"
    if not slates.rankers.acts:
        return "no effect of what items are is proven on this log"
    if float(slates.ranking.weight[place]) > 0:
        return "what would be better for the mood is in it already"
    return "the engagement that may be spent does more for others, or the gate is closed"


def _estimate(model: ESMR, reason: str) -> str:
    """The estimate and interval of a trait's effect, where one estimate stands for it."""
    for effect in model.learned.causal["effects"]:
        if effect["treatment"] == EXPOSURE + reason and effect["outcome"] == "valence" and effect["state"] == "all":
            return f" (+0.1 of it {effect['estimate']:+.3f} [{effect['low']:+.3f}, {effect['high']:+.3f}] on tomorrow's valence)"
    return ""


def _plain(trait: str) -> str:
    return trait.replace("=", " ").replace("_", " ")


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of all slates together; nothing of a single person."""
    acted = [row for row in rows if row["acted"]]
    usual = [row["engagement_kept"] for row in rows]
    return {
        "slates": len(rows),
        "changed": len(acted),
        "items_changed": float(np.mean([len(row["shown_instead"]) for row in acted])) if acted else 0.0,
        "engagement_kept": float(np.mean(usual)) if usual else 1.0,
        "reasons": dict(Counter(row["reason"] or "none" for row in acted).most_common()),
    }
