"""Which of RecBole's models run in this environment, in RecBole alone and with the plug-in.

    python benchmarks/every_model.py --output=models.csv

Each model is trained for two epochs on a tiny data set with every file that a model reads, saved, loaded and judged again. Three
outcomes: ``same``, the loaded model is judged as the trained one; ``trained``, it is trained and judged but not loaded; otherwise
what it stumbled over. In RecBole alone (a process that never imports the plug-in) models are given the very same keys, and where
that fails what RecBole asks its users for: no sampled negatives, or a threshold that makes labels.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.models.cases import NAME, keys_of, write  # noqa: E402

ASKED = {
    "{}": "",
    '{"train_neg_sample_args": null}': " (with train_neg_sample_args: None)",
    '{"threshold": {"rating": 3}}': " (with threshold)",
}
"""What a model is given beside the keys of ``tests/models/cases.py``, one after another until it runs, and how that is said."""


def tried(names: list[str], folder: Path, alone: bool) -> dict[str, str]:
    """What became of each model, in this process."""
    if not alone:
        import recbole_esmr  # noqa: F401
    try:
        from recbole.quick_start import load_data_and_model, run_recbole
    except Exception as error:
        return dict.fromkeys(names, _said(error))
    return {name: _tried(name, folder, run_recbole, load_data_and_model) for name in names}


def _tried(name: str, folder: Path, run_recbole: Any, load_data_and_model: Any) -> str:
    keys = {**keys_of(name, folder), "checkpoint_dir": str(folder / "saved" / name)}
    stumbled = []
    for asked, words in ASKED.items():
        given = {**keys, **json.loads(asked)}
        try:
            run_recbole(name, NAME, config_dict=dict(given), saved=False)
        except Exception as error:
            stumbled.append(_said(error))
            continue
        return f"{_loaded(name, given, load_data_and_model)}{words}"
    return stumbled[0]


def _loaded(name: str, keys: dict[str, Any], load_data_and_model: Any) -> str:
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    try:
        config = Config(name, NAME, config_dict=dict(keys))
        init_seed(config["seed"], config["reproducibility"])
        train, valid, test = data_preparation(config, create_dataset(config))
        model = get_model(name)(config, train._dataset).to(config["device"])
        trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
        trainer.fit(train, valid, saved=True)
        init_seed(3, True)  # some models draw while they are judged
        first = trainer.evaluate(test, load_best_model=True)
        config, model, _, _, _, test = load_data_and_model(str(trainer.saved_model_file))
        init_seed(3, True)
        again = get_trainer(config["MODEL_TYPE"], name)(config, model).evaluate(test, load_best_model=False)
    except Exception as error:
        return f"trained; not loaded: {_said(error)}"
    return "same" if first == again else "trained; loaded, it is judged otherwise"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def main() -> None:
    """Try every model in two child processes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="a CSV file for the table")
    parser.add_argument("--alone", choices=["yes", "no"], help=argparse.SUPPRESS)
    parser.add_argument("--names", help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    sys.argv = sys.argv[:1]
    if given.alone:
        found = tried(given.names.split(","), Path.cwd(), given.alone == "yes")
        Path(f"found-{given.alone}.json").write_text(json.dumps(found))
        return
    import pandas as pd

    from recbole_esmr.recbole_models import model_names

    names, table = model_names(), {}
    for alone in ("yes", "no"):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            command = [sys.executable, str(Path(__file__).resolve()), f"--alone={alone}", f"--names={','.join(names)}"]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            column = {"yes": "RecBole alone", "no": "with recbole-esmr"}[alone]
            table[column] = json.loads((Path(folder) / f"found-{alone}.json").read_text())
    frame = pd.DataFrame(table).rename_axis("model")
    print(frame.apply(lambda said: said.str.slice(stop=70)).to_string())
    for column, said in frame.items():
        trained, loaded = said.str.startswith(("same", "trained")), said.str.startswith("same")
        print(f"{column}: {int(trained.sum())} of {len(said)} are trained and judged, {int(loaded.sum())} loaded again;", end=" ")
        print(f"as they come {int((trained & ~said.str.contains('(with', regex=False)).sum())}")
    if given.output:
        frame.to_csv(given.output)


if __name__ == "__main__":
    main()
