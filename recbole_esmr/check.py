"""Check a data set before anything is trained: what was found in its files, what is odd, and whether a run would be refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recbole_esmr.config import Config
from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.data.reading.found import files_found, log_found
from recbole_esmr.errors import ESMRError
from recbole_esmr.files import SCHEMA_VERSION
from recbole_esmr.quick_start import prepare
from recbole_esmr.recbole_models import MODEL_NAME


def check(
    dataset: str,
    config_file_list: Sequence[str | Path] | None = None,
    config_dict: dict[str, Any] | None = None,
    arguments: Sequence[str] | None = None,
    model: str = MODEL_NAME,
) -> dict[str, Any]:
    """Read a data set as a run would, and say what was found.

    Args:
        dataset, config_file_list, config_dict, arguments: as of :func:`~recbole_esmr.quick_start.run_recbole`.
        model: whose run is asked about.

    Returns:
        ``schema_version``, ``dataset``, ``folder``, ``model``, ``files`` and ``log`` (see
        :mod:`recbole_esmr.data.reading.found`; ``log`` is None where it could not be read, or for another model), ``warnings`` (a
        line each, with its mend) and ``refused`` (the line that a run would end with; None where it would start).

    Raises:
        ESMRError: no such data set, or a config that is wrong.
    """
    config = Config(model, dataset, config_file_list, config_dict, arguments)
    folder, name = Path(str(config["data_path"])), str(config["dataset"])
    refused, log = None, None
    with _warnings_of_recbole() as warnings:
        try:
            data, *_ = prepare(config)
            log = log_found(data) if isinstance(data, ESMRDataset) else None
        except ESMRError as error:
            refused = str(error)
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": name,
        "folder": str(folder),
        "model": str(config["model"]),
        "files": files_found(folder, name, config),
        "log": log,
        "warnings": list(dict.fromkeys(warnings)),
        "refused": refused,
    }


@contextmanager
def _warnings_of_recbole() -> Iterator[list[str]]:
    """Collect what RecBole and the data set warn of; where nobody has set up a log, it is shown nowhere else."""
    found: list[str] = []
    collect = logging.Handler(logging.WARNING)
    collect.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger()
    level = logger.level
    logger.addHandler(collect)
    logger.setLevel(logging.WARNING)
    try:
        yield found
    finally:
        logger.removeHandler(collect)
        logger.setLevel(level)
