"""Independent pieces of work: in this process, in several, on a Ray cluster; one that dies takes no other with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from recbole_esmr.cli import main
from recbole_esmr.engines import LOCAL, RAY, check_engine, each
from recbole_esmr.errors import ConfigError


def work(piece):
    """What a piece asks for: its square, or an end of the process it is in."""
    if piece == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if piece == "left":
        os._exit(3)
    return {"square": piece**2, "process": os.getpid()}


def test_in_this_process_one_after_the_other():
    found = list(each(work, [3, 4]))
    assert found == [(0, {"square": 9, "process": os.getpid()}), (1, {"square": 16, "process": os.getpid()})]


def test_in_several_processes_each_of_its_own():
    found = dict(each(work, [1, 2, 3], processes=2))
    assert [found[place]["square"] for place in range(3)] == [1, 4, 9]
    assert len({row["process"] for row in found.values()} | {os.getpid()}) == 4


def test_a_process_that_dies_says_so_and_the_others_go_on():
    found = dict(each(work, ["killed", 5, "left"], processes=2))
    assert found[1]["square"] == 25
    assert found[0] == {"failed": "its process was killed by signal 9, perhaps for want of memory"}
    assert found[2] == {"failed": "its process ended with exit status 3"}


def work_after_deaths(piece):
    """Its process is killed until so many marks lie there; then it says how many processes came."""
    folder, deaths = Path(piece[0]), piece[1]
    came = len(list(folder.iterdir()))
    (folder / str(came)).touch()
    if came < deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"came": came + 1}


@pytest.mark.parametrize("engine", [LOCAL, pytest.param(RAY, marks=pytest.mark.slow)])
def test_a_piece_whose_process_dies_is_tried_again(tmp_path, engine, monkeypatch):
    if engine == RAY:
        pytest.importorskip("ray")
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    pieces = []
    for deaths in (0, 2, 5):
        folder = tmp_path / str(deaths)
        folder.mkdir()
        pieces.append((str(folder), deaths))
    found = dict(each(work_after_deaths, pieces, processes=2, engine=engine, tries=3))
    assert found[0] == {"came": 1} and found[1] == {"came": 3} and "failed" in found[2]
    assert len(list((tmp_path / "5").iterdir())) == 3, "and no more"


def test_who_stops_listening_leaves_no_process_behind():
    pieces = each(work, list(range(6)), processes=2)
    place, row = next(pieces)
    pieces.close()
    assert row["square"] == place**2
    assert multiprocessing.active_children() == [], "those that were still at work are gone, too"


@pytest.mark.slow
def test_on_a_ray_cluster_of_two(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # its processes need to find what they are to do
    found = dict(each(work, [1, 2, "killed"], processes=2, engine=RAY))
    assert [found[place]["square"] for place in (0, 1)] == [1, 4] and "Ray lost it" in found[2]["failed"]


@pytest.mark.parametrize(
    ("engine", "address", "says"),
    [("Ray", None, "engine is 'Ray'. Did you mean 'ray'?"), (LOCAL, "auto", "--address is of a Ray cluster: give --engine=ray")],
)
def test_an_engine_that_there_is_not(engine, address, says):
    with pytest.raises(ConfigError) as refused:
        check_engine(engine, 1, address)
    assert says in str(refused.value)


def test_ray_that_is_not_installed_is_one_line(monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    command = ["compare", "--models=BPR,Pop", "--dataset=esmr-mini", "--engine=ray"]
    assert main(command) == 2
    assert "engine ray needs the package ray, which is not installed. Run `pip install ray`." in capsys.readouterr().err
