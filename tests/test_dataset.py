"""The data set: RecBole's own augmentation, hand-made traces, degradation step by step, consent."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.interaction import Interaction

from recbole_esmr.config import Config
from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.data.history import History
from recbole_esmr.data.recbole.histories import Histories
from recbole_esmr.data.trace import TEST, TRAIN, VALID, split_days

FILES = {
    "inter": "user_id:token\titem_id:token\ttimestamp:float\tday:float\twatch_ratio:float\n"
    "a\tx\t10\t3\t0.5\na\ty\t20\t3\t1\na\tx\t90\t5\t1\nb\ty\t30\t4\t0.2\nb\tz\t40\t4\t0.4\nb\tx\t50\t5\t1\nb\tz\t70\t6\t1\n",
    "imp": "user_id:token\titem_id:token\tday:float\tposition:float\tpropensity:float\tlabel:float\n"
    "a\ty\t3\t1\t0.5\t1\na\tx\t3\t0\t0.5\t1\na\tz\t3\t2\t0.25\t0\na\tz\t3\t3\t0.25\t0\na\tx\t5\t0\t0.5\t1\nb\ty\t4\t0\t0.5\t1\nghost\tx\t5\t0\t0.5\t1\n",
    "item": "item_id:token\temotion:token\temotion_intensity:float\tcategory:token\tduration:float\n"
    "x\tangry\t0.8\tnews\t36\ny\thappy\t0.5\tfun\t72\nz\tneutral\t1\t\t\n",
    "user": "user_id:token\tuser_profile:token\tconsent:float\na\tcasual\t1\nb\tkeen\t0\n",
    "day": "user_id:token\tday:float\temotion:token\tposts:float\nb\t4\tsad\t1\na\t3\thappy\t2\na\t5\tangry\t\na\t4\t\t7\n",
}
FILES["day"] = FILES["day"].replace("sad", "lonely")


def _write(folder, leave_out=(), **change):
    path = folder / "tiny"
    path.mkdir()
    for suffix, text in {**FILES, **change}.items():
        if suffix not in leave_out:
            (path / f"tiny.{suffix}").write_text(text)
    return str(path)


def _load(path, **keys):
    return ESMRDataset(Config("ESMR", path, config_dict={"state": "ERROR", **keys}))


def test_trace_by_hand(tmp_path):
    dataset = _load(_write(tmp_path))
    trace, a = dataset.trace, dataset.token2id("user_id", "a")
    assert (trace.first_day, trace.days) == (3, 4)
    assert trace.emotion[a].tolist() == [0, -1, 5, -1]  # happy, no report, angry, no row
    assert np.allclose(trace.valence[a], [0.8, np.nan, -0.65, np.nan], equal_nan=True)
    posts = trace.features[a, :, trace.feature_names.index("posts")]
    assert np.allclose(posts, [2, 7, np.nan, np.nan], equal_nan=True)  # nothing is filled in
    # day 3: four impressions; x (angry .8) half watched, y (happy .5) watched, z skipped twice
    assert np.allclose(trace.exposure[a, 0], [0.5 * 0.8 / 4, 1 * 0.5 / 4])
    assert np.isnan(trace.exposure[a, 1]).all()  # nothing shown is not an exposure of zero
    assert np.allclose(trace.exposure[a, 2], [0.8, 0])
    assert np.allclose(trace.engagement[a], [(0.5 * 36 + 72) / 3600, 0, 36 / 3600, 0])
    assert trace.present[a].tolist() == [True, True, True, False]
    assert np.allclose(trace.negative[a], [0, np.nan, 1, np.nan], equal_nan=True)


def test_impressions_are_joined_by_key(tmp_path):
    dataset = _load(_write(tmp_path))
    shown, a = dataset.impressions, dataset.token2id("user_id", "a")
    rows = [
        (i, d, n, r)
        for u, i, d, n, r in zip(shown.user, shown.item, shown.day, shown.label, shown.watch_ratio, strict=True)
        if u == a
    ]
    x, y, z = (dataset.token2id("item_id", token) for token in "xyz")
    assert rows == [(x, 0, 1, 0.5), (y, 0, 1, 1.0), (z, 0, 0, 0.0), (z, 0, 0, 0.0), (x, 2, 1, 1.0)]
    assert len(shown) == 9 and shown.has_skips  # b's views without an impression are added; the ghost is in no .inter


def test_without_consent_nothing_is_read(tmp_path):
    trace = (dataset := _load(_write(tmp_path))).trace
    b = dataset.token2id("user_id", "b")
    assert not trace.consent[b]
    assert (trace.emotion[b] == -1).all() and np.isnan(trace.valence[b]).all() and np.isnan(trace.features[b]).all()
    assert trace.engagement[b].sum() == 0 and trace.profile[b] == -1


def test_consent_and_profiles_are_read_whatever_columns_recbole_loads(data_path, quick, tmp_path):
    """A data set's own yaml names columns of .inter alone; RecBole then loads nothing of .user."""
    shutil.copytree(data_path / "small", tmp_path / "small")
    lines = (tmp_path / "small/small.user").read_text().splitlines()
    rows = [f"{line}\t{number % 2}" for number, line in enumerate(lines[1:])]
    (tmp_path / "small/small.user").write_text("\n".join([lines[0] + "\tconsent:float", *rows]) + "\n")
    trace = ESMRDataset(Config("ESMR", str(tmp_path / "small"), config_dict=quick)).trace
    assert trace.consent[1:].mean() == 0.5 and len(trace.profiles) == 3


def test_days_noted_as_churned_are_days_away(quick):
    trace = ESMRDataset(Config("ESMR", "small", config_dict=quick)).trace
    away = trace.features[..., trace.feature_names.index("churned")] == 1
    assert away.sum() > 50 and not trace.present[away].any() and trace.present[1:].mean() > 0.5


def test_who_has_no_row_in_a_user_file_with_consents_has_not_consented(tmp_path):
    only_a = "user_id:token\tconsent:float\na\t0\n"
    dataset = _load(_write(tmp_path, user=only_a), filter_inter_by_user_or_item=False)
    ids = [dataset.token2id("user_id", name) for name in "ab"]
    assert dataset.trace.consent[ids].tolist() == [False, False]


@pytest.mark.parametrize(
    ("leave_out", "change", "warning"),
    [
        (("imp",), {}, "No tiny.imp"),
        (("day",), {}, "No tiny.day"),
        ((), {"day": "user_id:token\tday:float\tposts:float\na\t3\t2\n"}, "No emotion in tiny.day"),
    ],
)
def test_what_is_missing_degrades_with_one_warning(tmp_path, leave_out, change, warning, caplog):
    dataset = _load(_write(tmp_path, leave_out, **change))
    assert [record.message for record in caplog.records if warning in record.message] != []
    assert dataset.trace.has_emotion == (leave_out == ("imp",))
    assert dataset.impressions.has_skips == ("imp" not in leave_out)
    if leave_out == ("imp",):
        assert (dataset.impressions.label == 1).all() and np.isnan(dataset.impressions.propensity).all()


def test_days_from_timestamps_and_steps_without_any(tmp_path, caplog):
    by_time = (
        "user_id:token\titem_id:token\ttimestamp:float\na\tx\t1000000000\na\ty\t1000000050\na\tx\t1000172900\nb\ty\t1000086500\n"
    )
    dataset = _load(_write(tmp_path, ("imp", "day"), inter=by_time))
    a = dataset.token2id("user_id", "a")
    assert (
        "days are dates in UTC (set timezone where people live elsewhere), 2001-09-09 to 2001-09-11, made from 'timestamp'"
        in caplog.text
    )
    assert dataset.trace.present[a].tolist() == [True, False, True]
    shutil.rmtree(tmp_path / "tiny")
    no_time = "user_id:token\titem_id:token\na\tx\nb\ty\na\ty\na\tx\n"
    dataset = _load(_write(tmp_path, ("imp", "day"), inter=no_time))
    assert "lines are taken as in order" in caplog.text
    assert dataset.trace.days == 3 and dataset.trace.present[dataset.token2id("user_id", "a")].all()
    items, length = dataset.history.before(np.array([dataset.token2id("user_id", "a")]), np.array([2]), 5)
    x, y = (dataset.token2id("item_id", token) for token in "xy")
    assert items.tolist() == [[x, y, 0, 0, 0]] and length.tolist() == [2]


def test_without_timestamps_the_days_give_the_order(tmp_path):
    unsorted = "user_id:token\titem_id:token\tday:float\na\tx\t5\na\ty\t3\nb\ty\t4\na\tz\t4\n"
    dataset = _load(_write(tmp_path, ("imp", "day", "user"), inter=unsorted))
    a = dataset.token2id("user_id", "a")
    items = dataset.inter_feat.loc[dataset.inter_feat["user_id"] == a, "item_id"]
    assert [dataset.id2token("item_id", item) for item in items] == ["y", "z", "x"]


def test_history_before_a_day():
    history = History(np.array([1, 1, 1, 2]), np.array([0, 0, 2, 1]), np.array([5, 6, 7, 8]), days=3, longest=5)
    items, length = history.before(np.array([1, 1, 1, 2, 3]), np.array([0, 1, 3, 3, 3]), length=2)
    assert items.tolist() == [[0, 0], [5, 6], [6, 7], [8, 0], [0, 0]]
    assert length.tolist() == [0, 2, 2, 1, 0]


def test_split_days_by_each_persons_own_days():
    present = np.zeros((2, 12), dtype=bool)
    present[0, 1:11] = True
    present[1, [2, 5, 9]] = True
    role = split_days(present, (0.6, 0.2, 0.2))
    assert role[0].tolist() == [TRAIN] * 7 + [VALID] * 2 + [TEST] * 3
    assert role[1, [2, 5, 9]].tolist() == [TRAIN, TRAIN, TEST]


def test_a_day_with_a_held_out_interaction_is_held_out_whole(quick):
    dataset = ESMRDataset(Config("ESMR", "small", config_dict={**quick, "day_split": [1, 0, 0]}))
    train, valid, test = dataset.build()
    role = dataset.trace.role
    for part, rows in ((VALID, valid.inter_feat), (TEST, test.inter_feat)):
        assert (role[rows["user_id"].numpy(), dataset.day_index(rows["day"].numpy())] >= part).all()
    assert (np.diff(role, axis=1) >= 0).all()
    assert train.trace is dataset.trace


def _augmented(dataset, by):
    """The interactions of a data set with their histories, made by a function of the data set."""
    Dataset._change_feat_format(dataset)
    by(dataset)
    return dataset.inter_feat


@pytest.mark.parametrize("numbers", [[], ["watch_ratio"]])
def test_histories_equal_recboles(quick, numbers):
    """What is made when it is asked for is what RecBole's loop over the rows writes out, of every column and type."""
    config = Config("ESMR", "small", config_dict={**quick, "MAX_ITEM_LIST_LENGTH": 5, "numerical_features": numbers})
    ours = _augmented(ESMRDataset(config), lambda dataset: dataset.data_augmentation())
    theirs = _augmented(ESMRDataset(config), SequentialDataset.data_augmentation.recboles_own)
    assert isinstance(ours, Histories) and type(theirs) is Interaction
    assert ours.columns == theirs.columns and len(ours) == len(theirs)
    some = torch.tensor([0, 7, 3])
    taken = ours.at(some).at([2, 0])
    for name in theirs.columns:
        assert torch.equal(ours[name], theirs[name]), name
        assert torch.equal(taken[name], theirs[name][[3, 0]]), name
        assert torch.equal(ours[2:9][name], theirs[2:9][name]), name
    assert {name: column.tolist() for name, column in ours.numpy().items()} == {
        name: column.tolist() for name, column in theirs.numpy().items()
    }


def test_histories_can_be_written_to_as_recboles(quick):
    rows = _augmented(ESMRDataset(Config("ESMR", "small", config_dict=quick)), lambda dataset: dataset.data_augmentation())
    user, items = rows["user_id"], rows["item_id_list"]
    rows["more"] = torch.arange(len(rows))
    rows.update(Interaction({"watch_ratio": torch.zeros(len(rows))}))
    rows.drop("timestamp_list")
    rows._reindex(torch.arange(len(rows) - 1, -1, -1))
    assert "timestamp_list" not in rows and "more" in rows.columns and not rows["watch_ratio"].any()
    assert torch.equal(rows["user_id"], user.flip(0)) and torch.equal(rows["item_id_list"], items.flip(0))
    assert rows["more"][0] == len(rows) - 1 and len(rows[rows["more"] < 4]) == 4
    with pytest.raises(KeyError):
        rows["timestamp_list"]


def test_all_that_rows_and_histories_hold_is_found(quick):
    rows = _augmented(ESMRDataset(Config("ESMR", "small", config_dict=quick)), lambda dataset: dataset.data_augmentation())
    some = rows.at(torch.tensor([5, 40, 41]))
    held = torch.cat(
        [some["item_id"], *(row[:size] for row, size in zip(some["item_id_list"], some["item_length"], strict=True))]
    )
    assert set(some.reached("item_id").tolist()) == set(held.tolist()) and len(some.reached("item_id")) < len(held)


def test_no_list_is_kept_of_a_log(quick):
    """Rows weigh the same however long their histories may be; rows that are taken are written out."""
    weights = []
    for longest in (5, 5000):
        train, *_ = ESMRDataset(Config("ESMR", "small", config_dict={**quick, "MAX_ITEM_LIST_LENGTH": longest})).build()
        rows = train.inter_feat
        assert "item_id_list" in rows and "nothing" not in rows and type(rows[:2]) is Interaction
        weights.append(len(pickle.dumps(rows)))
        assert rows[:2]["item_id_list"].shape == (2, longest) and len(rows[[]]) == 0
        assert torch.equal(rows[torch.tensor(3)]["item_id_list"], rows[3]["item_id_list"])
        assert rows["item_id_list"] is rows["item_id_list"], "who asks for all of it again does not wait again"
    assert abs(weights[1] - weights[0]) < 100, "but for the number itself"


def test_days_stay_days_when_all_is_scaled(quick):
    dataset = ESMRDataset(Config("ESMR", "small", config_dict={**quick, "normalize_all": True}))
    assert dataset.inter_feat["day"].max() == 14 and dataset.inter_feat["timestamp"].max() == 1


def test_columns_that_esmr_needs_are_loaded_whatever_load_col_says(quick):
    config = Config("ESMR", "small", config_dict={**quick, "load_col": {"inter": ["user_id", "item_id"], "item": ["item_id"]}})
    dataset = ESMRDataset(config)
    assert {"day", "timestamp", "watch_ratio"} <= set(dataset.inter_feat.columns)
    assert isinstance(dataset.inter_feat, pd.DataFrame)
