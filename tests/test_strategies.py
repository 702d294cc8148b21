"""Strategies of emotion regulation: in worlds, as effects that differ by state, as goals of people, as arms of a bandit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_esmr.causal.reward import ItemEffects
from recbole_esmr.causal.traits import ANY, STABLE, VULNERABLE, Traits, traits_of
from recbole_esmr.closed_loop import rollout
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_split
from recbole_esmr.errors import ConfigError, UnknownNameError
from recbole_esmr.model.ranking import rank
from recbole_esmr.policy.esmr import ESMRPolicy
from recbole_esmr.policy.strategies import LinUCBStrategies, OneStrategy
from recbole_esmr.power import power
from recbole_esmr.quick_start import estimate_causal, load_data_and_model, run_recbole
from recbole_esmr.simulation import FeedEnv, load_world, simulate
from recbole_esmr.simulation.oracle import moved_by
from recbole_esmr.trainer.causal import causal_question
from tests.conftest import QUICK

NAMES = ["distraction", "reappraisal", "savouring", "venting"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A small log of the world, and an ESMR trained on it."""
    folder = tmp_path_factory.mktemp("strategies") / "small"
    simulate(load_world("strategies"), 60, 80, 14, 3, folder, show_progress=False)
    result = run_recbole("ESMR", str(folder), config_dict={**QUICK, "checkpoint_dir": str(folder.parent / "saved")}, arguments=[])
    return folder, load_data_and_model(result["checkpoint"])


# -- the world -------------------------------------------------------------------------------------------------------


def test_a_strategy_acts_by_how_one_feels():
    """What the oracle expects of an item is what twins say: the emotion's part, and the strategy's on such a day."""
    env = FeedEnv(load_world("strategies"), 400, 60, seed=2)
    env.reset()
    effects = moved_by(env, torch.arange(60))
    settings, low = env.world.exposure, torch.from_numpy(env.valence < 0)
    assert low.any() and not low.all()
    plain = env.people.susceptibility * env.people.within_sd / 0.1
    for item in range(20):
        label, code = env.taxonomy.labels[env.catalogue.emotion[item]], int(env.catalogue.strategy[item])
        of_emotion = settings.effect[label] * env.catalogue.intensity[item]
        name = list(env.world.catalogue.strategy_share)[code] if code >= 0 else None
        good, bad = (
            of_emotion + (table[name] if name else 0) for table in (settings.strategy_effect, settings.strategy_effect_low)
        )
        assert torch.allclose(effects[:, item], plain * torch.where(low, bad, good), atol=1e-5)
    before = env.snapshot()
    nudge = np.zeros(len(env.exposure.usual))
    nudge[len(env.taxonomy) + NAMES.index("distraction")] = 0.1
    nothing = np.full((400, 1), -1)
    rollouts = []
    for more in (None, nudge):
        env.reset(seed=env.rollout_seed, options={"state": before})
        env.step(nothing, more)
        rollouts.append(env.state.clone())
    expected = torch.where(low, 0.25, -0.05) * env.people.susceptibility * env.people.within_sd
    assert torch.allclose(rollouts[1] - rollouts[0], expected, atol=1e-5)


def test_other_worlds_are_what_they_were(tmp_path):
    """A world that says nothing of strategies has none, and its items no such column."""
    env = FeedEnv(load_world("reference"), 3, 30, seed=2)
    assert (env.catalogue.strategy == -1).all() and len(env.exposure.usual) == len(env.taxonomy)
    simulate(load_world("reference"), 5, 20, 3, 1, tmp_path / "plain", show_progress=False)
    assert "strategy:token" not in pd.read_csv(tmp_path / "plain/plain.item", sep="\t")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("base: strategies\n", "itself has a base"),
        ("base: reference\ncatalogue:\n  strategy_share: {a: 0.7, b: 0.6}\n", "strategy_share sums to 1.3; expected at most 1"),
        ("base: reference\ncatalogue:\n  strategy_share: {a: 0.2}\n", r"exposure: strategy_effect has the keys \[\]"),
        (
            "base: reference\ncatalogue:\n  strategy_share: {a: 0.2}\nexposure:\n  strategy_effect: {a: 1}\n"
            "  strategy_effect_low: {b: 1}\n",
            r"strategy_effect_low has the keys \['b'\]; expected those of catalogue: strategy_share, \['a'\]",
        ),
    ],
)
def test_a_wrong_world_is_refused(tmp_path, text, says):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises((ConfigError, UnknownNameError), match=says):
        load_world(str(tmp_path / "mine.yaml"))


# -- effects by state ------------------------------------------------------------------------------------------------


def test_traits_by_state_are_exposures_of_such_days(world):
    folder, _ = world
    data = load_split(Config("ESMR", str(folder), arguments=["--state=ERROR"]))
    traits = traits_of(data.catalogue, data.taxonomy.labels, ["emotion", "strategy"], ["strategy"])
    plain = traits_of(data.catalogue, data.taxonomy.labels, ["emotion", "strategy"])
    assert len(plain) + 4 == len(traits) and (plain.state == ANY).all()
    by_name = dict(zip(traits.names, traits.state.tolist(), strict=True))
    assert (
        by_name["exposure_strategy=venting, stable"] == STABLE and by_name["exposure_strategy=venting, vulnerable"] == VULNERABLE
    )
    assert by_name["exposure_happy"] == ANY
    settings = Config("ESMR", str(folder), arguments=["--state=ERROR"]).esmr.causal
    use = np.ones(data.trace.present.shape, dtype=bool)
    panel, *_ = causal_question(data.trace, data.seen, data.taxonomy.labels, settings, 1, use, 0.95)
    whole, *_ = causal_question(data.trace, data.seen, data.taxonomy.labels, replace(settings, by_state=[]), 1, use, 0.95)
    table, low = panel.table, panel.table["valence_today"].to_numpy() < 0
    for side in ("", "shown_"):
        name = f"{side}exposure_strategy=venting"
        both = table[f"{name}, stable"] + table[f"{name}, vulnerable"]
        assert np.allclose(both, whole.table[name]) and not table[f"{name}, stable"][low].any()
        assert not table[f"{name}, vulnerable"][~low].any()
    assert "vulnerable_today" in panel.design.confounders and "vulnerable_today" not in whole.design.confounders


def test_an_item_is_worth_what_is_to_be_expected_of_the_day():
    traits = Traits(
        ("exposure_happy", "exposure_strategy=a, stable", "exposure_strategy=a, vulnerable"), ("positive", "s", "v"),
        np.array([[0, 0, 0], [0.5, 1, 1], [0, 1, 1]]), np.ones(3), np.array([ANY, STABLE, VULNERABLE]),
    )  # fmt: skip
    weights = zip(traits.names, (0.02, -0.01, 0.03), strict=True)
    effects = ItemEffects.of_weights([{"treatment": t, "outcome": "valence", "weight": w} for t, w in weights], traits)
    assert np.allclose(effects.valence, [0, 0.1 - 0.1, -0.1]) and np.allclose(effects.vulnerable, [0, 0.1 + 0.3, 0.3])
    item, risk = np.array([[1, 2], [1, 2], [1, 2]]), np.array([0.0, 1.0, 0.25])
    assert np.allclose(effects.at(item, risk), [[0, -0.1], [0.4, 0.3], [0.1, 0.0]])
    assert np.allclose(effects.at(item), [[0, -0.1]] * 3) and effects.any
    assert not ItemEffects(np.zeros(3)).any and ItemEffects(np.zeros(3), np.array([0, 0, 1.0])).any


def test_a_ranking_reads_the_forecast_risk(world):
    """On a morning that is surely bad an item counts by its effect on bad days."""
    _, (_, model, *_) = world
    effects = ItemEffects(np.zeros(model.n_items), np.arange(model.n_items) / 100)
    rankers, rule = replace(model.rankers, effects=effects), model.settings.serving
    beliefs, row, day = model.beliefs(), np.arange(1, 9), np.full(8, 10)
    sure = replace(beliefs, risk=np.ones_like(beliefs.risk))
    none = replace(beliefs, risk=np.zeros_like(beliefs.risk))
    found = [rank(rankers, model.log, of, row, day, rule, np.full(8, 5)).candidates for of in (sure, none)]
    who = model.learned.responses.of(model.log.people[row])[:, None]
    assert torch.allclose(found[0].effect, torch.from_numpy(who * effects.vulnerable[found[0].item]).float() * found[0].ratio)
    assert not found[1].effect.any()


# -- goals, and baselines --------------------------------------------------------------------------------------------


def _shares(policy, data, slates, name):
    """Share of each person's slate that offers a strategy."""
    strategy = data.catalogue.strategy[policy._item[np.maximum(slates, 0)]]
    return ((strategy == name) & (slates >= 0)).sum(axis=1) / (slates >= 0).sum(axis=1)


def test_people_may_prefer_and_avoid_a_strategy(world):
    from tests.feeds import morning_of, names_of

    _, loaded = world
    _, model, data, *_ = loaded
    users, items = (names_of((None, loaded), field) for field in ("user_id", "item_id"))
    policy = ESMRPolicy(model, data, gate="never")
    morning = morning_of(len(users), len(items), 6)
    shares = {}
    for goal in (None, "prefer reappraisal", "avoid reappraisal"):
        policy.reset(users, items)
        slates = policy.recommend(morning, goal)
        shares[goal] = _shares(policy, data, slates, "reappraisal")
        kept, usual = policy.ranking.engagement, policy.ranking.usual_engagement
        assert (kept >= policy.rule.min_engagement_slate * usual - 1e-5).all(), "each slate keeps its floor"
    assert (shares["prefer reappraisal"] >= shares[None]).all() and (shares["avoid reappraisal"] <= shares[None]).all()
    assert shares["prefer reappraisal"].mean() > shares[None].mean() + 0.1
    assert shares["avoid reappraisal"].mean() < shares[None].mean() - 0.1
    policy.reset(users, items, np.zeros(len(users), dtype=bool))
    assert np.array_equal(policy.recommend(morning, "prefer reappraisal"), policy.recommend(morning)), (
        "without consent no goal is read"
    )
    with pytest.raises(ConfigError, match=r"there is no goal 'prefer reapraisal'\. Did you mean 'prefer reappraisal'"):
        policy.recommend(morning, "prefer reapraisal")


def test_one_strategy_is_pushed_and_bandits_learn_among_them(world):
    from tests.feeds import evening_of, morning_of, names_of

    _, loaded = world
    _, model, data, *_ = loaded
    users, items = (names_of((None, loaded), field) for field in ("user_id", "item_id"))
    morning = morning_of(len(users), len(items), 6)
    usual = ESMRPolicy(model, data, gate="never")
    usual.reset(users, items)
    without = usual.recommend(morning)
    policy = OneStrategy(model, data, "venting")
    policy.reset(users, items)
    slates = policy.recommend(morning)
    assert _shares(policy, data, slates, "venting").mean() > _shares(usual, data, without, "venting").mean()
    with pytest.raises(ConfigError, match=r"strategy=ventin: no item has it\. Did you mean 'venting'"):
        OneStrategy(model, data, "ventin")
    bandit = LinUCBStrategies(model, data)
    bandit.reset(users, items)
    assert bandit.lift(np.eye(4)).shape == (4, 4) and bandit.arms.shape == (len(data.catalogue), 4)
    slates = bandit.recommend(morning)
    bandit.observe(evening_of(slates, np.full(slates.shape, 0.5), {"churned": np.zeros(len(users))}, "lonely", 15))
    assert np.isfinite(bandit._theta).all()


def test_without_strategies_they_are_refused(trained):
    _, (_, model, data, *_) = trained
    with pytest.raises(ConfigError, match="no item has a strategy"):
        OneStrategy(model, data, "venting")


def test_they_are_refused_before_anything_is_simulated():
    for world, policy, says in (
        ("reference", "linucb-strategies", "offer no strategies"),
        ("strategies", "only+strategy=ventin", r"no item offers it\. Did you mean 'venting'"),
    ):
        with pytest.raises(ConfigError, match=says):
            rollout(world, ["engagement", policy], users=10, items=20, show_progress=False)
    with pytest.raises(ConfigError, match="power asks after emotions alone"):
        power("strategies", [20])


def test_emotions_by_state_stay_alike_within_a_sign(world):
    """Groups are pooled whatever the state of the day; a feature that is not asked after is refused."""
    folder, _ = world
    keys = {"state": "ERROR", "effect_features": ["emotion"], "effect_by_state": ["emotion"], "causal_placebos": 10}
    result, _ = estimate_causal(str(folder), config_dict=keys, arguments=[], graph_samples=0)
    names = [effect["treatment"] for effect in result["effects"] if effect["treatment"].startswith("exposure_")]
    assert names and all(name.endswith((", stable", ", vulnerable")) for name in names)
    with pytest.raises(ConfigError, match=r"effect_by_state names 'emotin', which effect_features does not\. Did you mean"):
        Config("ESMR", str(folder), config_dict={"effect_by_state": ["emotin"]}, arguments=[])


@pytest.mark.parametrize("policy", ["only", "only+gate=never", "only+strategy="])
def test_a_policy_of_one_strategy_says_which(policy):
    with pytest.raises(ConfigError, match=r"only\+strategy=reappraisal"):
        rollout("strategies", [policy], users=10, items=20, show_progress=False)


def test_they_live_in_a_rollout(tmp_path):
    keys = [f"--{name}={value}" for name, value in QUICK.items() if name not in ("gate", "reward")]
    policies = ["engagement", "only+strategy=venting", "linucb-strategies"]
    result, _ = rollout("strategies", policies, 30, 40, 4, [1], 10, arguments=keys, replicates=50, show_progress=False)
    assert set(result["policies"]) == set(policies)
    assert all(0 <= part["negative_day_share"]["mean"] <= 1 for part in result["policies"].values())
