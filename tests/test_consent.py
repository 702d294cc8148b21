"""Consent: nothing of ``.day`` of who does not consent is read, and where it is in doubt who consents, nothing is trained."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_esmr.check import check
from recbole_esmr.checkpoint import load_checkpoint
from recbole_esmr.checkpoint.container import Block
from recbole_esmr.checkpoint.tree import to_blocks
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.data.reading.found import log_found
from recbole_esmr.errors import DataError
from recbole_esmr.quick_start import estimate_causal, run_recbole

INTER = "user_id:token\titem_id:token\ttimestamp:float\tday:float\twatch_ratio:float\n" + "".join(
    f"{user}\t{item}\t{100 * day + place}\t{day}\t0.5\n"
    for user in ("a", "b", "c")
    for day in (1, 2, 3)
    for place, item in enumerate("xyz")
)
ITEM = "item_id:token\temotion:token\temotion_intensity:float\nx\tangry\t0.8\ny\thappy\t0.5\nz\tneutral\t1\n"
DAY = (
    "user_id:token\tday:float\temotion:token\tposts:float\tsteps:float\na\t1\thappy\t2\t\na\t2\tangry\t3\t\nb\t2\tlonely\t4\t5\n"
)


def _write(folder: Path, **files: str) -> str:
    path = folder / "tiny"
    path.mkdir(exist_ok=True)
    for suffix, text in {"inter": INTER, "item": ITEM, "day": DAY, **files}.items():
        (path / f"tiny.{suffix}").write_text(text)
    return str(path)


def _load(path: str, **keys: object) -> ESMRDataset:
    return ESMRDataset(
        Config("ESMR", path, config_dict={"state": "WARNING", "metrics": ["Recall", "NDCG"], **keys}, arguments=[])
    )


def _user(*rows: str, head: str = "consent:float") -> str:
    return "\n".join(["user_id:token\t" + head, *(row.replace(" ", "\t", 1) for row in rows)]) + "\n"


def _consents(dataset: ESMRDataset) -> str:
    return "".join(name for name in "abc" if dataset.trace.consent[dataset.token2id("user_id", name)])


@pytest.mark.parametrize(
    ("user", "keys", "consents"),
    [
        (_user("a 1", "b 0", "c 1"), {}, "ac"),
        (_user("a 1.0", "b ", "c 1"), {}, "ac"),  # an empty cell is no consent
        (_user("a yes", "b No", "c TRUE", head="consent:token"), {}, "ac"),
        (_user("a yes", "b false", "c 1"), {}, "ac"),  # words under float
        (_user("a 1", "b NA", "c 1", head="consent:token"), {}, "ac"),
        (_user("a 1", "b 0", "c 1"), {"unload_col": {"user": ["consent"]}}, "ac"),
        (_user("a 1", "b 0", "c 1"), {"load_col": {"inter": "*", "item": ["item_id"], "user": ["user_id"]}}, "ac"),
        (_user("a 1", "b 0", "c 1", head="agreed:float"), {"CONSENT_FIELD": "agreed"}, "ac"),
        (_user("a 1", "b 0", "c 1", head="agreed:float"), {"CONSENT_FIELD": ""}, "abc"),
        (_user("a 1", "b 0", "c 1", head="agreed:float"), {"CONSENT_FIELD": None}, "abc"),
        (_user("a 0.4", "b 0.9", "c 0.1", head="agreeableness:float"), {}, "abc"),
    ],
)  # fmt: skip
def test_who_consents(tmp_path, user, keys, consents):
    assert _consents(_load(_write(tmp_path, user=user), **keys)) == consents


@pytest.mark.parametrize(
    ("files", "keys", "says"),
    [
        ({"user": _user("a 1", "b 2", "c 1")}, {}, ("tiny.user, line 3, column 'consent'", "'2'", "1, yes or true")),
        ({"user": _user("a 1", "b maybe", "c 1", head="consent:token")}, {}, ("line 3, column 'consent'", "'maybe'")),
        ({"user": _user("a 1", "b 0", head="consented:float")}, {}, ("tiny.user, line 1", "CONSENT_FIELD: consented")),
        ({"user": _user("a 1", "b 0", head="Consent:float")}, {}, ("tiny.user, line 1", "CONSENT_FIELD: Consent")),
        ({"user": _user("a yes", "b no", head="agreed:token")}, {}, ("CONSENT_FIELD: agreed", "CONSENT_FIELD: ''")),
        ({"user": _user("a 1", "b 0", head="opt_out:float")}, {}, ("'opt_out'", "with 1 for yes")),
        ({"user": _user("a 1", "b 0", head="other:float")}, {"CONSENT_FIELD": "agreed"}, ("'agreed', which CONSENT",)),
        ({"user": _user("a 1", "b 0", head="other:float")}, {"CONSENT_FIELD": "consent"}, ("no column 'consent'",)),
        ({}, {"CONSENT_FIELD": "agreed"}, ("tiny.user: no such file", "'agreed'")),
        ({"yaml": "CONSENT_FIELD: consent\n"}, {}, ("tiny.user: no such file", "'consent'")),
        ({"day": DAY.replace("posts", "consent")}, {}, ("tiny.day, line 1", "one row a person")),
    ],
)  # fmt: skip
def test_in_doubt_nothing_is_read(tmp_path, files, keys, says):
    with pytest.raises(DataError) as caught:
        _load(_write(tmp_path, **files), **keys)
    assert [part for part in says if part not in str(caught.value)] == []


def test_a_column_that_only_its_name_makes_look_like_consents_is_warned_of(tmp_path, caplog):
    dataset = _load(_write(tmp_path, user=_user("a 3", "b 7", "c 9", head="allowance:float")))
    assert _consents(dataset) == "abc" and "'allowance' looks as if it said who consents" in caplog.text


def test_where_nobody_was_asked_that_is_said(tmp_path):
    dataset = _load(_write(tmp_path))
    assert log_found(dataset)["consent"] == "no tiny.user: taken as given"
    dataset = _load(_write(tmp_path, user=_user("a x", "b y", "c x", head="user_profile:token")))
    assert log_found(dataset)["consent"] == "no column 'consent' in tiny.user: taken as given"


def test_who_is_absent_from_the_file_of_people_has_not_consented_and_is_counted(tmp_path, caplog):
    path = _write(tmp_path, user=_user("a 1", "b 1"))
    assert _consents(_load(path, filter_inter_by_user_or_item=False)) == "ab"
    assert "1 people of tiny.inter have no row, so no consent" in caplog.text and "left out" not in caplog.text
    assert _load(path).user_num == 3
    assert "tiny.user: 1 people of tiny.inter have no row, so their 9 of 27 interactions are left out" in caplog.text


@pytest.mark.parametrize(
    "poison",
    [
        "b\t2\tno such emotion\t4\t5\n",
        "b\t60\t\t\t\nb\t61\tsad\t1\t1\n",
        "b\t-900000\tangry\t1e30\tinf\n",
        "b\tno day\t\tx\ty\nb\t2.5\t\t\t\n",
        "b\t2\thappy\t1\t1\nb\t2\thappy\t1\t1\n",
        "",
    ],
)
def test_values_that_would_be_refused_or_move_the_calendar_are_not_looked_at(tmp_path, poison, caplog):
    found = []
    for rows in ("b\t2\tlonely\t4\t5\n", poison):
        path = _write(tmp_path, user=_user("a 1", "b 0", "c 1"), day=DAY[: DAY.index("b\t")] + rows)
        caplog.clear()
        dataset = _load(path)
        looked = check(path, config_dict={"metrics": ["Recall", "NDCG"]}, arguments=[])
        trace = {name: np.asarray(value).tolist() for name, value in vars(dataset.trace).items()}
        found.append((str(trace), caplog.text, log_found(dataset), looked))
    assert found[0] == found[1]


def test_nor_is_the_profile_of_who_does_not_consent(tmp_path):
    for other in ("x", "y"):
        user = "user_id:token\tconsent:float\tuser_profile:token\n" + f"a\t1\tx\nb\t0\t{other}\nc\t1\tz\n"
        trace = _load(_write(tmp_path, user=user)).trace
        assert trace.profiles == ("x", "z") and sorted(trace.profile[1:].tolist()) == [-1, 0, 1]


def test_a_line_with_too_few_cells_is_a_broken_file_whoever_it_is_of(tmp_path):
    with pytest.raises(DataError, match=r"tiny.day, line 5: has 2 cells and the header 5") as caught:
        _load(_write(tmp_path, user=_user("a 1", "b 0", "c 1"), day=DAY + "b\tsecret\n"))
    assert "secret" not in str(caught.value)


def test_nobody_who_consents_reported_anything(tmp_path, caplog):
    for rows in ("b\t2\tlonely\t4\t5\n", ""):
        path = _write(tmp_path, user=_user("a 1", "b 0", "c 1"), day=DAY[: DAY.index("a\t")] + rows)
        assert not _load(path).trace.has_emotion
        assert "tiny.day: no row is of a person who consents" in caplog.text


def test_ids_that_nobody_has_are_still_said(tmp_path):
    day = DAY.replace("a\t", "A\t")
    with pytest.raises(DataError, match=r"spelled differently in .inter, for example 'A' here and 'a' there"):
        _load(_write(tmp_path, user=_user("a 1", "b 0", "c 1"), day=day))


# -- the poison test -----------------------------------------------------------------------------------------------------


def _silence(folder: Path, share: int = 3) -> set[str]:
    """Every third person does not consent; who is left out of .user has not consented either."""
    user = pd.read_csv(folder / "small.user", sep="\t", dtype=str)
    silent = set(user["user_id:token"][::share])
    user["consent:float"] = np.where(user["user_id:token"].isin(silent), "0", "1")
    user.iloc[1:].to_csv(folder / "small.user", sep="\t", index=False)
    return silent


def _poison(folder: Path, silent: set[str]) -> None:
    """Other values, other days and other numbers of rows in .day of who does not consent."""
    rng = np.random.default_rng(7)
    day = pd.read_csv(folder / "small.day", sep="\t", dtype=str, keep_default_na=False)
    theirs = day["user_id:token"].isin(silent)
    poison = day[theirs].sample(frac=0.6, random_state=1)
    for column in poison.columns.drop("user_id:token"):
        poison[column] = rng.choice(["0", "1", "-7.5", "1e9", "happy", "angry", "", "nonsense"], len(poison))
    poison["day:float"] = rng.integers(-400, 400, len(poison)).astype(str)
    mixed = pd.concat([day[~theirs], poison]).sample(frac=1, random_state=2).sort_values("user_id:token", kind="stable")
    mixed.to_csv(folder / "small.day", sep="\t", index=False)


_MOVES = re.compile(r"\d\d:\d\d:\d\d|\[(time:|training)[^\n]*|-[A-Z][a-z]{2}-\d\d-\d{4}_[^ \n]*|\b\d+\.\d+( ?s\b|it/s)")
"""Times, and names made of them."""

_KEPT = ("config", "ids", "state_dict", "other_parameter", "optimizer", "training", "progress")
_SHORT = {"epochs": 1, "encoder_epochs": 1, "reranker_epochs": 1, "ranker_rounds": 5}


def test_poison_in_the_days_of_who_does_not_consent_changes_no_byte(data_path, quick, tmp_path, monkeypatch, caplog):
    found = []
    for name in ("plain", "poisoned"):
        place = tmp_path / name
        shutil.copytree(data_path / "small", place / "data/small")
        silent = _silence(place / "data/small")
        if name == "poisoned":
            _poison(place / "data/small", silent)
        monkeypatch.chdir(place)
        values = {**quick, **_SHORT, "data_path": "data", "state": "INFO", "filter_inter_by_user_or_item": False}
        caplog.clear()
        caplog.set_level("INFO")
        result = run_recbole("ESMR", "small", config_dict=values, arguments=[])
        effects, _ = estimate_causal("small", config_dict=values, arguments=[], graph_samples=0)
        kept = load_checkpoint(result["checkpoint"])
        kept.other_parameter.pop("timings")
        kept.config.pop("data_path")
        log = caplog.text  # what RecBole's log file holds
        assert "no consent: nothing of their days is read" in log
        found.append(
            {
                "run.json": _timeless(result),
                "effects.json": _timeless(effects),
                "check.json": _timeless(check("small", config_dict=values, arguments=[])),
                "log": _MOVES.sub("", log).replace("poisoned", "plain"),
                "checkpoint": {
                    name: to_blocks(getattr(kept, name)) for name in ("config", "ids", "state_dict", "other_parameter")
                },
            }
        )
    for what, of in found[0].items():
        assert _bytes(of) == _bytes(found[1][what]), what


def _bytes(of: object) -> object:
    """Blocks of a checkpoint as the bytes that they hold."""
    if isinstance(of, dict):
        return {name: _bytes(value) for name, value in of.items()}
    return bytes(of.data) if isinstance(of, Block) else of


def _timeless(result: dict) -> str:
    result = {key: value for key, value in result.items() if key not in ("timings", "checkpoint", "folder")}
    return _MOVES.sub("", json.dumps(result, default=str)).replace("poisoned", "plain")
