"""A GRU that forecasts days: the plain recurrent baseline of the encoder."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from recbole_esmr.data.trace import TRAIN, Trace
from recbole_esmr.evaluator.tracker import level_tracker

HIDDEN, EPOCHS, BATCH = 32, 40, 64


def gru_forecast(
    trace: Trace, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], nowcast: bool, seed: int
) -> tuple[np.ndarray, ...]:
    """Train on the target days of ``train`` and forecast those of ``test``.

    Args:
        trace: people's days.
        train, test: users and days (N,) each, the target days.
        nowcast: whether the behaviour of the target day may be read (never its report).
        seed: of weights and batches.

    Returns:
        emotion probabilities (N, E), valence mean and scale (N,), probability of a negative day (N,).
    """
    generator = torch.Generator().manual_seed(seed)
    emotions = trace.emotion_hours.shape[-1]
    inputs = _inputs(trace, emotions, nowcast)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, head = nn.GRU(inputs.shape[-1], HIDDEN, batch_first=True), nn.Linear(HIDDEN, emotions + 2)
    optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=0.005, weight_decay=0.01)
    wanted = np.zeros(trace.emotion.shape, dtype=bool)
    wanted[train] = True
    emotion = torch.from_numpy(np.where(wanted, trace.emotion, -1))
    valence = torch.from_numpy(np.where(wanted, trace.valence, np.nan)).float()
    named = emotion >= 0
    people = torch.from_numpy(np.flatnonzero(wanted.any(axis=1)))
    for _ in range(EPOCHS):
        for batch in people[torch.randperm(len(people), generator=generator)].split(BATCH):
            said = head(network(inputs[batch])[0])
            known = torch.isfinite(valence[batch])
            error = (said[..., emotions] - valence[batch])[known]
            low = (valence[batch][known] < 0).float()
            loss = error.square().mean() / 0.1
            if named[batch].any():
                loss = loss + functional.cross_entropy(said[..., :emotions][named[batch]], emotion[batch][named[batch]])
            loss = loss + functional.binary_cross_entropy_with_logits(said[..., emotions + 1][known], low)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        said = head(network(inputs)[0])
    scale = float((said[..., emotions] - valence)[torch.isfinite(valence)].std())
    asked = said[test]
    ones = np.ones(len(test[0]))
    mean = asked[:, emotions].clamp(-1, 1).numpy()
    return asked[:, :emotions].softmax(dim=-1).numpy(), mean, ones * scale, asked[:, emotions + 1].sigmoid().numpy()


def _inputs(trace: Trace, emotions: int, nowcast: bool) -> torch.Tensor:
    """(U, D, X): what is known on the eve of each day, and for a nowcast the behaviour of the day."""
    with np.errstate(invalid="ignore"):
        seen = np.where((trace.role == TRAIN)[..., None], trace.features, np.nan).reshape(-1, trace.features.shape[-1])
    center, spread = (np.nan_to_num(part) for part in (np.nanmean(seen, axis=0), np.nanstd(seen, axis=0)))
    behaviour = np.nan_to_num(np.clip((trace.features - center) / np.maximum(spread, 1e-6), -6, 6))
    report = np.eye(emotions + 1)[trace.emotion + 1]
    past = np.concatenate([report, level_tracker(trace.valence)], axis=-1)
    eve = np.zeros_like(past)
    eve[:, 1:] = past[:, :-1]
    if not nowcast:
        behaviour = np.concatenate([np.zeros_like(behaviour[:, :1]), behaviour[:, :-1]], axis=1)
    return torch.from_numpy(np.concatenate([eve, behaviour], axis=-1)).float()
