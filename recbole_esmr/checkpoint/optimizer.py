"""Puts the state of an optimizer back, once it is known to be of the same optimizer and parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import torch

from recbole_esmr.checkpoint.content import Checkpoint
from recbole_esmr.checkpoint.schema import check_types
from recbole_esmr.errors import CheckpointError


class _State(TypedDict):
    state: dict[int, dict[str, float | torch.Tensor | None]]
    param_groups: list[dict[str, Any]]


def restore_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint, path: str | Path) -> None:
    """Put a checkpoint's state into an optimizer of the same parameters.

    Raises:
        CheckpointError: it is the state of another optimizer, or of other parameters.
    """
    try:
        _check(optimizer, checkpoint.optimizer)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    optimizer.load_state_dict(checkpoint.optimizer)


def _check(optimizer: torch.optim.Optimizer, given: Any) -> None:
    check_types(given, _State, "optimizer")
    rates = [group.get("lr") for group in given["param_groups"]]
    own, groups = ([{**group, "lr": 0} for group in x["param_groups"]] for x in (optimizer.state_dict(), given))
    if own != groups or not all(type(rate) is float and 0 < rate < float("inf") for rate in rates):  # a schedule changes rates
        raise CheckpointError("optimizer: has other settings or parameters than this training. Go on with the same keys.")
    names = _state_names(optimizer)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for place, state in given["state"].items():
        if not 0 <= place < len(parameters) or set(state) != names:
            raise CheckpointError(f"optimizer: the state of parameter {place} is not {', '.join(sorted(names))}. Train again.")
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape not in ((), parameters[place].shape):
                raise CheckpointError(f"optimizer: {name} of parameter {place} has shape {list(value.shape)}. Train again.")
            if value is not None and not bool(torch.isfinite(torch.as_tensor(value)).all()):
                raise CheckpointError(f"optimizer: {name} of parameter {place} is not finite. Train again.")


def _state_names(optimizer: torch.optim.Optimizer) -> set[str]:
    """What such an optimizer remembers of a parameter: found by a step of a small one, for a new one remembers nothing yet."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    group = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
    small = type(optimizer)([{**group, "params": [parameter]}])  # type: ignore[call-arg]
    gradient = torch.zeros(1)
    parameter.grad = gradient.to_sparse() if isinstance(optimizer, torch.optim.SparseAdam) else gradient
    small.step()
    return set(small.state[parameter])
