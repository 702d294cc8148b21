"""Lists over all items with the gate closed: ESMR beside its retriever alone and LightGBM alone, in RecBole's own evaluation.

python benchmarks/static_lists.py --dataset=esmr-mini --seeds=3
python benchmarks/static_lists.py --dataset=datasets/esmr-release --seeds=2
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace

import pandas as pd
from tqdm import tqdm

from recbole_esmr import load_data_and_model, run_recbole
from recbole_esmr.trainer.checkpointing import get_trainer

ALONE = {"retriever": (0.0, 0.0, 1.0), "LightGBM": (0.0, 1.0, 0.0)}
"""Intercept, weight of LightGBM and of the retriever."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="esmr-mini", help="name or folder (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings (default: %(default)s)")
    options = parser.parse_args()
    rows = []
    for seed in tqdm(range(1, options.seeds + 1), desc="Seeds"):
        with tempfile.TemporaryDirectory() as folder:
            keys = {"seed": seed, "gate": "never", "checkpoint_dir": folder, "show_progress": False, "state": "ERROR"}
            path = run_recbole("ESMR", options.dataset, config_dict=keys, arguments=[])["checkpoint"]
            config, model, _, _, _, test_data = load_data_and_model(path)
        for name, stack in ({"ESMR": model.learned.stack} | ALONE).items():
            model.learned = replace(model.learned, stack=stack)
            trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
            found = trainer.evaluate(test_data, load_best_model=False, show_progress=False)
            rows.append({"list": name, "seed": seed, **{key: found[key] for key in ("recall@10", "ndcg@10")}})
    table = pd.DataFrame(rows).pivot_table(["recall@10", "ndcg@10"], "list", "seed", margins=True, margins_name="mean")
    print(table.drop(index="mean").to_string(float_format="%.4f"))


if __name__ == "__main__":
    main()
