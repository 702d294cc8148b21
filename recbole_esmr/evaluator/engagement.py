"""How well the engagement ranker tells what is watched from what is skipped, on the test days."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.trace import TEST
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.trainer.engagement import impression_features, with_negatives


def engagement_report(model: ESMR, seed: int) -> dict[str, Any] | None:
    """The ``engagement`` part of ``run.json``: AUC and NDCG@10 over the test days' slates; None without a test impression.

    ``retriever`` holds the same of the retriever's scores alone. Where skips were not logged, sampled items stand for them, as in
    training.
    """
    shown = with_negatives(model.impressions, model.settings.ranker_negatives, model.n_items, np.random.default_rng([seed, 5]))
    shown = shown.take(model.trace.role[shown.user, shown.day] == TEST)
    if len(shown) == 0:
        return None
    features = impression_features(model, shown)
    return {**_quality(shown, model.watch_ranker.predict(features)), "retriever": _quality(shown, features[:, 0])}


def _quality(shown: Impressions, score: np.ndarray) -> dict[str, float]:
    both = 0 < shown.label.mean() < 1
    return {
        "auc": float(roc_auc_score(shown.label, score)) if both else float("nan"),
        "ndcg@10": slate_ndcg(shown, score, 10),
    }


def slate_ndcg(shown: Impressions, score: np.ndarray, k: int) -> float:
    """Mean NDCG@k over the user-days with a watched item.

    .. math:: NDCG = \\sum_{r=1}^{k} \\frac{y_{(r)}}{\\log_2(r + 1)} \\Big/ \\sum_{r=1}^{\\min(k, n_+)} \\frac{1}{\\log_2(r + 1)}

    Args:
        shown: impressions with labels y in {0, 1}.
        score: (N,) by which each user-day's items are ranked.
        k: cut-off.
    """
    slate = np.unique(np.stack([shown.user, shown.day]), axis=1, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((-score, slate))
    first = np.searchsorted(slate[order], slate[order])
    rank = np.arange(len(order)) - first
    gain = np.where(rank < k, shown.label[order] / np.log2(rank + 2), 0.0)
    watched = np.bincount(slate, weights=shown.label).astype(int)
    ideal = np.append(0.0, np.cumsum(1 / np.log2(np.arange(k) + 2)))[np.minimum(watched, k)]
    total = np.bincount(slate[order], weights=gain)
    return float((total[watched > 0] / ideal[watched > 0]).mean())
