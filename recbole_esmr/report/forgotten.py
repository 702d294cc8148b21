"""What was done to forget people, as text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LEARNED_TOGETHER = (
    "What was learned from everybody together still reflects them a little: of ESMR the emotion encoder, LightGBM's trees, the "
    "effects and the re-ranker, of other models all but the rows of people"
)


def forgotten_lines(done: Any, dry_run: bool) -> str:
    """The result of ``recbole-esmr forget``.

    Args:
        done: a :class:`~recbole_esmr.forget.Forgotten`.
        dry_run: whether nothing was written.
    """
    lines = ["Nothing is written; this would be done:"] if dry_run else []
    lines += [f"{file}: {count:,} lines removed" for file, count in done.lines.items()]
    for path, of in done.checkpoints.items():
        lines.append(f"{path}: {_zeroed(of)}")
        if of["unclear"]:
            lines.append(f"{path}: it cannot be told whether {_some(of['unclear'])} hold rows of people. Train it again.")
        if of["signature"]:
            lines.append(f"{path}: its signature is gone with its content. Sign it again.")
    lines += [f"{path}: RecBole's cached data, deleted" for path in done.caches]
    lines += [f"{path}: knows these people too. Give it with --checkpoint, or delete it." for path in done.not_given]
    if done.unknown:
        lines.append(f"In no file and no checkpoint given, or not any more: {', '.join(done.unknown)}")
    if any(of["people"] for of in done.checkpoints.values()) and not done.trained:
        lines.append(f"{LEARNED_TOGETHER}. --retrain trains the checkpoints again without them.")
    lines += [f"{path}: trained again without them" for path in done.trained]
    if not dry_run:
        lines += [f"Still named in {place}" for place in done.left]
        lines.append(
            f"Searched {done.searched:,} files: " + (f"{len(done.left)} places left." if done.left else "no name is left.")
        )
    return "\n".join(lines)


def _zeroed(of: dict[str, Any]) -> str:
    if not of["people"]:
        return "knows none of them"
    tables = f"their rows of {_some(of['tables'])} zeroed" if of["tables"] else "no table with a row a person"
    return f"{of['people']:,} people; {tables}; their ids are nobody's"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
