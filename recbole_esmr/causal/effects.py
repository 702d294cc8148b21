"""Effects of today's feed on tomorrow: identified, estimated with clustered intervals, refuted, weighed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

from recbole_esmr.causal.graph import NEXT
from recbole_esmr.causal.identification import back_door_set, require_exclusion
from recbole_esmr.causal.linear import LinearFit, fit_linear, within
from recbole_esmr.causal.panel import Design, Panel
from recbole_esmr.causal.refutation import ROWS, refute, weighted_by_propensity
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
        detectable: the smallest effect that would have been found with a chance of 80 %: its interval would leave out 0.
        identified_by: ``slate`` (what was shown stands for the exposure) or ``back-door`` (what was watched, adjusted).
        backdoor: estimate, low and high by the back door on the same rows, and ``differs``, the p-value of its difference
            from the estimate (Hausman 1978, clustered): small where something unlogged drives both watching and mood.
        strength: squared t of the exposure on what was shown; None by the back door.
        shrunk: what the weight rests on. Of a state: estimate, low and high after shrinkage toward the whole. Of a trait of
            items: the posterior of its worth (:mod:`~recbole_esmr.causal.lagged`).
        by_day, together: of a trait: estimate, low and high on each day after, and of their sum.
        report_days: the estimates on days with a report of today's mood and on days whose mood was inferred, and ``differs``, the
            p-value of their difference: small where inferring moods distorts the effect.
        refutations: name → statistic and whether it passed; tried only in all user-days, where the interval leaves out 0. Of a
            trait: of what all of them together promise.
        passed: whether all refutations passed.
        joint: p-value that none of the treatments that were estimated together moves the outcome.
        weight: the estimate (of a state: shrunk toward the whole; of a trait: its posterior worth, which the reward uses)
            discounted by its uncertainty; 0 where a refutation failed, where all treatments together prove nothing and, but of a
            trait, where the interval holds 0.
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
    detectable: float = np.nan
    identified_by: str = "back-door"
    backdoor: dict[str, float] = field(default_factory=dict)
    strength: float | None = None
    shrunk: dict[str, float] = field(default_factory=dict)
    by_day: list[dict[str, float]] = field(default_factory=list)
    together: dict[str, float] = field(default_factory=dict)
    report_days: dict[str, float] = field(default_factory=dict)
    refutations: dict[str, dict[str, Any]] = field(default_factory=dict)
    passed: bool = True
    joint: float = np.nan
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

    @property
    def reach(self) -> float:
        """Half-width of an interval in standard errors, for many people."""
        from scipy.stats import norm

        return float(norm.ppf(0.5 + self.level / 2))

    def detectable(self, error: float) -> float:
        """The smallest effect whose interval leaves out 0 with a chance of 80 % (minimum detectable effect, Bloom 1995)."""
        from scipy.stats import norm

        return float((self.reach + norm.ppf(0.8)) * error)


def estimate_effects(panel: Panel, outcome: str, method: Method, state: str = "all") -> list[Effect]:
    r"""Effects of all treatments on one outcome, in one state, estimated jointly.

    With what was shown logged, :math:`x` is exposure, :math:`z` what was shown, :math:`w` the back-door set of z:

    .. math:: y_{t+1} = α + τ^T x_t + γ^T w_t + ε, \quad E[z_t ε] = 0, \quad effect = 0.1\, τ

    by two-stage least squares; without it, z = x. Where the design has moderators m, x (m − mean) and z (m − mean) join x and
    z, so that τ is the mean effect over the user-days and not over those whose exposure the slate moves most.

    Raises:
        IdentificationError: the graph does not identify the effect, or there are too few user-days, no variation, or a slate that
            does not move the exposure.
    """
    design = panel.design
    instruments = design.instruments if method.slate else {}
    adjust = adjustment(method.graph, design, outcome, method.slate)
    rows = rows_of(panel, outcome, state)
    treatments = _varying(rows, design.treatments, instruments, outcome)
    return _estimate(rows, treatments, instruments, outcome, state, adjust, method, design.moderators)


def weigh_parts(parts: Sequence[Effect], whole: Effect, reach: float) -> list[Effect]:
    """The parts of a whole (its states) with weights from their shrunk estimates.

    A part inherits the refutations of the whole where it has none of its own; where neither was tried its weight is 0, as it is
    where the shrunk interval (``reach`` standard errors each way) holds 0 or the joint test of the whole does not reject at that
    level.
    """
    from scipy.stats import norm

    if not parts:
        return []
    nothing = whole.joint >= 2 * norm.sf(reach)
    mean, error = shrunk(
        np.array([part.estimate for part in parts]), np.array([part.error for part in parts]), whole.estimate, whole.error
    )
    result = []
    for part, center, spread in zip(parts, mean.tolist(), error.tolist(), strict=True):
        tried = bool(part.refutations or whole.refutations)
        passed = part.passed if part.refutations else whole.passed
        proven = tried and passed and abs(center) > reach * spread and not nothing
        interval = {"estimate": center, "low": center - reach * spread, "high": center + reach * spread}
        result.append(replace(part, passed=passed, shrunk=interval, weight=discounted(center, spread) if proven else 0.0))
    return result


def judged(effect: Effect, level: float) -> Effect:
    r"""The effect with its verdict and weight.

    .. math:: weight = \hat τ · \max(0, 1 - (se/\hat τ)^2) · [0 ∉ interval] · [refutations passed] · [p_{joint} < 1 - level]

    The joint test comes first (a closed testing procedure, Marcus et al. 1976): to ask after several effects may not find one
    more often than to ask after one.
    """
    passed = all(refutation["passed"] for refutation in effect.refutations.values())
    proven = passed and (effect.low > 0 or effect.high < 0) and not effect.joint >= 1 - level
    return replace(effect, passed=passed, weight=discounted(effect.estimate, effect.error) if proven else 0.0)


def discounted(estimate: float, error: float) -> float:
    """An estimate shrunk by its own uncertainty: the positive-part James–Stein factor max(0, 1 − (se/estimate)²)."""
    return estimate * (1 - (error / estimate) ** 2) if abs(error) < abs(estimate) else 0.0


def adjustment(graph: nx.DiGraph, design: Design, outcome: str, slate: bool) -> tuple[str, ...]:
    """Confounders of the causes and the outcome. By the slate, of the causes and the exposures too: the effect is their ratio."""
    instruments = design.instruments if slate else {}
    causes = [instruments.get(name, name) for name in design.treatments]
    found: set[str] = set()
    for cause, treatment in zip(causes, design.treatments, strict=True):
        found |= set(back_door_set(graph, cause, NEXT + outcome))
        if instruments:
            found |= set(back_door_set(graph, cause, treatment))
    found -= {*causes, *design.treatments}
    if instruments:
        require_exclusion(graph, causes, design.treatments, NEXT + outcome, found)
    return tuple(sorted(found))


def rows_of(panel: Panel, outcome: str, state: str) -> pd.DataFrame:
    """The user-days of a state on which an outcome is known.

    Raises:
        IdentificationError: too few of them, of too few people, or an outcome that never varies.
    """
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
    method: Method, moderators: Any = None,
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
    joint = main.joint_test(len(treatments))
    effects = []
    for j, name in enumerate(treatments):
        effect = Effect(
            treatment=name, outcome=outcome, state=state, estimate=UNIT * main.estimate[j], low=UNIT * low[j],
            high=UNIT * high[j], naive=UNIT * float(np.cov(x[:, j], y)[0, 1] / x[:, j].var(ddof=1)), n_user_days=len(rows),
            error=UNIT * main.error[j], detectable=UNIT * method.detectable(main.error[j]),
            identified_by="slate" if instruments else "back-door",
            backdoor=_beside(watched, main, j, method.level), strength=float(main.strength[j]) if instruments else None,
            joint=joint,
        )  # fmt: skip
        effects.append(effect)
    if "reported_today" in adjust and state == "all":
        effects = _by_report(effects, rows, moved, stood_for if instruments else None, y, adjust, method)
    judgements = []
    for j, effect in enumerate(effects):
        if state == "all" and (effect.low > 0 or effect.high < 0):
            others = rows[[other for other in shown if other != shown[j]]]
            known = pd.concat([confounders, others], axis=1)
            tried = _refutations(main, j, x[:, j], y, z[:, j], known, list(adjust), person, method)
            effect = replace(effect, refutations=tried)
        judgements.append(judged(effect, method.level))
    return judgements


def _by_report(
    effects: list[Effect], rows: pd.DataFrame, x: np.ndarray, z: np.ndarray | None, y: np.ndarray, adjust: tuple[str, ...],
    method: Method,
) -> list[Effect]:  # fmt: skip
    """The effects with their estimates on days with and without a report of today's mood."""
    from scipy.stats import norm

    fits = []
    names = [name for name in adjust if name != "reported_today"]
    for part in (rows["reported_today"] == 1, rows["reported_today"] != 1):
        chosen = part.to_numpy()
        if chosen.sum() < 5 * (len(names) + x.shape[1]) or rows["user"][chosen].nunique() < 10:
            return effects
        w, person = rows[names].to_numpy(float)[chosen], rows["user"].to_numpy()[chosen]
        try:
            shown = None if z is None else z[chosen]
            fits.append(fit_linear(y[chosen], x[chosen], w, person, shown, method.within_person))
        except IdentificationError:
            return effects  # too little varies on those days to compare
    said, inferred = fits
    result = []
    for j, effect in enumerate(effects):
        gap, spread = said.estimate[j] - inferred.estimate[j], np.hypot(said.error[j], inferred.error[j])
        days = {"reported": UNIT * said.estimate[j], "inferred": UNIT * inferred.estimate[j]}
        result.append(replace(effect, report_days=days | {"differs": float(2 * norm.sf(abs(gap) / spread))}))
    return result


def _beside(watched: LinearFit, main: LinearFit, j: int, level: float) -> dict[str, float]:
    """The back-door estimate, and whether it differs from the main one."""
    from scipy.stats import norm

    low, high = watched.interval(level)
    spread = np.sqrt(((watched.influence[:, j] - main.influence[:, j]) ** 2).sum())
    gap = watched.estimate[j] - main.estimate[j]
    p = float(2 * norm.sf(abs(gap) / spread)) if spread > 1e-15 else 1.0
    return {"estimate": UNIT * watched.estimate[j], "low": UNIT * low[j], "high": UNIT * high[j], "differs": p}


def refutations_of(
    rows: pd.DataFrame, pairs: Mapping[str, str], outcome: str, adjust: tuple[str, ...], method: Method
) -> dict[str, dict[str, Any]]:
    """Attempts to refute the effect of the first treatment, estimated jointly with the others.

    Args:
        rows: user-days on which the outcome is known.
        pairs: what was shown for each treatment; the treatment itself where that is not known.
    """
    treatments, shown = list(pairs), list(pairs.values())
    y, x, z = rows[outcome].to_numpy(float), rows[treatments].to_numpy(float), rows[shown].to_numpy(float)
    w, person = rows[list(adjust)], rows["user"].to_numpy()
    fit = fit_linear(y, x, w.to_numpy(float), person, z if shown != treatments else None, method.within_person)
    known = pd.concat([w, rows[shown[1:]]], axis=1)
    return _refutations(fit, 0, x[:, 0], y, z[:, 0], known, list(adjust), person, method)


def _refutations(
    fit: LinearFit, j: int, exposure: np.ndarray, outcome: np.ndarray, cause: np.ndarray, known: pd.DataFrame,
    confounders: list[str], person: np.ndarray, method: Method,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    estimate, error = fit.estimate[j], fit.error[j]
    slope = pd.DataFrame({"treatment": fit.cleaned[:, j], "outcome": fit.outcome})
    refutations = refute(slope, error, method.placebos, method.seed)
    for refutation in refutations.values():
        refutation["statistic"] *= UNIT
    if method.within_person:
        known = pd.DataFrame(within(known.to_numpy(float), person), columns=known.columns)
        outcome, exposure, cause = within(np.column_stack([outcome, exposure, cause]), person).T
    if known.shape[1]:
        weighted = weighted_by_propensity(fit.cleaned[:, j], exposure, outcome, known)
        sampled = error * np.sqrt(max(1.0, len(outcome) / ROWS))
        refutations["propensity_weighting"] = {
            "statistic": UNIT * weighted,
            "passed": bool(abs(weighted - estimate) < 2.58 * sampled),
        }
        drives = known[confounders].std() > 1e-9
        names = drives.index[drives]
        tied = pd.DataFrame({end: [abs(np.corrcoef(known[name], value)[0, 1]) for name in names] for end, value in
                             (("cause", cause), ("outcome", outcome))}, index=names)  # fmt: skip
        strongest = tied.prod(axis=1).nlargest(BENCHMARKS).index
        refutations["unobserved_common_cause"] = explain_away(cause, outcome, known, tuple(strongest), method.seed)
    if np.isfinite(fit.strength[j]):
        refutations["slate_moves_exposure"] = {"statistic": float(fit.strength[j]), "passed": bool(fit.strength[j] > WEAK)}
    return refutations
