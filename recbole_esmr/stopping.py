"""Ctrl-C and SIGTERM end a command at any moment with one line that says how to go on."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
KEEP_WHAT_IS_DONE = ("compare", "rollout")
"""Commands that go on when they are given again, from what they keep beside their output or in ``--keep``."""

_A_MOMENT = 0.02
_ONE_WISH = 2.0
"""Seconds in which a second Ctrl-C is the same wish: what is being saved is saved. Later it ends the process at once."""


def going_on(arguments: Sequence[str], checkpoint: str | None = None) -> str:
    """What is said of a stopped command: the command that goes on, quoted for the shell.

    Args:
        arguments: those that it was given.
        checkpoint: a file to go on from; None where there is none.
    """
    import shlex  # it takes longer to import than all else here, which is to be there from the first moment

    command, words = arguments[0] if arguments else "", list(arguments)
    kept = command in KEEP_WHAT_IS_DONE and any(word.partition("=")[0] in ("--output", "--keep") for word in words)
    goes_on = kept or any(word.startswith("--resume") for word in words)
    if checkpoint and command not in KEEP_WHAT_IS_DONE:
        while "--resume" in words:
            place = words.index("--resume")
            del words[place : place + 2]
        words = [*(word for word in words if not word.startswith("--resume=")), f"--resume={checkpoint}"]
        goes_on = True
    return f"stopped. {'Go on' if goes_on else 'Start again'} with: {shlex.join(['recbole-esmr', *words])}"


class Watch:
    """Answers Ctrl-C and SIGTERM while a command runs.

    A signal first ends the process at once, with the line: nothing can be lost while modules are imported, and an exception in
    the middle of an import would be taken for a module that is missing. After :meth:`raising` it is a ``KeyboardInterrupt``, so
    that the command can save what it has.

    Attributes:
        signal: the one that came; None before.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)
        self.signal: int | None = None
        self._since = 0.0
        self._raises = False
        self._process = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Watch:
        self._unraisable = sys.unraisablehook
        if threading.current_thread() is threading.main_thread():  # Python lets nobody else answer signals
            self._before = {number: signal.signal(number, self._answer) for number in SIGNALS}
            sys.unraisablehook = self._lost
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before if before is not None else signal.SIG_DFL)
        if self._before:
            sys.unraisablehook = self._unraisable

    def raising(self) -> None:
        """From now on a signal is raised as ``KeyboardInterrupt``."""
        self._raises = True

    def _answer(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker that was forked: its parent says what there is to say
            os._exit(128 + number)
        if not self._raises or (self.signal is not None and time.monotonic() - self._since > _ONE_WISH):
            os.write(2, f"\nrecbole-esmr: {going_on(self.arguments)}\n".encode()[not self._raises :])
            os._exit(128 + number)
        if self.signal is None:
            self.signal, self._since = number, time.monotonic()
            raise KeyboardInterrupt

    def _lost(self, unraisable: Any) -> None:
        """Answer once more, in a moment, what came while Python could not raise it, such as in a callback of LightGBM."""
        if self._raises and issubclass(unraisable.exc_type, KeyboardInterrupt) and self.signal is not None:
            number, self.signal = self.signal, None
            again = threading.Timer(_A_MOMENT, _send, (number,))
            again.daemon = True
            again.start()
        else:
            self._unraisable(unraisable)


def _send(number: int) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)  # it also ends a system call that waits
    else:
        _thread.interrupt_main(signal.Signals(number))


def watch_command() -> None:
    """Answer signals from now on where this process is the command ``recbole-esmr``, not a program that imports the package."""
    if "--multiprocessing-fork" in sys.orig_argv:  # a worker has its parent's arguments
        return
    by_module = sys.argv[:1] == ["-m"] and not {"recbole_esmr", "recbole_esmr.cli"}.isdisjoint(sys.orig_argv)
    if by_module or os.path.basename(sys.argv[0] if sys.argv else "").startswith("recbole-esmr"):
        Watch(sys.argv[1:]).__enter__()
