"""Stage 4: learn the re-ranker from logs by offline double Q-learning."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from recbole_esmr.causal.persistence import persistence
from recbole_esmr.causal.reward import Reward
from recbole_esmr.config import ESMRSettings
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.trace import TRAIN
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.model.reranker import ItemValue
from recbole_esmr.trainer.engagement import retrieved_scores, with_negatives

LARGEST_WEIGHT = 10.0
"""Inverse propensities are cut off at so many times their mean."""


@dataclass
class LoggedDays:
    """User-days as transitions, N rows; items padded to the longest slate K.

    Attributes:
        user: (N,) whose.
        state: (N, S) on the morning of the day.
        item: (N, K, X) features of what was shown.
        shown: (N, K) bool, which of them exist.
        weight: (N, K) inverse propensity of what was shown, mean 1 over all that was shown; 1 where it is not known.
        reward: (N, K) what each item brought, the day's terms included.
        later: (N,) discounted mean rewards of the following logged days, up to ``reranker_return_days`` with this one.
        following: (N,) row at which the target network goes on, −1 where the log ends before; discount: (N,) of its value.
        mood: (N,) discounted worth of a unit of valence over the days that it lasts, up to ``reranker_return_days``.
        mood_state: (N, S) of the morning after these; mood_discount: (N,) of its M.
    """

    user: Tensor
    state: Tensor
    item: Tensor
    shown: Tensor
    weight: Tensor
    reward: Tensor
    later: Tensor
    following: Tensor
    discount: Tensor
    mood: Tensor
    mood_state: Tensor
    mood_discount: Tensor

    def __len__(self) -> int:
        return len(self.state)

    def to(self, device: torch.device) -> LoggedDays:
        return LoggedDays(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def logged_days(model: ESMR, generator: np.random.Generator, part: int = TRAIN) -> LoggedDays:
    """Turn the impressions of the days of ``part`` into transitions.

    The engagement terms are those of each item; the terms of the day are shared by its items. What follows a day is looked for
    within the part alone.
    """
    trace, settings = model.trace, model.settings
    shown = with_negatives(model.impressions, 1, model.n_items, generator)
    shown = shown.take((trace.role[shown.user, shown.day] == part) & trace.consent[shown.user])
    shown = shown.take(at_most(settings.reranker_items, shown, generator))
    (user, day), row, place, longest = _slates(shown)

    def padded(value: np.ndarray, dtype: type) -> np.ndarray:
        table: np.ndarray = np.zeros((len(user), longest), dtype=dtype)
        table[row, place] = value
        return table

    retrieved = torch.from_numpy(padded(retrieved_scores(model, shown), np.float32))
    item = torch.from_numpy(padded(shown.item, np.int64))
    ratio = model.watch_ratio(torch.from_numpy(user), torch.from_numpy(day), item, retrieved)
    there = padded(np.ones(len(shown)), bool)
    reward = Reward.of(settings)
    tomorrow, gone = _tomorrow(model, user, day, part)
    of_day = reward.of_days(trace.valence[user, day], tomorrow, gone)[:, None]
    rewards = np.where(there, padded(reward.of_items(shown.watch_ratio), float) + of_day, 0.0)
    later, following, discount = returns(
        rewards.sum(axis=1) / np.maximum(there.sum(axis=1), 1), user, settings.reranker_return_days, settings.reranker_discount
    )
    mood, until, mood_discount = _mood_returns(model, reward, user, day, part)
    state = model.policy_state()
    return LoggedDays(
        user=torch.from_numpy(user),
        state=state[user, day],
        item=model.features_of(item, ratio),
        shown=torch.from_numpy(there),
        weight=torch.from_numpy(padded(_inverse_propensity(shown.propensity), np.float32)),
        reward=torch.from_numpy(rewards).float(),
        later=torch.from_numpy(later).float(),
        following=torch.from_numpy(following),
        discount=torch.from_numpy(discount).float(),
        mood=torch.from_numpy(mood).float(),
        mood_state=state[user, until],
        mood_discount=torch.from_numpy(mood_discount).float(),
    )


def returns(reward: np.ndarray, user: np.ndarray, days: int, discount: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """n-day returns of rows ordered by person and day, without their own reward.

    .. math:: G_t = \\sum_{k=1}^{m-1} γ^k r_{t+k}, \\quad \\text{then } γ^m V(s_{t+m}), \\quad m = \\min(n, \\text{days left})

    Args:
        reward: (N,) of each logged day.
        user: (N,).
        days: n; discount: γ.

    Returns:
        G (N,); the row of t + m, −1 on a person's last day, after which nothing is known; and γᵐ, 0 there.
    """
    row, total = np.arange(len(reward)), np.zeros(len(reward))
    ahead = np.minimum(days, np.searchsorted(user, user, side="right") - 1 - row)
    for step in range(1, days):
        total += discount**step * np.where(step < ahead, reward[np.minimum(row + step, len(reward) - 1)], 0.0)
    return total, np.where(ahead > 0, row + ahead, -1), np.where(ahead > 0, float(discount) ** ahead, 0.0)


def fit_reranker(
    value: ItemValue, days: LoggedDays, settings: ESMRSettings, generator: torch.Generator, show_progress: bool = False
) -> list[float]:
    """Offline double Q-learning with a conservative penalty (CQL, Kumar et al. 2020), from new weights.

    .. math:: L = w_i (B(s, i) - r_i - G - γ^n V'(s_n))^2 + (M(s) - m - (γφ)^n M'(s_n))^2
              + α \\,softplus(\\log \\tfrac1K \\sum_{j} e^{B(s, j)} - \\bar B(s, logged))

    over the items *i* shown in state *s*, with inverse propensities w, n-day returns G and m, and the targets V' and M'. The
    penalty's *j* are items shown to others, so that what the logs never show in a state is not believed to be good.

    Returns:
        the mean squared Bellman error of each epoch, of B and M together.
    """
    value.reset(generator)
    days = days.to(next(value.parameters()).device)
    optimizer = torch.optim.Adam(value.online.parameters(), lr=settings.reranker_learning_rate)
    errors = []
    bar = tqdm(range(settings.reranker_epochs), desc="4 Re-ranker", unit="epoch", disable=not show_progress)
    for _ in bar:
        total = 0.0
        for batch in torch.randperm(len(days), generator=generator).split(settings.reranker_batch_days):
            loss, error = q_loss(value, days, batch, settings, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            value.follow(settings.reranker_target_rate)
            total += error * len(batch)
        errors.append(total / max(len(days), 1))
        bar.set_postfix(bellman_error=f"{errors[-1]:.4f}")
    bar.close()
    return errors


def q_loss(
    value: ItemValue, days: LoggedDays, batch: Tensor, settings: ESMRSettings, generator: torch.Generator
) -> tuple[Tensor, float]:
    """Loss of a batch of logged days, and its mean squared Bellman error."""
    state, shown = days.state[batch], days.shown[batch]
    answer, mood = value.base(state, days.item[batch]), value.mood(state)
    base_goal, mood_goal = goals(value, days, batch)
    weight = days.weight[batch] * shown
    base_error = (weight * (answer - base_goal).square()).sum() / (weight.sum() * len(answer)).clamp(min=1e-9)
    mood_error = (mood - mood_goal).square().mean()
    error = base_error + mood_error
    if settings.reranker_conservatism == 0:
        return error, float(error.detach())
    stranger = batch[torch.randperm(len(batch), generator=generator)]
    other, real = value.base(state, days.item[stranger]), days.shown[stranger]
    unseen = torch.logsumexp(other.masked_fill(~real, -torch.inf), dim=-1) - real.sum(dim=-1).clamp(min=1).log()
    logged = (answer * shown).sum(dim=-1) / shown.sum(dim=-1).clamp(min=1)
    penalty = functional.softplus(unseen - logged).mean()
    return error + settings.reranker_conservatism * penalty, float(error.detach())


def goals(value: ItemValue, days: LoggedDays, batch: Tensor) -> tuple[Tensor, Tensor]:
    """What B (n, K) and M (n,) should have said of a batch of logged days."""
    after = days.following[batch].clamp(min=0)
    size = (days.shown[after].sum(dim=1) + 1) // 2  # the better half of what was shown: a slate the logs support
    follow = value.next_base(days.state[after], days.item[after], days.shown[after], size)
    base = days.reward[batch] + (days.later[batch] + days.discount[batch] * follow)[:, None]
    return base, days.mood[batch] + days.mood_discount[batch] * value.next_mood(days.mood_state[batch])


def at_most(count: int, shown: Impressions, generator: np.random.Generator) -> np.ndarray:
    """A random choice of at most ``count`` impressions of each user-day, as a mask (M,)."""
    _, row, _, _ = _slates(shown)
    order = np.lexsort((generator.random(len(row)), row))
    place = np.empty(len(row), dtype=np.int64)
    place[order] = np.arange(len(row)) - np.searchsorted(row[order], row[order])
    return place < count


def _tomorrow(model: ESMR, user: np.ndarray, day: np.ndarray, part: int) -> tuple[np.ndarray, np.ndarray]:
    """Valence of the day after, NaN where unknown or of another part, and whether the person stayed away."""
    trace = model.trace
    later = np.minimum(day + 1, trace.days - 1)
    known = (day + 1 < trace.days) & (trace.role[user, later] == part)
    return np.where(known, trace.valence[user, later], np.nan), known & ~trace.present[user, later]


def _mood_returns(
    model: ESMR, reward: Reward, user: np.ndarray, day: np.ndarray, part: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """n-day worth of a unit of the valence of the day after, as believed each evening.

    .. math:: m_t = \\sum_{k=0}^{n-1} (γφ)^k \\frac{∂E[R_{t+k}]}{∂v}

    a unit of tomorrow's valence being φ of one the day after (:func:`~recbole_esmr.causal.persistence.persistence`).

    Returns:
        m (N,); the morning after (N,), and the discount of its M.
    """
    trace, settings, state = model.trace, model.settings, model.day_state()
    use = trace.role == part
    kept = settings.reranker_discount * persistence(np.where(trace.role == TRAIN, trace.valence, np.nan))
    worth = reward.of_valence(model.believed_days()[1], state.mean.numpy(), state.scale.numpy())
    total, until, discount = np.zeros(len(user)), day.copy(), np.ones(len(user))
    for _ in range(settings.reranker_return_days):
        inside = (until < trace.days) & use[user, np.minimum(until, trace.days - 1)]
        total += np.where(inside, discount * worth[user, np.minimum(until, trace.days - 1)], 0.0)
        until, discount = until + inside, np.where(inside, discount * kept, discount)
    return total, until, discount


def _inverse_propensity(propensity: np.ndarray) -> np.ndarray:
    known = np.isfinite(propensity) & (propensity > 0)
    if not known.any():
        return np.ones(len(propensity))
    weight = np.where(known, 1 / np.where(known, propensity, 1.0), np.nan)
    weight = np.minimum(weight / np.nanmean(weight), LARGEST_WEIGHT)
    return np.where(known, weight / np.nanmean(weight), 1.0)


def _slates(shown: Impressions) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Number the user-days and each impression's place in its own: pairs (2, N), row and place (M,), the longest slate."""
    pairs, row, size = np.unique(np.stack([shown.user, shown.day]), axis=1, return_inverse=True, return_counts=True)
    row = row.reshape(-1)
    order = np.argsort(row, kind="stable")
    place = np.empty(len(row), dtype=np.int64)
    place[order] = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)
    return pairs, row, place, int(size.max(initial=0))
