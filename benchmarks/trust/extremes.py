"""Run the commands on extreme data: ``python -m benchmarks.trust.extremes --models=ESMR,BPR --commands=run,check``.

Prints a table, a row a case: what is extreme, the command, its status, seconds, and its last warning or the line with which it
was refused. Returns 1 where one hangs, ends with a traceback or other than expected, or gives a figure that is no number.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from recbole_esmr.cli import main as command_line
from tests.extremes.cases import EXTREMES, Extreme

LONGEST = 60
"""Seconds of processor time that a command may take; ten times as much may pass."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its status (None where it hung), seconds, the last line it said, and what is wrong with that."""

    status: int | None
    seconds: float
    line: str
    wrong: str


def main() -> int:
    """Print the table."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.trust.extremes", description=__doc__)
    arguments.add_argument("--models", default="ESMR,BPR,SASRec")
    arguments.add_argument("--commands", default="run,check,causal,compare", help="the last three with the first model alone")
    arguments.add_argument("--case", default="", help="only cases whose name holds this")
    options = arguments.parse_args()
    models, wrong = options.models.split(","), 0
    print("| extreme | command | status | seconds | line | wrong |\n|---|---|---|---|---|---|")
    for case in EXTREMES:
        if options.case in case.name:
            for command in options.commands.split(","):
                for model in models if command == "run" else models[:1]:
                    done = outcome(case, command, model)
                    wrong += bool(done.wrong)
                    said = done.line.replace("|", "\\|")[:200]
                    status = "hangs" if done.status is None else done.status
                    row = (case.name, f"{command} {model}", status, f"{done.seconds:.0f}", said, done.wrong)
                    print(f"| {' | '.join(map(str, row))} |", flush=True)
    return int(wrong > 0)


def outcome(case: Extreme, command: str, model: str) -> Outcome:
    """Run a command on a case, in a process of its own that is stopped when it hangs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words, start = case.words(command, model, case.write(folder / "data" / "small")), time.perf_counter()
        status = in_process(folder, words)
        seconds = time.perf_counter() - start
        said = (folder / "err").read_text(errors="replace")
        wrong = _wrong(case, folder, command, model, status, said)
        return Outcome(status, seconds, _line(said, status).replace(name, ""), wrong)


def in_process(folder: Path, words: list[str], longest: int = LONGEST) -> int | None:
    """The status of a command in a forked process, None where it hangs; stands in ``folder``, writes ``out`` and ``err``."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.chdir(folder)
            resource.setrlimit(resource.RLIMIT_CPU, (longest, longest + 1))
            for number, file in ((1, "out"), (2, "err")):
                os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
            sys.argv = ["recbole-esmr", *words]
            code = command_line(words)
        except SystemExit as error:
            code = int(error.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    end = time.monotonic() + 10 * longest
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return None if code in (-signal.SIGXCPU, -signal.SIGKILL) else code
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _line(said: str, status: int | None) -> str:
    lines = [line for line in said.strip().splitlines() if line.strip()]
    if status == 0:
        lines = [line for line in lines if "WARNING" in line]
    return lines[-1] if lines else ""


def _wrong(case: Extreme, folder: Path, command: str, model: str, status: int | None, said: str) -> str:
    if status is None:
        return f"hangs for {LONGEST} s"
    if "Traceback" in said or status not in (0, 2):
        return "traceback" if "Traceback" in said else f"status {status}"
    if status == 2 and not _line(said, status).startswith("recbole-esmr: "):
        return "no clear line"
    if command == "run" and model == "ESMR" and case.says is not None:
        if status != (2 if case.says else 0):
            return f"status {status}"
        if case.says not in said:
            return f"does not say: {case.says}"
    if status == 0 and command == "run":
        result = json.loads((folder / "out.json").read_text())
        for part in ("best_valid_result", "test_result"):
            if None in (result[part] or {}).values():
                return f"{part}: {result[part]}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
