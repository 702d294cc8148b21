"""`recbole-esmr check`: what was found by hand, each warning with its mend, exit 2 where a run would be refused."""

from __future__ import annotations

import json
import shutil

import pytest

from recbole_esmr.check import check
from recbole_esmr.cli import main

FILES = {
    "inter": "user_id:token\titem_id:token\ttimestamp:float\twatch_ratio:float\n"
    + "".join(f"{user}\t{item}\t{1711238400 + 86400 * step}\t0.5\n" for user in "abc" for step, item in enumerate("xyzx")),
    "item": "item_id:token\temotion:token\nx\thappy\ny\tangry\nz\t\nw\tangry\n",
    "day": "user_id:token\tday:float\temotion:token\na\t19806\thappy\na\t19807\tangry\nb\t19806\tangry\nghost\t19806\tangry\n",
}  # fmt: skip
TINY = ["--epochs=1", "--encoder_epochs=1", "--topk=[1]", "--valid_metric=NDCG@1", "--metrics=['NDCG']"]


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for suffix, text in FILES.items():
        (folder / f"mine.{suffix}").write_text(text)
    return folder


def test_what_is_found_by_hand(mine, tmp_path, capsys):
    assert main(["check", f"--dataset={mine}", f"--output={tmp_path / 'check.json'}", *TINY]) == 0
    said, found = capsys.readouterr().out, json.loads((tmp_path / "check.json").read_text())
    assert {file["file"]: (file["rows"], file["people"], file["items"]) for file in found["files"]} == {
        "mine.inter": (12, 3, 3),
        "mine.item": (4, None, 4),
        "mine.day": (4, 3, None),
    }
    log = found["log"]
    assert log["days"] == {"from": "2024-03-24", "to": "2024-03-27", "number": 4}
    assert (log["people"], log["items"], log["views"], log["active_days"]) == (3, 4, 12, 12)
    assert log["reported_share"] == 3 / 12 and log["negative_share"] == 2 / 3 and log["emotions"] == {"happy": 1, "angry": 2}
    assert log["skipped_share"] is None and log["items_with_emotion"] == 3 / 4
    ids = {(part["file"], part["field"]): part for part in log["ids"]}
    assert (ids["mine.day", "user_id"]["unknown"], ids["mine.day", "user_id"]["absent"]) == (1, 1)
    warnings = "\n".join(found["warnings"])
    assert (
        "No mine.imp" in warnings
        and "days are dates in UTC (set timezone where people live elsewhere), 2024-03-24 to 2024-03-27" in warnings
    )
    assert "1 of 3 ids (1 of 4 rows) are in no interaction and are left out, for example 'ghost'" in warnings
    assert found["refused"] is None and "A run of ESMR would start." in said and all(text in said for text in found["warnings"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder: (folder / "mine.day").write_text("user_id:token\tday:float\na\tsoon\n"),
            "mine.day, line 2, column 'day'",
        ),
        (lambda folder: (folder / "mine.inter").write_text(FILES["inter"].replace("\tx\t", "\t")), "mine.inter, line 2: has 3"),
        (lambda folder: (folder / "mine.inter").unlink(), "mine.inter: no such file"),
    ],
)
def test_exit_2_with_the_very_line_of_the_run(mine, change, message, capsys):
    change(mine)
    status = main(["check", f"--dataset={mine}", *TINY])
    checked = capsys.readouterr()
    assert status == 2 and message in checked.err and "mine.item" in checked.out
    assert main(["run", f"--dataset={mine}", *TINY]) == 2
    assert capsys.readouterr().err == checked.err


def test_other_models_are_asked_about_too(mine):
    result = check(str(mine), config_dict={"topk": [5], "valid_metric": "NDCG@5", "metrics": ["NDCG"]}, arguments=[], model="BPR")
    assert result["log"] is None and "topk [5]" in result["refused"]


def test_a_good_data_set_has_nothing_odd(data_path, tmp_path, capsys):
    shutil.copytree(data_path / "small", tmp_path / "small")
    assert main(["check", f"--dataset={tmp_path / 'small'}"]) == 0
    assert "A run of ESMR would start; nothing is odd." in capsys.readouterr().out
