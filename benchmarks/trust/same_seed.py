"""The same seed under several hash seeds and numbers of threads: is it the same JSON?

    python benchmarks/trust/same_seed.py --dataset=esmr-mini

Each command runs in a process of its own, in a folder of its own. A row says in how many numbers and words a result differs from
that of the first hash seed and the first number of threads, and by how much at most. Times and paths are left out; ``threads``
says by itself that it differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

OWN = {"timings", "checkpoint", "threads", "checkpoint_dir"}
"""Keys that are of one run: times, paths and how many threads there were."""

COMMANDS = {
    "run ESMR": ("run", "--model=ESMR", "--show_progress=False"),
    "run BPR": ("run", "--model=BPR", "--epochs=5", "--show_progress=False"),
    "causal": ("causal", "--show_progress=False"),
    "rollout": (
        *("rollout", "--world=reference", "--policy=engagement,ESMR,BPR,linucb", "--users=100", "--items=100"),
        *("--log_days=14", "--days=7", "--seeds=1", "--epochs=3", "--replicates=100"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="esmr-mini", help="name or folder (default: %(default)s)")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="(default: %(default)s)")
    parser.add_argument("--hash_seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(default: %(default)s)")
    options = parser.parse_args()
    print("| command | hash seed | threads | values | differing | largest relative difference |\n|---|---|---|---|---|---|")
    for name in options.commands.split(","):
        first: dict[str, object] | None = None
        for threads in options.threads:
            for seed in options.hash_seeds:
                found = dict(leaves(result(COMMANDS[name], options.dataset, seed, threads)))
                first = found if first is None else first
                other = [key for key in found.keys() | first.keys() if found.get(key) != first.get(key)]
                apart = max((difference(found.get(key), first.get(key)) for key in other), default=0.0)
                said = "identical" if not other else f"{apart:.1e}"
                print(f"| {name} | {seed} | {threads} | {len(found)} | {len(other)} | {said} |", flush=True)
                for key in sorted(other)[:5]:
                    print(f"    {key}: {first.get(key)} {found.get(key)}", file=sys.stderr)


def result(command: tuple[str, ...], dataset: str, seed: int, threads: int) -> dict:
    """What a command writes as JSON."""
    given = [] if command[0] == "rollout" else [f"--dataset={Path(dataset).resolve() if Path(dataset).is_dir() else dataset}"]
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "recbole_esmr.cli", *command, *given, "--output=result.json"]
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(line)}: {done.stderr}")
        return json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every number and word of a JSON value with its path, without what is of one run alone."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield path, value
        return
    for key, part in parts:
        if key not in OWN:
            yield from leaves(part, f"{path}/{key}")


def difference(one: object, other: object) -> float:
    """|a − b| relative to the larger; infinite where they are no two numbers."""
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (one, other))
    return abs(one - other) / max(abs(one), abs(other)) if numbers else float("inf")  # type: ignore[operator, arg-type, type-var]


if __name__ == "__main__":
    main()
