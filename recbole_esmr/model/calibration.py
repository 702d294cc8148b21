"""Making probabilities and intervals mean what they say, on days that were not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recbole_esmr.model.days import DayLabels
from recbole_esmr.model.emotion_encoder import DayState, EmotionEncoder

RESIDUAL_PRIOR = 50
"""Strength, in days, of the belief that the network's residual adds nothing."""

SCALE_PRIOR = 200
"""Strength, in days, of the belief that the spread of the training days is right: a few validation days are of one season."""

NORMAL_80 = 1.2815515655446004
"""Half-width of the central 80 % of a normal distribution, in standard deviations."""

COVERAGE = 0.8
"""Share of the days that an interval of tomorrow's valence is to hold."""


def calibrate(encoder: EmotionEncoder, state: DayState, valid: DayLabels) -> None:
    """Set the encoder's calibration from its beliefs on the validation days; heads without a label there stay as they are.

    One temperature for each emotion head (Guo et al. 2017); slope and offset of each risk (Platt 1999); how much of the valence
    residual to believe; one factor for the scale of the valence; the half-width of the 80 % interval (after split conformal, Lei
    et al. 2018; pulled toward the normal distribution's, and set on the days that also stopped the training, so without its
    guarantee).

    Args:
        encoder: trained, its calibration still neutral.
        state: its beliefs of all people, (U, D, …).
        valid: labels of the validation days.
    """
    for head, (logits, target) in enumerate(((state.nowcast, valid.today), (state.forecast, valid.tomorrow))):
        known = target >= 0
        if known.any():
            encoder.temperature[head] = best_temperature(logits[known], target[known])
    for head, (logit, target) in enumerate(((state.negative, valid.negative), (state.episode, valid.episode))):
        known = torch.isfinite(target)
        if known.any():
            encoder.risk_scale[head] = platt(logit[known], target[known])
    known = torch.isfinite(valid.valence)
    if known.any():
        error = (valid.valence[known] - state.mean[known]) / state.scale[known]
        days = len(error)
        widening = ((error.square().sum() + SCALE_PRIOR) / (days + SCALE_PRIOR)).sqrt()
        half_width = conformal_half_width(error / widening)
        encoder.widening.copy_(widening)
        encoder.half_width.copy_((days * half_width + SCALE_PRIOR * NORMAL_80) / (days + SCALE_PRIOR))


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
        log_spread, error: (N,) learned log s of the scale relative to a common one, and the errors e in units of the common one.
    """
    spread, square = log_spread.double().numpy(), error.double().numpy() ** 2

    def loss(share: np.ndarray) -> float:
        return float(np.mean(0.5 * square * np.exp(-2 * share * spread) + share * spread))

    return float(_least(loss, [0.0], [(0.0, 1.0)])[0]) * len(error) / (len(error) + RESIDUAL_PRIOR)


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

    .. math:: \min_{a, b} \sum_i \Big( \log(1 + e^{a x_i + b}) - y_i (a x_i + b) \Big) + \tfrac12 (a - 1)^2 + \tfrac12 b^2

    The weak pull toward (1, 0) keeps them finite where the logits separate the targets. (scikit-learn's logistic regression pulls
    toward 0 alone.)

    Args:
        logit, target: (N,) x, and y of 0 or 1.

    Returns:
        (2,) a and b.
    """
    x, y = logit.double().numpy(), target.double().numpy()

    def loss(weight: np.ndarray) -> float:
        slope, offset = weight
        score = slope * x + offset
        return float((np.logaddexp(0, score) - y * score).sum() + 0.5 * ((slope - 1) ** 2 + offset**2))

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
