"""How many people it takes: sizes, reach and what is said of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recbole_esmr.cli import main
from recbole_esmr.errors import ConfigError
from recbole_esmr.power import _from_when, power
from recbole_esmr.simulation import load_world
from recbole_esmr.simulation.world import World

SMALL = {"items": 80, "days": 12, "logs": 3}


@pytest.mark.slow
def test_more_people_find_more_and_a_stronger_effect_is_found_by_fewer():
    found = power("reference", [40, 300], effect=1.0, **SMALL)
    few, many = found["sizes"]
    assert (few["people"], many["people"]) == (40, 300)
    assert few["found"] <= many["found"] == 1 and many["reach"] > 0.8 and many["of_use"] == 1
    assert few["detectable"] is None or few["detectable"] > 1.5 * many["detectable"]
    assert found["enough"] <= 300 and found["helps"] <= 300
    weak = power("reference", [300], effect=0.01, **SMALL)["sizes"][0]
    assert weak["found"] < 1 and weak["reach"] < many["reach"]


def test_where_nothing_is_there_is_nothing_to_reach():
    null = power("null", [100], **SMALL)
    assert null["sizes"][0]["reach"] == 0 and null["helps"] is None
    with pytest.raises(ConfigError, match=r"world 'null' has no effect that could be scaled to 0\.05"):
        power("null", [100], effect=0.05, **SMALL)


@pytest.mark.parametrize(
    ("right", "size"),
    [([True, True], 10), ([False, True], 20), ([True, False], None), ([True, False, True], 30), ([False, False], None)],
)
def test_from_when_on(right, size):
    assert _from_when(right, [{"people": 10 * (n + 1)} for n in range(len(right))]) == size


def test_the_command_prints_writes_and_draws(tmp_path, capsys):
    command = ["power", "--world=strong", "--people=60,30", "--logs=2", "--items=60", "--days=8", "--effect_days=2"]
    assert main([*command, "--output=power.json", "--figures=figures"]) == 0
    said, written = capsys.readouterr().out, json.loads((tmp_path / "power.json").read_text())
    assert [row["people"] for row in written["sizes"]] == [30, 60] and written["config"]["arguments"] == ["--effect_days=2"]
    assert "World strong, 2 logs of 8 days of each size" in said and "The effects are found in 80 % of the logs from:" in said
    assert (tmp_path / "figures/power.png").stat().st_size > 5000
    for wrong in ("--people=0", "--people=ten", "--effect=-1", "--effect=x", "--logs=0"):
        with pytest.raises(SystemExit, match="2"):
            main([*command, wrong])
        assert wrong.partition("=")[0] in capsys.readouterr().err


def test_a_scaled_world_has_the_effect_that_was_asked_for():
    from recbole_esmr.power import _scaled

    world: World = _scaled(load_world("strong"), 0.06)
    assert max(abs(world.exposure.strength * x) for x in world.exposure.effect.values()) == pytest.approx(0.06)
    assert np.sign(world.exposure.effect["happy"]) == 1
