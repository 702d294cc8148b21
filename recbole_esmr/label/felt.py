"""Items labelled by how people felt after them, where they said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.data.reading.atomic import read_atomic_file
from recbole_esmr.data.reading.consent import read_consent
from recbole_esmr.data.reading.felt import felt_names, read_felt
from recbole_esmr.data.reading.shares import NUMBERED
from recbole_esmr.errors import DataError
from recbole_esmr.label.item_file import ItemFile

LATEST, LAST = 0.2, 2
"""Share of each person's interactions, the last, that say nothing of items, and how many at least: on those a model is judged."""

FEWEST = 3
"""People who must have said how they felt after an item: of fewer its label would be what one of them said."""

EMOTIONS = {name: [place, 0.0] for name, place in zip(NUMBERED, (-1.0, 0.0, 1.0), strict=True)}


@dataclass(frozen=True)
class FeltItems:
    """What was done.

    Attributes:
        items, labelled: how many there are, and how many somebody said something of.
        moments: that were used; left_out: those among each person's last interactions.
        signal: τ, the SD of what items truly do to a valence, beyond chance.
    """

    items: int
    labelled: int
    moments: int
    left_out: int
    signal: float


def label_felt(folder: str | Path, replace: bool = False) -> FeltItems:
    """Write into ``.item`` the valence of each item as people felt it, whole or not at all; empty where nobody said anything.

    Args:
        folder: of the data set, whose ``.inter`` says how people felt after items.
        replace: whether emotions that items already have are replaced.

    Raises:
        ConfigError: items have emotions already.
        DataError: nobody who consents says how they felt, or what items do is not told from chance.
    """
    items = ItemFile.opened(folder, replace)
    folder, settings = items.folder, items.settings
    inter = read_atomic_file(folder / f"{folder.name}.inter", settings)
    felt = read_felt(inter, settings, read_consent(folder.name, folder, settings))
    user, item = (inter.text[str(settings[role])] for role in ("USER_ID_FIELD", "ITEM_ID_FIELD"))
    when = next((str(settings[role]) for role in ("TIME_FIELD", "DAY_FIELD") if str(settings[role]) in inter.types), None)
    order = (inter.times(when) if when else pd.Series(np.arange(len(user)), index=user.index)).rename("when")
    rows = pd.concat([user.rename("user"), item.rename("item"), order, felt], axis=1)
    share = max(LATEST, _held_out(settings))
    by_user = rows.groupby("user")["when"]
    early = (by_user.rank(method="first", pct=True) <= 1 - share) & (by_user.rank(method="first", ascending=False) > LAST)
    told = rows["valence_after"].notna()
    if not told.any():
        name = felt_names(settings)["valence_after"]
        raise DataError(f"{inter.path}: nobody who consents says how they felt after an item: it needs '{name}:float'.")
    used = rows[told & early]
    if used.empty:
        raise DataError(f"{inter.path}: people say how they felt after their last interactions alone, which are left for tests.")
    valence, signal = felt_valences(used)
    valence = valence[used.groupby("item")["user"].nunique().reindex(valence.index) >= FEWEST]
    if valence.empty:
        raise DataError(f"{inter.path}: no item has {FEWEST} people who say how they felt after it. Nothing was written.")
    known = items.ids.map(valence).dropna()
    taxonomy, _ = items.taxonomy_with(EMOTIONS)
    items.write(known.map("{:.4f}".format).to_frame(f"{settings['VALENCE_FIELD']}:float"), taxonomy, felt=True)
    return FeltItems(len(items.ids), len(known), len(used), int((told & ~early).sum()), signal)


def _held_out(settings: Mapping[str, Any]) -> float:
    """Share of a person's interactions that the data set's own split keeps from training."""
    parts = ((settings.get("eval_args") or {}).get("split") or {}).get("RS")
    return 1 - float(parts[0]) / float(sum(parts)) if parts else 0.0


def felt_valences(rows: pd.DataFrame) -> tuple[pd.Series, float]:
    r"""What each item adds to the valence after it, in [−1, 1], shrunk by how little is known of it.

    .. math:: y^{after}_m = α_u + γ\, y^{before}_m + v_i + ε_m, \quad
              \hat v_i = \frac{τ^2}{τ^2 + σ^2 / n_i}\, \bar e_i

    with ē the mean residual of the item's moments after person and mood before, σ² and τ² the variance within and between items
    (one-way random effects, method of moments). Where nobody was asked before, γ is 0.

    Args:
        rows: columns user, item, valence_before (NaN where unknown) and valence_after.

    Returns:
        v̂ by item, and τ.

    Raises:
        DataError: what items do is not told from chance: τ is 0.
    """
    before = rows["valence_before"]
    known = before.notna() & (before.notna().groupby(rows["user"]).transform("sum") > 1)
    centred = (before - before.where(known).groupby(rows["user"]).transform("mean")).where(known, 0.0)
    after = rows["valence_after"] - rows.groupby("user")["valence_after"].transform("mean")
    slope = float(centred @ after / (centred @ centred)) if (centred @ centred) > 0 else 0.0
    left = after - slope * centred
    group = left.groupby(rows["item"])
    count, mean = group.count(), group.mean()
    if len(left) == len(count):
        raise DataError(
            f"{len(left)} moments of as many items: nothing tells what an item does from chance. Nothing was written."
        )
    within = float((left - rows["item"].map(mean)).pow(2).sum() / max(len(left) - len(count), 1))
    between = float((count * mean**2).sum() - (len(count) - 1) * within) / max(len(left) - (count**2).sum() / len(left), 1e-9)
    if between <= 0:
        raise DataError(
            f"{len(left)} moments of {len(count)} items: how people felt after an item does not depend on which it was, beyond "
            "chance. Nothing can be said of the items; nothing was written."
        )
    return (mean * between / (between + within / count)).clip(-1, 1), float(np.sqrt(between))
