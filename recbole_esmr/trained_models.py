"""What a trained model of any kind gives: lists for people, and its figures on the validation and the test part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from recbole_esmr.cells import why
from recbole_esmr.checkpoint import json_config, package_versions, threads
from recbole_esmr.engines import LOCAL, RAY, check_engine, each
from recbole_esmr.errors import ESMRError
from recbole_esmr.evaluator.full_sort import check_k, full_sort_topk, people_named
from recbole_esmr.files import SCHEMA_VERSION, write_json
from recbole_esmr.neighbours import torch_threads
from recbole_esmr.quick_start import load_data_and_model
from recbole_esmr.trainer.checkpointing import get_trainer

AT_ONCE = 256
"""People who are ranked for at once."""

BLOCKS = 16
"""So many times :data:`AT_ONCE` people are a part on a Ray cluster, at most: what is lost with a worker."""

TRIES = 3
"""How often a part of the people is tried whose process dies."""

_SAID = {"state": "WARNING", "show_progress": False}


def recommend(
    checkpoint: str | Path,
    users: Sequence[str] | None = None,
    topk: int = 10,
    config_dict: Mapping[str, Any] | None = None,
    processes: int = 1,
    engine: str = LOCAL,
    address: str | None = None,
) -> pd.DataFrame:
    """The best items for people, from what they had before the test part.

    Args:
        checkpoint: of any model.
        users: ids, everybody unless given.
        topk: items for each.
        config_dict: keys to change, such as ``data_path`` or ``gate``.
        processes, engine, address: parts of the people that are ranked for at once, each on one core, and where
            (:func:`recbole_esmr.engines.each`). Lists are the same wherever they are made, to the last digit. A part whose
            process dies is made again.

    Returns:
        columns ``user``, ``rank`` (from 1), ``item``, ``score``; people in the order asked for. Items that may not be shown are
        left out.

    Raises:
        DataError: somebody who is not in the data.
        ConfigError: more items than there are, or an engine that there is not.
        ESMRError: a part whose process died :data:`TRIES` times.
    """
    check_engine(engine, processes, address)
    keys = {**_SAID, **(config_dict or {})}
    loaded = load_data_and_model(checkpoint, keys)
    numbers = people_named(loaded[2], None if users is None else list(dict.fromkeys(users)))
    check_k(loaded[2], topk)
    blocks = -(-len(numbers) // AT_ONCE)
    size = max(-(-blocks // processes), 1) * AT_ONCE
    if engine == RAY:  # the cluster says how many are made at once
        size = min(size, BLOCKS * AT_ONCE)
    parts = [numbers[first : first + size] for first in range(0, len(numbers), size)] or [numbers]
    if engine == LOCAL and len(parts) == 1:
        found = [_best(loaded, numbers, topk, AT_ONCE)]
    else:
        pieces = [_Part(str(Path(checkpoint).absolute()), keys, part, topk, AT_ONCE) for part in parts]
        done = {}
        for place, part in each(_ranked, pieces, processes, engine, address, tries=TRIES):
            if "failed" in part:
                raise ESMRError(f"part {place + 1} of {len(parts)} of the people was not ranked for: {part['failed']}")
            done[place] = part
        found = [(done[place]["score"], done[place]["item"]) for place in range(len(parts))]
    score, item = (np.concatenate(part).reshape(-1) for part in zip(*found, strict=True))
    dataset = loaded[2]
    frame = pd.DataFrame(
        {
            "user": np.repeat(dataset.field2id_token[dataset.uid_field][numbers], topk),
            "rank": np.tile(np.arange(1, topk + 1), len(numbers)),
            "item": dataset.field2id_token[dataset.iid_field][item],
            "score": score,
        }
    )
    return frame[frame["score"] > float("-inf")].reset_index(drop=True)


@dataclass(frozen=True)
class _Part:
    """People whom one process ranks for.

    Attributes:
        checkpoint, keys, topk: as of :func:`recommend`.
        numbers: (N,) RecBole's internal ids by the checkpoint.
        at_once: how many are ranked for at once; the last digits hang on it.
    """

    checkpoint: str
    keys: Mapping[str, Any]
    numbers: np.ndarray
    topk: int
    at_once: int


def _ranked(part: _Part) -> dict[str, Any]:
    """Scores and items of a part, or why there are none."""
    try:
        score, item = _best(load_data_and_model(part.checkpoint, dict(part.keys)), part.numbers, part.topk, part.at_once)
    except Exception as error:  # whatever it is, who waits for it is to hear it
        return {"failed": why(error)}
    return {"score": score, "item": item}


def _best(loaded: tuple[Any, ...], numbers: np.ndarray, topk: int, at_once: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and internal ids of the best items, (N, topk) each, on one thread, for sums in another order end in other digits."""
    config, model, _, _, _, test_data = loaded
    with torch_threads(1):
        best = [
            full_sort_topk(numbers[first : first + at_once], model, test_data, topk, config["device"])
            for first in range(0, max(len(numbers), 1), at_once)
        ]
    score, item = (torch.cat([part.cpu() for part in parts]).numpy() for parts in zip(*best, strict=True))
    return score, item


def evaluate(
    checkpoint: str | Path, config_dict: Mapping[str, Any] | None = None, output: str | Path | None = None
) -> dict[str, Any]:
    """A trained model on its validation and test part.

    Args:
        checkpoint: of any model.
        config_dict: keys to change, such as ``metrics``, ``topk`` or ``eval_args``.
        output: a file to write what is returned to, as JSON.

    Returns:
        ``valid_result`` and ``test_result`` (None of a part that is empty), and what every result holds.
    """
    config, model, _, train_data, valid_data, test_data = load_data_and_model(checkpoint, {**_SAID, **(config_dict or {})})
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.eval_collector.data_collect(train_data)
    found = {
        name: trainer.evaluate(data, load_best_model=False, show_progress=False) if data else None
        for name, data in (("valid_result", valid_data), ("test_result", test_data))
    }
    trainer.tensorboard.close()
    result = {
        "schema_version": SCHEMA_VERSION, "model": config["model"], "dataset": config["dataset"], "seed": config["seed"],
        "checkpoint": str(checkpoint), **found, "config": json_config(config), "versions": package_versions(),
        "threads": threads(),
    }  # fmt: skip
    if output:
        write_json(output, result)
    return result
