"""What `import recbole_esmr` costs beside RecBole, as a ratio; fresh processes in turn, the fastest of each counts.

python benchmarks/import_time.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

IMPORTS = {
    "RecBole alone": "import recbole.quick_start",
    "with recbole-esmr": "import recbole_esmr, recbole.quick_start",
    "recbole-esmr's entry points": "from recbole_esmr import run_recbole",
    "recbole_esmr.errors": "import recbole_esmr.errors",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=5, help="processes of each (default: %(default)s)")
    options = parser.parse_args()
    fastest = dict.fromkeys(IMPORTS, float("inf"))
    for _ in range(options.tries):
        for name, code in IMPORTS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
            fastest[name] = min(fastest[name], time.perf_counter() - start)
    for name, seconds in fastest.items():
        print(f"{name:28s} {seconds:6.2f} s, {seconds / fastest['RecBole alone']:5.3f} times RecBole alone")


if __name__ == "__main__":
    main()
