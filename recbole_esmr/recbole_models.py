"""RecBole's models: which there are, and what each needs of config and files before it can be trained."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from recbole.data.dataset import KnowledgeBasedDataset
from recbole.utils import ModelType, get_model

from recbole_esmr.data.recbole.columns import columns
from recbole_esmr.errors import ConfigError, ESMRError, UnknownNameError, nearest

MODEL_NAME = "ESMR"
_DECISION_TREES = ("LightGBM", "XGBoost")
_KNOWLEDGE = ("kg", "link")
_PICKLED = "is trained in stages, and torch ≥ 2.6 does not load the pickles that RecBole writes between them"
_CANNOT = {"S3Rec": _PICKLED, "RaCT": _PICKLED, "KGAT": "needs dgl, whose last releases load with torch up to 2.4"}
"""RecBole's models that cannot be trained, and why."""
_PACKAGES = {
    "NCL": ("faiss", "faiss-cpu"),
    "KGIN": ("torch_scatter", "torch-scatter"),
    "MCCLK": ("torch_scatter", "torch-scatter"),
}
"""What RecBole's models import when they are made: the module, and the package that has it."""
_ONE_NEGATIVE = {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": False, "candidate_num": 0}
"""RecBole's own default for the models that sample."""


def model_names() -> list[str]:
    """The names of all models that RecBole and the plug-in have."""
    names = {MODEL_NAME, *_DECISION_TREES}  # RecBole's own two need xgboost, so that package is not imported to ask it
    for category in ("general", "context_aware", "sequential", "knowledge_aware"):
        package = importlib.import_module(f"recbole.model.{category}_recommender")
        names |= {name for name, value in vars(package).items() if isinstance(value, type)}
    return sorted(names)


def model_class(name: str) -> Any:
    """The model class of that name.

    Raises:
        UnknownNameError: there is none; the message names the nearest, or lists them.
        ConfigError: it needs a package that is not installed.
    """
    if name in _DECISION_TREES:  # before the import: a second one finds what a failed first one has left behind
        _need_package(name, "xgboost", "xgboost")
    try:
        return get_model(name)
    except (ValueError, AttributeError, ImportError) as error:
        if name in model_names():
            raise
        raise UnknownNameError(f"unknown model '{name}'. {nearest(name, model_names())}") from error


def build_model(config: Any, dataset: Any) -> Any:
    """The model that a config asks for, made for a training part.

    Raises:
        ConfigError: a ``loss_type`` that the model does not have, which the message lists; or anything else over which one of
            RecBole's models stumbles, for they say in many ways what they lack.
    """
    name = config["model"]
    made = model_class(name)
    with one_line(config, "RecBole cannot build it"):
        return made(config, dataset)


@contextmanager
def one_line(config: Any, what: str) -> Iterator[None]:
    """Say in one line over what one of RecBole's models stumbles, for they say in many ways what they lack.

    Args:
        config: of the model. What ESMR stumbles over is a mistake of ours, and stays as it is.
        what: happened, in words that go on with "on data set …".

    Raises:
        ConfigError: anything else than an error of ours, of the system or of too little memory.
    """
    name = config["model"]
    try:
        yield
    except (ESMRError, OSError, MemoryError):
        raise
    except Exception as error:
        if name == MODEL_NAME:
            raise
        said = re.search(r"'loss_type' in \[(.*)\]", str(error))
        if said is not None:
            known = said[1].replace("'", "")
            raise ConfigError(f"{name}: loss_type is {config['loss_type']!r}; expected one of {known}.") from error
        reason = " ".join(str(error).split("\n")[0].split())
        raise ConfigError(
            f"{name}: {what} on data set '{config['dataset']}' ({type(error).__name__}: {reason}). Change the model's keys, or "
            "leave it out."
        ) from error


def is_sequential(name: str) -> bool:
    """Whether a model reads what a person had before."""
    return bool(model_class(name).type == ModelType.SEQUENTIAL)


def reads_features(name: str) -> bool:
    """Whether a model reads features of items and people beside their ids."""
    return bool(model_class(name).type in (ModelType.CONTEXT, ModelType.DECISIONTREE))


def learns_when_made(name: str) -> bool:
    """Whether a model learns in its constructor, as RecBole's neighbour and linear models do."""
    return bool(model_class(name).type == ModelType.TRADITIONAL)


def sample_labels(config: Any) -> None:
    """Let a model that learns from labels learn from sampled negatives where the data have no labels.

    RecBole's context-aware models read a label of each row and sample nothing. Under a ranking all rows of ``.inter`` are what
    was taken, so the items that were not are sampled, as for RecBole's other models.
    """
    reads_labels = config["MODEL_TYPE"] in (ModelType.CONTEXT, ModelType.DECISIONTREE)
    if reads_labels and config["train_neg_sample_args"] is None and not _has_labels(config):
        config["train_neg_sample_args"] = dict(_ONE_NEGATIVE)


def load_knowledge(config: Any) -> None:
    """Let a model that reads a knowledge graph have it where ``load_col`` is silent about it, as that of a ``NAME.yaml`` is."""
    if config["load_col"] is not None and _reads_knowledge(config["model"], config["MODEL_TYPE"]):
        config["load_col"] = {**dict.fromkeys(_KNOWLEDGE, "*"), **config["load_col"]}


def check_pickles(config: Any) -> None:
    """Refuse a file that a model of RecBole's would unpickle.

    Raises:
        ConfigError: the model and the file.
    """
    if config["model"] == "LDiffRec" and config["n_cate"] > 1:
        _need_numbers(Path(str(config["data_path"])) / "item_emb.npy")


def check_needs(config: Any) -> None:
    """Refuse what a model's training would stumble over: files, columns and labels that are not there.

    Raises:
        ConfigError: the model, what it needs, and how to give it.
    """
    model, name = config["model"], config["dataset"]
    if "labeled" in config["eval_args"]["mode"].values() and not _has_labels(config):
        raise ConfigError(
            f"{model}: is judged on labels (eval_args mode labeled, which RecBole takes for some models unless it is set), and "
            f"{name}.inter has no column '{config['LABEL_FIELD']}'. To judge rankings set eval_args: {{mode: full}}, metrics: "
            "[NDCG] and valid_metric: NDCG@10, or make labels of a column (threshold: {watch_ratio: 0.5})."
        )
    if config["MODEL_TYPE"] == ModelType.DECISIONTREE and "labeled" not in config["eval_args"]["mode"].values():
        raise ConfigError(
            f"{model}: RecBole's decision trees rank no items; they are judged on labels (mode: labeled). Leave it out."
        )
    if model in _PACKAGES:
        _need_package(model, *_PACKAGES[model])
    if model in _CANNOT:
        raise ConfigError(f"{model}: {_CANNOT[model]}. Leave it out.")
    if _reads_knowledge(model, config["MODEL_TYPE"]):
        more = config["additional_feat_suffix"] or [] if config["MODEL_TYPE"] == ModelType.SEQUENTIAL else []
        _need_files(config, (*_KNOWLEDGE, *more), "a knowledge graph")
    if config["benchmark_filename"] and config["MODEL_TYPE"] == ModelType.SEQUENTIAL and model != MODEL_NAME:
        _need_histories(config)
    if config["selected_features"]:
        _need_item_columns(config)


def _has_labels(config: Any) -> bool:
    return bool(config["threshold"]) or str(config["LABEL_FIELD"]) in columns(config, "inter")


def _reads_knowledge(model: str, model_type: ModelType) -> bool:
    own = getattr(importlib.import_module("recbole.data.dataset"), f"{model}Dataset", None)
    return model_type == ModelType.KNOWLEDGE or (isinstance(own, type) and issubclass(own, KnowledgeBasedDataset))


def _need_package(model: str, module: str, package: str) -> None:
    if find_spec(module) is None:
        raise ConfigError(f"{model}: needs the package {package}. Run `pip install {package}`.")


def _need_files(config: Any, suffixes: tuple[str, ...], what: str) -> None:
    missing = [f"{config['dataset']}.{suffix}" for suffix in suffixes if not columns(config, suffix)]
    if missing:
        raise ConfigError(
            f"{config['model']}: reads {what}, and {' and '.join(missing)} do not exist in {config['data_path']}. Leave it out."
        )


def _need_numbers(path: Path) -> None:
    """RecBole's LDiffRec would unpickle this file, unless it is an array of numbers."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"LDiffRec: with n_cate above 1 it reads {path}, which is no array of numbers ({error}).") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2:
        raise ConfigError(f"LDiffRec: with n_cate above 1 it reads {path}; expected one array of items × sizes.")


def _need_histories(config: Any) -> None:
    lists, part = f"{config['ITEM_ID_FIELD']}{config['LIST_SUFFIX']}", config["benchmark_filename"][0]
    if lists not in columns(config, "inter"):
        raise ConfigError(
            f"{config['model']}: of the parts of benchmark_filename it reads histories from a column '{lists}:token_seq', which "
            f"{config['dataset']}.{part}.inter does not have. Add it, or leave the model out."
        )


def _need_item_columns(config: Any) -> None:
    model, there, load = config["model"], columns(config, "item"), config["load_col"]
    for name in config["selected_features"]:
        if name not in there:
            found = ", ".join(field for field in there if field != config["ITEM_ID_FIELD"]) or "none"
            raise ConfigError(
                f"{model}: reads the column '{name}' of {config['dataset']}.item (selected_features), which is not there. "
                f"Set selected_features to columns that are ({found}), or leave the model out."
            )
        if load is not None and load.get("item") != "*" and name not in load.get("item", ()):
            raise ConfigError(
                f"{model}: reads the column '{name}' of .item (selected_features), which load_col leaves out. "
                f"Set `item: '*'` in load_col."
            )
