"""Tables of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from recbole_esmr.files import written_whole


def run_table(result: dict[str, Any]) -> str:
    """The result of one run for the terminal: RecBole's metrics, and for ESMR each forecaster, effect and the policy."""
    parts = [f"{result['model']} on {result['dataset']}, seed {result['seed']}", ""]
    metrics = pd.DataFrame([result["best_valid_result"] or {}, result["test_result"]], index=["validation", "test"])
    parts += [_text(metrics, index=True)]
    if result["emotion"]:
        parts += [
            "",
            "Emotion on the test days (nowcast: today; the rest: tomorrow)",
            _text(emotion_frame(result["emotion"]), True),
        ]
    if result["engagement"]:
        parts += ["", "Engagement on the test days", _text(pd.DataFrame([result["engagement"]]))]
    if result["causal"] and result["causal"]["effects"]:
        parts += ["", "Effect of +0.1 exposure on tomorrow (weight: what the reward uses)", _text(effect_frame(result["causal"]))]
    if result["policy"]:
        policy = result["policy"]
        parts += [
            "",
            f"Policy: reward {policy['reward']}, gate {policy['gate']}, acted on {policy['acted_share']:.1%} of the test days",
        ]
    return "\n".join(parts)


def emotion_frame(emotion: dict[str, Any]) -> pd.DataFrame:
    """One row a forecaster: the encoder first, then its opponents."""
    said = {"ESMR encoder": emotion, **emotion["baselines"]}
    return pd.DataFrame(
        {name: {"nowcast_accuracy": part["nowcast"]["accuracy"], **part["forecast"]} for name, part in said.items()}
    ).T


def effect_frame(causal: dict[str, Any]) -> pd.DataFrame:
    """One row an effect: estimate, interval, naive association, refutations passed, weight."""
    columns = ["treatment", "outcome", "state", "estimate", "low", "high", "naive", "passed", "weight", "n_user_days"]
    return pd.DataFrame(causal["effects"])[columns]


def write_comparison(frame: pd.DataFrame, folder: str | Path) -> list[Path]:
    """Write a comparison as CSV, Markdown and LaTeX; returns the paths. Files appear whole or not at all."""
    content = {
        "comparison.csv": frame.to_csv(index=False),
        "comparison.md": markdown(frame),
        "comparison.tex": frame.to_latex(index=False, float_format="%.4f", escape=True),
    }
    paths = []
    for name, text in content.items():
        with written_whole(Path(folder) / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        paths.append(Path(folder) / name)
    return paths


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table."""
    rows = [list(frame.columns), ["---"] * frame.shape[1], *([_cell(cell) for cell in row] for row in frame.to_numpy().tolist())]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows) + "\n"


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _text(frame: pd.DataFrame, index: bool = False) -> str:
    return frame.to_string(index=index, float_format=lambda value: f"{value:.4f}")
