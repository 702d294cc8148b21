"""Files and folders written whole: what a reader finds after an error or a kill at any step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_esmr import folders
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.files import read_yaml, write_atomic_files, written_whole

STEPS = ("to_csv", "write_text", "fsync", "link", "exchange", "rename", "rmtree")


def _write(folder, word, suffixes=("inter", "user")):
    write_atomic_files(folder, {suffix: pd.DataFrame({"user_id:token": [word] * 3}) for suffix in suffixes}, {"word": word}, word)


def _words(folder: Path, name: str = "") -> set[str]:
    """The words that the data set's files hold; one word where they are of one write."""
    name = name or folder.name
    found = {pd.read_csv(folder / f"{name}.{suffix}", sep="\t")["user_id:token"].unique().item() for suffix in ("inter", "user")}
    return found | {read_yaml(folder / f"{name}.yaml")["word"]}


def _beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir() if path != folder)


@pytest.fixture
def old(tmp_path) -> Path:
    """A data set with other things in its folder."""
    folder = tmp_path / "data" / "x"
    _write(folder, "old")
    (folder / "README.md").write_text("mine")
    (folder / "plots").mkdir()
    (folder / "plots" / "x.inter").write_text("also mine")
    (folder / "link").symlink_to("README.md")
    return folder


def _others(folder: Path) -> list[str]:
    assert (folder / "link").is_symlink()
    return [(folder / name).read_text() for name in ("README.md", "link", "plots/x.inter")]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_data_set_is_replaced_and_what_else_lies_in_its_folder_stays(old, monkeypatch, exchanges):
    if not exchanges:
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    os.chmod(old, 0o750)
    file = old / "README.md"
    number = file.stat().st_ino
    _write(old, "new")
    assert _words(old) == {"new"} and _others(old) == ["mine", "mine", "also mine"] and _beside(old) == []
    assert file.stat().st_ino == number, "linked, not copied"
    assert old.stat().st_mode & 0o777 == 0o750


def test_an_atomic_file_of_the_data_set_before_goes_where_the_new_one_has_none(old):
    (old / "other.day").write_text("not of this data set")
    (old / "x.net").write_text("not ours")
    _write(old, "new", suffixes=("inter", "user", "imp", "day"))
    _write(old, "newer")
    assert _words(old) == {"newer"} and _others(old) == ["mine", "mine", "also mine"]
    assert sorted(path.name for path in old.glob("*.*")) == ["README.md", "other.day", "x.inter", "x.net", "x.user", "x.yaml"]


def test_atomic_files_have_no_quotes_but_those_of_the_text(tmp_path):
    frame = pd.DataFrame({"user_id:token": ['"a', 'b"c"', "NA", "é ü", ""], "score:float": [0.5, None, 2, 1, 1]})
    write_atomic_files(tmp_path / "x", {"user": frame}, {})
    expected = 'user_id:token\tscore:float\n"a\t0.5\nb"c"\t\nNA\t2.0\né ü\t1.0\n\t1.0\n'
    assert (tmp_path / "x" / "x.user").read_bytes().decode() == expected


def test_numbers_of_32_bits_are_written_as_short_as_those_of_64(tmp_path):
    numbers = np.array([0.1, 352.3, np.nan, 3])
    frame = pd.DataFrame({"one:float": numbers.astype(np.float32), "two:float": numbers})
    write_atomic_files(tmp_path / "x", {"day": frame}, {})
    assert (tmp_path / "x" / "x.day").read_text() == "one:float\ttwo:float\n0.1\t0.1\n352.3\t352.3\n\t\n3.0\t3.0\n"


@pytest.mark.parametrize("cell", ["a\tb", "a\nb", "a\rb", "a\0b"])
def test_a_cell_that_would_shift_the_columns_is_refused(tmp_path, cell):
    with pytest.raises(DataError, match=r"x\.user, column 'user_id:token'.*holds a tab, a line end or a NUL"):
        write_atomic_files(tmp_path / "x", {"user": pd.DataFrame({"user_id:token": [cell]})}, {})
    assert not (tmp_path / "x").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
def test_linux_exchanges_in_one_step(old, monkeypatch):
    monkeypatch.setattr(os, "rename", lambda *_: pytest.fail("two steps"))
    _write(old, "new")
    assert _words(old) == {"new"}


def test_where_no_link_can_be_made_other_files_are_copied(old, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError("no links here")))
    _write(old, "new")
    assert _words(old) == {"new"} and _others(old) == ["mine", "mine", "also mine"]


def test_files_have_the_mode_of_a_normal_open(tmp_path):
    mask = os.umask(0o027)
    try:
        _write(tmp_path / "x", "new")
        with written_whole(tmp_path / "y") as temporary:
            temporary.write_text("")
    finally:
        os.umask(mask)
    modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "x", tmp_path / "x" / "x.inter", tmp_path / "y")}
    assert list(modes.values()) == [0o750, 0o640, 0o640]


def test_the_folder_that_a_link_leads_to_is_swapped(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "x").symlink_to(tmp_path / "disk" / "big")
    for word in ("old", "new"):
        _write(tmp_path / "x", word)
        assert _words(tmp_path / "x") == {word}
        assert (tmp_path / "x").is_symlink() and os.listdir(tmp_path / "disk") == ["big"]


def _patched(step: str, number: int, act, patch) -> None:
    """Let the ``number``-th call of a step ``act`` instead; ``patch(owner, name, function)`` puts it in place."""
    owner, name = {
        "to_csv": (pd.DataFrame, "to_csv"),
        "write_text": (Path, "write_text"),
        "fsync": (os, "fsync"),
        "link": (os, "link"),
        "exchange": (folders, "_exchange"),
        "rename": (os, "rename"),
        "rmtree": (folders.shutil, "rmtree"),
    }[step]
    plain, calls = getattr(owner, name), []

    def called(*args, **kwargs):
        calls.append(step)
        return act() if len(calls) == number else plain(*args, **kwargs)

    patch(owner, name, called)


def _fail():
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize(("step", "number"), [(step, n) for step in STEPS[:-1] for n in (1, 2, 3)])
def test_on_an_error_the_data_set_is_all_old_or_all_new_and_nothing_is_left_behind(old, step, number, exchanges, monkeypatch):
    with monkeypatch.context() as patches:
        if not exchanges:
            patches.setattr(folders, "_exchange", lambda one, other: False)
        _patched(step, number, _fail, patches.setattr)
        try:
            _write(old, "new")
            expected = "new"
        except (OSError, ConfigError):
            expected = "old"
    assert _words(old) == {expected} and _others(old) == ["mine", "mine", "also mine"] and _beside(old) == []


KILLED = """
import os, sys
from pathlib import Path
from recbole_esmr import folders
from tests.test_files import _patched, _write
folder, exchanges = Path(sys.argv[1]), sys.argv[2] == "True"
for step, number in [argument.split(":") for argument in sys.argv[3:]]:
    if os.fork() == 0:
        if not exchanges:
            folders._exchange = lambda one, other: False
        _patched(step, int(number), lambda: os._exit(9), setattr)
        _write(folder / f"{step}{number}" / "x", "new")
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("exchanges", [True, False])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_and_the_next_write_clears_up(tmp_path, exchanges):
    steps = [(step, n) for step in STEPS for n in (1, 2, 3)]
    for step, number in steps:
        _write(tmp_path / f"{step}{number}" / "x", "old")
        (tmp_path / f"{step}{number}" / "x" / "README.md").write_text("mine")
    run = [sys.executable, "-W", "ignore", "-c", KILLED, tmp_path, str(exchanges), *(f"{step}:{n}" for step, n in steps)]
    subprocess.run(run, check=True, cwd=Path(__file__).parents[1])
    away, left = [], 0
    for step, number in steps:
        folder = tmp_path / f"{step}{number}" / "x"
        left += len(_beside(folder))
        if folder.exists():
            assert len(_words(folder)) == 1 and (folder / "README.md").read_text() == "mine", (step, number)
        else:
            away.append((step, number))
            whole = {path.name.partition("-")[0]: path for path in folder.parent.iterdir()}
            assert set(whole) == {".x.old", ".x.new"}
            for word, path in (("old", whole[".x.old"]), ("new", whole[".x.new"])):
                assert _words(path, "x") == {word} and (path / "README.md").read_text() == "mine"
        with pytest.raises(ZeroDivisionError), folders.replaced_whole(folder):
            1 / 0
        assert len(_words(folder)) == 1 and _beside(folder) == [], (step, number)
        _write(folder, "newer")
        assert _words(folder) == {"newer"} and (folder / "README.md").read_text() == "mine"
    assert left > 5, "nothing was killed half-way"
    assert away == ([] if exchanges else [("rename", 2)])


def test_what_a_live_process_is_writing_is_left_alone(old):
    with folders.replaced_whole(old) as new:
        _write(old, "other")
        assert new.exists()
        (new / "mine").write_text("")
    assert _words(old) == {"other"} and (old / "mine").exists() and _beside(old) == []


def test_a_folder_that_cannot_be_replaced_is_refused(old, monkeypatch):
    monkeypatch.chdir(old / "plots")
    with pytest.raises(ConfigError, match="the current folder lies in it"):
        _write(old, "new")
    monkeypatch.chdir(old.parent)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="may not be written to"):
        _write(old, "new")
    assert _words(old) == {"old"} and _beside(old) == []


def test_a_file_is_on_the_disk_before_it_takes_its_name_and_the_name_after(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def synced(handle):
        done.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name if sys.platform == "linux" else "")
        fsync(handle)

    def replaced(source, goal):
        done.append("replace")
        replace(source, goal)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    with written_whole(tmp_path / "in" / "y") as temporary:
        temporary.write_text("all of it")
    assert len(done) == 4 and done[2] == "replace"
    if sys.platform == "linux":
        assert done[0] == tmp_path.name and done[1].startswith(".y.") and done[3] == "in"


def test_an_error_in_the_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "y"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), written_whole(path) as temporary:
        temporary.write_text("half")
        1 / 0
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["y"]
