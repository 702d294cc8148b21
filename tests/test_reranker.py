"""Offline Q-learning: values, returns and losses by hand, against a known optimum, and what the log must not tell."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from recbole_esmr.config import Config
from recbole_esmr.data.trace import TRAIN, VALID
from recbole_esmr.model.reranker import ItemValue
from recbole_esmr.model.state import EXTRA, policy_states
from recbole_esmr.trainer.off_policy import _calibration, _ratio_interval, deploy, held_out, off_policy_estimates
from recbole_esmr.trainer.offline_rl import LoggedDays, fit_reranker, goals, logged_days, q_loss, returns


def _settings(**changes):
    return replace(Config("ESMR", "esmr-mini", arguments=[]).esmr, **changes)


class _Fixed(torch.nn.Module):
    """Members that answer slope · item, or softplus⁻¹ of a number without an item."""

    def __init__(self, slopes):
        super().__init__()
        self.slopes = torch.tensor(slopes)

    def forward(self, state, item=None):
        if item is None:
            return self.slopes[:, None].expm1().log().expand(-1, len(state))
        return self.slopes[:, None, None] * item[None, ..., 0]


def test_values_by_hand():
    value = ItemValue(1, 1, 2)
    value.online = torch.nn.ModuleList([_Fixed([1.0, 3.0]), _Fixed([2.0, 4.0])])
    value.target = torch.nn.ModuleList([_Fixed([10.0, 30.0]), _Fixed([5.0, 7.0])])
    item = torch.tensor([[[3.0], [-1.0], [2.0], [9.0]], [[1.0], [1.0], [1.0], [1.0]]])
    state, effect = torch.zeros(2, 1), torch.tensor([[0.5, 0, 0, 0], [0, 0, 0, -1.0]])
    assert value(state, item, effect)[0].tolist() == pytest.approx([6 + 1.5, -2, 4, 18])
    assert float(value(state, item, effect)[1, 3]) == pytest.approx(2 - 3)
    spread = float(torch.tensor([3 + 1.0, 9 + 2.0]).std())
    assert float(value(state, item, effect, 0.5)[0, 0]) == pytest.approx(7.5 - 0.5 * spread)
    shown = torch.tensor([[True, True, True, False], [False] * 4])
    assert value.next_base(state, item, shown, torch.tensor([2, 1])).tolist() == [(30 + 20) / 2, 0], "the least of the targets"
    assert value.next_mood(state).tolist() == pytest.approx([5, 5])


def test_the_networks_are_what_they_say():
    """The split first layer is a network on (state, item)."""
    value = ItemValue(2, 3, 5, members=2)
    state, item = torch.randn(4, 2), torch.randn(4, 6, 3)
    said = value.base(state, item)
    network = value.online[0]
    for n in range(2):
        w, b = {k: v[n] for k, v in network.weight.items()}, {k: v[n] for k, v in network.bias.items()}
        joined, weight = torch.cat([state[:, None].expand(-1, 6, -1), item], dim=-1), torch.cat([w["state"], w["item"]])
        hidden = ((joined @ weight + b["state"]).relu() @ w["middle"] + b["middle"]).relu()
        assert torch.allclose(said[n], (hidden @ w["last"] + b["last"]).squeeze(-1), atol=1e-5)
    assert (value.mood(state) >= 0).all()


def test_targets_follow_and_weights_are_drawn_anew():
    value = ItemValue(1, 1, 2)
    online, target = next(value.online.parameters()), next(value.target.parameters())
    with torch.no_grad():
        start = target.clone()
        online.add_(1.0)
    value.follow(0.25)
    assert torch.allclose(target, start + 0.25) and not target.requires_grad
    drawn = []
    for seed in (1, 1, 2):
        value.reset(torch.Generator().manual_seed(seed))
        drawn.append(torch.cat([p.detach().reshape(-1) for p in value.online.parameters()]))
        assert all(torch.equal(a, b) for a, b in zip(value.online.parameters(), value.target.parameters(), strict=True))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_returns_by_hand():
    reward, user = np.array([1.0, 2.0, 4.0, 8.0, 100.0]), np.array([1, 1, 1, 1, 2])
    total, following, discount = returns(reward, user, 3, 0.5)
    assert total.tolist() == [1 + 1, 2, 0, 0, 0], "0.5 · tomorrow + 0.25 · the day after, and the last day by its value"
    assert following.tolist() == [3, 3, 3, -1, -1] and discount.tolist() == [0.125, 0.25, 0.5, 0, 0]
    total, following, discount = returns(reward, user, 1, 0.5)
    assert total.tolist() == [0] * 5 and following.tolist() == [1, 2, 3, -1, -1] and discount.tolist() == [0.5, 0.5, 0.5, 0, 0]


def _chain(days: int, people: int, rng: np.random.Generator) -> LoggedDays:
    """A person's days: item x in {0, 1} brings r = x; all of a day's mood is worth 1 a day, a unit of it fading by a half."""
    rows = days * people
    x = torch.from_numpy(rng.integers(0, 2, (rows, 2))).float()
    user = np.repeat(np.arange(people), days)
    later, following, discount = returns(x.mean(dim=1).numpy(), user, 1, 0.5)
    number = lambda value: torch.from_numpy(value).float()  # noqa: E731
    return LoggedDays(
        user=torch.from_numpy(user), state=torch.ones(rows, 1), item=x[..., None], shown=torch.ones(rows, 2, dtype=torch.bool),
        weight=torch.ones(rows, 2), reward=x, later=number(later), following=torch.from_numpy(following),
        discount=number(discount), mood=torch.ones(rows), mood_state=torch.ones(rows, 1), mood_discount=torch.full((rows,), 0.5),
    )  # fmt: skip


def test_learning_finds_the_known_optimum():
    """M = 1 / (1 − 0.5) = 2; items differ by their reward of 1; the better half of each next slate is worth V = E max + V / 2."""
    days = _chain(40, 60, np.random.default_rng(0))
    value = ItemValue(1, 1, 16, members=2)
    settings = _settings(reranker_epochs=60, reranker_batch_days=256, reranker_conservatism=0.0, reranker_learning_rate=0.005)
    errors = fit_reranker(value, days, settings, torch.Generator().manual_seed(0))
    with torch.no_grad():
        answer = value.base(torch.ones(1, 1), torch.tensor([[[0.0], [1.0]]])).mean(dim=0)[0]
        assert float(value.mood(torch.ones(1, 1)).mean()) == pytest.approx(2, abs=0.1)
    assert float(answer[1] - answer[0]) == pytest.approx(1, abs=0.1)
    assert float(answer[0]) == pytest.approx(0.5 * 2 * 0.75, abs=0.2), "V = 0.75 / (1 − 0.5)"
    assert errors[-1] < errors[0]


def test_loss_by_hand_and_the_conservative_penalty():
    days = _chain(3, 2, np.random.default_rng(1))
    value = ItemValue(1, 1, 4)
    batch, settings = torch.arange(len(days)), _settings(reranker_conservatism=0.0)
    loss, error = q_loss(value, days, batch, settings, torch.Generator().manual_seed(0))
    base, mood = goals(value, days, batch)
    by_hand = ((value.base(days.state, days.item) - base) ** 2).mean() + ((value.mood(days.state) - mood) ** 2).mean()
    assert float(loss) == pytest.approx(float(by_hand), rel=1e-5) and error == pytest.approx(float(by_hand), rel=1e-5)
    penalised, same = q_loss(value, days, batch, _settings(reranker_conservatism=2.0), torch.Generator().manual_seed(0))
    assert float(penalised) > float(loss) and same == pytest.approx(error)
    doubled = replace(days, weight=days.weight * torch.tensor([2.0, 0.0]))
    only_first, _ = q_loss(value, doubled, batch, settings, torch.Generator().manual_seed(0))
    first = ((value.base(days.state, days.item) - base) ** 2)[..., 0].mean() + ((value.mood(days.state) - mood) ** 2).mean()
    assert float(only_first) == pytest.approx(float(first), rel=1e-5), "propensities weigh the error"


def test_logged_days_hold_training_days_and_consenting_people_alone(trained):
    _, (_, model, *_) = trained
    other = copy.deepcopy(model)
    silent = int(np.argmax(model.trace.present.sum(axis=1)))
    other.trace.consent[silent] = False
    other.refresh()
    days = logged_days(other, np.random.default_rng(0))
    assert len(days) and silent not in days.user.tolist()
    other.settings = replace(other.settings, reward="causal")
    days = logged_days(other, np.random.default_rng(0))
    assert (days.mood > 0).any()
    changed = copy.deepcopy(other)
    late = changed.trace.role != TRAIN
    changed.trace.valence[late] = -1.0
    late_rows = changed.trace.role[changed.impressions.user, changed.impressions.day] != TRAIN
    changed.impressions.watch_ratio[late_rows] = 1.0
    changed.refresh()
    again = logged_days(changed, np.random.default_rng(0))
    for name in ("reward", "later", "mood", "state"):
        assert torch.equal(getattr(days, name), getattr(again, name)), "what happens on held-out days reaches no transition"
    assert len(logged_days(other, np.random.default_rng(0), VALID))


def test_states_by_hand(trained):
    _, (_, model, *_) = trained
    trace = copy.deepcopy(model.trace)
    hidden, beliefs = torch.zeros(trace.users, trace.days, 2), np.zeros((trace.users, trace.days, 3))
    negative = np.zeros(trace.emotion.shape, dtype=bool)
    negative[1, :4] = True
    trace.exposure[1, :4] = [[0.1, 0.2], [0.3, 0.4], [np.nan, np.nan], [0.5, 0.6]]
    trace.present[1, :4] = [True, True, False, True]
    trace.engagement[1, :4] = [0.1, 0.2, 0.0, 0.3]
    state = policy_states(trace, hidden, beliefs, negative)
    assert state.shape == (trace.users, trace.days + 1, 5 + EXTRA) and (state[:, 0] == 0).all()
    minutes = np.log1p(60 * np.array([0.1, 0.2, 0.3]))
    expected = [4 / 7, (0.3 + 0.5) / 2, (0.4 + 0.6) / 2, minutes[1:].mean(), minutes[1:].mean() - minutes.mean()]
    assert state[1, 4, 5:].tolist() == pytest.approx(expected, abs=1e-6)


# -- off-policy estimates ----------------------------------------------------------------------------------------------


def test_ratio_intervals_against_a_bootstrap_of_people():
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(300), 4)
    top, bottom = rng.gamma(2, 1, 1200) + np.repeat(rng.normal(0, 1, 300), 4), rng.gamma(3, 1, 1200)
    said = _ratio_interval(top, bottom, user, 0.95)
    tops, bottoms = top.reshape(300, 4).sum(axis=1), bottom.reshape(300, 4).sum(axis=1)
    draws = rng.integers(0, 300, (4000, 300))
    low, high = np.quantile(tops[draws].sum(axis=1) / bottoms[draws].sum(axis=1), [0.025, 0.975])
    assert said["mean"] == pytest.approx(top.sum() / bottom.sum())
    assert (said["low"], said["high"]) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_a_policy_that_shows_what_was_logged_is_worth_what_was_logged(trained, monkeypatch):
    """With propensity 1 and the logged slates chosen, SNIPS and DR are both the logged mean."""
    import recbole_esmr.trainer.off_policy as off_policy

    _, (_, model, *_) = trained
    other = copy.deepcopy(model)
    other.impressions.propensity[:] = 1.0
    shown = held_out(other)

    def logged(model, shown, rank_by):
        found = deploy(model, shown, rank_by)
        item = np.zeros((len(found.user), int(found.size.max())), dtype=int)
        for row, (user, day) in enumerate(zip(found.user, found.day, strict=True)):
            here = shown.item[(shown.user == user) & (shown.day == day)]
            item[row, : len(here)] = here
        return replace(found, item=item, ratio=np.where(item > 0, 0.3, 0.0))

    monkeypatch.setattr(off_policy, "deploy", logged)
    said = off_policy_estimates(other)
    assert said["matched"] == len(shown)
    minutes = np.bincount(
        np.unique(np.stack([shown.user, shown.day]), axis=1, return_inverse=True)[1].reshape(-1),
        weights=shown.watch_ratio * other.catalogue.duration[shown.item] / 60,
    ).mean()
    for name in ("logged", "snips", "dr"):
        value = said["watch_minutes"][name]
        assert (value if name == "logged" else value["mean"]) == pytest.approx(minutes, rel=1e-6)


def test_deployed_slates_are_on_offer_and_keep_the_floor(trained):
    _, (_, model, *_) = trained
    shown = held_out(model)
    found = deploy(model, shown, "watch_time")
    assert found.user.shape == found.size.shape and (found.item > 0).sum(axis=1).max() <= found.size.max()
    for user, day, items in zip(found.user, found.day, found.item, strict=True):
        assert set(items[items > 0]) <= set(shown.item[shown.day == day]), user
        assert len(set(items[items > 0])) == (items > 0).sum()
    assert model.settings.rank_by == "views", "the model is left as it was"
    usual = copy.deepcopy(model)
    usual.settings = replace(usual.settings, gate="never")
    usual.refresh()
    least = deploy(usual, shown, "watch_time")
    hours, ceiling = ((part.ratio * model.catalogue.duration[part.item]).sum(axis=1) for part in (found, least))
    assert (hours >= model.floor() * ceiling - 1e-3).all() and (hours < 0.999 * ceiling).any(), "acts, within the floor"


def test_calibration_by_hand():
    said = np.linspace(0, 1, 1000)
    found = _calibration(said, 3 * said + 1)
    assert found["slope"] == pytest.approx(3) and found["intercept"] == pytest.approx(1) and len(found["bins"]) == 10
    assert np.isnan(_calibration(np.ones(5), np.arange(5.0))["slope"])
