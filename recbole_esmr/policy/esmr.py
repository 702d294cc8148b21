"""ESMR as a feed policy: the same model, reading each day's feedback before it fills the next day's feeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import Dataset
from torch import Tensor

from recbole_esmr.errors import ConfigError, nearest
from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.model.budget import Slates
from recbole_esmr.model.esmr import ESMR, Candidates
from recbole_esmr.policy.ledger import Ledger
from recbole_esmr.policy.recbole import known_ids

GOALS = ("uplift", "calm")
"""What a person may ask for: a better mood tomorrow, or to be spared what harms it and what excites."""

CROWD = 50
"""People from which on a day's engagement budget is spent by its own multiplier, and items are known by what these people watch;
fewer are served by the multiplier of the days before and by what the training's log says of items."""


class ESMRPolicy:
    """Fills feeds with the items on offer: the engagement ranking, and as much benefit as the engagement budget allows.

    The model's weights stay. Its log goes on: a window as long as the log it was trained on. People it has never met begin with
    nothing known; items it has never met are not shown. With ``gate="never"`` it is the engagement ranker alone. A deployed feed
    is judged by watch time, so that is what the engagement ranking maximises here. What is observed corrects what is expected
    (:class:`~recbole_esmr.policy.ledger.Ledger`), and so the budget.

    The same object serves one person, a batch or everybody: it serves whom it was :meth:`reset` with.

    Args:
        model: a trained ESMR; the policy sets its log, ranking and gate, so give each policy its own.
        dataset: the data it was trained on.
        gate: instead of the model's own.
        batch: people scored at once.
    """

    def __init__(self, model: ESMR, dataset: Dataset, gate: str | None = None, batch: int = 128) -> None:
        self._model, self._dataset, self._batch = model, dataset, batch
        self._trained_on = model.log
        model.settings = replace(model.settings, rank_by="watch_time", gate=gate or model.settings.gate)
        self._unit = np.ones(model.n_items) if model.settings.backbone else model.catalogue.duration
        self._sign = np.sign(model.catalogue.valence).astype(int)

    def reset(self, users: np.ndarray, items: np.ndarray, consent: np.ndarray | None = None) -> None:
        """Begin with these people and items.

        Args:
            users, items: their names.
            consent: bool, whether each of the people consents to their emotion being read; None leaves what the data say, and
                takes the consent of who is not in the data as given: the platform asks before it reports anybody's emotion.
        """
        user = known_ids(self._dataset, self._dataset.uid_field, users)
        new = user == 0
        user[new] = self._trained_on.trace.users + np.arange(new.sum())
        self._user, self._acted = user, np.zeros(len(users), dtype=bool)
        self._item = known_ids(self._dataset, self._dataset.iid_field, items)
        self._number = np.full(self._model.n_items, -1)
        self._number[self._item] = np.arange(len(items))
        self._number[0] = -1
        self._ledger, self._multiplier = Ledger(), self._model.multiplier["watch_time"]
        log = self._trained_on.with_newcomers(int(new.sum()))
        if consent is not None:
            log = log.with_consent(user, consent)
        self._model.log = self._trained_on
        self._model.item_past = self._model.past_of_items() if len(users) < CROWD else None
        self._model.log = log
        self._nothing_expected()
        self._prepare()

    def recommend(self, observation: Observation, goal: str | Sequence[str | None] | None = None) -> np.ndarray:
        """Slates of the day.

        Args:
            observation: of the morning.
            goal: what people ask for, one of :data:`GOALS` or None; one for all, or one each. Who asks gets as much as the floor
                under a slate allows, by the same proven effects, whatever the gate says; it takes nothing from others' budget.

        Returns:
            (U, K) item numbers, best first, −1 after a person's slate.

        Raises:
            ConfigError: a goal that does not exist.
        """
        rows = np.flatnonzero(observation.active)
        slates = np.full((len(self._user), int(observation.slate_size.max(initial=0))), -1)
        self._acted = np.zeros(len(self._user), dtype=bool)
        self._nothing_expected()
        asked = _goals(goal, len(self._user))[rows]
        if not len(rows) or not slates.shape[1] or not (self._item[observation.pool] > 0).any():
            return slates
        found = self._candidates(rows, observation.pool)
        choice, weight = self._choice(rows, found, torch.from_numpy(observation.slate_size[rows]), asked)
        columns, inside = choice.chosen(weight)
        item = found.item.numpy()
        inside = inside & (found.engagement.gather(1, columns) > -torch.inf)
        shown = self._number[np.take_along_axis(item, columns.numpy(), 1)]
        slates[rows, : columns.shape[1]] = np.where(inside.numpy(), shown, -1)
        self._acted[rows] = (~choice.usual.gather(1, columns) & inside).any(dim=1).numpy()
        self._expected[rows[:, None], self._number[item]] = found.engagement.numpy()
        self._usual[rows[:, None], self._number[item]] = choice.usual.numpy()
        return slates

    def observe(self, feedback: Feedback) -> None:
        row, position = cells = np.nonzero((feedback.slates >= 0) & (self._item[np.maximum(feedback.slates, 0)] > 0))
        ratio, number = feedback.watch_ratio[cells].astype(float), feedback.slates[cells]
        item = self._item[number]
        expected = self._expected[row, number]
        foreseen = np.isfinite(expected) & self._model.trace.consent[self._user[row]]
        observed, sign, usual = ratio * self._unit[item], self._sign[item], self._usual[row, number]
        self._ledger.book(observed[foreseen], expected[foreseen].astype(float), sign[foreseen], usual[foreseen])
        shown = pd.DataFrame(
            {
                "user": self._user[row],
                "item": item,
                "position": position,
                "label": (ratio > 0).astype(int),
                "watch_ratio": ratio,
            }
        )
        away = (~feedback.active).astype(int)
        user_days = pd.DataFrame({"user": self._user, "emotion": feedback.emotion, "churned": away, **feedback.behaviour})
        model = self._model
        model.log = model.log.next_day(shown, user_days, model.catalogue, model.taxonomy)
        self._prepare()

    def acted(self) -> np.ndarray:
        """Whose last slate was not the engagement ranking's."""
        return self._acted

    # -- what another re-ranker does in its own way ----------------------------------------------------------------------

    def _benefit(self, user: Tensor, day: Tensor, found: Candidates) -> tuple[Tensor, Tensor]:
        """What each candidate is good for, (B, C), and who may be served by it, (B,) bool."""
        return found.benefit, found.open

    def _weights(self, slates: Slates, may_act: Tensor) -> Tensor:
        """How much the benefit weighs in each slate, (B,)."""
        if self._model.settings.gate != "forecast" or len(may_act) >= CROWD:
            weight = self._model.weights(slates, may_act)
            self._multiplier = float(weight.max()) or self._multiplier
            return weight
        if self._multiplier <= 0:  # nothing was to be done on the days before: begin small
            self._multiplier = 0.01 * float(slates.largest_weights(self._model.settings.min_engagement_slate).max())
        weight = self._model.weights(slates, may_act, self._multiplier)
        usual, floor = float(slates.usual_engagement.sum()), self._model.floor()
        if bool(may_act.any()) and usual > 0 and floor < 1:  # a step of dual ascent, for the people still to come
            spare = (float(slates.engagement(weight).sum()) / usual - floor) / (1 - floor)
            self._multiplier *= float(np.exp(0.1 * np.clip(spare, -1, 1)))
        return weight

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _nothing_expected(self) -> None:
        self._expected = np.full((len(self._user), len(self._item)), np.nan, dtype=np.float32)
        self._usual = np.zeros(self._expected.shape, dtype=bool)

    def _prepare(self) -> None:
        """Do in the evening what does not depend on the morning's pool."""
        with torch.no_grad():
            self._model.gate(), self._model.policy_state(), self._model.engagement_features()

    def _candidates(self, rows: np.ndarray, pool: np.ndarray) -> Candidates:
        model = self._model
        offered = torch.zeros(model.n_items, dtype=torch.bool)
        offered[torch.from_numpy(self._item[pool])] = True
        offered[0] = False
        parts = []
        for start in range(0, len(rows), self._batch):
            user = torch.from_numpy(self._user[rows[start : start + self._batch]])
            today = torch.full_like(user, model.trace.days)
            scores = model.retriever.scores(user, today).cpu().masked_fill(~offered, -torch.inf)
            parts.append(model.candidates(user, today, scores))
        names = ("item", "engagement", "ratio", "benefit", "open")
        return Candidates(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    def _choice(self, rows: np.ndarray, found: Candidates, size: Tensor, asked: np.ndarray) -> tuple[Slates, Tensor]:
        """The slates of the people in ``rows`` as a function of the benefit's weight, and the weight of each."""
        model = self._model
        user, today = torch.from_numpy(self._user[rows]), torch.full((len(rows),), model.trace.days)
        benefit, may_act = self._benefit(user, today, found)
        for name in GOALS:
            wants = torch.from_numpy(np.flatnonzero(asked == name))
            if len(wants):
                benefit[wants] = self._asked(name, user[wants], today[wants], found.item[wants], found.ratio[wants])
        factor = np.where(model.trace.consent[user, None], self._ledger.factor(self._sign[found.item.numpy()]), 1.0)
        choice = Slates(found.engagement * torch.from_numpy(factor), benefit, size, self._ledger.distrust())
        asks = torch.from_numpy(asked != "")
        weight = self._weights(choice, may_act & ~asks)
        if asks.any():
            weight = torch.where(asks, choice.largest_weights(model.settings.min_engagement_slate), weight)
        return choice, weight

    def _asked(self, goal: str, user: Tensor, day: Tensor, item: Tensor, ratio: Tensor) -> Tensor:
        """What items do for a goal, by the proven effects alone; 0 for who did not consent.

        ``calm`` counts every harm and, of what lifts the mood, only what does not excite: an effect of an arousing item above 0
        counts as 0.
        """
        model = self._model
        effect = model.effect_on(user, day, item, ratio) * torch.from_numpy(model.trace.consent[user.numpy()])[:, None]
        if goal == "calm":
            emotion = model.catalogue.emotion[item.numpy()]
            excites = torch.from_numpy((model.taxonomy.arousal[emotion] > 0) & (emotion >= 0))
            effect = torch.where(excites, effect.clamp(max=0), effect)
        return effect


def _goals(goal: str | Sequence[str | None] | None, users: int) -> np.ndarray:
    every = [goal] * users if goal is None or isinstance(goal, str) else list(goal)
    for wanted in every:
        if wanted is not None and wanted not in GOALS:
            raise ConfigError(f"there is no goal {wanted!r}. {nearest(str(wanted), GOALS)}")
    if len(every) != users:
        raise ConfigError(f"{len(every)} goals for {users} people: give one for all, or one each.")
    return np.array([wanted or "" for wanted in every])
