"""Does a command that was killed, wherever that was, come to the result of one that never was?

    python benchmarks/trust/kills.py --command=run --kills=30

The command runs once whole. Then it is killed (SIGKILL) at moments spread evenly over that time, each time in its own folder,
and goes on as the documentation says: ``run`` with ``--resume`` where a checkpoint is there, every other command by being given
again. Ends with status 1 where a result differs in anything but times and paths.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

QUIET = ["--show_progress=False", "--state=ERROR"]
COMMANDS = {
    "run": ["run", "--model=ESMR", "--dataset=esmr-mini", "--output=out.json", *QUIET],
    "run-sasrec": ["run", "--model=SASRec", "--dataset=esmr-mini", "--epochs=10", "--output=out.json", *QUIET],
    "compare": ["compare", "--models=BPR,Pop,GRU4Rec", "--dataset=esmr-mini", "--seeds=2", "--epochs=4", "--output=out", *QUIET],
    "rollout": [
        *("rollout", "--policy=pop,engagement,BPR,ESMR,ESMR+gate=never+reward=engagement", "--users=60", "--items=80"),
        *("--days=5", "--log_days=10", "--seeds=2", "--replicates=50", "--epochs=3", "--encoder_epochs=5", "--output=out.json"),
    ],
    "simulate": ["simulate", "--users=400", "--items=400", "--days=40", "--output=out", "--people=people.npz"],
    "import": ["import", "csv", "--input=csv", "--mapping=map.yaml", "--output=out"],
}
ENTRY = """import sys, recbole_esmr.progress
recbole_esmr.progress.SECONDS = {seconds}
from recbole_esmr.cli import main
sys.exit(main(sys.argv[1:]))"""
PASSING = ("timings", "seconds", "checkpoint", "checkpoint_dir", "data_path")
"""Keys of results that say when or where, and not what."""
MAPPING = "inter: {file: views.csv, columns: {user_id: who, item_id: what, timestamp: when}}\n"


def start(words: list[str], folder: Path, seconds: float) -> subprocess.Popen:
    """Start the command in a folder, in a process group of its own."""
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, "-W", "ignore", "-c", ENTRY.format(seconds=seconds), *words]
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said, start_new_session=True)


def prepared(folder: Path, command: str) -> Path:
    """A folder for the command, with what it reads."""
    folder.mkdir()
    if command == "import":
        (folder / "csv").mkdir()
        (folder / "map.yaml").write_text(MAPPING)
        rows = (f"u{row % 997},i{row * 7919 % 1009},{1_700_000_000 + row}" for row in range(300_000))
        (folder / "csv/views.csv").write_text("\n".join(["who,what,when", *rows]) + "\n")
    return folder


def result(folder: Path) -> dict[str, Any]:
    """What the command has written: JSON without times and paths, and hashes of the other files."""
    found: dict[str, Any] = {}
    for path in sorted([*folder.glob("out*"), *folder.glob("out/*"), *folder.glob("people.npz")]):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".json":
            found[name] = _lasting(json.loads(path.read_text()))
        elif path.suffix == ".csv":
            lines = [line.split(",") for line in path.read_text().splitlines()]
            kept = [place for place, title in enumerate(lines[0]) if title not in PASSING]
            found[name] = [[line[place] for place in kept] for line in lines]
        elif path.is_file() and path.suffix not in (".md", ".tex"):  # these repeat the CSV
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _lasting(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _lasting(value) for key, value in content.items() if key not in PASSING}
    return [_lasting(value) for value in content] if isinstance(content, list) else content


def reached(folder: Path) -> str:
    """What had been done when the command was killed."""
    from recbole_esmr.checkpoint import load_checkpoint

    rows = len([*folder.glob(".out.work/*.json")])
    lived = len([*folder.glob(".out.json.work/*/rollout-*.npz")])
    said = [f"{rows} rows"] * bool(rows) + [f"{lived} rollouts"] * bool(lived)
    for path in sorted([*folder.glob("saved/*.pth"), *folder.glob(".out*.work/**/*.pth")]):
        held = load_checkpoint(path)
        done, state = held.other_parameter.get("done"), held.progress.get("state", {})
        within = state.get("stage") or {}
        where = [f"{len(done)} stages"] if done is not None else []
        where += [
            ", ".join(name for name in within if name != "done")[:40] if "done" not in within else f"epoch {within['done']}"
        ]
        where += [f"epoch {state['done']}"] if "done" in state else []
        said.append(f"{held.model} " + ("ended" if "ended" in held.progress else " ".join(part for part in where if part)))
    return "; ".join(said) or "nothing yet"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", choices=COMMANDS, default="run", help="what is killed (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=30, help="how often (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="between two writes, in place of 30 (default: %(default)s)")
    options = parser.parse_args()
    words = COMMANDS[options.command]
    with tempfile.TemporaryDirectory() as place:
        whole = prepared(Path(place) / "whole", options.command)
        begin = time.monotonic()
        if start(words, whole, options.seconds).wait():
            print((whole / "said.txt").read_text()[-2000:])
            return 2
        duration, expected = time.monotonic() - begin, result(whole)
        print(
            f"recbole-esmr {' '.join(words)}: {duration:.1f} s\n\n| killed at | done by then | result |\n|---|---|---|",
            flush=True,
        )
        differ = 0
        for number in range(options.kills):
            folder = prepared(Path(place) / f"kill-{number}", options.command)
            moment = duration * (number + 0.5) / options.kills
            process = start(words, folder, options.seconds)
            time.sleep(moment)
            ended = process.poll() is not None
            if not ended:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            done = "had ended" if ended else reached(folder)
            saved = sorted(folder.glob("saved/*.pth"))
            again = [*words, *(f"--resume={path}" for path in saved[:1] if words[0] == "run")]
            status = start(again, folder, options.seconds).wait()
            same = status == 0 and result(folder) == expected
            differ += not same
            print(f"| {moment:.1f} s | {done} | {'same' if same else f'DIFFERENT (status {status})'} |", flush=True)
            if not same:
                print((folder / "said.txt").read_text()[-1000:])
    print(f"\n{options.kills} kills: {options.kills - differ} results the same")
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
