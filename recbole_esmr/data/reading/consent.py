"""Who lets their days be read: asked of ``.user`` before a row of ``.day`` is looked at, and refused where that is in doubt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.atomic import NO_NUMBER, AtomicFile, read_atomic_file, read_header, refuse
from recbole_esmr.errors import DataError, closest, nearest
from recbole_esmr.files import read_yaml, shipped

_ANSWERS = {"1": 1.0, "1.0": 1.0, "yes": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "no": 0.0, "false": 0.0}
_ALIKE = re.compile(
    r"consent|agree(?!ab)|permi(t|ssion)|allow|approv|gdpr|opt.?(in|out)\b|refus|withdr[ae]w|declin", re.IGNORECASE
)
"""Names of columns that may say who consents; agreeableness is a trait."""

NOBODY_ASKED = ("", "none", "null", "~")
"""Values of ``CONSENT_FIELD`` by which a user says that no column holds a consent."""


@dataclass(frozen=True)
class Consent:
    """Who consents to their days being read.

    Attributes:
        asked: whether ``.user`` has a column of consents; else everybody's is taken as given.
        given: the people who said yes, as text.
        words: the same for a reader, without a count of people.
    """

    asked: bool
    given: pd.Index
    words: str

    def of(self, users: pd.Series) -> np.ndarray:
        """Whether each of these people consents, (N,) bool; who was not asked has not consented where others were."""
        return users.isin(self.given).to_numpy() if self.asked else np.ones(len(users), dtype=bool)

    def readable(self, file: AtomicFile, user: str) -> AtomicFile:
        """The file without the rows of who does not consent.

        Args:
            file: of people's days.
            user: name of its column of people; a file without it stays as it is, to be refused for that.
        """
        if not self.asked or user not in file.types:
            return file
        return replace(file, text=file.text[self.of(file.text[user])])


def consent_field(config: Mapping[str, Any]) -> str | None:
    """Name of the column of consents; None where the user says that there is none."""
    name = "" if config["CONSENT_FIELD"] is None else str(config["CONSENT_FIELD"])
    return None if name.strip().lower() in NOBODY_ASKED else name


def answers(path: Path, text: pd.Series) -> pd.Series:
    """A column of yes and no as 1 and 0, (N,) float; an empty cell is no.

    Raises:
        DataError: a cell is neither, with file, line and column.
    """
    said = text.str.strip().str.lower()
    number = said.map(_ANSWERS | dict.fromkeys(NO_NUMBER, 0.0))
    if number.isna().any():
        refuse(
            path, text, number.isna(), "expected 1, yes or true for who consents, and 0, no, false or an empty cell for others"
        )
    return number


def read_consent(
    name: str, folder: str | Path, config: Mapping[str, Any], warn: Callable[[str], object] = lambda _: None
) -> Consent:
    """Find out who consents; in doubt nothing is read.

    Args:
        name: of the data set.
        folder: that holds its files.
        config: roles, separator and encoding.
        warn: told of a column that may hold consents and is not read as such.

    Raises:
        DataError: the column that the user named is not there, another one looks like it, or it holds other things than yes and
            no.
    """
    folder, field = Path(folder), consent_field(config)
    nobody = pd.Index([], dtype=object)
    if field is None:
        return Consent(False, nobody, "taken as given, as CONSENT_FIELD is empty")
    path, user = folder / f"{name}.user", str(config["USER_ID_FIELD"])
    file = read_atomic_file(path, config) if path.is_file() else None
    if file is not None and field in file.types:
        if file.types[field] not in ("token", "float"):
            raise DataError(f"{path}, line 1: '{field}' has the type '{file.types[field]}'. Write '{field}:float' in the header.")
        if user not in file.types:
            raise DataError(f"{path}, line 1: no column '{user}', so whose consent is whose cannot be told. Add it.")
        yes = answers(path, file.text[field]).groupby(file.text[user]).min() == 1
        return Consent(True, pd.Index(yes[yes].index, dtype=object), f"column '{field}' of {name}.user")
    _refuse_absent(name, folder, field, file, config)
    if file is not None:
        _refuse_alike(file, field, config, warn)
    why = f"no column '{field}' in {name}.user" if file is not None else f"no {name}.user"
    return Consent(False, nobody, f"{why}: taken as given")


def _refuse_absent(name: str, folder: Path, field: str, file: AtomicFile | None, config: Mapping[str, Any]) -> None:
    """Refuse a column that the user has named, or that lies in a file where it is not read.

    Raises:
        DataError: the file, and the mend.
    """
    path = folder / f"{name}.user"
    mend = "Add it; if nobody was asked, set CONSENT_FIELD: ''."
    if _is_named(name, folder, field, config):
        if file is None:
            raise DataError(f"{path}: no such file, and CONSENT_FIELD names its column '{field}'. {mend}")
        raise DataError(f"{path}, line 1: no column '{field}', which CONSENT_FIELD names. {nearest(field, file.types)} {mend}")
    for other in sorted(folder.iterdir()):
        theirs = other.name.startswith(f"{name}.") and other.suffix in (".day", ".imp", ".inter") and other.stat().st_size
        if theirs and field in read_header(other, config):
            raise DataError(
                f"{other}, line 1: has the column '{field}', and who consents is read from {path.name}, one row a person. "
                "Write it there; if it says something else, set CONSENT_FIELD: ''."
            )


def says_who_consents(name: str, cells: pd.Series) -> bool:
    """Whether a column looks like consents: by its name alone where that says so, else also by what it holds."""
    answers_alone = cells.str.strip().str.lower().isin([*_ANSWERS, *NO_NUMBER]).all()
    return "consent" in name.lower() or bool(_ALIKE.search(name) and answers_alone)


def not_named(values: Mapping[str, Any]) -> dict[str, Any]:
    """The whole config of a checkpoint, without the usual name of the column, which its user may not have named."""
    return {key: value for key, value in values.items() if key != "CONSENT_FIELD" or value != _usual_name()}


def _usual_name() -> str:
    return str(read_yaml(shipped("properties") / "overall.yaml")["CONSENT_FIELD"])


def _is_named(name: str, folder: Path, field: str, config: Mapping[str, Any]) -> bool:
    """Whether the user named the column: by a name of their own, or by the usual one in ``NAME.yaml`` or anywhere else."""
    if field != _usual_name():
        return True
    own = folder / f"{name}.yaml"
    given = getattr(config, "external_config_dict", {})
    return "CONSENT_FIELD" in given or (own.is_file() and "CONSENT_FIELD" in read_yaml(own))


def _refuse_alike(file: AtomicFile, field: str, config: Mapping[str, Any], warn: Callable[[str], object]) -> None:
    """Refuse a column that looks like consents by its name and by what it holds; warn where only the name does.

    Raises:
        DataError: the column, and how to say what it is.
    """
    roles = {str(config[role]) for role in ("USER_ID_FIELD", "PROFILE_FIELD", "TIMEZONE_FIELD")}
    for name in file.types:
        if name in roles or not (_ALIKE.search(name) or closest(name, [field])):
            continue
        said = file.text[name].str.strip().str.lower()
        text = (
            f"{file.path}, line 1: no column '{field}', and '{name}' looks as if it said who consents. If it does, with 1 for "
            f"yes, set CONSENT_FIELD: {name}; if it says something else, set CONSENT_FIELD: '', and everybody's consent is "
            "taken as given."
        )
        if said.isin([*_ANSWERS, *NO_NUMBER]).all():
            raise DataError(text)
        warn(text)
