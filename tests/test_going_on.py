"""A comparison or rollout that was stopped goes on when the same command is given again, and says what one says that never was."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from recbole_esmr import closed_loop, comparison, deployment, quick_start
from recbole_esmr.comparison import compare
from recbole_esmr.closed_loop import rollout
from recbole_esmr.errors import ConfigError, ESMRError, UnknownNameError
from recbole_esmr.leftovers import locked
from recbole_esmr.work import Work
from tests.conftest import QUICK

SHORT = {"epochs": 2, "show_progress": False, "state": "ERROR"}
KEYS = [f"--{key}={value}" for key, value in {**QUICK, "epochs": 1, "encoder_epochs": 1, "encoder_hidden_size": 4}.items()]
WORLD = {"users": 40, "items": 60, "days": 4, "log_days": 8, "seeds": [1, 2], "replicates": 40, "show_progress": False}
POLICIES = ["pop", "BPR", "ESMR", "ESMR+reward=engagement"]


def _every(monkeypatch, module, name):
    """Lets a function work, notes its calls, and stops before the call that ``left`` counts down to."""
    real, calls = getattr(module, name), []

    def noted(*arguments, **keys):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        calls.append(arguments)
        return real(*arguments, **keys)

    left = [-1]
    monkeypatch.setattr(module, name, noted)
    return left, calls


def _table(found):
    return found.table.drop(columns="seconds").to_dict("records")


def test_a_comparison_goes_on_after_each_cell(data_path, monkeypatch):
    def run(output):
        keys = {**SHORT, "data_path": str(data_path)}
        return compare(["BPR", "Pop", "BERT4Rec"], "small", [1, 2], config_dict=keys, arguments=[], output=output)

    whole = run(None)
    left, calls = _every(monkeypatch, comparison, "train_into")
    for _ in range(6):
        left[0] = 1
        with pytest.raises(KeyboardInterrupt):
            run("out")
            pytest.fail("not stopped") if False else None
        if len(calls) == 6:
            break
    left[0] = -1
    found = run("out")
    assert len(calls) == 6, "each cell was trained once"
    assert _table(found) == _table(whole)
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(
        ["protocol.json", "comparison.csv", "comparison.md", "comparison.tex"]
    )
