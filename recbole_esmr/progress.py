"""What a long training keeps on the way, so that it can go on after a stop and come to the same result."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from recbole_esmr.errors import CheckpointError

T = TypeVar("T")

SECONDS = 30.0
"""Between two writes. They cost time, and what was done since the last one is lost by a stop."""


class Stateful(Protocol):
    """What torch's modules and optimizers are: something whose state can be taken and put back."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Any, /) -> Any: ...


@dataclass
class Clock:
    """When the last write was."""

    last: float = field(default_factory=monotonic)


class Progress:
    """What is known of an unfinished training: a tree of tensors, arrays, numbers and texts.

    A training of several parts gives each its own :meth:`part`. A part that is a loop goes :meth:`through` its numbers; a part
    that is done at once is a :meth:`step`. Both begin where the last write left them. Writing depends on the time that has passed
    and on nothing else, so no result depends on it.

    Args:
        kept: what an earlier, stopped training had written; empty for a new one.
        write: takes the tree and writes it whole; None keeps nothing.
    """

    def __init__(self, kept: Mapping[str, Any] | None = None, write: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.kept = dict(kept or {})
        self._write, self._clock = write, Clock()

    def keep(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write the state if it is time to."""
        if self._write is not None and monotonic() - self._clock.last >= SECONDS:
            self._write(state())
            self._clock.last = monotonic()

    def written(self) -> None:
        """Somebody else has just written all there is."""
        self._clock.last = monotonic()

    def part(self, name: str) -> Progress:
        """The progress of a part; whatever it writes, what the parts before it came to is written with it."""
        write = self._write
        part = Progress(self.kept.get(name), None if write is None else lambda state: write({**self.kept, name: state}))
        part._clock = self._clock
        return part

    def step(self, name: str, make: Callable[[Progress], Any], read: Callable[[Any], T] = lambda made: made) -> T:
        """What ``read`` makes of the tree that ``make`` returns for the part's progress.

        What was made before a stop is not made again; the random numbers go on from where it left them.
        """
        part = self.part(name)
        if "made" not in part.kept:
            self.kept[name] = {"made": make(part), "random": RandomStates().state_dict()}
            self.keep(lambda: self.kept)
        else:
            put_back(RandomStates(), part.kept.get("random"))
        return _readable(read, self.kept[name]["made"])

    def through(self, count: int, **parts: Stateful) -> Iterator[int]:
        """The numbers from 0 to ``count`` − 1 of a loop that changes ``parts``, without those that were done before a stop.

        Args:
            count: of the loop.
            parts: all that one round hands to the next, random numbers included (:class:`RandomStates`).
        """
        for name, part in parts.items() if self.kept else ():
            put_back(part, self.kept.get(name))
        for number in range(self.done, count):
            self.keep(partial(_between, number, parts))
            yield number

    @property
    def done(self) -> int:
        """The rounds of the loop that were done before a stop."""
        done = self.kept.get("done", 0)
        if not isinstance(done, int):
            raise _unreadable(TypeError("its count of rounds is no number"))
        return done


def put_back(part: Stateful, state: Any) -> None:
    """Give a part the state that a checkpoint kept of it.

    Raises:
        CheckpointError: it is of something else.
    """
    _readable(part.load_state_dict, state)


def _readable(read: Callable[[Any], T], kept: Any) -> T:
    try:
        return read(kept)
    except CheckpointError:
        raise
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError, OverflowError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> CheckpointError:
    said = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    return CheckpointError(f"what it keeps of the stopped training cannot be used ({said}). Train anew, without --resume.")


def _between(done: int, parts: Mapping[str, Stateful]) -> dict[str, Any]:
    return {"done": done, **{name: part.state_dict() for name, part in parts.items()}}


class RandomStates:
    """Where Python's, numpy's and torch's sequences of random numbers stand, and those of given generators of torch."""

    def __init__(self, *generators: torch.Generator) -> None:
        self._generators = generators

    def state_dict(self) -> dict[str, Any]:
        version, numbers, gauss = random.getstate()
        numpy: Any = np.random.get_state(legacy=False)
        return {
            "python": [version, torch.tensor(numbers), gauss],
            "numpy": {**numpy, "state": {**numpy["state"], "key": torch.from_numpy(numpy["state"]["key"].astype(np.int64))}},
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "generators": [generator.get_state() for generator in self._generators],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers.tolist()), gauss))
        numpy = state["numpy"]
        np.random.set_state({**numpy, "state": {**numpy["state"], "key": numpy["state"]["key"].cpu().numpy().astype(np.uint32)}})
        torch.set_rng_state(state["torch"].cpu())
        if len(state["cuda"]) == torch.cuda.device_count() > 0:
            torch.cuda.set_rng_state_all([part.cpu() for part in state["cuda"]])
        for generator, kept in zip(self._generators, state["generators"], strict=True):
            generator.set_state(kept.cpu())


class BestWeights:
    """The weights of the best round so far, and how many rounds have passed since.

    Args:
        bigger: whether a bigger score is better.
    """

    def __init__(self, bigger: bool) -> None:
        self._sign = 1.0 if bigger else -1.0
        self.score: float | None = None
        self.since = 0
        self.weights: dict[str, torch.Tensor] | None = None

    def judge(self, score: float, module: torch.nn.Module) -> None:
        """Take note of a round's score; of a better one than all before, keep the weights."""
        self.since += 1
        if (self.score is None and score == score) or (self.score is not None and self._sign * (score - self.score) > 0):
            self.score, self.since = score, 0
            self.weights = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.score, "since": self.since, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.score, self.since, self.weights = state["score"], state["since"], state["weights"]


class Numbers(list[float]):
    """A list of numbers that a loop adds to."""

    def state_dict(self) -> dict[str, Any]:
        return {"numbers": list(self)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self[:] = state["numbers"]
