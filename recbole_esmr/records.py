"""What a run records beside its result, in RecBole's log file and TensorBoard folder.

Each run has its own, however many start in one second in one folder. Where they cannot be written the run goes on without them,
for its result does not depend on them: one warning says so.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from recbole.utils import get_flops as recboles_get_flops
from recbole.utils.logger import init_logger as recboles_init_logger

from recbole_esmr.leftovers import make_folder
from recbole_esmr.outputs import naming, unwritable

_LOGGER = logging.getLogger()
_LONGEST = 4096
"""Bytes of a path."""


def get_flops(model: Any, dataset: Any, *given: Any) -> Any:
    """RecBole's ``get_flops``, which a training does not depend on.

    Args:
        model: it is made a copy of, whose prediction for the second interaction is counted.
        dataset, given: as RecBole's.

    Returns:
        the operations; where they cannot be counted, a text that says why.
    """
    if len(dataset) < 2:
        return "not counted: RecBole counts them on the second interaction, and there is one"
    try:
        return recboles_get_flops(model, dataset, *given)
    except Exception as error:  # some models have no predict, cannot be copied, or do not know the person of that interaction
        return f"not counted ({type(error).__name__}: {error})"


def unique_time() -> str:
    """The time as RecBole writes it into names, with this process's number and a random part: no two names are the same."""
    return f"{datetime.now():%b-%d-%Y_%H-%M-%S}-{os.getpid()}-{secrets.token_hex(4)}"


def of_first_process(config: Any, name: str) -> str:
    """The name that the first of several training processes has made; the others look for its checkpoint there."""
    if config["single_spec"]:
        return name
    import torch

    letters = torch.zeros(_LONGEST, dtype=torch.uint8)
    letters[: len(name.encode())] = torch.tensor(list(name.encode()), dtype=torch.uint8)
    letters = letters.to(config["device"])
    torch.distributed.broadcast(letters, src=0)
    return bytes(letters.tolist()).rstrip(b"\0").decode()


def ensure_dir(folder: str) -> None:
    """Make a folder; other processes may be making it at the same time.

    Raises:
        OutputError: it cannot be made.
    """
    with naming(folder):
        make_folder(folder)


def init_logger(config: Any) -> None:
    """RecBole's logging to the terminal and to ``log/MODEL/``; where that cannot be written, to the terminal alone."""
    try:
        recboles_init_logger(config)
    except OSError as error:
        logging.basicConfig(level=str(config["state"] or "INFO").upper(), format="%(asctime)-15s %(levelname)s  %(message)s")
        _LOGGER.warning("This run goes on without a log file: %s", _reason(error, Path("log")))
    for handler in list(_LOGGER.handlers):
        if isinstance(handler, logging.FileHandler):
            handler.handleError = lambda record, handler=handler: _without(handler)  # type: ignore[method-assign, misc]


def _without(handler: logging.FileHandler) -> None:
    _LOGGER.removeHandler(handler)
    _LOGGER.warning("This run goes on without its log file: %s", f"{handler.baseFilename}: cannot be written.")
    with suppress(OSError):
        handler.close()


def _reason(error: OSError, place: Path) -> str:
    return str(error) if not error.errno else str(unwritable(error.filename or place, error))


class TensorBoard:
    """A TensorBoard writer that says so once and does nothing from then on where its folder cannot be written.

    Args:
        folder: where to.
    """

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder, self._writer = folder, None
        try:
            with naming(folder):
                make_folder(folder)
                self._writer = SummaryWriter(folder)
        except OSError as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._writer is None:
                return None
            try:
                return getattr(self._writer, name)(*args, **kwargs)
            except OSError as error:
                self._give_up(error)
                return None

        return call

    def _give_up(self, error: OSError) -> None:
        self._writer = None
        _LOGGER.warning("This run goes on without TensorBoard: %s", _reason(error, self._folder))


def get_tensorboard(logger: logging.Logger) -> TensorBoard:
    """RecBole's TensorBoard writer, into a folder of its own, named after the log file where there is one."""
    file = next((Path(handler.baseFilename) for handler in logger.handlers if isinstance(handler, logging.FileHandler)), None)
    folder = Path("log_tensorboard") / (file.stem if file else f"model-{unique_time()}")
    if folder.exists():  # several trainings in one process share its log file
        folder = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}")
    if threading.excepthook is not _say_nothing_of_tensorboard:
        _say_nothing_of_tensorboard.before = threading.excepthook  # type: ignore[attr-defined]
        threading.excepthook = _say_nothing_of_tensorboard
    return TensorBoard(folder)


def _say_nothing_of_tensorboard(raised: Any) -> None:
    """TensorBoard writes in a thread and raises the error again where the trainer calls; here it would only be a traceback."""
    if not (isinstance(raised.exc_value, OSError) and type(raised.thread).__module__.startswith("tensorboard.")):
        _say_nothing_of_tensorboard.before(raised)  # type: ignore[attr-defined]
