"""RecBole's cached data sets (``save_dataset``): used only while the files that they were made of are the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

FINGERPRINT = "files_fingerprint"
"""Key of the config that holds :func:`fingerprint`; nobody sets it."""


def fingerprint(folder: str | Path, name: str) -> list[str]:
    """The folder of a data set and, of each of its files, name, size in bytes and time of the last change in nanoseconds."""
    folder = Path(folder).resolve()
    files = sorted(path for path in folder.glob("*") if path.name.startswith(f"{name}.") and path.suffix != ".yaml")
    states = [(path.name, path.stat()) for path in files if path.is_file()]
    return [str(folder), *(f"{file} {state.st_size} {state.st_mtime_ns}" for file, state in states)]


def from_scratch(original: Callable[..., Any], dataset: Any) -> None:
    """``Dataset._from_scratch``: a data set is made of its files, and a cached one that is left for that is named.

    Args:
        original: RecBole's own method.
        dataset: RecBole's data set.
    """
    config = dataset.config
    usual = Path(str(config["checkpoint_dir"])) / f"{config['dataset']}-{type(dataset).__name__}.pth"
    cached = Path(str(config["dataset_save_path"] or usual))
    if cached.is_file():
        dataset.logger.warning(
            f"{cached}: this cached data set was made of other files or with other keys, so it is not used. The files in "
            f"{config['data_path']} are read anew."
        )
    original(dataset)
