"""Long and thin logs: the same beliefs from the known days alone, in memory that grows with the rows; windows and limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

import recbole_esmr
import recbole_esmr.data.trace as trace_module
from recbole_esmr.causal.panel import make_panel
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_data
from recbole_esmr.data.history import History
from recbole_esmr.data.sparse_days import SparseDays
from recbole_esmr.data.trace import TRAIN
from recbole_esmr.data.window import first_day_read, require_memory
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.model.beliefs import believe
from recbole_esmr.model.days import day_labels, days_in
from recbole_esmr.model.emotion_encoder import EmotionEncoder, people_at_once
from recbole_esmr.model.engagement_ranker import EngagementFeatures
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.quick_start import run_recbole
from recbole_esmr.trainer.emotion import batches_by_length, fit_encoder

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
    assert table[np.array([2]), np.array([1])].tolist() == [[3, 4]]
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


def test_people_in_blocks_make_the_same_panel_and_features(both):
    dense = both[0]
    panels = [make_panel(x.trace, x.impressions, x.catalogue, x.trace.role < 2, x.taxonomy.labels) for x in both]
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
    user, day = dense.trace.known.nonzero()
    later = day > 0
    for where in ((user, day), (user[later], day[later] - 1)):
        for name in ("nowcast", "forecast", "mean", "scale", "negative", "episode"):
            assert torch.allclose(*(getattr(x.state, name)[where] for x in beliefs), atol=1e-5), name
        assert np.allclose(*(x.forecast[where] for x in beliefs), atol=1e-5)
    for name in ("risk", "vulnerable", "valence", "negative", "half_width", "tracked"):
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


def test_labels_of_some_days_are_those_of_all():
    mask = np.array([[True, False, True, True], [False, False, True, False]])
    assert days_in(mask).tolist() == [[0, 2, 3], [2, -1, -1]]


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


# -- memory ------------------------------------------------------------------------------------------------------------

CHILD = """
    import json, resource, sys
    import numpy as np, pandas as pd, torch
    from pathlib import Path
    from recbole_esmr.config import Config
    from recbole_esmr.data.dataset import load_data
    from recbole_esmr.model.beliefs import believe
    from recbole_esmr.model.emotion_encoder import EmotionEncoder
    from recbole_esmr.trainer.emotion import fit_encoder

    folder, rng, rows = Path(sys.argv[1]), np.random.default_rng(0), 9000
    folder.mkdir()
    user, day = rng.integers(0, 300, rows), rng.integers(0, 2900, rows)
    item = rng.integers(0, 200, rows)
    inter = pd.DataFrame({"user_id:token": user, "item_id:token": item, "timestamp:float": day, "day:float": day})
    inter.to_csv(folder / "thin.inter", sep="\\t", index=False)
    pd.DataFrame({"item_id:token": np.arange(200), "emotion:token": "happy"}).to_csv(folder / "thin.item", sep="\\t", index=False)
    told = inter[["user_id:token", "day:float"]].drop_duplicates().assign(**{"emotion:token": "angry"})
    told[::3].to_csv(folder / "thin.day", sep="\\t", index=False)
    keys = {"state": "ERROR", "encoder_epochs": 1, "max_day_gap": 3000}
    config = Config("ESMR", str(folder), config_dict=keys, arguments=[])
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    dataset, *_ = load_data(config)
    trace = dataset.trace
    encoder = EmotionEncoder.of_settings(config.esmr.encoder, trace.feature_names, dataset.taxonomy.labels, trace.profiles)
    fit_encoder(encoder, [trace], config.esmr.encoder, torch.Generator().manual_seed(0))
    beliefs = believe(encoder, trace, dataset.taxonomy)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"days": trace.days, "long": trace.long, "grown": (peak - start) / 2**20}))
"""


def test_nine_thousand_rows_over_eight_years_train_in_little_memory(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path / "thin")]
    here = {**os.environ, "PYTHONPATH": str(Path(recbole_esmr.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=here)
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["long"] and said["days"] > 2800
    assert said["grown"] < 0.8, "GiB; days x days attention alone would ask for 17"


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (0.001, ("small", "41 people over 14 days", "0.0 GiB are allowed by memory_limit", "max_days", "raise memory_limit")),
        ("much", ("memory_limit", "'much'", "GiB above 0")),
        (0, ("memory_limit", "0", "GiB above 0")),
    ],
)
def test_a_log_for_which_there_is_no_memory_is_refused_when_it_is_read(data_path, limit, words):
    with pytest.raises((DataError, ConfigError)) as error:
        run_recbole(
            "ESMR", "small", config_dict={"data_path": str(data_path), "memory_limit": limit, "state": "ERROR"}, arguments=[]
        )
    assert all(word in str(error.value) for word in words), str(error.value)


def test_the_mend_fits_the_limit():
    require_memory("x", 50_000, 2000, 4 * 2**30, 4.0)
    with pytest.raises(DataError, match=r"50,000 people over 2,000 days need about 8\.0 GiB.* Set max_days: 1000 "):
        require_memory("x", 50_000, 2000, 8 * 2**30, 4.0)


# -- the window --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("max_days", "begin"), [(None, 10), (1, 20), (5, 16), (11, 10), (99, 10)])
def test_the_last_days_are_read(max_days, begin):
    assert first_day_read(10, 20, max_days) == begin


@pytest.mark.parametrize("max_days", [0, -3, 2.5, "many", True])
def test_a_window_is_a_whole_number_of_days(max_days):
    with pytest.raises(ConfigError, match=r"max_days is .*whole number"):
        first_day_read(10, 20, max_days)


def test_histories_tell_the_days_before_the_window_apart():
    row, day, item = np.array([0, 0, 0, 1, 1]), np.array([-3, -1, 1, -2, 0]), np.array([5, 6, 7, 8, 9])
    history = History(row, day, item, days=2, longest=3, early=3)
    asked = {(0, -3): [], (0, -2): [5], (0, 0): [5, 6], (0, 2): [5, 6, 7], (1, -2): [], (1, 0): [8], (1, 1): [8, 9]}
    for (person, when), seen in asked.items():
        items, count = history.before(np.array([person]), np.array([when]), 3)
        assert items[0, : count[0]].tolist() == seen, (person, when)
    assert [part.tolist() for part in history.days] == [[0, 1], [1, 0]]
    assert history.of(np.array([1])).before(np.array([0]), np.array([0]), 3)[0].tolist() == [[8, 0, 0]]
    later = history.next_day(np.array([0]), np.array([4]))
    assert later.before(np.array([0, 1]), np.array([1, -1]), 4)[0].tolist() == [[5, 6, 7, 0], [8, 0, 0, 0]], (
        "what was today is yesterday"
    )


def test_a_window_cuts_days_and_nothing_else(data_path, monkeypatch):
    whole, cut = (_data(data_path, monkeypatch, 10**9, max_days=days) for days in (None, 5))
    early = whole.trace.days - 5
    assert (cut.trace.days, cut.trace.first_day) == (5, whole.trace.first_day + early)
    for name in ("emotion", "features", "exposure", "present"):
        assert np.array_equal(getattr(cut.trace, name), getattr(whole.trace, name)[:, early:], equal_nan=True), name
    inside = whole.impressions.day >= early
    assert np.array_equal(cut.impressions.item, whole.impressions.item[inside])
    assert np.array_equal(cut.impressions.day, whole.impressions.day[inside] - early)
    shown = whole.impressions  # what items were, and what people had watched, on any day, the early ones included
    for name in ("popularity", "watch_ratio"):
        assert np.allclose(*(getattr(x.past, name)(shown.day - gone, shown.item) for x, gone in ((whole, 0), (cut, early))))
    for before in zip(
        whole.history.before(shown.user, shown.day, 9), cut.history.before(shown.user, shown.day - early, 9), strict=True
    ):
        assert np.array_equal(*before)
    assert len(cut.inter_feat) == len(whole.inter_feat), "RecBole learns from all views"


def test_people_and_days_before_the_window_are_served_from_what_was_known_then(data_path, quick):
    config = Config(
        "ESMR", "small", config_dict={**quick, "data_path": str(data_path), "max_days": 5, "retriever": "SASRec"}, arguments=[]
    )
    parts = load_data(config)[1:]
    model = ESMR(config, parts[0]._dataset)
    model.retriever.trained = True
    people, early = np.arange(1, 20), np.full(19, -4)
    score = model.score(people, early)
    history = model.log.history
    late = history._key % history._span >= history._early - 4  # from the asked day on, the window included
    history._item[late] = 1
    model.log.trace.features[:] = 0.3
    assert torch.isfinite(score[:, 1:]).all() and torch.equal(model.score(people, early), score), "nothing later is read"
    history._item[~late] = 1
    assert not torch.equal(model.score(people, early), score), "what was watched before is"
    dataset = parts[0]._dataset
    training = dataset.on_training_days()
    assert (dataset.day_index(training.inter_feat["day"].numpy()) < 0).any(), "the retriever learns from older views, too"


def test_a_run_says_what_a_window_cuts(data_path, quick, caplog):
    with caplog.at_level("WARNING"):
        result = run_recbole("ESMR", "small", config_dict={**quick, "max_days": 8, "state": "WARNING"}, saved=False, arguments=[])
    assert "max_days: the last 8 of 14 days are read as days." in caplog.text
    assert 0 < result["test_result"]["recall@10"] <= 1 and result["config"]["max_days"] == 8


def test_labels_reach_no_further_than_the_days_asked_for(both):
    dense = both[0].trace
    days = days_in(dense.known)
    some, every = (day_labels(dense, dense.role == TRAIN, 3, x) for x in (days, None))
    row, place = (days >= 0).nonzero()
    for name in ("today", "tomorrow", "valence", "negative", "episode"):
        part = getattr(some, name)[row, place], getattr(every, name)[row, days[row, place]]
        assert torch.equal(*(x.nan_to_num(9.0) for x in part)), name
        assert (getattr(some, name)[days < 0].nan_to_num(-1.0) == -1).all()
