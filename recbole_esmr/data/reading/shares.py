"""What an item expresses where one label does not say it: shares of the emotions, or a number between unpleasant and pleasant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.atomic import refuse
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.errors import DataError

NUMBERED = ("unpleasant", "neutral", "pleasant")
"""Labels between which an item's number lies: −1, 0 and 1."""

ROUNDED = 0.01
"""How far shares may miss a sum of 1: they are brought to it."""


def shares_of(path: Path, text: pd.Series, taxonomy: Taxonomy) -> np.ndarray:
    """A column ``float_seq`` of as many shares as the taxonomy has emotions, in its order, (N, E); zeros where a cell is empty.

    Raises:
        DataError: another number of shares, one that is no number in [0, 1], or a sum that is not 1.
    """
    cells, kinds = text.map(str.split), len(taxonomy)
    count = cells.map(len)
    filled = count > 0
    if (filled & (count != kinds)).any():
        order = ", ".join(taxonomy.labels)
        refuse(path, text, filled & (count != kinds), f"expected {kinds} numbers, the shares of {order}, or an empty cell")
    table = np.zeros((len(text), kinds))
    if filled.any():
        flat = pd.to_numeric(pd.Series([number for cell in cells[filled] for number in cell], dtype=object), errors="coerce")
        table[filled.to_numpy()] = flat.to_numpy(float).reshape(-1, kinds)
    outside = pd.Series(~((table >= 0) & (table <= 1)).all(axis=1), index=text.index)
    if outside.any():
        refuse(path, text, outside, "expected numbers in [0, 1]")
    total = table.sum(axis=1)
    odd = filled & (np.abs(total - 1) > ROUNDED)
    if odd.any():
        refuse(path, text, odd, "expected shares that add up to 1. Divide them by their sum")
    return table / np.where(total > 0, total, 1)[:, None]


def shares_of_numbers(path: Path, valence: pd.Series, taxonomy: Taxonomy) -> np.ndarray:
    r"""Numbers in [−1, 1] as the shares of unpleasant, neutral and pleasant that have them for a mean, (N, E); zeros where NaN.

    .. math:: s_{unpleasant} = \max(-v, 0), \quad s_{pleasant} = \max(v, 0), \quad s_{neutral} = 1 - |v|

    Raises:
        DataError: the taxonomy does not have the three labels.
    """
    known = np.isfinite(valence.to_numpy(float))
    table = np.zeros((len(valence), len(taxonomy)))
    if not known.any():
        return table
    if not set(NUMBERED) <= set(taxonomy.labels):
        raise DataError(
            f"{path}: items have numbers ('{valence.name}') and no emotion by name, and the taxonomy '{taxonomy.name}' has no "
            f"{', '.join(NUMBERED)} to read them by. Set emotion_taxonomy: valence-arousal, or add these labels to yours."
        )
    v = np.nan_to_num(valence.to_numpy(float))
    low, middle, high = (taxonomy.labels.index(name) for name in NUMBERED)
    table[:, low], table[:, high] = np.maximum(-v, 0), np.maximum(v, 0)
    table[:, middle] = 1 - np.abs(v)
    return table * known[:, None]
