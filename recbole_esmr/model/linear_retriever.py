"""A retriever that knows no person: a trained retriever's scores as a linear function of what somebody has watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.data.log import Log
from recbole_esmr.data.user_days import spaced

if TYPE_CHECKING:
    from recbole_esmr.model.retriever import Retrieval

FACTORS = 64
"""Directions of taste that are kept, at most."""

PEOPLE = 5_000
"""People that it is fitted on, at most."""

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Ridge penalties among which people who were left out choose."""

FOLDS = 5


@dataclass(frozen=True)
class LinearRetrieval:
    r"""Scores of all items from a person's last views, standardised within a row.

    .. math:: r_u = m + V (c + P^T x_u), \qquad x_{ui} = n_{ui} / \sqrt{\textstyle\sum_j n_{uj}}

    with n how often item i is among the last L views. V are the directions in which the trained retriever's scores of known
    people differ most (a singular value decomposition), P and c a ridge regression of people's places in them on what they
    watched. So nobody's own parameters are kept, and a newcomer is scored by what they watch.

    Attributes:
        mean: (I,) m. place: (I, F) P. offset: (F,) c. direction: (F, I) the rows of V.
        longest: L, views that count.
    """

    mean: np.ndarray
    place: np.ndarray
    offset: np.ndarray
    direction: np.ndarray
    longest: int

    @property
    def items(self) -> int:
        return len(self.mean)

    @property
    def sequential(self) -> bool:
        """What was watched before the day changes the scores."""
        return True

    def __call__(self, log: Log, row: np.ndarray, day: np.ndarray) -> Tensor:
        """Scores of all items for the people in rows (B,) of the log on days (B,); (B, I), −inf for the padding item."""
        item, count = log.history.before(row, day, self.longest)
        scores = torch.from_numpy(self.of_views(item, count)).float()
        real = scores[:, 1:]
        scores = (scores - real.mean(dim=1, keepdim=True)) / real.std(dim=1, keepdim=True).clamp(min=1e-6)
        scores[:, 0] = -torch.inf
        return scores

    def of_views(self, item: np.ndarray, count: np.ndarray) -> np.ndarray:
        """Scores (B, I), not standardised, of people with views (B, L), of which the first ``count`` (B,) are there."""
        there = np.arange(item.shape[1]) < count[:, None]
        taste = np.einsum("bl,blf->bf", there / np.sqrt(np.maximum(count, 1))[:, None], self.place[item])
        return self.mean + (self.offset + taste) @ self.direction

    def with_items(self, more: int) -> LinearRetrieval:
        """With items that it has not learned, which get the mean item's score."""
        usual = float(self.mean[1:].mean())
        return LinearRetrieval(
            np.concatenate([self.mean, np.full(more, usual)]),
            np.concatenate([self.place, np.zeros((more, self.place.shape[1]))]),
            self.offset,
            np.concatenate([self.direction, np.tile(self.direction[:, 1:].mean(axis=1, keepdims=True), (1, more))], axis=1),
            self.longest,
        )


def distilled(retrieval: Retrieval, log: Log) -> tuple[LinearRetrieval, float]:
    """A linear retriever that says of people what a trained one says of them on the day after the log.

    Args:
        retrieval: of the trained retriever.
        log: of a whole data set, whose row 0 is nobody.

    Returns:
        it, and the mean correlation of its scores with the trained retriever's, within people who were left out; 0 where too few
        watched anything.
    """
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import TruncatedSVD
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold, cross_val_predict

    items, longest = retrieval.items, retrieval.longest
    people = np.arange(1, log.trace.users)
    _, count = log.history.before(people, np.full(len(people), log.trace.days), longest)
    people = people[count > 0]
    people = spaced(people, PEOPLE)
    scores = _scores(retrieval, log, people)
    mean = scores.mean(axis=0) if len(people) else np.zeros(items)
    factors = min(FACTORS, items - 2, len(people) - 1)
    if len(people) < 2 * FOLDS or factors < 1:
        return LinearRetrieval(mean, np.zeros((items, 1)), np.zeros(1), np.zeros((1, items)), longest), 0.0
    item, count = log.history.before(people, np.full(len(people), log.trace.days), longest)
    there = np.arange(longest) < count[:, None]
    row = np.nonzero(there)[0]
    watched = csr_matrix((1 / np.sqrt(count[row]), (row, item[there])), shape=(len(people), items))
    base = TruncatedSVD(factors, random_state=0)
    place = base.fit_transform(scores - mean)
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    tried = [cross_val_predict(Ridge(penalty), watched, place, cv=folds) for penalty in PENALTIES]
    alike = [_alike(scores, mean + found @ base.components_) for found in tried]
    best = Ridge(PENALTIES[int(np.argmax(alike))]).fit(watched, place)
    offset = np.atleast_1d(best.intercept_)
    return LinearRetrieval(mean, best.coef_.T, offset, base.components_, longest), float(max(alike))


def _scores(retrieval: Retrieval, log: Log, people: np.ndarray) -> np.ndarray:
    parts = [retrieval(log, some, np.full(len(some), log.trace.days)).double().numpy() for some in _batches(people)]
    scores = np.concatenate([np.zeros((0, retrieval.items)), *parts])
    scores[:, 0] = 0.0
    return scores


def _batches(people: np.ndarray) -> list[np.ndarray]:
    return np.array_split(people, max(1, len(people) // 256)) if len(people) else []


def _alike(one: np.ndarray, other: np.ndarray) -> float:
    """Mean correlation of two tables (B, I) within rows, the padding item left out."""
    a, b = (table[:, 1:] - table[:, 1:].mean(axis=1, keepdims=True) for table in (one, other))
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / np.maximum(length, 1e-12)).mean())
