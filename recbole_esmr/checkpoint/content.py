"""What a checkpoint holds: one safe file format for every model, with tensors, numbers and texts and never a pickled object."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import torch

from recbole_esmr.checkpoint.container import read_blocks, write_blocks
from recbole_esmr.checkpoint.schema import check_types
from recbole_esmr.checkpoint.tree import of_blocks, to_blocks
from recbole_esmr.errors import CheckpointError

if TYPE_CHECKING:
    from recbole.config.configurator import Config as RecBoleConfig

_RECOMPUTED = (
    *("device", "MODEL_TYPE", "MODEL_INPUT_TYPE", "eval_type", "valid_metric_bigger", "single_spec", "local_rank"),
    *("sign", "trust"),  # paths of this machine, and nobody else's business
)
_RECOMPUTED_ARGS = ("train_neg_sample_args", "valid_neg_sample_args", "test_neg_sample_args")
PACKAGES = ("recbole-esmr", "recbole", "torch", "lightgbm", "dowhy", "numba", "numpy", "pandas")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        model: name of the model.
        config: the JSON part of its config; ``data_path`` is the folder that holds the data set's folder.
        ids: those that the weights belong to (:class:`~recbole_esmr.checkpoint.known_ids.KnownIds`), None where unknown.
        state_dict, other_parameter, optimizer: as RecBole's trainer knows them.
        training: epoch, cur_step and best_valid_score of the trainer; empty where there was none.
        progress: what a stopped training needs to go on.
    """

    model: str
    config: dict[str, Any]
    ids: str | None
    state_dict: dict[str, torch.Tensor]
    other_parameter: dict[str, Any]
    optimizer: dict[str, Any]
    training: dict[str, Any]
    progress: dict[str, Any] = field(default_factory=dict)


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that a result depends on."""
    return {name: _installed(name) for name in PACKAGES}


@cache
def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # a source tree on the path
        return "not installed"


def threads() -> int:
    """How many threads torch computes on; a sum over other threads is rounded otherwise, and a training follows its rounding."""
    return torch.get_num_threads()


def json_config(config: RecBoleConfig) -> dict[str, Any]:
    """The part of a config that JSON can hold and from which the rest follows."""
    kept = {}
    for key, value in config.final_config_dict.items():
        if key in _RECOMPUTED or key in _RECOMPUTED_ARGS[1:]:
            continue
        try:
            kept[key] = json.loads(json.dumps(value))
        except TypeError:
            continue
    negatives = kept.get("train_neg_sample_args")
    if negatives and negatives.get("distribution") == "none":
        kept["train_neg_sample_args"] = None
    kept["data_path"] = str(Path(str(config["data_path"])).resolve().parent)
    return kept


def save_checkpoint(path: str | Path, checkpoint: Checkpoint, sign: str | Path | None = None) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        sign: file of the private key that signs it; None signs nothing.

    Raises:
        CheckpointError: it holds what cannot be kept without pickling it.
    """
    content = {part.name: getattr(checkpoint, part.name) for part in fields(Checkpoint)}
    write_blocks(path, to_blocks({**content, "versions": package_versions()}), sign)


def load_checkpoint(
    path: str | Path, model: str | None = None, device: torch.device | str = "cpu", trust: str | Path | None = None
) -> Checkpoint:
    """Read a checkpoint and check that each part is of its type.

    Args:
        path: the file.
        model: the model it must be of; None takes any.
        device: where its tensors go.
        trust: file of the public key that must have signed it; None takes any file.

    Raises:
        CheckpointError: no such file, damaged or no checkpoint of recbole-esmr, of another version or another model.
    """
    blocks = read_blocks(path, trust)
    try:
        content = of_blocks(blocks, device)
        checkpoint = _checked(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if model is not None and checkpoint.model != model:
        raise CheckpointError(f"{path}: is a checkpoint of {checkpoint.model}, not of {model}. Give one of {model}.")
    return checkpoint


class _Training(TypedDict):
    epoch: int
    cur_step: int
    best_valid_score: float


def _checked(content: Any) -> Checkpoint:
    """A checkpoint of which every part has the type that it should have."""
    if not isinstance(content, dict) or not isinstance(content.pop("versions", None), dict):
        raise CheckpointError("its content has no versions. Train again.")
    check_types(content, Checkpoint, "its content")
    if content["training"]:
        check_types(content["training"], _Training, "training")
    return Checkpoint(**content)
