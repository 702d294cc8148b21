"""Effects of today's feed on tomorrow: identified, estimated with clustered intervals, refuted, weighed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

from recbole_esmr.causal.graph import NEXT
from recbole_esmr.causal.identification import back_door_set
from recbole_esmr.causal.linear import LinearFit, fit_linear
from recbole_esmr.causal.panel import Panel
from recbole_esmr.causal.refutation import refute, weighted_by_propensity
from recbole_esmr.causal.sensitivity import BENCHMARKS, explain_away
from recbole_esmr.causal.shrinkage import shrunk
from recbole_esmr.errors import IdentificationError

UNIT = 0.1
"""Effects are changes of the outcome for this much more of the treatment."""

STATES = ("all", "stable", "vulnerable")
WEAK = 10.0
"""Squared t of a treatment on what was shown below which the slate says too little of the exposure (Staiger and Stock 1997)."""


@dataclass(frozen=True)
class Effect:
    """An effect of +0.1 of a treatment on an outcome of the next day.

    Attributes:
        treatment, outcome, state: names; ``state`` is all, stable or vulnerable (today's valence at least or below 0).
        estimate, low, high, error: the effect, its interval and standard error, clustered by person, in units of the outcome.
        naive: the unadjusted association.
        n_user_days: rows it rests on.
        identified_by: ``slate`` (what was shown stands for the exposure) or ``back-door`` (what was watched, adjusted).
        backdoor: estimate, low and high by the back door on the same rows, and ``differs``, the p-value of its difference
            from the estimate (Hausman 1978, clustered): small where something unlogged drives both watching and mood.
        strength: squared t of the exposure on what was shown; None by the back door.
        refutations: name → statistic and whether it passed; tried only where the interval leaves out 0.
        passed: whether all refutations passed.
        weight: what the reward uses: the estimate (of a part: shrunk toward the whole) discounted by its uncertainty; 0 where the
            interval holds 0 or a refutation failed.
    """

    treatment: str
    outcome: str
    state: str
    estimate: float
    low: float
    high: float
    naive: float
    n_user_days: int
    error: float = np.nan
    identified_by: str = "back-door"
    backdoor: dict[str, float] = field(default_factory=dict)
    strength: float | None = None
    refutations: dict[str, dict[str, Any]] = field(default_factory=dict)
    passed: bool = True
    weight: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Method:
    """How effects are estimated.

    Attributes:
        graph: the assumed causal graph; outcomes are called ``next_NAME`` in it.
        level: confidence level of the intervals.
        placebos: simulations of each refuter.
        seed: of the refuters.
        slate: whether what was shown stands for the exposure where it is logged.
        within_person: person fixed effects.
    """

    graph: nx.DiGraph
    level: float = 0.95
    placebos: int = 20
    seed: int = 0
    slate: bool = True
    within_person: bool = False


def estimate_effects(panel: Panel, outcome: str, method: Method, state: str = "all") -> list[Effect]:
    """Effects of all treatments on one outcome, in one state, estimated jointly.

    With what was shown logged, :math:`x` is exposure, :math:`z` what was shown, :math:`w` the back-door set of z:

    .. math:: y_{t+1} = α + τ^T x_t + γ^T w_t + ε, \\quad E[z_t ε] = 0, \\quad effect = 0.1\\, τ

    by two-stage least squares; without it, z = x. Where the design has moderators m, x (m − mean) and z (m − mean) join x and
    z, so that τ is the mean effect over the user-days and not over those whose exposure the slate moves most.

    Raises:
        IdentificationError: the graph does not identify the effect, or there are too few user-days, no variation, or a slate that
            does not move the exposure.
    """
    design = panel.design
    instruments = design.instruments if method.slate else {}
    causes = [instruments.get(name, name) for name in design.treatments]
    adjust = _adjustment(method.graph, causes, design.treatments, outcome, bool(instruments))
    rows = _rows(panel, outcome, state)
    treatments = _varying(rows, design.treatments, instruments, outcome)
    return _estimate(rows, treatments, instruments, outcome, state, adjust, method, design.moderators)


def estimate_parts(panel: Panel, outcome: str, method: Method, whole: Sequence[Effect]) -> list[Effect]:
    """Effects of the exposure to single emotions, estimated jointly; their weights are shrunk toward the group's effect.

    Args:
        whole: effects of the groups on the same outcome, state all.

    Raises:
        IdentificationError: as of :func:`estimate_effects`.
    """
    design = panel.design
    instruments = design.part_instruments if method.slate else {}
    causes = [(design.instruments if method.slate else {}).get(name, name) for name in design.treatments]
    adjust = _adjustment(method.graph, causes, design.treatments, outcome, bool(instruments))
    rows = _rows(panel, outcome, "all")
    treatments = _varying(rows, tuple(design.parts), instruments, outcome)
    found = _estimate(rows, treatments, instruments, outcome, "all", adjust, method, refuted=False)
    groups = {effect.treatment: effect for effect in whole if effect.outcome == outcome and effect.state == "all"}
    weighed = []
    for name, group in groups.items():
        parts = [effect for effect in found if design.parts[effect.treatment] == name]
        weighed += weigh_parts(parts, group, method.level)
    return weighed


def weigh_parts(parts: Sequence[Effect], whole: Effect, level: float) -> list[Effect]:
    """The parts of a whole (its states, or a group's emotions) with weights from their shrunk estimates.

    A part inherits the refutations of the whole where it has none of its own.
    """
    if not parts:
        return []
    mean, error = shrunk(
        np.array([part.estimate for part in parts]), np.array([part.error for part in parts]), whole.estimate, whole.error
    )
    reach = (whole.high - whole.low) / (2 * whole.error) if whole.error > 0 else np.inf
    result = []
    for part, center, spread in zip(parts, mean, error, strict=True):
        passed = part.passed if part.refutations else whole.passed
        weight = discounted(float(center), float(spread)) if passed and abs(center) > reach * spread else 0.0
        result.append(replace(part, passed=passed, weight=weight))
    return result


def judged(effect: Effect) -> Effect:
    """The effect with its verdict and weight.

    .. math:: weight = \\hat τ · \\max(0, 1 - (se/\\hat τ)^2) · [0 ∉ interval] · [refutations passed]
    """
    passed = all(refutation["passed"] for refutation in effect.refutations.values())
    proven = passed and (effect.low > 0 or effect.high < 0)
    return replace(effect, passed=passed, weight=discounted(effect.estimate, effect.error) if proven else 0.0)


def discounted(estimate: float, error: float) -> float:
    """An estimate shrunk by its own uncertainty: the positive-part James–Stein factor max(0, 1 − (se/estimate)²)."""
    return estimate * (1 - (error / estimate) ** 2) if abs(error) < abs(estimate) else 0.0


def _adjustment(
    graph: nx.DiGraph, causes: Sequence[str], treatments: Sequence[str], outcome: str, slate: bool
) -> tuple[str, ...]:
    """Confounders of the causes and the outcome. By the slate, of the causes and the exposures too: the effect is their ratio."""
    found: set[str] = set()
    for cause, treatment in zip(causes, treatments, strict=True):
        if cause not in graph:
            continue
        found |= set(back_door_set(graph, cause, NEXT + outcome))
        if slate:
            found |= set(back_door_set(graph, cause, treatment))
    if not any(cause in graph for cause in causes):
        raise IdentificationError(f"the causal graph holds none of {', '.join(causes)}. Add their edges to causal_graph.")
    return tuple(sorted(found - set(causes) - set(treatments)))


def _rows(panel: Panel, outcome: str, state: str) -> pd.DataFrame:
    table = panel.table
    chosen = table[outcome].notna()
    if state != "all":
        chosen &= table["state"] == float(state == "vulnerable")
    rows = table[chosen]
    needed = 5 * (len(panel.design.confounders) + len(panel.design.treatments))
    if len(rows) < needed or rows["user"].nunique() < 10:
        where = "" if state == "all" else f" in the state {state}"
        raise IdentificationError(
            f"{len(rows)} user-days of {rows['user'].nunique()} people have a feed and a known {outcome} on the next day{where}; "
            f"an effect on tomorrow needs at least {needed} of 10 people."
        )
    if rows[outcome].std() < 1e-9:
        raise IdentificationError(f"{outcome} is the same on all user-days, so nothing can be said of what moves it.")
    return rows


def _varying(rows: pd.DataFrame, treatments: Sequence[str], instruments: Any, outcome: str) -> list[str]:
    varying = [n for n in treatments if rows[n].std() > 1e-9 and rows[instruments.get(n, n)].std() > 1e-9]
    if not varying:
        names = ", ".join(treatments)
        raise IdentificationError(f"{names}: the same on all user-days, so nothing can be said of an effect on {outcome}.")
    return varying


def _estimate(
    rows: pd.DataFrame, treatments: list[str], instruments: Any, outcome: str, state: str, adjust: tuple[str, ...],
    method: Method, moderators: Any = None, refuted: bool = True,
) -> list[Effect]:  # fmt: skip
    y, x = rows[outcome].to_numpy(float), rows[treatments].to_numpy(float)
    confounders, person = rows[list(adjust)], rows["user"].to_numpy()
    w = confounders.to_numpy(float)
    shown = [instruments[name] for name in treatments] if instruments else treatments
    z = rows[shown].to_numpy(float)
    moderated = [j for j, name in enumerate(treatments) if name in (moderators or {}) and len(rows) > 100 * len(treatments)]
    used_to = rows[[moderators[treatments[j]] for j in moderated]].to_numpy(float)
    used_to = used_to - used_to.mean(axis=0)
    moved, stood_for = (np.column_stack([value, value[:, moderated] * used_to]) for value in (x, z))
    main = fit_linear(y, moved, w, person, stood_for if instruments else None, method.within_person)
    watched = fit_linear(y, moved, w, person, None, method.within_person) if instruments else main
    low, high = main.interval(method.level)
    effects = []
    for j, name in enumerate(treatments):
        effect = Effect(
            treatment=name, outcome=outcome, state=state, estimate=UNIT * main.estimate[j], low=UNIT * low[j],
            high=UNIT * high[j], naive=UNIT * float(np.cov(x[:, j], y)[0, 1] / x[:, j].var(ddof=1)), n_user_days=len(rows),
            error=UNIT * main.error[j], identified_by="slate" if instruments else "back-door",
            backdoor=_beside(watched, main, j, method.level), strength=float(main.strength[j]) if instruments else None,
        )  # fmt: skip
        if refuted and (effect.low > 0 or effect.high < 0):
            others = rows[[other for other in shown if other != shown[j]]]
            refutations = _refutations(main, j, x[:, j], y, z[:, j], confounders, others, method)
            effect = replace(effect, refutations=refutations)
        effects.append(judged(effect))
    return effects


def _beside(watched: LinearFit, main: LinearFit, j: int, level: float) -> dict[str, float]:
    """The back-door estimate, and whether it differs from the main one."""
    from scipy.stats import norm

    low, high = watched.interval(level)
    spread = np.sqrt(((watched.influence[:, j] - main.influence[:, j]) ** 2).sum())
    gap = watched.estimate[j] - main.estimate[j]
    p = float(2 * norm.sf(abs(gap) / spread)) if spread > 1e-15 else 1.0
    return {"estimate": UNIT * watched.estimate[j], "low": UNIT * low[j], "high": UNIT * high[j], "differs": p}


def _refutations(
    fit: LinearFit, j: int, exposure: np.ndarray, outcome: np.ndarray, cause: np.ndarray, confounders: pd.DataFrame,
    others: pd.DataFrame, method: Method,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    estimate, error, known = fit.estimate[j], fit.error[j], pd.concat([confounders, others], axis=1)
    slope = pd.DataFrame({"treatment": fit.cleaned[:, j], "outcome": fit.outcome})
    refutations = refute(slope, estimate, error, method.placebos, method.seed)
    for refutation in refutations.values():
        refutation["statistic"] *= UNIT
    weighted = UNIT * weighted_by_propensity(fit.cleaned[:, j], exposure, outcome, known)
    refutations["propensity_weighting"] = {
        "statistic": weighted,
        "passed": bool(abs(weighted - UNIT * estimate) < 2.58 * UNIT * error),
    }
    strongest = confounders.corrwith(pd.Series(outcome, index=confounders.index)).abs().nlargest(BENCHMARKS).index
    refutations["unobserved_common_cause"] = explain_away(cause, outcome, known, tuple(strongest), method.seed)
    if np.isfinite(fit.strength[j]):
        refutations["slate_moves_exposure"] = {"statistic": float(fit.strength[j]), "passed": bool(fit.strength[j] > WEAK)}
    return refutations
