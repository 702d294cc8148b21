"""What labels from texts are worth: against people's labels, and in effects that are estimated with them.

    python benchmarks/label_quality.py --data=../shared/data --seeds=10
    python benchmarks/label_quality.py --data=../shared/data --command="python my_labeller.py" --taxonomy=goemotions

**GoEmotions.** AUC of the labelled valence for each label of the test texts against all other texts; of all positive labels
against all negative ones; texts a second. A labeller of single emotions (``--command``) is also judged by the share that it gives
to each emotion.

**Attenuation.** In a world that writes captions the true valence of each item is known. The effect of the exposure to valence on
tomorrow's mood (`effect_features` with the column, day 1) is estimated with the true valences and with those of the labeller;
what the labels' noise should leave of it is λ = cov(label, truth) / var(label) over the items (`label --human`).
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from recbole_esmr.causal.lagged import estimate_traits
from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_split
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.label.agreement import agreement
from recbole_esmr.label.program import Program
from recbole_esmr.label.vader import Vader
from recbole_esmr.report.tables import markdown
from recbole_esmr.simulation import load_world, simulate
from recbole_esmr.trainer.causal import causal_question

POSITIVE = (
    *("admiration", "amusement", "approval", "caring", "desire", "excitement", "gratitude", "joy", "love", "optimism", "pride"),
    "relief",
)
NEGATIVE = (
    *("anger", "annoyance", "disappointment", "disapproval", "disgust", "embarrassment", "fear", "grief", "nervousness"),
    *("remorse", "sadness"),
)


def goemotions(data: Path, labeller: Vader | Program) -> pd.DataFrame:
    """The table of the test texts."""
    names = (data / "labels.txt").read_text().split()
    rows = pd.read_csv(data / "test.tsv", sep="\t", header=None, names=["text", "labels", "id"], quoting=3)
    said = rows["labels"].astype(str).str.split(",").map(lambda numbers: {names[int(number)] for number in numbers})
    start = perf_counter()
    labels = list(labeller.label(rows["text"].tolist()))
    seconds = perf_counter() - start
    place = {name: values[0] for name, values in labeller.emotions.items()}
    valence = np.array([sum(share * place[name] for name, share in label.share.items()) for label in labels])
    positive, negative = (said.map(lambda one, of=set(of): bool(one & of)).to_numpy() for of in (POSITIVE, NEGATIVE))
    clear = positive != negative
    found = [{"label": "any positive against any negative", "texts": int(clear.sum()),
              "AUC of valence": roc_auc_score(positive[clear], valence[clear])}]  # fmt: skip
    for name in names:
        there = said.map(lambda one, name=name: name in one).to_numpy()
        auc = roc_auc_score(there, -valence if name in NEGATIVE else valence)
        found.append({"label": name, "texts": int(there.sum()), "AUC of valence": auc})
        if name in place:
            share = np.array([label.share.get(name, 0.0) for label in labels])
            found[-1]["AUC of its share"] = roc_auc_score(there, share)
    print(f"{labeller.name}: {len(labels) / seconds:,.0f} texts/s on one thread, evidence included", flush=True)
    return pd.DataFrame(found)


def attenuation(seed: int, labeller: Vader) -> dict[str, float]:
    """Effects in one log by labels and by truth, and λ."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "said"
        simulate(load_world("reference"), 1000, 600, 30, seed, folder, show_progress=False, with_captions=True)
        path = folder / "said.item"
        item = pd.read_csv(path, sep="\t")
        taxonomy = load_taxonomy("esmr")
        valence = dict(zip(taxonomy.labels, taxonomy.valence, strict=True))
        truth = (item["emotion:token"].map(valence) * item["emotion_intensity:float"]).to_numpy()
        place = (-1.0, 0.0, 1.0)
        said = np.array(
            [
                sum(share * v for share, v in zip(label.share.values(), place, strict=True))
                for label in labeller.label(item["caption:token"].tolist())
            ]
        )
        item.assign(**{"truly:float": truth, "said:float": said}).to_csv(path, sep="\t", index=False)
        found = {}
        for name, value in (("truly", truth), ("said", said)):
            keys = {"state": "CRITICAL", "show_progress": False, "effect_features": [name]}
            config = Config("ESMR", str(folder), config_dict=keys, arguments=[])
            log = load_split(config)
            settings = replace(config.esmr.causal, days=1)
            every_day = np.ones(log.trace.present.shape, dtype=bool)
            question = causal_question(log.trace, log.seen, log.taxonomy.labels, settings, seed, every_day, 0.95)
            effect = estimate_traits(*question)[0]
            found[name] = effect.estimate / value.std()  # a number counts in SDs over the items
            found[f"{name} SE"] = effect.error / value.std()
    return found | {"λ": agreement(said, truth)["attenuation"], "α": agreement(said, truth)["alpha"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder that holds goemotions")
    parser.add_argument("--command", help="a labeller as a program, instead of VADER; judged on GoEmotions alone")
    parser.add_argument("--taxonomy", default="goemotions", help="of that program")
    parser.add_argument("--seeds", type=int, default=10, help="logs for the attenuation")
    options = parser.parse_args()
    labeller = Program(options.command, load_taxonomy(options.taxonomy)) if options.command else Vader()
    if options.data:
        print(markdown(goemotions(options.data / "goemotions", labeller)), flush=True)
    if not isinstance(labeller, Vader):
        return
    rows = pd.DataFrame([attenuation(seed, labeller) for seed in range(1, options.seeds + 1)])
    ratio = rows["said"].sum() / rows["truly"].sum()
    each = rows["said"] - ratio * rows["truly"]
    error = each.std(ddof=1) * np.sqrt(len(rows)) / rows["truly"].sum()
    print(markdown(rows.round(4)))
    print(
        f"Effect by labels over effect by truth: {ratio:.3f} [{ratio - 1.96 * error:.3f}, {ratio + 1.96 * error:.3f}]; "
        f"predicted λ {rows['λ'].mean():.3f}, α {rows['α'].mean():.3f}"
    )


if __name__ == "__main__":
    main()
