"""Curves and figures of every stage, in TensorBoard, and in Weights and Biases where it is configured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Note = Callable[[Mapping[str, float], int], None]
"""Takes note of the figures of a step by their names."""


def unnoted(figures: Mapping[str, float], step: int) -> None:
    """Takes no note."""


def noted_by(trainer: Any, stage: str) -> Note:
    """Notes as ``stage/name``, where RecBole's trainer writes its own."""

    def note(figures: Mapping[str, float], step: int) -> None:
        known = {name: float(value) for name, value in figures.items() if math.isfinite(value)}
        for name, value in known.items():
            trainer.tensorboard.add_scalar(f"{stage}/{name}", value, step)
        if known:
            trainer.wandblogger.log_metrics({**known, f"{stage}_step": step}, head=stage)

    return note


def figures_in(tree: Mapping[str, Any] | None, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The single numbers in nested mappings, by the path of their names."""
    for name, value in (tree or {}).items():
        if isinstance(value, Mapping):
            yield from figures_in(value, f"{prefix}{name}_")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", float(value)
