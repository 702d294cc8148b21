"""What RecBole is taught, in one table. After :func:`register` its own entry points know ESMR."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec

import torch

TAUGHT = (
    # RecBole's module, name there, what it is from now on, why
    ("recbole.model.sequential_recommender.esmr", "ESMR", "recbole_esmr.model.esmr:ESMR", "get_model finds it"),
    ("recbole.trainer", "ESMRTrainer", "recbole_esmr.trainer.esmr_trainer:ESMRTrainer", "get_trainer finds it"),
    ("recbole.data.dataset", "ESMRDataset", "recbole_esmr.data.dataset:ESMRDataset", "create_dataset finds it"),
    ("recbole.config", "Config", "recbole_esmr.config:Config", "reads the plug-in's yaml files and data sets"),
    ("recbole.quick_start.quick_start", "Config", "recbole_esmr.config:Config", "the same for run_recbole"),
    ("recbole.trainer.trainer", "Collector", "recbole_esmr.evaluator.metrics:Collector", "gathers what the metrics need"),
    ("recbole.trainer.trainer", "DistributedDataParallel", "recbole_esmr.trainer.checkpointing:distributed_model", "CPU"),
    ("recbole.utils", "get_trainer", "recbole_esmr.trainer.checkpointing:get_trainer", "checkpoints torch ≥ 2.6 loads"),
    ("recbole.quick_start.quick_start", "get_trainer", "recbole_esmr.trainer.checkpointing:get_trainer", "the same"),
    ("recbole.quick_start.quick_start", "run_recboles", "recbole_esmr.quick_start:run_recboles", "children register too"),
    ("recbole.quick_start", "run_recboles", "recbole_esmr.quick_start:run_recboles", "the same"),
    ("recbole.quick_start.quick_start", "load_data_and_model", "recbole_esmr.quick_start:load_data_and_model", "safe files"),
    ("recbole.quick_start", "load_data_and_model", "recbole_esmr.quick_start:load_data_and_model", "the same"),
)


def register() -> None:
    """Teach RecBole the plug-in; done by ``import recbole_esmr``, harmless when repeated."""
    anomaly = torch.is_anomaly_enabled()
    for place, name, ours, _ in TAUGHT:
        ours_module, _, attribute = ours.partition(":")
        setattr(_module(place), name, getattr(importlib.import_module(ours_module), attribute))
    _register_metrics()
    _register_data_keys()
    torch.autograd.set_detect_anomaly(anomaly)  # RecBole's SINE switches it on for everybody, and it slows every training


def _module(name: str) -> object:
    """RecBole's module of that name; ESMR's own place in RecBole's model package is made where it does not exist."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module = type(sys)(name)
        module.__spec__ = ModuleSpec(name, loader=None)
        sys.modules[name] = module
        return module


def _register_metrics() -> None:
    from recbole.evaluator import register as known

    from recbole_esmr.evaluator.metrics import METRICS

    for metric in METRICS:
        name = metric.__name__.lower()
        known.metrics_dict[name] = metric
        known.metric_information[name] = metric.metric_need
        known.metric_types[name] = metric.metric_type
        if metric.smaller and name not in known.smaller_metrics:
            known.smaller_metrics.append(name)


def _register_data_keys() -> None:
    """RecBole's cached data sets are reused while these keys are unchanged."""
    from recbole.utils.argument_list import dataset_arguments

    from recbole_esmr.config import DATA_KEYS

    dataset_arguments.extend(key for key in DATA_KEYS if key not in dataset_arguments)
