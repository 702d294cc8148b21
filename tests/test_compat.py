"""What stands in for other libraries while RecBole is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from recbole_esmr.compat import LATE, LateModule


def _done(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("first", ["import recbole_esmr", "import recbole", "from recbole_esmr import run_recbole"])
def test_recbole_comes_without_ray(first):
    code = f"{first}\nimport recbole_esmr, recbole.quick_start, recbole.trainer, sys"
    said = _done(f"{code}\nprint([name for name in sys.modules if name.split('.')[0] in ('ray', 'pkg_resources')])")
    assert said == "[]\n"


def test_ray_comes_when_its_first_name_is_asked_for():
    code = "import recbole_esmr, sys, recbole.quick_start.quick_start as quick\nassert 'ray' not in sys.modules"
    code += (
        "\nreport = quick.tune.report\nfrom ray import tune\nassert report is tune.report and quick.tune.choice is tune.choice"
    )
    assert _done(code) == "", "ray's import warns nobody"


def test_a_ray_that_is_there_stays_as_it_is():
    _done(
        "from ray import tune\nimport ray, sys, recbole_esmr, recbole.quick_start.quick_start as quick\nassert quick.tune is tune"
        "\nassert sys.modules['ray'] is ray"
    )


def test_a_run_loads_no_ray(data_path, tmp_path):
    keys = {"data_path": str(data_path), "epochs": 1, "state": "ERROR", "show_progress": False}
    code = "import sys\nfrom recbole_esmr import run_recbole"
    code += f"\nrun_recbole('BPR', 'small', config_dict={keys!r}, arguments=[])\nassert 'ray' not in sys.modules"
    _done(code)


def test_where_ray_is_missing_its_own_name_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match="ray"):
        LateModule("ray.tune").report()


def test_every_row_says_why():
    assert all(why for *_, why in LATE)
