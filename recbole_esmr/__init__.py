"""ESMR, emotion-aware social media recommendation, as a RecBole plug-in.

Importing the package teaches RecBole the model ``ESMR``::

    import recbole_esmr
    from recbole.quick_start import run_recbole

    run_recbole(model="ESMR", dataset="esmr-mini")
"""

from importlib.metadata import PackageNotFoundError, version

from recbole_esmr.plugin import register

try:
    __version__ = version("recbole-esmr")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

register()

from recbole_esmr.config import Config  # noqa: E402
from recbole_esmr.model.esmr import ESMR  # noqa: E402
from recbole_esmr.quick_start import load_data_and_model, objective_function, run_recbole  # noqa: E402

__all__ = ["ESMR", "Config", "__version__", "load_data_and_model", "objective_function", "register", "run_recbole"]
