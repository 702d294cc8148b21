"""One safe file format for every model: tensors, numbers and texts, never a pickled object.

A checkpoint is a file of ``torch.save`` that ``torch.load(..., weights_only=True)`` reads. It holds ``header`` (JSON: schema
version, model, config, package versions), ``state_dict``, ``other_parameter`` (LightGBM as its own text, reports as JSON) and
``optimizer``.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
import torch

from recbole_esmr.errors import CheckpointError
from recbole_esmr.files import SCHEMA_VERSION, written_whole

if TYPE_CHECKING:
    from recbole.config.configurator import Config as RecBoleConfig

_RECOMPUTED = (
    *("device", "MODEL_TYPE", "MODEL_INPUT_TYPE", "eval_type", "valid_metric_bigger", "single_spec", "local_rank"),
    "files_fingerprint",
)
_RECOMPUTED_ARGS = ("train_neg_sample_args", "valid_neg_sample_args", "test_neg_sample_args")
PACKAGES = ("recbole-esmr", "recbole", "torch", "lightgbm", "dowhy", "numpy", "pandas")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        model: name of the model.
        config: the JSON part of its config; ``data_path`` is the folder that holds the data set's folder.
        ids: fingerprint of the users' and items' ids that the weights belong to, None where unknown.
        state_dict, other_parameter, optimizer: as RecBole's trainer knows them.
        training: epoch, cur_step and best_valid_score of the trainer.
    """

    model: str
    config: dict[str, Any]
    ids: str | None
    state_dict: dict[str, torch.Tensor]
    other_parameter: dict[str, Any]
    optimizer: dict[str, Any]
    training: dict[str, Any]


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that a result depends on."""

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:  # a source tree on the path
            return "not installed"

    return {name: installed(name) for name in PACKAGES}


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


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all."""
    header = {
        "schema_version": SCHEMA_VERSION,
        "model": checkpoint.model,
        "config": checkpoint.config,
        "ids": checkpoint.ids,
        "versions": package_versions(),
        "training": checkpoint.training,
    }
    content = {
        "header": json.dumps(header),
        "state_dict": checkpoint.state_dict,
        "other_parameter": _encoded(checkpoint.other_parameter),
        "optimizer": checkpoint.optimizer,
    }
    with written_whole(path) as temporary:
        torch.save(content, temporary)


def load_checkpoint(path: str | Path, model: str | None = None, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: the file.
        model: the model it must be of; None takes any.
        device: where its tensors go.

    Raises:
        CheckpointError: no such file, truncated or not a checkpoint of recbole-esmr, a later schema, another model.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint.")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError, OSError, KeyError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint of recbole-esmr (truncated, or written by RecBole itself as a pickle, "
            "which is not loaded for safety). Train again, or copy the file again."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("header"), str):
        raise CheckpointError(f"{path}: has no header, so it is no checkpoint of recbole-esmr. Train again.")
    header = json.loads(content["header"])
    if header["schema_version"] > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path}: has schema version {header['schema_version']}, this recbole-esmr reads up to {SCHEMA_VERSION}. "
            "Upgrade recbole-esmr."
        )
    if model is not None and header["model"] != model:
        raise CheckpointError(f"{path}: is a checkpoint of {header['model']}, not of {model}. Give one of {model}.")
    return Checkpoint(
        model=header["model"],
        config=header["config"],
        ids=header.get("ids"),
        state_dict=content["state_dict"],
        other_parameter=_decoded(content["other_parameter"]),
        optimizer=content["optimizer"],
        training=header["training"],
    )


def id_fingerprint(dataset: Any) -> str:
    """A hash of the users' and items' names in the order of RecBole's internal ids.

    RecBole numbers them in order of appearance, so rows in another order give every weight to somebody else.
    """
    tokens = (dataset.field2id_token[field] for field in (dataset.uid_field, dataset.iid_field))
    return hashlib.sha256("\n".join("\t".join(map(str, names)) for names in tokens).encode()).hexdigest()


def other_ids(path: str | Path, dataset: Any) -> CheckpointError:
    """The error for a checkpoint whose ids are not those of the data."""
    return CheckpointError(
        f"{path}: belongs to other users or items than data set '{dataset.dataset_name}' has, or to its rows in another "
        "order. Use the very files it was trained on, or train again."
    )


def restore(model: Any, checkpoint: Checkpoint, path: str | Path, dataset: Any = None) -> None:
    """Put a checkpoint's weights into a model.

    Args:
        model: a model of the same class and config.
        checkpoint: what was loaded.
        path: where from, for the message.
        dataset: the data the model is to be used on, to check that its ids are those of the checkpoint; None skips the check.

    Raises:
        CheckpointError: names, shapes or ids differ, as they do when the data set or the sizes in the config differ.
    """
    if dataset is not None and checkpoint.ids not in (None, id_fingerprint(dataset)):
        raise other_ids(path, dataset)
    try:
        model.load_state_dict(checkpoint.state_dict)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise CheckpointError(
            f"{path}: does not fit this model and data set ({first[0].strip()}). "
            "Use the data set and the sizes it was trained with."
        ) from error
    model.load_other_parameter(checkpoint.other_parameter)


def _encoded(value: Any) -> Any:
    """Arrays and sparse matrices as tensors, so that nothing needs a pickle."""
    if isinstance(value, dict):
        return {str(key): _encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(item) for item in value]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"__array__": torch.from_numpy(np.ascontiguousarray(value))}
    if isinstance(value, np.generic):
        return value.item()
    if scipy.sparse.issparse(value):
        matrix = value.tocsr()
        parts = (torch.from_numpy(np.ascontiguousarray(part)) for part in (matrix.data, matrix.indices, matrix.indptr))
        return {"__sparse__": list(parts), "shape": list(matrix.shape), "format": value.format}
    if value is None or isinstance(value, torch.Tensor | str | int | float | bool):
        return value
    raise CheckpointError(f"a {type(value).__name__} of this model cannot be saved without pickling it. Run it with saved=False.")


def _decoded(value: Any) -> Any:
    if isinstance(value, dict) and "__array__" in value:
        return value["__array__"].cpu().numpy()
    if isinstance(value, dict) and "__sparse__" in value:
        data, indices, pointers = (part.cpu().numpy() for part in value["__sparse__"])
        matrix = scipy.sparse.csr_matrix((data, indices, pointers), shape=tuple(value["shape"]))
        return matrix.asformat(value["format"])
    if isinstance(value, dict):
        return {key: _decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value
