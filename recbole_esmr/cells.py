"""A cell of a comparison: one model, or a variant of it, trained and tested with one seed, wherever that is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from threadpoolctl import threadpool_limits

from recbole_esmr.config import Config
from recbole_esmr.errors import ConfigError, ESMRError
from recbole_esmr.evaluator.by_person import ByPerson
from recbole_esmr.quick_start import train_into
from recbole_esmr.trainer.going_on import what_counts
from recbole_esmr.work import Work

RESOURCES = ("train_seconds", "test_seconds", "peak_mb")
"""What a cell cost: training (what is left of one that goes on), testing, and the largest resident memory of its process (on a
GPU, what torch held)."""

SHARED_BY_ALL = ("seed", "model", "dataset")
"""Keys that no variant changes."""

FAILED = "failed"
"""The column that says why a cell has no figures."""


@dataclass(frozen=True)
class Variant:
    """``MODEL+key=value+…``: a model with changed keys.

    Attributes:
        label: as it was written.
        model: the model's name.
        changes: the keys.
    """

    label: str
    model: str
    changes: Mapping[str, str]

    @classmethod
    def named(cls, text: str) -> Variant:
        """Read a name.

        Raises:
            ConfigError: what follows a ``+`` is no ``key=value``.
        """
        label = text.strip()
        model, *changed = label.split("+")
        changes = {}
        for change in changed:
            key, equals, value = change.partition("=")
            if not key or not equals:
                raise ConfigError(f"model '{label}': '{change}' changes no key. Write it as in ESMR+gate=streak.")
            if key in SHARED_BY_ALL:
                raise ConfigError(f"model '{label}': {key} is the same for all models of a comparison. Leave it out of the name.")
            changes[key] = value
        return cls(label, model, changes)


@dataclass(frozen=True)
class Cell:
    """What it takes to train and test a variant, as plain values that another process or machine can be given.

    Attributes:
        variant: of the model.
        seed: of all that is random.
        dataset, config_file_list, config_dict, arguments: as of :func:`~recbole_esmr.quick_start.run_recbole`.
        given: what holds for every model where nobody sets a key.
        folder: where what is done is kept.
        threads: that it computes on; the last digits of a result hang on them.
    """

    variant: Variant
    seed: int
    dataset: str
    config_file_list: tuple[str, ...]
    config_dict: Mapping[str, Any]
    arguments: tuple[str, ...]
    given: Mapping[str, Any]
    folder: str
    threads: int

    @property
    def name(self) -> str:
        """Of the files that are kept of it."""
        return f"{self.variant.label}-{self.seed}".replace("/", "_")

    def config(self) -> Config:
        """RecBole's config of it.

        Raises:
            ESMRError: a key or name that is wrong.
        """
        model, changes = self.variant.model, self.variant.changes  # what a name says comes before what is said for all
        own = {"seed", *changes}
        arguments = [word for word in self.arguments if word.removeprefix("--").partition("=")[0] not in own]
        arguments += [f"--{key}={value}" for key, value in changes.items()]
        config_dict = {**self.config_dict, "seed": self.seed}
        return Config(model, self.dataset, list(self.config_file_list), config_dict, arguments, self.given)

    @cached_property
    def made_from(self) -> dict[str, Any]:
        """All that its figures depend on; the data are read through for it, once."""
        return {**what_counts(self.config()), "threads": self.threads}

    def kept(self) -> dict[str, Any] | None:
        """Its figures, where they are there."""
        return Work(Path(self.folder)).row(self.name, self.made_from)

    def by_person(self) -> dict[str, np.ndarray]:
        """Each person's part of the figures (:mod:`~recbole_esmr.evaluator.by_person`); empty where there are none."""
        return Work(Path(self.folder)).numbers(self.name, self.made_from) or {}


def run_cell(cell: Cell) -> dict[str, Any]:
    """Train and test a cell, going on from where a stopped one was, and keep its figures.

    Returns:
        RecBole's test metrics and :data:`RESOURCES`; or, under :data:`FAILED` alone, what kept it from finishing.
    """
    work = Work(Path(cell.folder))
    checkpoint = work.folder / f"{cell.name}.pth"
    people = ByPerson()
    try:
        config = cell.config()
        config["checkpoint_dir"] = str(work.folder)
        with computing_on(cell.threads), _PeakMemory() as memory:
            result = train_into(config, checkpoint, people)
    except Exception as error:  # what is finished must not be lost by what fails after it
        getLogger().debug("%s, seed %s", cell.variant.label, cell.seed, exc_info=True)
        return {FAILED: why(error)}
    seconds = result["timings"]
    row = {
        **result["test_result"],
        "train_seconds": round(seconds["fit"], 1),
        "test_seconds": round(seconds["test"], 1),
        "peak_mb": memory.megabytes,
    }
    if result["by_person"]:
        work.keep_numbers(cell.name, cell.made_from, result["by_person"])
    work.keep_row(cell.name, cell.made_from, row)
    checkpoint.unlink(missing_ok=True)
    return row


def why(error: Exception) -> str:
    """What kept a part of a comparison from finishing, in one line."""
    reason = str(error) if isinstance(error, ESMRError) else f"{type(error).__name__}: {error}"
    return " ".join(reason.split())


@contextmanager
def computing_on(threads: int) -> Iterator[None]:
    """Within the block torch, LightGBM and numpy compute on so many threads."""
    import lightgbm  # noqa: F401, or it would come later, and with as many threads as there are cores

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)


class _PeakMemory:
    """The largest resident memory of this process within a block, looked at twenty times a second; on a GPU, what torch held."""

    def __init__(self) -> None:
        self._peak, self._ended = 0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _PeakMemory:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        process = psutil.Process()
        while True:
            self._peak = max(self._peak, process.memory_info().rss)
            if self._ended.wait(0.05):
                return

    @property
    def megabytes(self) -> int:
        held = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        return round(max(held, 0 if held else self._peak) / 2**20)
