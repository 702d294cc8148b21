"""Moods of the moment: read, checked, withheld, judged by, and what is found of what moves them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from recbole.evaluator.collector import DataStruct

from recbole_esmr.causal.moments import effects_of_moments
from recbole_esmr.causal.traits import Traits
from recbole_esmr.cli import main
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_data
from recbole_esmr.data.importers import import_data
from recbole_esmr.data.moments import Moments
from recbole_esmr.data.reading.felt import left_better, reports_of_moments
from recbole_esmr.errors import DataError
from recbole_esmr.evaluator.felt import FeelAUC, LikedRecall
from recbole_esmr.evaluator.full_sort import full_sort_scores
from recbole_esmr.label.felt import felt_valences
from recbole_esmr.quick_start import estimate_causal, load_data_and_model, run_recbole
from tests.conftest import QUICK
from tests.test_cli import SHARED, needs_shared

PEOPLE, VIEWS, ITEMS = 24, 30, 20
FEELS = ["Recall", "LikedRecall", "FeelAUC"]


def _write(folder, name="felt", consent=None, seed=0, **columns):
    """A data set with moods around each view: bad items leave people worse; columns of ``.inter`` may be replaced."""
    rng = np.random.default_rng(seed)
    user, place = (index.ravel() for index in np.indices((PEOPLE, VIEWS)))
    item = rng.integers(0, ITEMS, len(user))
    before = rng.normal(0, 0.3, len(user)).clip(-1, 1)
    after = (before + np.where(item % 2, -0.2, 0.2) + rng.normal(0, 0.2, len(user))).clip(-1, 1)
    inter = pd.DataFrame(
        {
            "user_id:token": [f"u{number}" for number in user],
            "item_id:token": [f"i{number}" for number in item],
            "timestamp:float": 1_700_000_000 + place * 20_000 + user,
            "rating:float": rng.integers(1, 6, len(user)),
            "valence_before:float": before,
            "valence_after:float": after,
        }
    )
    target = folder / name
    target.mkdir(parents=True)
    inter.assign(**columns).to_csv(target / f"{name}.inter", sep="\t", index=False)
    items = pd.DataFrame({"item_id:token": [f"i{number}" for number in range(ITEMS)]})
    items["emotion:token"] = np.where(np.arange(ITEMS) % 2, "angry", "happy")
    items.to_csv(target / f"{name}.item", sep="\t", index=False)
    if consent is not None:
        people = pd.DataFrame({"user_id:token": [f"u{n}" for n in range(PEOPLE)], "consent:float": consent})
        people.to_csv(target / f"{name}.user", sep="\t", index=False)
    return target


def _keys(**more):
    split = {"split": {"RS": [0.6, 0.1, 0.3]}, "group_by": "user", "order": "TO", "mode": "full"}
    return {"eval_args": split, "epochs": 2, "metrics": FEELS, "topk": [3, 7], "valid_metric": "Recall@3", **more} | {
        "state": "ERROR", "show_progress": False, "repeatable": True, "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    }  # fmt: skip


# -- days ------------------------------------------------------------------------------------------------------------


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
    _write(tmp_path)
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
    told = _write(tmp_path / "one", consent=consent)
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
        judged = run_recbole("Pop", folder, config_dict=_keys(), saved=False, arguments=[])["test_result"]
        results.append((data.trace.valence, effects["moments"], judged))
    assert np.array_equal(results[0][0], results[1][0], equal_nan=True) and results[0][1:] == results[1][1:]


# -- metrics ---------------------------------------------------------------------------------------------------------


def test_the_metrics_by_hand():
    struct, inf = DataStruct(), np.inf
    #        row person place rank feels likes
    felt = [[0, 1, 0, 0.9, 1, 1], [0, 1, inf, 0.2, 0, 0], [0, 1, 4, 0.7, 1, 1], [0, 1, 2, 0.9, 0, 1], [0, 1, 1, 0.95, -1, -1]]
    felt += [[1, 2, inf, 0.1, 0, 0], [2, 3, inf, 0.5, 1, 1], [2, 3, inf, 0.5, 0, -1]]
    struct.set("rec.felt", torch.tensor(felt, dtype=torch.float64))
    config = {"metric_decimal_place": 6, "topk": [3, 5]}
    assert LikedRecall(config).calculate_metric(struct) == {
        "likedrecall@3": pytest.approx((2 / 3 + 0) / 2), "likedrecall@5": pytest.approx((3 / 3 + 0) / 2),
    }  # fmt: skip
    # person 1: better .9 and .7, not better .2 and .9: pairs 1, .5, 1, 0; person 3: a tie; person 2 has no pair
    assert FeelAUC(config).calculate_metric(struct) == {"feelauc": pytest.approx((2.5 / 4 + 0.5) / 2)}


@pytest.mark.parametrize("model", ["BPR", "Pop"])
def test_the_metrics_of_a_run_are_those_of_its_scores(tmp_path, model):
    """Computed again from all scores and the file, with plain loops."""
    folder = _write(tmp_path)
    keys = _keys(liked_rating=5, topk=[3])
    result = run_recbole(model, str(folder), config_dict=keys, arguments=[])
    _, trained, _, _, _, test = load_data_and_model(result["checkpoint"])
    rows = test._dataset.inter_feat
    frame = pd.read_csv(folder / "felt.inter", sep="\t").sort_values(["user_id:token", "timestamp:float"])
    recalls, aucs = [], []
    for name, part in frame.groupby("user_id:token"):
        mine = part.iloc[-9:]
        user = test._dataset.token2id("user_id", name)
        assert (rows["user_id"] == user).sum() == 9
        item = torch.tensor(test._dataset.token2id("item_id", mine["item_id:token"].tolist()))
        better = (mine["valence_after:float"] > mine["valence_before:float"]).to_numpy()
        liked = better | (mine["rating:float"] == 5).to_numpy()
        score = full_sort_scores([user], trained, test)[0]
        felt = pd.DataFrame({"item": item, "better": better, "liked": liked}).groupby("item").mean()
        top = set(torch.topk(score, 3).indices.tolist())
        hits = [number in top for number in felt.index if felt["liked"][number] > 0]  # RecBole counts an item of a person once
        recalls += [np.mean(hits)] if hits else []
        up = [score[number] for number in felt.index if felt["better"][number] > 0.5]
        down = [score[number] for number in felt.index if felt["better"][number] <= 0.5]
        if up and down:
            aucs.append(np.mean([(a > b) + 0.5 * (a == b) for a in up for b in down]))
    assert result["test_result"]["likedrecall@3"] == pytest.approx(np.mean(recalls), abs=1e-4)
    assert result["test_result"]["feelauc"] == pytest.approx(np.mean(aucs), abs=1e-4)


@pytest.mark.parametrize("mode", ["full", "uni10"])
@pytest.mark.parametrize("model", ["BPR", "SASRec", "FM"])
def test_every_kind_of_model_and_evaluation_has_them(tmp_path, model, mode):
    folder = _write(tmp_path)
    keys = _keys()
    keys["eval_args"] = {**keys["eval_args"], "mode": mode}
    result = run_recbole(model, str(folder), config_dict=keys, saved=False, arguments=[])["test_result"]
    assert 0 <= result["likedrecall@3"] <= result["likedrecall@7"] <= 1 and 0 < result["feelauc"] < 1


def test_moods_are_no_features_of_a_context_aware_model(tmp_path):
    """What it learns and recommends does not change with what people felt, though all columns of the file are loaded."""
    one = _write(tmp_path / "one")
    _write(tmp_path / "two", **{"valence_after:float": 0.5, "valence_before:float": -0.5})
    keys = _keys(load_col=None, metrics=["Recall", "NDCG", "LikedRecall"])
    found = [
        run_recbole("FM", str(tmp_path / place / "felt"), config_dict=keys, saved=False, arguments=[]) for place in ("one", "two")
    ]
    same = [{name: value for name, value in result["test_result"].items() if "liked" not in name} for result in found]
    assert one.is_dir() and same[0] == same[1] and found[0]["test_result"] != found[1]["test_result"]


@pytest.mark.parametrize(
    ("columns", "keys", "says"),
    [
        ({"valence_after:float": ""}, {}, r"the metric LikedRecall needs 'valence_after:float'"),
        (
            {"valence_after:float": ""},
            {"metrics": ["Recall", "FeelAUC"], "liked_rating": 3},
            r"the metric FeelAUC needs 'valence_after",
        ),
        ({"valence_after:float": 3}, {}, r"felt.inter, line 2, column 'valence_after': the value is 3; expected .* \[-1, 1\]"),
        ({}, {"liked_rating": 3, "RATING_FIELD": "stars"}, r"liked_rating asks for the column 'stars:float'"),
    ],
)
def test_what_a_metric_needs_is_said(tmp_path, columns, keys, says):
    folder = _write(tmp_path, **columns)
    with pytest.raises(DataError, match=says):
        run_recbole("Pop", str(folder), config_dict=_keys() | keys, saved=False, arguments=[])


def test_ratings_alone_say_what_is_liked(tmp_path):
    folder = _write(tmp_path, **{"valence_after:float": ""})
    keys = _keys(liked_rating=1) | {"metrics": ["Recall", "LikedRecall"]}
    result = run_recbole("Pop", str(folder), config_dict=keys, saved=False, arguments=[])["test_result"]
    assert 0 < result["likedrecall@7"] <= 1


# -- effects ---------------------------------------------------------------------------------------------------------


def _moments(confounded, random, people=150, each=20, seed=0):
    """A hidden mood drives what is chosen and how one feels after it; what is drawn at random it does not drive."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(people), each)
    hidden, usual = rng.normal(size=len(user)), rng.normal(0, 0.3, people)[user]
    drawn = rng.uniform(size=len(user)) < random
    bright = rng.uniform(size=len(user)) < np.where(drawn, 0.5, 1 / (1 + np.exp(-2 * confounded * hidden)))
    before = usual + 0.1 * rng.normal(size=len(user))
    after = usual + 0.5 * (before - usual) + 0.10 * bright + 0.15 * confounded * hidden + 0.1 * rng.normal(size=len(user))
    nothing = np.full(len(user), np.nan)
    moments = Moments(
        user, bright.astype(int), user * 0, np.stack([before, nothing], 1), np.stack([after, nothing], 1), drawn.astype(float)
    )
    return moments, bright


TONE = Traits(("exposure_bright",), ("positive",), np.array([[0.0], [1.0]]), np.ones(1), np.array([-1]))


def test_effects_equal_statsmodels_and_their_truth():
    moments, bright = _moments(confounded=1.0, random=0.4)
    effect = effects_of_moments(moments, TONE).effects[0]
    rows = moments.random == 1
    frame = pd.DataFrame({"y": moments.after[rows, 0], "x": bright[rows], "before": moments.before[rows, 0]})
    dummies = pd.get_dummies(moments.user[rows], dtype=float)
    design = pd.concat([frame[["x", "before"]].astype(float), dummies.set_axis([f"p{n}" for n in dummies], axis=1)], axis=1)
    groups = {"groups": moments.user[rows]}
    fit = sm.OLS(frame["y"], design).fit(cov_type="cluster", cov_kwds=groups, use_t=True)
    assert effect.random["estimate"] == pytest.approx(fit.params["x"])
    assert [effect.random["low"], effect.random["high"]] == pytest.approx(fit.conf_int().loc["x"].tolist(), rel=1e-3)
    assert effect.random["low"] < 0.10 < effect.random["high"] and effect.random["rows"] == rows.sum()


@pytest.mark.parametrize("seed", range(4))
def test_a_warning_fires_where_chosen_items_mislead_and_not_where_they_do_not(seed):
    misled = effects_of_moments(_moments(confounded=1.0, random=0.4, seed=seed)[0], TONE)
    assert misled.effects[0].difference["low"] > 0.02 and misled.effects[0].chosen["estimate"] > 0.13
    assert any("they differ" in line and "Believe the random ones" in line for line in misled.warnings)
    honest = effects_of_moments(_moments(confounded=0.0, random=0.4, seed=seed)[0], TONE)
    assert honest.effects[0].difference["low"] < 0 < honest.effects[0].difference["high"]
    assert not any("differ" in line for line in honest.warnings)


def test_the_difference_covers_its_truth():
    """Without a hidden cause its interval holds 0 in about 95 of 100 logs, though the same people are in both parts."""
    held = []
    for seed in range(200):
        difference = effects_of_moments(_moments(0.0, 0.5, people=40, each=12, seed=seed)[0], TONE).effects[0].difference
        held.append(difference["low"] < 0 < difference["high"])
    assert 0.90 <= np.mean(held) <= 0.985


def test_without_random_items_an_effect_comes_with_what_it_rests_on():
    moments, _ = _moments(confounded=0.0, random=0.0)
    chosen = effects_of_moments(moments, TONE)
    assert not chosen.effects[0].random and any("none is known to be drawn at random" in line for line in chosen.warnings)
    assert [line["rows"] for line in chosen.skipped] == ["random"]


def test_numbers_are_told_in_their_own_unit_and_of_too_few_people_nothing_is():
    moments, bright = _moments(confounded=0.0, random=1.0)
    tempo = np.array([[-1.0], [1.0]])  # standardised: 60 and 180 beats
    effect = effects_of_moments(
        moments, Traits(("exposure_tempo",), ("tempo",), tempo, np.array([60.0]), np.array([-1]))
    ).effects[0]
    plain = effects_of_moments(moments, TONE).effects[0]
    assert effect.unit == "1 of the column" and effect.random["estimate"] * 120 == pytest.approx(plain.random["estimate"])
    assert effect.spread == pytest.approx(120 * bright.std())
    few = effects_of_moments(moments.take(moments.user < 5), TONE)
    assert not few.effects and "of 10 people are needed" in few.skipped[0]["reason"]


# -- importing -------------------------------------------------------------------------------------------------------

STAGE1 = "user_id,item_id,No.,timestamp,rating,duration,emo_valence,emo_arousal\n1,7,1,1625022948,4,96.6,0.34,-0.79\n"
MOODS = "emo_pre_valence,emo_pre_arousal,emo_post_valence,emo_post_arousal"
STAGE2 = f"inter_id,user_id,item_id,timestamp,rating,{MOODS},duration,rec_type\n" + (
    "1,1,9,1625103746,1,0.35,-0.4575,-0.27,0.15,,\n2,1,7,1625121151,3,0.48,-0.37,0.12,0.64,120,Rand\n"
)
STAGE3 = f"inter_id,user_id,item_id,timestamp,rating,preference,{MOODS},duration,rec_type\n" + (
    "1,2,9,1649214811,3,53,0.29,0.23,0.28,0.13,342,Situ-MT\n"
)
SONGS = (
    ",item_id,popularity,loudness,danceability,energy,key,speechiness,acousticness,instrumentalness,valence,tempo,"
    "general_genre_id,duration,general_genre\n"
    "0,7,22,-12.9,0.6,0.34,2,0.03,0.6,0.01,0.503,127,0,204200,indie\n1,9,31,-5.3,0.5,0.8,0,0.04,0.1,0.6,1.0,119,1,184480,rock\n"
)


def _study(folder, **changed):
    for name, text in {"Stage1": STAGE1, "Stage2": STAGE2, "Stage3": STAGE3, "music_info": SONGS, **changed}.items():
        (folder / f"{name}.csv").write_text(text)
    return import_data("situnes", folder, folder / "songs")


def test_situnes_becomes_moments(tmp_path):
    report = _study(tmp_path)
    assert report.notes[0].startswith("4 listenings of 2 people; 1 songs were drawn at random, 1 by a recommender, of 2")
    inter = pd.read_csv(tmp_path / "songs/songs.inter", sep="\t")
    assert inter["random:float"].fillna(-1).tolist() == [-1, -1, 1, 0]
    assert inter["valence_after:float"].tolist() == [0.34, -0.27, 0.12, 0.28] and inter["valence_before:float"].isna()[0]
    item = pd.read_csv(tmp_path / "songs/songs.item", sep="\t")
    assert item["valence:float"].tolist() == [0.006, 1.0] and item["duration:float"].tolist() == [204.2, 184.48]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"Stage2": STAGE2.replace("Rand", "Dice")}, r"Stage2.csv, line 3, column 'rec_type': the cell holds 'Dice'.*Random"),
        ({"Stage3": STAGE3.replace("0.29", "2.9")}, r"Stage3.csv, line 2, column 'emo_pre_valence'.*from -1 to 1"),
        ({"music_info": SONGS.replace("0.34", "34")}, r"music_info.csv, line 2, column 'energy'.*from 0 to 1"),
        ({"Stage1": STAGE1.replace("1625022948", "soon")}, r"Stage1.csv, line 2, column 'timestamp'"),
        ({"Stage1": STAGE1.replace("emo_valence", "mood")}, r"the column 'emo_valence' is missing"),
    ],
)
def test_cells_that_are_no_answers_are_refused(tmp_path, changed, says):
    with pytest.raises(DataError, match=says):
        _study(tmp_path, **changed)


def test_moods_of_a_scale_come_with_a_mapping(tmp_path):
    (tmp_path / "log.csv").write_text(
        "who,what,when,pre,post\n" + "".join(f"p{n % 3},x{n % 5},{n},{n % 7 + 1},4\n" for n in range(30))
    )
    (tmp_path / "map.yaml").write_text(
        "inter: {file: log.csv, columns: {user_id: who, item_id: what, day: when, valence_before: pre, valence_after: post},\n"
        "  scale: {valence_before: [1, 7], valence_after: [1, 7]}}\n"
    )
    import_data("csv", tmp_path, tmp_path / "mine", tmp_path / "map.yaml")
    inter = pd.read_csv(tmp_path / "mine/mine.inter", sep="\t")
    assert inter["valence_before:float"][:7].tolist() == pytest.approx(np.linspace(-1, 1, 7))
    assert set(inter["valence_after:float"]) == {0}


@needs_shared
def test_situnes_finds_what_its_random_songs_say(tmp_path, capsys):
    """The issue's own figures, made with another program."""
    assert main(["import", "situnes", f"--input={SHARED / 'data/situnes'}", "--output=songs"]) == 0
    result, _ = estimate_causal("songs", arguments=[], all_days=True, graph_samples=0)
    found = {(x["treatment"], x["outcome"]): x for x in result["moments"]["effects"]}
    expected = {
        ("song_valence", "valence_after"): (0.110, 0.024, 0.196, 0.084),
        ("energy", "valence_after"): (-0.135, -0.219, -0.051, -0.053),
        ("energy", "arousal_after"): (0.252, 0.151, 0.354, 0.119),
    }
    for key, (estimate, low, high, chosen) in expected.items():
        told = found[key]
        assert told["random"]["estimate"] == pytest.approx(estimate, abs=6e-4)
        assert told["chosen"]["estimate"] == pytest.approx(chosen, abs=6e-4)
        assert [told["random"]["low"], told["random"]["high"]] == pytest.approx([low, high], abs=0.006)
    assert any(line.startswith("energy → arousal_after") and "they differ" in line for line in result["warnings"])
    assert "random" not in capsys.readouterr().err


# -- items as people felt them ---------------------------------------------------------------------------------------


def _felt_rows(seed, spread=0.15, people=60, each=30, items=40):
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, spread, items)
    user, item = np.repeat(np.arange(people), each), rng.integers(0, items, people * each)
    usual = rng.normal(0, 0.4, people)[user]
    before = usual + 0.2 * rng.normal(size=len(user))
    after = usual + 0.5 * (before - usual) + truth[item] + 0.2 * rng.normal(size=len(user))
    return pd.DataFrame({"user": user, "item": item, "valence_before": before, "valence_after": after}), truth


def test_items_are_what_people_felt_after_them():
    """Near the truth, nearer than plain means of the valence after, and with the spread that the truth has."""
    rows, truth = _felt_rows(0)
    valence, signal = felt_valences(rows)
    plain = rows.groupby("item")["valence_after"].mean()
    assert np.corrcoef(valence, truth)[0, 1] > 0.95 > np.corrcoef(plain, truth)[0, 1]
    assert signal == pytest.approx(0.15, abs=0.04) and np.abs(valence).mean() < np.abs(truth).mean() + 0.02
    without, _ = felt_valences(rows.assign(valence_before=np.nan))
    assert np.corrcoef(without, truth)[0, 1] < np.corrcoef(valence, truth)[0, 1]


def test_of_items_that_do_nothing_nothing_is_said():
    """Chance alone gives a spread in about half of the logs, a small one; in the others it is refused."""
    refused, spread = 0, []
    for seed in range(20):
        try:
            spread.append(felt_valences(_felt_rows(seed, spread=0.0)[0])[1])
        except DataError as error:
            assert "does not depend on which it was" in str(error)
            refused += 1
    assert refused >= 5 and max(spread) < 0.04


def test_felt_items_are_written_of_who_consents_and_without_the_last_fifth(tmp_path, capsys):
    consent = (np.arange(PEOPLE) % 3 > 0).astype(int)
    folder = _write(tmp_path, consent=consent)
    assert main(["label", f"--dataset={folder}", "--felt"]) == 2
    assert "items have 'emotion' already. Say --replace" in capsys.readouterr().err
    assert main(["label", f"--dataset={folder}", "--felt", "--replace"]) == 0
    assert f"by {16 * VIEWS * 4 // 5} moments (each person's last fifth, {16 * VIEWS // 5}," in capsys.readouterr().out
    item = pd.read_csv(folder / "felt.item", sep="\t").set_index("item_id:token")["valence:float"]
    even = item.index.str[1:].astype(int) % 2 == 0
    assert (item[even] > 0).all() and (item[~even] < 0).all()
    frame = pd.read_csv(folder / "felt.inter", sep="\t")
    last = frame.groupby("user_id:token")["timestamp:float"].rank(pct=True) > 0.8
    silent = frame["user_id:token"].str[1:].astype(int) % 3 == 0
    frame.loc[last | silent, "valence_after:float"] = 0.9
    frame.to_csv(folder / "felt.inter", sep="\t", index=False)
    assert main(["label", f"--dataset={folder}", "--felt", "--replace"]) == 0
    again = pd.read_csv(folder / "felt.item", sep="\t").set_index("item_id:token")["valence:float"]
    assert again.equals(item) and "emotion_taxonomy: valence-arousal" in (folder / "felt.yaml").read_text()
    assert main(["label", f"--dataset={folder}"]) == 2
    assert "--text=title,caption" in capsys.readouterr().err


def test_felt_items_find_nothing_in_chance_alone(tmp_path, capsys):
    """Their labels were made of the moods that the effect would be found in; of what is not made of them it is still asked."""
    rng = np.random.default_rng(3)
    chance = rng.normal(0, 0.3, PEOPLE * VIEWS).clip(-1, 1)
    found = None
    for seed in range(20):  # chance alone is refused in half of the logs
        folder = _write(tmp_path / str(seed), seed=seed, **{"valence_after:float": np.roll(chance, seed), "random:float": 1})
        if main(["label", f"--dataset={folder}", "--felt", "--replace"]) == 0:
            found = folder
            break
    result, _ = estimate_causal(str(found), config_dict={"state": "ERROR"}, arguments=[], all_days=True, graph_samples=0)
    assert not result["moments"]["effects"] and any("label --felt" in line for line in result["warnings"])
    frame = pd.read_csv(found / "felt.item", sep="\t")
    frame.assign(**{"tempo:float": range(ITEMS)}).to_csv(found / "felt.item", sep="\t", index=False)
    keys = {"state": "ERROR", "effect_features": ["emotion", "tempo"]}
    result, _ = estimate_causal(str(found), config_dict=keys, arguments=[], all_days=True, graph_samples=0)
    assert [effect["treatment"] for effect in result["moments"]["effects"]] == ["tempo"]
    capsys.readouterr()


def test_felt_items_keep_the_emotions_that_people_name(tmp_path, capsys):
    folder = _write(tmp_path)
    day = pd.DataFrame({"user_id:token": "u1", "day:float": [19676.0, 19677.0], "emotion:token": ["angry", "happy"]})
    day.to_csv(folder / "felt.day", sep="\t", index=False)
    assert main(["label", f"--dataset={folder}", "--felt", "--replace"]) == 0
    load_data(Config("ESMR", str(folder), config_dict=QUICK, arguments=[]))
    assert "unpleasant" in (folder / "felt.yaml").read_text() and "angry" in (folder / "felt.yaml").read_text()
    assert main(["label", f"--dataset={folder}", "--felt", "--text=title"]) == 2
    assert "Leave out --text" in capsys.readouterr().err


def test_the_last_interactions_say_nothing_of_felt_items_however_late_people_are_asked(tmp_path, capsys):
    """People are asked in the second half alone, and the data set's own split keeps three tenths for tests."""
    usual = pd.read_csv(_write(tmp_path) / "felt.inter", sep="\t")["valence_after:float"]
    place, written = np.tile(np.arange(VIEWS), PEOPLE), []
    for change in (0.0, 0.5):
        told = usual.where(place < 0.7 * VIEWS, change).where(place >= VIEWS // 2)
        folder = _write(tmp_path / str(change), **{"valence_after:float": told})
        (folder / "felt.yaml").write_text("eval_args: {split: {RS: [0.7, 0.1, 0.2]}, group_by: user, order: TO, mode: full}\n")
        assert main(["label", f"--dataset={folder}", "--felt", "--replace"]) == 0
        written.append((folder / "felt.item").read_text())
    assert written[0] == written[1]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (lambda frame: frame.groupby("item").head(1), "moments of as many items"),
        (lambda frame: frame.assign(valence_after=frame["valence_before"] * 0.5), "does not depend on which it was"),
    ],
)
def test_moments_that_tell_nothing_of_items_are_refused(rows, says):
    with pytest.raises(DataError, match=says):
        felt_valences(rows(_felt_rows(1, spread=0.0)[0]))


def test_a_filter_by_a_mood_reads_nothing_of_who_does_not_consent(tmp_path):
    """Their rows go, whatever they felt."""
    consent = (np.arange(PEOPLE) % 3 > 0).astype(int)
    folder = _write(tmp_path, consent=consent)
    keys = _keys(metrics=["Recall"], val_interval={"valence_after": "[-1,1]"})
    data, *_ = load_data(Config("BPR", str(folder), config_dict=keys, arguments=[]))
    assert data.user_num == 1 + consent.sum() and "valence_after" not in data.fields()


def test_a_part_of_benchmark_filename_may_do_without_moods(tmp_path):
    folder = _write(tmp_path)
    frame = pd.read_csv(folder / "felt.inter", sep="\t")
    place = frame.groupby("user_id:token").cumcount()
    for name, rows in (("train", place < 20), ("valid", place.between(20, 24)), ("test", place > 24)):
        part = frame[rows].assign(**({} if name == "test" else {"valence_after:float": ""}))
        part.to_csv(folder / f"felt.{name}.inter", sep="\t", index=False)
    keys = _keys(benchmark_filename=["train", "valid", "test"])
    result = run_recbole("Pop", str(folder), config_dict=keys, saved=False, arguments=[])
    assert 0 < result["test_result"]["feelauc"] < 1 and np.isnan(result["best_valid_result"]["feelauc"])


def test_effects_of_the_moment_are_drawn_and_written(tmp_path, capsys):
    folder = _write(tmp_path, **{"random:float": np.arange(PEOPLE * VIEWS) % 2})
    line = ["causal", f"--dataset={folder}", "--all_days", "--graph_samples=0", "--output=effects.json", "--figures=drawn"]
    assert main(line) == 0
    said = capsys.readouterr().out
    assert "random items" in said and "chosen - random" in said and "effects_of_the_moment.png" in said
    assert (tmp_path / "drawn/effects_of_the_moment.png").read_bytes()[:4] == b"\x89PNG"
    told = json.loads((tmp_path / "effects.json").read_text())["moments"]["effects"]
    assert {(effect["treatment"], effect["outcome"]) for effect in told} == {("happy", "valence_after")}  # angry is the rest
    assert told[0]["random"]["low"] > 0 and told[0]["chosen"]["low"] > 0 and "p" in told[0]["difference"]
