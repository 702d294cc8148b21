"""Items labelled by how people felt after them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recbole_esmr.cli import main
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_data
from recbole_esmr.errors import DataError
from recbole_esmr.label.felt import felt_valences
from recbole_esmr.quick_start import estimate_causal
from tests.conftest import QUICK
from tests.felt_data import ITEMS, PEOPLE, VIEWS, write_felt


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
    folder = write_felt(tmp_path, consent=consent)
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
        folder = write_felt(tmp_path / str(seed), seed=seed, **{"valence_after:float": np.roll(chance, seed), "random:float": 1})
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
    folder = write_felt(tmp_path)
    day = pd.DataFrame({"user_id:token": "u1", "day:float": [19676.0, 19677.0], "emotion:token": ["angry", "happy"]})
    day.to_csv(folder / "felt.day", sep="\t", index=False)
    assert main(["label", f"--dataset={folder}", "--felt", "--replace"]) == 0
    load_data(Config("ESMR", str(folder), config_dict=QUICK, arguments=[]))
    assert "unpleasant" in (folder / "felt.yaml").read_text() and "angry" in (folder / "felt.yaml").read_text()
    assert main(["label", f"--dataset={folder}", "--felt", "--text=title"]) == 2
    assert "Leave out --text" in capsys.readouterr().err


def test_the_last_interactions_say_nothing_of_felt_items_however_late_people_are_asked(tmp_path, capsys):
    """People are asked in the second half alone, and the data set's own split keeps three tenths for tests."""
    usual = pd.read_csv(write_felt(tmp_path) / "felt.inter", sep="\t")["valence_after:float"]
    place, written = np.tile(np.arange(VIEWS), PEOPLE), []
    for change in (0.0, 0.5):
        told = usual.where(place < 0.7 * VIEWS, change).where(place >= VIEWS // 2)
        folder = write_felt(tmp_path / str(change), **{"valence_after:float": told})
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
