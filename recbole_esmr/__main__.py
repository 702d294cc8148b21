"""The command ``recbole-esmr``, also ``python -m recbole_esmr``."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress

from recbole_esmr.neighbours import considerate


def main() -> int:
    """Run the command of ``sys.argv``; returns its exit status."""
    considerate()  # before anything that computes is imported
    from recbole_esmr import cli

    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a closed one is None
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a name that the terminal cannot show
    status = cli.main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done, and Python takes a moment to end
    return status


if __name__ == "__main__":
    sys.exit(main())
