"""All that one epoch of a RecBole trainer hands to the next."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from recbole_esmr.checkpoint import Checkpoint, restore, restore_optimizer
from recbole_esmr.progress import RandomStates, Stateful


class TrainingState:
    """The state of a trainer between two epochs: weights, optimizers, early stopping, random numbers.

    Args:
        trainer: of RecBole, before its first epoch.
        loaders: of the training and the validation part, None where there is none.
        beside: what else an epoch changes, by name.
    """

    def __init__(self, trainer: Any, loaders: tuple[Any, ...], beside: Mapping[str, Stateful]) -> None:
        self._trainer = trainer
        self._parts: dict[str, Stateful] = {
            **beside,
            "random": RandomStates(*_generators(loaders)),  # the last, for loading the others may draw
        }

    def state_dict(self) -> dict[str, Any]:
        trainer = self._trainer
        return {
            "weights": trainer.model.state_dict(),
            "other_parameter": plain_parameters(trainer.model),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in _optimizers(trainer).items()},
            "stopping": [trainer.cur_step, float(trainer.best_valid_score), trainer.best_valid_result],
            "train_loss": {str(epoch): loss for epoch, loss in trainer.train_loss_dict.items()},
            **{name: part.state_dict() for name, part in self._parts.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        trainer, where = self._trainer, "the stopped training"
        held = Checkpoint("", {}, None, state["weights"], state["other_parameter"], {}, {})
        restore(trainer.model, held, where)
        for name, kept in state["optimizers"].items():
            restore_optimizer(vars(trainer)[name], replace(held, optimizer=kept), where)
        trainer.cur_step, trainer.best_valid_score, trainer.best_valid_result = state["stopping"]
        trainer.train_loss_dict = {int(epoch): loss for epoch, loss in state["train_loss"].items()}
        for name, part in self._parts.items():
            part.load_state_dict(state[name])


class Attributes:
    """What a model has changed of itself in training beside its parameters and buffers.

    Some of RecBole's models count their updates (MultiVAE), shuffle a list of their own (LINE) or replace their graph (KGAT), and
    name none of it in ``other_parameter``.

    Args:
        model: before its first epoch.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._at_first = {where: (_mark(value), value if _is_sparse(value) else None) for where, value in self._all()}

    def state_dict(self) -> dict[str, Any]:
        changed = {}
        for where, value in self._all():
            mark, same = self._at_first.get(where, (None, None))
            if value is not same if _is_sparse(value) else _mark(value) != mark:
                changed[where] = value.detach() if isinstance(value, torch.Tensor) else value
        return changed

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for where, value in state.items():
            module, _, name = where.rpartition(".")
            owner = self._model.get_submodule(module)
            before = getattr(owner, name, None)
            if not _is_plain(before) or not _is_plain(value):  # a file may replace no method and no layer
                raise TypeError(f"{where} is a {type(before).__name__}")
            if isinstance(value, torch.Tensor):
                value = value.to(before.device if isinstance(before, torch.Tensor) else next(self._model.parameters()).device)
            setattr(owner, name, value.copy() if isinstance(value, np.ndarray) else value)

    def _all(self) -> Iterator[tuple[str, Any]]:
        """Numbers, arrays and tensors, by module and name; those of ``other_parameter`` are kept there."""
        elsewhere = {f".{name}" for name in getattr(self._model, "other_parameter_name", ())}
        for path, module in self._model.named_modules():
            for name, value in vars(module).items():
                where = f"{path}.{name}"
                if where not in elsewhere and name != "training" and _is_plain(value):
                    yield where, value


def plain_parameters(model: Any) -> dict[str, Any]:
    """RecBole's ``other_parameter`` without modules, whose weights are in the state dict anyway."""
    return {name: value for name, value in model.other_parameter().items() if not isinstance(value, nn.Module)}


def _optimizers(trainer: Any) -> dict[str, Optimizer]:
    """A trainer's optimizers by attribute; where ``optimizer`` stands for another of them in turn, those alone."""
    named = {name: value for name, value in vars(trainer).items() if isinstance(value, Optimizer)}
    others = [value for name, value in named.items() if name != "optimizer"]
    return {name: value for name, value in named.items() if name != "optimizer" or all(value is not other for other in others)}


def _generators(loaders: tuple[Any, ...]) -> list[torch.Generator]:
    """Each loader's own random numbers; a knowledge graph's loader is two."""
    single = []
    for loader in loaders:
        parts = (getattr(loader, "general_dataloader", None), getattr(loader, "kg_dataloader", None))
        single += [part for part in parts if part is not None] or [loader]
    return [loader.generator for loader in single if getattr(loader, "generator", None) is not None]


def _is_plain(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return not value.dtype.hasobject
    return value is None or isinstance(value, bool | int | float | torch.Tensor)


def _is_sparse(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout != torch.strided


def _mark(value: Any) -> Any:
    """The value of a number; of an array or tensor a hash of its content."""
    if _is_sparse(value):
        return None
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, hashlib.blake2b(value.tobytes()).hexdigest()
    return value
