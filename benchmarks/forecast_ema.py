"""Tomorrow's valence of real people: the encoder against simple forecasters on two experience-sampling studies.

    python benchmarks/forecast_ema.py --data=DIR                  # both studies, split by time and by person, 3 seeds

DIR holds fisher2017_daily.csv and wright2017_daily.csv (a row a person and day: person, day, valence and the day's items),
targets.csv (which rows are to be forecast, the folds, the negative-day thresholds) and baselines.csv (what simple reach on
those very rows). By time, a person's first 70 % of days are for training, the last fifth of those for
validation; by person, four folds train and validate on all their days and the fifth is forecast. Nothing was
tuned on the target rows.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from recbole_esmr.config import Config
from recbole_esmr.data.trace import TEST, TRAIN, VALID, Trace
from recbole_esmr.evaluator.forecast import expected_calibration_error
from recbole_esmr.model.emotion_encoder import EmotionEncoder, EncoderSettings
from recbole_esmr.report.tables import markdown
from recbole_esmr.trainer.emotion import fit_encoder

STUDIES = ("fisher2017", "wright2017")
NOT_FEATURES = {"study", "person", "day", "valence", "couple"}


KEYS = {
    "encoder_epochs": 120,
    "encoder_stopping_step": 12,
    "encoder_learning_rate": 0.002,
    "encoder_weight_decay": 0.05,
    "encoder_batch_users": 32,
}
"""Keys of properties/model/ESMR.yaml, for a few dozen people."""


@dataclass
class Study:
    """A study as a trace, and what is to be forecast: (U, D) masks and numbers."""

    trace: Trace
    target: np.ndarray
    early: np.ndarray
    fold: np.ndarray
    threshold: np.ndarray
    person_mean: np.ndarray


def load(folder: Path, name: str) -> Study:
    daily = pd.read_csv(folder / f"{name}_daily.csv")
    asked = pd.read_csv(folder / "targets.csv").query("study == @name")
    people, first = np.sort(daily["person"].unique()), int(daily["day"].min())
    days = int(daily["day"].max()) - first + 1
    cell = np.searchsorted(people, daily["person"]), daily["day"].to_numpy() - first
    features = [column for column in daily.columns if column not in NOT_FEATURES]
    shape = len(people), days

    def grid(values: np.ndarray, place: tuple, fill: float = np.nan) -> np.ndarray:
        table = np.full(shape, fill)
        table[place] = values
        return table

    at = np.searchsorted(people, asked["person"]), asked["day"].to_numpy() - first
    behaviour = np.stack([grid(daily[column].to_numpy(float), cell) for column in features], axis=-1)
    zeros = np.zeros((*shape, 1))
    trace = Trace(
        first_day=first,
        emotion=np.full(shape, -1),
        valence=grid(daily["valence"].to_numpy(float), cell),
        features=behaviour,
        feature_names=tuple(f"{name} {column}" if column not in ("pa", "na") else column for column in features),
        present=grid(1.0, cell, 0.0) == 1,
        exposure=np.full((*shape, 2), np.nan),
        engagement=np.zeros(shape),
        emotion_hours=zeros,
        category_hours=zeros,
        profile=np.full(len(people), -1),
        profiles=(),
        consent=np.ones(len(people), dtype=bool),
    )
    by_person = asked.groupby("person")[["person_fold", "person_mean70"]].first().reindex(people)
    return Study(
        trace,
        target=grid(asked["is_target"].to_numpy(float), at, 0.0) == 1,
        early=grid(asked["in_first70"].to_numpy(float), at, 0.0) == 1,
        fold=by_person["person_fold"].to_numpy(),
        threshold=grid(asked["negative_threshold"].to_numpy(float), at),
        person_mean=by_person["person_mean70"].to_numpy(),
    )


def roles(study: Study, held_out: int | None, seed: int) -> np.ndarray:
    """(U, D) parts; ``held_out`` is the fold of people to forecast, or None to split by time."""
    known = np.isfinite(study.trace.valence)
    if held_out is None:
        order = (study.early & known).cumsum(axis=1)
        late = order > 0.8 * order[:, -1:]
        return np.where(~study.early, TEST, np.where(late, VALID, TRAIN)).astype(np.int8)
    role = np.full(known.shape, TRAIN, dtype=np.int8)
    others = np.flatnonzero(study.fold != held_out)
    generator = np.random.default_rng(seed)
    role[generator.choice(others, max(1, len(others) // 5), replace=False)] = VALID
    role[study.fold == held_out] = TEST
    return role


def forecast(
    study: Study, companions: list[Study], held_out: int | None, seed: int, settings: EncoderSettings
) -> dict[str, np.ndarray]:
    """Mean, scale and half-width for every day from the day before, (U, D).

    With companions the encoder first learns from them and the study together, then from the study alone.
    """
    torch.manual_seed(seed)
    together = [*companions, study]
    for part in together:
        part.trace.role = roles(part, held_out, seed)
    names = tuple(dict.fromkeys(name for part in together for name in part.trace.feature_names))
    encoder = EmotionEncoder(names, ("none",), (), hidden_size=16, layers=1, heads=2, dropout=0.3)
    generator = torch.Generator().manual_seed(seed)
    if companions:
        fit_encoder(encoder, [part.trace for part in together], settings, generator)
    fit_encoder(encoder, [study.trace], settings, generator)
    state = encoder.encode(study.trace)

    def next_day(value: torch.Tensor) -> np.ndarray:
        return np.concatenate([np.full((len(value), 1), np.nan), value.numpy()[:, :-1]], axis=1)

    encoder.shrink.zero_()
    simple = encoder.encode(study.trace)
    half = next_day(state.scale * encoder.half_width)
    return {"mean": next_day(state.mean), "scale": next_day(state.scale), "half": half, "simple": next_day(simple.mean)}


def score(study: Study, said: dict[str, np.ndarray]) -> dict[str, float]:
    """On the target rows: error, R² over the person's mean of the first 70 %, coverage, and the negative-day forecast."""
    rows = study.target & ~study.early
    truth, mean, scale = study.trace.valence[rows], said["mean"][rows], said["scale"][rows]
    usual = np.broadcast_to(study.person_mean[:, None], rows.shape)[rows]
    threshold = study.threshold[rows]
    low = (truth < threshold).astype(int)
    chance = norm.cdf((threshold - mean) / scale)
    variance = ((truth - usual) ** 2).sum()
    return {
        "rows": len(truth),
        "mae": np.abs(truth - mean).mean(),
        "r2": 1 - ((truth - mean) ** 2).sum() / variance,
        "mae of its level tracker": np.abs(truth - said["simple"][rows]).mean(),
        "coverage80": (np.abs(truth - mean) <= said["half"][rows]).mean(),
        "auroc": roc_auc_score(low, chance),
        "brier": ((chance - low) ** 2).mean(),
        "ece": expected_calibration_error(chance, low),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="train on each study alone, without pre-training on both")
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args()
    settings = Config("ESMR", "esmr-mini", config_dict=KEYS, arguments=[]).esmr.encoder
    baselines = pd.read_csv(options.data / "baselines.csv").query("task == 'next_day'")
    table = []
    for name in STUDIES:
        for split in ("time", "person"):
            runs = []
            for seed in range(options.seeds):
                studies = {each: load(options.data, each) for each in STUDIES}
                study = studies.pop(name)
                others = [] if options.alone else list(studies.values())
                if split == "time":
                    said = forecast(study, others, None, seed, settings)
                else:
                    said = {}
                    for fold in np.unique(study.fold[np.isfinite(study.fold)]):
                        part = forecast(study, others, fold, seed, settings)
                        mine = (study.fold == fold)[:, None]
                        said = {key: np.where(mine, value, said.get(key, np.nan)) for key, value in part.items()}
                runs.append(score(study, said))
            simple = baselines[(baselines.study == name) & (baselines.split == split)].set_index("model")
            hist = simple.loc["hist4_ols"]
            row = {"study": name, "split": split, **pd.DataFrame(runs).mean().to_dict()}
            spread = pd.DataFrame(runs)["mae"]
            row["mae, smallest to largest"] = f"{spread.min():.4f} to {spread.max():.4f}"
            row |= {"hist4_ols mae": hist.mae, "hist4_ols r2": hist.r2_vs_personmean, "hist4_ols brier": hist.brier}
            row["mae over hist4_ols, %"] = 100 * (row["mae"] / hist.mae - 1)
            table.append(row)
            print(markdown(pd.DataFrame(table[-1:])), flush=True)
    print(markdown(pd.DataFrame(table)))


if __name__ == "__main__":
    main()
