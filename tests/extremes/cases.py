"""Data, settings and files at the end of what can be, and what becomes of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.conftest import QUICK
from tests.extremes.data import Change, both, column, log, one_day_each, renamed, rows, stretched, without

LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
KEYS: dict[str, Any] = {
    "epochs": 1,
    "show_progress": False,
    "state": "WARNING",
    "eval_args": LEAVE_ONE_OUT,
    "repeatable": True,
    "topk": [1],
    "metrics": ["NDCG"],
    "valid_metric": "NDCG@1",
}
ESMR_KEYS = {
    **QUICK,
    **KEYS,
    "encoder_epochs": 1,
    "ranker_rounds": 5,
    "reranker_epochs": 1,
    "reward": "causal",
    "gate": "forecast",
}


@dataclass(frozen=True)
class Extreme:
    """A case.

    Attributes:
        name: what is extreme.
        size: arguments of :func:`log`.
        change: of its frames.
        keys: of RecBole or ESMR.
        says: words of the line with which it is refused, "" where it trains.
        files: changes the folder after the files are written.
        quick: whether the suite runs it.
    """

    name: str
    size: dict[str, int] = field(default_factory=dict)
    change: Change | None = None
    keys: dict[str, Any] = field(default_factory=dict)
    says: str | None = ""
    files: Callable[[Path], object] | None = None
    quick: bool = True

    def write(self, folder: Path) -> Path:
        """Write the data set; returns its folder."""
        frames = log(**self.size)
        frames = (self.change(frames) if self.change else None) or frames
        folder.mkdir(parents=True)
        for suffix, frame in frames.items():
            frame.to_csv(folder / f"{folder.name}.{suffix}", sep="\t", index=False, quoting=3, errors="surrogatepass")
        load = "load_col: {inter: [user_id, item_id, timestamp, day, watch_ratio], item: [item_id]}\n"
        (folder / f"{folder.name}.yaml").write_text(load)
        if self.files:
            self.files(folder)
        return folder

    def words(self, command: str, model: str, folder: Path) -> list[str]:
        """The command that is tried."""
        named = {"compare": "--models", "causal": None}.get(command, "--model")
        keys = (ESMR_KEYS if model == "ESMR" or command == "causal" else KEYS) | self.keys
        output = "comparison" if command == "compare" else "out.json"
        words = [command, f"--dataset={folder}", f"--output={output}", *([f"{named}={model}"] if named else [])]
        return [
            *words,
            *(["--graph_samples=0"] if command == "causal" else []),
            *(f"--{key}={value}" for key, value in keys.items()),
        ]


_OTHER_ITEMS = column("imp", "item_id:token", lambda f: f["item_id:token"] + "x")
_TOO_LARGE = "expected a number of at most 1e+30 in size"
_NARROW = {"encoder_hidden_size": 4, "encoder_heads": 1, "reranker_hidden_size": 4, "retriever_config": {"embedding_size": 1}}
_EVERYBODY = renamed("user_id:token", lambda name: name * 5_000)
_HUGE = [1e308, -1e308, 5e-324, 0.0]
_UNICODE = ["ا\u202eب", "e\u0301", "👩\u200d👩", "a\u200bb", "ß", "ẞ", "猫", "ﬁ", "Ⅷ", "İ", "ı", "१"]


EXTREMES = [
    Extreme("plain"),
    Extreme("one item", {"items": 1, "shown": 1}, says="has 1 item, so there is nothing to choose between"),
    Extreme("two items", {"items": 2, "shown": 2}),
    Extreme("three items", {"items": 3}),
    Extreme("one person", {"users": 1}),
    Extreme("two people", {"users": 2}),
    Extreme("one day", {"days": 1, "shown": 5}, says="no interaction lies on a training day"),
    Extreme("two days", {"days": 2}),
    Extreme("three days", {"days": 3}),
    Extreme("one interaction each", {"days": 1, "shown": 2}, says="nobody has two interactions"),
    Extreme("two interactions each", {"days": 2, "shown": 2}, says="nothing to train on"),
    Extreme("slates of one item", {"shown": 1}),
    Extreme("everybody the same item", change=both(*(column(s, "item_id:token", "i0") for s in ("inter", "imp")))),
    Extreme("all watch ratios 0", change=column("inter", "watch_ratio:float", 0)),
    Extreme("all watch ratios 1", change=column("inter", "watch_ratio:float", 1)),
    Extreme("all watch ratios 5e-324", change=column("inter", "watch_ratio:float", 5e-324)),
    Extreme("all intensities 0", change=column("item", "emotion_intensity:float", 0)),
    Extreme("no intensity known", change=column("item", "emotion_intensity:float", "")),
    Extreme("intensity of one space", change=column("item", "emotion_intensity:float", " ")),
    Extreme("one emotion only", change=both(*(column(s, "emotion:token", "angry") for s in ("item", "day")))),
    Extreme("all neutral", change=both(*(column(s, "emotion:token", "neutral") for s in ("item", "day")))),
    Extreme("items without emotion", change=column("item", "emotion:token", "")),
    Extreme("all reports missing but one", change=column("day", "emotion:token", lambda f: np.where(f.index == 3, "angry", ""))),
    Extreme("no report", change=column("day", "emotion:token", "")),
    Extreme("one report a person", change=column("day", "emotion:token", lambda f: np.where(f["day:float"] == 2, "angry", ""))),
    Extreme("reports on the last day alone", change=rows("day", lambda f: f["day:float"] == 12)),
    Extreme("one row of .day", change=rows("day", lambda f: f.index == 0), keys={"max_unknown_ids": 1}),
    Extreme("every person another single day", change=one_day_each, says="nothing to train on"),
    Extreme("valence -1 always", change=column("day", "valence:float", -1)),
    Extreme("valence -0.0 always", change=column("day", "valence:float", -0.0)),
    Extreme("everybody away every day", change=column("day", "churned:float", 1)),
    Extreme(
        "two days 200,000 days apart", change=stretched(200_000), keys={"max_day_gap": 200_001}, says="more than a hundred years"
    ),
    Extreme(
        "two days 1,900,000 days apart", change=stretched(990_000), keys={"max_day_gap": 10**9}, says="more than a hundred years"
    ),
    Extreme("two days 36,000 days apart", change=stretched(36_000), keys={"max_day_gap": 36_001}, quick=False),
    Extreme("two days 399 days apart", change=stretched(399)),
    Extreme("rows twice", change=lambda f: f | {"inter": pd.concat([f["inter"], f["inter"]])}),
    Extreme("rows a hundred times", change=lambda f: f | {"inter": pd.concat([f["inter"]] * 100)}),
    Extreme("100,000 interactions of one person", {"users": 1, "items": 500, "days": 1_000, "shown": 101}, quick=False),
    Extreme("3,000 items that nobody met", change=lambda f: f | {"item": log(items=3_000)["item"]}, quick=False),
    Extreme("items that only .imp has", change=_OTHER_ITEMS, says="are in no interaction"),
    Extreme("items that only .imp has, allowed", change=_OTHER_ITEMS, keys={"max_unknown_ids": 1}),
    Extreme("ids of 10,000 characters", change=_EVERYBODY),
    Extreme(
        "unicode ids",
        {"users": 12, "items": 12},
        change=both(*(renamed(f"{n}_id:token", lambda name: _UNICODE[int(name[1:])]) for n in ("user", "item"))),
    ),
    Extreme("ids of numbers beyond 64 bits", change=renamed("user_id:token", lambda name: "9" * 30 + name[1:])),
    Extreme("all moments equal", change=column("inter", "timestamp:float", 1_711_238_400)),
    Extreme(
        "moments of 1900", change=column("inter", "timestamp:float", lambda f: f["timestamp:float"] - 4_000_000_000), says=None
    ),
    Extreme("moments of 9999", change=column("inter", "timestamp:float", 253_402_300_799), says=None),
    Extreme("moments of 1e308", change=column("inter", "timestamp:float", 1e308), says=None),
    Extreme("moments of 5e-324", change=column("inter", "timestamp:float", 5e-324)),
    Extreme(
        "days below 0", change=both(*(column(s, "day:float", lambda f: f["day:float"] - 1_000) for s in ("inter", "imp", "day")))
    ),
    Extreme("behaviour of 1e308", change=column("day", "logins:float", lambda f: np.resize(_HUGE, len(f))), says=_TOO_LARGE),
    Extreme("behaviour of 1e30", change=column("day", "logins:float", lambda f: np.resize([1e30, -1e30, 1e-30], len(f)))),
    Extreme("behaviour that never changes", change=column("day", "logins:float", 7)),
    Extreme("behaviour of which nothing is known", change=column("day", "logins:float", "")),
    Extreme("durations of 1e308", change=column("item", "duration:float", 1e308), says=_TOO_LARGE),
    Extreme("durations of 1e30", change=column("item", "duration:float", 1e30)),
    Extreme("durations of 0.001", change=column("item", "duration:float", 0.001)),
    Extreme("propensities of 1e-9", change=column("imp", "propensity:float", 1e-9)),
    Extreme("propensities of 1", change=column("imp", "propensity:float", 1)),
    Extreme("positions of 1e300", change=column("imp", "position:float", 1e300), says=_TOO_LARGE),
    Extreme("positions of 1e30", change=column("imp", "position:float", 1e30)),
    Extreme("all watched, nobody skips", change=column("imp", "label:float", 1)),
    Extreme("impressions and no view of them", change=column("imp", "label:float", 0)),
    Extreme(
        ".day of other people",
        change=column("day", "user_id:token", lambda f: "x" + f["user_id:token"]),
        says="are in no interaction",
    ),
    Extreme(
        ".day of other people, allowed",
        change=column("day", "user_id:token", lambda f: "x" + f["user_id:token"]),
        keys={"max_unknown_ids": 1},
    ),
    Extreme("nobody consents", change=column("user", "consent:float", 0)),
    Extreme("one consents", change=column("user", "consent:float", lambda f: (f.index == 0).astype(int))),
    Extreme("without .imp", change=without("imp")),
    Extreme("without .day", change=without("day")),
    Extreme("without .item", change=without("item")),
    Extreme("only .inter", change=without("day", "imp", "item", "user"), says="ESMR needs emotions"),
    Extreme(
        "300 behaviour columns",
        change=lambda f: f | {"day": f["day"].assign(**{f"b{n}:float": n for n in range(300)})},
        quick=False,
    ),
    Extreme("a category an item", change=column("item", "category:token", lambda f: f["item_id:token"])),
    Extreme("a profile a person", change=column("user", "user_profile:token", lambda f: f["user_id:token"])),
    Extreme("topk larger than the catalogue", keys={"topk": [13], "valid_metric": "NDCG@13"}, says="has 12 items, and topk [13]"),
    Extreme("a batch of 1", {"days": 4}, keys={"train_batch_size": 1, "encoder_batch_users": 1, "reranker_batch_days": 1}),
    Extreme("a batch of 10^9", keys={"train_batch_size": 10**9, "eval_batch_size": 10**9}),
    Extreme("0 epochs", keys={"epochs": 0}, says=None),
    Extreme("width 1", keys={"encoder_hidden_size": 1}, says="expected a number in [4, 1024]"),
    Extreme("the least widths", keys=_NARROW),
    Extreme("one candidate", keys={"candidates": 1}),
    Extreme("10^9 candidates", keys={"candidates": 10**9}, says="expected a number in [1, 1000000]"),
    Extreme("all days for training", keys={"day_split": [1, 0, 0]}),
    Extreme("hardly a day for training", keys={"day_split": [0.001, 0.5, 0.5]}, says="no interaction lies on a training day"),
    Extreme("a split of 1e-300", keys={"day_split": [1e-300, 1e-300, 1e-300]}),
    Extreme(
        "one emotion in the taxonomy",
        change=both(*(column(s, "emotion:token", "sad") for s in ("item", "day"))),
        keys={"emotion_taxonomy": {"sad": [-1, 0]}},
    ),
    Extreme(
        "two emotions of one valence",
        change=both(*(column(s, "emotion:token", lambda f: np.where(f.index % 2, "a", "b")) for s in ("item", "day"))),
        keys={"emotion_taxonomy": {"a": [-0.5, 0], "b": [-0.5, 0]}},
    ),
    Extreme("labels by behaviour, three days", {"users": 1, "days": 3}, keys={"label": "behaviour-clusters"}, says=None),
    Extreme(
        "labels by behaviour that never changes",
        change=column("day", "logins:float", 7),
        keys={"label": "behaviour-clusters"},
        says=None,
    ),
    Extreme("LightGBM with 2 leaves, 1 round, 100 rows", keys={"ranker_leaves": 2, "ranker_rounds": 1, "ranker_rows": 100}),
    Extreme("histories of 1", keys={"MAX_ITEM_LIST_LENGTH": 1}),
    Extreme("histories of 10^5", keys={"MAX_ITEM_LIST_LENGTH": 100_000}, says=None),
    Extreme("the last day alone", keys={"max_days": 1}, says="lies on a training day"),
    Extreme("a forecast of 1,000 days", keys={"forecast_horizon": 1_000}, says=None),
    Extreme("returns of 1,000 days", keys={"reranker_return_days": 1_000}, says=None),
    Extreme("a learning rate of 1e30", keys={"learning_rate": 1e30}, says=None),
    Extreme("seed -1", keys={"seed": -1}, says=None),
    Extreme("seed 2^63", keys={"seed": 2**63}, says=None),
    Extreme("ten placebos", keys={"causal_placebos": 10}),
    Extreme("always re-ranked", keys={"gate": "always", "min_engagement": 0, "min_engagement_slate": 0}),
    Extreme(
        "everybody skips but one person",
        change=column("imp", "label:float", lambda f: ((f["user_id:token"] == "u0") & (f["label:float"] == 1)).astype(int)),
    ),
]
