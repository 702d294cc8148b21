"""The plan of a trial: fixed and hashed before the first person, and held to from then on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from recbole_esmr.errors import ConfigError
from recbole_esmr.files import read_yaml
from recbole_esmr.settings import parse, setting
from recbole_esmr.values import yaml_text
from recbole_esmr.writing import written_whole

CONTROL, TREATED = ARMS = ("engagement", "esmr")
"""The arms: the engagement ranking alone, and ESMR."""

PERSON, PERSON_DAY = UNITS = ("person", "person-day")
"""What is assigned: a person for the whole trial, or each of a person's days anew (a micro-randomised trial)."""

OUTCOMES = {
    "negative_days": "share of the reported days that are negative",
    "valence": "mean reported valence, from -1 to 1",
    "watch_minutes": "watch minutes a day, days away included",
    "days_here": "share of the days on which people come",
}
"""What is analysed, and what it is."""

HARM = {"negative_days": 1, "valence": -1, "watch_minutes": 0, "days_here": 0}
"""The sign of a change that is a harm; 0 where neither is."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is going to be done, decided before anything is seen.

    Attributes:
        name: of the trial; it is part of the hash, so that two trials assign people independently.
        start: its first day; ``baseline_days`` before it are the pre-period.
        treated: share of the units that get ESMR.
    """

    name: str = setting("name of the trial")
    unit: str = setting("what is assigned", choices=UNITS)
    start: int = setting("first day of the trial", low=-1_000_000, high=1_000_000, unit="day number")
    days: int = setting("length of the trial", low=1, high=3650, unit="days")
    baseline_days: int = setting("length of the pre-period", low=0, high=3650, unit="days")
    treated: float = setting("share of the units that get ESMR", low=0.01, high=0.99)
    explore: float = setting("share of the places drawn at random, in both arms", low=0, high=1)
    primary: str = setting("primary outcome", choices=tuple(OUTCOMES))
    secondary: list[str] = setting("secondary outcomes", choices=tuple(OUTCOMES))
    minimum_effect: float = setting("smallest effect on the primary outcome that matters", low=1e-6, high=1000)
    alpha: float = setting("two-sided level", low=1e-4, high=0.5)
    power: float = setting("chance to find the smallest effect that matters", low=0.5, high=0.999)
    people: int = setting("people who are needed", low=4, high=1_000_000_000)
    looks: list[float] = setting("shares of the trial after which is looked", low=0.01, high=1)

    @property
    def hash(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def end(self) -> int:
        """The day after its last."""
        return self.start + self.days

    def runs_on(self, day: int) -> bool:
        """Whether a day is one of the trial."""
        return self.start <= day < self.end


def write_plan(path: str | Path, plan: Plan) -> None:
    """Write a plan with its hash, whole or not at all.

    Raises:
        ConfigError: there is a file already; a plan is never overwritten.
    """
    if Path(path).exists():
        raise ConfigError(f"{path}: is there already, and a plan is never overwritten. Give another file.")
    comment = "# Fixed before the first person. Whoever changes a line changes the hash, and the analysis refuses the file.\n"
    with written_whole(path) as temporary:
        temporary.write_text(comment + yaml_text({**_plain(plan), "hash": plan.hash}), encoding="utf-8")


def read_plan(path: str | Path) -> Plan:
    """Read a plan, and hold it to its hash.

    Raises:
        ConfigError: it is none, or was changed after it was written.
    """
    values = read_yaml(path)
    said = values.pop("hash", None)
    plan = checked(parse(Plan, values, str(path)), str(path))
    if plan.hash != said:
        raise ConfigError(
            f"{path}: was changed after it was written: its hash is {plan.hash[:12]}…, and it says {str(said)[:12]}…. Use the "
            "plan as it was fixed; a trial that is planned anew needs a new file."
        )
    return plan


def checked(plan: Plan, where: str) -> Plan:
    """The plan, if its parts fit each other.

    Raises:
        ConfigError: what does not.
    """
    if list(plan.looks) != sorted(set(plan.looks)) or not plan.looks or plan.looks[-1] != 1:
        raise ConfigError(f"{where}: looks are {list(plan.looks)}; expected shares that rise to 1, such as [0.5, 1].")
    if plan.primary in plan.secondary or len(set(plan.secondary)) < len(plan.secondary):
        raise ConfigError(f"{where}: an outcome is named twice. Name each once.")
    return plan


def people_needed(minimum_effect: float, sd: float, correlation: float, treated: float, alpha: float, power: float) -> int:
    r"""How many people a parallel trial needs.

    .. math:: N = \frac{(z_{1-α/2} + z_{power})^2\, σ^2 (1 - ρ^2)}{p (1 - p)\, δ^2}

    Args:
        minimum_effect: δ, in units of the outcome.
        sd: σ of the outcome between people; correlation: ρ with the same outcome in the pre-period (CUPED, Deng et al. 2013).
        treated: p, share of the people who are treated.
    """
    reach = norm.ppf(1 - alpha / 2) + norm.ppf(power)
    return math.ceil(reach**2 * sd**2 * (1 - correlation**2) / (treated * (1 - treated) * minimum_effect**2))


def spread_of(outcome: np.ndarray, baseline: np.ndarray) -> tuple[float, float]:
    """SD of an outcome between people, and its correlation with the pre-period; NaN (N,) where a person has none."""
    both = np.isfinite(outcome) & np.isfinite(baseline)
    sd = float(np.nanstd(outcome, ddof=1))
    varies = both.sum() > 2 and outcome[both].std() > 0 and baseline[both].std() > 0
    return sd, float(np.corrcoef(outcome[both], baseline[both])[0, 1]) if varies else 0.0


def _plain(plan: Plan) -> Mapping[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(plan).items()}
