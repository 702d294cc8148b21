"""Attempts to refute an effect, after DoWhy and by DoWhy: each has a statistic and a verdict.

The first three catch a mistaken estimation (a slope that a permutation, a needless column or fewer rows would give as well);
they say nothing of hidden causes, and on a sound estimate they rarely fail. Propensity weighting catches an effect that a few
extreme days carry.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from dowhy import CausalModel
    from dowhy.causal_identifier.identified_estimand import IdentifiedEstimand

SIGNIFICANCE = 0.01
"""A refutation fails where chance alone would do so once in a hundred times: there are several of them."""

ROWS = 30_000
"""User-days that refutations use at most: a random part of the rows beyond that. Estimates use all."""


def refute(slope: pd.DataFrame, error: float, placebos: int, seed: int) -> dict[str, dict[str, Any]]:
    r"""DoWhy's refuters on a treatment and an outcome that the confounders have been taken out of.

    With one treatment and nothing else each of DoWhy's simulations is the slope of a line, so that all of them together are sums
    of products of the same columns, permuted, thinned out, or with a random column w beside them:

    .. math:: \frac{x_π^T y}{x^T x}, \quad
              \frac{(x^T y)(w^T w) - (x^T w)(w^T y)}{(x^T x)(w^T w) - (x^T w)^2}, \quad \frac{\sum_S x y}{\sum_S x^2}

    each of what is left after the mean. The verdicts are DoWhy's (its normal test for fewer than 100 simulations); the tests hold
    statistics and verdicts against DoWhy itself.

    Args:
        slope: columns ``treatment`` and ``outcome``, (N, 2): the slope of one on the other is the estimate.
        error: standard error of the estimate (clustered), per unit.
        placebos: simulations of each refuter.
        seed: of the refuters.

    Returns:
        by name, statistic and verdict. ``placebo_treatment``: the treatment permuted has no effect. ``random_common_cause``: a
        random column changes nothing. ``data_subset``: four fifths of the user-days say the same.
    """
    rng = np.random.default_rng(seed)
    x, y = slope["treatment"].to_numpy(float), slope["outcome"].to_numpy(float)
    error = error * np.sqrt(max(1.0, len(x) / ROWS))  # of what is left of the rows
    if len(x) > ROWS:
        rows = np.sort(rng.choice(len(x), ROWS, replace=False))
        x, y = x[rows], y[rows]
    x, y, count = x - x.mean(), y - y.mean(), len(x)
    power, sampled = float(x @ x), float(x @ y / (x @ x))
    permuted, beside, thinned = np.zeros((3, placebos))
    for turn in range(placebos):
        permuted[turn] = rng.permutation(x) @ y / power
        w = rng.standard_normal(count)
        w -= w.mean()
        beside[turn] = (x @ y * (w @ w) - x @ w * (w @ y)) / (power * (w @ w) - (x @ w) ** 2)
        rows = rng.permutation(count)[: round(0.8 * count)]
        part = x[rows] - x[rows].mean()
        thinned[turn] = part @ y[rows] / (part @ part)
    placebo, common, subset = float(permuted.mean()), float(beside.mean()), float(thinned.mean())
    p_placebo = chance_of_nothing(permuted)
    return {
        "placebo_treatment": {"statistic": placebo, "passed": p_placebo > SIGNIFICANCE},
        "random_common_cause": {"statistic": common, "passed": bool(abs(common - sampled) < 0.5 * error)},
        "data_subset": {"statistic": subset, "passed": bool(abs(subset - sampled) < error)},
    }


def chance_of_nothing(simulated: np.ndarray) -> float:
    """DoWhy's p-value that an effect of 0 is one of these: by a normal distribution, from 100 on by their own."""
    if len(simulated) >= 100:
        above = float(np.mean((simulated > 0) + 0.5 * (simulated == 0)))
        return 2 * min(above, 1 - above)
    from scipy.stats import norm

    return float(norm.sf(abs(simulated.mean()) / max(simulated.std(), 1e-300)))


def weighted_by_propensity(treatment: np.ndarray, exposure: np.ndarray, outcome: np.ndarray, confounders: pd.DataFrame) -> float:
    r"""The effect by inverse propensity weighting of a treatment cut at its median, by DoWhy: no line through the outcome.

    .. math:: \frac{E_w[y \mid high] - E_w[y \mid low]}{E_w[x \mid high] - E_w[x \mid low]}

    Args:
        treatment: (N,) cut at its median.
        exposure, outcome: (N,) x and y.
        confounders: (N, m) what the propensity is modelled from, by logistic regression.
    """
    from dowhy import CausalModel

    rows = np.arange(len(treatment))
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(0).choice(len(rows), ROWS, replace=False))
    frame = confounders.iloc[rows].reset_index(drop=True)
    spread = frame.std().replace(0.0, 1.0)
    frame = ((frame - frame.mean()) / spread).assign(high=(treatment > np.median(treatment))[rows])
    moved = []
    with quiet():
        for value in (outcome, exposure):
            data = frame.assign(value=value[rows])
            graph = nx.DiGraph([("high", "value"), *((name, end) for name in confounders for end in ("high", "value"))])
            model = CausalModel(data, "high", "value", graph=graph)
            estimand = identified(model)
            moved.append(float(model.estimate_effect(estimand, method_name="backdoor.propensity_score_weighting").value))
    return moved[0] / moved[1] if moved[1] else np.nan


def identified(model: CausalModel) -> IdentifiedEstimand:
    """DoWhy's estimand by the largest back-door set, its columns by name.

    DoWhy lists the columns as a Python set gives them, which is another order in each process (PYTHONHASHSEED), and a fit whose
    columns stand in another order differs in its last digits.
    """
    estimand = model.identify_effect(method_name="maximal-adjustment", proceed_when_unidentifiable=False)
    for key, names in (estimand.backdoor_variables or {}).items():
        estimand.set_backdoor_variables(sorted(names), key)
    return estimand


@contextmanager
def quiet() -> Iterator[None]:
    """DoWhy and what it calls write warnings and log lines by the dozen; what matters here is raised or returned."""
    logger = logging.getLogger("dowhy")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
