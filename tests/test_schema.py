"""The bad-input table: each mistake in a file gives one clear line that names file, line, column, value and the mend."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from recbole_esmr.cli import main
from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.errors import DataError


@pytest.fixture
def copy(data_path, tmp_path):
    """A private copy of the data set, its folder."""
    shutil.copytree(data_path / "small", tmp_path / "small")
    return tmp_path / "small"


def _edit(folder, suffix, change):
    path = folder / f"small.{suffix}"
    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    frame = change(frame)
    frame.to_csv(path, sep="\t", index=False)


def _cell(suffix, column, value, row=1):
    def change(folder):
        def put(frame):
            frame.loc[row, column] = value
            return frame

        _edit(folder, suffix, put)

    return change


def _drop(suffix, column):
    return lambda folder: _edit(folder, suffix, lambda frame: frame.drop(columns=column))


def _rename(suffix, column, name):
    return lambda folder: _edit(folder, suffix, lambda frame: frame.rename(columns={column: name}))


def _again(suffix):
    return lambda folder: _edit(folder, suffix, lambda frame: pd.concat([frame, frame.iloc[[0]]]))


def _text(suffix, text):
    return lambda folder: (folder / f"small.{suffix}").write_text(text)


def _remove(suffix):
    return lambda folder: (folder / f"small.{suffix}").unlink()


def _no_emotion(folder):
    _drop("item", "emotion:token")(folder)
    _drop("day", "emotion:token")(folder)


def _backwards(folder):
    def swap(frame):
        time = frame["timestamp:float"].astype(float)
        return frame.assign(**{"timestamp:float": time.where(frame["user_id:token"] != "u1", -time)})

    _edit(folder, "inter", swap)


CASES = {
    "no .inter": (_remove("inter"), ["small.inter", "no such file"]),
    "empty .inter": (_text("inter", ""), ["small.inter", "is empty", "name:type"]),
    "empty .day": (_text("day", ""), ["small.day", "is empty"]),
    "header only": (_text("day", "user_id:token\tday:float\temotion:token\n"), ["small.day", "no rows", "person and day"]),
    "column missing": (_drop("day", "day:float"), ["small.day, line 1", "'day:float' is missing", "DAY_FIELD"]),
    "label column missing": (_drop("imp", "label:float"), ["small.imp, line 1", "'label:float' is missing"]),
    "user column renamed": (_rename("day", "user_id:token", "person:token"), ["small.day, line 1", "'user_id:token' is missing"]),
    "wrong header type": (
        _rename("item", "emotion:token", "emotion:float"),
        ["small.item, line 1", "type 'float'", "emotion:token"],
    ),
    "unknown header type": (
        _rename("item", "emotion:token", "emotion:text"),
        ["small.item, line 1", "'emotion:text'", "token, float"],
    ),
    "header without type": (_rename("user", "user_profile:token", "user_profile"), ["small.user, line 1", "'user_profile'"]),
    "column twice": (_rename("item", "theme:token", "category:token"), ["small.item, line 1", "'category' is there twice"]),
    "unknown item emotion": (_cell("item", "emotion:token", "hapy"), ["small.item, line 3", "'hapy'", "Did you mean 'happy'?"]),
    "unknown person's emotion": (
        _cell("day", "emotion:token", "blue"),
        ["small.day, line 3, column 'emotion'", "emotion_taxonomy"],
    ),
    "intensity above 1": (_cell("item", "emotion_intensity:float", "5"), ["small.item, line 3", "is 5;", "[0, 1]", "Rescale"]),
    "watch ratio below 0": (_cell("inter", "watch_ratio:float", "-0.1"), ["small.inter, line 3", "-0.1", "[0, 1]"]),
    "text for a number": (_cell("inter", "watch_ratio:float", "half"), ["small.inter, line 3", "'half'", "finite number"]),
    "infinite": (_cell("inter", "watch_ratio:float", "inf"), ["small.inter, line 3", "'inf'", "finite number"]),
    "empty watch ratio": (_cell("inter", "watch_ratio:float", ""), ["small.inter, line 3", "the value is empty"]),
    "NaN day": (_cell("inter", "day:float", "nan"), ["small.inter, line 3, column 'day'", "every row needs a number"]),
    "half a day": (_cell("day", "day:float", "1.5"), ["small.day, line 3, column 'day'", "whole number"]),
    "empty user": (_cell("day", "user_id:token", ""), ["small.day, line 3, column 'user_id'", "the value is empty"]),
    "label of 2": (_cell("imp", "label:float", "2"), ["small.imp, line 3, column 'label'", "[0, 1]"]),
    "propensity of 0": (_cell("imp", "propensity:float", "0"), ["small.imp, line 3, column 'propensity'", "[1e-09, 1]"]),
    "churned of 3": (_cell("day", "churned:float", "3"), ["small.day, line 3, column 'churned'"]),
    "length of 0": (_cell("item", "duration:float", "0"), ["small.item, line 3, column 'duration'"]),
    "user-day twice": (_again("day"), ["small.day, line 562", "user_id u1, day 1", "was there before"]),
    "item twice": (_again("item"), ["small.item, line 62", "item_id v1", "was there before"]),
    "user twice": (_again("user"), ["small.user, line 42", "was there before"]),
    "day gap": (_cell("day", "day:float", "86400", row=559), ["small.day, line 561", "86387 days after", "max_day_gap"]),
    "unsorted time": (_backwards, ["small.inter", "comes after a later day by timestamp"]),
    "people unknown to .inter": (
        lambda folder: _edit(folder, "imp", lambda frame: frame.assign(**{"user_id:token": "x" + frame["user_id:token"]})),
        ["small.imp, column 'user_id'", "40 of 40 ids are in no interaction", "'xu1'", "the same ids"],
    ),
    "milliseconds for days": (
        lambda folder: _edit(
            folder,
            "inter",
            lambda f: f.drop(columns="day:float").assign(**{"timestamp:float": f["timestamp:float"].astype(float) * 1000}),
        ),
        ["small.inter, line 2, column 'timestamp'", "other rows lie decades later", "set time_unit"],
    ),
    "dates for days": (_cell("day", "day:float", "20240131"), ["small.day, line 3, column 'day'", "[-1e+06, 1e+06]"]),
    "not UTF-8": (
        lambda folder: (folder / "small.item").write_bytes(b"item_id:token\n\xe9\n"),
        ["small.item, line 2: is not UTF-8", "encoding: latin-1"],
    ),
    "ragged line": (_text("user", "user_id:token\tuser_profile:token\nu1\tx\ty\tz\tq\n"), ["small.user"]),
    "no emotion anywhere": (_no_emotion, ["'emotion:token'", "small.item", "small.day", "Other RecBole models"]),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_files_are_refused_with_place_and_mend(case, copy, quick, capsys):
    change, says = CASES[case]
    change(copy)
    from recbole_esmr.config import Config

    with pytest.raises(DataError) as caught:
        ESMRDataset(Config("ESMR", str(copy), config_dict=quick))
    message = str(caught.value)
    assert [part for part in says if part not in message] == []
    assert "\n" not in message
    if case in ("unknown item emotion", "day gap", "no emotion anywhere"):  # the command line says the same
        capsys.readouterr()
        assert main(["run", "--model=ESMR", f"--dataset={copy}", "--state=ERROR"]) == 2
        error = capsys.readouterr().err.strip()
        assert error.splitlines()[-1] == f"recbole-esmr: {message}" and "Traceback" not in error


def test_a_gap_that_is_real_can_be_allowed(copy, quick):
    from recbole_esmr.config import Config

    _cell("day", "day:float", "500", row=559)(copy)
    dataset = ESMRDataset(Config("ESMR", str(copy), config_dict={**quick, "max_day_gap": 600}))
    assert dataset.trace.days == 500
