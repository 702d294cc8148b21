"""SiTunes (Grigorev et al. 2024): people's own valence and arousal before and after songs, some of which were drawn at random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.data.importers.imported import Imported, Origin
from recbole_esmr.data.importers.numeric import Cells, numbers
from recbole_esmr.data.importers.plausible import repeated_lines
from recbole_esmr.data.importers.table import Table, read_table
from recbole_esmr.protocol import BY_TIME, MOMENT_METRICS

STAGES = {1: "Stage1.csv", 2: "Stage2.csv", 3: "Stage3.csv"}
SONGS = "music_info.csv"
MOODS = {
    "valence_before": "emo_pre_valence",
    "valence_after": "emo_post_valence",
    "arousal_before": "emo_pre_arousal",
    "arousal_after": "emo_post_arousal",
}
LAB = {"valence_after": "emo_valence", "arousal_after": "emo_arousal"}
"""The first stage asked after the song alone."""

DRAWN = {"Rand": 1, "Random": 1, "GCN": 0, "WD": 0, "Situ-MT": 0, "Situ-MT_c": 0}
"""How a song was recommended, in the stages that say so: 1 at random."""

FEATURES = ("energy", "danceability", "loudness", "tempo", "acousticness", "instrumentalness", "speechiness", "popularity")
UNIT = ("energy", "danceability", "acousticness", "instrumentalness", "speechiness")
"""Those that lie in [0, 1]."""


def read_situnes(path: Path, _: Path | None = None) -> Imported:
    """Read the folder that holds ``Stage1.csv``, ``Stage2.csv``, ``Stage3.csv`` and ``music_info.csv``.

    A listening is a moment: how the person felt before and after the song (−1 to 1; in the first stage after it alone), how
    they rated it (1 to 5), and whether it was drawn at random (empty where the study does not say). A song's ``valence`` is
    that of its audio, 0 to 1 in the file, brought to −1 to 1; ``song_valence`` keeps it as it is. Days are dates in China,
    where the study was made.

    Raises:
        DataError: a file or column is missing, or a cell is no number in its range.
    """
    listened = [(stage, read_table([path / name])) for stage, name in STAGES.items()]
    rows = pd.concat([_listenings(stage, table) for stage, table in listened], ignore_index=True)
    songs = read_table([path / SONGS])
    frames = {"inter": rows, "item": _songs(songs)}
    names = [str(name).partition(":")[0] for name in rows]
    settings: dict[str, Any] = {
        "timezone": "Asia/Shanghai",
        "emotion_taxonomy": "valence-arousal",
        "effect_features": ["song_valence", "energy"],
        "liked_rating": 4,
        "load_col": {"inter": [name for name in names if name != "stage"]},
        **BY_TIME,
        "eval_args": {**BY_TIME["eval_args"], "split": {"RS": [0.7, 0.1, 0.2]}},
        "metrics": [*BY_TIME["metrics"], *MOMENT_METRICS],
    }
    drawn = rows["random:float"]
    notes = [
        f"{len(rows)} listenings of {rows['user_id:token'].nunique()} people; {int((drawn == 1).sum())} songs were drawn at "
        f"random, {int((drawn == 0).sum())} by a recommender, of {int(drawn.isna().sum())} the study does not say"
    ]
    warnings = [line for _, table in listened for line in repeated_lines(table)]
    return Imported(frames, settings, {"item": Origin(songs, {"item_id": "item_id"})}, notes, warnings)


def _listenings(stage: int, table: Table) -> pd.DataFrame:
    found: dict[str, pd.Series] = {name: table.column(name) for name in ("user_id", "item_id")}
    found["timestamp"] = _number(table, "timestamp", 1e8, 1e10)
    found["rating"] = _number(table, "rating", 1, 5)
    for name, column in (LAB if stage == 1 else MOODS).items():
        found[name] = _number(table, column, -1, 1)
    nothing = pd.Series(np.nan, index=table.cells.index)
    found |= {name: nothing for name in MOODS if name not in found}
    found["random"] = nothing if stage == 1 else _drawn(table)
    found["stage"] = nothing.fillna(stage)
    order = ("user_id", "item_id", "timestamp", "rating", *MOODS, "random", "stage")
    return pd.DataFrame({f"{name}:{'token' if name.endswith('_id') else 'float'}": found[name] for name in order})


def _drawn(table: Table) -> pd.Series:
    said = table.column("rec_type").str.strip()
    unknown = ~said.isin([*DRAWN, ""])
    if unknown.any():
        table.refuse(unknown, "rec_type", f"Expected {', '.join(DRAWN)}, or an empty cell.")
    return said.map(DRAWN).astype(float)


def _songs(table: Table) -> pd.DataFrame:
    valence = _number(table, "valence", 0, 1)
    frame = pd.DataFrame({"item_id:token": table.column("item_id"), "valence:float": (2 * valence - 1).round(6)})
    frame["category:token"] = table.column("general_genre")
    frame["duration:float"] = _number(table, "duration", 1, None) / 1000
    frame["song_valence:float"] = valence
    for name in FEATURES:
        frame[f"{name}:float"] = _number(table, name, *((0, 1) if name in UNIT else (None, None)))
    return frame


def _number(table: Table, column: str, low: float | None, high: float | None) -> pd.Series:
    cells = Cells(table, column, table.column(column), mapped=False)
    found = numbers(cells, ".")[0]
    outside = (found < (-np.inf if low is None else low)) | (found > (np.inf if high is None else high))
    bounds = f"of at least {low:g}" if high is None and low is not None else f"from {low} to {high}"
    cells.refuse(outside, f"Expected a number {bounds}.")
    return found
