"""Who may import whom, and what is not imported at the start."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import recbole_esmr

ROOT = Path(recbole_esmr.__file__).parent
FOUNDATION = {"errors", "files", "settings", "protocol", "feed"}
MAY = {
    "emotion": FOUNDATION,
    "data": FOUNDATION | {"emotion"},
    "causal": FOUNDATION | {"emotion", "data"},
    "model": FOUNDATION | {"emotion", "data", "config", "causal", "checkpoint"},
    "trainer": FOUNDATION | {"emotion", "data", "config", "causal", "model", "checkpoint"},
    "policy": FOUNDATION | {"emotion", "data", "causal", "model"},
    "simulation": FOUNDATION | {"emotion"},
    "evaluator": FOUNDATION | {"emotion", "data", "config", "causal", "model", "trainer", "checkpoint", "simulation"},
    "report": FOUNDATION,
}


def _imported_rooms(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("recbole_esmr.")}


@pytest.mark.parametrize("room", MAY)
def test_rooms_import_only_what_lies_to_their_left(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        assert _imported_rooms(file) - MAY[room] - {room} == set(), file


def test_what_learns_never_imports_the_world_that_judges_it():
    for room in ("model", "causal", "trainer", "data", "emotion", "policy"):
        for file in (ROOT / room).rglob("*.py"):
            assert "simulation" not in _imported_rooms(file), file


def test_heavy_packages_load_where_they_are_used():
    code = (
        "import recbole.quick_start, recbole.trainer, sys; before = set(sys.modules)\n"
        "import recbole_esmr; new = set(sys.modules) - before\n"
        "print({name.split('.')[0] for name in new})"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    new = ast.literal_eval(done.stdout.strip())
    heavy = {"dowhy", "lightgbm", "matplotlib", "plotly", "seaborn", "sklearn", "statsmodels", "causallearn", "gymnasium"}
    assert new & heavy == set()
    assert "recbole_esmr" in new


def test_importing_it_does_not_slow_training_down():
    """RecBole's SINE switches autograd's anomaly detection on when it is imported."""
    code = "import torch, recbole_esmr; print(torch.is_anomaly_enabled())"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_registering_twice_is_harmless():
    from recbole.evaluator.register import smaller_metrics
    from recbole.utils.argument_list import dataset_arguments

    before = list(dataset_arguments)
    recbole_esmr.register()
    assert dataset_arguments == before and smaller_metrics.count("negativeexposure") == 1
