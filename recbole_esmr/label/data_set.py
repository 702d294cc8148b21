"""The items of a data set labelled from their texts: ``.item`` gets what they express, and the evidence for it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from tqdm import tqdm

from recbole_esmr.data.reading.atomic import AtomicFile
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.errors import ConfigError, DataError, nearest
from recbole_esmr.label.agreement import agreement
from recbole_esmr.label.item_file import EVIDENCE, ItemFile
from recbole_esmr.label.kept import labels_of
from recbole_esmr.label.labeller import Label, Labeller

LONG_ENOUGH, FOREIGN = 5, 0.5
"""Words from which on a text is asked whether it is English; the share of such texts without an English word that is refused."""


@dataclass(frozen=True)
class Labelled:
    """What was done.

    Attributes:
        items, without_text: how many, and how many of them have no text and so no label.
        valence: (items,) of each, NaN without a label.
        ids: of the items.
        seconds: that it took.
        notes: what was done beside, one line each.
        agreement: with a second opinion, where there is one.
    """

    items: int
    without_text: int
    valence: np.ndarray
    ids: list[str]
    seconds: float
    notes: list[str]
    agreement: dict[str, float] = field(default_factory=dict)


def label_items(
    folder: str | Path,
    columns: Sequence[str],
    labeller: Labeller,
    replace: bool = False,
    force: bool = False,
    human: str | Path | None = None,
    show_progress: bool = True,
) -> Labelled:
    """Label the items of a data set by the text in some columns of ``.item``, and write it, whole or not at all.

    ``.item`` gets ``emotion_share:float_seq``, ``emotion_intensity:float`` and ``emotion_evidence:token``; ``NAME.yaml`` the
    taxonomy that the shares are of: the labeller's, or, where people name their emotions, theirs with what it lacks added.

    Args:
        folder: of the data set.
        columns: of text, read one after the other.
        labeller: who labels.
        replace: whether emotions that items already have are replaced.
        force: whether a labeller of English labels texts that are not.
        human: a CSV file with ``item_id`` and ``valence`` (−1 to 1) of some items, to compare with.

    Raises:
        ConfigError: no such column, or items have emotions already.
        DataError: a file that cannot be read, texts that are not English, or a labeller that says what no label is.
    """
    items = ItemFile.opened(folder, replace)
    file, path, folder = items.file, items.file.path, items.folder
    texts = _texts(file, columns)
    filled = texts != ""
    if not filled.any():
        raise DataError(f"{path}: no item has a text in {', '.join(columns)}. Name the column of titles or captions with --text.")
    if labeller.english and not force:
        _require_english(path, texts[filled], columns)
    opinions = _opinions(human) if human is not None else None
    start = perf_counter()
    found = labels_of(texts[filled].tolist(), labeller, folder / f".{folder.name}.labels.sqlite")
    labels = list(tqdm(found, "Labelling", int(filled.sum()), unit="text", disable=not show_progress))
    seconds = perf_counter() - start
    taxonomy, named = items.taxonomy_with(labeller.emotions)
    cells = [_cells(label, taxonomy, str(items.settings["field_separator"])) for label in labels]
    items.write(pd.DataFrame(cells, index=texts[filled].index, columns=list(_COLUMNS)), taxonomy)
    place = dict(zip(taxonomy.labels, taxonomy.valence.tolist(), strict=True))
    valence = np.full(len(texts), np.nan)
    valence[filled.to_numpy()] = [sum(part * place[name] for name, part in label.share.items()) for label in labels]
    ids = items.ids.tolist()
    compared = _compared(ids, valence, opinions) if opinions is not None else {}
    return Labelled(len(texts), int((~filled).sum()), valence, ids, seconds, named, compared)


_COLUMNS = ("emotion_share:float_seq", "emotion_intensity:float", f"{EVIDENCE}:token")


def _texts(file: AtomicFile, columns: Sequence[str]) -> pd.Series:
    for name in columns:
        if name not in file.types:
            raise ConfigError(f"{file.path}: no column '{name}' (--text). {nearest(name, file.types)}")
        if not file.types[name].startswith("token"):
            raise ConfigError(f"{file.path}: '{name}' is a {file.types[name]} (--text); name columns of text.")
    parts = [file.text[name].str.strip() for name in columns]
    return pd.Series([" ".join(filter(None, row)) for row in zip(*parts, strict=True)], index=file.text.index, dtype=object)


def _require_english(path: Path, texts: pd.Series, columns: Sequence[str]) -> None:
    """Refuse texts of which most have no common English word."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = [set(text.lower().split()) for text in texts if len(text.split()) >= LONG_ENOUGH]
    letters = pd.Series(list("".join(texts.head(1000))))
    latin = (letters[letters.str.isalpha()].map(ord) < 0x250).mean() if letters.str.isalpha().any() else 1.0
    strange = np.mean([not (some & ENGLISH_STOP_WORDS) for some in words]) if words else 0.0
    if strange > FOREIGN or latin < FOREIGN:
        raise DataError(
            f"{path}: the texts in {', '.join(columns)} are not English (for example {texts.iloc[0][:60]!r}), and this labeller "
            "reads English alone. Label with a program that reads them (--command), or say --force."
        )


def _cells(label: Label, taxonomy: Taxonomy, separator: str) -> tuple[str, str, str]:
    share = " ".join(f"{label.share.get(name, 0.0):.6g}" for name in taxonomy.labels)
    words = "; ".join(f"{' '.join(word.split())} {part:+.2f}" for word, part in label.evidence)
    return share, f"{label.intensity:g}", words.replace(separator, " ")


def _opinions(path: str | Path) -> pd.Series:
    """Valence by item of a sample that people labelled."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"--human={path}: cannot be read ({error}). Give a CSV file of item_id and valence.") from error
    for name in ("item_id", "valence"):
        if name not in table:
            raise DataError(f"--human={path}: no column '{name}'. {nearest(name, list(table.columns))}")
    valence = pd.to_numeric(table["valence"], errors="coerce")
    odd = ~valence.between(-1, 1)
    if odd.any():
        line = int(odd.to_numpy().argmax())
        cell = str(table["valence"].iloc[line])
        raise DataError(f"--human={path}, line {line + 2}, column 'valence': {cell!r}; expected a number in [-1, 1].")
    return pd.Series(valence.to_numpy(), index=table["item_id"]).groupby(level=0).mean()


def _compared(ids: Sequence[str], valence: np.ndarray, opinions: pd.Series) -> dict[str, float]:
    other = opinions.reindex(list(ids)).to_numpy(float)
    both = np.isfinite(valence) & np.isfinite(other)
    if not both.any():
        known = ", ".join(itertools.islice(map(str, opinions.index), 3))
        raise DataError(f"--human: none of its items ({known}, …) has a label. Use the ids of the data set.")
    return agreement(valence[both], other[both])
