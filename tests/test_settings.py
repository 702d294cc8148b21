"""Typed settings and the ESMR keys."""

from dataclasses import dataclass

import pytest
import yaml

from recbole_esmr.config import Config, ESMRSettings
from recbole_esmr.errors import ConfigError, UnknownNameError
from recbole_esmr.files import shipped
from recbole_esmr.settings import RERANKER, SERVING, flat_keys, parse, parse_flat, section, setting
from recbole_esmr.simulation import load_world


@dataclass(frozen=True, kw_only=True)
class Inner:
    share: float = setting("a share", low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int = setting("a count", low=1)
    kind: str = setting("a kind", choices=("a", "b"))
    on: bool = setting("a switch")
    parts: dict[str, float] = setting("parts", low=0)
    inner: Inner


GOOD = {"count": 2, "kind": "a", "on": True, "parts": {"x": 1}, "inner": {"share": 0.5}}


def test_values_are_typed():
    parsed = parse(Outer, GOOD | {"count": 2.0}, "here")
    assert parsed == Outer(count=2, kind="a", on=True, parts={"x": 1.0}, inner=Inner(share=0.5))
    assert isinstance(parsed.count, int) and isinstance(parsed.parts["x"], float)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"count": 0}, "here: count is 0; expected a number in [1, inf]"),
        ({"count": True}, "expected a whole number"),
        ({"count": 1.5}, "expected a whole number"),
        ({"count": "2"}, "expected a whole number"),
        ({"kind": "c"}, "expected one of a, b"),
        ({"on": 1}, "expected true or false"),
        ({"parts": {"x": -1}}, "here: parts.x is -1"),
        ({"parts": [1]}, "expected a mapping"),
        ({"inner": {"share": 2}}, "here: inner: share is 2"),
        ({"inner": {"shar": 2}}, "unknown key 'shar'. Did you mean 'share'?"),
        ({"inner": {}}, "the key 'share' is missing"),
        ({"inner": 3}, "expected a mapping with the keys share"),
        ({"coutn": 3}, "unknown key 'coutn'. Did you mean 'count'?"),
    ],
)
def test_bad_values(change, says):
    with pytest.raises(ConfigError) as caught:
        parse(Outer, GOOD | change, "here")
    assert says in str(caught.value)


@dataclass(frozen=True, kw_only=True)
class Part:
    size: int = setting("a size", low=1, changes=RERANKER)
    rate: float = setting("a rate", low=0, key="speed", changes=SERVING)


@dataclass(frozen=True, kw_only=True)
class Whole:
    part: Part = section("part_")
    inner: Inner = section("")


def test_sections_of_a_flat_yaml():
    """The yaml is flat, the settings nest: a key is the section's prefix and the field's name, or what it is declared to be."""
    flat = {"part_size": 3, "speed": 1, "share": 0.5, "something": "else"}
    assert parse_flat(Whole, flat, "here") == Whole(part=Part(size=3, rate=1.0), inner=Inner(share=0.5))
    assert flat_keys(Whole) == ["part_size", "speed", "share"]
    assert flat_keys(Whole, SERVING) == ["speed"] and flat_keys(Whole, RERANKER) == ["part_size"]
    with pytest.raises(ConfigError, match=r"here: part_size is 0; expected a number in \[1, inf\]"):
        parse_flat(Whole, flat | {"part_size": 0}, "here")
    with pytest.raises(ConfigError, match=r"here: the key 'speed' is missing \(a rate\)"):
        parse_flat(Whole, {"part_size": 3, "share": 0.5}, "here")


def test_what_may_change_after_training_is_declared_with_the_key():
    served = {"gate", "gate_streak", "gate_recovery", "min_engagement", "min_engagement_slate", "reranker_pessimism"}
    served |= {"max_emotion_share", "max_negative_share"}
    assert set(flat_keys(ESMRSettings, SERVING)) == served
    retrained = set(flat_keys(ESMRSettings, RERANKER))
    assert retrained and all(key.startswith(("reward", "reranker_")) for key in retrained)
    assert not retrained & {"reranker_hidden_size", "reranker_ensemble", "reranker_pessimism"}, "weights would not fit"


def test_every_esmr_key_has_a_value_and_a_comment():
    path = shipped("properties") / "model" / "ESMR.yaml"
    values = yaml.safe_load(path.read_text())
    assert set(flat_keys(ESMRSettings)) <= set(values)
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", " "))]
    assert [line for line in lines if "# (" not in line] == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gate_streek": 2}, "unknown config key 'gate_streek'. Did you mean 'gate_streak'?"),
        ({"lerning_rate": 2}, "Did you mean 'learning_rate'?"),
        ({"gate": "sometimes"}, "expected one of forecast, streak, always, never"),
        ({"gate_streak": 0}, "gate_streak is 0; expected a number in [1, 365] days"),
        ({"encoder_heads": 5}, "a width that the heads divide"),
        ({"day_split": [1, 1]}, "three shares"),
        ({"retriever": "FM"}, "neither a general nor a sequential model"),
        ({"retriever_config": {"MAX_ITEM_LIST_LENGTH": 9}}, "MAX_ITEM_LIST_LENGTH is the data set's"),
        (
            {"retriever_config": {"embeding_size": 8}},
            "retriever_config: unknown key 'embeding_size'. Did you mean 'embedding_size'?",
        ),
        ({"topk": [5]}, "valid_metric is NDCG@10; expected one of metrics"),
        ({"valid_metric": "MRR@10"}, "valid_metric is MRR@10"),
        ({"seed": -1}, "seed is -1; expected a whole number of at least 0"),
        ({"epochs": "many"}, "epochs is 'many'"),
        ({"metrics": ["Recal"]}, "unknown metric 'Recal'. Did you mean 'Recall'?"),
        ({"eval_args": {"order": "RO", "split": {"RS": [8, 1, 1]}, "mode": "full"}}, "order: TO"),
    ],
)
def test_bad_config_values(quick, change, says):
    with pytest.raises(ConfigError) as caught:
        Config("ESMR", "small", config_dict={**quick, **change}).of_retriever()
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("model", "dataset", "says"),
    [
        ("ESRM", "small", "unknown model 'ESRM'. Did you mean 'ESMR'?"),
        ("Nothing", "small", "Known: "),
        ("ESMR", "smal", "Did you mean 'small'?"),
        ("ESMR", "elsewhere", "esmr-mini"),
        ("ESMR", "x" * 255, "unknown data set 'xxx"),
    ],
)
def test_unknown_names(quick, model, dataset, says):
    with pytest.raises(UnknownNameError) as caught:
        Config(model, dataset, config_dict=quick)
    assert says in str(caught.value)


def test_recboles_precedence(tmp_path, quick, monkeypatch):
    """File < dict < command line, and each beats the yaml files."""
    (tmp_path / "a.yaml").write_text("gate_streak: 5\ncandidates: 50\nlearning_rate: 0.5\nranker_leaves: 4\n")
    (tmp_path / "b.yaml").write_text("ranker_leaves: 5\n")
    monkeypatch.setattr("sys.argv", ["run.py", "--gate_streak=7", "--cov=x"])
    files = [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    config = Config("ESMR", "small", files, {**quick, "gate_streak": 6, "candidates": 60})
    assert (config["gate_streak"], config["candidates"], config["learning_rate"]) == (7, 60, 0.5)
    assert config["ranker_leaves"] == 5
    assert config["gate"] == "streak"  # properties/model/ESMR.yaml
    assert config["MAX_ITEM_LIST_LENGTH"] == 20  # small.yaml beside the data
    assert "cov" not in config.final_config_dict  # another program's option
    with pytest.raises(ConfigError, match="gate_streak"):
        monkeypatch.setattr("sys.argv", ["run.py", "--gate_streek=7"])
        Config("ESMR", "small", None, quick)


def test_recboles_own_keys_pass(quick):
    config = Config("ESMR", "small", config_dict={**quick, "embedding_size": 7, "weight_decay": 0.1, "val_interval": None})
    assert config["embedding_size"] == 7


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("base: reference\nexposure: {strenght: 1}\n", "unknown key 'strenght'. Did you mean 'strength'?"),
        ("base: reference\naffect: {inertia: 1.5}\n", "affect: inertia is 1.5; expected a number in [0, 0.99]"),
        ("base: reference\npopulation: {profile_share: {casual: 0.4}}\n", "profile_share sums to 0.9"),
        ("base: reference\ncatalogue: {emotion_share: {lonely: 0.0, lonley: 0.08}}\n", "'lonley'. Did you mean 'lonely'?"),
        ("base: reference\nretention: {churn: {new: 0.4}}\n", "retention: churn has the keys"),
        ("emotion_taxonomy: esmr\n", "the key 'catalogue' is missing"),
    ],
)
def test_bad_worlds(tmp_path, text, says):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"odd\.yaml") as caught:
        load_world(str(tmp_path / "odd.yaml"))
    assert says in str(caught.value)


def test_unknown_world_lists_what_exists():
    with pytest.raises(UnknownNameError, match="reference"):
        load_world("mars")
