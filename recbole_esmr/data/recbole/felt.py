"""What RecBole's data sets hold of how people felt: what the metrics need of it, and never a feature of a model.

How somebody felt after an item is not known before it is ranked, and it is nobody's business but that of who consents. So the
columns of moods are left out of what RecBole loads; where a metric asks, each row holds whether the item left its person better.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.atomic import AtomicFile
from recbole_esmr.data.reading.consent import read_consent
from recbole_esmr.data.reading.felt import felt_names, left_better, read_felt
from recbole_esmr.errors import DataError

BETTER, LIKED = "left better", "liked or left better"
"""Columns of the interactions: 1.0 or 0.0, −1.0 where nothing is known, for RecBole fills what is NaN."""

METRICS = {"likedrecall": LIKED, "feelauc": BETTER}
"""The column that a metric reads."""


def fields(original: Callable[..., list[str]], dataset: Any, ftype: Any = None, source: Any = None) -> list[str]:
    """``Dataset.fields``: without what people felt, for what it names becomes a feature of RecBole's models."""
    config = dataset.config
    hidden = {BETTER, LIKED, *felt_names(config).values()}
    hidden |= {name + str(config["LIST_SUFFIX"]) for name in hidden}
    return [name for name in original(dataset, ftype, source) if name not in hidden]


def add_felt(dataset: Any, file: AtomicFile) -> dict[str, pd.Series]:
    """The columns that the metrics of the config ask for, by name.

    Args:
        dataset: RecBole's data set.
        file: its ``.inter``.

    Raises:
        DataError: the file does not say what a metric needs.
    """
    config = dataset.config
    asked = {name.lower(): name for name in config["metrics"] or () if name.lower() in METRICS}
    if not asked:
        return {}
    felt = read_felt(file, config, read_consent(dataset.dataset_name, dataset.dataset_path, config))
    better, liked = left_better(felt), np.full(len(felt), np.nan)
    rating, least = str(config["RATING_FIELD"]), config["liked_rating"]
    if least is not None:
        if file.types.get(rating) != "float":
            raise DataError(f"{file.path}, line 1: liked_rating asks for the column '{rating}:float', and it is not there.")
        number = file.numbers(rating)
        liked = np.where(np.isfinite(number), number >= float(least), np.nan)
    either = np.where(np.isfinite(better) | np.isfinite(liked), (better == 1) | (liked == 1), np.nan)
    found = {BETTER: better, LIKED: either}
    for name, title in asked.items():
        if not np.isfinite(found[METRICS[name]]).any() and config["benchmark_filename"] is None:  # of parts one may do without
            after = felt_names(config)["valence_after"]
            ratings = " (or set liked_rating, and give ratings)" if name == "likedrecall" else ""
            raise DataError(
                f"{file.path}: the metric {title} needs '{after}:float', the valence just after an item, of people who consent"
                f"{ratings}, and nobody has one. Add it, or take {title} out of metrics."
            )
    return {METRICS[name]: pd.Series(found[METRICS[name]], index=file.text.index).fillna(-1.0) for name in asked}


def without_silent(dataset: Any, file: AtomicFile, columns: dict[str, pd.Series]) -> dict[str, pd.Series]:
    """The columns of an ``.inter`` with the moods of who does not consent unknown, also where rows are filtered by a mood."""
    moods = [name for name in felt_names(dataset.config).values() if name in columns]
    if not moods:
        return columns
    consent = read_consent(dataset.dataset_name, dataset.dataset_path, dataset.config)
    silent = ~consent.of(file.text[str(dataset.config["USER_ID_FIELD"])])
    return columns | {name: columns[name].mask(silent) for name in moods}
