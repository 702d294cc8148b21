"""``pip check``, which may miss one thing: the ray that RecBole asks for, where Python is past 3.11 and ray has no wheel."""

from __future__ import annotations

import subprocess
import sys

KNOWN = "recbole 1.2.1 requires ray, which is not installed."


def main() -> int:
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    wrong = [line for line in done.stdout.splitlines() if line and not line.startswith("No broken requirements")]
    unknown = [line for line in wrong if line != KNOWN or sys.version_info < (3, 12)]
    print("\n".join(unknown or ["pip check: nothing is broken" + " (RecBole's ray aside, which nothing needs)" * bool(wrong)]))
    return int(bool(unknown) or (done.returncode != 0 and not wrong))


if __name__ == "__main__":
    sys.exit(main())
