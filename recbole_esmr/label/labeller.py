"""What a labeller is, and what it may say of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from recbole_esmr.errors import DataError, nearest

ROUNDED = 0.01
"""How far shares may miss a sum of 1."""

ROUNDING = 1e-9
"""How far a number may miss its range: a program counts in binary."""


@dataclass(frozen=True)
class Label:
    """What one text expresses.

    Attributes:
        share: of each emotion, adding up to 1; emotions that are not named have 0.
        intensity: in [0, 1].
        evidence: words of the text with their part in it.
    """

    share: dict[str, float]
    intensity: float = 1.0
    evidence: tuple[tuple[str, float], ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        return {"share": self.share, "intensity": self.intensity, "evidence": [list(pair) for pair in self.evidence]}


class Labeller(Protocol):
    """Says what texts express.

    Attributes:
        name: with its version: labels are kept by it and by the text.
        emotions: the labels that it gives, with valence and arousal.
        english: whether it reads English alone.
    """

    name: str
    emotions: dict[str, list[float]]
    english: bool

    def label(self, texts: Sequence[str]) -> Iterator[Label]:
        """One label a text, in order."""
        ...


def checked_label(said: Any, emotions: Sequence[str], where: str) -> Label:
    """A label as JSON, checked.

    Args:
        said: ``{"share": {emotion: number}, "intensity": number, "evidence": [[word, number], …]}``; the last two are optional.
        emotions: that may be named.
        where: it was said, for the message.

    Raises:
        DataError: what is wrong with it, and what is expected.
    """
    if not isinstance(said, dict) or not isinstance(said.get("share"), dict):
        raise DataError(f'{where}: no object with "share"; expected such as {{"share": {{"{emotions[0]}": 1}}}}.')
    unknown = [str(key) for key in said if key not in ("id", "share", "intensity", "evidence")]
    if unknown:
        raise DataError(f"{where}: unknown key '{unknown[0]}'. {nearest(unknown[0], ('share', 'intensity', 'evidence'))}")
    share = {str(name): _number(value, f"{where}: share of '{name}'") for name, value in said["share"].items()}
    for name in share:
        if name not in emotions:
            raise DataError(f"{where}: '{name}' is no emotion of this labeller. {nearest(name, emotions)}")
    total = sum(share.values())
    if abs(total - 1) > ROUNDED:
        raise DataError(f"{where}: the shares add up to {total:g}; expected 1.")
    evidence = said.get("evidence", [])
    if not isinstance(evidence, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in evidence
    ):
        raise DataError(f'{where}: evidence is no list of [word, number], such as [["awful", -0.4]].')
    words = tuple((word, _number(part, f"{where}: evidence '{word}'", low=-1e6, high=1e6)) for word, part in evidence)
    intensity = _number(said.get("intensity", 1.0), f"{where}: intensity")
    return Label({name: value / total for name, value in share.items()}, intensity, words)


def _number(value: Any, where: str, low: float = 0.0, high: float = 1.0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low - ROUNDING <= value <= high + ROUNDING:
        raise DataError(f"{where}: {value!r}; expected a number in [{low:g}, {high:g}].")
    return float(min(max(value, low), high))
