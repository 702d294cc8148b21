"""What `export` and `log` say when they are done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def artifact_lines(card: Mapping[str, Any], folder: str) -> str:
    """What was exported, and what a reader must know of it."""
    effects = card["effects_on_tomorrows_valence"]
    acts = (
        f"It acts on {len(effects)} effects of what items are."
        if card["acts"] and effects
        else "No effect of what items are is proven on its log, so it re-ranks nothing."
        if not card["acts"]
        else "It re-ranks by what the re-ranker learned."
    )
    return (
        f"Written: {folder}, {card['items']:,} items, and nobody of the log (fingerprint {card['fingerprint']}).\n"
        f"Its retriever reads what a person watched, and agrees with the trained one to r = {card['retriever_agreement']:.2f}.\n"
        f"{acts}"
    )


def log_lines(rows: Mapping[str, int], folder: str) -> str:
    """What was written."""
    return f"Written: {folder}, " + ", ".join(f"{count:,} rows of .{suffix}" for suffix, count in rows.items()) + "."
