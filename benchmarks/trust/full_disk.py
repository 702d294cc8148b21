"""Every command that writes, where it cannot write: one line with the file's name, older results intact, nothing temporary left.

    sudo python benchmarks/trust/full_disk.py             # mounts a file system of 1 MB in memory
    python benchmarks/trust/full_disk.py --small=FOLDER   # FOLDER lies on a small file system of your own

The full file system has 4 kB left, so that a command begins and stumbles over its result. Ends with status 1 where a command says
more than one line, leaves something behind or harms what was there. Without root there is no read-only file system. Root is run
without its right to write where the mode forbids it.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DROP_FROM_BOUNDING_SET, DAC_OVERRIDE, DAC_READ_SEARCH = 24, 1, 2  # <linux/prctl.h>, <linux/capability.h>
QUIET = "--state=ERROR --show_progress=False"
RUN = f"run --model=BPR --dataset=esmr-mini --epochs=1 {QUIET}"
ROLLOUT = "rollout --policy=random,pop --users=20 --items=40 --days=3 --log_days=10 --seeds=1 --replicates=20"
CAUSAL = f"causal --dataset=esmr-mini --graph_samples=2 --causal_placebos=10 {QUIET}"
SIMULATE = "simulate --users=200 --items=200 --days=10"
COMMANDS = {  # {file} and {folder} are what cannot be written, {free} is a folder that can
    "run --output": RUN + " --output={file}",
    "run, checkpoint": RUN + " --checkpoint_dir={folder}",
    "check --output": "check --dataset=esmr-mini --output={file}",
    "pretrain --output": f"pretrain --datasets=esmr-mini --encoder_epochs=1 {QUIET} --output={{file}}",
    "compare --output": f"compare --models=Pop,BPR --dataset=esmr-mini --epochs=1 {QUIET} --output={{folder}}",
    "simulate --output": SIMULATE + " --output={folder}",
    "simulate --people": SIMULATE + " --output={free}/log --people={file}",
    "simulate --truth": "simulate --users=20 --items=40 --days=5 --output={free}/log --truth={file}",
    "rollout --output": ROLLOUT + " --output={file}",
    "rollout --keep": ROLLOUT + " --keep={folder}",
    "rollout --figures": ROLLOUT + " --figures={folder}",
    "causal --output": CAUSAL + " --output={file}",
    "causal --figures": CAUSAL + " --figures={folder}",
    "import --output": "import csv --input={free}/rows.csv --mapping={free}/mapping.yaml --output={folder}",
    "import --draft": "import csv --input={free}/rows.csv --draft --mapping={file}",
}
ROWS = "person,video,when,seconds\n" + "".join(f"p{n % 97},v{n % 53},{1_700_000_000 + 3600 * n},{n % 60}\n" for n in range(5000))
MAPPING = "inter: {file: rows.csv, columns: {user_id: person, item_id: video, timestamp: when}}\n"


def _full(place: Path) -> None:
    with suppress(OSError), (place / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    size = (place / "filler").stat().st_size
    os.truncate(place / "filler", max(size - 4096, 0))


def _read_only(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)


def _no_permission(place: Path) -> None:
    place.chmod(0o555)


@contextmanager
def small(given: Path | None) -> Iterator[Path]:
    """An empty folder on a small file system."""
    with tempfile.TemporaryDirectory() as place:
        if given is not None:
            with tempfile.TemporaryDirectory(dir=given) as inside:
                yield Path(inside)
            return
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True)


def content(place: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def _as_anybody() -> None:
    """Let modes hold for root too."""
    with suppress(OSError, AttributeError):
        for right in (DAC_OVERRIDE, DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, right, 0, 0, 0)


def tried(place: Path, words: str, spoil: Callable[[Path], None] | str, free: Path) -> tuple[bool, str]:
    """Run one command where it cannot write; returns whether all is as promised, and a line for the table."""
    wants_file = "{file}" in words
    target = place / "below" / ("result" if wants_file else "results")
    target.parent.mkdir(mode=0o777)
    target.parent.chmod(0o777)
    if wants_file == (spoil == "it is a folder"):
        target.mkdir()
        (target / "mine").write_text("old")
    elif spoil != "its parent is a file":
        target.write_text("old")
    if spoil == "its parent is a file":
        shutil.rmtree(target.parent)
        target.parent.write_text("old")
    if "--draft" in words and target.is_file():  # a draft overwrites nothing
        target.unlink()
    if callable(spoil):
        spoil(target.parent if spoil is _no_permission else place)
        if spoil is _no_permission and target.is_dir():
            target.chmod(0o555)
    before = content(place)
    done = subprocess.run(
        [sys.executable, "-m", "recbole_esmr.cli", *words.format(file=target, folder=target, free=free).split()],
        cwd=free, env=environment(), capture_output=True, text=True, check=False, preexec_fn=_as_anybody,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if line.startswith("recbole-esmr:")]
    intact = content(place) | before == content(place)
    hidden = [path.name for path in (*place.rglob(".*"), *free.rglob(".*")) if ".new-" in path.name or ".old-" in path.name]
    good = done.returncode == 2 and intact and not hidden and len(said) == 1 and "Traceback" not in done.stderr
    line = (said or done.stderr.strip().splitlines() or ["(nothing)"])[-1].replace(str(place), "…").replace("recbole-esmr: ", "")
    good = good and "…" in line
    if done.returncode == 0 and spoil is _full and not hidden:
        good, intact, line = True, True, "(had room for it)"
    return (
        good,
        f"{done.returncode:3d}  {'intact' if intact else 'HARMED'}  {'clean' if not hidden else f'LEFT {hidden}'}  {line}",
    )


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "MPLCONFIGDIR": tempfile.gettempdir()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=Path, help="a folder on a file system of about 1 MB; root needs none")
    parser.add_argument("--only", default="", help="only commands whose name begins so")
    options = parser.parse_args()
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if options.small is None and not root:
        parser.error("root mounts a small file system; anybody else names one with --small")
    situations: dict[str, Callable[[Path], None] | str] = {"full disk": _full, "no permission": _no_permission}
    if options.small is None:
        situations["read-only"] = _read_only
    situations |= {name: name for name in ("it is a folder", "its parent is a file")}
    wrong = tries = 0
    for name, words in COMMANDS.items():
        for title, spoil in situations.items() if name.startswith(options.only) else ():
            with small(options.small) as place, tempfile.TemporaryDirectory() as free:
                for folder in (place, Path(free)):
                    folder.chmod(0o777)
                (Path(free) / "rows.csv").write_text(ROWS)
                (Path(free) / "mapping.yaml").write_text(MAPPING)
                good, line = tried(place, words, spoil, Path(free))
                tries, wrong = tries + 1, wrong + (not good)
                shown = title.replace("it is a folder", "it is a file") if "{folder}" in words else title
                print(f"{'ok   ' if good else 'WRONG'} {name:18s} {shown:20s} {line}", flush=True)
    print(f"{tries} tries, {wrong} not as promised")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
