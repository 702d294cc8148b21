"""The one reader: an id stays that id, and any order of lines gives one split, for ESMR and for RecBole's own models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recbole.data import create_dataset

from recbole_esmr.config import Config
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.files import write_atomic_files

MODELS = ("ESMR", "BPR", "SASRec")
LAST = {"eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"}, "topk": [1]}
KEYS = {**LAST, "state": "ERROR", "valid_metric": "NDCG@1", "metrics": ["NDCG"], "train_neg_sample_args": None}

ODD_IDS = (
    "001",
    "1",
    "1.0",
    "1e5",
    "0x10",
    "TRUE",
    "NA",
    "null",
    "None",
    "nan",
    "",
    " ",
    'say "hi"',
    "1234567890123456789",
    "é ü",
    "日本",
)
ids = st.one_of(
    st.sampled_from([name for name in ODD_IDS if name.strip()]),
    st.text(st.characters(exclude_characters="\t\n\r\x00", exclude_categories=("Cs",)), min_size=1, max_size=8).filter(str.strip),
).filter(lambda text: text != "[PAD]")
quick = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


def _write(folder, inter, name="mine", **other):
    path = folder / name
    path.mkdir(exist_ok=True)
    for kind, text in {"inter": inter, **other}.items():
        data = text if isinstance(text, bytes) else text.encode()
        (path / f"{name}.{kind}").write_bytes(data)
    return str(path)


def _load(model, path, **keys):
    return create_dataset(Config(model, path, config_dict={**KEYS, **keys}, arguments=[]))


def _tokens(dataset, field):
    return set(dataset.field2id_token[field][1:])


def _test_rows(model, path, **keys):
    config = Config(model, path, config_dict={**KEYS, **keys}, arguments=[])
    dataset = create_dataset(config)
    rows = dataset.build()[2].inter_feat
    people, items = (dataset.id2token(field, rows[field].numpy()) for field in ("user_id", "item_id"))
    return sorted(zip(people, items, strict=True))


EMOTIONS = "item_id:token\temotion:token\nx\thappy\ny\tangry\nz\tneutral\n"


@quick
@given(people=st.lists(ids, min_size=2, max_size=5, unique=True), things=st.lists(ids, min_size=3, max_size=5, unique=True))
def test_ids_are_text_for_every_model(tmp_path_factory, people, things):
    """Any ids, written by us, are read by us and by RecBole's models as the same people and items."""
    folder = tmp_path_factory.mktemp("ids") / "mine"
    pairs = [(person, thing) for person in people for thing in things]
    inter = pd.DataFrame(pairs, columns=["user_id:token", "item_id:token"]).assign(**{"timestamp:float": range(len(pairs))})
    item = pd.DataFrame({"item_id:token": things, "emotion:token": "happy"})
    write_atomic_files(folder, {"inter": inter, "item": item}, {})
    for model in MODELS:
        dataset = _load(model, str(folder))
        assert _tokens(dataset, "user_id") == set(people) and _tokens(dataset, "item_id") == set(things), model


@quick
@given(
    moments=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1_700_000_000, 1_700_000_040)), min_size=12, max_size=25),
    order=st.randoms(use_true_random=False),
    unit=st.sampled_from([1, 1000]),
)
def test_any_order_of_lines_gives_one_split(tmp_path_factory, moments, order, unit):
    """Shuffled lines, moments that 32 bits cannot tell apart, and ties: the same test items for ESMR, BPR and SASRec."""
    moments = [*moments, *((person, 1_700_000_100 + place) for person in "abc" for place in range(3))]
    rows = [f"{person}\t{'xyz'[place % 3]}\t{moment * unit}" for place, (person, moment) in enumerate(moments)]
    shuffled = rows.copy()
    order.shuffle(shuffled)
    head, folder = "user_id:token\titem_id:token\ttimestamp:float\n", tmp_path_factory.mktemp("order")
    found = set()
    for place, lines in enumerate((rows, shuffled)):
        path = _write(folder, head + "\n".join(lines) + "\n", item=EMOTIONS, name=f"mine{place}")
        found |= {tuple(_test_rows(model, path)) for model in MODELS}
    assert len(found) == 1
    frame = pd.DataFrame(moments, columns=["person", "moment"]).assign(item=["xyz"[place % 3] for place in range(len(moments))])
    last = frame.loc[frame.groupby("person")["moment"].idxmax()]
    assert found.pop() == tuple(sorted(zip(last["person"], last["item"], strict=True)))


def test_ties_are_not_ordered_by_name(tmp_path):
    """Who saw twenty items in one second is not tested on the one with the last name."""
    lines = [f"u{person}\ti{item:02d}\t1700000000" for person in range(30) for item in range(20)]
    path = _write(tmp_path, "user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join(lines) + "\n")
    tested = [item for _, item in _test_rows("BPR", path)]
    assert len(set(tested)) > 8


@pytest.mark.parametrize("model", MODELS)
def test_quotes_are_text_and_line_ends_of_all_systems_are_read(tmp_path, model):
    lines = [
        "user_id:token\titem_id:token\ttimestamp:float",
        'a\t"x\t1',
        "a\ty\t2",
        'b\t"z"\t3',
        "b\ty\t4",
        "a\tz\t5",
        "b\tw\t6",
        "",
    ]
    item = "item_id:token\temotion:token\n" + "".join(f"{name}\thappy\n" for name in ('"x', "y", '"z"', "z", "w"))
    for end, mark in (("\n", b""), ("\r\n", b"\xef\xbb\xbf"), ("\r", b"")):
        path = _write(tmp_path, mark + end.join(lines).encode(), item=item)
        dataset = _load(model, path)
        assert _tokens(dataset, "item_id") == {'"x', "y", '"z"', "z", "w"} and _tokens(dataset, "user_id") == {"a", "b"}


@pytest.mark.parametrize("model", MODELS)
def test_recboles_encoding_is_honoured(tmp_path, model):
    lines = "user_id:token\titem_id:token\ttimestamp:float\nJosé\tx\t1\nJosé\ty\t2\nZoë\tx\t3\nZoë\tz\t4\nJosé\tz\t5\nZoë\ty\t6\n"
    path = _write(tmp_path, lines.encode("latin-1"), item=EMOTIONS)
    assert _tokens(_load(model, path, encoding="latin-1"), "user_id") == {"José", "Zoë"}
    with pytest.raises(DataError, match=r"mine.inter, line 2: is not UTF-8 .*encoding: latin-1"):
        _load(model, path)


@pytest.mark.parametrize("model", MODELS)
def test_numbers_of_recbole_and_words_for_unknown(tmp_path, model):
    """A number column may say NA where a person may be called NA."""
    lines = "user_id:token\titem_id:token\ttimestamp:float\tdwell:float\n"
    lines += "NA\tx\t1\tNA\nNA\ty\t2\t3.5\nb\tx\t3\tnull\nb\tz\t4\t\nNA\tz\t5\t1\nb\ty\t6\t2\n"
    path = _write(tmp_path, lines, item=EMOTIONS)
    dataset = _load(model, path, load_col={"inter": ["user_id", "item_id", "timestamp", "dwell"], "item": ["item_id"]})
    assert _tokens(dataset, "user_id") == {"NA", "b"} and np.isfinite(np.asarray(dataset.inter_feat["dwell"], dtype=float)).all()
    wrong = _write(tmp_path, lines.replace("3.5", "3,5"), item=EMOTIONS)
    with pytest.raises(DataError, match=r"mine.inter, line 3, column 'dwell': the value is '3,5'; write the decimal comma"):
        _load(model, wrong, load_col={"inter": ["user_id", "item_id", "timestamp", "dwell"]})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a\tx\t1\t2", r"line 2: has 4 cells and the header 3"),
        ("a\tx", r"line 2: has 2 cells and the header 3"),
        ("\tx\t1", r"line 2, column 'user_id': the value is empty"),
        ("a\t[PAD]\t1", r"line 2, column 'item_id': the value is '\[PAD\]'; this is RecBole's name"),
        ("a\x00\tx\t1", r"line 2: holds a NUL character"),
        ("a\tx\tyesterday", r"line 2, column 'timestamp': the value is 'yesterday'; expected a finite number"),
        ("a\tx\t1711281600000", r"column 'timestamp': the values reach from 2 to 1711281600000, which are different units"),
    ],
)
def test_bad_lines_are_refused_for_every_model(tmp_path, model, line, message):
    path = _write(tmp_path, f"user_id:token\titem_id:token\ttimestamp:float\n{line}\na\ty\t2\na\tz\t3\nb\tx\t4\n", item=EMOTIONS)
    with pytest.raises(DataError, match=message):
        _load(model, path)


@pytest.mark.parametrize("model", MODELS)
def test_dates_and_days_give_the_order_where_numbers_do_not(tmp_path, model):
    dates = "user_id:token\titem_id:token\ttimestamp:token\na\tx\t2024-03-24 09:00\na\tz\t2024-03-24T08:30:00+02:00\n"
    dates += "a\ty\t2024-03-23\nb\tz\t2024-03-25\nb\tx\t2024-03-26\nb\ty\t2024-03-27\n"
    assert _test_rows(model, _write(tmp_path, dates, item=EMOTIONS)) == [("a", "x"), ("b", "y")]
    days = "user_id:token\titem_id:token\tday:float\na\tx\t3\na\tz\t2\na\ty\t1\nb\tz\t1\nb\tx\t2\nb\ty\t3\n"
    assert _test_rows(model, _write(tmp_path, days, item=EMOTIONS)) == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "filters",
    [
        {"user_inter_num_interval": "[50,inf)", "item_inter_num_interval": "[50,inf)"},
        {"val_interval": {"watch_ratio": "[2,inf)"}, "load_col": {"inter": ["user_id", "item_id", "timestamp", "watch_ratio"]}},
    ],
)
def test_a_filter_that_leaves_nothing_is_named(quick, model, filters):
    quick = quick if model == "ESMR" else {key: quick[key] for key in ("epochs", "data_path", "state") if key in quick}
    with pytest.raises(ConfigError, match=rf"{next(iter(filters))}.* leaves no .* of \d+ interactions. Widen the filter"):
        create_dataset(Config(model, "small", config_dict={**quick, **filters}, arguments=[]))


def test_repeated_lines_are_said_once(tmp_path, caplog):
    rows = ["a\tx\t1", "a\ty\t2", "b\tx\t3", "b\tz\t4", "a\tz\t5", "b\ty\t6"]
    path = _write(tmp_path, "user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join([*rows, rows[1]]) + "\n", item=EMOTIONS)
    for model in MODELS:
        caplog.clear()
        _load(model, path)
        assert "mine.inter: 1 of 7 lines say again what another line says (line 8 is the first)" in caplog.text, model
        caplog.clear()
        _load(model, path, rm_dup_inter="first")
        assert "say again" not in caplog.text, model


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("times", "keys", "message"),
    [
        (("1711281600", "", "1711281700"), {}, "line 3, column 'timestamp': the value is empty; every row needs a"),
        (("1711281600", "NA", "1711281700"), {}, "line 3, column 'timestamp': .*every row needs a"),
        (("0", "1711281600", "1711281700"), {}, "line 2, column 'timestamp': the value is '0'; other rows lie decades later"),
        (("20240324", "20240325", "20240326"), {}, "such as '20240324', look like dates written as YYYYMMDD"),
        (("45375.41667", "45376.5", "45377.25"), {}, "look like Excel's days since 1900"),
        (("1", "2", "3"), {"TIME_FIELD": "when"}, "no column 'when', which TIME_FIELD names"),
        (("1", "2", "3"), {"time_unit": "hours"}, "time_unit is 'hours'; expected auto, s, ms, us, ns"),
    ],
)
def test_times_that_are_none_are_refused_for_every_model(tmp_path, model, times, keys, message):
    rows = "".join(f"{person}\t{item}\t{time}\n" for person in "ab" for item, time in zip("xyz", times, strict=True))
    path = _write(tmp_path, "user_id:token\titem_id:token\ttimestamp:float\n" + rows, item=EMOTIONS)
    with pytest.raises((DataError, ConfigError), match=message):
        _load(model, path, **keys)


def test_days_for_times_are_said_with_the_column_that_may_be_meant(tmp_path, caplog):
    rows = "".join(f"{person}\t{item}\t{10 - place}\t{place}\n" for person in "ab" for place, item in enumerate("xyz"))
    path = _write(tmp_path, "user_id:token\titem_id:token\ttime:float\tday:float\n" + rows, item=EMOTIONS)
    for model in MODELS:
        caplog.clear()
        _load(model, path)
        assert "rows are ordered by 'day'" in caplog.text and "set TIME_FIELD: time" in caplog.text, model
    assert _test_rows("BPR", path, TIME_FIELD="time") == [("a", "x"), ("b", "x")]
