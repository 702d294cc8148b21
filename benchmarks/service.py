"""How fast a service answers, whether it loses anything when it is killed, and whether it keeps its promises over many people.

    python benchmarks/service.py latency --artifact=esmr-model            # in the process, on one core
    python benchmarks/service.py load --seconds=300 --clients=8           # over HTTP
    python benchmarks/service.py kill --times=20                          # kill -9 under load: lost and counted twice
    python benchmarks/service.py same --requests=10000                    # profiles kept here and there: other slates
    python benchmarks/service.py budget --people=10000                    # people who come one by one: share kept
    python benchmarks/service.py privacy                                  # a person who keeps their profile, searched for

Without --artifact an ESMR is trained on esmr-mini and exported.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import torch
from tqdm import tqdm

from recbole_esmr.serving.artifact import Artifact, load_artifact
from recbole_esmr.serving.core import Request, rank_for, update
from recbole_esmr.serving.profile import Event, Profile
from recbole_esmr.serving.sealing import Seal
from recbole_esmr.serving.service import Service
from recbole_esmr.serving.spending import Spending
from recbole_esmr.serving.store import Store


def lived(artifact: Artifact, days: int, seed: int) -> Profile:
    """Somebody who was here for so many days."""
    rng, profile = np.random.default_rng(seed), Profile(consent=True)
    for day in range(1, days + 1):
        profile, _ = update(artifact, profile, [an_event(artifact, rng, f"e{day}", day)])
    return profile


def an_event(artifact: Artifact, rng: np.random.Generator, name: str, day: int, items: list[str] | None = None) -> Event:
    """An evening: items that were watched, and a report."""
    return Event.of_dict(said(artifact, rng, name, day, items), artifact)


def said(artifact: Artifact, rng: np.random.Generator, name: str, day: int, items: list[str] | None = None) -> dict:
    """The same as a client sends it."""
    names = items or [str(item) for item in rng.choice(artifact.stock.names[1:], 10, replace=False)]
    shown = [
        {"item": item, "watch_ratio": float(ratio)} for item, ratio in zip(names, rng.random(len(names)).round(3), strict=True)
    ]
    return {"id": name, "day": day, "shown": shown, "emotion": str(rng.choice(artifact.taxonomy.labels))}


def figures(seconds: list[float]) -> str:
    """Median and tails, in milliseconds."""
    p50, p95, p99 = (1000 * np.quantile(seconds, share) for share in (0.5, 0.95, 0.99))
    return f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms of {len(seconds):,}"


# -- in the process ----------------------------------------------------------------------------------------------------------


def latency(artifact: Artifact, options: argparse.Namespace, folder: Path) -> None:
    """Ranking in the process: what is known of the person made anew, and remembered of an earlier request of the day."""
    service = Service(artifact, Store(folder / "store.sqlite"), Seal.of_file(folder / "key"))
    people = [lived(artifact, 30, seed) for seed in range(20)]
    for number, profile in enumerate(people):
        with service._store.changing() as connection:
            service._store.keep_profile(connection, f"p{number}", profile.to_json())
    sealed = [service.sealed(profile.as_dict()) for profile in people]
    asks: dict[str, Callable[[int], object]] = {
        "core": lambda number: rank_for(artifact, people[number % 20], Request(31)),
        "service, profile kept there": lambda number: service.recommend(None, sealed[number % 20], Request(31)),
        "service, profile kept here": lambda number: service.recommend(f"p{number % 20}", None, Request(31)),
    }
    candidates = min(artifact.rule.candidates, len(artifact.stock.names) - 1)
    print(f"{candidates} candidates, {torch.get_num_threads()} thread")
    for name, ask in asks.items():
        seconds = []
        for number in range(options.requests):
            start = time.perf_counter()
            ask(number)
            seconds.append(time.perf_counter() - start)
        print(f"{name}: {figures(seconds[20:])}")


def same(artifact: Artifact, options: argparse.Namespace, folder: Path) -> None:
    """Requests of people whose profile is kept here and of the same people who bring it."""
    made = [Service(artifact, Store(folder / f"{name}.sqlite"), Seal.of_file(folder / "key")) for name in ("here", "there")]
    here, there = made
    people, rng, other = 50, np.random.default_rng(0), 0
    yes = [{"id": "yes", "day": 0, "consent": True}]
    sealed = [there.accept(None, there.sealed(), yes)["profile"] for _ in range(people)]
    for number in range(people):
        here.accept(f"p{number}", None, yes)
    for number in tqdm(range(options.requests), desc="Requests"):
        person, day = number % people, 1 + number // people
        one = here.recommend(f"p{person}", None, Request(day))
        two = there.recommend(None, sealed[person], Request(day))
        other += one.slate.items != two.slate.items
        evening = said(artifact, rng, f"e{number}", day, list(one.slate.items))
        here.accept(f"p{person}", None, [{**evening, "slate": one.receipt}])
        sealed[person] = there.accept(None, sealed[person], [{**evening, "slate": two.receipt}])["profile"]
    print(f"{options.requests:,} requests of {people} people: {other} other slates")


def budget(artifact: Artifact, options: argparse.Namespace, folder: Path) -> None:
    """Share of the expected engagement that people keep who come one by one, and what a crowd keeps that comes at once."""
    from recbole_esmr.serving.core import rank_all

    people = [lived(artifact, int(days), seed) for seed, days in enumerate(np.random.default_rng(0).integers(0, 31, 200))]
    spending = Spending.of(artifact)
    kept, usual = np.zeros(options.people), np.zeros(options.people)
    for number in tqdm(range(options.people), desc="People"):
        offer = np.random.default_rng(number).random(len(artifact.stock.names) - 1) < 0.7
        request = Request(31, items=tuple(np.array(artifact.stock.names[1:])[offer].tolist()))
        receipt = rank_for(artifact, people[number % 200], request, spending).receipt
        spending = spending.after(receipt, [], 31, artifact, True)
        kept[number], usual[number] = receipt.kept, receipt.usual
    last = slice(options.people // 5, None)
    print(
        f"one by one: {kept.sum() / usual.sum():.4f} is kept, what better moods take paid, after the first fifth "
        f"{kept[last].sum() / usual[last].sum():.4f} (floor {artifact.floor:.4f})"
    )
    crowd = rank_all(artifact, people, Request(31), replace(spending))
    share = sum(slate.receipt.kept for slate in crowd) / sum(slate.receipt.usual for slate in crowd)
    print(f"200 at once by the multiplier that was reached: {share:.4f}")


WARM = 10
"""Seconds of load that are not measured: each process loads what it needs at its first request."""


# -- over HTTP ---------------------------------------------------------------------------------------------------------------


class Server:
    """A server process of its own, on a free port."""

    def __init__(self, artifact: Path, folder: Path, workers: int = 1) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._line = [
            *(sys.executable, "-m", "recbole_esmr", "serve", f"--artifact={artifact}", f"--store={folder / 'people.sqlite'}"),
            *(f"--key={folder / 'key'}", f"--port={self.port}", f"--workers={workers}"),
        ]
        self._log = open(folder / "server.log", "ab")  # noqa: SIM115
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(self._line, stdout=self._log, stderr=self._log, env=environment)
        while self.process.poll() is None:
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the server did not start")

    def ask(self, method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            return talk(line, method, path, body)
        finally:
            line.close()

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait()

    @property
    def memory(self) -> float:
        """MiB of the process and its workers."""
        process = psutil.Process(self.process.pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 2**20


def talk(line: http.client.HTTPConnection, method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
    """One request on an open connection."""
    line.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
    answer = line.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text[:1] == b"{" else {}


def load(artifact: Artifact, options: argparse.Namespace, folder: Path) -> None:
    """Clients that ask for a slate, and say what came of it, one after the other."""
    server = Server(options.artifact, folder, options.workers)
    took: dict[str, list[float]] = {"/v1/recommend": [], "/v1/events": []}
    status: dict[int, int] = {}
    begin = time.monotonic() + WARM
    end = begin + options.seconds

    def client(number: int) -> None:
        rng, line, turn = np.random.default_rng(number), http.client.HTTPConnection("127.0.0.1", server.port, timeout=60), 0

        def ask(path: str, body: dict) -> dict:
            start = time.perf_counter()
            code, found = talk(line, "POST", path, body)
            if time.monotonic() > begin:
                took.get(path, []).append(time.perf_counter() - start)
            status[code] = status.get(code, 0) + 1
            return found

        while time.monotonic() < end:
            person, day = f"c{number}-{turn % 25}", 1 + turn // 25
            if day == 1:
                ask("/v1/events", {"person": person, "events": [{"id": "yes", "day": 0, "consent": True}]})
            slate = ask("/v1/recommend", {"person": person, "day": day})
            evening = said(artifact, rng, f"e{turn}", day, [item["item"] for item in slate["items"]])
            ask("/v1/events", {"person": person, "events": [{**evening, "slate": slate["receipt"]}]})
            turn += 1
            time.sleep(rng.exponential(options.pause) if options.pause else 0)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(options.clients)]
    for thread in threads:
        thread.start()
    memory = []
    while any(thread.is_alive() for thread in threads):
        memory.append((time.monotonic(), server.memory))
        time.sleep(1)
    server.stop()
    count = sum(map(len, took.values()))
    who = (
        f"{options.clients} clients who pause {options.pause:g} s"
        if options.pause
        else f"{options.clients} clients without a pause"
    )
    print(f"{who}, {options.workers} workers, {options.seconds} s: {count / options.seconds:.0f} requests a second")
    for path, seconds in took.items():
        print(f"{path}: {figures(seconds)}")
    late = np.array(memory[len(memory) // 3 :])
    slope = np.polyfit(late[:, 0], late[:, 1], 1)[0] if len(late) > 2 else np.nan
    print(
        f"answers by status: {status}; memory {memory[-1][1]:.0f} MiB, after a third of the time {60 * slope:+.2f} MiB a minute"
    )


def kill(artifact: Artifact, options: argparse.Namespace, folder: Path) -> None:
    """kill -9 under load, again and again: what was accepted is there, once."""
    server, accepted, stop = Server(options.artifact, folder), [[] for _ in range(4)], threading.Event()

    def client(number: int) -> None:
        turn = 0
        while not stop.is_set():
            try:
                event = {
                    "id": f"{number}-{turn}",
                    "day": 1,
                    "shown": [{"item": artifact.stock.names[1 + turn % 100], "watch_ratio": 0.5}],
                }
                code, _ = server.ask("POST", "/v1/events", {"person": f"p{number}", "events": [event]})
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)  # sends the same again
                continue
            if code == 200:
                accepted[number].append(event["id"])
                turn += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in tqdm(range(options.times), desc="Kills"):
        time.sleep(1.5)
        server.stop(signal.SIGKILL)
        server.start()
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join()
    lost = twice = 0
    for number, ids in enumerate(accepted):
        known = server.ask("POST", "/v1/profile", {"person": f"p{number}"})[1]
        kept = [event["id"] for event in known["events"]]
        lost += len(set(ids) - set(kept))
        shown = sum(len(day.get("shown", [])) for day in known["profile"]["days"])
        twice += len(kept) - len(set(kept)) + max(shown - len(set(kept)), 0)
    server.stop()
    print(f"killed {options.times} times: {sum(map(len, accepted)):,} events accepted, {lost} lost, {twice} counted twice")


def privacy(artifact: Artifact, options: argparse.Namespace, folder: Path) -> None:
    """A person who keeps their own profile, with an emotion that nobody else reports: every file and the memory are searched."""
    server = Server(options.artifact, folder)
    person, emotion = "person-who-keeps-their-own", artifact.taxonomy.labels[-1]
    sealed = server.ask("POST", "/v1/profile/new", {})[1]["profile"]
    for day in range(1, 15):
        events = [{"id": f"{person}-{day}", "day": day, "consent": True, "emotion": emotion}]
        sealed = server.ask("POST", "/v1/events", {"profile": sealed, "events": events})[1]["profile"]
        server.ask("POST", "/v1/recommend", {"profile": sealed, "day": day + 1})
    for number in range(200):  # somebody else, so that buffers are used again
        server.ask("POST", "/v1/recommend", {"person": f"other-{number % 5}", "day": number % 20})
    files = [path for path in folder.rglob("*") if path.is_file()]
    in_files = [path.name for path in files if person.encode() in path.read_bytes() or sealed.encode() in path.read_bytes()]
    memory = dumped(server.process.pid)
    server.stop()
    reports = [f'emotion":{space}"{emotion}'.encode() for space in ("", " ")]
    found = memory.count(person.encode()), sum(map(memory.count, reports))
    print(f"{len(files)} files searched: {len(in_files)} name the person ({', '.join(in_files) or 'none'})")
    print(f"{len(memory) / 2**20:.0f} MiB of memory searched: the person's id {found[0]} times, a report {found[1]} times")


def dumped(process: int) -> bytes:
    """The writable memory of a process (Linux)."""
    parts = []
    with open(f"/proc/{process}/maps") as maps, open(f"/proc/{process}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(part, 16) for part in span.split("-"))
                try:
                    memory.seek(start)
                    parts.append(memory.read(end - start))
                except (OSError, OverflowError, ValueError):
                    continue
    return b"".join(parts)


def trained(folder: Path) -> Path:
    """An artifact of an ESMR trained on esmr-mini."""
    from recbole_esmr import load_data_and_model, run_recbole
    from recbole_esmr.serving.artifact import save_artifact
    from recbole_esmr.serving.export import exported

    keys = {"checkpoint_dir": str(folder), "show_progress": False, "state": "ERROR"}
    path = run_recbole("ESMR", "esmr-mini", config_dict=keys, arguments=[])["checkpoint"]
    config, model, dataset, *_ = load_data_and_model(path)
    save_artifact(exported(model, dataset, config), folder / "esmr-model")
    return folder / "esmr-model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asks = {ask.__name__: ask for ask in (latency, load, kill, same, budget, privacy)}
    parser.add_argument("what", choices=asks)
    parser.add_argument("--artifact", type=Path, help="folder that `recbole-esmr export` wrote")
    parser.add_argument("--requests", type=int, default=1000, help="latency, same (default: %(default)s)")
    parser.add_argument("--people", type=int, default=10_000, help="budget (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="load (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=8, help="load (default: %(default)s)")
    parser.add_argument(
        "--pause", type=float, default=0.0, help="load: mean seconds between a client's page loads (default: none)"
    )
    parser.add_argument("--workers", type=int, default=1, help="load (default: %(default)s)")
    parser.add_argument("--times", type=int, default=20, help="kill (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        options.artifact = options.artifact or trained(Path(folder))
        store = Path(folder) / "server"
        store.mkdir()
        asks[options.what](load_artifact(options.artifact), options, store)


if __name__ == "__main__":
    main()
