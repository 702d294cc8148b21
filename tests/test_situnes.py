"""SiTunes as moments, and moods of a scale by a mapping."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recbole_esmr.cli import main
from recbole_esmr.data.importers import import_data
from recbole_esmr.errors import DataError
from recbole_esmr.quick_start import estimate_causal
from tests.test_cli import SHARED, needs_shared

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
