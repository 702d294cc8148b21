"""The fields that a mapping may name: what each means to ESMR, under RecBole's own names."""

from __future__ import annotations

from functools import cache
from typing import Any

from recbole_esmr.data.reading.schema import SCHEMA, Column
from recbole_esmr.files import read_yaml, shipped

IDS = ("user_id", "item_id")
TIMES = ("timestamp", "day")
WATCH_SECONDS = "watch_seconds"
"""A field of ``inter`` that is not written: with the length of the items (``duration``) it makes ``watch_ratio``."""

TIMEZONE = "timezone"
"""A field of ``user``: the IANA time zone in which a person's local times are meant."""


@cache
def names() -> dict[str, Any]:
    """The config under which imported data are read: the plug-in's own values and RecBole's names of ids and time."""
    recboles = {"field_separator": "\t", "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "TIME_FIELD": "timestamp"}
    return read_yaml(shipped("properties") / "overall.yaml") | recboles


@cache
def known(suffix: str) -> dict[str, Column | None]:
    """The fields of a part that mean something, by name; None where atomic files need not know them."""
    fields: dict[str, Column | None] = {str(names()[column.role]): column for column in SCHEMA[suffix]}
    if suffix == "user":
        fields.setdefault(TIMEZONE, None)
    if suffix == "inter":
        fields |= {WATCH_SECONDS: None, "duration": None}
    return fields
