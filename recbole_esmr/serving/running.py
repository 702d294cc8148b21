"""The server's processes: how `recbole-esmr serve` starts and ends."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from recbole_esmr.errors import ConfigError, MissingPackageError, nearest
from recbole_esmr.serving.artifact import ServedSettings
from recbole_esmr.settings import SERVING, flat_keys
from recbole_esmr.values import read_value

GRACE = 30
"""Seconds that requests which are being answered may take when the server is stopped."""


def serve(options: argparse.Namespace, keys: Sequence[str], say: Callable[[str], None]) -> None:
    """Serve until it is stopped; what was accepted is kept.

    Args:
        options: of the command line.
        keys: of the gate, the limits and the floors, as ``--key=value``.
        say: prints a line.

    Raises:
        MissingPackageError: the extra ``serve`` is not installed.
        ESMRError: a file, key or address that cannot be used.
    """
    _forgetful()
    try:
        import uvicorn

        from recbole_esmr.serving.app import Serving
    except ImportError as error:
        raise MissingPackageError(f"`serve` needs {error.name}: pip install 'recbole-esmr[serve]'.") from error
    changes = serving_keys(keys)
    trust = changes.pop("trust", None)
    if options.api_keys is None and not _is_own(options.host):
        raise ConfigError(
            f"--host={options.host}: whoever reaches this address could read people's profiles. Give --api_keys=FILE, or leave "
            "--host out to serve this machine alone."
        )
    how = Serving(
        str(options.artifact), str(options.store), str(options.key or "esmr.key"),
        None if options.api_keys is None else str(options.api_keys), options.explore, options.rate, tuple(changes.items()), trust,
        None if options.plan is None else str(options.plan),
    )  # fmt: skip
    if options.api_keys is not None and not how.callers():
        raise ConfigError(f"{options.api_keys}: holds no key. Write one a line.")
    service = how.service()  # refused before anything listens
    items = len(service.artifact().stock.names) - 1
    say(f"Serving {items:,} items on http://{options.host}:{options.port} (docs at /docs, a feed to look at on /).")
    how.in_environment()
    with tempfile.TemporaryDirectory() as folder:
        if options.workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        uvicorn.run(
            "recbole_esmr.serving.app:from_environment", factory=True, host=options.host, port=options.port,
            workers=options.workers, access_log=False, log_config=_LOG, timeout_graceful_shutdown=GRACE, server_header=False,
            http="recbole_esmr.serving.prompt:Prompt",
        )  # fmt: skip


def _forgetful() -> None:
    """Begin again so that memory which is given back is overwritten: of who keeps their own profile nothing stays in it.

    With glibc alone; whoever sets MALLOC_PERTURB_ themself decides otherwise (0 switches it off).
    """
    if sys.platform == "linux" and "MALLOC_PERTURB_" not in os.environ:
        tunables = os.environ.get("GLIBC_TUNABLES", "")
        scrubbing = {
            "MALLOC_PERTURB_": "165",
            "PYTHONMALLOC": "malloc",
            "GLIBC_TUNABLES": f"glibc.malloc.tcache_count=0:{tunables}",
        }
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **scrubbing})


def serving_keys(arguments: Sequence[str]) -> dict[str, Any]:
    """Keys that may change after training, of ``--key=value``.

    Raises:
        ConfigError: another key.
    """
    known = [*flat_keys(ServedSettings, SERVING), "trust"]
    found = {}
    for argument in arguments:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or key not in known:
            raise ConfigError(f"unknown key {argument[:60]}. {nearest(key, known)}")
        found[key] = read_value(value)
    return found


def _is_own(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_LOG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(message)s"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"}},
    "loggers": {
        "recbole_esmr.serving": {"handlers": ["out"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"handlers": ["out"], "level": "WARNING", "propagate": False},
    },
}
