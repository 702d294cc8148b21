"""Fuzz the parsers with atheris, guided by coverage: ``python -m benchmarks.trust.fuzz --parser=csv,world --inputs=100000``.

Prints a row a parser: inputs, seconds, inputs a second, faulty inputs, kinds of fault; then each kind, with the file that holds
its first input. Needs the extra ``fuzz``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

_MARK = b"\n=====%s=====\n"
_LIMIT = 4 << 30
"""Bytes of memory that inputs may take beside what is loaded."""


def main() -> int:
    """Fuzz the named parsers, each in a process of its own. Returns 1 where a fault was found."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.trust.fuzz", description=__doc__)
    arguments.add_argument("--parser", default="", help="names, separated by commas (default: all)")
    arguments.add_argument("--inputs", type=int, default=1000, help="for each parser (default: %(default)s)")
    arguments.add_argument("--seconds", type=float, default=2.0, help="the longest that one input may take")
    arguments.add_argument("--minutes", type=float, default=600.0, help="after so many of a parser no more inputs are tried")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--output", type=Path, default=Path("fuzz"), help="folder for the inputs with faults")
    arguments.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.child:
        _child(options)
        return 0
    from tests.fuzz.parsers import PARSERS

    kinds: dict[str, dict[str, int]] = {}
    print("| parser | inputs | seconds | a second | faulty inputs | kinds |\n|---|---|---|---|---|---|", flush=True)
    for name in options.parser.split(",") if options.parser else PARSERS:
        found, tried, start = Counter[str](), 0, time.perf_counter()
        while tried < options.inputs and time.perf_counter() - start < 60 * options.minutes:
            left = 60 * options.minutes - (time.perf_counter() - start)
            done = _process(name, options, options.inputs - tried, options.seed + tried, left)
            tried += done["inputs"]
            found.update(done["faults"])
        seconds = time.perf_counter() - start
        kinds[name] = dict(found)
        print(f"| {name} | {tried:,} | {seconds:.0f} | {tried / seconds:.0f} | {found.total()} | {len(found)} |", flush=True)
    for name, faults in kinds.items():
        for kind, count in Counter(faults).most_common():
            print(f"{name}: {count} × {kind}")
    return int(any(kinds.values()))


def _process(name: str, options: argparse.Namespace, inputs: int, seed: int, left: float) -> dict:
    """A run of the fuzzer, which ends early where an input kills it: that input is a fault, too."""
    folder = options.output / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in ("state.json", "input"):
        (folder / old).unlink(missing_ok=True)
    words = [
        f"--parser={name}",
        f"--inputs={inputs}",
        f"--seconds={options.seconds}",
        f"--seed={seed}",
        f"--output={options.output}",
    ]
    command = [sys.executable, "-m", "benchmarks.trust.fuzz", "--child", *words]
    try:
        code = subprocess.run(command, stdout=(folder / "log").open("w"), stderr=subprocess.STDOUT, timeout=left).returncode
    except subprocess.TimeoutExpired:
        code = 0
    state = json.loads((folder / "state.json").read_text()) if (folder / "state.json").is_file() else {"inputs": 0, "faults": {}}
    if code and state["inputs"] < inputs:
        if not (folder / "input").is_file():
            raise SystemExit(f"the fuzzer did not start; see {folder / 'log'}")
        state["inputs"] += 1
        state["faults"][f"the process died with {code}"] = 1
        (folder / "input").replace(folder / f"died-{seed}")
    return state


def pack(files: dict[str, bytes]) -> bytes:
    """Files as one text, which a fuzzer changes anywhere."""
    return b"".join(_MARK % name.encode() + content for name, content in files.items())


def unpack(data: bytes, names: set[str]) -> dict[str, bytes]:
    """The files of known names in a text; what stands before the first is left out."""
    parts = re.split(rb"\n=====([\w./-]+)=====\n", data)
    return {name.decode(): content for name, content in zip(parts[1::2], parts[2::2], strict=True) if name.decode() in names}


def _child(options: argparse.Namespace) -> None:
    import atheris

    with atheris.instrument_imports(include=["recbole_esmr"]):
        from tests.fuzz.attempt import fault
        from tests.fuzz.parsers import PARSERS
    from tests.fuzz.mutation import mutated

    seeds, folder = PARSERS[options.parser].seeds, options.output / options.parser
    names = {name for seed in seeds for name in seed}
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for old in corpus.iterdir():
        old.unlink()
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(pack(seed))
    state: dict = {"inputs": 0, "faults": {}}

    def change(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        files = unpack(data, names)
        if not files or random.random() < 0.5:  # what is changed often is refused at its first fault
            files = dict(random.choice(seeds))
        if random.random() < 0.2:
            name = random.choice(sorted(files))
            files[name] = bytes(atheris.Mutate(files[name], max(len(files[name]) + 20, 100)))
        else:
            files = mutated(files, random)
        changed = pack(files)
        return changed if len(changed) <= most else data

    def one(data: bytes) -> None:
        files = unpack(data, names)
        (folder / "input").write_bytes(data)
        found = fault(options.parser, files, options.seconds) if files else None
        state["inputs"] += 1
        kind = found.partition(": ")[0] if found else None
        if found and kind:
            if kind not in state["faults"]:
                (folder / f"fault-{len(state['faults'])}-{options.seed}").write_bytes(found.encode("utf-8", "replace") + data)
            state["faults"][kind] = state["faults"].get(kind, 0) + 1
        if kind is not None or state["inputs"] % 50 == 0 or state["inputs"] >= options.inputs:
            (folder / "state.json").write_text(json.dumps(state))

    used = int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (used + _LIMIT, used + _LIMIT))
    os.environ["PYTHONWARNINGS"] = "ignore"
    flags = ["-timeout=3600", "-rss_limit_mb=0", "-malloc_limit_mb=0", "-len_control=0", "-max_len=200000", "-detect_leaks=0"]
    atheris.Setup(["fuzz", f"-runs={options.inputs}", f"-seed={options.seed}", *flags, str(corpus)], one, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
