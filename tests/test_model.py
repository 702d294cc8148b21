"""The model's parts by hand, and the whole: causality, leakage, agreement of its scores."""

from __future__ import annotations

import copy
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from recbole_esmr.causal.responses import Responses, return_elasticity
from recbole_esmr.data.trace import TEST, TRAIN
from recbole_esmr.model.calibration import best_temperature
from recbole_esmr.model.days import DayBatch, DayLabels, day_labels, level_tracker
from recbole_esmr.model.emotion_encoder import DayState, EmotionEncoder, encoder_loss, join_states
from recbole_esmr.model.esmr import _by_rank
from recbole_esmr.model.gate import gate_open
from recbole_esmr.quick_start import load_data_and_model, run_recbole
from recbole_esmr.trainer.causal import learn_responses
from recbole_esmr.trainer.emotion import batches_by_length, fit_encoder
from tests.feeds import PROVEN


def test_streak_gate_by_hand():
    valence = np.array([[-0.5, -0.5, -0.5, -0.1, 0.1, 0.3, -0.5, -0.5]])
    opened = gate_open("streak", valence < 0, valence, streak=3, recovery=0.2)
    assert opened.tolist() == [[False, False, True, True, True, False, False, False]]
    assert gate_open("always", valence < 0, valence, 3, 0.2).all()
    assert not gate_open("never", valence < 0, valence, 3, 0.2).any()


def test_level_tracker_by_hand():
    valence = np.array([[np.nan, 1.0, np.nan, 0.0, np.nan, np.nan, np.nan]])
    tracker = level_tracker(valence)[0]
    assert tracker[0].tolist() == [0, 0, 0, 0]  # nothing known yet
    assert tracker[3].tolist() == [0.5, 0.0, 0.5, 0.5]
    assert tracker[6].tolist() == [0.5, 0.0, 0.5, 0.5]  # no report in the last 3 days: the running mean
    assert np.allclose(tracker[2], [1, 1, 1, 1])


def _encoder(features=3, **parts):
    torch.manual_seed(0)
    names = tuple(f"f{i}" for i in range(features))
    encoder = EmotionEncoder(names, ("a", "b", "c", "d"), ("x", "y"), hidden_size=8, layers=2, heads=2, dropout=0.0, **parts)
    for parameter in encoder.parameters():  # heads and keys begin at zero
        torch.nn.init.normal_(parameter, std=0.5)
    return encoder.eval()


def _days(users=5, days=8, features=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    report = torch.randint(0, 5, (users, days), generator=generator)
    valence = torch.rand(users, days, generator=generator) * (report > 0)
    known = torch.rand(users, days, features, generator=generator) > 0.3
    return DayBatch(
        features=torch.randn(users, days, features, generator=generator),
        own=torch.randn(users, days, features, generator=generator),
        known=known,
        present=known.any(dim=-1) | (report > 0),
        report=report,
        valence=valence,
        said=(report > 0).float(),
        profile=torch.randint(0, 3, (users,), generator=generator),
        tracker=torch.from_numpy(level_tracker(np.where(report.numpy() > 0, valence.numpy(), np.nan))).float(),
    )


def test_changing_a_day_changes_no_earlier_belief_and_no_nowcast_by_its_report():
    encoder, days = _encoder(), _days()
    before = encoder(days)
    changed = copy.deepcopy(days)
    changed.features[:, 5:] += 1.0
    changed.report[:, 5:] = (changed.report[:, 5:] + 1) % 5
    changed.valence[:, 5:] -= 1.0
    changed.tracker[:, 5:] += 1.0
    after = encoder(changed)
    for field in fields(DayState):
        old, new = getattr(before, field.name), getattr(after, field.name)
        assert torch.equal(old[:, :5], new[:, :5]), field.name
        assert not torch.allclose(old[:, 5:], new[:, 5:]), field.name
    only_report = copy.deepcopy(days)
    only_report.report[:, 5] = (only_report.report[:, 5] + 1) % 5
    after = encoder(only_report)
    assert torch.equal(before.nowcast[:, :6], after.nowcast[:, :6])  # today's label is no input of today's nowcast
    assert not torch.allclose(before.forecast[:, 5], after.forecast[:, 5])


def test_unknown_features_do_not_matter_and_people_do_not_mix():
    encoder, days = _encoder(), _days()
    masked = copy.deepcopy(days)
    masked.features[~masked.known] = 99.0
    assert torch.equal(encoder(days).hidden, encoder(masked).hidden)
    order = torch.tensor([3, 1, 4, 0, 2])
    assert torch.allclose(encoder(days.rows(order)).forecast, encoder(days).forecast[order], atol=1e-6)


def test_the_untrained_residual_leaves_the_level_tracker():
    encoder = EmotionEncoder(("a",), ("a", "b", "c", "d"), ("x", "y"), 8, 1, 2, 0.0).eval()
    encoder.tracker_weight.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    encoder.tracker_bias.fill_(0.05)
    days = _days(features=1)
    assert torch.allclose(encoder(days).mean, (days.tracker @ encoder.tracker_weight + 0.05).clamp(-1, 1))


def test_loss_by_hand():
    """One person, two days, two emotions; the second day's labels are unknown."""
    state = DayState(
        hidden=torch.zeros(1, 2, 1),
        nowcast=torch.tensor([[[1.0, 0.0], [5.0, 5.0]]]),
        forecast=torch.tensor([[[0.0, 2.0], [5.0, 5.0]]]),
        mean=torch.tensor([[0.1, 9.0]]),
        scale=torch.tensor([[0.5, 9.0]]),
        negative=torch.tensor([[0.3, 9.0]]),
        episode=torch.tensor([[-0.4, 9.0]]),
    )
    nan = float("nan")
    labels = DayLabels(
        today=torch.tensor([[0, -1]]),
        tomorrow=torch.tensor([[0, -1]]),
        valence=torch.tensor([[0.6, nan]]),
        negative=torch.tensor([[1.0, nan]]),
        episode=torch.tensor([[0.0, nan]]),
    )
    expected = math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))
    expected += 0.5 * (0.5 / 0.5) ** 2 + math.log(0.5)
    expected += math.log(1 + math.exp(-0.3)) + math.log(1 + math.exp(-0.4))
    assert float(encoder_loss(state, labels)) == pytest.approx(expected, rel=1e-6)


def test_labels_by_hand():
    class Tiny:
        emotion = np.array([[0, 1, -1, 1, 0]])
        valence = np.array([[0.5, -0.5, np.nan, -0.5, 0.5]])
        negative = np.array([[0.0, 1.0, np.nan, 1.0, 0.0]])

    labels = day_labels(Tiny(), np.array([[True, True, True, True, False]]), horizon=2)
    assert labels.today.tolist() == [[0, 1, -1, 1, -1]]
    assert labels.tomorrow.tolist() == [[1, -1, 1, -1, -1]]
    assert np.allclose(labels.negative[0], [1, np.nan, 1, np.nan, np.nan], equal_nan=True)
    assert labels.episode.isnan().all(), "every window of two days has a day that is unknown or not to be used"
    Tiny.emotion = np.array([[0, 1, 0, 0, -1]])
    Tiny.valence = np.array([[0.5, -0.5, 0.5, 0.5, np.nan]])
    Tiny.negative = np.array([[0.0, 1.0, 0.0, 0.0, np.nan]])
    labels = day_labels(Tiny(), np.ones((1, 5), dtype=bool), horizon=2)
    # any of the next two: day 0 yes (day 1); day 1 no; day 2 unknown, for day 4 is, whatever day 3 was
    assert np.allclose(labels.episode[0], [1, 0, np.nan, np.nan, np.nan], equal_nan=True)


def test_temperature_recovers_the_scale_of_logits():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 3, generator=generator) * 2
    target = torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(1)
    assert best_temperature(logits * 2.5, target) == pytest.approx(2.5, rel=0.06)


def test_predict_is_the_column_of_full_sort_predict(trained):
    _, (_, model, _, _, _, test_data) = trained
    rows = test_data._dataset[torch.arange(len(test_data._dataset))]
    table = model.full_sort_predict(rows).view(len(rows), -1)
    assert torch.equal(model.predict(rows), table[torch.arange(len(rows)), rows["item_id"]])
    assert torch.isinf(table[:, 0]).all() and torch.isfinite(table[:, 1:]).all()
    candidates = model.settings.candidates
    assert ((table[:, 1:] > 1).sum(dim=1) == candidates).all()


def test_every_stage_is_used_in_the_ranking(trained):
    """Candidates come from the retriever, are ordered by LightGBM where the gate is closed, with Q beside it where it is open."""
    _, (_, model, _, _, _, _) = trained
    gate = model.gate()[:, :-1]
    opened, closed = np.argwhere(gate)[:20], np.argwhere(~gate & model.trace.present)[-20:]
    assert len(opened) == 20
    for pairs, is_open in ((opened, True), (closed, False)):
        user, day = torch.from_numpy(pairs).T
        scores = model.score(user, day)
        retrieved = model.retriever.scores(user, day)
        best, item = retrieved.topk(model.settings.candidates, dim=1)
        assert torch.equal((scores > 1).nonzero(), torch.zeros_like(scores).scatter(1, item, 1.0).nonzero())
        ranked = torch.from_numpy(model.view_ranker.predict(model.engagement_table(user, day, item, best))).float()
        chance = model.view_chance(ranked.reshape(item.shape), best)
        said = scores.gather(1, item)
        by_chance = (chance - 1e-9 * torch.arange(item.shape[1])).argsort(dim=1, descending=True, stable=True)
        same = (said.argsort(dim=1, descending=True) == by_chance).all(dim=1)
        assert same.all() if not is_open else not same.all()
        top = said.topk(model.slate_size, dim=1).indices
        share = chance.gather(1, top).sum(dim=1) / chance.topk(model.slate_size, dim=1).values.sum(dim=1)
        assert (share >= model.floor() - 1e-5).all(), "each slate keeps its floor"


def test_no_two_values_are_tied_however_large_they_are():
    order = _by_rank(torch.tensor([[300.0, 301.0, -5.0, 299.5]]))
    assert order.tolist() == [pytest.approx([3 / 5, 4 / 5, 1 / 5, 2 / 5])]


@pytest.mark.parametrize("retriever", ["BPR", "SASRec"])
def test_leakage_probe(retriever, trained, quick):
    """Nothing of day t or later reaches a score for day t: change it all, and no score moves; yesterday's does move some."""
    _, (_, model, *_) = trained
    if retriever == "SASRec":
        keys = {**quick, "retriever": "SASRec", "retriever_config": {"n_layers": 1}, "epochs": 1, "gate_streak": 1}
        _, model, *_ = load_data_and_model(run_recbole("ESMR", "small", config_dict=keys, arguments=[])["checkpoint"])
    model = copy.deepcopy(model)
    model.causal, model.settings = PROVEN, replace(model.settings, reward="causal")
    model.responses = Responses(np.linspace(0.5, 2.0, model.trace.users), 0.2)
    model.refresh()
    trace = model.trace
    user, day = np.nonzero((trace.role == TEST) & trace.present)
    t = int(np.bincount(day).argmax())
    user = torch.from_numpy(user[day == t])
    at_t = torch.full_like(user, t)
    honest = model.score(user, at_t)

    def scores_after_changing(first_day):
        other = copy.deepcopy(model)
        rng = np.random.default_rng(0)
        tr, late = other.trace, slice(first_day, None)
        for array in (tr.valence, tr.exposure, tr.features, tr.engagement, tr.emotion_hours, tr.category_hours):
            array[:, late] = rng.permutation(array[:, late], axis=0) + 0.1
        tr.emotion[:, late] = rng.integers(-1, 9, tr.emotion[:, late].shape)
        tr.present[:, late] = ~tr.present[:, late]
        shown = other.impressions
        shown.item[shown.day >= first_day] = 1
        shown.label[shown.day >= first_day] = 1
        history = other.retriever.history
        history._item[history._key % (tr.days + 1) >= first_day] = 1
        other.refresh()
        return other.score(user, at_t)

    assert torch.equal(scores_after_changing(t), honest)
    assert not torch.equal(scores_after_changing(t - 1), honest)


def test_who_does_not_consent_gets_the_engagement_ranking(trained):
    _, (_, model, _, _, _, _) = trained
    other = copy.deepcopy(model)
    person = int(np.argwhere(model.gate().any(axis=1))[0, 0])
    other.trace.consent[person] = False
    other.refresh()
    days = torch.arange(other.trace.days)
    items = torch.arange(1, other.n_items).repeat(len(days), 1)
    likely = other.watch_ratio(torch.full_like(days, person), days, items, items * 0.0)
    other.catalogue.valence[:] = 0.123  # no emotion feature is read, not even the items'
    other.catalogue.intensity[:] = 0.456
    assert torch.equal(likely, other.watch_ratio(torch.full_like(days, person), days, items, items * 0.0))
    assert model.gate()[person].any() and not other.gate()[person].any()
    assert (other.beliefs()[person] == 0).all() and (other.policy_state()[person] == 0).all()


def test_calculate_loss_is_the_encoders_loss_on_training_days(trained):
    from recbole.data.interaction import Interaction

    _, (_, model, *_) = trained
    users = torch.tensor([1, 2, 3])
    model.eval()
    before = model.calculate_loss(Interaction({model.USER_ID: users}))
    other = copy.deepcopy(model)
    other.trace.valence[other.trace.role > 0] = -1.0  # held-out labels: no part of a training loss
    late = other.trace.role[1:4].min(axis=0) > 0
    assert late.any() and before.isfinite()
    assert torch.equal(before, other.calculate_loss(Interaction({model.USER_ID: users})))


def test_batches_by_length_hold_everybody_once_and_their_last_report():
    known = np.zeros((5, 6), dtype=bool)
    known[[0, 1, 2, 4], [5, 1, 3, 0]] = True
    batches = batches_by_length(torch.tensor([4, 0, 3, 1, 2]), known, size=2)
    assert [(users.tolist(), days) for users, days in batches] == [([4, 3], 1), ([1, 2], 4), ([0], 6)]


def test_shorter_batches_give_the_same_beliefs():
    encoder, days = _encoder(), _days()
    whole = encoder(days)
    users = torch.tensor([4, 1])
    cut = join_states(encoder.encode_batches(days, [(users, 3), (torch.tensor([0]), 8)]), 8)
    assert torch.allclose(cut.forecast[:2, :3], whole.forecast[users, :3], atol=1e-6) and (cut.forecast[:2, 3:] == 0).all()
    assert torch.allclose(cut.hidden[2], whole.hidden[0], atol=1e-6)


def test_reports_of_test_days_change_no_trained_weight(trained):
    """Train the encoder twice, the second time with other reports on the test days: the same weights to the bit."""
    _, (_, model, *_) = trained
    weights = []
    for change in (False, True):
        other = copy.deepcopy(model)
        held_out = (other.trace.role == TEST) & other.trace.consent[:, None]
        if change:
            other.trace.emotion[held_out] = np.where(other.trace.emotion[held_out] < 0, 5, -1)
            other.trace.valence[held_out] = other.taxonomy.valence_of(other.trace.emotion[held_out])
            other.trace.features[held_out] = 7.0
        fit_encoder(other.encoder, [other.trace], other.settings, torch.Generator().manual_seed(1))
        weights.append(other.encoder.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_responses_are_learned_from_training_days(trained):
    _, (_, model, *_) = trained
    other = copy.deepcopy(model)
    other.causal = PROVEN
    other.refresh()
    learned = learn_responses(other)
    late = other.trace.role != TRAIN
    other.trace.valence[late] = -1.0
    other.trace.present[late] = False
    other.trace.engagement[late] = 9.0
    other.refresh()
    again = learn_responses(other)
    assert np.array_equal(learned.susceptibility, again.susceptibility) and learned.elasticity == again.elasticity


def test_the_elasticity_of_return_by_hand():
    """Half an hour a day, 0.2 more presence for 0.1 hours at most, presence 2/3 after a day here and 1/2 after a day away."""
    present = np.array([[True, True, False, True, True, True, False, False]])
    hours = np.where(present, 0.5, 0.0)
    effects = [{"treatment": "time_spent", "outcome": "active", "state": "all", "high": 0.02}]
    use = np.ones(present.shape, dtype=bool)
    stays, returns = 3 / 5, 1 / 2
    expected = 0.02 / 0.1 * 0.5 / stays / (1 - (stays - returns))
    assert return_elasticity(effects, present, hours, use) == pytest.approx(expected)
    assert return_elasticity([{**effects[0], "high": -0.01}], present, hours, use) == 0
    assert return_elasticity([], present, hours, use) == 0
