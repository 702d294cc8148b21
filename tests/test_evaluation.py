"""RecBole's evaluation by tables says what RecBole's own says, figure by figure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.data.dataloader.general_dataloader import FullSortEvalDataLoader as RecBoleLoader
from recbole.evaluator import collector as recbole_collector
from recbole.evaluator import metrics as recbole_metrics
from recbole.evaluator import register
from recbole.evaluator.evaluator import Evaluator
from recbole.utils import init_seed

from recbole_esmr.config import Config
from recbole_esmr.evaluator.collector import Collector, mean_ranks
from recbole_esmr.evaluator.full_sort import FullSortEvalDataLoader
from recbole_esmr.quick_start import build_model, prepare
from recbole_esmr.trainer.checkpointing import get_trainer

EVERY = [
    *("Recall", "MRR", "NDCG", "Hit", "Precision", "MAP", "GAUC"),
    *("ItemCoverage", "AveragePopularity", "GiniIndex", "ShannonEntropy", "TailPercentage"),
]


class _Theirs(Collector):
    """What RecBole's own collector makes of a batch; without its crash where a count is no tensor."""

    eval_batch_collect = recbole_collector.Collector.eval_batch_collect


def _ready(data_path, model, mode, **more):
    keys = {
        "metrics": EVERY,
        "topk": [3, 10],
        "metric_decimal_place": 12,
        "data_path": data_path,
        "show_progress": False,
        "state": "ERROR",
        "epochs": 1,
    }
    keys |= {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user", "mode": mode}, **more}
    config = Config(model, "small", config_dict=keys, arguments=[])
    _, train, valid, test = prepare(config)
    init_seed(config["seed"], True)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, build_model(config, train._dataset))
    trainer.fit(train, valid, saved=False, verbose=False)
    return config, trainer, train, test


def _by_recbole(config, trainer, train, test, monkeypatch):
    """What RecBole's own loader, collector and metrics make of the same model."""
    for name in ("AveragePopularity", "TailPercentage"):
        monkeypatch.setitem(register.metrics_dict, name.lower(), getattr(recbole_metrics, name))
    trainer.eval_collector, trainer.evaluator = _Theirs(config), Evaluator(config)
    trainer.eval_collector.data_collect(train)
    if isinstance(test, FullSortEvalDataLoader):
        test = RecBoleLoader(config, test._dataset, test._sampler)
    trainer.eval_collector.item_collect = trainer.eval_collector.felt_collect = lambda dataset: None
    return trainer.evaluate(test, load_best_model=False)


@pytest.mark.parametrize(
    ("model", "mode", "more"),
    [
        ("BPR", "full", {}),
        ("BPR", "full", {"tail_ratio": 5}),
        ("Pop", "full", {"tail_ratio": 0.3}),  # many ties
        ("FM", "full", {}),  # scores pairs
        ("Random", "full", {}),  # one list for all people of a batch
        ("SASRec", "full", {}),
        ("BPR", "uni20", {}),
    ],
)
def test_every_metric_of_recbole_has_the_same_figure(data_path, monkeypatch, model, mode, more):
    config, trainer, train, test = _ready(str(data_path), model, mode, **more)
    init_seed(3, True)
    ours = trainer.evaluate(test, load_best_model=False)
    init_seed(3, True)  # for modes that draw what is ranked
    theirs = _by_recbole(config, trainer, train, test, monkeypatch)
    assert list(ours) == list(theirs) and len(ours) == 2 * len(EVERY) - 1
    assert ours == pytest.approx(theirs, abs=1e-7), "RecBole adds ranks up in single precision"


def test_a_batch_holds_what_recboles_holds(data_path, monkeypatch):
    """Small batches of ours beside RecBole's: the same people, what they had, and what is to be found."""
    config, _, _, test = _ready(str(data_path), "BPR", "full", eval_batch_size=3 * 61)
    ours = FullSortEvalDataLoader(config, test._dataset, test._sampler)
    theirs = RecBoleLoader(config, test._dataset, test._sampler)
    assert ours.step == theirs.step and len(ours) == len(theirs) > 3

    def pairs(place, item):
        return sorted(zip(place.tolist(), item.tolist(), strict=True))

    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine[0]["user_id"], other[0]["user_id"])
        assert pairs(*mine[1]) == pairs(*other[1]) and pairs(*mine[2:]) == pairs(*other[2:])


@pytest.mark.parametrize(
    ("model", "items", "asked", "rows"),
    [
        ("BPR", 60, 4096, (1 << 20) // 61),
        ("BPR", 60, 1000, 16),  # as somebody wants it
        ("FM", 60, 4096, 67),  # pairs
        ("NeuMF", 60, 4096, 67),
        ("Random", 60, 4096, 67),
        ("SASRec", 60, 4096, 256),
        ("SASRec", 60, 5, 5),
        ("SASRec", 60, 5000, 5000),
    ],
)
def test_how_many_are_asked_for_at_once(data_path, model, items, asked, rows):
    test = _ready(str(data_path), model, "full", eval_batch_size=asked)[-1]
    assert test.step == rows and test._dataset.item_num == items + 1


@given(
    scores=st.lists(st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]), min_size=5, max_size=5), min_size=1, max_size=6),
    asked=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=12),
)
def test_mean_ranks_are_scipys(scores, asked):
    from scipy.stats import rankdata

    table = np.array(scores, dtype=np.float32)
    table[:, 0] = -np.inf
    asked = [(row % len(table), item) for row, item in asked]
    found = mean_ranks(table, *np.array(asked, dtype=np.int64).reshape(-1, 2).T)
    for row, values in enumerate(table):
        ranks, items = rankdata(-values), sorted({item for place, item in asked if place == row})
        assert found[row].tolist() == [sum(ranks[items]), np.isfinite(values).sum(), len(items)]
