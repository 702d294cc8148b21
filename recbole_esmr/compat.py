"""What RecBole 1.2.1 needs of other libraries' past, what is put in its place, and why, in three tables.

Each row reaches RecBole's own modules alone: numpy, scipy and ray stay as they are for everybody else, and RecBole itself is
never edited. Methods of RecBole that a library has changed under it stand in :data:`recbole_esmr.plugin.METHODS`.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from inspect import Parameter, signature
from types import ModuleType
from typing import Any

from recbole_esmr.errors import MissingPackageError

LATE = (
    # package, the part of it that RecBole imports at its start, why it comes when it is first used
    ("ray", "tune", "only a tuning reports to it; ray 2.6.3 has known holes, and costs a second"),
)


def _old_dok_matrix() -> Any:
    import scipy.sparse

    class DokMatrix(scipy.sparse.dok_matrix):
        """scipy's, with the method by which RecBole fills an adjacency matrix."""

        def _update(self, values: Mapping[tuple[int, int], float]) -> None:
            """Set the entries (row, column) of a mapping."""
            if values:
                rows, columns = zip(*values, strict=True)
                self[list(rows), list(columns)] = list(values.values())

    return DokMatrix


_FLOAT = {"float": lambda: float}


def _numpys_int() -> Any:
    import numpy as np

    return np.int_


_EMBEDDING = ("layers", "abstract_recommender", "context_aware_recommender.ffm")
_SEQUENCES = ("dataset", "kg_dataset", "sequential_dataset")
_GRAPHS = (
    *("general_recommender.lightgcn", "general_recommender.ngcf", "general_recommender.ncl", "general_recommender.gcmc"),
    *("general_recommender.spectralcf", "knowledge_aware_recommender.kgin", "knowledge_aware_recommender.mcclk"),
)
PAST: tuple[tuple[str, str, Mapping[str, Callable[[], Any]], str], ...] = (
    # RecBole's module, a library as it is called there, names that it had and what they were, why they are gone
    ("recbole.data.interaction", "np", _FLOAT, "numpy 1.24 took np.float away"),
    ("recbole.data.dataset.dataset", "np", _FLOAT, "the same"),
    ("recbole.evaluator.metrics", "np", {**_FLOAT, "bool": lambda: bool}, "the same, and np.bool until it came back in 2.0"),
    *((f"recbole.model.{part}", "np", {"long": _numpys_int}, "numpy 1.24 took np.long away") for part in _EMBEDDING),
    *(
        (f"recbole.model.{graph}", "sp", {"dok_matrix": _old_dok_matrix}, "scipy 1.13 took dok_matrix._update away")
        for graph in _GRAPHS
    ),
)


def _lengths(of: Any) -> Any:
    """``len``; of a column its cells' lengths, (N,), which is what ``Series.agg(len)`` meant before pandas 3."""
    import pandas as pd

    return of.map(len) if isinstance(of, pd.Series) else len(of)


class _Amp:
    """What RecBole's trainer asks of ``torch.cuda.amp``."""

    @staticmethod
    def GradScaler(enabled: bool) -> Any:
        """A scaler of gradients on a GPU."""
        import torch

        return torch.amp.GradScaler("cuda", enabled=enabled)

    @staticmethod
    def autocast(enabled: bool) -> Any:
        """Half precision on a GPU."""
        import torch

        return torch.autocast("cuda", enabled=enabled)


class _Tune:
    """``ray.tune``, whose ``report`` has somewhere to report to only where ray is loaded: in a trial of its own."""

    def __init__(self, tune: ModuleType) -> None:
        self._tune = tune

    def report(self, **metrics: float) -> None:
        """What RecBole's objective says of a training; ray took the metrics as keywords until 2.6 and takes a dict since."""
        if not isinstance(sys.modules.get("ray.tune", self._tune), LateModule):
            takes_dict = all(one.kind != Parameter.VAR_KEYWORD for one in signature(self._tune.report).parameters.values())
            self._tune.report(metrics) if takes_dict else self._tune.report(**metrics)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tune, name)


OWN: tuple[tuple[str, str, Callable[[Any], Any], str], ...] = (
    # RecBole's module, a name in it, what it is made of what it was (None where it is Python's own), why
    *((f"recbole.data.dataset.{part}", "len", lambda _: _lengths, "pandas 3 gives len the column") for part in _SEQUENCES),
    ("recbole.trainer.trainer", "amp", lambda _: _Amp, "torch 2.4 warns of torch.cuda.amp"),
    ("recbole.quick_start.quick_start", "tune", _Tune, "no ray, no trial; and ray 2.7 takes a dict"),
)


@contextmanager
def stood_in() -> Iterator[None]:
    """While RecBole is imported, what stands in :data:`LATE` is a stand-in; a package that is loaded already stays as it is."""
    placed = {name: _stand_in(name, part) for name, part, _ in LATE if sys.modules.get(name) is None}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name, stand_in in placed.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


class LateModule(ModuleType):
    """Stands for a module, and loads it when one of its names is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python's import itself asks of a module
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        package = self.__name__.partition(".")[0]
        if isinstance(sys.modules.get(package), LateModule):  # asked while RecBole is still being imported
            del sys.modules[package]
        with warnings.catch_warnings():  # ray imports pkg_resources, which warns that it will go
            warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
            try:
                return getattr(importlib.import_module(self.__name__), name)
            except ModuleNotFoundError as error:
                raise MissingPackageError(
                    f"{package} is not installed, and {self.__name__}.{name} was asked for. RecBole's tuning with hyperopt needs "
                    f"no {package}; for its tuning with {package}: pip install '{package}[{self.__name__.rpartition('.')[2]}]'.",
                    name=package,
                ) from error


def _stand_in(package: str, part: str) -> LateModule:
    module = LateModule(package)
    module.__spec__ = ModuleSpec(package, loader=None)  # of a module without one, find_spec raises
    setattr(module, part, LateModule(f"{package}.{part}"))
    return module


@cache
def put_back() -> None:
    """Give RecBole's modules what stands in :data:`PAST` and :data:`OWN`, as soon as each is loaded."""
    for place, name, names, _ in PAST:
        when_loaded(place, partial(_with_old_names, name=name, names=names))
    for place, name, made, _ in OWN:
        when_loaded(place, partial(_with_own, name=name, made=made))
    # pandas 2 says of RecBole's Series.agg(len) what pandas 3 does, to users who can do nothing about it.
    warnings.filterwarnings("ignore", message="using <function _lengths", category=FutureWarning)


def _with_own(module: ModuleType, name: str, made: Callable[[Any], Any]) -> None:
    setattr(module, name, made(vars(module).get(name)))


def _with_old_names(module: ModuleType, name: str, names: Mapping[str, Callable[[], Any]]) -> None:
    """Let a module's name for a library stand for a copy of it that has the old names, too."""
    library = getattr(module, name)
    old = ModuleType(library.__name__, library.__doc__)
    old.__dict__.update(vars(library))
    old.__dict__.update({name: made() for name, made in names.items()})
    old.__dict__["__getattr__"] = lambda asked: getattr(library, asked)  # what the library itself loads late
    setattr(module, name, old)


class WhenLoaded(MetaPathFinder):
    """Does things with a module at the end of its first import; says what is missing where there is none."""

    def __init__(self, name: str, missing: str = "") -> None:
        self.name, self.missing = name, missing
        self.todo: list[Callable[[ModuleType], None]] = []

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module's own spec, whose loader does it afterwards; None for every other module."""
        if fullname != self.name:
            return None
        found = (finder.find_spec(fullname, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is None and self.missing:
            raise MissingPackageError(self.missing, name=fullname)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                for what in self.todo:
                    what(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def when_loaded(name: str, what: Callable[[ModuleType], None], missing: str = "") -> None:
    """Do something with a module: now where it is loaded, and otherwise at the end of its first import.

    Args:
        name: of the module.
        what: to do with it.
        missing: the line that who imports it is told where it is not installed; Python's own where it is empty.
    """
    if name in sys.modules:
        what(sys.modules[name])
        return
    waiting = next((finder for finder in sys.meta_path if isinstance(finder, WhenLoaded) and finder.name == name), None)
    if waiting is None:
        waiting = WhenLoaded(name, missing)
        sys.meta_path.insert(0, waiting)
    waiting.todo.append(what)
