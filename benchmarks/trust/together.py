"""Do runs that start together in one folder keep their results apart? Each must report what its seed reports alone.

    python benchmarks/trust/together.py --times=20

It starts four runs of BPR on esmr-mini at once, each with its own seed, all in one folder, and does so again and again. Ends with
status 1 where a result is not that of its seed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SEEDS = (1, 2, 3, 4)


def start(folder: Path, seed: int, model: str, dataset: str) -> subprocess.Popen:
    """Start a run whose result goes to ``SEED.json`` in the folder."""
    keys = [f"--model={model}", f"--dataset={dataset}", f"--seed={seed}", f"--output={seed}.json"]
    command = [sys.executable, "-m", "recbole_esmr.cli", "run", *keys, "--epochs=3", "--state=ERROR", "--show_progress=False"]
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def reported(folder: Path, runs: dict[int, subprocess.Popen]) -> dict[int, str]:
    """What each run reports once it has ended: its test result, or the last line that it said."""
    said = {}
    for seed, run in runs.items():
        _, error = run.communicate()
        if run.returncode:
            said[seed] = error.strip().splitlines()[-1]
        else:
            said[seed] = json.dumps(json.loads((folder / f"{seed}.json").read_text())["test_result"])
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="how often four runs start (default: %(default)s)")
    parser.add_argument("--model", default="BPR", help="any model (default: %(default)s)")
    parser.add_argument("--dataset", default="esmr-mini", help="any data set (default: %(default)s)")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        alone = Path(place) / "alone"
        alone.mkdir()
        expected = {seed: reported(alone, {seed: start(alone, seed, options.model, options.dataset)})[seed] for seed in SEEDS}
        for seed, result in expected.items():
            print(f"seed {seed} alone: {result}")
        for number in range(1, options.times + 1):
            folder = Path(place) / f"together-{number}"
            folder.mkdir()
            found = reported(folder, {seed: start(folder, seed, options.model, options.dataset) for seed in SEEDS})
            others = [f"seed {seed} reports {found[seed]}" for seed in SEEDS if found[seed] != expected[seed]]
            files = {kind: len(list(folder.glob(kind))) for kind in ("saved/*.pth", "log/*/*.log", "log_tensorboard/*")}
            wrong += len(others)
            print(f"{number:3d}: {len(SEEDS) - len(others)} of {len(SEEDS)} as alone; {files} {'; '.join(others)}", flush=True)
    print(f"{options.times} times {len(SEEDS)} runs at once: {wrong} with a result that is not that of their seed")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
