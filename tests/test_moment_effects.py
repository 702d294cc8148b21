"""What an item does to how people feel just after it: random items beside chosen ones."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from recbole_esmr.causal.moments import effects_of_moments
from recbole_esmr.causal.traits import Traits
from recbole_esmr.cli import main
from recbole_esmr.data.moments import Moments
from tests.felt_data import PEOPLE, VIEWS, write_felt


def _moments(confounded, random, people=150, each=20, seed=0):
    """A hidden mood drives what is chosen and how one feels after it; what is drawn at random it does not drive."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(people), each)
    hidden, usual = rng.normal(size=len(user)), rng.normal(0, 0.3, people)[user]
    drawn = rng.uniform(size=len(user)) < random
    bright = rng.uniform(size=len(user)) < np.where(drawn, 0.5, 1 / (1 + np.exp(-2 * confounded * hidden)))
    before = usual + 0.1 * rng.normal(size=len(user))
    after = usual + 0.5 * (before - usual) + 0.10 * bright + 0.15 * confounded * hidden + 0.1 * rng.normal(size=len(user))
    nothing = np.full(len(user), np.nan)
    moments = Moments(
        user, bright.astype(int), user * 0, np.stack([before, nothing], 1), np.stack([after, nothing], 1), drawn.astype(float)
    )
    return moments, bright


TONE = Traits(("exposure_bright",), ("positive",), np.array([[0.0], [1.0]]), np.ones(1), np.array([-1]))


def test_effects_equal_statsmodels_and_their_truth():
    moments, bright = _moments(confounded=1.0, random=0.4)
    effect = effects_of_moments(moments, TONE).effects[0]
    rows = moments.random == 1
    frame = pd.DataFrame({"y": moments.after[rows, 0], "x": bright[rows], "before": moments.before[rows, 0]})
    dummies = pd.get_dummies(moments.user[rows], dtype=float)
    design = pd.concat([frame[["x", "before"]].astype(float), dummies.set_axis([f"p{n}" for n in dummies], axis=1)], axis=1)
    groups = {"groups": moments.user[rows]}
    fit = sm.OLS(frame["y"], design).fit(cov_type="cluster", cov_kwds=groups, use_t=True)
    assert effect.random["estimate"] == pytest.approx(fit.params["x"])
    assert [effect.random["low"], effect.random["high"]] == pytest.approx(fit.conf_int().loc["x"].tolist(), rel=1e-3)
    assert effect.random["low"] < 0.10 < effect.random["high"] and effect.random["rows"] == rows.sum()


@pytest.mark.parametrize("seed", range(4))
def test_a_warning_fires_where_chosen_items_mislead_and_not_where_they_do_not(seed):
    misled = effects_of_moments(_moments(confounded=1.0, random=0.4, seed=seed)[0], TONE)
    assert misled.effects[0].difference["low"] > 0.02 and misled.effects[0].chosen["estimate"] > 0.13
    assert any("they differ" in line and "Believe the random ones" in line for line in misled.warnings)
    honest = effects_of_moments(_moments(confounded=0.0, random=0.4, seed=seed)[0], TONE)
    assert honest.effects[0].difference["low"] < 0 < honest.effects[0].difference["high"]
    assert not any("differ" in line for line in honest.warnings)


def test_the_difference_covers_its_truth():
    """Without a hidden cause its interval holds 0 in about 95 of 100 logs, though the same people are in both parts."""
    held = []
    for seed in range(200):
        difference = effects_of_moments(_moments(0.0, 0.5, people=40, each=12, seed=seed)[0], TONE).effects[0].difference
        held.append(difference["low"] < 0 < difference["high"])
    assert 0.90 <= np.mean(held) <= 0.985


def test_without_random_items_an_effect_comes_with_what_it_rests_on():
    moments, _ = _moments(confounded=0.0, random=0.0)
    chosen = effects_of_moments(moments, TONE)
    assert not chosen.effects[0].random and any("none is known to be drawn at random" in line for line in chosen.warnings)
    assert [line["rows"] for line in chosen.skipped] == ["random"]


def test_numbers_are_told_in_their_own_unit_and_of_too_few_people_nothing_is():
    moments, bright = _moments(confounded=0.0, random=1.0)
    tempo = np.array([[-1.0], [1.0]])  # standardised: 60 and 180 beats
    effect = effects_of_moments(
        moments, Traits(("exposure_tempo",), ("tempo",), tempo, np.array([60.0]), np.array([-1]))
    ).effects[0]
    plain = effects_of_moments(moments, TONE).effects[0]
    assert effect.unit == "1 of the column" and effect.random["estimate"] * 120 == pytest.approx(plain.random["estimate"])
    assert effect.spread == pytest.approx(120 * bright.std())
    few = effects_of_moments(moments.take(moments.user < 5), TONE)
    assert not few.effects and "of 10 people are needed" in few.skipped[0]["reason"]


def test_effects_of_the_moment_are_drawn_and_written(tmp_path, capsys):
    folder = write_felt(tmp_path, **{"random:float": np.arange(PEOPLE * VIEWS) % 2})
    line = ["causal", f"--dataset={folder}", "--all_days", "--graph_samples=0", "--output=effects.json", "--figures=drawn"]
    assert main(line) == 0
    said = capsys.readouterr().out
    assert "random items" in said and "chosen - random" in said and "effects_of_the_moment.png" in said
    assert (tmp_path / "drawn/effects_of_the_moment.png").read_bytes()[:4] == b"\x89PNG"
    told = json.loads((tmp_path / "effects.json").read_text())["moments"]["effects"]
    assert {(effect["treatment"], effect["outcome"]) for effect in told} == {("happy", "valence_after")}  # angry is the rest
    assert told[0]["random"]["low"] > 0 and told[0]["chosen"]["low"] > 0 and "p" in told[0]["difference"]
