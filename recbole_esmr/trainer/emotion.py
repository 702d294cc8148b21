"""Stage 1: train and calibrate the emotion encoder."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from recbole_esmr.data.sparse_days import SparseDays
from recbole_esmr.data.trace import TRAIN, VALID, Trace
from recbole_esmr.data.user_days import shifted, spaced
from recbole_esmr.model.days import DayBatch, DayLabels, Foresee, day_labels, days_in
from recbole_esmr.model.emotion_encoder import DayState, EmotionEncoder, EncoderSettings, encoder_loss, people_at_once
from recbole_esmr.model.level import LevelModel
from recbole_esmr.progress import BestWeights, Progress, RandomStates
from recbole_esmr.trainer.admission import admit, calibrate
from recbole_esmr.trainer.scalars import Note, unnoted

AVERAGING = 0.98
"""Share of the averaged weights kept at each step: what is judged and kept is the mean of about the last fifty steps' weights."""


def fit_encoder(
    encoder: EmotionEncoder,
    traces: list[Trace],
    settings: EncoderSettings,
    generator: torch.Generator,
    show_progress: bool = False,
    progress: Progress | None = None,
    note: Note = unnoted,
) -> None:
    """Train on the training days, stop early on the validation days, then admit the residuals that won and calibrate on them.

    Of many people an epoch is a random part, ``settings.epoch_batches`` batches, and as many full batches of people, evenly
    spaced, judge it: steps, not people, are what training takes, so that it costs no more with a hundred thousand people than
    with ten thousand. The simple forecasters read everybody.

    With several traces (pre-training) the batches of an epoch are of all of them, each with scales and bins of its own; the
    simple forecasters are fitted on all together; the scales that remain and the calibration are the last's.

    Args:
        encoder: to be trained in place, from the weights that it has.
        traces: people's days, each with its parts in ``role``.
        settings: of the training.
        generator: of batches and dropout.
        show_progress: whether to show a bar.
        progress: where the epochs are kept, and go on from.
        note: takes each epoch's loss on the training and on the validation days.
    """
    encoder.fit_simple(traces, [trace.role == TRAIN for trace in traces], settings.horizon)
    encoder.forget_calibration()
    encoder.labelled.fill_(any(bool((trace.emotion >= 0).any()) for trace in traces))
    tasks = [_Task(encoder, trace, settings) for trace in traces]
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    averaged = AveragedModel(encoder, multi_avg_fn=get_ema_multi_avg_fn(AVERAGING)).eval()
    best, numbers, progress = BestWeights(bigger=False), RandomStates(generator), progress or Progress()
    device = encoder.center.device
    mixed = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
    epochs = progress.through(
        settings.epochs, encoder=encoder, averaged=averaged, optimizer=optimizer, best=best, numbers=numbers
    )
    bar = tqdm(epochs, "1 Emotion encoder", settings.epochs, unit="epoch", disable=not show_progress, initial=progress.done)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))  # dropout draws from the global state
        for epoch in bar:
            encoder.train()
            losses = []
            steps = [(task, batch) for task in tasks for batch in task.batches(generator)]
            for number in torch.randperm(len(steps), generator=generator)[: settings.epoch_batches].tolist():
                task, batch = steps[number]
                optimizer.zero_grad()
                with mixed:
                    loss = task.loss(encoder, batch)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
                optimizer.step()
                averaged.update_parameters(encoder)
                losses.append(loss.detach())
            note({"train_loss": float(torch.stack(losses).mean()) if losses else np.nan}, epoch)
            judged = [task.valid_loss(averaged.module) for task in tasks if task.judged]
            if not judged:
                continue
            score = float(np.mean(judged))
            bar.set_postfix(valid_loss=f"{score:.3f}")
            note({"valid_loss": score}, epoch)
            best.judge(score, averaged.module)
            if best.since >= settings.stopping_step:
                break
    bar.close()
    encoder.eval()
    if best.weights is not None:
        encoder.load_state_dict(best.weights)
    tasks[-1].settle(encoder, settings.calibrate)
    until_test = [trace.role <= VALID for trace in traces]  # the stopping is done: use the validation days, too
    encoder.fit_simple(traces, until_test, settings.horizon)
    encoder.fitted.fill_(True)


class _Task:
    """One trace's days, batches and labels, and its scales, in use whenever the encoder reads it.

    What the encoder reads of a long trace is made batch by batch, of any other once; what the level model foresees is made once
    of either, for it stays the same over the epochs.
    """

    def __init__(self, encoder: EmotionEncoder, trace: Trace, settings: EncoderSettings) -> None:
        self.trace, self._size, self._horizon = trace, settings.batch_users, settings.horizon
        self._scales = encoder.fit_scales(trace, trace.role == TRAIN)
        said, held_out = np.isfinite(trace.valence), trace.role == VALID
        self._learned = said & (trace.role == TRAIN)
        self._columns = 2 * trace.known.sum(axis=1) if trace.long else None
        self._users = torch.from_numpy(np.flatnonzero(self._learned.any(axis=1)))
        self._foreseen: Any = foreseen_around(encoder.level, trace) if trace.long else None
        self._all = None if trace.long else self._made(encoder, trace)
        labelled = (said | (trace.emotion >= 0)) & held_out
        self.judged = bool((said & held_out)[:, 1:].any())
        judges = torch.from_numpy(spaced(np.flatnonzero(labelled.any(axis=1)), settings.epoch_batches * settings.batch_users))
        self._judges = batches_by_length(judges, said & (trace.role <= VALID), settings.batch_users, self._columns)

    def batches(self, generator: torch.Generator) -> list[tuple[torch.Tensor, int]]:
        order = self._users[torch.randperm(len(self._users), generator=generator)]
        return batches_by_length(order, self._learned, self._size, self._columns)

    def loss(self, encoder: EmotionEncoder, batch: tuple[torch.Tensor, int]) -> torch.Tensor:
        encoder.use_scales(self._scales)
        days, labels, _ = self._rows(encoder, *batch)
        return encoder_loss(encoder(days), labels.to(encoder.center.device))

    def valid_loss(self, encoder: Any) -> float:
        encoder.use_scales(self._scales)
        return float(encoder_loss(*self._validated(encoder)[:2]))

    def _made(
        self, encoder: EmotionEncoder, trace: Trace, days: np.ndarray | None = None, foresee: Foresee | None = None
    ) -> tuple[DayBatch, DayLabels, DayLabels]:
        """What the encoder reads of people, and the labels of their training and validation days."""
        train, valid = (day_labels(trace, trace.role == part, self._horizon, days) for part in (TRAIN, VALID))
        return encoder.inputs(trace, days, foresee), train, valid

    def _rows(self, encoder: EmotionEncoder, users: torch.Tensor, count: int) -> tuple[DayBatch, DayLabels, DayLabels]:
        """The same of some people and the first ``count`` days; of a long trace, of the known days and those before them."""
        if self._all is not None:
            inputs, train, valid = (part.rows(users, count) for part in self._all)
            return inputs, train, valid
        trace = self.trace.of(users.numpy())
        known = trace.known
        used = known | shifted(known, -1, False)
        used[:, count:] = False
        table, person = self._foreseen, users.numpy()[:, None]
        return self._made(encoder, trace, days_in(used), lambda _, days: table[person, np.maximum(np.asarray(days), 0)])

    @torch.no_grad()
    def _validated(self, encoder: EmotionEncoder) -> tuple[DayState, DayLabels, torch.Tensor]:
        """Beliefs on the user-days with a label of the validation days, the labels, and whose they are; (N, …) on the CPU."""
        states, told, person = [], [], []
        for users, count in self._judges:
            days, _, labels = self._rows(encoder, users, count)
            some = (labels.today >= 0) | (labels.tomorrow >= 0) | torch.isfinite(labels.valence) | torch.isfinite(labels.episode)
            states.append(_at(encoder(days), some))
            told.append(_at(labels, some))
            person.append(users[some.nonzero()[:, 0]])
        return _together(states), _together(told), torch.cat(person)

    def settle(self, encoder: EmotionEncoder, calibrated: bool) -> None:
        """Admit the residuals that won, and calibrate, on the validation days; the trace's scales stay in use."""
        encoder.use_scales(self._scales)
        if not self.judged:  # what was not judged is not believed
            for share in (encoder.shrink, encoder.spread_share, encoder.risk_share):
                share.zero_()
            return
        _, labels, person = self._validated(encoder)
        admit(encoder, lambda: self._validated(encoder)[0], labels, person)
        if calibrated:
            calibrate(encoder, self._validated(encoder)[0], labels)


def foreseen_around(level: LevelModel, trace: Trace) -> SparseDays:
    """What the level model foresees at the end of each known day, of the day before it and of the one before that, (U, D, 3)."""
    parts = []
    for people in trace.blocks():
        some = trace.of(people)
        known = some.known
        asked = known | shifted(known, -1, False) | shifted(known, -2, False)
        days = days_in(asked)
        user, place = np.nonzero(days >= 0)
        value = level.foresee(some.valence, days)[user, place].astype(np.float32)
        parts.append(SparseDays(user, days[user, place], value, asked.shape, 0.0))
    return SparseDays.stacked(parts)


T = TypeVar("T", DayState, DayLabels)


def _at(table: T, where: torch.Tensor) -> T:
    """The user-days of a batch that a mask (B, D) on the CPU names, (N, …) on the CPU."""
    parts = (getattr(table, field.name) for field in fields(table))
    return type(table)(*(part[where.to(part.device)].cpu() for part in parts))


def _together(tables: list[T]) -> T:
    return type(tables[0])(*(torch.cat([getattr(table, field.name) for table in tables]) for field in fields(tables[0])))


def batches_by_length(
    users: torch.Tensor, known: np.ndarray, size: int, columns: np.ndarray | None = None
) -> list[tuple[torch.Tensor, int]]:
    """Batches of people with about equally long histories, each with the days until the last report in it.

    People of equal length keep the order they come in, so a random order stays random among them.

    Args:
        users: (N,) the people.
        known: (U, D) bool, the reports that count: those of held-out days must not even shape a batch.
        size: people in a batch.
        columns: (U,) how many days of each person are encoded, where not all are; of people with very many a batch has fewer.
    """
    day = np.arange(1, known.shape[1] + 1, dtype=np.int32)
    last = torch.from_numpy(np.where(known, day, 1).max(axis=1))
    if len(users) == 0:
        return []
    batches = []
    for batch in users[torch.argsort(last[users], stable=True)].split(size):
        most = people_at_once(int(last[batch].max()) if columns is None else int(columns[batch.numpy()].max()))
        batches += [(part, int(last[part].max())) for part in batch.split(min(size, most))]
    return batches
