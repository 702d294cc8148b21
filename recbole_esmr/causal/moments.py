"""Effects of what an item is on how people feel just after it, and whether chosen items tell what random ones tell."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from recbole_esmr.causal.linear import LinearFit, apart, fit_linear, within
from recbole_esmr.causal.traits import EXPOSURE, Traits
from recbole_esmr.data.moments import OUTCOMES, Moments
from recbole_esmr.errors import IdentificationError

PEOPLE, ROWS_A_COLUMN = 10, 5
"""Fewest people, and fewest rows for each column of a fit."""

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class MomentEffect:
    """Effect of a trait of an item on how somebody feels just after it.

    Attributes:
        treatment: the trait: an emotion (its whole share), a value of a column, or a column of numbers.
        outcome: ``valence_after`` or ``arousal_after``.
        unit: of the treatment: 1 of the column's own unit, or the whole share of an emotion.
        spread: SD of the treatment over the rows that were used.
        random, chosen: ``estimate``, ``low``, ``high``, ``rows``, ``people`` among the items that were drawn at random and
            those that somebody or a recommender chose; {} where there are too few.
        naive: slope among the chosen alone, nothing adjusted; NaN without any.
        difference: chosen − random: ``estimate``, ``low``, ``high``, ``p``; {} where one of them is missing.
    """

    treatment: str
    outcome: str
    unit: str
    spread: float
    random: dict[str, float] = field(default_factory=dict)
    chosen: dict[str, float] = field(default_factory=dict)
    naive: float = np.nan
    difference: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class MomentAnalysis:
    """Effects of the moment, what to be warned of, and what could not be estimated (``outcome``, ``rows``, ``reason``)."""

    effects: list[MomentEffect]
    warnings: list[str]
    skipped: list[dict[str, str]]

    def as_dict(self) -> dict[str, Any]:
        return {"effects": [effect.as_dict() for effect in self.effects], "skipped": self.skipped}


def effects_of_moments(moments: Moments, traits: Traits, level: float = 0.95) -> MomentAnalysis:
    r"""Effects of all traits of items on valence and on arousal just after them, estimated jointly within persons.

    .. math:: y^{after}_m = α_{u(m)} + τ^T z_{i(m)} + γ^T y^{before}_m + ε_m

    with z the traits of the item, y^before what was felt before it, and intervals clustered by person. Among items that were
    drawn at random τ is the effect of recommending such an item. Among chosen ones it is that only if the person and the moods
    before are all that drives both the choice and the mood after (back door); where both are there, their difference says
    whether it is so.

    Args:
        moments: rows that may be used.
        traits: of the items.
        level: confidence level.

    Returns:
        the effects per unit of the trait, in units of the scale from −1 to 1.
    """
    analysis = MomentAnalysis([], [], [])
    if not len(traits) or not len(moments):
        return analysis
    drawn, known = moments.random == 1, np.isfinite(moments.random)
    parts = {"random": drawn, "chosen": moments.random == 0 if known.any() else ~known}
    left_out = int((~known).sum())
    if known.any() and left_out:
        analysis.warnings.append(
            f"of {left_out:,} of {len(moments):,} moments nobody says whether the item was drawn at random: they are left out."
        )
    for place, outcome in enumerate(OUTCOMES):
        if not np.isfinite(moments.after[:, place]).any():
            continue
        fits: dict[str, _Fit] = {}
        for name, rows in parts.items():
            try:
                fits[name] = _fit(moments.take(rows), traits, place)
            except IdentificationError as error:
                analysis.skipped.append({"outcome": f"{outcome}_after", "rows": name, "reason": str(error)})
        found = _effects(fits, traits, f"{outcome}_after", level)
        analysis.effects.extend(found)
        analysis.warnings.extend(line for effect in found for line in _warnings(effect, bool(drawn.any())))
    return analysis


@dataclass(frozen=True)
class _Fit:
    """A fit of some rows: of the traits at ``columns``, which vary there apart from each other."""

    fit: LinearFit
    columns: np.ndarray
    people: np.ndarray
    rows: int
    spread: np.ndarray
    naive: np.ndarray


def _fit(moments: Moments, traits: Traits, place: int) -> _Fit:
    asked = np.isfinite(moments.before).sum(axis=0) > len(moments) / 2  # a mood that most rows lack adjusts for nothing
    before = moments.before[:, asked]
    known = np.isfinite(moments.after[:, place]) & np.isfinite(before).all(axis=1)
    moments, before = moments.take(known), before[known]
    value = traits.value[moments.item] * traits.unit
    people, count = np.unique(moments.user, return_counts=True)
    needed = ROWS_A_COLUMN * (len(traits) + before.shape[1])
    if len(moments) < needed or (count > 1).sum() < PEOPLE:
        raise IdentificationError(
            f"{len(moments)} moments of {len(people)} people are known before and after; {needed} of {PEOPLE} people are needed."
        )
    adjusted = np.column_stack([np.ones(len(moments)), within(before, moments.user)])
    columns = np.flatnonzero(apart(within(value, moments.user), adjusted))
    if not len(columns):
        raise IdentificationError("nothing of what items are varies within persons.")
    value, after = value[:, columns], moments.after[:, place]
    fit = fit_linear(after, value, before, moments.user, within_person=True)
    spread = value.std(axis=0)
    naive = ((value - value.mean(axis=0)) * (after - after.mean())[:, None]).mean(axis=0) / spread**2
    return _Fit(fit, columns, people, len(moments), spread, naive)


def _effects(fits: dict[str, _Fit], traits: Traits, outcome: str, level: float) -> list[MomentEffect]:
    if not fits:
        return []
    told: dict[str, dict[int, dict[str, float]]] = {"random": {}, "chosen": {}}
    for name, one in fits.items():
        low, high = one.fit.interval(level)
        for j, column in enumerate(one.columns.tolist()):
            told[name][column] = {
                "estimate": float(one.fit.estimate[j]), "low": float(low[j]), "high": float(high[j]),
                "rows": one.rows, "people": len(one.people),
            }  # fmt: skip
    found = []
    for column in sorted(told["random"].keys() | told["chosen"].keys()):
        chosen, either = fits.get("chosen"), next(one for one in fits.values() if column in one.columns)
        found.append(
            MomentEffect(
                treatment=traits.names[column].removeprefix(EXPOSURE),
                outcome=outcome,
                unit="1 of the column" if traits.unit[column] != 1 else "all of it",
                spread=float(either.spread[either.columns == column][0]),
                random=told["random"].get(column, {}),
                chosen=told["chosen"].get(column, {}),
                naive=float(chosen.naive[chosen.columns == column][0]) if chosen and column in chosen.columns else np.nan,
                difference=_difference(fits, column, level),
            )
        )
    return found


def _difference(fits: dict[str, _Fit], column: int, level: float) -> dict[str, float]:
    """Chosen − random, clustered by person: the same people may be in both."""
    from scipy.stats import t

    if len(fits) < 2 or any(column not in one.columns for one in fits.values()):
        return {}
    people = np.union1d(fits["chosen"].people, fits["random"].people)
    influence, gap = np.zeros(len(people)), 0.0
    for name, sign in (("chosen", 1), ("random", -1)):
        one = fits[name]
        j = int(np.flatnonzero(one.columns == column)[0])
        influence[np.searchsorted(people, one.people)] += sign * one.fit.influence[:, j]
        gap += sign * float(one.fit.estimate[j])
    error, free = float(np.sqrt((influence**2).sum())), len(people) - 1
    reach = float(t.ppf(0.5 + level / 2, free)) * error
    return {"estimate": gap, "low": gap - reach, "high": gap + reach, "p": float(2 * t.sf(abs(gap) / max(error, 1e-300), free))}


def _warnings(effect: MomentEffect, some_drawn: bool) -> list[str]:
    """What a reader of this line must know before believing what chosen items say; ``some_drawn``: whether any was random."""
    what = f"{effect.treatment} → {effect.outcome}"
    random, chosen = effect.random, effect.chosen
    if not chosen:
        return []
    said = f"{chosen['estimate']:+.3f} [{chosen['low']:+.3f}, {chosen['high']:+.3f}] by the items that were chosen"
    if not random:
        if _shows(chosen):
            few = "too few are" if some_drawn else "none is"
            return [
                f"{what}: {said}, and {few} known to be drawn at random, so this rests on the person and the mood before being "
                "all that drives both the choice and the mood after. Draw some items at random to find out."
            ]
        return []
    truth = f"{random['estimate']:+.3f} [{random['low']:+.3f}, {random['high']:+.3f}] by those drawn at random"
    reasons = []
    if effect.difference and effect.difference["p"] < SIGNIFICANCE:
        reasons.append(f"they differ (p = {effect.difference['p']:.3f})")
    if not random["low"] <= chosen["estimate"] <= random["high"]:
        reasons.append("the first lies outside the interval of the second")
    if _shows(random) and not _shows(chosen):
        reasons.append("the chosen items alone would not have shown this effect")
    if _shows(chosen) and not _shows(random) and effect.difference.get("p", 1.0) < SIGNIFICANCE:
        reasons.append("the chosen items alone would have shown an effect that random ones do not")
    return [f"{what}: {said}, {truth}: {'; '.join(reasons)}. Believe the random ones."] if reasons else []


def _shows(part: dict[str, float]) -> bool:
    return part["low"] > 0 or part["high"] < 0
