"""One file format for every model, which nothing unpickles: the file, what it holds, and how a model gets it back."""

from recbole_esmr.checkpoint.content import Checkpoint, json_config, load_checkpoint, package_versions, save_checkpoint
from recbole_esmr.checkpoint.restoring import id_fingerprint, other_ids, restore

__all__ = [
    "Checkpoint",
    "id_fingerprint",
    "json_config",
    "load_checkpoint",
    "other_ids",
    "package_versions",
    "restore",
    "save_checkpoint",
]
