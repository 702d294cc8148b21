"""The ``.item`` file of a data set before and after its items are labelled."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_esmr.data.importers.dataset_yaml import with_key
from recbole_esmr.data.importers.fields import names
from recbole_esmr.data.reading.atomic import NO_NUMBER, AtomicFile, read_atomic_file
from recbole_esmr.emotion import Taxonomy, load_taxonomy
from recbole_esmr.errors import ConfigError
from recbole_esmr.files import read_yaml, shipped_names
from recbole_esmr.folders import written_together

EVIDENCE = "emotion_evidence"
"""The column that holds the words that a label rests on, with their part in it."""

_ROLES = ("EMOTION_FIELD", "EMOTION_SHARE_FIELD", "VALENCE_FIELD", "INTENSITY_FIELD")
"""What says something of an item's emotion."""


@dataclass(frozen=True)
class ItemFile:
    """The items of a data set.

    Attributes:
        folder: of the data set.
        settings: of it: the plug-in's own values, and what ``NAME.yaml`` says.
        file: ``.item``.
    """

    folder: Path
    settings: Mapping[str, Any]
    file: AtomicFile

    @classmethod
    def opened(cls, folder: str | Path, replace: bool) -> ItemFile:
        """Read it.

        Args:
            folder: of the data set.
            replace: whether emotions that items already have may be replaced.

        Raises:
            ConfigError: items have emotions already.
            DataError: a file that cannot be read.
        """
        folder = Path(os.path.abspath(folder))
        own = folder / f"{folder.name}.yaml"
        settings = names() | (read_yaml(own) if own.is_file() else {})
        found = cls(folder, settings, read_atomic_file(folder / f"{folder.name}.item", settings))
        if found._labels and not replace:
            raise ConfigError(f"{found.file.path}: items have '{found._labels[0]}' already. Say --replace to label them anew.")
        return found

    @property
    def ids(self) -> pd.Series:
        """(I,) of the items."""
        return self.file.text[str(self.settings["ITEM_ID_FIELD"])]

    @property
    def _labels(self) -> list[str]:
        """Columns that say something of the items' emotions."""
        return [name for name in (*(str(self.settings[role]) for role in _ROLES), EVIDENCE) if name in self.file.types]

    def taxonomy_with(self, mine: Mapping[str, list[float]]) -> tuple[Taxonomy, list[str]]:
        """Of what is written of the items, and what is to be said of it: where people name emotions, theirs and what it lacks.

        Args:
            mine: the emotions of who labels, as label: [valence, arousal].
        """
        same = [name for name in shipped_names("emotion") if _table(load_taxonomy(name)) == mine]
        day = self.folder / f"{self.folder.name}.day"
        emotion = str(self.settings["EMOTION_FIELD"])
        reports = read_atomic_file(day, self.settings) if day.is_file() else None
        by_name = reports is not None and emotion in reports.types and not reports.text[emotion].isin(["", *NO_NUMBER]).all()
        if not by_name:
            return load_taxonomy(same[0] if same else dict(mine)), []
        theirs = _table(load_taxonomy(self.settings["emotion_taxonomy"], self.folder))
        lacking = [name for name in mine if name not in theirs]
        note = f"people name emotions of their own, so emotion_taxonomy now holds theirs and {', '.join(lacking)}"
        return load_taxonomy(theirs | {name: mine[name] for name in lacking}), [note] * bool(lacking)

    def write(self, labels: pd.DataFrame, taxonomy: Taxonomy, felt: bool = False) -> None:
        """Write the items with labels in the place of those that they had, and the taxonomy, whole or not at all.

        Args:
            labels: columns ``name:type`` of cells, by the index of the file's lines; empty where a line is missing.
            taxonomy: that they are of.
            felt: whether they were made of what people felt after the items.
        """
        frame = self.file.text.drop(columns=self._labels)
        frame.columns = [f"{name}:{self.file.types[name]}" for name in frame]
        frame = frame.join(labels).fillna("")
        separator = str(self.settings["field_separator"])
        lines = [separator.join(row) + "\n" for row in ([*frame], *frame.itertuples(index=False, name=None))]
        encoding = str(self.settings.get("encoding") or "utf-8")
        with written_together(self.folder) as new:
            own = new / f"{self.folder.name}.yaml"
            (new / self.file.path.name).write_text("".join(lines), encoding=encoding, errors="replace")
            own.write_text(with_key(self.folder / own.name, "emotion_taxonomy", taxonomy.setting), encoding="utf-8")
            if felt != bool(self.settings.get("items_felt")):
                own.write_text(with_key(own, "items_felt", felt), encoding="utf-8")


def _table(taxonomy: Taxonomy) -> dict[str, list[float]]:
    places = zip(taxonomy.valence.tolist(), taxonomy.arousal.tolist(), strict=True)
    return {label: list(place) for label, place in zip(taxonomy.labels, places, strict=True)}
