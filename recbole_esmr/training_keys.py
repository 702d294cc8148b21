"""RecBole's keys of training: values that would surface as a traceback, or as a model that learns nothing, are refused."""

from __future__ import annotations

from typing import Any

from recbole.utils import ModelType

from recbole_esmr.errors import ConfigError, nearest

_WHOLE = {"seed": 0, "epochs": 0, "stopping_step": 0, "train_batch_size": 1, "eval_batch_size": 1, "eval_step": 0}
"""Keys that hold a whole number, and the least of each."""

_NEGATIVES = ("distribution", "sample_num", "alpha", "dynamic", "candidate_num")
_DISTRIBUTIONS = ("uniform", "popularity")
_SEQUENTIAL_LOSSES = ("CE", "BPR")


def check_training(config: Any) -> None:
    """Refuse what no training can use.

    Args:
        config: the keys as given.

    Raises:
        ConfigError: the key, what it holds, and what is expected.
    """
    for key, low in _WHOLE.items():
        value = config[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ConfigError(f"{key} is {value!r}; expected a whole number of at least {low}.")
    if not _is_number(config["learning_rate"]) or not 0 < config["learning_rate"] < float("inf"):
        raise ConfigError(f"learning_rate is {config['learning_rate']!r}; expected a number above 0, such as 0.001.")
    if not _is_number(config["weight_decay"]) or not 0 <= config["weight_decay"] < float("inf"):
        raise ConfigError(f"weight_decay is {config['weight_decay']!r}; expected a number of at least 0.")
    _check_negatives(config["train_neg_sample_args"])
    loss = config["loss_type"]
    if config["MODEL_TYPE"] == ModelType.SEQUENTIAL and loss is not None and loss not in _SEQUENTIAL_LOSSES:
        raise ConfigError(f"{config.model}: loss_type is {loss!r}; expected one of {', '.join(_SEQUENTIAL_LOSSES)}.")


def _check_negatives(given: Any) -> None:
    if given is None or given == "None":
        return
    if not isinstance(given, dict):
        raise ConfigError(
            f"train_neg_sample_args is {given!r}; expected a mapping such as {{'distribution': 'uniform', 'sample_num': 1}}."
        )
    for key in given:
        if key not in _NEGATIVES:
            raise ConfigError(f"train_neg_sample_args: unknown key '{key}'. {nearest(str(key), _NEGATIVES)}")
    distribution = given.get("distribution")
    if distribution in (None, "None", "none"):
        return
    if distribution not in _DISTRIBUTIONS:
        raise ConfigError(
            f"train_neg_sample_args: distribution is {distribution!r}; expected one of {', '.join(_DISTRIBUTIONS)}."
        )
    number = given.get("sample_num", 1)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ConfigError(f"train_neg_sample_args: sample_num is {number!r}; expected a whole number of at least 1.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
