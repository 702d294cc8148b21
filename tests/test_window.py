"""Windows over long logs, and the memory that is asked for before anything is trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import recbole_esmr
import recbole_esmr.data.trace as trace_module
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_data
from recbole_esmr.data.history import History
from recbole_esmr.data.trace import DENSE
from recbole_esmr.data.window import first_day_read, memory_of_days, require_memory
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.quick_start import run_recbole


def _data(data_path, **keys):
    config = Config("ESMR", "small", config_dict={"data_path": str(data_path), "state": "ERROR", **keys}, arguments=[])
    return load_data(config)[0]


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
    keys = {"state": "ERROR", "encoder_epochs": 1, "encoder_hidden_size": 8, "encoder_layers": 1, "max_day_gap": 3000}
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


@pytest.mark.slow
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
        (0.001, ("small", "40 people over 14 days", "0.0 GiB are allowed by memory_limit", "max_days", "raise memory_limit")),
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
    assert later.before(np.array([0, 1]), np.array([1, 0]), 4)[0].tolist() == [[5, 6, 7, 0], [8, 9, 0, 0]], (
        "what was today is yesterday"
    )


def test_a_window_cuts_days_and_nothing_else(data_path):
    whole, cut = (_data(data_path, max_days=days) for days in (None, 5))
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
    history._item = history._item.copy()  # pandas 3 hands out what must not be written to
    history._item[late] = 1
    model.log.trace.features[:] = 0.3
    assert torch.isfinite(score[:, 1:]).all() and torch.equal(model.score(people, early), score), "nothing later is read"
    history._item[~late] = 1
    assert not torch.equal(model.score(people, early), score), "what was watched before is"
    dataset = parts[0]._dataset
    training = dataset.on_training_days()
    assert (dataset.day_index(training.inter_feat["day"].numpy()) < 0).any(), "the retriever learns from older views, too"


@pytest.mark.parametrize("dense", [0, trace_module.DENSE])
def test_a_run_says_what_a_window_cuts(data_path, quick, caplog, monkeypatch, dense):
    monkeypatch.setattr(trace_module, "DENSE", dense)
    keys = {**quick, "max_days": 6, "state": "WARNING", "eval_args": {**SPLIT, "split": {"RS": [0.4, 0.3, 0.3]}}}
    with caplog.at_level("WARNING"):
        result = run_recbole("ESMR", "small", config_dict=keys, saved=False, arguments=[])
    assert "max_days: the last 6 of 14 days are read as days." in caplog.text
    assert 0 < result["test_result"]["recall@10"] <= 1 and result["config"]["max_days"] == 6


SPLIT = {"group_by": "user", "order": "TO", "mode": "full"}
"""With large shares of each person's views held out, so that some lie before the window."""


def test_the_memory_that_is_asked_for_grows_with_known_days_and_not_with_what_is_shown_on_them(data_path):
    """A day on which twenty items were shown is one day; what is believed is held of some people at most."""
    data = _data(data_path)
    few, catalogue, taxonomy = data.seen.impressions, data.catalogue, data.taxonomy
    many = few.take(np.repeat(np.arange(len(few)), 20))
    reports = pd.DataFrame({"user": [1], "day": [1], "emotion": ["happy"], "valence": [0.5]})

    def asked(people, impressions, believed):
        return memory_of_days(people, 1000, impressions, reports, catalogue, taxonomy, believed)

    assert len(few) < 10_000 < len(many), "so that the days are fewer than what was shown on them"
    assert asked(10, many, 10) == asked(10, few, 10), "a small log is held whole"
    people = 300
    assert people * 1000 > DENSE and asked(people, many, people) > asked(people, few, people)
    assert asked(people, many.take(np.tile(np.arange(len(many)), 30)), people) == asked(
        people, many.take(np.tile(np.arange(len(many)), 60)), people
    ), "never more than all days"
    assert asked(people, many, 30) < asked(people, many, 300) == asked(people, many, 3000)
