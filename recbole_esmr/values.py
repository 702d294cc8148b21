"""The only reader of values that somebody wrote as text: options of a command and yaml files. Nothing is ever evaluated.

What comes out is None, a truth value, a finite number, a text, a list or a mapping, of bounded size. Plain words are read as
YAML 1.2 has them: ``no``, ``2024-03-01``, ``12:30`` and ``007`` are texts, which yaml 1.1 takes for False, a date, 750 and 7.
``1e-3`` is a number, as RecBole has it; infinity and NaN are none.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any

import yaml

from recbole_esmr.errors import ConfigError, plain

MAX_OPTION = 100_000
"""Characters of one value on the command line."""
MAX_FILE = 1_000_000
"""Bytes of one yaml file."""
MAX_VALUES = 20_000
"""Values in one text, each counted as often as it is referred to (``*alias``)."""
MAX_DEPTH = 50
"""Lists and mappings within each other."""

_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+)")
_DECIMAL = re.compile(r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+)")
_QUOTED = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_ODD_BREAK = re.compile("[\x85\u2028\u2029]")
_TAG = "tag:yaml.org,2002:"
_PLAIN = "plain"


class _Refused(yaml.MarkedYAMLError):
    """Well-formed yaml that is not taken, and the node or event where it stands."""

    def __init__(self, problem: str, where: Any) -> None:
        super().__init__(problem=problem, problem_mark=where.start_mark)


def read_value(text: str) -> Any:
    """The value that a text stands for: what yaml reads, Python's ``None``, ``'quoted'`` and ``(1, 2)``, or the text itself.

    Args:
        text: as it was typed, for example ``[10, 20]``, ``1e-3``, ``{LS: valid_and_test}`` or ``saved/model.pth``.

    Raises:
        ConfigError: the text is too long, nests too deep, or gives a key twice.
    """
    if len(text) > MAX_OPTION:
        raise ConfigError(f"{shown(text)} has {len(text):,} characters; expected at most {MAX_OPTION:,}. Use a config file.")
    bare = text.strip()
    if not bare:
        return text
    if bare[:1] + bare[-1:] == "()":
        bare = f"[{bare[1:-1]}]"
    if bare[:1] + bare[-1:] in ("[]", "{}"):
        try:
            return _load(bare, as_python=True)
        except _Refused as error:
            raise ConfigError(f"{shown(text)} {error.problem}") from error
        except yaml.YAMLError:
            return text  # [0,inf) and [10]*3 are texts
    return unquoted(text) if _QUOTED.fullmatch(bare) else _plain(bare, as_python=True, otherwise=text)


def unquoted(text: str) -> str:
    """A text without the quotation marks around it, where it has such."""
    bare = text.strip()
    try:
        return str(ast.literal_eval(bare)) if _QUOTED.fullmatch(bare) else text  # one string: nothing nests, nothing runs
    except (SyntaxError, ValueError):  # '\x'
        return text


def read_yaml_text(text: str, where: str) -> Any:
    """What a yaml text holds.

    Args:
        text: the whole file.
        where: its name, for messages.

    Raises:
        ConfigError: it is not yaml, or more than is taken; the message names the line.
    """
    try:
        return _load(text)
    except yaml.reader.ReaderError as error:
        line_number = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{where}, line {line_number}: holds the character {chr(error.character)!r}. Take it out.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}" if mark else ""
        said = " ".join(" ".join(filter(None, (error.context, error.problem))).split())
        raise ConfigError(f"{where}{place}: {said if isinstance(error, _Refused) else f'not valid yaml ({said}).'}") from error


def yaml_text(values: dict[str, Any]) -> str:
    """A mapping as the yaml that :func:`read_yaml_text` reads it back from."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def shown(value: Any, most: int = 80) -> str:
    """A value as messages show it: on one line, its beginning where it has more than ``most`` characters."""
    text = repr(value[: most + 1] if isinstance(value, str) else plain(value))
    return text if len(text) <= most + 2 else f"{text[:most]}…"


def _load(text: str, as_python: bool = False) -> Any:
    nodes = _Nodes(text)
    try:
        root = nodes.get_single_node()
        return None if root is None else _built(root, as_python)
    finally:
        nodes.dispose()


class _Nodes(yaml.SafeLoader):
    """PyYAML's tree of a text, given up as soon as it is too large, too deep, or holds itself."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._count = 0
        self._size: dict[yaml.Node, tuple[int, int]] = {}
        """Of each finished node: the values that it unfolds to, and how deep they nest."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        before, self._depth = self._count, self._depth + 1
        self._bound(event)
        node: Any = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            inner = max((self._size[part][1] for part in _parts(node)), default=-1)
            self._size[node] = self._count + 1 - before, inner + 1
        elif node not in self._size:
            raise _Refused(f"*{event.anchor} holds itself.", event)
        count, depth = self._size[node]
        self._count = before + count
        self._bound(event, depth)
        return node

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """A plain scalar's tag is settled when it is built; this leaves yaml 1.1's dates and octal numbers out."""
        return _PLAIN if kind is yaml.ScalarNode and implicit[0] else str(super().resolve(kind, value, (False, True)))

    def _bound(self, event: Any, below: int = 0) -> None:
        if self._depth + below > MAX_DEPTH + 1:
            raise _Refused(f"nests deeper than {MAX_DEPTH} levels.", event)
        if self._count > MAX_VALUES:
            raise _Refused(f"holds more than {MAX_VALUES:,} values.", event)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _built(node: yaml.Node, as_python: bool) -> Any:
    """The value of a node; what is referred to twice becomes two values."""
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
        return [_built(part, as_python) for part in node.value]
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
        return _mapping(node, as_python)
    kind, text = node.tag.removeprefix(_TAG), node.value
    if not isinstance(node, yaml.ScalarNode) or kind not in (_PLAIN, "str", "int", "float", "bool", "null"):
        raise _Refused(f"the tag {shown(node.tag.replace(_TAG, '!!'))} is not read. Take it out.", node)
    found = text if kind == "str" else _plain(text, as_python, otherwise=text)
    if kind not in (_PLAIN, "str") and isinstance(found, str):
        raise _Refused(f"{shown(text)} is no value of the tag '!!{kind}'.", node)
    odd = _NO_TEXT.search(found) if isinstance(found, str) else None
    if odd:
        raise _Refused(f"a text holds the character {odd[0]!r}. Take it out.", node)
    return found


def _mapping(node: yaml.MappingNode, as_python: bool) -> dict[Any, Any]:
    own: dict[Any, Any] = {}
    merged: dict[Any, Any] = {}
    for key, value in node.value:
        if key.value == "<<" and key.tag == _PLAIN:
            parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
            if not all(isinstance(part, yaml.MappingNode) for part in parts):
                raise _Refused("<< takes mappings.", value)
            for part in parts:
                merged = {**_mapping(part, as_python), **merged}
            continue
        name = _built(key, as_python)
        if isinstance(name, list | dict):
            raise _Refused("a key is a list or a mapping; expected a text.", key)
        if name in own:
            raise _Refused(f"the key {shown(name)} is given twice. Take one of them out.", key)
        own[name] = _built(value, as_python)
    return {**merged, **own}


def _plain(text: str, as_python: bool, otherwise: str) -> Any:
    """What a word without quotation marks means."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if as_python and text == "None":
        return None
    try:
        if _INTEGER.fullmatch(text):
            return int(text, 0)
        number = float(text) if _DECIMAL.fullmatch(text) else math.nan
    except ValueError:  # 1__0, or more digits than Python reads
        return otherwise
    return number if math.isfinite(number) else otherwise


class _Dumper(yaml.SafeDumper):
    """Puts what would be read as something else, such as the label ``1e5``, in quotation marks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.Node:
        other = "'" if not isinstance(_plain(text, as_python=False, otherwise=text), str) else None
        return self.represent_scalar(f"{_TAG}str", text, style='"' if _ODD_BREAK.search(text) else other)


_Dumper.add_representer(str, _Dumper.represent_text)
