"""Run, load and tune: RecBole's quick start for ESMR and for every RecBole model, with safe checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from logging import getLogger
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import recbole.quick_start.quick_start as recbole_quick_start
from recbole.data import create_dataset, data_preparation
from recbole.data.transform import construct_transform
from recbole.utils import init_seed, set_color

from recbole_esmr.causal.analysis import Analysis
from recbole_esmr.checkpoint import AtMost, Checkpoint, ids_of, json_config, load_checkpoint, package_versions, restore, threads
from recbole_esmr.config import Config, ConfigOfRecBole, ESMRSettings
from recbole_esmr.data.dataset import ESMRDataset, load_data, load_split
from recbole_esmr.data.reading.consent import not_named
from recbole_esmr.data.reading.found import log_found
from recbole_esmr.data.trace import TEST, VALID
from recbole_esmr.errors import CheckpointError, ConfigError, DataError, ESMRError
from recbole_esmr.evaluator.by_person import ByPerson
from recbole_esmr.files import SCHEMA_VERSION
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.model.learned import RERANKER
from recbole_esmr.outputs import check_output, check_room
from recbole_esmr.recbole_keys import NOT_FROM_FILES, check_keys, checked
from recbole_esmr.recbole_models import MODEL_NAME, build_model, learns_when_made, one_line
from recbole_esmr.records import get_flops, init_logger
from recbole_esmr.report.found import log_lines
from recbole_esmr.settings import SERVING, flat_keys
from recbole_esmr.trainer.causal import answers, causal_question, moments_answers
from recbole_esmr.trainer.checkpointing import SafeCheckpoints, get_trainer
from recbole_esmr.trainer.going_on import kept_training
from recbole_esmr.trainer.readiness import check_rankable, check_trainable, unsplittable

_WITH_MOMENTS = 4
"""Numbers that a checkpoint of a training under way holds for each weight: the best, the last, and Adam's two moments."""


def run_recbole(
    model: str | None = None,
    dataset: str | None = None,
    config_file_list: Sequence[str | Path] | None = None,
    config_dict: dict[str, Any] | None = None,
    saved: bool = True,
    queue: Any = None,
    arguments: Sequence[str] | None = None,
    resume: str | Path | None = None,
) -> dict[str, Any]:
    """Train and test any model of RecBole or the plug-in.

    Args:
        model, dataset, config_file_list, config_dict, saved, queue: as in RecBole's ``run_recbole``; ``dataset`` may also be
            the path of a folder.
        arguments: command-line arguments ``--key=value`` to read instead of ``sys.argv``.
        resume: a checkpoint to go on from, with the same keys and files; the result is that of a training that was never stopped.

    Returns:
        RecBole's result (``best_valid_score``, ``valid_score_bigger``, ``best_valid_result``, ``test_result``; of a part that the
        split leaves empty, None) and what
        ``run.json`` holds: ``schema_version``, ``model``, ``dataset``, ``seed``, ``config``, ``versions``, ``timings``,
        ``checkpoint`` (None with ``saved=False``), and for ESMR ``emotion``, ``engagement``, ``causal`` and ``policy`` (None for
        other models).

    Raises:
        ESMRError: a config, data set or name that is wrong; the message says how to mend it.
        Interrupted: it was stopped; names the checkpoint to go on from.
    """
    config = Config(model, dataset, config_file_list, config_dict, arguments)
    return train_and_test(config, saved, queue, resume)


def prepare(config: Config) -> tuple[Any, Any, Any, Any]:
    """The data set that a config asks for and RecBole's loaders of its parts, checked: a model can be trained on them.

    Raises:
        DataError: there is too little to train on, or the largest ``topk`` is more than there are items.
    """
    config.check_trainable()
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    getLogger().info(sys.argv)
    getLogger().info(config)
    dataset = create_dataset(config)
    getLogger().info(dataset)
    if isinstance(dataset, ESMRDataset):
        getLogger().info("What was found:\n" + log_lines(log_found(dataset)))
    check_rankable(config, dataset)
    try:
        train, valid, test = data_preparation(config, dataset)
    except ValueError as error:
        raise unsplittable(config, error) from error
    check_trainable(config, train._dataset)
    return dataset, train, valid, test


def train_and_test(
    config: Config,
    saved: bool = True,
    queue: Any = None,
    resume: str | Path | None = None,
    checkpoint: str | Path | None = None,
    people: ByPerson | None = None,
) -> dict[str, Any]:
    """What :func:`run_recbole` does with a config.

    ``checkpoint`` is the file to write, one of a new name unless given. With ``people`` the result also has ``by_person``, each
    person's part of the test's metrics.
    """
    start = perf_counter()
    logger = getLogger()
    if saved:
        check_output(config["checkpoint_dir"], folder=True)
    data, train_data, valid_data, test_data = prepare(config)
    init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
    recommender = build_model(config, train_data._dataset).to(config["device"])
    logger.info(recommender)
    flops = get_flops(recommender, data, config["device"], logger, construct_transform(config))
    logger.info(set_color("FLOPs", "blue") + f": {flops}")
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, recommender)
    if saved and isinstance(trainer, SafeCheckpoints):
        size = sum(weight.numel() * weight.element_size() for weight in recommender.parameters())
        check_room(config["checkpoint_dir"], least=size, likely=2 * _WITH_MOMENTS * size)  # a new one beside the old one
    if checkpoint:
        trainer.saved_model_file = str(checkpoint)
    if resume:
        _go_on_from(trainer, resume)
    loaded = perf_counter()
    show = config["show_progress"]
    stoppable = trainer.stoppable(saved) if isinstance(trainer, SafeCheckpoints) else nullcontext()
    with stoppable, one_line(config, "RecBole's model stopped in its training"):
        best_valid_score, best_valid_result = trainer.fit(train_data, valid_data, saved=saved, show_progress=show)
        trained = perf_counter()
        with people.listening(trainer) if people else nullcontext():
            test_result = trainer.evaluate(test_data, load_best_model=saved, show_progress=show)
    logger.info(set_color("best valid ", "yellow") + f": {best_valid_result}")
    logger.info(set_color("test result", "yellow") + f": {test_result}")
    trainer.tensorboard.close()
    timings = {"load": loaded - start, "fit": trained - loaded, "test": perf_counter() - trained}
    result = {
        "best_valid_score": best_valid_score,
        "valid_score_bigger": config["valid_metric_bigger"],
        "best_valid_result": best_valid_result,
        "test_result": test_result,
        "schema_version": SCHEMA_VERSION,
        "model": config["model"],
        "dataset": config["dataset"],
        "seed": config["seed"],
        "config": json_config(config),
        "versions": package_versions(),
        "threads": threads(),
        **_esmr_report(recommender, int(config["seed"])),
        "checkpoint": str(trainer.saved_model_file) if saved and isinstance(trainer, SafeCheckpoints) else None,
    }
    if people:
        result["by_person"] = people.of(test_data._dataset)
    stages = dict(recommender.learned.timings) if isinstance(recommender, ESMR) else {}
    result["timings"] = {k: round(v, 2) for k, v in timings.items()} | stages
    if not config["single_spec"]:
        recbole_quick_start.dist.destroy_process_group()
    if config["local_rank"] == 0 and queue is not None:
        queue.put(result)
    return result


def train_into(config: Config, path: Path, people: ByPerson | None = None) -> dict[str, Any]:
    """Train and test with a checkpoint at ``path``, going on from what a stopped training of the same has left there."""
    if kept_training(path, config) is not None:
        return train_and_test(config, resume=path, people=people)
    return train_and_test(config, checkpoint=path, people=people)


def check_buildable(config: Config) -> tuple[Any, Any]:
    """The data set and the test part of a config, once its model has been built on its data, before it is trained.

    Raises:
        ESMRError: the model cannot be built.
    """
    name = config["model"]
    dataset, train, _, test = prepare(config)
    if not learns_when_made(name):
        build_model(config, train._dataset)
    return dataset, test


def _go_on_from(trainer: Any, checkpoint: str | Path) -> None:
    if not isinstance(trainer, SafeCheckpoints):
        raise ConfigError(
            f"{trainer.config['model']}: its library trains it in one go, so there is nothing to go on from. Leave --resume out."
        )
    trainer.resume_checkpoint(checkpoint)


def _esmr_report(model: Any, seed: int) -> dict[str, Any]:
    """What ``run.json`` says of ESMR beyond RecBole's metrics; each part None for other models."""
    if not isinstance(model, ESMR):
        return {"emotion": None, "engagement": None, "causal": None, "policy": None}
    from recbole_esmr.evaluator.forecast import emotion_report

    settings, learned = model.settings, model.learned
    log, beliefs, rankers = model.parts(max(settings.ranker.people, settings.reranker.people))
    tested = (log.trace.role == TEST) & log.trace.present
    acted = rankers.acts & beliefs.gate(settings.serving.gate)[:, :-1][tested]
    return {
        "emotion": emotion_report(log.trace, beliefs, model.encoder, settings, seed),
        "engagement": learned.diagnostics.get("engagement"),
        "causal": learned.causal,
        "policy": {
            "reward": settings.reward.kind,
            "gate": settings.serving.gate.rule,
            "acted_share": float(np.mean(acted)) if tested.any() else 0.0,
            "diagnostics": {name: said for name, said in learned.diagnostics.items() if name != "engagement"},
        },
    }


def run_recboles(rank: int, *args: Any) -> None:
    """The function that RecBole's ``run`` starts in each process; importing it here registers the plug-in there."""
    *positional, kwargs = args
    kwargs["config_dict"] = {**(kwargs.get("config_dict") or {}), "local_rank": rank}
    run_recbole(*positional[:3], **kwargs)


def objective_function(
    config_dict: dict[str, Any] | None = None, config_file_list: Sequence[str | Path] | None = None, saved: bool = True
) -> dict[str, Any]:
    """RecBole's objective for ``HyperTuning``: one training, its validation score and test result."""
    result = run_recbole(config_file_list=config_file_list, config_dict=config_dict, saved=saved)
    keys = ("model", "best_valid_score", "valid_score_bigger", "best_valid_result", "test_result")
    return {key: result[key] for key in keys}


def load_data_and_model(model_file: str | Path, config_dict: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """Load a checkpoint of any model and the data set it was trained on.

    Args:
        model_file: a checkpoint that recbole-esmr wrote.
        config_dict: keys to change, for example ``data_path`` where the data has moved.

    Returns:
        config, model, dataset, train_data, valid_data, test_data, as RecBole's function of that name.

    Raises:
        CheckpointError: the file is not to be used, or does not fit the data.
    """
    changes = dict(config_dict or {})
    check_keys(changes, "unknown config key")
    checkpoint = load_checkpoint(model_file, trust=changes.get("trust"))
    try:
        config = _config_of(checkpoint, changes)
        config.known_ids = ids_of(checkpoint)
        dataset, train_data, valid_data, test_data = load_data(config)
        init_seed(config["seed"], config["reproducibility"])
        with AtMost(checkpoint.state_dict):
            model = build_model(config, train_data._dataset).to(config["device"])
    except CheckpointError as error:
        raise CheckpointError(f"{model_file}: {error}") from error
    except Exception as error:  # RecBole meets values that no training wrote with errors of every kind
        if isinstance(error, ESMRError) and any(key in str(error) for key in changes):
            raise
        said = str(error) if isinstance(error, ESMRError) else f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{model_file}: its config and this data set make no model: {said}") from error
    restore(model, checkpoint, model_file, dataset)
    served = flat_keys(ESMRSettings, SERVING)
    if isinstance(model, ESMR) and any(config[key] != checkpoint.config.get(key) for key in served):
        from recbole_esmr.trainer.off_policy import find_multipliers

        parts = model.parts(config.esmr.reranker.people)
        model.learned = replace(model.learned, multiplier=find_multipliers(*parts, config.esmr.serving)[0])
    return config, model, dataset, train_data, valid_data, test_data


def _config_of(checkpoint: Checkpoint, changes: dict[str, Any]) -> Config:
    """The config of a checkpoint with changed keys."""
    own = {"sign": None, "trust": None, "log_wandb": False}  # of who loads it, not of who wrote it
    if checkpoint.model == MODEL_NAME:
        own["export_emotions"] = False
    made = ConfigOfRecBole if checkpoint.config.get("rows") == "recbole" else Config
    values = {**checked(not_named(checkpoint.config), never=NOT_FROM_FILES, kinds=made.kinds), **own, **changes}
    model, dataset = values.pop("model", None), values.pop("dataset", None)
    if model != checkpoint.model or not isinstance(dataset, str):
        raise CheckpointError(f"is of model {checkpoint.model}, its config of {model!r} on data set {dataset!r}. Train again.")
    return made(model, dataset, config_dict=values, arguments=[])


def retrain_reranker(model_file: str | Path, changes: dict[str, Any], output: str | Path) -> None:
    """Train only ESMR's last stage anew, with changed keys, and write the checkpoint; the other stages stay as they are.

    Args:
        model_file: a checkpoint of ESMR.
        changes: keys ``reward…`` and ``reranker_…``, the widths excepted.
        output: the new checkpoint; one that is there is gone on from where it is of the same training.
    """
    config, model, _, train_data, valid_data, _ = load_data_and_model(model_file, changes)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.saved_model_file = str(output)
    model.learned = model.learned.without(RERANKER)
    if kept_training(output, config) is not None:
        trainer.resume_checkpoint(output)
    trainer.fit(train_data, valid_data, verbose=False, saved=True, show_progress=False)
    trainer.tensorboard.close()


def estimate_causal(
    dataset: str,
    config_file_list: Sequence[str | Path] | None = None,
    config_dict: dict[str, Any] | None = None,
    arguments: Sequence[str] | None = None,
    all_days: bool = False,
    graph_samples: int = 20,
) -> tuple[dict[str, Any], Analysis]:
    """The causal stage alone: effects of a log's feed on tomorrow, without training anything.

    Args:
        dataset, config_file_list, config_dict, arguments: as of :func:`run_recbole`; the keys that begin with ``causal_`` count.
        all_days: whether outcomes of test days are used too; a model judged on those days must not read the
            result.
        graph_samples: bootstrap samples of the discovered graph, unless ``causal_graph_samples`` says more.

    Returns:
        what ``effects.json`` holds, and the analysis.

    Raises:
        ESMRError: a config or data set that is wrong, or a data set without emotions.
    """
    start = perf_counter()
    config = Config(MODEL_NAME, dataset, config_file_list, config_dict, arguments)
    data = load_split(config)
    if not data.trace.has_emotion:
        raise DataError(
            f"nobody in data set '{config['dataset']}' reported an emotion, so nothing can be said of what moves it: add "
            f"'{config['EMOTION_FIELD']}:token' to {config['dataset']}.day."
        )
    loaded = perf_counter()
    settings = config.esmr.causal
    settings = replace(settings, graph_samples=max(settings.graph_samples, graph_samples))
    use = np.ones(data.trace.role.shape, dtype=bool) if all_days else data.trace.role <= VALID
    discount = config.esmr.reranker.discount
    question = causal_question(data.trace, data.seen, data.taxonomy.labels, settings, int(config["seed"]), use, discount)
    found = answers(question, settings, config["show_progress"])
    of_moments = moments_answers(
        data.moments, data.trace, data.seen, data.taxonomy.labels, settings, use, bool(config["items_felt"])
    )
    result = {
        "schema_version": SCHEMA_VERSION,
        "config": {**json_config(config), "all_days": all_days},
        "seed": config["seed"],
        **found.as_dict(),
        "moments": of_moments.as_dict(),
        "warnings": found.warnings + of_moments.warnings,
        "versions": package_versions(),
        "threads": threads(),
        "timings": {"load": round(loaded - start, 2), "causal": round(perf_counter() - loaded, 2)},
    }
    return result, found
