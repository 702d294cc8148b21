"""Figures: rollouts under several policies, and traces of a world. matplotlib is imported only here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recbole_esmr.folders import written_together
from recbole_esmr.writing import written_whole

WIDTH = 7.0
"""Width of a figure in inches: a text width of most papers."""


def save_fan_chart(path: str | Path, by_day: Mapping[str, np.ndarray]) -> None:
    """Valence over the days, one panel a policy: the median person, the middle half and the middle eight tenths.

    Args:
        path: image file; its suffix is the format.
        by_day: by policy, (5, D) quantiles 0.1, 0.25, 0.5, 0.75, 0.9.
    """

    def draw(figure: Any) -> None:
        axes = figure.subplots(1, len(by_day), sharey=True, squeeze=False)[0]
        for axis, (name, bands) in zip(axes, by_day.items(), strict=True):
            day = np.arange(1, bands.shape[1] + 1)
            axis.fill_between(day, bands[0], bands[4], alpha=0.2, color="tab:blue", linewidth=0)
            axis.fill_between(day, bands[1], bands[3], alpha=0.35, color="tab:blue", linewidth=0)
            axis.plot(day, bands[2], color="tab:blue")
            axis.axhline(0, color="black", linewidth=0.6)
            axis.set(title=name, xlabel="day")
        axes[0].set_ylabel("valence")

    _save(path, draw, width=max(WIDTH, 1.7 * len(by_day)), height=2.8)


def save_survival(path: str | Path, curves: Mapping[str, np.ndarray]) -> None:
    """Share of negative episodes that last longer than 0, 1, 2, … days (Kaplan–Meier), a line a policy."""

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        for name, curve in curves.items():
            axis.step(np.arange(len(curve)), curve, where="post", label=name)
        axis.set(xlabel="days since the episode began", ylabel="share still negative", ylim=(0, 1), xlim=(0, 14))
        axis.legend(frameon=False)

    _save(path, draw)


def save_tradeoff(path: str | Path, policies: Mapping[str, Mapping[str, Any]], usual: str) -> None:
    """What each policy costs and brings: paired differences from ``usual``, 95 % intervals; better is lower and further right.

    Args:
        path: image file.
        policies: of ``rollout.json``.
        usual: the policy that the others are compared with; it stands at (0, 0).
    """
    base = policies[usual]["watch_time"]["mean"]

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        for number, (name, found) in enumerate((n, p) for n, p in policies.items() if n != usual):
            x, y = (
                {end: 100 * value / unit for end, value in found["difference"][key].items()}
                for key, unit in (("watch_time", max(base, 1e-9)), ("negative_day_share", 1.0))
            )
            bars, mark = {"xerr": _reach(x), "yerr": _reach(y)}, "os^Dv"[number // 10 % 5]
            axis.errorbar(x["mean"], y["mean"], fmt=mark, capsize=2, elinewidth=1, label=name, **bars)
        axis.plot(0, 0, "k+", markersize=12, label=usual)
        axis.set(xlabel=f"watch time, % more or less than {usual}", ylabel="negative days, % points")
        figure.legend(frameon=False, loc="outside right upper", fontsize="small")

    _save(path, draw, width=1.3 * WIDTH, height=4.2)


def save_traces(path: str | Path, valence: np.ndarray, vulnerable: Sequence[bool]) -> None:
    """Daily valence of some people, a small panel each; the vulnerable in another colour.

    Args:
        path: image file.
        valence: (U, D).
        vulnerable: (U,).
    """

    def draw(figure: Any) -> None:
        rows = -(-len(valence) // 5)
        axes = figure.subplots(rows, 5, sharex=True, sharey=True, squeeze=False).ravel()
        for axis, trace, at_risk in zip(axes, valence, vulnerable, strict=False):
            axis.plot(np.arange(1, len(trace) + 1), trace, color="tab:red" if at_risk else "tab:blue", linewidth=1)
            axis.axhline(0, color="black", linewidth=0.5)
            axis.set(ylim=(-1, 1))
        figure.supxlabel("day")
        figure.supylabel("valence")

    _save(path, draw, height=5.0)


def save_rollout(
    folder: str | Path, result: dict[str, Any], by_day: Mapping[str, np.ndarray], curves: Mapping[str, np.ndarray]
) -> list[Path]:
    """The three figures of a rollout into a folder; returns their paths."""
    names = [f"{name}.png" for name in ("valence_by_day", "episode_survival", "watch_time_and_negative_days")]
    with written_together(folder) as new:
        save_fan_chart(new / names[0], by_day)
        save_survival(new / names[1], curves)
        save_tradeoff(new / names[2], result["policies"], result["compared_with"])
    return [Path(folder) / name for name in names]


def save_forecast(folder: str | Path, diagnostics: Mapping[str, Any]) -> list[Path]:
    """Reliability of the negative-day forecast, and, where emotions were named, the confusion of tomorrow's; returns the paths.

    Args:
        folder: where to.
        diagnostics: of ``run.json``.
    """
    bins, labels = diagnostics["reliability"], diagnostics["labels"]

    def reliability(figure: Any) -> None:
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], color="black", linewidth=0.6)
        size = [bin["days"] for bin in bins]
        axis.plot([bin["forecast"] for bin in bins], [bin["observed"] for bin in bins], marker="o")
        for bin, days in zip(bins, size, strict=True):
            axis.annotate(str(days), (bin["forecast"], bin["observed"]), textcoords="offset points", xytext=(4, -10), fontsize=7)
        axis.set(xlabel="forecast chance of a negative day", ylabel="observed frequency", xlim=(0, 1), ylim=(0, 1))

    def confusion(figure: Any) -> None:
        axis = figure.subplots()
        counts = np.array(diagnostics["confusion"], dtype=float)
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axis.imshow(share, vmin=0, vmax=1, cmap="Blues")
        axis.set(xlabel="likeliest forecast", ylabel="reported emotion")
        axis.set_xticks(range(len(labels)), labels, rotation=60, ha="right")
        axis.set_yticks(range(len(labels)), [f"{name} ({int(row.sum())})" for name, row in zip(labels, counts, strict=True)])

    names = ["reliability.png", "confusion.png"] if labels else ["reliability.png"]
    with written_together(folder) as new:
        _save(new / names[0], reliability, width=4.0, height=4.0)
        if labels:
            _save(new / names[-1], confusion, width=5.0, height=5.0)
    return [Path(folder) / name for name in names]


def save_forest(path: str | Path, effects: Sequence[Mapping[str, Any]], outcome: str = "valence") -> None:
    """Every effect on one outcome with its interval; the back-door and the naive estimate beside it. Hollow: weight 0.

    Args:
        path: image file.
        effects: of ``effects.json``.
        outcome: whose effects.
    """
    rows = [effect for effect in effects if effect["outcome"] == outcome and effect["treatment"] != "time_spent"]

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        for place, effect in enumerate(reversed(rows)):
            interval = {"mean": effect["estimate"], "low": effect["low"], "high": effect["high"]}
            face = "tab:blue" if effect["weight"] else "white"
            axis.errorbar(
                effect["estimate"], place, xerr=_reach(interval), fmt="o", color="tab:blue", markerfacecolor=face, capsize=2,
                label="effect, interval" if place == 0 else None,
            )  # fmt: skip
            if effect["identified_by"] == "slate":
                label = "back-door" if place == 0 else None
                axis.plot(effect["backdoor"]["estimate"], place, "s", color="tab:orange", markersize=4, label=label)
            axis.plot(effect["naive"], place, "x", color="tab:red", label="naive" if place == 0 else None)
        names = [f"{effect['treatment'].replace('_', ' ')}, {effect['state']}" for effect in reversed(rows)]
        axis.set_yticks(range(len(rows)), names)
        axis.axvline(0, color="black", linewidth=0.6)
        axis.set(xlabel=f"change of tomorrow's {outcome} for +0.1 exposure")
        axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))

    _save(path, draw, height=1.2 + 0.28 * len(rows))


def save_moments(path: str | Path, effects: Sequence[Mapping[str, Any]]) -> None:
    """Effects of the moment: among items drawn at random, among chosen ones, and the naive slope, one row a trait and outcome.

    Args:
        path: image file.
        effects: of ``moments`` in ``effects.json``; each is drawn in SDs of its treatment, so that one axis holds them all.
    """

    def draw(figure: Any) -> None:
        axis, labelled = figure.subplots(), set()
        for place, effect in enumerate(reversed(effects)):
            for part, shift, color in (("random", 0.15, "tab:blue"), ("chosen", -0.15, "tab:orange")):
                if effect[part]:
                    mean, low, high = (effect["spread"] * effect[part][name] for name in ("estimate", "low", "high"))
                    label = None if part in labelled else f"{part} items, interval"
                    labelled.add(part)
                    reach = [[mean - low], [high - mean]]
                    axis.errorbar(mean, place + shift, xerr=reach, fmt="o", color=color, capsize=2, label=label)
            if np.isfinite(effect["naive"]):
                label = None if "naive" in labelled else "chosen items, naive"
                labelled.add("naive")
                axis.plot(effect["spread"] * effect["naive"], place - 0.15, "x", color="tab:red", label=label)
        names = [f"{effect['treatment']} → {effect['outcome'].replace('_', ' ')}" for effect in reversed(effects)]
        axis.set_yticks(range(len(effects)), names)
        axis.axvline(0, color="black", linewidth=0.6)
        axis.set(xlabel="change just after the item, for 1 SD of the treatment")
        axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))

    _save(path, draw, height=1.2 + 0.4 * len(effects))


def save_causal_graph(path: str | Path, edges: Sequence[Mapping[str, Any]], least: float = 0.5, most: int = 30) -> None:
    """The discovered graph in columns by time; the more samples have an edge the darker it is.

    Args:
        path: image file.
        edges: of ``effects.json``: cause, effect, stability.
        least: smallest stability that is drawn.
        most: edges that are drawn at most, the strongest; a picture of all would be black.
    """
    drawn = sorted((e for e in edges if e["stability"] >= least), key=lambda e: -abs(e["weight"]))[:most]
    names = sorted({name for edge in drawn for name in (edge["cause"], edge["effect"])})
    causes = {edge["cause"] for edge in drawn}

    def column(name: str) -> int:
        if name.startswith("next_"):
            return 3
        if name.startswith("shown_"):
            return 1
        return 2 if name in ("negative_exposure", "positive_exposure", "time_spent") else 0

    columns = [[name for name in names if column(name) == number] for number in range(4)]
    columns[0].sort(key=lambda name: name not in causes)
    place = {
        name: (2.2 * number, -(row + 0.5) / len(members))
        for number, members in enumerate(columns)
        for row, name in enumerate(members)
    }

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        frame = {"boxstyle": "round", "facecolor": "white", "edgecolor": "gray"}
        box = {
            name: axis.text(x, y, name.replace("_", " "), ha="center", va="center", fontsize=7, bbox=frame).get_bbox_patch()
            for name, (x, y) in place.items()
        }
        for edge in drawn:
            style = {
                "arrowstyle": "->", "color": "tab:blue" if edge["weight"] >= 0 else "tab:red", "alpha": edge["stability"] ** 2,
                "patchA": box[edge["cause"]], "patchB": box[edge["effect"]], "shrinkA": 1, "shrinkB": 1,
            }  # fmt: skip
            axis.annotate("", place[edge["effect"]], place[edge["cause"]], arrowprops=style)
        axis.text(-1, -1.02, "blue raises, red lowers; the paler, the fewer samples have the edge", fontsize=7)
        for number, title in enumerate(("before", "shown", "watched", "tomorrow")):
            axis.text(2.2 * number, 0.05, title, ha="center", weight="bold")
        axis.set(xlim=(-1, 7.6), ylim=(-1.05, 0.12))
        axis.axis("off")

    _save(path, draw, width=9.0, height=max(4.0, 0.4 * max(map(len, columns))))


def save_effects(
    folder: str | Path,
    effects: Sequence[Mapping[str, Any]],
    edges: Sequence[Mapping[str, Any]],
    moments: Sequence[Mapping[str, Any]] = (),
) -> list[Path]:
    """Forest plots of the two mood outcomes, of the moment, and the discovered graph, where there are such; returns the paths."""
    names = []
    with written_together(folder) as new:
        for outcome in ("valence", "negative"):
            if any(effect["outcome"] == outcome and effect["treatment"] != "time_spent" for effect in effects):
                names.append(f"effects_on_{outcome}.png")
                save_forest(new / names[-1], effects, outcome)
        if moments:
            names.append("effects_of_the_moment.png")
            save_moments(new / names[-1], moments)
        if edges:
            names.append("graph.png")
            save_causal_graph(new / names[-1], edges)
    return [Path(folder) / name for name in names]


def save_power(folder: str | Path, result: Mapping[str, Any]) -> Path:
    """Share of the logs that find the effects, and their reach, by people; returns the path."""
    sizes = result["sizes"]

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        people = [row["people"] for row in sizes]
        for name, label in (("found", "logs that find the effects"), ("reach", "reach, mean")):
            axes.plot(people, [row[name] for row in sizes], marker="o", label=label)
        axes.axhline(0.8, color="0.7", linewidth=1)
        axes.set(xscale="log", ylim=(-0.05, 1.05), xlabel="people in the log", ylabel="share")
        axes.set_title(f"World {result['world']}, {result['config']['days']} days, {result['config']['logs']} logs a size")
        axes.legend()

    with written_together(folder) as new:
        _save(new / "power.png", draw)
    return Path(folder) / "power.png"


def _reach(interval: Mapping[str, float]) -> np.ndarray:
    ends = [[interval["mean"] - interval["low"]], [interval["high"] - interval["mean"]]]
    return np.maximum(np.nan_to_num(np.array(ends, dtype=float)), 0)


def _save(path: str | Path, draw: Callable[[Any], None], width: float = WIDTH, height: float = 3.5) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format=Path(path).suffix.lstrip(".") or "png", dpi=150)
