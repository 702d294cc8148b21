"""Small data sets with moods around each view, for the tests of moments."""

from __future__ import annotations

import numpy as np
import pandas as pd

PEOPLE, VIEWS, ITEMS = 24, 30, 20
FEELS = ["Recall", "LikedRecall", "FeelAUC"]


def write_felt(folder, name="felt", consent=None, seed=0, **columns):
    """A data set with moods around each view: bad items leave people worse; columns of ``.inter`` may be replaced."""
    rng = np.random.default_rng(seed)
    user, place = (index.ravel() for index in np.indices((PEOPLE, VIEWS)))
    item = rng.integers(0, ITEMS, len(user))
    before = rng.normal(0, 0.3, len(user)).clip(-1, 1)
    after = (before + np.where(item % 2, -0.2, 0.2) + rng.normal(0, 0.2, len(user))).clip(-1, 1)
    inter = pd.DataFrame(
        {
            "user_id:token": [f"u{number}" for number in user],
            "item_id:token": [f"i{number}" for number in item],
            "timestamp:float": 1_700_000_000 + place * 20_000 + user,
            "rating:float": rng.integers(1, 6, len(user)),
            "valence_before:float": before,
            "valence_after:float": after,
        }
    )
    target = folder / name
    target.mkdir(parents=True)
    inter.assign(**columns).to_csv(target / f"{name}.inter", sep="\t", index=False)
    items = pd.DataFrame({"item_id:token": [f"i{number}" for number in range(ITEMS)]})
    items["emotion:token"] = np.where(np.arange(ITEMS) % 2, "angry", "happy")
    items.to_csv(target / f"{name}.item", sep="\t", index=False)
    if consent is not None:
        people = pd.DataFrame({"user_id:token": [f"u{n}" for n in range(PEOPLE)], "consent:float": consent})
        people.to_csv(target / f"{name}.user", sep="\t", index=False)
    return target


def felt_keys(**more):
    split = {"split": {"RS": [0.6, 0.1, 0.3]}, "group_by": "user", "order": "TO", "mode": "full"}
    return {"eval_args": split, "epochs": 2, "metrics": FEELS, "topk": [3, 7], "valid_metric": "Recall@3", **more} | {
        "state": "ERROR", "show_progress": False, "repeatable": True, "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    }  # fmt: skip
