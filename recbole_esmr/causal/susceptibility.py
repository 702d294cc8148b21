"""How strongly each person responds to a feed: by what they are like, and by how they have responded, shrunk toward everybody."""

from __future__ import annotations

import numpy as np

from recbole_esmr.causal.linear import fit_linear
from recbole_esmr.causal.posterior import posterior
from recbole_esmr.errors import IdentificationError

LIMITS = (0.25, 4.0)
"""A person's susceptibility is kept between a quarter of everybody's and four times it."""

_LEAST_DAYS = 6
"""Days that say something, below which a person's own responses are not asked."""


def susceptibility(surprise: np.ndarray, uplift: np.ndarray, moderators: np.ndarray) -> np.ndarray:
    r"""Factor by which each person responds to what is shown, relative to everybody.

    With :math:`\tilde e_{uth}` what the mood of the day t + h brought beyond its forecast, :math:`\tilde x_{ut}` what the day's
    feed promised (tildes: less the person's mean) and :math:`d_h` the slope of all days together,

    .. math:: \tilde e_{uth} = s_u\, d_h\, \tilde x_{ut} + ε, \quad s_u = 1 + γ^T m_u + ξ_u, \quad ξ_u \sim N(0, τ^2)

    a random slope (Raudenbush and Bryk 2002, chapter 4) that is pooled twice: γ toward 0 by its own posterior
    (:mod:`~recbole_esmr.causal.posterior`), and what is left of a person by

    .. math:: ξ_u = \frac{τ^2}{τ^2 + v_u}\, \hat ξ_u, \quad
              τ^2 = \max\Big(0, \frac{\sum_u w_u (\hat ξ_u^2 - v_u)}{\sum_u w_u}\Big)

    with v the squared error of a person's own slope and w = (1 + v)⁻². Where people do not differ all factors are 1. A month
    says little of one person: most of what is known of them comes from m, or is that they are like everybody.

    Args:
        surprise: (U, D, H) valence on each day after less its forecast in the evening, NaN where unknown.
        uplift: (U, D) effect promised by what was shown on each day, NaN where nothing was shown.
        moderators: (U, M) what people are like; in any unit, no NaN.

    Returns:
        (U,), in :data:`LIMITS`; 1 for who has no day that says something.
    """
    known = np.isfinite(surprise) & np.isfinite(uplift)[..., None]
    user, day, after = np.nonzero(known)
    people = np.unique(user)
    if len(people) < 2:
        return np.ones(len(surprise))
    cell = user * known.shape[2] + after
    x, e = _centred(uplift[user, day], cell), _centred(surprise[known], cell)
    power = np.bincount(after, x**2, known.shape[2])
    slope = np.bincount(after, x * e, known.shape[2]) / np.maximum(power, 1e-300)
    x = slope[after] * x
    if (x**2).sum() < 1e-12:
        return np.ones(len(surprise))
    factor = 1 + _moderated(e, x, user, moderators)
    factor += _own(e, x, factor[user] * x, user, day, len(factor))
    factor[~np.isin(np.arange(len(factor)), people)] = 1.0
    return np.clip(factor, *LIMITS)


def _centred(value: np.ndarray, cell: np.ndarray) -> np.ndarray:
    count = np.maximum(np.bincount(cell), 1)
    return value - (np.bincount(cell, value) / count)[cell]


def _moderated(e: np.ndarray, x: np.ndarray, user: np.ndarray, moderators: np.ndarray) -> np.ndarray:
    """γ m of each person, (U,); 0 on average over those who have days."""
    people = np.unique(user)
    here = moderators[people]
    spread = here.std(axis=0)
    varying = spread > 1e-9
    scaled = (moderators[:, varying] - here[:, varying].mean(axis=0)) / spread[varying]
    if not varying.any():
        return np.zeros(len(moderators))
    try:
        fit = fit_linear(e, np.column_stack([x, x[:, None] * scaled[user]]), np.zeros((len(e), 0)), user)
        size, covariance = scaled.shape[1], (fit.influence.T @ fit.influence)[1:, 1:]
        code = np.arange(size)
        believed = posterior(fit.estimate[1:], covariance, code, code, 0 * code, np.zeros(size, dtype=bool), len(people))
    except IdentificationError:
        return np.zeros(len(moderators))  # too few people, or they do not differ apart from each other
    return scaled @ believed.mean


def _own(e: np.ndarray, x: np.ndarray, promised: np.ndarray, user: np.ndarray, day: np.ndarray, users: int) -> np.ndarray:
    """ξ of each person, (U,), shrunk."""
    power = np.bincount(user, x**2, users)
    days = np.unique(user * (day.max() + 1) + day, return_inverse=True)[1]
    of_day = np.bincount(days, x * (e - promised))  # the days after one feed share its noise
    owner = np.zeros(len(of_day), dtype=int)
    owner[days] = user
    enough = (power > 1e-12) & (np.bincount(owner, minlength=users) >= _LEAST_DAYS)
    if not enough.any():
        return np.zeros(users)
    noise = np.bincount(owner, of_day**2, users)[enough].sum() / power[enough].sum()
    deviation = np.bincount(owner, of_day, users) / np.maximum(power, 1e-12)
    error = noise / np.maximum(power, 1e-12)
    weight = enough / (1 + error) ** 2
    between = max(float((weight * (deviation**2 - error)).sum() / weight.sum()), 0.0)
    return np.where(enough, between / np.maximum(between + error, 1e-12) * deviation, 0.0)
