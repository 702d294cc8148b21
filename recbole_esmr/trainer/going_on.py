"""Whether a stopped training may go on: the same keys, the same files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_esmr.checkpoint import Checkpoint, json_config, load_checkpoint, package_versions
from recbole_esmr.data.reading.atomic import read_atomic_file
from recbole_esmr.data.reading.consent import read_consent
from recbole_esmr.errors import CheckpointError
from recbole_esmr.work import content_hash

WITHOUT_EFFECT = {
    "show_progress": "bars on the screen",
    "state": "what is logged",
    "loss_decimal_place": "what is logged",
    "verbose": "what is logged",
    "log_wandb": "where it is logged",
    "wandb_project": "where it is logged",
    "export_emotions": "what leaves the program",
    "sign": "who vouches for the file",
    "trust": "whom it is taken from",
    "checkpoint_dir": "the file to go on from is named",
    "data_path": "the files themselves are compared",
    "gpu_id": "which of several GPUs; moving between a GPU and a CPU is warned of",
    "use_gpu": "the same",
    "save_dataset": "a file beside the training",
    "dataset_save_path": "the same",
    "save_dataloaders": "the same",
    "dataloaders_save_path": "the same",
    "nproc": "where several processes meet",
    "world_size": "the same",
    "ip": "the same",
    "port": "the same",
    "offset": "the same",
    "config_files": "what they say is compared",
    **dict.fromkeys(
        (
            *("MASK_INDEX", "MASK_ITEM_SEQ", "POS_ITEMS", "NEG_ITEMS", "INVERSE_ITEM_SEQ", "REORDER_ITEM_SEQ"),
            *("CROP_ITEM_SEQ", "CROP_ITEM_SEQ_LEN", "feature_num"),
        ),
        "RecBole sets it while it makes batches or the model",
    ),
}
"""Keys that may differ when a training goes on, and why: no number of a result depends on them."""

_NAME_FILES = ("causal_graph", "pretrained_encoder")
"""Keys that name a file of which results depend."""


def require_same_keys(path: str | Path, trained: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse to go on with other keys than a training began with.

    Args:
        path: the checkpoint.
        trained, given: configs as JSON holds them.

    Raises:
        CheckpointError: each key that differs, with what the checkpoint has and what was given.
    """
    differ = [
        f"{key} was {trained.get(key)!r} and is {given.get(key)!r}"
        for key in sorted({*trained, *given})
        if key not in WITHOUT_EFFECT and trained.get(key) != given.get(key)
    ]
    if differ:
        raise CheckpointError(
            f"{path}: was trained with other keys: {'; '.join(differ)}. Give the same keys to go on, or leave --resume out to "
            "train anew."
        )


def what_counts(config: Any) -> dict[str, Any]:
    """All that a result depends on: the keys that have an effect, the files, and the versions of the packages."""
    kept = {key: value for key, value in json_config(config).items() if key not in WITHOUT_EFFECT}
    return {"config": kept, "files": files_hash(config), "versions": package_versions()}


def kept_training(path: str | Path, config: Any) -> Checkpoint | None:
    """The checkpoint at ``path`` where it is of this very training, begun by these versions; None where there is none."""
    if not Path(path).is_file():
        return None
    try:
        checkpoint = load_checkpoint(path, config["model"])
        require_same_keys(path, checkpoint.config, json_config(config))
    except CheckpointError:
        return None
    counts = {"files": files_hash(config), "versions": package_versions()}
    return checkpoint if all(checkpoint.progress.get(name) == value for name, value in counts.items()) else None


def files_hash(config: Any) -> str:
    """A hash of the content of a data set's atomic files and of the files that keys name, wherever they lie.

    Of ``.day`` what is read counts: the rows of who consents, for a model that reads it.
    """
    folder, name = Path(str(config["data_path"])), str(config["dataset"])
    files = sorted(file for file in folder.glob("*") if file.name.startswith(f"{name}.") and file.suffix != ".yaml")
    named = [Path(str(config[key])) for key in _NAME_FILES if config[key]]
    named += [folder / file for file in (config["item_embeddings"] or {}).values() if (folder / file).is_file()]
    whole = content_hash((*(file for file in files if file.suffix != ".day"), *named))
    days = folder / f"{name}.day"
    return hashlib.sha256(whole.encode() + _read_of_days(days, config)).hexdigest() if days in files else whole


def _read_of_days(file: Path, config: Any) -> bytes:
    """Hashes of the rows of people's days that are read."""
    if "day" not in (config["additional_feat_suffix"] or ()):
        return b""
    consent = read_consent(str(config["dataset"]), file.parent, config)
    read = consent.readable(read_atomic_file(file, config), str(config["USER_ID_FIELD"]))
    return bytes(pd.util.hash_pandas_object(read.text, index=False).to_numpy()) + "\t".join(read.types).encode()


def other_files(path: str | Path, config: Any) -> CheckpointError:
    """The error for a training whose files have changed since it was stopped."""
    named = [f"{key}: {config[key]}" for key in _NAME_FILES if config[key]]
    also = f", or what {' and '.join(named)} holds," if named else ""
    return CheckpointError(
        f"{path}: the files of data set '{config['dataset']}' in {config['data_path']}{also} are not those that it was trained "
        "on. Use the very files, or leave --resume out to train anew."
    )
