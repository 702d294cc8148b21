"""Ranks candidates for engagement with LightGBM, from user, item, context and encoder features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.trace import Trace

if TYPE_CHECKING:
    import lightgbm


PRIOR_IMPRESSIONS = 20.0
"""Strength of the shrinkage of an item's watch ratio toward the mean of all items."""


class ItemPast:
    """What everybody's impressions of the days before say of each item on each day.

    Counts of the training part as a whole would tell an item by the very label that is to be predicted; counts of earlier days
    cannot, in training or later. Where days count each person's own steps there is no earlier day of others: all is NaN.

    Args:
        impressions: what was shown.
        items: number of items I.
        days: number of days D.
        shared_calendar: as in :class:`~recbole_esmr.data.trace.Trace`.
    """

    def __init__(self, impressions: Impressions, items: int, days: int, shared_calendar: bool = True) -> None:
        if not shared_calendar:
            self.popularity = self.watch_ratio = np.full((days + 1, items), np.nan)
            return
        cell = impressions.day * items + impressions.item

        def before(weight: np.ndarray | None) -> np.ndarray:
            count = np.bincount(cell, weights=weight, minlength=days * items).reshape(days, items)
            return np.concatenate([np.zeros((1, items)), count.cumsum(axis=0)])

        shown, watched = before(None), before(impressions.watch_ratio)
        mean = watched.sum(axis=1, keepdims=True) / np.maximum(shown.sum(axis=1, keepdims=True), 1)
        views = before(impressions.label)
        self.popularity = np.log1p(views / np.maximum(views.mean(axis=1, keepdims=True), 1e-9))
        """(D + 1, I): log of the views relative to the mean item."""
        self.watch_ratio = (watched + PRIOR_IMPRESSIONS * mean) / (shown + PRIOR_IMPRESSIONS)
        """(D + 1, I): mean watch ratio, shrunk."""


class EngagementFeatures:
    """Features of a (user, day, item): all that moves comes from days before the day.

    Args:
        trace: people's days.
        catalogue: the items.
        past: of the items.
        beliefs: shape (U, D, S), the encoder's beliefs at the end of each day.
    """

    def __init__(self, trace: Trace, catalogue: Catalogue, past: ItemPast, beliefs: np.ndarray) -> None:
        self._catalogue, self._past, self._profile, self._consent = catalogue, past, trace.profile, trace.consent
        calendar = trace.first_day + np.arange(trace.days + 1)
        self._weekday = calendar % 7 if trace.shared_calendar else np.full(trace.days + 1, np.nan)
        self._emotion_share = _share_before(trace.emotion_hours)
        self._category_share = _share_before(trace.category_hours)
        self._habit = _mean_before(trace.engagement, trace.present)
        self._belief = _before(beliefs)

    def usual_ratio(self, day: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Mean watch ratio of items on the days before, (N,); a half where it is not known."""
        return np.nan_to_num(self._past.watch_ratio[day, item], nan=0.5)

    def table(self, user: np.ndarray, day: np.ndarray, item: np.ndarray, retrieved: np.ndarray) -> np.ndarray:
        """One row an item shown or to be shown.

        Args:
            user, day, item: shape (N,); ``day`` is the day's index and may be D, the day after the last.
            retrieved: shape (N,), the retriever's standardised score.

        Returns:
            shape (N, features), float32.
        """
        items = self._catalogue
        emotion, category = items.emotion[item], items.category[item]
        may_feel = self._consent[user] & (emotion >= 0)  # without consent no emotion is read, not even the item's
        columns = [
            retrieved,
            self._past.popularity[day, item],
            self._past.watch_ratio[day, item],
            np.where(may_feel, emotion, np.nan),
            np.where(may_feel, items.valence[item], np.nan),
            np.where(may_feel, items.intensity[item], np.nan),
            category,
            items.duration[item],
            np.where(may_feel, self._emotion_share[user, day, np.maximum(emotion, 0)], np.nan),
            np.where(category >= 0, self._category_share[user, day, np.maximum(category, 0)], np.nan),
            self._profile[user],
            self._habit[user, day],
            self._weekday[day],
        ]
        return np.column_stack([np.stack(columns, axis=1), self._belief[user, day]]).astype(np.float32)


class EngagementRanker:
    """A LightGBM model of what is watched.

    Args:
        columns: of the features that it may use, the first so many; None for all. With one it is a rising curve of the
            retriever's score and keeps the retriever's order.

    Attributes:
        booster: the trained model, or None before training.
    """

    def __init__(self, columns: int | None = None) -> None:
        self.columns = columns
        self.booster: lightgbm.Booster | None = None

    def fit(
        self,
        train: tuple[np.ndarray, np.ndarray],
        valid: tuple[np.ndarray, np.ndarray] | None,
        rounds: int,
        stopping_rounds: int,
        learning_rate: float,
        leaves: int,
        seed: int,
    ) -> int:
        """Train on (features, label in [0, 1]) with early stopping on the cross-entropy of ``valid``; returns the rounds kept."""
        import lightgbm

        parameters = {
            "objective": "cross_entropy",
            "metric": "cross_entropy",
            "learning_rate": learning_rate,
            "num_leaves": leaves,
            "min_data_in_leaf": 50,
            "lambda_l2": 1.0,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        if self.columns == 1:
            parameters["monotone_constraints"] = [1]
        else:
            parameters |= {"feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1}
        data = lightgbm.Dataset(train[0][:, : self.columns], train[1])
        judged = valid is not None and len(np.unique(valid[1])) > 1
        judge = (
            [lightgbm.Dataset(valid[0][:, : self.columns], valid[1], reference=data)] if judged and valid is not None else None
        )
        self.booster = lightgbm.train(
            parameters,
            data,
            num_boost_round=rounds,
            valid_sets=judge,
            callbacks=[lightgbm.early_stopping(stopping_rounds, verbose=False)] if judged else None,
        )
        return int(self.booster.best_iteration or self.booster.current_iteration())

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Expected label, shape (N,), in (0, 1); 0.5 before training."""
        if self.booster is None or len(features) == 0:
            return np.full(len(features), 0.5)
        return np.asarray(self.booster.predict(features[:, : self.columns]))

    def to_text(self) -> str:
        """The model in LightGBM's own text format; empty before training."""
        return self.booster.model_to_string(num_iteration=self.booster.best_iteration) if self.booster else ""

    def read_text(self, text: str) -> None:
        """The inverse of :meth:`to_text`."""
        import lightgbm

        self.booster = lightgbm.Booster(model_str=text) if text else None


def _before(value: np.ndarray) -> np.ndarray:
    """Value at the end of the day before; zeros before the first day. (U, D, …) → (U, D + 1, …)."""
    return np.concatenate([np.zeros_like(value[:, :1]), value], axis=1)


def _share_before(hours: np.ndarray) -> np.ndarray:
    total = _before(hours.cumsum(axis=1))
    size = total.shape[-1]
    prior = 0.02  # hours: a newcomer's shares are even
    return (total + prior / size) / (total.sum(axis=-1, keepdims=True) + prior)


def _mean_before(value: np.ndarray, present: np.ndarray) -> np.ndarray:
    return _before(value.cumsum(axis=1)) / np.maximum(_before(present.cumsum(axis=1)), 1)
