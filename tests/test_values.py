"""Values that are written as text: read, never evaluated, in bounded time and size."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_esmr.errors import ConfigError
from recbole_esmr.files import read_yaml
from recbole_esmr.values import MAX_DEPTH, MAX_FILE, MAX_OPTION, MAX_VALUES, read_value, read_yaml_text, yaml_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[10,20]", [10, 20]),
        ("(10, 20)", [10, 20]),
        ("{'split': {'RS':[0.8,0.1,0.1]}, 'order': None}", {"split": {"RS": [0.8, 0.1, 0.1]}, "order": None}),
        ("{LS: valid_and_test}", {"LS": "valid_and_test"}),
        ("[\"a b\", c d, 'e, f']", ["a b", "c d", "e, f"]),
        ("['[64,64]', '[128]']", ["[64,64]", "[128]"]),
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("+7", 7),
        ("1_000", 1000),
        ("0x1f", 31),
        (" 5 ", 5),
        ("true", True),
        ("False", False),
        ("None", None),
        ("null", None),
        ("~", None),
        ("'1e-3'", "1e-3"),
        (r"'\t'", "\t"),
        ('"it\'s"', "it's"),
        ("", ""),
        ("never", "never"),
        ("exit", "exit"),
        ("exit()", "exit()"),
        ("yaml.pth", "yaml.pth"),
        ("2024-01/01", "2024-01/01"),
        ("2024-01-01", "2024-01-01"),
        ("12:30", "12:30"),
        ("007", "007"),
        ("no", "no"),
        ("1/0", "1/0"),
        ("1+1", "1+1"),
        ("nan", "nan"),
        ("1e999", "1e999"),
        ("1__0", "1__0"),
        ("9" * 5000, "9" * 5000),
        ("٣", "٣"),
        ("[0,inf)", "[0,inf)"),
        ("[10]*10**10", "[10]*10**10"),
        ("[1, 2", "[1, 2"),
        ("{a: b: c}", "{a: b: c}"),
        ("['a' 'b']", "['a' 'b']"),
        ("{1, 2}", {1: None, 2: None}),
        ("b'x'", "b'x'"),
        ("1j", "1j"),
        ("'a' + 'b'", "'a' + 'b'"),
        ("f'{1}'", "f'{1}'"),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("[__import__('os').getcwd()]", ["__import__('os').getcwd()"]),
    ],
)
def test_what_a_text_stands_for(text, value):
    found = read_value(text)
    assert found == value and type(found) is type(value)


def _values(found):
    if isinstance(found, list):
        return [found, *(value for part in found for value in _values(part))]
    if isinstance(found, dict):
        return [found, *(value for pair in found.items() for part in pair for value in _values(part))]
    return [found]


PIECES = st.sampled_from([*"[]{}(),:'\"\\&*!#|>-?~ \n\t01eE._x", "None", "<<: ", "!!python/object ", "&a ", "*a ", "[[", "{a: "])


@given(st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=60).map("".join), st.text(max_size=80).map("[{}]".format)))
def test_any_text_is_a_plain_value_or_refused_in_one_line(text):
    start = time.perf_counter()
    for read in (read_value, lambda given: read_yaml_text(given, "a.yaml")):
        try:
            kinds = {type(value) for value in _values(read(text))}
        except ConfigError as error:
            assert "\n" not in str(error) and len(str(error)) < 400
        else:
            assert kinds <= {type(None), bool, int, float, str, list, dict}
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a" * (MAX_OPTION + 1), "has 100,001 characters; expected at most 100,000"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nests deeper than 50 levels"),
        ("{a: " * (MAX_DEPTH + 2) + "}" * (MAX_DEPTH + 2), "nests deeper than 50 levels"),
        ("{a: 1, a: 2}", "the key 'a' is given twice"),
        ("[&a [*a]]", "*a holds itself"),
        ("[!!python/name:os.system x]", "is not read"),
    ],
)
def test_options_that_are_refused(text, says):
    with pytest.raises(ConfigError) as refused:
        read_value(text)
    assert says in str(refused.value) and len(str(refused.value)) < 300
    assert read_value("[" * MAX_DEPTH + "]" * MAX_DEPTH) != "", "so many levels are read"


def test_plain_words_of_a_file_are_those_of_yaml_1_2():
    text = "day: 2024-03-01\ntime: 12:30\nno: no\nid: 007\nrate: 1e-3\nnone: None\nnull_: ~\nlast:\ntrue_: TRUE\ninf: .inf\n"
    assert read_yaml_text(text, "") == {
        "day": "2024-03-01",
        "time": "12:30",
        "no": "no",
        "id": "007",
        "rate": 0.001,
        "none": "None",
        "null_": None,
        "last": None,
        "true_": True,
        "inf": ".inf",
    }


def test_what_is_referred_to_twice_becomes_two_values():
    found = read_yaml_text("base: &base {a: [1], b: 2}\nother: {<<: *base, b: 3}\nlist: [*base, *base]\n", "")
    assert found["other"] == {"a": [1], "b": 3} and found["list"] == [{"a": [1], "b": 2}] * 2
    found["other"]["a"].append(5)
    assert found["base"]["a"] == [1]


def _laughs(levels=9):
    names = "abcdefghijklmnop"[: levels + 1]
    lines = [f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]" for before, name in pairwise(names)]
    return "\n".join(["a: &a [1,1,1,1,1,1,1,1,1]", *lines]) + "\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (_laughs(), "line 5: holds more than 20,000 values"),
        (_laughs().replace("[", "{<<: [").replace("]", "]}"), "line 5: holds more than 20,000 values"),
        ("a: 1\nb: &b [1, *b]\n", "line 2: *b holds itself"),
        ("a: &a {<<: *a}\n", "line 1: *a holds itself"),
        ("a: &a0 [1]\n" + "".join(f"k{n}: &a{n + 1} [*a{n}]\n" for n in range(60)), "line 51: nests deeper than 50 levels"),
        ("[" * 400_000, "line 1: nests deeper than 50 levels"),
        ("- " * 400_000, "line 1: nests deeper than 50 levels"),
        ("x: [" + "1, " * 30_000 + "]", "line 1: holds more than 20,000 values"),
        ("topk: [5]\nseed: 1\ntopk: [10]\n", "line 3: the key 'topk' is given twice"),
        ("a: {b: 1,\n  b: 2}\n", "line 2: the key 'b' is given twice"),
        ("a: 1\n\n[1, 2]: x\n", "line 3: a key is a list or a mapping"),
        ("a: 1\nb: !!python/object/apply:os.system [x]\n", "line 2: the tag '!!python/object/apply:os.system' is not read"),
        ("a: !!set {x, y}\n", "line 1: the tag '!!set' is not read"),
        ("a: !!binary aGk=\n", "line 1: the tag '!!binary' is not read"),
        ("a: !!timestamp 2024-01-01\n", "line 1: the tag '!!timestamp' is not read"),
        ("a: !!int many\n", "line 1: 'many' is no value of the tag '!!int'"),
        ('a: 1\nb: "\\0"\n', "line 2: a text holds the character '\\x00'"),
        ("a: 1\nb: \x07\n", "line 2: holds the character '\\x07'"),
        ("a: [1,\nb: 2\n", "not valid yaml"),
        ("a: 1\n---\nb: 2\n", "line 2: not valid yaml"),
        ("a: *b\n", "line 1: not valid yaml (found undefined alias 'b')"),
    ],
)
def test_yaml_that_is_refused_names_file_and_line(tmp_path, text, says):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    start = time.perf_counter()
    with pytest.raises(ConfigError) as refused:
        read_yaml(path)
    assert str(refused.value).startswith(f"{path}") and says in str(refused.value) and len(str(refused.value)) < 400
    assert time.perf_counter() - start < 10


def test_files_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "large.yaml").write_text("#" * (MAX_FILE + 1))
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: caf\xe9\n")
    for name, says in {
        "large.yaml": "is larger than 1,000,000 bytes",
        "latin.yaml": "line 2: is not UTF-8",
        "none.yaml": "cannot be read (No such file or directory)",
        ".": "cannot be read (Is a directory)",
    }.items():
        with pytest.raises(ConfigError) as refused:
            read_yaml(tmp_path / name)
        assert says in str(refused.value), name
    assert MAX_VALUES == 20_000


WORDS = [
    "1e5",
    "0o17",
    "007",
    "no",
    "~",
    "null",
    "2024-01-01",
    ".inf",
    "12:30",
    "<<",
    "=",
    "0x1f",
    "None",
    "1_000",
    "a: b",
    "- a",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.sampled_from(WORDS)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS


@given(st.dictionaries(TEXTS, st.recursive(PLAIN, lambda part: st.lists(part, max_size=4), max_leaves=8), min_size=1, max_size=4))
def test_what_is_written_as_yaml_is_read_back(values):
    assert read_yaml_text(yaml_text(values), "a.yaml") == values
