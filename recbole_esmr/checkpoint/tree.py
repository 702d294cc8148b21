"""Trees of tensors, arrays, numbers and texts as one JSON text and blocks of numbers.

Null, truth values, finite numbers, short texts and lists are JSON's own. All else is an object with one key that says what it is:
``{"dict": [[key, value], …]}``, ``{"tuple": […]}``, ``{"float": "nan"}``, and for what lies in a block its name:
``{"text": "3"}``, ``{"tensor": "4"}``, ``{"array": "5"}``, ``{"sparse": […]}``, ``{"scipy": […]}``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import torch

from recbole_esmr.checkpoint.container import Block
from recbole_esmr.errors import CheckpointError

CONTENT = "content"
"""Name of the block that holds the JSON text."""

_LONG_TEXT = 4096  # characters; longer ones lie in a block
_DEEPEST = 64  # levels
_LONGEST_CONTENT = 2**25  # bytes of JSON, which a hostile file can make fifty times larger in memory
_TYPES = {
    "BOOL": "bool",
    **{f"{letter}{8 * size}": f"{word}{8 * size}" for letter, word in (("I", "int"), ("U", "uint")) for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": f"float{8 * size}" for size in (2, 4, 8)},
    "BF16": "bfloat16",
}
"""safetensors' names of the types that are kept, with those of torch and numpy (which has no bfloat16)."""
_CODES = {name: code for code, name in _TYPES.items()}
_SPECIAL = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
_SCIPY = {f"{format}_{kind}" for format in ("csr", "csc", "coo", "lil", "dok") for kind in ("matrix", "array")}


def to_blocks(tree: Any) -> dict[str, Block]:
    """The blocks that hold a tree, the JSON text first.

    Tensors come back on the CPU, numpy's numbers as Python's, dictionaries and lists without their subclass.

    Raises:
        CheckpointError: it holds something else, or is too large or too deep; the message says where.
    """
    blocks: dict[str, Block] = {}
    text = json.dumps(_Writer(blocks).node(tree, "", 0), separators=(",", ":"), allow_nan=False).encode()
    if len(text) > _LONGEST_CONTENT:
        raise CheckpointError(f"a model of {len(text)} bytes outside its tensors cannot be saved. Run it with saved=False.")
    return {CONTENT: Block("U8", (len(text),), text), **blocks}


def of_blocks(blocks: Mapping[str, Block], device: torch.device | str = "cpu") -> Any:
    """The inverse of :func:`to_blocks`.

    Args:
        device: where tensors go.

    Raises:
        CheckpointError: the blocks hold no tree.
    """
    try:
        if len(blocks[CONTENT].data) > _LONGEST_CONTENT:
            raise ValueError(f"more than {_LONGEST_CONTENT} bytes of JSON")
        tree = json.loads(bytes(blocks[CONTENT].data).decode("ascii"), parse_constant=_refuse_constant)
        reader = _Reader(blocks, device)
        found = reader.value(tree)
        if reader.left:
            raise ValueError(f"nothing names the block {min(reader.left)[:40]!r}")
        return found
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RuntimeError, MemoryError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise CheckpointError(f"its content cannot be used ({what}). Train again.") from error


class _Writer:
    def __init__(self, blocks: dict[str, Block]) -> None:
        self._blocks = blocks

    def node(self, value: Any, where: str, depth: int) -> Any:
        """What stands for a value in the JSON text."""
        if depth > _DEEPEST:
            raise CheckpointError(f"{where[:80]} … is nested deeper than {_DEEPEST} levels and cannot be saved.")

        def inside(item: Any, name: Any) -> Any:
            return self.node(item, f"{where}.{name}" if where else str(name), depth + 1)

        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": str(value)}
        if isinstance(value, str) and len(value) > _LONG_TEXT:
            text = value.encode("utf-8", "surrogatepass")
            return {"text": self._add("U8", (len(text),), text)}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if scipy.sparse.issparse(value) and type(value).__name__ in _SCIPY:  # some are dictionaries too
            matrix = value if value.format == "csc" else value.tocsr()
            parts = (inside(getattr(matrix, part), part) for part in ("data", "indices", "indptr"))
            return {"scipy": [type(value).__name__, list(matrix.shape), *parts]}
        if isinstance(value, dict):
            return {"dict": [[_key(key, where), inside(item, key)] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            items = [inside(item, place) for place, item in enumerate(value)]
            return {"tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, torch.Tensor) and value.layout == torch.sparse_coo:
            whole = value.detach().coalesce()
            return {"sparse": [list(whole.shape), inside(whole.indices(), "indices"), inside(whole.values(), "values")]}
        if isinstance(value, torch.Tensor) and value.layout == torch.strided:
            code = _CODES.get(str(value.dtype).removeprefix("torch."))
            if code is not None:
                flat = value.detach().cpu().contiguous().reshape(-1)
                data = flat.view(torch.uint8).numpy() if len(flat) else b""  # an empty one has no bytes to view
                return {"tensor": self._add(code, value.shape, data)}
        if isinstance(value, np.ndarray) and value.dtype.name in _CODES:
            array = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
            return {"array": self._add(_CODES[value.dtype.name], value.shape, array.reshape(-1).view(np.uint8))}
        raise CheckpointError(
            f"{where}: a {type(value).__name__} of this model cannot be saved without pickling it. Run it with saved=False."
        )

    def _add(self, dtype: str, shape: Sequence[int], data: Any) -> str:
        name = str(len(self._blocks))
        self._blocks[name] = Block(dtype, tuple(shape), data)
        return name


class _Reader:
    def __init__(self, blocks: Mapping[str, Block], device: torch.device | str) -> None:
        self.left = {name: block for name, block in blocks.items() if name != CONTENT}
        self._device = device
        self._read: dict[str, Callable[[Any], Any]] = {
            "dict": self._dict,
            "tuple": lambda items: tuple(self.value(item) for item in _list(items)),
            "float": lambda name: _SPECIAL[name],
            "text": lambda name: bytes(self._take(name).data).decode("utf-8", "surrogatepass"),
            "tensor": self._tensor,
            "array": self._array,
            "sparse": self._sparse,
            "scipy": self._scipy,
        }

    def value(self, node: Any) -> Any:
        """What a node of the JSON text stands for."""
        if isinstance(node, list):
            return [self.value(item) for item in node]
        if not isinstance(node, dict):
            return node
        (kind, content), *more = node.items()
        if more or kind not in self._read:
            raise ValueError(f"unknown kind of value {str(kind)[:40]!r}")
        return self._read[kind](content)

    def _take(self, name: str) -> Block:
        """A block, which nothing else may name: a small file could else become very large."""
        block = self.left.pop(name)
        if block.dtype == "BOOL" and (np.frombuffer(block.data, dtype=np.uint8) > 1).any():
            raise ValueError(f"block {name} holds a truth value that is neither 0 nor 1")
        return block

    def _dict(self, pairs: Any) -> dict[str | int, Any]:
        found = {}
        for key, item in _list(pairs):
            if not isinstance(key, str | int) or isinstance(key, bool):
                raise ValueError(f"a key is a {type(key).__name__}")
            found[key] = self.value(item)
        return found

    def _tensor(self, name: str) -> torch.Tensor:
        block = self._take(name)
        dtype = getattr(torch, _TYPES[block.dtype])
        if not len(block.data):
            return torch.empty(block.shape, dtype=dtype, device=self._device)  # torch refuses an empty buffer
        return torch.frombuffer(block.data, dtype=dtype).reshape(block.shape).to(self._device)

    def _array(self, name: str) -> np.ndarray:
        block = self._take(name)
        return np.frombuffer(block.data, dtype=np.dtype(_TYPES[block.dtype]).newbyteorder("<")).reshape(block.shape)

    def _sparse(self, content: Any) -> torch.Tensor:
        shape, indices, values = content
        return torch.sparse_coo_tensor(self.value(indices), self.value(values), shape, check_invariants=True).coalesce()

    def _scipy(self, content: Any) -> Any:
        kind, shape, *parts = content
        if kind not in _SCIPY:
            raise ValueError(f"unknown kind of sparse matrix {str(kind)[:40]!r}")
        form, _, family = kind.partition("_")
        first = getattr(scipy.sparse, f"{'csc' if form == 'csc' else 'csr'}_{family}")
        matrix = first(tuple(self.value(part) for part in parts), shape=tuple(shape))
        matrix.check_format(full_check=True)  # scipy's own code trusts the indices
        return matrix.asformat(form)


def _key(key: Any, where: str) -> str | int:
    if isinstance(key, np.integer):
        return int(key)
    if isinstance(key, str | int) and not isinstance(key, bool):
        return key
    raise CheckpointError(f"{where}: the key {key!r} is a {type(key).__name__}, which cannot be saved. Run it with saved=False.")


def _list(items: Any) -> list[Any]:
    if not isinstance(items, list):
        raise ValueError(f"a {type(items).__name__} in the place of a list")
    return items


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
