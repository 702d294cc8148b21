"""Whether the assumed graph lets an effect be told from association, and what to adjust for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

import networkx as nx
import pandas as pd

from recbole_esmr.causal.refutation import identified, quiet
from recbole_esmr.errors import IdentificationError


def back_door_set(graph: nx.DiGraph, treatment: str, outcome: str) -> tuple[str, ...]:
    """The observed columns to adjust for, by DoWhy (Pearl 2009, definition 3.3.1); the largest valid set.

    Args:
        graph: the assumed graph; nodes with ``observed="no"`` are causes that no column holds.
        treatment, outcome: names of its nodes.

    Raises:
        IdentificationError: a node is missing, or no set of observed columns closes all back doors.
    """
    observed = frozenset(name for name, value in graph.nodes(data="observed", default="yes") if value == "yes")
    return _back_door_set(frozenset(graph.nodes), observed, frozenset(graph.edges), treatment, outcome)


@lru_cache(maxsize=1024)  # the same is asked for every state and outcome, and DoWhy takes a tenth of a second
def _back_door_set(
    nodes: frozenset[str], observed: frozenset[str], edges: frozenset[tuple[str, str]], treatment: str, outcome: str
) -> tuple[str, ...]:
    from dowhy import CausalModel

    graph = nx.DiGraph()
    graph.add_nodes_from((name, {"observed": "yes" if name in observed else "no"}) for name in sorted(nodes))
    graph.add_edges_from(sorted(edges))
    for name in (treatment, outcome):
        if name not in graph:
            raise IdentificationError(f"the causal graph does not hold {name}. Add its edges to causal_graph.")
    # If any set closes the back doors, the observed ancestors do (van der Zander et al. 2014); DoWhy would try every subset.
    reach = (nx.ancestors(graph, treatment) | nx.ancestors(graph, outcome)) - nx.descendants(graph, treatment)
    without = graph.copy()
    without.remove_edges_from(list(graph.out_edges(treatment)))
    if not nx.is_d_separator(without, {treatment}, {outcome}, (reach & observed) - {treatment, outcome}):
        raise IdentificationError(
            f"the causal graph does not identify the effect of {treatment} on {outcome}: a cause that is not observed reaches "
            "both. Observe it, or log what was shown (.imp), so that the slate can stand for the exposure."
        )
    with quiet():
        model = CausalModel(pd.DataFrame(columns=sorted(observed), dtype=float), treatment, outcome, graph=graph)
        estimand = identified(model)
    if not estimand.estimands.get("backdoor"):
        raise IdentificationError(f"DoWhy finds no back-door set for the effect of {treatment} on {outcome} in the causal graph.")
    return tuple(sorted(estimand.get_backdoor_variables()))


def require_exclusion(
    graph: nx.DiGraph, causes: Sequence[str], treatments: Sequence[str], outcome: str, adjust: Collection[str]
) -> None:
    """Require that what was shown reaches the outcome through the treatments alone.

    Raises:
        IdentificationError: with the arrows from treatments to the outcome taken out, a cause and the outcome are still
            connected given
            what is adjusted for.
    """
    without = graph.copy()
    without.remove_edges_from([(treatment, outcome) for treatment in treatments])
    for cause in causes:
        if not nx.is_d_separator(without, {cause}, {outcome}, set(adjust) - {cause}):
            raise IdentificationError(
                f"in the causal graph {cause} reaches {outcome} otherwise than through {', '.join(treatments)}, so it cannot "
                "stand for them. Take that edge out, or set causal_identification: back-door."
            )
