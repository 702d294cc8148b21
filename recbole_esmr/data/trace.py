"""The user × day view of the data: one row a person, one column a day, a mask where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.sparse_days import SparseDays
from recbole_esmr.data.user_days import UserDaySums
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.settings import setting

TRAIN, VALID, TEST = 0, 1, 2

DENSE = 250_000
"""A trace of more user-days than that keeps what it knows of a day for the known days alone."""

BLOCK = 200_000
"""User-days of such a trace that are worked on at once."""


UNKNOWN: dict[str, float] = {
    "emotion": -1,
    "valence": np.nan,
    "features": np.nan,
    "present": False,
    "exposure": np.nan,
    "engagement": 0.0,
    "emotion_hours": 0.0,
    "category_hours": 0.0,
}
"""What a trace holds of a day of which nothing is known."""


@dataclass(frozen=True, kw_only=True)
class DaySettings:
    """How people's days are read."""

    day_split: list[float] = setting("shares of train, valid and test days", low=0, high=1)
    label: str = setting("where the people's emotions come from", choices=("reported", "behaviour-clusters"))


@dataclass
class Trace:
    """People's days: U people, D days, F behaviour features, E emotions, C categories.

    In the trace of a whole data set a row is RecBole's internal id, and row 0 (RecBole's padding) is nobody: of whom nothing is
    known, as of a newcomer.

    In a long one ``features``, ``exposure``, ``engagement`` and the hours are :class:`~recbole_esmr.data.sparse_days.SparseDays`,
    which read as arrays: what is wide grows with the known days, not with people × days. Whoever needs all of everybody goes
    through :meth:`blocks`.

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

    @property
    def long(self) -> bool:
        """Whether only the known days are kept of what is wide."""
        return isinstance(self.features, SparseDays)

    def blocks(self) -> list[np.ndarray]:
        """The people in parts that can be worked on at once: all of them, or of a long trace a few."""
        size = max(1, BLOCK // max(self.days, 1)) if self.long else max(self.users, 1)
        return [np.arange(start, min(start + size, self.users)) for start in range(0, self.users, size)]

    @property
    def known(self) -> np.ndarray:
        """(U, D) whether anything is known of the day."""
        if isinstance(self.features, SparseDays):
            known = self.present | np.isfinite(self.valence)
            known[self.features.kept[:2]] = True
            return known
        return self.present | np.isfinite(self.valence) | np.isfinite(self.features).any(axis=-1)

    def of(self, rows: np.ndarray) -> Trace:
        """The days of the people in these rows alone."""
        arrays: dict[str, Any] = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray) and len(value)
        }
        arrays |= {name: value.of(rows) for name, value in vars(self).items() if isinstance(value, SparseDays)}
        return replace(self, **arrays)

    def at(self, columns: np.ndarray) -> Trace:
        """Some days of each person, (U, K) of their columns in order; −1 for a day of which nothing is known."""
        row, inside, arrays = np.arange(self.users)[:, None], columns >= 0, {}
        for name, unknown in UNKNOWN.items():
            value = getattr(self, name)[row, np.maximum(columns, 0)]
            value[~inside] = unknown
            arrays[name] = value
        return replace(self, **arrays)

    def rolled(self, column: Trace) -> Trace:
        """The trace one day later: without its first day, and with ``column``, a trace of the same people's next day."""
        days = {
            name: np.concatenate([np.asarray(getattr(self, name))[:, 1:], getattr(column, name)], axis=1)
            for name in (*UNKNOWN, "role")
        }
        return replace(self, first_day=self.first_day + 1, **days)

    @property
    def has_emotion(self) -> bool:
        """Whether anybody reported an emotion on any day."""
        return bool(np.isfinite(self.valence).any())

    def reported_in(self, part: int) -> bool:
        """Whether anybody reported an emotion on a day of the part (TRAIN, VALID or TEST)."""
        return bool((np.isfinite(self.valence) & (self.role == part)).any())

    @property
    def negative(self) -> np.ndarray:
        """(U, D) 1.0 where the state is negative (valence < 0), 0.0 where not, NaN where unknown."""
        return np.where(np.isfinite(self.valence), self.valence < 0, np.nan)


def make_trace(
    first_day: int,
    days: int,
    user_days: Mapping[str, np.ndarray] | None,
    impressions: Impressions,
    catalogue: Catalogue,
    taxonomy: Taxonomy,
    profile: tuple[np.ndarray, tuple[str, ...]],
    consent: np.ndarray,
    shared_calendar: bool = True,
) -> Trace:
    r"""Build the trace.

    Exposure of a user-day over its impressions, with r the watch ratio and g the intensity:

    .. math:: x_- = \frac1n \sum_i r_i g_i \sum_{e: v_e < 0} s_{ie}, \quad x_+ = \frac1n \sum_i r_i g_i \sum_{e: v_e > 0} s_{ie}

    with s the shares of the emotions that an item expresses: one of them 1 where it has one label.

    Args:
        first_day: calendar day of column 0.
        days: number of columns D.
        user_days: columns user, day (index), emotion (label), valence, and the behaviour columns (``churned`` 1 on days
            away), (N,) each; None without a ``.day`` file.
        impressions: what was shown.
        catalogue: the items.
        taxonomy: the emotions.
        profile: codes (U,) and their names.
        consent: (U,) bool.
        shared_calendar: as in :class:`Trace`.
    """
    users, sparse = len(consent), len(consent) * days > DENSE
    keys = [impressions.user * days + impressions.day]
    if user_days is not None:
        keys.append(user_days["user"] * days + user_days["day"])
    known = np.unique(np.concatenate(keys))  # the user-days of which anything is known, R of them
    user, day = np.divmod(known, days)

    def spread(value: np.ndarray, fill: float, keep: bool = False) -> np.ndarray:
        """(R, …) → (U, D, …)."""
        if sparse and not keep:
            return cast(np.ndarray, SparseDays(user, day, value, (users, days), fill))
        table = np.full((users, days, *value.shape[1:]), fill, value.dtype)
        table[user, day] = value
        return table

    sums = UserDaySums(np.searchsorted(known, keys[0]), np.zeros_like(keys[0]), len(known), 1)
    watched = _watched(sums, impressions, catalogue, taxonomy)
    emotion, valence = np.full(len(known), -1, np.int8 if sparse else np.int64), np.full(len(known), np.nan)
    present = watched["shown"] > 0
    behaviour: dict[str, np.ndarray] = {}
    if user_days is not None:
        row = np.searchsorted(known, keys[1])
        present[row] = user_days["churned"] != 1 if "churned" in user_days else True
        emotion[row] = taxonomy.encode(user_days["emotion"])
        valence = taxonomy.valence_of(emotion)
        said = user_days["valence"]
        valence[row] = np.where(np.isfinite(said), said, valence[row])
        for name in [column for column in user_days if column not in ("user", "day", "emotion", "valence")]:
            behaviour[name] = np.full(len(known), np.nan)
            behaviour[name][row] = user_days[name]
    features = behaviour | _derived(watched, catalogue, taxonomy)
    trace = Trace(
        first_day=first_day,
        emotion=spread(emotion, -1, keep=True),
        valence=spread(valence.astype(np.float32) if sparse else valence, np.nan, keep=True),
        features=spread(np.stack(list(features.values()), axis=-1), np.nan),
        feature_names=tuple(features),
        present=spread(present, False, keep=True),
        exposure=spread(watched["exposure"], np.nan),
        engagement=spread(watched["hours"], 0.0),
        emotion_hours=spread(watched["emotion_hours"], 0.0),
        category_hours=spread(watched["category_hours"], 0.0),
        profile=profile[0],
        profiles=profile[1],
        consent=consent,
        shared_calendar=shared_calendar,
    )
    return withheld(trace)


def _watched(sums: UserDaySums, impressions: Impressions, catalogue: Catalogue, taxonomy: Taxonomy) -> dict[str, np.ndarray]:
    """What was shown and watched on R user-days, (R, …) each; ``sums`` is over them."""
    item, ratio = impressions.item, impressions.watch_ratio
    hours = ratio * catalogue.duration[item] / 3600
    exposure = np.stack([sums.mean(ratio * part[item]) for part in (catalogue.negative, catalogue.positive)], axis=-1)
    found = {
        "shown": sums.count,
        "hours": sums.sum(hours),
        "exposure": exposure,
        "emotion_hours": np.stack([sums.sum(hours * share[item]) for share in catalogue.share.T], axis=-1),
        "category_hours": sums.sum_by(hours, catalogue.category[item], max(len(catalogue.categories), 1)),
    }
    return {name: value[:, 0] for name, value in found.items()}


def _derived(watched: dict[str, np.ndarray], catalogue: Catalogue, taxonomy: Taxonomy) -> dict[str, np.ndarray]:
    """The features of R user-days that are made from what was watched, (R,) each."""
    shown, hours = watched["shown"], watched["hours"]
    return {
        "negative_exposure": watched["exposure"][:, 0],
        "positive_exposure": watched["exposure"][:, 1],
        "watch_hours": np.where(shown > 0, hours, np.nan),
        "items_shown": np.where(shown > 0, shown, np.nan),
        **_watched_shares(watched["emotion_hours"], taxonomy.labels, catalogue.share.any(axis=0), hours),
        **_watched_shares(watched["category_hours"], catalogue.categories, _occurring(catalogue), hours),
    }


def split_days(present: np.ndarray, ratios: tuple[float, float, float]) -> np.ndarray:
    """Split each person's own days by time.

    Args:
        present: (U, D), the days on which the person was there.
        ratios: shares of train, valid and test, each person's last days being the test days.

    Returns:
        (U, D), TRAIN, VALID or TEST; a day away has the part of the person's last day before it.
    """
    total = sum(ratios)
    roles = np.empty(present.shape, dtype=np.int8)
    size = max(1, BLOCK // max(present.shape[1], 1))
    for start in range(0, len(present), size):
        number = present[start : start + size].cumsum(axis=1)
        place = (number - 0.5) / np.maximum(number[:, -1:], 1)
        role = np.where(place < ratios[0] / total, TRAIN, np.where(place < (ratios[0] + ratios[1]) / total, VALID, TEST))
        roles[start : start + size] = np.maximum.accumulate(role, axis=1)
    return roles


CONTENT = "watched "
"""Beginning of the features that say what was watched: its emotions and categories, as shares of the day's watch time."""


def _occurring(catalogue: Catalogue) -> np.ndarray:
    """Which categories an item has, (C,) bool."""
    return np.isin(np.arange(len(catalogue.categories)), catalogue.category)


def _watched_shares(hours: np.ndarray, names: tuple[str, ...], there: np.ndarray, total: np.ndarray) -> dict[str, np.ndarray]:
    """A feature for each name that an item has, (R,), NaN on days without watching."""
    share = hours / np.where(total > 0, total, np.nan)[..., None]
    return {f"{CONTENT}{name}": share[..., code] for code, name in enumerate(names) if there[code]}


def withheld(trace: Trace) -> Trace:
    """The trace with everything unknown of the people who did not consent."""
    silent = ~trace.consent
    if not silent.any():
        return trace
    arrays: dict[str, Any] = {}
    for name, value in (UNKNOWN | {"profile": -1}).items():
        if name == "present":
            continue
        kept = getattr(trace, name)
        if isinstance(kept, SparseDays):
            arrays[name] = kept.without(silent)
        else:
            arrays[name] = np.where(silent.reshape(-1, *[1] * (kept.ndim - 1)), np.asarray(value, kept.dtype), kept)
    return replace(trace, **arrays)
