"""RecBole's Config, taught the yaml files, the data sets and the keys of the plug-in."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

import recbole.model
import torch
from recbole.config.configurator import Config as RecBoleConfig
from recbole.evaluator.register import metrics_dict
from recbole.utils import ModelType

from recbole_esmr.causal.analysis import CausalSettings
from recbole_esmr.causal.reward import Reward
from recbole_esmr.causal.traits import BY_STATE
from recbole_esmr.checkpoint import check_key_files
from recbole_esmr.checkpoint.known_ids import KnownIds
from recbole_esmr.data.embeddings import EmbeddingSettings
from recbole_esmr.data.recbole.columns import check_columns
from recbole_esmr.data.recbole.filtering import check_filters
from recbole_esmr.data.trace import DaySettings
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import ConfigError, UnknownNameError, closest, nearest
from recbole_esmr.files import read_yaml, shipped
from recbole_esmr.model.emotion_encoder import EncoderSettings
from recbole_esmr.model.engagement_ranker import RankerSettings
from recbole_esmr.model.ranking import ServingRule
from recbole_esmr.model.reasons import ExportSettings
from recbole_esmr.model.retriever import RetrieverSettings
from recbole_esmr.outputs import expanded, on_a_terminal
from recbole_esmr.plugin import data_keys
from recbole_esmr.protocol import check_eval_args, check_judged, check_rows, in_words
from recbole_esmr.recbole_keys import (
    AS_RECBOLE,
    NOT_FROM_DATA,
    NOT_FROM_FILES,
    check_keys,
    check_together,
    checked,
    converted,
    known_keys,
)
from recbole_esmr.recbole_models import MODEL_NAME, check_needs, check_pickles, load_knowledge, model_class, sample_labels
from recbole_esmr.rl.double_q import RerankerSettings
from recbole_esmr.settings import flat_keys, parse_flat, section
from recbole_esmr.values import shown

_SHARED = (
    *("seed", "reproducibility", "gpu_id", "use_gpu", "checkpoint_dir", "show_progress", "state", "log_wandb"),
    *("epochs", "learner", "learning_rate", "weight_decay", "clip_grad_norm", "train_batch_size", "stopping_step"),
    *("eval_args", "eval_batch_size", "repeatable", "topk", "valid_metric", "metric_decimal_place"),
    *("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD", "MAX_ITEM_LIST_LENGTH", "LIST_SUFFIX", "ITEM_LIST_LENGTH_FIELD"),
)
"""RecBole's keys that the retriever's config takes from ESMR's."""

USUAL_BATCH = 2048
"""RecBole's ``train_batch_size`` where nobody has set one."""


@dataclass(frozen=True, kw_only=True)
class ESMRSettings:
    """The keys of ``properties/model/ESMR.yaml`` that are not RecBole's: each room declares its own, the yaml holds values."""

    days: DaySettings = section("")
    embeddings: EmbeddingSettings = section("")
    encoder: EncoderSettings = section("encoder_")
    retriever: RetrieverSettings = section("")
    ranker: RankerSettings = section("ranker_")
    causal: CausalSettings = section("causal_")
    reward: Reward = section("reward_")
    reranker: RerankerSettings = section("reranker_")
    serving: ServingRule = section("")
    export: ExportSettings = section("")


class Config(RecBoleConfig):
    """RecBole's ``Config`` with the plug-in's properties.

    Order, each beating the one before: RecBole's yaml files (overall, model, sample, data set, quick start), the plug-in's
    (overall, model), ``defaults``, ``NAME.yaml`` in the folder of the data set, config files, ``config_dict``, command line.

    Args:
        model, dataset, config_file_list, config_dict: as in RecBole. ``dataset`` may also be the path of a folder.
        arguments: command-line arguments ``--key=value`` to read instead of ``sys.argv``; in them an unknown key is an error.
        defaults: what holds where neither the data set nor the user sets a key, whatever the model's own yaml says.

    Raises:
        UnknownNameError: a model or data set that does not exist; the message lists what does.
        ConfigError: a key that neither RecBole nor ESMR knows (for ESMR), or a value out of its range.
    """

    known_ids: KnownIds | None = None
    """Of a checkpoint: the data set is numbered as it was for it."""
    rows_of_recboles_models = "shared"
    """What ``rows`` is for a model of RecBole's unless somebody sets it."""
    kinds: Mapping[str, Any] = {}
    """Of keys that hold something else than :func:`recbole_esmr.recbole_keys.known_keys` says."""

    def __init__(
        self,
        model: Any = None,
        dataset: str | None = None,
        config_file_list: Sequence[str | Path] | None = None,
        config_dict: dict[str, Any] | None = None,
        arguments: Sequence[str] | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self._arguments, self._defaults = arguments, dict(defaults or {})
        super().__init__(model, dataset, config_file_list, dict(config_dict) if config_dict else None)

    @property
    def esmr(self) -> ESMRSettings:
        """The ESMR keys, checked and typed."""
        return parse_flat(ESMRSettings, self.final_config_dict, where=f"config of {MODEL_NAME}")

    def of_retriever(self) -> Config:
        """RecBole's config of the retriever: its own yaml, what it shares with this config, then ``retriever_config``."""
        settings = self.esmr.retriever
        check_keys(settings.retriever_config, "retriever_config: unknown key")
        if "MAX_ITEM_LIST_LENGTH" in settings.retriever_config:
            raise ConfigError(
                "retriever_config: MAX_ITEM_LIST_LENGTH is the data set's, for histories are cut when the data are loaded. "
                "Set it beside retriever_config."
            )
        metric = str(self["valid_metric"]).split("@")[0]
        shared = {key: self[key] for key in _SHARED if self[key] is not None}
        if "train_batch_size" not in self.external_config_dict and shared["train_batch_size"] == USUAL_BATCH:
            del shared["train_batch_size"]  # nobody has set it
        folder = Path(str(self["data_path"])).resolve().parent
        values = shared | {"metrics": [metric], "data_path": str(folder)} | settings.retriever_config
        try:
            config = Config(settings.name, str(self["dataset"]), config_dict=values, arguments=[])
        except ConfigError as error:
            raise ConfigError(f"retriever_config: {error}") from error
        config["device"] = self["device"]
        return config

    def check_trainable(self) -> None:
        """Refuse what a training would stumble over. A config of RecBole's models that only loads data need not pass it.

        Raises:
            ConfigError: the key, or what the model needs, and how to mend it.
        """
        check_judged(self)
        check_needs(self)

    def compatibility_settings(self):
        """Leave numpy as it is: RecBole gives it old names, for everybody; :mod:`recbole_esmr.compat` gives them to RecBole."""

    # -- reading -----------------------------------------------------------------------------------------------------

    def _convert_config_dict(self, config_dict):
        """Texts as the values that they stand for, each of the kind that its key holds; RecBole evaluates them as Python."""
        return converted(config_dict, self.kinds)

    def _load_config_files(self, file_list):
        values: dict[str, Any] = {}
        for file in file_list or []:
            values |= self._file(expanded(file), NOT_FROM_FILES)
        return values

    def _file(self, path: Path, never: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What a yaml file sets; the path of a taxonomy is relative to that file."""
        values = checked(read_yaml(path), f"{path}: ", never, self.kinds)
        taxonomy = values.get("emotion_taxonomy")
        if taxonomy is not None:
            try:
                values["emotion_taxonomy"] = load_taxonomy(taxonomy, path.parent).setting
            except UnknownNameError as error:
                raise UnknownNameError(f"{path}: {error}") from error
        return values

    def _load_cmd_line(self):
        given: dict[str, str] = {}
        for argument in self._options():
            key, equals, value = argument.removeprefix("--").partition("=")
            if self._arguments is None and not (argument.startswith("--") and equals and self._is_ours(key)):
                continue
            if not argument.startswith("--") or not equals:
                raise ConfigError(f"{shown(argument)} is no option. Write --key=value.")
            if self._arguments is not None and key not in known_keys():
                raise ConfigError(f"unknown option {shown(f'--{key}')}. {nearest(key[:80], known_keys())}")
            if given.get(key, value) != value:
                raise ConfigError(f"--{key} is given twice, as {shown(given[key])} and {shown(value)}. Give it once.")
            given[key] = value
        return checked(converted(given, self.kinds), never=NOT_FROM_FILES, kinds=self.kinds)

    def _options(self) -> Sequence[str]:
        return _command_line() if self._arguments is None else self._arguments

    def _is_ours(self, key: str) -> bool:
        """Whether an option in ``sys.argv`` is meant for RecBole; another program's (``pytest --cov=x``) is left alone."""
        if key in known_keys() or closest(key, known_keys()) is not None:
            return True
        getLogger().warning(f"command line option --{key} is none of RecBole's and will not be used")
        return False

    def _get_model_and_dataset(self, model, dataset):
        name = model if model is not None else self.external_config_dict.get("model")
        if name is None:
            raise ConfigError("no model is named. Give model=ESMR, or --model=ESMR, or `model: ESMR` in a config file.")
        if isinstance(name, str):
            model_class(known_keys()["model"].checked(name, "model"))
        data = dataset if dataset is not None else self.external_config_dict.get("dataset")
        if data is None:
            raise ConfigError("no data set is named. Give dataset=NAME, or --dataset=NAME, or `dataset: NAME` in a config file.")
        data = known_keys()["dataset"].checked(str(data), "dataset")
        folder = _as_folder(data)
        if folder is not None:
            self.external_config_dict["data_path"] = str(folder.parent)
        name, cls, dataset = super()._get_model_and_dataset(model, folder.name if folder is not None else data)
        if name == MODEL_NAME:
            check_keys(self.external_config_dict, "unknown config key")
        return name, cls, dataset

    def _load_internal_config_dict(self, model, model_class, dataset):
        super()._load_internal_config_dict(model, model_class, dataset)
        own, self._dataset_path = shipped("properties"), self._find_dataset(dataset)
        for path in (own / "overall.yaml", own / f"model/{model}.yaml"):
            if path.is_file():
                self.internal_config_dict |= self._file(path)
        self.internal_config_dict["show_progress"] = on_a_terminal()
        if model != MODEL_NAME:
            self.internal_config_dict["rows"] = self.rows_of_recboles_models
        self.internal_config_dict |= self._defaults
        beside = self._dataset_path / f"{dataset}.yaml"
        if beside.is_file():
            self.internal_config_dict |= self._file(beside, NOT_FROM_DATA)
        self.parameters["Dataset"] = [*self.parameters["Dataset"], *data_keys()]
        self.parameters[MODEL_NAME] = [key for key in flat_keys(ESMRSettings) if key not in data_keys()]

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
        final = self.final_config_dict
        check_eval_args(final["eval_args"])
        check_rows(final["rows"], self.model == MODEL_NAME)
        check_together(self)
        check_filters(self)
        self._drop_negatives_of_full_softmax()
        repeatable, final["repeatable"] = final["repeatable"], True  # else RecBole refuses its sequential models;
        try:  # what they are asked is masked by recbole_esmr.evaluator.full_sort
            super()._set_default_parameters()
        except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
            known = [metric.__name__ for metric in metrics_dict.values()]
            for metric in final["metrics"]:
                if str(metric).lower() not in metrics_dict:
                    raise ConfigError(f"metrics: unknown metric '{metric}'. {nearest(str(metric), known)}") from error
            raise ConfigError(f"{self.model}: {in_words(str(error), final)}") from error
        final.update(repeatable=repeatable, data_path=str(self._dataset_path))
        final["emotion_taxonomy"] = load_taxonomy(final["emotion_taxonomy"]).setting
        check_key_files(final.get("sign"), final.get("trust"))
        check_columns(self)
        sample_labels(self)
        load_knowledge(self)
        check_pickles(self)
        if self.model == MODEL_NAME:
            self.check_trainable()
            self._check_esmr()

    def _drop_negatives_of_full_softmax(self) -> None:
        """A sequential model with ``loss_type: CE`` samples no negatives; RecBole asks every user of SASRec to say so."""
        final = self.final_config_dict
        full_softmax = final["MODEL_TYPE"] == ModelType.SEQUENTIAL and final.get("loss_type") == "CE"
        if full_softmax and "train_neg_sample_args" not in self.external_config_dict:
            final["train_neg_sample_args"] = None

    def _find_dataset(self, dataset: str) -> Path:
        """The folder of a data set: in ``data_path``, shipped with the plug-in, or one that RecBole has or downloads."""
        given = self.external_config_dict.get("data_path", self.internal_config_dict["data_path"])
        folder = expanded(str(given))
        recbole_root = Path(recbole.model.__path__[0]).parent
        own, examples = shipped("datasets"), recbole_root / "dataset_example"
        for place in (folder, own, examples):
            if (place / dataset).is_dir():
                return place / dataset
        if Path(dataset, f"{dataset}.inter").is_file():  # a folder where the user stands, written without ./
            return Path(dataset).absolute()
        if dataset in read_yaml(recbole_root / "properties/dataset/url.yaml"):
            return folder / dataset
        places = [place for place in (folder, own, examples) if place.is_dir()]
        if any(folder.glob(f".{dataset}.old-*")):
            raise UnknownNameError(
                f"data set '{dataset}': writing it into {folder} was cut off, and its old files lie under a hidden name. "
                "Import or simulate it again."
            )
        known = [child.name for place in places for child in place.iterdir() if child.is_dir() and child.name[0] != "."]
        raise UnknownNameError(
            f"unknown data set '{dataset}': there is no folder {folder / dataset}. {nearest(dataset, known)} "
            "Set data_path to the folder that holds it."
        )

    def _check_esmr(self) -> None:
        settings = self.esmr
        encoder, serving, retriever = settings.encoder, settings.serving, settings.retriever
        if encoder.hidden_size % encoder.heads:
            raise ConfigError(
                f"encoder_hidden_size is {encoder.hidden_size} and encoder_heads {encoder.heads}; "
                "expected a width that the heads divide."
            )
        split = list(settings.days.day_split)
        if len(split) != 3 or split[0] <= 0:
            raise ConfigError(f"day_split is {split}; expected three shares such as [0.8, 0.1, 0.1].")
        if serving.min_engagement_slate > serving.min_engagement:
            raise ConfigError(
                f"min_engagement_slate is {serving.min_engagement_slate} and min_engagement {serving.min_engagement}; "
                "expected a floor under each slate that is not above that under all."
            )
        for name in settings.causal.by_state:
            if name not in (*settings.causal.features, *BY_STATE):
                raise ConfigError(
                    f"effect_by_state names '{name}', which effect_features does not. {nearest(name, settings.causal.features)}"
                )
        if model_class(retriever.name).type not in (ModelType.GENERAL, ModelType.SEQUENTIAL, ModelType.TRADITIONAL):
            key = "backbone" if retriever.backbone else "retriever"
            raise ConfigError(f"{key}: {retriever.name} is neither a general nor a sequential model of RecBole.")


class ConfigOfRecBole(Config):
    """What ``recbole.config.Config`` is once the plug-in is there: its own models are given their rows in RecBole's own way, and
    its keys hold what RecBole takes."""

    rows_of_recboles_models = "recbole"
    kinds = AS_RECBOLE


def options_of_command() -> list[str]:
    """The options on the command line of this program that are keys of RecBole's or ESMR's, ``--key=value`` each."""
    return [word for word in _command_line() if word.startswith("--") and word[2:].partition("=")[0] in known_keys()]


def _command_line() -> list[str]:
    return [] if "ipykernel_launcher" in sys.argv[0] else sys.argv[1:]


def _as_folder(dataset: str) -> Path | None:
    """The folder that ``dataset`` names by a path (``./mine``, ``mine/``, ``~/mine``); None for a plain name.

    Raises:
        UnknownNameError: a path, and no folder there.
    """
    is_path = (
        dataset.startswith("~") or dataset in (".", "..") or any(slash and slash in dataset for slash in (os.sep, os.altsep))
    )
    if not is_path:
        return None
    folder = Path(os.path.abspath(expanded(dataset)))
    if folder.is_file():
        raise UnknownNameError(f"data set '{dataset}': is a file. Give the folder that holds it: --dataset={folder.parent}")
    if not folder.is_dir():
        raise UnknownNameError(
            f"data set '{dataset}': {folder} is no folder. Give the path of the folder that holds {folder.name}.inter."
        )
    return folder
