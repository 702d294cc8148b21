"""What `export`, `log` and `trial` say when they are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from recbole_esmr.report.tables import markdown


def artifact_lines(card: Mapping[str, Any], folder: str) -> str:
    """What was exported, and what a reader must know of it."""
    effects = card["effects_on_tomorrows_valence"]
    acts = (
        f"It acts on {len(effects)} effects of what items are."
        if card["acts"] and effects
        else "No effect of what items are is proven on its log, so it re-ranks nothing."
        if not card["acts"]
        else "It re-ranks by what the re-ranker learned."
    )
    return (
        f"Written: {folder}, {card['items']:,} items, and nobody of the log (fingerprint {card['fingerprint']}).\n"
        f"Its retriever reads what a person watched, and agrees with the trained one to r = {card['retriever_agreement']:.2f}.\n"
        f"{acts}"
    )


def log_lines(rows: Mapping[str, int], folder: str) -> str:
    """What was written."""
    return f"Written: {folder}, " + ", ".join(f"{count:,} rows of .{suffix}" for suffix, count in rows.items()) + "."


def plan_lines(hash_: str, people: int, looks: Sequence[float], spread: Mapping[str, float]) -> str:
    """What was planned."""
    return (
        f"{people:,} people are needed (SD {spread['sd']:.3f} between people, correlation {spread['correlation']:.2f} with the "
        f"pre-period), looks after {', '.join(f'{look:.0%}' for look in looks)} of the days.\n"
        f"Hash of the plan: {hash_}\nPublish it before the first person, for example in a registry of trials."
    )


def assigned_table(strata: Mapping[str, Mapping[str, int]]) -> str:
    """How many people of each arm there are in each stratum (group / third of the pre-period)."""
    arms = sorted({arm for counts in strata.values() for arm in counts})
    rows = {name: {arm: counts.get(arm, 0) for arm in arms} for name, counts in strata.items()}
    return f"{markdown(table_of(rows, 'stratum'))}\n\nWritten into the store. Serve with the same --plan."


def trial_table(result: Mapping[str, Any]) -> str:
    """A trial's CONSORT numbers, outcomes and subgroups."""
    parts = [
        f"Trial {result['plan']}, look {result['look']} after {result['days']} days, plan {result['plan_hash'][:12]}",
        markdown(consort_frame(result)),
        markdown(outcome_frame(result)),
        bound_line(result),
    ]
    if result["subgroups"]:
        parts.append(markdown(subgroup_frame(result)))
    return "\n\n".join(parts)


def simulated_table(result: Mapping[str, Any]) -> str:
    """Trials in a world beside the truth."""
    return (
        f"{result['world']}, {result['people']:,} people, unit {result['unit']}\n\n"
        f"{markdown(rehearsal_frame(result))}\n\n{rehearsal_line(result)}"
    )


def rehearsal_frame(result: Mapping[str, Any]) -> pd.DataFrame:
    """Trials in a world beside the truth, a row each."""
    rows = {
        str(number + 1): {
            "truth": f"{one['truth']:+.3f}",
            "estimate": f"{one['estimate']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]",
            "crossed": "yes" if one["crossed"] else "no",
            "people needed": f"{one['people_needed']:,}",
        }
        for number, one in enumerate(result["trials"])
    }
    return table_of(rows, "trial")


def rehearsal_line(result: Mapping[str, Any]) -> str:
    """How often the effect is found, and how often one that is not there."""
    covered = "" if result["covered"] is None else f", intervals that hold the truth {result['covered']:.3f}"
    return f"Found {result['power']:.2f}, found where both arms are the same {result['false_positives']:.3f}{covered}."


def consort_frame(result: Mapping[str, Any]) -> pd.DataFrame:
    """How many people were assigned, lost and analysed, a column for all of them and one an arm."""
    consort = result["consort"]
    parts = {"all": {name: value for name, value in consort.items() if name != "arms"}, **consort["arms"]}
    rows = {
        name.replace("_", " "): {part: f"{counts[name]:,}" if name in counts else "" for part, counts in parts.items()}
        for name in parts["all"]
    }
    return table_of(rows, "people")


def bound_line(result: Mapping[str, Any]) -> str:
    """Whether the primary outcome crosses the bound of the look."""
    z = next(iter(result["outcomes"].values()))["z"]
    crossed = "crossed" if result["crossed"] else "not crossed"
    return f"|z| of the primary outcome is {abs(z):.2f}, the bound of this look {result['bound']:.2f}: {crossed}."


def outcome_frame(result: Mapping[str, Any]) -> pd.DataFrame:
    """Means of the arms and their difference, a row an outcome."""
    return table_of({name: _row(one) for name, one in result["outcomes"].items()}, "outcome")


def subgroup_frame(result: Mapping[str, Any]) -> pd.DataFrame:
    """The primary outcome, a row a subgroup."""
    rows = {one["subgroup"]: {**_row(one), "harm": "yes" if one["harm"] else ""} for one in result["subgroups"]}
    return table_of(rows, "subgroup")


def table_of(rows: Mapping[str, Mapping[str, Any]], index: str) -> pd.DataFrame:
    """Rows by name, the name in the first column."""
    return pd.DataFrame([{index: name, **row} for name, row in rows.items()])


def _row(one: Mapping[str, Any]) -> dict[str, str]:
    return {
        "engagement": f"{one['engagement']:.3f}",
        "esmr": f"{one['esmr']:.3f}",
        "difference": f"{one['difference']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]",
        "p": f"{one['p']:.3f}",
    }
