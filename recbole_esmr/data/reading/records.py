"""What the files of a data set say of people's days and of what was shown, before RecBole filters or renumbers anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.atomic import read_atomic_file
from recbole_esmr.data.reading.calendar import days_of_views, shift_to_views, warn_of_shifted
from recbole_esmr.data.reading.consent import Consent, read_consent
from recbole_esmr.data.reading.felt import reports_of_moments
from recbole_esmr.data.reading.partners import Partners, partners
from recbole_esmr.data.reading.schema import checked
from recbole_esmr.data.reading.shown import agreed
from recbole_esmr.data.reading.times import date_of, is_date
from recbole_esmr.emotion import Taxonomy

_ROLES = {
    "USER_ID_FIELD": "user",
    "ITEM_ID_FIELD": "item",
    "DAY_FIELD": "day",
    "EMOTION_FIELD": "emotion",
    "VALENCE_FIELD": "valence",
    "IMPRESSION_POSITION_FIELD": "position",
    "PROPENSITY_FIELD": "propensity",
    "IMPRESSION_LABEL_FIELD": "label",
    "CHURNED_FIELD": "churned",
    "PROFILE_FIELD": "profile",
}
"""What the columns are called in the code, whatever the user calls them."""

WITHOUT = {
    "day": "no person's emotion is known, so the engagement ranking is never re-ranked",
    "imp": "what was watched is all that is known to have been shown; negatives are sampled",
}
"""What is lost without a file."""


@dataclass(frozen=True)
class Records:
    """The rows of the files, ids as text.

    Attributes:
        views: columns user, item, day, watch_ratio and, where they are known, what was felt before and after
            (:mod:`~recbole_esmr.data.reading.felt`) and ``random``: every row of ``.inter``.
        reports: columns user, day, emotion, valence and the behaviour's, of who consents; None where there are none.
        shown: columns user, item, day, position, propensity, label; None without an ``.imp``.
        people: columns user, profile ("" where unknown or not to be read), consent: everybody in ``.inter`` and ``.user``.
        consent: who consents.
        partners: how the ids of the files fit those of ``.inter``.
    """

    views: pd.DataFrame
    reports: pd.DataFrame | None
    shown: pd.DataFrame | None
    people: pd.DataFrame
    consent: Consent
    partners: tuple[Partners, ...]


def read_records(
    name: str,
    folder: str | Path,
    config: Mapping[str, Any],
    taxonomy: Taxonomy,
    views: pd.DataFrame,
    warn: Callable[[str], object],
) -> Records:
    """Read ``.day``, ``.imp``, ``.item`` and ``.user`` beside the interactions, and check that they mean the same ids and days.

    Who consents is found out first. Rows of ``.day`` of others are left out before anything else looks at the file.

    Args:
        name: of the data set.
        folder: that holds it.
        config: roles, ``additional_feat_suffix`` and ``max_unknown_ids``.
        taxonomy: the emotions that may occur.
        views: columns of :class:`Records`, ``seconds`` instead of ``day`` where there is none; without the moods of who does
            not consent (:func:`~recbole_esmr.data.recbole.felt.without_silent`).
        warn: told each thing that a user should know, one line a call.

    Raises:
        DataError: a file breaks the schema, its ids are others than those of ``.inter``, or its days cannot be told.
    """
    consent = read_consent(name, folder, config, warn)
    felt = any(views[column].notna().any() for column in ("valence_before", "valence_after") if column in views)
    frames, day_ids = _read(name, Path(folder), config, taxonomy, consent, warn, set() if felt else {"day"})
    if "day" not in views:
        views = views.assign(day=_days(name, config, views, frames, warn))
    reports, shown, people = frames.get("day"), frames.get("imp"), frames.get("user")
    found = tuple(_partners(name, frames, views, config, consent, day_ids, warn))
    if shown is not None:
        defaults = {"position": 0.0, "propensity": np.nan}
        shown = shown.assign(**{column: shown.get(column, value) for column, value in defaults.items()})
        shown = agreed(shown, views, name, warn)
    if reports is not None:
        reports = _of_days(reports)
        said = reports[(reports["emotion"] != "") | reports["valence"].notna()]
        warn_of_shifted(name, views, said, warn)
    reports, made = reports_of_moments(views, reports)
    if made:
        warn(f"{name}.inter: {made:,} person-days have the mean of what was felt before and after their items for a report.")
    if reports is not None:
        _say_of_reports(name, reports, taxonomy, warn)
    return Records(views, reports, shown, _people(name, people, views, consent, warn), consent, found)


def _read(
    name: str,
    folder: Path,
    config: Mapping[str, Any],
    taxonomy: Taxonomy,
    consent: Consent,
    warn: Callable[[str], object],
    missed: set[str],
) -> tuple[dict[str, pd.DataFrame], pd.Series]:
    """The checked rows of each file by its suffix, columns by their roles; and whose row each of ``.day`` is, unread ones too.

    That there is no file is said of ``.imp`` and of those that are ``missed``.
    """
    user = str(config["USER_ID_FIELD"])
    frames: dict[str, pd.DataFrame] = {}
    day_ids = pd.Series([], dtype=object, name=user)
    for suffix in ("day", "imp", "item", "user"):
        path = folder / f"{name}.{suffix}"
        if path.is_file() and suffix in ("item", "user", *(config["additional_feat_suffix"] or ())):
            file = read_atomic_file(path, config)
            if suffix == "day":
                day_ids = file.text.get(user, day_ids)
                file = consent.readable(file, user)
                if consent.asked and file.text.empty:
                    warn(f"{path.name}: no row is of a person who consents, so the engagement ranking is never re-ranked.")
                    continue
            frames[suffix] = _named(checked(file, suffix, config, taxonomy), config)
        elif suffix in missed | {"imp"}:
            warn(f"No {path.name}: {WITHOUT[suffix]}.")
    return frames, day_ids


def _named(frame: pd.DataFrame, config: Mapping[str, Any]) -> pd.DataFrame:
    """The columns by their roles; a column of the user's own that has a role's name gets another."""
    roles = {str(config[role]): column for role, column in _ROLES.items()}
    own = {str(column): f"{column} (own)" for column in frame if column in roles.values() and column not in roles}
    return frame.rename(columns={**own, **roles})


def _people(
    name: str, people: pd.DataFrame | None, views: pd.DataFrame, consent: Consent, warn: Callable[[str], object]
) -> pd.DataFrame:
    """Everybody's consent, and the profile of who consents: who has no row in a ``.user`` with consents has given none."""
    everybody = pd.DataFrame({"user": pd.Index(views["user"].unique())})
    if people is None:
        return everybody.assign(profile="", consent=True)
    unasked = ~everybody["user"].isin(people["user"])
    if consent.asked and unasked.any():
        warn(
            f"{name}.user: {int(unasked.sum())} people of {name}.inter have no row, so no consent: nothing of their days is read."
        )
    wanted = people.assign(profile=people.get("profile", ""))[["user", "profile"]]
    everybody = everybody.merge(wanted, on="user", how="outer").fillna({"profile": ""})
    consents = consent.of(everybody["user"])
    return everybody.assign(profile=everybody["profile"].where(consents, ""), consent=consents)


def _of_days(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns user, day, emotion, valence and the behaviour's of a ``.day``."""
    frame = frame.assign(emotion=frame.get("emotion", ""), valence=frame.get("valence", np.nan))
    numbers = frame.select_dtypes("number").columns.difference(["user", "day", "valence"])
    return frame[["user", "day", "emotion", "valence", *sorted(numbers)]]


def _say_of_reports(name: str, frame: pd.DataFrame, taxonomy: Taxonomy, warn: Callable[[str], object]) -> None:
    said = taxonomy.valence_of(taxonomy.encode(frame["emotion"].to_numpy(dtype=str)))
    valence = frame["valence"].to_numpy(float)
    valence = np.where(np.isfinite(valence), valence, said)
    if np.isfinite(valence).any() and (frame["emotion"] == "").all():
        warn(f"{name}: people reported a valence and no emotion by name, so forecasts are of the valence and of negative days.")
    if np.isfinite(valence).any() and not (valence < 0).any():
        warn(
            f"{name}: nobody ever reports a negative emotion (the lowest valence is {np.nanmin(valence):g}), so nothing is "
            "ever re-ranked. If valence was asked on another scale, such as 1 to 7, bring its middle to 0."
        )


def _days(
    name: str, config: Mapping[str, Any], views: pd.DataFrame, frames: dict[str, pd.DataFrame], warn: Callable[[str], object]
) -> np.ndarray:
    """The days of the views from their moments; the other files' day numbers are brought to them, in ``frames``."""
    zone: Any = str(config["timezone"] or "UTC")
    column = str(config["TIMEZONE_FIELD"])
    if "user" in frames and column in frames["user"]:
        own = frames["user"].set_index("user")[column].replace("", zone)
        zone = views["user"].map(own).fillna(zone).to_numpy(dtype=str)
    made = days_of_views(views["seconds"].to_numpy(), zone)
    others = {suffix: frames[suffix] for suffix in ("day", "imp") if suffix in frames}
    shift = shift_to_views(views.assign(day=made.day), others.get("day"), others.get("imp"), name)
    for suffix, frame in others.items():
        frames[suffix] = frame.assign(day=frame["day"] + shift)
    said = f"No column '{config['DAY_FIELD']}' in {name}.inter: days are {made.words}, made from '{config['TIME_FIELD']}'"
    if shift and others:
        least = int(min(frame["day"].min() for frame in others.values()))
        meant = least + shift
        said += f"; day {least} of {name}.{' and .'.join(others)} is {date_of(meant) if is_date(meant) else f'day {meant}'}"
    warn(said + ".")
    return made.day


def _partners(
    name: str,
    frames: dict[str, pd.DataFrame],
    views: pd.DataFrame,
    config: Mapping[str, Any],
    consent: Consent,
    day_ids: pd.Series,
    warn: Callable[[str], object],
) -> list[Partners]:
    """Compare each file's ids with those of the interactions.

    The rows that ``.day`` has of people who do not consent are not counted, and those people are not named. An id that no other
    file knows is nobody's, and may be spelled wrongly.

    Raises:
        DataError: too many have no partner, or the files spell them differently.
    """
    share = float(config["max_unknown_ids"])
    columns = {"user": str(config["USER_ID_FIELD"]), "item": str(config["ITEM_ID_FIELD"])}
    known = {"user": views["user"], "item": views["item"]}
    found = []
    for suffix, which, lost in (
        ("user", "user", False),
        ("item", "item", False),
        ("day", "user", True),
        ("imp", "user", True),
        ("imp", "item", True),
    ):
        if suffix not in frames and not (suffix == "day" and len(day_ids)):
            continue
        of = known[which]
        if lost and which in frames:  # people and items that a file of their own names need no interaction
            of = pd.concat([of, frames[which][which]])
        if suffix != "day":
            mine = frames[suffix][which]
        else:
            mine = day_ids[consent.of(day_ids) | ~day_ids.isin(of)]
            of = of[consent.of(of)]
        compared = partners(f"{name}.{suffix}", mine.rename(columns[which]), of)
        said = compared.check(share, lost, "have no emotion" if which == "item" else "are left out")
        if said and not (suffix == "user" and consent.asked):  # who has no row has not consented, which is said elsewhere
            warn(said)
        if suffix == "user" and consent.asked:
            compared = replace(compared, absent_example="")
        found.append(compared)
    return found
