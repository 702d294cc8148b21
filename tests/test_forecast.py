"""The encoder's parts by hand, its calibration against scikit-learn, its baselines, and forecasts that begin elsewhere."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from recbole_esmr.checkpoint import load_checkpoint
from recbole_esmr.cli import main
from recbole_esmr.data.proxy import ACTIVE, LABELS, label_by_behaviour
from recbole_esmr.data.trace import CONTENT, TEST, TRAIN, VALID
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import CheckpointError, DataError
from recbole_esmr.evaluator.forecast import exponential_mean
from recbole_esmr.model.attention import AcrossDays, WithinDay
from recbole_esmr.model.calibration import (
    believable_risk,
    believable_share,
    believable_spread,
    best_temperature,
    conformal_half_width,
    platt,
    wins,
)
from recbole_esmr.model.days import own_scale
from recbole_esmr.model.emotion_encoder import EmotionEncoder
from recbole_esmr.model.level import NORMAL_80
from recbole_esmr.quick_start import run_recbole
from recbole_esmr.trainer.emotion import fit_encoder
from tests.conftest import QUICK
from tests.test_model import _days, _encoder

KEYS = [f"--{key}={value}" for key, value in QUICK.items()]


# -- inputs ----------------------------------------------------------------------------------------------------------


def test_own_scale_by_hand_and_from_the_past_only():
    days = np.array([[[2.0], [np.nan], [4.0], [1.0]]])
    own = own_scale(days)[0, :, 0]
    assert own[0] == pytest.approx(2.0), "a newcomer is compared with everybody: mean 0, variance 1"
    mean, variance = 2 / 4, (4 + 3) / 4 - 0.25
    assert own[1] == 0 and own[2] == pytest.approx((4 - mean) / np.sqrt(variance))
    changed = days.copy()
    changed[0, 3:] = 99
    assert np.array_equal(own_scale(changed)[:, :3], own_scale(days)[:, :3])


def test_what_was_watched_is_a_feature(trained):
    _, (_, model, dataset, *_) = trained
    trace = model.log.trace
    names = [name for name in trace.feature_names if name.startswith(CONTENT)]
    place = [trace.feature_names.index(name) for name in names]
    emotions = [name for name in names if name[len(CONTENT) :] in dataset.taxonomy.labels]
    assert emotions and len(names) == len(emotions) + len(dataset.catalogue.categories)
    shares = trace.features[..., place[: len(emotions)]]
    watched = trace.engagement > 0
    assert np.allclose(shares[watched].sum(axis=-1), 1) and np.isnan(shares[~watched]).all()


# -- the network -------------------------------------------------------------------------------------------------------


def test_piecewise_linear_tokens_by_hand():
    """One feature, one head, plain attention: the token is slope · x + own slope · own + offset + Σ bin values."""
    layer = WithinDay(1, (), 2, 1, 0.0)
    with torch.no_grad():
        layer.edges.copy_(torch.arange(5.0)[None])
        layer.value.zero_()
        layer.value[:3, 0, 0] = torch.tensor([1.0, 10.0, 100.0])
        layer.value[3:7, 0, 1] = torch.arange(1.0, 5.0)
        layer.value[7, 0] = torch.tensor([-5.0, -7.0])
        layer.mlp[-1].weight.zero_()
        layer.mlp[-1].bias.zero_()
    x, own = torch.tensor([[[2.5], [2.5]]]), torch.tensor([[[0.5], [0.5]]])
    known = torch.tensor([[[True], [False]]])
    day = layer(x * known, own * known, known, [])
    assert day[0, 0].tolist() == pytest.approx([2.5 + 5 + 100, 1 + 2 + 0.5 * 3])
    assert day[0, 1].tolist() == pytest.approx([-5, -7]), "a missing number has a vector of its own"


def test_attention_across_days_skips_unknown_days_and_fades_with_the_gap():
    torch.manual_seed(0)
    block = AcrossDays(8, 2, 0.0).eval()
    days, present = torch.randn(1, 6, 8), torch.tensor([[True, True, False, True, True, True]])
    before = block(days, present)
    changed = days.clone()
    changed[:, 2] = 9.0
    after = block(changed, present)
    assert torch.equal(after[:, 3:], before[:, 3:]) and not torch.allclose(after[:, 2], before[:, 2])
    with torch.no_grad():
        block.rate.fill_(10.0)  # memory of no day: each day sees itself alone
    alone = torch.cat([block(days[:, [t]], torch.tensor([[True]])) for t in range(6)], dim=1)
    assert torch.allclose(block(days, present), alone, atol=1e-6)


def test_a_trace_may_be_longer_than_any_in_training():
    encoder = _encoder()
    long, short = _days(days=50), _days(days=50)
    cut = short.rows(slice(None), 8)
    assert torch.allclose(encoder(long).mean[:, :8], encoder(cut).mean, atol=1e-6)


def test_parts_that_are_left_out():
    days = _days()
    plain = _encoder(across_days=False)
    moved = copy.deepcopy(days)
    moved.features[:, 0] += 3.0
    assert torch.equal(plain(days).hidden[:, 1:], plain(moved).hidden[:, 1:]), "without attention across days a day stands alone"
    alone = EmotionEncoder(("f0", "f1", "f2"), ("a", "b", "c", "d"), ("x", "y"), 8, 1, 2, 0.0, level=False).eval()
    assert (alone(days).mean == 0).all()


def test_the_untrained_encoder_is_its_simple_forecasters():
    encoder = EmotionEncoder(("f0", "f1", "f2"), ("a", "b", "c", "d"), ("x", "y"), 8, 2, 2, 0.0).eval()
    encoder.transition.copy_(torch.eye(4) * 0.6 + 0.1)
    days = _days()
    state, said = encoder(days), days.report > 0
    expected = encoder.transition[days.report[said] - 1]
    assert torch.allclose(state.forecast.softmax(-1)[said], expected, atol=1e-6)
    assert torch.allclose(state.negative, days.foreseen[..., 2], atol=1e-4)
    assert torch.equal(state.mean, days.foreseen[..., 0]) and torch.allclose(state.scale.log(), days.foreseen[..., 1])


# -- calibration -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wide", [0.5, 2.0, 10.0])
def test_platt_is_logistic_regression(wide):
    generator = np.random.default_rng(0)
    logit = generator.normal(size=100_000) * wide
    target = generator.uniform(size=100_000) < 1 / (1 + np.exp(-(0.4 * logit - 0.7)))
    ours = platt(torch.from_numpy(logit), torch.from_numpy(target.astype(float)))
    reference = LogisticRegression(C=1e6).fit(logit[:, None], target)
    assert ours.tolist() == pytest.approx([reference.coef_[0, 0], reference.intercept_[0]], abs=0.01)


@pytest.mark.parametrize("days", [2, 10, 300])
def test_platt_is_pulled_toward_neutral(days):
    """Where the loss is least its slope is 0: Xᵀ(p − y) + 25 (a − 1, b) = 0."""
    generator = np.random.default_rng(4)
    logit = generator.normal(size=days) * 2
    target = (generator.uniform(size=days) < 1 / (1 + np.exp(-0.6 * logit))).astype(float)
    slope, offset = platt(torch.from_numpy(logit), torch.from_numpy(target)).double().tolist()
    assert 0.05 < slope < 5
    miss = 1 / (1 + np.exp(-(slope * logit + offset))) - target
    assert [miss @ logit + 25 * (slope - 1), miss.sum() + 25 * offset] == pytest.approx([0, 0], abs=1e-4)


def test_platt_keeps_its_bounds():
    apart = torch.tensor([-9.0, 9.0]).repeat(20_000)
    assert platt(apart, (apart > 0).double())[1].abs() < 1e-3, "parted points stay finite"
    assert platt(apart / 90, (apart > 0).double()).tolist() == pytest.approx([5, 0], abs=1e-4)
    slope, offset = platt(apart, (apart < 0).double()).tolist()  # the wrong way round
    assert slope == pytest.approx(0.05) and abs(offset) < 1e-4


def test_temperature_by_hand():
    """Logits log 9 to 0 where three of four are right: log 9 / T = log 3. Where all are right, or none is, the bounds."""
    logits = torch.tensor([[np.log(9.0), 0.0]]).expand(8, 2)
    right = torch.zeros(8, dtype=torch.long)
    assert best_temperature(logits, torch.tensor([0, 0, 0, 1] * 2)) == pytest.approx(2, rel=1e-6)
    assert best_temperature(logits, right) == pytest.approx(0.2) and best_temperature(logits, 1 - right) == pytest.approx(5)
    assert best_temperature(0 * logits, right) == 1, "any would do: neutral"


@pytest.mark.parametrize(("true", "share"), [(0.37, 0.37), (-1.0, 0.0), (2.0, 1.0)])
def test_believable_spread_by_hand(true, share):
    """Errors of exactly e^(true · s): the likelihood is best at that share, cut to [0, 1]; 100 of 150 days are believed."""
    spread = torch.tensor([1.0, -0.5, 0.25, -1.0]).repeat(25)
    assert believable_spread(spread, (true * spread).exp()) == pytest.approx(share * 100 / 150, abs=1e-5)
    assert believable_spread(0 * spread, spread) == 0, "nothing learned, nothing believed"


def test_conformal_intervals_hold_what_they_promise():
    generator = torch.Generator().manual_seed(0)
    held = []
    for _ in range(300):
        half = conformal_half_width(torch.randn(99, generator=generator) * 3)
        held.append((torch.randn(200, generator=generator) * 3).abs().le(half).float().mean())
    assert float(torch.stack(held).mean()) == pytest.approx(0.8, abs=0.01)
    assert float(conformal_half_width(torch.tensor([-1.0, 2.0, -3.0, 4.0]))) == 4.0


def test_a_residual_is_believed_as_far_as_it_helps():
    generator = torch.Generator().manual_seed(0)
    truth, noise = torch.randn(5000, generator=generator), torch.randn(5000, generator=generator)
    nothing = torch.zeros(5000)
    assert believable_share(nothing, truth, truth) == pytest.approx(5000 / 5050)
    assert believable_share(nothing, 2 * truth, truth) == pytest.approx(0.5 * 5000 / 5050)
    assert believable_share(nothing, noise, truth) < 0.05 and believable_share(nothing, -truth, truth) == 0
    assert believable_share(nothing[:3], nothing[:3], truth[:3]) == 0
    wide = torch.randn(5000, generator=generator) * 0.5
    assert believable_spread(wide, truth * wide.exp()) > 0.9 and believable_spread(wide, truth) < 0.1


def test_the_residual_of_a_risk_is_believed_as_far_as_it_helps():
    """Logits 0 whose truth is σ(0.6 r): at share 0.6 the likelihood is best; the wrong way round nothing is believed."""
    residual = torch.tensor([np.log(3.0), -np.log(3.0)]).repeat(2000) / 0.6
    happened = torch.where(torch.arange(4000) // 2 % 4 < 3, residual > 0, residual < 0).float()  # three of four go its way
    nothing = torch.zeros(4000)
    assert believable_risk(nothing, residual, happened) == pytest.approx(0.6 * 4000 / 4050, abs=1e-3)
    assert believable_risk(nothing, -residual, happened) == 0


def test_a_gain_must_be_more_than_chance_over_people():
    """Nine people who gain 1 and seven who lose 1: Σ = 2, √Σ² = 4. Of one person alone no number of days is enough."""
    gain = torch.tensor([1.0] * 9 + [-1.0] * 7)
    assert not wins(gain, torch.arange(16))
    assert wins(torch.tensor([1.0] * 13 + [-1.0] * 3), torch.arange(16))  # Σ = 10 of 4
    assert not wins(torch.ones(500), torch.zeros(500, dtype=torch.long))
    assert not wins(torch.zeros(0), torch.zeros(0, dtype=torch.long)) and not wins(torch.zeros(9), torch.arange(9))


# -- baselines -----------------------------------------------------------------------------------------------------------


def test_exponential_mean_by_hand():
    assert exponential_mean(np.array([[np.nan, 1.0, np.nan, 0.0]]), 0.25)[0].tolist() == [0, 1, 1, 0.75]


def test_all_baselines_on_request_and_what_figures_need(data_path, tmp_path):
    values = {**QUICK, "data_path": str(data_path), "forecast_baselines": "all"}
    emotion = run_recbole("ESMR", "small", config_dict=values, saved=False, arguments=[])["emotion"]
    assert set(emotion["baselines"]) == {"majority", "persistence", "hist_ols", "lightgbm", "person_mean", "ewma", "gru"}
    for part in emotion["baselines"].values():
        assert set(part["forecast"]) == set(emotion["forecast"]) and 0 <= part["forecast"]["coverage80"] <= 1
    found = emotion["diagnostics"]
    days = sum(sum(row) for row in found["confusion"])
    assert days == sum(bin["days"] for bin in found["reliability"]) == sum(x["days"] for x in found["per_class"].values()) > 0
    assert emotion["circular"] is False


def test_run_draws_the_forecast(data_path, tmp_path):
    command = ["run", f"--dataset={data_path / 'small'}", "--figures=figures", *KEYS]
    assert main(command) == 0
    for name in ("reliability", "confusion"):
        assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


# -- labels made from behaviour --------------------------------------------------------------------------------------------


def test_labels_from_behaviour_by_their_rules(trained):
    _, (_, model, *_) = trained
    trace, taxonomy = copy.deepcopy(model.log.trace), load_taxonomy("esmr")
    label_by_behaviour(trace, taxonomy, seed=0)
    assert {taxonomy.labels[code] for code in np.unique(trace.emotion[trace.emotion >= 0])} == set(LABELS)
    place = [trace.feature_names.index(name) for name in ACTIVE]
    active = np.nanmean(trace.features[..., place] / np.nanstd(trace.features[..., place], axis=(0, 1)), axis=-1)
    mean = {label: active[trace.emotion == taxonomy.labels.index(label)].mean() for label in LABELS}
    assert mean["excited"] > mean["happy"] > max(mean["stressed"], mean["lonely"], mean["disappointed"])
    assert (trace.emotion[~trace.present] == -1).all() and (trace.emotion[trace.present] >= 0).mean() > 0.9
    other = copy.deepcopy(model.log.trace)
    late = other.role != TRAIN
    other.features[late] = 0.0
    label_by_behaviour(other, taxonomy, seed=0)
    assert np.array_equal(other.emotion[~late], trace.emotion[~late]), "held-out days shape no cluster"


def test_labels_from_behaviour_need_behaviour(trained):
    _, (_, model, *_) = trained
    trace = copy.deepcopy(model.log.trace)
    trace.feature_names = tuple(name.replace("scrolling_time", "other") for name in trace.feature_names)
    with pytest.raises(DataError, match="missing: scrolling_time"):
        label_by_behaviour(trace, load_taxonomy("esmr"), 0)
    with pytest.raises(DataError, match="the taxonomy lacks excited"):
        label_by_behaviour(model.log.trace, load_taxonomy("ldos-comoda"), 0)


def test_a_run_on_proxy_labels_says_so(data_path, capsys):
    command = ["run", f"--dataset={data_path / 'small'}", "--label=behaviour-clusters", "--output=run.json", *KEYS]
    assert main(command) == 0
    assert "the nowcast is circular" in capsys.readouterr().out
    with open("run.json") as file:
        assert json.load(file)["emotion"]["circular"] is True


# -- pre-training ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pretrained(data_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("pretrained") / "encoder.pth"
    folder = data_path / "small"
    assert main(["pretrain", f"--datasets={folder},{folder}", f"--output={path}", *KEYS]) == 0
    return path


def test_an_encoder_begins_from_another(pretrained, data_path):
    start = load_checkpoint(pretrained, "EmotionEncoder")
    values = {**QUICK, "data_path": str(data_path), "pretrained_encoder": str(pretrained), "encoder_epochs": 1}
    result = run_recbole("ESMR", "small", config_dict={**values, "encoder_learning_rate": 1e-8}, arguments=[])
    weights = load_checkpoint(result["checkpoint"]).state_dict
    name = "across_days.0.project.weight"
    assert torch.allclose(weights[f"encoder.{name}"], start.state_dict[name], atol=1e-5)
    assert start.config["feature_names"] and start.config["emotions"] == list(load_taxonomy("esmr").labels)


def test_an_encoder_that_does_not_fit_is_refused(pretrained, data_path, trained, tmp_path):
    source = load_checkpoint(pretrained, "EmotionEncoder")
    encoder = EmotionEncoder.of_shape(source.config)
    trace, labels = trained[1][1].log.trace, load_taxonomy("esmr").labels
    encoder.require(trace, labels, "x")
    more = copy.deepcopy(trace)
    more.feature_names = (*trace.feature_names[:-1], "steps")
    with pytest.raises(CheckpointError, match="was trained without the columns steps"):
        encoder.require(more, labels, "x")
    more.feature_names, more.profiles = trace.feature_names, (*trace.profiles, "new")
    with pytest.raises(CheckpointError, match="was trained without the profiles new"):
        encoder.require(more, labels, "x")
    with pytest.raises(CheckpointError, match="this data set has sad"):
        encoder.require(trace, ("sad",), "x")
    values = {**QUICK, "data_path": str(data_path), "pretrained_encoder": str(tmp_path / "none.pth")}
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        run_recbole("ESMR", "small", config_dict=values, arguments=[])


def test_a_column_that_a_data_set_lacks_is_unknown_to_the_encoder(pretrained, trained):
    encoder = EmotionEncoder.of_shape(load_checkpoint(pretrained, "EmotionEncoder").config)
    trace = copy.deepcopy(trained[1][1].log.trace)
    less = copy.deepcopy(trace)
    less.feature_names, less.features = trace.feature_names[1:], trace.features[..., 1:]
    encoder.fit_scales(less, less.role == TRAIN)
    inputs = encoder.inputs(less)
    place = encoder.feature_names.index(trace.feature_names[0])
    assert not inputs.known[..., place].any() and (inputs.features[..., place] == 0).all()


@pytest.mark.parametrize("last_is_judged", [True, False])
def test_each_data_set_is_read_with_its_own_scales_and_bins(trained, monkeypatch, last_is_judged):
    """Two data sets with other features, their batches mixed: each is encoded with its own bins, and the last's remain."""
    model = copy.deepcopy(trained[1][1])
    first, last = model.log.trace, copy.deepcopy(model.log.trace)
    last.features = np.exp(3 * last.features / np.nanmax(np.abs(last.features), axis=(0, 1)))
    last.features[..., 0] = np.nan  # by which its batches are known here
    last.role = last.role if last_is_judged else np.where(last.role == VALID, TEST, last.role)
    own = [copy.deepcopy(model.encoder).fit_scales(trace, trace.role == TRAIN) for trace in (first, last)]
    assert not torch.allclose(own[0].edges[1:], own[1].edges[1:], atol=0.1)
    read, forward = {(part, training): 0 for part in (0, 1) for training in (True, False)}, EmotionEncoder.forward

    def watched(encoder, days):
        part = 0 if days.known[..., 0].any() else 1
        read[part, encoder.training] += 1
        for name, used in (("center", encoder.center), ("spread", encoder.spread), ("edges", encoder.within_day.edges)):
            expected = getattr(own[part], name)
            assert torch.equal(used[: len(expected)], expected), (part, name)
        return forward(encoder, days)

    monkeypatch.setattr(EmotionEncoder, "forward", watched)
    fit_encoder(model.encoder, [first, last], model.settings.encoder, torch.Generator().manual_seed(1))
    assert [count > 0 for count in read.values()] == [True, True, True, last_is_judged], "trained on and judged"
    assert torch.equal(model.encoder.within_day.edges[: len(own[1].edges)], own[1].edges)
    assert torch.equal(model.encoder.center, own[1].center)


# -- the outlook -------------------------------------------------------------------------------------------------------------


def test_the_outlook_is_soft_and_withheld_without_consent(trained):
    from recbole_esmr.model.outlook import outlook

    model = copy.deepcopy(trained[1][1])
    others = model.log.trace.consent.copy()
    others[3] = False
    model.log = model.log.with_consent(others)
    beliefs = model.beliefs()
    seen, state = outlook(beliefs), beliefs.state
    for name in ("today", "tomorrow"):
        assert np.allclose(getattr(seen, name)[others].sum(axis=1), 1, atol=1e-5)
    for name in ("today", "tomorrow", "valence", "low", "high", "negative", "episode", "trend"):
        value = getattr(seen, name)
        assert np.isnan(value[3]).all() and np.isfinite(value[others]).all(), name
    assert seen.label[3] == -1 and (seen.label[others] == seen.tomorrow[others].argmax(axis=1)).all()
    inside = others & (seen.low > -1) & (seen.high < 1)
    half = NORMAL_80 * state.scale[:, -1].numpy()
    assert np.allclose((seen.high - seen.low)[inside], 2 * half[inside], atol=1e-5)
    believed = beliefs.valence
    assert np.allclose(seen.trend[others], ((believed[:, -1] - believed[:, -3]) / 2)[others])
    assert (outlook(beliefs, 1).trend[others] == 0).all()
