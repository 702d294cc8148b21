"""A trained ESMR as an artifact: weights and items, and nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_esmr.errors import ConfigError
from recbole_esmr.model.learned import STAGES
from recbole_esmr.model.linear_retriever import distilled
from recbole_esmr.serving.artifact import LONGEST_WINDOW, Artifact, ServedSettings, served_keys
from recbole_esmr.serving.stock import Stock
from recbole_esmr.settings import parse_flat

if TYPE_CHECKING:
    from recbole_esmr.data.dataset import ESMRDataset
    from recbole_esmr.model.esmr import ESMR


def exported(model: ESMR, dataset: ESMRDataset, config: Any) -> Artifact:
    """What of a trained model a service needs.

    The retriever becomes a linear one that reads what a person watched
    (:class:`~recbole_esmr.model.linear_retriever.LinearRetrieval`); everybody responds to a feed as the mean person does.

    Args:
        model: trained by all stages; dataset: the data it was trained on; config: its keys.

    Raises:
        ConfigError: a stage of its training is missing.
    """
    missing = [stage for stage in STAGES[1:2] if stage not in model.learned.done]
    if missing:
        raise ConfigError(f"the checkpoint has not been through the stage '{missing[0]}'. Finish its training first (--resume).")
    names = ["", *map(str, dataset.field2id_token[dataset.iid_field][1:])]
    retrieval, agreement = distilled(model.retriever.frozen(model.catalogue.embeddings), model.log)
    past = model.log.past
    counts = np.stack([np.bincount(past.item, weights=weight, minlength=len(names)) for weight in past.counts])
    learned = replace(
        model.learned,
        responses=replace(model.learned.responses, susceptibility=np.ones(1)),
        diagnostics={},
        timings={},
    )
    keys = served_keys(config.final_config_dict)
    return Artifact(
        fingerprint="",
        settings=parse_flat(ServedSettings, keys, "config"),
        keys=keys,
        taxonomy=model.taxonomy,
        stock=Stock(tuple(names), model.catalogue, counts, past.known, np.arange(len(names)) > 0, len(names)),
        encoder=model.encoder.cpu(),
        value=model.item_value.cpu(),
        retrieval=retrieval,
        learned=learned,
        backbone=model.settings.retriever.backbone is not None,
        window=min(model.log.trace.days, LONGEST_WINDOW),
        shared_calendar=model.log.trace.shared_calendar,
        has_skips=model.log.impressions.has_skips,
        agreement=agreement,
    )
