"""Safe checkpoints for every RecBole trainer, RecBole's own included."""

from __future__ import annotations

import functools
from typing import Any

import torch
from recbole.trainer.trainer import Trainer
from recbole.utils import set_color
from recbole.utils import utils as recbole_utils
from torch import nn

from recbole_esmr.checkpoint import (
    Checkpoint,
    id_fingerprint,
    json_config,
    load_checkpoint,
    other_ids,
    restore,
    restore_optimizer,
    save_checkpoint,
)
from recbole_esmr.records import of_first_process
from recbole_esmr.trainer.readiness import check_rankable, check_trainable

_find_trainer = recbole_utils.get_trainer


class SafeCheckpoints(Trainer):
    """Replaces what a RecBole trainer saves and loads by the format of :mod:`recbole_esmr.checkpoint`.

    RecBole pickles its config into every checkpoint, which torch ≥ 2.6 refuses to load.
    """

    _ids: str | None = None

    def __init__(self, config: Any, model: nn.Module) -> None:
        super().__init__(config, model)
        self.saved_model_file: str = of_first_process(config, self.saved_model_file)

    def fit(self, train_data, *args, **kwargs):
        """RecBole's training; remembers whose ids the weights belong to."""
        self._begin(train_data._dataset)
        return super().fit(train_data, *args, **kwargs)

    def _begin(self, dataset: Any) -> None:
        """What every training begins with: the data are worth it, and their ids are those of the checkpoint, if there is one."""
        check_rankable(self.config, dataset)
        check_trainable(self.config, dataset)
        resumed, self._ids = self._ids, id_fingerprint(dataset)
        if resumed not in (None, self._ids):
            raise other_ids(self.saved_model_file, dataset)

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        if not self.config["single_spec"] and self.config["local_rank"] != 0:
            return
        path = kwargs.pop("saved_model_file", self.saved_model_file)
        other = {k: v for k, v in self.model.other_parameter().items() if not isinstance(v, nn.Module)}
        checkpoint = Checkpoint(
            model=self.config["model"],
            config=json_config(self.config),
            ids=self._ids,
            state_dict=self.model.state_dict(),
            other_parameter=other,
            optimizer=self.optimizer.state_dict(),
            training={"epoch": epoch, "cur_step": self.cur_step, "best_valid_score": float(self.best_valid_score)},
        )
        save_checkpoint(path, checkpoint, self.config["sign"])
        if verbose:
            self.logger.info(set_color("Saving current", "blue") + f": {path}")

    def resume_checkpoint(self, resume_file: Any) -> None:
        """Continue from a checkpoint.

        Raises:
            CheckpointError: truncated, of another model, of a later schema, or of other sizes.
        """
        self.saved_model_file = str(resume_file)
        checkpoint = load_checkpoint(resume_file, self.config["model"], self.device, self.config["trust"])
        restore(self.model, checkpoint, resume_file)
        self._ids = checkpoint.ids
        restore_optimizer(self.optimizer, checkpoint, resume_file)
        self.start_epoch = checkpoint.training["epoch"] + 1
        self.cur_step = checkpoint.training["cur_step"]
        self.best_valid_score = checkpoint.training["best_valid_score"]
        self.logger.info(f"Checkpoint loaded. Resume training from epoch {self.start_epoch}")

    @torch.no_grad()
    def evaluate(self, eval_data, load_best_model=True, model_file=None, show_progress=False):
        """RecBole's evaluation; the best model comes from the safe checkpoint, and metrics find their data without a fit."""
        if eval_data and load_best_model:
            path = model_file or self.saved_model_file
            trust = self.config["trust"] if model_file else None  # what was written a moment ago need not be signed
            checkpoint = load_checkpoint(path, self.config["model"], self.device, trust)
            restore(self.model, checkpoint, path, eval_data._dataset)
            self.logger.info(f"Loading model structure and parameters from {path}")
        if eval_data:
            self.eval_collector.item_collect(eval_data._dataset)
        return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)


@functools.cache
def _made_safe(trainer: type[Trainer]) -> type[Trainer]:
    if issubclass(trainer, SafeCheckpoints) or not issubclass(trainer, Trainer):
        return trainer  # RecBole's trainers of LightGBM and XGBoost write those libraries' own files
    return type(trainer.__name__, (SafeCheckpoints, trainer), {"__doc__": trainer.__doc__})


def get_trainer(model_type: Any, model_name: str) -> type[Trainer]:
    """RecBole's ``get_trainer``, with safe checkpoints."""
    return _made_safe(_find_trainer(model_type, model_name))


def distributed_model(model: nn.Module, device_ids: list[int] | None = None) -> nn.Module:
    """torch's ``DistributedDataParallel``, which takes no device ids on a CPU."""
    on_cpu = not next(model.parameters()).is_cuda
    return nn.parallel.DistributedDataParallel(model, device_ids=None if on_cpu else device_ids)
