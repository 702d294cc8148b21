"""Names of checkpoints, logs and TensorBoard folders that no two runs share, and logs that cannot be written."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from types import MappingProxyType

import pytest
from recbole.trainer import trainer as recbole_trainer
from recbole.utils import logger as recbole_logger
from recbole.utils import utils as recbole_utils

from recbole_esmr.quick_start import run_recbole
from recbole_esmr.records import TensorBoard, ensure_dir, get_tensorboard, init_logger, unique_time

KEYS = {"epochs": 1, "state": "ERROR", "show_progress": False}


@pytest.fixture
def no_handlers():
    """The root logger without the handlers of runs before, and without those of this one after it."""
    root, before, level = logging.getLogger(), logging.getLogger().handlers[:], logging.getLogger().level
    root.handlers[:] = []
    yield root
    root.handlers[:] = before
    root.setLevel(level)


def test_all_places_of_recbole_make_unique_names():
    for place in (recbole_trainer, recbole_logger, recbole_utils):
        names = {place.get_local_time() for _ in range(100)}
        assert len(names) == 100 and all(f"-{os.getpid()}-" in name for name in names)
    for place in (recbole_trainer, recbole_logger):
        place.ensure_dir("a/b/c")
        place.ensure_dir("a/b/c")
    assert os.path.isdir("a/b/c")


def test_a_folder_that_another_process_makes_meanwhile_is_no_error(tmp_path, monkeypatch):
    """RecBole asks whether the folder is there, and makes it after that."""
    monkeypatch.setattr(Path, "exists", lambda path: path == tmp_path)
    os.makedirs(tmp_path / "log" / "BPR")
    ensure_dir(str(tmp_path / "log" / "BPR"))
    assert os.path.isdir(tmp_path / "log" / "BPR")


@pytest.mark.parametrize("model", ["BPR", "Pop"])
def test_two_runs_in_one_second_share_nothing(data_path, tmp_path, monkeypatch, no_handlers, model):
    class Stopped(recbole_logger_datetime()):
        @classmethod
        def now(cls):
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr("recbole_esmr.records.datetime", Stopped)
    results = []
    for seed in (1, 2):
        no_handlers.handlers[:] = []
        results.append(run_recbole(model, "small", config_dict={**KEYS, "data_path": str(data_path), "seed": seed}))
    assert len({result["checkpoint"] for result in results}) == len(list(tmp_path.glob("saved/*.pth"))) == 2
    assert len(list(tmp_path.glob(f"log/{model}/*.log"))) == 2 and len(list(tmp_path.glob("log_tensorboard/*"))) == 2


def recbole_logger_datetime() -> type:
    import recbole_esmr.records

    return recbole_esmr.records.datetime


def test_trainings_that_share_a_log_file_have_a_tensorboard_folder_each(tmp_path, no_handlers):
    no_handlers.addHandler(logging.FileHandler(tmp_path / "BPR-my.data-now.log"))
    for _ in range(3):
        get_tensorboard(no_handlers).close()
    names = sorted(os.listdir("log_tensorboard"))
    assert len(names) == 3 and names[0] == "BPR-my.data-now", "RecBole would cut the name at its first point"


def test_a_run_goes_on_where_no_log_can_be_written(data_path, tmp_path, no_handlers, caplog):
    (tmp_path / "log").write_text("a file")
    (tmp_path / "log_tensorboard").write_text("a file")
    result = run_recbole("BPR", "small", config_dict={**KEYS, "state": "WARNING", "data_path": str(data_path)})
    assert Path(result["checkpoint"]).is_file() and result["test_result"]
    assert "goes on without a log file: ./log" in caplog.text and "goes on without TensorBoard: log_tensorboard" in caplog.text
    assert (tmp_path / "log").read_text() == (tmp_path / "log_tensorboard").read_text() == "a file"


def test_a_log_that_can_no_longer_be_written_is_left_with_one_warning(tmp_path, no_handlers, capsys):
    class Full:
        def write(self, _: str) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def flush(self) -> None: ...

        def close(self) -> None: ...

    class Config(dict):
        final_config_dict = MappingProxyType({})

    no_handlers.handlers[:] = []  # pytest has put its own there
    init_logger(Config(model="BPR", dataset="x", state="INFO"))
    file = next(handler for handler in no_handlers.handlers if isinstance(handler, logging.FileHandler))
    file.stream.close()
    file.stream = Full()
    capsys.readouterr()
    for _ in range(3):
        no_handlers.info("an epoch")
    error = capsys.readouterr().err
    assert "Traceback" not in error and error.count("goes on without its log file") == 1 and file.baseFilename in error
    assert file not in no_handlers.handlers


def test_tensorboard_that_can_no_longer_write_is_left_with_one_warning(tmp_path, caplog):
    board = TensorBoard(tmp_path / "board")

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    board._writer.add_scalar = fail
    for _ in range(3):
        board.add_scalar("loss", 1.0, 0)
    board.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"This run goes on without TensorBoard: {tmp_path / 'board'}: cannot be written: no space is left on the device. "
        "Free some space, or give another path."
    ]


def test_names_have_the_form_that_recbole_users_know():
    assert unique_time().rsplit("-", 2)[0].count("_") == 1
