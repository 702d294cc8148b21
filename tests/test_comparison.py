"""Models beside ESMR: one protocol, the same test interactions, refused before training, and no finished row lost."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from recbole_esmr import cells, recbole_models
from recbole_esmr.cli import main
from recbole_esmr.comparison import compare, configs_of
from recbole_esmr.config import Config
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.protocol import BY_TIME, SHARED, check_eval_args
from recbole_esmr.quick_start import prepare
from recbole_esmr.report.tables import csv_text
from tests.conftest import FEW

LAST = {("a", "z"), ("b", "y"), ("c", "v"), ("e", "w")}
MODELS = ("ESMR", "BPR", "SASRec", "Pop", "FM")


def _tested(config):
    dataset, *_, test = prepare(config)
    rows = test._dataset.inter_feat
    return set(zip(*(dataset.id2token(field, rows[field].numpy()) for field in ("user_id", "item_id")), strict=True))


@pytest.mark.parametrize("own_yaml", [False, True])
def test_all_models_are_tested_on_the_last_interaction_of_each_person(few, own_yaml):
    if own_yaml:
        (few / "few.yaml").write_text(
            "eval_args: {split: {LS: test_only}, order: TO, group_by: user, mode: full}\nrepeatable: True\n"
        )
    for name, config in configs_of(MODELS, str(few), config_dict=FEW, arguments=[]).items():
        assert _tested(config) == LAST, name


@pytest.mark.parametrize("split", [{"RS": [0.6, 0.2, 0.2]}, {"LS": "valid_only"}, {"TS": [0.6, 0.2, 0.2]}])
@pytest.mark.parametrize("group", ["user", "none"])
def test_histories_follow_the_split_of_the_interactions(few, split, group):
    """RecBole splits a sequential model's histories, one fewer than a person's interactions, and cuts at other places."""
    keys = {**FEW, "eval_args": {"split": split, "order": "TO", "group_by": group, "mode": "full"}}
    parts = {}
    for name, config in configs_of(("BPR", "SASRec", "ESMR"), str(few), config_dict=keys, arguments=[]).items():
        _, *loaders = prepare(config)
        parts[name] = [
            sorted(zip(*(part._dataset.inter_feat[f].tolist() for f in ("user_id", "timestamp")), strict=True))
            for part in loaders
        ]
    firsts = {min(row for part in parts["BPR"] for row in part if row[0] == user) for user in range(1, 6)}
    without_firsts = [[row for row in part if row not in firsts] for part in parts["BPR"]]
    assert parts["SASRec"] == parts["ESMR"] == without_firsts and sum(map(len, without_firsts)) == 23 - 5


def test_what_nobody_sets_is_by_time_for_every_model(few):
    configs = configs_of(MODELS, str(few), config_dict={"state": "ERROR", "topk": [3], "valid_metric": "NDCG@3"}, arguments=[])
    for config in configs.values():
        assert config["eval_args"]["split"] == BY_TIME["eval_args"]["split"] and config["eval_args"]["order"] == "TO"
        assert config["eval_args"]["mode"] == {"valid": "full", "test": "full"} and config["repeatable"] is True
        assert config["load_col"]["inter"] == ["user_id", "item_id", "timestamp"], "how long was watched is no feature"
        assert config["metrics"] == BY_TIME["metrics"] and config["MAX_ITEM_LIST_LENGTH"] == 20


def test_the_user_comes_before_the_protocol(few, tmp_path):
    (few / "few.yaml").write_text("metrics: [Recall]\nvalid_metric: Recall@3\nrepeatable: False\n")
    (tmp_path / "mine.yaml").write_text("MAX_ITEM_LIST_LENGTH: 7\ntopk: [3]\n")
    configs = configs_of(MODELS, str(few), ["mine.yaml"], {"state": "ERROR"}, ["--metric_decimal_place=2"])
    for config in configs.values():
        assert (config["metrics"], config["MAX_ITEM_LIST_LENGTH"], config["metric_decimal_place"], config["repeatable"]) == (
            *(["Recall"], 7),
            *(2, False),
        )


def test_without_emotions_no_emotion_is_judged(few):
    (few / "few.item").unlink()
    for config in configs_of(("BPR", "SASRec"), str(few), config_dict=FEW, arguments=[]).values():
        assert config["metrics"] == ["Recall", "NDCG"]


def test_the_protocol_is_returned_written_and_shown(few, capsys):
    command = ["compare", "--models=BPR,Pop,FM", f"--dataset={few}", "--output=out", "--topk=[3]", "--valid_metric=NDCG@3"]
    assert main([*command, "--epochs=1", "--state=ERROR", "--show_progress=False"]) == 0
    written = json.loads(Path("out/comparison.json").read_text())
    assert set(written["protocol"]) == set(SHARED) and written["models"] == ["BPR", "Pop", "FM"] and written["notes"] == []
    shown = capsys.readouterr().out
    assert shown.index("'LS': 'valid_and_test'") < shown.index("| BPR")
    table = pd.read_csv("out/comparison.csv")
    assert table["model"].tolist() == ["BPR", "Pop", "FM"] and table.drop(columns="model").notna().all(axis=None)


def test_finished_rows_are_kept_when_a_model_fails(few, capsys, monkeypatch):
    real, seen = cells.train_into, []

    def failing(config, checkpoint, people):
        if config["model"] == "Pop":
            seen.extend(path.name for path in Path().rglob("*") if path.name.startswith("BPR-2020"))
            assert not Path("out/comparison.csv").exists(), "an older table stays until the new one is whole"
            raise RuntimeError("=out of\nmemory")
        return real(config, checkpoint, people)

    monkeypatch.setattr(cells, "train_into", failing)
    command = ["compare", "--models=BPR,Pop,ItemKNN", f"--dataset={few}", "--output=out", "--topk=[3]", "--valid_metric=NDCG@3"]
    assert main([*command, "--epochs=1", "--state=ERROR", "--show_progress=False"]) == 2
    assert seen, "kept before the next model began"
    table = pd.read_csv("out/comparison.csv").set_index("model")
    assert table["ndcg@3"].notna().to_dict() == {"BPR": True, "ItemKNN": True, "Pop": False}
    assert table.loc["Pop", "failed"] == "RuntimeError: =out of memory"
    assert "Pop, seed 2020: RuntimeError: =out of memory" in capsys.readouterr().err


def test_an_older_comparison_stays_whole_until_the_new_one_is(few, monkeypatch):
    command = ["compare", f"--dataset={few}", "--output=out", "--topk=[3]", "--valid_metric=NDCG@3", "--epochs=1"]
    command += ["--state=ERROR", "--show_progress=False"]
    assert main([*command, "--models=BPR"]) == 0
    older = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    real = cells.train_into

    def stopped(config, checkpoint, people):
        if config["model"] == "Pop":
            raise KeyboardInterrupt
        return real(config, checkpoint, people)

    monkeypatch.setattr(cells, "train_into", stopped)
    assert main([*command, "--models=BPR,Pop"]) == 130
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == older
    monkeypatch.setattr(cells, "train_into", real)
    assert main([*command, "--models=BPR,Pop"]) == 0 and Path("out/comparison.csv").read_bytes() != older["comparison.csv"]


@pytest.mark.parametrize(
    ("models", "keys", "says"),
    [
        ("BPR,KGAT", "", "KGAT: needs dgl, whose last releases load with torch up to 2.4"),
        ("BPR,CKE", "", "CKE: reads a knowledge graph, and few.kg and few.link do not exist"),
        ("BPR,LightGBM", "", "LightGBM: needs the package xgboost"),
        ("BPR,SASRecF", "", "SASRecF: reads the column 'class' of few.item (selected_features), which is not there"),
        ("BPR,RaCT", "", "RaCT: is trained in stages"),
        ("BPR,SASRek", "", "unknown model 'SASRek'. Did you mean 'SASRec'?"),
        (" , ", "", "no model is named"),
        (
            "BPR,SASRec",
            "--eval_args={'split':{'RS':[8,1,1]},'order':'RO'}",
            "SASRec reads what came before, so it needs `order: TO`",
        ),
        ("BPR,FM", "--eval_args={'mode':'labeled'} --metrics=['AUC'] --valid_metric=AUC", "no column 'label'"),
        (
            "BPR,Pop",
            "--eval_args={'split':{'RS':[1.0,0,0]},'order':'TO'}",
            "leaves BPR no test part, so there is nothing to compare",
        ),
        ("BPR,SASRec", "--train_neg_sample_args={'distribution':'uniform','sample_num':1}", "SASRec: train_neg_sample_args"),
        ("BPR", "--topk=ten", "topk is 'ten'; expected whole numbers of at least 1"),
        ("BPR", "--topk=[0]", "topk is [0]; expected whole numbers of at least 1"),
        ("BPR", "--metrics=['AUC'] --valid_metric=AUC", "BPR: metrics ['AUC'] judge labels, and mode full ranks items"),
        ("BPR", "--metrics=['AUC','NDCG']", "Set metrics of one kind"),
        ("BPR", "--valid_metric=NDCG@x", "valid_metric is NDCG@x; expected one of metrics"),
        ("BPR,SASRec", "--loss_type=XX", "SASRec: loss_type is 'XX'; expected one of CE, BPR"),
        ("BPR,FPMC", "--loss_type=CE", "FPMC: loss_type is 'CE'; expected one of BPR"),
        ("BPR,Pop", "--topk=[3,9]", "has 5 items, and topk [3, 9] asks for lists of 9. Set topk: [3] and valid_metric: NDCG@3"),
    ],
)
def test_what_a_model_needs_is_asked_before_anything_is_trained(models, keys, says, few, capsys, monkeypatch):
    monkeypatch.setattr(cells, "train_into", lambda *_, **__: pytest.fail("something was trained"))
    monkeypatch.setattr(recbole_models, "find_spec", lambda _: None)  # as if none of the packages that models need were installed
    words = ["compare", f"--models={models}", f"--dataset={few}", "--state=ERROR", "--show_progress=False", "--output=out"]
    short = [] if "topk" in keys else ["--topk=[3]"]
    valid = [] if "valid_metric" in keys else ["--valid_metric=NDCG@3"]
    assert main([*words, *short, *valid, *keys.split()]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("recbole-esmr: ") and says in error[-1], error
    assert not [line for line in error if "Traceback" in line]


def test_sequential_and_other_models_are_asked_otherwise_where_people_have_several_tests(few):
    keys = {**FEW, "eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user", "mode": "full"}}
    found = compare(["Pop", "FPMC"], str(few), [1], config_dict=keys, arguments=[])
    assert len(found.notes) == 1 and "People have several test interactions" in found.notes[0]
    assert compare(["Pop"], str(few), [1], config_dict=keys, arguments=[]).notes == []


def test_a_context_aware_model_that_is_given_no_features_is_named(few):
    keys = {**FEW, "load_col": {"inter": ["user_id", "item_id", "timestamp"]}}
    found = compare(["FM"], str(few), [1], config_dict=keys, arguments=[])
    assert len(found.notes) == 1 and found.notes[0].startswith("FM would read features") and len(found.table) == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("full", "eval_args is 'full'"),
        ({"spilt": 1}, "unknown key 'spilt'. Did you mean 'split'?"),
        ({"order": "time"}, "order is 'time'; expected one of RO, TO"),
        ({"group_by": "item"}, "group_by is 'item'; expected one of user, none"),
        ({"split": "LS"}, "split is 'LS'"),
        ({"split": {"LS": "last"}}, "split LS is 'last'; expected one of valid_and_test, valid_only, test_only"),
        ({"split": {"RS": [0.8, 0.2]}}, "expected three shares"),
        ({"split": {"RS": [0, 0.5, 0.5]}}, "the first above 0"),
        ({"split": {"RS": [0.8, -0.1, 0.3]}}, "expected three shares"),
    ],
)
def test_eval_args_that_cannot_be_split_by_are_refused(given, says):
    with pytest.raises(ConfigError) as refused:
        check_eval_args(given)
    assert says in str(refused.value)


def test_cells_that_a_spreadsheet_would_run_are_escaped():
    frame = pd.DataFrame(
        {"model": ["=cmd|' /C calc'!A0", "+1", "-x", "@sum", "\tx", "\rx", "a=b", ""], "=n": [-1.5, 2, 3, 4, 5, 6, 7, 8]}
    )
    lines = csv_text(frame).split("\n")
    assert lines[0] == "model,'=n" and lines[1] == "'=cmd|' /C calc'!A0,-1.5", "numbers stay as they are"
    assert [line[:2] for line in lines[2:6]] == ["'+", "'-", "'@", "'\t"] and re.search('"?\'\rx"?,6.0', csv_text(frame))
    assert lines[-3:] == ["a=b,7.0", ",8.0", ""]


def test_data_without_a_test_are_no_comparison(few):
    with pytest.raises(DataError, match="no test part"):
        compare(
            ["BPR"], str(few), [1], config_dict={**FEW, "eval_args": {"split": {"LS": "valid_only"}, "order": "TO"}}, arguments=[]
        )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8"])
def test_a_header_is_read_as_the_rows_are(few, encoding):
    """UTF-16, and spaces around the names: the columns that a comparison loads are found all the same."""
    head, _, rows = (few / "few.inter").read_text().partition("\n")
    (few / "few.inter").write_bytes(("\t".join(f" {cell} " for cell in head.split("\t")) + "\n" + rows).encode(encoding))
    for name, config in configs_of(("BPR", "FM"), str(few), config_dict=FEW, arguments=[]).items():
        assert config["load_col"]["inter"] == ["user_id", "item_id", "timestamp"] and _tested(config) == LAST, name


def test_a_text_of_one_interaction_is_no_feature_of_an_item(few, caplog):
    """A context-aware model ranks items that nobody has chosen yet; what it is judged by labels on may read such a column."""
    lines = (few / "few.inter").read_text().splitlines()
    head, rows = (
        lines[0] + "\tplace:token\tlabel:float",
        [f"{row}\t{'home' if n % 2 else 'work'}\t1" for n, row in enumerate(lines[1:])],
    )
    (few / "few.inter").write_text("\n".join([head, *rows]) + "\n")
    (few / "few.yaml").write_text("load_col: {inter: [user_id, item_id, timestamp, label, place], item: '*'}\n")
    found = compare(["FM", "DeepFM", "BPR"], str(few), [1], config_dict=FEW, arguments=[])
    assert not found.failed and len(found.rows) == 3
    assert "few.inter: place belong to one interaction" in caplog.text
    judged = {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "labeled"}, "metrics": ["LogLoss"]}
    config = Config("FM", str(few), config_dict={**FEW, **judged, "valid_metric": "LogLoss"}, arguments=[])
    assert "place" in prepare(config)[1]._dataset.inter_feat


@pytest.fixture
def graph(few):
    """Each item of ``few`` but x has an entity, and all entities are tails of one triple."""

    def written(
        link="item_id:token\tentity_id:token", name=str, entity=str, settings="load_col: {inter: [user_id, item_id, timestamp]}\n"
    ):
        (few / "few.link").write_text("\n".join([link, *(f"{name(item)}\t{entity('e' + item)}" for item in "vwyz")]) + "\n")
        triples = [f"e{item}\tis\te{other}" for item, other in zip("vwxyz", "wxyzv", strict=True)]
        (few / "few.kg").write_text("\n".join(["head_id:token\trelation_id:token\ttail_id:token", *triples]) + "\n")
        (few / "few.yaml").write_text(settings)
        return str(few)

    return written


def test_a_knowledge_graph_is_no_other_protocol(graph, caplog):
    """The columns of a graph are the model's own; items without an entity are counted, for RecBole leaves them out."""
    found = compare(["CFKG", "BPR"], graph(), [1], config_dict=FEW, arguments=[])
    assert not found.failed and len(found.rows) == 2
    assert (
        "few.link: 1 of 5 items of .inter have no entity that few.kg knows, so CFKG reads 18 of 23 interactions." in caplog.text
    )


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (
            {"name": str.upper},
            "few.link, column 'item_id': 4 of 4 ids are spelled differently in .inter, for example 'V' here and 'v'",
        ),
        ({"entity": str.upper}, "few.link, column 'entity_id': 4 of 4 ids are spelled differently in .kg, for example 'EV' here"),
        (
            {"name": "other {}".format},
            "5 of 5 items of .inter have no entity that few.kg knows, so CFKG reads 0 of 23 interactions.",
        ),
        (
            {"link": "item_id:token\tentity:token"},
            "few.link, line 1: the column 'entity_id:token' is missing. Add it, or set ENTITY_",
        ),
        ({"settings": "load_col: {inter: '*', link: [item_id], kg: [head_id]}\n"}, ""),
    ],
)
def test_a_graph_of_other_ids_is_one_line(graph, keys, says):
    config = Config(
        "CFKG", graph(**keys), config_dict={**FEW, "eval_args": BY_TIME["eval_args"], "repeatable": True}, arguments=[]
    )
    if not says:
        assert prepare(config)[0].entity_num == 6
        return
    with pytest.raises(DataError) as refused:
        prepare(config)
    assert says in str(refused.value)


def test_parts_without_histories_are_not_for_sequential_models(few):
    for part in ("train", "valid", "test"):
        (few / f"few.{part}.inter").write_text((few / "few.inter").read_text())
    keys = {**FEW, "benchmark_filename": ["train", "valid", "test"], "eval_args": BY_TIME["eval_args"]}
    Config("BPR", str(few), config_dict=keys, arguments=[])
    with pytest.raises(ConfigError, match=r"SASRec: of the parts .* reads histories from a column 'item_id_list:token_seq'"):
        Config("SASRec", str(few), config_dict=keys, arguments=[]).check_trainable()
    with pytest.raises(ConfigError, match="rm_dup_inter: RecBole filters no parts of benchmark_filename"):
        Config("BPR", str(few), config_dict={**keys, "rm_dup_inter": "first"}, arguments=[])
