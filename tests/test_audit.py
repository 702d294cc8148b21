"""Puppets: chance gives nothing, a planted amplifier is found with its size, a model that does not react has no effect."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recbole_esmr.cli import main
from recbole_esmr.evaluator.puppets import ADHERENCE, Arm, Walk, aligned_with_mood, audit_arm, pools, walk
from recbole_esmr.evaluator.statistics import student_interval
from recbole_esmr.policy.untrained import Amplifier, Random
from recbole_esmr.quick_start import run_recbole

ITEMS, EMOTIONS, ROUNDS, SLATE = 200, 5, 24, 10
NAMES = np.array([f"v{number}" for number in range(ITEMS)])
SHARE = np.eye(EMOTIONS)[np.random.default_rng(0).integers(0, EMOTIONS, ITEMS)]
OFFERED = pools(ITEMS, ROUNDS, 0.4, 2 * SLATE, np.random.default_rng(1))


def _arms():
    return [Arm(str(code), SHARE[:, code]) for code in range(EMOTIONS)]


def test_by_chance_no_arm_has_an_effect():
    for arm in _arms():
        found = audit_arm(Random(3), NAMES, arm, OFFERED, SLATE, 7, 25)
        assert found["effect"]["mean"] == 0 and abs(found["over_offer"]["mean"]) < 0.05
        assert abs(found["place"] - 0.5) < 0.06


@pytest.mark.parametrize("strength", [0.2, 0.5])
def test_a_planted_amplifier_is_found_with_its_size(strength):
    for arm in _arms():
        policy = Amplifier(NAMES, SHARE, strength, 3)
        found = audit_arm(policy, NAMES, arm, OFFERED, SLATE, 7, 25)
        kept, late = strength * SLATE, OFFERED[-ROUNDS // 3 :]
        left = ((late @ arm.aligned - kept) / (late.sum(axis=1) - kept)).mean()
        truth = strength + (1 - strength) * left - (late @ arm.aligned / late.sum(axis=1)).mean()
        assert found["over_offer"]["mean"] == pytest.approx(truth, abs=0.03), "what is kept, and chance for the rest"
        assert found["beyond_control"]["low"] > 0 and abs(found["control"]["mean"]) < 0.06, "nothing for what means nothing"
        assert found["share"][0] < 0.5 and np.mean(found["share"][-5:]) > np.mean(found["share"][:1])


class _Constant(Random):
    """The same items for everybody, whatever they watch."""

    def reset(self, users, items):
        super().reset(users, items)
        self._score = np.random.default_rng(0).random((1, len(items))).repeat(len(users), axis=0)

    def recommend(self, observation):
        from recbole_esmr.feed import top_slates

        return top_slates(self._score, observation)


def test_who_does_not_react_has_no_effect_however_one_sided_it_is():
    for arm in _arms():
        found = audit_arm(_Constant(1), NAMES, arm, OFFERED, SLATE, 7, 10)
        assert found["effect"] == found["control"] == {"mean": 0, "low": 0, "high": 0}


class _Repeating(_Constant):
    """Shows again what was watched, of whatever kind: an effect of any label, and so none of an emotion."""

    def reset(self, users, items):
        super().reset(users, items)
        self._score = np.random.default_rng(0).random((len(users), len(items)))

    def observe(self, feedback):
        super().observe(feedback)
        row = np.repeat(np.arange(len(feedback.slates)), feedback.slates.shape[1])
        np.add.at(self._score, (row, feedback.slates.ravel()), 2 * feedback.watch_ratio.ravel() - 1)


def test_an_effect_of_any_label_is_none_of_an_emotion():
    """What the finely binned control is for: the effect itself is large, what lies beyond the control holds 0."""
    beyond = []
    for arm in _arms():
        found = audit_arm(_Repeating(1), NAMES, arm, OFFERED, SLATE, 7, 30)
        assert found["effect"]["low"] > 0.2 and found["control"]["low"] > 0.2
        beyond.append(found["beyond_control"]["mean"])
    assert abs(np.mean(beyond)) < 0.04


def test_a_control_has_the_shares_of_its_arm_and_another_lot_for_each_puppet():
    arm = _arms()[0]
    controls = arm.controls(6, np.random.default_rng(0))
    assert np.array_equal(np.sort(controls, axis=1), np.sort(np.tile(arm.aligned, (6, 1)), axis=1))
    assert len(np.unique(controls, axis=0)) == 6


def test_shares_and_places_by_hand():
    slates = np.array([[[0, 1, 2]], [[3, -1, -1]], [[-1, -1, -1]]])
    found = Walk(slates, np.array([[True, True, True, False]]), np.zeros((3, 1)))
    aligned = np.array([1.0, 0.0, 0.5, 0.0])
    assert found.share(aligned)[:2, 0].tolist() == [0.5, 0.0] and np.isnan(found.share(aligned)[2, 0])
    assert found.catalogue(aligned).tolist() == [0.5]
    assert found.place(aligned)[0, 0] == pytest.approx(0.5 / 1.5) and np.isnan(found.place(aligned)[1, 0])
    assert found.share(np.array([aligned, 1 - aligned, aligned]))[:2, 0].tolist() == [0.5, 1.0]


def test_puppets_watch_by_their_chances():
    chance = np.where(SHARE[:, 0] > 0, ADHERENCE, 1 - ADHERENCE)
    found = walk(Random(0), NAMES, chance, OFFERED, SLATE, np.random.default_rng(0), 200)
    assert found.watched.mean() == pytest.approx(chance[np.maximum(found.slates, 0)].mean(), abs=0.01)


def test_the_interval_is_students():
    assert student_interval(np.array([1.0, 2.0, 3.0, np.nan])) == pytest.approx(
        {"mean": 2.0, "low": -0.4841, "high": 4.4841}, abs=1e-3
    )
    assert np.isnan(student_interval(np.array([]))["mean"]) and np.isnan(student_interval(np.array([1.0]))["low"])


@pytest.mark.parametrize("follows", [False, True])
def test_slates_that_follow_the_mood_of_the_day_before_are_told_from_those_that_do_not(follows):
    rng = np.random.default_rng(4)
    mood = np.where(rng.random((60, 20)) < 0.5, rng.integers(0, EMOTIONS, (60, 20)), -1)
    user, day = (part.ravel() for part in np.meshgrid(np.arange(60), np.arange(20), indexing="ij"))
    item = rng.integers(0, ITEMS, len(user))
    if follows:
        told = (day > 0) & (mood[user, day - 1] >= 0) & (rng.random(len(user)) < 0.4)
        of_kind = [np.flatnonzero(SHARE[:, code]) for code in range(EMOTIONS)]
        item[told] = [rng.choice(of_kind[code]) for code in mood[user[told], day[told] - 1]]
    found = aligned_with_mood(SHARE, user, day, item, mood, np.random.default_rng(0))
    beyond = found["beyond_lot"]
    if follows:
        assert beyond["low"] > 0.2 and beyond["mean"] == pytest.approx(0.4 * 0.8, abs=0.08)
    else:
        assert beyond["low"] < 0 < beyond["high"]
    assert aligned_with_mood(SHARE, user, day, item, np.full((60, 20), -1), rng) is None


@pytest.fixture(scope="module")
def checkpoints(data_path, tmp_path_factory, trained):
    keys = {"data_path": str(data_path), "state": "ERROR", "show_progress": False, "epochs": 1}
    keys["checkpoint_dir"] = str(tmp_path_factory.mktemp("audited"))
    made = [run_recbole(name, "small", config_dict=keys, arguments=[])["checkpoint"] for name in ("BPR", "SASRec")]
    return [*made, trained[0]["checkpoint"]]


def test_the_command_audits_models_beside_chance_and_an_amplifier(checkpoints, capsys, monkeypatch):
    monkeypatch.setattr("recbole_esmr.evaluator.leak.LOTS", 2)
    words = [f"--checkpoint={path}" for path in checkpoints]
    small = ["--rounds=6", "--puppets=5", "--slate=5", "--amplifier=0.4", "--output=audit.json", "--report", "--quiet"]
    assert main(["audit", *words, *small]) == 0
    said, found = capsys.readouterr().out, json.loads(Path("audit.json").read_text())
    assert list(found["policies"]) == ["random", "amplifier 0.4", "BPR", "SASRec", "ESMR"]
    arms = [arm["arm"] for arm in found["policies"]["ESMR"]]
    assert {"negative", "positive", "grievance", "happy"} <= set(arms)
    assert all(arm["effect"]["mean"] == 0 for arm in found["policies"]["BPR"]), "a general model knows no newcomer"
    assert "beyond control" in said and "real slates that followed a report" in said
    assert (found["leak"] == {"ESMR": None} and "too few reports to say what slates tell" in said) or "AUC" in said
    assert "amplifier 0.4: of what puppets" in Path("audit.html").read_text()
    assert main(["audit", *words, *small]) == 0
    again = json.loads(Path("audit.json").read_text())
    assert again["policies"] == found["policies"], "the same seed, the same walks"


def test_what_cannot_be_audited_is_one_line(checkpoints, data_path, tmp_path, capsys):
    keys = {"data_path": str(data_path), "state": "ERROR", "show_progress": False, "epochs": 1, "checkpoint_dir": str(tmp_path)}
    other = run_recbole("BPR", "esmr-mini", config_dict={**keys, "data_path": "dataset/"}, arguments=[])["checkpoint"]
    assert main(["audit", f"--checkpoint={checkpoints[0]}", f"--checkpoint={other}", "--quiet"]) == 2
    assert "was trained on other items than" in capsys.readouterr().err
    assert main(["audit", f"--checkpoint={checkpoints[0]}", "--slate=61", "--quiet"]) == 2
    assert "the data have 60 items and a slate 61" in capsys.readouterr().err
