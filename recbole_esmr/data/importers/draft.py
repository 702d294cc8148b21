"""A mapping to begin with, for a folder of CSV files: its guesses are lines with comments that the user edits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from recbole_esmr.data.importers.guess import NOTHING, YES, Guess, guess, known
from recbole_esmr.data.importers.moments import formats_of
from recbole_esmr.data.importers.numeric import are_numbers, decimal_sign, typical_scale
from recbole_esmr.data.reading.times import has_offset, seconds_of_dates
from recbole_esmr.emotion import Taxonomy, load_taxonomy
from recbole_esmr.errors import DataError
from recbole_esmr.files import shipped_names

OF_PART = {
    "inter": ("user_id", "item_id", "timestamp", "day", "watch_ratio", "watch_seconds"),
    "imp": ("user_id", "item_id", "day", "position", "propensity", "label"),
    "item": ("item_id", "emotion", "emotion_intensity", "category", "duration"),
    "user": ("user_id", "user_profile", "consent", "timezone"),
    "day": ("user_id", "day", "emotion", "valence"),
}
RANGES = {"valence": (-1, 1), "watch_ratio": (0, 1), "emotion_intensity": (0, 1)}


def draft_mapping(source: Path) -> str:
    """The text of a mapping for the CSV files of a folder, or for one file.

    Raises:
        DataError: no CSV file, one that cannot be read, or none that says who met which item.
    """
    if not source.exists():
        raise DataError(f"--input={source}: no such file or folder. Give the folder of exports.")
    name = re.compile(r"\.(csv|tsv|txt)(\.gz)?$", re.IGNORECASE)
    paths = [source] if source.is_file() else sorted(path for path in source.glob("*") if name.search(path.name))
    if not paths:
        raise DataError(f"{source}: holds no CSV file (.csv, .tsv, .txt, or these with .gz). Give --input the folder of exports.")
    guesses = [guess(path) for path in paths]
    parts = _parts(guesses)
    if "inter" not in parts and "day" not in parts:
        seen = "; ".join(f"{g.path.name}: {', '.join(map(str, g.table.cells))}" for g in guesses)
        raise DataError(f"{source}: no file seems to say who met which item ({seen}). Write the mapping by hand (docs/data.md).")
    taxonomy, labels = _taxonomy(parts)
    lines = [
        f"# Draft of a mapping for {source}. Everything in it is a guess: read each line and mend it. Then",
        f"#   recbole-esmr import csv --input={source} --mapping=THIS_FILE --output=datasets/NAME",
        *_head(parts, taxonomy, labels),
    ]
    for suffix in OF_PART:
        if suffix in parts:
            lines += ["", *_part(suffix, parts[suffix])]
    used = {g.path for group in parts.values() for g in group}
    lines += ["", *(f"# not used: {g.path.name} ({', '.join(map(str, g.table.cells))})" for g in guesses if g.path not in used)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _parts(guesses: list[Guess]) -> dict[str, list[Guess]]:
    """Which files seem to be which part. Files of the same columns are one; one file may serve several parts."""
    parts: dict[str, list[Guess]] = {}
    roles = [(g, suffix) for g in sorted(guesses, key=lambda g: (-len(g.fields), g.path.name)) for suffix in _roles(g)]
    has_views = any(suffix == "inter" and {"timestamp", "day"} & set(g.fields) and "imp" not in _roles(g) for g, suffix in roles)
    for g, suffix in roles:
        if not (has_views and suffix == "inter" and "imp" in _roles(g)):  # what was shown is no log of views beside one that is
            first = parts.setdefault(suffix, [g])[0]
            if first is not g and list(first.table.cells) == list(g.table.cells):
                parts[suffix].append(g)
    views = parts.get("inter", [])
    for g in views[:1]:  # what else the file of the views says, where no other file says it
        has = set(g.fields)
        if "item" not in parts and any(name in has and _one_each(g, name) for name in OF_PART["item"][1:]):
            parts["item"] = views
        if "user" not in parts and has & set(OF_PART["user"][1:]):
            parts["user"] = views
        if "day" not in parts and has & {"timestamp", "day"} and _moods(g):
            parts["day"] = views
    return {suffix: sorted(group, key=lambda g: g.path.name) for suffix, group in parts.items()}


def _roles(g: Guess) -> list[str]:
    has = set(g.fields)
    if {"user_id", "item_id"} <= has:
        shown = "label" in has and has & {"timestamp", "day"} and g.text("label").nunique() == 2
        return ["inter", "imp"] if shown else ["inter"]
    if "item_id" in has:
        return ["item"]
    if "user_id" in has:
        return ["day"] if has & {"timestamp", "day"} else ["user"]
    return []


def _one_each(g: Guess, name: str) -> bool:
    """Whether an item has one value of a column in all rows."""
    pairs = g.table.cells[[g.fields["item_id"], g.fields[name]]].drop_duplicates()
    return not pairs[g.fields["item_id"]].duplicated().any()


def _moods(g: Guess) -> list[str]:
    """The fields of a file that say how people felt."""
    found: list[str] = [name for name in ("valence", "positive") if name in g.fields]
    if "emotion" in g.fields and not ("item_id" in g.fields and _one_each(g, "emotion")):
        found.append("emotion")
    return found


def _taxonomy(parts: dict[str, list[Guess]]) -> tuple[Taxonomy, list[str]]:
    """The shipped taxonomy that has most of the labels in the files, and these labels."""
    cells = [g.text("emotion") for suffix in ("item", "day") for g in parts.get(suffix, []) if "emotion" in g.fields]
    labels = sorted(set(pd.concat(cells))) if cells else []
    taxonomies = [load_taxonomy(name) for name in ("esmr", *shipped_names("emotion"))]
    return max(taxonomies, key=lambda t: len({label.lower() for label in labels} & set(t.labels))), labels


def _head(parts: dict[str, list[Guess]], taxonomy: Taxonomy, labels: list[str]) -> Iterator[str]:
    """The keys that hold for all parts."""
    guesses = {g.path: g for group in parts.values() for g in group}.values()
    if labels and taxonomy.name != "esmr":
        yield f"taxonomy: {taxonomy.name}"
    other = [label for label in labels if label not in taxonomy.labels]
    if other:
        yield _line("emotions:", f"your labels, and those of the taxonomy '{taxonomy.name}': {', '.join(taxonomy.labels)}")
        for label in other:
            same = label.lower() in taxonomy.labels
            yield (
                f"  {_yaml(label)}: {label.lower()}"
                if same
                else f"  # {_yaml(label)}: WHICH   # write one of them, or '' for none"
            )
    repeats = sum(int(g.table.cells.duplicated().sum()) for g in guesses)
    if repeats:
        yield _line("# duplicates: drop", f"{repeats} rows repeat an earlier one, cell by cell")
    times = [g.text(name) for g in guesses for name in ("timestamp", "day") if name in g.fields]
    zones = any("timezone" in g.fields for g in guesses)
    if not zones and any((seconds_of_dates(text.iloc[:50]).notna() & ~has_offset(text.iloc[:50])).any() for text in times):
        yield _line("# timezone: Europe/Berlin", "of dates without an offset; UTC unless you say")
    columns = [g.table.cells[column] for g in guesses for column in (*g.fields.values(), *g.rest)]
    missing = sorted({cell for cells in columns for cell in set(cells.str.strip()) & set(NOTHING)})
    if missing:
        yield _line(f"missing: {_yaml(missing)}", "cells that say that nothing is known (ids excepted)")
    encodings = {g.encoding for g in guesses if g.encoding}
    for encoding in encodings:
        yield _line(f"encoding: {encoding}", "it is not UTF-8: are its accents right?")


def _part(suffix: str, group: list[Guess]) -> Iterator[str]:
    g, fields = group[0], dict(group[0].fields)
    if suffix in ("day", "imp") and "day" not in fields and "timestamp" in fields:
        fields["day"] = fields["timestamp"]
    if suffix == "inter" and {"day", "timestamp"} <= set(fields) and not are_numbers(g.text("day")).all():
        del fields["day"]  # the date of the timestamp, which the run knows in each time zone
    if suffix == "inter" and "timestamp" not in fields and "day" in fields and not are_numbers(g.text("day")).all():
        fields["timestamp"] = fields.pop("day")
    yield f"{suffix}:"
    yield f"  file: {_yaml([member.path.name for member in group] if len(group) > 1 else g.path.name)}"
    if suffix == "inter" and "imp" in _roles(g):
        watched = next(cell for cell in g.text("label") if cell.lower() in YES)
        yield f"  where: {{{_yaml(fields['label'])}: {1 if watched == '1' else _yaml(watched)}}}   # the rows that were watched"
    yield "  columns:"
    taken = [name for name in OF_PART[suffix] if name in fields and not (suffix == "item" and not _one_each(g, name))]
    if suffix == "day" and "emotion" in taken and "emotion" not in _moods(g):
        taken.remove("emotion")
    for name in taken:
        example = re.sub(r"\s+", " ", known(g.table.cells[fields[name]]).iloc[0])[:40]
        yield _line(f"    {name}: {_yaml(fields[name])}", f"such as {example}")
    if suffix == "day" and {"positive", "negative"} <= set(fields) and "valence" not in fields:
        yield f"    valence: {{positive: {_yaml(fields['positive'])}, negative: {_yaml(fields['negative'])}}}"
    behaviour = [name for name in g.rest if suffix == "day" and "item_id" not in g.fields]
    for name in behaviour:
        yield _line(f"    # {re.sub(r'[^a-z0-9]+', '_', name.lower())}: {_yaml(name)}", "behaviour? then take the # away")
    left = [str(column) for column in g.table.cells if str(column) not in (*fields.values(), *behaviour)]
    if left:
        yield f"    # not used: {', '.join(left)}   # NAME: COLUMN takes it as a column of your own"
    yield from _numbers(suffix, group, fields, taken)
    yield from _formats(g, fields, taken)
    if suffix == "day":
        yield from _aggregation(group, fields)


def _numbers(suffix: str, group: list[Guess], fields: dict[str, str], taken: list[str]) -> Iterator[str]:
    """Scales of the fields that have a range, and the decimal sign."""
    scaled = {name: [fields[name]] for name in taken if name in RANGES}
    if suffix == "day" and {"positive", "negative"} <= set(fields) and "valence" not in fields:
        scaled["valence"] = [fields["positive"], fields["negative"]]
    for name, columns in scaled.items():
        text = known(pd.concat([g.table.cells[column] for g in group for column in columns]))
        values = text.str.replace(",", ".", regex=False).astype(float)
        low, high = RANGES[name]
        if len(columns) > 1 or values.min() < low or values.max() > high:
            scale, seen = typical_scale(values, name == "watch_ratio"), f"seen: {values.min():g} to {values.max():g}"
            yield _line(f"  scale: {{{name}: {scale}}}", seen) if scale else _line(f"  # scale: {{{name}: [LOW, HIGH]}}", seen)
        if decimal_sign(text) is None:
            yield _line('  # decimal: ","', "or take the commas out, if they separate thousands")


def _formats(g: Guess, fields: dict[str, str], taken: list[str]) -> Iterator[str]:
    for name in taken:
        text = known(g.table.cells[fields[name]]) if name in ("timestamp", "day") else pd.Series(dtype=object)
        if len(text) and not are_numbers(text).all() and not seconds_of_dates(text).notna().all():
            fits = formats_of(text)
            yield from (
                f"  {'# ' if len(fits) > 1 else ''}date_format: {{{name}: {_yaml(form)}}}"
                + ("   # which of these?" if len(fits) > 1 else "")
                for form in fits
            )


def _aggregation(group: list[Guess], fields: dict[str, str]) -> Iterator[str]:
    rows = pd.concat([g.table.cells[[fields["user_id"], fields["day"]]] for g in group]).set_axis(["user", "day"], axis=1)
    rows["day"] = rows["day"].str.slice(0, 10) if not are_numbers(rows["day"]).all() else rows["day"]
    if rows.duplicated().any():
        mood = "emotion: last" if not {"valence", "positive"} & set(fields) and "emotion" in fields else "valence: mean"
        yield _line(f"  aggregate: {{{mood}}}", "people have several rows a day; or last, worst")


def _line(text: str, comment: str) -> str:
    return f"{text:<33} # {comment}"


def _yaml(value: Any) -> str:
    """A value as it is written within a line of yaml."""
    return (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000).removesuffix("\n").removesuffix("\n...")
    )
