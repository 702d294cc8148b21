"""Stage 2: train the retriever, as RecBole trains the model that it is."""

from __future__ import annotations

from copy import copy
from logging import getLogger
from typing import TYPE_CHECKING, Any

import torch
from recbole.data.interaction import Interaction
from recbole.data.utils import _create_sampler, get_dataloader
from recbole.utils import EvaluatorType, ModelType

from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.model.retriever import Retriever
from recbole_esmr.progress import BestWeights, Progress
from recbole_esmr.trainer.checkpointing import get_trainer

if TYPE_CHECKING:
    from recbole.config import Config

PEOPLE = 10_000
"""People up to whom a batch has RecBole's usual size."""

GROWS = ("BPR", "LightGCN")
"""Models a step of which moves everybody's weights, and whose memory for a batch is that of its rows."""


def fit_retriever(retriever: Retriever, data: ESMRDataset, valid_data: Any, show_progress: bool, progress: Progress) -> None:
    """Train the retriever with RecBole's own trainer for it on rows of ``data``, early-stopped on the validation interactions.

    It has its own loaders: in each of several processes it sees all of the data, and so becomes the same model.
    """
    config, data = retriever.config, _as_it_reads(data, retriever.config)
    loading = copy(config)
    loading.final_config_dict = {**config.final_config_dict, "train_batch_size": batch_size(config, data.user_num)}
    if loading["train_batch_size"] != config["train_batch_size"]:
        say = f"{data.user_num - 1:,} people: the retriever learns from {loading['train_batch_size']:,} interactions at once."
        getLogger().info(f"{say} Set train_batch_size to have it otherwise.")
    negatives = config["train_neg_sample_args"]
    sampler = _create_sampler(data, [data], negatives["distribution"], True, negatives["alpha"])
    loader = get_dataloader(config, "train")(loading, data, sampler.set_phase("train") if sampler else None, shuffle=True)
    judge = None
    if valid_data and config["eval_type"] == EvaluatorType.RANKING:
        judged = _as_it_reads(valid_data._dataset, config)
        sampler = _create_sampler(data, [data, judged, judged], "uniform", config["repeatable"]).set_phase("valid")
        judge = get_dataloader(config, "valid")(config, judged, sampler, shuffle=False)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, retriever.model)
    if isinstance(trainer.optimizer, (torch.optim.Adam, torch.optim.AdamW)):
        for group in trainer.optimizer.param_groups:
            group["fused"] = all(weight.is_floating_point() for weight in group["params"])  # one pass instead of a dozen
    best = BestWeights(bigger=bool(config["valid_metric_bigger"]))
    trainer.progress, trainer.beside = progress, {"best": best}

    def keep(epoch: int, score: float) -> None:
        best.judge(score, retriever.model)

    trainer.fit(loader, judge, verbose=False, saved=False, show_progress=show_progress, callback_fn=keep)
    trainer.tensorboard.close()
    if best.weights is not None:
        retriever.model.load_state_dict(best.weights)
        for name in getattr(retriever.model, "other_parameter_name", ()):
            if name.startswith("restore_"):  # embeddings cached by RecBole's graph models
                setattr(retriever.model, name, None)


def batch_size(config: Config, people: int) -> int:
    """Interactions in a batch: ``train_batch_size`` where somebody has set it.

    A step of :data:`GROWS` costs as much as there are people, so batches of one size would make an epoch grow with their square.
    From :data:`PEOPLE` people on a batch grows with them: an epoch has as many steps, and each holds as many of a person's rows.

    Args:
        config: of the retriever.
        people: U.
    """
    asked = int(config["train_batch_size"])
    grows = config["model"] in GROWS and "train_batch_size" not in config.external_config_dict
    return round(asked * max(people / PEOPLE, 1.0)) if grows else asked


def _as_it_reads(data: ESMRDataset, config: Config) -> ESMRDataset:
    """The rows with the columns that the retriever reads: a general model wants person, item and label.

    RecBole cuts every batch out of all columns, and joins the features of people and items to it: most of an epoch of BPR.
    """
    if config["MODEL_TYPE"] != ModelType.GENERAL:
        return data
    names = (data.uid_field, data.iid_field, config["LABEL_FIELD"], config["RATING_FIELD"])
    read = data.copy(Interaction({name: data.inter_feat[name] for name in names if name in data.inter_feat}))
    read.user_feat = read.item_feat = None
    return read
