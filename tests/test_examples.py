"""The README's ten lines run as they stand there, and the example config is a good one."""

from __future__ import annotations

import ast
import importlib.util
import re
import runpy
from pathlib import Path

import pytest

from recbole_esmr.config import Config

ROOT = Path(__file__).parents[1]


def test_the_readme_shows_the_quickstart_that_runs(monkeypatch, capsys):
    script = (ROOT / "examples" / "quickstart.py").read_text()
    lines = script.split("\n\n", 1)[1].strip()  # without the docstring
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    assert lines in [block.strip() for block in blocks]
    for key, value in {"epochs": "2", "encoder_epochs": "2", "reranker_epochs": "1", "show_progress": "False"}.items():
        monkeypatch.setattr("sys.argv", [*__import__("sys").argv, f"--{key}={value}"])
    space = runpy.run_path(str(ROOT / "examples" / "quickstart.py"))
    assert space["items"].shape == (2, 5) and set(space["result"]["test_result"]) >= {"recall@10", "negativeexposure@10"}
    assert "v" in capsys.readouterr().out.splitlines()[-1]


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
