"""Every model that RecBole and the plug-in have: trained, judged, saved in the safe format, loaded, judged the same."""

from __future__ import annotations

import importlib.util

import pytest
from recbole.quick_start import run_recbole as recboles_run
from recbole.utils import get_trainer, init_seed

from recbole_esmr.config import Config
from recbole_esmr.errors import ConfigError
from recbole_esmr.quick_start import load_data_and_model, prepare, run_recbole
from recbole_esmr.recbole_models import build_model, model_names
from tests.models.cases import NAME, keys_of, write

PACKAGES = {"NCL": "faiss", "KGIN": "torch_scatter", "MCCLK": "torch_scatter", "LightGBM": "xgboost", "XGBoost": "xgboost"}
REFUSED = {"KGAT": "needs dgl", "RaCT": "trained in stages", "S3Rec": "trained in stages"}
TREES = ("LightGBM", "XGBoost")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data")).parent


def _trainer(config, model):
    return get_trainer(config["MODEL_TYPE"], config["model"])(config, model)


def _judged(trainer, part, load_best_model):
    init_seed(3, True)  # Random, KTUP and KGIN draw while they are judged
    return trainer.evaluate(part, load_best_model=load_best_model)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in model_names() if name not in (*REFUSED, *TREES)])
def test_a_model_is_trained_judged_saved_and_loaded(folder, name):
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    config = Config(name, NAME, config_dict=keys_of(name, folder), arguments=[])
    _, train, valid, test = prepare(config)
    model = build_model(config, train._dataset).to(config["device"])
    trainer = _trainer(config, model)
    trainer.fit(train, valid, saved=True)
    first = _judged(trainer, test, load_best_model=True)
    loaded, again, _, _, _, part = load_data_and_model(trainer.saved_model_file)
    assert again is not model and 0 <= first["ndcg@10"] <= 1
    assert _judged(_trainer(loaded, again), part, load_best_model=False) == first


@pytest.mark.parametrize("name", TREES)
def test_decision_trees_are_judged_and_keep_their_own_files(folder, tmp_path, name):
    keys = keys_of(name, folder)
    if importlib.util.find_spec(PACKAGES[name]) is None:
        with pytest.raises(ConfigError, match=rf"{name}: needs the package xgboost"):
            Config(name, NAME, config_dict=keys, arguments=[])
        return
    result = run_recbole(name, NAME, config_dict=keys, arguments=[])
    assert 0 <= result["test_result"]["auc"] <= 1 and result["checkpoint"] is None
    assert list((tmp_path / "saved").glob(f"{name}-*-temp-best.pth"))
    assert not [path for path in (tmp_path / "saved").iterdir() if path.read_bytes()[:2] in (b"\x80\x02", b"PK")], "no pickle"


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_a_model_that_cannot_work_says_so_in_one_line(folder, name, reason):
    with pytest.raises(ConfigError, match=f"^{name}: .*{reason}.*Leave it out.$"):
        run_recbole(name, NAME, config_dict=keys_of(name, folder), arguments=[])


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("DSSM", {"numerical_features": []}), ("SASRecCPR", {"reranker_CAN_NUM": 100}), ("ConvNCF", {"embedding_size": 16})],
)
def test_over_what_a_model_stumbles_is_one_line(folder, name, wrong):
    """RecBole's DSSM counts numbers that it does not read, SASRecCPR takes 100 of 25 items, ConvNCF halves 16 six times."""
    with pytest.raises(ConfigError, match=rf"^{name}: RecBole.* on data set '{NAME}' \(RuntimeError: .*leave it out\.$"):
        run_recbole(name, NAME, config_dict={**keys_of(name, folder), **wrong}, arguments=[], saved=False)


def test_a_count_of_flops_that_fails_stops_no_training(folder):
    """RecBole copies SASRecCPR to count, which never ends; its own entry point trains it all the same."""
    result = recboles_run("SASRecCPR", NAME, config_dict={**keys_of("SASRecCPR", folder), "epochs": 1}, saved=False)
    assert 0 <= result["test_result"]["ndcg@10"] <= 1


def test_a_loss_that_only_one_model_has(folder):
    keys = {**keys_of("SINE", folder), "loss_type": "NLL", "train_neg_sample_args": None, "epochs": 1}
    assert run_recbole("SINE", NAME, config_dict=keys, arguments=[], saved=False)["test_result"]
    with pytest.raises(ConfigError, match="loss_type is 'NLL'; expected one of CE, BPR"):
        run_recbole("SASRec", NAME, config_dict=keys, arguments=[], saved=False)


def test_embeddings_of_the_last_epoch_are_not_tested_with_the_best_weights(folder):
    """KGIN and MCCLK keep theirs beside their weights and save none, so after a restore they are to be made anew."""
    config = Config("BPR", NAME, config_dict=keys_of("BPR", folder), arguments=[])
    _, train, valid, test = prepare(config)
    model = build_model(config, train._dataset)
    trainer = _trainer(config, model)
    trainer.fit(train, valid, saved=True)
    model.restore_user_e = model.user_embedding.weight + 1  # as KGIN has it after a validation
    trainer.evaluate(test, load_best_model=True)
    assert model.restore_user_e is None
