"""What the actions share: the model that is meant, the keys that are changed, what is said of files, pages and figures."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Actions = dict[str, Callable[[argparse.Namespace, list[str]], None]]
"""What is done by the name of its command."""


def model_of(options: argparse.Namespace) -> str:
    """The model that is named on the command line, or in a config file; ESMR where neither names one."""
    from recbole_esmr.files import read_yaml

    named = [read_yaml(file).get("model") for file in options.config_files]
    return str(options.model or next((name for name in reversed(named) if name), "ESMR"))


def changes_of(keys: Sequence[str]) -> dict[str, Any]:
    """The keys that are changed of a checkpoint's config."""
    from recbole_esmr.errors import ConfigError
    from recbole_esmr.recbole_keys import converted

    wrong = next((word for word in keys if not word.startswith("--") or "=" not in word), None)
    if wrong is not None:
        raise ConfigError(f"{wrong} is no option. Write --key=value.")
    return converted(dict(word[2:].split("=", 1) for word in keys))


def say_written(options: argparse.Namespace) -> None:
    """Say where the result is."""
    if options.output:
        options.say(f"\nWritten: {options.output}")


def write_page(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """The page of a result: in the folder, or beside the file, that the result was written to."""
    if options.report:
        from recbole_esmr.report.page import save_page
        from recbole_esmr.report.pages import page_of

        options.say(f"Written: {save_page(page_of_command(options), page_of([result], options.typed))}")


def page_of_command(options: argparse.Namespace) -> Path:
    """Where the page of ``--report`` goes."""
    from recbole_esmr.report.gathered import page_beside

    return page_beside(options.output, folder=options.command == "compare")


def draw_forecast(options: argparse.Namespace, emotion: dict[str, Any] | None) -> None:
    """Figures of the forecast, where they are asked for."""
    if options.figures and emotion:
        from recbole_esmr.report.figures import save_forecast

        options.say("Written: " + ", ".join(map(str, save_forecast(options.figures, emotion["diagnostics"]))))
