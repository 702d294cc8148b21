"""Being forgotten: people go out of files and checkpoints, everybody else stays as they were, and a search finds no name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

from recbole_esmr import cli
from recbole_esmr.checkpoint import Checkpoint, ids_of, load_checkpoint
from recbole_esmr.checkpoint.known_ids import KnownIds
from recbole_esmr.erasure.rows import without_people
from recbole_esmr.erasure.search import found_in
from recbole_esmr.erasure.weights import erase
from recbole_esmr.errors import ESMRError
from recbole_esmr.forget import forget
from recbole_esmr.quick_start import load_data_and_model, run_recbole

CONFIG = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "alias_of_user_id": ["friend"],
    "field_separator": "\t",
    "seq_separator": " ",
    "encoding": None,
}


@pytest.fixture(scope="module")
def bpr(data_path, tmp_path_factory):
    """A checkpoint of BPR on ``small``."""
    values = {"data_path": str(data_path), "checkpoint_dir": str(tmp_path_factory.mktemp("bpr")), "epochs": 2, "state": "ERROR"}
    return run_recbole("BPR", "small", config_dict=values, arguments=[])["checkpoint"]


@pytest.fixture
def copies(data_path, trained, bpr, tmp_path):
    """A copy of the data set and of both checkpoints."""
    shutil.copytree(data_path / "small", tmp_path / "small")
    shutil.copy(trained[0]["checkpoint"], tmp_path / "ESMR.pth")
    shutil.copy(bpr, tmp_path / "BPR.pth")
    return tmp_path


# -- files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "before", "after", "rows"),
    [
        ("t.day", "user_id:token\tday:float\nu1\t1\nu10\t1\nu1\t2\n", "user_id:token\tday:float\nu10\t1\n", 2),
        ("t.x.inter", "item_id:token\tuser_id:token\r\nu1\ta\r\nx\tu1\r\n", "item_id:token\tuser_id:token\r\nu1\ta\r\n", 1),
        ("t.inter", "\ufeffuser_id:token\tx:float\nu1\t1\nu2\t1", "\ufeffuser_id:token\tx:float\nu2\t1", 1),
        ("t.inter", "user_id:token\tfriend:token_seq\na\tb u1\nb\tu10 u11\n", "user_id:token\tfriend:token_seq\nb\tu10 u11\n", 1),
        ("t.net", "source_id:token\ttarget_id:token\nu2\tu1\nu2\tu3\n", "source_id:token\ttarget_id:token\nu2\tu3\n", 1),
        ("t.csv", 'user_id,said\nu1,"a\nb"\nu2,"c, d"\n', 'user_id,said\nu2,"c, d"\n', 2),
        ("t.csv", "user_id;n\nu1;2\nu1x;3\n", "user_id;n\nu1x;3\n", 1),
        ("t.jsonl", '{"user_id": "u1", "n": 1}\n{"user_id": "u2", "n": 2}\n', '{"user_id": "u2", "n": 2}\n', 1),
        ("t.json", '{"u1": 1, "u10": [{"user_id": "u1"}, "u1", 3]}', '{\n  "u10": [\n    3\n  ]\n}\n', 3),
    ],
)  # fmt: skip
def test_rows_go_and_all_others_stay_byte_for_byte(tmp_path, file, before, after, rows):
    path = tmp_path / file
    path.write_bytes(before.encode())
    cut = without_people(path, {"u1", "nobody"}, CONFIG)
    assert (cut.content.decode(), cut.lines, cut.names) == (after, rows, {"u1"})
    assert found_in(path, {"u1"}, CONFIG) != []
    path.write_bytes(cut.content)
    assert without_people(path, {"u1"}, CONFIG) is None and (file == "t.x.inter" or found_in(path, {"u1"}, CONFIG) == [])


def test_a_file_in_utf_16_stays_in_utf_16(tmp_path):
    path = tmp_path / "t.user"
    path.write_bytes("\ufeffuser_id:token\nu1\nü\n".encode("utf-16-be"))
    assert without_people(path, {"u1"}, CONFIG).content == "\ufeffuser_id:token\nü\n".encode("utf-16-be")


@pytest.mark.parametrize(
    ("file", "content", "names", "found"),
    [
        ("a.log", b"for example 'u1'.\n", {"u1"}, ["line 1"]),
        ("a.log", b"u10 u1x xu1 u-1\n", {"u1"}, []),
        ("a.md", b"\nthe person u1\n", {"u1"}, ["line 2"]),
        ("run.json", b'{"epochs": 17}', {"17"}, []),  # a number may be anything
        ("run.json", b'{"who": "17"}', {"17"}, ["line 1"]),
        ("t.item", b"item_id:token\tby:token\nu1\tx\nx\tu1\n", {"u1"}, ["line 3, column 'by'"]),  # the first is an item
        ("x.bin", b"\x00\xff|person-17|\x00", {"person-17"}, ["among its bytes"]),
        ("x.bin", b"\x00\xff|person-170\x00", {"person-17"}, []),
    ],
)
def test_the_search_finds_whole_names(tmp_path, file, content, names, found):
    (tmp_path / file).write_bytes(content)
    assert found_in(tmp_path / file, names, CONFIG) == found


def test_the_search_looks_into_arrays(tmp_path):
    np.savez_compressed(tmp_path / "people.npz", users=np.array(["u1", "u2"]), state=np.zeros(2))
    assert found_in(tmp_path / "people.npz", {"u1"}, CONFIG) == ["array 'users'"]
    assert found_in(tmp_path / "people.npz", {"u3"}, CONFIG) == []


# -- weights -------------------------------------------------------------------------------------------------------------


def _checkpoint(model: str, state: dict, other: dict, users: int, items: int) -> tuple[Checkpoint, KnownIds]:
    known = KnownIds("0123456789abcdef", {"user_id": np.arange(1, users, dtype="u8"), "item_id": np.arange(1, items, dtype="u8")})
    optimizer = {"state": {0: {"exp_avg": next(iter(state.values())).clone(), "step": torch.tensor(3.0)}}, "param_groups": []}
    return Checkpoint(model, CONFIG, known.text, state, other, optimizer, {}, {"weights": 1}), known


def test_rows_of_people_are_zeroed_and_no_other_number_changes():
    state = {
        "user_embedding.weight": torch.ones(4, 3),
        "item_embedding.weight": torch.ones(5, 3),
        "layer.weight": torch.ones(3, 3),
    }
    matrix = scipy.sparse.csr_matrix(np.ones((4, 5)))
    kept, known = _checkpoint(
        "BPR", state, {"interaction_matrix": matrix, "susceptibility": np.full(4, 2.0), "w": torch.ones(9)}, 4, 5
    )
    done = erase(kept, known, np.array([2]))
    left, other = done.checkpoint.state_dict, done.checkpoint.other_parameter
    assert left["user_embedding.weight"].sum(dim=1).tolist() == [3, 3, 0, 3]
    assert torch.equal(left["item_embedding.weight"], torch.ones(5, 3)) and torch.equal(left["layer.weight"], torch.ones(3, 3))
    assert other["interaction_matrix"].toarray().sum(axis=1).tolist() == [5, 5, 0, 5]
    assert other["susceptibility"].tolist() == [2, 2, 1, 2]  # as everybody
    assert other["w"].tolist() == [1, 1, 0, 1, 1, 1, 1, 1, 1]  # 4 + 5 rows: people's come first
    assert done.checkpoint.optimizer["state"][0]["exp_avg"].sum(dim=1).tolist() == [3, 3, 0, 3]
    assert done.checkpoint.progress == {} and done.unclear == ()
    assert KnownIds.of_text(done.checkpoint.ids).codes["user_id"].tolist() == [1, 0, 3]
    assert torch.equal(state["user_embedding.weight"], torch.ones(4, 3))  # what was given is not changed


@pytest.mark.parametrize(
    ("model", "name", "shape", "users", "items", "zeroed", "unclear"),
    [
        ("BPR", "user_embedding.weight", (4, 2), 4, 4, True, False),  # as many people as items: the name tells
        ("BPR", "item_embedding.weight", (4, 2), 4, 4, False, False),
        ("FPMC", "UI_emb.weight", (4, 2), 4, 4, True, False),
        ("FM", "token_embedding_table.embedding.weight", (12, 2), 4, 5, True, False),
        ("FISM", "user_bias", (4,), 4, 5, True, False),
        ("X", "encoder.weight", (4, 2), 4, 5, False, True),  # whose rows these are cannot be told
        ("RippleNet", "ripple_set", (4,), 4, 5, False, True),
    ],
)
def test_name_and_size_tell_whose_a_table_is(model, name, shape, users, items, zeroed, unclear):
    kept, known = _checkpoint(model, {name: torch.ones(shape)}, {}, users, items)
    done = erase(kept, known, np.array([3]))
    assert (done.tables == (name,), done.unclear == (name,)) == (zeroed, unclear)
    expected = torch.ones(shape)
    expected[3] = 0.0 if zeroed else 1.0
    assert torch.equal(done.checkpoint.state_dict[name], expected)


def test_columns_of_people_are_zeroed_where_a_model_has_them():
    kept, known = _checkpoint("DMF", {"item_linear.weight": torch.ones(2, 4)}, {}, 4, 5)
    assert erase(kept, known, np.array([1, 3])).checkpoint.state_dict["item_linear.weight"].sum(dim=0).tolist() == [2, 0, 2, 0]


# -- the command ---------------------------------------------------------------------------------------------------------


def test_everybody_can_be_forgotten_and_the_search_still_ends(copies, capsys):
    names = {line.split("\t")[0] for line in (copies / "small/small.user").read_text().splitlines()[1:]}
    call = ["forget", f"--users={','.join(sorted(names))}", f"--dataset={copies / 'small'}"]
    for _ in range(2):  # of empty files, too
        assert cli.main(call) == 0
        assert "no name is left" in capsys.readouterr().out
    assert len((copies / "small/small.inter").read_text().splitlines()) == 1


def test_forgotten_people_are_nowhere_and_the_checkpoints_still_load(copies, trained, capsys):
    saved = copies / "saved"
    saved.mkdir()
    (saved / "small-ESMRDataset.pth").write_bytes(b"a pickle")
    (copies / "trace.json").write_text('{"u7": 0.3, "u17": 0.4}')
    gone, before = ["u7", "u12"], {path.name: path.read_bytes() for path in (copies / "small").iterdir()}
    files = [f"--checkpoint={copies / name}.pth" for name in ("ESMR", "BPR")]
    given = [f"--dataset={copies / 'small'}", *files, f"--traces={copies / 'trace.json'}", f"--checkpoint_dir={saved}"]
    call = ["forget", "--users=u7,u12,u99", *given]
    assert cli.main([*call, "--dry_run"]) == 0
    assert {path.name: path.read_bytes() for path in (copies / "small").iterdir()} == before
    assert "Nothing is written" in capsys.readouterr().out and (saved / "small-ESMRDataset.pth").is_file()
    assert cli.main(call) == 0
    said = capsys.readouterr().out
    for words in ("in no file", "not any more: u99", "no name is left", "user_embedding", "2 people", "--retrain"):
        assert words.lower() in said.lower()
    assert not (saved / "small-ESMRDataset.pth").exists() and json.loads((copies / "trace.json").read_text()) == {"u17": 0.4}
    for suffix in ("inter", "imp", "user", "day"):
        old, new = before[f"small.{suffix}"].decode().splitlines(), (copies / f"small/small.{suffix}").read_text().splitlines()
        assert new == [line for line in old if line.split("\t")[0] not in gone] and len(new) < len(old)
    assert (copies / "small/small.item").read_bytes() == before["small.item"]
    for name in ("ESMR", "BPR"):
        _, model, dataset, *_ = load_data_and_model(copies / f"{name}.pth", {"data_path": str(copies)})
        ids = ids_of(load_checkpoint(copies / f"{name}.pth"))
        numbers = trained[1][2].token2id("user_id", gone)
        assert ids.codes["user_id"][numbers - 1].tolist() == [0, 0]
        table = (model.retriever.model if name == "ESMR" else model).user_embedding.weight.detach()
        rest = np.setdiff1d(np.arange(len(table)), numbers)
        assert not table[numbers].any() and table[rest].any(dim=1).all()
        assert dataset.field2id_token["user_id"][rest].tolist() == trained[1][2].field2id_token["user_id"][rest].tolist()
    whole = {path.name: path.read_bytes() for path in (copies / "small").iterdir()}
    weights = [(copies / f"{name}.pth").read_bytes() for name in ("ESMR", "BPR")]
    assert cli.main(call) == 0  # a second time
    assert "not any more: u12, u7, u99" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in (copies / "small").iterdir()} == whole
    assert [(copies / f"{name}.pth").read_bytes() for name in ("ESMR", "BPR")] == weights


def test_everybody_else_is_ranked_as_before(copies, bpr):
    _, before, known, *_ = load_data_and_model(bpr)
    forget("u7", str(copies / "small"), [copies / "BPR.pth"])
    _, after, dataset, *_ = load_data_and_model(copies / "BPR.pth", {"data_path": str(copies)})
    others = torch.tensor([n for n in range(1, known.user_num) if n != known.token2id("user_id", "u7")])
    rows = {"user_id": others, "item_id": torch.arange(1, 1 + len(others))}
    assert torch.equal(before.full_sort_predict(rows), after.full_sort_predict(rows)) and dataset.user_num == known.user_num


def test_a_checkpoint_that_was_not_given_is_named(copies):
    values = {"checkpoint_dir": str(copies / "saved"), "state": "ERROR"}
    again = run_recbole("Pop", str(copies / "small"), config_dict=values, arguments=[])
    done = forget(["u7"], str(copies / "small"), arguments=[f"--checkpoint_dir={copies / 'saved'}"], dry_run=True)
    assert done.not_given == [again["checkpoint"]]


def test_training_again_leaves_them_out(copies):
    users = copies / "who.txt"
    users.write_text("u7\nu12\n")
    done = forget(f"@{users}", str(copies / "small"), [copies / "BPR.pth"], retrain=True)
    assert done.trained == [str(copies / "BPR.pth")] and done.left == []
    checkpoint = load_checkpoint(copies / "BPR.pth")
    assert len(ids_of(checkpoint).codes["user_id"]) == 38
    _, _, dataset, *_ = load_data_and_model(copies / "BPR.pth", {"data_path": str(copies)})
    assert dataset.user_num == 39 and sorted(path.name for path in copies.iterdir() if path.name[0] == ".") == []


@pytest.mark.parametrize(
    ("users", "keys", "says"),
    [
        (" , ", {}, "no person is named"),
        ("@nowhere.txt", {}, "--users=@nowhere.txt: no such file"),
        ("u1", {"traces": ["nowhere"]}, "--traces=nowhere: no such file or folder"),
        ("u1", {"checkpoints": ["nowhere.pth"]}, "nowhere.pth: no such checkpoint"),
    ],
)
def test_what_cannot_be_forgotten_is_one_line_and_changes_nothing(copies, users, keys, says):
    before = {path.name: path.read_bytes() for path in (copies / "small").iterdir()}
    with pytest.raises(ESMRError, match=says.replace(".", r"\.")):
        forget(users, str(copies / "small"), **keys)
    assert {path.name: path.read_bytes() for path in (copies / "small").iterdir()} == before


def test_known_ids_number_the_same_data_in_any_order(bpr):
    known = ids_of(load_checkpoint(bpr))
    assert Path(bpr).is_file() and known.numbers("user_id", ["u1", "nobody"])[1] == 0
    names = known.names("user_id", np.array([f"u{n}" for n in range(50, 0, -1)], dtype=object))
    assert known.numbers("user_id", names).tolist() == list(range(1, 41))
    assert known.without("user_id", np.array([3])).numbers("user_id", names[2:3]).tolist() == [0]
