"""In which time zone the rows of an atomic file are meant."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from recbole_esmr.data.reading.atomic import AtomicFile, read_atomic_file


def zone_of_rows(file: AtomicFile, config: Mapping[str, object]) -> str | pd.Series:
    """The IANA time zone of each row's person, from ``NAME.user`` beside the file, or ``timezone`` for all.

    Args:
        file: with the column of people.
        config: roles, ``timezone``, and how files are written.
    """
    usual, user = str(config["timezone"] or "UTC"), str(config["USER_ID_FIELD"])
    name = file.path.name.partition(".")[0] if file.path.name.count(".") < 2 else file.path.parent.name
    people = file.path.with_name(f"{name}.user")
    if user not in file.types or not people.is_file():
        return usual
    return zone_of_people(read_atomic_file(people, config), file.text[user], config)


def zone_of_people(people: AtomicFile, user: pd.Series, config: Mapping[str, object]) -> str | pd.Series:
    """The IANA time zone of each person, (N,); ``timezone`` where the file of people says none."""
    usual, column = str(config["timezone"] or "UTC"), str(config["TIMEZONE_FIELD"])
    if column not in people.types or str(config["USER_ID_FIELD"]) not in people.types:
        return usual
    rows = people.text.drop_duplicates(str(config["USER_ID_FIELD"])).set_index(str(config["USER_ID_FIELD"]))
    return user.map(rows[column].str.strip().replace("", usual)).fillna(usual)
