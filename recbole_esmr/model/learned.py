"""What the stages of training leave beside the networks' weights, and how it is kept in a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from recbole_esmr.causal.responses import Responses
from recbole_esmr.errors import CheckpointError
from recbole_esmr.model.engagement_ranker import EngagementRanker

ENCODER, ENGAGEMENT, CAUSAL, RERANKER = STAGES = ("emotion encoder", "engagement", "causal reward", "re-ranker")


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
        diagnostics: Bellman error, calibration, off-policy estimates, as JSON can hold them.
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
        """LightGBM's text, tensors and JSON, for a checkpoint."""
        return {
            "rankers": [self.watch.to_text(), self.views.to_text()],
            "columns": self.watch.columns,
            "view_stack": list(self.stack),
            "policy": json.dumps({"multiplier": dict(self.multiplier), "diagnostics": self.diagnostics}),
            "causal": json.dumps(self.causal),
            "susceptibility": torch.from_numpy(self.responses.susceptibility),
            "elasticity": self.responses.elasticity,
            "stages": json.dumps({"done": self.done, "timings": dict(self.timings)}),
        }

    @classmethod
    def of_parameters(cls, kept: Mapping[str, Any]) -> Learned:
        """The inverse of :meth:`to_parameters`.

        Raises:
            CheckpointError: they are of an older version.
        """
        if "columns" not in kept:
            raise CheckpointError("the checkpoint is of a version before the ranking was rebuilt. Train the model again.")
        policy, stages = json.loads(kept["policy"]), json.loads(kept["stages"])
        return cls(
            watch=EngagementRanker.of_text(kept["rankers"][0], kept["columns"]),
            views=EngagementRanker.of_text(kept["rankers"][1], kept["columns"]),
            responses=Responses(kept["susceptibility"].cpu().numpy(), kept["elasticity"]),
            stack=tuple(kept["view_stack"]),
            causal=json.loads(kept["causal"]),
            multiplier=policy["multiplier"],
            diagnostics=policy["diagnostics"],
            done=tuple(stages["done"]),
            timings=stages["timings"],
        )
