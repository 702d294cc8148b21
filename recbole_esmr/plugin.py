"""What RecBole is taught, in tables. After :func:`register` its own entry points know ESMR.

Nothing of ours is loaded by it: what RecBole is taught stands for the real thing and loads it when it is first used. So
RecBole may be taught in the middle of an import, and a program that only wants an error class pays for nothing.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import dataclass
from functools import cache, wraps
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from recbole_esmr import compat

FOUND = (
    # RecBole's module, a name that it is asked for, what that is from now on, why
    ("recbole.model.sequential_recommender.esmr", "ESMR", "recbole_esmr.model.esmr:ESMR", "get_model finds it"),
    ("recbole.trainer", "ESMRTrainer", "recbole_esmr.trainer.esmr_trainer:ESMRTrainer", "get_trainer finds it"),
    ("recbole.data.dataset", "ESMRDataset", "recbole_esmr.data.dataset:ESMRDataset", "create_dataset finds it"),
    ("recbole.config", "Config", "recbole_esmr.config:ConfigOfRecBole", "reads the plug-in's yaml files and data sets"),
)

CALLED = (
    # RecBole's module, a name that it calls, what is called from now on, why
    (
        "recbole.quick_start.quick_start",
        "Config",
        "recbole_esmr.config:ConfigOfRecBole",
        "reads the plug-in's yaml files and data sets",
    ),
    ("recbole.trainer.trainer", "Collector", "recbole_esmr.evaluator.collector:Collector", "gathers what the metrics need"),
    ("recbole.trainer.trainer", "DistributedDataParallel", "recbole_esmr.trainer.checkpointing:distributed_model", "CPU"),
    ("recbole.utils", "get_trainer", "recbole_esmr.trainer.checkpointing:get_trainer", "checkpoints torch ≥ 2.6 loads"),
    ("recbole.quick_start.quick_start", "get_trainer", "recbole_esmr.trainer.checkpointing:get_trainer", "the same"),
    ("recbole.quick_start.quick_start", "run_recboles", "recbole_esmr.quick_start:run_recboles", "children register too"),
    ("recbole.quick_start", "run_recboles", "recbole_esmr.quick_start:run_recboles", "the same"),
    ("recbole.quick_start.quick_start", "load_data_and_model", "recbole_esmr.quick_start:load_data_and_model", "safe files"),
    ("recbole.quick_start", "load_data_and_model", "recbole_esmr.quick_start:load_data_and_model", "the same"),
    *(
        (place, name, f"recbole_esmr.data.recbole.cache:{name}", "no pickles")
        for name in ("create_dataset", "load_split_dataloaders", "save_split_dataloaders")
        for place in ("recbole.data.utils", "recbole.data")
    ),
    (
        "recbole.quick_start.quick_start",
        "create_dataset",
        "recbole_esmr.data.recbole.cache:create_dataset_to_train_on",
        "no pickles; refused before it is loaded",
    ),
    (
        "recbole.data.utils",
        "FullSortEvalDataLoader",
        "recbole_esmr.evaluator.full_sort:FullSortEvalDataLoader",
        "repeatable: False",
    ),
    (
        "recbole.utils.case_study",
        "full_sort_scores",
        "recbole_esmr.evaluator.full_sort:full_sort_scores",
        "everybody is answered",
    ),
    *(
        (place, "get_local_time", "recbole_esmr.records:unique_time", "no two runs share a file")
        for place in ("recbole.trainer.trainer", "recbole.utils.logger", "recbole.utils.utils", "recbole.utils")
    ),
    *(
        (place, "ensure_dir", "recbole_esmr.records:ensure_dir", "several processes make it at once")
        for place in ("recbole.trainer.trainer", "recbole.utils.logger", "recbole.data.utils", "recbole.utils")
    ),
    *(
        (place, "init_logger", "recbole_esmr.records:init_logger", "a run goes on where no log file can be written")
        for place in ("recbole.quick_start.quick_start", "recbole.utils")
    ),
    ("recbole.quick_start.quick_start", "get_flops", "recbole_esmr.records:get_flops", "a count that fails stops no training"),
    ("recbole.trainer.trainer", "get_tensorboard", "recbole_esmr.records:get_tensorboard", "the same, and a folder of its own"),
    ("recbole.utils", "get_tensorboard", "recbole_esmr.records:get_tensorboard", "the same"),
    ("recbole.utils.case_study", "full_sort_topk", "recbole_esmr.evaluator.full_sort:full_sort_topk", "the same"),
)

METHODS = (
    # RecBole's class, a method of it, our function (first argument: RecBole's own method), why
    ("recbole.config.configurator:Config", "_convert_config_dict", "recbole_esmr.recbole_keys:convert", "no text is evaluated"),
    ("recbole.trainer.hyper_tuning:HyperTuning", "_build_space_from_file", "recbole_esmr.tuning:space_of_file", "the same"),
    ("recbole.data.dataset.dataset:Dataset", "save", "recbole_esmr.data.recbole.cache:save_dataset", "no pickles"),
    ("recbole.data.dataset.dataset:Dataset", "_load_feat", "recbole_esmr.data.recbole.loading:load_feat", "ids are text"),
    ("recbole.data.dataset.dataset:Dataset", "fields", "recbole_esmr.data.recbole.felt:fields", "moods are no features"),
    ("recbole.data.dataset.dataset:Dataset", "_fill_nan", "recbole_esmr.data.recbole.loading:fill_nan", "pandas 3 copies"),
    (
        "recbole.data.dataset.dataset:Dataset",
        "_dataframe_to_interaction",
        "recbole_esmr.data.recbole.loading:dataframe_to_interaction",
        "pandas 3 hands out what must not be written to",
    ),
    (
        "recbole.data.dataset.dataset:Dataset",
        "get_preload_weight",
        "recbole_esmr.data.recbole.loading:preload_weight",
        "KSR multiplies 64 bits by 32",
    ),
    (
        "recbole.data.dataset.dataset:Dataset",
        "_load_inter_feat",
        "recbole_esmr.data.recbole.loading:load_inter_feat",
        "exact order of time",
    ),
    (
        "recbole.data.dataset.dataset:Dataset",
        "_data_filtering",
        "recbole_esmr.data.recbole.filtering:data_filtering",
        "which filter left none",
    ),
    (
        "recbole.data.dataset.dataset:Dataset",
        "_get_remap_list",
        "recbole_esmr.checkpoint.known_ids:get_remap_list",
        "ids have the numbers of a checkpoint",
    ),
    (
        "recbole.data.dataset.dataset:Dataset",
        "_filter_nan_user_or_item",
        "recbole_esmr.data.recbole.filtering:filter_nan_user_or_item",
        "rows without a person and others without an item",
    ),
    (
        "recbole.data.dataset.dataset:Dataset",
        "_filter_inter_by_user_or_item",
        "recbole_esmr.data.recbole.filtering:filter_inter_by_user_or_item",
        "who is left out",
    ),
    (
        "recbole.data.dataset.dataset:Dataset",
        "_filter_by_field_value",
        "recbole_esmr.data.recbole.filtering:filter_by_field_value",
        "bounds in the unit of the file",
    ),
    (
        "recbole.data.dataset.dataset:Dataset",
        "_drop_unused_col",
        "recbole_esmr.data.recbole.filtering:drop_unused_col",
        "what is not known of an item that is ranked",
    ),
    (
        "recbole.data.dataset:KnowledgeBasedDataset",
        "_filter_link",
        "recbole_esmr.data.recbole.knowledge:filter_link",
        "what is lost",
    ),
    ("recbole.data.dataset:SequentialDataset", "build", "recbole_esmr.data.recbole.sequences:build", "one split for all models"),
    (
        "recbole.data.dataset:SequentialDataset",
        "data_augmentation",
        "recbole_esmr.data.recbole.histories:data_augmentation",
        "histories are not kept for all rows",
    ),
    (
        "recbole.sampler.sampler:AbstractSampler",
        "sample_by_key_ids",
        "recbole_esmr.data.recbole.sampling:sample_by_key_ids",
        "the same draws, looked up at once",
    ),
    (
        "recbole.sampler.sampler:RepeatableSampler",
        "sample_by_user_ids",
        "recbole_esmr.data.recbole.sampling:sample_beside",
        "no set a row",
    ),
    ("recbole.sampler.sampler:Sampler", "get_used_ids", "recbole_esmr.data.recbole.sampling:get_used_ids", "no set a person"),
)

METRICS = (
    # name, where it is, what it needs of RecBole's collector, whether smaller is better; all are rankings' metrics
    ("AveragePopularity", "popularity", ("rec.items", "data.count_items"), True),
    ("TailPercentage", "popularity", ("rec.items", "data.count_items"), False),
    ("NegativeExposure", "metrics", ("rec.items", "data.item_negative"), True),
    ("ExpectedValence", "metrics", ("rec.items", "data.item_tone"), False),
    ("LikedRecall", "felt", ("rec.felt",), False),
    ("FeelAUC", "felt", ("rec.felt",), False),
)


@dataclass(frozen=True)
class Lazy:
    """A class or function of ours that is loaded when it is first called."""

    ours: str

    @property
    def __name__(self) -> str:
        return self.ours.partition(":")[2]

    def load(self) -> Any:
        """The real thing."""
        module, _, name = self.ours.partition(":")
        return getattr(importlib.import_module(module), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.load()(*args, **kwargs)


def register() -> None:
    """Teach RecBole the plug-in; ``import recbole_esmr`` does it as soon as RecBole is there. Harmless when repeated."""
    import torch

    anomaly = torch.is_anomaly_enabled()
    compat.put_back()
    with compat.stood_in():
        for place, *_ in (*FOUND, *CALLED):
            _module(place)  # all of RecBole first: its modules import these names from each other
    for place, name, ours, _ in FOUND:
        _find_in(_module(place), name, Lazy(ours))
    for place, name, ours, _ in CALLED:
        setattr(_module(place), name, Lazy(ours))
    for place, name, ours, _ in METHODS:
        module, _, cls = place.partition(":")
        _replace_method(getattr(_module(module), cls), name, Lazy(ours))
    _register_metrics()
    torch.autograd.set_detect_anomaly(anomaly)  # RecBole's SINE switches it on for everybody, and it slows every training


@cache
def data_keys() -> tuple[str, ...]:
    """The plug-in's keys that change what a data set holds."""
    from recbole_esmr.files import read_yaml, shipped  # so that `import recbole_esmr` does not wait for it

    return *read_yaml(shipped("properties") / "overall.yaml"), "day_split", "label"


_NO_RECBOLE = (
    "RecBole is not installed. Run `pip install --no-deps recbole==1.2.1`; all else that it needs is there. (Past Python 3.11 "
    "pip cannot install it by itself, because of ray, which it asks for and does not need.)"
)


def teach() -> None:
    """Register now where RecBole is loaded already, and otherwise when it comes."""
    compat.when_loaded("recbole", lambda _: register(), missing=_NO_RECBOLE)


def _module(name: str) -> ModuleType:
    """RecBole's module of that name; ESMR's own place in RecBole's model package is made where it does not exist."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, loader=None)
        sys.modules[name] = module
        return module


def _find_in(module: ModuleType, name: str, lazy: Lazy) -> None:
    """Let the module find ``name`` when it is asked for it, and keep it (PEP 562)."""
    before = module.__dict__.get("__getattr__")

    def find(asked: str) -> Any:
        if asked == name:
            setattr(module, name, lazy.load())
            return getattr(module, name)
        if before is not None:
            return before(asked)
        raise AttributeError(f"module {module.__name__!r} has no attribute {asked!r}")

    if name not in module.__dict__ or module.__dict__[name].__module__.startswith("recbole."):
        module.__dict__.pop(name, None)
        module.__dict__["__getattr__"] = find


def _replace_method(cls: type, name: str, ours: Lazy) -> None:
    """Let a method of RecBole's class call our function with RecBole's own method before its arguments."""
    original = getattr(cls, name)
    if hasattr(original, "recboles_own"):  # registered before
        return

    @wraps(original)
    def method(*args: Any, **kwargs: Any) -> Any:
        return ours(original, *args, **kwargs)

    method.recboles_own = original  # type: ignore[attr-defined]
    static = isinstance(inspect.getattr_static(cls, name), staticmethod)
    setattr(cls, name, staticmethod(method) if static else method)


def _register_metrics() -> None:
    from recbole.evaluator import register as known
    from recbole.utils import EvaluatorType

    for title, file, needs, smaller in METRICS:
        name = title.lower()
        known.metrics_dict[name] = Lazy(f"recbole_esmr.evaluator.{file}:{title}")
        known.metric_information[name] = list(needs)
        known.metric_types[name] = EvaluatorType.RANKING
        if smaller and name not in known.smaller_metrics:
            known.smaller_metrics.append(name)
