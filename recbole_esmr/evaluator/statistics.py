"""Bootstrap intervals over people and seeds, also of paired differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student_t

Statistic = Callable[[np.ndarray], np.ndarray]
"""A figure as a function of people's weights: (B, N) → (B,)."""


DIGITS = 9
"""Figures are rounded to this many digits: sums on one thread and on two differ beyond them."""


SEED_REPLICATES = 200
"""Resamples on which each seed is also figured alone: they give one expected variance, not the tail of a distribution."""


class Bootstrap:
    r"""Resamples people and adds what seeds vary; every figure is computed on the same resamples, so differences are paired.

    People: a Poisson bootstrap (Hanley and MacGibbon 2006). In each replicate a person counts Poisson(1) times, under every seed
    alike. Its quantiles give the interval that would hold were these seeds all there are, its variance :math:`W`.

    Seeds, of which there are few, are not resampled: S of them drawn with replacement vary by (S − 1)/S of what they should, and
    what people vary within each would count twice (Davison and Hinkley 1997, section 3.8). Their part comes from the variance
    :math:`s^2` between the figures of each seed alone. People alone would make it :math:`E_0`, the mean over replicates of the
    variance between seeds of their draws' deviations from their own figures. The 95 % interval reaches

    .. math:: h = \sqrt{z^2 \left(W - \frac{E_0}{S}\right) + t_{S-1}^2 \frac{\max(s^2, E_0)}{S}}

    to either side: people's part common to all seeds, with many degrees of freedom, and the part that differs between seeds, with
    S − 1, are squared and added (Howe 1974), which holds its level with so few seeds better than the degrees of freedom of
    Satterthwaite (1946). Each end of the people's interval therefore moves outward by :math:`c\,(h - z \sqrt W)`. The share
    :math:`c = \min(1, \max(0, 2 s^2 / E_0 - 1))` is 0, and the interval people's alone, where :math:`s^2` is less than half of
    what people make it, and grows to 1 without a jump.

    Assumed: seeds are draws of about equal size, their effects on a figure are about normal and add to those of people, and there
    are enough people for their own bootstrap. Were all of it exact, a 95 % interval would hold the truth in 94 to 98 % of the
    studies with three seeds and more, whatever the part of the seeds, and in 90 to 98 % with two. One seed says nothing of how
    seeds vary: its interval is that of people alone. An interval may reach beyond a figure's range.

    Args:
        seed_of: (N,) codes 0 … S−1: the seed of each row's rollout.
        replicates: number of resamples.
        generator: of the resamples.
        person_of: (N,) codes of the people where the same people live under several seeds; None where each row is another person.
    """

    def __init__(
        self,
        seed_of: np.ndarray,
        replicates: int,
        generator: np.random.Generator,
        person_of: np.ndarray | None = None,
    ) -> None:
        self._seed_of, self._person_of, self._replicates = seed_of, person_of, replicates
        self._block = max(1, min(50, 10_000_000 // len(seed_of)))
        self._key = int(generator.integers(2**63))

    def weights(self) -> Iterator[np.ndarray]:
        """Blocks (b, N) of people's weights, few replicates at a time to spare memory; the same at every call."""
        generator = np.random.default_rng(self._key)
        people = len(self._seed_of) if self._person_of is None else int(self._person_of.max()) + 1
        for start in range(0, self._replicates, self._block):
            count = min(self._block, self._replicates - start)
            person = generator.poisson(1.0, size=(count, people))
            yield (person if self._person_of is None else person[:, self._person_of]).astype(float)

    def interval(self, statistics: dict[str, Statistic], level: float = 0.95) -> dict[str, dict[str, float]]:
        """Mean and interval of each figure.

        Returns:
            by name ``mean`` (on the people as they are), ``low`` and ``high``; NaN where a figure is undefined.
        """
        seeds = np.arange(int(self._seed_of.max()) + 1)
        within = (self._seed_of == seeds[:, None]).astype(float)  # (S, N), each seed's own rows
        plain = np.ones((1, len(self._seed_of)))
        mean = {name: float(statistic(plain)[0]) for name, statistic in statistics.items()}
        alone = {name: statistic(within) for name, statistic in statistics.items()}
        draws: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
        apart: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
        split = 0
        for weight in self.weights():
            for name, statistic in statistics.items():
                draws[name].append(statistic(weight))
            if len(seeds) > 1 and split < SEED_REPLICATES:
                by_seed: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
                for rows in within:
                    weight_of_seed = weight[: SEED_REPLICATES - split] * rows
                    for name, statistic in statistics.items():
                        by_seed[name].append(statistic(weight_of_seed))
                for name, columns in by_seed.items():
                    apart[name].append(np.stack(columns, axis=1) - alone[name])
                split += len(weight)
        tail, result = (1 - level) / 2, {}
        for name in statistics:
            values = np.concatenate(draws[name])
            known = values[np.isfinite(values)]
            low, high = np.quantile(known, [tail, 1 - tail]) if len(known) else (np.nan, np.nan)
            wider = _margin_of_seeds(known, alone[name], np.concatenate(apart[name]), tail) if apart[name] and len(known) else 0.0
            ends = {"mean": mean[name], "low": float(low) - wider, "high": float(high) + wider}
            result[name] = {end: round(value, DIGITS) for end, value in ends.items()}
        return result


def _margin_of_seeds(draws: np.ndarray, alone: np.ndarray, apart: np.ndarray, tail: float) -> float:
    """By how much seeds move each end of the people's interval, in the figure's units (see :class:`Bootstrap`).

    Args:
        draws: (R,) known draws of the figure on all rows.
        alone: (S,) the figure of each seed; seeds without one do not count.
        apart: (r, S) draws of each seed's figure minus its own value.
        tail: share of the draws below the interval.
    """
    known = np.isfinite(alone)
    seeds = int(known.sum())
    if seeds < 2:
        return 0.0
    between, of_people = float(np.var(alone[known], ddof=1)), _mean_variance(apart[:, known])
    people, z = float(np.var(draws)), float(norm.isf(tail))
    common, differing = max(0.0, people - of_people / seeds), max(between, of_people) / seeds
    share = min(1.0, max(0.0, 2 * between / of_people - 1)) if of_people > 0 else float(between > 0)
    reach = np.sqrt(z**2 * common + float(student_t.isf(tail, seeds - 1)) ** 2 * differing)
    return share * float(reach - z * np.sqrt(people))


def _mean_variance(value: np.ndarray) -> float:
    """Mean over rows of the variance within a row, divisor n − 1; rows with fewer than two known values do not count."""
    known = np.isfinite(value)
    count = known.sum(axis=1)
    centre = np.where(known, value, 0).sum(axis=1) / np.maximum(count, 1)
    square = np.where(known, value - centre[:, None], 0) ** 2
    rows = count > 1
    return float((square.sum(axis=1)[rows] / (count[rows] - 1)).mean()) if rows.any() else 0.0


def student_interval(values: np.ndarray) -> dict[str, float]:
    r"""Mean and 95 % interval :math:`\bar x \pm t_{N-1} s / \sqrt N` of draws (N,); those that are no numbers do not count.

    Returns:
        ``mean``, ``low``, ``high``; NaN where there are too few.
    """
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if len(known) else np.nan
    reach = float(student_t.isf(0.025, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else np.nan
    return {"mean": mean, "low": mean - reach, "high": mean + reach}


def weighted_mean(value: np.ndarray, each: np.ndarray | None = None) -> Statistic:
    """Σ w x / Σ w n over people; NaN rows do not count.

    Args:
        value: (N,) sums x (or plain values).
        each: (N,) the counts n that the sums are over; 1 unless given.
    """
    known = np.isfinite(value)
    total = np.where(known, value, 0.0)
    count = np.where(known, 1.0 if each is None else each, 0.0)

    def statistic(weight: np.ndarray) -> np.ndarray:
        divisor = weight @ count
        return np.divide(weight @ total, divisor, out=np.full(len(weight), np.nan), where=divisor > 0)

    return statistic


def lowest_share(value: np.ndarray, share: float) -> Statistic:
    """Mean of the lowest ``share`` of the values, by weight; (N,) → figure."""
    order = np.argsort(value, kind="stable")
    ranked = value[order]

    def statistic(weight: np.ndarray) -> np.ndarray:
        weight = weight[:, order]
        upto = weight.cumsum(axis=1)
        part = share * upto[:, -1:]
        used = np.clip(part - (upto - weight), 0, weight)
        return np.divide(used @ ranked, part[:, 0], out=np.full(len(weight), np.nan), where=part[:, 0] > 0)

    return statistic


def remembered(statistic: Statistic) -> Statistic:
    """The same figure, computed once for each array of weights: a figure that stands in many differences is read, not redone."""
    weight_seen: np.ndarray | None = None
    value = np.empty(0)

    def read(weight: np.ndarray) -> np.ndarray:
        nonlocal weight_seen, value
        if weight is not weight_seen:
            weight_seen, value = weight, statistic(weight)
        return value

    return read


def difference(first: Statistic, second: Statistic) -> Statistic:
    """The first figure minus the second on the same resample."""
    return lambda weight: first(weight) - second(weight)
