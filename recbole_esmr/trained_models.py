"""What a trained model of any kind gives: lists for people, and its figures on the validation and the test part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from recbole_esmr.checkpoint import json_config, package_versions, threads
from recbole_esmr.evaluator.full_sort import full_sort_topk, people_named
from recbole_esmr.files import SCHEMA_VERSION, write_json
from recbole_esmr.quick_start import load_data_and_model
from recbole_esmr.trainer.checkpointing import get_trainer

AT_ONCE = 256
"""People who are ranked for at once."""

_SAID = {"state": "WARNING", "show_progress": False}


def recommend(
    checkpoint: str | Path, users: Sequence[str] | None = None, topk: int = 10, config_dict: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """The best items for people, from what they had before the test part.

    Args:
        checkpoint: of any model.
        users: ids, everybody unless given.
        topk: items for each.
        config_dict: keys to change, such as ``data_path`` or ``gate``.

    Returns:
        columns ``user``, ``rank`` (from 1), ``item``, ``score``; people in the order asked for. Items that may not be shown are
        left out.

    Raises:
        DataError: somebody who is not in the data.
        ConfigError: more items than there are.
    """
    config, model, dataset, _, _, test_data = load_data_and_model(checkpoint, {**_SAID, **(config_dict or {})})
    numbers = people_named(dataset, None if users is None else list(dict.fromkeys(users)))
    asked = dataset.field2id_token[dataset.uid_field][numbers]
    best = [
        full_sort_topk(numbers[first : first + AT_ONCE], model, test_data, topk, config["device"])
        for first in range(0, len(numbers), AT_ONCE)
    ]
    score, item = (torch.cat([part.cpu() for part in parts]) for parts in zip(*best, strict=True))
    frame = pd.DataFrame(
        {
            "user": [name for name in asked for _ in range(topk)],
            "rank": [place + 1 for _ in asked for place in range(topk)],
            "item": dataset.field2id_token[dataset.iid_field][item.flatten().numpy()],
            "score": score.flatten().numpy(),
        }
    )
    return frame[frame["score"] > float("-inf")].reset_index(drop=True)


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
