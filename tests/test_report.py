"""The report page: what it says of a result, what it escapes, and how a real browser shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from recbole_esmr.cli import main
from recbole_esmr.report.page import Chart, Page, Section, html, save_page
from recbole_esmr.report.pages import _behind, kind_of, page_of
from tests.test_compare_table import RESULT

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


def _value(mean, half=0.01):
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _policy(share, watch, worse, gap):
    return {
        "negative_day_share": _value(share), "watch_time": _value(watch), "retention": _value(0.8),
        "volatility_rmssd": _value(0.17), "worse_off_share": _value(worse),
        "difference": {
            "negative_day_share": _value(gap), "watch_time": _value(watch - 4.0), "retention": _value(-0.03),
            "volatility_rmssd": _value(0.0), "worse_off_share": _value(worse),
        },
    }  # fmt: skip


ROLLOUT = {
    "schema_version": 1, "world": "reference", "seed": [1, 2, 3], "compared_with": "engagement", "versions": {"torch": "2.13.0"},
    "config": {"users": 100, "log_days": 30, "days": 3, "new_people": False, "policies": ["engagement", "ESMR", "oracle"]},
    "policies": {
        "engagement": {k: v for k, v in _policy(0.25, 4.0, 0.0, 0.0).items() if k != "difference"},
        "ESMR": _policy(0.15, 3.88, 0.012, -0.10),
        "oracle": _policy(0.10, 3.88, 0.0, -0.15),
    },
    "groups": {
        "general": {"engagement": {"negative_day_share": _value(0.1)}, "ESMR": _policy(0.12, 4.0, 0.0, 0.02)},
        "vulnerable": {"engagement": {"negative_day_share": _value(0.5)}, "ESMR": _policy(0.3, 4.0, 0.0, -0.2)},
    },
    "harms": [
        {"policy": "ESMR", "group": "general", "figure": "negative_day_share", "mean": 0.02, "low": 0.01, "high": 0.03},
        {"policy": "pop", "group": "vulnerable", "figure": "valence", "mean": -0.02, "low": -0.03, "high": -0.01},
    ],
    "by_day": {name: [[v, v, v] for v in (-0.5, -0.2, 0.0, 0.2, 0.5)] for name in ("engagement", "ESMR", "oracle")},
    "survival": {name: [1.0, 0.5, 0.25, 0.125, 0.0] for name in ("engagement", "ESMR", "oracle")},
}  # fmt: skip

EFFECT = {
    "treatment": "exposure_angry", "outcome": "valence", "state": "all", "estimate": -0.05, "low": -0.08, "high": -0.02,
    "backdoor": {"estimate": -0.06}, "naive": -0.1, "refutations": {}, "detectable": 0.04, "weight": -0.04, "n_user_days": 900,
    "identified_by": "slate",
}  # fmt: skip
CAUSAL = {
    "schema_version": 1, "config": {"dataset": "mine"}, "effects": [EFFECT], "graph": {"edges": []},
    "moments": {"effects": [], "skipped": []}, "warnings": ["beware"], "skipped": [],
}  # fmt: skip
COMPARISON = {"schema_version": 1, **RESULT, "models": ["A_1", "B&B"]}


def _text(page):
    return " ".join([*page.headline, *(sentence for section in page.sections for sentence in section.text)])


def test_the_headline_of_a_rollout_says_what_it_brings_and_costs():
    page = page_of([ROLLOUT])
    assert page.headline == [
        "Under ESMR 15.0% of the days are negative, under engagement 25.0%: -10.0 points [-11.0, -9.0], with 97.0% of the watch "
        "time; 1.2% of the people are worse off."
    ]


def test_it_says_where_esmr_loses_and_who_is_worse_off():
    said = _text(page_of([ROLLOUT]))
    assert "ESMR: days on which people come -0.0300 [-0.0400, -0.0200] beside engagement." in said
    assert "ESMR: expected watch minutes a day -0.1200" in said and "RMSSD" not in said, "not beyond its interval"
    assert "Worse off on average than under engagement, beyond the interval:" in said
    assert "general under ESMR: negative day share +0.0200 [+0.0100, +0.0300]" in said
    spared = _text(page_of([{**ROLLOUT, "harms": []}]))
    assert "No group is worse off on average than under engagement beyond the interval." in spared


def test_it_says_in_which_figures_another_forecaster_is_better():
    """By hand: less is better of errors, more of all else; coverage is neither."""
    figures = {"valence_mae": [0.3, 0.4], "valence_r2": [0.1, 0.2], "brier": [0.11, 0.10], "macro_f1": [0.3, 0.2]}
    frame = pd.DataFrame({**figures, "coverage80": [0.7, 0.8]}, index=["ESMR encoder", "hist_ols"])
    assert _behind(frame) == ["valence r2 (hist_ols 0.2000)", "brier (hist_ols 0.1000)"]


def test_a_page_says_nothing_of_where_files_lay():
    kept = {"data_path": "/home/ann/data", "checkpoint_dir": "saved", "gate": "never", "dataset": "mine"}
    kept |= {
        "checkpoints": ["/home/ann/saved/ESMR.pth", "saved/a/BPR.pth"],
        "arguments": ["--trust=~/keys/mine.pub", "ESMR:/home/ann/x/E.pth"],
    }
    page = page_of([{**ROLLOUT, "config": {**ROLLOUT["config"], **kept}}], "recbole-esmr rollout --log=/home/ann/log --seeds=1")
    config = next(text for section in page.sections for _, text in section.details)
    assert all(f'"{name}"' in config for name in ("ESMR.pth", "saved/a/BPR.pth", "--trust=mine.pub", "ESMR:E.pth"))
    assert (
        "rollout --log=log --seeds=1" in _text(page)
        and "ann" not in config + _text(page)
        and "checkpoint_dir" not in config
        and '"gate": "never"' in config
    )
    assert "Only trials with people can show it." in _text(page)


def test_a_comparison_says_who_is_best_and_where_the_first_loses():
    page = page_of([COMPARISON])
    assert page.headline[0].startswith("Best ndcg@10: B&B 0.3000; A_1 0.2000 (difference +0.1000 [+0.0500, +0.1500], q 0.000)")
    assert page.headline[1] == "Best negativeexposure@10: A_1 0.1000.", "smaller is better there"
    assert "A_1 loses to B&B in ndcg@10 by 0.1000." in _text(page)
    assert "<b>0.3000 ± 0.0100</b>*" in html(page)


def test_effects_are_said_with_their_intervals_or_that_none_is_proven():
    assert "exposure angry -0.050 [-0.080, -0.020] (naive -0.100)" in page_of([CAUSAL]).headline[0]
    nothing = {**CAUSAL, "effects": [{**EFFECT, "weight": 0.0}]}
    assert page_of([nothing]).headline[0].startswith("No effect of the feed on tomorrow's valence is proven")
    assert "beware" in _text(page_of([CAUSAL]))


def test_what_comes_from_data_is_escaped_everywhere():
    evil = "</script><img src=x onerror=alert(1)>"
    chart = Chart([{"x": [1], "name": evil}], {"title": {"text": evil}}, evil, evil)
    page = Page(evil, [evil], [Section(evil, [evil], [chart], [pd.DataFrame({evil: [evil]})], [(evil, evil)])])
    assert evil not in html(page) and "<img" not in html(page)


def test_it_asks_for_nothing_from_anywhere():
    text = re.sub(r"<script>.*?</script>", "", html(page_of([ROLLOUT, CAUSAL, COMPARISON])), flags=re.S)
    assert "default-src 'none'" in text and not re.search(r"""(src|href)\s*=\s*["']?(?!#)\w""", text)


@pytest.mark.parametrize("result", [ROLLOUT, CAUSAL, COMPARISON])
def test_results_are_known_by_what_they_hold(result):
    assert kind_of(result) is not None and kind_of({}) is None and kind_of([]) is None


def test_pages_of_files_and_folders(tmp_path, capsys):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/rollout.json").write_text(json.dumps(ROLLOUT).replace("0.012", "null"))
    (tmp_path / "results/other.json").write_text('{"a": 1}')
    (tmp_path / "results/within").mkdir()
    (tmp_path / "results/within/effects.json").write_text(json.dumps(CAUSAL))
    (tmp_path / "results/.within.work").mkdir()
    (tmp_path / "results/.within.work/rollout.json").write_text(json.dumps({**ROLLOUT, "world": "unfinished"}))
    assert main(["report", "results"]) == 0
    assert "Written: results/report.html" in capsys.readouterr().out
    text = Path("results/report.html").read_text()
    assert "Under ESMR 15.0%" in text and "exposure angry" in text and "unfinished" not in text


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty", None, "empty: holds no result. `run`, `compare`,"),
        ("a.json", "{", "a.json: is no result."),
        ("a.json", '{"schema_version": 1, "policies": {}, "compared_with": "x"}', "a.json: is not whole (KeyError: 'config')"),
        ("a.json", "[" * 100_000, "a.json: is no result."),
        ("none.json", "", "none.json: cannot be read (No such file or directory)"),
    ],
)
def test_what_is_no_result_is_one_line(name, content, says, capsys):
    if content is None:
        Path(name).mkdir()
    elif content:
        Path(name).write_text(content)
    assert main(["report", name]) == 2
    assert says in capsys.readouterr().err


def test_a_page_takes_no_results_place(data_path, capsys):
    for output in ("res.html", "/dev/null"):
        words = ["run", "--model=BPR", "--dataset=small", f"--data_path={data_path}", f"--output={output}", "--report"]
        assert main(words) == 2 and "leaves no room for one" in capsys.readouterr().err
    assert not Path("res.html").exists() and not Path("/dev/null.html").exists()


def test_nothing_is_called_better_where_nothing_was_compared():
    alone = {**COMPARISON, "summary": [{**entry, "difference": None} for entry in COMPARISON["summary"]]}
    said = _text(page_of([alone]))
    assert "Nothing could be compared with A_1" in said and "No model is better" not in said


def test_figures_that_are_no_numbers_break_no_page():
    hollow = {**COMPARISON, "summary": [{**entry, "mean": float("nan"), "difference": None} for entry in COMPARISON["summary"]]}
    assert page_of([hollow]).headline == []


def test_a_run_writes_its_page(quick, capsys):
    keys = [f"--{key}={value}" for key, value in quick.items()]
    assert main(["run", "--dataset=small", "--output=run.json", "--report", *keys]) == 0
    text = Path("run.html").read_text()
    assert "ESMR on the test part of small" in text and "recbole-esmr run --dataset=small" in text
    assert "Tomorrow&#39;s valence is foretold with a mean absolute error of" in text


def seen_in_browser(*options):
    """What a browser makes of a page: its DOM, and what it says on the console."""
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=20000", "--enable-logging=stderr", "--dump-dom", *options],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium (Debian: apt-get install chromium)")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_draws_every_figure_and_has_nothing_to_say(width):
    page = page_of([ROLLOUT, CAUSAL, COMPARISON])
    save_page("page.html", page)
    wanted = sum(len(section.charts) for section in page.sections)
    Path("frame.html").write_text(
        f"<iframe src='page.html' style='width:{width}px;height:900px;border:0'></iframe><script>onload = () => {{"
        "const seen = document.querySelector('iframe').contentDocument; const whole = seen.documentElement;"
        "const charts = [...seen.querySelectorAll('.chart')]; const drawn = charts.filter((c) => c.querySelector('.main-svg'));"
        "const silent = charts.filter((c) => !c.getAttribute('aria-label'));"
        "const out = [drawn.length, whole.scrollWidth, charts.length, silent.length];"
        "document.title = JSON.stringify(out); }</script>"
    )
    dom, console = seen_in_browser(f"--window-size={max(width, 600) + 50},1000", f"file://{Path('frame.html').absolute()}")
    drawn, wide, charts, silent = json.loads(re.search(r"<title>(.*?)</title>", dom)[1])
    assert not console, console
    assert charts == wanted == drawn and wanted >= 7, "each figure has an svg of plotly's"
    assert wide <= width, "nothing but tables scrolls sideways"
    assert silent == 0, "each has a text for who does not see it"
