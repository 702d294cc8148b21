"""What a model gets back from a checkpoint: all that was saved, and nothing of what does not fit it."""

from __future__ import annotations

import contextlib
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from recbole_esmr.causal.effects import Effect
from recbole_esmr.checkpoint import AtMost, Checkpoint, load_checkpoint, restore, restore_optimizer, save_checkpoint
from recbole_esmr.errors import CheckpointError, ConfigError, ESMRError
from recbole_esmr.model.engagement_ranker import EngagementFeatures
from recbole_esmr.model.learned import Learned
from recbole_esmr.quick_start import load_data_and_model, run_recbole


def test_esmr_saves_and_loads_the_same_scores(trained):
    result, (_, model, _, _, _, test_data) = trained
    _, again, *_ = load_data_and_model(result["checkpoint"])
    rows = test_data._dataset[torch.arange(len(test_data._dataset))]
    assert torch.equal(model.full_sort_predict(rows), again.full_sort_predict(rows))
    assert again.learned.causal == model.learned.causal and list(again.learned.done) == list(result["timings"])[3:]


def test_a_checkpoint_of_other_sizes_says_so(trained):
    result, _ = trained
    with pytest.raises(CheckpointError, match="size mismatch"):
        load_data_and_model(result["checkpoint"], {"encoder_hidden_size": 16})


def test_lines_may_stand_in_any_order(trained, data_path, tmp_path):
    """RecBole numbers ids by appearance; rows are put in the order of time before, so a shuffled file gives the same scores."""
    result, (_, model, *_, test_data) = trained
    shutil.copytree(data_path / "small", tmp_path / "small")
    for suffix in ("inter", "imp", "day", "user"):
        lines = (tmp_path / f"small/small.{suffix}").read_text().splitlines()
        (tmp_path / f"small/small.{suffix}").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    _, again, *_ = load_data_and_model(result["checkpoint"], {"data_path": str(tmp_path)})
    rows = test_data._dataset[torch.arange(len(test_data._dataset))]
    assert torch.allclose(model.full_sort_predict(rows), again.full_sort_predict(rows), atol=1e-5)


def _renamed(data_path, folder, names):
    shutil.copytree(data_path / "small", folder / "small")
    for suffix in ("inter", "imp", "day", "user"):
        path = folder / f"small/small.{suffix}"
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        path.write_text("\n".join("\t".join([names.get(row[0], row[0]), *row[1:]]) for row in rows) + "\n")


def test_who_comes_first_in_the_files_changes_nobodys_weights(trained, data_path, tmp_path):
    result, (_, _, known, *_) = trained
    _renamed(data_path, tmp_path, {"u1": "u2", "u2": "u1"})
    _, _, dataset, *_ = load_data_and_model(result["checkpoint"], {"data_path": str(tmp_path)})
    assert dataset.field2id_token["user_id"].tolist() == known.field2id_token["user_id"].tolist()
    assert dataset.inter_feat["user_id"].tolist() != known.inter_feat["user_id"].tolist()


def test_a_checkpoint_of_other_people_says_so(trained, data_path, tmp_path):
    result, _ = trained
    _renamed(data_path, tmp_path, {"u1": "somebody else"})
    with pytest.raises(CheckpointError, match="other users or items"):
        load_data_and_model(result["checkpoint"], {"data_path": str(tmp_path)})


# -- crafted content: the hash is right, and what is inside is not -----------------------------------------------------


@pytest.fixture(scope="module")
def bpr(data_path, tmp_path_factory):
    """A checkpoint of BPR on ``small``."""
    keys = {"data_path": str(data_path), "checkpoint_dir": str(tmp_path_factory.mktemp("bpr")), "epochs": 1, "state": "ERROR"}
    return run_recbole("BPR", "small", config_dict={**keys, "show_progress": False}, arguments=[])["checkpoint"]


def _config(**change):
    return lambda whole: {"config": {**whole.config, **change}}


def _weights(change):
    def changed(whole):
        weights = {name: value.clone() for name, value in whole.state_dict.items()}
        change(weights)
        return {"state_dict": weights}

    return changed


USERS = "user_embedding.weight"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_weights(lambda x: x.pop(USERS)), "it lacks user_embedding.weight"),
        (_weights(lambda x: x.update(forward=torch.ones(1))), "it has, and the model has not, forward"),
        (_weights(lambda x: x.update({USERS: x[USERS][1:]})), "size mismatch for user_embedding.weight: [40, 64]"),
        (_weights(lambda x: x.update({USERS: x[USERS].double()})), "[41, 64] of float64 in the file, [41, 64] of float32 here"),
        (_weights(lambda x: x.update({USERS: x[USERS].to_sparse()})), "size mismatch"),
        (_weights(lambda x: x[USERS].fill_(float("nan"))), "user_embedding.weight holds a number that is not finite"),
        (_weights(lambda x: x[USERS][3, 3].fill_(float("-inf"))), "a number that is not finite"),
        (lambda x: {"other_parameter": {"forward": 1}}, "BPR keeps nothing, and the file forward"),
        (lambda x: {"other_parameter": {"config": {}}}, "and the file config"),
        (lambda x: {"other_parameter": {"other_parameter_name": []}}, "and the file other_parameter_name"),
        (lambda x: {"ids": "0" * 64}, "its ids cannot be used"),
        (lambda x: {"ids": x.ids.replace('"user_id": "', '"user_id": "' + "0" * 16)}, "does not fit this model and data set"),
        (lambda x: {"model": "SASRec"}, "is of model SASRec, its config of 'BPR'"),
        (lambda x: {"model": "Nonsense", "config": {**x.config, "model": "Nonsense"}}, "unknown model 'Nonsense'"),
        (lambda x: {"model": "EmotionEncoder"}, "is of model EmotionEncoder"),
        (lambda x: {"config": {}}, "its config of None on data set None"),
        (_config(dataset=["small"]), "dataset is ['small']"),
        (_config(dataset="mars"), "unknown data set 'mars'"),
        (_config(embedding_size=10**9), "embedding_size is 1000000000; expected a whole number"),
        (_config(embedding_size=-1), "its config and this data set make no model"),
        (_config(embedding_size="x"), "its config and this data set make no model"),
        (_config(embedding_size=32), "size mismatch"),
        (_config(seed="x"), "its config"),
        (_config(topk=[None]), "its config"),
        (_config(metrics=[None]), "its config"),
        (_config(eval_args=3), "its config"),
        (_config(USER_ID_FIELD="who"), "the column 'who:token' is missing"),
    ],
)
def test_crafted_content_is_refused_naming_the_file(bpr, tmp_path, change, says):
    whole, path = load_checkpoint(bpr), tmp_path / "a.pth"
    save_checkpoint(path, replace(whole, **change(whole)))
    with pytest.raises(CheckpointError, match=r"a\.pth: ") as caught:
        load_data_and_model(path)
    assert says in str(caught.value)


def test_code_in_a_header_is_never_run(bpr, tmp_path):
    """RecBole evaluates texts among its values; a header's are plain values, wherever they stand."""
    whole, path, proof = load_checkpoint(bpr), tmp_path / "a.pth", tmp_path / "proof"
    code = f"__import__('pathlib').Path({str(proof)!r}).touch()"
    for key in ("learner", "metrics", "embedding_size", "dataset_save_path", "anything"):
        save_checkpoint(path, replace(whole, config={**whole.config, key: code}))
        with contextlib.suppress(ESMRError):
            load_data_and_model(path)
        assert not proof.exists(), key


def test_changed_keys_are_checked_as_everywhere(bpr):
    with pytest.raises(ConfigError, match=r"unknown config key 'embeding_size'\. Did you mean 'embedding_size'"):
        load_data_and_model(bpr, {"embeding_size": 3})
    with pytest.raises(ConfigError, match="learning_rate"):
        load_data_and_model(bpr, {"learning_rate": "fast"})


def test_a_refused_checkpoint_leaves_the_model_as_it_was(trained):
    result, (_, model, dataset, *_) = trained
    whole = load_checkpoint(result["checkpoint"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    learned, moved = model.learned, {name: value + 1 for name, value in before.items() if value.is_floating_point()}
    for bad in (
        {"other_parameter": {**whole.other_parameter, "elasticity": 7.0}},
        {"other_parameter": {**whole.other_parameter, "retriever": {"forward": 1}}},
        {"state_dict": {**whole.state_dict, "item_value.missing": torch.ones(1)}},
    ):
        with pytest.raises(CheckpointError):
            restore(model, replace(whole, **{"state_dict": {**whole.state_dict, **moved}, **bad}), "a.pth", dataset)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert model.learned is learned


EFFECT = Effect("t", "valence", "all", 0.1, 0.0, 0.2, 0.1, 9, backdoor={"estimate": 0.1}).as_dict()


def _causal(**change):
    return {"causal": {"effects": [], "graph": {"edges": []}, "warnings": [], "skipped": [], **change}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"forward": 1}, "other_parameter does not hold trees, columns, stack"),
        ({"columns": 2}, "columns is neither 1 nor None"),
        ({"columns": True}, "other_parameter.columns is a bool"),
        ({"stack": (0.0, 1.0)}, "other_parameter.stack has 2 values; expected 3"),
        ({"stack": [0.0, 1.0, 2.0]}, "other_parameter.stack is a list"),
        ({"stack": (0.0, 1.0, math.nan)}, "stack is not finite"),
        ({"susceptibility": np.ones(3)}, "susceptibility is of 3 people, and the data set has 41"),
        ({"susceptibility": np.ones((41, 1))}, "susceptibility is of 41 people"),
        ({"susceptibility": np.ones(41, dtype=np.float32)}, "susceptibility is not of float64"),
        ({"susceptibility": np.full(41, np.nan)}, "susceptibility is not in [0, 4.0]"),
        ({"susceptibility": np.full(41, -1.0)}, "susceptibility is not in [0, 4.0]"),
        ({"susceptibility": torch.ones(41)}, "susceptibility is a Tensor"),
        ({"elasticity": -1.0}, "elasticity is not in [0, 1]"),
        ({"elasticity": math.nan}, "elasticity is not in [0, 1]"),
        ({"elasticity": "0"}, "other_parameter.elasticity is a str"),
        ({"mood_cost": -1.0}, "mood_cost is not in [0, 1]"),
        ({"mood_cost": math.inf}, "mood_cost is not in [0, 1]"),
        ({"multiplier": {"views": 1.0}}, "multiplier is not of views and watch_time"),
        ({"multiplier": {"views": math.inf, "watch_time": None}}, "a multiplier is not finite"),
        ({"multiplier": {"views": -1.0, "watch_time": None}}, "or below 0"),
        ({"multiplier": {"views": "1", "watch_time": None}}, "other_parameter.multiplier.views is a str"),
        ({"done": ("engagement", "coffee")}, "a stage is none of emotion encoder"),
        ({"done": (3,)}, "other_parameter.done[0] is a int"),
        ({"timings": {"coffee": 1.0}}, "a stage is none of emotion encoder"),
        ({"diagnostics": []}, "other_parameter.diagnostics is a list"),
        ({"causal": {}}, "other_parameter.causal does not hold effects, graph, warnings, skipped"),
        (_causal(effects=[{}]), "other_parameter.causal.effects[0] does not hold treatment, outcome"),
        (_causal(effects=[{**EFFECT, "weight": "1"}]), "causal.effects[0].weight is a str"),
        (_causal(effects=[{**EFFECT, "weight": math.inf}]), "the weight of an effect is not finite"),
        (_causal(effects=[{**EFFECT, "backdoor": {}}]), "an effect has no back-door estimate"),
        (_causal(effects=[{**EFFECT, "refutations": {"a": {"passed": "yes"}}}]), "a refutation has no verdict"),
        (_causal(graph={"edges": [{"cause": "a"}]}), "causal.graph.edges[0] does not hold cause, effect"),
        (_causal(warnings=[3]), "causal.warnings[0] is a int"),
        ({"trees": {"third": {}}}, "trees are of neither watch nor views"),
        ({"trees": {"watch": 3}}, "LightGBM's trees does not hold features"),
    ],
)
def test_what_no_training_leaves_is_refused(trained, change, says):
    _, (_, model, *_) = trained
    kept = {**model.learned.to_parameters(), **change}
    with pytest.raises(CheckpointError) as caught:
        Learned.of_parameters(kept, 41, EngagementFeatures.count(len(model.taxonomy), model.catalogue))
    assert says in str(caught.value)


def test_trees_of_another_table_are_refused(trained):
    model = trained[1][1]
    with pytest.raises(CheckpointError, match="read 26 columns and this data set has 25"):
        Learned.of_parameters(model.learned.to_parameters(), 41, 25)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"max_cnt": torch.ones(3, dtype=torch.long)}, "max_cnt is not 1 finite rows"),
        ({"max_cnt": "7"}, "max_cnt is not 1 finite rows"),
        ({"item_cnt": torch.ones(61, 1)}, "size mismatch for item_cnt"),
        ({"item_cnt": np.ones((61, 1))}, "item_cnt is of another kind or size"),
    ],
)
def test_attributes_of_another_kind_are_refused(quick, tmp_path, change, says):
    keys = {key: quick[key] for key in ("data_path", "show_progress", "state")} | {"checkpoint_dir": str(tmp_path)}
    whole = load_checkpoint(run_recbole("Pop", "small", config_dict=keys, arguments=[])["checkpoint"])
    save_checkpoint("a.pth", replace(whole, other_parameter={**whole.other_parameter, **change}))
    with pytest.raises(CheckpointError, match=r"a\.pth: does not fit") as caught:
        load_data_and_model("a.pth")
    assert says in str(caught.value)


# -- the optimizer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "SGD", "Adagrad", "RMSprop", "SparseAdam"])
def test_optimizers_go_on_where_they_stopped(kind, tmp_path):
    def made():
        torch.manual_seed(0)
        table = torch.nn.Embedding(5, 2, sparse=kind == "SparseAdam")
        return table, getattr(torch.optim, kind)(table.parameters(), lr=0.1)

    def step(table, optimizer):
        optimizer.zero_grad()
        table(torch.tensor([1, 2])).square().sum().backward()
        optimizer.step()

    table, optimizer = made()
    step(table, optimizer)
    whole = Checkpoint("m", {}, None, table.state_dict(), {}, optimizer.state_dict(), {})
    save_checkpoint(tmp_path / "a.pth", whole)
    step(table, optimizer)
    again, other = made()
    back = load_checkpoint(tmp_path / "a.pth")
    again.load_state_dict(back.state_dict)
    restore_optimizer(other, back, "a.pth")
    step(again, other)
    assert torch.equal(again.weight, table.weight)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: x.clear(), "optimizer does not hold state, param_groups"),
        (lambda x: x["param_groups"].clear(), "other settings or parameters"),
        (lambda x: x["param_groups"][0].update(lr="fast"), "other settings or parameters"),
        (lambda x: x["param_groups"][0].update(lr=math.nan), "other settings or parameters"),
        (lambda x: x["param_groups"][0].update(eps=None), "other settings or parameters"),
        (lambda x: x["param_groups"][0].update(params=[0, 1]), "other settings or parameters"),
        (lambda x: x["state"].update({5: x["state"][0]}), "the state of parameter 5"),
        (lambda x: x["state"].update({"0": x["state"][0]}), "a key of optimizer.state is a str"),
        (lambda x: x["state"][0].pop("exp_avg"), "the state of parameter 0 is not exp_avg, exp_avg_sq, step"),
        (lambda x: x["state"][0].update(exp_avg=torch.ones(3)), "exp_avg of parameter 0 has shape [3]"),
        (lambda x: x["state"][0].update(exp_avg="x"), "optimizer.state.0.exp_avg is a str"),
        (lambda x: x["state"][0]["exp_avg_sq"].fill_(math.inf), "exp_avg_sq of parameter 0 is not finite"),
    ],
)
def test_states_of_other_optimizers_are_refused(change, says):
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight])
    weight.grad = torch.ones(2)
    optimizer.step()
    state = optimizer.state_dict()
    state["state"] = {0: dict(state["state"][0])}
    change(state)
    with pytest.raises(CheckpointError, match=r"a\.pth: ") as caught:
        restore_optimizer(optimizer, Checkpoint("m", {}, None, {}, {}, state, {}), "a.pth")
    assert says in str(caught.value)


# -- RecBole's own models ----------------------------------------------------------------------------------------------


def test_recboles_tree_models_keep_their_own_trainers():
    from recbole.trainer import trainer as recbole_trainer

    from recbole_esmr.trainer.checkpointing import get_trainer

    assert issubclass(get_trainer(None, "LightGBM"), recbole_trainer.LightGBMTrainer)


@pytest.mark.parametrize("model", ["Pop", "ItemKNN", "EASE", "LightGCN", "DMF", "SASRec", "DIN"])
def test_recboles_own_models_load_from_the_safe_format(model, quick):
    keys = {key: quick[key] for key in ("data_path", "show_progress", "state")} | {"epochs": 1}
    result = run_recbole(model, "small", config_dict=keys, arguments=[])
    config, loaded, _, _, _, test_data = load_data_and_model(result["checkpoint"])
    from recbole.utils import get_trainer

    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, loaded)
    assert trainer.evaluate(test_data, load_best_model=False) == result["test_result"]


def test_the_budgets_multiplier_is_found_anew_when_a_floor_changes(trained):
    """Served alone, a person gets the multiplier of the keys they are served by, not of those the model was trained with."""
    from recbole_esmr.trainer.off_policy import find_multipliers

    path = trained[0]["checkpoint"]
    loose, strict, same = (
        load_data_and_model(path, {"gate": "forecast", "min_engagement": floor})[1] for floor in (0.9, 0.99, 0.97)
    )
    found = [model.learned.multiplier["watch_time"] for model in (loose, same, strict)]
    assert found[0] > found[1] > found[2] > 0
    by_hand = find_multipliers(strict.log, strict.beliefs(), strict.rankers, strict.settings.serving)[0]
    assert strict.learned.multiplier == by_hand
    assert load_data_and_model(path)[1].learned.multiplier == trained[1][1].learned.multiplier, "nothing changed: as trained"


def test_a_model_far_larger_than_its_weights_is_refused_before_it_is_made():
    with pytest.raises(CheckpointError, match="far larger model than its weights"), AtMost({"weight": torch.ones(2)}):
        torch.nn.Embedding(10**6, 10**6)
    with AtMost({"weight": torch.ones(2)}):
        assert torch.nn.Embedding(10, 10).weight.shape == (10, 10)
