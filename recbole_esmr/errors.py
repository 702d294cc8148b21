"""The errors a user can meet: each says what was given, what is expected and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

_LONGEST = 1_000
"""Characters of a message; of a longer one, as of an id of 10,000 characters, the middle is left out."""


class ESMRError(Exception):
    """Base of every error that recbole-esmr raises for a user's mistake (exit code 2 on the command line).

    Its text is one line that every terminal shows as it is meant: what a file held of control characters, marks that turn the
    direction of writing and the like is shown by its code.
    """

    exit_code = 2

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
        return text if text.isprintable() else "".join(map(_shown, text))


class ConfigError(ESMRError, ValueError):
    """A configuration key or value that is unknown, of the wrong type or out of its range."""


class DataError(ESMRError, ValueError):
    """An atomic file, or a source file of an importer, that breaks the data schema."""


class CheckpointError(ESMRError):
    """A checkpoint that is truncated, of another model, of a later schema, or that does not fit the data."""


class OutputError(ESMRError, OSError):
    """A file or folder that cannot be written; what was there before is intact."""


class UnknownNameError(ESMRError, ValueError):
    """A model, data set, world, taxonomy or importer that does not exist."""


class IdentificationError(ESMRError):
    """A causal effect that the assumed graph does not identify, or that the data are too few to estimate."""


class MissingPackageError(ESMRError, ModuleNotFoundError):
    """A package that is not installed; the message says how to install it."""


class HarmError(ESMRError):
    """Somebody is worse off, and the user asked to be told (exit code 3): all results are written."""

    exit_code = 3


class Interrupted(KeyboardInterrupt):
    """A training that was stopped (Ctrl-C, SIGTERM) and can go on.

    Attributes:
        checkpoint: the file to go on from; None where there is none yet.
    """

    def __init__(self, checkpoint: str | None = None) -> None:
        super().__init__(checkpoint or "")
        self.checkpoint = checkpoint


def _shown(character: str) -> str:
    if character in "\r\n":
        return " "
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def plain(value: Any) -> Any:
    """The value itself of a number or text of numpy's, which numpy 2 shows as ``np.float64(50.0)``; anything else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names the closest known name, or lists the known ones when none is close.

    Args:
        name: what was given.
        known: the names that would have been accepted.

    Returns:
        ``"Did you mean 'X'?"`` or ``"Known: A, B, C."`` (at most 40 names, then a count).
    """
    names = sorted(set(known))
    close = closest(name, names)
    if close is not None:
        return f"Did you mean '{close}'?"
    more = f" and {len(names) - 40} more" if len(names) > 40 else ""
    return f"Known: {', '.join(names[:40])}{more}."


def closest(name: str, known: Iterable[str], cutoff: float = 0.75) -> str | None:
    """The known name closest to ``name`` regardless of case, or None when the similarity is below ``cutoff`` (0–1)."""
    if len(name) > 100:  # no name that somebody mistyped, and slow to compare
        return None
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None
