"""Tomorrow's emotion on platform logs: the encoder against every baseline, and what each part of it is worth.

    python benchmarks/forecast_logs.py --world=reference            # a generated log of 1,000 people x 30 days
    python benchmarks/forecast_logs.py --dataset=datasets/NAME      # any data set with emotions, for example an imported release
    python benchmarks/forecast_logs.py --world=reference --reports=1.0,0.5,0.2,0.05       # fewer and fewer self-reports
    python benchmarks/forecast_logs.py --world=reference --ablations

Paired intervals are a bootstrap over people (200 resamples). `ceiling` knows the latent state of the generated people, and only
noise is left to it; the share of its R² that a forecaster reaches is what could be known and was.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from recbole.data import create_dataset, data_preparation
from sklearn.metrics import roc_auc_score

from recbole_esmr.config import Config
from recbole_esmr.data.trace import CONTENT, TEST, TRAIN, VALID, Trace
from recbole_esmr.evaluator.forecast import CHEAP, COSTLY, Forecast, Task, _person_mean, _task, judge_forecast
from recbole_esmr.model.emotion_encoder import EmotionEncoder
from recbole_esmr.report.tables import markdown
from recbole_esmr.simulation import FeedEnv, load_world, simulate
from recbole_esmr.simulation.affect import event_drop
from recbole_esmr.simulation.days import rollout_days
from recbole_esmr.simulation.logging_policy import LoggingFeed
from recbole_esmr.simulation.random import normal
from recbole_esmr.trainer.emotion import fit_encoder

DAY_SPLIT = [0.7, 0.1, 0.2]
"""A fifth of each person's days is forecast: more than ESMR keeps for tests, so that the intervals are narrower."""

PARTS: dict[str, dict[str, bool]] = {
    "whole": {},
    "no attention within the day": {"within_day": False},
    "no attention across days": {"across_days": False},
    "no level model": {"level": False},
    "no item content": {},
    "no calibration": {},
}


def load(folder: Path, seed: int) -> tuple[Trace, Config]:
    """The trace of a data set, split by time as ESMR splits it."""
    config = Config(
        "ESMR", str(folder.resolve()), config_dict={"state": "ERROR", "seed": seed, "day_split": DAY_SPLIT}, arguments=[]
    )
    dataset = create_dataset(config)
    data_preparation(config, dataset)
    return dataset.trace, config


def by_person(trace: Trace, seed: int) -> Trace:
    """The same days, split by person: 70 % train, 10 % validate, 20 % are forecast."""
    part = np.random.default_rng(seed).permutation(trace.users) / trace.users
    role = np.where(part < 0.7, TRAIN, np.where(part < 0.8, VALID, TEST)).astype(np.int8)
    return replace(trace, role=np.repeat(role[:, None], trace.days, axis=1))


def encoder_says(trace: Trace, config: Config, seed: int, task: Task, kind: str = "forecast", part: str = "whole") -> Forecast:
    """Train the encoder and forecast the task's days."""
    settings = replace(config.esmr.encoder, calibrate=part != "no calibration")
    names = [name for name in trace.feature_names if part != "no item content" or not _content(name)]
    torch.manual_seed(seed)
    encoder = EmotionEncoder(
        tuple(names), tuple(map(str, range(trace.emotion_hours.shape[-1]))), trace.profiles, settings.hidden_size,
        settings.layers, settings.heads, settings.dropout, **PARTS[part],
    )  # fmt: skip
    fit_encoder(encoder, [trace], settings, torch.Generator().manual_seed(seed))
    state = encoder.encode(trace)
    if kind == "nowcast":
        return Forecast(state.nowcast.softmax(dim=-1).numpy()[task.user, task.day])
    before = task.user, task.day - 1
    scale = state.scale.numpy()[before]
    return Forecast(
        state.forecast.softmax(dim=-1).numpy()[before], state.mean.numpy()[before], scale,
        state.negative.sigmoid().numpy()[before],
    )  # fmt: skip


def _content(name: str) -> bool:
    return name.startswith(CONTENT) or name in ("negative_exposure", "positive_exposure")


def ceiling(world: str, users: int, items: int, days: int, seed: int) -> np.ndarray:
    """(U, D) expected true valence of each day given the latent state of the day before; rows in the order of user numbers."""
    env = FeedEnv(load_world(world), users, items, seed)
    people, expected = env.people, []
    for _ in rollout_days(env, LoggingFeed(env), days, counts=False):
        innovation = people.state_sd * (1 - env.world.affect.inertia**2) ** 0.5
        innovation = innovation * normal(seed, "innovation", people.number, env.day)
        usual = people.event_rate * env.world.affect.event_size
        state = env.state - innovation + event_drop(env.world, people, env.day, seed) - usual
        expected.append((people.home + state).clamp(-1, 1).numpy())
    return np.stack(expected, axis=1)[:, :-1]


def paired(trace: Trace, task: Task, one: Forecast, other: Forecast, seed: int = 0) -> dict[str, str]:
    """Difference of R² and of AUROC with 95 % intervals over people."""
    truth, usual = trace.valence[task.user, task.day], _person_mean(trace)[task.user]
    low = truth < 0
    generator, people = np.random.default_rng(seed), np.unique(task.user, return_inverse=True)[1]
    draws = []
    for _ in range(200):
        weight = generator.poisson(1.0, people.max() + 1)[people]
        r2 = [1 - (weight * (truth - f.mean) ** 2).sum() / (weight * (truth - usual) ** 2).sum() for f in (one, other)]
        auc = [roc_auc_score(low, f.negative, sample_weight=weight) for f in (one, other)]
        draws.append((r2[0] - r2[1], auc[0] - auc[1]))
    bounds = np.quantile(draws, [0.025, 0.975], axis=0)
    return {name: f"[{bounds[0, i]:+.3f}, {bounds[1, i]:+.3f}]" for i, name in enumerate(("R² lead", "AUROC lead"))}


def compare(trace: Trace, config: Config, seed: int, kind: str = "forecast", latent: np.ndarray | None = None) -> pd.DataFrame:
    """One row a forecaster."""
    train, test = (_task(trace, kind, part) for part in (TRAIN, TEST))
    ours = encoder_says(trace, config, seed, test, kind)
    rows = [{"forecaster": "encoder", **judge_forecast(trace, test, ours, kind)}]
    for name, baseline in (CHEAP | COSTLY).items():
        said = baseline(trace, train, test, kind, seed)
        row = {"forecaster": name, **judge_forecast(trace, test, said, kind)}
        rows.append(row | (paired(trace, test, ours, said) if kind == "forecast" else {}))
    frame = pd.DataFrame(rows)
    if latent is not None:
        expected, truth = latent[test.user, test.day], trace.valence[test.user, test.day]
        weight = np.polyfit(latent[train.user, train.day], trace.valence[train.user, train.day], 1)
        usual = ((truth - _person_mean(trace)[test.user]) ** 2).sum()
        best = 1 - ((truth - np.polyval(weight, expected)) ** 2).sum() / usual
        auc = roc_auc_score(truth < 0, -expected)
        frame = pd.concat([frame, pd.DataFrame([{"forecaster": "ceiling", "valence_r2": best, "negative_auroc": auc}])])
        frame["share of the ceiling's R²"] = frame["valence_r2"] / best
    return frame


def generated(world: str, reports: float | None, folder: Path, users: int, seed: int) -> tuple[Path, np.ndarray]:
    """A log of the world (with another share of days with a report) and its ceiling in the data set's order of users."""
    text = f"base: {world}\n" + (f"observation:\n  report_share: {reports}\n" if reports is not None else "")
    (folder / "world.yaml").write_text(text, encoding="utf-8")
    simulate(load_world(str(folder / "world.yaml")), users, 1000, 30, seed, folder / "log", show_progress=False)
    return folder / "log", ceiling(str(folder / "world.yaml"), users, 1000, 30, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="reference")
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reports", help="shares of days with a self-report, separated by commas")
    parser.add_argument("--ablations", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.dataset:
            trace, config = load(options.dataset, options.seed)
            for split, part in (("time", trace), ("person", by_person(trace, options.seed))):
                for kind in ("forecast", "nowcast"):
                    table = markdown(compare(part, config, options.seed, kind))
                    print(f"\n{options.dataset.name}, {kind}, split by {split}\n\n{table}", flush=True)
            return
        shares = [float(share) for share in options.reports.split(",")] if options.reports else [None]
        for share in shares:
            folder, latent = generated(options.world, share, Path(name), options.users, options.seed)
            trace, config = load(folder, options.seed)
            order = np.arange(trace.users) - 1
            names = [int(token[1:]) - 1 for token in _users(config)]
            latent_rows = np.full((trace.users, trace.days), np.nan)
            latent_rows[order[1:] + 1] = np.pad(latent, ((0, 0), (1, 0)), constant_values=np.nan)[names]
            if options.ablations:
                test = _task(trace, "forecast", TEST)
                said = {part: encoder_says(trace, config, options.seed, test, part=part) for part in PARTS}
                rows = [
                    {"encoder": part, **judge_forecast(trace, test, f, "forecast"), **paired(trace, test, f, said["whole"])}
                    for part, f in said.items()
                ]
                print(f"\nWhat each part is worth, world {options.world}, split by time\n\n{markdown(pd.DataFrame(rows))}")
                continue
            title = f"World {options.world}" + (f", reports on {share:.0%} of the days" if share is not None else "")
            print(f"\n{title}, split by time\n\n{markdown(compare(trace, config, options.seed, latent=latent_rows))}", flush=True)


def _users(config: Config) -> list[str]:
    dataset = create_dataset(config)
    return list(dataset.field2id_token[dataset.uid_field][1:])


if __name__ == "__main__":
    main()
