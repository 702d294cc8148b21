"""ESMR as a RecBole model: interactions in, scores out. How a slate is made stands in :mod:`~recbole_esmr.model.ranking`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor

from recbole_esmr.causal.reward import ItemEffects
from recbole_esmr.causal.traits import traits_of
from recbole_esmr.checkpoint import load_attributes
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.data.log import Log
from recbole_esmr.data.trace import BLOCK, TRAIN
from recbole_esmr.errors import ConfigError
from recbole_esmr.model.beliefs import Beliefs, believe, foretold
from recbole_esmr.model.cold_items import require_same_embeddings
from recbole_esmr.model.days import day_labels
from recbole_esmr.model.emotion_encoder import encoder_loss
from recbole_esmr.model.engagement_ranker import EngagementFeatures
from recbole_esmr.model.learned import ENGAGEMENT, RERANKER, Learned
from recbole_esmr.model.pretrained import new_encoder
from recbole_esmr.model.ranking import Rankers, Ranking, ServingRule, rank
from recbole_esmr.model.retriever import Retriever
from recbole_esmr.model.state import EXTRA, item_features
from recbole_esmr.rl.value import ItemValue


@dataclass(frozen=True)
class Ranked:
    """Slates of B people with what they were made from.

    Attributes:
        ranking: the slates and their parts.
        retrieved: (B, I) the retriever's scores, −inf for what may not be shown.
        rankers, log, beliefs: what ranked; the people, and what is believed of them.
    """

    ranking: Ranking
    retrieved: Tensor
    rankers: Rankers
    log: Log
    beliefs: Beliefs


class ESMR(SequentialRecommender):
    """Emotion-aware Social Media Recommendation (arXiv 2511.14768).

    The score of an item for a person on a day is a function of the person and the day alone: everything it reads comes from
    days before. The items of :func:`~recbole_esmr.model.ranking.rank` come first, in its order; all other items follow in the
    retriever's order.

    It is always in evaluation mode: the stages of :class:`~recbole_esmr.trainer.ESMRTrainer` switch the part that they train.

    Args:
        config: RecBole's config with the keys of ``properties/model/ESMR.yaml``.
        dataset: the training part of an :class:`~recbole_esmr.data.dataset.ESMRDataset`.

    Attributes:
        settings: the keys, typed.
        log: what it reads of people's days; taxonomy, catalogue: the emotions and the items.
        encoder, retriever, item_value: the networks.
        learned: what training has left beside them.

    Raises:
        ConfigError: the config or the data set was made by RecBole before ``recbole_esmr`` was imported.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Config, dataset: ESMRDataset) -> None:
        if not isinstance(config, Config) or not isinstance(dataset, ESMRDataset):
            raise ConfigError("ESMR needs the plug-in's Config and data set: `import recbole_esmr` before making either.")
        super().__init__(config, dataset)
        self.settings, self.log = config.esmr, dataset.log
        self.taxonomy, self.catalogue = dataset.taxonomy, dataset.catalogue
        self.day_field, self.slate_size = dataset.day_field, max(int(k) for k in config["topk"])
        self.item_features = item_features(self.catalogue)
        causal = self.settings.causal
        self.traits = traits_of(self.catalogue, self.taxonomy.labels, causal.features, causal.by_state)
        self.retriever = Retriever(config.of_retriever(), dataset)
        self.encoder = new_encoder(self.settings.encoder, self.log.trace, self.taxonomy.labels, config["trust"])
        self.item_value = ItemValue(
            self.encoder.width + len(self.taxonomy) + 4 + EXTRA,
            self.item_features.shape[1] + 1,
            self.settings.reranker.hidden_size,
            self.settings.reranker.ensemble,
        )
        self.learned = Learned.nothing(self.log.trace.users, 1 if self.settings.retriever.backbone else None)
        self.train(False)

    def train(self, mode: bool = True) -> ESMR:
        """Stay in evaluation mode, whatever is asked for."""
        return super().train(False)

    @property
    def rankers(self) -> Rankers:
        """All that ranks, as it stands now."""
        learned, items, reward = self.learned, self.catalogue, self.settings.reward
        effects = ItemEffects.of_weights(learned.causal["effects"], self.traits)
        return Rankers(
            catalogue=items,
            taxonomy=self.taxonomy,
            retrieval=self.retriever.frozen(items.embeddings),
            watch=learned.watch,
            views=learned.views,
            stack=learned.stack,
            value=self.item_value,
            item_features=self.item_features,
            effects=effects,
            responses=learned.responses,
            causal=reward.kind == "causal",
            acts=RERANKER in learned.done and (reward.kind != "causal" or effects.any),
            backbone=self.settings.retriever.backbone is not None,
            multiplier=learned.multiplier,
        )

    def beliefs(self) -> Beliefs:
        """What is believed of everybody, on the mornings that training and reports ask for."""
        return self._believe(self.log, *self.log.history.days)

    def foretold(self) -> np.ndarray:
        """Everybody's valence of each day as forecast the evening before, (U, D)."""
        return foretold(self.encoder, self.log.trace, self.settings.reranker.return_days)

    def _believe(self, log: Log, row: np.ndarray, day: np.ndarray) -> Beliefs:
        """What is believed of the people of a log, the mornings of these rows and days included."""
        return believe(self.encoder, log.trace, self.taxonomy, self.settings.reranker.return_days, (row, np.maximum(day, 0)))

    def parts(self, most: int | None = None) -> tuple[Log, Beliefs, Rankers]:
        """All that :func:`~recbole_esmr.model.ranking.rank` needs, as it stands now: for everybody, or for at most so many."""
        log = self.log if most is None else self.log.of_some(most)
        return log, self._believe(log, *log.history.days), self.rankers

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """The emotion encoder's loss over the training days of the people in ``interaction``.

        The other stages are not trained by gradient on interactions; :class:`~recbole_esmr.trainer.ESMRTrainer` runs them all.
        """
        trace = self.log.trace.of(interaction[self.USER_ID].cpu().numpy())
        labels = day_labels(trace, trace.role == TRAIN, self.settings.encoder.horizon)
        return encoder_loss(self.encoder(self.encoder.inputs(trace)), labels.to(self.encoder.center.device))

    # -- scores ------------------------------------------------------------------------------------------------------

    def score(self, user: np.ndarray, day: np.ndarray, offered: np.ndarray | None = None) -> Tensor:
        """Scores of all items.

        Args:
            user: (B,) internal ids.
            day: (B,) day indices up to D, below 0 before the log's days; nothing of that day or later is read.
            offered: (I,) bool, the items to choose among; all of them unless given.

        Returns:
            (B, I) on the model's device: candidates in (1, 2) in the order of their ranking, other items in (0, 1), the
            padding and what is not offered −inf.
        """
        rankers, size = self.rankers, max(1, BLOCK // self.log.trace.days)
        parts = [
            self._score(rankers, user[start : start + size], day[start : start + size], offered)
            for start in range(0, max(len(user), 1), size)
        ]
        return torch.cat(parts).to(self.device)

    def _score(self, rankers: Rankers, user: np.ndarray, day: np.ndarray, offered: np.ndarray | None) -> Tensor:
        """The same of a few people, on the CPU."""
        ranked = self.ranked(user, day, self.settings.serving, rankers=rankers, offered=offered)
        ranking, retrieved = ranked.ranking, ranked.retrieved
        scores = 0.5 + 0.5 * retrieved / (1 + retrieved.abs())
        scores = scores.scatter(1, ranking.candidates.item, 1 + _by_rank(ranking.value))
        return scores.masked_fill(retrieved == -torch.inf, -torch.inf)

    def ranked(
        self, user: np.ndarray, day: np.ndarray, rule: ServingRule, *, rankers: Rankers | None = None,
        offered: np.ndarray | None = None, seen: tuple[np.ndarray, np.ndarray] | None = None, consent: bool | None = None,
    ) -> Ranked:  # fmt: skip
        """Slates of people (B,) on days (B,), as each of them alone would be served.

        Args:
            user, day: as of :meth:`score`.
            rule: how to serve.
            rankers: where they are at hand already.
            offered: (I,) bool, the items to choose among.
            seen: rows and items that are not to be shown.
            consent: of everybody; None leaves it as the data say.
        """
        people, row = np.unique(user, return_inverse=True)
        log, rankers = self.log.of(people), rankers or self.rankers
        if consent is not None:
            log = log.with_consent(np.full(len(people), consent))
        beliefs = self._believe(log, row, day)
        retrieved = rankers.retrieval(log, row, day)
        if offered is not None:
            retrieved[:, ~torch.from_numpy(offered)] = -torch.inf
        if seen is not None:
            retrieved[torch.from_numpy(seen[0]), torch.from_numpy(seen[1])] = -torch.inf
        ranking = rank(
            rankers, log, beliefs, row, day, rule, np.full(len(row), self.slate_size), retrieved=retrieved, offered=offered,
            multiplier=rankers.multiplier[rule.rank_by] or 0.0,
        )  # fmt: skip
        return Ranked(ranking, retrieved, rankers, log, beliefs)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items for each row's person and day, flattened: (B · I,)."""
        return self._row_scores(interaction).reshape(-1)

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores of each row's item, (B,): the entry of :meth:`full_sort_predict` for that item."""
        item = interaction[self.ITEM_ID].to(self.device)
        return self._row_scores(interaction).gather(1, item[:, None]).squeeze(1)

    def _row_scores(self, interaction: Interaction) -> Tensor:
        trace, user = self.log.trace, interaction[self.USER_ID].cpu().numpy()
        if self.day_field in interaction:
            day = np.rint(interaction[self.day_field].cpu().numpy()).astype(np.int64) - trace.first_day
        else:  # no day given: the day after the last
            day = np.full(user.shape, trace.days)
        pairs, inverse = np.unique(np.stack([user, day.clip(max=trace.days)]), axis=1, return_inverse=True)
        return self.score(pairs[0], pairs[1])[torch.from_numpy(inverse.reshape(-1)).to(self.device)]

    # -- saving ------------------------------------------------------------------------------------------------------

    def other_parameter(self) -> dict[str, Any]:
        """What the weights do not hold: what was learned beside them, and the retriever's own."""
        beside = {"retriever": self.retriever.other_parameter(), "embeddings": dict(self.catalogue.embeddings)}
        return {**self.learned.to_parameters(), **beside}

    def load_other_parameter(self, para: dict[str, Any] | None) -> None:
        """The inverse of :meth:`other_parameter`; all of it is checked before any of it is used.

        Raises:
            CheckpointError: it is not what training leaves, or is of other data.
        """
        if para:
            own = dict(para)
            retriever = own.pop("retriever", None)
            require_same_embeddings(self.catalogue.embeddings, own.pop("embeddings", {}))
            learned = Learned.of_parameters(
                own, self.log.trace.users, EngagementFeatures.count(len(self.taxonomy), self.catalogue)
            )
            load_attributes(self.retriever.model, retriever)
            self.learned = learned
            self.retriever.trained = ENGAGEMENT in learned.done


def _by_rank(value: Tensor) -> Tensor:
    """The order of each row's values as numbers in (0, 1): no value, however large, is tied with another."""
    count = value.shape[1]
    rank = value.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
    return (count - rank).float() / (count + 1)
