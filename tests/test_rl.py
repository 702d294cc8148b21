"""Offline reinforcement learning: values, returns and losses by hand, a known optimum, and what the log must not tell."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_esmr.config import Config
from recbole_esmr.data.trace import TRAIN, VALID
from recbole_esmr.data.user_days import SlateIndex
from recbole_esmr.model.engagement_ranker import EngagementFeatures
from recbole_esmr.model.ranking import pair_table
from recbole_esmr.model.state import EXTRA, policy_states
from recbole_esmr.rl.double_q import fit_value, q_loss, targets
from recbole_esmr.rl.transitions import Transitions, n_step_returns
from recbole_esmr.rl.value import ItemValue
from recbole_esmr.trainer.reranker import logged_transitions
from tests.feeds import model_of


def _settings(**changes):
    return replace(Config("ESMR", "esmr-mini", arguments=[]).esmr.reranker, **changes)


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


def test_target_networks_follow_and_weights_are_drawn_anew():
    value = ItemValue(1, 1, 2)
    online, target = next(value.online.parameters()), next(value.target.parameters())
    with torch.no_grad():
        start = target.clone()
        online.add_(1.0)
    value.soft_update(0.25)
    assert torch.allclose(target, start + 0.25) and not target.requires_grad
    drawn = []
    for seed in (1, 1, 2):
        value.reset(torch.Generator().manual_seed(seed))
        drawn.append(torch.cat([p.detach().reshape(-1) for p in value.online.parameters()]))
        assert all(torch.equal(a, b) for a, b in zip(value.online.parameters(), value.target.parameters(), strict=True))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_returns_by_hand():
    """Days 1, 2, 3, 5 of one person and day 1 of another: a day is a day, however many steps lie in it."""
    reward, person, day = np.array([1.0, 2.0, 4.0, 8.0, 100.0]), np.array([1, 1, 1, 1, 2]), np.array([1, 2, 3, 5, 1])
    found = n_step_returns(reward, person, day, 3, 0.5)
    assert found.total.tolist() == [0.5 * 2 + 0.25 * 4, 0.5 * 4, 0, 0, 0]
    assert found.following.tolist() == [3, 3, 3, -1, -1], "from day 3 the log ends before day 6: on by the value of day 5"
    assert found.interval.tolist() == [4, 3, 2, 0, 0] and found.discount.tolist() == [1 / 16, 1 / 8, 1 / 4, 0, 0]
    assert found.truncated.tolist() == [False, False, False, True, True] and not found.terminated.any()
    found = n_step_returns(reward, person, day, 1, 0.5)
    assert found.total.tolist() == [0] * 5 and found.following.tolist() == [1, 2, 3, -1, -1]
    assert found.discount.tolist() == [0.5, 0.5, 0.25, 0, 0], "two days to the next step"


def test_what_has_ended_is_not_what_was_cut_off():
    reward, person, day = np.array([1.0, 2.0, 4.0, 1.0, 2.0]), np.array([1, 1, 1, 2, 2]), np.array([1, 2, 3, 1, 2])
    ended = np.array([False, False, True, False, False])
    found = n_step_returns(reward, person, day, 2, 0.5, ended)
    assert found.terminated.tolist() == [False, True, True, False, False]
    assert found.total.tolist() == [1, 2, 0, 0, 0], "the last reward of an ended life is in the return: 0.5 · 4"
    assert found.truncated.tolist() == [False, False, False, False, True]
    assert found.following.tolist() == [2, -1, -1, 4, -1] and found.discount[1] == 0
    with pytest.raises(ValueError, match="ordered by person and day"):
        n_step_returns(reward, person, day[::-1].copy(), 2, 0.5)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.floats(0.1, 0.99))
def test_returns_are_those_of_a_loop_over_days(seed, days, discount):
    rng = np.random.default_rng(seed)
    rows = [(p, d) for p in range(4) for d in np.flatnonzero(rng.random(12) < 0.5)]
    person, day = np.array(rows, dtype=int).reshape(-1, 2).T
    reward, ended = rng.standard_normal(len(rows)), np.repeat(rng.random(4) < 0.5, np.bincount(person, minlength=4))
    found = n_step_returns(reward, person, day, days, discount, ended)
    for t in range(len(rows)):
        own = [j for j in range(t + 1, len(rows)) if person[j] == person[t]]
        later = [j for j in own if day[j] - day[t] >= days]
        follow = later[0] if later else own[-1] if own and not ended[t] else -1
        inside = [j for j in own if follow < 0 or j < follow]
        assert found.following[t] == follow and found.truncated[t] == (follow < 0 and not ended[t])
        assert found.total[t] == pytest.approx(sum(discount ** (day[j] - day[t]) * reward[j] for j in inside))


def _chain(days: int, people: int, rng: np.random.Generator) -> Transitions:
    """A person's days: item x in {0, 1} brings r = x; all of a day's mood is worth 1 a day, a unit of it fading by a half."""
    rows = days * people
    x = torch.from_numpy(rng.integers(0, 2, (rows, 2))).float()
    person = np.repeat(np.arange(people), days)
    found = n_step_returns(x.mean(dim=1).numpy(), person, np.tile(np.arange(days), people), 1, 0.5)
    there = torch.ones(rows, 2, dtype=torch.bool)
    return Transitions(
        person=torch.from_numpy(person), state=torch.ones(rows, 1), item=x[..., None], shown=there, weight=torch.ones(rows, 2),
        reward=x, other=x[torch.randperm(rows)][..., None], real=there, later=torch.from_numpy(found.total).float(),
        following=torch.from_numpy(found.following), discount=torch.from_numpy(found.discount).float(),
        truncated=torch.from_numpy(found.truncated), mood=torch.ones(rows), mood_state=torch.ones(rows, 1),
        mood_discount=torch.full((rows,), 0.5),
    )  # fmt: skip


@pytest.mark.parametrize("days", [40, 2])
def test_learning_finds_the_known_optimum(days):
    """M = 1 / (1 − 0.5) = 2; items differ by their reward of 1; the better half of each next slate is worth V = E max + V / 2.

    Of logs that are cut off after two days, too: half of the steps lead nowhere that is known, and no life ends there.
    """
    transitions = _chain(days, 2400 // days, np.random.default_rng(0))
    value = ItemValue(1, 1, 16, members=2)
    settings = _settings(epochs=60, batch_days=256, conservatism=0.0, learning_rate=0.005)
    errors = fit_value(value, transitions, settings, torch.Generator().manual_seed(0))
    with torch.no_grad():
        answer = value.base(torch.ones(1, 1), torch.tensor([[[0.0], [1.0]]])).mean(dim=0)[0]
        assert float(value.mood(torch.ones(1, 1)).mean()) == pytest.approx(2, abs=0.1)
    assert float(answer[1] - answer[0]) == pytest.approx(1, abs=0.1)
    assert float(answer[0]) == pytest.approx(0.5 * 2 * 0.75, abs=0.2), "V = 0.75 / (1 − 0.5)"
    assert errors[-1] < errors[0]


def test_loss_by_hand_and_the_conservative_penalty():
    days = _chain(3, 2, np.random.default_rng(1))
    value = ItemValue(1, 1, 4)
    batch = days.known
    assert batch.tolist() == [0, 1, 3, 4], "the last days teach nothing, but the days before lead to them"
    loss, error = q_loss(value, days, batch, 0.0)
    base, mood = targets(value, days, batch)
    said = value.base(days.state, days.item)[:, batch]
    by_hand = ((said - base) ** 2).mean() + ((value.mood(days.state)[:, batch] - mood) ** 2).mean()
    assert float(loss) == pytest.approx(float(by_hand), rel=1e-5) and error == pytest.approx(float(by_hand), rel=1e-5)
    penalised, same = q_loss(value, days, batch, 2.0)
    other = value.base(days.state, days.other)[:, batch]
    gap = torch.logsumexp(other, dim=-1) - np.log(2) - said.mean(dim=-1)
    assert float(penalised - loss) == pytest.approx(2 * float(torch.nn.functional.softplus(gap).mean()), rel=1e-4)
    assert same == pytest.approx(error)
    doubled = replace(days, weight=days.weight * torch.tensor([2.0, 0.0]))
    only_first, _ = q_loss(value, doubled, batch, 0.0)
    first = ((said - base) ** 2)[..., 0].mean() + ((value.mood(days.state)[:, batch] - mood) ** 2).mean()
    assert float(only_first) == pytest.approx(float(first), rel=1e-5), "propensities weigh the error"


# -- what the log tells, and what it must not ----------------------------------------------------------------------------


def _transitions(model, part=TRAIN, seed=0):
    settings, generator = model.settings, np.random.default_rng(seed)
    return logged_transitions(model.log, model.beliefs(), model.rankers, settings.reward, settings.reranker, generator, part)


def test_transitions_hold_training_days_and_consenting_people_alone(trained):
    other = model_of(trained)
    silent = int(np.argmax(other.log.trace.present.sum(axis=1)))
    other.log.trace.consent[silent] = False
    days = _transitions(other)
    assert len(days) and silent not in days.person.tolist()
    other.settings = replace(other.settings, reward=replace(other.settings.reward, kind="causal"))
    days = _transitions(other)
    assert (days.mood > 0).any()
    changed = copy.deepcopy(other)
    late = changed.log.trace.role != TRAIN
    changed.log.trace.valence[late] = -1.0
    shown = changed.log.impressions
    shown.watch_ratio[changed.log.trace.role[shown.user, shown.day] != TRAIN] = 1.0
    again = _transitions(changed)
    for name in ("reward", "later", "mood", "state"):
        assert torch.equal(getattr(days, name), getattr(again, name)), "what happens on held-out days reaches no transition"
    assert len(_transitions(other, VALID))


def test_a_persons_last_logged_day_is_truncated_and_days_away_count(trained):
    model = model_of(trained)
    days = _transitions(model, VALID)
    person = days.person.numpy()
    last = np.append(person[1:] != person[:-1], True)
    assert np.array_equal(days.truncated.numpy(), last) and last.mean() > 0.3, "most of so few days are somebody's last"
    settings, train = model.settings.reranker, _transitions(model, TRAIN)
    shown = model.log.impressions
    role = model.log.trace.role[shown.user, shown.day]
    logged = SlateIndex(*(x[(role == TRAIN) & model.log.trace.consent[shown.user]] for x in (shown.user, shown.day)))
    assert np.array_equal(logged.user, train.person.numpy())
    known, follow = ~train.truncated.numpy(), train.following.numpy()
    days = logged.day[follow[known]] - logged.day[known]
    assert np.allclose(train.discount.numpy()[known], settings.discount**days, atol=1e-6)
    steps = follow[known] - np.flatnonzero(known)
    assert (days > steps).any(), "days away count"


def test_other_peoples_items_are_seen_as_this_person_would_watch_them(trained):
    """The penalty's items carry the person's own expected ratio: shown to two people, an item has two."""
    model = model_of(trained)
    days, log, beliefs, rankers = _transitions(model), model.log, model.beliefs(), model.rankers
    features = EngagementFeatures.of(log, beliefs.forecast, rankers.catalogue)
    for row in (0, len(days) // 2, len(days) - 1):
        user = days.person[row : row + 1].numpy()
        morning = beliefs.morning[user[0]]
        day = int((morning == days.state[row]).all(dim=1).nonzero()[0])
        item = torch.tensor([[int((rankers.item_features == x[:-1]).all(dim=1).nonzero()[0]) for x in days.other[row]]])
        retrieved = rankers.retrieval(log, user, np.array([day])).gather(1, item)
        own = rankers.watch.predict(pair_table(features, user, np.array([day]), item, retrieved))
        alike = [(rankers.item_features == x[:-1]).all(dim=1).sum() == 1 for x in days.other[row]]
        assert any(alike) and days.other[row, alike, -1].numpy() == pytest.approx(own[alike], abs=1e-5)


def test_states_by_hand(trained):
    _, (_, model, *_) = trained
    trace = copy.deepcopy(model.log.trace)
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
