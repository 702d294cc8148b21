"""Effects of exposure on tomorrow, by DoWhy: identified, estimated with clustered intervals, refuted."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

from recbole_esmr.causal.panel import CONFOUNDERS, OUTCOMES, TREATMENTS
from recbole_esmr.errors import IdentificationError

UNIT = 0.1
"""Effects are changes of the outcome for this much more exposure."""


@dataclass(frozen=True)
class Effect:
    """An effect of +0.1 of a treatment on an outcome of the next day.

    Attributes:
        treatment, outcome, state: names; ``state`` is "all", or the part of the user-days it holds for.
        estimate, low, high: the effect and its interval, clustered by user, in units of the outcome.
        naive: the unadjusted association, for comparison.
        n_user_days: rows it rests on.
        refutations: name → statistic and whether it passed.
        passed: whether all refutations passed.
        weight: what the reward uses: the estimate shrunk by its uncertainty, 0 where the interval holds 0 or a refutation failed.
    """

    treatment: str
    outcome: str
    state: str
    estimate: float
    low: float
    high: float
    naive: float
    n_user_days: int
    refutations: dict[str, dict[str, Any]] = field(default_factory=dict)
    passed: bool = True
    weight: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def domain_graph(treatment: str, outcome: str) -> nx.DiGraph:
    """The assumed causal graph, by temporal tiers: before → today's feed → tomorrow.

    Everything known before or together with the feed may cause the feed and tomorrow; the other exposure shares the slate's
    places with the treatment, so it may too. Nothing else is assumed to cause both: that is the claim that data cannot prove.
    """
    graph = nx.DiGraph([(treatment, outcome)])
    for cause in (*CONFOUNDERS, *(name for name in TREATMENTS if name != treatment)):
        graph.add_edges_from([(cause, treatment), (cause, outcome)])
    return graph


def estimate_effects(
    panel: pd.DataFrame, level: float, placebos: int, seed: int, treatments: Iterable[str] = TREATMENTS
) -> list[Effect]:
    """Estimate the effect of each treatment on each outcome by back-door adjustment with a linear model.

    .. math:: y_{t+1} = α + τ x_t + γ^T z_t + ε, \\quad effect = 0.1\\, τ

    Args:
        panel: from :func:`~recbole_esmr.causal.panel.make_panel`.
        level: confidence level of the intervals, clustered by user.
        placebos: permuted treatments in the placebo refutation.
        seed: of the permutations.
        treatments: which of the exposures.

    Raises:
        IdentificationError: too few user-days, no variation of a treatment, or of the outcome, or no back-door set in the graph.
    """
    return [_estimate(panel, treatment, outcome, level, placebos, seed) for outcome in OUTCOMES for treatment in treatments]


def _estimate(panel: pd.DataFrame, treatment: str, outcome: str, level: float, placebos: int, seed: int) -> Effect:
    from dowhy import CausalModel

    needed = 10 * (len(CONFOUNDERS) + 2)
    if len(panel) < needed or panel["user"].nunique() < 10:
        raise IdentificationError(
            f"{len(panel)} user-days of {panel['user'].nunique()} people have a feed and reports on two days running; "
            f"an effect on tomorrow needs at least {needed} of 10 people."
        )
    for name in (treatment, outcome):
        if panel[name].std() < 1e-9:
            raise IdentificationError(f"{name} is the same on all user-days, so nothing can be said of its effect.")
    names = [treatment, outcome, *CONFOUNDERS, *(name for name in TREATMENTS if name != treatment)]
    varying = [name for name in names if panel[name].std() > 1e-9]
    graph = domain_graph(treatment, outcome).subgraph(varying).copy()
    with _quiet():
        model = CausalModel(panel[varying], treatment, outcome, graph=graph)
        estimand = model.identify_effect(proceed_when_unidentifiable=False)
        if not estimand.estimands.get("backdoor"):
            raise IdentificationError(f"the graph gives no back-door set for the effect of {treatment} on {outcome}.")
        estimate = model.estimate_effect(estimand, method_name="backdoor.linear_regression")
        placebo = model.refute_estimate(
            estimand,
            estimate,
            method_name="placebo_treatment_refuter",
            placebo_type="permute",
            num_simulations=placebos,
            random_state=seed,
            n_jobs=1,
            show_progress_bar=False,
        )
    fit = estimate.estimator.model.get_robustcov_results("cluster", groups=panel["user"].to_numpy())
    interval = fit.conf_int(alpha=1 - level)[1]  # DoWhy's design has the intercept first, then the treatment
    error = fit.bse[1]
    slope = np.polyfit(panel[treatment], panel[outcome], 1)[0]
    p_value = float(np.asarray(placebo.refutation_result["p_value"]).item())
    return judged(
        Effect(
            treatment=treatment,
            outcome=outcome,
            state="all",
            estimate=UNIT * float(estimate.value),
            low=UNIT * float(interval[0]),
            high=UNIT * float(interval[1]),
            naive=UNIT * float(slope),
            n_user_days=len(panel),
            refutations={"placebo_treatment": {"statistic": UNIT * float(placebo.new_effect), "passed": p_value > 0.05}},
        ),
        UNIT * float(error),
    )


def judged(effect: Effect, error: float) -> Effect:
    """The effect with its verdict and weight.

    .. math:: weight = \\hat τ · \\max(0, 1 - (se/\\hat τ)^2) · [0 ∉ interval] · [refutations passed]

    Args:
        effect: estimate, interval and refutations.
        error: standard error of the estimate, clustered by user.
    """
    passed = all(refutation["passed"] for refutation in effect.refutations.values())
    proven = passed and (effect.low > 0 or effect.high < 0)
    weight = effect.estimate * max(0.0, 1 - (error / effect.estimate) ** 2) if proven else 0.0
    return Effect(**(asdict(effect) | {"passed": passed, "weight": weight}))


class _quiet:
    """DoWhy and what it calls write warnings and log lines by the dozen; what matters here is raised or returned."""

    def __enter__(self) -> None:
        self._catch = warnings.catch_warnings()
        self._catch.__enter__()
        warnings.simplefilter("ignore")
        self._level = logging.getLogger("dowhy").level
        logging.getLogger("dowhy").setLevel(logging.ERROR)

    def __exit__(self, *failure: object) -> None:
        logging.getLogger("dowhy").setLevel(self._level)
        self._catch.__exit__(*failure)  # type: ignore[arg-type]
