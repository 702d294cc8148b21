"""Models beside each other: means over seeds with intervals, and paired differences with the false discovery rate held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control, norm
from scipy.stats import t as student_t

from recbole_esmr.evaluator.by_person import PERSON, ROWS
from recbole_esmr.evaluator.statistics import Bootstrap, Statistic, difference, remembered, student_interval, weighted_mean

PEOPLE, SEEDS, NOTHING = "people and seeds", "seeds", "nothing"
"""What an interval is over."""

ROUNDING = 1e-9
"""Standard deviation over seeds below which seeds change nothing: of some models a metric is the same under each."""

Figures = Mapping[tuple[str, int], Mapping[str, Any]]
"""By model and seed: its metrics, or each person's part of them."""


def summarise(
    rows: Figures,
    people: Figures,
    metrics: Sequence[str],
    generator: np.random.Generator,
    replicates: int = 1000,
    first: str | None = None,
) -> list[dict[str, Any]]:
    r"""One entry a model and metric; all models are compared with one of them.

    A metric that is a mean over people is resampled over people and seeds
    (:class:`~recbole_esmr.evaluator.statistics.Bootstrap`), a difference over the people whom both models were asked. Of the
    others seeds are all there is: the interval is :math:`\bar x \pm t_{S-1} s / \sqrt S`, of a difference that of the differences
    by seed. The p-value of a difference is that of a normal variable whose 95 % interval is as wide; the q-value is the smallest
    false discovery rate over all models and metrics at which it would be called one (Benjamini and Hochberg 1995).

    Args:
        rows: the metrics; a model and seed that failed has none.
        people: each person's part of them (:class:`~recbole_esmr.evaluator.by_person.ByPerson`).
        metrics: names.
        generator: of the resamples.
        replicates: how many.
        first: the model that the others are compared with, the first in ``rows`` unless given; where it has no rows nothing is
            compared.

    Returns:
        of each ``model``, ``metric``, ``seeds``, ``mean``, ``sd``, ``low``, ``high``, ``over``; and ``difference`` (None for
        ``first``, or where nothing can be told): ``mean``, ``low``, ``high``, ``p``, ``q``, ``over``.
    """
    models = list(dict.fromkeys(model for model, _ in rows))
    first = first or next(iter(models), "")
    paired = _of_people(rows, people, models, metrics, generator, replicates, first)
    found = []
    for model in models:
        for metric in metrics:
            values = {seed: float(row[metric]) for (name, seed), row in rows.items() if name == model and metric in row}
            compared = {seed: float(row[metric]) for (name, seed), row in rows.items() if name == first and metric in row}
            own = np.array(list(values.values()))
            entry: dict[str, Any] = {"model": model, "metric": metric, "seeds": len(own)}
            entry |= {"mean": float(own.mean()) if len(own) else np.nan, "sd": float(own.std(ddof=1)) if len(own) > 1 else np.nan}
            at = paired.get((model, metric))
            gap = np.array([value - compared[seed] for seed, value in values.items() if seed in compared])
            entry |= at["interval"] if at else _ends(student_interval(own))
            entry["over"] = PEOPLE if at else SEEDS if len(own) > 1 else NOTHING
            entry["difference"] = None
            if model != first and at and at["difference"]:
                entry["difference"] = {**at["difference"], "over": PEOPLE}
            elif model != first and (apart := _apart(gap)):
                entry["difference"] = {**apart, "over": SEEDS}
            found.append(entry)
    _false_discoveries([entry["difference"] for entry in found if entry["difference"] is not None])
    return found


def _of_people(
    rows: Figures,
    people: Figures,
    models: Sequence[str],
    metrics: Sequence[str],
    generator: np.random.Generator,
    replicates: int,
    first: str,
) -> dict[tuple[str, str], dict[str, Any]]:
    """Intervals of the metrics that are means over people, for models of which all seeds are there."""
    seeds = sorted({seed for _, seed in rows})
    whole = [name for name in models if all(len(people.get((name, seed), {})) for seed in seeds)]
    if not whole:
        return {}
    every = np.unique(np.concatenate([people[name, seed][PERSON] for name in whole for seed in seeds]))
    size = len(every) * len(seeds)
    parts: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
    for name in whole:
        for metric in metrics:
            if any(metric not in people[name, seed] for seed in seeds):
                continue
            total, count = np.full(size, np.nan), np.zeros(size)
            for number, seed in enumerate(seeds):
                part = people[name, seed]
                at = number * len(every) + np.searchsorted(every, part[PERSON])
                total[at], count[at] = part[metric], part[ROWS]
            parts[name, metric] = total, count
    wanted: dict[str, Statistic] = {}
    for (name, metric), (total, count) in parts.items():
        wanted[f"{name}\t{metric}"] = remembered(weighted_mean(total, count))
        if (first, metric) in parts and name != first:  # over the people whom both were asked
            usual, rows_of_usual = parts[first, metric]
            both = np.isfinite(total) & np.isfinite(usual)
            wanted[f"{name}\t{metric}\tdifference"] = difference(
                weighted_mean(np.where(both, total, np.nan), count), weighted_mean(np.where(both, usual, np.nan), rows_of_usual)
            )
    seed_of, person_of = np.repeat(np.arange(len(seeds)), len(every)), np.tile(np.arange(len(every)), len(seeds))
    found = Bootstrap(seed_of, replicates, generator, person_of if len(seeds) > 1 else None).interval(wanted)
    return {
        (name, metric): {
            "interval": _ends(found[f"{name}\t{metric}"]),
            "difference": _tested(found[f"{name}\t{metric}\tdifference"]) if f"{name}\t{metric}\tdifference" in found else None,
        }
        for name, metric in parts
    }


def _ends(interval: Mapping[str, float]) -> dict[str, float]:
    return {end: interval[end] for end in ("low", "high")}


def _apart(gap: np.ndarray) -> dict[str, Any] | None:
    """The difference of two models by seeds alone; None where there are fewer than two, or where they change nothing."""
    if len(gap) < 2 or not gap.std(ddof=1) > ROUNDING:
        return None
    error = gap.std(ddof=1) / np.sqrt(len(gap))
    p = 2 * float(student_t.sf(abs(gap.mean()) / error, len(gap) - 1))
    return {**student_interval(gap), "p": p}


def _tested(found: dict[str, float]) -> dict[str, Any]:
    error = (found["high"] - found["low"]) / (2 * float(norm.isf(0.025)))
    if not np.isfinite(error) or not np.isfinite(found["mean"]):
        return {**found, "p": np.nan}
    return {**found, "p": 2 * float(norm.sf(abs(found["mean"]) / error)) if error > 0 else float(found["mean"] == 0)}


def _false_discoveries(differences: list[dict[str, Any]]) -> None:
    """Add the q-values, in place."""
    known = [one for one in differences if np.isfinite(one["p"])]
    for one in differences:
        one["q"] = np.nan
    for one, q in zip(known, false_discovery_control([one["p"] for one in known]) if known else [], strict=True):
        one["q"] = float(q)
