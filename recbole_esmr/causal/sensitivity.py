"""How strong a cause that nobody observed would have to be to explain an effect away."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

from recbole_esmr.causal.refutation import ROWS, identified, quiet

BENCHMARKS = 3
"""Observed columns, the strongest, that a hidden cause is compared with."""


def explain_away(
    treatment: np.ndarray, outcome: np.ndarray, confounders: pd.DataFrame, benchmarks: tuple[str, ...], seed: int
) -> dict[str, Any]:
    """Sensitivity of a linear effect to an unobserved common cause (Cinelli and Hazlett 2020), by DoWhy.

    Args:
        treatment, outcome: (N,).
        confounders: (N, m), all that is adjusted for.
        benchmarks: columns of it that a hidden cause is compared with.
        seed: of the sample of rows beyond :data:`~recbole_esmr.causal.refutation.ROWS`.

    Returns:
        ``statistic``: the robustness value, the share of what is left of both treatment and outcome (partial R²) that a hidden
        cause would have to explain to bring the effect to zero. ``benchmark``: the observed column whose like would take away
        most; ``left``: the part of the effect that would then be left (negative: the other sign). ``passed``: left > 0; false
        where nothing observed varies that a hidden cause could be compared with.
    """
    from dowhy import CausalModel

    varying = [name for name in confounders if confounders[name].std() > 1e-9]
    frame = confounders[varying].assign(treatment=treatment, outcome=outcome)
    if len(frame) > ROWS:
        frame = frame.sample(ROWS, random_state=seed)
    frame = frame.reset_index(drop=True)
    graph = nx.DiGraph([("treatment", "outcome"), *((name, end) for name in varying for end in ("treatment", "outcome"))])
    benchmarks = tuple(name for name in benchmarks if name in varying)
    found: dict[str, Any] = {"statistic": np.nan, "benchmark": "", "left": np.nan, "passed": False}
    with quiet():
        model = CausalModel(frame, "treatment", "outcome", graph=graph)
        estimand = identified(model)
        estimate = model.estimate_effect(estimand, method_name="backdoor.linear_regression")
        for name in benchmarks:
            try:
                analysis = model.refute_estimate(
                    estimand, estimate, method_name="add_unobserved_common_cause", simulation_method="linear-partial-R2",
                    benchmark_common_causes=[name], effect_fraction_on_treatment=[1.0], effect_fraction_on_outcome=[1.0],
                    plot_estimate=False,
                )  # fmt: skip
            except ValueError:  # DoWhy: the like of this column would leave nothing of the treatment to be explained
                found |= {"benchmark": name, "left": -np.inf, "passed": False}
                continue
            adjusted = float(analysis.benchmarking_results["bias_adjusted_estimate"].iloc[0])
            left = adjusted / float(analysis.stats["estimate"])
            found["statistic"] = float(analysis.stats["robustness_value"])
            if not found["left"] <= left:
                found |= {"benchmark": name, "left": left, "passed": left > 0}
    return found
