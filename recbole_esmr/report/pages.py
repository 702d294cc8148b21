"""What a report page says of each kind of result: the headline in words, where ESMR loses, who is worse off."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.report import charts
from recbole_esmr.report.comparison import LEVEL, caption, difference_frame, differs, main_frame, world_caption
from recbole_esmr.report.page import Page, Section
from recbole_esmr.report.serving import bound_line, consort_frame, outcome_frame, rehearsal_frame, rehearsal_line, subgroup_frame
from recbole_esmr.report.tables import (
    audit_frame,
    effect_frame,
    emotion_frame,
    groups_frame,
    harm_lines,
    leak_frame,
    log_lines_of_audit,
    moment_frame,
    rollout_frame,
)

MODEL = "ESMR"
NEVER_SHOWN = "Nothing here shows that a policy makes a real person feel better. Only trials with people can show it."
CEILINGS = ("oracle", "informed")

COSTLY = {"watch_time": "expected watch minutes a day", "retention": "days on which people come"}
WAVERING = {"volatility_rmssd": "day-to-day change of mood (RMSSD)", "worse_off_share": "share of people worse off"}
"""Figures in which a policy may be worse than the usual one: less of the first, more of the second."""


def page_of(results: Sequence[Mapping[str, Any]], command: str = "") -> Page:
    """The page of one result, or of several of different kinds, the first one's headline first.

    Args:
        results: what ``run``, ``compare``, ``rollout``, ``causal``, ``power``, ``audit`` wrote as JSON.
        command: that made them; "" where it is not known.

    Raises:
        ValueError: one is none of these.
    """
    headline: list[str] = []
    sections: list[Section] = []
    titles = []
    for result in results:
        kind = kind_of(result)
        if kind is None:
            raise ValueError("no result of recbole-esmr")
        title, words, parts = _PAGES[kind](result)
        titles.append(title)
        headline += words
        sections += [*parts, made_with(result, command, titles[-1] if len(results) > 1 else "")]
    sections.append(Section("What this does not show", [NEVER_SHOWN]))
    return Page(" · ".join(titles), headline, sections)


def kind_of(result: Any) -> str | None:
    """Which command wrote a result; None where none of these did."""
    if not isinstance(result, Mapping) or "schema_version" not in result:
        return None
    for kind, keys in _KEYS.items():
        if all(key in result for key in keys):
            return kind
    return None


_KEYS = {
    "comparison": ("summary", "protocol", "rows"),
    "rollout": ("policies", "compared_with"),
    "run": ("test_result", "best_valid_result", "model"),
    "causal": ("effects", "moments", "graph"),
    "trial": ("plan_hash", "consort", "outcomes"),
    "rehearsal": ("trials", "false_positives", "people_needed"),
    "power": ("sizes", "world", "enough"),
    "audit": ("policies", "log", "timings"),
}


def made_with(result: Mapping[str, Any], command: str, what: str = "") -> Section:
    """Versions, config, command; ``what`` was made where there are several results."""
    versions = ", ".join(f"{name} {version}" for name, version in result.get("versions", {}).items())
    config = {key: _without_places(result[key]) for key in ("config", "protocol", "seed", "seeds", "threads") if key in result}
    details = [("Config", json.dumps(config, indent=1, default=str, ensure_ascii=False))]
    text = [f"Made with {versions}."] if versions else []
    return Section(
        f"How it was made{f': {what}' if what else ''}",
        [*text, *([f"Command: {_without_places(command)}"] if command else [])],
        details=details,
    )


def _without_places(part: Any) -> Any:
    """A config without where its files lay: that says something of the sender's machine, and nothing to the reader."""
    if isinstance(part, Mapping):
        return {key: _without_places(value) for key, value in part.items() if not str(key).endswith(("_path", "_dir"))}
    if isinstance(part, list | tuple):
        return [_without_places(value) for value in part]
    return _PLACE.sub("", part) if isinstance(part, str) else part


_PLACE = re.compile(r"(?<![\w.\-])(?<!https:)(?<!http:)(?:~|\.\.?|[A-Za-z]:)?[/\\][^\s,'\"]*[/\\]")
"""The folders of an absolute path, or of one from here, in a text."""


# -- one run -------------------------------------------------------------------------------------------------------------


def _run(result: Mapping[str, Any]) -> tuple[str, list[str], list[Section]]:
    title = f"{result['model']} on {result['dataset']}"
    tested = result["test_result"] or {}
    figures = ", ".join(f"{name} {value:.4f}" for name, value in tested.items() if value is not None)
    words = [f"{result['model']} on the test part of {result['dataset']}, seed {result['seed']}: {figures or 'no figures'}."]
    judged = {"validation": result["best_valid_result"] or {}, "test": tested}
    frame = pd.DataFrame(judged).T.rename_axis("part").reset_index()
    sections = [Section("Recommendation", tables=[_rounded(frame)])]
    emotion = result.get("emotion")
    if emotion:
        said, section = _forecast(emotion)
        words.append(said)
        sections.append(section)
    policy, causal = result.get("policy"), result.get("causal")
    if policy:
        acted = f"it acted on {policy['acted_share']:.1%} of the test days"
        words.append(f"The gate is {policy['gate']}, the reward {policy['reward']}: {acted}.")
    if causal and causal.get("effects"):
        sections.append(_effects(causal["effects"]))
    return title, words, sections


def _forecast(emotion: Mapping[str, Any]) -> tuple[str, Section]:
    """How well tomorrow is foretold, beside the best of the others."""
    frame = emotion_frame(dict(emotion))
    error = frame["valence_mae"].astype(float)
    own, others = float(error.iloc[0]), error.iloc[1:]
    best, least = str(others.idxmin()), float(others.min())
    less = f"{abs(1 - own / least):.1%} {'less' if own < least else 'more'} than by the best of the others, {best}"
    said = f"Tomorrow's valence is foretold with a mean absolute error of {own:.4f}: {less}."
    lost = _behind(frame)
    said += f" In {', '.join(lost)} another forecaster is better." if lost else ""
    pictures = [charts.reliability(emotion["diagnostics"]["reliability"])]
    return said, Section("Tomorrow's mood", [said], pictures, [_rounded(frame.rename_axis("forecaster").reset_index())])


SMALLER = ("valence_mae", "brier", "ece")
"""Figures of a forecast of which less is better; of ``coverage80`` neither more nor less is."""


def _behind(frame: pd.DataFrame) -> list[str]:
    """The figures in which another forecaster is better than the first, with its name."""
    found = []
    for figure in frame.columns.drop(["coverage80", "nowcast_accuracy"], errors="ignore"):
        value = frame[figure].astype(float) * (-1 if figure in SMALLER else 1)
        if value.notna().any() and value.idxmax() != frame.index[0] and value.max() > value.iloc[0]:
            found.append(f"{str(figure).replace('_', ' ')} ({value.idxmax()} {frame[figure][value.idxmax()]:.4f})")
    return found


# -- effects ---------------------------------------------------------------------------------------------------------------


def _causal(result: Mapping[str, Any]) -> tuple[str, list[str], list[Section]]:
    effects = result["effects"]
    used = [e for e in effects if e["weight"] and e["outcome"] == "valence" and e["state"] == "all"]
    name = result["config"]["dataset"]
    words = [
        "No effect of the feed on tomorrow's valence is proven on this log: with the causal reward ESMR ranks for engagement."
    ]
    if used:
        strongest = max(used, key=lambda effect: abs(effect["estimate"]))
        sure = [effect for effect in used if effect["low"] > 0 or effect["high"] < 0]
        words = [
            f"{len(used)} effects of the feed on tomorrow's valence are used by the policy, {len(sure)} of them with an "
            "interval that does not hold 0 (the others count for less, after one joint test). The largest, for +0.1 exposure: "
            f"{strongest['treatment'].replace('_', ' ')} {strongest['estimate']:+.3f} [{strongest['low']:+.3f}, "
            f"{strongest['high']:+.3f}] (naive {strongest['naive']:+.3f})."
        ]
    sections = [_effects(effects)]
    if result["moments"]["effects"]:
        text = "Effects of an item on how people feel just after it, within persons."
        sections.append(Section("Just after an item", [text], tables=[_rounded(moment_frame(dict(result)))]))
    if result["warnings"]:
        sections.append(Section("Warnings", result["warnings"]))
    return f"What the feed does to people in {name}", words, sections


def _effects(effects: Sequence[Mapping[str, Any]]) -> Section:
    pictures = [charts.forest(effects, outcome) for outcome in ("valence", "negative")]
    text = [
        "An effect rests on the feed being chosen from what was logged, not from the mood of the day. Crosses are what one would "
        "read off without asking what else drives both.",
        "In the table: the change of tomorrow's outcome for +0.1 of the exposure (share of what was shown and watched, 0 to 1). "
        "low and high: 95 % interval. back_door: the same from what was watched instead of what was shown. naive: the plain "
        "association. refuted_by: which attempt to break the effect succeeded (- where none was made). detectable: the smallest "
        "effect that this log shows with a chance of 80 %. weight: what the policy uses. state: days of a valence of at least 0 "
        "(stable) or below (vulnerable).",
    ]
    frame = effect_frame({"effects": effects})
    return Section("Effects on tomorrow", text, [one for one in pictures if one], [_rounded(frame)])


# -- comparison ------------------------------------------------------------------------------------------------------------


def _comparison(result: Mapping[str, Any]) -> tuple[str, list[str], list[Section]]:
    summary, first, smaller = result["summary"], result["models"][0], set(result["smaller_is_better"])
    metrics = list(dict.fromkeys(entry["metric"] for entry in summary))
    words = []
    for metric in metrics[:2]:
        entries = [entry for entry in summary if entry["metric"] == metric and np.isfinite(entry["mean"])]
        if not entries:
            continue
        best = (min if metric in smaller else max)(entries, key=lambda entry: entry["mean"])
        own = next((entry for entry in entries if entry["model"] == first), None)
        told = "" if own is None or best is own else f"; {first} {own['mean']:.4f}"
        words.append(f"Best {metric}: {best['model']} {best['mean']:.4f}{told}{_apart(best, first)}.")
    sections = [Section("Table", [caption(dict(result))], tables=[main_frame(dict(result), "**{}**".format)])]
    pictures = [
        charts.intervals(
            [(entry["model"], entry) for entry in summary if entry["metric"] == metric],
            metric,
            f"{metric} by model: " + ", ".join(f"{e['model']} {e['mean']:.4f}" for e in summary if e["metric"] == metric) + ".",
            f"{metric}, mean and 95 % interval; {'smaller' if metric in smaller else 'larger'} is better.",
        )
        for metric in metrics[:4]
    ]
    sections.append(Section("Figures", charts=pictures))
    if len(result["models"]) > 1:
        sections.append(Section(f"Beside {first}", _losses(summary, first, smaller), tables=[difference_frame(dict(result))]))
    if result["world"]:
        said, parts = _policies(result["world"])
        words += said
        sections += parts
    if result["failed"]:
        sections.append(
            Section("Not finished", [f"{one['model']}, seed {one['seed']}: {one['reason']}" for one in result["failed"]])
        )
    return f"{', '.join(result['models'])} on {result['dataset']}", words, sections


def _apart(entry: Mapping[str, Any], first: str) -> str:
    gap = entry["difference"]
    if entry["model"] == first or gap is None:
        return ""
    return f" (difference {gap['mean']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}], q {gap['q']:.3f})"


def _losses(summary: Sequence[Mapping[str, Any]], first: str, smaller: set[str]) -> list[str]:
    """Where others beat the first model for sure."""
    lost = [
        f"{entry['model']} in {entry['metric']} by {abs(entry['difference']['mean']):.4f}"
        for entry in summary
        if differs(entry) and (entry["difference"]["mean"] < 0) == (entry["metric"] in smaller)
    ]
    if not any(entry["difference"] for entry in summary):
        return [
            f"Nothing could be compared with {first}: it has no figures, or there is one seed and no metric of single people."
        ]
    if not lost:
        return [f"No model is better than {first} in any metric beyond the false discovery rate of {LEVEL:.0%}."]
    return [f"{first} loses to " + "; ".join(lost) + "."]


# -- rollout ---------------------------------------------------------------------------------------------------------------


def _rollout(result: Mapping[str, Any]) -> tuple[str, list[str], list[Section]]:
    words, sections = _policies(result)
    return f"What policies do to people in the world {result['world']}", words, sections


def _policies(result: Mapping[str, Any]) -> tuple[list[str], list[Section]]:
    policies, usual = result["policies"], result["compared_with"]
    others = [name for name in policies if name != usual and name not in CEILINGS]
    own = [name for name in others if name.startswith(MODEL)] or others
    words = []
    for name in own:
        gap, base = policies[name]["difference"]["negative_day_share"], policies[usual]
        share, watch = policies[name]["negative_day_share"], policies[name]["watch_time"]["mean"]
        kept = watch / max(base["watch_time"]["mean"], 1e-9)
        worse = policies[name].get("worse_off_share", {}).get("mean", float("nan"))
        words.append(
            f"Under {name} {share['mean']:.1%} of the days are negative, under {usual} {base['negative_day_share']['mean']:.1%}: "
            f"{100 * gap['mean']:+.1f} points [{100 * gap['low']:+.1f}, {100 * gap['high']:+.1f}], with {kept:.1%} of the watch "
            f"time; {worse:.1%} of the people are worse off."
        )
    lost = [sentence for name in own for sentence in _lost(name, policies[name], usual)]
    frame = rollout_frame(dict(result)).rename_axis("figure").reset_index()
    shares = [(name, part["negative_day_share"]) for name, part in policies.items()]
    said = ", ".join(f"{name} {value['mean']:.1%}" for name, value in shares)
    pictures = [charts.trade_off(policies, usual)] if len(policies) > 1 else []
    pictures.append(
        charts.intervals(
            shares, "share of negative days", f"Share of negative days: {said}.", "Share of negative days, 95 %.", True
        )
    )
    sections = [Section("Engagement against negative days", [world_caption(dict(result)) + "."], pictures, [frame])]
    if own:
        nowhere = [f"In no figure is {' or '.join(own)} worse than {usual} for sure."]
        sections.append(Section(f"Where {MODEL} loses", lost or nowhere))
    if result.get("by_day"):
        fans = [charts.fan(result["by_day"], name) for name in dict.fromkeys([usual, *own]) if name in result["by_day"]]
        sections.append(Section("Valence by day", charts=fans))
    if result.get("survival"):
        sections.append(Section("How long bad episodes last", charts=[charts.survival(result["survival"])]))
    lines = []
    if "harms" in result:  # files written before it was do not say
        lines = harm_lines(dict(result)).splitlines()
    sections.append(Section("Who is worse off", lines, tables=[groups_frame(dict(result))]))
    return words, sections


def _lost(name: str, part: Mapping[str, Any], usual: str) -> list[str]:
    """The figures in which a policy is worse than the usual one beyond the interval."""
    found = []
    for figure, what in (COSTLY | WAVERING).items():
        gap = part["difference"].get(figure)
        if gap is None:
            continue
        worse = gap["high"] < 0 if figure in COSTLY else gap["low"] > 0
        if worse:
            found.append(f"{name}: {what} {gap['mean']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}] beside {usual}.")
    return found


# -- power -----------------------------------------------------------------------------------------------------------------


def _power(result: Mapping[str, Any]) -> tuple[str, list[str], list[Section]]:
    enough = result["enough"]
    words = [
        f"The effects are found in 80 % of the logs from {enough:,} people." if enough else "No size that was asked is enough."
    ]
    return (
        f"How many people the world {result['world']} takes",
        words,
        [Section("Sizes", tables=[_rounded(pd.DataFrame(result["sizes"]))])],
    )


# -- audit -----------------------------------------------------------------------------------------------------------------


def _audit(result: Mapping[str, Any]) -> tuple[str, list[str], list[Section]]:
    words, sections = [], []
    for name, arms in result["policies"].items():
        known = [arm for arm in arms if np.isfinite(arm["beyond_control"]["mean"])]
        if not known:
            continue
        strongest = max(known, key=lambda arm: arm["beyond_control"]["mean"])
        value = strongest["beyond_control"]
        words.append(
            f"{name}: of what puppets that dwell on {strongest['arm']} are shown, {100 * value['mean']:+.1f} points more "
            f"[{100 * value['low']:+.1f}, {100 * value['high']:+.1f}] are of it than by chance and by a label that means nothing "
            f"(the largest of {len(known)} arms, its interval not adjusted for that)."
        )
        rows = [(arm["arm"], arm["beyond_control"]) for arm in arms]
        said = ", ".join(f"{arm} {value['mean']:+.3f}" for arm, value in rows)
        what = "share of the slate beyond chance and control"
        chart = charts.intervals(rows, what, f"{name}, {what}: {said}.", f"{name}: {what}, 95 % over puppets.", True)
        sections.append(Section(name, charts=[chart]))
    sections.append(Section("All arms", log_lines_of_audit(result["log"]), tables=[audit_frame(dict(result))]))
    told = {name: said for name, said in result.get("leak", {}).items() if said}
    for name, said in told.items():
        text = [
            f"How well a bystander who sees a slate of {name} can tell whether its day was negative, as an AUC: 0.5 is chance, a "
            "star is above it beyond the interval. The stranger sees one slate, the acquaintance has seen the person's "
            f"others. {said['days']} held-out days of {said['people']} people."
        ]
        sections.append(Section("What a slate tells of a mood", text, tables=[leak_frame(dict(said))]))
    return f"What is shown to who dwells on one emotion, {result['config']['dataset']}", words, sections


# -- trial -----------------------------------------------------------------------------------------------------------------


def _trial(result: Mapping[str, Any]) -> tuple[str, list[str], list[Section]]:
    primary = next(iter(result["outcomes"].items()))
    name, found = primary
    words = [
        f"{found['meaning'].capitalize()}: {found['esmr']:.3f} under ESMR and {found['engagement']:.3f} under the engagement "
        f"ranking, difference {found['difference']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}].",
        bound_line(result),
        f"Harmed: {', '.join(result['harmed'])}." if result["harmed"] else "No subgroup that was asked after is harmed.",
    ]
    rows = [(other, one) for other, one in result["outcomes"].items()]
    said = ", ".join(f"{other} {one['difference']:+.3f}" for other, one in rows)
    means = [(other, {"mean": one["difference"], "low": one["low"], "high": one["high"]}) for other, one in rows]
    what = "difference, ESMR less engagement ranking"
    chart = charts.intervals(means, what, f"{what}: {said}.", f"{what.capitalize()}, each in its own unit.", True)
    sections = [
        Section("Outcomes", charts=[chart], tables=[outcome_frame(result)]),
        Section("People (CONSORT)", tables=[consort_frame(result)]),
    ]
    if result["subgroups"]:
        sections.append(Section(f"{name} in subgroups", tables=[subgroup_frame(result)]))
    sections.append(Section("The plan", [f"Hash {result['plan_hash']}, unit {result['unit']}, look {result['look']}."]))
    return f"Trial {result['plan']}", words, sections


def _rehearsal(result: Mapping[str, Any]) -> tuple[str, list[str], list[Section]]:
    words = [rehearsal_line(result)]
    if not result["acts"]:
        words.append("No effect is proven on the log of this world, so both arms are the engagement ranking.")
    return f"A trial rehearsed in the world {result['world']}", words, [Section("Trials", tables=[rehearsal_frame(result)])]


_PAGES: dict[str, Callable[[Mapping[str, Any]], tuple[str, list[str], list[Section]]]] = {
    "comparison": _comparison,
    "rollout": _rollout,
    "run": _run,
    "causal": _causal,
    "power": _power,
    "audit": _audit,
    "trial": _trial,
    "rehearsal": _rehearsal,
}


def _rounded(frame: pd.DataFrame) -> pd.DataFrame:
    def cell(value: Any) -> str:
        if isinstance(value, float | np.floating):
            return "" if not np.isfinite(value) else f"{value:.4f}"
        return "" if value is None else str(value)

    return frame.apply(lambda column: column.map(cell))
