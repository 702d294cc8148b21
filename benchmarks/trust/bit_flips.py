"""What becomes of a checkpoint with one flipped bit: refused, loaded, or something else?

    python benchmarks/trust/bit_flips.py --flips=200

It trains ESMR and BPR, flips one bit of each checkpoint at random, again and again, and loads it. Prints a row a model; ends with
status 1 where a flipped file was not refused with one line.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from recbole_esmr.checkpoint import load_checkpoint
from recbole_esmr.errors import CheckpointError
from recbole_esmr.quick_start import run_recbole


def flipped(whole: bytes, place: int) -> bytes:
    """The bytes with the bit ``place`` flipped."""
    byte, bit = divmod(place, 8)
    return whole[:byte] + bytes([whole[byte] ^ 1 << bit]) + whole[byte + 1 :]


def outcome(path: Path) -> str:
    """Whether the file is ``refused`` or ``loaded``, or the class of an error that says nothing to a user."""
    try:
        load_checkpoint(path)
    except CheckpointError as error:
        return "refused" if str(path) in str(error) else "refused without the file's name"
    except Exception as error:
        return type(error).__name__
    return "loaded"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=200, help="of each checkpoint (default: %(default)s)")
    parser.add_argument("--models", default="ESMR,BPR", help="names, separated by commas (default: %(default)s)")
    parser.add_argument("--dataset", default="esmr-mini", help="any data set (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the flips (default: %(default)s)")
    options = parser.parse_args()
    draw, right = random.Random(options.seed), True
    print("| model | bytes | flips | refused | loaded | other | ms a file |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        for model in options.models.split(","):
            keys = {"checkpoint_dir": place, "epochs": 2, "show_progress": False, "state": "ERROR"}
            whole = Path(run_recbole(model, options.dataset, config_dict=keys, arguments=[])["checkpoint"]).read_bytes()
            path, found, start = Path(place) / "flipped.pth", Counter[str](), time.perf_counter()
            for _ in range(options.flips):
                path.write_bytes(flipped(whole, draw.randrange(8 * len(whole))))
                found[outcome(path)] += 1
            spent = 1000 * (time.perf_counter() - start) / options.flips
            other = {name: count for name, count in found.items() if name not in ("refused", "loaded")} or 0
            row = (model, f"{len(whole):,}", options.flips, found["refused"], found["loaded"], other, f"{spent:.1f}")
            print(f"| {' | '.join(map(str, row))} |")
            right = right and found["refused"] == options.flips
    return 0 if right else 1


if __name__ == "__main__":
    raise SystemExit(main())
