"""Estimators of a policy's value from logged slates, decomposed over items, with intervals clustered by person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from recbole_esmr.errors import DataError


@dataclass(frozen=True)
class LoggedSlates:
    """N slates with M impressions as a logging policy showed them, beside what the policy to be judged would show instead.

    Attributes:
        slate: (M,) number 0 … N − 1 of the slate that each impression lies in.
        reward: (M,) what the impression brought, y; finite.
        propensity: (M,) chance π of the logging policy to show this item in this slate, in (0, 1].
        chosen: (M,) bool, whether the judged policy's slate holds the item.
        predicted: (M,) the impression's reward as a model predicts it, ŷ.
        person: (N,) whose each slate is.
        size: (N,) items of the judged policy's slate.
        value: (N,) reward of the judged policy's whole slate as the model predicts it, Σ ŷ.

    Raises:
        DataError: a length, a number or a propensity that is not allowed; the message names the argument.
    """

    slate: np.ndarray
    reward: np.ndarray
    propensity: np.ndarray
    chosen: np.ndarray
    predicted: np.ndarray
    person: np.ndarray
    size: np.ndarray
    value: np.ndarray

    def __post_init__(self) -> None:
        slates, impressions = len(self.person), len(self.slate)
        for name in ("reward", "propensity", "chosen", "predicted"):
            _require(getattr(self, name).shape == (impressions,), name, getattr(self, name).shape, f"({impressions},)")
        for name in ("size", "value"):
            _require(getattr(self, name).shape == (slates,), name, getattr(self, name).shape, f"({slates},)")
        for name in ("reward", "predicted", "value"):
            bad = ~np.isfinite(getattr(self, name))
            _require(not bad.any(), name, f"{int(bad.sum())} numbers that are not finite", "finite numbers")
        low, high = (self.propensity.min(), self.propensity.max()) if impressions else (1.0, 1.0)
        _require(bool(low > 0 and high <= 1), "propensity", f"{low:g} to {high:g}", "chances in (0, 1]")
        inside = self.slate.min(initial=0) >= 0 and self.slate.max(initial=-1) < slates
        _require(bool(inside), "slate", f"{self.slate.min(initial=0)} to {self.slate.max(initial=-1)}", f"0 to {slates - 1}")
        _require(self.chosen.dtype == bool, "chosen", self.chosen.dtype, "bool")

    def sum(self, value: np.ndarray) -> np.ndarray:
        """Sum over each slate, (M,) → (N,)."""
        return np.bincount(self.slate, weights=value, minlength=len(self.person))


@dataclass(frozen=True)
class Estimate:
    """A policy's value a slate: mean and confidence interval."""

    mean: float
    low: float
    high: float


def ips(log: LoggedSlates, level: float = 0.95) -> Estimate:
    r"""Inverse propensity scoring: unbiased where every item of the judged slates could have been shown.

    .. math:: \hat V = \frac1N \sum_t \sum_{i \in shown \cap chosen} \frac{y_{ti}}{π_{ti}}
    """
    total = log.sum(log.chosen * log.reward / log.propensity)
    return _ratio(total, np.ones(len(total)), log.person, level)


def snips(log: LoggedSlates, level: float = 0.95) -> Estimate:
    r"""Self-normalised inverse propensity scoring (Swaminathan & Joachims 2015): a little biased, less noisy.

    .. math:: \hat V = \bar K \frac{\sum_t \sum_{i \in shown \cap chosen} y_{ti} / π_{ti}}
              {\sum_t \sum_{i \in shown \cap chosen} 1 / π_{ti}}

    with K the size of the judged slates.
    """
    inverse = log.chosen / log.propensity
    return _ratio(log.sum(inverse * log.reward) * log.size.mean(), log.sum(inverse), log.person, level)


def doubly_robust(log: LoggedSlates, level: float = 0.95) -> Estimate:
    r"""Doubly robust (Dudík et al. 2011): right where the propensities or the predictions are.

    .. math:: \hat V = \frac1N \sum_t \Big( \sum_{i \in chosen} \hat y_{ti} +
              \sum_{i \in shown \cap chosen} \frac{y_{ti} - \hat y_{ti}}{π_{ti}} \Big)
    """
    error = log.sum(log.chosen * (log.reward - log.predicted) / log.propensity)
    return _ratio(log.value + error, np.ones(len(error)), log.person, level)


ESTIMATORS: dict[str, Callable[[LoggedSlates, float], Estimate]] = {"ips": ips, "snips": snips, "dr": doubly_robust}


def _ratio(top: np.ndarray, bottom: np.ndarray, person: np.ndarray, level: float) -> Estimate:
    """Σ top / Σ bottom over slates, with an interval clustered by person (linearised).

    NaN where nothing was matched; without an interval where there is only one person.
    """
    if bottom.sum() <= 0:
        return Estimate(np.nan, np.nan, np.nan)
    mean = float(top.sum() / bottom.sum())
    scatter = np.bincount(np.unique(person, return_inverse=True)[1].reshape(-1), weights=top - mean * bottom)
    people = len(scatter)
    if people < 2:
        return Estimate(mean, np.nan, np.nan)
    error = float(np.sqrt((scatter**2).sum() * people / (people - 1))) / float(bottom.sum())
    half = float(student.ppf(0.5 + level / 2, people - 1)) * error
    return Estimate(mean, mean - half, mean + half)


def _require(right: bool, name: str, got: object, allowed: str) -> None:
    if not right:
        raise DataError(f"LoggedSlates: {name} is {got}; expected {allowed}.")
