"""RecBole's caches, switched off: a pickle can run code when it is read, so none is read and none is written."""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from typing import Any

import recbole.data.dataset as datasets
from recbole.utils import ModelType

_CLASSES = {ModelType.SEQUENTIAL: "SequentialDataset", ModelType.KNOWLEDGE: "KnowledgeBasedDataset"}


def create_dataset(config: Any) -> Any:
    """RecBole's ``create_dataset``: the data set that a config asks for, always made of its files."""
    own = f"{config['model']}Dataset"
    cls = getattr(datasets, own if hasattr(datasets, own) else _CLASSES.get(config["MODEL_TYPE"], "Dataset"))
    dataset = cls(config)
    if config["save_dataset"]:
        dataset.save()
    return dataset


def save_dataset(_: Callable[..., Any], dataset: Any) -> None:
    """``Dataset.save``: says that nothing is written.

    Args:
        _: RecBole's own method, which pickles the data set.
        dataset: RecBole's data set.
    """
    _say(f"the data set '{dataset.dataset_name}' is", "save_dataset")


def create_dataset_to_train_on(config: Any) -> Any:
    """:func:`create_dataset` of RecBole's own quick start, once the config can be trained with.

    Raises:
        ConfigError: it cannot; the message says why and how to mend it.
    """
    config.check_trainable()
    return create_dataset(config)


def load_split_dataloaders(config: Any) -> None:
    """RecBole's ``load_split_dataloaders``: there are none, so they are made anew."""


def save_split_dataloaders(config: Any, dataloaders: Any) -> None:
    """RecBole's ``save_split_dataloaders``: says that nothing is written."""
    _say("split data are", "save_dataloaders")


def _say(what: str, key: str) -> None:
    getLogger().warning(
        f"{what} not saved: RecBole's cache is a pickle, which can run code when it is read. Each run reads the files, with the "
        f"same result. Leave {key} out."
    )
