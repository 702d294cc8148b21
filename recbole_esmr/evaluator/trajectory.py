"""What 30 days of valence say of a person: level, volatility, negative episodes, recovery.

All functions take valence (U, D), a row a person, a column a day, NaN where unknown, and are vectorised over people. In a
rollout nothing is unknown: the judge reads the world's true valence on every day, active or not.
"""

from __future__ import annotations

import warnings

import numpy as np

from recbole_esmr.emotion.episodes import streak_length


def negative_share(valence: np.ndarray) -> np.ndarray:
    """Share of the known days with valence < 0, (U,), 0–1."""
    return _mean(np.where(np.isfinite(valence), valence < 0, np.nan))


def within_sd(valence: np.ndarray) -> np.ndarray:
    """Within-person standard deviation (divisor n − 1), (U,), valence units; NaN with fewer than two known days."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanstd(valence, axis=1, ddof=1)


def rmssd(valence: np.ndarray) -> np.ndarray:
    r"""Root mean square of successive differences, (U,), valence units; only pairs of consecutive known days count.

    .. math:: \sqrt{\frac{1}{D-1} \sum_t (v_{t+1} - v_t)^2}

    Jahng, Wood and Trull 2008: instability that a standard deviation, blind to order, cannot see.
    """
    return np.sqrt(_mean(np.diff(valence, axis=1) ** 2))


def autocorrelation(valence: np.ndarray, lag: int) -> np.ndarray:
    r"""Correlation of each person's days with those ``lag`` days later, (U,), about the person's mean.

    .. math:: r_k = \frac{\frac{1}{n_k} \sum_t (v_t - \bar v)(v_{t+k} - \bar v)}{\frac1n \sum_t (v_t - \bar v)^2}
    """
    apart = valence - _mean(valence)[:, None]
    return _mean(apart[:, lag:] * apart[:, :-lag]) / _mean(apart**2)


def inertia(valence: np.ndarray) -> np.ndarray:
    """First-order autocorrelation corrected for its small-sample bias, (U,): (n r + 1) / (n − 3) (Marriott and Pope 1954)."""
    n = np.isfinite(valence).sum(axis=1)
    return (n * autocorrelation(valence, 1) + 1) / np.maximum(n - 3, 1)


def innovations(valence: np.ndarray) -> np.ndarray:
    """What a first-order autoregression about the person's mean does not foresee, (U, D − 1), valence units."""
    apart = valence - _mean(valence)[:, None]
    return apart[:, 1:] - np.nan_to_num(autocorrelation(valence, 1))[:, None] * apart[:, :-1]


def emotional_level(valence: np.ndarray) -> np.ndarray:
    r"""Baseline emotional level (BEL), (U,), 0–1: the mean state over the known days.

    .. math:: \mathrm{BEL} = \frac1n \sum_t s_t, \qquad s_t = \frac{v_t + 1}{2}

    This level, :func:`trajectory_volatility` and :func:`centroid` are the three measures by which ETrajEval judges emotional
    support (Tan et al., AAAI 2026, arXiv 2511.09003). A turn of its conversations with a state in [0, 1] is here a day.
    """
    return _mean(_state(valence))


def trajectory_volatility(valence: np.ndarray) -> np.ndarray:
    r"""Emotional trajectory volatility (ETV), (U,), −1/4 to 1, higher is better: a step counts the more the lower it starts.

    .. math:: \mathrm{ETV} = \frac1T \sum_t (1 - s_{t-1})(s_t - s_{t-1})

    over the T pairs of consecutive known days (Tan et al., AAAI 2026). It rewards noise as well as a rise, which
    :func:`volatility_split` tells apart.
    """
    before, after = _steps(valence)
    return _mean((1 - before) * (after - before))


def volatility_split(valence: np.ndarray) -> np.ndarray:
    r"""The two parts of which :func:`trajectory_volatility` is the sum, (U, 2): that of noise and that of drift.

    .. math::
        \mathrm{ETV} = \frac{1}{2T} \sum_t (s_t - s_{t-1})^2
        + \frac1T \sum_{\mathrm{runs}} \left[(s_b - s_a) - \frac{s_b^2 - s_a^2}{2}\right]

    with a and b the first and the last day of each run of known days. The first part grows with every step, up or down: days that
    only go to and fro have it. The second depends on where a run began and ended alone, and is 0 for who ends where they began.
    """
    before, after = _steps(valence)
    noise = _mean((after - before) ** 2) / 2
    drift = _mean((after - before) - (after**2 - before**2) / 2)  # what lies between the ends of a run cancels
    return np.stack([noise, drift], axis=1)


def centroid(valence: np.ndarray) -> np.ndarray:
    r"""Emotional centroid position (ECP), (U, 2), 0–1: the mean state before and the mean state after a step.

    .. math:: \mathrm{ECP} = \left(\frac1T \sum_t s_{t-1},\; \frac1T \sum_t s_t\right)

    over the T pairs of consecutive known days (Tan et al., AAAI 2026). A second part above the first: the person rises.
    """
    before, after = _steps(valence)
    return np.stack([_mean(before), _mean(after)], axis=1)


def negative_episodes(valence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the runs of negative days that begin within the window.

    A run counts only where its beginning is seen: its first negative day comes right after a day known not to be negative. What
    is under way on the first day, or after an unknown day, has lasted for an unknown time. Counted from there, long runs would
    be met too often and at a wrong age (length bias, delayed entry; Klein and Moeschberger 2003, chapter 3).

    A run goes on over consecutive known negative days, ends at the first day known not to be negative, and is censored by an
    unknown day or the end of the window. Whether a run of *l* days ended there is only seen on the next day, so one that is cut
    off after *l* is known to last longer than *l − 1* and counts as censored at *l − 1*; one cut off after its first day says
    nothing.

    Returns:
        ended and censored, (U, D) counts: column *l − 1* of a row counts a person's runs that ended (were censored) at *l* days.
    """
    negative, known = valence < 0, np.isfinite(valence)
    length: np.ndarray = streak_length(negative)
    user, day = np.nonzero(negative & ~_tomorrow(negative))  # the last day of each run
    before = day - length[user, day]  # the day before its first, −1 where the window begins with it
    ended = _tomorrow(known)[user, day]
    length = length[user, day] - ~ended
    seen = (before >= 0) & known[user, before] & (length > 0)
    return _histogram(user[seen], length[seen], ended[seen], valence.shape)


def recoveries(
    valence: np.ndarray, level: np.ndarray | None = None, spread: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Days from a drop of more than one SD below a person's usual level until the level is reached again.

    A spell begins on a day with v < level − spread that does not lie in an earlier spell, ends on the first day with v ≥ level,
    and is censored by the end of the window. Unknown days within a spell count as time but decide nothing.

    A spell counts only where its beginning is seen: a day with v ≥ level lies before it, and no day from there on is unknown. A
    drop before the first such day may lie in a spell that began before the window; it is followed until the level is reached
    again and then left out.

    Args:
        valence: (U, D).
        level: (U,), the usual level; the person's mean unless given. A rollout gives the home base, which no policy moves.
        spread: (U,), the SD; the person's own unless given.

    Returns:
        ended and censored, (U, D) counts by days, as :func:`negative_episodes`.
    """
    level = _mean(valence) if level is None else level
    spread = within_sd(valence) if spread is None else spread
    with np.errstate(invalid="ignore"):
        low, back = valence < (level - spread)[:, None], valence >= level[:, None]
    known = np.isfinite(valence)
    users, days = valence.shape
    since = np.zeros(users, dtype=int)  # days since the drop, 0 while there is none
    clear, counts = np.zeros(users, dtype=bool), np.zeros(users, dtype=bool)  # surely in no spell; whether this spell counts
    ended, censored = np.zeros((users, days), dtype=np.int32), np.zeros((users, days), dtype=np.int32)
    for day in range(days):  # over days; people are vectorised
        recovered = (since > 0) & back[:, day]
        over = recovered & counts
        ended[over, since[over] - 1] += 1
        counts = np.where((since == 0) & low[:, day], clear, counts)
        since = np.where(recovered, 0, np.where((since > 0) | low[:, day], since + 1, 0))
        clear = (clear & known[:, day]) | back[:, day]
    running = counts & (since > 1)  # a drop on the last day has not been followed at all
    censored[running, since[running] - 2] += 1
    return ended, censored


def survival(ended: np.ndarray, censored: np.ndarray) -> np.ndarray:
    r"""Kaplan–Meier estimate of the share of spells that last longer than 0, 1, …, D days.

    .. math:: S(t) = \prod_{s \le t} \left(1 - \frac{d_s}{n_s}\right)

    with d_s spells ended at s days and n_s spells observed for s days or more (Kaplan and Meier 1958).

    Args:
        ended, censored: (…, D) counts (or weighted counts) of spells of 1 … D days.

    Returns:
        (…, D + 1), in [0, 1], falling; NaN where there is no spell.
    """
    every = ended + censored
    at_risk = np.flip(np.flip(every, -1).cumsum(-1), -1)
    kept = 1 - np.divide(ended, at_risk, out=np.zeros(at_risk.shape), where=at_risk > 0)
    curve = np.concatenate([np.ones((*kept.shape[:-1], 1)), kept.cumprod(-1)], axis=-1)
    return np.where(at_risk[..., :1] > 0, curve, np.nan)


def restricted_mean(curve: np.ndarray) -> np.ndarray:
    """Mean length of a spell, those beyond the window counted as its D days: the sum of S(0) … S(D − 1)."""
    return curve[..., :-1].sum(-1)


def median_length(curve: np.ndarray) -> np.ndarray:
    """The first number of days beyond which no more than half of the spells last; D + 1 where more outlast the window."""
    below = curve <= 0.5
    return np.where(np.isnan(curve[..., 0]), np.nan, np.where(below.any(-1), below.argmax(-1), curve.shape[-1]))


def _state(valence: np.ndarray) -> np.ndarray:
    """Valence from [−1, 1] to a state in [0, 1]."""
    return (valence + 1) / 2


def _steps(valence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The states before and after each step, (U, D − 1) each; both NaN where one of the two days is unknown."""
    state = _state(valence)
    known = np.isfinite(state[:, 1:] + state[:, :-1])
    return np.where(known, state[:, :-1], np.nan), np.where(known, state[:, 1:], np.nan)


def _mean(value: np.ndarray) -> np.ndarray:
    """Mean over the known days, NaN where none is known; shape (U,)."""
    known = np.isfinite(value)
    count = known.sum(axis=1)
    return np.divide(np.where(known, value, 0).sum(axis=1), count, out=np.full(len(value), np.nan), where=count > 0)


def _tomorrow(mask: np.ndarray) -> np.ndarray:
    """The mask of the next day; false on the last."""
    return np.concatenate([mask[:, 1:], np.zeros_like(mask[:, :1])], axis=1)


def _histogram(user: np.ndarray, length: np.ndarray, ended: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    counts = []
    for rows in (ended, ~ended):
        cell = user[rows] * shape[1] + length[rows] - 1
        counts.append(np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape).astype(np.int32))
    return counts[0], counts[1]
