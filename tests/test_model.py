"""The model's parts by hand, and the whole: causality, leakage, agreement of its scores."""

from __future__ import annotations

import copy
import math
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
import torch

from recbole_esmr.causal.responses import Responses, mood_cost, return_elasticity
from recbole_esmr.causal.reward import ItemEffects
from recbole_esmr.data.impressions import Seen
from recbole_esmr.data.item_past import ItemPast
from recbole_esmr.data.trace import TEST, VALID
from recbole_esmr.data.user_days import shifted
from recbole_esmr.evaluator.tracker import level_tracker
from recbole_esmr.model.beliefs import believe
from recbole_esmr.model.calibration import best_temperature
from recbole_esmr.model.days import DayBatch, DayLabels, day_labels
from recbole_esmr.model.emotion_encoder import DayState, EmotionEncoder, encoder_loss, join_states
from recbole_esmr.model.engagement_ranker import EngagementFeatures
from recbole_esmr.model.esmr import _by_rank
from recbole_esmr.model.gate import Gate
from recbole_esmr.model.level import LevelModel
from recbole_esmr.model.ranking import pair_table, rank
from recbole_esmr.quick_start import load_data_and_model, run_recbole
from recbole_esmr.trainer.causal import causal_question, learn_responses
from recbole_esmr.trainer.emotion import batches_by_length, fit_encoder
from tests.feeds import PROVEN


def test_streak_gate_by_hand():
    valence = np.array([[-0.5, -0.5, -0.5, -0.1, 0.1, 0.3, -0.5, -0.5]])
    opened = Gate(rule="streak", streak=3, recovery=0.2).opens(valence < 0, valence)
    assert opened.tolist() == [[False, False, True, True, True, False, False, False]]
    assert Gate(rule="always", streak=3, recovery=0.2).opens(valence < 0, valence).all()
    assert not Gate(rule="never", streak=3, recovery=0.2).opens(valence < 0, valence).any()


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
        foreseen=torch.from_numpy(LevelModel().foresee(np.where(report.numpy() > 0, valence.numpy(), np.nan))).float(),
    )


def test_changing_a_day_changes_no_earlier_belief_and_no_nowcast_by_its_report():
    encoder, days = _encoder(), _days()
    before = encoder(days)
    changed = copy.deepcopy(days)
    changed.features[:, 5:] += 1.0
    changed.report[:, 5:] = (changed.report[:, 5:] + 1) % 5
    changed.valence[:, 5:] -= 1.0
    changed.foreseen[:, 5:] += 1.0
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


def test_the_untrained_residual_leaves_the_level_model():
    encoder = EmotionEncoder(("a",), ("a", "b", "c", "d"), ("x", "y"), 8, 1, 2, 0.0).eval()
    days = _days(features=1)
    says = encoder(days)
    assert torch.allclose(says.mean, days.foreseen[..., 0]) and torch.allclose(says.scale.log(), days.foreseen[..., 1])
    assert torch.allclose(says.negative, days.foreseen[..., 2], atol=1e-4)


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
    assert ((table[:, 1:] > 1).sum(dim=1) == model.settings.serving.candidates).all()


def test_every_stage_is_used_in_the_ranking(trained):
    """Candidates come from the retriever, are ordered by LightGBM where the gate is closed, with Q beside it where it is open."""
    _, (_, model, _, _, _, _) = trained
    log, rankers, rule, beliefs = model.log, model.rankers, model.settings.serving, model.beliefs()
    gate = beliefs.gate(rule.gate)[:, :-1]
    opened, closed = np.argwhere(gate)[:20], np.argwhere(~gate & log.trace.present)[-20:]
    assert len(opened) == 20
    for pairs, is_open in ((opened, True), (closed, False)):
        user, day = pairs.T
        scores = model.score(user, day).cpu()
        best, item = rankers.retrieval(log, user, day).topk(rule.candidates, dim=1)
        assert torch.equal((scores > 1).nonzero(), torch.zeros_like(scores).scatter(1, item, 1.0).nonzero())
        features = EngagementFeatures.of(log, beliefs.forecast, model.catalogue)
        ranked = torch.from_numpy(rankers.views.predict(pair_table(features, user, day, item, best))).float()
        chance = rankers.view_chance(ranked.reshape(item.shape), best)
        said = scores.gather(1, item)
        by_chance = (chance - 1e-9 * torch.arange(item.shape[1])).argsort(dim=1, descending=True, stable=True)
        same = (said.argsort(dim=1, descending=True) == by_chance).all(dim=1)
        assert not same.all() if is_open else same.all()
        top = said.topk(model.slate_size, dim=1).indices
        share = chance.gather(1, top).sum(dim=1) / chance.topk(model.slate_size, dim=1).values.sum(dim=1)
        assert (share >= rule.min_engagement_slate - 1e-5).all(), "each slate keeps its floor"


def test_a_ranking_tells_all_its_parts(trained):
    """Slate, value, benefit and engagement of a ranking say the same; nothing of it is written anywhere."""
    _, (_, model, *_) = trained
    log, rankers, beliefs, rule = model.log, model.rankers, model.beliefs(), model.settings.serving
    rule = replace(rule, gate=replace(rule.gate, rule="always"), rank_by="watch_time", min_engagement=0.9)
    row = np.arange(1, 9)
    day, size = np.full(8, log.trace.days), np.array([5, 5, 5, 5, 3, 3, 1, 0])
    found = rank(rankers, log, beliefs, row, day, rule, size)
    assert ((found.slate >= 0).sum(dim=1).numpy() == size).all()
    engagement = found.candidates.engagement
    by_hand = torch.where(found.weight[:, None] > 0, engagement + found.weight[:, None] * found.benefit, engagement)
    assert torch.allclose(found.value, by_hand)
    best = by_hand.argsort(dim=1, descending=True, stable=True)
    for person in range(8):
        assert found.slate[person, : size[person]].tolist() == best[person, : size[person]].tolist()
        usual = engagement[person].topk(int(size[person])).indices
        assert bool(found.acted[person]) == (set(usual.tolist()) != set(found.slate[person, : size[person]].tolist()))
    assert found.acted.any() and float(found.engagement.sum()) < float(found.usual_engagement.sum())
    assert torch.allclose(found.of_slate(engagement, 0.0).sum(dim=1), found.engagement, atol=1e-6)
    again = rank(rankers, log, beliefs, row, day, rule, size, batch=3)
    assert torch.equal(again.slate, found.slate) and torch.equal(again.candidates.ratio, found.candidates.ratio)
    with pytest.raises(FrozenInstanceError):
        rankers.acts = False


def test_beliefs_of_given_people_are_those_among_everybody(trained):
    """Whoever else is asked about: the same beliefs, without anybody's report too."""
    _, (_, model, *_) = trained
    everybody, rows = model.beliefs(), np.array([7, 3])
    some = believe(model.encoder, model.log.of(rows).trace, model.taxonomy)
    for name in ("negative", "valence", "forecast", "tracked", "risk", "morning"):
        assert np.allclose(getattr(some, name), getattr(everybody, name)[rows], atol=1e-5), name
    unsaid = copy.deepcopy(model.log.trace)
    unsaid.valence[3], unsaid.emotion[3] = np.nan, -1
    together = believe(model.encoder, unsaid, model.taxonomy)
    alone = believe(model.encoder, unsaid.of(np.array([3])), model.taxonomy)
    assert np.array_equal(alone.negative[0], together.negative[3]) and np.allclose(alone.valence[0], together.valence[3])


def test_the_effect_of_an_item_is_its_own_times_the_persons_susceptibility(trained):
    """As a ranking serves it, times the expected watch ratio; a newcomer responds as everybody."""
    _, (_, model, *_) = trained
    effects = ItemEffects(np.arange(model.n_items) / 100)
    rankers = replace(model.rankers, effects=effects, responses=Responses(np.r_[1.0, np.full(model.log.trace.users - 1, 2.0)]))
    item = np.array([[1, 3]])
    assert rankers.effect(np.array([1]), item)[0] == pytest.approx([0.02, 0.06])
    assert rankers.effect(np.array([0]), item)[0] == pytest.approx([0.01, 0.03])
    beliefs, log = model.beliefs(), model.log
    user, day = np.argwhere(log.trace.consent[:, None] & np.isfinite(log.trace.valence))[-1]
    found = rank(rankers, log, beliefs, np.array([user]), np.array([day]), model.settings.serving, np.array([5]))
    served = found.candidates.effect / found.candidates.ratio
    assert served[0].tolist() == pytest.approx((0.02 * found.candidates.item[0]).tolist(), rel=1e-4)


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
    responses = Responses(np.linspace(0.5, 2.0, model.log.trace.users), 0.2)
    model.learned = replace(model.learned, causal=PROVEN, responses=responses, multiplier={"views": 1.0, "watch_time": 1.0})
    model.settings = replace(model.settings, reward=replace(model.settings.reward, kind="causal"))
    trace = model.log.trace
    user, day = np.nonzero((trace.role == TEST) & trace.present)
    t = int(np.bincount(day).argmax())
    user = user[day == t]
    at_t = np.full_like(user, t)
    honest = model.score(user, at_t)

    def scores_after_changing(first_day):
        other = copy.deepcopy(model)
        rng = np.random.default_rng(0)
        tr, late = other.log.trace, slice(first_day, None)
        for array in (tr.valence, tr.exposure, tr.features, tr.engagement, tr.emotion_hours, tr.category_hours):
            array[:, late] = rng.permutation(array[:, late], axis=0) + 0.1
        tr.emotion[:, late] = rng.integers(-1, 9, tr.emotion[:, late].shape)
        tr.present[:, late] = ~tr.present[:, late]
        shown = other.log.impressions
        shown.item[shown.day >= first_day] = 1
        shown.label[shown.day >= first_day] = 1
        history = other.log.history
        history._item[history._key % (tr.days + 1) >= first_day] = 1
        past = ItemPast.of(shown, other.n_items, tr.days)
        other.log = replace(other.log, past=past)
        return other.score(user, at_t)

    assert torch.equal(scores_after_changing(t), honest)
    assert not torch.equal(scores_after_changing(t - 1), honest)


def test_who_does_not_consent_gets_the_engagement_ranking(trained):
    _, (_, model, _, _, _, _) = trained
    rule = model.settings.serving
    person = int(np.argwhere(model.beliefs().gate(rule.gate).any(axis=1))[0, 0])
    assert model.beliefs().gate(rule.gate)[person].any()
    other = copy.deepcopy(model)
    consent = other.log.trace.consent.copy()
    consent[person] = False
    other.log = other.log.with_consent(consent)
    beliefs, days = other.beliefs(), np.arange(other.log.trace.days)
    assert not beliefs.gate(rule.gate)[person].any()
    assert (beliefs.forecast[person] == 0).all() and (beliefs.morning[person] == 0).all() and (beliefs.risk[person] == 0).all()
    row, size = np.full(len(days), person), np.full(len(days), 5)
    honest = rank(other.rankers, other.log, beliefs, row, days, rule, size)
    assert not honest.acted.any() and (honest.weight == 0).all()
    other.catalogue.valence[:] = 0.123  # no emotion feature is read, not even the items'
    other.catalogue.intensity[:] = 0.456
    again = rank(other.rankers, other.log, beliefs, row, days, rule, size)
    assert torch.equal(honest.candidates.ratio, again.candidates.ratio)


def test_calculate_loss_is_the_encoders_loss_on_training_days(trained):
    from recbole.data.interaction import Interaction

    _, (_, model, *_) = trained
    users = torch.tensor([1, 2, 3])
    before = model.calculate_loss(Interaction({model.USER_ID: users}))
    other = copy.deepcopy(model)
    trace = other.log.trace
    trace.valence[trace.role > 0] = -1.0  # held-out labels: no part of a training loss
    late = trace.role[1:4].min(axis=0) > 0
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


def test_an_epoch_of_many_people_is_a_random_part_of_them(trained, monkeypatch):
    """40 people by 4 would be 10 steps; 3 are taken, of other people each time, and 12 people judge."""
    encoder = copy.deepcopy(trained[1][1].encoder)
    trace = copy.deepcopy(trained[1][1].log.trace)
    settings = replace(trained[1][1].settings.encoder, batch_users=4, epoch_batches=3, epochs=2, stopping_step=9)
    read, forward = {True: [], False: []}, type(encoder).forward

    def watched(self, days):
        read[self.training].append(days.known.shape[0])
        return forward(self, days)

    monkeypatch.setattr(type(encoder), "forward", watched)
    losses = []
    fit_encoder(encoder, [trace], settings, torch.Generator().manual_seed(1), note=lambda said, epoch: losses.append(said))
    assert len(read[True]) == 6 and max(read[True] + read[False]) <= 4
    assert len(read[False]) >= 6 and len(read[False]) % 3 == 0, "each time all who judge, in three batches"
    assert [name for said in losses for name in said] == ["train_loss", "valid_loss"] * 2


def test_reports_of_test_days_change_no_trained_weight(trained):
    """Train the encoder twice, the second time with other reports on the test days: the same weights to the bit."""
    _, (_, model, *_) = trained
    weights = []
    for change in (False, True):
        other = copy.deepcopy(model)
        trace = other.log.trace
        held_out = (trace.role == TEST) & trace.consent[:, None]
        if change:
            trace.emotion[held_out] = np.where(trace.emotion[held_out] < 0, 5, -1)
            trace.valence[held_out] = other.taxonomy.valence_of(trace.emotion[held_out])
            trace.features[held_out] = 7.0
        fit_encoder(other.encoder, [trace], other.settings.encoder, torch.Generator().manual_seed(1))
        weights.append(other.encoder.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def _responses(model):
    log, use = model.log, model.log.trace.role <= VALID
    settings, beliefs = model.settings.causal, model.beliefs()
    question = causal_question(
        log.trace, Seen(log.impressions, model.catalogue), model.taxonomy.labels, settings, 1, use, 0.95,
        shifted(beliefs.state.mean.numpy(), 1, 0.0),
    )  # fmt: skip
    return learn_responses(question[0], PROVEN["effects"], log.trace, use)


def test_responses_are_learned_from_the_days_before_the_test_days(trained):
    _, (_, model, *_) = trained
    other = copy.deepcopy(model)
    learned, trace = _responses(other), other.log.trace
    late = trace.role == TEST
    trace.valence[late] = -1.0
    trace.present[late] = False
    trace.engagement[late] = 9.0
    again = _responses(other)
    assert np.array_equal(learned.susceptibility, again.susceptibility) and learned.elasticity == again.elasticity
    assert learned.mood_cost == again.mood_cost
    trace.valence[trace.role < TEST] *= -1
    assert not np.array_equal(learned.susceptibility, _responses(other).susceptibility), "the test looks at something"


def test_what_bandits_hold_a_feed_against_has_not_read_it(trained):
    """The level tracker reads reports alone: whatever the day's feed and behaviour were, it stays as it is."""
    _, (_, model, *_) = trained
    change = copy.deepcopy(model.log.trace)
    change.exposure[:], change.features[:] = 0.9, 0.0
    assert np.array_equal(model.encoder.tracked(change), model.beliefs().tracked)


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


def test_what_a_better_mood_takes_from_watching_is_found_and_guarded(monkeypatch):
    """log hours = −0.2 v + person + day; a push of which 0.6 is left each day takes 0.5 of a day, a guard a little more."""
    rng = np.random.default_rng(0)
    valence = rng.uniform(-1, 1, (300, 20))
    noise = rng.normal(0, 0.1, valence.shape)
    own, calendar = rng.normal(0, 1, (300, 1)), rng.normal(0, 0.3, (1, 20))
    hours = np.exp(-0.2 * valence + own + calendar + noise)
    found = mood_cost(valence, hours, 0.6)
    error = 0.1 / np.sqrt(valence.size / 3) / 0.4
    assert 0.5 < found < 0.5 + 4 * error
    assert mood_cost(-valence, hours, 0.6) == 0, "who feels better watches more: nothing is to be guarded"
    with monkeypatch.context() as patch:  # of a long log a part of the people tells
        patch.setattr("recbole_esmr.causal.responses.CELLS", 20 * 1500)
        assert 0.5 < mood_cost(valence, hours, 0.6) < 0.5 + 8 * error and mood_cost(valence, hours, 0.6) != found
    valence[rng.random(valence.shape) < 0.95] = np.nan
    assert mood_cost(valence, hours, 0.6) > found, "the less is known, the wider the guard"
    valence[:] = np.nan
    assert mood_cost(valence, hours, 0.6) == 0
    valence[:, :3] = 0.5
    assert mood_cost(valence, hours, 0.6) == 0, "moods that never vary say nothing"
