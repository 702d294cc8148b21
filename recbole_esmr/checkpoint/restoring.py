"""Puts what a checkpoint holds into a model: everything is checked first, and only then is anything set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_esmr.checkpoint.content import Checkpoint
from recbole_esmr.checkpoint.known_ids import KnownIds
from recbole_esmr.checkpoint.weights import check_weights, forget_made_of_weights, load_attributes
from recbole_esmr.errors import CheckpointError


def id_fingerprint(dataset: Any) -> str:
    """The ids of a data set as a checkpoint keeps them; the same text for the same ids with the same numbers."""
    return KnownIds.of(dataset).text


def ids_of(checkpoint: Checkpoint) -> KnownIds | None:
    """The ids that the weights of a checkpoint belong to, None where it does not say.

    Raises:
        CheckpointError: they cannot be read; the message goes without the file.
    """
    return KnownIds.of_text(checkpoint.ids) if checkpoint.ids is not None else None


def other_ids(path: str | Path, dataset: Any) -> CheckpointError:
    """The error for a checkpoint whose ids are not those of the data."""
    return CheckpointError(
        f"{path}: belongs to other users or items than data set '{dataset.dataset_name}' has, or to other numbers of them. "
        "Use the very files it was trained on, or train again."
    )


def restore(model: Any, checkpoint: Checkpoint, path: str | Path, dataset: Any = None) -> None:
    """Put a checkpoint's weights into a model.

    Args:
        model: a model of the same class and config.
        checkpoint: what was loaded.
        path: where from, for the message.
        dataset: the data the model is to be used on, to check that its ids are those of the checkpoint; None skips the check.

    Raises:
        CheckpointError: names, shapes or ids differ, as they do when the data set or the sizes in the config differ.
    """
    try:
        known = ids_of(checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if dataset is not None and known is not None and not known.fits(dataset):
        raise other_ids(path, dataset)
    try:
        check_weights(model.state_dict(), checkpoint.state_dict)
        if "load_other_parameter" in vars(type(model)):  # one that checks what it is given; RecBole's sets all of it
            model.load_other_parameter(checkpoint.other_parameter)
        else:
            load_attributes(model, checkpoint.other_parameter)
            forget_made_of_weights(model)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    model.load_state_dict(checkpoint.state_dict)  # checked, so it cannot fail after the rest was set
