"""A bound on what a model may ask of the memory while it is built from the sizes that a file names."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from recbole_esmr.errors import CheckpointError

_FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)
_FREE = 2**31  # bytes that any model may have beside its weights


class AtMost(TorchFunctionMode):
    """While it is entered, new tensors may together have 2 GiB more than eight times what the weights of a file have.

    Args:
        weights: of the file, a state dict.

    Raises:
        CheckpointError: more is asked for, before it is had.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self._left = _FREE + 8 * sum(value.numel() * value.element_size() for value in weights.values())

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _FACTORIES:
            size = kwargs.get("size", args[0] if args and not isinstance(args[0], int) else args)
            self._left -= 4 * prod(int(length) for length in size)
            if self._left < 0:
                raise CheckpointError("its config asks for a far larger model than its weights are. Train again.")
        return func(*args, **kwargs)
