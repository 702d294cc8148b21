"""Items beyond one label: shares of emotions and numbers, as they are read, and what is made of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_esmr.causal.traits import traits_of
from recbole_esmr.cli import main
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_split
from recbole_esmr.data.importers import import_data
from recbole_esmr.data.importers.votes import pooled_shares
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.files import shipped, shipped_names
from tests.test_cli import SHARED, needs_shared

LABELS = load_taxonomy("esmr").labels


@pytest.fixture
def small(data_path, tmp_path):
    folder = tmp_path / "small"
    shutil.copytree(data_path / "small", folder)
    return folder


def _item(folder, change):
    path = folder / "small.item"
    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    change(frame).to_csv(path, sep="\t", index=False)


def _with(column, values):
    """The ``.item`` file with a column in the place of the emotion label."""
    return lambda frame: frame.drop(columns="emotion:token").assign(**{column: values(frame)})


def _one_hot(frame):
    return [" ".join("1" if name == label else "0" for name in LABELS) if label else "" for label in frame["emotion:token"]]


def _load(folder, *keys):
    return load_split(Config("ESMR", str(folder), arguments=["--state=ERROR", *keys]))


def test_a_label_is_a_share_of_one(small):
    before = _load(small)
    _item(small, _with("emotion_share:float_seq", _one_hot))
    after = _load(small)
    for name in ("share", "emotion", "valence", "negative", "positive", "intensity"):
        assert np.array_equal(getattr(before.catalogue, name), getattr(after.catalogue, name)), name
    for name in ("exposure", "emotion_hours", "features"):
        assert np.array_equal(getattr(before.trace, name), getattr(after.trace, name), equal_nan=True), name


def test_what_an_item_expresses_by_hand(small):
    """A quarter happy (.8) and three quarters angry (−.65) at intensity .5: .375 is negative and .125 positive."""
    mixed = " ".join({"happy": "0.25", "angry": "0.75"}.get(name, "0") for name in LABELS)
    _item(
        small,
        lambda frame: _with("emotion_share:float_seq", lambda frame: mixed)(frame).assign(**{"emotion_intensity:float": 0.5}),
    )
    data = _load(small)
    catalogue = data.catalogue
    assert np.allclose(catalogue.valence[1:], 0.25 * 0.8 - 0.75 * 0.65) and catalogue.valence[0] == 0
    assert np.allclose(catalogue.negative[1:], 0.375) and np.allclose(catalogue.positive[1:], 0.125)
    assert (catalogue.emotion[1:] == LABELS.index("angry")).all() and catalogue.emotion[0] == -1
    shown = np.isfinite(data.trace.exposure[..., 0])
    negative, positive = data.trace.exposure[shown].T
    assert np.allclose(negative, 3 * positive) and (negative > 0).any()
    hours = data.trace.emotion_hours
    assert np.allclose(hours[..., LABELS.index("angry")], 3 * hours[..., LABELS.index("happy")])
    assert np.allclose(hours.sum(axis=-1), data.trace.engagement)
    made = traits_of(catalogue, LABELS, ["emotion"])
    found = dict(zip(made.names, made.value[1:].T, strict=True))
    assert set(found) == {"exposure_happy", "exposure_angry"} and made.groups == ("positive", "negative")
    assert np.allclose(found["exposure_angry"], 0.375) and np.allclose(found["exposure_happy"], 0.125)


def test_numbers_lie_between_unpleasant_and_pleasant(small):
    def number(frame):
        return np.linspace(-1, 1, len(frame)).round(3)

    _item(small, lambda frame: _with("valence:float", number)(frame).drop(columns="emotion_intensity:float"))
    with pytest.raises(DataError, match=r"has no unpleasant, neutral, pleasant to read them by\. Set emotion_taxonomy: valence"):
        _load(small)
    _drop_reports(small)
    catalogue = _load(small, "--emotion_taxonomy=valence-arousal").catalogue
    rows = pd.read_csv(small / "small.item", sep="\t", dtype={"item_id:token": str})
    data = _load(small, "--emotion_taxonomy=valence-arousal")
    place = [data.field2token_id["item_id"][token] for token in rows["item_id:token"] if token in data.field2token_id["item_id"]]
    told = rows["valence:float"][rows["item_id:token"].isin(data.field2token_id["item_id"])].to_numpy()
    assert np.allclose(catalogue.valence[place], told, atol=1e-9) and np.allclose(catalogue.share[place].sum(axis=1), 1)
    assert np.allclose(catalogue.negative[place], np.maximum(-told, 0))


def _drop_reports(folder):
    path = folder / "small.day"
    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    frame.assign(**{"emotion:token": "", "valence:float": "0.1"}).drop(columns="emotion:token").to_csv(
        path, sep="\t", index=False
    )


NINE = "expected 9 numbers, the shares of happy, excited"


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("1", NINE),
        ("1 0 0 0 0 0 0 0 0 0", NINE),
        ("1,0,0,0,0,0,0,0,0", NINE),
        ("0.5 0.6 0 0 0 0 0 0 0", "expected shares that add up to 1. Divide them by their sum"),
        ("2 -1 0 0 0 0 0 0 0", r"expected numbers in \[0, 1\]"),
        ("nan 1 0 0 0 0 0 0 0", r"expected numbers in \[0, 1\]"),
        ("inf 0 0 0 0 0 0 0 0", r"expected numbers in \[0, 1\]"),
        ("0 0 0 0 0 0 0 0 0", "expected shares that add up to 1"),
        ("happy", NINE),
    ],
)
def test_shares_that_are_none_are_refused(small, cell, says):
    def broken(frame):
        return [*_one_hot(frame)[:2], cell, *_one_hot(frame)[3:]]

    _item(small, _with("emotion_share:float_seq", broken))
    with pytest.raises(DataError, match=rf"small\.item, line 4, column 'emotion_share': the value is .*; {says}"):
        _load(small)


def test_two_columns_that_say_the_same_are_refused(small):
    _item(small, lambda frame: frame.assign(**{"emotion_share:float_seq": _one_hot(frame)}))
    with pytest.raises(DataError, match="both 'emotion' and 'emotion_share' say what an item expresses"):
        _load(small)
    _item(
        small,
        lambda frame: frame.rename(columns={"emotion_share:float_seq": "emotion_share:token"}).drop(columns="emotion:token"),
    )
    with pytest.raises(DataError, match="'emotion_share' has the type 'token'"):
        _load(small)


# -- the import --------------------------------------------------------------------------------------------------------

VIEWS = "who,what,when\n" + "".join(f"u{u},{i},2024-01-{d:02d}\n" for u in range(4) for d, i in enumerate("abcab", start=1))
ITEMS = "id,happy,mad,v,a\na,3,1,8,2\nb,0,0,1,9\nc,1,4,,5\n"


def _import(tmp_path, item):
    for name, text in (("views.csv", VIEWS), ("items.csv", ITEMS)):
        (tmp_path / name).write_text(text)
    text = (
        "inter: {file: views.csv, columns: {user_id: who, item_id: what, timestamp: when}}\nitem: {file: items.csv, "
        + item
        + "}\n"
    )
    (tmp_path / "map.yaml").write_text(text)
    report = import_data("csv", tmp_path, tmp_path / "mine", tmp_path / "map.yaml")
    return report, pd.read_csv(tmp_path / "mine/mine.item", sep="\t", dtype=str, keep_default_na=False)


def test_votes_become_shares(tmp_path):
    report, item = _import(tmp_path, "columns: {item_id: id, emotion_share: {happy: happy, angry: mad}}")
    assert "emotion_share: 2 columns, brought to a sum of 1; 1 rows have none" in report.notes
    assert item.columns.tolist() == ["item_id:token", "emotion_share:float_seq"]
    shares = [[float(share) for share in cell.split()] for cell in item["emotion_share:float_seq"]]
    assert shares[1] == [] and shares[0][LABELS.index("happy")] == 0.75 and shares[2][LABELS.index("angry")] == 0.8


def test_numbers_alone_name_their_taxonomy(tmp_path):
    _, item = _import(tmp_path, "columns: {item_id: id, valence: v, arousal: a}, scale: {valence: [1, 9]}")
    assert item["valence:float"].tolist() == ["0.75", "-1.0", ""] and item["arousal:float"].tolist() == ["2", "9", "5"]
    text = (tmp_path / "mine/mine.yaml").read_text()
    assert "emotion_taxonomy: valence-arousal" in text and "NegativeExposure" in text


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ("columns: {item_id: id, emotion_share: happy}", "emotion_share is 'happy'; expected the column of each emotion"),
        ("columns: {item_id: id, emotion_share: {happy: happy}}", "expected the column of each emotion"),
        ("columns: {item_id: id, emotion_share: {happy: happy, mad: mad}}", "'mad', which is no emotion of the taxonomy 'esmr'"),
        ("columns: {item_id: id, emotion: a, emotion_share: {happy: happy, angry: mad}}", "both emotion and emotion_share"),
    ],
)
def test_mappings_of_shares_that_mean_nothing_are_refused(tmp_path, item, says):
    with pytest.raises(ConfigError, match=says):
        _import(tmp_path, item)


# -- raters who disagree -----------------------------------------------------------------------------------------------


def test_votes_are_pooled_by_what_foretells_a_rater_left_out():
    rng = np.random.default_rng(0)
    truth = rng.dirichlet([1.0, 2.0, 1.0], size=400)  # (n + κ p) / (n + κ) with κ = 4 is the posterior mean
    votes = np.stack([rng.multinomial(6, chance) for chance in truth])
    shares = pooled_shares(votes)
    assert np.allclose(shares.sum(axis=1), 1)
    posterior = (votes + np.array([1.0, 2.0, 1.0])) / 10
    assert np.abs(shares - posterior).mean() < 0.015
    assert pooled_shares(np.array([[2, 0], [0, 0]]))[1].tolist() == [0, 0] and pooled_shares(np.zeros((2, 3))).sum() == 0


@needs_shared
def test_shares_foretell_raters_of_films_better_than_the_majority():
    source = pd.read_csv(SHARED / "data/ldos-comoda/LDOS-CoMoDa.csv", header=None)
    named = source[source[14].between(1, 7)]
    rng = np.random.default_rng(1)
    held_out = rng.random(len(named)) < 0.2
    kept = pd.crosstab(named[1][~held_out], named[14][~held_out]).reindex(columns=range(1, 8), fill_value=0)
    asked = named[held_out & named[1].isin(kept.index).to_numpy()]
    votes, row, label = kept.to_numpy(), kept.index.get_indexer(asked[1]), asked[14].to_numpy() - 1
    overall = votes.sum(axis=0) / votes.sum()

    def loss(shares):
        return -np.log(shares[row, label]).mean()

    majority = np.eye(7)[votes.argmax(axis=1)]
    best = min(loss(trust * majority + (1 - trust) * overall) for trust in np.linspace(0.02, 0.98, 49))  # as kind as can be
    assert loss(pooled_shares(votes)) < best - 0.01 and loss(pooled_shares(votes)) < -np.log(overall[label]).mean() - 0.03


# -- the shipped taxonomies --------------------------------------------------------------------------------------------


def test_shipped_taxonomies():
    assert set(shipped_names("emotion")) == {"ekman", "esmr", "goemotions", "ldos-comoda", "valence-arousal"}
    assert len(load_taxonomy("goemotions")) == 28 and len(load_taxonomy("ekman")) == 7
    for name in shipped_names("emotion"):
        assert (Path(shipped("properties")) / "emotion" / f"{name}.yaml").read_text().startswith("#"), "says where it is from"


def test_esmr_trains_on_shares(small, tmp_path, monkeypatch):
    """The whole run reads distributions: effects of emotions, metrics, lists."""
    rng = np.random.default_rng(0)

    def soft(frame):
        table = 0.6 * np.array([[float(x) for x in cell.split()] or [0] * 9 for cell in _one_hot(frame)])
        table += 0.4 * rng.dirichlet(np.ones(9), len(frame)) + 0.6 * (table.sum(axis=1, keepdims=True) == 0) / 9
        return [" ".join(f"{share:.6f}" for share in row / row.sum()) for row in table]

    _item(small, _with("emotion_share:float_seq", soft))
    from tests.conftest import QUICK

    keys = [f"--{key}={value}" for key, value in QUICK.items()]
    assert main(["run", "--model=ESMR", f"--dataset={small}", *keys, "--output=run.json"]) == 0
