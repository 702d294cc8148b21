"""Ctrl-C and SIGTERM at any moment, pipes that close, and standard output that is full: one line, and a status that says it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recbole_esmr import cli
from recbole_esmr.cli import main
from recbole_esmr.errors import Interrupted
from recbole_esmr.stopping import Watch, going_on

ROOT = Path(__file__).parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="Unix's signals")


@pytest.mark.parametrize(
    ("arguments", "checkpoint", "says"),
    [
        ("run --model=BPR --dataset=x", None, "stopped. Start again with: recbole-esmr run --model=BPR --dataset=x"),
        ("run --dataset=x", "saved/a.pth", "stopped. Go on with: recbole-esmr run --dataset=x --resume=saved/a.pth"),
        ("run --dataset=x --resume=b.pth", None, "stopped. Go on with: recbole-esmr run --dataset=x --resume=b.pth"),
        ("run --resume=b.pth --dataset=x", "a.pth", "stopped. Go on with: recbole-esmr run --dataset=x --resume=a.pth"),
        ("run --resume b.pth --dataset=x", "a.pth", "stopped. Go on with: recbole-esmr run --dataset=x --resume=a.pth"),
        ("compare --models=A --output=o", "a.pth", "stopped. Go on with: recbole-esmr compare --models=A --output=o"),
        ("compare --models=A --dataset=x", None, "stopped. Start again with: recbole-esmr compare --models=A --dataset=x"),
        ("rollout --policy=pop --keep k", None, "stopped. Go on with: recbole-esmr rollout --policy=pop --keep k"),
        ("", None, "stopped. Start again with: recbole-esmr"),
    ],
)
def test_the_line_has_the_command_that_goes_on(arguments, checkpoint, says):
    assert going_on(arguments.split(), checkpoint) == says


def test_the_command_is_quoted_for_the_shell():
    words = ["run", "--dataset=my data", "--topk=[5, 10]", "--eval_args={'mode': 'full'}"]
    line = going_on(words, "saved/it's.pth")
    assert shlex.split(line.partition("with: ")[2]) == ["recbole-esmr", *words, "--resume=saved/it's.pth"]


@pytest.mark.parametrize(
    ("raised", "status", "says"),
    [
        (KeyboardInterrupt(), 130, "recbole-esmr: stopped. Start again with: recbole-esmr run --dataset=x"),
        (Interrupted(None), 130, "recbole-esmr: stopped. Start again with: recbole-esmr run --dataset=x"),
        (Interrupted("a.pth"), 130, "recbole-esmr: stopped. Go on with: recbole-esmr run --dataset=x --resume=a.pth"),
        (
            OSError(5, "Input/output error", "x"),
            2,
            "recbole-esmr: x: Input/output error. Give a path that can be read or written.",
        ),
        (OSError(5, "Input/output error"), 2, "recbole-esmr: Input/output error. Give a path that can be read or written."),
        (BrokenPipeError(32, "Broken pipe"), 2, "recbole-esmr: Broken pipe. Give a path that can be read or written."),
    ],
)
def test_what_ends_a_command_is_one_line_and_a_status(monkeypatch, capsys, raised, status, says):
    def run(*_):
        raise raised

    monkeypatch.setitem(cli.ACTIONS, "run", run)
    assert main(["run", "--dataset=x"]) == status
    assert capsys.readouterr().err == f"{says}\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("becomes", [None, ImportError("no module"), Interrupted("a.pth")])
def test_whatever_an_interrupt_becomes_on_its_way_it_is_a_stop(monkeypatch, capsys, number, status, becomes):
    def run(*_):
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            if becomes is not None:
                raise becomes from None
            raise

    monkeypatch.setitem(cli.ACTIONS, "run", run)
    before = signal.getsignal(number)
    assert main(["run", "--dataset=x"]) == status
    assert signal.getsignal(number) is before, "a program that calls main keeps its own handlers"
    error = capsys.readouterr().err
    assert error.startswith("recbole-esmr: stopped. ") and error.count("\n") == 1
    assert error.endswith("--resume=a.pth\n") == isinstance(becomes, Interrupted)


def test_a_second_ctrl_c_does_not_disturb_what_is_being_saved():
    saved = []
    with Watch(["run"]) as watch:
        watch.raising()
        with pytest.raises(KeyboardInterrupt):
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGTERM)
                saved.append("all of it")
        assert (saved, watch.signal) == (["all of it"], signal.SIGINT)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_cannot_raise_where_it_comes_is_raised_after():
    class Dies:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def lost() -> None:
        Dies()
        time.sleep(5)

    with Watch(["run"]) as watch:
        watch.raising()
        with pytest.raises(KeyboardInterrupt):
            lost()


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["recbole_esmr.plugin", "argparse", "torch", "recbole"])
def test_while_modules_are_imported(tmp_path, number, module):
    """The process sends itself the signal when it comes to a module; a user cannot aim so well."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r} and 'recbole_esmr' in sys.modules:\n"
        f"            os.kill(os.getpid(), {int(number)})\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-m", "recbole_esmr.cli", "run", "--model=Pop", "--dataset=esmr-mini"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environment)
    line = "recbole-esmr: stopped. Start again with: recbole-esmr run --model=Pop --dataset=esmr-mini\n"
    assert (done.returncode, done.stderr) == (128 + number, line)


SLOW_DISK = """
import sys, time
import pandas as pd
from recbole_esmr.cli import main
plain = pd.DataFrame.to_csv
def to_csv(*args, **kwargs):
    plain(*args, **kwargs)
    print("writing", flush=True)
    time.sleep(60)
pd.DataFrame.to_csv = to_csv
sys.exit(main(["simulate", "--users=5", "--items=8", "--days=2", "--output=out/x"]))
"""


@posix
def test_twice_while_files_are_written(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", SLOW_DISK]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=tmp_path
    ) as process:
        assert process.stdout.readline() == "writing\n" and list(tmp_path.glob("out/.x.new-*"))
        for _ in range(2):
            process.send_signal(signal.SIGINT)
        error = process.stderr.read()
    assert process.returncode == 130 and "Traceback" not in error
    assert error.splitlines()[-1].startswith("recbole-esmr: stopped. Start again with: recbole-esmr simulate --users=5")
    assert os.listdir(tmp_path / "out") == []


CHECKED = """
import sys, types
sys.modules["recbole_esmr.check"] = types.SimpleNamespace(check=lambda *_, **__: {"refused": None})
sys.modules["recbole_esmr.report.found"] = types.SimpleNamespace(check_table=lambda _: "a table\\n" * 10_000)
from recbole_esmr.__main__ import main
sys.argv[1:] = ["check", "--dataset=x", "--output=check.json"]
sys.exit(main())
"""


@posix
def test_a_pipe_that_closes_takes_no_file_with_it(tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-W", "ignore", "-c", CHECKED]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=ENVIRONMENT, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "") and (tmp_path / "check.json").is_file()


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux's device")
def test_a_full_standard_output_is_one_line_and_takes_no_file_with_it(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", CHECKED]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=ENVIRONMENT, check=False)
    assert done.returncode == 2 and (tmp_path / "check.json").is_file()
    assert done.stderr.startswith("recbole-esmr: standard output: cannot be written: no space") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("simulate --output=x --seed=exit()", "--seed: exit() is not a whole number from 0 to 4294967295"),
        ("simulate --output=x --seed=-1", "--seed: -1 is not a whole number from 0"),
        ("simulate --output=x --users=1e3", "--users: 1e3 is not a whole number from 1"),
        ("simulate --output=x --users=" + "9" * 5000, "--users: 9999"),
        ("causal --dataset=x --graph_samples=-1", "--graph_samples: -1 is not a whole number from 0"),
        (
            "compare --models=A --dataset=x --seeds=__import__('os').system('true')",
            "--seeds: __import__('os').system('true') is not",
        ),
        ("walk", "invalid choice: 'walk'"),
        ("compare --dataset=x", "the following arguments are required: --models"),
    ],
)
def test_a_wrong_argument_is_one_line(words, says, capsys):
    with pytest.raises(SystemExit) as left:
        main(words.split())
    error = capsys.readouterr().err
    assert left.value.code == 2 and error.count("\n") == 1 and error.startswith("recbole-esmr: ") and says in error
    assert len(error) < 400
