"""The reference world's people have days like real people's: the table of benchmarks/calibration.py, held to its ranges."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
HELD = ("home base (mean)", "within-person SD", "AR(1), bias-corrected", "RMSSD", "share of negative days", "skew of innovations")


@pytest.fixture(scope="module")
def calibration():
    sys.path.insert(0, str(BENCHMARKS))
    import calibration

    yield calibration
    sys.path.remove(str(BENCHMARKS))


def test_simulated_days_lie_within_the_studies(calibration):
    studies = yaml.safe_load((BENCHMARKS / "studies.yaml").read_text(encoding="utf-8"))
    people = {group: calibration.describe(valence) for group, valence in calibration.simulated("reference", 1000, 27, 2).items()}
    for name in HELD:
        real = [study[name][0] for study in studies.values() if name in study]
        for group, described in people.items():
            assert min(real) - 0.02 <= described[name][0] <= max(real) + 0.02, (group, name)
    assert people["vulnerable"]["share of negative days"][0] > 10 * people["general"]["share of negative days"][0]


def test_the_statistics_of_a_known_process(calibration):
    """People whose days are AR(1) with 0.4 about 0.2 and SD 0.1."""
    generator = np.random.default_rng(0)
    value, days = 0.1 * generator.normal(size=4000), []
    for _ in range(40):
        value = 0.4 * value + 0.1 * np.sqrt(1 - 0.16) * generator.normal(size=4000)
        days.append(0.2 + value)
    described = calibration.describe(np.stack(days, axis=1))
    expected = {"home base (mean)": 0.2, "within-person SD": 0.1, "AR(1), bias-corrected": 0.4, "skew of innovations": 0.0}
    for name, number in expected.items():
        assert described[name][0] == pytest.approx(number, abs=0.03)
    assert described["RMSSD"][0] == pytest.approx(0.1 * np.sqrt(2 * 0.6), abs=0.01)
