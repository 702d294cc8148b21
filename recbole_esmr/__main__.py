"""The command ``recbole-esmr``, also ``python -m recbole_esmr``: watched before anything is imported that takes time."""

from __future__ import annotations

import signal
import sys

from recbole_esmr.stopping import Watch


def main() -> int:
    """Run the command of ``sys.argv``; returns its exit status."""
    with Watch(sys.argv[1:]):
        from recbole_esmr import cli

        status = cli.main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done, and Python takes a moment to end
    return status


if __name__ == "__main__":
    sys.exit(main())
