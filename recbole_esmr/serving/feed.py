"""A service as a feed policy: people of a world served one by one, as over HTTP, each from their own profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.policy.contract import NOT_BEGUN, Contract
from recbole_esmr.serving.artifact import Artifact
from recbole_esmr.serving.core import Request, Slate, rank_all, update
from recbole_esmr.serving.profile import Event, Profile
from recbole_esmr.serving.spending import Spending

TOGETHER = 500
"""People whose slates are made at once; each gets what they would get alone."""


class ServedFeed:
    """Fills feeds as a service does: nobody's history is known but what the profile holds.

    Args:
        artifact: what ranks.
        rerank: says of a day for whom the re-ranker may act, (U,) bool, such as an arm of a trial; everybody unless given.
        explore: share of the places that are drawn at random.
        seed: of the draws.
    """

    contract: Contract = NOT_BEGUN

    def __init__(
        self, artifact: Artifact, rerank: Callable[[int], np.ndarray] | None = None, explore: float = 0.0, seed: int = 0
    ) -> None:
        self.artifact, self._rerank, self._explore, self._seed = artifact, rerank, explore, seed

    def reset(self, users: np.ndarray, items: np.ndarray) -> None:
        """Begin with these people, who consent, and items; the artifact shows none that it does not know."""
        artifact = self.artifact
        self.contract = Contract.of(users, items, None, artifact.taxonomy.labels, artifact.behaviour)
        self._names = np.asarray(items).astype(str)
        self._number = {name: place for place, name in enumerate(self._names)}
        self._known = np.array([name in artifact.stock.number for name in self._names])
        self.profiles = [Profile(consent=True) for _ in users]
        self.spending = Spending.of(artifact)
        self._slates: dict[int, Slate] = {}

    def recommend(self, observation: Observation) -> np.ndarray:
        self.contract.check_morning(observation)
        size = observation.slate_size
        slates = np.full((len(self.profiles), int(size.max(initial=0))), -1)
        offered = tuple(self._names[observation.pool & self._known].tolist())
        here = np.flatnonzero(observation.active & (size > 0)) if offered else np.zeros(0, dtype=int)
        self._slates = {}
        rerank = np.ones(len(size), dtype=bool) if self._rerank is None else self._rerank(observation.day)
        for wanted, acts in {(int(size[row]), bool(rerank[row])) for row in here}:
            rows = here[(size[here] == wanted) & (rerank[here] == acts)]
            for some in np.array_split(rows, max(1, len(rows) // TOGETHER)):
                request = Request(observation.day, wanted, offered, rerank=acts, explore=self._explore)
                draws = [f"{self._seed} {observation.day} {row}" for row in some]
                made = rank_all(self.artifact, [self.profiles[row] for row in some], request, self.spending, draws=draws)
                for row, slate in zip(some.tolist(), made, strict=True):
                    self._slates[row] = slate
                    slates[row, : len(slate.items)] = [self._number[name] for name in slate.items]
        return slates

    def observe(self, feedback: Feedback) -> None:
        contract, day = self.contract.after(feedback), int(feedback.day)
        for row, profile in enumerate(self.profiles):
            event = self._event(feedback, row, day)
            if event is None:
                continue
            self.profiles[row], _ = update(self.artifact, profile, [event])
            if row in self._slates:
                receipt = self._slates[row].receipt
                self.spending = self.spending.after(receipt, event.shown, day, self.artifact, profile.consent)
        self.contract, self._slates = contract, {}

    def acted(self) -> np.ndarray:
        acted = np.zeros(len(self.profiles), dtype=bool)
        acted[[row for row, slate in self._slates.items() if slate.acted]] = True
        return acted

    def _event(self, feedback: Feedback, row: int, day: int) -> Event | None:
        """What a person's client would send of the day; None of who was away and did nothing."""
        slate = feedback.slates[row]
        places = [place for place in np.flatnonzero(slate >= 0) if self._known[slate[place]]]
        shown = tuple((str(self._names[slate[place]]), float(feedback.watch_ratio[row, place])) for place in places)
        columns = self.artifact.behaviour
        numbers = {name: float(value[row]) for name, value in feedback.behaviour.items() if name in columns}
        behaviour = {name: value for name, value in numbers.items() if np.isfinite(value)}
        emotion = str(feedback.emotion[row]) or None
        if not (shown or behaviour or emotion):
            return None
        return replace(Event(f"{day}", day), shown=shown, emotion=emotion, behaviour=behaviour)
