"""Train an emotion encoder on several data sets at once, to begin from on another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_split
from recbole_esmr.data.trace import TRAIN
from recbole_esmr.errors import DataError
from recbole_esmr.model.emotion_encoder import EmotionEncoder
from recbole_esmr.model.pretrained import save_encoder
from recbole_esmr.trainer.emotion import fit_encoder


def pretrain(
    datasets: Sequence[str],
    output: str | Path,
    config_file_list: Sequence[str | Path] | None = None,
    config_dict: dict[str, Any] | None = None,
    arguments: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Train one encoder on the training days of several data sets and save it for ``pretrained_encoder``.

    It knows the behaviour columns of all of them; a column that a data set lacks is unknown there.

    Args:
        datasets: names or folders.
        output: the file to write.
        config_file_list, config_dict, arguments: as in :func:`~recbole_esmr.quick_start.run_recbole`.

    Returns:
        ``output``, ``datasets``, ``feature_names``, ``profiles``, ``user_days`` (with a report on a training day).

    Raises:
        DataError: two data sets name emotions differently, or nobody reported any.
    """
    configs, traces, labels = [], [], None
    for name in datasets:
        config = Config("ESMR", name, config_file_list, config_dict, arguments)
        dataset = load_split(config)
        if labels is not None and dataset.taxonomy.labels != labels:
            raise DataError(
                f"data set '{name}' has the emotions {', '.join(dataset.taxonomy.labels)}, the ones before {', '.join(labels)}. "
                "Pre-train on data sets of one taxonomy."
            )
        labels = dataset.taxonomy.labels
        if not ((dataset.trace.role == TRAIN) & (dataset.trace.emotion >= 0)).any():
            raise DataError(
                f"data set '{name}': nobody reported an emotion on a training day, so nothing is learned from it. Leave it out."
            )
        configs.append(config)
        traces.append(dataset.trace)
    if labels is None:
        raise DataError("no data set given to pre-train on.")
    settings = configs[0].esmr.encoder
    features = tuple(dict.fromkeys(name for trace in traces for name in trace.feature_names))
    profiles = tuple(dict.fromkeys(name for trace in traces for name in trace.profiles))
    encoder = EmotionEncoder.of_settings(settings, features, labels, profiles).to(configs[0]["device"])
    generator = torch.Generator().manual_seed(int(configs[0]["seed"]) * 10 + 5)
    fit_encoder(encoder, traces, settings, generator, bool(configs[0]["show_progress"]))
    save_encoder(output, encoder, configs[0]["sign"])
    days = sum(int(((trace.role == TRAIN) & (trace.emotion >= 0)).sum()) for trace in traces)
    return {
        "output": str(output),
        "datasets": list(datasets),
        "feature_names": list(features),
        "profiles": list(profiles),
        "user_days": days,
    }
