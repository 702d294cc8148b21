"""Docstrings with mathematics are raw strings: in any other, ``\\frac`` holds a form feed and ``\\tilde`` a tab."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import recbole_esmr

ROOT = Path(recbole_esmr.__file__).parent


def _broken_docstrings(source: str) -> list[str]:
    """``line: what`` of each string that stands alone (docstrings, and those below a name) and is not what was meant."""
    lines, broken = source.splitlines(), []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):
            continue
        written = "\n".join(lines[node.lineno - 1 : node.end_lineno])
        if control := re.search(r"[^\n -~\x80-\U0010ffff]", node.value.value):
            broken.append(f"{node.lineno}: holds the control character {control.group()!r}")
        elif "\\" in written and not re.match(r"\s*[rR]['\"]", written):
            broken.append(f"{node.lineno}: holds a backslash and is no raw string")
    return broken


def test_a_broken_docstring_is_found():
    source = 'def f():\n    """x\n\n    .. math:: \\tilde x"""\n\n\nX = 1\n"""a \\ne b"""\n\nY = 2\nr"""\\frac12 → √"""\n'
    assert sorted(_broken_docstrings(source)) == [
        r"2: holds the control character '\t'",
        "8: holds a backslash and is no raw string",
    ]


@pytest.mark.filterwarnings("ignore:.*invalid escape sequence")
def test_docstrings_with_mathematics_are_raw():
    broken = []
    for file in sorted(ROOT.rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        broken += [f"recbole_esmr/{name}:{place}" for place in _broken_docstrings(file.read_text(encoding="utf-8"))]
    assert broken == []
