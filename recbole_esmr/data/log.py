"""The log of a platform one day later: what a deployed model reads goes on as the days pass."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.history import History
from recbole_esmr.data.impressions import Impressions, make_impressions
from recbole_esmr.data.trace import TEST, Trace, make_trace, withheld
from recbole_esmr.emotion import Taxonomy


@dataclass(frozen=True)
class Log:
    """Trace, impressions and history of the same people. The trace is a window: a new day pushes the oldest out."""

    trace: Trace
    impressions: Impressions
    history: History

    def with_newcomers(self, number: int) -> Log:
        """The log with ``number`` people more, of whom nothing is known; their ids follow those of the known."""

        def grown(array: np.ndarray) -> np.ndarray:
            fill: float = np.nan if array.dtype.kind == "f" else 0
            return np.concatenate([array, np.full((number, *array.shape[1:]), fill, dtype=array.dtype)])

        old = self.trace
        every: dict[str, Any] = {f.name: getattr(old, f.name) for f in fields(old)}
        arrays: dict[str, Any] = {name: grown(value) for name, value in every.items() if isinstance(value, np.ndarray)}
        arrays["emotion"][old.users :] = -1
        arrays["profile"][old.users :] = -1
        arrays["consent"][old.users :] = True
        for name in ("engagement", "emotion_hours", "category_hours"):
            arrays[name][old.users :] = 0.0
        return replace(self, trace=replace(old, **arrays))

    def with_consent(self, user: np.ndarray, consent: np.ndarray) -> Log:
        """The log with other consents of some people; nothing of who does not consent is read from here on."""
        old, given = self.trace, self.trace.consent.copy()
        given[user] = consent
        return replace(self, trace=withheld(replace(old, consent=given)))

    def next_day(self, shown: pd.DataFrame, user_days: pd.DataFrame, catalogue: Catalogue, taxonomy: Taxonomy) -> Log:
        """The log after one day more.

        Args:
            shown: columns user, item, position, label, watch_ratio (internal ids): the day's impressions.
            user_days: columns user, emotion (label) and the behaviour columns.
            catalogue: the items.
            taxonomy: of the labels.
        """
        old, last = self.trace, self.trace.days - 1
        watched = shown[shown["label"] == 1].assign(day=0)
        today = make_impressions(
            shown.drop(columns="watch_ratio").assign(day=0, propensity=np.nan), watched[["user", "day", "item", "watch_ratio"]]
        )
        column = make_trace(
            first_day=old.first_day + old.days,
            days=1,
            user_days=user_days.assign(day=0, valence=np.nan),
            impressions=today,
            catalogue=catalogue,
            taxonomy=taxonomy,
            profile=(old.profile, old.profiles),
            consent=old.consent,
            shared_calendar=old.shared_calendar,
        )
        place = {name: index for index, name in enumerate(column.feature_names)}
        unknown = np.full((*column.features.shape[:2], 1), np.nan)
        known = np.concatenate([column.features, unknown], axis=-1)
        column = replace(
            column,
            features=known[..., [place.get(name, -1) for name in old.feature_names]],
            role=np.full((old.users, 1), TEST, dtype=np.int8),
        )
        kept = self.impressions.take(self.impressions.day > 0)
        return Log(
            trace=old.rolled(column),
            impressions=replace(kept, day=kept.day - 1).followed_by(replace(today, day=today.day + last)),
            history=self.history.next_day(today.user[today.label == 1], today.item[today.label == 1]),
        )
