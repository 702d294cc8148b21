"""Embeddings of items (text, image, audio): read, checked, and brought to a few components of one scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.atomic import AtomicFile, refuse
from recbole_esmr.errors import ConfigError, DataError, nearest
from recbole_esmr.settings import setting

LATELY = 30
"""Items of a history that an item's embedding is held against."""

LARGEST = 1e6
"""Largest number in size in an embedding."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingSettings:
    """What items are, as vectors."""

    embeddings: dict[str, str] = setting("modality: a file .npy, or a column float_seq of .item", key="item_embeddings")
    size: int = setting("components that are kept of each modality", low=1, high=512, key="item_embedding_size")


def read_embeddings(file: AtomicFile, named: Mapping[str, str], size: int) -> dict[str, np.ndarray]:
    r"""The embeddings of the rows of an ``.item`` file, by modality.

    Of each modality the first principal components :math:`z` are kept, scaled so that the mean squared length of an item is 1:
    after that every modality counts alike, whatever made it (late fusion). An item of which a modality is not known has zeros,
    the mean.

    Args:
        file: ``.item``.
        named: by modality a file ``.npy`` beside it, with a row for each of its lines in their order, or its column of vectors.
        size: components at most.

    Returns:
        (N, at most ``size``) float32 each.

    Raises:
        ConfigError: no such file or column.
        DataError: another number of rows, vectors of different lengths, a number that is not finite, or all vectors alike.
    """
    found = {}
    for modality, name in named.items():
        path = Path(name)
        table = _of_file(file, modality, file.path.parent / path) if path.suffix == ".npy" else _of_column(file, modality, name)
        found[modality] = _components(table, size, f"item_embeddings: {modality}: {name}")
    return found


def _of_file(file: AtomicFile, modality: str, path: Path) -> np.ndarray:
    where = f"item_embeddings: {modality}: {path}"
    if not path.is_file():
        raise ConfigError(f"{where}: no such file. Its path is relative to the folder of the data set.")
    try:
        table = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{where}: is no array of numbers of numpy. Write it with numpy.save.") from error
    if not isinstance(table, np.ndarray) or table.ndim != 2 or not table.shape[1] or table.dtype.kind not in "fiu":
        raise DataError(f"{where}: is no table of numbers. Expected a row for each item.")
    if len(table) != len(file.text):
        raise DataError(
            f"{where}: has {len(table):,} rows, and {file.path.name} {len(file.text):,}. Expected one for each of its lines, in "
            "their order."
        )
    wrong = ~(np.abs(table) <= LARGEST).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{where}: row {row + 1} of {len(table):,}, of {file.text.iloc[row, 0]!r}, holds a number that is not finite or "
            f"beyond {LARGEST:g}. Mend it."
        )
    return table.astype(np.float64)


def _of_column(file: AtomicFile, modality: str, name: str) -> np.ndarray:
    where = f"item_embeddings: {modality}: {name}"
    if name not in file.types:
        raise ConfigError(f"{where}: {file.path} has no such column, and a file ends in .npy. {nearest(name, file.types)}")
    if file.types[name] != "float_seq":
        raise ConfigError(f"{where}: the column has the type {file.types[name]}. Expected float_seq.")
    text = file.text[name]
    cells = text.map(str.split)
    length = cells.map(len)
    filled = length > 0
    if not filled.any():
        raise DataError(f"{where}: no item has a vector.")
    usual = int(length[filled].iloc[0])
    if (filled & (length != usual)).any():
        refuse(file.path, text, filled & (length != usual), f"expected {usual} numbers, as in the first line that has any")
    flat = pd.to_numeric(pd.Series([number for cell in cells[filled] for number in cell], dtype=object), errors="coerce")
    table = np.full((len(text), usual), np.nan)
    table[filled.to_numpy()] = flat.to_numpy(float).reshape(-1, usual)
    wrong = pd.Series(~(np.abs(table) <= LARGEST).all(axis=1), index=text.index) & filled
    if wrong.any():
        refuse(file.path, text, wrong, f"expected finite numbers of at most {LARGEST:g}")
    return table


def _components(table: np.ndarray, size: int, where: str) -> np.ndarray:
    from sklearn.decomposition import PCA

    known = np.isfinite(table).all(axis=1)
    if known.sum() < 2 or np.ptp(table[known], axis=0).max() <= 0:
        raise DataError(f"{where}: all items have the same vector, which tells nothing of any. Leave it out, or mend it.")
    kept = min(size, table.shape[1], int(known.sum()) - 1)
    parts = PCA(kept, svd_solver="randomized" if min(table.shape) > 500 else "full", random_state=0).fit_transform(table[known])
    found = np.zeros((len(table), kept), dtype=np.float32)
    found[known] = parts / np.sqrt((parts**2).sum(axis=1).mean())
    return found
