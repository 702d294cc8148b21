"""What a service ranks with: all that training made for ranking, and nothing of the people it was made from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch

from recbole_esmr.causal.analysis import CausalSettings
from recbole_esmr.causal.reward import ItemEffects, Reward
from recbole_esmr.causal.traits import Traits, traits_of
from recbole_esmr.checkpoint.container import read_blocks, write_blocks
from recbole_esmr.checkpoint.content import package_versions
from recbole_esmr.checkpoint.schema import check_types
from recbole_esmr.checkpoint.tree import of_blocks, to_blocks
from recbole_esmr.checkpoint.weights import check_weights
from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.trace import CONTENT
from recbole_esmr.emotion import Taxonomy, load_taxonomy
from recbole_esmr.errors import CheckpointError, ConfigError
from recbole_esmr.files import write_json
from recbole_esmr.folders import written_together
from recbole_esmr.model.emotion_encoder import EmotionEncoder
from recbole_esmr.model.engagement_ranker import EngagementFeatures
from recbole_esmr.model.learned import RERANKER, Learned
from recbole_esmr.model.linear_retriever import LinearRetrieval
from recbole_esmr.model.pretrained import restored_encoder
from recbole_esmr.model.ranking import WATCH_TIME, Rankers, ServingRule
from recbole_esmr.model.state import EXTRA, item_features
from recbole_esmr.rl.double_q import RerankerSettings
from recbole_esmr.rl.value import ItemValue
from recbole_esmr.serving.stock import Stock
from recbole_esmr.settings import flat_keys, parse_flat, section

SCHEMA = 1
"""Version of what an artifact holds."""

MODEL_FILE, CARD = "model.esmr", "artifact.json"
"""The files of an artifact: what is loaded, and what a person reads of it."""

LONGEST_WINDOW = 60
"""Days of a person that are read, at most."""

_OF_FEED = ("negative_exposure", "positive_exposure", "watch_hours", "items_shown", "churned")
"""Features of a day that follow from what was shown, and are never sent."""


@dataclass(frozen=True, kw_only=True)
class ServedSettings:
    """The keys of a training that a service still needs."""

    serving: ServingRule = section("")
    causal: CausalSettings = section("causal_")
    reward: Reward = section("reward_")
    reranker: RerankerSettings = section("reranker_")


@dataclass(frozen=True)
class Artifact:
    """A trained ESMR without the people that it was trained on. Nothing in it changes; :meth:`with_stock` gives another.

    Attributes:
        fingerprint: of the file that it was read from.
        settings: its keys, by which it is served.
        keys: the same, as the flat yaml holds them.
        taxonomy, stock: the emotions and the items.
        encoder, value, retrieval: the networks, and the retriever that knows no person.
        learned: what training left beside them, of a newcomer.
        backbone: whether the retriever's own order is the engagement ranking.
        window: days of a person that are read.
        shared_calendar: whether a day is the same date for everybody.
        has_skips: whether the log of the training knows what was skipped.
        agreement: correlation of the retriever with that of the training, within people who were left out.
    """

    fingerprint: str
    settings: ServedSettings
    keys: Mapping[str, Any]
    taxonomy: Taxonomy
    stock: Stock
    encoder: EmotionEncoder
    value: ItemValue
    retrieval: LinearRetrieval
    learned: Learned
    backbone: bool
    window: int
    shared_calendar: bool
    has_skips: bool
    agreement: float

    @property
    def rule(self) -> ServingRule:
        """How a feed is served: it is judged by watch time, so that is what the engagement ranking maximises."""
        return replace(self.settings.serving, rank_by=WATCH_TIME)

    @property
    def floor(self) -> float:
        """Least share of the usual engagement of who is here."""
        return self.rule.floor(self.learned.responses.elasticity)

    @property
    def behaviour(self) -> tuple[str, ...]:
        """Columns of a day's behaviour that may be sent."""
        return tuple(name for name in self.encoder.feature_names if name not in _OF_FEED and not name.startswith(CONTENT))

    @cached_property
    def traits(self) -> Traits:
        """What the items are, of the traits that effects were asked of."""
        causal = self.settings.causal
        return traits_of(self.stock.catalogue, self.taxonomy.labels, causal.features, causal.by_state, first=self.stock.learned)

    @cached_property
    def rankers(self) -> Rankers:
        """All that ranks."""
        effects = ItemEffects.of_weights(self.learned.causal["effects"], self.traits)
        causal = self.settings.reward.kind == "causal"
        return Rankers(
            catalogue=self.stock.catalogue,
            taxonomy=self.taxonomy,
            retrieval=self.retrieval.with_items(len(self.stock.names) - self.retrieval.items),
            watch=self.learned.watch,
            views=self.learned.views,
            stack=self.learned.stack,
            value=self.value,
            item_features=item_features(self.stock.catalogue),
            effects=effects,
            responses=self.learned.responses,
            causal=causal,
            acts=RERANKER in self.learned.done and (effects.any or not causal),
            backbone=self.backbone,
            multiplier=self.learned.multiplier,
        )

    def with_stock(self, stock: Stock) -> Artifact:
        """The same with other items."""
        return replace(self, stock=stock)

    def card(self) -> dict[str, Any]:
        """What a person reads of it."""
        shown = ("treatment", "estimate", "low", "high", "weight")
        effects = [effect for effect in self.learned.causal["effects"] if effect["outcome"] == "valence"]
        return {
            "schema_version": SCHEMA,
            "fingerprint": self.fingerprint,
            "items": int(self.stock.offered[1:].sum()),
            "emotions": list(self.taxonomy.labels),
            "behaviour": list(self.behaviour),
            "groups": list(self.encoder.profiles),
            "window_days": self.window,
            "retriever_agreement": round(self.agreement, 4),
            "acts": self.rankers.acts,
            "effects_on_tomorrows_valence": [{key: effect[key] for key in shown} for effect in effects if effect["weight"]],
            "settings": dict(self.keys),
            "versions": package_versions(),
        }


class _Retrieval(TypedDict):
    mean: np.ndarray
    place: np.ndarray
    offset: np.ndarray
    direction: np.ndarray
    longest: int


class _Items(TypedDict):
    names: list[str]
    share: np.ndarray
    intensity: np.ndarray
    category: np.ndarray
    categories: list[str]
    duration: np.ndarray
    columns: dict[str, Any]
    embeddings: dict[str, np.ndarray]
    counts: np.ndarray
    dated: bool


class _Encoder(TypedDict):
    shape: dict[str, Any]
    weights: dict[str, torch.Tensor]


class _Content(TypedDict):
    schema: int
    keys: dict[str, Any]
    taxonomy: dict[str, list[float]]
    items: _Items
    encoder: _Encoder
    value: dict[str, torch.Tensor]
    retrieval: _Retrieval
    learned: dict[str, Any]
    backbone: bool
    window: int
    shared_calendar: bool
    has_skips: bool
    agreement: float


def save_artifact(artifact: Artifact, folder: str | Path, sign: str | Path | None = None) -> Artifact:
    """Write an artifact into a folder, whole or not at all.

    Args:
        artifact: as training has left it, no item added or withdrawn.
        sign: file of the private key that signs it; None signs nothing.

    Returns:
        the same, as it is read from there.
    """
    catalogue, taxonomy = artifact.stock.catalogue, artifact.taxonomy
    places = zip(taxonomy.valence.tolist(), taxonomy.arousal.tolist(), strict=True)
    content: _Content = {
        "schema": SCHEMA,
        "keys": dict(artifact.keys),
        "taxonomy": {label: list(place) for label, place in zip(taxonomy.labels, places, strict=True)},
        "items": {
            "names": list(artifact.stock.names),
            **{name: getattr(catalogue, name) for name in ("share", "intensity", "category", "duration")},  # type: ignore[typeddict-item]
            "categories": list(catalogue.categories),
            "columns": {name: v if v.dtype.kind == "f" else v.tolist() for name, v in catalogue.columns.items()},
            "embeddings": dict(catalogue.embeddings),
            "counts": artifact.stock.counts,
            "dated": artifact.stock.dated,
        },
        "encoder": {"shape": artifact.encoder.shape(), "weights": dict(artifact.encoder.state_dict())},
        "value": dict(artifact.value.state_dict()),
        "retrieval": asdict(artifact.retrieval),  # type: ignore[typeddict-item]
        "learned": artifact.learned.to_parameters(),
        "backbone": artifact.backbone,
        "window": artifact.window,
        "shared_calendar": artifact.shared_calendar,
        "has_skips": artifact.has_skips,
        "agreement": artifact.agreement,
    }
    with written_together(folder) as new:
        write_blocks(new / MODEL_FILE, to_blocks(content), sign)
        written = replace(artifact, fingerprint=_fingerprint(new / MODEL_FILE))
        write_json(new / CARD, {**written.card(), "made": datetime.now(timezone.utc).isoformat(timespec="seconds")})
    return written


def load_artifact(folder: str | Path, changes: Mapping[str, Any] | None = None, trust: str | Path | None = None) -> Artifact:
    """Read an artifact that ``recbole-esmr export`` wrote.

    Args:
        folder: that it lies in.
        changes: keys of the gate, the limits and the floors to serve by, instead of its own.
        trust: file of the public key that must have signed it; None takes any file.

    Raises:
        CheckpointError: there is none, it is damaged, of another version, or holds what no export writes.
        ConfigError: a changed key out of its range.
    """
    path = Path(folder) / MODEL_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder}: holds no {MODEL_FILE}. Give the folder that `recbole-esmr export` wrote.")
    blocks = read_blocks(path, trust)
    try:
        return _restored(of_blocks(blocks), _fingerprint(path), changes or {})
    except (CheckpointError, ConfigError) as error:
        raise type(error)(f"{path}: {error}") from error


def _restored(content: Any, fingerprint: str, changes: Mapping[str, Any]) -> Artifact:
    if isinstance(content, dict) and isinstance(content.get("schema"), int) and content["schema"] > SCHEMA:
        raise CheckpointError(f"is an artifact of schema {content['schema']}, and this reads {SCHEMA}. Upgrade recbole-esmr.")
    check_types(content, _Content, "artifact")
    taxonomy = load_taxonomy(content["taxonomy"])
    keys = {**content["keys"], **changes}
    settings = parse_flat(ServedSettings, keys, "artifact")
    items, retrieval = content["items"], LinearRetrieval(**content["retrieval"])
    for right, what in _conditions(items, retrieval, taxonomy, content["window"]):
        if not right:
            raise CheckpointError(f"{what}. Export it again.")
    columns = {name: v if isinstance(v, np.ndarray) else np.array(v, dtype=str) for name, v in items["columns"].items()}
    catalogue = Catalogue(
        share=items["share"], place=taxonomy.valence, intensity=items["intensity"], category=items["category"],
        categories=tuple(items["categories"]), duration=items["duration"], columns=columns, embeddings=items["embeddings"],
    )  # fmt: skip
    size = len(items["names"])
    stock = Stock(tuple(items["names"]), catalogue, items["counts"], items["dated"], np.arange(size) > 0, size)
    encoder = restored_encoder(content["encoder"]["shape"], content["encoder"]["weights"])
    if encoder.emotions != taxonomy.labels:
        raise CheckpointError("its encoder knows other emotions than its taxonomy. Export it again.")
    state, features = encoder.width + len(taxonomy) + 4 + EXTRA, item_features(catalogue).shape[1] + 1
    value = ItemValue(state, features, settings.reranker.hidden_size, settings.reranker.ensemble)
    check_weights(value.state_dict(), content["value"])
    value.load_state_dict(content["value"])
    learned = Learned.of_parameters(content["learned"], 1, EngagementFeatures.count(len(taxonomy), catalogue))
    rest = {name: content[name] for name in ("backbone", "window", "shared_calendar", "has_skips", "agreement")}
    return Artifact(fingerprint, settings, keys, taxonomy, stock, encoder, value.eval(), retrieval, learned, **rest)


def _conditions(items: _Items, retrieval: LinearRetrieval, taxonomy: Taxonomy, window: int) -> Iterator[tuple[bool, str]]:
    """What holds of everything that an export writes, and what is wrong where it does not."""
    size, emotions, factors = len(items["names"]), len(taxonomy), len(retrieval.offset)
    yield size > 1 and items["names"][0] == "" and len(set(items["names"])) == size, "items have no names of their own"
    shapes = {"share": (size, emotions), "intensity": (size,), "category": (size,), "duration": (size,), "counts": (3, size)}
    for name, shape in shapes.items():
        value = items[name]  # type: ignore[literal-required]
        yield value.shape == shape and np.isfinite(value).all(), f"{name} of the items is not of {size} items, or not finite"
    yield items["category"].dtype.kind == "i", "category is no whole number"
    yield bool((items["category"] < len(items["categories"])).all() and (items["category"] >= -1).all()), "category is none"
    yield bool((items["duration"] > 0).all()), "an item lasts no time"
    yield all(len(column) == size for column in items["columns"].values()), f"a column is not of {size} items"
    for table in items["embeddings"].values():
        yield table.ndim == 2 and len(table) == size and bool(np.isfinite(table).all()), "embeddings are not of the items"
    shapes = {"mean": (size,), "place": (size, factors), "offset": (factors,), "direction": (factors, size)}
    for name, shape in shapes.items():
        value = getattr(retrieval, name)
        yield value.shape == shape and bool(np.isfinite(value).all()), f"{name} of the retriever does not fit, or is not finite"
    yield 1 <= retrieval.longest <= 10_000, "the retriever reads no views"
    yield 1 <= window <= LONGEST_WINDOW and math.isfinite(window), "window is no number of days"


def served_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a config's keys that a service needs."""
    return {key: values[key] for key in flat_keys(ServedSettings)}


def _fingerprint(path: Path) -> str:
    """The first digits of the SHA-256 that the file's first line says of its content."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.readline(512)).hexdigest()[:16]
