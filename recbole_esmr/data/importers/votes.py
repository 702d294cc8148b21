"""What raters who disagree say together."""

from __future__ import annotations

import numpy as np


def pooled_shares(votes: np.ndarray) -> np.ndarray:
    r"""Votes of raters as shares, pulled toward those of all items by as much as foretells a rater who was left out best.

    .. math:: s_{ie} = \frac{n_{ie} + κ p_e}{n_i + κ}, \qquad κ = \arg\min_κ -\sum_{ie} n_{ie} \log s^{(-1)}_{ie}

    with p the shares over all items and s⁽⁻¹⁾ the same without the vote that is foretold (leave one out). Raters who disagree so
    are signal: a film that two call sad and two happy expresses both.

    Args:
        votes: (I, E) how many raters gave each label.

    Returns:
        (I, E), rows adding up to 1; zeros where nobody voted.
    """
    from scipy.optimize import minimize_scalar

    total, count = votes.sum(axis=1, keepdims=True), votes.sum(axis=0)
    if count.sum() == 0:
        return np.zeros(votes.shape)
    item, label = np.nonzero(votes)
    without = (count[label] - 1) / max(count.sum() - 1, 1)  # of all items, without this vote

    def loss(log_pull: float) -> float:
        pull = np.exp(log_pull)
        chance = (votes[item, label] - 1 + pull * without) / (total[item, 0] - 1 + pull)
        return float(-(votes[item, label] * np.log(np.maximum(chance, 1e-12))).sum())

    pull = float(np.exp(minimize_scalar(loss, bounds=(np.log(0.1), np.log(1000)), method="bounded").x))
    shares = (votes + pull * count / count.sum()) / (total + pull)
    return np.where(total > 0, shares, 0.0)
