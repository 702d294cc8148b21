"""Any general or sequential RecBole model as the retriever that proposes ESMR's candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recbole_esmr.config import Config, check_keys, model_class
from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.model.scoring import ItemScores

_SHARED = (
    *("seed", "reproducibility", "gpu_id", "use_gpu", "checkpoint_dir", "show_progress", "state", "log_wandb"),
    *("epochs", "learner", "learning_rate", "weight_decay", "clip_grad_norm", "train_batch_size", "stopping_step"),
    *("eval_args", "eval_batch_size", "repeatable", "topk", "valid_metric", "metric_decimal_place"),
    *("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD", "MAX_ITEM_LIST_LENGTH", "LIST_SUFFIX", "ITEM_LIST_LENGTH_FIELD"),
)


class Retriever(nn.Module):
    """A RecBole model that scores all items for a person on a day, from what was watched on days before.

    Args:
        config: of ESMR; ``retriever`` (or ``backbone``) names the model and ``retriever_config`` holds its own keys.
        dataset: the training part of the data.
    """

    def __init__(self, config: Config, dataset: ESMRDataset) -> None:
        super().__init__()
        name = config.esmr.retriever_name
        self.config = retriever_config(config)
        self.config["device"] = config["device"]
        self.model = model_class(name)(self.config, dataset.on_training_days()).to(config["device"])
        self._score = ItemScores(self.model, config["device"])
        self.trained = False  # some models of RecBole, Pop for one, cannot answer before they are
        self.history = dataset.history
        self._longest = int(config["MAX_ITEM_LIST_LENGTH"])

    @torch.no_grad()
    def scores(self, user: Tensor, day: Tensor) -> Tensor:
        """Scores of all items, standardised within a row; the padding item has −inf.

        Args:
            user: (B,) internal ids; one beyond the data's is a newcomer, see :class:`~recbole_esmr.model.scoring.ItemScores`.
            day: (B,) day indices; only days before count.

        Returns:
            (B, I), on the model's device; all zero before training.
        """
        if not self.trained:
            scores = torch.zeros(len(user), self.model.n_items, device=self.config["device"])
            scores[:, 0] = -torch.inf
            return scores
        items = length = None
        if self._score.sequential:
            items, length = self.history.before(user.cpu().numpy(), day.cpu().numpy(), self._longest)
        scores = self._score(user.cpu(), items, length)
        real = scores[:, 1:]
        scores = (scores - real.mean(dim=1, keepdim=True)) / real.std(dim=1, keepdim=True).clamp(min=1e-6)
        scores[:, 0] = -torch.inf
        return scores

    def forget(self) -> None:
        """Drop what was computed from the weights; call it after they change."""
        self._score.forget()

    def other_parameter(self) -> dict[str, Any]:
        """RecBole's ``other_parameter`` without modules, whose weights are in the state dict anyway."""
        return {k: v for k, v in self.model.other_parameter().items() if not isinstance(v, nn.Module)}


def retriever_config(config: Config) -> Config:
    """RecBole's config of the retriever: its own yaml, what it shares with ESMR's config, then ``retriever_config``."""
    settings = config.esmr
    check_keys(settings.retriever_config, "retriever_config: unknown key")
    metric = str(config["valid_metric"]).split("@")[0]
    shared = {key: config[key] for key in _SHARED if config[key] is not None}
    folder = Path(str(config["data_path"])).resolve().parent
    values = shared | {"metrics": [metric], "data_path": str(folder)} | settings.retriever_config
    return Config(settings.retriever_name, str(config["dataset"]), config_dict=values, arguments=[])
