"""Who is offered what: everybody asked for is answered in order, and what was seen before is left out where it must be."""

from __future__ import annotations

import numpy as np
import pytest
import recbole.utils.case_study
import torch

import recbole_esmr
from recbole_esmr.config import Config
from recbole_esmr.data.recbole.sequences import rows_to_answer
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.evaluator.full_sort import full_sort_scores, full_sort_topk
from recbole_esmr.quick_start import prepare
from recbole_esmr.recbole_models import model_class
from tests.conftest import QUICK

VIEWS = {"a": "vwxyz", "b": "wxy", "c": "z", "d": "vvwx"}
ASKED = ["d", "c", "a", "b", "c"]


@pytest.fixture
def few(tmp_path):
    """A data set of four people; ``c`` has a single interaction and so no test row, and nobody has seen ``u``."""
    folder = tmp_path / "data" / "few"
    folder.mkdir(parents=True)
    rows = [
        f"{person}\t{item}\t{1_000_000_000 + 86_400 * day}\t{day + 1}\n"
        for person, items in VIEWS.items()
        for day, item in enumerate(items)
    ]
    (folder / "few.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\tday:float\n" + "".join(rows))
    (folder / "few.item").write_text("item_id:token\temotion:token\n" + "".join(f"{item}\thappy\n" for item in "uvwxyz"))
    return folder


def _prepared(folder, model, repeatable, split=None):
    """The data set, its test loader, and an untrained model."""
    judged = {"split": split or {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
    keys = {**QUICK, "eval_args": judged, "repeatable": repeatable, "topk": [2], "metrics": ["NDCG"], "valid_metric": "NDCG@2"}
    keys |= {"MAX_ITEM_LIST_LENGTH": 3, "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": "*"}}
    config = Config(model, str(folder), config_dict=keys, arguments=[])
    dataset, train, _, test = prepare(config)
    torch.manual_seed(0)
    return dataset, test, model_class(model)(config, train._dataset)


def _names(dataset, items):
    return [dataset.id2token("item_id", row).tolist() for row in items]


@pytest.mark.parametrize("model", ["BPR", "SASRec", "FM", "ESMR"])
@pytest.mark.parametrize("split", [{"LS": "valid_and_test"}, {"RS": [0.4, 0.3, 0.3]}, {"LS": "valid_only"}])
def test_everybody_is_answered_once_and_in_order(few, model, split):
    dataset, test, made = _prepared(few, model, True, split)
    people = dataset.token2id("user_id", ASKED)
    scores = full_sort_scores(people, made, test)
    assert scores.shape == (5, 7) and torch.equal(scores[1], scores[4]), "asked twice, answered twice alike"
    assert (scores[:, 0] == -torch.inf).all() and scores[:, 1:].isfinite().all()
    alone = torch.cat([full_sort_scores([person], made, test) for person in people])
    assert torch.allclose(scores, alone, atol=1e-5)
    best, items = full_sort_topk(people, made, test, k=3)
    assert torch.equal(best, scores.topk(3).values) and (items > 0).all()


def test_who_has_no_test_row_is_answered_for_the_day_after_the_last(few):
    dataset, test, made = _prepared(few, "ESMR", True)
    score, asked = made.score, {}

    def told(user, day):
        asked.update(zip(dataset.id2token("user_id", user).tolist(), day.tolist(), strict=True))
        return score(user, day)

    made.score = told
    full_sort_scores(dataset.token2id("user_id", ASKED), made, test)
    assert asked == {"a": 4, "b": 2, "c": 5, "d": 3}, "the days of their tests; c, who has none, the day after all"


@pytest.mark.parametrize("model", ["BPR", "SASRec", "FM", "ESMR"])
def test_what_was_seen_before_the_test_is_not_offered(few, model):
    """With ``repeatable: False``; ``d`` saw v twice and w before x, which is the test."""
    dataset, test, made = _prepared(few, model, False)
    scores = full_sort_scores(dataset.token2id("user_id", ["d", "c", "a", "b"]), made, test)
    offered = [sorted(np.array(dataset.field2id_token["item_id"])[row.isfinite().numpy()]) for row in scores]
    assert offered == [["u", "x", "y", "z"], ["u", "v", "w", "x", "y"], ["u", "z"], ["u", "v", "y", "z"]]
    hidden = {}
    for rows, history, _, positive in test:
        user = dataset.id2token("user_id", rows["user_id"].numpy())
        for at, item in zip(*(part.tolist() for part in history), strict=True):
            hidden.setdefault(user[at], set()).add(str(dataset.id2token("item_id", item)))
        assert dataset.id2token("item_id", positive.numpy()).tolist() == [VIEWS[name][-1] for name in user]
    assert hidden == {"a": set("vwxy"), "b": set("wx"), "d": set("vw")}, "in RecBole's evaluation too"


@pytest.mark.parametrize("model", ["BPR", "SASRec", "ESMR"])
def test_a_model_is_trained_and_tested_where_nothing_is_repeated(few, model):
    judged = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
    keys = {**QUICK, "epochs": 1, "repeatable": False, "eval_args": judged, "topk": [1, 5], "metrics": ["Recall"]}
    keys |= {"load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": "*"}, "valid_metric": "Recall@1"}
    rows = (few / "few.inter").read_text().replace("a\tz", "a\tv")  # one item that a has not seen, and v again as the test
    (few / "few.inter").write_text(rows)
    result = recbole_esmr.run_recbole(model, str(few), config_dict=keys, arguments=[])["test_result"]
    assert result["recall@5"] == 1.0, "the test item is among what is offered, also where it was seen before"


def test_histories_end_where_the_test_begins(few):
    dataset, test, _ = _prepared(few, "SASRec", True, {"RS": [0.4, 0.3, 0.3]})
    rows = rows_to_answer(test._dataset, dataset.token2id("user_id", ASKED))
    lists = _names(dataset, rows["item_id_list"].numpy())
    tested = {name: int((test._dataset.inter_feat["user_id"] == dataset.token2id("user_id", name)).sum()) for name in VIEWS}
    before = {name: VIEWS[name][: len(VIEWS[name]) - tested[name]][-3:] for name in VIEWS}
    assert tested == {"a": 1, "b": 1, "c": 0, "d": 1} and rows["item_length"].tolist() == [len(before[name]) for name in ASKED]
    assert ["".join(name for name in row if name != "[PAD]") for row in lists] == [before[name] for name in ASKED]


@pytest.mark.parametrize(
    ("people", "k", "error", "says"),
    [
        (
            [1, 99],
            2,
            DataError,
            r"person 99: data set 'few' has the internal ids 1 to 4\. Make them of names with dataset\.token2id",
        ),
        ([0], 2, DataError, "person 0"),
        ([-1], 2, DataError, "person -1"),
        (["a"], 2, DataError, "people are asked for by"),
        ([1], 7, ConfigError, r"k is 7; data set 'few' has 6 items\. Expected 1 to 6"),
        ([1], 0, ConfigError, "k is 0"),
    ],
)
def test_who_or_what_does_not_exist_is_refused(few, people, k, error, says):
    _, test, made = _prepared(few, "BPR", True)
    with pytest.raises(error, match=says):
        full_sort_topk(people, made, test, k)


def test_it_is_found_where_users_look():
    stock = recbole.utils.case_study
    assert stock.full_sort_topk.load() is recbole_esmr.full_sort_topk is full_sort_topk
    assert stock.full_sort_scores.load() is recbole_esmr.full_sort_scores is full_sort_scores
