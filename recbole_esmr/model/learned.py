"""What the stages of training leave beside the networks' weights, and how it is kept in a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

import numpy as np

from recbole_esmr.causal.effects import Effect
from recbole_esmr.causal.responses import Responses
from recbole_esmr.causal.susceptibility import LIMITS
from recbole_esmr.checkpoint.schema import check_types
from recbole_esmr.errors import CheckpointError
from recbole_esmr.model.engagement_ranker import EngagementRanker
from recbole_esmr.model.trees import Trees

ENCODER, ENGAGEMENT, CAUSAL, RERANKER, FINAL = STAGES = (
    "emotion encoder", "engagement", "causal reward", "re-ranker", "last fit",
)  # fmt: skip


@dataclass(frozen=True)
class Learned:
    """What has been learned so far; each stage makes a new one.

    Attributes:
        watch, views: LightGBM's expected watch ratio, and its chance to be watched next.
        stack: weights of LightGBM and the retriever in the chance of a view
            (:meth:`~recbole_esmr.model.ranking.Rankers.view_chance`).
        causal: what the causal stage found, as JSON can hold it.
        responses: how people respond.
        multiplier: of the engagement budget over the held-out days, by what is ranked by; None where nobody could act on them.
        diagnostics: Bellman error, calibration, off-policy estimates, figures of the engagement ranking, as JSON can hold them.
        done: the stages that are done; timings: their seconds.
    """

    watch: EngagementRanker
    views: EngagementRanker
    responses: Responses
    stack: tuple[float, float, float] = (0.0, 0.0, 1.0)
    causal: dict[str, Any] = field(default_factory=lambda: {"effects": [], "graph": {"edges": []}, "warnings": [], "skipped": []})
    multiplier: Mapping[str, float | None] = field(default_factory=lambda: {"views": None, "watch_time": None})
    diagnostics: dict[str, Any] = field(default_factory=dict)
    done: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def nothing(cls, users: int, columns: int | None) -> Learned:
        """Before training; ``columns`` of LightGBM's features may be used, all where None."""
        return cls(EngagementRanker(None, columns), EngagementRanker(None, columns), Responses(np.ones(users)))

    def finished(self, stage: str, seconds: float) -> Learned:
        """With a stage done."""
        done = tuple(name for name in STAGES if name in (*self.done, stage))
        return replace(self, done=done, timings={**self.timings, stage: round(seconds, 2)})

    def without(self, stage: str) -> Learned:
        """As if a stage had not been done."""
        return replace(self, done=tuple(name for name in self.done if name != stage))

    def to_parameters(self) -> dict[str, Any]:
        """Arrays, numbers and names, for a checkpoint."""
        rankers = {"watch": self.watch.trees, "views": self.views.trees}
        return {
            "trees": {name: trees.as_dict() for name, trees in rankers.items() if trees},
            "columns": self.watch.columns,
            "stack": self.stack,
            "susceptibility": self.responses.susceptibility,
            "elasticity": self.responses.elasticity,
            "mood_cost": self.responses.mood_cost,
            "causal": self.causal,
            "multiplier": dict(self.multiplier),
            "diagnostics": self.diagnostics,
            "done": self.done,
            "timings": dict(self.timings),
        }

    @classmethod
    def of_parameters(cls, kept: Any, users: int, features: int) -> Learned:
        """The inverse of :meth:`to_parameters`.

        Args:
            kept: what a file holds in their place.
            users: U of the data; features: columns of LightGBM's table.

        Raises:
            CheckpointError: a part of another type or size, or a value that no training leaves.
        """
        check_types(kept, _Kept, "other_parameter")
        for right, what in _conditions(kept, users):
            if not right:
                raise CheckpointError(f"other_parameter: {what}. Train again.")
        read = kept["columns"] or features
        trees = {name: Trees.of_dict(arrays) for name, arrays in kept["trees"].items()}
        for name, found in trees.items():
            if found.features != read:
                raise CheckpointError(
                    f"LightGBM's trees ({name}) read {found.features} columns and this data set has {read}. "
                    "Use the data set it was trained on, or train again."
                )
        return cls(
            watch=EngagementRanker(trees.get("watch"), kept["columns"]),
            views=EngagementRanker(trees.get("views"), kept["columns"]),
            responses=Responses(kept["susceptibility"], float(kept["elasticity"]), float(kept["mood_cost"])),
            stack=kept["stack"],
            **{name: kept[name] for name in ("causal", "multiplier", "diagnostics", "done", "timings")},
        )


class _Edge(TypedDict):
    cause: str
    effect: str
    stability: float
    weight: float


class _Graph(TypedDict):
    edges: list[_Edge]


class _Causal(TypedDict):
    effects: list[Effect]
    graph: _Graph
    warnings: list[str]
    skipped: list[dict[str, str]]


class _Kept(TypedDict):
    """What a checkpoint keeps of what was learned."""

    trees: dict[str, Any]
    columns: int | None
    stack: tuple[float, float, float]
    susceptibility: np.ndarray
    elasticity: float
    mood_cost: float
    causal: _Causal
    multiplier: dict[str, float | None]
    diagnostics: dict[str, Any]
    done: tuple[str, ...]
    timings: dict[str, float]


def _conditions(kept: Any, users: int) -> Iterator[tuple[bool, str]]:
    """What holds of everything that training leaves, and what is wrong where it does not."""
    yield kept["columns"] in (None, 1), "columns is neither 1 nor None"
    yield set(kept["trees"]) <= {"watch", "views"}, "trees are of neither watch nor views"
    yield all(map(math.isfinite, kept["stack"])), "stack is not finite"
    yield 0 <= kept["elasticity"] <= 1, "elasticity is not in [0, 1]"
    yield 0 <= kept["mood_cost"] <= 1, "mood_cost is not in [0, 1]"
    susceptibility = kept["susceptibility"]
    yield susceptibility.shape == (users,), f"susceptibility is of {len(susceptibility)} people, and the data set has {users}"
    yield susceptibility.dtype == np.float64, "susceptibility is not of float64"
    yield bool(((susceptibility >= 0) & (susceptibility <= LIMITS[1])).all()), f"susceptibility is not in [0, {LIMITS[1]}]"
    yield set(kept["multiplier"]) == {"views", "watch_time"}, "multiplier is not of views and watch_time"
    known = [value for value in kept["multiplier"].values() if value is not None]
    yield all(math.isfinite(value) and value >= 0 for value in known), "a multiplier is not finite, or below 0"
    for effect in kept["causal"]["effects"]:
        yield math.isfinite(effect["weight"]), "the weight of an effect is not finite"
        yield "estimate" in effect["backdoor"], "an effect has no back-door estimate"
        tried = effect["refutations"].values()
        yield all(isinstance(one.get("passed"), bool) for one in tried), "a refutation has no verdict"
    yield {*kept["done"], *kept["timings"]} <= set(STAGES), f"a stage is none of {', '.join(STAGES)}"
