"""Real people: does the emotion that a film was about move the mood in which it is left, given the mood in which it was chosen?

    python benchmarks/causal_ldos.py --data=LDOS-CoMoDa.csv --figures=figures

A row a rating. Treatments: whether the rater called the film's dominant emotion negative or positive (against neutral); a
second table takes what *other* raters of the film called it, which the rater's own mood cannot have coloured.
Outcome: valence of the emotion at the end (LDOS-CoMoDa's endEmo by the taxonomy `ldos-comoda`). Adjusted: mood while choosing,
the person's mean end emotion so far, the last end emotion, daytype, company, who decided, health. The unit is a whole change of
the treatment, not +0.1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_esmr.causal.effects import UNIT, Method, estimate_effects
from recbole_esmr.causal.graph import domain_graph
from recbole_esmr.causal.panel import Design, Panel
from recbole_esmr.data.importers.ldos_comoda import COLUMNS, EMOTIONS
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.report.tables import markdown


def panel(path: Path, others: bool) -> Panel:
    """The ratings with a known end emotion, mood and tone of the film."""
    frame = pd.read_csv(path / "LDOS-CoMoDa.csv" if path.is_dir() else path, header=None, names=list(COLUMNS))
    taxonomy = load_taxonomy("ldos-comoda")
    valence = dict(zip(taxonomy.labels, taxonomy.valence, strict=True))
    end = frame["endEmo"].map(EMOTIONS).map(valence).where(frame["endEmo"] > 0)
    tone = np.sign(frame["dominantEmo"].map(EMOTIONS).map(valence).where(frame["dominantEmo"] > 0))
    table = pd.DataFrame({"user": frame["user"], "end": end, "mood_before": frame["mood"].map({1: 1.0, 2: 0.0, 3: -1.0})})
    for name, sign in (("negative_film", -1), ("positive_film", 1)):
        said = (tone == sign).astype(float).where(tone.notna())
        if others:
            film = said.groupby(frame["item"])
            said = (film.transform("sum") - said) / (film.transform("count") - 1).replace(0, np.nan)
        table[name] = said
    person = end.groupby(frame["user"])
    table["end_before"] = person.shift().fillna(end.mean())
    table["usual_end"] = end.groupby(frame["user"]).transform(lambda one: one.shift().expanding().mean()).fillna(end.mean())
    for name, code in (("weekend", 2), ("holiday", 3)):
        table[name] = (frame["daytype"] == code).astype(float)
    table["alone"] = (frame["social"] == 1).astype(float)
    table["own_choice"] = (frame["decision"] == 1).astype(float)
    table["ill"] = (frame["physical"] == 2).astype(float)
    table["state"] = (table["mood_before"] < 0).astype(float)
    known = table.dropna(subset=["end", "mood_before", "negative_film", "positive_film"]).reset_index(drop=True)
    confounders = ("mood_before", "usual_end", "end_before", "weekend", "holiday", "alone", "own_choice", "ill")
    return Panel(known, Design(("negative_film", "positive_film"), ("end",), confounders))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--figures", type=Path)
    options = parser.parse_args()
    for others, title in ((False, "tone as the rater said"), (True, "tone as the film's other raters said")):
        ratings = panel(options.data, others)
        found = []
        for within, who in ((False, "between people"), (True, "within person")):
            method = Method(domain_graph(ratings.design), placebos=100, within_person=within)
            found += [(who, effect) for effect in estimate_effects(ratings, "end", method)]
        whole = 1 / UNIT
        rows = [
            {
                "film": effect.treatment, "compared": who, "effect on the end emotion": whole * effect.estimate,
                "95 %": f"[{whole * effect.low:+.3f}, {whole * effect.high:+.3f}]", "naive": whole * effect.naive,
                "refuted by": ", ".join(name for name, tried in effect.refutations.items() if not tried["passed"]) or "none",
                "robustness value": effect.refutations.get("unobserved_common_cause", {}).get("statistic", np.nan),
                "ratings": effect.n_user_days,
            }
            for who, effect in found
        ]  # fmt: skip
        people = ratings.table["user"].nunique()
        print(f"\n{title}, {people} people\n\n{markdown(pd.DataFrame(rows))}", flush=True)
        if options.figures and not others:
            from recbole_esmr.report.figures import save_forest

            save_forest(options.figures / "ldos.png", [e.as_dict() for w, e in found if w == "between people"], "end")


if __name__ == "__main__":
    main()
