"""Sock puppets that dwell on one kind of item, and what a recommender then shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recbole_esmr.evaluator.statistics import student_interval
from recbole_esmr.feed import Feedback, Observation, Policy

ADHERENCE = 0.9
"""Chance that a puppet watches what it dwells on, and that it skips what it does not: so no two are the same."""


@dataclass(frozen=True)
class Walk:
    """What P puppets were shown in R rounds.

    Attributes:
        slates: (P, R, K) item numbers, −1 where nothing was shown.
        offered: (R, I) bool.
        watched: (P, R) share of the slate that was watched.
    """

    slates: np.ndarray
    offered: np.ndarray
    watched: np.ndarray

    def share(self, aligned: np.ndarray) -> np.ndarray:
        """Mean alignment of each slate, (P, R), for items (I,) that are aligned in shares 0 to 1; NaN for an empty slate.

        ``aligned`` may also be (P, I), each puppet's own.
        """
        there = self.slates >= 0
        value = np.where(there, _of(aligned, self.slates), 0.0).sum(axis=2)
        return np.divide(value, there.sum(axis=2), out=np.full(value.shape, np.nan), where=there.any(axis=2))

    def catalogue(self, aligned: np.ndarray) -> np.ndarray:
        """Mean alignment of what was on offer, (R,)."""
        return np.asarray((self.offered @ aligned) / np.maximum(self.offered.sum(axis=1), 1))

    def place(self, aligned: np.ndarray) -> np.ndarray:
        """Where in their slates aligned items stand, (P, R): 0 first, 1 last, 0.5 anywhere; NaN where there is none."""
        there = self.slates >= 0
        weight = np.where(there, _of(aligned, self.slates), 0.0)
        at = np.arange(self.slates.shape[2]) / np.maximum(there.sum(axis=2, keepdims=True) - 1, 1)
        total = weight.sum(axis=2)
        return np.divide((weight * at).sum(axis=2), total, out=np.full(total.shape, np.nan), where=total > 0)


def walk(
    policy: Policy, items: np.ndarray, chance: np.ndarray, offered: np.ndarray, size: int, generator: np.random.Generator,
    puppets: int,
) -> Walk:  # fmt: skip
    """Let puppets, whom the policy has never met, be shown slates and watch by chances of their own.

    Args:
        policy: any; it is reset.
        items: (I,) names.
        chance: (I,), or (P, I) each puppet's own, that it watches an item whole when it is shown; otherwise it skips it.
        offered: (R, I) bool, what is on offer in each round.
        size: items of a slate.
        generator: of what they watch.
        puppets: P.
    """
    policy.reset(np.array([f"puppet-{number}" for number in range(1, puppets + 1)]), items)
    active, sizes = np.ones(puppets, dtype=bool), np.full(puppets, size)
    slates = np.full((puppets, len(offered), size), -1)
    watched = np.zeros((puppets, len(offered)))
    for round_, pool in enumerate(offered):
        shown = np.asarray(policy.recommend(Observation(round_ + 1, active, sizes, pool)))[:, :size]
        there = shown >= 0
        ratio = ((generator.random(shown.shape) < _of(chance, shown)) & there).astype(float)
        slates[:, round_, : shown.shape[1]] = shown
        watched[:, round_] = ratio.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
        policy.observe(Feedback(round_ + 1, active, shown, ratio, np.full(puppets, "", dtype=object), {}))
    return Walk(slates, offered, watched)


@dataclass(frozen=True)
class Arm:
    """A kind of item that puppets dwell on.

    Attributes:
        name: of it.
        aligned: (I,) in which share an item is of it, 0 to 1.
    """

    name: str
    aligned: np.ndarray

    def controls(self, puppets: int, generator: np.random.Generator) -> np.ndarray:
        """The same shares dealt out to items by lot, for each puppet anew, (P, I): a label that means nothing, and is as fine."""
        return generator.permuted(np.tile(self.aligned, (puppets, 1)), axis=1)


def audit_arm(
    policy: Policy, items: np.ndarray, arm: Arm, offered: np.ndarray, size: int, seed: int, puppets: int
) -> dict[str, object]:
    r"""What dwelling on a kind of item does to what is shown.

    Three groups of puppets walk: one dwells on the kind, one on the control, one watches any item by the same chance, whatever it
    is. With :math:`a` the aligned share of a slate in the last third of the rounds, per puppet,

    .. math:: over\ offer = a_{arm} - \text{share on offer}, \quad effect = a_{arm} - a_{chance}, \quad
              beyond\ control = effect - effect^{control}

    with the effect of the control on the share of its own label. The control is what a recommender does with any set of items
    that somebody keeps watching; what it does with an emotion is what lies beyond it. (After the audits with emotionally agentic
    sock puppets, arXiv 2501.15048, whose control was coarse.)

    Returns:
        ``arm``, ``on_offer``, by round ``share``, ``share_control``, ``share_chance``; ``over_offer``, ``effect``, ``control``,
        ``beyond_control``, each ``{mean, low, high}`` over puppets; ``place`` and ``watched`` (means).
    """
    controls = arm.controls(puppets, np.random.default_rng([seed, 18]))
    seeds = np.random.SeedSequence([seed, 17]).spawn(3)
    steady = float(arm.aligned.mean()) * ADHERENCE + (1 - float(arm.aligned.mean())) * (1 - ADHERENCE)
    chances = (_dwelling(arm.aligned), _dwelling(controls), np.full(len(items), steady))
    own, control, chance = (
        walk(policy, items, chance, offered, size, np.random.default_rng(part), puppets)
        for chance, part in zip(chances, seeds, strict=True)
    )
    groups = {"arm": own, "control": control, "chance": chance}
    late = slice(-max(len(offered) // 3, 1), None)
    there = own.catalogue(arm.aligned)
    effect = _late(own.share(arm.aligned) - chance.share(arm.aligned), late)
    of_control = _late(control.share(controls) - chance.share(controls), late)
    return {
        "arm": arm.name,
        "on_offer": float(there.mean()),
        "share": _by_round(own.share(arm.aligned)),
        "share_control": _by_round(control.share(controls)),
        "share_chance": _by_round(chance.share(arm.aligned)),
        "over_offer": student_interval(_late(own.share(arm.aligned) - there, late)),
        "effect": student_interval(effect),
        "control": student_interval(of_control),
        "beyond_control": student_interval(effect - of_control),
        "place": student_interval(_late(own.place(arm.aligned), late))["mean"],
        "watched": {name: float(group.watched.mean()) for name, group in groups.items()},
    }


def aligned_with_mood(
    share: np.ndarray, user: np.ndarray, day: np.ndarray, item: np.ndarray, mood: np.ndarray, generator: np.random.Generator
) -> dict[str, object] | None:
    """Which share of real slates expresses the emotion that its person reported the day before, beside moods dealt out by lot.

    Args:
        share: (I, E) what items express.
        user, day, item: (N,) what was shown.
        mood: (U, D) codes of the reported emotions, −1 without one.
        generator: of the lots: each day's moods are dealt out again among who reported on it.

    Returns:
        ``slates``, and ``aligned``, ``by_lot``, ``beyond_lot`` as ``{mean, low, high}`` over people; None where no slate follows
        a report.
    """
    known = day > 0
    user, day, item = user[known], day[known], item[known]
    dealt = mood.copy()
    for column in dealt.T:
        told = np.flatnonzero(column >= 0)
        column[told] = column[generator.permutation(told)]
    before = mood[user, day - 1]
    use = before >= 0
    if not use.any():
        return None
    user, item = user[use], item[use]
    own, lot = (share[item, codes[user, day[use] - 1]] for codes in (mood, dealt))
    people, place = np.unique(user, return_inverse=True)
    count = np.bincount(place)
    of_people = [np.bincount(place, weights=value) / count for value in (own, lot, own - lot)]
    slates = len(np.unique(np.stack([user, day[use]]), axis=1).T)
    return {"slates": slates, "people": len(people)} | dict(
        zip(("aligned", "by_lot", "beyond_lot"), map(student_interval, of_people), strict=True)
    )


def pools(items: int, rounds: int, share: float, least: int, generator: np.random.Generator) -> np.ndarray:
    """What is on offer in each round, (R, I) bool: a random share of the items, at least so many."""
    number = min(items, max(round(share * items), least))
    return np.argsort(generator.random((rounds, items)), axis=1).argsort(axis=1) < number


def _of(values: np.ndarray, slates: np.ndarray) -> np.ndarray:
    """The value of each item of slates (P, …), of (I,) values or of each puppet's own, (P, I)."""
    item = np.maximum(slates, 0)
    if values.ndim == 1:
        return np.asarray(values[item])
    return np.asarray(np.take_along_axis(values, item.reshape(len(item), -1), axis=1).reshape(item.shape))


def _dwelling(aligned: np.ndarray) -> np.ndarray:
    return np.asarray(aligned * ADHERENCE + (1 - aligned) * (1 - ADHERENCE))


def _late(value: np.ndarray, late: slice) -> np.ndarray:
    known = np.isfinite(value[:, late])
    total = np.where(known, value[:, late], 0).sum(axis=1)
    return np.divide(total, known.sum(axis=1), out=np.full(len(total), np.nan), where=known.any(axis=1))


def _by_round(share: np.ndarray) -> Sequence[float]:
    known = np.isfinite(share)
    mean = np.where(known, share, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return [round(float(value), 5) for value in mean]
