"""Emotion labels and where they lie in the circumplex of valence and arousal (Russell 1980)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recbole_esmr.errors import ConfigError, UnknownNameError, nearest
from recbole_esmr.files import read_yaml, shipped, shipped_names


@dataclass(frozen=True)
class Taxonomy:
    """An ordered set of emotion labels.

    Attributes:
        name: its name, or the path it was read from.
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


def load_taxonomy(name: str) -> Taxonomy:
    """Load a shipped taxonomy by name (``esmr``, ``ldos-comoda``) or any yaml file by its path.

    The file maps each label to ``[valence, arousal]``, both in [−1, 1].

    Raises:
        UnknownNameError: neither a shipped name nor an existing file.
        ConfigError: a label without two numbers, or a number outside [−1, 1].
    """
    path = shipped("properties") / "emotion" / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
        if not path.is_file():
            known = shipped_names("emotion")
            raise UnknownNameError(f"emotion_taxonomy '{name}' is neither a shipped taxonomy nor a file. {nearest(name, known)}")
    table = read_yaml(path)
    if not table:
        raise ConfigError(f"{path}: no emotion in it; expected lines such as `happy: [0.8, 0.4]`.")
    for label, place in table.items():
        numbers = isinstance(place, list) and len(place) == 2 and all(isinstance(x, int | float) for x in place)
        if not numbers or not all(-1 <= x <= 1 for x in place):
            raise ConfigError(f"{path}: {label} is {place!r}; expected [valence, arousal], both in [-1, 1].")
    places = np.array(list(table.values()), dtype=float)
    return Taxonomy(name, tuple(str(label) for label in table), places[:, 0], places[:, 1])
