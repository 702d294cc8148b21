"""An extension of griffe: docstrings whose roles and equations are reStructuredText, as the Markdown that the pages are in."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Roles(griffe.Extension):
    """Names in roles become code, equations become TeX for MathJax."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """A docstring's text with its roles, literals and equations written in Markdown."""
    text = re.sub(r"^( *)\.\. math:: *(.*(?:\n\1 +\S.*)*)", _equation, text, flags=re.MULTILINE)
    text = re.sub(r":math:`([^`]+)`", r"\\(\1\\)", text)
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`")


def _equation(found: re.Match[str]) -> str:
    indent, lines = found.group(1), [line.strip() for line in found.group(2).splitlines()]
    return "\n".join(f"{indent}{line}" for line in ("\\[", *filter(None, lines), "\\]"))
