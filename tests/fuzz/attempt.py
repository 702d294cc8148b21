"""One input given to one parser, in bounded time: what comes out is a result, one clear line, or a fault."""

from __future__ import annotations

import shutil
import signal
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import recbole_esmr
from recbole_esmr.errors import ESMRError
from tests.fuzz.mutation import Files
from tests.fuzz.parsers import PARSERS

_OURS = str(Path(recbole_esmr.__file__).parent)
_LONGEST = 2_000
"""Characters of one clear line."""


class Endless(BaseException):
    """An input took longer than it may; no ``except Exception`` and no ``except OSError`` catches it."""


def fault(parser: str, files: Files, seconds: float = 0) -> str | None:
    """What is wrong with how a parser takes an input, None where it gives a result or one clear line.

    Args:
        parser: a key of :data:`~tests.fuzz.parsers.PARSERS`.
        files: the input.
        seconds: of processor time, the longest that it may take; 0 is unbounded.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        for place, content in files.items():
            path = folder / place
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        try:
            with _at_most(seconds):
                PARSERS[parser].read(folder)
        except ESMRError as error:
            return _unclear(str(error), folder)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return _named(error)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
    return None


def _unclear(message: str, folder: Path) -> str | None:
    said = " ".join(message.replace(str(folder), "")[:80].split())
    if "\n" in message or "\r" in message:
        return f"several lines: {said}"
    if len(message) > _LONGEST:
        return f"too long: {said}"
    if not message or not message.isprintable():
        return f"not printable: {said!r}"
    return None


def _named(error: BaseException) -> str:
    """The kind of a fault: the error, and where in the plug-in it came up."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(_OURS)]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno} ({frames[-1].name})" if frames else "elsewhere"
    return f"{type(error).__name__} in {where}: {' '.join(str(error).split())[:60]}"


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Endless(f"more than {seconds:g} s")

    if not seconds:
        yield
        return
    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
