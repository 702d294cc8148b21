"""The README's ten lines run as they stand there, and the example config is a good one."""

from __future__ import annotations

import ast
import importlib.util
import re
import runpy
from pathlib import Path

import jupytext
import pytest

from recbole_esmr import closed_loop
from recbole_esmr.config import Config
from tests.conftest import QUICK

ROOT = Path(__file__).parents[1]


def test_the_readme_shows_the_quickstart_that_runs(smaller, monkeypatch, capsys):
    script = (ROOT / "examples" / "quickstart.py").read_text()
    lines = script.split("\n\n", 1)[1].strip()  # without the docstring
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    assert lines in [block.strip() for block in blocks]
    for key, value in {"epochs": "2", "encoder_epochs": "2", "reranker_epochs": "1", "show_progress": "False"}.items():
        monkeypatch.setattr("sys.argv", [*__import__("sys").argv, f"--{key}={value}"])
    space = runpy.run_path(str(ROOT / "examples" / "quickstart.py"))
    assert space["items"].shape == (2, 5) and set(space["result"]["test_result"]) >= {"recall@10", "negativeexposure@10"}
    assert "v" in capsys.readouterr().out.splitlines()[-1]


SCRIPTS = {
    "own_recbole_data": "'recall@10'",
    "backbone_sasrec": "recall@10: SASRec 0.",
    "own_world": "oracle {'gain': 1.0",
    "reading_the_causal_table": "negative content: -0.",
}
"""Each task's script, and what its output holds. The tutorial's test runs five_csv_files.py; label_with_nade.py needs nade."""


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_runs_as_it_stands(name, request, monkeypatch, capsys):
    """With shorter trainings where it reads keys of the command line, or makes a world's people."""
    keys = {key: value for key, value in QUICK.items() if key not in ("gate", "reward")}
    monkeypatch.setattr("sys.argv", [name, *(f"--{key}={value}" for key, value in keys.items())])
    if name == "backbone_sasrec":
        request.getfixturevalue("smaller")
    real = closed_loop.rollout
    words = [f"--{key}={value}" for key, value in keys.items()]
    monkeypatch.setattr(closed_loop, "rollout", lambda *given, **named: real(*given, **named, arguments=words, replicates=20))
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"))
    assert SCRIPTS[name] in capsys.readouterr().out


@pytest.mark.parametrize("name", ["own_world", "reading_the_causal_table"])
def test_a_notebook_is_its_script(name):
    """`jupytext --to ipynb examples/NAME.py` makes the same cells."""
    script, notebook = (jupytext.read(ROOT / "examples" / f"{name}.{kind}") for kind in ("py", "ipynb"))
    said = [[(cell["cell_type"], cell["source"]) for cell in one["cells"]] for one in (script, notebook)]
    assert said[0] == said[1] and len(said[0]) > 4
    assert not any(cell.get("outputs") for cell in notebook["cells"])


def test_the_example_config():
    config = Config(dataset="esmr-mini", config_file_list=[str(ROOT / "examples" / "esmr.yaml")])
    assert config.model == "ESMR" and config.esmr.retriever.retriever == "LightGCN"


def test_the_small_data_set_is_what_its_readme_says(tmp_path):
    """The command in datasets/esmr-mini/README.md makes the committed bytes."""
    from recbole_esmr.cli import main

    folder = ROOT / "datasets" / "esmr-mini"
    command = re.search(r"recbole-esmr (simulate .*)", (folder / "README.md").read_text()).group(1)
    words = [word if not word.startswith("--output") else f"--output={tmp_path / 'esmr-mini'}" for word in command.split()]
    assert main(words) == 0
    for path in (tmp_path / "esmr-mini").iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name
    assert sum(path.stat().st_size for path in folder.iterdir()) < 4_000_000


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_names_only_what_the_package_has(script):
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("recbole_esmr"):
            module = importlib.import_module(node.module)
            lacking = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert all(importlib.util.find_spec(f"{node.module}.{name}") for name in lacking), (node.module, lacking)
