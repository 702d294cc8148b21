"""RecBole's Config, taught the yaml files, the data sets and the keys of the plug-in."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

import recbole.model
import torch
import yaml
from recbole.config.configurator import Config as RecBoleConfig
from recbole.evaluator.register import metrics_dict
from recbole.utils import ModelType, get_model
from recbole.utils.argument_list import (
    dataset_arguments,
    evaluation_arguments,
    general_arguments,
    training_arguments,
)

from recbole_esmr.errors import ConfigError, UnknownNameError, closest, nearest
from recbole_esmr.files import read_yaml, shipped
from recbole_esmr.settings import keys, parse, setting

MODEL_NAME = "ESMR"


@dataclass(frozen=True, kw_only=True)
class ESMRSettings:
    """The keys of ``properties/model/ESMR.yaml`` that are not RecBole's, with type and range; the values stand there."""

    day_split: list[float] = setting("shares of train, valid and test days", low=0, high=1)
    encoder_hidden_size: int = setting("width of the day vectors", low=4, high=1024)
    encoder_layers: int = setting("Transformer layers across days", low=1, high=24)
    encoder_heads: int = setting("attention heads", low=1, high=64)
    encoder_dropout: float = setting("dropout", low=0, high=0.9)
    encoder_epochs: int = setting("epochs of the encoder", low=1, high=100_000)
    encoder_stopping_step: int = setting("epochs without progress before the encoder stops", low=1, high=100_000)
    encoder_learning_rate: float = setting("learning rate of the encoder", low=1e-8, high=1)
    encoder_weight_decay: float = setting("weight decay of the encoder", low=0, high=10)
    encoder_calibrate: bool = setting("calibrate on the validation days")
    encoder_batch_users: int = setting("people in a batch", low=1, high=1_000_000)
    forecast_horizon: int = setting("reach of the episode forecast", low=1, high=60, unit="days")
    pretrained_encoder: str | None = setting("file of `recbole-esmr pretrain` to begin from")
    label: str = setting("where the people's emotions come from", choices=("reported", "behaviour-clusters"))
    forecast_baselines: str = setting("which opponents `run` trains beside the encoder", choices=("cheap", "all"))
    backbone: str | None = setting("a RecBole model whose own order is the engagement ranking")
    retriever: str = setting("a general or sequential RecBole model")
    retriever_config: dict[str, Any] = setting("RecBole keys of the retriever")
    candidates: int = setting("items that LightGBM ranks", low=1, high=1_000_000)
    ranker_rounds: int = setting("boosting rounds", low=1, high=100_000)
    ranker_stopping_rounds: int = setting("rounds without progress before boosting stops", low=1, high=100_000)
    ranker_learning_rate: float = setting("learning rate of LightGBM", low=1e-6, high=1)
    ranker_leaves: int = setting("leaves of a tree", low=2, high=131_072)
    ranker_rows: int = setting("rows that LightGBM learns from, at most", low=100, high=1_000_000_000)
    ranker_negatives: int = setting("sampled negatives a view", low=1, high=1000)
    rank_by: str = setting("what the engagement ranking maximises", choices=("views", "watch_time"))
    causal_level: float = setting("confidence level", low=0.5, high=0.999)
    causal_placebos: int = setting("placebo treatments in the refutation", low=10, high=10_000)
    causal_identification: str = setting("what stands for the exposure", choices=("slate", "back-door"))
    causal_within_person: bool = setting("compare each person with themself only")
    causal_graph: str | None = setting("yaml file of edges")
    causal_graph_samples: int = setting("bootstrap samples of the discovered graph", low=0, high=10_000)
    reward: str = setting("what the re-ranker maximises", choices=("engagement", "emotion", "causal"))
    reward_engagement: float = setting("weight of the watch ratio", low=0, high=1000)
    reward_negative: float = setting("cost of a negative day", low=0, high=1000)
    reward_transition: float = setting("bonus for leaving the negative", low=0, high=1000)
    reward_volatility: float = setting("weight of the day-to-day change of valence", low=0, high=1000)
    reward_churn: float = setting("penalty for not coming back", low=0, high=1000)
    reranker_hidden_size: int = setting("width of the Q network", low=2, high=4096)
    reranker_epochs: int = setting("passes over the logged days", low=1, high=100_000)
    reranker_items: int = setting("items of a day that are learned from", low=1, high=10_000)
    reranker_batch_days: int = setting("user-days in a batch", low=1, high=1_000_000)
    reranker_learning_rate: float = setting("learning rate of the Q network", low=1e-8, high=1)
    reranker_discount: float = setting("value of tomorrow relative to today", low=0, high=0.999)
    reranker_return_days: int = setting(
        "days whose rewards are summed before the target network goes on", low=1, high=60, unit="days"
    )
    reranker_ensemble: int = setting("Q networks", low=2, high=32)
    reranker_pessimism: float = setting("standard deviations of the ensemble taken off a value", low=0, high=10)
    reranker_target_rate: float = setting("how fast the target network follows", low=1e-6, high=1)
    reranker_conservatism: float = setting("weight of the conservative penalty", low=0, high=100)
    gate: str = setting("when the re-ranker acts", choices=("forecast", "streak", "always", "never"))
    min_engagement: float = setting("floor under everybody's watch time together, as a share", low=0, high=1)
    min_engagement_slate: float = setting("floor under every slate's, as a share", low=0, high=1)
    gate_streak: int = setting("negative days in a row that open the gate", low=1, high=365, unit="days")
    gate_recovery: float = setting("valence that closes the gate", low=-1, high=1, unit="valence")

    @property
    def retriever_name(self) -> str:
        """The RecBole model that proposes candidates: the backbone where there is one."""
        return self.backbone or self.retriever


FIELD_KEYS = tuple(read_yaml(shipped("properties") / "overall.yaml"))
"""The plug-in's keys about data, known to every model."""

DATA_KEYS = (*FIELD_KEYS, "day_split", "label")
"""The plug-in's keys that change what a data set holds."""


class Config(RecBoleConfig):
    """RecBole's ``Config`` with the plug-in's properties.

    Order, each beating the one before: RecBole's yaml files (overall, model, sample, data set, quick start), the plug-in's
    (overall, model), ``NAME.yaml`` in the folder of the data set, config files, ``config_dict``, command line.

    Args:
        model, dataset, config_file_list, config_dict: as in RecBole. ``dataset`` may also be the path of a folder.
        arguments: command-line arguments ``--key=value`` to read instead of ``sys.argv``; in them an unknown key is an error.

    Raises:
        UnknownNameError: a model or data set that does not exist; the message lists what does.
        ConfigError: a key that neither RecBole nor ESMR knows (for ESMR), or a value out of its range.
    """

    def __init__(
        self,
        model: Any = None,
        dataset: str | None = None,
        config_file_list: Sequence[str | Path] | None = None,
        config_dict: dict[str, Any] | None = None,
        arguments: Sequence[str] | None = None,
    ) -> None:
        self._arguments = arguments
        super().__init__(model, dataset, config_file_list, dict(config_dict) if config_dict else None)

    @property
    def esmr(self) -> ESMRSettings:
        """The ESMR keys, checked and typed."""
        values = {key: self.final_config_dict[key] for key in keys(ESMRSettings) if key in self.final_config_dict}
        return parse(ESMRSettings, values, where=f"config of {MODEL_NAME}")

    # -- reading -----------------------------------------------------------------------------------------------------

    def _load_config_files(self, file_list):
        for file in file_list or []:
            read_yaml(file)  # refuses what is no mapping, with file and line
        return super()._load_config_files(file_list)

    def _load_cmd_line(self):
        if self._arguments is None:
            given = super()._load_cmd_line()
            return {key: value for key, value in given.items() if self._is_ours(key)}
        given = {}
        for argument in self._arguments:
            key, equals, value = argument.removeprefix("--").partition("=")
            if not argument.startswith("--") or not equals:
                raise ConfigError(f"'{argument}' is no option. Write --key=value.")
            if key not in _known_keys():
                raise ConfigError(f"unknown option '--{key}'. {nearest(key, _known_keys())}")
            given[key] = value
        return self._convert_config_dict(given)

    def _is_ours(self, key: str) -> bool:
        """Whether an option in ``sys.argv`` is meant for RecBole; another program's (``pytest --cov=x``) is left alone."""
        if key in _known_keys() or closest(key, _known_keys()) is not None:
            return True
        getLogger().warning(f"command line option --{key} is none of RecBole's and will not be used")
        return False

    def _get_model_and_dataset(self, model, dataset):
        name = model if model is not None else self.external_config_dict.get("model")
        if name is None:
            raise ConfigError("no model is named. Give model=ESMR, or --model=ESMR, or `model: ESMR` in a config file.")
        if isinstance(name, str):
            model_class(name)
        data = dataset if dataset is not None else self.external_config_dict.get("dataset")
        if data is None:
            raise ConfigError("no data set is named. Give dataset=NAME, or --dataset=NAME, or `dataset: NAME` in a config file.")
        path = Path(str(data))
        if path.is_dir() and (path.is_absolute() or len(path.parts) > 1):
            self.external_config_dict["data_path"] = str(path.parent)
            dataset = path.name
        name, cls, dataset = super()._get_model_and_dataset(model, dataset)
        if name == MODEL_NAME:
            check_keys(self.external_config_dict, "unknown config key")
        return name, cls, dataset

    def _load_internal_config_dict(self, model, model_class, dataset):
        super()._load_internal_config_dict(model, model_class, dataset)
        properties = shipped("properties")
        self._dataset_path = self._find_dataset(dataset)
        own = (properties / "overall.yaml", properties / f"model/{model}.yaml", self._dataset_path / f"{dataset}.yaml")
        for path in own:
            if path.is_file():
                read_yaml(path)  # refuses what is no mapping, with file and line
                self._update_internal_config_dict(path)
        self.parameters["Dataset"] = [*self.parameters["Dataset"], *DATA_KEYS]
        self.parameters[MODEL_NAME] = [key for key in keys(ESMRSettings) if key not in DATA_KEYS]

    def _init_device(self):
        final = self.final_config_dict
        if "local_rank" not in final or torch.cuda.is_available():
            super()._init_device()
            return
        # RecBole asks for NCCL and a GPU in each process; on a CPU the processes talk through Gloo.
        rank = final["local_rank"]
        torch.distributed.init_process_group(
            "gloo",
            rank=rank + final["offset"],
            world_size=final["world_size"],
            init_method=f"tcp://{final['ip']}:{final['port']}",
        )
        final.update(single_spec=False, device=torch.device("cpu"))
        if rank != 0:
            final.update(state="error", show_progress=False, verbose=False)

    # -- checking ----------------------------------------------------------------------------------------------------

    def _set_default_parameters(self):
        self._drop_negatives_of_full_softmax()
        try:
            super()._set_default_parameters()
        except NotImplementedError as error:
            known = [metric.__name__ for metric in metrics_dict.values()]
            for metric in self.final_config_dict["metrics"]:
                if metric.lower() not in metrics_dict:
                    raise ConfigError(f"metrics: unknown metric '{metric}'. {nearest(metric, known)}") from error
            raise
        self.final_config_dict["data_path"] = str(self._dataset_path)
        self._check_recboles()
        if self.model == MODEL_NAME:
            self._check_esmr()

    def _drop_negatives_of_full_softmax(self) -> None:
        """A sequential model with ``loss_type: CE`` samples no negatives; RecBole asks every user of SASRec to say so."""
        final = self.final_config_dict
        full_softmax = final["MODEL_TYPE"] == ModelType.SEQUENTIAL and final.get("loss_type") == "CE"
        if full_softmax and "train_neg_sample_args" not in self.external_config_dict:
            final["train_neg_sample_args"] = None

    def _find_dataset(self, dataset: str) -> Path:
        """The folder of a data set: in ``data_path``, shipped with the plug-in, or one that RecBole has or downloads."""
        folder = Path(str(self.external_config_dict.get("data_path", self.internal_config_dict["data_path"])))
        recbole_root = Path(recbole.model.__path__[0]).parent
        own, examples = shipped("datasets"), recbole_root / "dataset_example"
        for place in (folder, own, examples):
            if (place / dataset).is_dir():
                return place / dataset
        if dataset in read_yaml(recbole_root / "properties/dataset/url.yaml"):
            return folder / dataset
        known = [child.name for place in (folder, own, examples) if place.is_dir() for child in place.iterdir() if child.is_dir()]
        raise UnknownNameError(
            f"unknown data set '{dataset}': there is no folder {folder / dataset}. {nearest(dataset, known)} "
            "Set data_path to the folder that holds it."
        )

    def _check_recboles(self) -> None:
        """RecBole's keys whose mistakes would else surface as a KeyError after the training."""
        final = self.final_config_dict
        for key, low in {"seed": 0, "epochs": 0, "stopping_step": 0, "train_batch_size": 1, "eval_batch_size": 1}.items():
            value = final[key]
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise ConfigError(f"{key} is {value!r}; expected a whole number of at least {low}.")
        name, _, k = str(final["valid_metric"]).partition("@")
        metrics = [metric.lower() for metric in final["metrics"]]
        if name.lower() not in metrics or (k and int(k) not in final["topk"]):
            raise ConfigError(
                f"valid_metric is {final['valid_metric']}; expected one of metrics {final['metrics']} at one of topk "
                f"{final['topk']}."
            )

    def _check_esmr(self) -> None:
        settings = self.esmr
        if settings.encoder_hidden_size % settings.encoder_heads:
            raise ConfigError(
                f"encoder_hidden_size is {settings.encoder_hidden_size} and encoder_heads {settings.encoder_heads}; "
                "expected a width that the heads divide."
            )
        if len(settings.day_split) != 3 or settings.day_split[0] <= 0:
            raise ConfigError(f"day_split is {list(settings.day_split)}; expected three shares such as [0.8, 0.1, 0.1].")
        if settings.min_engagement_slate > settings.min_engagement:
            raise ConfigError(
                f"min_engagement_slate is {settings.min_engagement_slate} and min_engagement {settings.min_engagement}; "
                "expected a floor under each slate that is not above that under all."
            )
        key = "backbone" if settings.backbone else "retriever"
        if model_class(settings.retriever_name).type not in (ModelType.GENERAL, ModelType.SEQUENTIAL, ModelType.TRADITIONAL):
            raise ConfigError(f"{key}: {settings.retriever_name} is neither a general nor a sequential model of RecBole.")
        if self.final_config_dict["eval_args"]["order"] != "TO":
            raise ConfigError("eval_args: ESMR needs `order: TO`, for a person's days are split by time.")


def model_names() -> list[str]:
    """The names of all models that RecBole and the plug-in have."""
    names = {MODEL_NAME, "LightGBM", "XGBoost"}  # RecBole's own two need xgboost, so that package is not imported to ask it
    for category in ("general", "context_aware", "sequential", "knowledge_aware"):
        package = importlib.import_module(f"recbole.model.{category}_recommender")
        names |= {name for name, value in vars(package).items() if isinstance(value, type)}
    return sorted(names)


def model_class(name: str) -> Any:
    """The model class of that name.

    Raises:
        UnknownNameError: there is none; the message names the nearest, or lists them.
    """
    try:
        return get_model(name)
    except (ValueError, AttributeError, ImportError) as error:
        if name in model_names():
            raise
        raise UnknownNameError(f"unknown model '{name}'. {nearest(name, model_names())}") from error


def check_keys(given: Iterable[str], wrong: str) -> None:
    """Refuse keys that neither RecBole nor the plug-in knows.

    Raises:
        ConfigError: ``wrong``, the key, and the nearest known one.
    """
    for key in given:
        if key not in _known_keys():
            raise ConfigError(f"{wrong} '{key}'. {nearest(key, _known_keys())}")


_KNOWN: set[str] = set()


def _known_keys() -> set[str]:
    """Every key that RecBole's yaml files, its argument lists and the plug-in know."""
    if not _KNOWN:
        properties = Path(recbole.model.__path__[0]).parent / "properties"
        for folder in (properties, shipped("properties")):
            files = [folder / "overall.yaml", *folder.glob("model/*.yaml"), *folder.glob("dataset/*.yaml")]
            for file in (*files, *folder.glob("quick_start_config/*.yaml")):
                if file.is_file() and file.stem not in ("url", "kg_url"):
                    _KNOWN.update(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
        for arguments in (general_arguments, training_arguments, evaluation_arguments, dataset_arguments):
            _KNOWN.update(arguments)
        _KNOWN.update(("model", "dataset", "config_files", "nproc", "world_size", "ip", "port", "offset", "local_rank"))
        _KNOWN.update(("encoding", "MODEL_TYPE", "numerical_features", "transform", "loss_type", *keys(ESMRSettings)))
    return _KNOWN
