"""Ranks candidates for engagement with LightGBM, from user, item, context and encoder features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.embeddings import LATELY
from recbole_esmr.data.history import History
from recbole_esmr.data.item_past import ItemPast
from recbole_esmr.data.log import Log
from recbole_esmr.data.reading.times import weekday
from recbole_esmr.data.sparse_days import SparseDays
from recbole_esmr.data.trace import Trace
from recbole_esmr.data.user_days import eve
from recbole_esmr.model.trees import Trees
from recbole_esmr.settings import setting


@dataclass(frozen=True, kw_only=True)
class RankerSettings:
    """Training of LightGBM."""

    rounds: int = setting("boosting rounds", low=1, high=100_000)
    stopping_rounds: int = setting("rounds without progress before boosting stops", low=1, high=100_000)
    learning_rate: float = setting("learning rate of LightGBM", low=1e-6, high=1)
    leaves: int = setting("leaves of a tree", low=2, high=131_072)
    rows: int = setting("rows that LightGBM learns from, at most", low=100, high=1_000_000_000)
    people: int = setting("people that LightGBM learns from, at most", low=1, high=1_000_000_000)
    negatives: int = setting("sampled negatives a view", low=1, high=1000)


SHOWN = 3
"""Components of an embedding that LightGBM sees as they are."""


class EngagementFeatures:
    """Features of a (person, day, item): all that moves comes from days before the day.

    Args:
        trace: people's days.
        catalogue: the items.
        past: of the items.
        forecast: (P, D, S), what the encoder forecast at the end of each day.
        history: what people watched, for items with embeddings.
    """

    def __init__(
        self, trace: Trace, catalogue: Catalogue, past: ItemPast, forecast: np.ndarray, history: History | None = None
    ) -> None:
        self._catalogue, self._past, self._profile, self._consent = catalogue, past, trace.profile, trace.consent
        self._first_day = trace.first_day if trace.shared_calendar else np.nan
        self._emotion_hours, self._category_hours = _SumsBefore(trace.emotion_hours), _SumsBefore(trace.category_hours)
        self._engagement = _SumsBefore(trace.engagement)
        self._visits = _SumsBefore(_present_days(trace))
        self._forecast, self._history = forecast, history

    @staticmethod
    def count(emotions: int, catalogue: Catalogue) -> int:
        """Columns of the table where there are so many emotions: its own, the evening's forecast, and the embeddings'."""
        return 13 + emotions + 4 + sum(1 + min(SHOWN, part.shape[1]) for part in catalogue.embeddings.values())

    @classmethod
    def of(cls, log: Log, forecast: np.ndarray, catalogue: Catalogue) -> EngagementFeatures:
        """For the people of a log, and what is forecast of them."""
        return cls(log.trace, catalogue, log.past, forecast, log.history)

    def table(self, row: np.ndarray, day: np.ndarray, item: np.ndarray, retrieved: np.ndarray) -> np.ndarray:
        """One line an item shown or to be shown.

        Args:
            row, day, item: (N,); ``row`` is the person's in the trace, ``day`` may be D, the day after the last, and lie below 0,
                where of the person nothing is known yet.
            retrieved: (N,) the retriever's standardised score.

        Returns:
            (N, features), float32.
        """
        items = self._catalogue
        emotion, category = items.emotion[item], items.category[item]
        own_category = np.eye(max(len(items.categories), 1))[category]
        day_of_week, known = weekday(self._first_day + day) % 7, np.maximum(day, 0)
        may_feel = self._consent[row] & (emotion >= 0)  # without consent no emotion is read, not even the item's
        columns = [
            retrieved,
            self._past.popularity(day, item),
            self._past.watch_ratio(day, item),
            np.where(may_feel, emotion, np.nan),
            np.where(may_feel, items.valence[item], np.nan),
            np.where(may_feel, items.intensity[item], np.nan),
            category,
            items.duration[item],
            np.where(may_feel, _liking(self._emotion_hours(row, known), items.share[item]), np.nan),
            np.where(category >= 0, _liking(self._category_hours(row, known), own_category), np.nan),
            self._profile[row],
            self._engagement(row, known) / np.maximum(self._visits(row, known), 1),
            day_of_week,
        ]
        evening = np.zeros((len(row), self._forecast.shape[-1]))
        later = known > 0  # nothing is forecast before the first day
        evening[later] = self._forecast[row[later], known[later] - 1]
        return np.column_stack([np.stack(columns, axis=1), evening, *self._embedded(row, day, item)]).astype(np.float32)

    def _embedded(self, row: np.ndarray, day: np.ndarray, item: np.ndarray) -> list[np.ndarray]:
        """Of each modality how near the item is to what the person watched lately (cosine; NaN where that is nothing, or may not
        be read), and its first components."""
        items = self._catalogue.embeddings
        if not items or self._history is None:
            return []
        span = int(day.max(initial=0)) - int(day.min(initial=0)) + 1
        key, place = np.unique(row.astype(np.int64) * span + day - day.min(initial=0), return_inverse=True)
        watched, count = self._history.before(key // span, key % span + int(day.min(initial=0)), LATELY)
        known = (count[place] > 0) & self._consent[row]
        columns = []
        for table in items.values():
            mean = table[watched].sum(axis=1)  # of the padding it is zeros; the length of a mean does not turn it
            length = np.linalg.norm(mean, axis=1)[place] * np.linalg.norm(table, axis=1)[item]
            cosine = np.einsum("nz,nz->n", mean[place], table[item]) / np.maximum(length, 1e-12)
            columns.append(np.column_stack([np.where(known & (length > 1e-12), cosine, np.nan), table[item, :SHOWN]]))
        return columns


@dataclass(frozen=True)
class EngagementRanker:
    """A LightGBM model of what is watched.

    Attributes:
        trees: the trained model, or None before training.
        columns: of the features that it uses, the first so many; None for all. With one it is a rising curve of the
            retriever's score and keeps the retriever's order.
    """

    trees: Trees | None = None
    columns: int | None = None

    @classmethod
    def fit(
        cls,
        train: tuple[np.ndarray, np.ndarray],
        valid: tuple[np.ndarray, np.ndarray] | None,
        settings: RankerSettings,
        seed: int,
        columns: int | None = None,
    ) -> EngagementRanker:
        """Train on (features, label in [0, 1]) with early stopping on the cross-entropy of ``valid``."""
        import lightgbm

        parameters = {
            "objective": "cross_entropy",
            "metric": "cross_entropy",
            "learning_rate": settings.learning_rate,
            "num_leaves": settings.leaves,
            "min_data_in_leaf": 50,
            "lambda_l2": 1.0,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        if columns == 1:
            parameters["monotone_constraints"] = [1]
        else:
            parameters |= {"feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1}
        data = lightgbm.Dataset(train[0][:, :columns], train[1])
        judged = valid is not None and len(np.unique(valid[1])) > 1
        judge = [lightgbm.Dataset(valid[0][:, :columns], valid[1], reference=data)] if judged and valid is not None else None
        booster = lightgbm.train(
            parameters,
            data,
            num_boost_round=settings.rounds,
            valid_sets=judge,
            callbacks=[lightgbm.early_stopping(settings.stopping_rounds, verbose=False)] if judged else None,
        )
        return cls(Trees.of(booster), columns)

    @property
    def rounds(self) -> int:
        """Boosting rounds that it uses."""
        return len(self.trees.leaves) if self.trees else 0

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Expected label, shape (N,), in (0, 1); 0.5 before training."""
        if self.trees is None:
            return np.full(len(features), 0.5)
        return self.trees.predict(features[:, : self.columns])


class _SumsBefore:
    """Sums of a (P, D, …) table over the days before a day."""

    def __init__(self, table: np.ndarray | SparseDays) -> None:
        self._table = None
        if isinstance(table, SparseDays):
            user, day, value = table.kept
            self._key, self._days = user * table.shape[1] + day, table.shape[1]
            self._running = np.concatenate([np.zeros_like(value[:1], shape=(1, *value.shape[1:])), value.cumsum(axis=0)])
        else:
            self._table = eve(table.cumsum(axis=1))

    def __call__(self, row: np.ndarray, day: np.ndarray) -> np.ndarray:
        """(N, …) of people in rows (N,) on days 0 … D."""
        if self._table is not None:
            return self._table[row, day]
        first = row.astype(np.int64) * self._days
        start, end = np.searchsorted(self._key, first), np.searchsorted(self._key, first + day)
        return np.maximum(self._running[end] - self._running[start], 0)


def _present_days(trace: Trace) -> np.ndarray | SparseDays:
    if not trace.long:
        return trace.present
    user, day = np.nonzero(trace.present)
    return SparseDays(user, day, np.ones(len(user), dtype=int), trace.present.shape, 0)


def _liking(hours: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Share in a person's hours (N, C) of what an item is, (N, C) shares; (N,)."""
    prior = 0.02  # hours: a newcomer's shares are even
    return np.asarray(((hours + prior / hours.shape[1]) * share).sum(axis=1) / (hours.sum(axis=1) + prior))
