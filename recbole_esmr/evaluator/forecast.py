"""How well tomorrow's (and today's) emotion is foretold on the test days, by ESMR's encoder and by simple baselines."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from recbole_esmr.config import ESMRSettings
from recbole_esmr.data.trace import TEST, TRAIN, Trace
from recbole_esmr.evaluator.tracker import TRACKER, level_tracker
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.model.emotion_encoder import EmotionEncoder
from recbole_esmr.model.level import NORMAL_80


@dataclass(frozen=True)
class Forecast:
    """What a forecaster says of N target days.

    Attributes:
        emotion: (N, E) probabilities; None where people reported no emotion by name.
        mean, scale: (N,) normal distribution of the valence; None for a nowcast.
        negative: (N,) probability that the valence is negative; None for a nowcast.
    """

    emotion: np.ndarray | None = None
    mean: np.ndarray | None = None
    scale: np.ndarray | None = None
    negative: np.ndarray | None = None


@dataclass(frozen=True)
class Task:
    """Target days and what is known before them.

    Attributes:
        user, day: (N,) the target days.
        known: (N, K) features that a tabular baseline may use.
        last: (N,) code of the last report, −1 without one.
        tracker: (N, 4) the level tracker's features.
        labelled: whether the target days have an emotion by name, or a valence alone.
    """

    user: np.ndarray
    day: np.ndarray
    known: np.ndarray
    last: np.ndarray
    tracker: np.ndarray
    labelled: bool = True


def emotion_report(
    trace: Trace, beliefs: Beliefs, encoder: EmotionEncoder, settings: ESMRSettings, seed: int
) -> dict[str, object] | None:
    """The ``emotion`` part of ``run.json``; None where no training day, or no test day, with a report has a day before it.

    ``nowcast`` and ``forecast`` of the encoder, the same of each baseline under ``baselines`` (the cheap ones, or all with
    ``forecast_baselines: all``), under ``diagnostics`` what a figure of the forecast needs, under ``circular`` whether the labels
    were made from behaviour, under ``network`` in which share the network's residuals count (0: the level model alone foretells).
    Where people reported a valence and no emotion by name, ``nowcast`` is None and the forecast has no figures of labels. Every
    forecaster is trained on the training days (the encoder also stops and is calibrated on the validation days) and judged on
    the same test days; inputs are the days before (for the nowcast also the behaviour of the day itself, never its report).
    """
    labelled = bool((trace.emotion >= 0).any())
    kinds = ("nowcast", "forecast") if labelled else ("forecast",)
    tasks = {kind: [_task(trace, kind, part) for part in (TRAIN, TEST)] for kind in kinds}
    if not all(len(task.user) for pair in tasks.values() for task in pair):
        return None
    baselines = CHEAP if settings.encoder.baselines == "cheap" else CHEAP | COSTLY
    report: dict[str, dict[str, dict[str, float]]] = {kind: {} for kind in kinds}
    for kind, (train, test) in tasks.items():
        said = _encoder_says(beliefs, test, kind)
        report[kind]["encoder"] = judge_forecast(trace, test, said, kind)
        for name, baseline in baselines.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                report[kind][name] = judge_forecast(trace, test, baseline(trace, train, test, kind, seed), kind)
    return {
        "nowcast": report["nowcast"]["encoder"] if labelled else None,
        "forecast": report["forecast"]["encoder"],
        "baselines": {
            name: {kind: report[kind][name] if kind in report else None for kind in ("nowcast", "forecast")} for name in baselines
        },
        "network": encoder.believed(),
        "diagnostics": diagnostics(trace, test, said, encoder.emotions),
        "circular": settings.days.label == "behaviour-clusters",
    }


def diagnostics(trace: Trace, task: Task, said: Forecast, labels: tuple[str, ...]) -> dict[str, object]:
    """What a reader wants to look at: reliability, confusion, and each emotion's precision and recall.

    Returns:
        ``reliability`` of the negative-day forecast: bins of ``forecast`` (mean probability), ``observed`` (frequency), ``days``;
        ``labels`` and ``confusion`` (rows the truth, columns the likeliest forecast); ``per_class``: precision, recall, average
        precision, days. Without labels the last three are empty.
    """
    negative = (trace.valence[task.user, task.day] < 0).astype(float)
    bins = [] if said.negative is None else reliability(said.negative, negative).to_dict("records")
    if said.emotion is None:
        return {"reliability": bins, "labels": [], "confusion": [], "per_class": {}}
    truth, guess = trace.emotion[task.user, task.day], said.emotion.argmax(axis=1)
    precision, recall, _, count = precision_recall_fscore_support(truth, guess, labels=range(len(labels)), zero_division=0)
    per_class = {
        label: {
            "precision": float(precision[code]),
            "recall": float(recall[code]),
            "average_precision": float(average_precision_score(truth == code, said.emotion[:, code])) if count[code] else None,
            "days": int(count[code]),
        }
        for code, label in enumerate(labels)
    }
    confusion = confusion_matrix(truth, guess, labels=range(len(labels)))
    return {"reliability": bins, "labels": list(labels), "confusion": confusion.tolist(), "per_class": per_class}


def _task(trace: Trace, kind: str, part: int) -> Task:
    labelled = bool((trace.emotion >= 0).any())
    target = (trace.role == part) & (trace.emotion >= 0 if labelled else np.isfinite(trace.valence))
    target[:, 0] = False
    user, day = np.nonzero(target)
    tracker, latest = np.empty((len(user), len(TRACKER))), np.empty(len(user), dtype=np.int64)
    for people in trace.blocks():
        inside = slice(*np.searchsorted(user, [people[0], people[-1] + 1]))
        before = user[inside] - people[0], day[inside] - 1
        tracker[inside] = level_tracker(trace.valence[people])[before]
        said = np.where(trace.emotion[people] >= 0, np.arange(trace.days), -1)
        latest[inside] = np.maximum.accumulate(said, axis=1)[before]
    last = np.where(latest >= 0, trace.emotion[user, np.maximum(latest, 0)], -1)
    two_days = [trace.valence[user, day - 1], np.where(day > 1, trace.valence[user, np.maximum(day - 2, 0)], np.nan)]
    behaviour = trace.features[user, day if kind == "nowcast" else day - 1]
    known = np.column_stack([tracker, *two_days, last, behaviour, trace.profile[user]])
    return Task(user, day, known, last, tracker, labelled)


def _encoder_says(beliefs: Beliefs, task: Task, kind: str) -> Forecast:
    state = beliefs.state
    if kind == "nowcast":
        return Forecast(state.nowcast[task.user, task.day].softmax(dim=-1).numpy())
    before = task.user, task.day - 1
    return Forecast(
        emotion=state.forecast[before].softmax(dim=-1).numpy() if task.labelled else None,
        mean=state.mean.numpy()[before],
        scale=state.scale.numpy()[before],
        negative=state.negative.sigmoid().numpy()[before],
    )


def _majority(trace: Trace, train: Task, test: Task, kind: str, seed: int) -> Forecast:
    emotion, ones = None, np.ones(len(test.user))
    if train.labelled:
        share = np.bincount(trace.emotion[train.user, train.day], minlength=_emotions(trace)) / len(train.user)
        emotion = np.tile(share, (len(ones), 1))
    valence = trace.valence[train.user, train.day]
    return Forecast(emotion, ones * valence.mean(), ones * valence.std(), ones * (valence < 0).mean())


def _persistence(trace: Trace, train: Task, test: Task, kind: str, seed: int) -> Forecast:
    emotion = None
    if train.labelled:
        count = np.full((_emotions(trace) + 1, _emotions(trace)), 1e-3)
        np.add.at(count, (train.last, trace.emotion[train.user, train.day]), 1)
        np.fill_diagonal(count, count.diagonal() + count.max())  # the last report again, whatever usually follows it
        emotion = count[test.last] / count[test.last].sum(axis=1, keepdims=True)
    valence = trace.valence[train.user, train.day]
    scale = float(np.sqrt(np.mean((valence - train.tracker[:, 1]) ** 2)))
    chance = [
        np.mean(valence[(train.tracker[:, 1] < 0) == low] < 0) if ((train.tracker[:, 1] < 0) == low).any() else 0.5
        for low in (False, True)
    ]
    ones = np.ones(len(test.user))
    return Forecast(emotion, test.tracker[:, 1], ones * scale, np.where(test.tracker[:, 1] < 0, chance[1], chance[0]))


def _hist_ols(trace: Trace, train: Task, test: Task, kind: str, seed: int) -> Forecast:
    return _regressed(trace, train, test, train.tracker, test.tracker)


def _lightgbm(trace: Trace, train: Task, test: Task, kind: str, seed: int) -> Forecast:
    import lightgbm

    shared = {"seed": seed, "deterministic": True, "force_row_wise": True, "verbosity": -1, "learning_rate": 0.05}
    shared |= {"num_leaves": 15, "min_data_in_leaf": 20, "lambda_l2": 1.0}

    def trained(label: np.ndarray, **objective: object) -> lightgbm.Booster:
        return lightgbm.train({**shared, **objective}, lightgbm.Dataset(train.known, label), num_boost_round=80)

    valence, classes = trace.valence[train.user, train.day], None
    if train.labelled:
        emotion, number = trace.emotion[train.user, train.day], _emotions(trace)
        classes = np.asarray(trained(emotion, objective="multiclass", num_class=max(number, 2)).predict(test.known))[:, :number]
        classes /= classes.sum(axis=1, keepdims=True)  # LightGBM wants two classes even where there is one emotion
    if kind == "nowcast":
        return Forecast(classes)
    regression = trained(valence, objective="regression")
    inside = float(np.std(valence - np.asarray(regression.predict(train.known))))
    return Forecast(
        emotion=classes,
        mean=np.clip(np.asarray(regression.predict(test.known)), -1, 1),
        scale=np.full(len(test.user), inside),
        negative=np.asarray(trained((valence < 0).astype(int), objective="binary").predict(test.known)),
    )


def _person_mean_says(trace: Trace, train: Task, test: Task, kind: str, seed: int) -> Forecast:
    return _regressed(trace, train, test, _person_mean(trace)[train.user, None], _person_mean(trace)[test.user, None])


def _ewma(trace: Trace, train: Task, test: Task, kind: str, seed: int) -> Forecast:
    """The exponentially weighted mean whose rate foretells the training days best."""
    valence, best = trace.valence[train.user, train.day], None
    for rate in np.arange(0.05, 1.0, 0.05):
        smooth = exponential_mean(trace.valence, rate)
        error = float(np.mean((valence - smooth[train.user, train.day - 1]) ** 2))
        if best is None or error < best[0]:
            best = error, smooth
    smooth = best[1] if best else trace.valence
    return _regressed(trace, train, test, smooth[train.user, train.day - 1, None], smooth[test.user, test.day - 1, None])


def _regressed(trace: Trace, train: Task, test: Task, known: np.ndarray, asked: np.ndarray) -> Forecast:
    """Valence by least squares, emotion and negative day by logistic regression, on the same numbers."""
    valence = trace.valence[train.user, train.day]
    line = LinearRegression().fit(known, valence)
    return Forecast(
        emotion=_logistic(known, trace.emotion[train.user, train.day], asked, _emotions(trace)) if train.labelled else None,
        mean=np.clip(line.predict(asked), -1, 1),
        scale=np.full(len(asked), float(np.std(valence - line.predict(known)))),
        negative=_logistic(known, (valence < 0).astype(int), asked, 2)[:, 1],
    )


def exponential_mean(valence: np.ndarray, rate: float) -> np.ndarray:
    """m_t = (1 − rate) m_{t−1} + rate · v_t over the reported days, beginning with the first; 0 before it. (U, D)"""
    people = pd.DataFrame(valence).T  # a column a person
    return people.ewm(alpha=rate, adjust=False, ignore_na=True).mean().fillna(0.0).to_numpy().T


def _gru(trace: Trace, train: Task, test: Task, kind: str, seed: int) -> Forecast:
    """A GRU over the days' features, reports and level tracker, with heads for emotion, valence and risk."""
    from recbole_esmr.evaluator.gru import gru_forecast

    emotion, *parts = gru_forecast(trace, (train.user, train.day), (test.user, test.day), nowcast=kind == "nowcast", seed=seed)
    return Forecast(emotion if train.labelled else None, *parts)


CHEAP: dict[str, Callable[[Trace, Task, Task, str, int], Forecast]] = {
    "majority": _majority,
    "persistence": _persistence,
    "hist_ols": _hist_ols,
    "lightgbm": _lightgbm,
}
"""The most frequent label, the last report, the level tracker by least squares, LightGBM on the last two days."""

COSTLY: dict[str, Callable[[Trace, Task, Task, str, int], Forecast]] = {
    "person_mean": _person_mean_says,
    "ewma": _ewma,
    "gru": _gru,
}
"""The person's mean, the exponentially weighted mean with the best rate, a GRU: on request."""


def judge_forecast(trace: Trace, task: Task, said: Forecast, kind: str) -> dict[str, float]:
    """Scores of a forecast of the task's days: accuracy and macro-F1, and for tomorrow valence, risk, calibration, coverage."""
    scores: dict[str, float] = {}
    if said.emotion is not None:
        truth, guess = trace.emotion[task.user, task.day], said.emotion.argmax(axis=1)
        scores["accuracy"] = float(accuracy_score(truth, guess))
        scores["macro_f1"] = float(f1_score(truth, guess, average="macro", labels=np.unique(truth), zero_division=0))
    if kind == "nowcast" or said.mean is None or said.scale is None or said.negative is None:
        return scores
    valence = trace.valence[task.user, task.day]
    negative = (valence < 0).astype(int)
    error = valence - said.mean
    usual = valence - _person_mean(trace)[task.user]
    return scores | {
        "valence_mae": float(np.abs(error).mean()),
        "valence_r2": float(1 - (error**2).sum() / max((usual**2).sum(), 1e-12)),
        "negative_auroc": float(roc_auc_score(negative, said.negative)) if 0 < negative.mean() < 1 else float("nan"),
        "brier": float(((said.negative - negative) ** 2).mean()),
        "ece": expected_calibration_error(said.negative, negative),
        "coverage80": float((np.abs(error) <= NORMAL_80 * said.scale).mean()),
    }


def reliability(probability: np.ndarray, happened: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Forecast and observed frequency of an event in equally wide bins: scikit-learn's ``calibration_curve`` with the counts.

    Args:
        probability: (N,) in [0, 1]; on the edge of two bins it belongs to the lower.
        happened: (N,) 0 or 1.
        bins: number of bins.

    Returns:
        a row for each bin that is not empty: ``forecast`` (mean probability), ``observed`` (frequency), ``days``.
    """
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], probability)
    days = pd.DataFrame({"forecast": probability, "observed": happened}, dtype=float).groupby(place)
    return days.mean().assign(days=days.size())


def expected_calibration_error(probability: np.ndarray, happened: np.ndarray, bins: int = 10) -> float:
    r"""Mean distance of forecast probability and observed frequency over equally wide bins (Naeini et al. 2015).

    .. math:: ECE = \sum_b \frac{n_b}{N} |\bar y_b - \bar p_b|

    Args:
        probability, happened, bins: as in :func:`reliability`.
    """
    table = reliability(probability, happened, bins)
    return float(np.average((table["observed"] - table["forecast"]).abs(), weights=table["days"]))


def _person_mean(trace: Trace) -> np.ndarray:
    """Mean valence of each person's training days, of all people's where a person has none. (U,)"""
    use = (trace.role == TRAIN) & np.isfinite(trace.valence)
    total, count = np.where(use, np.nan_to_num(trace.valence), 0.0).sum(axis=1), use.sum(axis=1)
    overall = total.sum() / max(count.sum(), 1)
    return np.where(count > 0, total / np.maximum(count, 1), overall)


def _logistic(known: np.ndarray, label: np.ndarray, asked: np.ndarray, classes: int) -> np.ndarray:
    probability = np.zeros((len(asked), classes))
    present = np.unique(label)
    if len(present) == 1:
        probability[:, present[0]] = 1.0
        return probability
    model = LogisticRegression(max_iter=500).fit(known, label)
    probability[:, model.classes_] = model.predict_proba(asked)
    return probability


def _emotions(trace: Trace) -> int:
    return trace.emotion_hours.shape[-1]
