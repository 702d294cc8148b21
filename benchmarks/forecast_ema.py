"""Tomorrow's valence of real people: the encoder against simple forecasters, on any study of daily emotion.

    python benchmarks/forecast_ema.py --data=DIR                                   # diaries.yaml, by time and by person, 3 seeds
    python benchmarks/forecast_ema.py --data=DIR --studies=mine.yaml --only=mine   # your own (the yaml says how)

What is forecast: each report of the last 30 % of a person's, where there is one of the day before. By time, the first 70 % are
for training, the last fifth of those for validation; by person, four folds train and validate on all their days and the fifth is
forecast. A day is negative where it lies half of the person's own standard deviation below their mean (of the first 70 %). The
baselines are fitted on the same reports that the encoder may learn from. Nothing was tuned on the target rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from recbole_esmr.config import Config
from recbole_esmr.data.trace import TEST, TRAIN, VALID, Trace
from recbole_esmr.data.user_days import shifted
from recbole_esmr.evaluator.forecast import CHEAP, COSTLY, Task
from recbole_esmr.evaluator.tracker import level_tracker
from recbole_esmr.model.emotion_encoder import EmotionEncoder, EncoderSettings
from recbole_esmr.model.level import NORMAL_80
from recbole_esmr.report.tables import markdown
from recbole_esmr.trainer.emotion import fit_encoder

KEYS = {"encoder_epochs": 120, "encoder_stopping_step": 12, "encoder_weight_decay": 0.05, "encoder_batch_users": 32}
"""Keys of properties/model/ESMR.yaml, for a few dozen people."""

BASELINES = {"level tracker": CHEAP["hist_ols"], "exponential mean": COSTLY["ewma"], "LightGBM on lags": CHEAP["lightgbm"]}
EARLY, FOLDS = 0.7, 5
Said = tuple[np.ndarray, np.ndarray]  # mean and scale of each day, (U, D), as foretold the evening before


@dataclass
class Study:
    """A study as a trace; (U, D) which reports are early, and which are to be forecast; (U,) each person's fold and threshold."""

    trace: Trace
    early: np.ndarray
    target: np.ndarray
    fold: np.ndarray
    threshold: np.ndarray


def load(folder: Path, entry: dict) -> Study:
    """A study of ``diaries.yaml``; people with fewer than five reports are left out."""
    daily = pd.read_csv(folder / entry["file"], low_memory=False)
    day = daily[entry["day"]]
    if not pd.api.types.is_numeric_dtype(day):
        day = pd.to_datetime(day, utc=True).dt.normalize().sub(pd.Timestamp(0, tz="UTC")).dt.days
    daily = daily.assign(day_number=day).dropna(subset=[entry["valence"]])
    named = [entry["person"], entry["day"], "day_number", *entry.get("leave_out", ())]
    numbers = daily.select_dtypes("number").drop(columns=named, errors="ignore")
    daily = numbers.groupby([daily[entry["person"]], daily["day_number"]]).mean().reset_index()
    daily["day_number"] -= daily.groupby(entry["person"])["day_number"].transform("min")
    daily = daily[daily.groupby(entry["person"])["day_number"].transform("size") >= FOLDS]
    people, row = np.unique(daily[entry["person"]], return_inverse=True)
    shape = len(people), int(daily["day_number"].max()) + 1
    cell = row, daily["day_number"].to_numpy()

    def grid(values: pd.Series) -> np.ndarray:
        table = np.full(shape, np.nan)
        table[cell] = values
        return table

    low, high = entry["range"]
    valence = 2 * (grid(daily[entry["valence"]]) - low) / (high - low) - 1
    known = np.isfinite(valence)
    place = known.cumsum(axis=1)
    early = known & (place <= np.floor(EARLY * place[:, -1:]))
    own = np.where(early, valence, np.nan)
    features = [name for name in numbers.columns if name != entry["valence"]]
    trace = Trace(
        first_day=0,
        emotion=np.full(shape, -1),
        valence=valence,
        features=np.stack([grid(daily[name]) for name in features], axis=-1),
        feature_names=tuple(features),
        present=known,
        exposure=np.full((*shape, 2), np.nan),
        engagement=np.zeros(shape),
        emotion_hours=np.zeros((*shape, 1)),
        category_hours=np.zeros((*shape, 1)),
        profile=np.full(len(people), -1),
        profiles=(),
        consent=np.ones(len(people), dtype=bool),
    )
    return Study(
        trace,
        early=early,
        target=known & shifted(known, 1, False),
        fold=np.random.default_rng(0).permutation(len(people)) % FOLDS,
        threshold=np.nanmean(own, axis=1) - 0.5 * np.nanstd(own, axis=1),
    )


def parts(study: Study, split: str, seed: int) -> Iterator[np.ndarray]:
    """(U, D) the part of each day; one table by time, one a fold by person."""
    known = np.isfinite(study.trace.valence)
    if split == "time":
        place = study.early.cumsum(axis=1)
        yield np.where(study.early, np.where(place > 0.8 * place[:, -1:], VALID, TRAIN), TEST).astype(np.int8)
        return
    for fold in range(FOLDS):
        role = np.full(known.shape, TRAIN, dtype=np.int8)
        others = np.flatnonzero(study.fold != fold)
        role[np.random.default_rng(seed).choice(others, max(1, len(others) // 5), replace=False)] = VALID
        role[study.fold == fold] = TEST
        yield role


def encoder_says(trace: Trace, seed: int, settings: EncoderSettings) -> tuple[Said, float]:
    """The encoder's forecast, and in which share it believes the network."""
    torch.manual_seed(seed)
    encoder = EmotionEncoder(trace.feature_names, ("none",), (), hidden_size=16, layers=1, heads=2, dropout=0.3)
    fit_encoder(encoder, [trace], settings, torch.Generator().manual_seed(seed))
    state = encoder.encode(trace)
    return (shifted(state.mean.numpy(), 1), shifted(state.scale.numpy(), 1)), float(encoder.shrink)


def baselines(study: Study, seed: int) -> dict[str, Said]:
    """The package's own: the level tracker by least squares, the best exponential mean, LightGBM on the tracker and two lags."""
    trace, shape = study.trace, study.target.shape
    tracker = shifted(level_tracker(trace.valence), 1)
    lags = np.concatenate([tracker, np.stack([shifted(trace.valence, lag) for lag in (1, 2)], axis=-1)], axis=-1)

    def task(where: np.ndarray) -> Task:
        user, day = np.nonzero(where)
        return Task(user, day, known=lags[where], last=np.full(len(user), -1), tracker=tracker[where], labelled=False)

    learned, asked = task(study.target & (trace.role <= VALID)), task(study.target)
    said = {}
    for name, baseline in BASELINES.items():
        found = baseline(trace, learned, asked, "forecast", seed)
        mean, scale = np.full(shape, np.nan), np.full(shape, np.nan)
        mean[study.target], scale[study.target] = found.mean, found.scale
        said[name] = mean, scale
    return said


def score(study: Study, said: Said) -> dict[str, float]:
    """On the target rows: error, coverage of the 80 % interval (also by tercile of the person's own SD), and the negative day."""
    rows = study.target & ~study.early
    truth, mean, scale = study.trace.valence[rows], said[0][rows], said[1][rows]
    own = np.nanstd(study.trace.valence, axis=1)
    tercile = np.digitize(np.broadcast_to(own[:, None], rows.shape)[rows], np.quantile(own, [1 / 3, 2 / 3]))
    threshold = np.broadcast_to(study.threshold[:, None], rows.shape)[rows]
    low, chance = (truth < threshold).astype(int), norm.cdf((threshold - mean) / scale)
    inside = np.abs(truth - mean) <= NORMAL_80 * scale
    terciles = {f"coverage, SD tercile {part + 1}": inside[tercile == part].mean() for part in range(3)}
    scores = {"mae": np.abs(truth - mean).mean(), "coverage": inside.mean(), **terciles}
    return scores | {"auroc": roc_auc_score(low, chance), "brier": ((chance - low) ** 2).mean()}


def judged(study: Study, split: str, seed: int, settings: EncoderSettings) -> pd.DataFrame:
    """A row a forecaster, of one seed."""
    pieces: dict[str, Said] = {}
    believed = []
    for role in parts(study, split, seed):
        part = replace(study, trace=replace(study.trace, role=role))
        ours, share = encoder_says(part.trace, seed, settings)
        believed.append(share)
        for name, said in {"encoder": ours, **baselines(part, seed)}.items():
            before = pieces.get(name, (np.nan, np.nan))
            pieces[name] = tuple(np.where(role == TEST, new, old) for new, old in zip(said, before, strict=True))
    table = pd.DataFrame({name: score(study, said) for name, said in pieces.items()}).T
    table.loc["encoder", "share of the network"] = np.mean(believed)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--studies", type=Path, default=Path(__file__).with_name("diaries.yaml"))
    parser.add_argument("--only", nargs="*", help="names of studies; all unless given")
    parser.add_argument("--splits", nargs="*", default=["time", "person"])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    settings = Config("ESMR", "esmr-mini", config_dict=KEYS, arguments=[]).esmr.encoder
    entries = yaml.safe_load(options.studies.read_text(encoding="utf-8"))
    for name in options.only or entries:
        study = load(options.data, entries[name])
        for split in options.splits:
            runs = [judged(study, split, seed, settings) for seed in tqdm(range(options.seeds), f"{name}, by {split}")]
            table = sum(runs) / len(runs)
            table["mae over the best, %"] = 100 * (table["mae"] / table.loc[table.index != "encoder", "mae"].min() - 1)
            print(f"\n{name}, by {split}\n")
            print(markdown(table.rename_axis("forecaster").reset_index()), flush=True)


if __name__ == "__main__":
    main()
