"""What is installed and what is built: pinned with hashes, and the same bytes at every build."""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _lines(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8").replace(" \\\n", "\n")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_every_pin_has_its_hashes():
    """After a change of constraints.txt: `make hashes`."""
    pins, hashed = _lines("constraints.txt"), _lines("constraints-hashes.txt")
    assert [line for line in hashed if not line.startswith("    ")] == pins
    hashes = [line for line in hashed if line.startswith("    ")]
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}", line) for line in hashes) and len(hashes) >= len(pins)
    assert all(after.startswith("    ") for line, after in zip(hashed, [*hashed[1:], ""], strict=True) if line in pins)


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-py312.txt"])
def test_every_pin_is_one_version(name):
    pins = _lines(name)
    assert all(re.fullmatch(r'[a-z0-9-]+==[^\s*]+( ; python_version (<|>=) "3\.1[13]")?', line) for line in pins)
    names = [line.split("==")[0] for line in pins if " ; " not in line]
    assert len(set(names)) == len(names)


def test_the_wheel_holds_every_room():
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg")
    rooms = {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "recbole_esmr").rglob("__init__.py")}
    data = {"recbole_esmr.datasets", "recbole_esmr.properties"}
    assert set(declared["options"]["packages"].split()) == rooms | data


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("build") is None or not (ROOT / ".git").exists(), reason="needs build and git")
def test_two_builds_of_a_commit_are_the_same_bytes(tmp_path):
    """Whatever the umask, the time zone and the time of day."""
    for name, umask, zone in (("one", 0o022, "UTC"), ("other", 0o077, "Asia/Kathmandu")):
        environment = {**os.environ, "TZ": zone}
        command = [sys.executable, str(ROOT / "tools" / "build.py"), str(tmp_path / name)]
        subprocess.run(command, check=True, env=environment, umask=umask, capture_output=True)
    built = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert [Path(name).suffix for name in built] == [".whl", ".gz"] or [Path(name).suffix for name in built] == [".gz", ".whl"]
    for name in built:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes(), name
