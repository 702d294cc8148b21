"""Ranks candidates for engagement with LightGBM, from user, item, context and encoder features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.trace import Trace

if TYPE_CHECKING:
    import lightgbm


@dataclass(frozen=True)
class ItemCounts:
    """What the training impressions say of each item, shape (I,): how often it was watched, and how much of it."""

    popularity: np.ndarray
    watch_rate: np.ndarray

    @classmethod
    def of(cls, impressions: Impressions, items: int, prior: float = 20.0) -> ItemCounts:
        """Log views, and the watch ratio shrunk toward the mean of all items by ``prior`` impressions."""
        shown = np.bincount(impressions.item, minlength=items)
        views = np.bincount(impressions.item, weights=impressions.label, minlength=items)
        ratio = np.bincount(impressions.item, weights=impressions.watch_ratio, minlength=items)
        mean = ratio.sum() / max(shown.sum(), 1)
        return cls(np.log1p(views), (ratio + prior * mean) / (shown + prior))


class EngagementFeatures:
    """Features of a (user, day, item): all of the user's come from days before the day.

    Args:
        trace: people's days.
        catalogue: the items.
        counts: of the training impressions.
        beliefs: shape (U, D, S), the encoder's beliefs at the end of each day.
    """

    def __init__(self, trace: Trace, catalogue: Catalogue, counts: ItemCounts, beliefs: np.ndarray) -> None:
        self._catalogue, self._counts, self._profile = catalogue, counts, trace.profile
        self._emotion_share = _share_before(trace.emotion_hours)
        self._category_share = _share_before(trace.category_hours)
        self._habit = _mean_before(trace.engagement, trace.present)
        self._belief = _before(beliefs)

    def table(self, user: np.ndarray, day: np.ndarray, item: np.ndarray, retrieved: np.ndarray) -> np.ndarray:
        """One row an item shown or to be shown.

        Args:
            user, day, item: shape (N,); ``day`` is the day's index and may be D, the day after the last.
            retrieved: shape (N,), the retriever's standardised score.

        Returns:
            shape (N, features), float32.
        """
        items, counts = self._catalogue, self._counts
        emotion, category = items.emotion[item], items.category[item]
        columns = [
            retrieved,
            counts.popularity[item],
            counts.watch_rate[item],
            emotion,
            items.valence[item],
            items.intensity[item],
            category,
            items.duration[item],
            np.where(emotion >= 0, self._emotion_share[user, day, np.maximum(emotion, 0)], np.nan),
            np.where(category >= 0, self._category_share[user, day, np.maximum(category, 0)], np.nan),
            self._profile[user],
            self._habit[user, day],
            day % 7,
        ]
        return np.column_stack([np.stack(columns, axis=1), self._belief[user, day]]).astype(np.float32)


class EngagementRanker:
    """A LightGBM model of whether an item that is shown is watched.

    Attributes:
        booster: the trained model, or None before training.
    """

    def __init__(self, booster: lightgbm.Booster | None = None) -> None:
        self.booster = booster

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
        """Train on (features, label) with early stopping on the AUC of ``valid``; returns the number of rounds kept."""
        import lightgbm

        parameters = {
            "objective": "binary",
            "metric": "auc",
            "learning_rate": learning_rate,
            "num_leaves": leaves,
            "min_data_in_leaf": 50,
            "lambda_l2": 1.0,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(train[0], train[1])
        judged = valid is not None and len(np.unique(valid[1])) == 2
        self.booster = lightgbm.train(
            parameters,
            data,
            num_boost_round=rounds,
            valid_sets=[lightgbm.Dataset(*valid, reference=data)] if judged and valid is not None else None,
            callbacks=[lightgbm.early_stopping(stopping_rounds, verbose=False)] if judged else None,
        )
        return int(self.booster.best_iteration or self.booster.current_iteration())

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Probability of a watch, shape (N,), in (0, 1); 0.5 before training."""
        if self.booster is None:
            return np.full(len(features), 0.5)
        return np.asarray(self.booster.predict(features))

    def to_text(self) -> str:
        """The model in LightGBM's own text format; empty before training."""
        return self.booster.model_to_string(num_iteration=self.booster.best_iteration) if self.booster else ""

    @classmethod
    def from_text(cls, text: str) -> EngagementRanker:
        """The inverse of :meth:`to_text`."""
        import lightgbm

        return cls(lightgbm.Booster(model_str=text) if text else None)


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
