"""How far to believe a forecast, and how to make it mean what it says, by days that were not trained on. Knows arrays alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

RESIDUAL_PRIOR = 50
"""Strength, in days, of the belief that the network's residual adds nothing."""

RISK_PRIOR = 25
"""Strength of the belief that the risks of the training days are right; a day near even odds weighs a quarter."""

WON = 2.0
"""Standard errors, clustered by person, by which a residual's gain must exceed zero before it is believed."""

COVERAGE = 0.8
"""Share of the days that an interval of tomorrow's valence is to hold."""


def wins(gain: Tensor, person: Tensor) -> bool:
    r"""Whether a gain is more than chance: the sum over each person's days, one-sided, clustered by person.

    .. math:: \sum_i G_i > 2 \sqrt{\textstyle\sum_i G_i^2}, \qquad G_i = \sum_t g_{it}

    Args:
        gain: (N,) by how much each day's loss was smaller.
        person: (N,) whose day it was.
    """
    whose, row = torch.unique(person, return_inverse=True)
    of_person = torch.zeros(len(whose), dtype=torch.float64).index_add(0, row, gain.double())
    return bool(of_person.sum() > WON * of_person.square().sum().sqrt())


def believable_share(base: Tensor, residual: Tensor, truth: Tensor) -> float:
    r"""How much of a residual to add to a base forecast: least squares, shrunk toward 0 and cut to [0, 1].

    .. math:: α = \frac{\sum r (v - b)}{\sum r^2} \cdot \frac{n}{n + n_0}

    Args:
        base, residual, truth: (N,) on days that were not trained on.
    """
    power = float(residual.square().sum())
    if power == 0 or len(truth) == 0:
        return 0.0
    plain = float((residual * (truth - base)).sum()) / power
    return min(max(plain * len(truth) / (len(truth) + RESIDUAL_PRIOR), 0.0), 1.0)


def believable_spread(log_spread: Tensor, error: Tensor) -> float:
    r"""How much of a learned log spread to believe: the share in [0, 1] with the best likelihood, shrunk toward 0.

    .. math:: a = \arg\min_{0 \le a \le 1} \sum \tfrac12 (e\, e^{-a s})^2 + a s, \quad \text{times } \frac{n}{n + n_0}

    Args:
        log_spread, error: (N,) learned log s of the scale relative to a usual one, and the errors e in units of the usual one.
    """
    spread, square = log_spread.double().numpy(), error.double().numpy() ** 2

    def loss(share: np.ndarray) -> float:
        return float(np.mean(0.5 * square * np.exp(-2 * share * spread) + share * spread))

    return float(_least(loss, [0.0], [(0.0, 1.0)])[0]) * len(error) / (len(error) + RESIDUAL_PRIOR)


def believable_risk(base: Tensor, residual: Tensor, target: Tensor) -> float:
    r"""How much of the residual of a logit to believe: the share in [0, 1] with the least cross-entropy, shrunk toward 0.

    .. math:: a = \arg\min_{0 \le a \le 1} \sum \log(1 + e^{b + a r}) - y (b + a r), \quad \text{times } \frac{n}{n + n_0}

    Args:
        base, residual, target: (N,) logits b, their residuals r, and y of 0 or 1.
    """
    if len(target) == 0:
        return 0.0
    logit, added, happened = (part.double().numpy() for part in (base, residual, target))

    def loss(share: np.ndarray) -> float:
        score = logit + share * added
        return float((np.logaddexp(0, score) - happened * score).mean())

    return float(_least(loss, [0.0], [(0.0, 1.0)])[0]) * len(target) / (len(target) + RESIDUAL_PRIOR)


def best_temperature(logits: Tensor, target: Tensor) -> float:
    """The temperature T in [0.2, 5] that minimises the cross-entropy of ``logits / T`` (Guo et al. 2017).

    Args:
        logits: (N, E).
        target: (N,) codes.
    """
    exact = logits.double()

    def loss(sharpness: np.ndarray) -> float:
        return float(functional.cross_entropy(exact * float(sharpness[0]), target))

    return float(1 / _least(loss, [1.0], [(1 / 5, 1 / 0.2)])[0])


def platt(logit: Tensor, target: Tensor) -> Tensor:
    r"""Slope in [0.05, 5] and offset of logits that minimise the cross-entropy of their targets (Platt 1999).

    .. math:: \min_{a, b} \sum_i \Big( \log(1 + e^{a x_i + b}) - y_i (a x_i + b) \Big)
        + \tfrac{n_0}2 \big( (a - 1)^2 + b^2 \big)

    The pull toward (1, 0), n_0 = :data:`RISK_PRIOR`, keeps what a few validation days say from outweighing the training days,
    and both finite where the logits separate the targets. (scikit-learn's logistic regression pulls toward 0 alone.)

    Args:
        logit, target: (N,) x, and y of 0 or 1.

    Returns:
        (2,) a and b.
    """
    x, y = logit.double().numpy(), target.double().numpy()

    def loss(weight: np.ndarray) -> float:
        slope, offset = weight
        score = slope * x + offset
        return float((np.logaddexp(0, score) - y * score).sum() + 0.5 * RISK_PRIOR * ((slope - 1) ** 2 + offset**2))

    return torch.as_tensor(_least(loss, [1.0, 0.0], [(0.05, 5.0), (-np.inf, np.inf)]), dtype=torch.float32)


def _least(loss: Callable[[np.ndarray], float], start: list[float], bounds: list[tuple[float, float]]) -> np.ndarray:
    """Where a convex loss is least within the bounds; its start where the loss is flat."""
    from scipy.optimize import minimize

    return minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-8}).x


def conformal_half_width(error: Tensor, coverage: float = COVERAGE) -> Tensor:
    """The ⌈(n + 1) coverage⌉-th smallest absolute error, in its own units: an interval of that half-width holds a new day with at
    least that chance, if days are exchangeable (Lei et al. 2018)."""
    size = error.abs().flatten().sort().values
    place = min(math.ceil((len(size) + 1) * coverage), len(size))
    return size[place - 1]
