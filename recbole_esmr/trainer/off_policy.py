"""What the learned policy would bring, estimated from the log of another, before anybody deploys it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.log import Log
from recbole_esmr.data.trace import TRAIN, VALID
from recbole_esmr.data.user_days import SlateIndex
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.model.ranking import VIEWS, WATCH_TIME, Rankers, Ranking, ServingRule, rank
from recbole_esmr.ope import LoggedSlates, doubly_robust, snips
from recbole_esmr.rl.double_q import targets
from recbole_esmr.rl.transitions import Transitions
from recbole_esmr.rl.value import ItemValue


def deploy(log: Log, beliefs: Beliefs, rankers: Rankers, rule: ServingRule, shown: Impressions) -> Ranking:
    """Fill the slates of ``shown``, with as many items, from what these rows show anybody on the same day.

    Where days are each person's own steps everything is on offer. One engagement budget is spent over all people and days.

    Returns:
        a row a slate, in the order of :class:`~recbole_esmr.data.user_days.SlateIndex`.
    """
    slates, items = SlateIndex(shown.user, shown.day), len(rankers.catalogue)
    offered = np.full((log.trace.days, items), not log.trace.shared_calendar)
    offered[shown.day, shown.item] = True
    offered[:, 0] = False
    return rank(rankers, log, beliefs, slates.user, slates.day, rule, slates.size, offered=offered)


def held_out(log: Log) -> Impressions:
    """Impressions of the validation days (of the training days, where there are none)."""
    role = log.trace.role[log.impressions.user, log.impressions.day]
    return log.impressions.take(role == (VALID if (role == VALID).any() else TRAIN))


def find_multipliers(log: Log, beliefs: Beliefs, rankers: Rankers, rule: ServingRule) -> tuple[dict[str, float | None], Ranking]:
    """The engagement budget's multiplier over the held-out days, for either ranking; who is served alone is served by it.

    Returns:
        the multipliers, and the held-out days' slates by watch time.
    """
    shown = held_out(log)
    views = deploy(log, beliefs, rankers, replace(rule, rank_by=VIEWS), shown).multiplier
    chosen = deploy(log, beliefs, rankers, replace(rule, rank_by=WATCH_TIME), shown)
    return {VIEWS: views, WATCH_TIME: chosen.multiplier}, chosen


def off_policy_estimates(
    log: Log, beliefs: Beliefs, rankers: Rankers, chosen: Ranking, level: float = 0.95
) -> dict[str, Any] | None:
    """Value of the policy's slates on the held-out days (``chosen``, by watch time), a day's total over the slate's items.

    An item's worth does not depend on its neighbours here, which is an assumption. The effects in ``uplift`` were estimated on
    the held-out days too: it says what the policy would do if they are right, not whether they are.

    Returns:
        ``user_days``, ``matched`` (impressions that both policies show), and by outcome (``watch_minutes`` a day; ``uplift``,
        the proven effect of the day's feed on tomorrow's valence, 0 without consent) ``logged`` (its mean), ``snips`` and ``dr``
        (:mod:`recbole_esmr.ope`), each ``{mean, low, high}``. None without propensities.
    """
    shown = held_out(log)
    known = np.isfinite(shown.propensity) & (shown.propensity > 0)
    if not len(shown) or not known.all():
        return None
    slates = SlateIndex(shown.user, shown.day)
    item, ratio = chosen.items, chosen.of_slate(chosen.candidates.ratio, 0.0).numpy()
    same = item[slates.row] == shown.item[:, None]
    match, place = same.any(axis=1), same.argmax(axis=1)
    consent = beliefs.consent[slates.user] / slates.size
    minutes = rankers.catalogue.duration / 60

    def uplift(rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        risk = beliefs.risk[slates.user[rows], slates.day[rows]]
        return rankers.effect(log.people[slates.user[rows]], items, risk) * consent[rows, None]

    every, each = np.arange(len(slates)), slates.row
    worth = {
        "watch_minutes": (minutes[shown.item], minutes[item]),
        "uplift": (uplift(each, shown.item[:, None])[:, 0], uplift(every, item)),
    }
    result: dict[str, Any] = {"user_days": len(slates), "matched": int(match.sum())}
    for name, (of_shown, of_chosen) in worth.items():
        logged = LoggedSlates(
            slate=slates.row,
            reward=shown.watch_ratio * of_shown,
            propensity=np.minimum(shown.propensity, 1.0),
            chosen=match,
            predicted=ratio[slates.row, place] * of_shown,
            person=slates.user,
            size=slates.size,
            value=(ratio * of_chosen).sum(axis=1),
        )
        result[name] = {
            "logged": float(logged.sum(logged.reward).mean()),
            "snips": asdict(snips(logged, level)),
            "dr": asdict(doubly_robust(logged, level)),
        }
    return result


def value_report(value: ItemValue, days: Transitions, errors: list[float]) -> dict[str, Any]:
    """Bellman error of the training, and Bellman error and calibration of B and M on held-out transitions."""
    result: dict[str, Any] = {"bellman_error": {"train": [round(error, 6) for error in errors]}, "calibration": None}
    days = days.to(next(value.parameters()).device)
    known = days.known
    if len(known):
        with torch.no_grad():
            base_target, mood_target = targets(value, days, known)
            shown = days.shown[known]
            base = value.base(days.state[known], days.item[known]).mean(dim=0)[shown]
            mood = value.mood(days.state[known]).mean(dim=0)
        pairs = {"base": (base, base_target[shown]), "mood": (mood, mood_target)}
        numbers = {name: (said.cpu().double().numpy(), was.cpu().double().numpy()) for name, (said, was) in pairs.items()}
        result["bellman_error"]["valid"] = sum(float(((said - was) ** 2).mean()) for said, was in numbers.values())
        result["calibration"] = {name: calibration(said, was) for name, (said, was) in numbers.items()}
    return result


def calibration(said: np.ndarray, was: np.ndarray) -> dict[str, Any]:
    """Slope and intercept of what was on what was said, and both by tenth of what was said."""
    spread = float(said.var())
    slope = float(np.cov(said, was, bias=True)[0, 1] / spread) if spread > 1e-12 else float("nan")
    tenths = np.array_split(np.argsort(said, kind="stable"), 10)
    bins = [[float(said[part].mean()), float(was[part].mean())] for part in tenths if len(part)]
    return {"slope": slope, "intercept": float(was.mean() - slope * said.mean()), "bins": bins}
