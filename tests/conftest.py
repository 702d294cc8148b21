"""Shared fixtures: a small simulated data set, and one trained ESMR on it."""

from __future__ import annotations

import logging
import re
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

import recbole_esmr  # noqa: F401  (teaches RecBole the plug-in)
from recbole_esmr.errors import ESMRError
from recbole_esmr.simulation import load_world, simulate

QUICK = {
    "epochs": 2,
    "encoder_epochs": 3,
    "encoder_hidden_size": 8,
    "encoder_heads": 2,
    "ranker_rounds": 20,
    "reranker_epochs": 2,
    "reranker_hidden_size": 8,
    "causal_placebos": 10,
    "gate": "streak",
    "reward": "emotion",  # on so few days no effect is proven, and with nothing proven the causal reward keeps the gate closed
    "candidates": 20,
    "show_progress": False,
    "state": "ERROR",
}
"""ESMR keys that train in seconds."""

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", derandomize=False, max_examples=300)
settings.load_profile("repeatable")  # the same examples in every run; `make test-search` looks for new ones

SHARED = Path(__file__).parents[2] / "shared"
"""Real data to check against; not part of the project, so the tests that need it are skipped without it."""


@pytest.fixture(autouse=True)
def _workplace(tmp_path, monkeypatch):
    """RecBole writes log/ and saved/ where it stands, reads sys.argv, and leaves its level in Python's root logger."""
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])


@pytest.fixture(autouse=True)
def _plain_numbers(monkeypatch):
    """No message shows a number as ``np.float64(50.0)``, whichever test brings it about (numpy 2 would)."""

    def checked(self, *said, **names):
        found = re.search(r"\bnp\.(float|u?int|str_|bool|array)", " ".join(map(str, said)))
        if found:
            pytest.fail(f"a message shows numpy's own way of writing: {said}")
        super(ESMRError, self).__init__(*said, **names)

    monkeypatch.setattr(ESMRError, "__init__", checked)


@pytest.fixture(scope="session")
def data_path(tmp_path_factory) -> Path:
    """A folder with the data set ``small``: 40 people, 60 videos, 14 days."""
    folder = tmp_path_factory.mktemp("data")
    simulate(load_world("reference"), users=40, items=60, days=14, seed=3, output=folder / "small", show_progress=False)
    return folder


@pytest.fixture
def smaller(data_path):
    """``small`` under the name of the data set that comes with the package: who stands here finds it before that one."""
    folder = Path("dataset", "esmr-mini")
    folder.mkdir(parents=True)
    for file in (data_path / "small").iterdir():
        shutil.copy(file, folder / file.name.replace("small.", "esmr-mini."))


@pytest.fixture
def mine(data_path, tmp_path):
    """A copy of the data set ``small``: a function that adds lines to its NAME.yaml and gives the folder it lies in."""
    folder = tmp_path / "data" / "small"
    shutil.copytree(data_path / "small", folder)
    usual = (folder / "small.yaml").read_text()

    def write(text=""):
        (folder / "small.yaml").write_text(usual + text)
        return folder.parent

    return write


@pytest.fixture
def quick(data_path) -> dict:
    """A config_dict for a quick run on ``small``."""
    return {**QUICK, "data_path": str(data_path)}


@pytest.fixture(scope="session")
def trained(data_path, tmp_path_factory):
    """result, and (config, model, dataset, train_data, valid_data, test_data) loaded from its checkpoint."""
    from recbole_esmr.quick_start import load_data_and_model, run_recbole

    folder = tmp_path_factory.mktemp("trained")
    values = {**QUICK, "data_path": str(data_path), "checkpoint_dir": str(folder), "gate_streak": 1}
    result = run_recbole("ESMR", "small", config_dict=values, arguments=[])
    return result, load_data_and_model(result["checkpoint"])


@pytest.fixture(scope="session")
def artifact(trained, tmp_path_factory):
    """The trained ESMR as an artifact, with effects that its log has not proven, so that it acts."""
    from recbole_esmr.serving.artifact import load_artifact, save_artifact
    from recbole_esmr.serving.export import exported
    from tests.feeds import model_of, proven

    folder = tmp_path_factory.mktemp("artifact") / "esmr-model"
    changes = {"reward": "causal", "gate": "forecast"}
    model = model_of(trained, causal=proven(), multiplier={"views": 1.0, "watch_time": 1000.0})
    save_artifact(exported(model, trained[1][2], trained[1][0]), folder)
    return load_artifact(folder, changes)


VIEWS = {"a": "vwxyz", "b": "wxy", "c": "zv", "d": "y", "e": "xwvzyxwvzyxw"}
"""What each person watched, in order: the last is the test of those who watched two or more."""

FEW = {"topk": [3], "valid_metric": "NDCG@3", "state": "ERROR", "show_progress": False, "epochs": 1}
"""Keys of a comparison on the data set ``few``."""


@pytest.fixture
def few(tmp_path):
    """A data set of few people, whose rows are in no order, and without a yaml of its own."""
    folder = tmp_path / "data" / "few"
    folder.mkdir(parents=True)
    rows = [
        f"{person}\t{item}\t{1_000_000_000 + 86_400 * day}\t{day + 1}\t0.5"
        for person, items in VIEWS.items()
        for day, item in enumerate(items)
    ]
    header = "user_id:token\titem_id:token\ttimestamp:float\tday:float\twatch_ratio:float"
    (folder / "few.inter").write_text("\n".join([header, *sorted(rows, key=lambda row: row[::-1])]) + "\n")
    (folder / "few.item").write_text("item_id:token\temotion:token\n" + "".join(f"{item}\thappy\n" for item in "vwxyz"))
    return folder
