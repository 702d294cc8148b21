"""The user-day table on which effects are estimated: today's feed, what came before it, and tomorrow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from recbole_esmr.causal.traits import ANY, NONE, Traits
from recbole_esmr.causal.usual_slates import usually_shown
from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.reading.times import weekday
from recbole_esmr.data.trace import Trace
from recbole_esmr.data.user_days import UserDaySums, last_known, mean_so_far, shifted

TREATMENTS = ("negative_exposure", "positive_exposure", "time_spent")
OUTCOMES = ("valence", "negative", "engagement", "active")
INSTRUMENTS = {"negative_exposure": "shown_negative", "positive_exposure": "shown_positive", "time_spent": "shown_time"}
SIGN_EXPOSURES = TREATMENTS[:2]
"""The exposures that single traits stand in for, where those are asked after."""

_USUAL_VIEWS = 5.0
"""Views of an average item that each item's mean watch ratio is shrunk by."""


@dataclass(frozen=True)
class Design:
    """What plays which part in a table of user-days.

    Attributes:
        treatments: columns whose effects are estimated jointly.
        outcomes: columns of the next day.
        confounders: columns of what came before the feed.
        instruments: the column of what was shown for each treatment; empty where only what was watched is known.
        moderators: what a person is used to, for each treatment: effects may differ by it (habituation), and are averaged
            over it.
        traits: group of each finer treatment, the exposure to a trait of items (:mod:`~recbole_esmr.causal.traits`).
        trait_instruments: the column of what was shown for each of them.
        later: columns of the valence of the days after, tomorrow's first.
        told: the same days' valence as behaviour tells it; empty where nothing tells it.
    """

    treatments: tuple[str, ...]
    outcomes: tuple[str, ...]
    confounders: tuple[str, ...]
    instruments: Mapping[str, str] = field(default_factory=dict)
    moderators: Mapping[str, str] = field(default_factory=dict)
    traits: Mapping[str, str] = field(default_factory=dict)
    trait_instruments: Mapping[str, str] = field(default_factory=dict)
    later: tuple[str, ...] = ("valence",)
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Panel:
    """A table with a row a user-day, and the part that each column plays in it.

    Attributes:
        table: columns ``user`` and ``state`` (1 vulnerable, 0 stable, NaN unknown) and those of ``design``; outcomes are
            NaN where they are not known.
        design: the parts.
    """

    table: pd.DataFrame
    design: Design


def make_panel(
    trace: Trace,
    impressions: Impressions,
    catalogue: Catalogue,
    use: np.ndarray,
    traits: Traits = NONE,
    forecast: np.ndarray | None = None,
    days_after: int = 1,
    told: np.ndarray | None = None,
) -> Panel:
    r"""One row a user-day *t* that has a feed and a day *t + 1* that may be used.

    Exposures are those of the trace. What was *shown* is what the exposure would be if the person watched each item as people
    usually do, with the item's mean watch ratio :math:`\bar r_i` by all other people on the days that may be used:

    .. math:: z_- = \frac1n \sum_i \bar r_i g_i [v_i < 0], \quad z_+ = \frac1n \sum_i \bar r_i g_i [v_i > 0], \quad
              z_{time} = \sum_i \bar r_i\, length_i

    Args:
        trace: people's days.
        impressions: what was shown; only where skips were logged is what was shown known apart from what was watched.
        catalogue: the items.
        use: (U, D) bool, the days whose outcome may be used (all but the test days).
        traits: of the items; the exposure to each is a finer treatment.
        forecast: (U, D) valence of each day as forecast the evening before, for days without a report; the mean of the reports
            so far unless given.
        days_after: days on which effects are looked for.
        told: (U, D) valence of each day as its behaviour tells it (:func:`~recbole_esmr.causal.nowcast.nowcast`).

    Returns:
        the panel. Confounders: today's reported valence (on other days the forecast, with ``reported_today`` 0), the two days
        before, ``home_valence`` (mean of the reports up to *t*), yesterday's exposure and time spent, the means so far,
        ``watched_tone`` (mean valence · intensity of what was watched on the last day before, and its cube: feeds follow it),
        what the person is usually shown (:mod:`~recbole_esmr.causal.usual_slates`), the number of items shown, ``weekend``
        (Saturday and Sunday; days 6 and 7 where days are no dates), profiles. How much is watched is the person's own choice:
        where what was shown is not logged, ``time_spent`` is no treatment, and neither it, nor the number of items, nor what is
        usually shown is adjusted for.
        Outcomes: tomorrow's reported valence and whether it is negative, watch hours, and whether the person came.
    """
    use = np.asarray(use, dtype=bool) & trace.consent[:, None]
    usual = _usual_ratio(impressions, len(catalogue), use)
    frames: list[pd.DataFrame] = []
    for people in trace.blocks():
        inside = slice(*np.searchsorted(impressions.user, [people[0], people[-1] + 1]))
        guess, said = (None if value is None else value[people] for value in (forecast, told))
        part = trace.of(people), impressions.of(people)
        table, lagged = _table(*part, catalogue, use[people], usual[inside], traits, guess, days_after, said)
        frames.append(table.assign(user=people[table["user"]]))
    frame = pd.concat(frames, ignore_index=True)
    for name in lagged:  # a person's first days: what others have
        frame[name] = frame[name].fillna(frame[name].mean()).fillna(0.0)
    slate = impressions.has_skips
    if slate and len(frame):
        shown, usually = ["shown_negative", "shown_positive"], ["usually_negative", "usually_positive"]
        habits = usually_shown(frame["user"].to_numpy(), frame["watched_tone"].to_numpy(), frame[shown].to_numpy(float))
        frame = pd.concat([frame, pd.DataFrame(habits, columns=usually, index=frame.index)], axis=1)
        lagged += usually
    design = Design(
        treatments=TREATMENTS if slate else TREATMENTS[:2],
        outcomes=OUTCOMES,
        confounders=tuple(name for name in lagged if slate or name != "items_shown"),
        instruments=INSTRUMENTS if slate else {},
        moderators={name: f"usual_{name}" for name in TREATMENTS[:2]},
        traits=dict(zip(traits.names, traits.groups, strict=True)),
        trait_instruments={name: f"shown_{name}" for name in traits.names} if slate else {},
        later=_later("valence", days_after),
        told=() if told is None else _later("told_valence", days_after),
    )
    return Panel(frame, design)


def _table(
    trace: Trace, impressions: Impressions, catalogue: Catalogue, use: np.ndarray, usual: np.ndarray,
    traits: Traits, forecast: np.ndarray | None, days_after: int, told: np.ndarray | None,
) -> tuple[pd.DataFrame, list[str]]:  # fmt: skip
    """The rows of some people, and the names of the columns of what came before; ``usual`` is of their impressions, (M,)."""
    sums = UserDaySums(impressions.user, impressions.day, trace.users, trace.days)
    said = np.isfinite(trace.valence)
    level = mean_so_far(trace.valence)
    guess = level if forecast is None else np.where(np.isfinite(forecast), forecast, level)
    today = np.where(said, trace.valence, np.nan_to_num(guess))
    item, ratio = impressions.item, impressions.watch_ratio
    hours = catalogue.duration[item] / 3600
    tone = sums.mean(ratio * (catalogue.valence * catalogue.intensity)[item], weight=ratio)
    columns: dict[str, np.ndarray] = {
        "negative_exposure": trace.exposure[..., 0],
        "positive_exposure": trace.exposure[..., 1],
        "time_spent": trace.engagement,
    }
    lagged = {
        "watched_tone": np.nan_to_num(last_known(shifted(tone, 1))),
        "valence_today": today,
        "reported_today": said.astype(float),
        "valence_yesterday": _known(shifted(trace.valence, 1), level),
        "valence_before": _known(shifted(trace.valence, 2), level),
        "home_valence": np.nan_to_num(level),
        "items_shown": sums.count,
        "weekend": np.broadcast_to(
            (weekday(trace.first_day + np.arange(trace.days)) >= 6) * float(trace.shared_calendar), level.shape
        ),
    }
    lagged["watched_tone_cubed"] = lagged["watched_tone"] ** 3
    if (traits.state != ANY).any():  # what differs by state has a mean by state, too
        lagged["vulnerable_today"] = (today < 0).astype(float)
    for name, value in columns.items():
        usual_so_far = shifted(mean_so_far(np.where(sums.count > 0, value, np.nan)), 1)
        lagged[f"usual_{name}"] = usual_so_far
        lagged[f"{name}_yesterday"] = _known(shifted(np.where(sums.count > 0, value, np.nan), 1), usual_so_far)
    for code, profile in enumerate(trace.profiles[1:], start=1):
        lagged[f"profile_{profile}"] = np.broadcast_to((trace.profile == code)[:, None].astype(float), level.shape)
    columns |= lagged
    weights = {"shown_negative": catalogue.negative, "shown_positive": catalogue.positive}
    for name, value in weights.items():
        columns[name] = sums.mean(usual * value[item])
    columns["shown_time"] = sums.sum(usual * hours)
    for name, value, state in zip(traits.names, traits.value.T, traits.state, strict=True):
        there = np.ones(today.shape) if state == ANY else (lagged["vulnerable_today"] == state).astype(float)
        columns[name], columns[f"shown_{name}"] = (sums.mean(of * value[item]) * there for of in (ratio, usual))
    outcomes = {
        "valence": trace.valence,
        "negative": trace.negative,
        "engagement": np.where(trace.consent[:, None], trace.engagement, np.nan),
        "active": trace.present.astype(float),
    }
    rows = np.isfinite(trace.exposure[..., 0]) & shifted(use, -1, False)
    table = {"user": np.nonzero(rows)[0], "day": np.nonzero(rows)[1]}
    table |= {name: value[rows] for name, value in columns.items()}
    table |= {f"tomorrow_{name}": shifted(value, -1)[rows] for name, value in outcomes.items()}
    moods = {"valence": trace.valence} | ({} if told is None else {"told_valence": told})
    for name, mood in moods.items():
        known = np.where(use, mood, np.nan)
        after = {column: shifted(known, -h)[rows] for h, column in enumerate(_later(name, days_after), start=1)}
        table |= {column: after[column] for column in after if column != "valence"}  # tomorrow's is an outcome
    frame = pd.DataFrame(table).rename(columns={f"tomorrow_{name}": name for name in OUTCOMES})
    ever = (said | (said.cumsum(axis=1) > 0))[rows]
    frame["state"] = np.where(ever, frame["valence_today"] < 0, np.nan)
    return frame, list(lagged)


def _later(name: str, days: int) -> tuple[str, ...]:
    """Names of a column's days after."""
    return (name, *(f"{name}_{h}" for h in range(2, days + 1)))


def _usual_ratio(impressions: Impressions, items: int, use: np.ndarray) -> np.ndarray:
    """Mean watch ratio of each impression's item by all *other* people on the days that may be used; (M,).

    Shrunk toward the mean of all. The person's own views are left out, for they depend on moods of theirs, tomorrow's among them.
    """
    item, ratio = impressions.item, impressions.watch_ratio
    counted = use[impressions.user, impressions.day].astype(float)
    pair = np.unique(impressions.user * items + item, return_inverse=True)[1].reshape(-1)

    def by_others(value: np.ndarray) -> np.ndarray:
        own = np.bincount(pair, weights=value)[pair]
        return np.bincount(item, weights=value, minlength=items)[item] - own

    views, total = by_others(counted), by_others(counted * ratio)
    everywhere = (counted * ratio).sum() / max(counted.sum(), 1.0)
    return (total + _USUAL_VIEWS * everywhere) / (views + _USUAL_VIEWS)


def _known(value: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(value), value, otherwise)
