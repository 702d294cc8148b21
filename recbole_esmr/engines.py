"""Where independent pieces of work are done: here one after the other, in several processes, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from recbole_esmr.errors import ConfigError, nearest

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)


class Died(str):
    """Why a process ended without an answer."""


Piece = TypeVar("Piece")
Done = Callable[[Piece], dict[str, Any]]


def check_engine(engine: str, processes: int, address: str | None) -> None:
    """Refuse an engine that there is not, or is not installed, and fewer than one process.

    Raises:
        ConfigError: which, and the mend.
    """
    if processes < 1:
        raise ConfigError(f"processes is {processes}; expected at least 1.")
    if engine not in ENGINES:
        raise ConfigError(f"engine is '{engine}'. {nearest(engine, ENGINES)}")
    if engine == LOCAL and address is not None:
        raise ConfigError("--address is of a Ray cluster: give --engine=ray, too.")
    if engine == RAY:
        _ray()


def each(
    function: Done[Piece],
    pieces: Sequence[Piece],
    processes: int = 1,
    engine: str = LOCAL,
    address: str | None = None,
    cores: int = 1,
    tries: int = 1,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """What ``function`` returns of each piece, with its place, in the order in which they are done.

    Args:
        function: of a module, so that another process finds it; it raises nothing.
        pieces: each can be pickled.
        processes: that work at once; with one all is done in this process.
        engine: ``local`` or ``ray``.
        address: of a Ray cluster, which then says how many work at once; None for one of this machine alone.
        cores: that a Ray cluster gives to each piece.
        tries: how often a piece is tried whose process dies.

    Returns:
        by piece what the function returned. Of one whose process died, ``{"failed": why}``.
    """
    if engine == RAY:
        yield from _on_ray(function, pieces, processes, address, cores, tries)
    elif processes == 1 or len(pieces) < 2:
        yield from ((place, function(piece)) for place, piece in enumerate(pieces))
    else:
        yield from _in_processes(function, pieces, processes, tries)


def _in_processes(
    function: Done[Piece], pieces: Sequence[Piece], processes: int, tries: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """A process of its own for each piece: what one leaves in memory, or dies of, is nothing to the others."""
    context, waiting = multiprocessing.get_context("spawn"), list(enumerate(pieces))[::-1]
    died = [0] * len(pieces)
    running: dict[Any, tuple[int, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                place, piece = waiting.pop()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_send, args=(function, piece, theirs))
                process.start()
                theirs.close()
                running[ours] = place, process
            for ready in wait(list(running)):
                place, process = running.pop(ready)
                found = _received(ready, process)
                died[place] += isinstance(found, Died)
                if not isinstance(found, Died):
                    yield place, found
                elif died[place] >= tries:
                    yield place, {"failed": str(found)}
                else:
                    waiting.append((place, pieces[place]))
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join()


def _send(function: Done[Any], piece: Any, end: Connection) -> None:
    end.send(function(piece))
    end.close()


def _received(end: Any, process: Any) -> dict[str, Any] | Died:
    try:
        return dict(end.recv())
    except EOFError:  # it died before it had anything to say
        process.join()
        code = process.exitcode
        killed = f"was killed by signal {-code}, perhaps for want of memory" if code < 0 else f"ended with exit status {code}"
        return Died(f"its process {killed}")
    finally:
        end.close()
        process.join()


def _on_ray(
    function: Done[Piece], pieces: Sequence[Piece], processes: int, address: str | None, cores: int, tries: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    ray = _ray()
    ours = not ray.is_initialized()
    if ours:
        try:
            own = {} if address else {"num_cpus": processes * cores, "include_dashboard": False}
            ray.init(address=address, log_to_driver=False, **own)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(f"no Ray cluster answers at {address or 'this machine'}: {' '.join(str(error).split())}") from error
    try:
        task = ray.remote(num_cpus=cores, max_retries=tries - 1, max_calls=1)(_registered).remote
        places = {task(function, piece): place for place, piece in enumerate(pieces)}
        while places:
            for ready in ray.wait(list(places))[0]:
                try:
                    found = dict(ray.get(ready))
                except ray.exceptions.RayError as error:
                    found = {"failed": f"Ray lost it: {' '.join(str(error).split())[:200]}"}
                yield places.pop(ready), found
    finally:
        if ours:
            ray.shutdown()


def _registered(function: Done[Any], piece: Any) -> dict[str, Any]:
    import recbole_esmr  # noqa: F401, on this machine RecBole has not been taught yet

    return function(piece)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError("engine ray needs the package ray, which is not installed. Run `pip install ray`.") from error
    return ray
