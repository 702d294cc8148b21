"""Values of RecBole's keys: each is of its kind, or named in one line before RecBole sees it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recbole_esmr.config import Config
from recbole_esmr.errors import ConfigError, ESMRError
from recbole_esmr.recbole_keys import known_keys


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("metrics", [None], "metrics is [None]; expected metrics such as [Recall, NDCG]"),
        ("metrics", [], "metrics is []"),
        ("metrics", {"NDCG": 10}, "metrics is {'NDCG': 10}"),
        ("topk", None, "topk is None; expected whole numbers of at least 1"),
        ("topk", [10, 0], "topk is [10, 0]"),
        ("topk", [True], "topk is [True]"),
        ("valid_metric", 5, "valid_metric is 5; expected a metric such as NDCG@10"),
        ("seed", "one", "seed is 'one'; expected a whole number of at least 0 and at most 4294967295"),
        ("seed", 2**32, "seed is 4294967296"),
        ("seed", 1.5, "seed is 1.5"),
        ("seed", True, "seed is True"),
        ("epochs", None, "epochs is None; expected a whole number of at least 0"),
        ("epochs", 10**400, "epochs is 1000"),
        ("eval_batch_size", 0, "eval_batch_size is 0; expected a whole number of at least 1"),
        ("learning_rate", "fast", "learning_rate is 'fast'; expected a number above 0"),
        ("learning_rate", 0, "learning_rate is 0"),
        ("learning_rate", 10**400, "learning_rate is 1000"),
        ("learning_rate", 1e300, "learning_rate is 1e+300; expected a number above 0 and of at most 1e+06"),
        ("worker", 3000, "worker is 3000; expected a whole number of at least 0 and at most 256"),
        ("embedding_size", 0, "embedding_size is 0; expected a whole number of at least 1 and at most 1000000"),
        ("train_neg_sample_args", {"sample_num": 10**9}, "sample_num is 1000000000; expected a whole number from 1 to 10,000"),
        ("train_neg_sample_args", {"alpha": 1e300}, "alpha is 1e+300; expected a number from 0 to 10"),
        ("learner", "adma", "learner is 'adma'; expected one of adam, adamw"),
        ("state", 5, "state is 5; expected a level of the log"),
        ("gpu_id", [None], "gpu_id is [None]; expected the number of a GPU"),
        ("nproc", "two", "nproc is 'two'; expected a whole number"),
        ("worker", -1, "worker is -1; expected a whole number of at least 0"),
        ("show_progress", "perhaps", "show_progress is 'perhaps'; expected True or False"),
        ("load_col", ["user_id"], "load_col is ['user_id']; expected a mapping such as {'inter': "),
        ("load_col", {"inter": None}, "load_col: inter is None; expected '*' or a list of columns"),
        ("load_col", {"inter": [1]}, "load_col: inter is [1]"),
        ("unload_col", {"inter": "*"}, "unload_col: inter is '*'; expected a list of columns"),
        ("user_inter_num_interval", {"a": 1}, "user_inter_num_interval is {'a': 1}; expected an interval"),
        ("alias_of_user_id", "friend", "alias_of_user_id is 'friend'; expected a list of columns"),
        ("alias_of_item_id", [[]], "alias_of_item_id is [[]]"),
        ("USER_ID_FIELD", 7, "USER_ID_FIELD is 7; expected a name (a text, in quotation marks"),
        ("ITEM_ID_FIELD", None, "ITEM_ID_FIELD is None"),
        ("USER_ID_FIELD", "a\nb", "USER_ID_FIELD is 'a\\nb'"),
        ("data_path", 2024, "data_path is 2024; expected a folder (a text, in quotation marks"),
        ("data_path", "a\0b", "data_path is 'a\\x00b'"),
        ("checkpoint_dir", "", "checkpoint_dir is ''"),
        ("checkpoint_dir", "a/" + "x" * 300, "checkpoint_dir is 'a/xxx"),
        ("data_path", "x" * 300, "data_path is 'xxx"),
        ("benchmark_filename", "train", "benchmark_filename is 'train'; expected the names of three parts"),
        ("threshold", {"watch_ratio": "half"}, "threshold: watch_ratio is 'half'; expected a number"),
        ("clip_grad_norm", {"max_norn": 5}, "clip_grad_norm: unknown key 'max_norn'. Did you mean 'max_norm'?"),
        ("clip_grad_norm", {"max_norm": "x"}, "clip_grad_norm: max_norm is 'x'; expected a number above 0"),
        ("train_neg_sample_args", {"distribution": "some"}, "distribution is 'some'; expected one of uniform, popularity"),
        ("train_neg_sample_args", {"sample_num": 0}, "train_neg_sample_args: sample_num is 0"),
        ("train_neg_sample_args", {"dynamic": "x"}, "train_neg_sample_args: dynamic is 'x'; expected True or False"),
        ("eval_args", [1], "eval_args is [1]; expected a mapping"),
        ("discretization", {"length": 5}, "discretization: length is 5; expected a mapping such as {'method': 'ED'"),
        (
            "discretization",
            {"length": {"method": "ED"}},
            "discretization: length is {'method': 'ED'}; expected a mapping such as",
        ),
        ("clip_grad_norm", {}, "clip_grad_norm has no max_norm; expected a mapping such as {'max_norm': 5}"),
        ("transform", "mask", "transform is 'mask'; expected one of mask_itemseq"),
        (
            "MAX_ITEM_LIST_LENGTH",
            2**31 - 1,
            "MAX_ITEM_LIST_LENGTH is 2147483647; expected a whole number of at least 1 and at most",
        ),
        ("numerical_features", None, "numerical_features is None; expected a list of columns"),
        ("embedding_size", "large", "embedding_size is 'large'; expected a whole number of at least 1"),
        ("mlp_hidden_size", 64, "mlp_hidden_size is 64; expected a list such as"),
        ("hidden_act", [1], "hidden_act is [1]; expected a text such as 'gelu'"),
        ("MODEL_TYPE", 1, "MODEL_TYPE is 1; expected nothing, for it follows from the model"),
        ("max_days", 0, "max_days is 0; expected a whole number of at least 1"),
        ("memory_limit", "1 GB", "memory_limit is '1 GB'; expected a number of GiB above 0"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_before_recbole_sees_it(mine, tmp_path, key, value, says):
    """In a config_dict; and in a file, which the message names then."""
    data = str(mine())
    usual = {"data_path": data} if key != "data_path" else {}
    with pytest.raises(ConfigError) as refused:
        Config("BPR", "small", config_dict={**usual, key: value}, arguments=[])
    assert says in str(refused.value) and "\n" not in str(refused.value)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({key: value}))
    with pytest.raises(ConfigError) as refused:
        Config("BPR", "small", [tmp_path / "mine.yaml"], usual, arguments=[])
    assert str(refused.value).startswith(f"{tmp_path}/mine.yaml")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("val_interval", 5, "val_interval is 5; expected columns with intervals"),
        ("user_inter_num_interval", "5", "user_inter_num_interval is '5'; expected an interval"),
        ("eval_args", {"mode": {"train": "full"}}, "eval_args: mode is {'train': 'full'}; expected the keys valid and test"),
        ("discretization", {"length": {"method": "LD"}}, "discretization: length: is not among numerical_features"),
        ("numerical_features", ["user_id"], "numerical_features: user_id: the column has the type 'token'; expected float"),
        ("numerical_features", ["lenth"], "numerical_features: lenth: no file of data set 'small' has this column"),
        ("preload_weight", {"ent_id": "ent_emb"}, "preload_weight: ent_id: ent_emb: expected two columns of one file"),
        ("additional_feat_suffix", ["ent"], "small.ent is not there. Take ent out"),
        ("additional_feat_suffix", "inter", "additional_feat_suffix: .inter is read anyway"),
        ("unused_col", {"itm": ["x"]}, "unused_col: unknown suffix 'itm'. Did you mean 'item'?"),
        ("unload_col", {"inter": ["day"]}, "unload_col: load_col lists columns of .inter as well"),
        ("USER_ID_FIELD", "item_id", "item_id: is named both as people and as items"),
        ("TIME_FIELD", None, "TIME_FIELD is ~, and eval_args has `order: TO`"),
        ("transform", "mask_itemseq", "transform: mask_itemseq reads mask_ratio, which is None"),
    ],
)
def test_a_value_that_does_not_fit_the_others_or_the_files_is_named(data_path, key, value, says):
    """Where RecBole would stop with a traceback once it reads the data."""
    with pytest.raises(ConfigError) as refused:
        Config("BPR", "small", config_dict={"data_path": str(data_path), key: value}, arguments=[])
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_a_text_stays_what_was_typed_where_the_key_holds_a_text(mine):
    """Numbers, dates and words that look like something else; quotation marks may stand around them."""
    data = mine()
    for name in ("1e5", "2024-01", "007", "true", "[x]"):
        (data / name).mkdir()
        shutil.copytree(data / "small", data / name / "small")
        config = Config("BPR", "small", arguments=[f"--data_path={data / name}", f"--checkpoint_dir={name}", "--state='INFO'"])
        assert (
            config["data_path"] == str(data / name / "small") and config["checkpoint_dir"] == name and config["state"] == "INFO"
        )
    same = Config("BPR", "small", config_dict={"data_path": str(data), "checkpoint_dir": "1e5"}, arguments=["--gpu_id=0,1"])
    assert same["checkpoint_dir"] == "1e5" and same["gpu_id"] == "0,1"
    taken = Config(
        "BPR", "small", config_dict={"data_path": data, "seed": np.int64(3), "use_gpu": 0}, arguments=["--learner=Adam"]
    )
    assert (taken["seed"], taken["use_gpu"], taken["learner"]) == (3, False, "adam")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "checkpoint_dir: elsewhere",
            "small.yaml: checkpoint_dir is not set here: a data set does not say what is written where",
        ),
        ("log_wandb: true", "small.yaml: log_wandb is not set here"),
        ("local_rank: 0", "small.yaml: local_rank is not set here"),
        ("dataset_save_path: a.pth", "small.yaml: dataset_save_path is 'a.pth'; expected nothing"),
        ("5: x", "small.yaml: a key is 5; expected a text"),
        ("topk: [5]", "line 28: the key 'topk' is given twice"),
    ],
)
def test_what_the_file_of_a_data_set_does_not_set(mine, line, says):
    data = mine(line + "\n")
    with pytest.raises(ConfigError) as refused:
        Config("BPR", "small", config_dict={"data_path": str(data)}, arguments=[])
    assert says in str(refused.value)


def test_an_option_given_twice_is_refused(data_path):
    with pytest.raises(ConfigError, match="--seed is given twice, as '1' and '2'"):
        Config("BPR", "small", arguments=[f"--data_path={data_path}", "--seed=1", "--seed=2"])


SCALARS = st.none() | st.booleans() | st.integers(-2, 10**20) | st.floats() | st.text(max_size=8)
WORDS = st.sampled_from(["*", "[0,inf)", "NDCG", "inter", "split", "day"])
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5) | WORDS, part, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(known_keys())), VALUES, st.sampled_from(["BPR", "ESMR", "SASRec", "FM"]), st.booleans())
def test_any_value_of_any_key_gives_a_config_or_one_line(mine, tmp_path, key, value, model, beside):
    """In a config file, or in the file beside the data."""
    text = yaml.safe_dump({key: value}, allow_unicode=True)
    data = mine("\n" + text if beside else "")
    (tmp_path / "mine.yaml").write_text("" if beside else text, encoding="utf-8")
    try:
        Config(model, "small", [tmp_path / "mine.yaml"], {"data_path": str(data)}, arguments=[])
    except ESMRError as error:
        assert "\n" not in str(error) and len(str(error)) < 800


@pytest.mark.parametrize("name", ["x" * 300, "./" + "x" * 300, "a\0b", "\ud800", ""])
def test_a_name_that_no_folder_can_have_is_one_line(name):
    with pytest.raises(ConfigError, match=r"dataset is .*; expected a name"):
        Config("BPR", name, arguments=[])
