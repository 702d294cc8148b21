"""``rows: recbole``, which RecBole's own entry points take for its own models: its rows, its order, its split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recbole.config import Config as ConfigOfRecBole
from recbole.data import create_dataset
from recbole.quick_start import run_recbole as recboles_run

from recbole_esmr import load_data_and_model, run_recbole
from recbole_esmr.comparison import compare
from recbole_esmr.config import Config
from recbole_esmr.errors import ConfigError, DataError

LAST = {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"}
KEYS = {"eval_args": LAST, "state": "ERROR", "topk": [1], "metrics": ["NDCG"], "valid_metric": "NDCG@1"}
KEYS |= {"train_neg_sample_args": None, "show_progress": False, "epochs": 1}
HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"


@pytest.fixture
def data(tmp_path):
    """Makes the folder of a data set of these lines."""

    def make(*lines: str) -> str:
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        (folder / "mine.inter").write_text(HEADER + "\n".join(line.replace(" ", "\t") for line in lines) + "\n")
        return str(folder)

    return make


def _parts(cls, model, path, **keys):
    """Names of person and item of each row of the training, validation and test part."""
    config = cls(model, path, config_dict={**KEYS, **keys})
    dataset = create_dataset(config)
    rows = [part.inter_feat for part in dataset.build()]
    return [
        list(zip(*(dataset.id2token(field, row[field].tolist()) for field in ("user_id", "item_id")), strict=True))
        for row in rows
    ]


TWO_AND_THREE = ("b x 1", "b y 2", "a x 3", "a y 4", "a z 5")


def test_histories_are_split_and_not_interactions(data):
    """b has one history and a two: RecBole trains on b's and on a's first, and validates on nothing; we test b's last."""
    path = data(*TWO_AND_THREE, "c x 6", "c y 7", "c z 8", "c w 9")
    assert _parts(ConfigOfRecBole, "SASRec", path) == [
        [("b", "y"), ("a", "y"), ("c", "y")],
        [("c", "z")],
        [("a", "z"), ("c", "w")],
    ]
    assert _parts(Config, "SASRec", path)[2] == [("b", "y"), ("a", "z"), ("c", "w")]
    assert _parts(Config, "SASRec", path, rows="recbole") == _parts(ConfigOfRecBole, "SASRec", path)
    assert _parts(ConfigOfRecBole, "SASRec", path, rows="shared") == _parts(Config, "SASRec", path)


def test_rows_of_one_moment_and_ids_stand_as_in_the_file(data):
    path = data("z p 2", "z q 2", "z r 2", "y r 1", "y q 1", "y p 1")
    assert _parts(ConfigOfRecBole, "BPR", path)[2] == [("y", "p"), ("z", "r")]
    dataset = create_dataset(ConfigOfRecBole("BPR", path, config_dict=KEYS))
    assert dataset.field2id_token["user_id"].tolist() == ["[PAD]", "z", "y"]


def test_moments_that_32_bits_cannot_tell_apart_are_in_order_all_the_same(data):
    path = data(*(f"a {item} {1_700_000_000 + place}" for place, item in ((4, "last"), (3, "w"), (0, "x"), (2, "y"), (1, "z"))))
    for model in ("BPR", "SASRec"):
        assert _parts(ConfigOfRecBole, model, path)[2] == [("a", "last")], model


def test_cells_beyond_the_header_and_rows_of_nobody_are_left_out_and_said(data, caplog):
    path = data(*TWO_AND_THREE[:4], "a z 5 0.5", " x 6", "a  7")
    assert len(create_dataset(ConfigOfRecBole("BPR", path, config_dict={**KEYS, "state": "WARNING"})).inter_feat) == 5
    said = [record.getMessage().partition("mine.inter, ")[2] for record in caplog.records]
    assert said == [
        "line 6: has more cells than the header, as 1 of 7 lines have. The cells beyond it are left out.",
        "column 'user_id': 1 of 7 rows have no id, line 7 the first. They are left out.",
        "column 'item_id': 1 of 7 rows have no id, line 8 the first. They are left out.",
    ]
    with pytest.raises(DataError, match="line 6: has 4 cells and the header 3"):
        create_dataset(Config("BPR", path, config_dict=KEYS))


def test_esmr_and_words_that_are_no_protocol_are_refused(data):
    path = data(*TWO_AND_THREE)
    with pytest.raises(ConfigError, match="rows is 'RecBole'; expected shared or recbole"):
        Config("BPR", path, config_dict={**KEYS, "rows": "RecBole"})
    with pytest.raises(ConfigError, match="ESMR's data are always read as shared"):
        ConfigOfRecBole("ESMR", "esmr-mini", config_dict={"rows": "recbole"})
    assert ConfigOfRecBole("ESMR", "esmr-mini")["rows"] == "shared"


def test_which_entry_point_takes_which(data_path, tmp_path, monkeypatch):
    """A checkpoint keeps it, and a comparison shares one."""
    monkeypatch.chdir(tmp_path)
    keys = {"data_path": str(data_path), "state": "ERROR", "show_progress": False, "epochs": 1}
    assert run_recbole("BPR", "small", config_dict=keys, arguments=[], saved=False)["config"]["rows"] == "shared"
    recboles_run("BPR", "small", config_dict={**keys, "checkpoint_dir": "own"})
    (saved,) = (tmp_path / "own").glob("BPR*")
    assert load_data_and_model(str(saved))[0]["rows"] == "recbole"
    compare(["BPR", "Pop"], "small", seeds=[1], config_dict=keys, output="table", arguments=[])
    assert json.loads((tmp_path / "table" / "comparison.json").read_text())["protocol"]["rows"] == "shared"


def test_keys_hold_what_recbole_takes(data, caplog):
    """An optimizer that there is not is Adam, and RecBole says so; a learning rate of 0 learns nothing."""
    path = data(*(f"{person} {item} {item}" for person in "abcd" for item in range(9) if (item + ord(person)) % 4))
    keys = {
        **KEYS,
        "learner": "foo",
        "learning_rate": 0,
        "state": "WARNING",
        "train_neg_sample_args": {"distribution": "uniform"},
    }
    keys["train_neg_sample_args"] |= {"sample_num": 1, "alpha": 1.0, "dynamic": False, "candidate_num": 0}
    assert recboles_run("BPR", path, config_dict=keys)["test_result"]
    assert "unrecognized optimizer" in caplog.text
    (saved,) = Path("saved").glob("BPR*")
    assert load_data_and_model(str(saved))[0]["learner"] == "foo"
    with pytest.raises(ConfigError, match="learner is 'foo'"):
        run_recbole("BPR", path, config_dict=keys, arguments=[], saved=False)
    with pytest.raises(ConfigError, match="learning_rate is 0"):
        run_recbole("BPR", path, config_dict={**keys, "learner": "adam"}, arguments=[], saved=False)
