"""Bootstrap intervals over people and seeds, also of paired differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]
"""A figure as a function of people's weights: (B, N) → (B,)."""


DIGITS = 9
"""Figures are rounded to this many digits: sums on one thread and on two differ beyond them."""


class Bootstrap:
    """Resamples seeds, and people within them; every figure is computed on the same resamples, so differences are paired.

    A Poisson bootstrap (Hanley and MacGibbon 2006): in each replicate a person counts Poisson(1) times. Seeds are drawn with
    replacement, as worlds and trainings differ between them.

    Args:
        seed_of: (N,) codes 0 … S−1: the seed under which each row was lived.
        replicates: number B of resamples.
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
        """Blocks (b, N) of weights, few replicates at a time to spare memory; the same at every call."""
        generator = np.random.default_rng(self._key)
        seeds = int(self._seed_of.max()) + 1
        people = len(self._seed_of) if self._person_of is None else int(self._person_of.max()) + 1
        for start in range(0, self._replicates, self._block):
            count = min(self._block, self._replicates - start)
            drawn = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=count)
            person = generator.poisson(1.0, size=(count, people))
            person = person if self._person_of is None else person[:, self._person_of]
            yield (drawn[:, self._seed_of] * person).astype(float)

    def interval(self, statistics: dict[str, Statistic], level: float = 0.95) -> dict[str, dict[str, float]]:
        """Mean and percentile interval of each figure.

        Returns:
            by name ``mean`` (on the people as they are), ``low`` and ``high``; NaN where a figure is undefined.
        """
        plain = np.ones((1, len(self._seed_of)))
        draws: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
        for weight in self.weights():
            for name, statistic in statistics.items():
                draws[name].append(statistic(weight))
        tail = (1 - level) / 2
        result = {}
        for name, statistic in statistics.items():
            values = np.concatenate(draws[name])
            known = values[np.isfinite(values)]
            low, high = np.quantile(known, [tail, 1 - tail]) if len(known) else (np.nan, np.nan)
            mean = float(statistic(plain)[0])
            result[name] = {"mean": round(mean, DIGITS), "low": round(float(low), DIGITS), "high": round(float(high), DIGITS)}
        return result


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


def difference(first: Statistic, second: Statistic) -> Statistic:
    """The first figure minus the second on the same resample."""
    return lambda weight: first(weight) - second(weight)
