"""LDOS-CoMoDa (Košir et al. 2011): real people's ratings of films, with the emotion that a film was about and left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recbole_esmr.data.importers.imported import Imported, Origin
from recbole_esmr.data.importers.numeric import Cells, numbers, whole_as_int
from recbole_esmr.data.importers.plausible import repeated_lines
from recbole_esmr.data.importers.table import read_table
from recbole_esmr.data.importers.votes import pooled_shares
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.protocol import BY_TIME

COLUMNS = (
    *("user", "item", "rating", "age", "sex", "city", "country", "time", "daytype", "season", "location", "weather"),
    *("social", "endEmo", "dominantEmo", "mood", "physical", "decision", "interaction", "director", "movieCountry"),
    *("movieLanguage", "movieYear", "genre1", "genre2", "genre3", "actor1", "actor2", "actor3", "budget"),
)
EMOTIONS = {1: "sad", 2: "happy", 3: "scared", 4: "surprised", 5: "angry", 6: "disgusted", 7: "neutral"}


def read_ldos_comoda(path: Path, _: Path | None = None) -> Imported:
    """Read ``LDOS-CoMoDa.csv`` (30 columns, no header), or the folder that holds it.

    The file has no dates, only an order, so each film of a person is a step: ``day`` counts a person's films and ``timestamp``
    the lines. A step's emotion is the emotion at the end of the film (``endEmo``); ``mood`` (1, 0, −1) is the mood while choosing
    it. What a film expresses are the shares of its raters who called each emotion dominant, pulled toward those of all films.

    Raises:
        DataError: no such file, a line without 30 cells, or a cell that is no number.
    """
    path = path / "LDOS-CoMoDa.csv" if path.is_dir() else path
    table = read_table([path], delimiter=",", header=COLUMNS)
    coded = {name: whole_as_int(numbers(Cells(table, name, table.cells[name], mapped=False), ".")[0]) for name in COLUMNS[2:]}
    frame = table.cells[["user", "item"]].assign(**coded)
    step = frame.groupby("user").cumcount() + 1
    sometimes = frame["mood"].map({1: 1.0, 2: 0.0, 3: -1.0})
    frames = {
        "inter": pd.DataFrame(
            {
                "user_id:token": frame["user"],
                "item_id:token": frame["item"],
                "rating:float": frame["rating"],
                "timestamp:float": np.arange(len(frame)),
                "day:float": step,
            }
        ),
        "item": _films(frame),
        "user": _people(frame),
        "day": pd.DataFrame(
            {
                "user_id:token": frame["user"],
                "day:float": step,
                "emotion:token": frame["endEmo"].map(EMOTIONS).fillna(""),
                "mood:float": sometimes,
                "rating:float": frame["rating"],
            }
        ),
    }
    settings = {
        "emotion_taxonomy": "ldos-comoda",
        "days_are_steps": True,
        "load_col": {"inter": ["user_id", "item_id", "timestamp", "day", "rating"]},
        **BY_TIME,
    }
    columns = {"user_id": "user", "item_id": "item", "rating": "rating", "mood": "mood"}
    origins = {"inter": Origin(table, columns), "day": Origin(table, columns)}
    return Imported(frames, settings, origins, warnings=repeated_lines(table))


def _films(frame: pd.DataFrame) -> pd.DataFrame:
    named = frame[frame["dominantEmo"].isin(EMOTIONS)]
    votes = pd.crosstab(named["item"], named["dominantEmo"])
    film = frame.drop_duplicates("item").set_index("item")
    labels = list(load_taxonomy("ldos-comoda").labels)
    votes = votes.rename(columns=EMOTIONS).reindex(index=film.index, columns=labels, fill_value=0)
    shares = pd.DataFrame(pooled_shares(votes.to_numpy()), index=film.index)
    written = shares.round(6).astype(str).agg(" ".join, axis=1).where(shares.any(axis=1), "")
    genre = _named("genre", film["genre1"].where(film["genre1"] >= 0))
    return pd.DataFrame(
        {
            "item_id:token": film.index,
            "emotion_share:float_seq": written,
            "category:token": genre,
        }
    )


def _people(frame: pd.DataFrame) -> pd.DataFrame:
    person = frame.drop_duplicates("user")
    age = person["age"].where(person["age"].between(5, 110))
    return pd.DataFrame({"user_id:token": person["user"], "age:float": age, "user_profile:token": _named("sex", person["sex"])})


def _named(what: str, code: pd.Series) -> pd.Series:
    """Codes as labels, "" where there is none."""
    return code.map(lambda number: f"{what}_{number:g}", na_action="ignore").fillna("")
