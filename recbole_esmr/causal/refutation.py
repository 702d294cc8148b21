"""Attempts to refute an effect, by DoWhy: each has a statistic and a verdict.

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


def refute(slope: pd.DataFrame, estimate: float, error: float, placebos: int, seed: int) -> dict[str, dict[str, Any]]:
    """DoWhy's refuters on a treatment and an outcome that the confounders have been taken out of.

    Args:
        slope: columns ``treatment`` and ``outcome``, (N, 2): the slope of one on the other is the estimate.
        estimate, error: the estimate and its standard error (clustered), per unit.
        placebos: simulations of each refuter.
        seed: of the refuters.

    Returns:
        by name, statistic and verdict. ``placebo_treatment``: the treatment permuted has no effect. ``random_common_cause``: a
        random column changes nothing. ``data_subset``: four fifths of the user-days say the same.
    """
    from dowhy import CausalModel

    error = error * np.sqrt(max(1.0, len(slope) / ROWS))  # of what is left of the rows
    if len(slope) > ROWS:
        slope = slope.iloc[np.sort(np.random.default_rng(seed).choice(len(slope), ROWS, replace=False))].reset_index(drop=True)
    with quiet():
        model = CausalModel(slope, "treatment", "outcome", graph=nx.DiGraph([("treatment", "outcome")]))
        estimand = identified(model)
        plain = model.estimate_effect(estimand, method_name="backdoor.linear_regression")

        def run(name: str, **options: Any) -> tuple[float, float]:
            done = model.refute_estimate(
                estimand, plain, method_name=name, num_simulations=placebos, random_state=np.random.RandomState(seed),
                n_jobs=1, show_progress_bar=False, **options,
            )  # fmt: skip
            return float(done.new_effect), float(np.asarray(done.refutation_result["p_value"]).item())

        placebo, p_placebo = run("placebo_treatment_refuter", placebo_type="permute")
        common, _ = run("random_common_cause")
        subset, _ = run("data_subset_refuter", subset_fraction=0.8)
    sampled = float(plain.value)
    return {
        "placebo_treatment": {"statistic": placebo, "passed": p_placebo > SIGNIFICANCE},
        "random_common_cause": {"statistic": common, "passed": bool(abs(common - sampled) < 0.5 * error)},
        "data_subset": {"statistic": subset, "passed": bool(abs(subset - sampled) < error)},
    }


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
