"""The documents: every command in them is one that there is, their Python runs, the tutorial is walked, the site has no gap."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import _SubParsersAction
from pathlib import Path

import numpy as np
import pytest

from recbole_esmr.cli import main
from recbole_esmr.config import ESMRSettings
from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.parser import make_parser
from recbole_esmr.recbole_keys import known_keys
from recbole_esmr.settings import flat_keys
from tests.conftest import QUICK

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = next(action.choices for action in make_parser()._actions if isinstance(action, _SubParsersAction))


def _commands(page: Path) -> list[list[str]]:
    """The words of each command of ``recbole-esmr`` in a page: lines of their own, and those within a sentence."""
    text = re.sub(r" \\\n +", " ", page.read_text(encoding="utf-8"))
    lines = re.findall(r"^(?: {4}|\t)(?:\w+=\S+ )*recbole-esmr (.+)$", text, flags=re.MULTILINE)
    within = re.findall(r"`(?:\w+=\S+ )*recbole-esmr ([^`]+)`", text)
    return [shlex.split(command, comments=True) for command in (*lines, *within)]


def test_commands_are_found():
    found = _commands(ROOT / "docs" / "policy.md")
    strategies = next(words for words in found if "--world=strategies" in words)
    assert any(word.startswith("--policy=engagement,ESMR,linucb") for word in strategies), "a line that goes on is one command"
    assert sum(map(len, map(_commands, PAGES))) > 80


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_in_the_documents_is_one_that_there_is(page):
    """Command, options and keys; a key only where the command takes them."""
    keys = {*known_keys(), *flat_keys(ESMRSettings)}
    for name, *words in _commands(page):
        if name.startswith("-") or name == "checkpoint" or name.isupper():  # --version, the first line of a file, COMMAND
            continue
        assert name in COMMANDS, f"{page.name}: recbole-esmr {name}"
        options = {option for action in COMMANDS[name]._actions for option in action.option_strings} | {"--quiet"}
        for word in words:
            option = word.partition("=")[0]
            if option.startswith("--") and option not in options:
                assert COMMANDS[name].get_default("takes_keys") and option[2:] in keys, f"{page.name}: {name} {word}"


PYTHON = [
    (page, place, block)
    for page in PAGES
    for place, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL))
    if page.name != "README.md"  # that is examples/quickstart.py, which test_examples.py runs
]


@pytest.mark.parametrize(("page", "place", "block"), PYTHON, ids=[f"{page.stem}-{place}" for page, place, _ in PYTHON])
def test_the_python_of_the_documents_runs(page, place, block, trained, artifact, smaller, monkeypatch):
    """As it stands there, with a small model for ``saved/ESMR.pth`` and the values that a reader has at hand."""
    result, (_, _, dataset, *_) = trained
    Path("saved").mkdir()
    shutil.copy(result["checkpoint"], "saved/ESMR.pth")
    keys = [f"--{key}={value}" for key, value in QUICK.items() if key not in ("gate", "reward")]
    monkeypatch.setattr(sys, "argv", ["python", *keys])
    names = dataset.field2id_token
    users, items = names[dataset.uid_field][1:6], names[dataset.iid_field][1:]
    everybody, nothing = np.ones(5, dtype=bool), np.full(5, "", dtype=object)
    slates = np.tile(np.arange(4), (5, 1))
    morning = Observation(1, everybody, np.full(5, 4), np.ones(len(items), dtype=bool))
    evening = Feedback(1, everybody, slates, np.full((5, 4), 0.5), nothing, {})
    space = {"artifact": artifact, "users": users, "items": items, "observation": morning, "feedback": evening}
    given, checkpoints = set(space), set(Path("saved").iterdir())
    exec(compile(block, page.name, "exec"), space)
    made = {name: value for name, value in space.items() if name not in given and name != "__builtins__"}
    assert all(value is not None for value in made.values())
    if page.stem == "policy":
        assert made["slates"].shape == (5, 4) and (made["slates"] >= 0).all()
    elif page.stem == "encoder":
        assert made["seen"].tomorrow.shape[0] == len(names[dataset.uid_field])
    elif page.stem == "serving":
        assert len(made["slate"].items) == 5 and len(made["new"]) == 1 and made["slate"].items[0] in made["document"]
    elif page.stem == "worlds":
        assert made["hours"].shape == (1000,) and not made["terminated"].any()
    else:  # it trains
        assert set(Path("saved").iterdir()) > checkpoints


@pytest.mark.parametrize("page", ["README.md", "docs/serving.md"])
def test_a_feed_is_served_as_the_documents_say(page, trained, tmp_path, monkeypatch):
    """Export and serve as printed, on a free port; what curl sends is sent."""
    monkeypatch.chdir(tmp_path)
    Path("saved").mkdir()
    shutil.copy(trained[0]["checkpoint"], "saved/ESMR.pth")
    text = (ROOT / page).read_text(encoding="utf-8").partition("pip install 'recbole-esmr[serve]'")[2]
    lines = re.findall(r"^    recbole-esmr ((?:export|serve) .*)$", text, re.MULTILINE)
    export, serve = map(shlex.split, lines[:2])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert main(export) == 0
    process = subprocess.Popen([sys.executable, "-m", "recbole_esmr", *serve, f"--port={port}"], stderr=subprocess.PIPE)
    try:
        answers = []
        for url, body in re.findall(r"curl -s localhost:8000(\S+) .*?-d '(.*?)'", text, re.DOTALL):
            asked = urllib.request.Request(f"http://127.0.0.1:{port}{url}", body.encode(), {"Content-Type": "application/json"})
            for _ in range(400):
                try:
                    answers.append(json.loads(urllib.request.urlopen(asked).read()))
                    break
                except urllib.error.URLError:  # it is not there yet
                    assert process.poll() is None, process.stderr.read().decode()
                    time.sleep(0.1)
        assert answers[0] == {"new": 1, "known": 0, "profile": None} and len(answers[1]["items"]) == 3
    finally:
        process.terminate()
        assert process.wait(30) in (0, -15, 143)


def test_the_tutorial_is_walked(monkeypatch, capsys):
    """Every command of it, in order, on five CSV files; only the trainings are shorter."""
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    ((?:python|recbole-esmr) .+)$", text, flags=re.MULTILINE)
    assert len(lines) == 8
    keys = [f"--{key}={value}" for key, value in QUICK.items() if key not in ("gate", "reward")]
    for program, *words in map(shlex.split, lines):
        if program == "python":
            monkeypatch.setattr(sys, "argv", words)
            runpy.run_path(str(ROOT / words[0]))
            continue
        extra = {"run": keys, "compare": [*keys, "--seeds=1"], "causal": ["--graph_samples=0", "--causal_placebos=10"]}
        assert main([*words, *extra.get(words[0], [])]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "A run of ESMR would start." in text and "A run of ESMR would start." in said
    page = Path("report.html").read_text(encoding="utf-8")
    assert "Effects on tomorrow" in page and "ESMR on the test part of mine" in page and "Beside ESMR" in page
    assert "negative_exposure" in said and Path("results/comparison/comparison.md").exists()


def test_the_reference_has_every_key_and_every_command():
    """And is what `python tools/reference_pages.py` makes."""
    made = runpy.run_path(str(ROOT / "tools" / "reference_pages.py"))["pages"]()
    assert {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in made} == made
    keys, commands = made["reference/keys.md"], made["reference/commands.md"]
    assert all(f"| `{key}` |" in keys for key in flat_keys(ESMRSettings))
    assert "| `gate` | when the re-ranker acts | `forecast`, `streak`, `always`, `never` | `forecast` | nothing" in keys
    assert "float in [0, 1] | `0.97`" in keys and "### affect" in keys
    for name, parser in COMMANDS.items():
        assert f"## {name}\n" in commands
        assert all(action.option_strings[-1] in commands for action in parser._actions if action.option_strings and action.help)


@pytest.mark.skipif(importlib.util.find_spec("griffe") is None, reason="the site is built with the extra `docs`: make docs")
def test_equations_and_roles_of_docstrings_are_written_in_markdown():
    as_markdown = runpy.run_path(str(ROOT / "tools" / "docstrings.py"))["as_markdown"]
    said = as_markdown("Of :class:`~a.b.C` and ``x``:\n\n    .. math:: a +\n        b\n\nthen :math:`c_i`.")
    assert said == "Of `C` and `x`:\n\n    \\[\n    a +\n    b\n    \\]\n\nthen \\(c_i\\)."


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_link_between_the_documents_is_dead(page):
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in _anchors(file), f"{page.name}: {target}"


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
