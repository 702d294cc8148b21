"""Write the hashes of the constraints, as pip's own resolver finds them: ``make hashes``.

    python tools/hashes.py constraints.txt constraints-hashes.txt 3.10 3.11

Every line of the constraints is asked for on these Pythons on the platform this runs on, wheels alone. So
``pip install --no-deps --require-hashes -r constraints-hashes.txt`` installs the very files that were tested, or nothing.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def main() -> None:
    (source, target), pythons = map(Path, sys.argv[1:3]), sys.argv[3:]
    lines = [line for line in source.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    hashes: dict[str, set[str]] = defaultdict(set)
    for python in pythons:
        asked = {line: Requirement(line) for line in lines}
        asked = {
            line: one for line, one in asked.items() if one.marker is None or one.marker.evaluate({"python_version": python})
        }
        found = resolved([f"{one.name}{one.specifier}" for one in asked.values()], python)
        for line, one in asked.items():
            hashes[line].add(found[canonicalize_name(one.name)])
    head = (
        f"# Written by `make hashes` from {source.name}, for Python {' and '.join(pythons)} on {platform.system()} "
        f"{platform.machine()}; torch's CPU build.\n# pip install --no-deps --require-hashes -r {target.name}\n"
    )
    body = "".join(line + "".join(f" \\\n    --hash=sha256:{one}" for one in sorted(hashes[line])) + "\n" for line in lines)
    target.write_text(head + body, encoding="utf-8")


def resolved(requirements: list[str], python: str) -> dict[str, str]:
    """The SHA-256 of the wheel that pip would install, by package name."""
    with tempfile.TemporaryDirectory() as folder:
        asked, report = Path(folder) / "asked.txt", Path(folder) / "report.json"
        asked.write_text("\n".join(requirements), encoding="utf-8")
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"),
                *("--only-binary=:all:", f"--python-version={python}", f"--target={folder}", f"--report={report}"),
                *("--requirement", str(asked)),
            ],
            check=True,
        )
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {canonicalize_name(one["metadata"]["name"]): one["download_info"]["archive_info"]["hashes"]["sha256"] for one in found}


if __name__ == "__main__":
    main()
