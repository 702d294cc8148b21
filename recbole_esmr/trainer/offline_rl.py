"""Stage 4: learn the re-ranker from logs by offline double Q-learning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from recbole_esmr.causal.reward import Reward
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.trace import TRAIN
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.trainer.engagement import retrieved_scores, with_negatives


@dataclass
class LoggedDays:
    """The training user-days as transitions, N rows; items padded to the longest slate K.

    Attributes:
        state: (N, S) on the morning of the day.
        item: (N, K) what was shown, 0 where the slate is shorter.
        shown: (N, K) bool.
        engagement: (N, K) predicted probability of a watch.
        reward: (N, K) of showing each item.
        following: (N,) row of the person's next logged day, −1 where there is none.
    """

    state: Tensor
    item: Tensor
    shown: Tensor
    engagement: Tensor
    reward: Tensor
    following: Tensor

    def __len__(self) -> int:
        return len(self.state)


def logged_days(model: ESMR, generator: np.random.Generator) -> LoggedDays:
    """Turn the training days' impressions into transitions.

    The engagement terms are those of each item; the terms of the day (recovery, volatility, churn) are shared by its items.
    """
    trace, settings = model.trace, model.settings
    shown = with_negatives(model.impressions, 1, model.n_items, generator)
    shown = shown.take((trace.role[shown.user, shown.day] == TRAIN) & trace.consent[shown.user])
    shown = shown.take(at_most(settings.reranker_items, shown, generator))
    pairs, row, place, longest = _slates(shown)
    user, day = pairs

    def padded(value: np.ndarray, dtype: type) -> np.ndarray:
        table: np.ndarray = np.zeros((len(user), longest), dtype=dtype)
        table[row, place] = value
        return table

    retrieved = torch.from_numpy(padded(retrieved_scores(model, shown), np.float32))
    item = torch.from_numpy(padded(shown.item, np.int64))
    engagement = model.engagement(torch.from_numpy(user), torch.from_numpy(day), item, retrieved)
    reward = reward_of(model)
    later = np.minimum(day + 1, trace.days - 1)
    known_tomorrow = (day + 1 < trace.days) & (trace.role[user, later] == TRAIN)
    tomorrow = np.where(known_tomorrow, trace.valence[user, later], np.nan)
    gone = known_tomorrow & ~trace.present[user, later]
    of_day = reward.of_days(trace.valence[user, day], tomorrow, gone)
    vulnerable = model.believed_days()[0][shown.user, shown.day]
    effect = model.item_effects().of(shown.item, vulnerable)
    of_item = padded(reward.of_items(shown.watch_ratio, effect), np.float32)
    following = np.full(len(user), -1)
    following[:-1] = np.where(user[1:] == user[:-1], np.arange(1, len(user)), -1)
    return LoggedDays(
        state=model.policy_state()[user, day],
        item=item,
        shown=torch.from_numpy(padded(np.ones(len(shown)), bool)),
        engagement=engagement,
        reward=torch.from_numpy(of_item + of_day[:, None].astype(np.float32)),
        following=torch.from_numpy(following),
    )


def reward_of(model: ESMR) -> Reward:
    """The reward that the model's settings ask for."""
    settings = model.settings
    return Reward(
        kind=settings.reward,
        engagement=settings.reward_engagement,
        valence=settings.reward_valence,
        transition=settings.reward_transition,
        volatility=settings.reward_volatility,
        churn=settings.reward_churn,
    )


def fit_reranker(model: ESMR, days: LoggedDays, generator: torch.Generator, show_progress: bool) -> list[float]:
    """Offline double Q-learning with a conservative penalty (CQL, Kumar et al. 2020).

    .. math:: L = (Q(s, i) - r_i - γ V'(s'))^2
              + α \\,softplus(\\log \\tfrac1K \\sum_{j} e^{Q(s, j)} - \\bar Q(s, logged))

    over the items *i* shown in state *s*; the penalty's *j* run over other items of the catalogue, so that what the logs never
    show is not believed to be good.

    Returns:
        the mean squared Bellman error of each epoch.
    """
    settings, value = model.settings, model.item_value
    optimizer = torch.optim.Adam(value.online.parameters(), lr=settings.reranker_learning_rate)
    errors = []
    bar = tqdm(range(settings.reranker_epochs), desc="4 Re-ranker", unit="epoch", disable=not show_progress)
    for _ in bar:
        total = 0.0
        for batch in torch.randperm(len(days), generator=generator).split(settings.reranker_batch_days):
            loss, error = q_loss(model, days, batch, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            value.follow(settings.reranker_target_rate)
            total += error * len(batch)
        errors.append(total / max(len(days), 1))
        bar.set_postfix(bellman_error=f"{errors[-1]:.4f}")
    bar.close()
    return errors


def q_loss(model: ESMR, days: LoggedDays, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, float]:
    """Loss of a batch of logged days, and its mean squared Bellman error."""
    settings, value, device = model.settings, model.item_value, model.device
    state, shown = days.state[batch].to(device), days.shown[batch].to(device)
    items = model.features_of(days.item[batch], days.engagement[batch]).to(device)
    answer = value.both(state, items)
    with torch.no_grad():
        following = days.following[batch]
        after = following.clamp(min=0)
        alive = (following >= 0).to(device)
        next_shown = days.shown[after].to(device)
        next_items = model.features_of(days.item[after], days.engagement[after]).to(device)
        size = (next_shown.sum(dim=1) + 1) // 2  # the better half of what was shown: a slate the logs support
        next_value = value.next_value(days.state[after].to(device), next_items, next_shown, size) * alive
        goal = days.reward[batch].to(device) + settings.reranker_discount * next_value[:, None]
    error = (answer - goal).square()[:, shown].mean()
    other = torch.randint(1, model.n_items, days.item[batch].shape, generator=generator)
    likely = days.engagement[batch].sum(1, keepdim=True) / days.shown[batch].sum(1, keepdim=True).clamp(min=1)
    unseen = value.both(state, model.features_of(other, likely.expand_as(other).contiguous()).to(device))
    logged = (answer * shown).sum(dim=-1) / shown.sum(dim=-1).clamp(min=1)
    penalty = functional.softplus(torch.logsumexp(unseen, dim=-1) - np.log(other.shape[1]) - logged).mean()
    return error + settings.reranker_conservatism * penalty, float(error.detach())


def at_most(count: int, shown: Impressions, generator: np.random.Generator) -> np.ndarray:
    """A random choice of at most ``count`` impressions of each user-day, as a mask (M,)."""
    _, row, _, _ = _slates(shown)
    order = np.lexsort((generator.random(len(row)), row))
    place = np.empty(len(row), dtype=np.int64)
    place[order] = np.arange(len(row)) - np.searchsorted(row[order], row[order])
    return place < count


def _slates(shown: Impressions) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Number the user-days and each impression's place in its own: pairs (2, N), row and place (M,), the longest slate."""
    pairs, row, size = np.unique(np.stack([shown.user, shown.day]), axis=1, return_inverse=True, return_counts=True)
    row = row.reshape(-1)
    order = np.argsort(row, kind="stable")
    place = np.empty(len(row), dtype=np.int64)
    place[order] = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)
    return pairs, row, place, int(size.max(initial=0))
