"""What people felt just before and just after an item, as the rows of ``.inter`` say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.atomic import AtomicFile
from recbole_esmr.data.reading.consent import Consent
from recbole_esmr.data.reading.schema import FELT, check_column

BEFORE, AFTER = ("valence_before", "arousal_before"), ("valence_after", "arousal_after")
"""What the columns are called in the code, whatever the user calls them."""


def felt_names(config: Mapping[str, Any]) -> dict[str, str]:
    """What the user calls each of the columns, by what the code calls it."""
    return {column.role.lower().removesuffix("_field"): str(config[column.role]) for column in FELT}


def read_felt(file: AtomicFile, config: Mapping[str, Any], consent: Consent) -> pd.DataFrame:
    """The columns of :data:`BEFORE` and :data:`AFTER`, (N, 4) indexed by line; NaN where nothing is known or may be read.

    Args:
        file: ``.inter``.
        config: names of the columns.
        consent: who consents; nothing is read of others.

    Raises:
        DataError: a number outside [−1, 1].
    """
    found = {}
    for column, (ours, name) in zip(FELT, felt_names(config).items(), strict=True):
        if name in file.types:
            found[ours] = file.numbers(name)
            check_column(file.path, found[ours], column)
        else:
            found[ours] = pd.Series(np.nan, index=file.text.index)
    silent = ~consent.of(file.text[str(config["USER_ID_FIELD"])])
    rows = pd.DataFrame(found)
    rows.loc[silent] = np.nan
    return rows


def left_better(felt: pd.DataFrame) -> np.ndarray:
    """Whether people felt better after an item than before it, (N,) 1.0 or 0.0, NaN where nothing is known after it.

    Where the valence before is not known, better is a valence above 0.
    """
    before, after = felt["valence_before"].to_numpy(float), felt["valence_after"].to_numpy(float)
    return np.where(np.isfinite(after), after > np.where(np.isfinite(before), before, 0.0), np.nan)


def reports_of_moments(views: pd.DataFrame, reports: pd.DataFrame | None) -> tuple[pd.DataFrame | None, int]:
    r"""People's days with the reports that their moments make: several reports of a day are averaged.

    .. math:: v_{ud} = mean \{ v^{before}_m, v^{after}_m : m \in moments(u, d) \}

    A day of which ``.day`` says an emotion or a valence keeps it.

    Args:
        views: columns user, day and, where they are known, those of :data:`BEFORE` and :data:`AFTER`.
        reports: columns user, day, emotion, valence and behaviour; None without a ``.day``.

    Returns:
        the reports, None where there are none at all; and how many days have one by their moments alone.
    """
    named = [name for name in ("valence_before", "valence_after") if name in views]
    if not named or not views[named].notna().any().any():
        return reports, 0
    told = views.melt(["user", "day"], named, value_name="of moments").dropna(subset="of moments")
    daily = told.groupby(["user", "day"], sort=False)["of moments"].mean().reset_index()
    if reports is None:
        return daily.assign(emotion="", valence=daily["of moments"])[["user", "day", "emotion", "valence"]], len(daily)
    joined = reports.merge(daily, on=["user", "day"], how="outer").fillna({"emotion": ""})
    wanted = (joined["emotion"] == "") & joined["valence"].isna() & joined["of moments"].notna()
    joined["valence"] = joined["valence"].where(~wanted, joined["of moments"])
    return joined.drop(columns="of moments"), int(wanted.sum())
