"""Effects of what items are on the mood of the days after: all traits and days at once, days without a report included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.causal.effects import UNIT, Effect, Method, adjustment, refutations_of, rows_of
from recbole_esmr.causal.estimates import Estimates, prediction_powered
from recbole_esmr.causal.linear import apart, fit_linear
from recbole_esmr.causal.panel import SIGN_EXPOSURES, Design, Panel
from recbole_esmr.causal.posterior import Posterior, posterior
from recbole_esmr.causal.traits import SIGNS
from recbole_esmr.errors import IdentificationError

PEOPLE_AN_EFFECT = 4
"""People for each effect that is asked after, at least."""

Worth = Callable[[int], np.ndarray]
"""What an effect counts on each of so many days after (:func:`~recbole_esmr.causal.carry_over.worth_of_days`)."""


def estimate_traits(panel: Panel, method: Method, worth: Worth) -> list[Effect]:
    r"""Effects of the exposure to every trait of items on valence, over the days after.

    For each day after h = 1 … H the valence of the day t + h is regressed on the exposures of t, all at once, by two-stage least
    squares where what was shown is logged (a local projection by instruments, Jordà 2005; Stock and Watson 2018): the effect of a
    day's feed, with all that comes of it under the log's own policy. All H · F estimates go through one closed test and one
    empirical Bayes (:mod:`~recbole_esmr.causal.posterior`). What a trait weighs is its posterior worth

    .. math:: w_f = \hat m_f \cdot \frac{\sum_g \hat m_g^2}{\sum_g \hat m_g^2 + s_g^2}, \quad m_f = \sum_h worth_h\, b_{hf}

    with one discount for all, so that what a slate is moved toward stays the posterior mean (each effect's own discount would
    take away the faint ones and with them the direction); or 0, of all traits, where the test does not reject at half of
    1 − level (what passes here acts on everybody, so it is held to more than a line of a table) or the feed's promise
    :math:`\sum_f w_f x_f` is refuted.

    Args:
        panel: with traits.
        method: graph, level, refutations.
        worth: of an effect on each day after, relative to one that begins tomorrow and then fades; asked for as many days as
            the reports reach.

    Raises:
        IdentificationError: as of :func:`~recbole_esmr.causal.effects.estimate_effects`, of tomorrow.
    """
    question = _Question.of(panel, method)
    fits = [question.answer(day) for day in range(len(question.later))]
    every = Estimates.joined(fits)
    groups = [panel.design.traits[name] for name in question.traits]
    days, traits = (x.ravel() for x in np.indices((len(fits), len(groups))))
    group = np.unique(groups, return_inverse=True)[1]
    signed = np.isin([name.partition(",")[0] for name in groups], SIGNS)  # whatever the state of the day
    believed = posterior(every.value, every.covariance, group[traits], traits, days, signed[traits], every.people, method.seed)
    effects = question.described(every, believed, worth(len(fits)))
    if all(effect.weight == 0 for effect in effects):
        return effects
    tried = question.promise_refuted(fits, np.array([effect.weight for effect in effects]))
    passed = all(refutation["passed"] for refutation in tried.values())
    return [replace(x, refutations=tried, passed=passed, weight=x.weight if passed else 0.0) for x in effects]


@dataclass(frozen=True)
class _Question:
    """What is asked of a panel.

    Attributes:
        traits: the treatments that are asked after; others: those that are estimated with them.
        shown: the column of what was shown for each; the exposure's own where that is not logged.
        adjust: columns of what came before.
        later: the days after of which enough is known.
    """

    panel: Panel
    method: Method
    traits: tuple[str, ...]
    others: tuple[str, ...]
    shown: Mapping[str, str]
    adjust: tuple[str, ...]
    later: tuple[str, ...]

    @classmethod
    def of(cls, panel: Panel, method: Method) -> _Question:
        """After all traits that vary apart from what comes before them in the list.

        Where people are few, fewer days after are asked, and then fewer traits, the first: a test of as many effects as there are
        people says nothing of any. What is not asked after is still estimated with the others.
        """
        design: Design = panel.design
        others = tuple(name for name in design.treatments if name not in SIGN_EXPOSURES)
        every = (*others, *design.traits)
        known = {**design.trait_instruments, **design.instruments} if method.slate else {}
        shown = {name: known.get(name, name) for name in every}
        adjust = adjustment(method.graph, design, design.later[0], method.slate)
        rows, later = rows_of(panel, design.later[0], "all"), design.later[:1]
        for name in design.later[1:]:
            try:
                rows = rows_of(panel, name, "all")
            except IdentificationError:
                break  # the reports do not reach so far
            later += (name,)
        varying = _varying(rows, every, shown, adjust)
        traits = tuple(name for name in design.traits if name in varying)
        if not traits:
            raise IdentificationError("nothing of what items are varies apart from what came before.")
        most = max(rows["user"].nunique() // PEOPLE_AN_EFFECT, 1)
        later = later[: max(most // len(traits), 1)]
        beside = tuple(name for name in (*others, *traits[most:]) if name in varying)
        return cls(panel, method, traits[:most], beside, shown, adjust, later)

    @property
    def by_slate(self) -> bool:
        return any(name != shown for name, shown in self.shown.items())

    def answer(self, day: int) -> Estimates:
        """Estimates for one day after, of all people: of its reports, and of what is told of the days without one."""
        design, method = self.panel.design, self.method
        rows = rows_of(self.panel, self.later[day], "all")
        reports = self._fit(rows, self.later[day], method.slate)
        if not design.told:
            return reports
        told = design.told[day]
        everywhere = self.panel.table[self.panel.table[told].notna()]
        both = rows[rows[told].notna()]
        if len(both) < len(rows) // 2 or len(everywhere) <= len(both):
            return reports
        try:
            return prediction_powered(reports, *(self._fit(part, told, method.slate) for part in (both, everywhere)))
        except IdentificationError:
            return reports  # what is told does not vary enough to help

    def _fit(self, rows: pd.DataFrame, outcome: str, slate: bool) -> Estimates:
        treatments = [*self.traits, *self.others]
        shown = rows[[self.shown[name] for name in treatments]].to_numpy(float) if slate and self.by_slate else None
        fit = fit_linear(
            rows[outcome].to_numpy(float), rows[treatments].to_numpy(float), rows[list(self.adjust)].to_numpy(float),
            rows["user"].to_numpy(), shown, self.method.within_person,
        )  # fmt: skip
        influence = np.zeros((int(self.panel.table["user"].max()) + 1, len(self.traits)))
        influence[np.unique(rows["user"])] = fit.influence[:, : len(self.traits)]
        return Estimates(fit.estimate[: len(self.traits)], influence)

    def described(self, every: Estimates, believed: Posterior, worth: np.ndarray) -> list[Effect]:
        """One effect a trait: tomorrow's estimate and interval, each day after, their sum, what is believed, what it weighs."""
        later, reach, count = self.later, self.method.reach, len(self.traits)
        rows = rows_of(self.panel, later[0], "all")
        outcome = rows[later[0]].to_numpy(float)
        watched = self._fit(rows, later[0], slate=False)
        each = np.tile(np.eye(count), len(later))  # (F, m) picks the days of a trait
        total, (mean, spread) = every.of(each), believed.of(each * np.repeat(worth, count))
        proven = believed.p_value < (1 - self.method.level) / 2
        sure = float((mean**2).sum() / max((mean**2 + spread**2).sum(), 1e-300)) if proven else 0.0
        value, error = (x.reshape(len(later), count) for x in (every.value, every.error))
        effects = []
        for j, name in enumerate(self.traits):
            exposure = rows[name].to_numpy(float)
            days = [_interval(value[day, j], error[day, j], reach) for day in range(len(later))]
            effects.append(
                Effect(
                    treatment=name,
                    outcome=later[0],
                    state="all",
                    estimate=days[0]["estimate"],
                    low=days[0]["low"],
                    high=days[0]["high"],
                    naive=UNIT * float(np.cov(exposure, outcome)[0, 1] / exposure.var(ddof=1)),
                    n_user_days=len(rows),
                    error=UNIT * error[0, j],
                    detectable=UNIT * self.method.detectable(error[0, j]),
                    identified_by="slate" if self.by_slate else "back-door",
                    backdoor=_interval(watched.value[j], watched.error[j], reach),
                    shrunk=_interval(mean[j], spread[j], reach),
                    by_day=days,
                    together=_interval(total.value[j], total.error[j], reach),
                    joint=believed.p_value,
                    weight=UNIT * sure * float(mean[j]),
                )
            )
        return effects

    def promise_refuted(self, fits: list[Estimates], weight: np.ndarray) -> dict[str, dict[str, Any]]:
        """Attempts to refute the effect of what a feed promises, on the day after on which it is clearest."""
        weight = weight / np.abs(weight).max()
        promised = [fit.of(weight[None]) for fit in fits]
        later = self.later[int(np.argmax([abs(x.value[0]) / max(x.error[0], 1e-300) for x in promised]))]
        rows = rows_of(self.panel, later, "all")
        sides = {"promise": list(self.traits), "shown_promise": [self.shown[name] for name in self.traits]}
        rows = rows.assign(**{name: rows[columns].to_numpy(float) @ weight for name, columns in sides.items()})
        pairs = {"promise": "shown_promise" if self.by_slate else "promise", **{name: self.shown[name] for name in self.others}}
        return refutations_of(rows, pairs, later, self.adjust, self.method)


def _interval(value: float, error: float, reach: float) -> dict[str, float]:
    """Of an effect of +0.1."""
    return {name: float(UNIT * (value + side * reach * error)) for name, side in (("estimate", 0), ("low", -1), ("high", 1))}


def _varying(rows: pd.DataFrame, names: Sequence[str], shown: Mapping[str, str], adjust: Sequence[str]) -> set[str]:
    """Those that vary apart from what is adjusted for and from those before them, both as watched and as shown."""
    known = np.column_stack([np.ones(len(rows)), rows[list(adjust)].to_numpy(float)])
    watched = apart(rows[list(names)].to_numpy(float), known)
    offered = apart(rows[[shown[name] for name in names]].to_numpy(float), known, among=watched)
    return {name for name, both in zip(names, watched & offered, strict=True) if both}
