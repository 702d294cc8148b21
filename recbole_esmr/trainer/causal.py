"""Stage 3: effects of the feed, as the settings ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recbole_esmr.causal.analysis import Analysis, CausalSettings, analyse
from recbole_esmr.causal.effects import Method
from recbole_esmr.causal.graph import domain_graph, read_knowledge
from recbole_esmr.causal.panel import make_panel
from recbole_esmr.causal.responses import Responses, return_elasticity
from recbole_esmr.causal.reward import ItemEffects
from recbole_esmr.causal.susceptibility import susceptibility
from recbole_esmr.data.impressions import Seen
from recbole_esmr.data.log import Log
from recbole_esmr.data.trace import TRAIN, Trace
from recbole_esmr.data.user_days import UserDaySums, shifted
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.progress import Progress


def causal_stage(
    trace: Trace, seen: Seen, labels: Sequence[str], settings: CausalSettings, seed: int, use: np.ndarray,
    forecast: np.ndarray | None = None, show_progress: bool = False, progress: Progress | None = None,
) -> Analysis:  # fmt: skip
    """Estimate the effects of a log's feed.

    Args:
        trace: people's days.
        seen: all that was shown to them, what RecBole's filters took from the recommender included.
        labels: names of the emotions.
        settings: of the estimation.
        seed: of refutations and bootstrap.
        use: (U, D) bool, the days whose outcome may be used.
        forecast: (U, D) valence as forecast the evening before, for days without a report.
        progress: where the answer to each question is kept.

    Raises:
        ConfigError: a ``causal_graph`` that cannot be used.
    """
    impressions = seen.impressions
    if settings.identification == "back-door":
        impressions = replace(impressions, has_skips=False)  # as if what was shown were not known
    panel = make_panel(trace, impressions, seen.catalogue, use, labels, forecast)
    knowledge = read_knowledge(settings.graph, panel.design) if settings.graph else None
    method = Method(
        graph=domain_graph(panel.design, knowledge),
        level=settings.level,
        placebos=settings.placebos,
        seed=seed,
        within_person=settings.within_person,
    )
    return analyse(panel, method, settings.graph_samples, knowledge, show_progress, progress)


def learn_responses(log: Log, beliefs: Beliefs, effects: Sequence[Mapping[str, Any]], of_items: ItemEffects) -> Responses:
    """How the people of a log respond, from its training days.

    Susceptibility is what tomorrow brings beyond what the reports foretold, held against what the day's feed promised. (The
    encoder's own forecast has read the day's exposure, so its error holds only what is left of the response.)

    Args:
        log, beliefs: of everybody.
        effects: what the causal stage found; of_items: the same of each item.
    """
    trace, shown = log.trace, log.impressions
    use = trace.role == TRAIN
    effect = of_items.of(shown.item, beliefs.vulnerable[shown.user, shown.day])
    promised = log.past.usual_ratio(shown.day, shown.item) * effect
    uplift = UserDaySums(shown.user, shown.day, trace.users, trace.days).mean(promised)
    surprise = np.where(shifted(use, -1, False), shifted(trace.valence, -1) - beliefs.tracked, np.nan)
    return Responses(
        susceptibility(surprise, uplift),
        return_elasticity(effects, trace.present, trace.engagement, use),
    )
