"""What the learned policy would bring, estimated from the log of another, before anybody deploys it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student

from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.trace import TRAIN, VALID
from recbole_esmr.model.budget import Slates
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.trainer.offline_rl import goals, logged_days


@dataclass(frozen=True)
class Deployed:
    """The policy's slates on N logged user-days.

    Attributes:
        user, day, size: (N,).
        item, ratio: (N, K) chosen items, 0 after the slate's end, and their expected watch ratios.
        multiplier: of the engagement budget over all of them.
    """

    user: np.ndarray
    day: np.ndarray
    size: np.ndarray
    item: np.ndarray
    ratio: np.ndarray
    multiplier: float


def deploy(model: ESMR, shown: Impressions, rank_by: str) -> Deployed:
    """Let the model fill the slates of ``shown``, with as many items, from what these rows show anybody on the same day.

    Where days are each person's own steps everything is on offer. One engagement budget is spent over all people and days.
    """
    settings, model.settings = model.settings, replace(model.settings, rank_by=rank_by)
    try:
        (user, day), size = np.unique(np.stack([shown.user, shown.day]), axis=1, return_counts=True)
        found = []
        for today in np.unique(day):
            rows = np.flatnonzero(day == today)
            offered = np.ones(model.n_items, dtype=bool)
            if model.trace.shared_calendar:
                offered[:] = False
                offered[shown.item[shown.day == today]] = True
            offered[0] = False
            people, when = torch.from_numpy(user[rows]), torch.from_numpy(day[rows])
            scores = model.retriever.scores(people, when).cpu().masked_fill(~torch.from_numpy(offered), -torch.inf)
            found.append((rows, model.candidates(people, when, scores)))
        order = np.concatenate([rows for rows, _ in found])
        width = max(part.item.shape[1] for _, part in found)
        item, ratio, engagement, benefit = (
            torch.cat([_widened(getattr(part, name), width, fill) for _, part in found])
            for name, fill in (("item", 0), ("ratio", 0.0), ("engagement", -torch.inf), ("benefit", 0.0))
        )
        may_act = torch.cat([part.open for _, part in found])
        slates = Slates(engagement, benefit, torch.from_numpy(size[order]))
        weight = model.weights(slates, may_act)
    finally:
        model.settings = settings
    columns, inside = slates.chosen(weight)
    inside = inside & (engagement.gather(1, columns) > -torch.inf)
    return Deployed(
        user=user[order],
        day=day[order],
        size=size[order],
        item=torch.where(inside, item.gather(1, columns), 0).numpy(),
        ratio=torch.where(inside, ratio.gather(1, columns), 0.0).numpy(),
        multiplier=float(weight.max()) if len(weight) else 0.0,
    )


def held_out(model: ESMR) -> Impressions:
    """Impressions of the validation days (of the training days, where there are none)."""
    role = model.trace.role[model.impressions.user, model.impressions.day]
    return model.impressions.take(role == (VALID if (role == VALID).any() else TRAIN))


def find_multipliers(model: ESMR) -> dict[str, float]:
    """The engagement budget's multiplier over the held-out days, for either ranking; who is served alone is served by it."""
    shown = held_out(model)
    return {rank_by: deploy(model, shown, rank_by).multiplier if len(shown) else 0.0 for rank_by in ("views", "watch_time")}


def off_policy_estimates(model: ESMR, level: float = 0.95) -> dict[str, Any] | None:
    """Value of the policy's slates on the held-out days, a day's total over the slate's items.

    With the inclusion probability π of the logging policy and the slates decomposed over items,

    .. math:: \\hat V_{SNIPS} = \\bar K \\frac{\\sum_t \\sum_{i \\in shown \\cap chosen} y_{ti} / π_{ti}}
              {\\sum_t \\sum_{i \\in shown \\cap chosen} 1 / π_{ti}}, \\quad
              \\hat V_{DR} = \\frac1N \\sum_t \\Big( \\sum_{i \\in chosen} \\hat y_{ti} +
              \\sum_{i \\in shown \\cap chosen} \\frac{y_{ti} - \\hat y_{ti}}{π_{ti}} \\Big)

    (Swaminathan & Joachims 2015; Dudík et al. 2011). Intervals are clustered by person. An item's y does not depend on its
    neighbours here, which is an assumption. The effects in ``uplift`` were estimated on the held-out days too: it says what the
    policy would do if they are right, not whether they are.

    Returns:
        ``user_days``, ``matched`` (impressions that both policies show), and by outcome (``watch_minutes`` a day; ``uplift``,
        the proven effect of the day's feed on tomorrow's valence, 0 without consent) ``logged`` (its mean), ``snips`` and ``dr``,
        each ``{mean, low, high}``. None without propensities.
    """
    shown = held_out(model)
    known = np.isfinite(shown.propensity) & (shown.propensity > 0)
    if not len(shown) or not known.all():
        return None
    chosen = deploy(model, shown, "watch_time")
    negative = model.believed_days()[0]
    minutes = model.catalogue.duration / 60
    row_of = _rows(chosen, shown, model.trace.days)
    taken = chosen.item[row_of] == shown.item[:, None]
    match, place = taken.any(axis=1), taken.argmax(axis=1)
    expected_ratio = chosen.ratio[row_of, place]
    effects = model.item_effects()
    before = negative[chosen.user, np.maximum(chosen.day - 1, 0)] & (chosen.day > 0)
    person = (model.susceptibility() * model.trace.consent)[chosen.user]

    def worth(name: str, rows: np.ndarray, item: np.ndarray) -> np.ndarray:
        if name == "watch_minutes":
            return minutes[item]
        wide = rows.reshape(-1, *[1] * (item.ndim - 1))
        return person[wide] * effects.of(item, np.broadcast_to(before[wide], item.shape)) / chosen.size[wide]

    result: dict[str, Any] = {"user_days": len(chosen.user), "matched": int(match.sum())}
    for name in ("watch_minutes", "uplift"):
        y, y_hat = (ratio * worth(name, row_of, shown.item) for ratio in (shown.watch_ratio, expected_ratio))
        every = (chosen.ratio * worth(name, np.arange(len(chosen.user)), chosen.item)).sum(axis=1)
        inverse = match / shown.propensity
        total, weight, error = (
            np.bincount(row_of, weights=inverse * part, minlength=len(every)) for part in (y, np.ones(len(y)), y - y_hat)
        )
        size = chosen.size.astype(float)
        logged = np.bincount(row_of, weights=y, minlength=len(every))
        result[name] = {
            "logged": float(logged.mean()),
            "snips": _ratio_interval(total * size.mean(), weight, chosen.user, level),
            "dr": _ratio_interval(every + error, np.ones(len(every)), chosen.user, level),
        }
    return result


def diagnose(model: ESMR, errors: list[float], generator: np.random.Generator) -> dict[str, Any]:
    """Bellman error, calibration of Q on held-out days and off-policy estimates, for ``run.json``."""
    days = logged_days(model, generator, VALID)
    result: dict[str, Any] = {"bellman_error": {"train": [round(error, 6) for error in errors]}, "calibration": None}
    if len(days):
        value, every = model.item_value, torch.arange(len(days))
        days = days.to(model.device)
        with torch.no_grad():
            base_goal, mood_goal = goals(value, days, every.to(model.device))
            base, mood = value.base(days.state, days.item).mean(dim=0), value.mood(days.state).mean(dim=0)
        pairs = {"base": (base[days.shown], base_goal[days.shown]), "mood": (mood, mood_goal)}
        numbers = {name: (said.cpu().double().numpy(), was.cpu().double().numpy()) for name, (said, was) in pairs.items()}
        result["bellman_error"]["valid"] = sum(float(((said - was) ** 2).mean()) for said, was in numbers.values())
        result["calibration"] = {name: _calibration(said, was) for name, (said, was) in numbers.items()}
    result["off_policy"] = off_policy_estimates(model)
    return result


def _calibration(said: np.ndarray, was: np.ndarray) -> dict[str, Any]:
    """Slope and intercept of what was on what was said, and both by tenth of what was said."""
    spread = float(said.var())
    slope = float(np.cov(said, was, bias=True)[0, 1] / spread) if spread > 1e-12 else float("nan")
    tenths = np.array_split(np.argsort(said, kind="stable"), 10)
    bins = [[float(said[part].mean()), float(was[part].mean())] for part in tenths if len(part)]
    return {"slope": slope, "intercept": float(was.mean() - slope * said.mean()), "bins": bins}


def _ratio_interval(top: np.ndarray, bottom: np.ndarray, user: np.ndarray, level: float) -> dict[str, float]:
    """Σ top / Σ bottom with an interval clustered by person (linearised)."""
    if bottom.sum() <= 0:
        return {"mean": float("nan"), "low": float("nan"), "high": float("nan")}
    mean = float(top.sum() / bottom.sum())
    person = np.unique(user, return_inverse=True)[1].reshape(-1)
    scatter = np.bincount(person, weights=top - mean * bottom)
    people = len(scatter)
    error = float(np.sqrt((scatter**2).sum() * people / max(people - 1, 1))) / float(bottom.sum())
    half = float(student.ppf(0.5 + level / 2, max(people - 1, 1))) * error
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _rows(chosen: Deployed, shown: Impressions, days: int) -> np.ndarray:
    """Row of ``chosen`` of each impression."""
    key = chosen.user * days + chosen.day
    order = np.argsort(key)
    return order[np.searchsorted(key[order], shown.user * days + shown.day)]


def _widened(value: torch.Tensor, width: int, fill: float) -> torch.Tensor:
    return torch.nn.functional.pad(value, (0, width - value.shape[1]), value=fill)
