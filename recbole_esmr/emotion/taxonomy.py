"""Emotion labels and where they lie in the circumplex of valence and arousal (Russell 1980)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recbole_esmr.errors import ConfigError, UnknownNameError, nearest
from recbole_esmr.files import read_yaml, shipped, shipped_names
from recbole_esmr.values import shown

MOST = 1_000
"""Emotions that a taxonomy may have."""


@dataclass(frozen=True)
class Taxonomy:
    """An ordered set of emotion labels.

    Attributes:
        name: its name, the path it was read from, or its first labels where it was given as a table.
        labels: shape (E,), the label of each code.
        valence: shape (E,), unpleasant −1 … pleasant +1.
        arousal: shape (E,), calm −1 … activated +1.
    """

    name: str
    labels: tuple[str, ...]
    valence: np.ndarray
    arousal: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def negative(self) -> np.ndarray:
        """shape (E,), bool: the labels with valence < 0."""
        return self.valence < 0

    @property
    def setting(self) -> str | dict[str, list[float]]:
        """What ``emotion_taxonomy`` says of it wherever it is read: a shipped name, else the table itself."""
        if self.name in shipped_names("emotion"):
            return self.name
        places = zip(self.valence.tolist(), self.arousal.tolist(), strict=True)
        return {label: list(place) for label, place in zip(self.labels, places, strict=True)}

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Codes of ``labels`` (any shape): 0 … E−1, and −1 where a label is empty, missing or not in the taxonomy."""
        code = {label: index for index, label in enumerate(self.labels)}
        values, inverse = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
        return np.array([code.get(value, -1) for value in values], dtype=np.int64)[inverse].reshape(np.shape(labels))

    def unknown(self, labels: np.ndarray) -> set[str]:
        """The non-empty labels that the taxonomy does not have."""
        return {str(label) for label in np.unique(np.asarray(labels, dtype=str))} - set(self.labels) - {"", "nan"}

    def valence_of(self, codes: np.ndarray) -> np.ndarray:
        """Valence of each code, NaN where the code is −1."""
        return np.append(self.valence, np.nan)[codes]


def load_taxonomy(given: str | Mapping[str, Any], folder: str | Path = ".") -> Taxonomy:
    """Load a shipped taxonomy by name (``esmr``, ``ldos-comoda``), any yaml file by its path, or a table itself.

    The file, or the table, maps each label to ``[valence, arousal]``, both in [−1, 1].

    Args:
        given: name, path or table.
        folder: what a path is relative to: the folder of the file that names it.

    Raises:
        UnknownNameError: neither a shipped name nor an existing file.
        ConfigError: a label without two numbers, or a number outside [−1, 1].
    """
    if isinstance(given, Mapping):
        first = ", ".join(map(str, list(given)[:3]))
        return _taxonomy(given, f"{first}, …" if len(given) > 3 else first, "emotion_taxonomy")
    name, known = str(given), shipped_names("emotion")
    path = shipped("properties") / "emotion" / f"{name}.yaml" if name in known else Path(folder) / name
    if not os.path.isfile(path):  # of a name that no file can have, Path.is_file raises
        raise UnknownNameError(
            f"emotion_taxonomy {shown(name)} is neither a shipped taxonomy nor a file ({shown(str(path), 200)}). "
            f"{nearest(name[:80], known)}"
        )
    return _taxonomy(read_yaml(path), name, str(path))


def _taxonomy(table: Mapping[str, Any], name: str, where: str) -> Taxonomy:
    if not table:
        raise ConfigError(f"{where}: no emotion in it; expected lines such as `happy: [0.8, 0.4]`.")
    if len(table) > MOST:
        raise ConfigError(f"{where}: has {len(table)} emotions; expected at most {MOST}.")
    labels = [_label(label, where) for label in table]
    for label, place in zip(labels, table.values(), strict=True):
        if labels.count(label) > 1:
            raise ConfigError(f"{where}: the emotion '{label}' is there twice. Keep one.")
        numbers = isinstance(place, list | tuple) and len(place) == 2 and all(_is_number(x) for x in place)
        if not numbers or not all(-1 <= x <= 1 for x in place):
            raise ConfigError(f"{where}: {shown(label)} is {shown(place)}; expected [valence, arousal], both in [-1, 1].")
    places = np.array(list(table.values()), dtype=float)
    return Taxonomy(name, tuple(labels), places[:, 0], places[:, 1])


def _label(given: Any, where: str) -> str:
    """A label as text; yaml takes a bare no, null or 2024-03-24 for something else, and files cannot hold every text."""
    if not isinstance(given, str | int) or isinstance(given, bool):
        raise ConfigError(f"{where}: the emotion {given!r} is no text to yaml. Put it in quotes, such as '{given}'.")
    label = str(given)
    if label.strip() != label or label in ("", "nan") or not label.isprintable():
        raise ConfigError(f"{where}: {label!r} is no name of an emotion. Give one without spaces around it, tabs and line ends.")
    return label


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
