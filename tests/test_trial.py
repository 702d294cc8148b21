"""A trial: a plan that holds, an assignment that anybody can make again, an analysis that is right where the truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from recbole_esmr.cli import main
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.label.labeller import Label
from recbole_esmr.serving.core import Request
from recbole_esmr.serving.sealing import Seal
from recbole_esmr.serving.service import Service
from recbole_esmr.serving.store import Store
from recbole_esmr.serving.trial.analysis import analysed, difference, lin, within
from recbole_esmr.serving.trial.assignment import arm_of, dealt, lot, strata_of, thirds
from recbole_esmr.serving.trial.outcomes import Observed, observed
from recbole_esmr.serving.trial.plan import CONTROL, TREATED, Plan, people_needed, read_plan, spread_of, write_plan
from recbole_esmr.serving.trial.registered import assign, hold_to
from recbole_esmr.serving.trial.sequential import bounds, spent

PLAN = Plan(
    name="t", unit="person", start=11, days=10, baseline_days=5, treated=0.5, explore=0.1, primary="negative_days",
    secondary=("valence", "watch_minutes", "days_here"), minimum_effect=0.05, alpha=0.05, power=0.8, people=100, looks=(0.5, 1.0),
)  # fmt: skip


def made(people=200, effect=0.0, seed=0, plan=PLAN, share=0.5):
    """A trial of people whose mood has a home base of its own; ``effect`` is added to the valence of treated days."""
    rng = np.random.default_rng(seed)
    span = plan.baseline_days + plan.days
    home = rng.normal(0.1, 0.3, people)[:, None]
    if plan.unit == "person":
        treated = np.repeat(rng.random((people, 1)) < share, plan.days, axis=1)
    else:
        treated = rng.random((people, plan.days)) < share
    whole = np.column_stack([np.zeros((people, plan.baseline_days), dtype=bool), treated])
    valence = np.clip(home + rng.normal(0, 0.3, (people, span)) + effect * whole, -1, 1)
    valence[rng.random((people, span)) < 0.2] = np.nan
    names = np.array([f"p{number}" for number in range(people)])
    return Observed(
        names,
        np.full(people, ""),
        np.full(people, ""),
        valence,
        rng.gamma(4, 1, (people, span)),
        rng.random((people, span)) < 0.8,
        treated,
        plan.baseline_days,
    )


# -- the plan ----------------------------------------------------------------------------------------------------------------


def test_a_plan_is_held_to_its_hash(tmp_path):
    path = tmp_path / "plan.yaml"
    write_plan(path, PLAN)
    assert read_plan(path) == replace(PLAN, secondary=PLAN.secondary)
    with pytest.raises(ConfigError, match="never overwritten"):
        write_plan(path, PLAN)
    path.write_text(path.read_text().replace("alpha: 0.05", "alpha: 0.1"))
    with pytest.raises(ConfigError, match="was changed after it was written"):
        read_plan(path)


@pytest.mark.parametrize(
    "change, message",
    [
        ("looks: [1.0, 0.5]", "shares that rise to 1"),
        ("looks: [0.5]", "shares that rise to 1"),
        ("unit: week", "one of person, person-day"),
        ("primary: happiness", "one of negative_days"),
        ("secondary: [negative_days]", "named twice"),
        ("treated: 1.5", r"number in \[0.01, 0.99\]"),
        ("pepole: 3", "Did you mean 'people'"),
    ],
)
def test_a_wrong_plan_is_refused(tmp_path, change, message):
    path = tmp_path / "plan.yaml"
    write_plan(path, PLAN)
    key = change.split(":")[0]
    lines, skipping = [], False
    for line in path.read_text().splitlines():
        skipping = line.startswith(f"{key}:") or (skipping and line.startswith("- "))
        lines += [] if skipping else [line]
    path.write_text("\n".join([*lines, change]))
    with pytest.raises(ConfigError, match=message):
        read_plan(path)


def test_people_needed_by_hand():
    """(1.95996 + 0.84162)^2 . 0.04 / (0.25 . 0.0025) = 502.3; a correlation of .8 takes 64 % of it away."""
    assert people_needed(0.05, 0.2, 0.0, 0.5, 0.05, 0.8) == 503
    assert people_needed(0.05, 0.2, 0.8, 0.5, 0.05, 0.8) == 181
    assert people_needed(0.05, 0.2, 0.0, 0.2, 0.05, 0.8) == 785
    sd, correlation = spread_of(np.array([0.0, 1.0, 2.0, np.nan]), np.array([0.0, 2.0, 4.0, 1.0]))
    assert sd == 1.0 and correlation == pytest.approx(1.0)


def test_the_power_is_as_designed():
    """Of trials of the size that the formula asks for, about 80 % find the effect."""
    found, rng = 0, np.random.default_rng(0)
    count = people_needed(0.5, 1.0, 0.6, 0.5, 0.05, 0.8)
    for _ in range(2000):
        before = rng.normal(size=count)
        arm = rng.random(count) < 0.5
        outcome = 0.6 * before + 0.8 * rng.normal(size=count) + 0.5 * arm
        estimate, error, _ = lin(outcome, arm, before[:, None])
        found += abs(estimate / error) > 1.96
    assert found / 2000 == pytest.approx(0.8, abs=0.04)


# -- the assignment ----------------------------------------------------------------------------------------------------------


def test_lots_follow_from_the_plan_and_the_unit_alone():
    numbers = np.array([lot(PLAN, f"p{number}") for number in range(4000)])
    assert lot(PLAN, "p1") == lot(replace(PLAN), "p1") and numbers.min() >= 0 and numbers.max() < 1
    assert numbers.mean() == pytest.approx(0.5, abs=0.02) and np.histogram(numbers, 4, (0, 1))[0].min() > 900
    other = np.array([lot(replace(PLAN, name="u"), f"p{number}") for number in range(4000)])
    assert abs(np.corrcoef(numbers, other)[0, 1]) < 0.05, "another trial assigns independently"
    day = replace(PLAN, unit="person-day")
    arms = [arm_of(day, "p1", number) for number in range(200)]
    assert 70 < arms.count(TREATED) < 130 and {arm_of(PLAN, "p1", number) for number in range(200)} == {arm_of(PLAN, "p1", 0)}


def test_arms_are_dealt_out_evenly_within_strata():
    people = [f"p{number}" for number in range(101)]
    stratum = ["a"] * 60 + ["b"] * 40 + ["c"]
    arms = np.array(dealt(PLAN, people, stratum))
    assert (arms[:60] == TREATED).sum() == 30 and (arms[60:100] == TREATED).sum() == 20
    assert dealt(PLAN, people[::-1], stratum[::-1])[::-1] == arms.tolist(), "whatever the order"
    ones = [dealt(replace(PLAN, name=str(number)), ["x"], ["c"])[0] for number in range(400)]
    assert ones.count(TREATED) == pytest.approx(200, abs=50), "a single person is treated with the planned chance"


def test_strata_by_hand():
    value = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, np.nan])
    assert thirds(value).tolist() == [0, 0, 1, 1, 2, 2, -1]
    assert strata_of(value, ["g"] * 7)[-1] == "g/none"


# -- looks -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shares, expected",
    [
        ([1.0], [1.96]),
        ([0.5, 1.0], [2.963, 1.969]),
        ([1 / 3, 2 / 3, 1.0], [3.710, 2.511, 1.993]),
        ([0.25, 0.5, 0.75, 1.0], [4.333, 2.963, 2.359, 2.014]),
    ],
)
def test_bounds_are_the_published_ones(shares, expected):
    """The bounds of Lan and DeMets' O'Brien–Fleming type spending function, as the package ldbounds prints them."""
    assert bounds(shares, 0.05) == pytest.approx(expected, abs=0.002) and spent(1.0, 0.05) == pytest.approx(0.05)


def test_looking_often_does_not_raise_false_positives():
    rng, shares = np.random.default_rng(0), np.array([0.25, 0.5, 0.75, 1.0])
    steps = rng.normal(size=(100_000, 4)) * np.sqrt(np.diff(shares, prepend=0))
    z = steps.cumsum(axis=1) / np.sqrt(shares)
    assert (np.abs(z) >= bounds(shares.tolist(), 0.05)).any(axis=1).mean() == pytest.approx(0.05, abs=0.003)
    assert (np.abs(z) >= 1.96).any(axis=1).mean() > 0.12, "which naive looks would"


# -- the analysis ------------------------------------------------------------------------------------------------------------


def test_the_estimate_is_lins_by_an_independent_implementation():
    rng = np.random.default_rng(0)
    arm, before = rng.random(300) < 0.4, rng.normal(size=300)
    outcome = before + 0.3 * arm + rng.normal(size=300)
    centred = before - before.mean()
    fit = sm.OLS(outcome, np.column_stack([np.ones(300), arm, centred, arm * centred])).fit(cov_type="HC3")
    assert lin(outcome, arm, before[:, None]) == pytest.approx((fit.params[1], fit.bse[1], 296))


def test_person_days_by_an_independent_implementation():
    rng = np.random.default_rng(1)
    cells, arm = rng.random((40, 12)) < 0.8, rng.random((40, 12)) < 0.5
    outcome = rng.normal(size=(40, 1)) + rng.normal(size=(1, 12)) + 0.2 * arm + rng.normal(size=(40, 12))
    row, day = np.nonzero(cells)
    table = np.column_stack([arm[cells], np.eye(40)[row], np.eye(12)[day][:, 1:]]).astype(float)
    fit = sm.OLS(outcome[cells], table).fit()
    estimate, error = within(outcome, arm, cells)
    assert estimate == pytest.approx(fit.params[0])
    left = arm[cells] - sm.OLS(arm[cells].astype(float), table[:, 1:]).fit().predict()
    score = np.bincount(row, weights=left * fit.resid, minlength=40)
    assert error == pytest.approx(np.sqrt(40 / 39 * (score**2).sum()) / (left**2).sum())


@pytest.mark.parametrize("unit", ["person", "person-day"])
def test_intervals_hold_the_truth_as_often_as_they_say(unit):
    plan = replace(PLAN, unit=unit, primary="valence", secondary=())
    held = []
    for seed in range(300):
        one = difference(plan, made(120, 0.1, seed, plan), "valence")
        held.append(one["low"] <= 0.1 <= one["high"])
    assert np.mean(held) == pytest.approx(0.95, abs=0.035)


def test_the_pre_period_makes_the_interval_shorter():
    trial = made(300, 0.0)
    alone = replace(trial, valence=np.where(np.arange(15) < 5, np.nan, trial.valence))
    width = [difference(PLAN, one, "valence")["error"] for one in (trial, alone)]
    assert width[0] < 0.6 * width[1]


def test_intention_to_treat_counts_everybody_where_they_were_assigned():
    """Who never came is analysed by what is known of them, and counted."""
    trial = made(100)
    trial.valence[:10, 5:], trial.here[:10, 5:] = np.nan, False
    trial.here[10, 5:], trial.valence[10, 5:] = True, np.nan
    found = analysed(PLAN, trial)
    assert found["consort"]["never_came"] == 10 and found["consort"]["came_and_never_reported"] == 1
    assert found["consort"]["analysed"] == 89 and found["outcomes"]["days_here"]["people"] == 100
    arms = found["consort"]["arms"]
    for name in ("assigned", "never_came", "came_and_never_reported", "analysed"):
        assert arms[CONTROL][name] + arms[TREATED][name] == found["consort"][name]
    left = analysed(PLAN, replace(trial, withdrew={CONTROL: 3, TREATED: 1}))["consort"]
    assert left["assigned"] == 104 and left["withdrew"] == 4
    assert left["arms"][CONTROL]["assigned"] == arms[CONTROL]["assigned"] + 3 and left["arms"][TREATED]["withdrew"] == 1


def test_strata_are_those_of_the_assignment():
    """Groups that people change into later, which the treatment may move, adjust nothing."""
    trial, rng = made(200), np.random.default_rng(1)
    dealt = replace(trial, group=rng.integers(0, 2, 200).astype(str), stratum=rng.choice(["a/0", "a/1", "b/0"], 200))
    moved = replace(dealt, group=np.where(trial.treated[:, 0], "x", "y"))
    assert difference(PLAN, dealt, "valence") == difference(PLAN, moved, "valence")
    by_lot = [replace(one, stratum=np.full(200, "")) for one in (dealt, moved)]
    assert difference(PLAN, by_lot[0], "valence") != difference(PLAN, by_lot[1], "valence")


def test_a_look_reads_no_later_day():
    trial = made(100)
    later = replace(trial, valence=trial.valence.copy())
    later.valence[:, 10:] = -1.0
    assert analysed(PLAN, trial, 1)["outcomes"] == analysed(PLAN, later, 1)["outcomes"]
    assert analysed(PLAN, trial, 2)["outcomes"] != analysed(PLAN, later, 2)["outcomes"]
    with pytest.raises(DataError, match="the plan has 2 looks"):
        analysed(PLAN, trial, 3)


def test_a_harmed_subgroup_is_named():
    """Those who are worst off before are made worse, everybody else better."""
    trial = made(600, 0.0)
    before = trial.outcome("negative_days", slice(0, 5))
    worst = thirds(before) == 2
    change = np.where(worst, -0.3, 0.3)[:, None] * trial.treated
    trial.valence[:, 5:] += change
    found = analysed(PLAN, trial)
    assert found["harmed"] == ["pre-period third 3"] and found["outcomes"]["negative_days"]["difference"] < 0


@pytest.mark.parametrize(("people", "groups"), [(40, 4), (100, 8)])
def test_small_strata_raise_no_false_positives(people, groups):
    """Many groups of few people, some without a pre-period, no effect: about one in twenty is found."""
    plan, found = replace(PLAN, primary="valence", secondary=()), []
    for seed in range(400):
        trial = made(people, 0.0, seed)
        trial.valence[: people // 5, :5] = np.nan
        group = np.random.default_rng(seed).integers(0, groups, people).astype(str)
        found.append(difference(plan, replace(trial, group=group), "valence")["p"] < 0.05)
    assert np.mean(found) == pytest.approx(0.05, abs=0.03)


def test_a_look_before_its_time_is_refused():
    trial = made(60)
    trial.valence[:, 12:], trial.here[:, 12:] = np.nan, False
    assert trial.days_lived == 7 and analysed(PLAN, trial, 1)["days"] == 5
    with pytest.raises(DataError, match="look 2 reads 10 days of the trial, and 7 have been lived"):
        analysed(PLAN, trial)


def test_a_subgroup_of_whom_nothing_is_known_stops_nothing():
    trial = made(200)
    group = np.where(np.arange(200) < 60, "silent", "heard")
    trial.valence[:60, 5:] = np.nan
    found = analysed(PLAN, replace(trial, group=group))
    assert {one["subgroup"] for one in found["subgroups"]} >= {"group heard"} and "group silent" not in str(found["subgroups"])


def test_an_empty_arm_is_said():
    trial = made(50)
    with pytest.raises(DataError, match="nothing is known of one of the arms"):
        analysed(PLAN, replace(trial, treated=np.zeros_like(trial.treated)))


# -- on a server -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "people.sqlite")


def service_of(artifact, store, tmp_path, plan=PLAN):
    return Service(artifact, store, Seal.of_file(tmp_path / "key"), plan=plan)


def lived(service, people, days, first=6):
    for person in people:
        service.accept(person, None, [{"id": "yes", "day": first - 1, "consent": True}])
        for day in range(first, first + days):
            slate = service.recommend(person, None, Request(day, 5))
            shown = [{"item": item, "watch_ratio": 0.5} for item in slate.slate.items]
            emotion = "lonely" if (int(person[1:]) + day) % 3 else "happy"
            said = {"id": f"e{day}", "day": day, "shown": shown, "emotion": emotion, "slate": slate.receipt}
            service.accept(person, None, [said])


def test_each_arm_gets_its_feed_in_the_days_of_the_trial(artifact, store, tmp_path):
    service, people = service_of(artifact, store, tmp_path), [f"p{number}" for number in range(24)]
    lived(service, people, 5)
    strata = assign(PLAN, store, artifact)
    assert sum(counts.get(TREATED, 0) for counts in strata.values()) in range(11, 14)
    with pytest.raises(DataError, match="dealt out already"):
        assign(PLAN, store, artifact)
    arm = {person: service.profile(person, None)["profile"]["arm"] for person in people}
    acted = {TREATED: [], CONTROL: []}
    for day in range(11, 14):
        for person in people:
            acted[arm[person]].append(service.recommend(person, None, Request(day, 5)).slate.acted)
    assert not any(acted[CONTROL]) and np.mean(acted[TREATED]) > 0.2
    before = [service.recommend(person, None, Request(9, 5)).slate.acted for person in people]
    assert any(before), "outside its days the trial changes nothing"
    label = [Label({"happy" if place % 2 else "lonely": 1.0}) for place in range(20)]
    moved = {name: [service.posts(person, label, 12).acted for person in people if arm[person] == name] for name in acted}
    assert not any(moved[CONTROL]) and any(moved[TREATED]), "posts follow the arm, too"
    assert not any(service.explain(person, None, Request(12, 5))["acted"] for person in people if arm[person] == CONTROL)
    drawn = [place for person in people for place in service.recommend(person, None, Request(12, 5)).slate.drawn]
    assert 0 < np.mean(drawn) < 0.3 and len(drawn) == 120


def test_what_a_server_has_logged_is_what_is_analysed(artifact, store, tmp_path):
    service, people = service_of(artifact, store, tmp_path), [f"p{number}" for number in range(8)]
    lived(service, people, 15)
    service.accept("p0", None, [{"id": "no", "day": 20, "consent": False}])
    trial = observed(store, artifact, PLAN)
    assert trial.people.tolist() == [f"p{number}" for number in range(1, 8)] and trial.valence.shape == (7, 15)
    lonely, happy = (artifact.taxonomy.valence[artifact.taxonomy.labels.index(name)] for name in ("lonely", "happy"))
    expected = [[lonely if (person + day) % 3 else happy for day in range(6, 21)] for person in range(1, 8)]
    assert np.array_equal(trial.valence, expected) and trial.here.all()
    slate = next(event["shown"] for event in service.profile("p1", None)["events"] if event["day"] == 7)
    duration = artifact.stock.catalogue.duration[artifact.stock.numbers([item for item, *_ in slate], "")]
    assert trial.minutes[0, 1] == pytest.approx(0.5 * duration.sum() / 60)
    with pytest.raises(DataError, match="people were served in 10 days of the trial"):
        assign(PLAN, store, artifact)
    for row, person in enumerate(trial.people):
        assert trial.treated[row].all() == (arm_of(PLAN, person, 11) == TREATED)


def test_who_withdraws_is_counted_in_their_arm_and_groups_are_those_of_the_assignment(artifact, store, tmp_path):
    service, people = service_of(artifact, store, tmp_path), [f"p{number}" for number in range(12)]
    first, other = artifact.encoder.profiles[:2]
    lived(service, people, 5)
    for person in people:
        service.accept(person, None, [{"id": "who", "day": 6, "group": first}])
    assign(PLAN, store, artifact)
    arm = {person: service.profile(person, None)["profile"]["arm"] for person in people}
    lived(service, [*people, "p12", "p13"], 3, first=11)
    service.accept("p14", None, [{"id": "no", "day": 12, "consent": False}])  # never was in it
    lived(service, ["p15"], 3)
    service.accept("p15", None, [{"id": "no", "day": 9, "consent": False}])  # withdrew before it began, and was served after
    slate = service.recommend("p15", None, Request(12, 5)).slate
    service.accept("p15", None, [{"id": "seen", "day": 12, "shown": [{"item": slate.items[0], "watch_ratio": 1.0}]}])
    service.accept("p12", None, [{"id": "who", "day": 10, "group": first}, {"id": "moved", "day": 13, "group": other}])
    for person in ("p0", "p1", "p13"):  # the last came later and was assigned by their lot
        service.accept(person, None, [{"id": "no", "day": 20, "consent": False}])
    service.accept("p2", None, [{"id": "now", "day": 14, "group": other}])
    trial = observed(store, artifact, PLAN)
    assert trial.people.tolist() == sorted([*people[2:], "p12"])
    gone = [arm["p0"], arm["p1"], arm_of(PLAN, "p13", 11)]
    assert trial.withdrew == {name: gone.count(name) for name in (CONTROL, TREATED)}
    known = dict(zip(trial.people.tolist(), zip(trial.group.tolist(), trial.stratum.tolist(), strict=True), strict=True))
    assert known["p2"][0] == first and known["p2"][1].startswith(f"{first}/") and known["p12"] == (first, "")
    assert service.profile("p0", None)["profile"].get("stratum") is None, "a third of the moods that were reported"


def test_a_store_belongs_to_one_plan(artifact, store, tmp_path):
    service_of(artifact, store, tmp_path)
    service_of(artifact, store, tmp_path)
    with pytest.raises(ConfigError, match="belongs to the plan with the hash"):
        service_of(artifact, store, tmp_path, replace(PLAN, alpha=0.1))
    with pytest.raises(ConfigError, match="nothing to deal out"):
        assign(replace(PLAN, unit="person-day"), store, artifact)
    hold_to(PLAN, store)


def test_a_trial_is_planned_on_the_command_line(data_path, tmp_path, capsys):
    line = [
        "trial",
        "design",
        "--name=spring",
        "--start=2026-03-01",
        "--minimum_effect=0.05",
        f"--output={tmp_path / 'plan.yaml'}",
    ]
    assert main([*line, f"--dataset={data_path / 'small'}"]) == 0 and "people are needed" in capsys.readouterr().out
    plan = read_plan(tmp_path / "plan.yaml")
    assert plan.start == 20513 and plan.people > 10 and plan.looks == (0.5, 1.0)
    assert main(line[:-1]) == 2 and "trial design needs --output" in capsys.readouterr().err
    assert main([*line[:-1], f"--output={tmp_path / 'b.yaml'}"]) == 2 and "needs --dataset" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["trial", "rehearsal"])
def test_results_of_trials_have_a_page(kind):
    from recbole_esmr.report.pages import page_of
    from recbole_esmr.report.serving import simulated_table

    one = {"truth": -0.04, "estimate": -0.05, "low": -0.09, "high": -0.01, "crossed": True, "people_needed": 300}
    rehearsal = {"schema_version": 2, "world": "reference", "people": 200, "unit": "person", "acts": True, "trials": [one]}
    rehearsal |= {"power": 0.4, "false_positives": 0.05, "covered": 0.95, "people_needed": 300}
    page = page_of([analysed(PLAN, made(100)) if kind == "trial" else rehearsal])
    tables = [table for section in page.sections for table in section.tables]
    if kind == "trial":
        assert page.title == "Trial t" and tables[0]["outcome"].tolist() == ["negative_days", *PLAN.secondary]
    else:
        assert tables[0]["estimate"].tolist() == ["-0.050 [-0.090, -0.010]"] and "Found 0.40" in page.headline[0]
        assert "-0.040" in simulated_table(rehearsal) and "0.050, intervals that hold the truth 0.950" in simulated_table(
            rehearsal
        )


@pytest.mark.slow
def test_a_trial_in_a_world_finds_nothing_where_there_is_nothing(tmp_path):
    """In `null` no effect is proven, so both arms are the engagement ranking; at most a twentieth of assignments finds one."""
    from recbole_esmr.trial_in_world import simulate_trial

    plan = replace(PLAN, days=12, secondary=("watch_minutes",))
    keys = ["--epochs=3", "--encoder_epochs=3", "--causal_placebos=10"]
    found = simulate_trial("null", plan, 120, 100, log_days=20, trials=2, assignments=200, arguments=keys, show_progress=False)
    assert not found["acts"] and all(row["truth"] == 0 for row in found["trials"])
    assert found["false_positives"] == pytest.approx(0.05, abs=0.035)
