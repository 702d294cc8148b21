"""Takes people out of a checkpoint: their rows of every table that is indexed by people become zero, and their ids nobody's."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse
import torch

from recbole_esmr.checkpoint import Checkpoint
from recbole_esmr.checkpoint.known_ids import KnownIds

_PEOPLES = re.compile(r"user|UI_emb|susceptibility|interaction_matrix|pred_mat")
"""In the name of a table with a row a person, of RecBole's models and ours."""
_STACKED = "token_embedding_table"
"""In the name of RecBole's table of all token fields, one field's rows under another's."""
_COLUMNS = {("DMF", "item_linear.weight")}
"""Tables with a column a person: model, name."""
_OF_GRAPHS = ("ripple_set",)
"""What a model keeps of a person as a table of other things; it cannot be zeroed."""
_USUAL = {"susceptibility": 1.0}
"""What stands for who is nobody, where that is not zero: everybody's response."""


@dataclass(frozen=True)
class Erased:
    """A checkpoint without some people.

    Attributes:
        checkpoint: the rest of it.
        tables: names of the tables whose rows were zeroed.
        unclear: names of tables that may have a row a person, which neither name nor size tells.
    """

    checkpoint: Checkpoint
    tables: tuple[str, ...]
    unclear: tuple[str, ...]


def erase(checkpoint: Checkpoint, known: KnownIds, numbers: np.ndarray) -> Erased:
    """Take people out of a checkpoint; the numbers of all others stay, so it still loads.

    A training that was stopped cannot go on from it: what it kept for that is left out.

    Args:
        checkpoint: of any model.
        known: its ids.
        numbers: (N,) internal ids of the people.
    """
    user, item = str(checkpoint.config["USER_ID_FIELD"]), str(checkpoint.config["ITEM_ID_FIELD"])
    sizes = len(known.codes[user]) + 1, len(known.codes[item]) + 1
    eraser = _Eraser(checkpoint.model, *sizes, next(iter(known.codes)) == user, np.asarray(numbers))
    state, other = eraser.tree(checkpoint.state_dict), eraser.tree(checkpoint.other_parameter)
    kept = replace(
        checkpoint,
        state_dict=state,
        other_parameter=other,
        optimizer=eraser.moments(checkpoint.optimizer),
        ids=known.without(user, numbers).text,
        progress={},
    )
    return Erased(kept, tuple(eraser.tables), tuple(eraser.unclear))


@dataclass
class _Eraser:
    model: str
    users: int
    items: int
    users_first: bool
    numbers: np.ndarray
    tables: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    _shapes: dict[tuple[int, ...], tuple[int, ...]] = field(default_factory=dict)

    def tree(self, value: Any, name: str = "") -> Any:
        """The tree with the rows of these people zeroed in every table of it."""
        if name.rpartition(".")[2] in _OF_GRAPHS:
            self.unclear.append(name)
            return value
        if isinstance(value, dict):
            return {key: self.tree(item, f"{name}.{key}" if name else str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.tree(item, f"{name}.{place}") for place, item in enumerate(value))
        shape = tuple(getattr(value, "shape", ()))
        dimensions = self._dimensions(name, shape, scipy.sparse.issparse(value)) if shape else ()
        if not dimensions:
            return value
        self.tables.append(name)
        self._shapes[shape] = dimensions
        return _zeroed(value, dimensions, self.numbers, _USUAL.get(name, 0.0))

    def moments(self, optimizer: dict[str, Any]) -> dict[str, Any]:
        """The optimizer's state, zeroed where a table of such a shape was; at worst an item's momentum is lost too."""

        def of(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: of(item) for key, item in value.items()}
            dimensions = self._shapes.get(tuple(getattr(value, "shape", ())))
            return _zeroed(value, dimensions, self.numbers, 0.0) if dimensions else value

        return {key: of(value) if key == "state" else value for key, value in optimizer.items()}

    def _dimensions(self, name: str, shape: tuple[int, ...], sparse: bool) -> tuple[int, ...]:
        """The dimensions of a table that are indexed by people."""
        if _STACKED in name and self.users_first and shape[0] > self.users:
            return (0,)
        if (self.model, name) in _COLUMNS and shape[1] == self.users:
            return (1,)
        if _PEOPLES.search(name) and shape[0] == self.users:
            return (0,)
        if shape[0] == self.users + self.items:  # people's rows come first
            return (0,)
        if sparse and shape == (self.users, self.users) and self.users != self.items:
            return (0, 1)
        if (shape[0] == self.users and "item" not in name) or _STACKED in name:
            self.unclear.append(name)
        return ()


def _zeroed(value: Any, dimensions: tuple[int, ...], numbers: np.ndarray, fill: float) -> Any:
    """A copy of a table in which these rows (dimension 0) or columns (1) hold ``fill``."""
    if scipy.sparse.issparse(value):
        matrix = value.tocoo()
        keep = np.ones(matrix.nnz, dtype=bool)
        for dimension in dimensions:
            keep &= ~np.isin((matrix.row, matrix.col)[dimension], numbers)
        parts = matrix.data[keep], (matrix.row[keep], matrix.col[keep])
        return type(matrix)(parts, shape=matrix.shape).asformat(value.format)
    if isinstance(value, torch.Tensor) and value.is_sparse:
        whole, gone = value.coalesce(), torch.from_numpy(numbers)
        kept = ~torch.stack([torch.isin(whole.indices()[dimension], gone) for dimension in dimensions]).any(dim=0)
        return torch.sparse_coo_tensor(whole.indices()[:, kept], whole.values()[kept], value.shape)
    copy = value.clone() if isinstance(value, torch.Tensor) else np.array(value)
    for dimension in dimensions:
        copy[(slice(None),) * dimension + (numbers,)] = fill
    return copy
