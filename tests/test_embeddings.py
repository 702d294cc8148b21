"""Embeddings of items: as they are read, what LightGBM sees of them, and items that nobody has watched yet."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_split
from recbole_esmr.data.embeddings import LATELY
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import CheckpointError, ConfigError, DataError
from recbole_esmr.model.cold_items import ColdItems
from recbole_esmr.model.engagement_ranker import SHOWN, EngagementFeatures
from recbole_esmr.quick_start import load_data_and_model, run_recbole
from recbole_esmr.simulation import load_world, simulate
from recbole_esmr.simulation.captions import captions
from recbole_esmr.simulation.videos import make_videos
from tests.conftest import QUICK

ITEMS = 60


@pytest.fixture
def small(data_path, tmp_path):
    """A copy of ``small`` with vectors of two modalities, the lines of ``.item`` in another order."""
    folder = tmp_path / "small"
    shutil.copytree(data_path / "small", folder)
    path = folder / "small.item"
    item = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False).sample(frac=1, random_state=3)
    rng = np.random.default_rng(1)
    text, sound = rng.normal(size=(ITEMS, 20)), rng.normal(5, 3, size=(ITEMS, 2))
    np.save(folder / "text.npy", text)
    item["sound:float_seq"] = [" ".join(f"{x:.4f}" for x in row) for row in sound]
    item.iloc[4, item.columns.get_loc("sound:float_seq")] = ""
    item.to_csv(path, sep="\t", index=False)
    return folder


BOTH = {"item_embeddings": {"text": "text.npy", "sound": "sound"}, "item_embedding_size": 8}


def _load(folder, **keys):
    return load_split(Config("ESMR", str(folder), config_dict={"state": "ERROR", **keys}, arguments=[]))


def test_components_keep_what_items_are_to_each_other(small):
    data = _load(small, **{**BOTH, "item_embedding_size": 20})
    text, sound = data.catalogue.embeddings["text"], data.catalogue.embeddings["sound"]
    assert text.shape == (data.item_num, 20) and sound.shape == (data.item_num, 2) and not text[0].any()
    given = np.load(small / "text.npy")
    ids = data.token2id("item_id", pd.read_csv(small / "small.item", sep="\t", dtype=str)["item_id:token"].to_numpy())
    distance = np.linalg.norm(given[:, None] - given[None], axis=2)
    ours = np.linalg.norm(text[ids][:, None] - text[ids][None], axis=2)
    assert np.allclose(ours / ours.max(), distance / distance.max(), atol=1e-5)
    assert (text[ids] ** 2).sum(axis=1).mean() == pytest.approx(1, rel=1e-4)
    assert not sound[ids[4]].any() and np.linalg.norm(sound[ids], axis=1).min() == 0
    few = _load(small, **BOTH).catalogue.embeddings["text"]
    assert few.shape[1] == 8
    assert np.allclose(few / np.abs(few).max(), text[:, :8] / np.abs(text[:, :8]).max(), atol=1e-5)


def test_what_lightgbm_sees_by_plain_loops(small):
    data = _load(small, **BOTH)
    log = data.log
    consent = log.trace.consent.copy()
    consent[5] = False
    log = log.with_consent(consent)
    rng = np.random.default_rng(0)
    row, day, item = rng.integers(1, 41, 200), rng.integers(0, 15, 200), rng.integers(1, ITEMS + 1, 200)
    forecast = np.zeros((data.user_num, log.trace.days, len(data.taxonomy) + 4))
    table = EngagementFeatures.of(log, forecast, data.catalogue).table(row, day, item, np.zeros(200))
    assert table.shape[1] == EngagementFeatures.count(len(data.taxonomy), data.catalogue)
    column = 13 + len(data.taxonomy) + 4
    for name in ("text", "sound"):
        vectors = data.catalogue.embeddings[name].astype(float)
        shown = min(SHOWN, vectors.shape[1])
        for n in range(200):
            items, count = log.history.before(row[n : n + 1], day[n : n + 1], LATELY)
            mean = vectors[items[0, : count[0]]].sum(axis=0)
            size = np.linalg.norm(mean) * np.linalg.norm(vectors[item[n]])
            expected = mean @ vectors[item[n]] / size if size > 1e-9 and consent[row[n]] else np.nan
            assert table[n, column] == pytest.approx(expected, abs=1e-5, nan_ok=True)
        assert np.allclose(table[:, column + 1 : column + 1 + shown], vectors[item, :shown], atol=1e-6)
        column += 1 + shown
    assert np.isnan(table[row == 5, 13 + len(data.taxonomy) + 4]).all()


def test_an_item_that_nobody_watched_is_scored_by_what_it_is_like():
    vectors = {"a": np.array([[0, 0], [1, 0], [0, 1], [3, 4], [0, 0], [-1, -1]], dtype=float)}
    watched = np.array([False, True, True, False, False, False])
    cold = ColdItems.of(vectors, watched)
    scores = torch.tensor([[-torch.inf, 2.0, 1.0, 9.0, 7.0, 5.0]])
    found = cold.scored(scores)[0].tolist()
    assert found[3] == pytest.approx((0.6 * 2 + 0.8 * 1) / 1.4)  # cosines .6 and .8
    assert found[5] == pytest.approx(1.5)  # like neither: the mean
    assert found[:3] == [-torch.inf, 2, 1] and found[4] == 7  # of item 4 nothing is known
    assert ColdItems.of({}, watched) is None and ColdItems.of(vectors, np.ones(6, dtype=bool)) is None


def test_trained_with_embeddings_and_loaded_again(small):
    """Two items are taken out of all views: the retriever scores them by their neighbours, and a checkpoint says the same."""
    for suffix in ("inter", "imp"):
        path = small / f"small.{suffix}"
        frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        frame[~frame["item_id:token"].isin(["v7", "v8"])].to_csv(path, sep="\t", index=False)
    result = run_recbole("ESMR", str(small), config_dict={**QUICK, **BOTH}, arguments=[])
    _, model, data, *_ = load_data_and_model(result["checkpoint"])
    cold = data.token2id("item_id", np.array(["v7", "v8"]))
    retrieval, people = model.rankers.retrieval, np.arange(1, 9)
    assert set(cold) <= set(retrieval.cold.item.tolist())
    assert retrieval.cold.item.tolist() == np.flatnonzero(~model.retriever.watched.numpy())[1:].tolist()
    scores = retrieval(model.log, people, np.full(8, 14))
    place = retrieval.cold.item.tolist().index(cold[0])
    expected = (scores[:, retrieval.cold.like[place]] * retrieval.cold.weight[place]).sum(dim=1)
    assert torch.allclose(scores[:, cold[0]], expected, atol=1e-6)
    again = model.score(people, np.full(8, 14))
    assert torch.equal(again, load_data_and_model(result["checkpoint"])[1].score(people, np.full(8, 14)))
    text = np.load(small / "text.npy")
    np.save(small / "text.npy", text[::-1])
    with pytest.raises(CheckpointError, match="item_embeddings are not those it was trained on"):
        load_data_and_model(result["checkpoint"])
    assert model.item_features.shape[1] == len(data.taxonomy) + len(data.catalogue.categories) + 5 + 8 + 2


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"text": "none.npy"}, ConfigError, "item_embeddings: text: .*none.npy: no such file"),
        ({"text": "short.npy"}, DataError, r"has 59 rows, and small.item 60"),
        ({"text": "objects.npy"}, DataError, "is no array of numbers"),
        ({"text": "flat.npy"}, DataError, "is no table of numbers"),
        ({"text": "empty.npy"}, DataError, "is no table of numbers"),
        ({"text": "hole.npy"}, DataError, r"row 3 of 60, of 'v\d+', holds a number that is not finite"),
        ({"text": "same.npy"}, DataError, "all items have the same vector"),
        ({"sound": "sounds"}, ConfigError, "has no such column.*Did you mean 'sound'"),
        ({"sound": "theme"}, ConfigError, "the column has the type token. Expected float_seq"),
        ({"sound": "uneven"}, DataError, "small.item, line 3, column 'uneven'.*expected 2 numbers"),
        ({"sound": "words"}, DataError, "small.item, line 2, column 'words'.*expected finite numbers"),
    ],
)
def test_vectors_that_cannot_be_used_are_refused(small, given, error, says):
    whole = np.load(small / "text.npy")
    holed = whole.copy()
    holed[2, 5] = np.nan
    made = {"short": whole[:-1], "flat": whole[:, 0], "hole": holed, "same": np.ones((ITEMS, 4)), "empty": whole[:, :0]}
    for name, value in made.items():
        np.save(small / f"{name}.npy", value)
    np.save(small / "objects.npy", np.array([{"a": 1}] * ITEMS), allow_pickle=True)
    path = small / "small.item"
    item = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    item["uneven:float_seq"] = ["1 2", "1 2 3", *["1 2"] * (ITEMS - 2)]
    item["words:float_seq"] = ["1 x", *["1 2"] * (ITEMS - 1)]
    item.to_csv(path, sep="\t", index=False)
    with pytest.raises(error, match=says):
        _load(small, item_embeddings=given)


def test_captions_say_what_items_express(tmp_path):
    world, taxonomy = load_world("reference"), load_taxonomy("esmr")
    videos = make_videos(world, taxonomy, 500, 4, torch.device("cpu"))
    every = captions(videos, taxonomy, list(world.catalogue.category_share), 4)
    fewer = make_videos(world, taxonomy, 50, 4, torch.device("cpu"))
    assert captions(fewer, taxonomy, list(world.catalogue.category_share), 4) == every[:50]
    from recbole_esmr.files import read_yaml, shipped

    words = read_yaml(shipped("properties") / "captions.yaml")["emotion"]
    label = {word: name for name, list_ in words.items() for word in list_}
    assert len(label) == sum(map(len, words.values())), "a word belongs to one emotion"
    own = [label[word] == taxonomy.labels[code] for text, code in zip(every, videos.emotion, strict=True)
           for word in text.split() if word in label]  # fmt: skip
    assert 0.77 < np.mean(own) < 0.83
    counts = [sum(word in label for word in text.split()) for text in every]
    assert set(counts) == {1, 2, 3} and np.corrcoef(counts, videos.intensity)[0, 1] > 0.8
    simulate(world, 20, 30, 5, 4, tmp_path / "said", show_progress=False, with_captions=True)
    item = pd.read_csv(tmp_path / "said/said.item", sep="\t")
    assert item["caption:token"].tolist() == every[:30]
    with pytest.raises(ConfigError, match="there are no words for "):
        captions(videos, load_taxonomy("goemotions"), ["a"], 4)
