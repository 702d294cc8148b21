"""How well the engagement ranker tells what is watched from what is skipped, on the test days."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.log import Log
from recbole_esmr.data.trace import TEST
from recbole_esmr.data.user_days import SlateIndex
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.model.ranking import Rankers
from recbole_esmr.trainer.engagement import impression_features, ndcg, with_negatives


def engagement_report(log: Log, beliefs: Beliefs, rankers: Rankers, negatives: int, seed: int) -> dict[str, Any] | None:
    """The ``engagement`` part of ``run.json``: AUC and NDCG@10 over the test days' slates; None without a test impression.

    It is made before the last fit, which reads RecBole's training rows, and some of these lie on the test days.
    ``retriever`` holds the same of the retriever's scores alone. Where skips were not logged, ``negatives`` sampled items a view
    stand for them, as in training, and ``skips`` says so. Where all or none of the items was watched, both figures are left
    out, with the ``reason``.
    """
    shown = with_negatives(log.impressions, negatives, len(rankers.catalogue), np.random.default_rng([seed, 5]))
    shown = shown.take(log.trace.role[shown.user, shown.day] == TEST)
    if len(shown) == 0:
        return None
    features = impression_features(log, beliefs, rankers, shown)
    skips = "logged" if log.impressions.has_skips else f"not logged; {negatives} sampled items a view stand for them"
    if not 0 < shown.label.mean() < 1:
        what = "every" if shown.label.all() else "no"
        return {"auc": None, "ndcg@10": None, "skips": skips, "reason": f"{what} item shown on a test day was watched"}
    return {**_quality(shown, rankers.watch.predict(features)), "skips": skips, "retriever": _quality(shown, features[:, 0])}


def _quality(shown: Impressions, score: np.ndarray) -> dict[str, float]:
    return {"auc": float(roc_auc_score(shown.label, score)), "ndcg@10": slate_ndcg(shown, score, 10)}


def slate_ndcg(shown: Impressions, score: np.ndarray, k: int) -> float:
    """Mean NDCG@k (:func:`~recbole_esmr.trainer.engagement.ndcg`) over the user-days with a watched item.

    Args:
        shown: impressions.
        score: (N,) by which each user-day's items are ranked.
        k: cut-off.
    """
    slates = SlateIndex(shown.user, shown.day)
    labels = slates.padded(shown.label)
    return float(ndcg(slates.padded(score, -np.inf), labels, k)[labels.any(axis=1)].mean())
