"""Whole runs on data that lack something: ESMR does what it can, says what it cannot, and never breaks."""

from __future__ import annotations

import math
import shutil

import pandas as pd
import pytest

from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.quick_start import run_recbole


@pytest.fixture
def edit(data_path, tmp_path):
    """A private copy of the data set and a function that changes one of its files."""
    shutil.copytree(data_path / "small", tmp_path / "small")

    def change(suffix, how):
        path = tmp_path / f"small/small.{suffix}"
        frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        how(frame).to_csv(path, sep="\t", index=False)

    return change


def _run(tmp_path, quick, **keys):
    return run_recbole("ESMR", "small", config_dict={**quick, "data_path": str(tmp_path), **keys}, arguments=[])


def _effects_on_valence(result) -> list:
    return [effect for effect in result["causal"]["effects"] if effect["outcome"] == "valence"]


def test_valence_as_a_number_only(edit, tmp_path, quick):
    """Without labels the nowcast of labels learns nothing; it must not open the gate for people who are well."""
    edit(
        "day",
        lambda f: f.drop(columns="emotion:token").assign(
            **{"valence:float": (f["emotion:token"] != "").map({True: 0.5, False: ""})}
        ),
    )
    result = _run(tmp_path, quick, gate_streak=1)
    assert result["policy"]["acted_share"] == 0 and _effects_on_valence(result) == []  # the same mood on all days
    reasons = {(skip["outcome"], skip["state"]): skip["reason"] for skip in result["causal"]["skipped"]}
    assert "valence is the same on all user-days" in reasons["valence", "all"]
    emotion = result["emotion"]
    assert emotion["nowcast"] is None and "accuracy" not in emotion["forecast"]
    assert emotion["forecast"]["valence_mae"] == pytest.approx(0, abs=0.02), "what never changes is foretold"


def test_any_column_of_the_items_may_be_asked_after(edit, tmp_path, quick):
    """A number and a token of the user's own; a column that is not there, or holds lists, is an error with the nearest name."""
    edit("item", lambda f: f.assign(**{"year:float": [str(1990 + n % 9) for n in range(len(f))], "tags:token_seq": "a b"}))
    edit("item", lambda f: f.assign(**{"language:token": ["en", "de", ""] * (len(f) // 3) + ["en"] * (len(f) % 3)}))
    result = _run(tmp_path, quick, effect_features=["language", "year", "intensity"], effect_days=2)
    asked = {e["treatment"]: e for e in result["causal"]["effects"] if e["by_day"]}
    assert set(asked) == {"exposure_language=en", "exposure_language=de", "exposure_year", "exposure_intensity"}
    assert all(len(effect["by_day"]) == 2 for effect in asked.values())
    with pytest.raises(ConfigError, match=r"effect_features names 'langauge'.*Did you mean 'language'"):
        _run(tmp_path, quick, effect_features=["langauge"])
    with pytest.raises(
        ConfigError, match=r"effect_features names 'tags', a token_seq in .*small\.item\. Name columns of type token or float"
    ):
        _run(tmp_path, quick, effect_features=["tags"])


def test_no_days_at_all(edit, tmp_path, quick):
    (tmp_path / "small/small.day").unlink()
    result = _run(tmp_path, quick)
    assert result["emotion"] is None and result["policy"]["acted_share"] == 0 and result["causal"]["effects"] == []
    assert list(result["timings"])[3:] == ["emotion encoder", "engagement", "last fit"]
    assert result["engagement"]["auc"] > 0.5


def test_no_impressions_no_user_file(edit, tmp_path, quick):
    (tmp_path / "small/small.imp").unlink()
    (tmp_path / "small/small.user").unlink()
    result = _run(tmp_path, quick)
    assert 0 < result["emotion"]["forecast"]["valence_mae"] < 0.6 and 0 < result["engagement"]["auc"] < 1


def test_reports_on_the_last_days_only(edit, tmp_path, quick):
    late = lambda f: f.assign(**{"emotion:token": f["emotion:token"].where(f["day:float"].astype(float) > 13, "")})  # noqa: E731
    edit("day", late)
    result = _run(tmp_path, quick)
    assert result["emotion"] is None and result["policy"]["acted_share"] == 0


def test_impressions_on_the_last_days_only(edit, tmp_path, quick):
    """Most views have no impression, so what was shown is not known; what was watched is."""
    edit("imp", lambda f: f[f["day:float"].astype(float) > 13])
    result = _run(tmp_path, quick)
    assert result["engagement"]["skips"].startswith("not logged") and result["engagement"]["auc"] > 0.5
    assert {effect["identified_by"] for effect in result["causal"]["effects"]} == {"back-door"}


def test_nobody_consents(edit, tmp_path, quick):
    edit("user", lambda f: f.assign(**{"consent:float": "0"}))
    result = _run(tmp_path, quick)
    assert result["emotion"] is None and result["policy"]["acted_share"] == 0 and result["engagement"]["auc"] > 0.5


def test_items_without_emotion_still_leave_the_forecast(edit, tmp_path, quick):
    edit("item", lambda f: f.drop(columns=["emotion:token", "emotion_intensity:float"]))
    with pytest.raises(DataError, match="out of metrics"):
        _run(tmp_path, quick)
    result = _run(tmp_path, quick, metrics=["Recall", "NDCG"])
    assert result["emotion"]["forecast"]["accuracy"] > 0
    asked = {effect["treatment"].partition("=")[0] for effect in result["causal"]["effects"]}
    assert asked == {"time_spent", "exposure_category"}  # there is no exposure to an emotion


def test_one_training_day_each_leaves_the_re_ranker_out(edit, tmp_path, quick, caplog):
    """Nobody has a day that follows a training day: nothing can be learned of what follows one, and the gate stays closed."""
    edit("imp", lambda f: f[f["day:float"].astype(float).isin([1, 13, 14])])
    edit("inter", lambda f: f[f["day:float"].astype(float).isin([1, 13, 14])])
    edit("day", lambda f: f[f["day:float"].astype(float).isin([1, 13, 14])])
    result = _run(tmp_path, {**quick, "state": "WARNING"}, day_split=[0.3, 0.3, 0.4])
    assert "the re-ranker is not trained" in caplog.text and result["policy"]["acted_share"] == 0
    assert list(result["timings"])[-1] != "re-ranker" and math.isfinite(result["test_result"]["recall@10"])


def test_a_large_reward_does_not_tie_the_ranking(tmp_path, quick):
    result = run_recbole("ESMR", "small", config_dict={**quick, "gate": "always", "reward_engagement": 1000.0}, arguments=[])
    assert result["test_result"]["recall@10"] > 0


def test_with_nothing_proven_the_causal_reward_ranks_for_engagement(tmp_path, quick):
    """Forty people's fortnight proves no effect: every score is that of the closed gate."""
    causal, closed = (
        run_recbole("ESMR", "small", config_dict={**quick, "gate": gate, "reward": "causal"}, arguments=[])
        for gate in ("always", "never")
    )
    weights = {e["weight"] for e in causal["causal"]["effects"] if e["outcome"] == "valence" and e["treatment"] != "time_spent"}
    assert weights == {0.0} and causal["policy"]["acted_share"] == 0
    assert causal["test_result"] == closed["test_result"]
    acting = run_recbole("ESMR", "small", config_dict={**quick, "gate": "always", "reward": "emotion"}, arguments=[])
    assert acting["policy"]["acted_share"] == 1
