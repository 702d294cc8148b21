"""The first stage alone: how well people's tomorrow is foretold from their days. A diary without a feed is enough."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from recbole_esmr.checkpoint import json_config, package_versions, threads
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_split
from recbole_esmr.errors import DataError
from recbole_esmr.evaluator.forecast import emotion_report
from recbole_esmr.files import SCHEMA_VERSION
from recbole_esmr.model.beliefs import believe
from recbole_esmr.model.pretrained import new_encoder
from recbole_esmr.recbole_models import MODEL_NAME
from recbole_esmr.trainer.emotion import fit_encoder


def forecast(
    dataset: str,
    config_file_list: Sequence[str | Path] | None = None,
    config_dict: dict[str, Any] | None = None,
    arguments: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Train the emotion encoder on a data set's training days and judge it, beside simple forecasters, on the test days.

    Args:
        dataset, config_file_list, config_dict, arguments: as of :func:`~recbole_esmr.quick_start.run_recbole`; ``day_split`` and
            the keys that begin with ``encoder_`` or ``forecast_`` count.

    Returns:
        ``emotion`` as in ``run.json`` (:func:`~recbole_esmr.evaluator.forecast.emotion_report`), ``dataset``, ``seed``,
        ``config``, ``timings``.

    Raises:
        ESMRError: a config or data set that is wrong, or one without a report to learn from or to be judged by.
    """
    start = perf_counter()
    config = Config(MODEL_NAME, dataset, config_file_list, config_dict, arguments)
    data = load_split(config)
    trace, settings, seed = data.trace, config.esmr, int(config["seed"])
    torch.manual_seed(seed)
    encoder = new_encoder(settings.encoder, trace, data.taxonomy.labels, config["trust"]).to(config["device"])
    loaded = perf_counter()
    generator = torch.Generator().manual_seed(10 * seed + 1)
    fit_encoder(encoder, [trace], settings.encoder, generator, bool(config["show_progress"]))
    judged = data.log.of_some(max(settings.ranker.people, settings.reranker.people)).trace
    emotion = emotion_report(judged, believe(encoder, judged, data.taxonomy), encoder, settings, seed)
    if emotion is None:
        raise DataError(
            f"data set '{config['dataset']}': no report on a training day, or none on a test day, that has a day before it, so "
            f"nothing can be foretold. day_split is {list(settings.days.day_split)}; every person's last days are the test days."
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": config["dataset"],
        "seed": seed,
        "config": json_config(config),
        "versions": package_versions(),
        "threads": threads(),
        "emotion": emotion,
        "timings": {"load": round(loaded - start, 2), "forecast": round(perf_counter() - loaded, 2)},
    }
