"""The text of ``NAME.yaml`` when a data set is imported again: what the user changed in it stays.

The import leaves a fingerprint of each value that it wrote in the file's last comment. A key whose value has another fingerprint,
or none, is the user's: it stays, with its comments. All other keys are as the import writes them.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import yaml

from recbole_esmr.errors import ConfigError
from recbole_esmr.files import read_yaml
from recbole_esmr.values import read_yaml_text, yaml_text

_RECORD = "# Written by the import:"


def merged(path: Path, settings: dict[str, Any], comment: str) -> tuple[str, dict[str, Any], list[str]]:
    """The yaml file that an import writes.

    Args:
        path: the file, which may be there from an earlier import, or by hand.
        settings: the keys that this import writes.
        comment: first line of a new file.

    Returns:
        its text; its values; and the keys that stay as the user has them, where the import would write something else.

    Raises:
        ConfigError: the file that is there is no yaml mapping.
    """
    record = " ".join([_RECORD, *(f"{key}={_fingerprint(value)}" for key, value in settings.items())]) + "\n"
    old = read_yaml(path) if path.is_file() else {}
    text = path.read_text(encoding="utf-8") if old else f"# {comment}\n"
    wrote = dict(re.findall(r"(\S+)=([0-9a-f]{8})\b", "".join(re.findall(rf"^{_RECORD}.*$", text, re.MULTILINE))))
    text = re.sub(rf"^{_RECORD}.*\n?", "", text, flags=re.MULTILINE)
    users = {key: value for key, value in old.items() if wrote.get(str(key)) != _fingerprint(value)}
    values = {**settings, **users}
    for key in old:
        if key not in values:
            text = _replaced(text, key, "")
        elif values[key] != old[key]:
            text = _replaced(text, key, _dumped({key: values[key]}))
    text = text.rstrip("\n") + "\n" + _dumped({key: value for key, value in values.items() if key not in old})
    if _parsed(text) != values:  # written in a style that cannot be edited line by line
        text = f"# {comment}\n{_dumped(values)}"
    return text + record, values, [str(key) for key, value in users.items() if settings.get(key, value) != value]


def with_key(path: Path, key: str, value: Any) -> str:
    """The text of a yaml file, which may not be there yet, with one key set; comments and the other keys stay.

    Raises:
        ConfigError: the file that is there is no yaml mapping.
    """
    old = read_yaml(path) if path.is_file() else {}
    text = path.read_text(encoding="utf-8") if old else ""
    line = _dumped({key: value})
    new = _replaced(text, key, line) if key in old else text.rstrip("\n") + "\n" * bool(text) + line
    return new if _parsed(new) == {**old, key: value} else _dumped({**old, key: value})


def _replaced(text: str, key: Any, new: str) -> str:
    """The text with the lines of one key replaced; comments before and after it stay."""
    root = yaml.compose(text)
    lines = text.splitlines(keepends=True)
    for name, value in root.value if isinstance(root, yaml.MappingNode) else []:
        if name.value == str(key):
            first, last = name.start_mark.line, value.end_mark.line + (value.end_mark.column > 0)
            while last > first + 1 and (not lines[last - 1].strip() or lines[last - 1].startswith("#")):
                last -= 1
            return "".join([*lines[:first], new, *lines[last:]])
    return text


def _parsed(text: str) -> Any:
    try:
        return read_yaml_text(text, "") or {}
    except ConfigError:
        return None


def _dumped(values: dict[str, Any]) -> str:
    return yaml_text(values) if values else ""


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:8]
