"""What is known of the items: emotion, intensity, category, length, by RecBole's internal item id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recbole_esmr.data.embeddings import read_embeddings
from recbole_esmr.data.reading.atomic import AtomicFile, read_atomic_file
from recbole_esmr.data.reading.schema import checked
from recbole_esmr.data.reading.shares import shares_of, shares_of_numbers
from recbole_esmr.emotion import Taxonomy, load_taxonomy
from recbole_esmr.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


STRATEGY = "strategy"
"""The column of strategies, which is read wherever ``.item`` has it: people may ask for one."""

KNOWN = ("emotion", "category", "intensity", "duration")
"""What ``effect_features`` calls the columns that have a meaning of their own, whatever they are called in the file."""


@dataclass(frozen=True)
class Catalogue:
    """Item features, shape (I,) each unless said otherwise; row 0 is RecBole's padding and holds no item.

    Attributes:
        share: (I, E) what each item expresses: shares of the taxonomy's emotions that add up to 1, one of them 1 where it has one
            label; zeros where it has none.
        place: (E,) valence of each emotion, in [−1, 1].
        intensity: 0–1; 0 where the item has no emotion.
        category: codes 0 … C−1, −1 where unknown.
        categories: the C names.
        duration: seconds, the median where unknown, 30 where no item has one.
        columns: other columns of the ``.item`` file that ``effect_features`` names: texts ("" where unknown), or numbers (NaN).
        embeddings: components by modality, (I, Z) each, zeros where unknown.
    """

    share: np.ndarray
    place: np.ndarray
    intensity: np.ndarray
    category: np.ndarray
    categories: tuple[str, ...]
    duration: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    embeddings: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.share)

    @cached_property
    def emotion(self) -> np.ndarray:
        """Code of the emotion with the largest share, −1 where an item has none; (I,)."""
        if not self.share.shape[1]:
            return np.full(len(self), -1)
        return np.where(self.share.any(axis=1), self.share.argmax(axis=1), -1)

    @cached_property
    def valence(self) -> np.ndarray:
        """Mean valence of what an item expresses, in [−1, 1]; 0 where that is nothing; (I,)."""
        return np.asarray(self.share @ self.place)

    @cached_property
    def negative(self) -> np.ndarray:
        """Intensity times the share of emotions with valence < 0; (I,), in [0, 1]."""
        return np.asarray(self.intensity * (self.share @ (self.place < 0)))

    @cached_property
    def positive(self) -> np.ndarray:
        """Intensity times the share of emotions with valence > 0; (I,), in [0, 1]."""
        return np.asarray(self.intensity * (self.share @ (self.place > 0)))

    def first(self, items: int) -> Catalogue:
        """The catalogue of the first so many items."""
        arrays: dict[str, Any] = {name: getattr(self, name)[:items] for name in ("share", "intensity", "category", "duration")}
        named = {name: getattr(self, name) for name in ("columns", "embeddings")}
        cut: dict[str, Any] = {name: {key: value[:items] for key, value in of.items()} for name, of in named.items()}
        return replace(self, **arrays, **cut)

    @property
    def strategy(self) -> np.ndarray:
        """Name of the strategy of emotion regulation that each item offers, "" for none; (I,)."""
        return self.columns.get(STRATEGY, np.full(len(self), ""))

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """The strategies that items offer, sorted."""
        return tuple(str(name) for name in np.unique(self.strategy) if name)

    @property
    def has_emotion(self) -> bool:
        """Whether any item has an emotion."""
        return bool(self.share.any())


def load_catalogue(dataset: Dataset, taxonomy: Taxonomy | None = None, beyond: Sequence[str] = ()) -> Catalogue:
    """Read the ``.item`` file of any RecBole data set, whatever columns RecBole itself has loaded.

    So RecBole's own models can be judged by the emotion of what they recommend without the emotion becoming a feature of theirs.

    Args:
        dataset: of RecBole.
        taxonomy: of the emotions; the one that the config names unless given.
        beyond: ids of items that RecBole has filtered out, in the order of the rows that they get after RecBole's.

    Raises:
        DataError: the file breaks the schema.
        ConfigError: ``effect_features`` or ``item_embeddings`` names what is not there.
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
    share = np.zeros((items, len(taxonomy)))
    share[ids] = _shares(path, frame, config, taxonomy)
    intensity = np.zeros(items)
    intensity[ids] = pd.to_numeric(column("INTENSITY_FIELD", 1.0)).fillna(1.0).to_numpy()
    category = np.full(items, -1)
    codes, names = pd.factorize(column("CATEGORY_FIELD", "").where(lambda text: text != ""), sort=True)
    category[ids] = codes
    duration = np.full(items, np.nan)
    duration[ids] = pd.to_numeric(column("DURATION_FIELD", np.nan)).to_numpy()
    share[0], category[0], duration[0] = 0, -1, np.nan
    usual = np.nanmedian(duration) if np.isfinite(duration).any() else 30.0
    return Catalogue(
        share=share,
        place=taxonomy.valence,
        intensity=np.where(share.any(axis=1), intensity, 0.0),
        category=category,
        categories=tuple(str(name) for name in names),
        duration=np.where(np.isfinite(duration), duration, usual),
        columns=_own_columns(path, file.types if file else {}, frame, _named(file, config), ids, items),
        embeddings=_embeddings(path, file, config, ids, items),
    )


def _named(file: AtomicFile | None, config: Any) -> list[str]:
    """The columns of the user's own that are read."""
    named = list(config["effect_features"] or ())
    return named + [STRATEGY] * (file is not None and file.types.get(STRATEGY) == "token" and STRATEGY not in named)


def _embeddings(path: Path, file: AtomicFile | None, config: Any, ids: np.ndarray, items: int) -> dict[str, np.ndarray]:
    named = config["item_embeddings"] or {}
    if not named:
        return {}
    if file is None:
        raise ConfigError(f"item_embeddings: there is no {path}, whose lines say whose each row is. Write one.")
    found = {}
    for modality, rows in read_embeddings(file, named, int(config["item_embedding_size"] or 0)).items():
        table = np.zeros((items, rows.shape[1]), dtype=np.float32)
        table[ids] = rows
        table[0] = 0
        found[modality] = table
    return found


def _shares(path: Path, frame: pd.DataFrame, config: Any, taxonomy: Taxonomy) -> np.ndarray:
    """What the rows of an ``.item`` file express, (N, E): their shares, one label, or a number."""
    share, label, number = (str(config[role]) for role in ("EMOTION_SHARE_FIELD", "EMOTION_FIELD", "VALENCE_FIELD"))
    if share in frame:
        return shares_of(path, frame[share], taxonomy)
    if label in frame:
        return np.eye(len(taxonomy) + 1)[taxonomy.encode(frame[label].to_numpy(dtype=str)), :-1]
    if number in frame:
        return shares_of_numbers(path, frame[number], taxonomy)
    return np.zeros((len(frame), len(taxonomy)))


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
            f"'{config['EMOTION_FIELD']}:token' (and '{config['INTENSITY_FIELD']}:float', 0-1), or "
            f"'{config['EMOTION_SHARE_FIELD']}:float_seq'. "
            "Or take NegativeExposure and ExpectedValence out of metrics."
        )
