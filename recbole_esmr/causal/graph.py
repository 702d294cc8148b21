"""The assumed causal graph: temporal tiers, an optional yaml file that changes it, and files of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import networkx as nx

from recbole_esmr.causal.panel import Design
from recbole_esmr.errors import ConfigError, nearest
from recbole_esmr.files import read_yaml
from recbole_esmr.folders import written_together

FELT_MOOD = "felt_mood"
"""What a person feels while reading the feed, beyond what they reported: it drives what they watch and how tomorrow feels."""

NEXT = "next_"
"""Beginning of the names of the next day's outcomes in a graph."""

_KEYS = ("edges", "forbidden", "required", "unobserved")


@dataclass(frozen=True)
class DomainKnowledge:
    """What a yaml file says of the graph.

    Attributes:
        edges: (cause, effect) pairs; if there are any, they are the graph, and nothing is discovered.
        forbidden, required: pairs taken out of or put into the tiers. Discovery leaves the first out, and holds the cause of the
            second for the earlier one.
        unobserved: names of causes that no column holds.
    """

    edges: tuple[tuple[str, str], ...] = ()
    forbidden: tuple[tuple[str, str], ...] = ()
    required: tuple[tuple[str, str], ...] = ()
    unobserved: tuple[str, ...] = ()


def tiers(design: Design) -> tuple[tuple[str, ...], ...]:
    """Names by time: before the feed, what was shown, what was watched, tomorrow."""
    return (
        design.confounders,
        tuple(design.instruments.values()),
        design.treatments,
        tuple(NEXT + outcome for outcome in design.outcomes),
    )


def domain_graph(design: Design, knowledge: DomainKnowledge | None = None) -> nx.DiGraph:
    """The graph that identification rests on.

    Everything earlier may cause everything later, but for one claim: what was *shown* moves tomorrow only through what was
    watched, and the platform chose it from what it had logged, not from the mood of the day (``felt_mood``, unobserved), which
    may drive what is watched and how tomorrow feels. Without a log of what was shown there is no such node, and the claim is the
    stronger one that the reports hold all of it.
    """
    knowledge = knowledge or DomainKnowledge()
    graph = nx.DiGraph()
    if knowledge.edges:
        graph.add_edges_from(knowledge.edges)
    else:
        before, shown, watched, tomorrow = tiers(design)
        graph.add_edges_from((cause, effect) for cause in before for effect in (*shown, *watched, *tomorrow))
        graph.add_edges_from((cause, effect) for cause in watched for effect in tomorrow)
        if shown:
            graph.add_edges_from((cause, effect) for cause in shown for effect in watched)
            graph.add_edges_from((FELT_MOOD, effect) for effect in (*watched, *tomorrow))
        graph.remove_edges_from(knowledge.forbidden)
        graph.add_edges_from(knowledge.required)
    for name in (FELT_MOOD, *knowledge.unobserved):
        if name in graph:
            graph.nodes[name]["observed"] = "no"
    if not nx.is_directed_acyclic_graph(graph):
        loop = " → ".join(cause for cause, _ in nx.find_cycle(graph))
        raise ConfigError(f"causal_graph: {loop} is a loop. A cause comes before its effect; take one of these edges out.")
    return graph


def read_knowledge(path: str | Path, design: Design) -> DomainKnowledge:
    """Read a yaml file with the keys ``edges``, ``forbidden``, ``required`` (lists of [cause, effect]) and ``unobserved``.

    Raises:
        ConfigError: an unknown key or name, an edge that runs back in time, or no pair where a pair is needed.
    """
    values = read_yaml(path)
    for key in values:
        if key not in _KEYS:
            raise ConfigError(f"{path}: unknown key '{key}'. {nearest(str(key), _KEYS)}")
        if not isinstance(values[key] or [], list):
            raise ConfigError(f"{path}: {key} is {values[key]!r}; expected a list.")
    if values.get("edges") and (values.get("required") or values.get("forbidden")):
        raise ConfigError(f"{path}: edges are the whole graph, so required and forbidden have nothing to change. Leave them out.")
    unobserved = tuple(str(name) for name in values.get("unobserved") or ())
    order = tiers(design)
    place = {name: number for number, names in enumerate(order) for name in names}
    known = {*place, *unobserved, FELT_MOOD}
    pairs: dict[str, tuple[tuple[str, str], ...]] = {}
    for key in _KEYS[:3]:
        found = []
        for pair in values.get(key) or ():
            if not isinstance(pair, list) or len(pair) != 2:
                raise ConfigError(f"{path}: {key} holds {pair!r}; expected [cause, effect].")
            cause, effect = map(str, pair)
            for name in (cause, effect):
                if name not in known:
                    raise ConfigError(f"{path}: {key} names '{name}'. {nearest(name, known)}")
            if cause.startswith(NEXT):
                raise ConfigError(f"{path}: {key}: {cause} is of tomorrow, the last there is, and causes nothing here.")
            if place.get(cause, -1) > place.get(effect, len(order)):
                raise ConfigError(f"{path}: {key}: {cause} → {effect} runs back in time. Turn it round.")
            found.append((cause, effect))
        pairs[key] = tuple(found)
    return DomainKnowledge(unobserved=unobserved, **pairs)


def save_graph(folder: str | Path, graph: nx.DiGraph) -> list[Path]:
    """Write a graph as GML and DOT, both at once; returns the paths. Edge attribute ``stability`` is kept."""
    names = ("graph.gml", "graph.dot")
    with written_together(folder) as new:
        nx.write_gml(graph, new / names[0])
        (new / names[1]).write_text("digraph {\n  rankdir=LR;\n" + "".join(_dot(graph)) + "}\n", encoding="utf-8")
    return [Path(folder) / name for name in names]


def _dot(graph: nx.DiGraph) -> Iterable[str]:
    for cause, effect, values in graph.edges(data=True):
        label = f' [label="{values["stability"]:.2f}"]' if "stability" in values else ""
        yield f'  "{cause}" -> "{effect}"{label};\n'
