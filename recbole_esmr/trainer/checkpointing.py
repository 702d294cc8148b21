"""Safe checkpoints for every RecBole trainer, RecBole's own included, from which a stopped training goes on."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from recbole.trainer.trainer import DecisionTreeTrainer, Trainer
from recbole.utils import set_color
from recbole.utils import utils as recbole_utils
from torch import nn

from recbole_esmr.checkpoint import (
    Checkpoint,
    id_fingerprint,
    json_config,
    load_checkpoint,
    other_ids,
    package_versions,
    restore,
    save_checkpoint,
)
from recbole_esmr.errors import CheckpointError, Interrupted
from recbole_esmr.progress import Progress, RandomStates, Stateful, put_back
from recbole_esmr.records import of_first_process
from recbole_esmr.trainer.going_on import files_hash, other_files, require_same_keys
from recbole_esmr.trainer.readiness import check_rankable, check_trainable
from recbole_esmr.trainer.training_state import Attributes, TrainingState, plain_parameters

_find_trainer = recbole_utils.get_trainer


class SafeCheckpoints(Trainer):
    """Replaces what a RecBole trainer saves and loads by the format of :mod:`recbole_esmr.checkpoint`.

    RecBole pickles its config into every checkpoint, which torch ≥ 2.6 refuses to load, and holds the best epoch's weights alone.
    Here a checkpoint holds those for whoever uses the model, and in ``progress`` what the training goes on from:

    - ``files`` and ``versions``: a hash of what it is trained on, and the packages that train it;
    - while it lasts, ``state``: all that one epoch hands to the next
      (:class:`~recbole_esmr.trainer.training_state.TrainingState`), and ``judged``: whether the weights are a validation's best;
    - once it has ended, ``ended``: the validation's result, and where the random numbers stand.

    Attributes:
        progress: where the state between epochs is kept; unless it is set, in the checkpoint.
        beside: what else the epochs of this training change, by name.
    """

    progress: Progress | None = None
    _progress = Progress()
    _ids: str | None = None
    _files: str | None = None
    _resumed: Mapping[str, Any] = MappingProxyType({})
    _best: dict[str, Any] | None = None
    _state: Stateful | None = None
    _judged: Any = None

    def __init__(self, config: Any, model: nn.Module) -> None:
        super().__init__(config, model)
        self.saved_model_file: str = of_first_process(config, self.saved_model_file)
        self.beside: dict[str, Stateful] = {}

    # -- training ------------------------------------------------------------------------------------------------------

    def fit(self, train_data, valid_data=None, verbose=True, saved=True, show_progress=False, callback_fn=None):
        """RecBole's training, from where a resumed one was stopped; of one that has ended, its result.

        Raises:
            Interrupted: it was stopped; names the checkpoint to go on from.
        """
        with self.stoppable(saved):
            self._begin(train_data._dataset, saved)
            if self._has_ended():
                self.eval_collector.data_collect(train_data)
                return self.best_valid_score, self.best_valid_result
            beside = {"attributes": self._attributes, **self.beside}
            self._state = TrainingState(self, (train_data, valid_data), beside)
            if self._progress.kept:
                put_back(self._state, self._progress.kept)
                self.start_epoch = self._progress.done
            result = super().fit(train_data, valid_data, verbose, saved, show_progress, callback_fn)
            if saved:
                self._save_ended()
            return result

    def _begin(self, dataset: Any, saved: bool) -> None:
        """What every training begins with: the data are worth it, and they are those of the checkpoint, if there is one."""
        check_rankable(self.config, dataset)
        check_trainable(self.config, dataset)
        resumed, self._ids = self._ids, id_fingerprint(dataset)
        if resumed not in (None, self._ids):
            raise other_ids(self.saved_model_file, dataset)
        self._files = files_hash(self.config) if saved or self._resumed else None
        if self._resumed and self._resumed.get("files") != self._files:
            raise other_files(self.saved_model_file, self.config)
        if not self._resumed:
            self._best, self._judged = None, None
        self._attributes = Attributes(self.model)
        self._progress = self.progress or Progress(self._resumed.get("state"), self._write if saved else None)

    def _has_ended(self) -> bool:
        """Whether the resumed training had come to its end; then all is as it left it."""
        ended, self._resumed = self._resumed.get("ended"), {}
        if ended is None:
            return False
        put_back(_Ended(self), ended)
        return True

    def _train_epoch(self, train_data, epoch_idx, *args, **kwargs):
        if self._state is not None:
            self._progress.keep(lambda: self._after(epoch_idx))
        return super()._train_epoch(train_data, epoch_idx, *args, **kwargs)

    def _valid_epoch(self, *args, **kwargs):
        self._judged = super()._valid_epoch(*args, **kwargs)
        return self._judged

    def _after(self, epochs: int) -> dict[str, Any]:
        """What so many epochs hand to the next; nothing where several processes train, for each has random numbers of its own."""
        if self._state is None or not self.config["single_spec"]:
            return {}
        return {"done": epochs, **self._state.state_dict()}

    # -- saving and loading --------------------------------------------------------------------------------------------

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        """Called by RecBole when an epoch was the best so far, or there is no validation; and with epoch −1 before none."""
        if not self._is_first or (epoch < 0 and self._best is not None):
            return
        if self._judged is not None:
            self.best_valid_result = self._judged[1]
        self._best = self._current(epoch)
        path = kwargs.get("saved_model_file", self.saved_model_file)
        self._write(self._after(epoch + 1), path)
        if verbose:
            self.logger.info(set_color("Saving current", "blue") + f": {path}")

    def _current(self, epoch: int) -> dict[str, Any]:
        """The model as it is now, as a checkpoint holds it; on the CPU, for it is kept until a better one comes."""
        return {
            "state_dict": {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()},
            "other_parameter": plain_parameters(self.model),
            "training": {"epoch": epoch, "cur_step": self.cur_step, "best_valid_score": float(self.best_valid_score)},
        }

    def _write(self, state: dict[str, Any], path: str | Path | None = None) -> None:
        """Write the best model so far and the state to go on from, both or neither."""
        self._save({"state": state, "judged": self._best is not None} if state else {}, path)

    def _save_ended(self) -> None:
        self._save({"ended": _Ended(self).state_dict()})

    def _save(self, progress: dict[str, Any], path: str | Path | None = None) -> None:
        if not self._is_first:
            return
        whole = Checkpoint(
            model=self.config["model"],
            config=json_config(self.config),
            ids=self._ids,
            optimizer={},
            progress={"files": self._files, "versions": package_versions(), **progress},
            **(self._best or self._current(self.start_epoch - 1)),
        )
        save_checkpoint(path or self.saved_model_file, whole, self.config["sign"])
        self._progress.written()

    def resume_checkpoint(self, resume_file: Any) -> None:
        """Continue from a checkpoint, which is written on.

        Raises:
            CheckpointError: it is not to be used, of another model, or was trained with other keys, which are named.
        """
        checkpoint = load_checkpoint(resume_file, self.config["model"], self.device, self.config["trust"])
        require_same_keys(resume_file, checkpoint.config, json_config(self.config))
        self.saved_model_file = str(resume_file)
        self._ids = checkpoint.ids
        if not ({"state", "ended"} & set(checkpoint.progress)):
            self.logger.warning(f"{resume_file}: of several processes nothing is kept on the way, so the training begins anew.")
            return
        before, now = checkpoint.progress.get("versions"), package_versions()
        if before != now:
            self.logger.warning(f"{resume_file}: was trained with {before}, now {now}: numbers may differ in the last digits.")
        restore(self.model, checkpoint, resume_file)
        self._resumed = checkpoint.progress
        self.best_valid_score = checkpoint.training["best_valid_score"]
        if checkpoint.progress.get("judged"):
            self._best = {name: getattr(checkpoint, name) for name in ("state_dict", "other_parameter", "training")}
        self.logger.info(f"Checkpoint loaded: {resume_file}")

    @contextmanager
    def stoppable(self, saved: bool = True) -> Iterator[None]:
        """Say from which checkpoint to go on when the block is stopped, and which one cannot be gone on from."""
        try:
            yield
        except CheckpointError as error:
            path = str(self.saved_model_file)
            if not saved or path in str(error):
                raise
            raise CheckpointError(f"{path}: {error}") from error
        except KeyboardInterrupt as stop:
            there = saved and Path(self.saved_model_file).is_file()
            raise Interrupted(str(self.saved_model_file) if there else None) from stop

    @property
    def _is_first(self) -> bool:
        """Whether this is the process that writes."""
        return bool(self.config["single_spec"]) or self.config["local_rank"] == 0

    # -- evaluation ----------------------------------------------------------------------------------------------------

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
            self.eval_collector.felt_collect(eval_data._dataset)
        return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)


class _Ended:
    """What is kept of a training that has ended, so that whoever goes on from it says the same again."""

    def __init__(self, trainer: SafeCheckpoints) -> None:
        self._trainer = trainer

    def state_dict(self) -> dict[str, Any]:
        return {
            "best_valid_result": self._trainer.best_valid_result,
            "attributes": self._trainer._attributes.state_dict(),
            "random": RandomStates().state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        result = state["best_valid_result"]
        self._trainer.best_valid_result = None if result is None else {name: float(value) for name, value in result.items()}
        self._trainer._attributes.load_state_dict(state["attributes"])
        RandomStates().load_state_dict(state["random"])


class LibraryFiles(DecisionTreeTrainer):
    """Keeps of LightGBM and XGBoost what those libraries write themselves, which holds no code."""

    def _save_checkpoint(self, epoch: int) -> None:
        self.logger.warning(
            f"{self.config['model']}: no checkpoint is written, for RecBole's is a pickle. The trees lie in {self.temp_best_file}"
        )


@functools.cache
def _made_safe(trainer: type[Trainer]) -> type[Trainer]:
    if issubclass(trainer, DecisionTreeTrainer):
        return type(trainer.__name__, (LibraryFiles, trainer), {"__doc__": trainer.__doc__})
    if issubclass(trainer, SafeCheckpoints):
        return trainer
    return type(trainer.__name__, (SafeCheckpoints, trainer), {"__doc__": trainer.__doc__})


def get_trainer(model_type: Any, model_name: str) -> type[Trainer]:
    """RecBole's ``get_trainer``, with safe checkpoints."""
    return _made_safe(_find_trainer(model_type, model_name))


def distributed_model(model: nn.Module, device_ids: list[int] | None = None) -> nn.Module:
    """torch's ``DistributedDataParallel``, which takes no device ids on a CPU."""
    on_cpu = not next(model.parameters()).is_cuda
    return nn.parallel.DistributedDataParallel(model, device_ids=None if on_cpu else device_ids)
