"""Are the effects right where the truth is known? Bias, coverage, false alarms and warnings over many logs of each world.

    python benchmarks/causal_worlds.py                                        # six worlds, 20 seeds x 1,000 people x 30 days
    python benchmarks/causal_worlds.py --worlds=null --seeds=100 --jobs=2
    python benchmarks/causal_worlds.py --traits --worlds=signs,quiet --seeds=100     # single emotions, over three days after

The truth is what twins say (`simulate --truth`) of the label that people report, since labels are all that a log holds; it is
computed for each seed. `slate` is what ESMR uses (what was shown stands for the exposure), `back-door` adjusts what was watched
for what was reported and logged, `naive` adjusts for nothing.

With `--traits` single emotions are asked after, by day after the feed, with days on which behaviour alone tells the mood (`told`,
prediction-powered inference) and without (`reports`): coverage and width of the intervals, in how many logs the gate would open
(`open`) and the test rejects at 5 % (`rejects`), how alike believed and true effects are, and how far the estimates of positive
emotions are off beyond those of negative ones.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from recbole.data import create_dataset
from tqdm import tqdm

from recbole_esmr.causal.analysis import analyse
from recbole_esmr.causal.effects import Method
from recbole_esmr.causal.graph import domain_graph
from recbole_esmr.causal.lagged import estimate_traits
from recbole_esmr.causal.panel import make_panel
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_split
from recbole_esmr.report.tables import markdown
from recbole_esmr.simulation import load_world, simulate
from recbole_esmr.simulation.twin import true_effects
from recbole_esmr.trainer.causal import causal_question

WORLDS = "reference,confounded,reversed,weak,null,hidden"
TRUTH = {"valence": "reported_valence", "negative": "reported_negative"}
MAIN = ("negative_exposure", "positive_exposure")


def one_log(world: str, seed: int, users: int, items: int, days: int) -> list[dict[str, object]]:
    """A row for each effect: what was estimated, and what is true."""
    truth = {
        (effect["treatment"], effect["outcome"], effect["state"]): effect["value"]
        for effect in true_effects(load_world(world), users, items, days, seed, show_progress=False)["effects"]
    }
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        simulate(load_world(world), users, items, days, seed, log, show_progress=False)
        data = create_dataset(Config("ESMR", str(log), config_dict={"state": "CRITICAL"}, arguments=[]))
    every_day = np.ones(data.trace.present.shape, dtype=bool)
    panel = make_panel(data.trace, data.impressions, data.catalogue, every_day)
    rows: list[dict[str, object]] = []
    found = analyse(
        replace(panel, design=replace(panel.design, outcomes=tuple(TRUTH))), Method(domain_graph(panel.design), seed=seed)
    )
    warned = " ".join(found.warnings)
    for effect in found.effects:
        if effect.treatment in MAIN:
            there = effect.backdoor
            true = truth[effect.treatment, TRUTH[effect.outcome], effect.state]
            rows.append(
                {
                    "world": world, "seed": seed, "treatment": effect.treatment, "outcome": effect.outcome, "state": effect.state,
                    "truth": true, "felt": truth[effect.treatment, effect.outcome, effect.state],
                    "estimate": effect.estimate, "back-door": there["estimate"],
                    "naive": effect.naive, "error": effect.error, "covers": effect.low <= true <= effect.high,
                    "back-door covers": there["low"] <= true <= there["high"], "finds": effect.low > 0 or effect.high < 0,
                    "weight": effect.weight, "refuted": not effect.passed,
                    "warned": f"{effect.treatment} → {effect.outcome}" in warned,
                }
            )  # fmt: skip
    return rows


def traits_of_one_log(world: str, seed: int, users: int, items: int, days: int) -> list[dict[str, object]]:
    """A row for each emotion and way: its intervals on the days after, and what is believed of it."""
    after = 3
    truth = {
        (effect["treatment"], effect["days_after"]): effect["value"]
        for effect in true_effects(
            load_world(world), users, items, days, seed, show_progress=False, emotions=True, days_after=after
        )["effects"]
        if effect["outcome"] == TRUTH["valence"] and effect["state"] == "all"
    }
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        simulate(load_world(world), users, items, days, seed, log, show_progress=False)
        config = Config("ESMR", str(log), config_dict={"state": "CRITICAL", "show_progress": False}, arguments=[])
        data = load_split(config)
    every_day = np.ones(data.trace.present.shape, dtype=bool)
    sign = dict(zip((f"exposure_{label}" for label in data.taxonomy.labels), np.sign(data.taxonomy.valence), strict=True))
    rows: list[dict[str, object]] = []
    for way in ("told", "reports"):
        settings = replace(config.esmr.causal, nowcast=way == "told", days=after)
        effects = estimate_traits(*causal_question(data.trace, data.seen, data.taxonomy.labels, settings, seed, every_day, 0.95))
        of_emotions = [effect for effect in effects if (effect.treatment, 1) in truth]
        true = np.array([[truth[effect.treatment, day + 1] for day in range(after)] for effect in of_emotions])
        believed = np.array([effect.weight for effect in of_emotions])
        alike = np.corrcoef(believed, true.sum(axis=1))[0, 1] if believed.std() > 0 and true.std() > 0 else 0.0
        for effect, values in zip(of_emotions, true, strict=True):
            by_day = [(x["low"], x["high"], value) for x, value in zip(effect.by_day, values, strict=True)]
            together = effect.together["low"], effect.together["high"], values.sum()
            rows.append(
                {
                    "world": world, "seed": seed, "way": way, "treatment": effect.treatment, "truth": values[0],
                    "sign": sign[effect.treatment],
                    "estimate": effect.estimate, "covers": np.mean([low <= value <= high for low, high, value in by_day]),
                    "covers sum": together[0] <= together[2] <= together[1],
                    "width": np.mean([high - low for low, high, _ in by_day]), "width of sum": together[1] - together[0],
                    "open": bool(believed.any()), "rejects": effect.joint < 0.05, "alike": alike,
                }
            )  # fmt: skip
    return rows


def traits_summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a world and way, over seeds and emotions."""
    names = ["covers", "covers sum", "width", "width of sum", "open", "rejects", "alike"]
    found = frame.groupby(["world", "way"], sort=False)[names].mean()
    off = frame.assign(off=frame["estimate"] - frame["truth"]).groupby(["world", "way", "seed", "sign"], sort=False)["off"].mean()
    tilt = (off.xs(1, level="sign") - off.xs(-1, level="sign")).groupby(["world", "way"], sort=False)
    found["bias, positive less negative"] = tilt.mean()
    found["± (SE over seeds)"] = tilt.std() / np.sqrt(tilt.count())
    return found.reset_index()


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a world and effect, over the seeds."""
    rows = []
    for (world, outcome, treatment, state), part in frame.groupby(["world", "outcome", "treatment", "state"], sort=False):
        off = {name: part[name] - part["truth"] for name in ("estimate", "back-door", "naive")}
        sign = np.sign(part["estimate"]) == np.sign(part["truth"])
        rows.append(
            {
                "world": world, "effect": f"{treatment} → {outcome}, {state}", "truth (reported)": part["truth"].mean(),
                "truth (felt)": part["felt"].mean(), "bias, slate": off["estimate"].mean(),
                "± (2 SE over seeds)": 2 * off["estimate"].std() / np.sqrt(len(part)), "bias, back-door": off["back-door"].mean(),
                "bias, naive": off["naive"].mean(), "SE, slate": part["error"].mean(), "coverage, slate": part["covers"].mean(),
                "coverage, back-door": part["back-door covers"].mean(), "sign right": sign.mean(),
                "interval leaves out 0": part["finds"].mean(), "weight not 0": (part["weight"] != 0).mean(),
                "refuted": part["refuted"].mean(), "warned": part["warned"].mean(),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", default=WORLDS)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first_seed", type=int, default=1)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--traits", action="store_true", help="ask after single emotions")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, help="also write every row as CSV")
    options = parser.parse_args()
    size = options.users, options.items, options.days
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    one, told = (traits_of_one_log, traits_summary) if options.traits else (one_log, summary)
    for world in options.worlds.split(","):
        run = Parallel(n_jobs=options.jobs, return_as="generator")(delayed(one)(world, seed, *size) for seed in seeds)
        frame = pd.DataFrame([row for rows in tqdm(run, total=len(seeds), desc=world) for row in rows])
        print(markdown(told(frame)), flush=True)
        if options.output:
            frame.to_csv(options.output, mode="a", index=False, header=not options.output.exists())


if __name__ == "__main__":
    main()
