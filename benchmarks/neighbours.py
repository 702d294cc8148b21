"""How much longer a run takes beside three others on the same cores, with threads that sleep while they wait, or spin.

    python benchmarks/neighbours.py
    python benchmarks/neighbours.py --dataset=kept/sim1000 --others=7

Four runs that share the cores fairly take four times as long as one that had them all.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

FEW = ["--epochs=3", "--encoder_epochs=5", "--ranker_rounds=50", "--reranker_epochs=3", "--show_progress=False", "--state=ERROR"]


def seconds_of(runs: int, dataset: str, spin: bool) -> list[float]:
    """Seconds of each of some runs that begin together."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "KMP_"))}
    if spin:
        environment |= {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}  # what OpenMP does unless told otherwise
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "recbole_esmr", "run", "--model=ESMR", f"--dataset={dataset}", *FEW]
        start = time.perf_counter()
        begun = [
            subprocess.Popen(
                [*line, f"--checkpoint_dir={folder}/{number}", f"--output={folder}/{number}.json"],
                env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for number in range(runs)
        ]  # fmt: skip
        took = []
        while begun:
            for one in [one for one in begun if one.poll() is not None]:
                if one.returncode:
                    raise SystemExit(f"a run ended with status {one.returncode}")
                took.append(time.perf_counter() - start)
                begun.remove(one)
            time.sleep(0.05)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="esmr-mini")
    parser.add_argument("--others", type=int, default=3)
    options = parser.parse_args()
    for spin in (False, True):
        alone, beside = (max(seconds_of(runs, options.dataset, spin)) for runs in (1, 1 + options.others))
        print(
            f"threads that {'spin' if spin else 'sleep'}: alone {alone:.1f} s, beside {options.others} others {beside:.1f} s, "
            f"{beside / alone:.1f} times as long"
        )


if __name__ == "__main__":
    main()
