"""An emotion encoder that was trained on other data sets: its file, written by ``recbole-esmr pretrain``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import torch

from recbole_esmr.checkpoint import Checkpoint, check_types, check_weights, load_checkpoint, save_checkpoint
from recbole_esmr.data.trace import Trace
from recbole_esmr.errors import CheckpointError, ConfigError
from recbole_esmr.model.emotion_encoder import EmotionEncoder, EncoderSettings, EncoderShape
from recbole_esmr.settings import parse

KIND = "EmotionEncoder"
"""The model that the file is of."""


class _Names(TypedDict):
    feature_names: list[str]
    emotions: list[str]
    profiles: list[str]


def new_encoder(
    settings: EncoderSettings, trace: Trace, emotions: tuple[str, ...], trust: str | Path | None = None
) -> EmotionEncoder:
    """The encoder that a training on a trace begins from: the pre-trained one that the settings name, or an untrained one.

    Raises:
        CheckpointError: as :func:`pretrained_encoder`.
    """
    if settings.pretrained:
        return pretrained_encoder(settings.pretrained, trace, emotions, trust)
    return EmotionEncoder.of_settings(settings, trace.feature_names, emotions, trace.profiles)


def save_encoder(path: str | Path, encoder: EmotionEncoder, sign: str | Path | None = None) -> None:
    """Write an encoder with its feature schema, whole or not at all; ``sign`` is the file of a private key."""
    save_checkpoint(path, Checkpoint(KIND, encoder.shape(), None, dict(encoder.state_dict()), {}, {}, {}), sign)


def pretrained_encoder(
    path: str | Path, trace: Trace, emotions: tuple[str, ...], trust: str | Path | None = None
) -> EmotionEncoder:
    """Read an encoder for a trace; ``trust`` is the file of the public key that must have signed it.

    Raises:
        CheckpointError: the file is none, or its encoder does not know the trace's columns, profiles or emotions.
    """
    source = load_checkpoint(path, KIND, trust=trust)
    try:
        encoder = restored_encoder(source.config, source.state_dict)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    encoder.require(trace, emotions, str(path))
    return encoder


def restored_encoder(shape: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> EmotionEncoder:
    """The encoder of a shape (:meth:`~recbole_esmr.model.emotion_encoder.EmotionEncoder.shape`) with its weights.

    Raises:
        CheckpointError, ConfigError: they are none, or do not fit each other.
    """
    numbers = dict(shape)
    check_types({name: numbers.pop(name, None) for name in _Names.__annotations__}, _Names, "config")
    sizes = parse(EncoderShape, numbers, "config")
    if sizes.hidden_size % sizes.heads:
        raise ConfigError(f"config: {sizes.heads} heads do not divide a width of {sizes.hidden_size}.")
    with torch.device("meta"):  # sizes that the weights do not have are found before memory is asked for
        check_weights(EmotionEncoder.of_shape(shape).state_dict(), weights)
    encoder = EmotionEncoder.of_shape(shape)
    encoder.load_state_dict(weights)
    return encoder.eval()
