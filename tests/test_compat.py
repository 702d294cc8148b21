"""What stands in for other libraries while RecBole is imported."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from recbole_esmr.compat import LATE, OWN, PAST, LateModule
from tests.models.cases import KEYS, write


def _done(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("first", ["import recbole_esmr", "import recbole", "from recbole_esmr import run_recbole"])
def test_recbole_comes_without_ray(first):
    code = f"{first}\nimport recbole_esmr, recbole.quick_start, recbole.trainer, sys"
    said = _done(f"{code}\nprint([name for name in sys.modules if name.split('.')[0] in ('ray', 'pkg_resources')])")
    assert said == "[]\n"


HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.mark.skipif(not HAS_RAY, reason="needs ray")
def test_ray_comes_when_its_first_name_is_asked_for():
    code = "import recbole_esmr, sys, recbole.quick_start.quick_start as quick\nassert 'ray' not in sys.modules"
    code += "\nchoice = quick.tune.choice\nfrom ray import tune\nassert choice is tune.choice"
    assert _done(code) == "", "ray's import warns nobody"


@pytest.mark.skipif(not HAS_RAY, reason="needs ray")
def test_a_ray_that_is_there_stays_as_it_is():
    _done(
        "from ray import tune\nimport ray, sys, recbole_esmr, recbole.quick_start.quick_start as quick"
        "\nassert quick.tune.choice is tune.choice and sys.modules['ray'] is ray"
    )


@pytest.mark.parametrize("signature", ["**metrics", "metrics, *, checkpoint=None"])
def test_a_training_reports_to_the_ray_that_is_loaded(signature):
    """Of 2.6, which takes keywords, and of 2.7 and later, which take a dict."""
    _done(
        "import sys, types\nray = types.ModuleType('ray')\ntune = ray.tune = types.ModuleType('ray.tune')\nsaid = []"
        f"\ndef report({signature}):\n    said.append(metrics)\ntune.report = report"
        "\nsys.modules.update({'ray': ray, 'ray.tune': tune})"
        "\nimport recbole_esmr, recbole.quick_start.quick_start as quick\nquick.tune.report(**{'ndcg@10': 0.5})"
        "\nassert said == [{'ndcg@10': 0.5}]"
    )


def test_without_ray_there_is_no_trial_to_report_to():
    code = "import sys\nsys.modules['ray'] = None\nimport recbole_esmr, recbole.quick_start.quick_start as quick"
    assert _done(code + "\nquick.tune.report(**{'ndcg@10': 0.5})") == ""


def test_where_recbole_is_missing_one_line_says_how_to_get_it():
    hidden = (
        "import sys\nfrom importlib.machinery import PathFinder\nfound = PathFinder.find_spec"
        "\nPathFinder.find_spec = lambda name, *rest: None if name == 'recbole' else found(name, *rest)"
    )
    code = f"{hidden}\nfrom recbole_esmr.__main__ import main\nsys.argv = ['x', 'check', '--dataset=esmr-mini']\nsys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert "pip install --no-deps recbole==1.2.1" in done.stderr
    done = _done(
        f"{hidden}\nimport recbole_esmr\ntry:\n    recbole_esmr.run_recbole\nexcept ImportError as error:\n    print(error)"
    )
    assert done.startswith("RecBole is not installed")


def test_a_run_loads_no_ray(data_path, tmp_path):
    keys = {"data_path": str(data_path), "epochs": 1, "state": "ERROR", "show_progress": False}
    code = "import sys\nfrom recbole_esmr import run_recbole"
    code += f"\nrun_recbole('BPR', 'small', config_dict={keys!r}, arguments=[])\nassert 'ray' not in sys.modules"
    _done(code)


def test_where_ray_is_missing_its_own_name_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r"ray is not installed.*pip install 'ray\[tune\]'"):
        LateModule("ray.tune").choice()


def test_columns_of_sequences_warn_nobody(tmp_path):
    folder, keys = write(tmp_path), {**KEYS, "load_col": None}
    code = "import warnings, recbole_esmr\nwarnings.filterwarnings('error', category=FutureWarning, module='recbole')"
    code += "\nfrom recbole_esmr.config import Config\nfrom recbole.data import create_dataset"
    code += f"\ndata = create_dataset(Config('FM', {str(folder)!r}, config_dict={keys!r}, arguments=[]))"
    assert _done(code + "\nprint(len(data.item_feat['words'][1]))") == "2\n"


def test_every_row_says_why():
    assert all(why for *_, why in (*LATE, *PAST, *OWN))
