"""What a command says: its tables on standard output, and one line on standard error where something is wrong."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from typing import NoReturn

from recbole_esmr.errors import ESMRError
from recbole_esmr.outputs import unwritable


def line_of(error: BaseException) -> str:
    """One line for an error that the user can mend; any other goes on."""
    if isinstance(error, ESMRError):
        return " ".join(str(error).splitlines())
    if isinstance(error, MemoryError) or "allocate memory" in str(error):  # torch's own is a RuntimeError
        return f"there is too little memory ({' '.join(str(error).split())[:200]}). Make batches, sizes or the data smaller."
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror or error}. Give a path that can be read or written."
    raise error


def complain(line: str, exit_code: int = 2) -> int:
    """Say what is wrong on standard error; the exit code."""
    with suppress(OSError, AttributeError):  # nobody reads standard error, or it is closed
        print(f"recbole-esmr: {line}", file=sys.stderr, flush=True)
    return exit_code


class Printer:
    """Prints; where standard output cannot be written, the files of a command are written all the same.

    Attributes:
        failed: what is to be said of it at the end; nothing where the reader of a pipe went away, as ``head`` does.
    """

    failed: ESMRError | None = None

    def __call__(self, text: str, end: str = "\n") -> None:
        try:
            print(text, end=end, flush=True)
        except OSError as error:
            self._give_up(error)

    def flush(self) -> None:
        """Write out what argparse has printed."""
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            self.failed = unwritable("standard output", error)
        with suppress(OSError, AttributeError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # Python would try again at its end


class OneLineParser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, and does not print its usage before it."""

    def error(self, message: str) -> NoReturn:
        command = self.prog.partition(" ")[2]
        complain(f"{message}. See recbole-esmr {command + ' ' if command else ''}--help".replace("..", "."))
        self.exit(2)
