"""ESMR as a RecBole model: retriever → engagement ranker → gate → re-ranker."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor
from torch.nn import functional

from recbole_esmr.causal.responses import Responses
from recbole_esmr.causal.reward import ItemEffects
from recbole_esmr.checkpoint import load_checkpoint
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.data.log import Log
from recbole_esmr.data.trace import TRAIN
from recbole_esmr.errors import CheckpointError, ConfigError
from recbole_esmr.model.budget import Slates
from recbole_esmr.model.days import DayBatch, DayLabels, day_labels
from recbole_esmr.model.emotion_encoder import DayState, EmotionEncoder, encoder_loss
from recbole_esmr.model.engagement_ranker import EngagementFeatures, EngagementRanker, ItemPast
from recbole_esmr.model.gate import gate_open
from recbole_esmr.model.reranker import ItemValue
from recbole_esmr.model.retriever import Retriever
from recbole_esmr.model.state import EXTRA, policy_states

STAGES = ("emotion encoder", "engagement", "causal reward", "re-ranker")


@dataclass(frozen=True)
class Candidates:
    """C items for each of B people on a day.

    Attributes:
        item: (B, C) internal ids, in the retriever's order.
        engagement: (B, C) double, by which the engagement ranking orders them, about 0 at least: the chance to be watched next,
            or expected watch seconds, as ``rank_by`` says.
        ratio: (B, C) expected watch ratio if shown.
        benefit: (B, C) the re-ranker's value, 0 where the gate is closed.
        open: (B,) bool, whether the re-ranker may act.
    """

    item: Tensor
    engagement: Tensor
    ratio: Tensor
    benefit: Tensor
    open: Tensor


class ESMR(SequentialRecommender):
    """Emotion-aware Social Media Recommendation (arXiv 2511.14768).

    The score of an item for a person on a day is a function of the person and the day alone: everything it reads comes from
    days before. The retriever proposes candidates; LightGBM ranks them for engagement; where the gate is open the re-ranker's
    value weighs beside the engagement, as much as the engagement budget allows (:mod:`~recbole_esmr.model.budget`). All other
    items follow in the retriever's order.

    Args:
        config: RecBole's config with the keys of ``properties/model/ESMR.yaml``.
        dataset: the training part of an :class:`~recbole_esmr.data.dataset.ESMRDataset`.

    Raises:
        ConfigError: the config or the data set was made by RecBole before ``recbole_esmr`` was imported.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Config, dataset: ESMRDataset) -> None:
        if not isinstance(config, Config) or not isinstance(dataset, ESMRDataset):
            raise ConfigError("ESMR needs the plug-in's Config and data set: `import recbole_esmr` before making either.")
        super().__init__(config, dataset)
        self.config, settings = config, config.esmr
        self.settings = settings
        self.catalogue, self.trace, self.impressions = dataset.catalogue, dataset.trace, dataset.impressions
        self.taxonomy = dataset.taxonomy
        self.day_field = dataset.day_field
        self.retriever = Retriever(config, dataset)
        self.encoder = self._make_encoder()
        self.watch_ranker = EngagementRanker(1 if settings.backbone else None)
        self.view_ranker = EngagementRanker(1 if settings.backbone else None)
        self.view_stack = [0.0, 0.0, 1.0]
        self.item_features = self._describe_items()
        self.item_value = ItemValue(
            self.encoder.width + len(self.taxonomy) + 4 + EXTRA,
            self.item_features.shape[1] + 1,
            settings.reranker_hidden_size,
            settings.reranker_ensemble,
        )
        self.slate_size = max(int(k) for k in config["topk"])
        self.responses = Responses(np.ones(self.trace.users))
        self.item_past: ItemPast | None = None
        self.multiplier = {"views": 0.0, "watch_time": 0.0}
        self.diagnostics: dict[str, Any] = {}
        self.causal: dict[str, Any] = {"effects": [], "graph": {"edges": []}, "warnings": [], "skipped": []}
        self.stages_done: list[str] = []
        self.timings: dict[str, float] = {}
        self._state: DayState | None = None
        self._features: EngagementFeatures | None = None
        self._gate: np.ndarray | None = None
        self._policy_state: Tensor | None = None
        self._believed: tuple[np.ndarray, np.ndarray] | None = None
        self._effects: ItemEffects | None = None

    # -- what is believed --------------------------------------------------------------------------------------------

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """The emotion encoder's loss over the training days of the people in ``interaction``.

        The other stages are not trained by gradient on interactions; :class:`~recbole_esmr.trainer.ESMRTrainer` runs them all.
        """
        users = interaction[self.USER_ID]
        days, labels = self.encoder_task(TRAIN)
        return encoder_loss(self.encoder(days.rows(users)), labels.rows(users))

    def encoder_task(self, part: int) -> tuple[DayBatch, DayLabels]:
        """The encoder's inputs for all people, and the labels of the days of ``part`` (TRAIN, VALID or TEST)."""
        labels = day_labels(self.trace, self.trace.role == part, self.settings.forecast_horizon)
        return self.encoder.inputs(self.trace), labels.to(self.encoder.center.device)

    def day_state(self) -> DayState:
        """The encoder's beliefs about every person at the end of every day, (U, D, …), computed once and kept."""
        if self._state is None:
            self._state = self.encoder.encode(self.trace)
        return self._state

    def beliefs(self) -> np.ndarray:
        """Forecast in numbers, (U, D, E + 4): tomorrow's emotion probabilities, valence mean and scale, two risks."""
        state = self.day_state()
        risks = torch.stack([state.mean, state.scale, state.negative.sigmoid(), state.episode.sigmoid()], dim=-1)
        known = self.trace.consent[:, None, None] & bool(self.encoder.fitted)
        return torch.cat([state.forecast.softmax(dim=-1), risks], dim=-1).numpy() * known

    def policy_state(self) -> Tensor:
        """What the re-ranker sees on the morning of each day, (U, D + 1, S), see :mod:`~recbole_esmr.model.state`. Kept."""
        if self._policy_state is None:
            self._policy_state = policy_states(self.trace, self.day_state().hidden, self.beliefs(), self.believed_days()[0])
        return self._policy_state

    def gate(self) -> np.ndarray:
        """Whether the re-ranker acts, (U, D + 1): column *d* for day *d*, from the days before it. Kept.

        A day's state is what the person reported; without a report it is what the encoder believes of the day from the person's
        behaviour. A day away is not negative. With the causal reward and no effect proven there is nothing to hand over to: the
        gate stays closed and the ranking is that for engagement.
        """
        if self._gate is None:
            gate = np.zeros((self.trace.users, self.trace.days + 1), dtype=bool)
            if "re-ranker" in self.stages_done and (self.settings.reward != "causal" or self.item_effects().valence.any()):
                negative, valence = self.believed_days()
                settings = self.settings
                gate[:, 1:] = gate_open(settings.gate, negative, valence, settings.gate_streak, settings.gate_recovery)
            self._gate = gate & self.trace.consent[:, None]
        return self._gate

    def believed_days(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether each day was negative, and its valence, (U, D) each. Kept."""
        if self._believed is not None:
            return self._believed
        trace, state = self.trace, self.day_state()
        if (trace.emotion >= 0).any():
            probability = state.nowcast.softmax(dim=-1).numpy()
            valence = probability @ self.taxonomy.valence
            negative = probability[..., self.taxonomy.negative].sum(axis=-1) > 0.5
        else:  # only numbers were reported, so the nowcast of labels has learned nothing: yesterday's forecast of today
            valence = functional.pad(state.mean, (1, 0))[:, :-1].numpy()
            negative = valence < 0
        said = np.isfinite(trace.valence)
        valence = np.where(said, np.nan_to_num(trace.valence), valence)
        self._believed = np.where(said, trace.negative == 1, negative) & trace.present, valence
        return self._believed

    def item_effects(self) -> ItemEffects:
        """Causal effect of a full view of each item on tomorrow's valence, by state. Kept."""
        if self._effects is None:
            items, labels = self.catalogue, self.taxonomy.labels
            self._effects = ItemEffects.from_weights(self.effects, items.negative, items.positive, items.emotion, labels)
        return self._effects

    def effect_on(self, user: Tensor, day: Tensor, item: Tensor, ratio: Tensor) -> Tensor:
        """Proven effect of a feed made of each item on the valence of the day after, for these people; (B, C), valence units.

        .. math:: δ_{ui} = s_u\, ratio_{ui}\, e_{i}(\text{state of } u)

        Args:
            user, day: (B,); the state is that of the day before.
            item, ratio: (B, C) items and their expected watch ratio.
        """
        rows, before = user.numpy(), day.numpy() - 1
        vulnerable = self.believed_days()[0][rows, np.maximum(before, 0)] & (before >= 0)
        effect = self.item_effects().valence[vulnerable.astype(int)[:, None], item.numpy()]
        return torch.from_numpy(self.susceptibility()[rows, None] * effect).float() * ratio

    def susceptibility(self) -> np.ndarray:
        """How strongly each person responds, relative to everybody, (U,), as learned in training; 1 for newcomers."""
        known = self.responses.susceptibility
        return np.concatenate([known, np.ones(self.trace.users - len(known))])

    @property
    def effects(self) -> list[dict[str, Any]]:
        """What the causal stage found, an effect a row."""
        return list(self.causal["effects"])

    @property
    def can_learn_emotion(self) -> bool:
        """Whether anybody reported an emotion on a training day."""
        return bool((np.isfinite(self.trace.valence) & (self.trace.role == TRAIN)).any())

    @property
    def log(self) -> Log:
        """What the model reads of people's days; setting it makes the model believe and score from there on."""
        return Log(self.trace, self.impressions, self.retriever.history)

    @log.setter
    def log(self, log: Log) -> None:
        self.trace, self.impressions, self.retriever.history = log.trace, log.impressions, log.history
        self.refresh()

    def refresh(self) -> None:
        """Forget what was computed from the weights or the log; call it after they change."""
        self.retriever.forget()
        self._state = self._features = self._gate = self._policy_state = None
        self._believed = self._effects = None

    # -- scores ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def score(self, user: Tensor, day: Tensor, offered: Tensor | None = None) -> Tensor:
        """Scores of all items.

        Args:
            user: (B,) internal ids.
            day: (B,) day indices 0 … D; nothing of that day or later is read.
            offered: (I,) bool, the items to choose among; all of them unless given.

        Returns:
            (B, I): candidates in (1, 2) by engagement or by the re-ranker's value, other items in (0, 1), the padding and what is
            not offered −inf.
        """
        retrieved = self._retrieved(user, day, offered)
        found = self.candidates(user.cpu(), day.cpu(), retrieved)
        slates = Slates(found.engagement, found.benefit, torch.full((len(user),), self.slate_size))
        weight = self.weights(slates, found.open, self.multiplier[self.settings.rank_by])
        scores = 0.5 + 0.5 * retrieved / (1 + retrieved.abs())
        scores[retrieved == -torch.inf] = -torch.inf
        return scores.scatter(1, found.item, 1 + _by_rank(slates.values(weight))).to(self.device)

    @torch.no_grad()
    def candidates(self, user: Tensor, day: Tensor, retrieved: Tensor) -> Candidates:
        """The items with the best of the retriever's scores (B, I), and what is expected of them."""
        real = int((retrieved > -torch.inf).sum(dim=1).max()) if len(retrieved) else 0
        best, item = retrieved.topk(min(self.settings.candidates, real), dim=1)
        table = self.engagement_table(user, day, item, best)
        ratio = _shaped(self.watch_ranker.predict(table), item)
        if self.settings.backbone:  # the order is the backbone's
            engagement = ratio
        elif self.settings.rank_by == "views":
            engagement = self.view_chance(_shaped(self.view_ranker.predict(table), item), best)
        else:
            engagement = ratio * torch.from_numpy(self.catalogue.duration).float()[item]
        benefit = torch.zeros_like(ratio)
        open_rows = torch.from_numpy(self.gate()[user.numpy(), day.numpy()])
        if open_rows.any():
            rows = open_rows.nonzero().squeeze(1)
            benefit[rows] = self.benefit(user[rows], day[rows], item[rows], ratio[rows])
        engagement = engagement.double() - 1e-9 * torch.arange(item.shape[1])  # ties go by the retriever
        return Candidates(item, engagement.masked_fill(best == -torch.inf, -torch.inf), ratio, benefit, open_rows)

    def view_chance(self, ranked: Tensor, retrieved: Tensor) -> Tensor:
        """Chance to be watched next, from what LightGBM says p and the retriever's score r: σ(b₀ + b₁ logit p + b₂ r)."""
        intercept, of_ranker, of_retriever = self.view_stack
        chance = intercept + of_ranker * ranked.clamp(1e-6, 1 - 1e-6).logit() + of_retriever * retrieved
        return chance.sigmoid()

    def benefit(self, user: Tensor, day: Tensor, item: Tensor, ratio: Tensor) -> Tensor:
        """The re-ranker's value of items (B, C) with expected watch ratios; (B, C), relative to the person's mean candidate."""
        state = self.policy_state()[user, day].to(self.device)
        effect = self.effect_on(user, day, item, ratio) if self.settings.reward == "causal" else torch.zeros_like(ratio)
        features = self.features_of(item, ratio).to(self.device)
        value = self.item_value(state, features, effect.to(self.device), self.settings.reranker_pessimism).cpu()
        return value - value.mean(dim=1, keepdim=True)

    def weights(self, slates: Slates, may_act: Tensor, multiplier: float | None = None) -> Tensor:
        """How much the benefit weighs in each slate, (B,), 0 where the re-ranker may not act.

        With the gate ``forecast`` one multiplier for everybody, within each slate's floor; found for these slates unless given.
        With another gate each slate goes as far as its own floor ``min_engagement``.
        """
        settings, floor = self.settings, self.floor()
        if not may_act.any():
            return torch.zeros(len(may_act))
        if settings.gate != "forecast":
            return slates.largest_weights(floor) * may_act
        most = slates.largest_weights(settings.min_engagement_slate) * may_act
        return most.clamp(max=slates.multiplier(most, floor) if multiplier is None else multiplier)

    def floor(self) -> float:
        """Least share of the usual watch time of who is here that keeps ``min_engagement`` of it all, absent people included.

        .. math:: f^{1 + η} = min\_engagement

        for who watches less also comes back less, by the elasticity η of :class:`~recbole_esmr.causal.responses.Responses`.
        """
        return self.settings.min_engagement ** (1 / (1 + self.responses.elasticity))

    def watch_ratio(self, user: Tensor, day: Tensor, item: Tensor, retrieved: Tensor) -> Tensor:
        """Expected watch ratio of items if shown, in (0, 1).

        Args:
            user, day: (B,).
            item, retrieved: (B, C) items and the retriever's scores of them.

        Returns:
            (B, C).
        """
        return _shaped(self.watch_ranker.predict(self.engagement_table(user, day, item, retrieved)), item)

    def _retrieved(self, user: Tensor, day: Tensor, offered: Tensor | None) -> Tensor:
        scores = self.retriever.scores(user, day).cpu()
        if offered is not None:
            scores[:, ~offered] = -torch.inf
        return scores

    def engagement_table(self, user: Tensor, day: Tensor, item: Tensor, retrieved: Tensor) -> np.ndarray:
        """LightGBM's features of items (B, C) with the retriever's scores, a row an item: (B · C, features)."""
        users, days = (x.unsqueeze(1).expand_as(item).reshape(-1).cpu().numpy() for x in (user, day))
        return self.engagement_features().table(users, days, item.reshape(-1).cpu().numpy(), retrieved.reshape(-1).cpu().numpy())

    def engagement_features(self) -> EngagementFeatures:
        """LightGBM's features, from the beliefs and what was shown; made once and kept."""
        if self._features is None:
            past = self.item_past or self.past_of_items()
            self._features = EngagementFeatures(self.trace, self.catalogue, past, self.beliefs())
        return self._features

    def past_of_items(self) -> ItemPast:
        """What the log says of each item on each day. ``item_past`` stands for it where it is set."""
        return ItemPast(self.impressions, self.n_items, self.trace.days, self.trace.shared_calendar)

    def features_of(self, item: Tensor, ratio: Tensor) -> Tensor:
        """Item features of the re-ranker, (…, X + 1), the last one being the expected watch ratio."""
        return torch.cat([self.item_features[item], ratio.unsqueeze(-1)], dim=-1)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items for each row's person and day, flattened: (B · I,)."""
        return self._row_scores(interaction).reshape(-1)

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores of each row's item, (B,): the entry of :meth:`full_sort_predict` for that item."""
        item = interaction[self.ITEM_ID].to(self.device)
        return self._row_scores(interaction).gather(1, item[:, None]).squeeze(1)

    def _row_scores(self, interaction: Interaction) -> Tensor:
        user = interaction[self.USER_ID].cpu()
        if self.day_field in interaction:
            day = (interaction[self.day_field].cpu().round().long() - self.trace.first_day).clamp(0, self.trace.days)
        else:  # no day given: the day after the last
            day = torch.full_like(user, self.trace.days)
        pairs, inverse = torch.unique(torch.stack([user, day], dim=1), dim=0, return_inverse=True)
        return self.score(pairs[:, 0], pairs[:, 1])[inverse.to(self.device)]

    # -- saving ------------------------------------------------------------------------------------------------------

    def other_parameter(self) -> dict[str, Any]:
        """What the weights do not hold: LightGBM's text, the effects and the stages as JSON, the retriever's own."""
        return {
            "rankers": [self.watch_ranker.to_text(), self.view_ranker.to_text()],
            "view_stack": self.view_stack,
            "policy": json.dumps({"multiplier": self.multiplier, "diagnostics": self.diagnostics}),
            "causal": json.dumps(self.causal),
            "susceptibility": torch.from_numpy(self.responses.susceptibility),
            "elasticity": self.responses.elasticity,
            "stages": json.dumps({"done": self.stages_done, "timings": self.timings}),
            "retriever": self.retriever.other_parameter(),
        }

    def load_other_parameter(self, para: dict[str, Any] | None) -> None:
        """The inverse of :meth:`other_parameter`."""
        if para:
            if "elasticity" not in para:
                raise CheckpointError("the checkpoint is of a version before the re-ranker was rebuilt. Train the model again.")
            for ranker, text in zip((self.watch_ranker, self.view_ranker), para["rankers"], strict=True):
                ranker.read_text(text)
            self.view_stack = list(para["view_stack"])
            policy = json.loads(para["policy"])
            self.multiplier, self.diagnostics = policy["multiplier"], policy["diagnostics"]
            self.causal = json.loads(para["causal"])
            self.responses = Responses(para["susceptibility"].cpu().numpy(), para["elasticity"])
            stages = json.loads(para["stages"])
            self.stages_done, self.timings = stages["done"], stages["timings"]
            self.retriever.model.load_other_parameter(para["retriever"])
            self.retriever.trained = "engagement" in self.stages_done
        self.refresh()

    def _make_encoder(self) -> EmotionEncoder:
        settings = self.settings
        if settings.pretrained_encoder:
            source = load_checkpoint(settings.pretrained_encoder, "EmotionEncoder")
            encoder = EmotionEncoder.of_shape(source.config)
            encoder.require(self.trace, self.taxonomy.labels, settings.pretrained_encoder)
            encoder.load_state_dict(source.state_dict)
            return encoder
        return EmotionEncoder(
            self.trace.feature_names,
            emotions=self.taxonomy.labels,
            profiles=self.trace.profiles,
            hidden_size=settings.encoder_hidden_size,
            layers=settings.encoder_layers,
            heads=settings.encoder_heads,
            dropout=settings.encoder_dropout,
        )

    def _describe_items(self) -> Tensor:
        """(I, X): emotion and category one-hot, valence, intensity and their products, log length."""
        items = self.catalogue
        emotion = np.eye(len(self.taxonomy) + 1)[items.emotion][:, :-1]
        category = np.eye(len(items.categories) + 1)[items.category][:, :-1]
        numbers = [items.valence, items.intensity, items.negative, items.positive, np.log(items.duration) / 5]
        return torch.from_numpy(np.column_stack([emotion, category, *numbers])).float()


def _shaped(value: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(value).float().reshape(like.shape)


def _by_rank(value: Tensor) -> Tensor:
    """The order of each row's values as numbers in (0, 1): no value, however large, is tied with another."""
    count = value.shape[1]
    rank = value.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
    return (count - rank).float() / (count + 1)
