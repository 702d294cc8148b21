"""How much memory there is, and a refusal before more than that is asked for."""

from __future__ import annotations

from pathlib import Path

import psutil  # RecBole needs it, too

from recbole_esmr.errors import ConfigError

GIB = 2**30

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""Where Linux says how much memory a container has."""


def free_memory() -> int:
    """Bytes that this process may still use: of the machine, of its control group, and under its own limit."""
    free = psutil.virtual_memory().available
    if CGROUP_LIMIT.is_file() and CGROUP_LIMIT.read_text().strip().isdigit():
        stat = dict(line.split() for line in (CGROUP_LIMIT.parent / "memory.stat").read_text().splitlines())
        used = int((CGROUP_LIMIT.parent / "memory.current").read_text()) - int(stat.get("inactive_file", 0))
        free = min(free, int(CGROUP_LIMIT.read_text()) - used)
    if hasattr(psutil, "RLIMIT_AS"):  # Linux
        process = psutil.Process()
        limit, _ = process.rlimit(psutil.RLIMIT_AS)
        if limit != psutil.RLIM_INFINITY:
            free = min(free, limit - process.memory_info().vms)
    return max(free, 0)


def require_free(needed: int, what: str, mend: str) -> None:
    """Refuse what needs more memory than is free.

    Args:
        needed: bytes at its peak.
        what: whose they are, for the message.
        mend: how to need less, as a sentence.

    Raises:
        ConfigError: how much is needed, and how much is free.
    """
    free = free_memory()
    if needed > free:
        raise ConfigError(f"{what} need about {needed / GIB:,.1f} GiB of memory, and {free / GIB:,.1f} GiB are free. {mend}")
