"""The environment state of a simulated log, apart from the atomic files: so that a rollout goes on with the same people."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recbole_esmr.errors import DataError
from recbole_esmr.files import written_whole
from recbole_esmr.settings import parse
from recbole_esmr.simulation.env import FeedEnv
from recbole_esmr.simulation.world import World


@dataclass(frozen=True)
class EnvironmentState:
    """What :func:`save_state` wrote: the world, its size and seed, the log's fingerprint, and where its people stand."""

    world: World
    users: int
    items: int
    seed: int
    log: str
    state: dict[str, Any]


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

    Raises:
        DataError: no such file, or not one of ours.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            header = json.loads(str(content["header"]))
            state = {name: content[name] for name in content.files if name != "header"}
        sizes = header["users"], header["items"], header["seed"], header["log"]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file. `recbole-esmr simulate --people={path}` writes it.") from error
    except (zipfile.BadZipFile, ValueError, TypeError, KeyError, AttributeError, OSError, EOFError) as error:
        raise DataError(
            f"{path}: is not an environment state that `recbole-esmr simulate --people` wrote. Simulate again."
        ) from error
    return EnvironmentState(parse(World, header["world"], where=f"{path}: world"), *sizes, state)
