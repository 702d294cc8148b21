"""Threads that leave the machine to others: as many as this process may use, and none that spins while it waits."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

QUOTA = "/sys/fs/cgroup/cpu.max"
"""Where Linux says what share of the cores a container may use."""


def considerate(environment: MutableMapping[str, str] = os.environ) -> None:
    """Tell OpenMP, before torch, LightGBM or numpy load it, how many threads to use and to sleep when they wait.

    OpenMP's threads wait by going round in a loop, so that two processes on the same cores slow each other tenfold. What the
    user has set stays.
    """
    environment.setdefault("OMP_NUM_THREADS", str(cores()))
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("KMP_BLOCKTIME", "0")


def cores(quota: str | Path = QUOTA) -> int:
    """How many cores this process may use, by its affinity and its container's quota; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit, period = Path(quota).read_text(encoding="ascii").split()
        allowed = min(allowed, int(limit) // int(period))
    except (OSError, ValueError):  # no container, or one without a quota ("max")
        pass
    return max(allowed, 1)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within the block torch computes on so many threads of the CPU."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
