"""Stage 1: train and calibrate the emotion encoder."""

from __future__ import annotations

import copy
from logging import getLogger

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from recbole_esmr.data.trace import TRAIN, VALID
from recbole_esmr.model.emotion_encoder import DayLabels, DayState, day_labels, encoder_loss, join_states
from recbole_esmr.model.esmr import ESMR


def fit_encoder(model: ESMR, generator: torch.Generator, show_progress: bool) -> None:
    """Train on the training days, stop early on the validation days, then calibrate on them."""
    trace, settings, encoder = model.trace, model.settings, model.encoder
    if not model.can_learn_emotion:
        getLogger().warning("Nobody reported an emotion on a training day: the encoder is not trained, the gate stays closed.")
        return
    encoder.fit_scales(trace, trace.role == TRAIN)
    said = np.isfinite(trace.valence)
    learned, held_in = said & (trace.role == TRAIN), said & (trace.role <= VALID)
    users = torch.from_numpy(np.flatnonzero(learned.any(axis=1)))
    days, labels = model.encoder_task(TRAIN)
    valid = day_labels(trace, trace.role == VALID, settings.forecast_horizon)
    judged = bool(torch.isfinite(valid.valence).any())
    everybody = batches_by_length(torch.arange(trace.users), held_in, settings.encoder_batch_users)
    valid_in_order = valid.rows(torch.cat([batch for batch, _ in everybody]))
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=settings.encoder_learning_rate, weight_decay=0.01)
    best, best_weights, since = float("inf"), None, 0
    bar = tqdm(range(settings.encoder_epochs), desc="1 Emotion encoder", unit="epoch", disable=not show_progress)
    for _ in bar:
        encoder.train()
        order = users[torch.randperm(len(users), generator=generator)]
        batches = batches_by_length(order, learned, settings.encoder_batch_users)
        for number in torch.randperm(len(batches), generator=generator).tolist():
            optimizer.zero_grad()
            loss = encoder_loss(encoder(days.rows(*batches[number])), labels.rows(*batches[number]))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
            optimizer.step()
        if not judged:
            continue
        state = join_states(encoder.encode_batches(days, everybody), trace.days)
        score = float(encoder_loss(state, valid_in_order))
        bar.set_postfix(valid_loss=f"{score:.3f}")
        since += 1
        if score < best:
            best, best_weights, since = score, copy.deepcopy(encoder.state_dict()), 0
        elif since >= settings.encoder_stopping_step:
            break
    bar.close()
    if best_weights is not None:
        encoder.load_state_dict(best_weights)
        _calibrate(model, encoder.encode(trace), valid)
    encoder.fitted.fill_(True)
    model.refresh()


def batches_by_length(users: torch.Tensor, known: np.ndarray, size: int) -> list[tuple[torch.Tensor, int]]:
    """Batches of people with about equally long histories, each with the days until the last report in it.

    People of equal length keep the order they come in, so a random order stays random among them.

    Args:
        users: (N,) the people.
        known: (U, D) bool, the reports that count: those of held-out days must not even shape a batch.
        size: people in a batch.
    """
    day = np.arange(1, known.shape[1] + 1)
    last = torch.from_numpy(np.where(known, day, 1).max(axis=1))
    ordered = users[torch.argsort(last[users], stable=True)]
    return [(batch, int(last[batch].max())) for batch in ordered.split(size)]


def _calibrate(model: ESMR, state: DayState, valid: DayLabels) -> None:
    """One temperature for each emotion head (Guo et al. 2017) and one factor for the scale of the valence forecast."""
    for head, (logits, target) in enumerate(((state.nowcast, valid.today), (state.forecast, valid.tomorrow))):
        known = target >= 0
        if known.any():
            model.encoder.temperature[head] = best_temperature(logits[known], target[known])
    known = torch.isfinite(valid.valence)
    if known.any():
        error = (valid.valence[known] - state.mean[known]) / state.scale[known]
        model.encoder.widening.copy_(error.square().mean().sqrt().clamp(0.2, 5.0))


def best_temperature(logits: torch.Tensor, target: torch.Tensor) -> float:
    """The temperature in [0.2, 5] that minimises the cross-entropy of ``logits / T``, on a grid of 2 % steps."""
    grid = torch.exp(torch.arange(np.log(0.2), np.log(5.0), 0.02))
    losses = torch.stack([functional.cross_entropy(logits / value, target) for value in grid])
    return float(grid[losses.argmin()])
