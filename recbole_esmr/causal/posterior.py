"""Many effects at once: one test whether there is any, and what is to be believed of each where there is."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from recbole_esmr.errors import IdentificationError

_SPREADS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Spreads of the effects that are tried, in standard errors of the estimates."""

_LIKENESS = (0.5, 0.9)
"""Correlations of an effect on one day after with the same on another."""

_LASTING = (0.6, 1.0)
"""Shares of an effect that are left a day later."""

_DRAWS = 2000
"""Logs without any effect that the test is held against."""


@dataclass(frozen=True)
class Posterior:
    """What is believed of m effects.

    Attributes:
        mean: (m,); covariance: (m, m).
        p_value: that no effect is other than 0, of one test of all of them.
    """

    mean: np.ndarray
    covariance: np.ndarray
    p_value: float

    def of(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of linear combinations, (S, m) → (S,) each."""
        spread = np.einsum("sm,mn,sn->s", sums, self.covariance, sums)
        return sums @ self.mean, np.sqrt(np.maximum(spread, 0.0))


def posterior(
    estimate: np.ndarray, covariance: np.ndarray, group: np.ndarray, trait: np.ndarray, day: np.ndarray, signed: np.ndarray,
    people: int, seed: int = 0,
) -> Posterior:  # fmt: skip
    r"""Empirical Bayes for effects that are estimated with errors that go together.

    .. math:: \hat b \sim N(b, V), \quad b \sim N(0, Σ_θ), \quad
              Σ_θ = \big(ω^2 [g = g'] + τ^2 [f = f']\big)\, δ^{d} δ^{d'} \big(ρ + (1 - ρ) [d = d']\big)

    with g the group of a trait f (the sign of an emotion) and d the days after. An effect is the group's mean, which is itself
    drawn around 0, and a deviation of its own; δ is left of it a day later, and ρ says how alike it is from day to day. Traits
    that are no emotions have a deviation alone, of a spread of their own. Each θ of a grid counts by the likelihood of the
    estimates (Morris 1983; the grid stands for a flat hyperprior), so that an uncertain spread is not taken for a known one.

    The test is of the mean likelihood ratio of that grid (a Bayes factor used as a statistic, Good 1992), held against what logs
    without an effect give, drawn from N(0, V) with Hotelling's correction for a V that is itself estimated. It looks where
    effects may be expected (alike within a group, alike from day to day), and so finds a faint common effect that a test of all
    m against all alternatives would miss; and one emotion alone, where the group's mean is 0.

    Args:
        estimate: (m,); covariance: (m, m) of the estimates.
        group, trait, day: (m,) codes; ``day`` counts from 0.
        signed: (m,) bool, whether the trait is an emotion.
        people: clusters that the covariance was made of.
        seed: of the draws.

    Raises:
        IdentificationError: too few people to tell so many effects apart.
    """
    size = len(estimate)
    if people <= size + 2:
        raise IdentificationError(f"{people} people have days that say something; {size} effects need at least {size + 3}.")
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    root = np.linalg.cholesky(correlation + 1e-9 * np.eye(size))
    unmixed = np.linalg.solve(root, np.diag(1 / scale))  # V^(-1/2)
    rng = np.random.default_rng(seed)
    tail = np.sqrt((people - 1) / rng.chisquare(people - size, _DRAWS))[:, None]
    draws = np.vstack([unmixed @ estimate, rng.standard_normal((_DRAWS, size)) * tail])
    same_group, same_trait = np.equal.outer(group, group) & np.logical_and.outer(signed, signed), np.equal.outer(trait, trait)
    kinds = [signed, ~signed]
    unit = [float(np.median(scale[kind])) if kind.any() else 0.0 for kind in kinds]
    grid = itertools.product(
        _SPREADS if signed.any() else (0.0,), _SPREADS if signed.any() else (0.0,), _SPREADS[:4] if (~signed).any() else (0.0,),
        _LIKENESS, _LASTING if day.any() else (1.0,),
    )  # fmt: skip
    likelihood, believed = [], []
    for common, own, other, alike, lasting in grid:
        if common == own == other == 0:
            continue
        left = lasting ** day.astype(float)
        days = np.outer(left, left) * np.where(np.equal.outer(day, day), 1.0, alike)
        deviation = np.where(np.logical_and.outer(signed, signed), (own * unit[0]) ** 2, (other * unit[1]) ** 2)
        prior = ((common * unit[0]) ** 2 * same_group + deviation * same_trait) * days
        power, turn = np.linalg.eigh(unmixed @ prior @ unmixed.T)
        power = np.maximum(power, 0.0)
        share = power / (1 + power)
        likelihood.append(0.5 * (draws @ turn) ** 2 @ share - 0.5 * np.log1p(power).sum())
        believed.append((turn * share) @ turn.T)
    table = np.array(likelihood)  # (grid, 1 + draws)
    most = table.max(axis=0)
    ratio = most + np.log(np.exp(table - most).mean(axis=0))
    weight = np.exp(table[:, 0] - most[0])
    weight /= weight.sum()
    back = scale[:, None] * root  # V^(1/2)
    means = np.stack(believed) @ draws[0]
    mean = weight @ means
    between = np.einsum("g,gm,gn->mn", weight, means - mean, means - mean)
    spread = np.einsum("g,gmn->mn", weight, np.stack(believed)) + between
    return Posterior(back @ mean, back @ spread @ back.T, float((1 + (ratio[1:] >= ratio[0]).sum()) / (1 + _DRAWS)))
