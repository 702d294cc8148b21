"""ESMR, emotion-aware social media recommendation, as a RecBole plug-in.

Importing the package teaches RecBole the model ``ESMR``::

    import recbole_esmr
    from recbole.quick_start import run_recbole

    run_recbole(model="ESMR", dataset="esmr-mini")

RecBole itself (and torch with it) is loaded when it is first needed: ``import recbole_esmr.errors`` costs nothing.
"""

from __future__ import annotations

from recbole_esmr.stopping import watch_command

watch_command()  # before all else, for importing takes time in which a user may press Ctrl-C

from typing import TYPE_CHECKING, Any

from recbole_esmr.plugin import Lazy, register, teach

if TYPE_CHECKING:
    from recbole_esmr.comparison import compare
    from recbole_esmr.config import Config
    from recbole_esmr.evaluator.full_sort import full_sort_scores, full_sort_topk
    from recbole_esmr.model.esmr import ESMR
    from recbole_esmr.quick_start import load_data_and_model, objective_function, run_recbole

__all__ = [
    "ESMR",
    "Config",
    "__version__",
    "compare",
    "full_sort_scores",
    "full_sort_topk",
    "load_data_and_model",
    "objective_function",
    "register",
    "run_recbole",
]

_PUBLIC = {
    "Config": "recbole_esmr.config",
    "ESMR": "recbole_esmr.model.esmr",
    "compare": "recbole_esmr.comparison",
    "full_sort_scores": "recbole_esmr.evaluator.full_sort",
    "full_sort_topk": "recbole_esmr.evaluator.full_sort",
    "load_data_and_model": "recbole_esmr.quick_start",
    "objective_function": "recbole_esmr.quick_start",
    "run_recbole": "recbole_esmr.quick_start",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Lazy(f"{_PUBLIC[name]}:{name}").load()


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("recbole-esmr")
    except PackageNotFoundError:  # a source tree that is not installed
        return "0+unknown"


teach()
