"""Files written whole where writing is hard: full disks, links, devices, modes, leftovers of the dead, several at once."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_esmr.errors import ConfigError, OutputError
from recbole_esmr.files import write_json
from recbole_esmr.folders import replaced_whole, written_together
from recbole_esmr.outputs import check_output, check_room
from recbole_esmr.writing import written_whole

ROOT = Path(__file__).parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="Unix's modes, pipes and limits")


def _python(code: str, *words: object, **kwargs) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, words)],
        capture_output=True, text=True, timeout=60, check=False, env=environment, **kwargs,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "no space is left on the device. Free some space"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "no permission. Make it writable"),
        (errno.EMFILE, "too many files are open. Raise the limit"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("step", ["block", "fsync", "replace", "open"])
def test_each_failure_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch, step, code, says):
    path = tmp_path / "run.json"
    path.write_text("old")

    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    if step != "block":
        monkeypatch.setattr(os, step, fail)
    with pytest.raises(OutputError) as raised, written_whole(path) as temporary:
        temporary.write_text("new")
        if step == "block":
            fail()
    monkeypatch.undo()
    assert str(raised.value).startswith(f"{path}: cannot be written: {says}") and "\n" not in str(raised.value)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["run.json"]


LIMITED = """
import resource, signal, sys
import numpy as np, torch
from recbole_esmr.errors import OutputError
from recbole_esmr.writing import written_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
big = np.random.default_rng(0).random((400, 100))
def figure(path):
    from matplotlib.figure import Figure
    made = Figure()
    made.subplots().imshow(big)
    made.savefig(path, format="png", dpi=600)
def tensors(path):
    import safetensors.torch
    safetensors.torch.save_file({"a": torch.from_numpy(big)}, path)
def frame(path):
    import pandas as pd
    pd.DataFrame(big).to_csv(path)
write = {
    "torch": lambda path: torch.save(torch.from_numpy(big), path),
    "numpy": lambda path: np.save(open(path, "wb"), big),
    "matplotlib": figure, "safetensors": tensors, "pandas": frame,
}[sys.argv[1]]
try:
    with written_whole(sys.argv[2]) as temporary:
        write(temporary)
except OutputError as error:
    print("REFUSED", error)
"""


@posix
@pytest.mark.parametrize("library", ["torch", "numpy", "matplotlib", "safetensors", "pandas"])
def test_what_libraries_say_of_a_full_disk_becomes_one_line(tmp_path, library):
    """A limit on the size of files makes real writes fail, as a full disk does; torch and numpy have their own errors for it."""
    path = tmp_path / "result"
    path.write_text("old")
    done = _python(LIMITED, library, path)
    assert done.stdout == (
        f"REFUSED {path}: cannot be written: it is larger than a file may be here. "
        "Raise the limit (ulimit -f), or give another path.\n"
    ), done.stderr
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["result"]


def test_an_error_that_is_not_of_writing_stays_what_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="sizes differ"), written_whole(tmp_path / "x") as temporary:
        torch.save(torch.zeros(3), temporary)
        raise RuntimeError("sizes differ")
    assert os.listdir(tmp_path) == []


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_mode_and_owner_of_a_file_are_kept(tmp_path, mode):
    path = tmp_path / "run.json"
    path.write_text("old")
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    before = path.stat()
    with written_whole(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == mode, "nobody else reads it while it is written"
        temporary.write_text("new")
    after = path.stat()
    assert path.read_text() == "new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@posix
def test_of_a_link_the_file_that_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "big.json").write_text("old")
    (tmp_path / "a.json").symlink_to("disk/big.json")
    (tmp_path / "b.json").symlink_to(tmp_path / "a.json")
    (tmp_path / "new.json").symlink_to("disk/new.json")
    for link, file in (("a.json", "big.json"), ("b.json", "big.json"), ("new.json", "new.json")):
        write_json(tmp_path / link, link)
        assert (tmp_path / link).is_symlink() and (tmp_path / "disk" / file).read_text() == f'"{link}"\n'
    assert sorted(os.listdir(tmp_path / "disk")) == ["big.json", "new.json"]


@posix
def test_a_link_in_a_circle_and_a_name_too_long_are_one_line(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in (tmp_path / "a", tmp_path / ("x" * 256)):
        with pytest.raises(OutputError, match="cannot be written"):
            write_json(path, 1)
    write_json(tmp_path / ("y" * 255), 1)
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "y" * 255]


@posix
def test_a_device_is_written_to_and_stays(tmp_path):
    device = os.stat("/dev/null")
    write_json(check_output("/dev/null"), [1, 2])
    after = os.stat("/dev/null")
    assert stat.S_ISCHR(after.st_mode) and after.st_mode == device.st_mode
    if os.path.exists("/dev/full"):
        with pytest.raises(OutputError, match="/dev/full: cannot be written: no space is left on the device"):
            write_json(check_output("/dev/full"), [1, 2])


@posix
def test_a_pipe_is_written_to(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_json(check_output(pipe), {"a": 1})
    reader.join(10)
    assert read == ['{\n  "a": 1\n}\n'] and stat.S_ISFIFO(pipe.stat().st_mode)


@posix
@pytest.mark.parametrize("path", ["/dev/stdout", "out.txt"])
def test_what_goes_to_standard_output_is_not_lost_in_a_file_that_it_leads_to(tmp_path, path):
    code = (
        "import sys; from recbole_esmr.files import write_json; from recbole_esmr.outputs import check_output\n"
        "print('before'); write_json(check_output(sys.argv[1]), 7); print('after')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "out.txt").open("w") as out:
        subprocess.run([sys.executable, "-c", code, path], stdout=out, cwd=tmp_path, check=True, env=environment)
    assert (tmp_path / "out.txt").read_text() == "before\n7\nafter\n"


KILLED = """
import os, sys, time
from recbole_esmr.writing import written_whole
from recbole_esmr.folders import written_together
with written_whole(sys.argv[1]) as temporary, written_together(sys.argv[2]) as new:
    temporary.write_text("half")
    (new / "figure").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@posix
def test_what_killed_processes_left_is_removed_at_the_next_write_and_what_living_ones_write_is_not(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a.json"), str(tmp_path / "figures")]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    try:
        assert all(writer.stdout.readline() == "writing\n" for writer in writers)
        writers[0].kill()
        writers[0].wait()
        (tmp_path / ".a.json.mine").write_text("the user's own")
        assert len(list(tmp_path.glob(".a.json.new-*"))) == len(list(tmp_path.glob(".figures.new-*"))) == 2
        write_json(tmp_path / "other.json", 1)  # any write in the folder clears up, for the names of checkpoints never come again
        assert len(list(tmp_path.glob(".a.json.new-*"))) == 1, "the living one's"
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdout.close()
    write_json(tmp_path / "a.json", 1)
    with written_together(tmp_path / "figures") as new:
        (new / "figure").write_text("whole")
    assert sorted(os.listdir(tmp_path)) == [".a.json.mine", "a.json", "figures", "other.json"]


def test_files_that_belong_together_come_together_and_others_stay(tmp_path, monkeypatch):
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    (folder / "a").write_text("old")
    (folder / "a").chmod(0o600)
    with pytest.raises(ZeroDivisionError), written_together(folder) as new:
        (new / "a").write_text("new")
        1 / 0
    assert (folder / "a").read_text() == "old"
    monkeypatch.setattr(os, "replace", lambda *_: pytest.fail("one after another"))
    with written_together(folder) as new:
        (new / "a").write_text("new")
        (new / "b").write_text("new")
        assert sorted(os.listdir(folder)) == ["a", "mine.txt"]
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a": "new", "b": "new", "mine.txt": "mine"}
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o600 and os.listdir(tmp_path) == ["figures"]


@posix
def test_the_current_folder_and_one_with_links_get_their_files_one_after_another(tmp_path, monkeypatch):
    folder = tmp_path / "figures"
    folder.mkdir()
    (tmp_path / "far").write_text("old")
    (folder / "a").symlink_to("../far")
    with written_together(folder) as new:
        (new / "a").write_text("new")
    assert (folder / "a").is_symlink() and (tmp_path / "far").read_text() == "new"
    monkeypatch.chdir(folder)
    with written_together(".") as new:
        (new / "a").write_text("newer")
        (new / "b").write_text("newer")
    assert (tmp_path / "far").read_text() == "newer" and sorted(os.listdir()) == ["a", "b"]


def test_two_that_write_into_one_folder_at_once_lose_nothing(tmp_path):
    def write(name: str) -> None:
        for number in range(10):
            with written_together(tmp_path / "out") as new:
                (new / name).write_text(str(number))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {"a": "9", "b": "9", "c": "9"}
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("path", "folder", "says"),
    [
        ("", False, "no file is named"),
        ("a\nb", False, r"'a\\nb' holds a line end"),
        ("a\0b", True, "control character"),
        ("x" * 256, False, "the name is too long"),
        ("there", False, "is a folder. Give the path of a file"),
        ("there/file", True, "is a file. Give the path of a folder"),
        ("there/file/run.json", False, "is a file, so nothing can be written below it"),
    ],
)
def test_an_output_is_checked_before_the_work(tmp_path, monkeypatch, path, folder, says):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("")
    with pytest.raises(ConfigError, match=says) as raised:
        check_output(path, folder=folder)
    assert "\n" not in str(raised.value)


def test_an_output_is_tried_and_not_only_asked_for(tmp_path, monkeypatch):
    """Root may write everywhere, it is said, but on a full or read-only disk it cannot."""
    assert check_output(tmp_path / "new" / "run.json") == tmp_path / "new" / "run.json" and os.listdir(tmp_path) == []

    def full(**_):
        raise OSError(errno.EROFS, "")

    monkeypatch.setattr("recbole_esmr.outputs.tempfile.TemporaryFile", full)
    for check in ({}, {"folder": True}, {"folder": True, "replaced": True}):
        with pytest.raises(ConfigError, match=r"run\.json: cannot be written: the file system is read-only"):
            check_output(tmp_path / "run.json", **check)


def test_a_data_set_is_refused_first_where_its_folder_cannot_be_replaced(tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    check_output(tmp_path / "x", folder=True)
    with pytest.raises(ConfigError, match="the current folder lies in it"):
        check_output(tmp_path / "x", folder=True, replaced=True)


@pytest.mark.parametrize(("free", "refused", "warned"), [(99, True, False), (100, False, True), (300, False, False)])
def test_room_for_a_checkpoint(tmp_path, monkeypatch, caplog, free, refused, warned):
    usage = np.rec.fromrecords([(10**9, 0, free)], names="total,used,free")[0]
    monkeypatch.setattr("recbole_esmr.outputs.shutil.disk_usage", lambda _: usage)
    try:
        check_room(tmp_path / "saved" / "deep", least=100, likely=300)
        assert not refused
    except OutputError as error:
        assert refused and str(tmp_path / "saved" / "deep") in str(error)
    assert bool(caplog.records) == warned


def test_an_error_in_a_file_of_a_folder_names_the_users_folder(tmp_path):
    with pytest.raises(OutputError) as raised, written_together(tmp_path / "figures") as new, written_whole(new / "a.png"):
        raise OSError(errno.ENOSPC, "")
    assert str(raised.value).startswith(f"{tmp_path / 'figures' / 'a.png'}: cannot be written: no space")
    with pytest.raises(OutputError) as raised, replaced_whole(tmp_path / "data"):
        raise OSError(errno.ENOSPC, "")
    assert str(raised.value).startswith(f"{tmp_path / 'data'}: cannot be written") and os.listdir(tmp_path) == []
