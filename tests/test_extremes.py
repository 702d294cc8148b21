"""Extreme data: refused in one line before the training, or trained (all cases: ``python -m benchmarks.trust.extremes``)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recbole_esmr.cli import main
from tests.extremes.cases import EXTREMES

REFUSED = [case for case in EXTREMES if case.says]
TRAINED = ("one emotion in the taxonomy", "two items", "unicode ids")


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_too_extreme_data_are_refused_in_one_line(tmp_path, capsys, case):
    words = case.words("run", "ESMR", case.write(tmp_path / "data" / "small"))
    assert main(words) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("recbole-esmr: ") and str(case.says) in line
    assert not Path("out.json").exists()


@pytest.mark.parametrize("case", [case for case in EXTREMES if case.name in TRAINED], ids=lambda case: case.name)
def test_extreme_data_train_and_every_figure_is_a_number(tmp_path, case):
    assert main(case.words("run", "ESMR", case.write(tmp_path / "data" / "small"))) == 0
    result = json.loads(Path("out.json").read_text())
    for part in ("best_valid_result", "test_result"):
        assert all(0 <= value <= 1 for value in result[part].values()), part
