"""Items labelled by their texts: what labellers say, what of it is refused, what is kept, and what is written."""

from __future__ import annotations

import sqlite3
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from recbole_esmr.cli import main
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.label.agreement import agreement
from recbole_esmr.label.data_set import label_items
from recbole_esmr.label.kept import labels_of
from recbole_esmr.label.labeller import Label, checked_label
from recbole_esmr.label.program import Program
from recbole_esmr.label.vader import Vader
from tests.test_cli import SHARED, needs_shared

TEXTS = ["I love this, what a wonderful day!", "This is awful and I hate it", "The bus leaves at ten", "that was not good"]


# -- labellers -----------------------------------------------------------------------------------------------------------


def test_vader_says_how_pleasant_a_text_is_and_by_which_words():
    loved, awful, bus, not_good = Vader().label(TEXTS)
    assert loved.share["pleasant"] > 0.8 and awful.share["unpleasant"] > 0.7 and bus.share["neutral"] == 1
    assert not_good.share["unpleasant"] > 0.3, "a negation turns the word round"
    for label in (loved, awful, bus, not_good):
        assert sum(label.share.values()) == pytest.approx(1)
    assert dict(loved.evidence).keys() == {"love", "wonderful"} and all(part > 0 for _, part in loved.evidence)
    assert dict(awful.evidence).keys() == {"awful", "hate"} and all(part < 0 for _, part in awful.evidence)
    assert bus.evidence == ()


def test_the_evidence_is_what_the_score_loses_without_the_word():
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    whole, without = "a lovely rotten day", "a rotten day"
    score = SentimentIntensityAnalyzer().polarity_scores
    (label,) = Vader().label([whole])
    assert dict(label.evidence)["lovely"] == pytest.approx(score(whole)["compound"] - score(without)["compound"], abs=1e-4)


@needs_shared
def test_vader_parts_pleasant_from_unpleasant_on_texts_of_people():
    rows = pd.read_csv(SHARED / "data/goemotions/test.tsv", sep="\t", header=None, quoting=3)
    names = (SHARED / "data/goemotions/labels.txt").read_text().split()
    place = dict(zip(load_taxonomy("goemotions").labels, load_taxonomy("goemotions").valence, strict=True))
    mean = rows[1].map(lambda codes: np.mean([place[names[int(code)]] for code in str(codes).split(",")]))
    clear = mean.abs() > 0.3
    texts, truth = rows[0][clear].tolist()[:1500], (mean[clear] > 0).to_numpy()[:1500]
    said = [label.share["pleasant"] - label.share["unpleasant"] for label in Vader().label(texts)]
    assert roc_auc_score(truth, said) > 0.85


def _program(tmp_path, body):
    path = tmp_path / "labels.py"
    path.write_text("import json, sys\nfor line in sys.stdin:\n    asked = json.loads(line)\n" + body)
    return f"{sys.executable} {path}"


HAPPY = (
    '    print(json.dumps({"id": asked["id"], "share": {"happy": 0.75, "angry": 0.25}, "evidence": [["x", 0.5]]}), flush=True)\n'
)


def test_any_program_may_label(tmp_path):
    labeller = Program(_program(tmp_path, HAPPY), load_taxonomy("esmr"))
    labels = list(labeller.label(["one", "two\nlines", "drei"]))
    assert labels == [Label({"happy": 0.75, "angry": 0.25}, 1.0, (("x", 0.5),))] * 3


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('    print("so happy", flush=True)\n', "answer 1: 'so happy' is no line of JSON"),
        (
            '    print(json.dumps({"id": 7, "share": {"happy": 1}}), flush=True)\n',
            'answer 1: expected "id": 0; answers come in the order',
        ),
        ('    print(json.dumps({"id": 0, "share": {"glee": 1}}), flush=True)\n', "'glee' is no emotion of this labeller"),
        ("    sys.exit('out of memory')\n", r"the program ended \(exit code 1; out of memory\) before all texts had a label"),
        ("    break\n", r"the program ended \(exit code 0; nothing on standard error\)"),
    ],
)
def test_what_a_program_says_is_checked(tmp_path, body, says):
    with pytest.raises(DataError, match=says):
        list(Program(_program(tmp_path, body), load_taxonomy("esmr")).label(["one", "two"]))


def test_a_program_that_is_none():
    with pytest.raises(DataError, match="--command=no-such-program: cannot be started"):
        list(Program("no-such-program --fast", load_taxonomy("esmr")).label(["one"]))
    with pytest.raises(ConfigError, match="--command is empty"):
        Program(" ", load_taxonomy("esmr"))


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ([], 'no object with "share"'),
        ({"share": [1]}, 'no object with "share"'),
        ({"share": {"happy": 0.6}}, r"the shares add up to 0\.6; expected 1"),
        ({"share": {"happy": 1.5, "angry": -0.5}}, r"share of 'happy': 1\.5; expected a number in \[0, 1\]"),
        ({"share": {"happy": float("nan")}}, r"share of 'happy': nan; expected a number"),
        ({"share": {"happy": True}}, r"share of 'happy': True; expected a number"),
        ({"share": {"happy": 1}, "intensity": 3}, r"intensity: 3; expected a number in \[0, 1\]"),
        ({"share": {"happy": 1}, "evidence": [["x"]]}, r"evidence is no list of \[word, number\]"),
        ({"share": {"happy": 1}, "shares": {}}, "unknown key 'shares'. Did you mean 'share'"),
    ],
)
def test_labels_that_are_none_are_refused(said, says):
    with pytest.raises(DataError, match=f"here: .*{says}|here: {says}"):
        checked_label(said, ["happy", "angry"], "here")


# -- what is kept ----------------------------------------------------------------------------------------------------------


class Counting:
    """A labeller that counts what it is asked, and stops after some texts."""

    name, english, emotions = "counting 1", False, {"happy": [0.8, 0.4], "angry": [-0.65, 0.75]}

    def __init__(self, most=10**9):
        self.asked, self.most = [], most

    def label(self, texts):
        for text in texts:
            if len(self.asked) >= self.most:
                raise DataError("tired")
            self.asked.append(text)
            yield Label({"happy": len(text) / 100, "angry": 1 - len(text) / 100}, evidence=((text[:1], 0.1),))


def test_a_labeller_that_was_stopped_goes_on_and_equal_texts_are_asked_once(tmp_path):
    texts = [f"text {n % 150:03d}" + "!" * (n % 7) for n in range(600)]
    whole = list(labels_of(texts, Counting(), tmp_path / "whole"))
    tired = Counting(most=130)
    with pytest.raises(DataError, match="tired"):
        list(labels_of(texts, tired, tmp_path / "kept"))
    fresh = Counting()
    assert list(labels_of(texts, fresh, tmp_path / "kept")) == whole
    assert set(tired.asked).isdisjoint(fresh.asked) and len(fresh.asked) == len(set(texts)) - 130
    none = Counting(most=0)
    assert list(labels_of(texts, none, tmp_path / "kept")) == whole
    assert b"text 0" not in (tmp_path / "kept").read_bytes(), "the texts are not kept"


def test_another_labeller_is_asked_anew(tmp_path):
    list(labels_of(["a"], Counting(), tmp_path / "kept"))
    other = Counting()
    other.name = "counting 2"
    list(labels_of(["a"], other, tmp_path / "kept"))
    assert other.asked == ["a"]


def test_kept_labels_that_are_none_are_refused(tmp_path):
    (tmp_path / "text").write_text("this is no data base, and long enough to be told from one" * 50)
    with pytest.raises(DataError, match="holds no labels of an earlier run"):
        list(labels_of(["a"], Counting(), tmp_path / "text"))
    list(labels_of(["a"], Counting(), tmp_path / "kept"))
    with sqlite3.connect(tmp_path / "kept") as base:
        base.execute("UPDATE label SET said = ?", ('{"share": {"glee": 1}}',))
    with pytest.raises(DataError, match="'glee' is no emotion"):
        list(labels_of(["a"], Counting(), tmp_path / "kept"))


# -- a data set ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def captions(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    views = [f"u{u}\ti{(u + d) % 5}\t{d}\n" for u in range(8) for d in range(1, 9)]
    (folder / "mine.inter").write_text("user_id:token\titem_id:token\tday:float\n" + "".join(views))
    lines = [f"i{n}\t{text}\t{n}\n" for n, text in enumerate([*TEXTS, ""])]
    (folder / "mine.item").write_text("item_id:token\tcaption:token\tyear:float\n" + "".join(lines))
    moods = [f"u{u}\t{d}\t{((u * d) % 5 - 2) / 2}\n" for u in range(8) for d in range(1, 9)]
    (folder / "mine.day").write_text("user_id:token\tday:float\tvalence:float\n" + "".join(moods))
    (folder / "mine.yaml").write_text("# mine\ntopk: [3]  # short\nvalid_metric: NDCG@3\n")
    return folder


def _read(folder):
    return pd.read_csv(folder / "mine.item", sep="\t", dtype=str, keep_default_na=False)


def test_label_writes_what_items_express_and_why(captions, capsys):
    assert main(["label", f"--dataset={captions}", "--text=caption"]) == 0
    said = capsys.readouterr().out
    assert "4 of 5 items labelled by vader 3.3.2" in said and "1 items have no text and so no emotion" in said
    item = _read(captions)
    assert item["caption:token"].tolist() == [*TEXTS, ""] and item["year:float"].tolist() == list("01234")
    assert item["emotion_share:float_seq"].iloc[2] == "0 1 0" and item["emotion_share:float_seq"].iloc[4] == ""
    assert item["emotion_evidence:token"].iloc[1].startswith("awful -0.") and "hate -0." in item["emotion_evidence:token"].iloc[1]
    text = (captions / "mine.yaml").read_text()
    assert text.startswith("# mine\ntopk: [3]  # short\nvalid_metric: NDCG@3\n") and "emotion_taxonomy: valence-arousal" in text
    assert main(["check", f"--dataset={captions}"]) == 0
    assert "80.0% have an emotion" in capsys.readouterr().out


def test_labelled_items_are_left_alone_unless_told(captions, capsys):
    assert main(["label", f"--dataset={captions}", "--text=caption"]) == 0
    before = (captions / "mine.item").read_bytes()
    assert main(["label", f"--dataset={captions}", "--text=caption"]) == 2
    assert "items have 'emotion_share' already. Say --replace" in capsys.readouterr().err
    assert main(["label", f"--dataset={captions}", "--text=caption", "--replace"]) == 0
    assert (captions / "mine.item").read_bytes() == before


def test_where_people_name_emotions_theirs_and_the_labellers_are_one_taxonomy(captions, capsys):
    path = captions / "mine.day"
    path.write_text(path.read_text().replace("valence:float", "emotion:token").replace("\t0.5\n", "\thappy\n"))
    path.write_text(
        "\n".join(
            line if line.endswith(("happy", "token")) else line.rpartition("\t")[0] + "\t"
            for line in path.read_text().splitlines()
        )
        + "\n"
    )
    assert main(["label", f"--dataset={captions}", "--text=caption"]) == 0
    assert "emotion_taxonomy now holds theirs and unpleasant, pleasant" in capsys.readouterr().out
    assert len(_read(captions)["emotion_share:float_seq"].iloc[0].split()) == 11
    assert main(["check", f"--dataset={captions}"]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--text=title"], "no column 'title'"),
        (["--text=year"], "'year' is a float (--text); name columns of text"),
        (
            ["--text=caption", "--human=human.csv"],
            "human.csv, line 3, column 'valence': '4'; expected a number in [-1, 1]",
        ),
        (["--text=caption", "--human=none.csv"], "--human=none.csv: cannot be read"),
    ],
)
def test_label_refuses_and_writes_nothing(captions, tmp_path, capsys, arguments, says):
    (tmp_path / "human.csv").write_text("item_id,valence\ni0,0.5\ni1,4\n")
    before = (captions / "mine.item").read_bytes()
    assert main(["label", f"--dataset={captions}", *arguments]) == 2
    assert says in capsys.readouterr().err and (captions / "mine.item").read_bytes() == before


@pytest.mark.parametrize(
    "text", ["Heute ist ein wirklich schöner Tag im Garten", "сегодня очень хороший день в саду", "今日 は とても いい 日 です"]
)
def test_texts_that_are_not_english_are_refused_unless_forced(captions, capsys, text):
    item = _read(captions).assign(**{"caption:token": text})
    item.to_csv(captions / "mine.item", sep="\t", index=False)
    assert main(["label", f"--dataset={captions}", "--text=caption"]) == 2
    assert "are not English" in capsys.readouterr().err
    assert main(["label", f"--dataset={captions}", "--text=caption", "--force"]) == 0


def test_a_program_labels_a_data_set(captions, tmp_path):
    command = _program(tmp_path, HAPPY)
    assert main(["label", f"--dataset={captions}", "--text=caption", f"--command={command}"]) == 0
    share = [float(x) for x in _read(captions)["emotion_share:float_seq"].iloc[0].split()]
    labels = load_taxonomy("esmr").labels
    assert share[labels.index("happy")] == 0.75 and share[labels.index("angry")] == 0.25


# -- agreement -------------------------------------------------------------------------------------------------------------


def test_attenuation_is_the_slope_of_the_truth_on_the_label():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=4000)
    label = truth + rng.normal(size=4000)  # half of its variance is noise: λ = 1 / 2
    outcome = 0.3 * truth + rng.normal(size=4000) * 0.1
    found = agreement(label, truth + 0.2 * rng.normal(size=4000))
    assert found["attenuation"] == pytest.approx(0.5, abs=0.03)
    assert found["attenuation_low"] < 0.5 < found["attenuation_high"]
    slope = np.cov(label, outcome)[0, 1] / label.var()
    assert slope == pytest.approx(found["attenuation"] * 0.3, abs=0.01), "an effect of the labels is smaller by it"
    by_hand = agreement(np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 2, 3, 4, 3]))
    assert by_hand["alpha"] == pytest.approx(1 - 0.8 / (2 * 15.6 / 9)), "D_o = 4 / 5, D_e = twice the variance of all ten"
    assert agreement(truth, truth)["alpha"] == pytest.approx(1) and agreement(truth, truth)["attenuation"] == pytest.approx(1)
    assert np.isnan(agreement(np.zeros(5), truth[:5])["alpha"])


def test_label_says_how_well_it_agrees_with_people(captions, tmp_path):
    (tmp_path / "human.csv").write_text("item_id,valence\ni0,0.9\ni1,-0.9\ni2,0\ni3,-0.4\ni9,1\n")
    done = label_items(captions, ["caption"], Vader(), human=tmp_path / "human.csv", show_progress=False)
    assert done.agreement["items"] == 4 and done.agreement["alpha"] > 0.9 and done.agreement["correlation"] > 0.95


def test_the_help_has_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["label", "--help"])
    assert "example: recbole-esmr label --dataset=datasets/mine --text=title,caption" in " ".join(capsys.readouterr().out.split())


def test_a_program_that_is_refused_in_the_middle_ends_in_one_line(tmp_path):
    """Its other texts are still on their way to it: the line of the mistake is said, and not that a pipe was closed twice."""
    script = tmp_path / "wrong.py"
    script.write_text(
        "import json, sys\n"
        "for n, line in enumerate(sys.stdin):\n"
        "    print(json.dumps({'id': n, 'share': {'happy': 2 if n == 3 else 1}}), flush=True)\n"
    )
    program = Program(f"{sys.executable} {script}", load_taxonomy("esmr"))
    for _ in range(5):
        with pytest.raises(DataError, match="answer 4: share of 'happy': 2"):
            list(program.label(["a text that is long enough to fill a pipe " * 50] * 3000))


def test_a_share_that_misses_0_by_its_last_bit_is_0():
    label = checked_label({"share": {"happy": 1 + 1e-16, "angry": -2.2e-16}}, ["happy", "angry"], "here")
    assert label.share == {"happy": 1.0, "angry": 0.0}
