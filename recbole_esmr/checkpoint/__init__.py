"""One file format for every model, which nothing unpickles: the file, what it holds, and how a model gets it back."""

from recbole_esmr.checkpoint.allocation import AtMost
from recbole_esmr.checkpoint.content import Checkpoint, json_config, load_checkpoint, package_versions, save_checkpoint, threads
from recbole_esmr.checkpoint.optimizer import restore_optimizer
from recbole_esmr.checkpoint.restoring import id_fingerprint, ids_of, other_ids, restore
from recbole_esmr.checkpoint.schema import check_types
from recbole_esmr.checkpoint.signature import check_key_files
from recbole_esmr.checkpoint.weights import check_weights, load_attributes

__all__ = [
    "AtMost",
    "Checkpoint",
    "check_key_files",
    "check_types",
    "check_weights",
    "id_fingerprint",
    "ids_of",
    "json_config",
    "load_attributes",
    "load_checkpoint",
    "other_ids",
    "package_versions",
    "restore",
    "restore_optimizer",
    "save_checkpoint",
    "threads",
]
