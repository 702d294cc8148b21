"""How strongly each person responds to a feed: by what they are like, and by how they have responded, shrunk toward everybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from recbole_esmr.causal.linear import fit_linear
from recbole_esmr.causal.panel import Panel
from recbole_esmr.causal.posterior import posterior
from recbole_esmr.errors import IdentificationError

LIMITS = (0.25, 4.0)
"""A person's susceptibility is kept between a quarter of everybody's and four times it."""

_LEAST_DAYS = 3
"""Days of each half of a person's, below which their own responses are not asked."""


def susceptibility_of(panel: Panel, effects: Iterable[Mapping[str, Any]], users: int) -> np.ndarray:
    """The factors of a panel's people, (U,), 1 where nothing is proven: see :func:`susceptibility`.

    What a feed promised is made of what was *shown*, where that is logged; from the promise and from the moods of the days after
    all that came before the feed is taken out, by least squares over all user-days.

    Args:
        panel: with traits.
        effects: with a ``weight``, as dicts.
        users: U, above every id in the panel.
    """
    table, design = panel.table, panel.design
    weight = {effect["treatment"]: effect["weight"] for effect in effects if effect["treatment"] in design.traits}
    used = [name for name in weight if weight[name]]
    if not used or not len(table):
        return np.ones(users)
    shown = [design.trait_instruments.get(name, name) for name in used]
    promise = table[shown].to_numpy(float) @ np.array([weight[name] for name in used])
    before = np.column_stack([np.ones(len(table)), table[list(design.confounders)].to_numpy(float)])
    before = before / np.maximum(np.abs(before).max(axis=0), 1e-12)
    after = table[list(design.later)].to_numpy(float)
    surprise = np.full(after.shape, np.nan)
    for day, known in enumerate(np.isfinite(after).T):
        surprise[known, day] = _left(after[known, day], before[known])
    user = table["user"].to_numpy()
    return susceptibility(user, table["day"].to_numpy(), _left(promise, before), surprise, _moderators(panel, user, users))


def susceptibility(
    user: np.ndarray, day: np.ndarray, promise: np.ndarray, surprise: np.ndarray, moderators: np.ndarray
) -> np.ndarray:
    r"""Factor by which each person responds to what is shown, relative to everybody.

    With :math:`\tilde e_{uth}` what the mood of the day t + h brought beyond what was to be expected, :math:`\tilde x_{ut}` what
    the day's feed promised (tildes: less the person's mean) and :math:`d_h` the slope of all days together,

    .. math:: \tilde e_{uth} = s_u\, d_h\, \tilde x_{ut} + ε, \quad s_u = 1 + γ^T m_u + ξ_u, \quad ξ_u \sim N(0, τ^2)

    a random slope (Raudenbush and Bryk 2002, chapter 4) that is pooled twice: γ toward 0 by its own posterior
    (:mod:`~recbole_esmr.causal.posterior`), and what is left of a person by

    .. math:: ξ_u = \frac{τ^2}{τ^2 + c / p_u}\, \hat ξ_u, \quad
              τ^2 = \max\Big(0,\; \frac{\sum_u w_u \hat ξ_u' \hat ξ_u''}{\sum_u w_u} - se\Big)

    with p the power of a person's days, c what their slopes vary by beyond τ², and ' and '' the first and the second half of
    their days: what the two agree on, less a standard error, is no noise. Where people do not differ all factors are 1. A month
    says little of one person: most of what is known of them comes from m, or is that they are like everybody.

    Args:
        user, day: (N,) of each user-day.
        promise: (N,) by what was shown.
        surprise: (N, H), NaN where unknown.
        moderators: (U, M) what people are like; in any unit, no NaN.

    Returns:
        (U,), in :data:`LIMITS`; 1 for who has no day that says something.
    """
    row, after = np.nonzero(np.isfinite(surprise))
    users, people = len(moderators), np.unique(user[row])
    if len(people) < 2:
        return np.ones(users)
    who, cell = user[row], user[row] * surprise.shape[1] + after
    x, e = _centred(promise[row], cell), _centred(surprise[row, after], cell)
    slope = np.bincount(after, x * e) / np.maximum(np.bincount(after, x**2), 1e-300)
    x = slope[after] * x
    if (x**2).sum() < 1e-12:
        return np.ones(users)
    factor = 1 + _moderated(e, x, who, moderators)
    factor += _own(e - factor[who] * x, x, who, day[row], users)
    factor[~np.isin(np.arange(users), people)] = 1.0
    return np.clip(factor, *LIMITS)


def _left(value: np.ndarray, before: np.ndarray) -> np.ndarray:
    return np.asarray(value - before @ np.linalg.lstsq(before, value, rcond=None)[0])


def _centred(value: np.ndarray, cell: np.ndarray) -> np.ndarray:
    count = np.maximum(np.bincount(cell), 1)
    return np.asarray(value - (np.bincount(cell, value) / count)[cell])


def _moderators(panel: Panel, user: np.ndarray, users: int) -> np.ndarray:
    """What people are like, (U, M): home base, share of vulnerable days, what they are used to, profile."""
    design = panel.design
    names = ["home_valence", *design.moderators.values(), *(x for x in design.confounders if x.startswith("profile_"))]
    known = [name for name in names if name in panel.table]
    table = np.column_stack(
        [panel.table[known].to_numpy(float), panel.table["state"].fillna(panel.table["state"].mean()).fillna(0)]
    )
    count = np.bincount(user, minlength=users)
    mean = table.mean(axis=0)
    total = np.stack([np.bincount(user, column, users) for column in table.T], axis=1)
    return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], mean)


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


def _own(left: np.ndarray, x: np.ndarray, user: np.ndarray, day: np.ndarray, users: int) -> np.ndarray:
    """ξ of each person, (U,), shrunk; ``left`` is what the moderators leave of the surprise."""

    def slopes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        power = np.bincount(user[rows], x[rows] ** 2, users)
        return np.bincount(user[rows], (x * left)[rows], users) / np.maximum(power, 1e-300), power

    early = _early(user, day)
    days = [np.bincount(np.unique(np.stack([user, day])[:, rows], axis=1)[0], minlength=users) for rows in (early, ~early)]
    (first, power_first), (second, power_second) = (slopes(rows) for rows in (early, ~early))
    whole, power = slopes(np.ones(len(user), dtype=bool))
    least = np.minimum(power_first, power_second)
    enough = (np.minimum(*days) >= _LEAST_DAYS) & (least > 1e-12)
    if not enough.any():
        return np.zeros(users)
    weight = np.where(enough, least, 0.0) ** 2 / (least[enough] ** 2).sum()
    agreed = float((weight * first * second).sum())
    error = float(np.sqrt((weight**2 * (first * second - agreed) ** 2).sum()))
    between = max(agreed - error, 0.0)
    noise = max(float((enough * power**2 * (whole**2 - between)).sum() / (enough * power).sum()), 0.0)
    return np.where(enough, between / np.maximum(between + noise / np.maximum(power, 1e-300), 1e-300) * whole, 0.0)


def _early(user: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Which rows lie in the first half of a person's rows, by day; (N,) bool."""
    order, code = np.lexsort((day, user)), np.unique(user, return_inverse=True)[1]
    count = np.bincount(code)
    middle = day[order][np.cumsum(count) - count + count // 2]
    return np.asarray(day < middle[code])
