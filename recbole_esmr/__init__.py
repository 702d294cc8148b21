"""ESMR, emotion-aware social media recommendation, as a RecBole plug-in.

Importing the package teaches RecBole the model ``ESMR``::

    import recbole_esmr
    from recbole.quick_start import run_recbole

    run_recbole(model="ESMR", dataset="esmr-mini")
"""

import warnings
from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("recbole-esmr")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

with warnings.catch_warnings():  # RecBole's ray imports pkg_resources, which warns that it will go
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    from recbole_esmr.plugin import register

    register()
    from recbole_esmr.config import Config
    from recbole_esmr.model.esmr import ESMR
    from recbole_esmr.quick_start import load_data_and_model, objective_function, run_recbole

__all__ = ["ESMR", "Config", "__version__", "load_data_and_model", "objective_function", "register", "run_recbole"]
