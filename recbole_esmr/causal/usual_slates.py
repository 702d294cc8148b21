"""What a feed usually shows a person: what it believes of their tastes, which no log says."""

from __future__ import annotations

import numpy as np

from recbole_esmr.causal.linear import within


def usually_shown(user: np.ndarray, tone: np.ndarray, shown: np.ndarray) -> np.ndarray:
    r"""What each person is usually shown, beyond what the feed makes of the tone that was watched last.

    A feed that follows tastes and the tone of yesterday makes the two tell of each other: of two people who watched the same
    yesterday, the one with the brighter taste was in the darker mood, and is shown the brighter feed. So what is shown is not
    independent of the mood given the tone alone; given tone and taste it is. With z what was shown and w a day's tone,

    .. math:: z_{ut} = a_u + b^T (w_{ut}, w_{ut}^2, w_{ut}^3) + ε_{ut}, \quad
              \hat a_{ut} = \frac{\sum_{s \ne t} (z_{us} - \hat b^T w_{us})}{n_u - 1 + σ^2 / τ^2}

    with b estimated within persons (between them it would take a share of the taste), the day itself left out (what is shown on
    it is the treatment), and a pulled toward everybody's by how few days a person has: σ² is the variance of ε, τ² that of a.
    Other days' draws of the feed are no cause of this day's mood, later ones included.

    Args:
        user: (N,) whose each user-day is.
        tone: (N,) of what was watched on the last day before.
        shown: (N, k) what was shown.

    Returns:
        (N, k), 0 for who has no other day.
    """
    group = np.unique(user, return_inverse=True)[1]
    powers = np.stack([tone, tone**2, tone**3], axis=1)
    slope = np.linalg.lstsq(within(powers, user), within(shown, user), rcond=None)[0]
    left = shown - powers @ slope
    left = left - left.mean(axis=0)
    count = np.bincount(group)
    total = np.stack([np.bincount(group, column) for column in left.T], axis=1).reshape(len(count), shown.shape[1])
    mean = total / count[:, None]
    people, days = len(count), len(user)
    noise = ((left - mean[group]) ** 2).sum(axis=0) / max(days - people, 1)
    spread = np.maximum((mean**2).mean(axis=0) - noise * (1 / count).mean(), 1e-12 * (1 + noise))
    return np.asarray((total[group] - left) / (count[group][:, None] - 1 + np.maximum(noise / spread, 1e-12)))
