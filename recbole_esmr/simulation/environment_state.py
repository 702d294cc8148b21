"""The environment state of a simulated log, apart from the atomic files: so that a rollout goes on with the same people."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy

from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import ConfigError, DataError, UnknownNameError
from recbole_esmr.settings import parse, setting
from recbole_esmr.simulation.env import FeedEnv, check_size
from recbole_esmr.simulation.world import World, world_of
from recbole_esmr.writing import written_whole

_HEADER_BYTES = 1 << 22
"""Bytes of a world's settings as text, at most."""

_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, ValueError, TypeError, KeyError, SyntaxError, TokenError),
    *(RecursionError, EOFError, OSError),
)
"""What zipfile, numpy and json raise where the bytes are not theirs."""


@dataclass(frozen=True)
class EnvironmentState:
    """What :func:`save_state` wrote: the world, its size and seed, the log's fingerprint, and where its people stand."""

    world: World
    users: int
    items: int
    seed: int
    log: str
    state: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Header:
    world: Any = setting("settings of the world")
    users: int = setting("people", low=1)
    items: int = setting("videos", low=1)
    seed: int = setting("seed of the world")
    log: str = setting("fingerprint of the log")


def log_fingerprint(folder: str | Path) -> str:
    """A hash of a simulated log's impressions, to know it again."""
    folder = Path(folder)
    return hashlib.sha256((folder / f"{folder.resolve().name}.imp").read_bytes()).hexdigest()


def save_state(path: str | Path, env: FeedEnv, log: str) -> None:
    """Write the state of this morning, the world's settings, its seed and the log's fingerprint; numbers only, no pickle."""
    header = {"world": asdict(env.world), "users": len(env.people), "items": len(env.catalogue), "seed": env.seed, "log": log}
    content = io.BytesIO()  # of a file that cannot be written zipfile says so once more when it is thrown away
    np.savez_compressed(content, header=np.array(json.dumps(header)), **env.snapshot())
    with written_whole(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_state(path: str | Path) -> EnvironmentState:
    """Read what :func:`save_state` wrote.

    The header is read and checked first. It says how many people there are, and so the shape and type of every array; an array
    that claims another is refused before memory is asked for.

    Raises:
        DataError: no such file, not one of ours, or a state in which nobody of this world can be.
        ConfigError: a world with a wrong setting, or of more people than there is memory for.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file. `recbole-esmr simulate --people={path}` writes it.")
    try:
        with zipfile.ZipFile(path) as archive:
            header = _header(archive, path)
            world, users = world_of(header.world, f"{path}: world"), header.users
            check_size(world, users, header.items, str(path))
            traits = len(load_taxonomy(world.emotion_taxonomy)) + len(world.catalogue.strategy_share)
            state = {
                "day": int(_array(archive, "day", (), "i")),
                "state": _array(archive, "state", (users,), "f"),
                "load": _array(archive, "load", (users, traits), "f"),
                "pending": _array(archive, "pending", (users,), "f"),
                "active": _array(archive, "active", (users,), "b"),
            }
    except (ConfigError, DataError, UnknownNameError, PermissionError):
        raise
    except _UNREADABLE as error:
        raise DataError(
            f"{path}: is not an environment state that `recbole-esmr simulate --people` wrote. Simulate again."
        ) from error
    _check_state(state, path)
    return EnvironmentState(world, users, header.items, header.seed, header.log, state)


def _header(archive: zipfile.ZipFile, path: Path) -> _Header:
    """What the file says of itself.

    Raises:
        ConfigError: a key or value that is none of a header's.
        ValueError, TypeError, KeyError: it is no text, or no JSON mapping.
    """
    content = json.loads(str(_array(archive, "header", (), "U")[()]))
    if not isinstance(content, Mapping) or not re.fullmatch("[0-9a-f]{64}", str(content["log"])):
        raise ValueError("no header of ours")
    return parse(_Header, content, str(path))


def _array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """An array of a zip of numpy's, of which the shape and the kind of its type are known.

    Raises:
        KeyError: it is not there. ValueError and others of :data:`_UNREADABLE`: it is another.
    """
    member = archive.getinfo(f"{name}.npy")
    most = _HEADER_BYTES if kind == "U" else 10_000 + 8 * int(np.prod(shape))
    if member.file_size > most or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
        raise ValueError(f"{name} is too large, or packed in another way")
    raw = archive.read(member)
    file = io.BytesIO(raw)
    read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
    written, _, dtype = read(file)
    if (
        written != shape
        or dtype.kind != kind
        or not dtype.isnative
        or dtype.itemsize * int(np.prod(shape)) != len(raw) - file.tell()
    ):
        raise ValueError(f"{name} is an array of {written} {dtype}")
    return np.frombuffer(raw, dtype, offset=file.tell()).reshape(shape).copy()


def _check_state(state: dict[str, Any], path: Path) -> None:
    """That people can stand so: all of it finite, the load a mean of exposures, which lie in [0, 1], and a day of some year."""
    load = state["load"]
    right = all(np.isfinite(state[name]).all() for name in ("state", "load", "pending")) and ((load >= 0) & (load <= 1)).all()
    if not right or not 1 <= state["day"] <= 10**9:
        raise DataError(
            f"{path}: holds a state in which nobody can be (a number that is not finite, or out of range). Simulate again."
        )
