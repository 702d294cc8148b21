"""Filters and the columns that keys name: the same rows for every model, or one line that says what is wrong."""

from __future__ import annotations

import pytest
from recbole.data import create_dataset

from recbole_esmr.config import Config
from recbole_esmr.errors import DataError, ESMRError

MODELS = ("ESMR", "BPR", "SASRec")
KEYS = {
    "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
    "topk": [1],
    "state": "ERROR",
    "valid_metric": "NDCG@1",
    "metrics": ["NDCG"],
}
MARCH = 1_709_251_200  # 2024-03-01 00:00 UTC
DAY = 86_400
HEAD = "user_id:token\titem_id:token\ttimestamp:float\twatch_ratio:float\tplace:token"


@pytest.fixture
def write(tmp_path):
    """Write a data set: of each of two people a view a day from the first to the twelfth of March 2024, at noon."""

    def written(time=lambda day: str(MARCH + day * DAY + DAY // 2), kind="float", settings="", header=None, **files):
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        head = header or HEAD.replace("timestamp:float", f"timestamp:{kind}")
        rows = [
            f"{user}\ti{(place + day) % 6}\t{time(day)}\t{min(day, 10) / 10}\t{'home' if day % 2 else 'work'}"
            for place, user in enumerate("ab")
            for day in range(12)
        ]
        files = {
            "inter": "\n".join([head, *rows]),
            "item": "item_id:token\temotion:token\n" + "".join(f"i{n}\thappy\n" for n in range(6)),
            **files,
        }
        for suffix, text in files.items():
            if text is not None:
                (folder / f"mine.{suffix}").write_text(text + "\n")
        (folder / "mine.yaml").write_text(settings)
        return str(folder)

    return written


def _rows(model, path, **keys):
    config = Config(model, path, config_dict={**KEYS, **keys}, arguments=[])
    return sum(len(part.inter_feat) for part in create_dataset(config).build()) + (2 if model != "BPR" else 0)


def _ms(day):
    return str((MARCH + day * DAY + DAY // 2) * 1000)


def _iso(day):
    return f"2024-03-{day + 1:02d} 12:00"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("time", "kind", "interval", "days"),
    [
        (_ms, "float", f"[0,{(MARCH + 5 * DAY) * 1000}]", 5),
        (_ms, "float", f"[{(MARCH + 5 * DAY) * 1000},inf)", 7),
        (_ms, "float", "[2024-03-03,2024-03-07]", 5),
        (_ms, "float", f"[{MARCH},{(MARCH + 5 * DAY) * 1000})", 5),
        (_iso, "token", "[2024-03-03,2024-03-07]", 5),
        (_iso, "token", "(2024-03-03,2024-03-07)", 3),
        (_iso, "token", "[2024-03-03 12:00,2024-03-07T11:59]", 4),
        (_iso, "token", "[2024-03-03T12:00:00+00:00,inf);[-inf,2024-03-02)", 11),
        (_iso, "token", f"[{MARCH + 5 * DAY},inf)", 7),
        (lambda day: str(100 + day), "float", "[103,104]", 2),
    ],
)
def test_bounds_of_moments_are_read_as_the_moments_are(write, model, time, kind, interval, days):
    path = write(time, kind)
    assert _rows(model, path, val_interval={"timestamp": interval}) == 2 * days


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("load", ["", "load_col: {inter: [user_id, item_id, timestamp]}"])
@pytest.mark.parametrize(
    ("keys", "rows"),
    [
        ({"val_interval": {"watch_ratio": "[0.5,inf)"}}, 14),
        ({"val_interval": "{watch_ratio: '(0.5,0.8]'}"}, 6),
        ({"val_interval": {"place": ["home"]}}, 12),
        ({"val_interval": {"user_id": ["a"], "watch_ratio": "[0,0.1];[1,2]"}}, 4),
        ({"user_inter_num_interval": "[12,12]"}, 24),
        ({"rm_dup_inter": "first"}, 12),
    ],
)
def test_every_model_is_filtered_alike_whatever_is_loaded(write, model, load, keys, rows):
    path = write(settings=f"{load}\n")
    lost = 1 if model != "BPR" and "user_id" in keys.get("val_interval", ()) else 0  # b has no first interaction to leave out
    assert _rows(model, path, **keys) - lost == rows


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("keys", "says"),
    [
        *[
            (
                {"val_interval": {"watch_ratio": given}},
                r"val_interval: watch_ratio is .*; expected an interval such as '\[5,inf\)'",
            )
            for given in (">0.5", "0.5", "", 0.5, "[a,1]", "[nan,1]", "0.5,1", "[0,1", "[0,1,2]")
        ],
        ({"val_interval": {"watch_ratio": "[1,0]"}}, "lower bound is above the upper one"),
        ({"val_interval": {"timestamp": "[yesterday,inf)"}}, "val_interval: timestamp is .* expected an interval"),
        ({"val_interval": {"watch_rati": "[0,1]"}}, "val_interval: watch_rati: no file .* Did you mean 'watch_ratio'"),
        ({"val_interval": {"place": "home"}}, "val_interval: place is 'home'; expected a list of texts"),
        ({"val_interval": "watch_ratio"}, "val_interval is 'watch_ratio'; expected columns with intervals"),
        ({"val_interval": {"watch_ratio": "[0,1]"}, "unload_col": {"inter": ["watch_ratio"]}}, "unload_col leaves this column"),
        *[({"user_inter_num_interval": given}, "user_inter_num_interval is .*; expected") for given in (150, "150,inf")],
        ({"item_inter_num_interval": "[5"}, "item_inter_num_interval is '.5'; expected an interval"),
        *[({"rm_dup_inter": given}, "rm_dup_inter is .*; expected first or last") for given in (True, False, "frist")],
        ({"filter_inter_by_user_or_item": "user"}, "filter_inter_by_user_or_item is 'user'; expected True or False"),
        ({"threshold": {"rating": 3}}, "threshold: rating: mine.inter has no such column"),
        ({"threshold": {"place": 3}}, "threshold: place: the column has the type 'token'; expected float"),
        ({"threshold": 0.5}, "threshold is 0.5; expected one column and a number"),
        ({"normalize_field": ["x"]}, "normalize_field: x: no file of data set 'mine' has this column"),
        ({"normalize_field": "watch_ratio"}, "normalize_field is 'watch_ratio'; expected a list of columns"),
        ({"alias_of_user_id": ["usr_id"]}, "alias_of_user_id: usr_id: no file .* Did you mean 'user_id'"),
        ({"alias_of_item_id": ["watch_ratio"]}, "alias_of_item_id: watch_ratio: the column has the type 'float'"),
        (
            {"benchmark_filename": ["train", "valid", "tset"]},
            r"mine\.train\.inter: no such file, and benchmark_filename",
        ),
        ({"benchmark_filename": ["train", "test"]}, "benchmark_filename is .*; expected the names of three parts"),
        ({"eval_args": {"mode": "fulll"}}, "eval_args: mode is 'fulll'; expected full, labeled"),
        ({"eval_args": {"mode": {"valid": "full", "test": "uni"}}}, "eval_args: mode is 'uni'"),
        ({"learning_rate": -1}, "learning_rate is -1; expected a number above 0"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"train_neg_sample_args": {"distribution": "unifrm"}}, "distribution is 'unifrm'; expected one of uniform, popularity"),
        ({"train_neg_sample_args": {"distribution": "uniform", "sample_num": 0}}, "sample_num is 0; expected a whole number"),
        ({"train_neg_sample_args": "uniform"}, "train_neg_sample_args is 'uniform'; expected a mapping"),
    ],
)
def test_what_cannot_be_meant_is_one_line(write, model, keys, says):
    with pytest.raises(ESMRError, match=says):
        Config(model, write(), config_dict={**KEYS, **keys}, arguments=[])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("files", "settings", "says"),
    [
        (
            {"header": HEAD.replace("user_id", "user")},
            "",
            "line 1: the column 'user_id:token' is missing. Add it, or set USER_",
        ),
        ({"header": HEAD.replace("user_id:token", "user_id:float")}, "", "'user_id' has the type 'float'. Write 'user_id:token'"),
        ({"header": HEAD.replace("\t", ",")}, "", "the columns are separated by ',', and field_separator is"),
        ({"header": HEAD.replace("\t", "; ")}, "", "the columns are separated by ';'"),
        ({"inter": HEAD}, "", "mine.inter: has a header but no rows"),
        ({"user": "user_id:token\tage:token"}, "load_col: ", "mine.user: has a header but no rows. Write one row for each pers"),
        ({"item": "emotion:token\nhappy"}, "load_col: ", "mine.item, line 1: the column 'item_id:token' is missing"),
    ],
)
def test_files_without_ids_or_rows_are_one_line(write, model, files, settings, says):
    config = Config(model, write(settings=settings, **files), config_dict=KEYS, arguments=[])
    with pytest.raises(DataError, match=says):
        create_dataset(config)


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
@pytest.mark.parametrize("load", ["{item: [item_id]}", "{inter: [timestamp]}", "{inter: [timestamp], item: [emotion]}"])
def test_ids_are_loaded_whatever_load_col_says(write, model, load):
    assert _rows(model, write(settings=f"load_col: {load}\nfilter_inter_by_user_or_item: False\n")) == 24


def test_other_names_of_ids_need_no_load_col(write):
    path = write(header=HEAD.replace("user_id", "who").replace("item_id", "what"), item=None)
    assert _rows("BPR", path, USER_ID_FIELD="who", ITEM_ID_FIELD="what") == 24
