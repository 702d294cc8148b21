"""Whether what a file holds for a model can be put into it: names, shapes and types are the model's own, numbers are finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor, nn

from recbole_esmr.errors import CheckpointError

_MEND = "Use the data set and the sizes it was trained with."
_ROWS = {"restore_user_e": "n_users", "restore_item_e": "n_items", "restore_entity_e": "n_entities", "i_embedding": "n_items"}
"""Embeddings that RecBole's models make when they are first asked for, and how many rows each has."""
_PLACES = {"adj_entity": "n_entities", "adj_relation": "n_relations"}
"""Attributes of RecBole's models that hold places in a table, and how long the table is."""


def check_weights(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Refuse a state dict that a model of this shape does not have.

    Args:
        own: the model's; given: the file's.

    Raises:
        CheckpointError: a name, shape or type differs, or a number is not finite.
    """
    for names, what in ((own.keys() - given.keys(), "lacks"), (given.keys() - own.keys(), "has, and the model has not,")):
        if names:
            raise CheckpointError(f"does not fit this model and data set (it {what} {min(map(str, names))[:80]}). {_MEND}")
    for name, value in given.items():
        _check_tensor(own[name], value, name)


def load_attributes(model: Any, given: Any) -> None:
    """Give a RecBole model its attributes that are not weights, once all are checked.

    RecBole sets whatever it is given, methods included. Here only the names count that the model itself declares, each with a
    value like the model's own.

    Raises:
        CheckpointError: another name, or a value of another kind or shape.
    """
    own = {name: value for name, value in model.other_parameter().items() if not isinstance(value, nn.Module)}
    if not isinstance(given, dict) or set(given) != set(own):
        held = ", ".join(sorted(map(str, given))) if isinstance(given, dict) else type(given).__name__
        raise CheckpointError(
            f"does not fit this model (beside its weights {type(model).__name__} keeps {', '.join(sorted(own)) or 'nothing'}, "
            f"and the file {held[:200] or 'nothing'}). {_MEND}"
        )
    for name, value in given.items():
        if own[name] is None or (name in _ROWS and value is None):
            _check_made_later(model, name, value)
        else:
            _check_like(own[name], value, name)
        rows = getattr(model, _PLACES[name]) if name in _PLACES else None
        if rows is not None and not bool(((value >= 0) & (value < rows)).all()):
            raise CheckpointError(f"does not fit this model and data set ({name} holds a place outside 0 … {rows - 1}). {_MEND}")
    widths = {value.shape[-1] for name, value in given.items() if name in _ROWS and value is not None}
    if len(widths) > 1:
        raise CheckpointError(f"does not fit this model (size mismatch between {', '.join(sorted(given))}). {_MEND}")
    model.load_other_parameter(given)


def forget_made_of_weights(model: Any) -> None:
    """Let a model make its embeddings of other weights: KGIN and MCCLK would go on with those of the last epoch."""
    for name in _ROWS.keys() - model.other_parameter().keys():
        if getattr(model, name, None) is not None:
            setattr(model, name, None)


def _check_made_later(model: Any, name: str, value: Any) -> None:
    """What a new model does not have yet: embeddings of all users or items, or one number."""
    if value is None:
        return
    rows = getattr(model, _ROWS[name]) if name in _ROWS else None
    fits = isinstance(value, Tensor) and value.layout == torch.strided
    fits = fits and (value.numel() == 1 if rows is None else value.dim() == 2 and len(value) == rows)
    if not fits or not bool(torch.isfinite(value).all()):
        raise CheckpointError(f"does not fit this model and data set ({name} is not {rows or 1} finite rows). {_MEND}")


def _check_like(own: Any, given: Any, name: str) -> None:
    if isinstance(own, Tensor) and isinstance(given, Tensor):
        _check_tensor(own, given, name)
        return
    same = type(own) is type(given) or (isinstance(own, dict) and isinstance(given, dict))  # RecBole's may be a defaultdict
    if scipy.sparse.issparse(own) and same:
        same = _same_numbers(own, given, given.tocsr().data)
    elif isinstance(own, np.ndarray) and isinstance(given, np.ndarray):  # RecBole's may be of the old class np.matrix
        same = _same_numbers(own, given, given)
    elif same and isinstance(own, list | tuple):
        same = len(own) == len(given)
        for place, pair in enumerate(zip(own, given, strict=False)):
            _check_like(*pair, f"{name}[{place}]")
    elif same and isinstance(own, dict):
        same = own.keys() == given.keys()
        for key in own.keys() & given.keys():
            _check_like(own[key], given[key], f"{name}.{key}")
    if not same:
        raise CheckpointError(f"does not fit this model and data set ({name} is of another kind or size, or not finite). {_MEND}")


def _check_tensor(own: Tensor, given: Tensor, name: str) -> None:
    if (own.shape, own.dtype, own.layout) != (given.shape, given.dtype, given.layout):
        raise CheckpointError(
            f"does not fit this model and data set (size mismatch for {name}: {_kind(given)} in the file, {_kind(own)} here). "
            f"{_MEND}"
        )
    if not bool(torch.isfinite(given.values() if given.is_sparse else given).all()):
        raise CheckpointError(f"{name} holds a number that is not finite, which no training leaves. Train again.")


def _same_numbers(own: Any, given: Any, numbers: np.ndarray) -> bool:
    return own.shape == given.shape and own.dtype == given.dtype and bool(np.isfinite(numbers).all())


def _kind(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"
