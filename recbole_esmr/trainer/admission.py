"""What of a trained emotion encoder is believed, and its calibration: both by the validation days."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from recbole_esmr.model.calibration import (
    believable_risk,
    believable_share,
    believable_spread,
    best_temperature,
    conformal_half_width,
    platt,
    wins,
)
from recbole_esmr.model.days import DayLabels
from recbole_esmr.model.emotion_encoder import DayState, EmotionEncoder
from recbole_esmr.model.level import NORMAL_80

SCALE_PRIOR = 125
"""Strength, in days, of the belief that the spread of the training days is right: a few validation days are of one season."""


def admit(encoder: EmotionEncoder, says: Callable[[], DayState], labels: DayLabels, person: Tensor) -> None:
    """Believe the network's residuals of valence, spread and risks as far as they won on the validation days.

    Each is believed in the share that :func:`believable_share` and its siblings find, if with that share it :func:`wins` over
    the level model alone, and not at all otherwise.

    Args:
        encoder: trained; its shares are set.
        says: what it believes with the shares that are set, (N, …).
        labels: of the same days.
        person: (N,) whose days they are.
    """
    encoder.risk_share.zero_()
    learned = says()
    encoder.shrink.zero_()
    encoder.spread_share.zero_()
    usual = says()
    known = torch.isfinite(labels.valence)
    truth, whose = labels.valence[known], person[known]
    base, residual = usual.mean[known], (learned.mean - usual.mean)[known]
    share = believable_share(base, residual, truth)
    if wins((truth - base).square() - (truth - base - share * residual).square(), whose):
        encoder.shrink.fill_(share)
    wider = (learned.scale / usual.scale)[known].log()
    error = (truth - says().mean[known]) / usual.scale[known]
    share = believable_spread(wider, error)
    if wins(0.5 * error.square() * (1 - (-2 * share * wider).exp()) - share * wider, whose):
        encoder.spread_share.fill_(share)
    plain = says()
    encoder.risk_share.fill_(1.0)
    full = says()
    encoder.risk_share.zero_()
    for head, name, target in ((0, "negative", labels.negative), (1, "episode", labels.episode)):
        known = torch.isfinite(target)
        logit = getattr(plain, name)[known]
        added, happened = getattr(full, name)[known] - logit, target[known]
        share = believable_risk(logit, added, happened)

        def loss(score: Tensor, happened: Tensor = happened) -> Tensor:
            return functional.binary_cross_entropy_with_logits(score, happened, reduction="none")

        if wins(loss(logit) - loss(logit + share * added), person[known]):
            encoder.risk_share[head] = share


def calibrate(encoder: EmotionEncoder, state: DayState, valid: DayLabels) -> None:
    """Set the encoder's calibration from its beliefs on the validation days; heads without a label there stay as they are.

    One temperature for each emotion head (Guo et al. 2017); slope and offset of each risk (Platt 1999); one factor for the scale
    of the valence, so that the 80 % interval holds 80 % (after split conformal, Lei et al. 2018; pulled toward 1, and set on the
    days that also stopped the training, so without its guarantee).

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
        days, half_width = len(error), conformal_half_width(error)
        encoder.widening.copy_((days * half_width / NORMAL_80 + SCALE_PRIOR) / (days + SCALE_PRIOR))
