"""The closed loop from end to end: train on a log, deploy on its people, judge."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recbole_esmr.cli import main
from recbole_esmr.closed_loop import rollout
from recbole_esmr.errors import ConfigError, UnknownNameError
from recbole_esmr.evaluator.rollout import EMOTION_METRICS, harms, joined, rolled_out
from recbole_esmr.policy.untrained import Positive
from recbole_esmr.simulation import FeedEnv, load_world
from recbole_esmr.simulation.days import item_names, rollout_days
from tests.conftest import QUICK

KEYS = [f"--{key}={value}" for key, value in QUICK.items()]
ALWAYS = [*(word for word in KEYS if not word.startswith("--gate=")), "--gate=always"]
SMALL = {"users": 60, "items": 80, "days": 6, "log_days": 8, "seeds": [1, 2], "replicates": 60, "show_progress": False}
METRICS = {
    *("negative_day_share", "episode_days", "recovery_days", "volatility_sd", "volatility_rmssd", "valence", "engagement"),
    *("retention", "acted_share", "worse_off_share", "worst_decile_change", "watch_time"),
}


@pytest.fixture(scope="module")
def result():
    policies = ["random", "pop", "positive", "logging", "engagement", "oracle", "ESMR", "BPR"]
    return rollout("reference", policies, arguments=ALWAYS, **SMALL)[0]


def test_what_a_rollout_says(result):
    assert result["schema_version"] == 2 and result["compared_with"] == "engagement" and result["seed"] == [1, 2]
    for name, part in result["policies"].items():
        assert set(part) >= METRICS | set(EMOTION_METRICS)
        for figure in METRICS:
            low, mean, high = (part[figure][key] for key in ("low", "mean", "high"))
            assert low <= high and np.isfinite([low, mean, high]).all(), (name, figure)
        assert ("difference" in part) == (name != "engagement")
    assert set(result["groups"]) == {"general", "vulnerable", "casual", "engaged", "highly_active"}
    json.dumps(result)


def _change(low, high):
    return {"difference": {"valence": {"mean": (low + high) / 2, "low": low, "high": high}}}


def test_who_is_worse_off_by_hand():
    """Less valence or more negative days, both ends of the interval; not the policy that is compared with."""
    more = {"difference": {"negative_day_share": {"mean": 0.02, "low": 0.01, "high": 0.03}}}
    judged = {
        "everybody": {"engagement": {}, "ESMR": _change(-0.02, 0.01), "BPR": more},
        "vulnerable": {"engagement": {}, "ESMR": _change(-0.03, -0.01), "BPR": _change(0.01, 0.02)},
        "nobody": {},
    }
    assert [(harm["policy"], harm["group"], harm["figure"], harm["mean"]) for harm in harms(judged)] == [
        ("BPR", "everybody", "negative_day_share", 0.02),
        ("ESMR", "vulnerable", "valence", -0.02),
    ]


@pytest.mark.parametrize(("policies", "code"), [("ESMR,random", 3), ("random,oracle,pop", 0), ("", 0)])
def test_strict_is_about_what_is_trained(policies, code, monkeypatch, capsys, result):
    change = {"group": "casual", "figure": "valence", "mean": -0.1, "low": -0.2, "high": -0.05}
    found = [{"policy": name, **change} for name in policies.split(",") if name]
    monkeypatch.setattr("recbole_esmr.closed_loop.rollout", lambda *_: ({**result, "harms": found}, {}))
    assert main(["rollout", "--policy=ESMR", "--strict"]) == code and main(["rollout", "--policy=ESMR"]) == 0
    said = capsys.readouterr()
    assert ("casual under ESMR, valence -0.1000 [-0.2000, -0.0500]" in said.err) == (code == 3) and "under random" not in said.err


def test_the_parts_of_a_trajectory_add_up(result):
    for name, part in result["policies"].items():
        level, volatility, noise, drift, before, after = (
            part[figure]["mean"]
            for figure in (
                *("emotional_level", "trajectory_volatility", "volatility_noise", "volatility_drift"),
                *("centroid_before", "centroid_after"),
            )
        )
        assert level == pytest.approx((part["valence"]["mean"] + 1) / 2, abs=1e-6), name
        assert volatility == pytest.approx(noise + drift, abs=1e-6) and noise > 0, name
        assert 0 < before < 1 and after == pytest.approx(before, abs=0.1), name


def test_policies_differ_as_they_should(result):
    policies = result["policies"]

    def mean(name, figure):
        return policies[name][figure]["mean"]

    # an interval over two seeds has one degree of freedom; what the positive feed does must be at least half of what can be done
    gained = {name: policies[name]["difference"]["negative_day_share"]["mean"] for name in ("positive", "oracle")}
    assert gained["oracle"] < -0.02
    assert gained["positive"] < 0.5 * gained["oracle"]
    assert mean("oracle", "watch_time") > 0.95 * mean("engagement", "watch_time")
    assert mean("engagement", "watch_time") > mean("random", "watch_time")
    assert mean("ESMR", "acted_share") > 0.5 and mean("engagement", "acted_share") == 0
    assert mean("positive", "worse_off_share") == 0 and mean("engagement", "worst_decile_change") == 0


def test_variants_differ_in_their_switch_alone_and_gain_is_the_part_of_the_oracles():
    names = ["engagement", "oracle", "ESMR+gate=always", "ESMR+gate=never", "ESMR+gate=always+reward=engagement"]
    settings = {**SMALL, "seeds": [1]}
    policies = rollout("reference", names, arguments=[*KEYS, "--reward=emotion"], **settings)[0]["policies"]
    share = {name: part["negative_day_share"]["mean"] for name, part in policies.items()}
    for name, part in policies.items():
        room = share["engagement"] - share["oracle"]
        assert part["gain"]["mean"] == pytest.approx((share["engagement"] - share[name]) / room, abs=1e-6)
    always, never, other = (policies[name] for name in names[2:])
    assert never["valence"] == policies["engagement"]["valence"] and never["acted_share"]["mean"] == 0
    assert always["acted_share"]["mean"] > 0 and always["valence"] != other["valence"]


def test_two_ceilings_that_pay_the_same():
    """Told effects, moods and people, the second helps with tastes as they were learned; neither realises less than it may."""
    names, settings = (
        ["engagement", "informed", "oracle", "ESMR"],
        {**SMALL, "users": 150, "items": 150, "days": 12, "seeds": [1]},
    )
    policies = rollout("strong", names, arguments=KEYS, **settings)[0]["policies"]
    share = {name: part["negative_day_share"]["mean"] for name, part in policies.items()}
    assert share["oracle"] < share["informed"] < share["engagement"]
    room = share["engagement"] - share["informed"]
    for name, part in policies.items():
        assert part["gain_informed"]["mean"] == pytest.approx((share["engagement"] - share[name]) / room, abs=1e-6)
    usual = policies["engagement"]["watch_time"]["mean"]
    assert min(policies[name]["watch_time"]["mean"] / usual for name in ("oracle", "informed")) > 0.96


def test_same_seeds_same_result(result):
    again, _ = rollout("reference", ["pop", "engagement"], arguments=ALWAYS, **SMALL)
    for name in ("pop", "engagement"):
        plain = {figure: value for figure, value in again["policies"][name].items() if figure != "difference"}
        assert plain == {figure: result["policies"][name][figure] for figure in plain}


def test_in_a_world_without_effects_no_policy_changes_what_people_feel():
    result, every = rollout("null", ["random", "positive", "logging"], **SMALL)
    for name in ("positive", "logging"):
        for figure in EMOTION_METRICS:
            assert result["policies"][name]["difference"][figure] == {"mean": 0.0, "low": 0.0, "high": 0.0}, figure
        assert np.array_equal(every[name].valence, every["random"].valence)
        assert result["policies"][name]["difference"]["watch_time"]["mean"] != 0


def test_people_of_a_saved_log_go_on_and_new_people_are_met(tmp_path):
    size = ["--users=40", "--items=60", "--days=10"]
    assert main(["simulate", *size, "--output=log", "--people=people.npz", "--truth=truth.json"]) == 0
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert {"effects", "negative_day_share", "schema_version", "config", "seed", "versions", "timings"} <= set(truth)
    settings = {"days": 3, "log": "log", "people": "people.npz", "replicates": 20, "show_progress": False}
    known, first = rollout("reference", ["pop", "positive"], seeds=[1, 2], **settings)
    assert known["config"]["log_days"] == 10 and known["config"]["users"] == 40
    assert np.array_equal(first["pop"].user, np.tile(np.arange(40), 2))
    assert not np.array_equal(first["pop"].valence[:40], first["pop"].valence[40:]), "the seeds are other lives"
    _, others = rollout("reference", ["pop"], seeds=[1], new_people=True, **settings)
    assert np.array_equal(others["pop"].user, np.arange(40, 80))


def test_chunks_of_people_are_judged_as_all_at_once():
    world = load_world("reference")

    def lived(people):
        env = FeedEnv(world, people, 60, 1)
        return rolled_out(env, rollout_days(env, Positive(item_names(60), env.catalogue.tone.numpy()), 5, counts=False), 0)

    whole, parts = lived(np.arange(90)), joined([lived(np.arange(40)), lived(np.arange(40, 90))])
    for name in ("valence", "negative_share", "episodes", "recoveries", "active"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name
    # torch's exponential rounds the last bit by where a number lies among its neighbours, in some builds
    np.testing.assert_allclose(whole.hours, parts.hours, rtol=1e-6)


def test_the_command_deploys_checkpoints_prints_a_table_and_draws(tmp_path, capsys):
    command = ["rollout", "--users=40", "--items=60", "--days=3", "--log_days=8", "--seeds=1", "--replicates=20"]
    assert main([*command, "--policy=ESMR,pop", "--keep=kept", *KEYS]) == 0
    folder = "kept/seed-1"
    trained = ["--log", f"{folder}/log", "--people", f"{folder}/people.npz"]
    policies = f"--policy=engagement:{folder}/ESMR.pth,ESMR:{folder}/ESMR.pth"
    capsys.readouterr()
    assert main([*command, policies, *trained, "--output=rollout.json", "--figures=figures"]) == 0
    shown = capsys.readouterr().out
    assert "World reference: 40 people after their log, 3 days, seeds 1" in shown and "negative_day_share by group" in shown
    assert set(json.loads((tmp_path / "rollout.json").read_text())["policies"]) == {"engagement", "ESMR"}
    for name in ("valence_by_day", "episode_survival", "watch_time_and_negative_days"):
        assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("policies", "settings", "error", "says"),
    [
        (["popp"], {}, UnknownNameError, "no policy 'popp'. Did you mean 'pop'"),
        (["random:x.pth"], {}, ConfigError, "'random' needs no checkpoint"),
        (["pop"], {"log": "x"}, ConfigError, "--log and --people belong together"),
        (["pop"], {"world": "mars"}, UnknownNameError, "world 'mars'"),
        (["ESMR+gat=streak"], {}, ConfigError, "'gat' cannot be changed in a rollout. Did you mean 'gate'"),
        (["ESMR+reranker_ensemble=4"], {}, ConfigError, "'reranker_ensemble' cannot be changed in a rollout"),
        (["pop+gate=streak"], {}, ConfigError, "only ESMR takes changed keys"),
        (["ESMR+gate"], {}, ConfigError, "only ESMR takes changed keys"),
        (["ESMR+reward=emotion:x.pth"], {}, ConfigError, "a checkpoint is served as it was trained"),
    ],
)
def test_mistakes(policies, settings, error, says):
    values = {"world": "reference", **SMALL, **settings}
    with pytest.raises(error, match=says):
        rollout(values.pop("world"), policies, **values)


def test_checkpoints_that_do_not_belong_are_refused(tmp_path):
    command = ["rollout", "--users=40", "--items=60", "--days=2", "--log_days=8", "--seeds=1", "--replicates=10"]
    assert main([*command, "--policy=BPR", "--keep=kept", "--epochs=1"]) == 0
    assert main([*command, "--policy=pop", "--keep=other", "--seed=2"]) == 0
    folder, settings = "kept/seed-1", {**SMALL, "seeds": [1]}
    checkpoint = f"{folder}/BPR.pth"
    with pytest.raises(ConfigError, match="give that log with --log and --people"):
        rollout("reference", [f"BPR:{checkpoint}"], **settings)
    own = {"log": f"{folder}/log", "people": f"{folder}/people.npz"}
    for name in ("engagement", "SASRec"):
        with pytest.raises(ConfigError, match=f"policy '{name}' needs a checkpoint of"):
            rollout("reference", [f"{name}:{checkpoint}"], **settings, **own)
    foreign = {"log": "other/seed-2/log", "people": "other/seed-2/people.npz"}
    with pytest.raises(ConfigError, match=r"was trained on .*kept.*, not on .*other"):
        rollout("reference", [f"BPR:{checkpoint}"], **settings, **foreign)
    with pytest.raises(ConfigError, match="is not of the people in"):
        rollout("reference", ["pop"], **settings, **{**own, "people": foreign["people"]})


def test_a_path_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    command = ["simulate", "--users=5", "--items=30", "--days=2", "--output=x", "--truth=file/truth.json"]
    with pytest.raises(SystemExit) as stopped:  # before anything is simulated
        main(command)
    assert stopped.value.code == 2 and not (tmp_path / "x").exists()
    assert "file is a file, so nothing can be written below it" in capsys.readouterr().err.splitlines()[-1]
