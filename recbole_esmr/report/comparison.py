"""The table of a comparison, as a paper prints it: Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.files import write_json
from recbole_esmr.folders import written_together
from recbole_esmr.report.tables import csv_text, markdown, rollout_frame

COSTS = {"train_seconds": ("train s", 1), "test_seconds": ("test s", 1), "peak_mb": ("peak MB", 0)}
"""Columns of the rows that are no metrics: their titles, and digits."""

LEVEL = 0.05
"""False discovery rate below which a difference has a star."""

_LATEX = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}"}
_LATEX |= {"^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "±": r"$\pm$", "<": r"$<$", ">": r"$>$"}


def main_frame(result: dict[str, Any], bold: Callable[[str], str] = str) -> pd.DataFrame:
    """One row a model, one column a metric: mean ± SD over seeds, the best of each in ``bold``, a star where it differs.

    Args:
        result: what ``comparison.json`` holds.
        bold: marks a cell.
    """
    entries = {(entry["model"], entry["metric"]): entry for entry in result["summary"]}
    models = list(dict.fromkeys(model for model, _ in entries))
    rows: list[dict[str, str]] = [{"model": model} for model in models]
    for metric in dict.fromkeys(metric for _, metric in entries):
        means = np.array([entries[model, metric]["mean"] for model in models])
        if not np.isfinite(means).any():
            continue
        best = np.nanmin(means) if metric in result["smaller_is_better"] else np.nanmax(means)
        for row, model, mean in zip(rows, models, means, strict=True):
            entry = entries[model, metric]
            text = f"{mean:.4f}" if not np.isfinite(entry["sd"]) else f"{mean:.4f} ± {entry['sd']:.4f}"
            row[metric] = (bold(text) if np.round(mean, 4) == np.round(best, 4) else text) + ("*" if differs(entry) else "")
    costs = pd.DataFrame(result["rows"]).groupby("model", sort=False)[list(COSTS)].mean() if result["rows"] else pd.DataFrame()
    for row in rows:
        for name, (title, digits) in COSTS.items():
            row[title] = f"{costs.loc[row['model'], name]:.{digits}f}"
    return pd.DataFrame(rows)


def difference_frame(result: dict[str, Any]) -> pd.DataFrame:
    """One row a model and metric but the first model's: its mean with interval, the paired difference, p and q."""
    rows = []
    for entry in result["summary"]:
        gap = entry["difference"]
        rows.append(
            {"model": entry["model"], "metric": entry["metric"], "mean [95 %]": _interval(entry)}
            | {f"less {result['models'][0]} [95 %]": _interval(gap, "+") if gap else "-"}
            | {"p": _p(gap and gap["p"]), "q": _p(gap and gap["q"]), "over": gap["over"] if gap else entry["over"]}
        )
    return pd.DataFrame(rows)


def differs(entry: Mapping[str, Any]) -> bool:
    """Whether a model's metric is another than the first model's, by :data:`LEVEL`."""
    return bool(entry["difference"] and entry["difference"]["q"] < LEVEL)


def _interval(value: Mapping[str, float], sign: str = "") -> str:
    if not np.isfinite(value["low"]):
        return f"{value['mean']:{sign}.4f}"
    return f"{value['mean']:{sign}.4f} [{value['low']:{sign}.4f}, {value['high']:{sign}.4f}]"


def _p(value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def caption(result: dict[str, Any]) -> str:
    """What the table shows, of what, how it was split, and with what it was made."""
    seeds, first, versions = result["seeds"], result["models"][0], result["versions"]
    said = ", ".join(f"{name} {version}" for name, version in versions.items() if name in ("recbole", "torch", "recbole-esmr"))
    evaluation = result["protocol"]["eval_args"]
    split = ", ".join(f"{key} {value}" for key, value in evaluation["split"].items())
    order = "ordered by time" if evaluation["order"] == "TO" else "in random order"
    means = "mean ± SD over them" if len(seeds) > 1 else "one seed"
    those = ", ".join(map(str, seeds))
    return (
        f"{result['dataset']}, split {split}, {order}; seeds {those}: {means}, the best in bold. * differs from "
        f"{first} (paired, false discovery rate below {LEVEL:g}). Cost is the mean of a seed on {result['threads']} "
        f"thread{'s' if result['threads'] > 1 else ''}. {said}."
    )


def comparison_text(result: dict[str, Any]) -> str:
    """All of a comparison in Markdown: the table, the differences, what they do to people in a world, every seed."""
    parts = [caption(result), "", markdown(main_frame(result, "**{}**".format))]
    parts += [f"NOTE {note}\n" for note in result["notes"]]
    if len(result["models"]) > 1:
        parts += [f"Each model beside {result['models'][0]}", "", markdown(difference_frame(result))]
    if result["world"]:
        parts += [world_caption(result["world"]), "", markdown(world_frame(result["world"]))]
    failed = [{"model": row["model"], "seed": row["seed"], "failed": row["reason"]} for row in result["failed"]]
    parts += ["Each seed", "", markdown(pd.DataFrame([*result["rows"], *failed]))]
    return "\n".join(parts)


def world_caption(world: dict[str, Any]) -> str:
    """What the closed loop was."""
    size = world["config"]
    return (
        f"In the world {world['world']}: {size['users']} people live {size['log_days']} days under the platform's feed, on which "
        f"each model is trained, and {size['days']} days under it; seeds {', '.join(map(str, world['seed']))}; mean [95 % "
        f"interval], * the paired difference from {world['compared_with']} does not hold 0"
    )


def world_frame(world: dict[str, Any]) -> pd.DataFrame:
    """One row a policy, one column a figure."""
    frame = rollout_frame(world).T
    frame.insert(0, "policy", frame.index)
    return frame


def latex(result: dict[str, Any]) -> str:
    """The table for a paper, with booktabs' rules."""
    frame = main_frame(result, "\x02{}\x03".format).map(_latex)
    frame.columns = [_latex(name) for name in frame.columns]
    text = frame.to_latex(
        index=False,
        escape=False,
        caption=_latex(caption(result)),
        label="tab:comparison",
        column_format="l" + "r" * (frame.shape[1] - 1),
    )
    return "% needs \\usepackage{booktabs}\n" + text


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(letter, letter) for letter in text)
    return escaped.replace("\x02", r"\textbf{").replace("\x03", "}")


def write_comparison(frame: pd.DataFrame, result: dict[str, Any], folder: str | Path) -> list[Path]:
    """Write a comparison as CSV (every seed), Markdown, LaTeX and JSON, all at once; returns the paths."""
    content = {"comparison.csv": csv_text(frame), "comparison.md": comparison_text(result), "comparison.tex": latex(result)}
    with written_together(folder) as new:
        for name, text in content.items():
            (new / name).write_text(text, encoding="utf-8")
        write_json(new / "comparison.json", result)
    return [Path(folder) / name for name in (*content, "comparison.json")]


def failures(failed: Sequence[Mapping[str, Any]]) -> str:
    """What did not finish, in one line."""
    return "; ".join(f"{row['model']}, seed {row['seed']}: {row['reason']}" for row in failed)
