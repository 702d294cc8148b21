"""Threads that leave the machine to others."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from recbole_esmr.neighbours import considerate, cores

ALLOWED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", ALLOWED),
        ("100000 100000", 1),
        ("50000 100000", 1),  # half a core is one thread
        ("90000000 100000", ALLOWED),
        ("nonsense", ALLOWED),
        ("", ALLOWED),
    ],
)
def test_cores_are_those_of_the_container(tmp_path, quota, expected):
    (tmp_path / "cpu.max").write_text(quota)
    assert cores(tmp_path / "cpu.max") == expected
    assert cores(tmp_path / "none") == ALLOWED


def test_what_the_user_has_set_stays():
    said = {"OMP_NUM_THREADS": "7", "OMP_WAIT_POLICY": "ACTIVE", "KMP_BLOCKTIME": "200"}
    considerate(said)
    assert said == {"OMP_NUM_THREADS": "7", "OMP_WAIT_POLICY": "ACTIVE", "KMP_BLOCKTIME": "200"}
    empty: dict[str, str] = {}
    considerate(empty)
    assert empty == {"OMP_NUM_THREADS": str(cores()), "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux's affinity")
def test_a_command_computes_on_the_cores_that_it_may_use():
    """The variables stand before torch is loaded, whatever the command imports."""
    code = (
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from recbole_esmr.__main__ import main\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "sys.argv[1:] = ['check', '--dataset=none-of-that-name']\n"
        "assert main() == 2\n"
        "import torch; print(torch.get_num_threads(), os.environ['OMP_WAIT_POLICY'])"
    )
    free = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "KMP_"))}
    done = subprocess.run([sys.executable, "-c", code], env=free, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1", "PASSIVE"], done.stderr
