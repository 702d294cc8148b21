"""Items that nobody has watched yet: what embeddings of their texts, or of their sound, are worth.

    python benchmarks/cold_items.py --seeds=3                          # a world that writes captions
    python benchmarks/cold_items.py --data=../shared/data --seeds=3    # and SiTunes, by audio features

A quarter of the items (at random) is taken out of all training and validation rows and of what was shown on those days. On the
first test morning each person gets a ranking of these items alone; NDCG@10 counts which of them the person goes on to watch on
the test days. In the world people's tastes are for emotions and categories; `.item` holds the length of an item and its caption,
nothing else, so what an item is stands in its text only. The embedding is TF-IDF of the captions (scikit-learn); of songs their
nine audio features. Intervals are over people, those of each seed together.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from recbole_esmr.data.importers import import_data
from recbole_esmr.evaluator.full_sort import full_sort_scores
from recbole_esmr.quick_start import load_data_and_model, run_recbole
from recbole_esmr.report.tables import markdown
from recbole_esmr.simulation import load_world, simulate
from recbole_esmr.trainer.engagement import ndcg

AUDIO = (
    "song_valence",
    "energy",
    "danceability",
    "loudness",
    "tempo",
    "acousticness",
    "instrumentalness",
    "speechiness",
    "popularity",
)
OF_ESMR = {"gate": "never", "effect_features": ["emotion"]}
KEYS = {"state": "CRITICAL", "show_progress": False, "epochs": 20, "metrics": ["Recall", "NDCG"]}


def captions(folder: Path, seed: int) -> np.ndarray:
    """Write the world's log of 300 people and 400 items with captions; the vectors of its items."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    simulate(load_world("reference"), 300, 400, 30, seed, folder, show_progress=False, with_captions=True)
    path = folder / f"{folder.name}.item"
    item = pd.read_csv(path, sep="\t")
    item[["item_id:token", "duration:float", "caption:token"]].to_csv(path, sep="\t", index=False)
    return TfidfVectorizer().fit_transform(item["caption:token"]).toarray()


def songs(folder: Path, data: Path) -> np.ndarray:
    """Write SiTunes; the audio features of its songs. A person's listenings in order are their days: the study has few."""
    import_data("situnes", data / "situnes", folder)
    path = folder / f"{folder.name}.item"
    item = pd.read_csv(path, sep="\t")
    values = item[[f"{name}:float" for name in AUDIO]]
    item[["item_id:token", "duration:float", "valence:float"]].to_csv(path, sep="\t", index=False)
    inter = pd.read_csv(folder / f"{folder.name}.inter", sep="\t").sort_values(
        ["user_id:token", "timestamp:float"], kind="stable"
    )
    inter["day:float"] = inter.groupby("user_id:token").cumcount() + 1
    inter[["user_id:token", "item_id:token", "timestamp:float", "day:float", "valence_after:float"]].to_csv(
        folder / f"{folder.name}.inter", sep="\t", index=False
    )
    filled = values.fillna(values.mean())
    return ((filled - filled.mean()) / filled.std()).to_numpy()


def held_out(folder: Path, seed: int) -> list[str]:
    """Split the rows by each person's days (80, 10 and 10 %), and take a quarter of the items out of the first two parts."""
    name = folder.name
    inter = pd.read_csv(folder / f"{name}.inter", sep="\t", dtype={"item_id:token": str, "user_id:token": str})
    item = pd.read_csv(folder / f"{name}.item", sep="\t", dtype={"item_id:token": str})["item_id:token"].to_numpy()
    cold = np.random.default_rng([seed, 5]).choice(item, len(item) // 4, replace=False)
    part = inter.groupby("user_id:token")["day:float"].transform(lambda day: np.searchsorted([0.8, 0.9], day.rank(pct=True)))
    kept = ~inter["item_id:token"].isin(cold) | (part == 2)
    inter, part = inter[kept], part[kept]
    for number, suffix in enumerate(("train", "valid", "test")):
        inter[part == number].to_csv(folder / f"{name}.{suffix}.inter", sep="\t", index=False)
    inter.to_csv(folder / f"{name}.inter", sep="\t", index=False)
    shown = folder / f"{name}.imp"
    if shown.is_file():
        rows = pd.read_csv(shown, sep="\t", dtype={"item_id:token": str, "user_id:token": str})
        first = inter[part == 2].groupby("user_id:token")["day:float"].min()
        early = rows["day:float"] < rows["user_id:token"].map(first).fillna(np.inf)
        rows[~(early & rows["item_id:token"].isin(cold))].to_csv(shown, sep="\t", index=False)
    return cold.tolist()


def quality(model: str, folder: Path, cold: list[str], seed: int, **keys: object) -> np.ndarray:
    """NDCG@10 over the held-out items of each person who watches one on the test days, (P,)."""
    own = OF_ESMR if model == "ESMR" else {}
    asked = {**KEYS, **own, "seed": seed, "benchmark_filename": ["train", "valid", "test"], **keys}
    result = run_recbole(model, str(folder), config_dict=asked, arguments=[])
    _, trained, data, _, _, test = load_data_and_model(result["checkpoint"])
    rows = test.dataset.inter_feat if hasattr(test, "dataset") else test._dataset.inter_feat
    wanted = torch.zeros(data.item_num, dtype=torch.bool)
    known = data.field2token_id[data.iid_field]  # RecBole knows those that somebody watched, unless .item is loaded
    wanted[[known[name] for name in cold if name in known]] = True
    user, item = rows[data.uid_field].numpy(), rows[data.iid_field].numpy()
    mine = wanted[torch.from_numpy(item)].numpy()
    people = np.unique(user[mine])
    if model == "ESMR":
        day = data.day_index(rows[data.day_field].numpy())
        first = pd.Series(day).groupby(user).min().reindex(people).to_numpy()
        score = trained.score(people, first, wanted.numpy()).cpu().numpy()
    else:
        score = full_sort_scores(people, trained, test).cpu().numpy()
    label = np.zeros((len(people), data.item_num), dtype=bool)
    label[np.searchsorted(people, user[mine]), item[mine]] = True
    columns = np.flatnonzero(wanted.numpy())
    return ndcg(score[:, columns], label[:, columns])


def table(make: object, seeds: range, names: list[tuple[str, str, dict[str, object]]]) -> pd.DataFrame:
    found: dict[str, list[np.ndarray]] = {}
    for seed in seeds:
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "data"
            vectors = make(folder, seed)  # type: ignore[operator]
            cold = held_out(folder, seed)
            np.save(folder / "items.npy", vectors)
            for title, model, keys in names:
                found.setdefault(title, []).append(quality(model, folder, cold, seed, checkpoint_dir=f"{root}/saved", **keys))
    rows = []
    for title, each in found.items():
        every = np.concatenate(each)
        reach = 1.96 * every.std(ddof=1) / np.sqrt(len(every))
        rows.append({"model": title, "NDCG@10": f"{every.mean():.3f} [{every.mean() - reach:.3f}, {every.mean() + reach:.3f}]"})
        rows[-1]["people"] = len(every)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder that holds situnes")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    vectors = {"item_embeddings": {"content": "items.npy"}}
    names = [("Pop", "Pop", {}), ("BPR", "BPR", {}), ("ESMR, without", "ESMR", {}), ("ESMR, with embeddings", "ESMR", vectors)]
    seeds = range(1, options.seeds + 1)
    print(markdown(table(captions, seeds, names)), flush=True)
    if options.data:
        print(markdown(table(lambda folder, _: songs(folder, options.data), seeds, names)))


if __name__ == "__main__":
    main()
