"""A folder is a folder, and a config file is a file, however the user writes the path."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbole_esmr.cli import main
from recbole_esmr.config import Config
from recbole_esmr.errors import UnknownNameError

ROWS = "user_id:token\titem_id:token\ttimestamp:float\n" + "".join(
    f"u{user}\ti{(user + step) % 5}\t{1_000_000_000 + 86_400 * step}\n" for user in range(4) for step in range(4)
)
KEYS = ["--topk=[2]", "--valid_metric=MRR@2", "--epochs=1", "--state=ERROR", "--show_progress=False"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home that holds the data set ``my mine`` in ``a b``; we stand in ``a b/here`` and it is linked there as ``mine``."""
    for name, folder in (("my mine", tmp_path / "a b" / "my mine"), ("mine", tmp_path / "a b" / "here" / "mine")):
        folder.mkdir(parents=True)
        (folder / f"{name}.inter").write_text(ROWS)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "a b" / "here")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "name"),
    [
        *[(given, "mine") for given in ("./mine", "mine/", "./mine/", "mine", "../here/mine", "../here/../here/mine//")],
        *[(given, "my mine") for given in ("../my mine", "~/a b/my mine", "~/a b/my mine/")],
    ],
)
def test_a_folder_is_a_folder(home, given, name):
    folder = home / "a b" / ("here" if name == "mine" else "") / name
    config = Config("Pop", given, arguments=[])
    assert (config["dataset"], config["data_path"]) == (name, str(folder))
    Path("here.yaml").write_text(f"dataset: '{given}'\n")
    assert Config("Pop", config_file_list=["here.yaml"], arguments=[])["data_path"] == str(folder)
    assert main(["run", "--model=Pop", f"--dataset={given}", *KEYS, "--output=~/out/run.json"]) == 0
    assert (home / "out" / "run.json").is_file()


@pytest.mark.parametrize("given", ["./none", "none/", "~/none", "../no where/none"])
def test_a_path_without_a_folder_is_refused(home, given):
    with pytest.raises(UnknownNameError, match=r"is no folder\. Give the path of the folder that holds none\.inter"):
        Config("Pop", given, arguments=[])


def test_config_files_may_be_given_several_times_and_have_spaces(home):
    Path("one.yaml").write_text("seed: 1\nepochs: 3\n")
    Path("two of them.yaml").write_text("seed: 2\n")
    (home / "three.yaml").write_text("seed: 3\n")

    def seed(*files):
        words = [f"--config_files={file}" for file in files]
        assert main(["run", "--model=Pop", "--dataset=mine", "--output=run.json", *KEYS, *words]) == 0
        return int(Path("run.json").read_text().split('"seed": ')[1].split(",")[0])

    assert seed("two of them.yaml") == 2, "the whole value is a file"
    assert seed("one.yaml", "two of them.yaml") == 2, "the later beats the earlier"
    assert seed("two of them.yaml", "one.yaml") == 1
    assert seed("one.yaml ../../three.yaml") == 3, "RecBole's form: several, with spaces between them"
    assert seed("one.yaml", "~/three.yaml") == 3
    assert seed("one.yaml ~/three.yaml", "two of them.yaml") == 2


@pytest.mark.parametrize("given", ["no such.yaml", "one.yaml none.yaml", "~/none.yaml"])
@pytest.mark.parametrize("command", ["run --model=Pop", "compare --models=Pop", "causal", "pretrain --output=x --datasets=mine"])
def test_a_config_file_that_does_not_exist_is_one_line(home, given, command, capsys):
    Path("one.yaml").write_text("seed: 1\n")
    words = command.split()
    data = [] if words[0] == "pretrain" else ["--dataset=mine"]
    assert main([*words, *data, f"--config_files={given}", "--state=ERROR"]) == 2
    missing = given.replace("one.yaml ", "").replace("~", str(home))
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith(f"recbole-esmr: {missing}: cannot be read") and "Traceback" not in "".join(error)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("run --dataset=~nobody-of-this-name/x", "there is no home of that name"),
        ("run --dataset=mine --output=~nobody-of-this-name/x", "there is no home of that name"),
        ("run --dataset=mine --output=mine", "mine: is a folder. Give the path of a file to write"),
        ("run --dataset=mine --output=", "no file is named to write to"),
        ("run --dataset=mine --output=mine/mine.inter/run.json", "mine/mine.inter is a file, so nothing can be written below it"),
        ("run --dataset=mine --figures=mine/mine.inter", "mine.inter: is a file. Give the path of a folder to write"),
        ("compare --models=Pop --dataset=mine --output=mine/mine.inter", "mine.inter: is a file. Give the path of a folder"),
        ("compare --models=Pop --dataset=mine --output=", "no folder is named to write to"),
        ("causal --dataset=mine --output=mine", "mine: is a folder"),
        ("simulate --output=mine/mine.inter", "mine.inter: is a file"),
        ("run --model=Pop --dataset=mine/mine.inter", "data set 'mine/mine.inter': is a file. Give the folder that holds it"),
    ],
)
def test_where_nothing_can_be_read_or_written_is_said_first(home, words, says, capsys, monkeypatch):
    monkeypatch.setattr("recbole_esmr.quick_start.train_and_test", lambda *_, **__: pytest.fail("something was trained"))
    try:
        code = main(words.split())
    except SystemExit as left:
        code = left.code
    error = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and says in error[-1] and "Traceback" not in "".join(error)
