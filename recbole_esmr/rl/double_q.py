"""Offline double Q-learning with a conservative penalty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from recbole_esmr.progress import Numbers, Progress, RandomStates
from recbole_esmr.rl.transitions import Transitions
from recbole_esmr.rl.value import ItemValue
from recbole_esmr.settings import RERANKER, setting


@dataclass(frozen=True, kw_only=True)
class RerankerSettings:
    """Training of the value function."""

    hidden_size: int = setting("width of the Q network", low=2, high=4096)
    epochs: int = setting("passes over the logged days", low=1, high=100_000, changes=RERANKER)
    people: int = setting("people that are learned from, at most", low=1, high=1_000_000_000, changes=RERANKER)
    items: int = setting("items of a day that are learned from", low=1, high=10_000, changes=RERANKER)
    batch_days: int = setting("user-days in a batch", low=1, high=1_000_000, changes=RERANKER)
    learning_rate: float = setting("learning rate of the Q network", low=1e-8, high=1, changes=RERANKER)
    discount: float = setting("value of tomorrow relative to today", low=0, high=0.999, changes=RERANKER)
    return_days: int = setting(
        "days whose rewards are summed before the target network's value is added", low=1, high=60, unit="days", changes=RERANKER
    )
    ensemble: int = setting("Q networks", low=2, high=32)
    target_rate: float = setting("rate of the target networks' soft update", low=1e-6, high=1, changes=RERANKER)
    conservatism: float = setting("weight of the conservative penalty", low=0, high=100, changes=RERANKER)


def fit_value(
    value: ItemValue, days: Transitions, settings: RerankerSettings, generator: torch.Generator,
    show_progress: bool = False, progress: Progress | None = None, note: Callable[[dict[str, float], int], None] | None = None,
) -> list[float]:  # fmt: skip
    r"""Offline double Q-learning with a conservative penalty (CQL, Kumar et al. 2020), from new weights.

    .. math:: L = w_i (B(s, i) - r_i - G - γ^{Δ} V'(s'))^2 + (M(s) - m - (γφ)^n M'(s'))^2
              + α \,softplus(\log \tfrac1L \sum_{j} e^{B(s, j)} - \bar B(s, logged))

    over the items *i* shown in state *s*, with inverse propensities w, n-step returns G and m, Δ the days to the step at which
    the target networks V' and M' go on. The penalty's *j* are items shown to others, as this person would watch them, so that
    what the logs never show in a state is not believed to be good. Transitions whose target is not known teach nothing, but
    others may lead to them. ``note`` takes each epoch's Bellman error.

    Returns:
        the mean squared Bellman error of each epoch, of B and M together.
    """
    value.reset(generator)
    days = days.to(next(value.parameters()).device)
    known = days.known
    optimizer = torch.optim.Adam(value.online.parameters(), lr=settings.learning_rate, fused=True)
    errors, progress = Numbers(), progress or Progress()
    epochs = progress.through(settings.epochs, value=value, optimizer=optimizer, errors=errors, numbers=RandomStates(generator))
    bar = tqdm(epochs, "4 Re-ranker", settings.epochs, unit="epoch", disable=not show_progress, initial=progress.done)
    for epoch in bar:
        total = 0.0
        for order in torch.randperm(len(known), generator=generator).split(settings.batch_days):
            loss, error = q_loss(value, days, known[order.to(known.device)], settings.conservatism)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            value.soft_update(settings.target_rate)
            total += error * len(order)
        errors.append(total / max(len(known), 1))
        bar.set_postfix(bellman_error=f"{errors[-1]:.4f}")
        if note:
            note({"bellman_error": errors[-1]}, epoch)
    bar.close()
    return errors


def q_loss(value: ItemValue, days: Transitions, batch: Tensor, conservatism: float) -> tuple[Tensor, float]:
    """Loss of a batch of transitions, and its mean squared Bellman error."""
    state, shown = days.state[batch], days.shown[batch]
    answer, mood = value.base(state, days.item[batch]), value.mood(state)
    base_target, mood_target = targets(value, days, batch)
    weight = days.weight[batch] * shown
    base_error = (weight * (answer - base_target).square()).sum() / (weight.sum() * len(answer)).clamp(min=1e-9)
    error = base_error + (mood - mood_target).square().mean()
    if conservatism == 0:
        return error, float(error.detach())
    real = days.real[batch]
    other = value.base(state, days.other[batch]).masked_fill(~real, -torch.inf)
    unseen = torch.logsumexp(other, dim=-1) - real.sum(dim=-1).clamp(min=1).log()
    logged = (answer * shown).sum(dim=-1) / shown.sum(dim=-1).clamp(min=1)
    penalty = functional.softplus(unseen - logged).mean()
    return error + conservatism * penalty, float(error.detach())


def targets(value: ItemValue, days: Transitions, batch: Tensor) -> tuple[Tensor, Tensor]:
    """What B (n, K) and M (n,) should have said of a batch of transitions whose target is known."""
    after = days.following[batch].clamp(min=0)
    size = (days.shown[after].sum(dim=1) + 1) // 2  # the better half of what was shown: a slate the logs support
    next_value = value.next_base(days.state[after], days.item[after], days.shown[after], size)
    base = days.reward[batch] + (days.later[batch] + days.discount[batch] * next_value)[:, None]
    return base, days.mood[batch] + days.mood_discount[batch] * value.next_mood(days.mood_state[batch])
