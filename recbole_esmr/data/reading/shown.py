"""How far the log of what was shown and the log of what was watched agree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from recbole_esmr.errors import DataError

_KEYS = ["user", "item", "day"]

INCOMPLETE = 0.5
"""Share of the views without an impression from which on an ``.imp`` is no log of what was shown."""

FOREIGN = 0.5
"""Share of what was watched without a view from which on ``.imp`` and ``.inter`` do not mean the same."""


def agreed(shown: pd.DataFrame, views: pd.DataFrame, name: str, warn: Callable[[str], object]) -> pd.DataFrame | None:
    """What was shown, with what was watched in it.

    What was watched was shown: a view without an impression becomes one, with no position and no propensity. Where many views
    have none, or no impression is a skip, what was shown is not known, and only what was watched is.

    Args:
        shown: columns user, item, day, position, propensity, label.
        views: columns user, item, day.
        name: of the data set.
        warn: told each thing that a user should know.

    Returns:
        the impressions; None where they are no log of what was shown.

    Raises:
        DataError: most of what was watched, by its label, has no view on its day.
    """
    watched = (shown["label"] == 1).to_numpy()
    in_views, in_shown = _index(shown[watched]).isin(_index(views)), _index(views).isin(_index(shown[watched]))
    lost, missing = int((~in_views).sum()), int((~in_shown).sum())
    seen, viewed = len(in_views), len(in_shown)
    if lost > FOREIGN * seen:
        raise DataError(
            f"{name}.imp: {lost} of {seen} rows with label 1 have no view of that person, item and day in {name}.inter. Label 1 "
            f"means watched, and days of both files must count alike{_shift_hint(shown[watched], views)}. Mend one of them."
        )
    repeated = int(shown.duplicated().sum())
    if repeated:
        warn(f"{name}.imp: {repeated} of {len(shown)} lines say again what another line says. Remove what was not shown twice.")
    if seen == len(shown):
        warn(
            f"{name}.imp: every row is watched (label 1), so what was shown and skipped is not logged: it is read as what was "
            "watched. Add what was shown and skipped with label 0."
        )
        return None
    if missing > INCOMPLETE * viewed:
        warn(
            f"{name}.imp: {missing} of {viewed} views of {name}.inter have no row with label 1, so what was shown is not logged: "
            "the file is left out, and what was watched is all that is known to have been shown. Log every view as an impression."
        )
        return None
    if missing:
        warn(
            f"{name}.imp: {missing} of {viewed} views of {name}.inter have no row with label 1: they are added as shown. "
            "Where days are made from times, the wrong `timezone` does that."
        )
        more = views.loc[~in_shown, _KEYS].drop_duplicates().assign(label=1.0, propensity=np.nan, position=np.inf)
        shown = pd.concat([shown, more], ignore_index=True)
    if lost:
        warn(
            f"{name}.imp: {lost} of {seen} rows with label 1 have no view of that person, item and day in {name}.inter: they "
            "count as watched for as long as views usually are."
        )
    return shown


def _index(frame: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(frame[_KEYS].astype({"day": np.int64}))


def _shift_hint(watched: pd.DataFrame, views: pd.DataFrame) -> str:
    """Whether the days would fit if one file counted from another day."""
    known = _index(views)
    for shift in (-1, 1):
        if _index(watched.assign(day=watched["day"] + shift)).isin(known).mean() > FOREIGN:
            moved = "1 were added to" if shift > 0 else "1 were taken from"
            return f"; they would fit if {moved} the days of .imp, or by another `timezone`, in which times become days"
    return ""
