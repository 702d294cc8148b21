"""ESMR as a feed policy: the same ranking, reading each day's feedback before it fills the next day's feeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.log import Log
from recbole_esmr.errors import ConfigError, nearest, plain
from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.model.beliefs import Beliefs, believe
from recbole_esmr.model.budget import ascended
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.model.gate import ALWAYS
from recbole_esmr.model.ranking import GOALS, WATCH_TIME, Benefit, Candidates, Ranking, goals_of, rank
from recbole_esmr.policy.contract import BEHAVIOUR, NOT_BEGUN, Contract
from recbole_esmr.policy.online_calibration import OnlineCalibration
from recbole_esmr.policy.recbole import known_ids, known_items

CROWD = 50
"""People from which on a day's engagement budget is spent by its own multiplier, and items are known by what these people watch;
fewer are served by the multiplier of the days before and by what the training's log says of items."""


class ESMRPolicy:
    """Fills feeds with the items on offer: the engagement ranking, and as much benefit as the engagement budget allows.

    The trained model is read once and never written: many policies may serve one model, in many threads. What changes from day to
    day is the policy's own: the log of the people it serves (a window as long as the log of the training), what is believed of
    them, and the calibration of what was expected by what came
    (:class:`~recbole_esmr.policy.online_calibration.OnlineCalibration`). People it has never met begin with nothing known;
    items it has never met are not shown. A deployed feed is judged by watch time, so that is what the engagement ranking
    maximises here. With ``gate="never"`` it is the engagement ranking alone.

    The same object serves one person, a batch or everybody: it serves whom it was :meth:`reset` with, and costs what they cost.

    Args:
        model: a trained ESMR.
        dataset: the data it was trained on.
        gate: instead of the model's own.

    Attributes:
        contract: what a morning and an evening may hold; what breaks it is refused before anything changes.
        log, beliefs: of the people served, a row each in the order of :meth:`reset`.
        rule: by which they are served.
        ranking: the last one, with all its parts, for who was here; None before it.
    """

    reads_tracked = False
    """Whether it reads ``tracked`` of the beliefs, which costs a third of their time."""

    contract: Contract = NOT_BEGUN
    log: Log
    beliefs: Beliefs
    ranking: Ranking | None
    _expected: Candidates | None

    def __init__(self, model: ESMR, dataset: ESMRDataset, gate: str | None = None) -> None:
        self._encoder, self._rankers, self._trained_on = model.encoder, model.rankers, model.log
        self._dataset, self._settings = dataset, model.settings
        rule = replace(self._settings.serving, rank_by=WATCH_TIME)
        self.rule = replace(rule, gate=replace(rule.gate, rule=gate or rule.gate.rule))
        items = self._rankers.catalogue
        self._unit = np.ones(len(items.duration)) if self._rankers.backbone else items.duration

    def reset(self, users: np.ndarray, items: np.ndarray, consent: np.ndarray | None = None) -> None:
        """Begin with these people and items.

        Args:
            users, items: their names.
            consent: bool, whether each of the people consents to their emotion being read; None leaves what the data say, and
                takes the consent of who is not in the data as given: the platform asks before it reports anybody's emotion.

        Raises:
            DataError: they are something else.
        """
        columns = (*self._trained_on.trace.feature_names, *BEHAVIOUR)
        self.contract = Contract.of(users, items, consent, self._rankers.taxonomy.labels, columns)
        log = self._trained_on.of(known_ids(self._dataset, self._dataset.uid_field, users))
        self.log = log if consent is None else log.with_consent(consent)
        self._item = known_items(self._dataset, items)
        self._number = np.full(len(self._unit), -1)
        self._number[self._item] = np.arange(len(items))
        self._number[0] = -1
        self._calibration, self._multiplier = OnlineCalibration(len(self._rankers.taxonomy)), self._first_multiplier()
        self._here, self.ranking, self._expected = np.zeros(0, dtype=int), None, None
        self.beliefs = self._believe(self.log)

    def recommend(self, observation: Observation, goal: str | Sequence[str | None] | None = None) -> np.ndarray:
        """Slates of the day.

        Args:
            observation: of the morning.
            goal: what people ask for, one of :data:`~recbole_esmr.model.ranking.GOALS`, ``prefer NAME`` or ``avoid NAME`` with a
                strategy that items have, or None; one for all, or one each.

        Returns:
            (U, K) item numbers, best first, −1 after a person's slate.

        Raises:
            ConfigError: a goal that does not exist.
            DataError: the morning breaks the contract.
        """
        self.contract.check_morning(observation)
        people, size = len(self.log.people), np.minimum(observation.slate_size, self.contract.items)
        goals, longest = _goals(goal, people, self._rankers.catalogue.strategies), int(size.max(initial=0))
        self._here, self.ranking, self._expected = np.flatnonzero(observation.active), None, None
        slates, asked = np.full((people, longest), -1), goals[self._here]
        offered = np.zeros(len(self._number), dtype=bool)
        offered[self._item[observation.pool]] = True
        offered[0] = False
        if not len(self._here) or not longest or not offered.any():
            return slates
        crowd = len(self._here) >= CROWD
        self.ranking = ranking = rank(
            self._rankers, self.log, self.beliefs, self._here, np.full(len(self._here), self.log.trace.days), self.rule,
            size[self._here], offered=offered, multiplier=None if crowd else self._multiplier,
            correction=self._calibration.correction(), goal=asked, benefit=self._benefit(),
        )  # fmt: skip
        self._expected = ranking.candidates
        if ranking.multiplier is not None:
            self._multiplier = ranking.multiplier if crowd else self._after(ranking, ranking.multiplier)
        items = ranking.items
        slates[self._here, : items.shape[1]] = self._number[items]
        return slates

    def observe(self, feedback: Feedback) -> None:
        """Read the day: what was shown and watched, what was reported, and what it says of the expectations.

        What was shown counts, whether or not it is what was recommended.

        Raises:
            DataError: the evening breaks the contract; the policy is as it was before, and can be given the right one.
        """
        contract = self.contract.after(feedback)
        cells = np.nonzero((feedback.slates >= 0) & (self._item[np.maximum(feedback.slates, 0)] > 0))
        row, item = cells[0], self._item[feedback.slates[cells]]
        ratio = feedback.watch_ratio[cells].astype(float)
        watched = row, item, ratio
        if not self.log.impressions.has_skips:  # the training's log knows what was watched alone, so no day may know more
            row, item, ratio = row[ratio > 0], item[ratio > 0], ratio[ratio > 0]
        shown = Impressions(
            user=row,
            day=np.zeros(len(row), dtype=np.int64),
            item=item,
            label=(ratio > 0).astype(np.int64),
            watch_ratio=ratio,
            propensity=np.full(len(row), np.nan),
            has_skips=self.log.impressions.has_skips,
        )
        columns = {"churned": (~feedback.active).astype(float), **feedback.behaviour, "emotion": feedback.emotion}
        items = self._rankers.catalogue, self._rankers.taxonomy
        log = self.log.next_day(shown, columns, *items, items=len(self.log.people) >= CROWD)
        beliefs = self._believe(log)
        self._calibrate(*watched)  # nothing is written before everything is made
        self.contract, self.log, self.beliefs = contract, log, beliefs

    def acted(self) -> np.ndarray:
        """Whose last slate was not the engagement ranking's."""
        acted = np.zeros(len(self.log.people), dtype=bool)
        if self.ranking is not None:
            acted[self._here] = self.ranking.acted.numpy()
        return acted

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _benefit(self) -> Benefit | None:
        """What another re-ranker takes items to be good for; None leaves it to the learned one."""
        return None

    def _believe(self, log: Log) -> Beliefs:
        return believe(self._encoder, log.trace, self._rankers.taxonomy, tracked=self.reads_tracked)

    def _first_multiplier(self) -> float | None:
        """Of the budget, for the first people where they are no crowd; None takes what they may spend on their first day."""
        return self._rankers.multiplier[WATCH_TIME]

    def _after(self, ranking: Ranking, multiplier: float) -> float:
        """The multiplier after a step of dual ascent, for the people still to come; who asks for a goal moves it not."""
        shares, floor = ranking.shares, self.rule.floor(self._rankers.responses.elasticity)
        if self.rule.gate.rule == ALWAYS or not bool((ranking.weight[shares] > 0).any()):
            return multiplier
        kept, usual = float(ranking.kept[shares].sum()), float(ranking.usual_engagement[shares].sum())
        return ascended(multiplier, kept, usual, floor)

    def _calibrate(self, row: np.ndarray, item: np.ndarray, ratio: np.ndarray) -> None:
        """Hold what came of the items shown against what was expected of them, where they were among the candidates."""
        if self.ranking is None or self._expected is None:
            return
        (found, self._expected), size = (self._expected, None), len(self._number)  # an evening calibrates its own morning alone
        key = (self._here[:, None] * size + found.item.numpy()).reshape(-1)
        order = np.argsort(key, kind="stable")
        asked = row * size + item
        place = order[np.minimum(np.searchsorted(key[order], asked), len(key) - 1)]
        use = (key[place] == asked) & self.beliefs.consent[row]
        expected = found.engagement.reshape(-1).numpy()[place][use]
        usual = self.ranking.usual.reshape(-1).numpy()[place][use]
        emotion = self._rankers.catalogue.emotion[item[use]]
        self._calibration.add(ratio[use] * self._unit[item[use]], expected, emotion, usual)


def _goals(goal: str | Sequence[str | None] | None, users: int, strategies: Sequence[str]) -> np.ndarray:
    known = goals_of(strategies)
    if not (goal is None or isinstance(goal, Sequence | np.ndarray)):
        raise ConfigError(f"goal is {plain(goal)!r}; expected one of {', '.join(GOALS)} or None, or a list with one each.")
    every = [goal] * users if goal is None or isinstance(goal, str) else list(goal)
    for wanted in every:
        if wanted is not None and (not isinstance(wanted, str) or wanted not in known):
            raise ConfigError(f"there is no goal {plain(wanted)!r}. {nearest(str(wanted), known)}")
    if len(every) != users:
        raise ConfigError(f"{len(every)} goals for {users} people: give one for all, or one each.")
    return np.array([wanted or "" for wanted in every])
