"""Emotion labels made from behaviour, for data without any: a proxy, never a measurement."""

from __future__ import annotations

import warnings

import numpy as np

from recbole_esmr.data.trace import TRAIN, Trace
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.errors import DataError

LABELS = ("excited", "happy", "stressed", "lonely", "disappointed")
ACTIVE = ("liking_behavior", "sharing_behavior", "posting_frequency", "commenting_activity")
PASSIVE = ("scrolling_time",)
TIME = ("time_spent_daily",)


def label_by_behaviour(trace: Trace, taxonomy: Taxonomy, seed: int) -> None:
    """Label every day of presence: k-means with five clusters on the standardised behaviour of the training days, and rules.

    The rules are those of the ESMR release in spirit: of the five clusters, the two in which people like, share, post and comment
    most are excited and happy; of the rest, the one with most scrolling is stressed, the one with least time lonely, the other
    disappointed. A label is so a function of the day's own behaviour: a nowcast of it is circular.

    Args:
        trace: changed in place; days without behaviour stay unlabelled.
        taxonomy: must have the five labels.
        seed: of k-means.

    Raises:
        DataError: a behaviour column or a label that the rules need is missing; the message names it.
    """
    from sklearn.cluster import KMeans  # here: it takes a tenth of a second to import, and most runs need none

    needed = (*ACTIVE, *PASSIVE, *TIME)
    missing = [name for name in needed if name not in trace.feature_names]
    if missing:
        raise DataError(
            f"label: behaviour-clusters needs the columns {', '.join(needed)} in .day; missing: {', '.join(missing)}. "
            "Add them, or report emotions and set label: reported."
        )
    absent = [label for label in LABELS if label not in taxonomy.labels]
    if absent:
        raise DataError(
            f"label: behaviour-clusters needs the emotions {', '.join(LABELS)}; the taxonomy lacks {', '.join(absent)}."
        )
    place = [trace.feature_names.index(name) for name in needed]
    user, day = np.nonzero(trace.present & trace.consent[:, None])
    behaviour = trace.features[user, day][:, place]
    known = np.isfinite(behaviour).all(axis=-1)
    user, day, behaviour = user[known], day[known], behaviour[known]
    train = behaviour[trace.role[user, day] == TRAIN]
    if len(train) < len(LABELS):
        raise DataError("label: behaviour-clusters found too few training days with behaviour. Widen day_split.")
    center, spread = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct days than clusters
        clusters = KMeans(len(LABELS), n_init=10, random_state=seed).fit((train - center) / spread)
    middle = clusters.cluster_centers_
    active, passive, time = middle[:, :4].mean(axis=1), middle[:, 4], middle[:, 5]
    order = list(np.argsort(-active, kind="stable"))
    rest = order[2:]
    stressed = max(rest, key=lambda cluster: passive[cluster])
    rest.remove(stressed)
    lonely = min(rest, key=lambda cluster: time[cluster])
    rest.remove(lonely)
    label_of = np.empty(len(LABELS), dtype=int)
    label_of[[*order[:2], stressed, lonely, rest[0]]] = taxonomy.encode(np.array(LABELS))
    trace.emotion[:] = -1
    trace.emotion[user, day] = label_of[clusters.predict((behaviour - center) / spread)]
    trace.valence[:] = taxonomy.valence_of(trace.emotion)
