"""What was found in a data set: file by file, and of the log that they make together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.atomic import read_atomic_file
from recbole_esmr.data.reading.consent import Consent, read_consent
from recbole_esmr.data.reading.times import date_of, is_date
from recbole_esmr.errors import DataError

if TYPE_CHECKING:
    from recbole_esmr.data.dataset import ESMRDataset

SUFFIXES = ("inter", "imp", "item", "user", "day")


def files_found(folder: str | Path, name: str, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows, people, items and columns of each file of a data set, also where a run of it would be refused.

    Args:
        folder: that holds the files.
        name: of the data set.
        config: roles, separator and encoding.

    Returns:
        for each file ``file``, ``rows``, ``people`` and ``items`` (None where it has no such column), ``days`` (first and last as
        written; None without a column of days) and ``columns``; for one that cannot be read ``file`` and ``error``. Of ``.day``
        the rows of who consents are counted, none where that is in doubt.
    """
    found: list[dict[str, Any]] = []
    try:
        consent = read_consent(name, folder, config)
    except DataError:
        consent = Consent(True, pd.Index([]), "in doubt")
    for suffix in SUFFIXES:
        path = Path(folder) / f"{name}.{suffix}"
        if not path.is_file():
            continue
        try:
            file = read_atomic_file(path, config)
        except DataError as error:
            found.append({"file": path.name, "error": str(error)})
            continue
        user, item, day = (str(config[role]) for role in ("USER_ID_FIELD", "ITEM_ID_FIELD", "DAY_FIELD"))
        if suffix == "day":
            file = consent.readable(file, user)
        people, items = (file.text[column].nunique() if column in file.types else None for column in (user, item))
        found.append(
            {"file": path.name, "rows": len(file.text), "people": people, "items": items}
            | {"days": _span(file.text[day]) if day in file.types else None, "columns": list(file.types)}
        )
    return found


def _span(days: pd.Series) -> list[str]:
    """The first and the last day as written, by number or, where they are dates, by date."""
    number, text = pd.to_numeric(days, errors="coerce").to_numpy(float), days.tolist()
    if np.isfinite(number).any():
        return [str(text[np.nanargmin(number)]), str(text[np.nanargmax(number)])]
    return [min(text), max(text)] if len(text) else []


def log_found(dataset: ESMRDataset) -> dict[str, Any]:
    """What the files of a loaded data set say together.

    Returns:
        ``people``, ``items`` and ``views`` that the filters left; ``days`` (``from``, ``to``: dates or numbers; ``number``);
        ``active_days`` (person-days with anything), ``reported_share`` of them with an emotion, ``negative_share`` of the
        reports; ``emotions`` (how often each was reported); ``skipped_share`` of what was shown, None where skips were not
        logged; ``items_with_emotion`` share; ``consent`` (where it is read from); ``without_consent``
        people; ``ids`` (how the files' ids fit).
    """
    trace, shown = dataset.trace, dataset.impressions
    said = np.isfinite(trace.valence)
    first, last = trace.first_day, trace.first_day + trace.days - 1
    labels = np.bincount(trace.emotion[trace.emotion >= 0], minlength=len(dataset.taxonomy))
    active = int((trace.present | said).sum())
    return {
        "people": dataset.user_num - 1,
        "items": dataset.item_num - 1,
        "views": len(dataset.history),
        "days": {
            "from": date_of(first) if is_date(first) else first,
            "to": date_of(last) if is_date(first) else last,
            "number": trace.days,
        },
        "active_days": active,
        "reported_share": float(said.sum() / max(active, 1)),
        "negative_share": float((trace.valence[said] < 0).mean()) if said.any() else None,
        "emotions": {name: int(count) for name, count in zip(dataset.taxonomy.labels, labels, strict=True) if count},
        "skipped_share": float((shown.label == 0).mean()) if shown.has_skips else None,
        "items_with_emotion": float(dataset.catalogue.share[1:].any(axis=1).mean()),
        "consent": dataset.consent.words,
        "without_consent": int((~trace.consent[1:]).sum()),
        "ids": [asdict(partners) for partners in dataset.partners],
    }
