"""What is known of the items: emotion, intensity, category, length, by RecBole's internal item id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.atomic import read_atomic_file
from recbole_esmr.data.reading.schema import checked
from recbole_esmr.emotion import Taxonomy, load_taxonomy
from recbole_esmr.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


KNOWN = ("emotion", "category", "intensity", "duration")
"""What ``effect_features`` calls the columns that have a meaning of their own, whatever they are called in the file."""


@dataclass(frozen=True)
class Catalogue:
    """Item features, shape (I,) each; row 0 is RecBole's padding and holds no item.

    Attributes:
        emotion: codes of the taxonomy, −1 where an item has none.
        valence: of that emotion, in [−1, 1]; 0 where it has none.
        intensity: 0–1; 0 where the item has no emotion.
        category: codes 0 … C−1, −1 where unknown.
        categories: the C names.
        duration: seconds, the median where unknown, 30 where no item has one.
        columns: other columns of the ``.item`` file that ``effect_features`` names: texts ("" where unknown), or numbers (NaN).
    """

    emotion: np.ndarray
    valence: np.ndarray
    intensity: np.ndarray
    category: np.ndarray
    categories: tuple[str, ...]
    duration: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def negative(self) -> np.ndarray:
        """Intensity of the items with valence < 0, else 0; shape (I,), in [0, 1]."""
        return self.intensity * (self.valence < 0)

    @property
    def positive(self) -> np.ndarray:
        """Intensity of the items with valence > 0, else 0; shape (I,), in [0, 1]."""
        return self.intensity * (self.valence > 0)

    def first(self, items: int) -> Catalogue:
        """The catalogue of the first so many items."""
        arrays: dict[str, Any] = {name: value[:items] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return replace(self, **arrays, columns={name: value[:items] for name, value in self.columns.items()})

    @property
    def has_emotion(self) -> bool:
        """Whether any item has an emotion."""
        return bool((self.emotion >= 0).any())


def load_catalogue(dataset: Dataset, taxonomy: Taxonomy | None = None, beyond: Sequence[str] = ()) -> Catalogue:
    """Read the ``.item`` file of any RecBole data set, whatever columns RecBole itself has loaded.

    So RecBole's own models can be judged by the emotion of what they recommend without the emotion becoming a feature of theirs.

    Args:
        dataset: of RecBole.
        taxonomy: of the emotions; the one that the config names unless given.
        beyond: ids of items that RecBole has filtered out, in the order of the rows that they get after RecBole's.

    Raises:
        DataError: the file breaks the schema.
        ConfigError: ``effect_features`` names a column that the file does not have.
    """
    config = dataset.config
    taxonomy = taxonomy or load_taxonomy(config["emotion_taxonomy"])
    known = dataset.num(dataset.iid_field)
    items = known + len(beyond)
    path = Path(dataset.dataset_path) / f"{dataset.dataset_name}.item"
    file = read_atomic_file(path, config) if path.is_file() else None
    frame = checked(file, "item", config, taxonomy) if file else pd.DataFrame()

    def column(role: str, default: object) -> pd.Series:
        name = str(config[role])
        return (
            frame[name]
            if name in frame and len(frame) > 0
            else pd.Series([default] * len(frame), index=frame.index, dtype=object)
        )

    token_id = dataset.field2token_id[dataset.iid_field] | {token: known + place for place, token in enumerate(beyond)}
    ids = column("ITEM_ID_FIELD", "").map(token_id).fillna(0).astype(int).to_numpy()
    emotion = np.full(items, -1)
    emotion[ids] = taxonomy.encode(column("EMOTION_FIELD", "").to_numpy(dtype=str))
    intensity = np.zeros(items)
    intensity[ids] = pd.to_numeric(column("INTENSITY_FIELD", 1.0)).fillna(1.0).to_numpy()
    category = np.full(items, -1)
    codes, names = pd.factorize(column("CATEGORY_FIELD", "").replace("", np.nan), sort=True)
    category[ids] = codes
    duration = np.full(items, np.nan)
    duration[ids] = pd.to_numeric(column("DURATION_FIELD", np.nan)).to_numpy()
    emotion[0], category[0], duration[0] = -1, -1, np.nan
    usual = np.nanmedian(duration) if np.isfinite(duration).any() else 30.0
    return Catalogue(
        emotion=emotion,
        valence=np.nan_to_num(taxonomy.valence_of(emotion)),
        intensity=np.where(emotion >= 0, intensity, 0.0),
        category=category,
        categories=tuple(str(name) for name in names),
        duration=np.where(np.isfinite(duration), duration, usual),
        columns=_own_columns(path, file.types if file else {}, frame, config["effect_features"] or (), ids, items),
    )


def _own_columns(
    path: Path, types: Mapping[str, str], frame: pd.DataFrame, named: Sequence[str], ids: np.ndarray, items: int
) -> dict[str, np.ndarray]:
    """The columns that ``effect_features`` names beside those of :data:`KNOWN`, by item, (I,) each."""
    found = {}
    for name in named:
        if name in KNOWN:
            continue
        if name not in types:
            raise ConfigError(f"effect_features names '{name}', and {path} has no such column. {nearest(name, [*KNOWN, *types])}")
        if types[name] not in ("token", "float"):
            raise ConfigError(f"effect_features names '{name}', a {types[name]} in {path}. Name columns of type token or float.")
        unknown = "" if types[name] == "token" else np.nan
        value = np.full(items, unknown, dtype=object)
        value[ids] = frame[name].to_numpy()
        value[0] = unknown
        found[name] = value.astype(str if types[name] == "token" else float)
    return found


def require_item_emotions(catalogue: Catalogue, dataset: Dataset) -> None:
    """Raise where no item has an emotion, naming the fields that are missing.

    Raises:
        DataError: there is no ``.item`` file, or no emotion in it.
    """
    if not catalogue.has_emotion:
        config = dataset.config
        raise DataError(
            f"data set '{dataset.dataset_name}' has no item emotions: {dataset.dataset_name}.item needs the columns "
            f"'{config['EMOTION_FIELD']}:token' (and '{config['INTENSITY_FIELD']}:float', 0-1). "
            "Or take NegativeExposure and ExpectedValence out of metrics."
        )
