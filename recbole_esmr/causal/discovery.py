"""Which edges the data show: DirectLiNGAM with the temporal tiers as prior knowledge, bootstrapped by person."""

from __future__ import annotations

import numpy as np
import pandas as pd
from tqdm import tqdm

from recbole_esmr.causal.graph import NEXT, DomainKnowledge, tiers
from recbole_esmr.causal.panel import Panel
from recbole_esmr.errors import DataError

_ROWS = 3000
"""User-days of a bootstrap sample: DirectLiNGAM's cost is linear in them, its order needs no more."""


def discover(
    panel: Panel, samples: int, seed: int, knowledge: DomainKnowledge | None = None, show_progress: bool = False
) -> pd.DataFrame:
    """Discover edges between what came before, what was shown, what was watched and tomorrow.

    Each sample draws people with replacement, takes at most 3,000 of their user-days and fits DirectLiNGAM (Shimizu et al. 2011)
    with the tiers as prior knowledge: nothing later causes anything earlier.

    Args:
        panel: user-days.
        samples: bootstrap samples.
        seed: of the samples.
        knowledge: edges to forbid or to require.

    Returns:
        columns cause, effect, stability (share of the samples with the edge) and weight (mean coefficient of standardised
        columns where it is there), the most stable first.

    Raises:
        DataError: a column is the sum or difference of two others, or a copy: no order can be found then.
    """
    names, values, person = _columns(panel)
    if len(np.unique(person)) < 2 or not any(name.startswith(NEXT) for name in names):
        raise DataError("too few user-days on which today and tomorrow are known: no graph can be discovered.")
    refuse_identities(pd.DataFrame(values[: 10 * _ROWS], columns=list(names)))
    prior = prior_knowledge(panel, names, knowledge)
    generator = np.random.default_rng(seed)
    people, group = np.unique(person, return_inverse=True)
    order = np.argsort(group, kind="stable")
    start = np.searchsorted(group[order], np.arange(len(people) + 1))
    found = []
    for _ in tqdm(range(samples), desc="Graph", unit="sample", disable=not show_progress):
        drawn = generator.integers(len(people), size=min(len(people), _ROWS))
        rows = np.concatenate([order[start[p] : start[p + 1]] for p in drawn])
        found.append(adjacency(values[generator.permutation(rows)[:_ROWS]], prior))
    coefficient = np.stack(found)
    there = np.abs(coefficient) > 1e-6
    stability = there.mean(axis=0)
    weight = coefficient.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    effect, cause = np.nonzero(stability)
    edges = pd.DataFrame(
        {
            "cause": np.array(names)[cause],
            "effect": np.array(names)[effect],
            "stability": stability[effect, cause],
            "weight": weight[effect, cause],
        }
    )
    return edges.sort_values(["stability", "cause", "effect"], ascending=[False, True, True], ignore_index=True)


def adjacency(values: np.ndarray, prior: np.ndarray | None = None) -> np.ndarray:
    """DirectLiNGAM's adjacency of standardised columns: row = effect, column = cause.

    Args:
        values: (N, P).
        prior: (P, P), 0 where no path leads from the column to the row, −1 where that is not known.
    """
    from causallearn.search.FCMBased.lingam import DirectLiNGAM

    spread = values.std(axis=0)
    model = DirectLiNGAM(random_state=0, prior_knowledge=prior)
    model.fit((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1))
    return np.asarray(model.adjacency_matrix_)


def prior_knowledge(panel: Panel, names: tuple[str, ...], knowledge: DomainKnowledge | None = None) -> np.ndarray:
    """(P, P) prior knowledge, row = effect, column = cause: 0 where the effect lies in an earlier tier or the same one."""
    place = {name: number for number, tier in enumerate(tiers(panel.design)) for name in tier}
    tier = np.array([place[name] for name in names])
    prior = np.where(tier[:, None] < tier[None, :], 0, -1)
    prior[(tier[:, None] == tier[None, :]) & ~np.eye(len(names), dtype=bool)] = 0
    for pairs, value in ((knowledge.forbidden, 0), (knowledge.required, 1)) if knowledge else ():
        for cause, effect in pairs:
            if cause in names and effect in names:
                prior[names.index(effect), names.index(cause)] = value
    return prior


def refuse_identities(table: pd.DataFrame) -> None:
    """Refuse a column that is a copy, a sum or a difference of others, by name.

    Raises:
        DataError: names the columns and says which to leave out.
    """
    values = table.to_numpy(float)
    values = values - values.mean(axis=0)
    spread = np.linalg.norm(values, axis=0)
    values = values / np.where(spread > 0, spread, 1)
    gram = values.T @ values + 1e-12 * np.eye(values.shape[1])
    left = 1 / np.diag(np.linalg.inv(gram))
    exact = np.flatnonzero(left < 1e-9)
    if len(exact):
        names = ", ".join(table.columns[exact])
        raise DataError(
            f"{names} are tied by an arithmetic identity: leave one of them out, or no cause can be told from another."
        )


def _columns(panel: Panel) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names, values and person of the rows on which all is known; constant columns are left out."""
    design, table = panel.design, panel.table
    outcomes = [name for name in design.outcomes if name != "negative" and table[name].notna().any()]
    names = [*design.confounders, *design.instruments.values(), *design.treatments]
    frame = table[["user", *names, *outcomes]].dropna()
    varying = [name for name in (*names, *outcomes) if frame[name].std() > 1e-9 and not name.endswith("_cubed")]
    labels = tuple(NEXT + name if name in outcomes else name for name in varying)
    return labels, frame[varying].to_numpy(float), frame["user"].to_numpy()
