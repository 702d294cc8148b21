"""The figures of a report page, as plotly takes them; colours of Okabe and Ito, which colour-blind readers tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recbole_esmr.report.page import Chart

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F7F")
"""Okabe and Ito (2008), without black and yellow, which vanish on dark or light paper."""

MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "pentagon")


def intervals(rows: Sequence[tuple[str, Mapping[str, float]]], axis: str, alt: str, caption: str, percent: bool = False) -> Chart:
    """A point with its interval for each row, one below the other.

    Args:
        rows: name, and ``mean``, ``low``, ``high``.
        axis: what is measured.
        alt, caption: of the figure.
        percent: whether the axis is a share.
    """
    rows = [(name, value) for name, value in rows if np.isfinite(value["mean"])][::-1]
    names = [name for name, _ in rows]
    data = [
        {
            "type": "scatter", "mode": "markers", "x": [value["mean"] for _, value in rows], "y": names, "showlegend": False,
            "marker": {"color": COLOURS[0], "size": 9}, "error_x": _reach([value for _, value in rows], COLOURS[0]),
            "hovertemplate": "%{y}: %{x:.4f}<extra></extra>",
        }
    ]  # fmt: skip
    layout = {"xaxis": {"title": {"text": axis}, **({"tickformat": ".1%"} if percent else {})}, "yaxis": {"type": "category"}}
    return Chart(data, layout, alt, caption, height=110 + 32 * len(rows))


def trade_off(policies: Mapping[str, Mapping[str, Any]], usual: str) -> Chart:
    """What each policy costs in watch time and brings in negative days, both less the compared policy's."""
    base, data = max(policies[usual]["watch_time"]["mean"], 1e-9), []
    others = [name for name in policies if name != usual]
    for number, name in enumerate(others):
        cost, brought = (
            {end: 100 * value / unit for end, value in policies[name]["difference"][key].items()}
            for key, unit in (("watch_time", base), ("negative_day_share", 1.0))
        )
        colour = COLOURS[number % len(COLOURS)]
        data.append(
            {
                "type": "scatter", "mode": "markers", "x": [cost["mean"]], "y": [brought["mean"]], "name": name,
                "marker": {"color": colour, "size": 11, "symbol": MARKS[number % len(MARKS)]},
                "error_x": _reach([cost], colour), "error_y": _reach([brought], colour),
            }
        )  # fmt: skip
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": [0],
            "y": [0],
            "name": usual,
            "marker": {"color": "ink", "symbol": "x", "size": 9},
        }
    )
    layout = {
        "xaxis": {"title": {"text": f"watch time, % more or less than {usual}"}},
        "yaxis": {"title": {"text": f"negative days, points more or less than {usual}"}},
    }
    alt = f"Watch time and negative days of {', '.join(others)}, each less those of {usual}, with 95 % intervals."
    return Chart(data, layout, alt, "Lower is fewer negative days; further right is more watch time. 95 % intervals.", 430)


def fan(by_day: Mapping[str, Sequence[Sequence[float]]], name: str) -> Chart:
    """Valence by day under one policy: the median person, the middle half, the middle eight tenths."""
    low, quarter, middle, upper, high = by_day[name]
    day, colour = list(range(1, len(middle) + 1)), COLOURS[0]
    band = {"type": "scatter", "mode": "lines", "x": day, "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    data: list[dict[str, Any]] = [
        {**band, "y": low},
        {**band, "y": high, "fill": "tonexty", "fillcolor": "rgba(0,114,178,0.18)", "showlegend": True, "name": "8 of 10 people"},
        {**band, "y": quarter},
        {
            **band,
            "y": upper,
            "fill": "tonexty",
            "fillcolor": "rgba(0,114,178,0.32)",
            "showlegend": True,
            "name": "half of the people",
        },
        {"type": "scatter", "mode": "lines", "x": day, "y": middle, "line": {"color": colour}, "name": "median"},
    ]
    layout = {"xaxis": {"title": {"text": "day"}}, "yaxis": {"title": {"text": "valence"}, "range": [-1, 1]}}
    alt = f"Valence over {len(day)} days under {name}: the median goes from {middle[0]:+.2f} to {middle[-1]:+.2f}."
    return Chart(data, layout, alt, f"Valence of the people by day, under {name}.", 300)


def survival(curves: Mapping[str, Sequence[float]]) -> Chart:
    """Share of negative episodes that last longer than so many days, a line a policy (Kaplan–Meier)."""
    dashes = ("solid", "dash", "dot", "dashdot", "longdash")
    data = [
        {
            "type": "scatter", "mode": "lines", "x": list(range(min(len(curve), 15))), "y": list(curve)[:15], "name": name,
            "line": {"shape": "hv", "color": COLOURS[n % len(COLOURS)], "dash": dashes[n % len(dashes)]},
        }
        for n, (name, curve) in enumerate(curves.items())
    ]  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "days since the episode began"}, "range": [0, 14]},
        "yaxis": {"title": {"text": "share still negative"}, "range": [0, 1.02]},
    }
    after = {name: curve[3] for name, curve in curves.items() if len(curve) > 3}
    said = ", ".join(f"{name} {share:.0%}" for name, share in after.items())
    return Chart(
        data, layout, f"Negative episodes that last longer than three days: {said}.", "How long a negative episode lasts."
    )


def forest(effects: Sequence[Mapping[str, Any]], outcome: str, states: Sequence[str] = ("all",)) -> Chart | None:
    """Effects on one outcome with their intervals, the naive association beside each; hollow where it is not used."""
    rows = [e for e in effects if e["outcome"] == outcome and e["treatment"] != "time_spent" and e["state"] in states][::-1]
    if not rows:
        return None
    names = [effect["treatment"].replace("exposure_", "").replace("_", " ") for effect in rows]
    used = [bool(effect["weight"]) for effect in rows]
    ends = [{"mean": effect["estimate"], "low": effect["low"], "high": effect["high"]} for effect in rows]
    data = [
        {
            "type": "scatter", "mode": "markers", "x": [end["mean"] for end in ends], "y": names, "name": "effect, 95 %",
            "marker": {"color": COLOURS[0], "size": 9, "symbol": ["circle" if one else "circle-open" for one in used]},
            "error_x": _reach(ends, COLOURS[0]),
        },
        {
            "type": "scatter", "mode": "markers", "x": [effect["naive"] for effect in rows], "y": names, "name": "naive",
            "marker": {"color": COLOURS[1], "size": 9, "symbol": "x"},
        },
    ]  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": f"change of tomorrow's {outcome} for +0.1 exposure"}},
        "yaxis": {"type": "category"},
        "legend": {"y": -90 / (110 + 26 * len(rows))},
    }
    alt = "; ".join(
        f"{name} {end['mean']:+.3f} [{end['low']:+.3f}, {end['high']:+.3f}]"
        for name, end in zip(names[::-1], ends[::-1], strict=True)
    )
    caption = f"Effects on tomorrow's {outcome} and naive associations. Full circles: what the reward uses."
    return Chart(data, layout, f"Effects on tomorrow's {outcome}: {alt}.", caption, height=150 + 26 * len(rows))


def reliability(bins: Sequence[Mapping[str, float]]) -> Chart:
    """Observed frequency of negative days by their forecast chance."""
    forecast, observed = ([part[name] for part in bins] for name in ("forecast", "observed"))
    data = [
        {
            "type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "name": "as forecast",
            "line": {"color": COLOURS[7], "width": 1},
        },
        {
            "type": "scatter", "mode": "lines+markers", "x": forecast, "y": observed, "name": "observed",
            "text": [f"{part['days']} days" for part in bins], "line": {"color": COLOURS[0]},
        },
    ]  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "forecast chance of a negative day"}, "range": [0, 1]},
        "yaxis": {"title": {"text": "observed frequency"}, "range": [0, 1.02]},
    }
    said = ", ".join(f"{one:.2f} forecast {other:.2f} observed" for one, other in zip(forecast, observed, strict=True))
    return Chart(data, layout, f"Reliability of the forecast of a negative day: {said}.", "Reliability of tomorrow's forecast.")


def _reach(values: Sequence[Mapping[str, float]], colour: str) -> dict[str, Any]:
    up, down = (
        [float(np.nan_to_num(max(sign * (value[end] - value["mean"]), 0.0))) for value in values]
        for end, sign in (("high", 1), ("low", -1))
    )
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "color": colour, "thickness": 1.5}
