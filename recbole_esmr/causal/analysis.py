"""The causal stage as a whole: all effects that a panel can answer for, the graph, and what to be warned of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from tqdm import tqdm

from recbole_esmr.causal.discovery import discover
from recbole_esmr.causal.effects import STATES, Effect, Method, estimate_effects, weigh_parts
from recbole_esmr.causal.graph import DomainKnowledge
from recbole_esmr.causal.lagged import Worth, estimate_traits
from recbole_esmr.causal.panel import Panel
from recbole_esmr.causal.refutation import SIGNIFICANCE
from recbole_esmr.causal.traits import EXPOSURE
from recbole_esmr.errors import DataError, IdentificationError
from recbole_esmr.progress import Progress
from recbole_esmr.settings import setting

MOODS = ("valence", "negative")
"""Outcomes for which watching and mood may have a common cause that no log holds."""


@dataclass(frozen=True, kw_only=True)
class CausalSettings:
    """How effects are asked for."""

    level: float = setting("confidence level", low=0.5, high=0.999)
    placebos: int = setting("placebo treatments in the refutation", low=10, high=10_000)
    identification: str = setting("what stands for the exposure", choices=("slate", "back-door"))
    within_person: bool = setting("compare each person with themself only")
    features: list[str] = setting("what items are: columns of .item", key="effect_features")
    by_state: list[str] = setting("features whose effects may differ between good and bad days", key="effect_by_state")
    days: int = setting("days after a feed on which its effect is looked for", low=1, high=14, unit="days", key="effect_days")
    nowcast: bool = setting("use days without a report, as their behaviour tells them", key="effect_nowcast")
    graph: str | None = setting("yaml file of edges")
    graph_samples: int = setting("bootstrap samples of the discovered graph", low=0, high=10_000)


@dataclass(frozen=True)
class Analysis:
    """What ``effects.json`` holds.

    Attributes:
        effects: of each treatment on each outcome, in all user-days and by state; of single traits of items on valence.
        edges: discovered edges: cause, effect, stability, weight.
        assumed: the graph that identification rests on.
        warnings: what a reader must know before believing an effect.
        skipped: what could not be estimated: outcome, state, reason.
    """

    effects: list[Effect]
    edges: pd.DataFrame
    assumed: nx.DiGraph
    warnings: list[str] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        columns = ["cause", "effect", "stability", "weight"]
        return {
            "effects": [effect.as_dict() for effect in self.effects],
            "graph": {"edges": self.edges[columns].to_dict("records") if len(self.edges) else []},
            "warnings": self.warnings,
            "skipped": self.skipped,
        }

    def graph(self, least: float = 0.5) -> nx.DiGraph:
        """The discovered graph, edges in at least this share of the samples; the assumed one where nothing was discovered."""
        if self.edges.empty:
            return self.assumed
        graph = nx.DiGraph()
        for edge in self.edges.to_dict("records"):
            if edge["stability"] >= least:
                graph.add_edge(edge["cause"], edge["effect"], stability=round(float(edge["stability"]), 3))
        return graph


def analyse(
    panel: Panel, method: Method, graph_samples: int = 0, knowledge: DomainKnowledge | None = None, show_progress: bool = False,
    progress: Progress | None = None, worth: Worth = np.ones,
) -> Analysis:  # fmt: skip
    """Estimate, refute and weigh every effect of a panel.

    Args:
        panel: user-days.
        method: graph, level, refutations.
        graph_samples: bootstrap samples of the discovered graph; 0 discovers none.
        knowledge: edges that discovery must keep to; with ``edges`` in it nothing is discovered.
        show_progress: whether to show a bar.
        progress: where the answer to each question is kept.
        worth: of an effect of a trait on each of so many days after; all alike unless given.
    """
    progress = progress or Progress()
    effects: list[Effect] = []
    skipped: list[dict[str, str]] = []
    design = panel.design

    def answer(name: str, ask: Callable[[], list[Effect]]) -> list[Effect]:
        def told(_: Progress) -> list[dict[str, Any]]:
            return [effect.as_dict() for effect in ask()]

        return progress.step(name, told, lambda made: [Effect(**effect) for effect in made])

    questions = [(outcome, state) for outcome in design.outcomes for state in STATES]
    found: dict[tuple[str, str], list[Effect]] = {}
    for outcome, state in tqdm(questions, desc="3 Causal reward", unit="question", disable=not show_progress):
        try:
            found[outcome, state] = answer(f"{outcome}, {state}", partial(estimate_effects, panel, outcome, method, state))
        except IdentificationError as error:
            skipped.append({"outcome": outcome, "state": state, "reason": str(error)})
    for outcome in design.outcomes:
        whole = found.get((outcome, "all"), [])
        effects += whole
        for effect in whole:
            parts = [
                part for state in STATES[1:] for part in found.get((outcome, state), []) if part.treatment == effect.treatment
            ]
            effects += weigh_parts(parts, effect, method.reach)
    if design.traits and (design.outcomes[0], "all") in found:
        try:
            effects += answer("traits", partial(estimate_traits, panel, method, worth))
        except IdentificationError as error:
            skipped.append({"outcome": design.outcomes[0], "state": "all", "reason": f"single traits of items: {error}"})
    discovers = graph_samples > 0 and not (knowledge and knowledge.edges) and len(found) > 0
    edges = pd.DataFrame()
    if discovers:
        try:
            edges = discover(panel, graph_samples, method.seed, knowledge, show_progress)
        except DataError as error:
            skipped.append({"outcome": "graph", "state": "all", "reason": str(error)})
    return Analysis(effects, edges, method.graph, warnings_of(effects), skipped)


def warnings_of(effects: list[Effect]) -> list[str]:
    """Sentences for a reader: hidden causes that the numbers show, and hidden causes that the numbers could not bear."""
    said = []
    for effect in effects:
        if effect.state != "all" or effect.treatment.startswith(EXPOSURE):  # the signs speak for them
            continue
        what = f"{effect.treatment} → {effect.outcome}"
        if effect.outcome in MOODS and effect.backdoor.get("differs", 1.0) < SIGNIFICANCE:
            said.append(
                f"{what}: by what was watched the effect is {effect.backdoor['estimate']:+.4f}, by what was shown "
                f"{effect.estimate:+.4f} (p = {effect.backdoor['differs']:.3f}): something that is not logged drives both "
                "watching and mood. Believe neither the back-door estimate nor the naive one."
            )
        if effect.report_days.get("differs", 1.0) < SIGNIFICANCE:
            days = effect.report_days
            said.append(
                f"{what}: {days['reported']:+.4f} on days with a report of today's mood, {days['inferred']:+.4f} on days "
                f"on which it was inferred (p = {days['differs']:.3f}): inferring moods distorts one of them."
            )
        hidden = effect.refutations.get("unobserved_common_cause", {})
        if not hidden.get("passed", True) and (effect.low > 0 or effect.high < 0):
            said.append(
                f"{what}: a hidden cause as strong as {hidden['benchmark']} would explain the effect away (robustness value "
                f"{hidden['statistic']:.3f})."
            )
        elif effect.identified_by == "back-door" and (effect.low > 0 or effect.high < 0):
            said.append(
                f"{what}: what was shown is not logged, so this rests on the reports holding all that drives watching and mood; "
                f"a hidden cause that explains {hidden.get('statistic', float('nan')):.1%} of both would do away with it."
            )
    traits = [effect for effect in effects if effect.treatment.startswith(EXPOSURE)]
    if traits and not any(effect.weight for effect in traits):
        smallest = sorted(effect.detectable for effect in traits)
        said.append(
            "no effect of what items are on tomorrow's valence is proven. Not proven is not absent: with a chance of 80 % this "
            f"log shows an effect of +0.1 exposure of {smallest[0]:.3f} (of the trait that it tells most of) to "
            f"{smallest[-1]:.3f} (of the one that it tells least of). "
            "`recbole-esmr power` says what more people show."
        )
    return said
