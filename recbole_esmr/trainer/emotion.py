"""Stage 1: train and calibrate the emotion encoder."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from recbole_esmr.data.trace import TRAIN, VALID, Trace
from recbole_esmr.model.calibration import believable_share, believable_spread, calibrate
from recbole_esmr.model.days import DayBatch, day_labels
from recbole_esmr.model.emotion_encoder import EmotionEncoder, EncoderSettings, encoder_loss, join_states

AVERAGING = 0.98
"""Share of the averaged weights kept at each step: what is judged and kept is the mean of about the last fifty steps' weights."""


def fit_encoder(
    encoder: EmotionEncoder,
    traces: list[Trace],
    settings: EncoderSettings,
    generator: torch.Generator,
    show_progress: bool = False,
) -> None:
    """Train on the training days, stop early on the validation days, then shrink the residual and calibrate on them.

    With several traces (pre-training) every epoch goes through all of them, each with scales and bins of its own; the simple
    forecasters are fitted on all together; the scales that remain and the calibration are the last's.

    Args:
        encoder: to be trained in place, from the weights that it has.
        traces: people's days, each with its parts in ``role``.
        settings: of the training.
        generator: of batches and dropout.
        show_progress: whether to show a bar.
    """
    encoder.fit_simple(traces, [trace.role == TRAIN for trace in traces])
    encoder.forget_calibration()
    encoder.labelled.fill_(any(bool((trace.emotion >= 0).any()) for trace in traces))
    tasks = [_Task(encoder, trace, settings) for trace in traces]
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    averaged = AveragedModel(encoder, multi_avg_fn=get_ema_multi_avg_fn(AVERAGING)).eval()
    best, best_weights, since = float("inf"), None, 0
    device = encoder.center.device
    mixed = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
    bar = tqdm(range(settings.epochs), desc="1 Emotion encoder", unit="epoch", disable=not show_progress)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))  # dropout draws from the global state
        for _ in bar:
            encoder.train()
            steps = [(task, batch) for task in tasks for batch in task.batches(generator)]
            for number in torch.randperm(len(steps), generator=generator).tolist():
                task, batch = steps[number]
                optimizer.zero_grad()
                with mixed:
                    loss = task.loss(encoder, batch)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
                optimizer.step()
                averaged.update_parameters(encoder)
            judged = [task.valid_loss(averaged.module) for task in tasks if task.judged]
            if not judged:
                continue
            score = float(np.mean(judged))
            bar.set_postfix(valid_loss=f"{score:.3f}")
            since += 1
            if score < best:
                best, best_weights, since = score, copy.deepcopy(averaged.module.state_dict()), 0
            elif since >= settings.stopping_step:
                break
    bar.close()
    encoder.eval()
    if best_weights is not None:
        encoder.load_state_dict(best_weights)
    tasks[-1].settle(encoder, settings.calibrate)
    encoder.fit_simple(traces, [trace.role <= VALID for trace in traces])  # the stopping is done: use those days, too
    encoder.fitted.fill_(True)


class _Task:
    """One trace's days, batches and labels, and its scales, in use whenever the encoder reads it."""

    def __init__(self, encoder: EmotionEncoder, trace: Trace, settings: EncoderSettings) -> None:
        self.trace, self._size = trace, settings.batch_users
        self._scales = encoder.fit_scales(trace, trace.role == TRAIN)
        said = np.isfinite(trace.valence)
        self._learned, held_in = said & (trace.role == TRAIN), said & (trace.role <= VALID)
        self._users = torch.from_numpy(np.flatnonzero(self._learned.any(axis=1)))
        self._days: DayBatch = encoder.inputs(trace)
        self._labels = day_labels(trace, trace.role == TRAIN, settings.horizon).to(encoder.center.device)
        self.valid = day_labels(trace, trace.role == VALID, settings.horizon)
        self.judged = bool(torch.isfinite(self.valid.valence).any())
        self._everybody = batches_by_length(torch.arange(trace.users), held_in, settings.batch_users)
        self._valid_in_order = self.valid.rows(torch.cat([batch for batch, _ in self._everybody]))

    def batches(self, generator: torch.Generator) -> list[tuple[torch.Tensor, int]]:
        order = self._users[torch.randperm(len(self._users), generator=generator)]
        return batches_by_length(order, self._learned, self._size)

    def loss(self, encoder: EmotionEncoder, batch: tuple[torch.Tensor, int]) -> torch.Tensor:
        encoder.use_scales(self._scales)
        return encoder_loss(encoder(self._days.rows(*batch)), self._labels.rows(*batch))

    def valid_loss(self, encoder: Any) -> float:
        encoder.use_scales(self._scales)
        states = encoder.encode_batches(self._days, self._everybody)
        return float(encoder_loss(join_states(states, self.trace.days), self._valid_in_order))

    def settle(self, encoder: EmotionEncoder, calibrated: bool) -> None:
        """Shrink the residual, and calibrate, on the validation days; the trace's scales stay in use."""
        encoder.use_scales(self._scales)
        if not self.judged:
            encoder.shrink.zero_()  # what was not judged is not believed
            return
        known = torch.isfinite(self.valid.valence)
        truth, learned = self.valid.valence[known], encoder.encode(self.trace)
        encoder.shrink.zero_()
        base = encoder.encode(self.trace).mean[known]
        encoder.shrink.fill_(believable_share(base, learned.mean[known] - base, truth))
        error = (truth - encoder.encode(self.trace).mean[known]) / encoder.tracker_scale.cpu()
        encoder.spread_share.fill_(believable_spread((learned.scale[known] / encoder.tracker_scale.cpu()).log(), error))
        if calibrated:
            calibrate(encoder, encoder.encode(self.trace), self.valid)


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
    if len(users) == 0:
        return []
    ordered = users[torch.argsort(last[users], stable=True)]
    return [(batch, int(last[batch].max())) for batch in ordered.split(size)]
