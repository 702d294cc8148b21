"""Figures: lives under several policies, and traces of a world. matplotlib is imported only here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recbole_esmr.files import written_whole

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


def save_tradeoff(path: str | Path, policies: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Watch time against the share of negative days with 95 % intervals, a point a policy; better is lower and further right.

    Args:
        path: image file.
        policies: of ``rollout.json``.
    """

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        for name, figures in policies.items():
            x, y = figures["watch_time"], figures["negative_day_share"]
            bars = {"xerr": _reach(x), "yerr": _reach(y)}
            axis.errorbar(x["mean"], y["mean"], fmt="o", capsize=3, label=name, **bars)
        axis.set(xlabel="watch minutes a day and person", ylabel="share of negative days")
        axis.legend(frameon=False)

    _save(path, draw)


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
    folder = Path(folder)
    paths = [folder / f"{name}.png" for name in ("valence_by_day", "episode_survival", "watch_time_and_negative_days")]
    save_fan_chart(paths[0], by_day)
    save_survival(paths[1], curves)
    save_tradeoff(paths[2], result["policies"])
    return paths


def save_forecast(folder: str | Path, diagnostics: Mapping[str, Any]) -> list[Path]:
    """Reliability of the negative-day forecast, and the confusion of tomorrow's emotion; returns the paths.

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

    paths = [Path(folder) / "reliability.png", Path(folder) / "confusion.png"]
    _save(paths[0], reliability, width=4.0, height=4.0)
    _save(paths[1], confusion, width=5.0, height=5.0)
    return paths


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
