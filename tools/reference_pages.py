"""The reference pages of commands and keys, from the parser and the settings' declarations: python tools/reference_pages.py."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from recbole_esmr.config import ESMRSettings
from recbole_esmr.files import shipped
from recbole_esmr.parser import make_parser
from recbole_esmr.settings import RERANKER, SERVING
from recbole_esmr.simulation.world import World

ASKS = {SERVING: "nothing: a trained model is served otherwise", RERANKER: "a new re-ranker", "": "a new training"}


def pages() -> dict[str, str]:
    """The text of each page by its path in the documentation."""
    return {"reference/commands.md": commands_page(), "reference/keys.md": keys_page()}


def commands_page() -> str:
    """Every command with its options."""
    lines = ["# Commands", "", "`recbole-esmr COMMAND --help` says the same in a terminal."]
    for name, parser in commands().items():
        lines += ["", f"## {name}", "", _plain(parser.description or ""), ""]
        lines += [f"    {(parser.epilog or '').removeprefix('example: ')}", ""]
        lines += ["| option | meaning |", "|---|---|"]
        lines += [f"| {_option(action)} | {_cell(_help(parser, action))} |" for action in _actions(parser)]
    return "\n".join(lines) + "\n"


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands, by name."""
    return next(action.choices for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))


def keys_page() -> str:
    """Every key of ESMR and of a world, as it is declared beside the code that reads it."""
    usual = yaml.safe_load((shipped("properties") / "model" / "ESMR.yaml").read_text(encoding="utf-8"))
    world = yaml.safe_load((shipped("properties") / "world" / "reference.yaml").read_text(encoding="utf-8"))
    lines = [
        "# Keys",
        "",
        "Any key goes on the command line (`--gate=never`), into a config file or into `config_dict`. RecBole's own keys keep "
        "their meaning ([RecBole's documentation](https://recbole.io/docs/user_guide/config_settings.html)).",
        "",
        "## ESMR",
        "",
        "The last column says what a changed key asks of a model that is trained already.",
        "",
        "| key | meaning | allowed | default | a change asks |",
        "|---|---|---|---|---|",
    ]
    for key, field, hint in declared(ESMRSettings):
        asks = ASKS[field.metadata["changes"]]
        lines.append(
            f"| `{key}` | {_cell(field.metadata['meaning'])} | {_allowed(field, hint)} | {_value(usual[key])} | {asks} |"
        )
    lines += ["", "## A world", "", "A world's yaml file has sections; `base: reference` takes what it does not say from there."]
    for section, value in typing.get_type_hints(World).items():
        if dataclasses.is_dataclass(value):
            lines += ["", f"### {section}", "", "| key | meaning | allowed | in `reference` |", "|---|---|---|---|"]
            for key, field, hint in declared(value):
                shown = _value(world[section][key])
                lines.append(f"| `{key}` | {_cell(field.metadata['meaning'])} | {_allowed(field, hint)} | {shown} |")
    return "\n".join(lines) + "\n"


def declared(cls: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Flat key, field and type of each setting of a class and of its sections."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if "prefix" in field.metadata:
            yield from declared(hints[field.name], field.metadata["prefix"])
        else:
            yield field.metadata.get("key") or prefix + field.name, field, hints[field.name]


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]


def _option(action: argparse.Action) -> str:
    return f"`{action.option_strings[-1] if action.option_strings else action.dest.upper()}`"


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    said = (action.help or "") % {"default": action.default, "prog": parser.prog}
    return f"{said}; one of {', '.join(map(str, action.choices))}" if action.choices else said


def _allowed(field: Any, hint: Any) -> str:
    declared, kind = field.metadata, getattr(hint, "__name__", str(hint)).replace("|", "or")
    if declared["choices"]:
        return ", ".join(f"`{choice}`" for choice in declared["choices"])
    low, high = _bound(declared["low"], "−∞"), _bound(declared["high"], "∞")
    bounds = f" in [{low}, {high}]" if declared["low"] is not None or declared["high"] is not None else ""
    unit = f" {declared['unit']}" if declared["unit"] else ""
    return f"{_cell(kind)}{bounds}{unit}"


def _bound(value: float | None, none: str) -> str:
    return none if value is None else f"{value:,}"


def _value(value: Any) -> str:
    return "none" if value is None else f"`{_cell(str(value))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _plain(text: str) -> str:
    return text.replace("<", "&lt;")


if __name__ == "__main__":
    for name, text in pages().items():
        (Path(__file__).parents[1] / "docs" / name).write_text(text, encoding="utf-8")
