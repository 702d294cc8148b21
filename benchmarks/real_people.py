"""Real people: what re-ranking by the effects of the moment would have done, judged on songs that were drawn at random.

    python benchmarks/real_people.py --data=../shared/data

SiTunes: 30 people said how they felt before and after 1,406 songs, of which 422 were drawn at random. The policy that is judged
takes of m songs that are drawn at random the one of the highest effect on valence, τ · (valence, energy). On the random songs the
chance that it takes a song, relative to the draw, is known exactly:

    w(s) = m F(s)^(m-1), with F the share of the draws of the same stage of the study whose effect is at most s (ties shared)

so the mean of w (y - y0) is its value over that of the draw, unbiased, whatever the effects are. y is what is left of the valence
after, within persons, after the valence before; of the rating within persons. τ comes from the songs that recommenders chose, or
from the random songs of the other people (ten parts of people). Intervals are clustered by person.

Beside it the people of the diaries and those of the world `reference`: between-person SD of the mean valence (home), SD within
persons, share of negative days.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from recbole.data import create_dataset
from scipy.stats import t as student

from recbole_esmr.causal.linear import fit_linear, within
from recbole_esmr.config import Config
from recbole_esmr.data.importers import import_data
from recbole_esmr.report.tables import markdown
from recbole_esmr.simulation import load_world, simulate

TRAITS, MOODS = ["song_valence", "energy"], ["valence_before", "arousal_before"]
FOLDS = 10


def listenings(data: Path) -> pd.DataFrame:
    """The rows of SiTunes with the song's audio beside them."""
    with tempfile.TemporaryDirectory() as folder:
        import_data("situnes", data / "situnes", Path(folder) / "songs")
        inter, item = (pd.read_csv(Path(folder) / f"songs/songs.{suffix}", sep="\t") for suffix in ("inter", "item"))
    rows = inter.merge(item, on="item_id:token", suffixes=("", " of the song"))
    rows.columns = [name.partition(":")[0] if " of" not in name else name for name in rows]
    return rows[rows["valence_before"].notna()].reset_index(drop=True)


def effects(rows: pd.DataFrame) -> np.ndarray:
    """Effects of the traits on the valence after, within persons; (2,)."""
    return fit_linear(
        rows["valence_after"].to_numpy(), rows[TRAITS].to_numpy(), rows[MOODS].to_numpy(), rows["user_id"].to_numpy(),
        within_person=True,
    ).estimate  # fmt: skip


def weights(score: np.ndarray, stage: np.ndarray, draws: int) -> np.ndarray:
    """Chance that the best of so many draws is the row, relative to one draw; (N,), of mean 1 in each stage."""
    found = np.empty(len(score))
    for one in np.unique(stage):
        mine = stage == one
        value = np.sort(score[mine])
        above, below = (np.searchsorted(value, score[mine], side) / mine.sum() for side in ("right", "left"))
        found[mine] = (above**draws - below**draws) / (above - below)
    return found


def gain(weight: np.ndarray, outcome: np.ndarray, person: np.ndarray) -> tuple[float, float, float]:
    """Mean of the outcome under the policy less that under the draw, with its interval clustered by person."""
    each = (weight - 1) * (outcome - outcome.mean())
    value = each.mean()
    sums = np.bincount(np.unique(person, return_inverse=True)[1], weights=each - value)
    people = len(sums)
    reach = student.ppf(0.975, people - 1) * np.sqrt((sums**2).sum() * people / (people - 1)) / len(each)
    return value, value - reach, value + reach


def judged(rows: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Value of the policy for several m, by where its effects come from."""
    random, chosen = rows[rows["random"] == 1].reset_index(drop=True), rows[rows["random"] == 0]
    person = random["user_id"].to_numpy()
    people = np.random.default_rng(seed).permutation(np.unique(person))
    scores = {"songs that recommenders chose": random[TRAITS].to_numpy() @ effects(chosen)}
    scores["random songs of other people"] = np.empty(len(random))
    for fold in np.array_split(people, FOLDS):
        mine = np.isin(person, fold)
        scores["random songs of other people"][mine] = random.loc[mine, TRAITS].to_numpy() @ effects(random[~mine])
    before = within(random[["valence_before"]].to_numpy(), person)
    after, rating = within(random[["valence_after", "rating"]].to_numpy(), person).T
    mood = after - before[:, 0] * (before[:, 0] @ after) / (before[:, 0] @ before[:, 0])
    found = []
    for source, score in scores.items():
        for draws in (2, 5, 10):
            weight = weights(score, random["stage"].to_numpy(), draws)
            told = {name: gain(weight, value, person) for name, value in (("valence after", mood), ("rating", rating))}
            found.append(
                {"effects from": source, "best of": draws}
                | {name: f"{value:+.3f} [{low:+.3f}, {high:+.3f}]" for name, (value, low, high) in told.items()}
                | {"songs that count (effective)": f"{weight.sum() ** 2 / (weight**2).sum():.0f} of {len(weight)}"}
            )
    return pd.DataFrame(found)


def people_of(diary: pd.DataFrame) -> dict[str, object]:
    """Home, spread and negative days of people's daily valences (columns person and valence)."""
    by_person = diary.groupby("person")["valence"]
    home = by_person.mean()[by_person.count() >= 5]
    kept = diary[diary["person"].isin(home.index)]
    inside = kept["valence"] - kept.groupby("person")["valence"].transform("mean")
    free = len(kept) - len(home)
    return {
        "people": len(home), "home, mean": home.mean(), "home, SD": home.std(),
        "SD within persons": np.sqrt((inside**2).sum() / free), "negative days": (kept["valence"] < 0).mean(),
    }  # fmt: skip


def compared(data: Path) -> pd.DataFrame:
    """The diary of Open Play beside the reports of the world `reference`."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        import_data("open-play", data / "open-play", Path(folder) / "played")
        day = pd.read_csv(Path(folder) / "played/played.day", sep="\t")
        day = day.rename(columns={"user_id:token": "person", "valence:float": "valence"})
        rows.append({"whose": "Open Play"} | people_of(day))
        simulate(load_world("reference"), 1000, 300, 30, 0, Path(folder) / "world", show_progress=False)
        keys = {"state": "CRITICAL", "show_progress": False}
        trace = create_dataset(Config("ESMR", str(Path(folder) / "world"), config_dict=keys, arguments=[])).trace
        person, column = np.nonzero(np.isfinite(trace.valence))
        world = pd.DataFrame({"person": person, "valence": trace.valence[person, column]})
        rows.append({"whose": "world reference, reports"} | people_of(world))
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds situnes and open-play")
    options = parser.parse_args()
    print(markdown(judged(listenings(options.data))))
    print(markdown(compared(options.data)))


if __name__ == "__main__":
    main()
