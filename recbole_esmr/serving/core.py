"""The stateless core of a service: profiles and a request in, slates out; events in, profiles out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recbole_esmr.causal.reward import weights_on_valence
from recbole_esmr.data.history import History
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.log import Log
from recbole_esmr.data.trace import make_trace
from recbole_esmr.errors import DataError
from recbole_esmr.model.beliefs import Beliefs, believe
from recbole_esmr.model.gate import NEVER
from recbole_esmr.model.ranking import Ranking, goals_of, rank
from recbole_esmr.model.reasons import reasons_of
from recbole_esmr.serving.artifact import Artifact
from recbole_esmr.serving.checks import in_range, one_of, whole
from recbole_esmr.serving.exploration import explored
from recbole_esmr.serving.profile import Event, Profile, updated
from recbole_esmr.serving.spending import Receipt, Spending

LARGEST_SLATE = 500
"""Items of a slate."""


@dataclass(frozen=True)
class Request:
    """What is asked for a person.

    Attributes:
        day: the day that it is.
        size: items of the slate.
        items: on offer; None for all of the artifact that may be shown.
        goal: asked for this once; the profile's unless given.
        rerank: whether the re-ranker may act; without it the slate is the engagement ranking's.
        explore: share of the places that are drawn at random.
        draw: what the draws follow from; the same request has the same draws.
    """

    day: int
    size: int = 10
    items: tuple[str, ...] | None = None
    goal: str | None = None
    rerank: bool = True
    explore: float = 0.0
    draw: str = ""


@dataclass(frozen=True)
class Slate:
    """What is shown to a person, and why.

    Attributes:
        items: names, best first. usual: what the engagement ranking would show.
        acted: whether the re-ranker changed anything (draws left out).
        propensity: chance of each item to stand in its place, given those before it.
        drawn: whether each place was drawn.
        receipt: what the slate was expected to bring; it comes back with the feedback.
        ranking, row: all parts of it, and its row in them.
    """

    items: tuple[str, ...]
    usual: tuple[str, ...]
    acted: bool
    propensity: tuple[float, ...]
    drawn: tuple[bool, ...]
    receipt: Receipt
    ranking: Ranking
    row: int = 0


def rank_for(
    artifact: Artifact, profile: Profile, request: Request, spending: Spending | None = None, beliefs: Beliefs | None = None
) -> Slate:
    """A slate for a person; a pure function of its arguments, which changes none of them.

    Everything that is read of the person lies before the request's day.

    Args:
        artifact: what ranks.
        profile: of the person.
        request: what is asked for.
        spending: the state of the budget that all people share; that of the training unless given.
        beliefs: of the person on that day, where they are known already (:func:`beliefs_of`).

    Raises:
        DataError: the request asks for what there is not.
    """
    return rank_all(artifact, [profile], request, spending, beliefs)[0]


def rank_all(
    artifact: Artifact, profiles: Sequence[Profile], request: Request, spending: Spending | None = None,
    beliefs: Beliefs | None = None, draws: Sequence[str] | None = None,
) -> list[Slate]:  # fmt: skip
    """The same for several people with the same request, each with what their own ``draws`` follow from; each gets what they
    would get alone."""
    stock, size = artifact.stock, whole(request.size, "size", 1, LARGEST_SLATE)
    in_range(request.explore, "explore", 0, 1)
    goals = [request.goal or profile.goal or "" for profile in profiles]
    if request.goal:
        one_of(request.goal, "goal", goals_of(stock.catalogue.strategies))
    offered = _offered(artifact, request)
    spending = spending or Spending.of(artifact)
    log = log_of(artifact, profiles, request.day)
    if beliefs is None:
        beliefs = beliefs_of(artifact, log)
    rule = artifact.rule if request.rerank else replace(artifact.rule, gate=replace(artifact.rule.gate, rule=NEVER))
    count = len(profiles)
    known = goals_of(stock.catalogue.strategies) if request.rerank else []  # a goal may name a strategy that items had once
    ranking = rank(
        artifact.rankers, log, beliefs, np.arange(count), np.full(count, artifact.window), rule, np.full(count, size),
        offered=offered, multiplier=spending.multiplier, correction=spending.correction,
        goal=np.array([goal if goal in known else "" for goal in goals]),
    )  # fmt: skip
    return [_slate(artifact, ranking, row, request.explore, draws[row] if draws else request.draw) for row in range(count)]


def explained(artifact: Artifact, profile: Profile, request: Request, spending: Spending | None = None) -> dict[str, Any]:
    """Why a person gets the slate that :func:`rank_for` gives: each item's value in parts that add up to it.

    The chance of a negative day is there with the person's consent alone.
    """
    request = replace(request, explore=0.0)
    log = log_of(artifact, [profile], request.day)
    beliefs = beliefs_of(artifact, log)
    slate = rank_for(artifact, profile, request, spending, beliefs)
    ranking, weights = slate.ranking, weights_on_valence(artifact.learned.causal["effects"])
    size, pessimism = np.array([request.size]), artifact.rule.pessimism
    reasons = reasons_of(ranking, artifact.rankers, log, beliefs, artifact.traits, weights, size, pessimism)
    columns: list[int] = ranking.slate[0][ranking.slate[0] >= 0].tolist()
    return {
        "acted": slate.acted,
        "engagement_kept": float(ranking.engagement[0] / ranking.usual_engagement[0].clamp(min=1e-12)),
        "chance_of_a_negative_day": float(beliefs.risk[0, artifact.window]) if profile.consent else None,
        "items": [reasons.of_item(0, column, name) for column, name in zip(columns, slate.items, strict=True)],
        "left_out": [name for name in slate.usual if name not in slate.items],
    }


def update(artifact: Artifact, profile: Profile, events: Sequence[Event]) -> tuple[Profile, list[Event]]:
    """A profile after events, and those of them that it did not know yet."""
    return updated(profile, events, artifact.window, artifact.retrieval.longest)


def beliefs_of(artifact: Artifact, log: Log) -> Beliefs:
    """What the encoder believes of the people of a log."""
    return believe(artifact.encoder, log.trace, artifact.taxonomy, tracked=False)


def log_of(artifact: Artifact, profiles: Sequence[Profile], day: int) -> Log:
    """The window of days before a day, as a log of these people, a row each; nobody has a number of the training's."""
    window, number, stock = artifact.window, artifact.stock.number, artifact.stock
    first, people = day - window, len(profiles)
    shown, earlier, days = [], [], []
    for row, profile in enumerate(profiles):
        earlier += [(row, -1, number[item], 1.0) for item in profile.earlier]
        for one in profile.days:
            cells = [(row, one.day - first, number[item], ratio) for item, ratio in one.shown]
            if 0 <= one.day - first < window:
                shown += cells
                days.append((row, one.day - first, one))
            elif one.day < first:
                earlier += [(row, -1, item, ratio) for row, _, item, ratio in cells]
    if not artifact.has_skips:  # the training's log knows what was watched alone, so no day may know more
        shown = [cell for cell in shown if cell[3] > 0]
    rows, index, item, ratio = _columns(shown)
    impressions = Impressions(
        user=rows, day=index, item=item, label=(ratio > 0).astype(np.int64), watch_ratio=ratio,
        propensity=np.full(len(rows), np.nan), has_skips=artifact.has_skips,
    )  # fmt: skip
    groups = artifact.encoder.profiles
    trace = make_trace(
        first_day=first,
        days=window,
        user_days=_user_days(artifact, profiles, days, rows * window + index, first),
        impressions=impressions,
        catalogue=stock.catalogue,
        taxonomy=artifact.taxonomy,
        profile=(np.array([groups.index(one.group) if one.group in groups else -1 for one in profiles]), groups),
        consent=np.array([profile.consent for profile in profiles]),
        shared_calendar=artifact.shared_calendar,
    )
    trace.role = np.zeros((people, window), dtype=np.int8)
    views = sorted(((*cell[:2], place, *cell[2:]) for place, cell in enumerate([*earlier, *shown])), key=lambda cell: cell[:3])
    watched = [(row, index, item, ratio) for row, index, _, item, ratio in views if ratio > 0]
    rows, index, item, _ = _columns(watched)
    history = History(rows, index, item, window, artifact.retrieval.longest, early=1)
    return Log(np.zeros(people, dtype=np.int64), trace, impressions, history, stock.past(window))


def _user_days(
    artifact: Artifact, profiles: Sequence[Profile], days: Sequence[tuple[int, int, object]], shown: np.ndarray, first: int
) -> dict[str, np.ndarray]:
    """The columns of people's days from the first one that is known of them on: a day without a feed was spent away."""
    window, behaviour = artifact.window, artifact.behaviour
    since = np.array([window if profile.since is None else max(profile.since - first, 0) for profile in profiles])
    row, index = np.nonzero(np.arange(window) >= since[:, None])
    key = row * window + index
    columns: dict[str, np.ndarray] = {
        "user": row,
        "day": index,
        "valence": np.full(len(row), np.nan),
        "emotion": np.full(len(row), "", dtype=object),
        "churned": (~np.isin(key, shown)).astype(float),
        **{name: np.full(len(row), np.nan) for name in behaviour},
    }
    for person, day, known in days:
        place = int(np.searchsorted(key, person * window + day))
        columns["emotion"][place] = known.emotion or ""  # type: ignore[attr-defined]
        for name, value in known.behaviour.items():  # type: ignore[attr-defined]
            columns[name][place] = value
    if "churned" not in artifact.encoder.feature_names:
        del columns["churned"]
    return {**columns, "emotion": columns["emotion"].astype(str)}


def _columns(cells: Sequence[tuple[int, int, int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(cells, dtype=float).reshape(len(cells), 4)
    whole_numbers = table[:, :3].astype(np.int64)
    return whole_numbers[:, 0], whole_numbers[:, 1], whole_numbers[:, 2], table[:, 3]


def _offered(artifact: Artifact, request: Request) -> np.ndarray:
    """(I,) bool, what may be shown."""
    stock = artifact.stock
    if request.items is None:
        offered = stock.offered
    else:
        offered = np.zeros(len(stock.names), dtype=bool)
        offered[stock.numbers(request.items, "items")] = True
        offered = offered & stock.offered
    if not offered.any():
        raise DataError("items: none of them may be shown. Offer some that have not been withdrawn.")
    return offered


def _slate(artifact: Artifact, ranking: Ranking, row: int, explore: float, draw: str) -> Slate:
    candidates, columns = ranking.candidates, ranking.slate[row]
    item, names = candidates.item[row].numpy(), artifact.stock.names
    chosen = columns[columns >= 0].tolist()
    there = np.flatnonzero(item > 0)
    found = explored(chosen, there, explore, draw)
    value = candidates.engagement[row]
    best = ranking.usual[row].nonzero().squeeze(1)
    usual: list[int] = best[value[best].argsort(descending=True, stable=True)].tolist()
    shown = found.places
    receipt = Receipt(
        kept=float(ranking.kept[row]),
        usual=float(ranking.usual_engagement[row]),
        spends=bool(ranking.shares[row]) and bool(ranking.weight[row] > 0),
        expected={
            names[item[place]]: (float(value[place]), bool(ranking.usual[row, place]))
            for place in shown
        },
    )  # fmt: skip
    return Slate(
        items=tuple(names[item[place]] for place in shown),
        usual=tuple(names[item[place]] for place in usual),
        acted=bool(ranking.acted[row]),
        propensity=found.propensity,
        drawn=found.drawn,
        receipt=receipt,
        ranking=ranking,
        row=row,
    )
