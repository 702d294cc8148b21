"""The work of a long command: its parts, each kept once it is done, so that the same command goes on after a stop."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from recbole_esmr.errors import ConfigError
from recbole_esmr.leftovers import locked, make_folder
from recbole_esmr.outputs import is_stream, naming
from recbole_esmr.writing import written_whole

_KEY = "made_from"


class Work:
    """A folder of parts that are done. A part is known by its name and by a hash of all that it was made from.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    @contextmanager
    def at(cls, folder: Path | None) -> Iterator[Work]:
        """The work in a folder, in which no other process works meanwhile; with None, in one that is thrown away.

        Raises:
            ConfigError: another process is working there.
        """
        if folder is None:
            with tempfile.TemporaryDirectory() as temporary:
                yield cls(Path(temporary))
            return
        with naming(folder):
            make_folder(folder)
        try:
            with locked(folder):
                yield cls(folder)
        except BlockingIOError as error:
            raise ConfigError(f"{folder}: another process is working there. Wait for it, or give another path.") from error

    def part(self, name: str) -> Work:
        """The work of a part, in a folder of its own."""
        folder = self.folder / name
        with naming(folder):
            make_folder(folder)
        return Work(folder)

    def removed(self) -> None:
        """All is done: nothing of it is needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def numbers(self, name: str, made_from: Any) -> dict[str, np.ndarray] | None:
        """Arrays that were kept under this name and made from the same; None where there are none."""
        try:
            with np.load(self.folder / f"{name}.npz", allow_pickle=False) as content:
                arrays = {key: content[key] for key in content.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):  # none, or no file of ours
            return None
        return arrays if str(arrays.pop(_KEY, "")) == fingerprint(made_from) else None

    def keep_numbers(self, name: str, made_from: Any, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep arrays of numbers or truth values."""
        with written_whole(self.folder / f"{name}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **{_KEY: np.array(fingerprint(made_from)), **arrays})

    def row(self, name: str, made_from: Any) -> dict[str, Any] | None:
        """What JSON can hold, as :meth:`numbers`."""
        try:
            kept = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
            return kept["row"] if kept[_KEY] == fingerprint(made_from) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def keep_row(self, name: str, made_from: Any, row: dict[str, Any]) -> None:
        """Keep what JSON can hold, not-a-number included."""
        with written_whole(self.folder / f"{name}.json") as temporary:
            temporary.write_text(json.dumps({_KEY: fingerprint(made_from), "row": row}), encoding="utf-8")


def hidden_beside(output: str | Path | None) -> Path | None:
    """Where the work for a file or folder is kept until it is written: a hidden folder beside it; None beside a device."""
    if output is None or is_stream(Path(output)):
        return None
    path = Path(output).resolve()
    return path.with_name(f".{path.name}.work")


def content_hash(files: Iterable[Path]) -> str:
    """A hash of the names and contents of files; of those that are there."""
    whole = hashlib.sha256()
    for file in files:
        if file.is_file():
            whole.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as content:
                while block := content.read(2**20):
                    whole.update(block)
    return whole.hexdigest()


def fingerprint(made_from: Any) -> str:
    """A hash of a tree of what JSON can hold."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True, default=str).encode()).hexdigest()
