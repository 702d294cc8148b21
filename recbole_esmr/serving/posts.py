"""Posts that no catalogue knows: labelled by their texts, and re-ranked beside the order in which they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from recbole_esmr.causal.reward import ItemEffects
from recbole_esmr.causal.traits import traits_of
from recbole_esmr.data.history import History
from recbole_esmr.data.log import Log
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.label.labeller import Label
from recbole_esmr.model.engagement_ranker import EngagementRanker
from recbole_esmr.model.ranking import rank
from recbole_esmr.model.state import item_features
from recbole_esmr.serving.artifact import Artifact
from recbole_esmr.serving.core import beliefs_of, log_of
from recbole_esmr.serving.profile import Profile
from recbole_esmr.serving.stock import Stock

SEEN = 10
"""Posts of a page that are taken to be seen, at most; of a short page half of them."""


@dataclass(frozen=True)
class RankedPosts:
    """Posts in their new order.

    Attributes:
        order: (N,) places in the order in which they came, best first.
        acted: whether it is another order.
    """

    order: tuple[int, ...]
    acted: bool


@dataclass(frozen=True)
class OriginalOrder:
    """The order in which posts came, as a retriever: the first has the highest score."""

    items: int
    sequential: bool = False

    def __call__(self, log: Log, row: np.ndarray, day: np.ndarray) -> Tensor:
        """(B, I), −inf for the padding item."""
        score = -torch.arange(self.items).float().expand(len(row), -1).clone()
        score[:, 0] = -torch.inf
        return score


class ByPlace(EngagementRanker):
    r"""What is watched of a post, by its place k in the original order: :math:`1 / \log_2(1 + k)`, the discount of DCG."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N,) from the first column of the features, −k."""
        return np.asarray(1 / np.log2(1 - features[:, 0].astype(float)))


def rank_posts(artifact: Artifact, profile: Profile, labels: Sequence[Label], day: int) -> RankedPosts:
    """An order of posts for a person: that in which they came, and as much benefit as the engagement budget allows on this page.

    A platform's own order is what is known of the posts' engagement: what a post would bring is taken to fall with its place as
    the gain of DCG does. The slate that keeps its share of that are the first :data:`SEEN` posts.

    Args:
        artifact: what ranks.
        profile: of the person.
        labels: what each post expresses, in the order in which they came.
        day: that it is.
    """
    count = len(labels)
    if count < 2:
        return RankedPosts(tuple(range(count)), False)
    people = log_of(artifact, [profile], day)
    stock, nobody = _stock(artifact, labels), np.zeros(0, dtype=np.int64)
    posts = artifact.with_stock(stock)
    causal = artifact.settings.causal
    traits = traits_of(stock.catalogue, artifact.taxonomy.labels, causal.features, causal.by_state)
    rankers = replace(
        artifact.rankers,
        catalogue=stock.catalogue,
        retrieval=OriginalOrder(count + 1),
        watch=ByPlace(),
        item_features=item_features(stock.catalogue),
        effects=ItemEffects.of_weights(artifact.learned.causal["effects"], traits),
        backbone=True,
    )
    window, size = artifact.window, min(SEEN, (count + 1) // 2)
    log = replace(people, history=History(nobody, nobody, nobody, window, 1), past=stock.past(window))
    rule = replace(posts.rule, candidates=count)
    ranking = rank(rankers, log, beliefs_of(artifact, people), np.zeros(1, int), np.array([window]), rule, np.array([size]))
    order = ranking.value[0].argsort(descending=True, stable=True)
    places = (ranking.candidates.item[0][order] - 1).tolist()
    return RankedPosts(tuple(places), places != list(range(count)))


def _stock(artifact: Artifact, labels: Sequence[Label]) -> Stock:
    """The posts as a catalogue of their own."""
    catalogue, count = artifact.stock.catalogue, len(labels)
    usual = float(np.median(catalogue.duration[1:]))
    share = np.concatenate([np.zeros((1, len(artifact.taxonomy))), in_taxonomy(artifact, labels)])
    intensity = np.array([0.0, *(label.intensity for label in labels)]) * share.any(axis=1)
    columns = {
        name: np.full(count + 1, np.nan if value.dtype.kind == "f" else "", dtype=value.dtype if value.dtype.kind == "f" else str)
        for name, value in catalogue.columns.items()
    }
    embeddings = {name: np.zeros((count + 1, table.shape[1]), table.dtype) for name, table in catalogue.embeddings.items()}
    whole = replace(
        catalogue, share=share, intensity=intensity, category=np.full(count + 1, -1), duration=np.full(count + 1, usual),
        columns=columns, embeddings=embeddings,
    )  # fmt: skip
    names = ("", *(str(place) for place in range(count)))
    return Stock(names, whole, np.zeros((3, count + 1)), artifact.stock.dated, np.arange(count + 1) > 0, count + 1)


def in_taxonomy(artifact: Artifact, labels: Sequence[Label]) -> np.ndarray:
    """Shares (N, E) of the artifact's emotions.

    An emotion that the artifact does not know, such as VADER's ``pleasant``, is spread over the known emotions of its sign, as
    often as the catalogue's items express each.
    """
    taxonomy = artifact.taxonomy
    common = artifact.stock.catalogue.share.sum(axis=0) + 1e-9
    found = np.zeros((len(labels), len(taxonomy)))
    for row, label in enumerate(labels):
        for name, value in label.share.items():
            found[row] += value * _spread(name, taxonomy, common)
    return found


SIGNS = {"unpleasant": -1, "neutral": 0, "pleasant": 1}
"""Of the emotions of a labeller that tells how pleasant a text is and no more."""


def _spread(name: str, taxonomy: Taxonomy, common: np.ndarray) -> np.ndarray:
    if name in taxonomy.labels:
        return np.eye(len(taxonomy))[taxonomy.labels.index(name)]
    of_sign = common * (np.sign(taxonomy.valence) == SIGNS.get(name, 0))
    return np.asarray(of_sign / of_sign.sum()) if of_sign.any() else np.zeros(len(taxonomy))
