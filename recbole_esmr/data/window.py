"""Which days of a long log are read as days, and whether there is memory for them."""

from __future__ import annotations

import pandas as pd

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.trace import DENSE
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.errors import ConfigError, DataError, plain
from recbole_esmr.memory import GIB, free_memory

LONGEST = 36_525
"""Days of a hundred years: so long a log is a mistake in its days, and every stage would go through each of them."""

DENSE_BYTES, BELIEVED_BYTES = 24, 2000
"""Peak bytes of a known day: of each number that is known of it, with the copies that are made; of what is believed of it."""

NARROW, NARROW_REPORTED = 8, 60
"""Peak bytes of any user-day of a long log: its report, its part and whether the person was there; with scalar beliefs."""


def first_day_read(first: int, last: int, max_days: int | None) -> int:
    """The first of the last ``max_days`` days from ``first`` to ``last``; ``first`` where there are no more, or no limit.

    Raises:
        ConfigError: ``max_days`` is no whole number of at least 1.
        DataError: more than :data:`LONGEST` days would be read.
    """
    if max_days is not None and (not isinstance(max_days, int) or isinstance(max_days, bool) or max_days < 1):
        raise ConfigError(f"max_days is {plain(max_days)!r}; expected a whole number of days of at least 1, or ~ for all days.")
    begin = first if max_days is None else max(first, last - max_days + 1)
    if last - begin >= LONGEST:
        raise DataError(
            f"days {first} to {last}: more than a hundred years are no days of people. Mend the days far from all others, "
            f"or set max_days to read the last of them alone (at most {LONGEST})."
        )
    return begin


def memory_of_days(
    people: int, days: int, impressions: Impressions, user_days: pd.DataFrame | None, catalogue: Catalogue, taxonomy: Taxonomy,
    believed: int,
) -> int:  # fmt: skip
    """About how many bytes a training holds at its peak for people's days, beside RecBole's own interactions.

    Args:
        people, days: U and D.
        impressions, user_days, catalogue, taxonomy: of which the days are made.
        believed: of how many people at most all that is believed is held at once (a policy that serves all of them at once
            holds it of all).
    """
    behaviour = 0 if user_days is None else len(user_days.columns)
    columns = behaviour + 7 + 2 * (len(taxonomy) + len(catalogue.categories))  # features, exposures and hours of a day
    reported = user_days is not None and bool((user_days["emotion"] != "").any() or user_days["valence"].notna().any())
    cells = people * days
    known = cells if cells <= DENSE else min(len(impressions) + (0 if user_days is None else len(user_days)), cells)
    narrow = 0 if cells <= DENSE else NARROW_REPORTED if reported else NARROW
    held = known * min(believed / max(people, 1), 1.0) if reported else 0
    return int(cells * narrow + known * DENSE_BYTES * columns + held * BELIEVED_BYTES)


def require_memory(dataset: str, people: int, days: int, needed: int, limit: float | None) -> None:
    """Refuse a log whose days need more memory than there is.

    Args:
        dataset: its name.
        people, days: U and D.
        needed: bytes, of :func:`memory_of_days`.
        limit: what may be used, GiB; what is free on the machine unless given.

    Raises:
        DataError: the message has the numbers and the mend.
        ConfigError: ``limit`` is no number above 0.
    """
    if limit is not None and (not isinstance(limit, (int, float)) or isinstance(limit, bool) or limit <= 0):
        raise ConfigError(f"memory_limit is {plain(limit)!r}; expected a number of GiB above 0, or ~ for what is free.")
    allowed = free_memory() if limit is None else int(limit * GIB)
    if needed <= allowed:
        return
    fewer = max(int(days * allowed / needed), 1)
    where = "are free" if limit is None else "are allowed by memory_limit"
    raise DataError(
        f"data set '{dataset}': {people:,} people over {days:,} days need about {needed / GIB:.1f} GiB of memory, and "
        f"{allowed / GIB:.1f} GiB {where}. Set max_days: {fewer} to read the last {fewer:,} days as days, or raise memory_limit."
    )
