"""Taxonomy and episodes against plain loops and hand-made cases."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_esmr.config import Config
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.emotion.episodes import latched, streak_length
from recbole_esmr.errors import ConfigError, UnknownNameError
from recbole_esmr.files import read_yaml, shipped
from recbole_esmr.simulation import load_world, simulate

days = st.lists(st.booleans(), min_size=1, max_size=40)


@given(days)
def test_streak_length_equals_a_loop(flags):
    expected, run = [], 0
    for flag in flags:
        run = run + 1 if flag else 0
        expected.append(run)
    assert streak_length(np.array([flags])).tolist() == [expected]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_latch_equals_a_loop(pairs):
    expected, state = [], False
    for opens, closes in pairs:
        state = True if opens else False if closes else state
        expected.append(state)
    opens, closes = np.array(pairs).T[:, None]
    assert latched(opens, closes).tolist() == [expected]


def test_codes_and_valence():
    taxonomy = load_taxonomy("esmr")
    assert len(taxonomy) == 9
    codes = taxonomy.encode(np.array([["happy", ""], ["lonely", "nothing"]]))
    assert codes.tolist() == [[0, -1], [8, -1]]
    assert np.allclose(taxonomy.valence_of(codes), [[0.8, np.nan], [-0.65, np.nan]], equal_nan=True)
    assert taxonomy.unknown(np.array(["happy", "joy", "", "nan"])) == {"joy"}
    assert taxonomy.negative.sum() == 6


def test_own_taxonomy_from_a_file(tmp_path):
    (tmp_path / "two.yaml").write_text("up: [0.5, 0.1]\ndown: [-0.5, 0.0]\n")
    assert load_taxonomy(str(tmp_path / "two.yaml")).labels == ("up", "down")


def test_a_taxonomy_as_a_table_is_what_its_file_says(tmp_path):
    """So a checkpoint, or a ``NAME.yaml``, can hold the labels themselves and needs no path."""
    (tmp_path / "two.yaml").write_text("up: [0.5, 0.1]\ndown: [-0.5, 0.0]\n")
    table = load_taxonomy("two.yaml", tmp_path).setting
    assert table == {"up": [0.5, 0.1], "down": [-0.5, 0.0]}
    again = load_taxonomy(table)
    assert again.labels == ("up", "down") and again.valence.tolist() == [0.5, -0.5] and again.arousal.tolist() == [0.1, 0.0]
    assert load_taxonomy("esmr").setting == "esmr"


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("up: [2, 0]\n", ConfigError, "both in [-1, 1]"),
        ("up: 3\n", ConfigError, "expected [valence, arousal]"),
        ("", ConfigError, "no emotion"),
        ("up: [1, 0\n", ConfigError, "line 2"),
    ],
)
def test_bad_taxonomy_files(tmp_path, text, error, says):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(error, match=r"bad\.yaml") as caught:
        load_taxonomy(str(tmp_path / "bad.yaml"))
    assert says in str(caught.value)


def test_unknown_taxonomy_lists_what_exists():
    with pytest.raises(UnknownNameError, match="ldos-comoda"):
        load_taxonomy("seven")


def test_a_taxonomys_path_is_relative_to_the_file_that_names_it(tmp_path, data_path, monkeypatch):
    """``NAME.yaml`` and config files name it beside themselves; the command line names it from where it stands."""
    folder = tmp_path / "data" / "small"
    shutil.copytree(data_path / "small", folder)
    (folder / "two.yaml").write_text("up: [0.5, 0.1]\n")
    (folder / "small.yaml").write_text("emotion_taxonomy: two.yaml\n")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "three.yaml").write_text("left: [0.2, 0]\n")
    (tmp_path / "configs" / "run.yaml").write_text("emotion_taxonomy: three.yaml\n")
    (tmp_path / "four.yaml").write_text("back: [-1, 0]\n")
    (tmp_path / "far").mkdir()
    for place, files, arguments, label in (
        ("far", None, [], "up"),
        ("far", [tmp_path / "configs" / "run.yaml"], [], "left"),
        (".", [tmp_path / "configs" / "run.yaml"], ["--emotion_taxonomy=four.yaml"], "back"),
    ):
        monkeypatch.chdir(tmp_path / place)
        config = Config("ESMR", str(folder), files, arguments=arguments)
        assert list(load_taxonomy(config["emotion_taxonomy"]).labels) == [label]
    (folder / "small.yaml").write_text("emotion_taxonomy: none.yaml\n")
    with pytest.raises(UnknownNameError, match=r"small\.yaml: emotion_taxonomy 'none\.yaml'"):
        Config("ESMR", str(folder), arguments=[])


def test_a_worlds_taxonomy_lies_beside_it_and_its_labels_go_into_the_logs(tmp_path):
    (tmp_path / "worlds").mkdir()
    shutil.copy(shipped("properties") / "emotion" / "esmr.yaml", tmp_path / "worlds" / "mine.yaml")
    (tmp_path / "worlds" / "w.yaml").write_text("base: reference\nemotion_taxonomy: mine.yaml\n")
    world = load_world(str(tmp_path / "worlds" / "w.yaml"))
    simulate(world, users=3, items=20, days=3, seed=1, output=tmp_path / "x", show_progress=False)
    assert read_yaml(tmp_path / "x" / "x.yaml")["emotion_taxonomy"] == load_taxonomy("mine.yaml", tmp_path / "worlds").setting
