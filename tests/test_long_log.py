"""Long and thin logs: the same beliefs from the known days alone, in memory that grows with the rows; windows and limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import recbole_esmr.data.trace as trace_module
from recbole_esmr.causal.nowcast import nowcast
from recbole_esmr.causal.panel import make_panel
from recbole_esmr.causal.traits import traits_of
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_data
from recbole_esmr.data.sparse_days import SparseDays
from recbole_esmr.data.trace import TRAIN
from recbole_esmr.data.user_days import shifted
from recbole_esmr.model.beliefs import believe, foretold
from recbole_esmr.model.days import day_labels, days_in
from recbole_esmr.model.emotion_encoder import EmotionEncoder, people_at_once
from recbole_esmr.model.engagement_ranker import EngagementFeatures
from recbole_esmr.quick_start import run_recbole
from recbole_esmr.trainer.emotion import _Task, batches_by_length, fit_encoder

# -- tables that keep the known days alone -----------------------------------------------------------------------------


def _table(fill=-1.0) -> tuple[SparseDays, np.ndarray]:
    """Three people over four days, of which two user-days are kept; and the same as an array."""
    value = np.array([[1.0, 2.0], [3.0, 4.0]])
    dense = np.full((3, 4, 2), np.nan if fill is None else fill)
    dense[0, 3], dense[2, 1] = value
    return SparseDays(np.array([0, 2]), np.array([3, 1]), value, (3, 4), fill), dense


def test_a_sparse_table_reads_as_the_array():
    table, dense = _table()
    everything = np.mgrid[:3, :4]
    people, mask = np.array([2, 2, 0]), dense[..., 0] > 0
    assert table.shape == dense.shape and len(table) == 3
    for index in (
        tuple(everything),
        people,
        slice(1, None),
        (people, np.array([1, -3, 3])),
        mask,
        (..., 0),
        (slice(None), slice(1, 3)),
    ):
        assert np.array_equal(table[index], dense[index]), index
    assert np.array_equal(np.asarray(table), dense) and np.array_equal(np.isfinite(table), np.isfinite(dense))
    assert np.array_equal(np.asarray(table.of(people)), dense[people])
    assert np.array_equal(np.asarray(table.without(np.array([True, False, False])))[0], np.full((4, 2), -1.0))
    assert np.array_equal(np.asarray(SparseDays.stacked([table, table.of(people)])), np.concatenate([dense, dense[people]]))


def test_a_day_that_was_not_kept_is_no_number():
    table, _ = _table(fill=None)
    assert table[np.array([2]), np.array([1])].tolist() == table[2:, 1].tolist() == [[3, 4]]
    for people, day in ((1, 1), (2, 2)):
        with pytest.raises(LookupError, match="nothing was kept"):
            table[np.array([people]), np.array([day])]
    for day in (4, -5):
        with pytest.raises(IndexError, match="4 days"):
            table[np.array([0]), np.array([day])]


# -- long is the same as dense -----------------------------------------------------------------------------------------


def _data(data_path, monkeypatch, dense: int, block: int = 60, **keys):
    monkeypatch.setattr(trace_module, "DENSE", dense)
    monkeypatch.setattr(trace_module, "BLOCK", block)
    dataset, *_ = load_data(
        Config("ESMR", "small", config_dict={"data_path": str(data_path), "state": "ERROR", **keys}, arguments=[])
    )
    return dataset


@pytest.fixture
def both(data_path, monkeypatch):
    """The data set ``small`` as a dense trace, and as a long one that is worked on four people at a time."""
    dense, long = _data(data_path, monkeypatch, 10**9), _data(data_path, monkeypatch, 0)
    assert long.trace.long and not dense.trace.long and len(long.trace.blocks()) > 5 and len(dense.trace.blocks()) == 1
    return dense, long


def test_a_long_trace_holds_what_a_dense_one_holds(both):
    dense, long = (dataset.trace for dataset in both)
    for name in (
        "emotion",
        "valence",
        "features",
        "present",
        "exposure",
        "engagement",
        "emotion_hours",
        "category_hours",
        "role",
    ):
        assert np.allclose(
            np.asarray(getattr(dense, name), float), np.asarray(getattr(long, name), float), atol=1e-7, equal_nan=True
        )
    assert np.array_equal(dense.known, long.known)
    people = np.array([7, 3, 3])
    assert np.array_equal(dense.of(people).features, np.asarray(long.of(people).features), equal_nan=True)
    silent = np.arange(dense.users) % 2 == 0
    for name in ("features", "engagement"):
        kept = (np.asarray(getattr(both[i].log.with_consent(~silent).trace, name)) for i in (0, 1))
        assert np.array_equal(*kept, equal_nan=True)


def _panel(data):
    traits, use = traits_of(data.catalogue, data.taxonomy.labels, ["emotion", "category"]), data.trace.role < 2
    return make_panel(data.trace, data.impressions, data.catalogue, use, traits, days_after=2, told=nowcast(data.trace, use))


def test_people_in_blocks_make_the_same_panel_and_features(both):
    dense = both[0]
    panels = [_panel(x) for x in both]
    assert panels[0].design == panels[1].design and len(panels[0].table) > 200
    assert np.allclose(panels[0].table, panels[1].table[panels[0].table.columns], atol=1e-6, equal_nan=True)
    shown, forecast = dense.impressions, np.random.default_rng(0).random((dense.trace.users, dense.trace.days, 2))
    rows = [
        EngagementFeatures(x.trace, x.catalogue, x.past, forecast).table(shown.user, shown.day, shown.item, shown.label)
        for x in both
    ]
    assert np.allclose(*rows, atol=1e-6, equal_nan=True)


def test_an_encoder_learns_and_believes_the_same_from_the_known_days_alone(both, monkeypatch):
    dense, long = both
    settings = Config("ESMR", "esmr-mini", config_dict={"state": "ERROR", "encoder_epochs": 2}, arguments=[]).esmr.encoder
    encoders, beliefs = [], []
    for dataset in both:
        torch.manual_seed(0)
        trace = dataset.trace
        encoder = EmotionEncoder.of_settings(settings, trace.feature_names, dataset.taxonomy.labels, trace.profiles)
        fit_encoder(encoder, [trace], settings, torch.Generator().manual_seed(1))
        encoders.append(encoder)
    for name, weight in encoders[0].state_dict().items():
        assert torch.allclose(weight.float(), encoders[1].state_dict()[name].float(), atol=1e-3), name
    beliefs = [believe(encoders[0], x.trace, x.taxonomy, 1) for x in both]  # of one encoder: only the reading differs
    for x, believed in zip(both, beliefs, strict=True):
        alone = foretold(encoders[0], x.trace, 1)
        assert alone.any() and np.allclose(alone, shifted(believed.state.mean.numpy(), 1, 0.0), atol=1e-6)
    user, day = dense.trace.known.nonzero()
    later = day > 0
    for where in ((user, day), (user[later], day[later] - 1)):
        for name in ("nowcast", "forecast", "mean", "scale", "negative", "episode"):
            assert torch.allclose(*(getattr(x.state, name)[where] for x in beliefs), atol=1e-5), name
        assert np.allclose(*(x.forecast[where] for x in beliefs), atol=1e-5)
    for name in ("risk", "valence", "negative", "tracked"):
        assert np.allclose(*(getattr(x, name)[user, day].astype(float) for x in beliefs), atol=1e-5), name
    morning = (user, day + 1)
    assert torch.allclose(*(x.morning[morning] for x in beliefs), atol=1e-5)
    far = (
        ~dense.trace.known
        & ~np.pad(dense.trace.known, ((0, 0), (1, 1)))[:, 2:]
        & ~np.pad(dense.trace.known, ((0, 0), (1, 0)))[:, :-1]
    )
    far[:, -1] = False
    assert far.any(), "somebody is away for longer"
    some = far.nonzero()[0][:1], far.nonzero()[1][:1]
    with pytest.raises(LookupError):
        beliefs[1].forecast[some]
    asked = believe(encoders[0], long.trace, long.taxonomy, 1, (some[0], some[1] + 1))
    assert np.allclose(asked.forecast[some], beliefs[0].forecast[some], atol=1e-5), "a morning that is asked for is kept"


def test_what_the_level_model_foresees_is_kept_for_every_day_that_a_batch_reads(both):
    """The batch of a long trace reads the kept numbers, and they are the level model's own."""
    long = both[1]
    settings = Config("ESMR", "esmr-mini", config_dict={"state": "ERROR"}, arguments=[]).esmr.encoder
    trace = long.trace
    encoder = EmotionEncoder.of_settings(settings, trace.feature_names, long.taxonomy.labels, trace.profiles)
    encoder.fit_simple([trace], [trace.role == TRAIN], settings.horizon)
    task, users = _Task(encoder, trace, settings), torch.tensor([5, 0, 9])
    for count in (trace.days, 9):
        read = task._rows(encoder, users, count)[0]
        some = trace.of(users.numpy())
        used = some.known | np.pad(some.known, ((0, 0), (0, 1)))[:, 1:]
        used[:, count:] = False
        fresh, there = encoder.inputs(some, days_in(used)), torch.from_numpy(days_in(used) >= 0)
        for name in ("foreseen", "eve"):
            assert torch.allclose(getattr(read, name)[there], getattr(fresh, name)[there], atol=1e-6), name


def test_labels_of_some_days_are_those_of_all():
    mask = np.array([[True, False, True, True], [False, False, True, False]])
    assert days_in(mask).tolist() == [[0, 2, 3], [2, -1, -1]]


def test_labels_reach_no_further_than_the_days_asked_for(both):
    dense = both[0].trace
    days = days_in(dense.known)
    some, every = (day_labels(dense, dense.role == TRAIN, 3, x) for x in (days, None))
    row, place = (days >= 0).nonzero()
    for name in ("today", "tomorrow", "valence", "negative", "episode"):
        part = getattr(some, name)[row, place], getattr(every, name)[row, days[row, place]]
        assert torch.equal(*(x.nan_to_num(9.0) for x in part)), name
        assert (getattr(some, name)[days < 0].nan_to_num(-1.0) == -1).all()


def test_a_whole_run_on_a_long_trace(data_path, quick, monkeypatch):
    monkeypatch.setattr(trace_module, "DENSE", 0)
    monkeypatch.setattr(trace_module, "BLOCK", 100)
    result = run_recbole("ESMR", "small", config_dict=quick, saved=False, arguments=[])
    assert result["emotion"]["forecast"]["accuracy"] > 0.1 and result["policy"]["diagnostics"]["off_policy"] is not None
    assert 0 < result["test_result"]["recall@10"] <= 1


def test_batches_of_very_long_histories_hold_fewer_people():
    assert people_at_once(30) >= 256 and people_at_once(4000) == 1
    known = np.ones((8, 2000), dtype=bool)
    assert [len(batch) for batch, _ in batches_by_length(torch.arange(8), known, 8)] == [people_at_once(2000)] * 4
    assert [len(batch) for batch, _ in batches_by_length(torch.arange(8), known, 8, np.full(8, 40))] == [8], "few known days"
