"""Moods of the moment: read, checked, withheld, and made reports of days."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_data
from recbole_esmr.data.reading.felt import left_better, reports_of_moments
from recbole_esmr.quick_start import estimate_causal, run_recbole
from tests.conftest import QUICK
from tests.felt_data import PEOPLE, VIEWS, felt_keys, write_felt


def test_a_days_report_is_the_mean_of_its_moments_where_the_diary_says_nothing():
    views = pd.DataFrame(
        {"user": list("aaab"), "day": [1, 1, 2, 2], "valence_before": [0.2, np.nan, -0.4, np.nan]}
        | {"valence_after": [0.4, 0.9, 0.0, np.nan]}
    )
    reports, made = reports_of_moments(views, None)
    assert made == 2 and reports["valence"].tolist() == pytest.approx([0.5, -0.2]) and reports["user"].tolist() == ["a", "a"]
    diary = pd.DataFrame(
        {"user": ["a", "a", "c"], "day": [1, 2, 1], "emotion": ["sad", "", ""], "valence": [np.nan, 0.7, np.nan]}
    )
    reports, made = reports_of_moments(views, diary.assign(steps=[5.0, 6.0, 7.0]))
    assert made == 0 and len(reports) == 3
    assert reports.set_index(["user", "day"])["valence"].isna().tolist() == [True, False, True]
    diary.loc[1, "valence"] = np.nan
    reports, made = reports_of_moments(views, diary.assign(steps=[5.0, 6.0, 7.0]))
    told = reports.set_index(["user", "day"])
    assert made == 1 and told.loc[("a", 2), "valence"] == pytest.approx(-0.2) and told.loc[("a", 2), "steps"] == 6


def test_better_is_higher_than_before_and_above_zero_where_nobody_asked_before():
    felt = pd.DataFrame(
        {"valence_before": [0.1, 0.1, 0.1, np.nan, np.nan, 0.3], "valence_after": [0.2, 0.1, -0.5, 0.1, -0.1, np.nan]}
    )
    assert np.array_equal(left_better(felt), [1, 0, 0, 1, 0, np.nan], equal_nan=True)


def test_moments_alone_are_reports_and_no_feature(tmp_path):
    write_felt(tmp_path)
    data, *_ = load_data(Config("ESMR", str(tmp_path / "felt"), config_dict={**QUICK, "reward": "causal"}, arguments=[]))
    assert data.trace.has_emotion and len(data.moments) == PEOPLE * VIEWS
    rows = pd.read_csv(tmp_path / "felt/felt.inter", sep="\t").query("`user_id:token` == 'u3'")
    day = rows["timestamp:float"] // 86400
    first = rows[day == day.min()][["valence_before:float", "valence_after:float"]].to_numpy().mean()
    row = data.field2token_id["user_id"]["u3"]
    assert data.trace.valence[row, int(day.min()) - data.trace.first_day] == pytest.approx(first, abs=1e-6)
    assert not {"valence_before", "valence_after"} & set(data.fields()) and "valence_after" not in data.inter_feat


def test_of_who_does_not_consent_no_mood_is_read(tmp_path):
    """Changing what they felt changes nothing at all."""
    consent = (np.arange(PEOPLE) % 3 > 0).astype(int)
    told = write_felt(tmp_path / "one", consent=consent)
    shutil.copytree(told, tmp_path / "two" / "felt")
    frame = pd.read_csv(told / "felt.inter", sep="\t")
    silent = frame["user_id:token"].str[1:].astype(int) % 3 == 0
    frame.loc[silent, "valence_after:float"] = -frame["valence_after:float"]
    frame.to_csv(tmp_path / "two/felt/felt.inter", sep="\t", index=False)
    results = []
    for place in ("one", "two"):
        folder = str(tmp_path / place / "felt")
        data, *_ = load_data(Config("ESMR", folder, config_dict=QUICK, arguments=[]))
        whose = {int(name[1:]) % 3 for name in data.id2token("user_id", np.unique(data.moments.user))}
        assert whose == {1, 2}
        effects = estimate_causal(folder, config_dict={**QUICK, "causal_placebos": 10}, arguments=[], graph_samples=0)[0]
        judged = run_recbole("Pop", folder, config_dict=felt_keys(), saved=False, arguments=[])["test_result"]
        results.append((data.trace.valence, effects["moments"], judged))
    assert np.array_equal(results[0][0], results[1][0], equal_nan=True) and results[0][1:] == results[1][1:]


def test_a_filter_by_a_mood_reads_nothing_of_who_does_not_consent(tmp_path):
    """Their rows go, whatever they felt."""
    consent = (np.arange(PEOPLE) % 3 > 0).astype(int)
    folder = write_felt(tmp_path, consent=consent)
    keys = felt_keys(metrics=["Recall"], val_interval={"valence_after": "[-1,1]"})
    data, *_ = load_data(Config("BPR", str(folder), config_dict=keys, arguments=[]))
    assert data.user_num == 1 + consent.sum() and "valence_after" not in data.fields()
