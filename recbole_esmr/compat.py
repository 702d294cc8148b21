"""What RecBole 1.2.1 needs of other libraries' past, what is put in its place, and why, in one table.

It is put there before RecBole is imported, and taken away when that is done; RecBole itself is never edited.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

LATE = (
    # package, the part of it that RecBole imports at its start, why it comes when it is first used
    ("ray", "tune", "only a tuning reports to it; ray 2.6.3 has known holes, and costs a second"),
)


@contextmanager
def stood_in() -> Iterator[None]:
    """While RecBole is imported, what stands in :data:`LATE` is a stand-in; a package that is loaded already stays as it is."""
    placed = {name: _stand_in(name, part) for name, part, _ in LATE if name not in sys.modules}
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
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="pkg_resources is deprecated"
            )  # ray imports it, which warns that it will go
            return getattr(importlib.import_module(self.__name__), name)


def _stand_in(package: str, part: str) -> LateModule:
    module = LateModule(package)
    module.__spec__ = ModuleSpec(package, loader=None)  # of a module without one, find_spec raises
    setattr(module, part, LateModule(f"{package}.{part}"))
    return module
