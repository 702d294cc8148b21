"""Who may import whom, who may speak with RecBole, and what is not loaded at the start."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import recbole_esmr

ROOT = Path(recbole_esmr.__file__).parent
FOUNDATION = {
    *("errors", "values", "leftovers", "outputs", "writing", "folders", "files"),
    *("settings", "memory", "progress", "protocol", "feed", "neighbours"),
}
MAY = {
    "errors": set(),
    "stopping": set(),
    "neighbours": set(),
    "leftovers": set(),
    "values": {"errors"},
    "kinds": {"errors", "values"},
    "outputs": {"errors"},
    "writing": {"leftovers", "outputs"},
    "folders": {"errors", "leftovers", "outputs", "writing"},
    "files": {"errors", "values", "outputs", "writing", "folders"},
    "work": {"errors", "leftovers", "outputs", "writing"},
    "settings": {"errors"},
    "memory": {"errors"},
    "protocol": {"errors", "values"},
    "feed": set(),
    "progress": {"errors"},
    "engines": {"errors"},
    "compat": {"errors"},
    "plugin": {"files", "compat"},
    "checkpoint": {"errors", "outputs", "writing"},
    "records": {"leftovers", "outputs"},
    "recbole_keys": {"errors", "values", "files", "kinds", "protocol"},
    "recbole_models": {"errors", "data"},
    "emotion": FOUNDATION,
    "data": FOUNDATION | {"emotion"},
    "causal": FOUNDATION | {"emotion", "data"},
    "label": FOUNDATION | {"emotion", "data"},
    "rl": {"errors", "settings", "progress"},
    "ope": {"errors", "settings"},
    "config": FOUNDATION | {"emotion", "data", "causal", "rl", "model", "checkpoint", "plugin", "recbole_models", "recbole_keys"},
    "erasure": FOUNDATION | {"data", "checkpoint"},
    "model": FOUNDATION | {"emotion", "data", "config", "causal", "rl", "checkpoint"},
    "trainer": FOUNDATION | {"emotion", "data", "config", "causal", "rl", "ope", "model", "checkpoint", "records", "work"},
    "policy": FOUNDATION | {"emotion", "data", "causal", "model"},
    "serving": FOUNDATION | {"emotion", "data", "causal", "rl", "label", "checkpoint", "model", "policy"},
    "simulation": FOUNDATION | {"emotion"},
    "evaluator": FOUNDATION | {"emotion", "data", "config", "causal", "model", "trainer", "checkpoint", "simulation"},
    "report": FOUNDATION,
}
DOORS = {
    "config.py",
    "plugin.py",
    "protocol.py",
    "quick_start.py",
    "recbole_models.py",
    "recbole_keys.py",
    "data/recbole/cache.py",
    "records.py",
    "data/dataset.py",
    "data/recbole/filtering.py",
    "data/recbole/histories.py",
    "data/recbole/loading.py",
    "data/recbole/sequences.py",
    "evaluator/by_person.py",
    "evaluator/felt.py",
    "evaluator/full_sort.py",
    "evaluator/collector.py",
    "evaluator/metrics.py",
    "evaluator/popularity.py",
    "model/esmr.py",
    "model/scoring.py",
    "trainer/checkpointing.py",
    "trainer/retriever.py",
    "tuning.py",
}
"""The files that may import RecBole."""


def _imported(file: Path, package: str, types: bool = True) -> set[str]:
    """The modules of a package that a file imports, below the package's name; '' for the package itself.

    Args:
        types: whether what is imported for type checking alone counts.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if not types:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.ImportFrom) and node.level:
            names.add(f"{package}.a relative import")
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name[len(package) + 1 :] for name in names if name == package or name.startswith(package + ".")}


def _rooms(file: Path) -> set[str]:
    """The rooms that a file imports, however it does it."""
    known = {path.stem for path in ROOT.iterdir()}
    return {name.split(".")[0] for name in _imported(file, "recbole_esmr")} & known


def _files_of(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py")) or [ROOT / f"{room}.py"]


def test_every_way_to_import_is_seen(tmp_path):
    for line in (
        "from recbole_esmr import simulation",
        "import recbole_esmr.simulation.env",
        "from recbole_esmr.simulation import env",
    ):
        (tmp_path / "a.py").write_text(line + "\n")
        assert _rooms(tmp_path / "a.py") == {"simulation"}, line
    (tmp_path / "a.py").write_text("from . import env\n")
    assert _imported(tmp_path / "a.py", "recbole_esmr") == {"a relative import"}


@pytest.mark.parametrize("room", MAY)
def test_rooms_import_only_what_lies_to_their_left(room):
    for file in _files_of(room):
        assert _rooms(file) - MAY[room] - {room} == set(), file
        assert "a relative import" not in _imported(file, "recbole_esmr"), file


def test_every_room_is_in_the_table():
    at_the_right = {
        *("__init__", "__main__", "terminal", "check", "forget", "quick_start", "trained_models", "forecasting"),
        *("tuning", "cells", "comparison", "deployment", "closed_loop", "ceilings", "power", "explanation", "audit"),
        *("arguments", "parser", "actions", "cli", "trial_design", "trial_in_world"),
    }
    rooms = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - at_the_right == set(MAY)


def test_what_learns_or_serves_never_imports_the_world_that_judges_it():
    for room in ("model", "causal", "rl", "ope", "trainer", "data", "emotion", "policy"):
        for file in _files_of(room):
            assert "simulation" not in _rooms(file), file


def test_recbole_is_behind_named_doors():
    found = {file.relative_to(ROOT).as_posix() for file in ROOT.rglob("*.py") if _imported(file, "recbole", types=False)}
    assert found == DOORS


def _loaded(code: str) -> set[str]:
    """Top-level packages that a fresh process has loaded after the code."""
    code += "\nimport sys; print({name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return ast.literal_eval(done.stdout.strip().splitlines()[-1])


def test_what_needs_no_recbole_loads_none():
    loaded = _loaded("import recbole_esmr.errors, recbole_esmr.files, recbole_esmr.settings, recbole_esmr")
    assert loaded & {"recbole", "torch", "pandas", "scipy", "sklearn"} == set() and "recbole_esmr" in loaded


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="RecBole by itself needs ray")
def test_heavy_packages_load_where_they_are_used():
    loaded = _loaded("import recbole.quick_start, recbole.trainer")
    new = _loaded("import recbole.quick_start, recbole.trainer, recbole_esmr, recbole_esmr.quick_start") - loaded
    heavy = {"dowhy", "lightgbm", "matplotlib", "plotly", "seaborn", "statsmodels", "sklearn", "causallearn", "gymnasium"}
    assert new & heavy == set() and "recbole_esmr" in new


@pytest.mark.parametrize(
    "code",
    [
        "import recbole_esmr; from recbole.utils import get_model",
        "from recbole.utils import get_model; import recbole_esmr",
        "import recbole_esmr.trainer.esmr_trainer; from recbole.utils import get_model",
        "from recbole_esmr.config import Config; from recbole.utils import get_model",
        "from recbole_esmr import run_recbole; from recbole.utils import get_model",
    ],
)
def test_recbole_knows_esmr_whatever_is_imported_first(code):
    """And autograd's anomaly detection, which RecBole's SINE switches on, slows nobody's training down."""
    code += (
        "\nimport torch, recbole.config, recbole.data.dataset, recbole.trainer, recbole_esmr as ours"
        "\nassert get_model('ESMR') is ours.ESMR and issubclass(recbole.config.Config, ours.Config)"
        "\nassert recbole.data.dataset.ESMRDataset.__module__ == 'recbole_esmr.data.dataset'"
        "\nassert hasattr(recbole.trainer, 'ESMRTrainer') and not hasattr(recbole.trainer, 'ESMTrainer')"
        "\nassert not torch.is_anomaly_enabled()"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)


def test_registering_twice_is_harmless():
    from recbole.evaluator.register import smaller_metrics
    from recbole.utils.argument_list import dataset_arguments

    before = list(dataset_arguments)
    recbole_esmr.register()
    assert dataset_arguments == before and smaller_metrics.count("negativeexposure") == 1


def test_the_metrics_are_registered_as_they_declare_themselves():
    """The table of the plug-in repeats what the classes say, so that registering loads none of them."""
    from recbole_esmr.plugin import METRICS

    for title, file, needs, smaller in METRICS:
        metric = getattr(importlib.import_module(f"recbole_esmr.evaluator.{file}"), title)
        assert list(needs) == metric.metric_need and smaller == getattr(metric, "smaller", False), title
