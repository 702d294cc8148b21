"""The user × day view of the data: one row a person, one column a day, a mask where nothing is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.emotion import Taxonomy

TRAIN, VALID, TEST = 0, 1, 2


@dataclass
class Trace:
    """People's days. U users (row 0 is RecBole's padding), D days, F behaviour features, E emotions, C categories.

    Attributes:
        first_day: the calendar day of column 0.
        emotion: (U, D) reported emotion codes, −1 without a report.
        valence: (U, D) in [−1, 1], NaN without a report.
        features: (U, D, F) behaviour of the day, NaN where unknown; ``feature_names`` names them.
        present: (U, D) whether the person was there on the day: something was shown, watched or logged, and not as churned.
        exposure: (U, D, 2) negative and positive exposure in [0, 1], NaN where nothing was shown.
        engagement: (U, D) watch hours.
        emotion_hours, category_hours: (U, D, E) and (U, D, C) watch hours by emotion and category of the items.
        profile: (U,) codes 0 … P−1, −1 where unknown; ``profiles`` names them.
        consent: (U,) whether the person's emotions and behaviour may be read. Without consent all of the above but
            ``present`` is unknown.
        shared_calendar: whether a day is the same date for everybody; false where it counts a person's own steps.
        role: (U, D) TRAIN, VALID or TEST.
    """

    first_day: int
    emotion: np.ndarray
    valence: np.ndarray
    features: np.ndarray
    feature_names: tuple[str, ...]
    present: np.ndarray
    exposure: np.ndarray
    engagement: np.ndarray
    emotion_hours: np.ndarray
    category_hours: np.ndarray
    profile: np.ndarray
    profiles: tuple[str, ...]
    consent: np.ndarray
    shared_calendar: bool = True
    role: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int8))

    @property
    def users(self) -> int:
        return self.emotion.shape[0]

    @property
    def days(self) -> int:
        return self.emotion.shape[1]

    def rolled(self, column: Trace) -> Trace:
        """The trace one day later: without its first day, and with ``column``, a trace of the same people's next day."""
        moving = (
            "emotion",
            "valence",
            "features",
            "present",
            "exposure",
            "engagement",
            "emotion_hours",
            "category_hours",
            "role",
        )
        days = {name: np.concatenate([getattr(self, name)[:, 1:], getattr(column, name)], axis=1) for name in moving}
        return replace(self, first_day=self.first_day + 1, **days)

    @property
    def has_emotion(self) -> bool:
        """Whether anybody reported an emotion on any day."""
        return bool(np.isfinite(self.valence).any())

    @property
    def negative(self) -> np.ndarray:
        """(U, D) 1.0 where the state is negative (valence < 0), 0.0 where not, NaN where unknown."""
        return np.where(np.isfinite(self.valence), self.valence < 0, np.nan)


def make_trace(
    first_day: int,
    days: int,
    user_days: pd.DataFrame | None,
    impressions: Impressions,
    catalogue: Catalogue,
    taxonomy: Taxonomy,
    profile: tuple[np.ndarray, tuple[str, ...]],
    consent: np.ndarray,
    shared_calendar: bool = True,
) -> Trace:
    r"""Build the trace.

    Exposure of a user-day over its impressions, with r the watch ratio and g the intensity:

    .. math:: x_- = \frac1n \sum_i r_i g_i [v_i < 0], \quad x_+ = \frac1n \sum_i r_i g_i [v_i > 0]

    Args:
        first_day: calendar day of column 0.
        days: number of columns D.
        user_days: columns user, day (index), emotion (label), valence, and the behaviour columns (``churned`` 1 on days
            away); None without a ``.day`` file.
        impressions: what was shown.
        catalogue: the items.
        taxonomy: the emotions.
        profile: codes (U,) and their names.
        consent: (U,) bool.
        shared_calendar: as in :class:`Trace`.
    """
    users = len(consent)
    watched = _Cells(impressions, users, days)
    item, ratio = impressions.item, impressions.watch_ratio
    shown = watched.sum(np.ones(len(impressions)))
    hours = ratio * catalogue.duration[item] / 3600
    mean_over = np.where(shown > 0, shown, np.nan)
    exposure = np.stack(
        [watched.sum(ratio * part[item]) / mean_over for part in (catalogue.negative, catalogue.positive)], axis=-1
    )
    engagement = watched.sum(hours)
    emotion_hours = watched.sum_by(hours, catalogue.emotion[item], len(taxonomy))
    category_hours = watched.sum_by(hours, catalogue.category[item], max(len(catalogue.categories), 1))
    emotion = np.full((users, days), -1)
    valence = np.full((users, days), np.nan)
    present = shown > 0
    derived = {
        "negative_exposure": exposure[..., 0],
        "positive_exposure": exposure[..., 1],
        "watch_hours": np.where(shown > 0, engagement, np.nan),
        "items_shown": np.where(shown > 0, shown, np.nan),
        **_watched_shares(emotion_hours, taxonomy.labels, catalogue.emotion, engagement),
        **_watched_shares(category_hours, catalogue.categories, catalogue.category, engagement),
    }
    behaviour: dict[str, np.ndarray] = {}
    if user_days is not None:
        cell = user_days["user"].to_numpy(), user_days["day"].to_numpy()
        present[cell] = user_days["churned"].to_numpy() != 1 if "churned" in user_days else True
        emotion[cell] = taxonomy.encode(user_days["emotion"].to_numpy(dtype=str))
        valence = taxonomy.valence_of(emotion)
        said = user_days["valence"].to_numpy(float)
        valence[cell] = np.where(np.isfinite(said), said, valence[cell])
        for name in user_days.columns.drop(["user", "day", "emotion", "valence"]):
            behaviour[name] = np.full((users, days), np.nan)
            behaviour[name][cell] = user_days[name].to_numpy(float)
    features = behaviour | derived
    trace = Trace(
        first_day=first_day,
        emotion=emotion,
        valence=valence,
        features=np.stack(list(features.values()), axis=-1),
        feature_names=tuple(features),
        present=present,
        exposure=exposure,
        engagement=engagement,
        emotion_hours=emotion_hours,
        category_hours=category_hours,
        profile=profile[0],
        profiles=profile[1],
        consent=consent,
        shared_calendar=shared_calendar,
    )
    return withheld(trace)


def split_days(present: np.ndarray, ratios: tuple[float, float, float]) -> np.ndarray:
    """Split each person's own days by time.

    Args:
        present: (U, D), the days on which the person was there.
        ratios: shares of train, valid and test, each person's last days being the test days.

    Returns:
        (U, D), TRAIN, VALID or TEST; a day away has the part of the person's last day before it.
    """
    total = sum(ratios)
    number = present.cumsum(axis=1)
    place = (number - 0.5) / np.maximum(number[:, -1:], 1)
    role = np.where(place < ratios[0] / total, TRAIN, np.where(place < (ratios[0] + ratios[1]) / total, VALID, TEST))
    return np.maximum.accumulate(role, axis=1).astype(np.int8)


CONTENT = "watched "
"""Beginning of the features that say what was watched: its emotions and categories, as shares of the day's watch time."""


def _watched_shares(hours: np.ndarray, names: tuple[str, ...], codes: np.ndarray, total: np.ndarray) -> dict[str, np.ndarray]:
    """A feature for each name that an item has, (U, D), NaN on days without watching."""
    share = hours / np.where(total > 0, total, np.nan)[..., None]
    return {f"{CONTENT}{name}": share[..., code] for code, name in enumerate(names) if (codes == code).any()}


class _Cells:
    """Sums over the impressions of each (user, day)."""

    def __init__(self, impressions: Impressions, users: int, days: int) -> None:
        self.shape = users, days
        self.cell = impressions.user * days + impressions.day

    def sum(self, value: np.ndarray) -> np.ndarray:
        users, days = self.shape
        return np.bincount(self.cell, weights=value, minlength=users * days).reshape(users, days)

    def sum_by(self, value: np.ndarray, code: np.ndarray, size: int) -> np.ndarray:
        users, days = self.shape
        known = code >= 0
        flat = self.cell[known] * size + code[known]
        return np.bincount(flat, weights=value[known], minlength=users * days * size).reshape(users, days, size)


def withheld(trace: Trace) -> Trace:
    """The trace with everything unknown of the people who did not consent."""
    silent = ~trace.consent
    unknown = dict.fromkeys(("emotion", "profile"), -1) | dict.fromkeys(("valence", "features", "exposure"), np.nan)
    unknown |= dict.fromkeys(("engagement", "emotion_hours", "category_hours"), 0.0)
    arrays = {name: getattr(trace, name).copy() for name in unknown}
    for name, value in unknown.items():
        arrays[name][silent] = value
    return replace(trace, **arrays)
