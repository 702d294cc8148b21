"""Stage 2: train the retriever, as RecBole trains the model that it is."""

from __future__ import annotations

from typing import Any

import torch
from recbole.data.dataloader import TrainDataLoader
from recbole.data.utils import _create_sampler, get_dataloader
from recbole.utils import EvaluatorType

from recbole_esmr.model.retriever import Retriever
from recbole_esmr.trainer.checkpointing import get_trainer


def fit_retriever(retriever: Retriever, train_data: TrainDataLoader, valid_data: Any, show_progress: bool) -> None:
    """Train the retriever with RecBole's own trainer for it on the training days, early-stopped on the validation interactions.

    It has its own loaders: in each of several processes it sees all of the data, and so becomes the same model.
    """
    config = retriever.config
    data, negatives = train_data._dataset.on_training_days(), config["train_neg_sample_args"]
    sampler = _create_sampler(data, [data], negatives["distribution"], True, negatives["alpha"])
    loader = get_dataloader(config, "train")(config, data, sampler.set_phase("train") if sampler else None, shuffle=True)
    judge = None
    if valid_data and config["eval_type"] == EvaluatorType.RANKING:
        judged = valid_data._dataset
        sampler = _create_sampler(data, [data, judged, judged], "uniform", config["repeatable"]).set_phase("valid")
        judge = get_dataloader(config, "valid")(config, judged, sampler, shuffle=False)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, retriever.model)
    best = _BestWeights(retriever.model, bigger=config["valid_metric_bigger"])
    trainer.fit(loader, judge, verbose=False, saved=False, show_progress=show_progress, callback_fn=best.keep)
    trainer.tensorboard.close()
    best.restore()
    retriever.trained = True


class _BestWeights:
    """Keeps the weights of the best validation epoch in memory, for RecBole's trainer keeps them only in files."""

    def __init__(self, model: torch.nn.Module, bigger: bool) -> None:
        self._model, self._sign = model, 1 if bigger else -1
        self._score: float | None = None
        self._weights: dict[str, torch.Tensor] | None = None

    def keep(self, epoch: int, score: float) -> None:
        if self._score is None or self._sign * score > self._score:
            self._score = self._sign * score
            self._weights = {name: value.clone() for name, value in self._model.state_dict().items()}

    def restore(self) -> None:
        if self._weights is not None:
            self._model.load_state_dict(self._weights)
            for name in getattr(self._model, "other_parameter_name", ()):
                if name.startswith("restore_"):  # embeddings cached by RecBole's graph models
                    setattr(self._model, name, None)
