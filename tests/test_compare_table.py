"""What a comparison shows: variants, several processes, tables for a paper, and what models do to people in a world."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recbole_esmr import cells
from recbole_esmr.cells import RESOURCES
from recbole_esmr.closed_loop import rollout
from recbole_esmr.comparison import InWorld, compare
from recbole_esmr.errors import ConfigError, ESMRError
from recbole_esmr.protocol import BY_TIME
from recbole_esmr.report.comparison import COSTS, comparison_text, latex, main_frame
from tests.conftest import FEW, QUICK


def test_costs_have_a_title_in_the_table():
    assert set(COSTS) == set(RESOURCES)


def _numbers(found):
    return found.table.drop(columns=list(RESOURCES)).to_dict("records")


def test_in_two_processes_the_numbers_are_the_same(few):
    keys = {"config_dict": FEW, "arguments": []}
    alone = compare(["BPR", "SASRec"], str(few), [1], **keys)
    both = compare(["BPR", "SASRec"], str(few), [1], processes=2, **keys)
    assert _numbers(alone) == _numbers(both) and alone.summary == both.summary
    assert (both.table["peak_mb"] > 100).all() and (both.table["train_seconds"] >= 0).all()


def test_a_variant_is_the_model_with_another_key(few):
    names = ["SASRec", "SASRec+n_layers=1", "BPR"]
    found = compare(names, str(few), [1], config_dict=FEW, arguments=["--n_layers=3"])
    assert [row["model"] for row in found.rows] == names, "what a name says comes before what is said for all"
    labels = {entry["model"] for entry in found.summary}
    assert labels == set(names) and not found.failed
    plain = {"dataset": str(few), "config_file_list": (), "config_dict": FEW, "given": {}, "folder": ".", "threads": 1}
    keys = ("--n_layers=3", "--seed=9")
    layers = {name: cells.Cell(cells.Variant.named(name), 7, arguments=keys, **plain).config() for name in names[:2]}
    assert {name: config["n_layers"] for name, config in layers.items()} == {"SASRec": 3, "SASRec+n_layers=1": 1}
    assert {config["seed"] for config in layers.values()} == {7}, "the seed is the comparison's"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ESMR+gate", "model 'ESMR+gate': 'gate' changes no key. Write it as in ESMR+gate=streak."),
        ("ESMR+gat=never", "gat"),
        ("BPR+seed=5", "seed is the same for all models of a comparison"),
        ("ESMR+gate=sometimes", "sometimes"),
        ("BPR+topk=[2]", "topk is [2] for BPR+topk=[2] and [3] for ESMR"),
    ],
)
def test_a_variant_that_cannot_be_is_refused_before_anything_is_trained(few, name, says, monkeypatch):
    monkeypatch.setattr(cells, "train_into", lambda *_: pytest.fail("something was trained"))
    with pytest.raises(ESMRError) as refused:
        compare(["ESMR", name], str(few), [1], config_dict={**FEW, "valid_metric": "NDCG"}, arguments=[])
    assert says in str(refused.value)


RESULT = {
    "dataset": "mine_1", "models": ["A_1", "B&B"], "seeds": [1, 2], "threads": 1, "smaller_is_better": ["negativeexposure@10"],
    "versions": {"recbole": "1.2.1", "torch": "2.13.0"}, "notes": [], "failed": [], "world": None,
    "protocol": {"eval_args": BY_TIME["eval_args"]},
    "rows": [{"model": name, "seed": 1, "train_seconds": 1.0, "test_seconds": 0.5, "peak_mb": 300} for name in ("A_1", "B&B")],
    "summary": [
        {
            "model": "A_1", "metric": "ndcg@10", "mean": 0.2, "sd": 0.01, "low": 0.18, "high": 0.22, "over": "seeds",
            "difference": None,
        },
        {
            "model": "B&B", "metric": "ndcg@10", "mean": 0.3, "sd": 0.01, "low": 0.28, "high": 0.32, "over": "seeds",
            "difference": {"mean": 0.1, "low": 0.05, "high": 0.15, "p": 0.0001, "q": 0.0002, "over": "seeds"},
        },
        {
            "model": "A_1", "metric": "negativeexposure@10", "mean": 0.1, "sd": float("nan"), "low": 0.1, "high": 0.1,
            "over": "seeds", "difference": None,
        },
        {
            "model": "B&B", "metric": "negativeexposure@10", "mean": 0.4, "sd": 0.02, "low": 0.3, "high": 0.5, "over": "seeds",
            "difference": {"mean": 0.3, "low": -0.1, "high": 0.7, "p": 0.2, "q": 0.2, "over": "seeds"},
        },
    ],
}  # fmt: skip


def test_the_best_is_bold_whichever_way_is_better_and_a_star_is_for_what_differs():
    frame = main_frame(RESULT, "**{}**".format).set_index("model")
    assert frame["ndcg@10"].tolist() == ["0.2000 ± 0.0100", "**0.3000 ± 0.0100***"]
    assert frame["negativeexposure@10"].tolist() == ["**0.1000**", "0.4000 ± 0.0200"]
    assert frame[["train s", "test s", "peak MB"]].to_numpy().tolist() == [["1.0", "0.5", "300"]] * 2


def test_latex_is_escaped_and_has_booktabs_rules():
    text = latex(RESULT)
    assert r"A\_1 & 0.2000 $\pm$ 0.0100 & \textbf{0.1000}" in text and r"B\&B & \textbf{0.3000 $\pm$ 0.0100}*" in text
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{mine\_1, split LS", r"\label{"))
    assert "_" not in text.replace(r"\_", "").replace("tab:comparison", "")


def test_the_caption_says_data_split_seeds_and_versions():
    text = comparison_text(RESULT)
    assert text.startswith("mine_1, split LS valid_and_test, ordered by time; seeds 1, 2: mean ± SD")
    assert "recbole 1.2.1, torch 2.13.0" in text and "| B&B     | ndcg@10" in text and "+0.1000 [+0.0500, +0.1500]" in text


def test_a_world_that_there_is_not_is_refused_before_anything_is_trained(few, monkeypatch):
    monkeypatch.setattr(cells, "train_into", lambda *_: pytest.fail("something was trained"))
    for models, world, says in ((["BPR"], "nowhere", "nowhere"), (["BPR+embedding_size=8"], "reference", "only ESMR takes")):
        with pytest.raises(ESMRError, match=says):
            compare(models, str(few), [1], config_dict=FEW, arguments=[], world=InWorld(world))


def test_a_world_that_fails_costs_no_table(few, monkeypatch):
    def failing(*_, **__):
        raise MemoryError("no more")

    monkeypatch.setattr(InWorld, "live", failing)
    found = compare(["Pop"], str(few), [1], config_dict=FEW, arguments=[], world=InWorld("reference"), output="out")
    assert found.world is None and found.failed[0]["model"] == "in the world reference"
    assert "Pop" in Path("out/comparison.md").read_text() and len(found.rows) == 1


@pytest.mark.parametrize(("keys", "says"), [({"processes": 0}, "processes is 0"), ({"seeds": []}, "no seed is named")])
def test_no_process_and_no_seed_are_refused(few, keys, says):
    with pytest.raises(ConfigError, match=says):
        compare(["Pop"], str(few), **{"seeds": [1], **keys}, config_dict=FEW, arguments=[])


def test_models_of_a_comparison_live_in_a_world(few):
    """The figures of the closed loop are those that `rollout` gives of the same."""
    small = InWorld("reference", users=30, items=60, days=2, log_days=10)
    keys = [f"--{key}={value}" for key, value in QUICK.items() if key not in ("show_progress", "state")]
    keys += ["--topk=[3]", "--valid_metric=NDCG@3"]
    found = compare(["Pop"], str(few), [1], config_dict=FEW, arguments=keys, world=small, output="out")
    alone, _ = rollout("reference", ["engagement", "Pop", "oracle"], 30, 60, 2, [1], 10, arguments=keys)
    assert json.dumps(found.world["policies"]["Pop"]) == json.dumps(alone["policies"]["Pop"])
    assert "In the world reference: 30 people live 10 days" in Path("out/comparison.md").read_text()
