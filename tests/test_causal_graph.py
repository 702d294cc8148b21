"""The graph: assumed, read from a file, discovered; and what it identifies."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from recbole_esmr.causal.discovery import adjacency, discover, prior_knowledge, refuse_identities
from recbole_esmr.causal.graph import DomainKnowledge, domain_graph, read_knowledge, save_graph
from recbole_esmr.causal.identification import back_door_set, require_exclusion
from recbole_esmr.causal.panel import Design, Panel
from recbole_esmr.errors import ConfigError, DataError, IdentificationError

DESIGN = Design(("x",), ("valence",), ("mood", "weekend"), {"x": "shown"})


def test_the_tiers_and_the_one_claim():
    graph = domain_graph(DESIGN)
    assert list(graph.successors("next_valence")) == []
    assert set(graph.predecessors("shown")) == {"mood", "weekend"}  # not the mood of the day
    assert set(graph.predecessors("x")) == {"mood", "weekend", "shown", "felt_mood"}
    assert "shown" not in graph.predecessors("next_valence")  # only through what was watched
    assert back_door_set(graph, "shown", "next_valence") == ("mood", "weekend")
    with pytest.raises(IdentificationError, match="effect of x on next_valence: a cause that is not observed"):
        back_door_set(graph, "x", "next_valence")


def test_without_a_log_of_what_was_shown_the_claim_is_the_stronger_one():
    design = Design(("x",), ("valence",), ("mood", "weekend"))
    graph = domain_graph(design)
    assert "felt_mood" not in graph and back_door_set(graph, "x", "next_valence") == ("mood", "weekend")


def test_a_collider_is_not_adjusted_for():
    graph = nx.DiGraph([("x", "y"), ("a", "x"), ("a", "y"), ("x", "collider"), ("y", "collider")])
    assert back_door_set(graph, "x", "y") == ("a",)
    with pytest.raises(IdentificationError, match="does not hold z"):
        back_door_set(graph, "z", "y")


def test_lingam_reads_row_as_effect_and_column_as_cause():
    rng = np.random.default_rng(0)
    cause = rng.uniform(-1, 1, 2000)
    effect = 0.8 * cause + rng.uniform(-1, 1, 2000)
    found = adjacency(np.column_stack([effect, cause]))
    assert abs(found[0, 1]) > 0.3 and found[1, 0] == 0


def _panel(n=3000, seed=0) -> Panel:
    rng = np.random.default_rng(seed)
    mood, weekend = rng.uniform(-1, 1, n), rng.integers(0, 2, n).astype(float)
    shown = rng.uniform(0, 1, n)
    x = 0.7 * shown - 0.3 * mood + rng.uniform(-0.3, 0.3, n)
    tomorrow = 0.5 * mood - 0.6 * x + rng.uniform(-0.5, 0.5, n)
    table = {"user": np.arange(n) // 20, "mood": mood, "weekend": weekend, "shown": shown, "x": x, "valence": tomorrow}
    return Panel(pd.DataFrame(table), DESIGN)


def test_discovery_finds_the_edges_that_are_there_and_none_back_in_time():
    edges = discover(_panel(), samples=6, seed=0)
    stability = {(edge.cause, edge.effect): edge.stability for edge in edges.itertuples()}
    for pair in (("shown", "x"), ("mood", "x"), ("mood", "next_valence"), ("x", "next_valence")):
        assert stability[pair] == 1.0
    sign = {(edge.cause, edge.effect): np.sign(edge.weight) for edge in edges.itertuples()}
    assert sign["x", "next_valence"] == -1 and sign["shown", "x"] == 1
    tier = {"mood": 0, "weekend": 0, "shown": 1, "x": 2, "next_valence": 3}
    assert all(tier[cause] < tier[effect] for cause, effect in stability)
    assert stability.get(("weekend", "next_valence"), 0) < 0.5 and stability.get(("shown", "next_valence"), 0) < 0.5
    pd.testing.assert_frame_equal(edges, discover(_panel(), samples=6, seed=0))


def test_discovery_keeps_to_what_is_forbidden():
    names = ("mood", "weekend", "shown", "x", "next_valence")
    knowledge = DomainKnowledge(forbidden=(("mood", "x"),))
    prior = prior_knowledge(_panel(), names, knowledge)
    assert prior[names.index("x"), names.index("mood")] == 0 and prior[names.index("mood"), names.index("next_valence")] == 0
    assert prior[names.index("next_valence"), names.index("mood")] == -1
    edges = discover(_panel(), samples=2, seed=0, knowledge=knowledge)
    assert ("mood", "x") not in set(zip(edges["cause"], edges["effect"], strict=True))


def test_arithmetic_identities_are_refused_by_name():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"today": rng.normal(size=200), "tomorrow": rng.normal(size=200), "other": rng.normal(size=200)})
    refuse_identities(table)
    with pytest.raises(DataError, match="today, tomorrow, change are tied by an arithmetic identity"):
        refuse_identities(table.assign(change=table["tomorrow"] - table["today"]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("edgs: []", "unknown key 'edgs'. Did you mean 'edges'?"),
        ("edges: [[mod, x]]", "edges names 'mod'. Did you mean 'mood'?"),
        ("edges: [mood]", "edges holds 'mood'; expected \\[cause, effect\\]"),
        ("required: [[next_valence, mood]]", "next_valence is of tomorrow"),
        ("required: [[x, mood]]", "x → mood runs back in time"),
        ("forbidden: [[x, mood]]", "x → mood runs back in time"),
        ("edges: 5", "edges is 5; expected a list"),
        ("unobserved: news", "unobserved is 'news'; expected a list"),
        ("edges: [[mood, x]]\nrequired: [[mood, x]]", "edges are the whole graph"),
    ],
)
def test_bad_graph_files(tmp_path, text, says):
    path = tmp_path / "graph.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_knowledge(path, DESIGN)


def test_a_graph_file_changes_what_is_identified(tmp_path):
    path = tmp_path / "graph.yaml"
    path.write_text("unobserved: [news]\nrequired: [[news, shown], [news, next_valence]]\n")
    graph = domain_graph(DESIGN, read_knowledge(path, DESIGN))
    with pytest.raises(IdentificationError, match="effect of shown on next_valence"):
        back_door_set(graph, "shown", "next_valence")
    path.write_text("forbidden: [[weekend, shown], [weekend, x]]\n")
    assert "weekend" not in domain_graph(DESIGN, read_knowledge(path, DESIGN)).predecessors("x")
    path.write_text("edges: [[mood, x], [x, next_valence], [mood, next_valence]]\n")
    assert back_door_set(domain_graph(DESIGN, read_knowledge(path, DESIGN)), "x", "next_valence") == ("mood",)


def test_a_slate_that_acts_by_itself_cannot_stand_for_the_exposure():
    graph = domain_graph(DESIGN, DomainKnowledge(required=(("shown", "next_valence"),)))
    require_exclusion(domain_graph(DESIGN), ["shown"], ["x"], "next_valence", {"mood", "weekend"})
    with pytest.raises(IdentificationError, match="shown reaches next_valence otherwise than through x"):
        require_exclusion(graph, ["shown"], ["x"], "next_valence", {"mood", "weekend"})


def test_no_graph_from_too_little():
    with pytest.raises(DataError, match="too few user-days"):
        discover(Panel(_panel().table.assign(valence=np.nan), DESIGN), samples=2, seed=0)


def test_a_loop_is_refused(tmp_path):
    path = tmp_path / "graph.yaml"
    path.write_text("required: [[mood, weekend], [weekend, mood]]\n")
    with pytest.raises(ConfigError, match="is a loop"):
        domain_graph(DESIGN, read_knowledge(path, DESIGN))


def test_saved_graphs_are_read_back(tmp_path):
    graph = nx.DiGraph()
    graph.add_edge("mood", "x", stability=0.75)
    gml, dot = save_graph(tmp_path, graph)
    assert nx.read_gml(gml).edges["mood", "x"]["stability"] == 0.75
    assert '"mood" -> "x" [label="0.75"];' in dot.read_text()
