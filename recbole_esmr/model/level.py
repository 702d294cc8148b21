"""The level model: where a person's valence lives, how it swings around that, and what tomorrow brings by the reports alone."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from recbole_esmr.data.user_days import spaced

NORMAL_80 = 1.2815515655446004
"""Half-width of the central 80 % of a normal distribution, in standard deviations."""

FORESEEN = ("mean", "log of the scale", "logit of a negative day")
"""What the level model says of tomorrow; the logit lies within ±8."""

SWINGS, INERTIAS = 5, 3
"""Gauss–Hermite nodes of how much people swing from day to day, and of how long a swing lasts."""

WIDE = 10.0
"""Variance that a rare day adds to a report, in variances of the person's days."""

COARSE = 0.1
"""Least standard deviation of a report's noise, in those of all reports: no answer on a scale is exact."""

PEOPLE, REPORTS = 500, 100
"""Most people, and most reports of each (the last), that the model is fitted on."""

CELLS = 200_000
"""Person-days that are foretold at once."""

UNFITTED = (0.0, math.log(0.3), math.log(0.25), math.log(0.4), 0.5, math.log(0.5), 0.0, -3.0)
"""The hyperparameters before any data: a home base near 0, days that differ by a quarter of the scale's half."""

PULL = (1e3, 1.5, 1.5, 0.7, 1.5, 0.5, 1.5, 1.0)
"""Standard deviations of the weak normal priors that keep the hyperparameters finite where data say little."""

FURTHEST = 6.0
"""How far from its prior's mean a hyperparameter may go."""


class _People(NamedTuple):
    """What the hyperparameters say of people, as tensors or as arrays; K nodes, each a kind of person."""

    home: Any  # () mean of the home bases
    between: Any  # () their variance
    swing: Any  # (K,) variance of the swing around home
    noise: Any  # (K,) variance of a report's noise
    inertia: Any  # (K,) correlation of two days' swings
    log_share: Any  # (K,) log of the share of people
    rare: Any  # () logit of the chance of a rare day


class _Posterior(NamedTuple):
    """A person after 0 … R reports, by kind; (U, R + 1, K) each."""

    home: Any
    swing: Any
    home_variance: Any
    covariance: Any
    swing_variance: Any
    log_share: Any


class LevelModel(nn.Module):
    r"""A hierarchical state-space model of the reported valence, with partial pooling of level, inertia and variance.

    .. math::
        v_{it} &= μ_i + a_{it} + ε_{it}, \qquad a_{it} = φ_i\, a_{i,t-1} + η_{it} \\
        μ_i &\sim N(m, τ^2), \quad \log s_i \sim N(\log s, κ^2), \quad \operatorname{logit} φ_i \sim N(\bar φ, ω^2) \\
        a_{it} &\sim N(0, ρ s_i^2), \qquad ε_{it} \sim (1 - π) N(0, r_i) + π N(0, r_i + 10 s_i^2), \quad r_i = (1 - ρ) s_i^2 + r_0

    μ is the person's home base, a the swing around it with its inertia φ, s the person's own day-to-day spread; once in a while
    (π) a day is far out and says little of the days after it. A day without a report is a day on which nothing is learned, so
    gaps count as the time that they are. Given s and φ this is a Kalman filter; s and φ are integrated out over a grid of
    Gauss–Hermite nodes, each weighed by how likely it makes the person's reports, and the two kinds of days are made one normal
    distribution again after each report (a Gaussian sum filter). The eight hyperparameters are fitted by maximum likelihood of
    all people's reports, with weak priors (empirical Bayes).

    After Kalman (1960), Alspach and Sorenson (1972, Gaussian sums), Kuppens et al. (2010, inertia of emotions), and Asparouhov,
    Hamaker and Muthén (2018, dynamic structural equation models).
    """

    weights: Tensor
    coarseness: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(UNFITTED, dtype=torch.float64))
        self.register_buffer("coarseness", torch.tensor((COARSE * 0.25) ** 2, dtype=torch.float64))

    def fit(self, tables: Sequence[np.ndarray]) -> None:
        """Fit the hyperparameters to the reports of people; too few (no person with two) leave them as they are.

        Args:
            tables: of each data set the valence (U, D) in [−1, 1], NaN where there is no report or it must not be read.
        """
        from scipy.optimize import minimize

        reports = [_reports(some, REPORTS) for table in tables for some in (_some(table),) if len(some)]
        if not reports:
            return
        valence, day = _stacked(reports)
        said = valence[torch.isfinite(valence)]
        spread = max(float(said.std()), 0.02)
        prior = np.array(UNFITTED)
        prior[:3] = float(said.mean()), math.log(0.8 * spread), math.log(0.6 * spread)
        self.coarseness.fill_((COARSE * spread) ** 2)
        pull = np.array(PULL)

        def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
            weights = torch.tensor(point, dtype=torch.float64, requires_grad=True)
            after = _filter(_people(weights, self.coarseness.cpu()), valence, day)
            away = (weights - torch.as_tensor(prior)) / torch.as_tensor(pull)
            total = (0.5 * away.square().sum() - after.log_share[:, -1].logsumexp(dim=-1).sum()) / len(said)
            (slope,) = torch.autograd.grad(total, weights)
            return float(total.detach()), slope.numpy()

        bounds = [(centre - FURTHEST, centre + FURTHEST) for centre in prior]
        best = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60, "ftol": 1e-7})
        self.weights.copy_(torch.as_tensor(best.x))

    @torch.no_grad()
    def foresee(self, valence: np.ndarray, days: np.ndarray | None = None) -> np.ndarray:
        """Tomorrow, as the reports up to and with each day foretell it.

        Args:
            valence: (U, D) of the reports, NaN without one.
            days: (U, K) the days to speak of, −1 for none (what is said there is to be ignored); every day unless given.

        Returns:
            (U, D, 3) or (U, K, 3): see :data:`FORESEEN`; the scale is that of the normal distribution with the same central 80 %.
        """
        days = np.broadcast_to(np.arange(valence.shape[1]), valence.shape) if days is None else np.maximum(days, 0)
        at_once = max(CELLS // max(days.shape[1], 1), 1)
        parts = [slice(start, start + at_once) for start in range(0, max(len(valence), 1), at_once)]
        return np.concatenate([self._foresee(valence[part], days[part]) for part in parts])

    @torch.no_grad()
    def expect(self, valence: np.ndarray) -> np.ndarray:
        """The first of what :meth:`foresee` says of every day, tomorrow's mean, in a tenth of its time; (U, D)."""
        days = np.broadcast_to(np.arange(valence.shape[1]), valence.shape)
        at_once = max(CELLS // max(valence.shape[1], 1), 1)
        parts = [slice(start, start + at_once) for start in range(0, max(len(valence), 1), at_once)]
        after = [self._after(valence[part], days[part]) for part in parts]
        return np.concatenate([(share * mean).sum(dim=-1).numpy() for _, mean, _, share in after])

    def _foresee(self, valence: np.ndarray, days: np.ndarray) -> np.ndarray:
        return _foreseen(*self._after(valence, days))

    def _after(self, valence: np.ndarray, days: np.ndarray) -> tuple[_People, Tensor, Tensor, Tensor]:
        """The kinds of people, and by kind tomorrow's mean, the variance of its level, and their shares; (U, K, nodes) each."""
        people = _people(self.weights.cpu(), self.coarseness.cpu())
        said, day = _reports(valence, valence.shape[1])
        arrays = _People(*(part.numpy() for part in people))
        after = _Posterior(*(torch.from_numpy(part) for part in _filter(arrays, said.numpy(), day.numpy())))
        reports = torch.as_tensor(np.isfinite(valence).cumsum(axis=1))
        wanted = torch.tensor(days)
        count = reports.gather(1, wanted)
        last = torch.cat([day.new_zeros(len(day), 1), day], dim=1).gather(1, count)
        kinds = len(people.inertia)
        chosen = _Posterior(*(part.gather(1, count[..., None].expand(-1, -1, kinds)) for part in after))
        decay = people.inertia ** (wanted + 1 - last)[..., None]
        mean = chosen.home + decay * chosen.swing
        level = (
            chosen.home_variance
            + 2 * decay * chosen.covariance
            + decay**2 * (chosen.swing_variance - people.swing)
            + people.swing
        )
        return people, mean, level, chosen.log_share.softmax(dim=-1)


def _foreseen(people: _People, mean: Tensor, level: Tensor, share: Tensor) -> np.ndarray:
    """Mean, log scale and logit of a negative day of a mixture over kinds of people and of days; (U, K, nodes) each."""
    rare = people.rare.sigmoid()
    spread = torch.stack([level + people.noise, level + _wide(people)], dim=-1).sqrt()
    share = torch.stack([share * (1 - rare), share * rare], dim=-1)
    centre = (share.sum(dim=-1) * mean).sum(dim=-1)
    off = (mean - centre[..., None])[..., None].expand_as(share)
    scale = (half_width(share.flatten(-2), off.flatten(-2), spread.flatten(-2)) / NORMAL_80).log()
    logs = share.log() + torch.special.log_ndtr(torch.stack([-mean[..., None] / spread, mean[..., None] / spread]))
    negative = logs.flatten(-2).logsumexp(dim=-1)
    return torch.stack([centre, scale, (negative[0] - negative[1]).clamp(-8, 8)], dim=-1).numpy()


def half_width(share: Tensor, off: Tensor, spread: Tensor) -> Tensor:
    """Half-width of the interval around 0 that holds 80 % of a mixture of normal distributions, (…,), to five digits.

    Newton's steps from the normal distribution's, kept between the bounds that they find.

    Args:
        share, off, spread: (…, M) shares, means and standard deviations.
    """
    low, high = torch.zeros_like(share[..., 0]), 4 * (share * (spread**2 + off**2)).sum(dim=-1).sqrt()
    half = NORMAL_80 / 4 * high
    for _ in range(4):
        above, below = (off + half[..., None]) / spread, (off - half[..., None]) / spread
        inside = (share * (torch.special.ndtr(above) - torch.special.ndtr(below))).sum(dim=-1)
        low, high = torch.where(inside < 0.8, half, low), torch.where(inside < 0.8, high, half)
        density = (share * (torch.exp(-(above**2) / 2) + torch.exp(-(below**2) / 2)) / spread).sum(dim=-1)
        step = half - (inside - 0.8) * math.sqrt(2 * math.pi) / density
        half = torch.where((step >= low) & (step <= high), step, (low + high) / 2)
    return half


def _people(weights: Tensor, coarseness: Tensor) -> _People:
    home, between, swing, varies, inertia, inertia_varies, lasting, rare = weights.unbind()
    (at, share), (place, part) = _hermite(SWINGS), _hermite(INERTIAS)
    variance = (2 * (swing + varies.exp() * at)).exp()[:, None].expand(-1, INERTIAS).flatten()
    carried = (inertia + inertia_varies.exp() * place).sigmoid().clamp(max=0.999)[None].expand(SWINGS, -1).flatten()
    return _People(
        home=home,
        between=(2 * between).exp(),
        swing=variance * lasting.sigmoid(),
        noise=variance * (-lasting).sigmoid() + coarseness,
        inertia=carried,
        log_share=(share[:, None] * part).log().flatten(),
        rare=rare,
    )


def _wide(people: _People) -> Tensor:
    return people.noise + WIDE * (people.swing + people.noise)


def _filter(people: _People, valence: Any, day: Any) -> _Posterior:
    """The Gaussian sum filter over people's reports, of tensors (which a fit differentiates) or, with less ado, of arrays.

    Args:
        people: K kinds.
        valence: (U, R) reports in order, NaN after the last.
        day: (U, R) their days; the last's, after it.
    """
    on: Any = torch if isinstance(valence, Tensor) else np
    kinds = (len(valence), len(people.inertia))
    nothing = 0 * people.inertia
    start = (people.home, nothing, people.between, nothing, people.swing, people.log_share)
    home, swing, first, both, second, weight = (on.broadcast_to(part, kinds) for part in start)
    wide = _wide(people)
    known = on.where(on.isfinite(valence), on.ones_like(valence), on.zeros_like(valence))
    said, gap = on.nan_to_num(valence), on.concatenate([0 * day[:, :1], day[:, 1:] - day[:, :-1]], 1)
    not_rare, rare = -on.logaddexp(0 * people.rare, people.rare), -on.logaddexp(0 * people.rare, -people.rare)
    after = [_Posterior(home, swing, first, both, second, weight)]
    for report in range(valence.shape[1]):
        counts = known[:, report, None]
        decay = people.inertia ** gap[:, report, None]
        swing, both = decay * swing, decay * both
        second = decay**2 * (second - people.swing) + people.swing
        error = said[:, report, None] - home - swing
        level = first + 2 * both + second
        usual, far = level + people.noise, level + wide
        as_usual = not_rare - 0.5 * (error**2 / usual + on.log(2 * math.pi * usual))
        as_rare = rare - 0.5 * (error**2 / far + on.log(2 * math.pi * far))
        likelihood = on.logaddexp(as_usual, as_rare)
        chance = on.exp(as_rare - likelihood)
        gain = counts * ((1 - chance) / usual + chance / far)
        unsure = counts * chance * (1 - chance) * (error * (1 / usual - 1 / far)) ** 2  # which kind of day it was
        of_home, of_swing = first + both, both + second
        home, swing = home + of_home * gain * error, swing + of_swing * gain * error
        first = first - of_home**2 * (gain - unsure)
        both = both - of_home * of_swing * (gain - unsure)
        second = second - of_swing**2 * (gain - unsure)
        weight = weight + counts * likelihood
        after.append(_Posterior(home, swing, first, both, second, weight))
    return _Posterior(*(on.stack(part, 1) for part in zip(*after, strict=True)))


def _some(valence: np.ndarray) -> np.ndarray:
    """At most :data:`PEOPLE` of those who reported twice."""
    return valence[spaced(np.flatnonzero(np.isfinite(valence).sum(axis=1) > 1), PEOPLE)]


def _reports(valence: np.ndarray, most: int) -> tuple[Tensor, Tensor]:
    """The last ``most`` reports of people and their days, (U, R) each; NaN, and the last one's day, after the last."""
    known = np.isfinite(valence)
    count = known.sum(axis=1)
    width = int(count.max(initial=0))
    order = np.argsort(~known, axis=1, kind="stable")[:, :width]
    start = np.maximum(count - most, 0)[:, None]
    place = np.arange(min(width, most)) + start
    there = place < count[:, None]
    day = np.take_along_axis(order, np.clip(place, 0, np.maximum(count - 1, 0)[:, None]), axis=1) if width else order
    value = np.where(there, np.take_along_axis(valence, day, axis=1), np.nan)
    return torch.as_tensor(value, dtype=torch.float64), torch.as_tensor(day)


def _stacked(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Reports of several data sets as one table, padded to the longest."""
    width = max(value.shape[1] for value, _ in parts)

    def padded(table: Tensor, fill: Tensor) -> Tensor:
        return torch.cat([table, fill.expand(-1, width - table.shape[1])], dim=1)

    nothing = torch.tensor([[math.nan]], dtype=torch.float64)
    return (
        torch.cat([padded(value, nothing.expand(len(value), 1)) for value, _ in parts]),
        torch.cat([padded(day, day[:, -1:]) for _, day in parts]),
    )


@functools.cache
def _hermite(nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and shares of a standard normal distribution's Gauss–Hermite quadrature, (nodes,) each."""
    place, share = np.polynomial.hermite_e.hermegauss(nodes)
    return torch.as_tensor(place), torch.as_tensor(share / share.sum())
