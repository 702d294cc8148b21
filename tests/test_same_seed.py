"""The same seed is the same result: whatever the hash seed, and as far as rounding goes on another number of threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

OF_ONE_RUN = ("timings", "checkpoint", "threads")


def _result(folder: Path, command: str, hash_seed: int, threads: int, *keys: str) -> dict:
    """What a command writes as JSON, run in a process of its own."""
    folder.mkdir()
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "OMP_NUM_THREADS": str(threads)}
    line = [sys.executable, "-m", "recbole_esmr.cli", command, *keys, "--show_progress=False", "--output=result.json"]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["threads"] == threads
    return {key: value for key, value in result.items() if key not in OF_ONE_RUN}


def _leaves(value, where=""):
    """Each value within dicts and lists, with its place."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(part, f"{where}.{key}")
    else:
        yield where, value


def test_effects_do_not_depend_on_the_hash_seed(tmp_path, data_path):
    """DoWhy keeps names in sets, whose order is another in each process; refutations must not follow it."""
    keys = (f"--dataset={data_path / 'small'}", "--graph_samples=2", "--causal_placebos=10")
    one, other = (_result(tmp_path / str(seed), "causal", seed, 1, *keys) for seed in (0, 3))
    assert one == other
    assert any(effect["refutations"] for effect in one["effects"]), "there is something to compare"


@pytest.mark.slow
def test_another_number_of_threads_is_the_same_result(tmp_path):
    """All to the last digit, but for the effects and what is made of them, which differ where numpy's sums are rounded."""
    one, two = (_result(tmp_path / str(threads), "run", 0, threads, "--dataset=esmr-mini") for threads in (1, 2))
    of_effects = ("causal", "policy")
    exact = [{name: value for name, value in result.items() if name not in of_effects} for result in (one, two)]
    assert exact[0] == exact[1]
    for name in of_effects:
        mine, others = dict(_leaves(one[name])), dict(_leaves(two[name]))
        assert mine.keys() == others.keys()
        for where, value in mine.items():
            same = pytest.approx(value, rel=1e-6, abs=1e-9) if isinstance(value, float) else value
            assert others[where] == same, where
