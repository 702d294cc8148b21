"""What RecBole's metrics are means of: each person's part of them, for paired comparisons of models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.evaluator.base_metric import TopkMetric
from recbole.evaluator.register import smaller_metrics

PERSON, ROWS = "person", "rows"
"""Names beside those of the metrics: a hash of the person's id, and how many rows of the evaluation are theirs."""


class ByPerson:
    """Listens to an evaluation of RecBole's and keeps, of every metric that is a mean over rows, the rows."""

    def __init__(self) -> None:
        self._people: list[torch.Tensor] = []
        self._rows: dict[str, np.ndarray] = {}

    @contextmanager
    def listening(self, trainer: Any) -> Iterator[None]:
        """Keep what ``trainer.evaluate`` computes within the block; a trainer of another library is left alone."""
        collector, evaluator = getattr(trainer, "eval_collector", None), getattr(trainer, "evaluator", None)
        if collector is None or evaluator is None:
            yield
            return
        metrics = [metric for metric in evaluator.metric_class.values() if isinstance(metric, TopkMetric)]
        collect, field = collector.eval_batch_collect, trainer.config["USER_ID_FIELD"]

        def collected(scores: torch.Tensor, interaction: Any, *positive: torch.Tensor) -> None:
            people = interaction[field]
            if len(people) != len(scores):  # items were sampled: a person has a row, and a line for each item
                people = torch.unique_consecutive(people)
            self._people.append(people.cpu())
            collect(scores, interaction, *positive)

        collector.eval_batch_collect = collected
        for metric in metrics:
            metric.topk_result = self._kept(metric)
        try:
            yield
        finally:
            del collector.eval_batch_collect
            for metric in metrics:
                del metric.topk_result

    def _kept(self, metric: Any) -> Any:
        mean = metric.topk_result

        def topk_result(name: str, value: np.ndarray) -> dict[str, float]:
            self._rows |= {f"{name}@{k}": np.asarray(value[:, k - 1], dtype=float) for k in metric.topk}
            return dict(mean(name, value))

        return topk_result

    def of(self, dataset: Any) -> dict[str, np.ndarray]:
        """Each person's number of rows and sum over them of every metric, (P,) each; empty where no metric is a mean over rows.

        Args:
            dataset: the part that was evaluated.
        """
        if not self._rows or not self._people:
            return {}
        person, place = np.unique(torch.cat(self._people).numpy(), return_inverse=True)
        if any(len(value) != len(place) for value in self._rows.values()):
            return {}
        names = np.asarray(dataset.id2token(dataset.uid_field, person), dtype=object)
        found = {PERSON: pd.util.hash_array(names, categorize=False), ROWS: np.bincount(place).astype(float)}
        return found | {name: np.bincount(place, weights=value) for name, value in self._rows.items()}


def smaller_is_better(metric: str) -> bool:
    """Of a metric as RecBole's results name it, ``ndcg@10``."""
    return metric.partition("@")[0] in smaller_metrics
