"""Build the wheel and the source archive of the last commit, the same bytes whenever, wherever and by whomever: ``make wheel``.

    python tools/build.py dist

What is built is what git holds, not what lies about in the folder; times are the commit's, owners and permissions are fixed.
"""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "dist").resolve()
    target.mkdir(parents=True, exist_ok=True)
    if _git("status", "--porcelain", "--untracked-files=no"):
        print("What is not committed is not built.", file=sys.stderr)
    epoch = int(_git("log", "-1", "--format=%ct"))
    with tempfile.TemporaryDirectory() as folder:
        source, built = Path(folder) / "source", Path(folder) / "built"
        os.umask(0o022)
        with tarfile.open(fileobj=io.BytesIO(_git("-c", "tar.umask=0022", "archive", "HEAD"))) as archive:
            archive.extractall(source, filter="data")
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built), str(source)]
        subprocess.run(command, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}, stdout=subprocess.DEVNULL)
        for file in sorted(built.iterdir()):
            content = _without_chance(file, epoch) if file.name.endswith(".tar.gz") else file.read_bytes()
            (target / file.name).write_bytes(content)
            print(target / file.name)


def _without_chance(file: Path, epoch: int) -> bytes:
    """A source archive, its members in order and without the time and the person that packed them."""
    packed = io.BytesIO()
    with tarfile.open(file) as old, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            content = old.extractfile(member)
            member.mtime, member.uid, member.gid, member.uname, member.gname, member.pax_headers = epoch, 0, 0, "", "", {}
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(member, content)
    return gzip.compress(packed.getvalue(), mtime=epoch)


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True).stdout


if __name__ == "__main__":
    main()
