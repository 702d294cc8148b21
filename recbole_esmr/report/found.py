"""What was found in a data set, as text for the terminal."""

from __future__ import annotations

from textwrap import shorten
from typing import Any

import pandas as pd


def check_table(result: dict[str, Any]) -> str:
    """The result of ``recbole-esmr check``: files, log, ids, and each warning with its mend."""
    parts = [f"{result['dataset']} in {result['folder']}", "", _files(result["files"])]
    if result["log"]:
        parts += ["", log_lines(result["log"])]
    for number, warning in enumerate(result["warnings"], 1):
        parts += ["", f"warning {number}: {warning}"]
    if not result["refused"]:
        parts += ["", f"A run of {result['model']} would start" + ("." if result["warnings"] else "; nothing is odd.")]
    return "\n".join(parts)


def log_lines(log: dict[str, Any]) -> str:
    """What :func:`~recbole_esmr.data.reading.found.log_found` says, a line a thing."""
    days, reported = log["days"], log["negative_share"]
    skipped = log["skipped_share"]
    lines = {
        "after filters": f"{log['views']:,} views of {log['items']:,} items by {log['people']:,} people",
        "days": f"{days['from']} to {days['to']}, {days['number']} in all",
        "reports": "nobody's emotion is known"
        if reported is None
        else f"on {log['reported_share']:.1%} of {log['active_days']:,} person-days, {reported:.1%} of them negative",
        "emotions": ", ".join(f"{name} {count:,}" for name, count in log["emotions"].items()) or "none reported",
        "shown": "skips are not logged" if skipped is None else f"{skipped:.1%} of what was shown was skipped",
        "items": f"{log['items_with_emotion']:.1%} have an emotion",
        "consent": log["consent"] + (f"; {log['without_consent']:,} people gave none" if log["without_consent"] else ""),
    }
    lines |= {
        f"{ids['file']} {ids['field']}": f"{ids['ids']:,} ids; {ids['unknown']:,} in no interaction; {ids['absent']:,} of .inter "
        "have no row here"
        for ids in log["ids"]
        if ids["unknown"] or ids["absent"]
    }
    width = max(map(len, lines)) + 2
    return "\n".join(f"{name:<{width}}{said}" for name, said in lines.items())


def _files(files: list[dict[str, Any]]) -> str:
    """One row a file."""
    rows = [
        {
            "file": file["file"],
            **{name: "" if file[name] is None else f"{file[name]:,}" for name in ("rows", "people", "items")},
            "days": " to ".join(file["days"] or []),
            "columns": shorten(", ".join(file["columns"]), 60, placeholder=" …"),
        }
        if "error" not in file
        else {"file": file["file"], "rows": "?", "people": "", "items": "", "days": "", "columns": "cannot be read"}
        for file in files
    ]
    return pd.DataFrame(rows).to_string(index=False) if rows else "no files"
