"""What each stage costs, and how its cost grows with the people; beside RecBole's SASRec and BPR on the same log in the same run.

    python benchmarks/suite.py                                            # 250, 500 and 1,000 people
    python benchmarks/suite.py --people=1000,10000 --output=suite.json
    python benchmarks/suite.py --dataset=kept/sim1000                     # a log of one's own, one size

Each size is a process of its own, so that a peak of memory is its own. Seconds are of this machine and this run; what is to be
compared with another run are the ratios and the exponents (the slope of the log of seconds on the log of people). Of SASRec one
epoch is run, for ten take longer than all else together.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from recbole_esmr.neighbours import considerate

EVERY_METRIC = [
    *("Recall", "MRR", "NDCG", "Hit", "Precision", "MAP", "GAUC"),
    *("ItemCoverage", "AveragePopularity", "GiniIndex", "ShannonEntropy", "TailPercentage"),
]
"""RecBole's metrics of rankings."""

SASREC, BPR = "RecBole's SASRec, one epoch", "RecBole's BPR, ten epochs"
EVALUATION, THEIR_EVALUATION = "evaluate BPR, every metric", "evaluate BPR, every metric, by RecBole's own code"


class Clock:
    """Seconds, seconds of CPU and peak memory of parts of a process."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, float]] = {}
        self._process = psutil.Process()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Measure a block."""
        peak, over = [self._process.memory_info().rss], threading.Event()

        def watch() -> None:
            while not over.wait(0.05):
                peak.append(self._process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        start, used = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.parts[name] = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - used}
            over.set()
            watcher.join()
            self.parts[name]["peak_gib"] = max(peak) / 2**30


def measured(dataset: str, data_path: str, peers: bool) -> dict[str, Any]:
    """All stages of one log, in this process."""
    from recbole.data.dataloader.general_dataloader import FullSortEvalDataLoader as RecBoleLoader
    from recbole.utils import init_seed

    from recbole_esmr.checkpoint import threads
    from recbole_esmr.config import Config
    from recbole_esmr.data.trace import TRAIN
    from recbole_esmr.feed import Observation
    from recbole_esmr.policy.esmr import ESMRPolicy
    from recbole_esmr.quick_start import build_model, prepare
    from recbole_esmr.trainer.checkpointing import get_trainer

    clock = Clock()
    keys = {"data_path": data_path, "show_progress": False, "state": "ERROR"}

    def ready(name: str, **more: Any) -> tuple[Any, Any, Any, Any]:
        config = Config(name, dataset, config_dict={**keys, **more}, arguments=[])
        _, train, valid, test = prepare(config)
        init_seed(config["seed"], config["reproducibility"])
        model = build_model(config, train._dataset).to(config["device"])
        return get_trainer(config["MODEL_TYPE"], config["model"])(config, model), train, valid, test

    with clock.of("load and check"):
        trainer, train, valid, test = ready("ESMR")
    with clock.of("train"):
        trainer.fit(train, valid, saved=False, verbose=False)
    model, data = trainer.model, train._dataset
    for stage, seconds in model.learned.timings.items():
        clock.parts[f"train: {stage}"] = {"seconds": seconds}
    with clock.of("beliefs"):
        model.beliefs()
    with clock.of("evaluate, all items"):
        trainer.evaluate(test, load_best_model=False)
    people, items = (data.field2id_token[field][1:] for field in (data.uid_field, data.iid_field))
    policy, size = ESMRPolicy(model, data), 10
    policy.reset(people, items)

    def morning(count: int) -> Observation:
        return Observation(1, np.ones(count, bool), np.full(count, size), np.ones(len(items), bool))

    with clock.of("slates of everybody"):
        policy.recommend(morning(len(people)))
    alone = ESMRPolicy(model, data)
    alone.reset(people[:1], items)
    took = []
    for _ in range(200):
        start = time.perf_counter()
        alone.recommend(morning(1))
        took.append(time.perf_counter() - start)
    if peers:
        peer, its_train, _, its_test = ready("BPR", epochs=10, eval_step=0, stopping_step=10, metrics=EVERY_METRIC)
        with clock.of(BPR):
            peer.fit(its_train, None, saved=False, verbose=False)
        with clock.of(EVALUATION):
            figures = peer.evaluate(type(its_test)(peer.config, its_test._dataset, its_test._sampler), load_best_model=False)
        judge = by_recboles_own_code(peer, its_train)
        with clock.of(THEIR_EVALUATION):
            theirs = judge.evaluate(RecBoleLoader(peer.config, its_test._dataset, its_test._sampler), load_best_model=False)
        if figures != theirs:
            raise SystemExit(f"RecBole's own code says otherwise: {figures} and {theirs}")
        peer, its_train, _, _ = ready("SASRec", epochs=1, eval_step=0, stopping_step=1)
        with clock.of(SASREC):
            peer.fit(its_train, None, saved=False, verbose=False)
    shape = {
        "people": len(people), "items": len(items), "days": int(data.trace.days),
        "views": int(data.impressions.label.sum()), "training_days": int((data.trace.role == TRAIN).sum()),
    }  # fmt: skip
    p50, p99 = (1000 * np.quantile(took[20:], share) for share in (0.5, 0.99))
    return {**shape, "threads": threads(), "parts": clock.parts, "one_person_ms": {"p50": p50, "p99": p99}}


def by_recboles_own_code(trainer: Any, train: Any) -> Any:
    """The trainer with RecBole's collector and metrics, but for the crash of the collector where a count is no tensor."""
    from recbole.evaluator import collector, metrics, register
    from recbole.evaluator.evaluator import Evaluator

    from recbole_esmr.evaluator.collector import Collector

    class Theirs(Collector):
        eval_batch_collect = collector.Collector.eval_batch_collect

    for name in ("AveragePopularity", "TailPercentage"):
        register.metrics_dict[name.lower()] = getattr(metrics, name)
    trainer.eval_collector, trainer.evaluator = Theirs(trainer.config), Evaluator(trainer.config)
    trainer.eval_collector.data_collect(train)
    return trainer


def simulated(people: int, items: int, days: int, folder: Path) -> Path:
    """A log of the world ``reference``."""
    path = folder / f"people{people}"
    asked = [f"--users={people}", f"--items={items}", f"--days={days}", f"--output={path}", "--seed=5", "--world=reference"]
    subprocess.run([sys.executable, "-m", "recbole_esmr", "simulate", *asked], check=True, capture_output=True)
    return path


def exponents(results: list[dict[str, Any]]) -> dict[str, float]:
    """Slope of the log of seconds on the log of people, of each part that is in all results."""
    names = [name for name in results[0]["parts"] if all(name in result["parts"] for result in results)]
    people = np.log([result["people"] for result in results])
    seconds = {name: [max(result["parts"][name]["seconds"], 1e-3) for result in results] for name in names}
    return {name: float(np.polyfit(people, np.log(value), 1)[0]) for name, value in seconds.items()}


def table(results: list[dict[str, Any]]) -> pd.DataFrame:
    """Seconds (and peak GiB) of each part, a column a size, and the exponent."""
    columns: dict[str, dict[str, str]] = {}
    for result in results:
        said = {}
        for name, part in result["parts"].items():
            said[name] = f"{part['seconds']:.1f}" + (f" ({part['peak_gib']:.1f} GiB)" if "peak_gib" in part else "")
        columns[f"{result['people']:,} people, {result['views']:,} views"] = said
    if len(results) > 1:
        columns["exponent"] = {name: f"{slope:.2f}" for name, slope in exponents(results).items()}
    return pd.DataFrame(columns)


def ratios(result: dict[str, Any]) -> dict[str, float]:
    """What is to be compared with another run."""
    seconds = {name: part["seconds"] for name, part in result["parts"].items()}
    found = {"slates of everybody, people a second": result["people"] / max(seconds["slates of everybody"], 1e-9)}
    if SASREC in seconds:
        run = sum(seconds[name] for name in ("load and check", "train", "evaluate, all items"))
        found["run / RecBole's SASRec training of ten epochs"] = run / (10 * seconds[SASREC])
        found["evaluation by RecBole's own code / ours, same figures"] = seconds[THEIR_EVALUATION] / seconds[EVALUATION]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", default="250,500,1000", help="sizes of the logs")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--dataset", help="folder of a data set instead, one size")
    parser.add_argument("--peers", choices=("yes", "no"), default="yes", help="whether RecBole's own models are trained, too")
    parser.add_argument("--output", help="write the result as JSON to this file")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    considerate()
    if options.one:
        path = Path(options.one)
        print("RESULT " + json.dumps(measured(path.name, str(path.parent), options.peers == "yes")))
        return
    results = []
    with tempfile.TemporaryDirectory() as name:
        sizes = [int(size) for size in options.people.split(",")]
        made = [Path(options.dataset)] if options.dataset else [
            simulated(size, options.items, options.days, Path(name)) for size in sizes
        ]  # fmt: skip
        for path in made:
            line = [sys.executable, str(Path(__file__).absolute()), f"--one={path.absolute()}", f"--peers={options.peers}"]
            done = subprocess.run(line, capture_output=True, text=True, cwd=name)
            said = [text for text in done.stdout.splitlines() if text.startswith("RESULT ")]
            if not said:
                raise SystemExit(done.stderr[-2000:])
            results.append(json.loads(said[-1].removeprefix("RESULT ")))
    from recbole_esmr.checkpoint import package_versions

    print(table(results).to_markdown())
    for result in results:
        one = result["one_person_ms"]
        told = "; ".join(f"{what} {value:,.2f}" for what, value in ratios(result).items())
        print(f"{result['people']:,} people: one person's slate p50 {one['p50']:.1f} ms, p99 {one['p99']:.1f} ms; {told}")
    kept = {"results": results, "exponents": exponents(results) if len(results) > 1 else {}, "versions": package_versions()}
    kept |= {"cores": os.cpu_count()}
    if options.output:
        Path(options.output).write_text(json.dumps(kept, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
