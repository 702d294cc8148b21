"""Files read in parts: the same text, lines and messages wherever the parts are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_esmr.data.reading import atomic, texts
from recbole_esmr.data.reading.atomic import read_atomic_file
from recbole_esmr.data.reading.texts import text_parts
from recbole_esmr.errors import DataError

HEAD = "user_id:token\titem_id:token\tratio:float\n"
CONFIG = {"field_separator": "\t", "encoding": "utf-8"}


@pytest.fixture
def in_small_parts(monkeypatch):
    """The reader works on a few bytes at once."""

    def cut(size):
        monkeypatch.setattr(atomic, "text_parts", lambda path, encoding, _=0: texts.text_parts(path, encoding, size))

    return cut


TEXT = st.text(st.sampled_from("ab\té€😀\u2028\ufeff\r\n"), max_size=40)


@given(TEXT, st.integers(1, 9), st.sampled_from(["utf-8", "utf-16", "latin-1"]))
def test_parts_are_the_text_cut_at_ends_of_lines(tmp_path_factory, text, size, encoding):
    path = tmp_path_factory.mktemp("parts") / "a.inter"
    text = text if encoding != "latin-1" else text.encode("latin-1", "ignore").decode("latin-1")
    path.write_bytes(text.encode(encoding))
    parts = list(text_parts(path, encoding, size))
    whole = text.removeprefix("\ufeff") if encoding == "utf-8" else text
    assert "".join(parts) == whole.replace("\r\n", "\n").replace("\r", "\n")
    assert all(part.endswith("\n") for part in parts[:-1]) and "" not in parts


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_file_is_the_same_in_parts_of_any_size(tmp_path, in_small_parts, size):
    in_small_parts(size)
    path = tmp_path / "a.inter"
    path.write_bytes((HEAD + "é\tx\t0.5\r\n\nNA\t1\t\nb\t x\t1e3\né\tx\t.5").encode())
    file = read_atomic_file(path, CONFIG)
    assert file.text.index.tolist() == [2, 4, 5, 6]
    assert file.text.to_numpy().tolist() == [["é", "x", "0.5"], ["NA", "1", ""], ["b", " x", "1e3"], ["é", "x", ".5"]]
    if size < 10_000:
        assert file.text["user_id"].iloc[0] is file.text["user_id"].iloc[3], "what is said twice is held once"
    assert file.numbers("ratio").fillna(-1).tolist() == [0.5, -1, 1000, 0.5]
    assert set(file.text.dtypes) == {file.text["user_id"].dtype} and str(file.text["user_id"].dtype) in ("object", "str")


WRONG = [
    (b"a\tx\t1\n" * 4 + b"a\tx\n", r"line 6: has 2 cells and the header 3"),
    (b"a\tx\t1\n" * 4 + b"a\t\xff\t1\n", r"line 6: is not UTF-8 \(byte 66\)"),
    (b"a\tx\t1\n" * 4 + b"a\tx\t\xe2\x82", r"line 6: is not UTF-8 \(byte 68\)"),
    (b"a\tx\t1\r\n" * 4 + b"a\x00\tx\t1\n", r"line 6: holds a NUL character"),
]


@pytest.mark.parametrize("size", [1, 5, 10_000])
@pytest.mark.parametrize(("body", "says"), WRONG)
def test_a_wrong_line_is_named_wherever_the_parts_are_cut(tmp_path, in_small_parts, size, body, says):
    in_small_parts(size)
    path = tmp_path / "a.inter"
    path.write_bytes(HEAD.encode() + body)
    with pytest.raises(DataError, match=rf"a\.inter, {says}"):
        read_atomic_file(path, CONFIG)


@pytest.mark.parametrize("size", [1, 9, 10_000])
def test_lines_with_more_cells_are_counted_over_all_parts(tmp_path, in_small_parts, size):
    in_small_parts(size)
    path, said = tmp_path / "a.inter", []
    path.write_text(HEAD + "a\tx\t1\n\nb\ty\t2\tmore\nc\tz\t3\td\te\n")
    file = read_atomic_file(path, CONFIG, said.append)
    assert file.text["item_id"].tolist() == ["x", "y", "z"] and len(said) == 1
    assert "line 4: has more cells than the header, as 2 of 3 lines have" in said[0]
