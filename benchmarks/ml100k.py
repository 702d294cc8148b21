"""RecBole's models on its ml-100k with the settings of its own documentation: published, RecBole alone, with the plug-in.

    python benchmarks/ml100k.py --models=BPR,LightGCN --output=ml100k.csv
    python benchmarks/ml100k.py --models=SASRec --epochs=1
    python benchmarks/ml100k.py --models=GRU4Rec --epochs=8 --people=100 --short_times     # times that 32 bits hold

The settings are those of RecBole's "Quick start" pages (docs/source/get_started/started/general.rst and sequential.rst at commit
7b02be5), which publish figures of BPR and GRU4Rec. LightGCN and SASRec, of which none are published, take the settings of their
kind. Alone means a process that never imports the plug-in; both go through RecBole's own ``run_recbole``, without saving, so the
test is judged by the last epoch in both (RecBole cannot load what it has saved with torch 2.6 and later).

RecBole orders times as 32-bit numbers, which do not hold the seconds of ml-100k; for a sequential model it is printed how many
people are therefore tested on an item that is not their last. ``--short_times`` puts the place of each moment in its stead.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from time import perf_counter
from typing import Any

PEOPLE, CHANGED = 943, "ml-changed"
TRAINING: dict[str, Any] = {
    "embedding_size": 64,
    "train_batch_size": 4096,
    "eval_batch_size": 4096,
    "metrics": ["Recall", "MRR", "NDCG", "Hit", "Precision"],
    "topk": 10,
    "valid_metric": "MRR@10",
    "metric_decimal_place": 4,
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "show_progress": False,
    "state": "ERROR",
}
GENERAL = {
    **TRAINING,
    "load_col": {"inter": ["user_id", "item_id"]},
    "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": False, "candidate_num": 0},
    "eval_args": {"group_by": "user", "order": "RO", "split": {"RS": [0.8, 0.1, 0.1]}, "mode": "full"},
}
SEQUENTIAL = {
    **TRAINING,
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "TIME_FIELD": "timestamp",
    "ITEM_LIST_LENGTH_FIELD": "item_length",
    "LIST_SUFFIX": "_list",
    "MAX_ITEM_LIST_LENGTH": 50,
    "train_neg_sample_args": None,
    "eval_args": {"group_by": "user", "order": "TO", "split": {"LS": "valid_and_test"}, "mode": "full"},
}
SETTINGS = {
    "BPR": GENERAL,
    "LightGCN": GENERAL,
    "GRU4Rec": {**SEQUENTIAL, "hidden_size": 128, "num_layers": 1, "dropout_prob": 0.3, "loss_type": "CE"},
    "SASRec": SEQUENTIAL,
}
PUBLISHED = {
    "BPR": {"recall@10": 0.2523, "mrr@10": 0.4855, "ndcg@10": 0.2920, "hit@10": 0.7953, "precision@10": 0.1962},
    "GRU4Rec": {"recall@10": 0.1103, "mrr@10": 0.0337, "ndcg@10": 0.0513},
}
"""Test results of RecBole's pages, on a GPU, with the torch of 2022."""


def main() -> None:
    """Train each model in two child processes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="BPR,LightGCN,SASRec", help="of BPR, LightGCN, GRU4Rec, SASRec")
    parser.add_argument("--epochs", type=int, default=500, help="RecBole's 500, of which its early stopping needs a part")
    parser.add_argument("--people", type=int, default=PEOPLE, help="so many of the 943 people, the first of the file")
    parser.add_argument("--short_times", action="store_true", help="of each moment its place among all, which 32 bits hold")
    parser.add_argument("--output", type=Path, help="a CSV file for the table")
    parser.add_argument("--alone", choices=["yes", "no"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    sys.argv = sys.argv[:1]
    if given.alone:
        _train(given)
        return
    import pandas as pd

    rows = []
    for model in given.models.split(","):
        rows += [{"model": model, "of": "published", **PUBLISHED[model]}] if model in PUBLISHED and not _is_changed(given) else []
        for alone, words in (("yes", "RecBole alone"), ("no", "with recbole-esmr")):
            rows.append({"model": model, "of": words, **_in_a_child(model, given, alone)})
            print(rows[-1], flush=True)
    frame = pd.DataFrame(rows)
    print(frame.to_string(index=False))
    if given.output:
        frame.to_csv(given.output, index=False)


def _in_a_child(model: str, given: argparse.Namespace, alone: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder) / CHANGED, given.people, given.short_times)
        command = [sys.executable, str(Path(__file__).resolve()), f"--models={model}", f"--epochs={given.epochs}"]
        command += ["--short_times"] if given.short_times else []
        command += [f"--people={given.people}"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, f"--alone={alone}"], cwd=folder, env=environment, check=True, capture_output=True, text=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def _is_changed(given: argparse.Namespace) -> bool:
    return given.short_times or given.people < PEOPLE


def _write(folder: Path, people: int, short_times: bool) -> None:
    """RecBole's own ml-100k, of so many people; says how many of them 32-bit times test on another item than the last."""
    import numpy as np
    import pandas as pd

    (place,) = importlib.util.find_spec("recbole").submodule_search_locations
    rows = pd.read_csv(Path(place) / "dataset_example/ml-100k/ml-100k.inter", sep="\t")
    rows = rows[rows["user_id:token"].isin(rows["user_id:token"].unique()[:people])]
    time = rows["timestamp:float"].rank(method="dense") if short_times else rows["timestamp:float"]
    rows = rows.assign(**{"timestamp:float": time.astype(int)})
    last = rows.assign(narrow=time.astype(np.float32)).sort_values("narrow", kind="stable").groupby("user_id:token").tail(1)
    wrong = last["timestamp:float"] < last["user_id:token"].map(rows.groupby("user_id:token")["timestamp:float"].max())
    print(f"32-bit times test {int(wrong.sum())} of {len(last)} people on an item that is not their last")
    folder.mkdir()
    rows.to_csv(folder / f"{CHANGED}.inter", sep="\t", index=False)


def _train(given: argparse.Namespace) -> None:
    if given.alone == "no":
        import recbole_esmr  # noqa: F401
    from recbole.quick_start import run_recbole

    start, keys = perf_counter(), {**SETTINGS[given.models], "epochs": given.epochs, "data_path": str(Path.cwd())}
    name = CHANGED if _is_changed(given) else "ml-100k"  # under that name RecBole reads its own
    result = run_recbole(given.models, name, config_dict=keys, saved=False)
    print(json.dumps({**result["test_result"], "seconds": round(perf_counter() - start)}))


if __name__ == "__main__":
    main()
