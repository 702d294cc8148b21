"""The file of a checkpoint: every tree comes back, and no damaged or crafted file gets further than one line that says so."""

from __future__ import annotations

import math
import os
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from recbole_esmr.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from recbole_esmr.checkpoint.container import Block, parts
from recbole_esmr.checkpoint.tree import of_blocks, to_blocks
from recbole_esmr.errors import CheckpointError
from tests.crafted import around, of_json, of_tree, safetensors

DTYPES = ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


def small(**change):
    """A small checkpoint."""
    values = {
        "model": "BPR",
        "config": {"seed": 1},
        "ids": "abc",
        "state_dict": {"w": torch.arange(3.0)},
        "other_parameter": {},
        "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "training": {"epoch": 3, "cur_step": 0, "best_valid_score": 0.5},
    }
    return Checkpoint(**{**values, **change})


def same(one, two) -> bool:
    """Whether two trees are the same, types and NaN included."""
    if isinstance(one, np.generic):
        one = one.item()
    if type(one) is not type(two):
        return False
    if isinstance(one, torch.Tensor):
        if one.layout != torch.strided:
            return one.layout == two.layout and one.shape == two.shape and same(one.to_dense(), two.to_dense())
        return one.dtype == two.dtype and one.shape == two.shape and torch.equal(one.isnan(), two.isnan()) and bool(
            ((one == two) | one.isnan()).all()
        )  # fmt: skip
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and one.shape == two.shape and bool(((one == two) | (one != one)).all())
    if scipy.sparse.issparse(one):
        return one.shape == two.shape and one.dtype == two.dtype and (one != two).nnz == 0
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two or (one != one and two != two)


arrays = st.sampled_from(DTYPES).flatmap(lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, min_side=0, max_side=4)))
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | arrays
    | arrays.filter(lambda x: x.dtype.name not in ("uint16", "uint32", "uint64")).map(lambda x: torch.from_numpy(x.copy()))
    | arrays.filter(lambda x: x.ndim == 2).map(lambda x: np.asfortranarray(x).T)
)  # fmt: skip
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(trees)
def test_any_tree_comes_back(tree):
    assert same(tree, of_blocks(to_blocks(tree)))


@pytest.mark.parametrize(
    "value",
    [
        torch.arange(12.0).reshape(3, 4).t(),  # strided
        torch.arange(12.0)[::2],
        torch.tensor([1.5, -2], dtype=torch.bfloat16),
        torch.zeros(0, 3),
        torch.tensor(7),
        torch.tensor([True, False]),
        torch.tensor([[0, 1.5], [2, 0]]).to_sparse(),
        torch.nn.Parameter(torch.ones(2)).detach(),
        np.float32(0.1),
        np.int64(3),
        np.arange(4, dtype=">i4").astype("<i4"),
        scipy.sparse.csr_matrix(np.eye(3)),
        scipy.sparse.csc_matrix(np.eye(3)[:2]),
        scipy.sparse.lil_matrix((4, 2)),
        scipy.sparse.dok_matrix(np.eye(2)),
        scipy.sparse.coo_array(np.eye(2)),
        random.Random(3).getstate(),
        np.random.default_rng(1).bit_generator.state,
        "x" * 10_000 + "é\ud800",
        -math.inf,
        -0.0,
        10**40,
        ((), [], {}, ({0: {1: (None,)}},)),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_what_models_hold_comes_back(value, tmp_path):
    save_checkpoint(tmp_path / "a.pth", small(progress={"value": value, "again": [value]}))
    back = load_checkpoint(tmp_path / "a.pth").progress
    assert same(value, back["value"]) and same(value, back["again"][0])


def test_tied_weights_and_views_of_one_memory_come_back_apart(tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    save_checkpoint(tmp_path / "a.pth", small(state_dict={"whole": weight, "tied": weight, "row": weight[1]}))
    back = load_checkpoint(tmp_path / "a.pth").state_dict
    assert torch.equal(back["whole"], back["tied"]) and torch.equal(back["row"], weight[1])
    back["whole"].zero_()
    assert back["tied"].sum() == 15


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "other_parameter.x: a object of this model cannot be saved without pickling it"),
        ({1, 2}, "a set of this model cannot be saved"),
        (b"bytes", "a bytes of this model cannot be saved"),
        (1j, "a complex of this model cannot be saved"),
        (np.array(["a"]), "a ndarray of this model cannot be saved"),
        (torch.zeros(2, dtype=torch.complex64), "a Tensor of this model cannot be saved"),
        ({(1, 2): 3}, "the key (1, 2) is a tuple"),
        ({True: 3}, "the key True is a bool"),
        (torch.nn.Linear(1, 1), "a Linear of this model cannot be saved"),
    ],
)
def test_what_cannot_be_kept_is_said_and_the_old_file_stays(tmp_path, value, says):
    save_checkpoint(tmp_path / "a.pth", small())
    before = (tmp_path / "a.pth").read_bytes()
    with pytest.raises(CheckpointError) as caught:
        save_checkpoint(tmp_path / "a.pth", small(other_parameter={"x": value}))
    assert says in str(caught.value)
    assert (tmp_path / "a.pth").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    nested: list = []
    nested.append(nested)
    with pytest.raises(CheckpointError, match="nested deeper than"):
        save_checkpoint(tmp_path / "a.pth", small(other_parameter={"x": nested}))


# -- damage ------------------------------------------------------------------------------------------------------------


def _refused(path) -> bool:
    with pytest.raises(CheckpointError, match=r"a\.pth: "):
        load_checkpoint(path)
    return True


def test_every_flipped_bit_is_refused(tmp_path):
    path = tmp_path / "a.pth"
    save_checkpoint(path, Checkpoint("m", {}, None, {"w": torch.ones(1)}, {}, {}, {}))
    whole = path.read_bytes()
    assert load_checkpoint(path).model == "m"
    with open(path, "r+b") as file:
        for place, byte in enumerate(whole):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), place)
                assert _refused(path), (place, bit)
            os.pwrite(file.fileno(), bytes([byte]), place)
    assert load_checkpoint(path).model == "m"


def test_every_length_but_the_whole_is_refused(tmp_path):
    path = tmp_path / "a.pth"
    save_checkpoint(path, small())
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert _refused(path), length
    path.write_bytes(whole + b"\0")
    assert _refused(path)


def test_flipped_bits_of_a_trained_esmr_are_refused(trained, tmp_path):
    whole = Path(trained[0]["checkpoint"]).read_bytes()
    draw, path = random.Random(1), tmp_path / "a.pth"
    for _ in range(200):
        place = draw.randrange(8 * len(whole))
        path.write_bytes(whole[: place // 8] + bytes([whole[place // 8] ^ 1 << place % 8]) + whole[place // 8 + 1 :])
        assert _refused(path)


# -- other files, and crafted ones -------------------------------------------------------------------------------------

LINE = b"recbole-esmr checkpoint 3 sha256=" + b"0" * 64
F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def _zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path: None, "no such checkpoint"),
        (lambda path: path.mkdir(), "no such checkpoint"),
        (os.mkfifo, "no such checkpoint"),
        (lambda path: path.symlink_to("/dev/zero"), "no such checkpoint"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text("weights"), "is no checkpoint of recbole-esmr. Give a file that"),
        (lambda path: path.write_bytes(b"x" * 2000), "is no checkpoint of recbole-esmr"),
        (lambda path: path.write_bytes(pickle.dumps({"config": object})), "is a pickle, written by RecBole itself"),
        (lambda path: torch.save({"config": object}, path), "by recbole-esmr before 0.2"),
        (_zip, "Train again with this version"),
        (
            lambda path: path.write_bytes(LINE.replace(b" 3 ", b" 99 ") + b"\n"),
            "of format 99, and this",
        ),
        (lambda path: path.write_bytes(LINE.replace(b" 3 ", b" 4 ") + b"\n"), "Upgrade recbole-esmr"),
        (lambda path: path.write_bytes(LINE.replace(b" 3 ", b" 2 ") + b"\n"), "the first line is damaged"),
        (lambda path: path.write_bytes(LINE.replace(b" 3 ", b" " + b"9" * 99 + b" ") + b"\n"), "the first line is damaged"),
        (lambda path: path.write_bytes(LINE), "the first line is damaged"),
        (lambda path: path.write_bytes(LINE + b"\r\n"), "the first line is damaged"),
        (lambda path: path.write_bytes(LINE + b" \n"), "the first line is damaged"),
        (lambda path: path.write_bytes(LINE + b" ed25519=aa:bb\n"), "the first line is damaged"),
        (lambda path: path.write_bytes(LINE + b"\n"), "another SHA-256"),
        (lambda path: around(path, b""), "no safetensors file"),
        (lambda path: around(path, b"\xff" * 8), "no safetensors file"),
        (lambda path: around(path, (2**40).to_bytes(8, "little") + b"{}"), "no safetensors file"),
        (lambda path: around(path, safetensors(b"[" * 100_000)), "no safetensors file"),
        (lambda path: around(path, safetensors(b"\xff\xfe")), "no safetensors file"),
        (lambda path: around(path, safetensors({"a": {**F32, "shape": [2**62, 2**62]}}, b"0000")), "no safetensors file"),
        (lambda path: around(path, safetensors({"a": {**F32, "shape": [10**9]}}, b"0000")), "no safetensors file"),
        (lambda path: around(path, safetensors({"a": {**F32, "data_offsets": [0, 10**12]}}, b"0000")), "no safetensors file"),
        (lambda path: around(path, safetensors({"a": {**F32, "data_offsets": [4, 0]}}, b"0000")), "no safetensors file"),
        (lambda path: around(path, safetensors({"a": {**F32, "dtype": "OBJECT"}}, b"0000")), "no safetensors file"),
        (lambda path: around(path, safetensors({"a": F32, "b": F32}, b"0000")), "no safetensors file"),
        (lambda path: around(path, safetensors({"a": F32}, b"0000more")), "no safetensors file"),
        (lambda path: around(path, safetensors({}, b"")), "its content cannot be used (there is no 'content')"),
        (lambda path: of_json(path, ""), "its content cannot be used"),
        (lambda path: of_json(path, "é"), "its content cannot be used"),
        (lambda path: of_json(path, "[" * 100_000), "its content cannot be used (RecursionError"),
        (lambda path: of_json(path, "[" * 900 + "]" * 900), "its content "),
        (lambda path: of_json(path, '{"a":' * 900 + "1" + "}" * 900), "unknown kind of value 'a'"),
        (lambda path: of_json(path, "NaN"), "NaN is no JSON"),
        (lambda path: of_json(path, "9" * 5000), "its content cannot be used"),
        (lambda path: of_json(path, " " * (2**25 + 1)), "more than 33554432 bytes of JSON"),
        (lambda path: of_json(path, '{"pickle": "x"}'), "unknown kind of value 'pickle'"),
        (lambda path: of_json(path, '{"dict": [], "list": []}'), "unknown kind of value 'dict'"),
        (lambda path: of_json(path, "{}"), "its content cannot be used"),
        (lambda path: of_json(path, '{"dict": 3}'), "a int in the place of a list"),
        (lambda path: of_json(path, '{"dict": [[1]]}'), "not enough values to unpack"),
        (lambda path: of_json(path, '{"dict": [[[], 1]]}'), "a key is a list"),
        (lambda path: of_json(path, '{"float": "1"}'), "there is no '1'"),
        (lambda path: of_json(path, '{"float": []}'), "its content cannot be used"),
        (lambda path: of_json(path, '{"tensor": "9"}'), "there is no '9'"),
        (lambda path: of_json(path, '{"tensor": "content"}'), "there is no 'content'"),
        (lambda path: of_json(path, '{"tensor": {}}'), "its content cannot be used"),
        (lambda path: of_json(path, '[{"tensor": "1"}, {"tensor": "1"}]', **{"1": Block("U8", (1,), b"a")}), "there is no '1'"),
        (lambda path: of_json(path, "[]", **{"1": Block("U8", (1,), b"a")}), "nothing names the block '1'"),
        (lambda path: of_json(path, '{"tensor": "1"}', **{"1": Block("BOOL", (1,), b"\2")}), "neither 0 nor 1"),
        (lambda path: of_json(path, '{"tensor": "1"}', **{"1": Block("F8_E4M3", (1,), b"\2")}), "there is no 'F8_E4M3'"),
        (lambda path: of_json(path, '{"array": "1"}', **{"1": Block("BF16", (1,), b"\2\2")}), "its content cannot be used"),
        (lambda path: of_json(path, '{"text": "1"}', **{"1": Block("U8", (1,), b"\xff")}), "its content cannot be used"),
        (lambda path: _scipy(path, [[2, 3], [9], [0, 0, 1]]), "its content cannot be used"),
        (lambda path: _scipy(path, [[2, 3], [-1], [0, 0, 1]]), "its content cannot be used"),
        (lambda path: _scipy(path, [[2, 3], [0], [0, 5, 1]]), "its content cannot be used"),
        (lambda path: _scipy(path, [[10**12, 3], [0], [0, 0, 1]]), "its content cannot be used"),
        (lambda path: _scipy(path, [[2, 3], [0], [0, 0, 1]], "object"), "unknown kind of sparse matrix"),
        (lambda path: _sparse(path, [[2, 2], [[0], [5]]]), "its content cannot be used"),
        (lambda path: _sparse(path, [[2], [[0], [0]]]), "its content cannot be used"),
        (lambda path: of_tree(path, [1, 2]), "its content has no versions"),
        (lambda path: of_tree(path, {"versions": {}}), "its content does not hold model, config"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_other_and_crafted_files_are_refused_in_one_line(tmp_path, write, says):
    path = tmp_path / "a.pth"
    write(path)
    with pytest.raises(CheckpointError, match=r"a\.pth: ") as caught:
        load_checkpoint(path)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def _scipy(path, content, kind="csr_matrix"):
    shape, indices, pointers = content
    blocks = to_blocks([np.ones(len(indices)), np.array(indices), np.array(pointers)])
    parts = ",".join(f'{{"array":"{number}"}}' for number in range(3))
    of_json(path, f'{{"scipy":["{kind}",{shape},{parts}]}}', **{name: blocks[name] for name in "012"})


def _sparse(path, content):
    shape, indices = content
    blocks = to_blocks([torch.tensor(indices), torch.ones(len(indices[0]))])
    of_json(path, f'{{"sparse":[{shape},{{"tensor":"0"}},{{"tensor":"1"}}]}}', **{name: blocks[name] for name in "01"})


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        ("model", 3, "its content.model is a int; expected str"),
        ("model", None, "its content.model is a NoneType"),
        ("config", [], "its content.config is a list"),
        ("config", {1: 2}, "a key of its content.config is a int"),
        ("ids", 3, "its content.ids is a int; expected str | None"),
        ("state_dict", {"w": [1.0]}, "its content.state_dict.w is a list; expected Tensor"),
        ("state_dict", {"w": np.ones(2)}, "its content.state_dict.w is a ndarray"),
        ("other_parameter", None, "its content.other_parameter is a NoneType"),
        ("optimizer", [], "its content.optimizer is a list"),
        ("progress", 1, "its content.progress is a int"),
        ("training", {"epoch": 1}, "training does not hold epoch, cur_step, best_valid_score and nothing else"),
        ("training", {"epoch": "1", "cur_step": 0, "best_valid_score": 1.0}, "training.epoch is a str; expected int"),
        ("training", {"epoch": True, "cur_step": 0, "best_valid_score": 1.0}, "training.epoch is a bool; expected int"),
        ("training", {"epoch": 1, "cur_step": 0, "best_valid_score": None}, "training.best_valid_score is a NoneType"),
    ],
)
def test_parts_of_another_type_are_refused(tmp_path, part, value, says):
    save_checkpoint(tmp_path / "a.pth", small(**{part: value}))
    with pytest.raises(CheckpointError, match=r"a\.pth: ") as caught:
        load_checkpoint(tmp_path / "a.pth")
    assert says in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_change_behind_a_right_hash_is_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "changed.pth"
    body = bytearray(BODY)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3) | st.sampled_from(WORDS))
    around(path, bytes(body))
    try:
        load_checkpoint(path)
    except CheckpointError as error:
        assert str(path) in str(error)


WHOLE = small(progress={"sparse": scipy.sparse.lil_matrix(np.eye(3))})
BODY = b"".join(map(bytes, parts(to_blocks({**vars(WHOLE), "versions": {}}))))
WORDS = [b"null", b"[]", b"{}", b'"9"']
