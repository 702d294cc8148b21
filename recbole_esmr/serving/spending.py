"""What all people of a service share: how far the engagement budget is spent, and what expectations turned out to be worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_esmr.errors import DataError
from recbole_esmr.model.budget import ascended
from recbole_esmr.model.gate import ALWAYS
from recbole_esmr.model.ranking import WATCH_TIME, Correction
from recbole_esmr.policy.online_calibration import KEPT, OnlineCalibration
from recbole_esmr.serving.artifact import Artifact
from recbole_esmr.serving.checks import a_list, in_range, known_fields


@dataclass(frozen=True)
class Receipt:
    """What a slate was expected to bring.

    Attributes:
        kept, usual: expected engagement of the slate, less what a better mood takes from the days to come, and of the engagement
            ranking's.
        spends: whether it is paid for by the budget that is shared, and takes anything of it.
        expected: of each item shown the engagement that was expected, and whether the engagement ranking would have shown it.
    """

    kept: float
    usual: float
    spends: bool
    expected: Mapping[str, tuple[float, bool]]

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        expected = {name: [round(value, 6), usual] for name, (value, usual) in self.expected.items()}
        return {"kept": self.kept, "usual": self.usual, "spends": self.spends, "expected": expected}

    @classmethod
    def of_dict(cls, said: Any, where: str = "receipt") -> Receipt:
        """The inverse of :meth:`as_dict`.

        Raises:
            DataError: it is none.
        """
        known_fields(said, where, cls.__dataclass_fields__)
        kept, usual = (
            in_range(said.get("kept"), f"{where}.kept", -1e12, 1e12),
            in_range(said.get("usual"), f"{where}.usual", 0, 1e12),
        )
        expected = said.get("expected")
        if not isinstance(expected, Mapping) or not isinstance(said.get("spends"), bool):
            raise DataError(f"{where}: is no receipt of a slate. Send back what came with the slate.")
        pairs = {str(name): a_list(pair, f"{where}.expected", 2) for name, pair in expected.items()}
        found = {name: (in_range(pair[0], f"{where}.expected", -1e12, 1e12), pair[1] is True) for name, pair in pairs.items()}
        return cls(kept, usual, said["spends"], found)


@dataclass(frozen=True)
class Spending:
    """The state that people share. It tells nothing of any one of them.

    Attributes:
        multiplier: of the engagement budget (:class:`~recbole_esmr.model.budget.SlateBudget`); 0 spends nothing.
        sums: of the calibration of what was expected by what came
            (:class:`~recbole_esmr.policy.online_calibration.OnlineCalibration`).
        day: of the last feedback; the sums fade from one day to the next.
        floor: least share of the usual engagement; shared: whether one budget is shared by all.
    """

    multiplier: float
    floor: float
    shared: bool
    sums: OnlineCalibration
    day: int | None = None

    @classmethod
    def of(cls, artifact: Artifact) -> Spending:
        """As the training has left it."""
        shared = artifact.rule.gate.rule != ALWAYS
        sums = OnlineCalibration(len(artifact.taxonomy))
        return cls(artifact.learned.multiplier[WATCH_TIME] or 0.0, artifact.floor, shared, sums)

    @property
    def correction(self) -> Correction:
        """Of the expected engagement of items."""
        return self.sums.correction()

    def after(
        self, receipt: Receipt, shown: Sequence[tuple[str, float]], day: int, artifact: Artifact, consent: bool
    ) -> Spending:
        """The state after what came of a slate.

        Args:
            receipt: of the slate.
            shown: pairs of item and share watched.
            day: on which it was shown.
            artifact: whose items they are.
            consent: of the person; without it nothing is read of how emotions were received.
        """
        multiplier = self.multiplier
        if receipt.spends and self.shared:
            multiplier = ascended(multiplier, receipt.kept, receipt.usual, self.floor)
        sums = self.sums
        pairs = [(item, ratio) for item, ratio in shown if item in receipt.expected and item in artifact.stock.number]
        if pairs and consent:
            number = artifact.stock.numbers([item for item, _ in pairs], "shown")
            catalogue = artifact.stock.catalogue
            unit = np.ones(len(pairs)) if artifact.backbone else catalogue.duration[number]
            expected, usual = zip(*(receipt.expected[item] for item, _ in pairs), strict=True)
            observed = np.array([ratio for _, ratio in pairs]) * unit
            later = self.day is not None and day > self.day
            sums = sums.copy()
            sums.add(observed, np.array(expected), catalogue.emotion[number], np.array(usual), KEPT if later else 1.0)
        latest = day if self.day is None else max(day, self.day)
        return Spending(multiplier, self.floor, self.shared, sums, latest)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"multiplier": self.multiplier, "day": self.day, "sums": self.sums.as_dict()}

    def restored(self, kept: Mapping[str, Any]) -> Spending:
        """The state that :meth:`as_dict` gave, served by the floor of this one."""
        sums = OnlineCalibration.of_dict(kept["sums"])
        return Spending(float(kept["multiplier"]), self.floor, self.shared, sums, kept["day"])
