"""Stage 3: effects of the feed, as the settings ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recbole_esmr.causal.analysis import Analysis, CausalSettings, analyse
from recbole_esmr.causal.carry_over import carry_over, worth_of_days
from recbole_esmr.causal.effects import Method
from recbole_esmr.causal.graph import domain_graph, read_knowledge
from recbole_esmr.causal.nowcast import nowcast
from recbole_esmr.causal.panel import make_panel
from recbole_esmr.causal.responses import Responses, return_elasticity
from recbole_esmr.causal.reward import ItemEffects
from recbole_esmr.causal.susceptibility import susceptibility
from recbole_esmr.causal.traits import traits_of
from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.impressions import Seen
from recbole_esmr.data.log import Log
from recbole_esmr.data.trace import TRAIN, Trace
from recbole_esmr.data.user_days import UserDaySums, shifted
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.progress import Progress


def causal_stage(
    trace: Trace, seen: Seen, labels: Sequence[str], settings: CausalSettings, seed: int, use: np.ndarray,
    discount: float, forecast: np.ndarray | None = None, show_progress: bool = False, progress: Progress | None = None,
) -> Analysis:  # fmt: skip
    """Estimate the effects of a log's feed.

    Args:
        trace: people's days.
        seen: all that was shown to them, what RecBole's filters took from the recommender included.
        labels: names of the emotions.
        settings: of the estimation.
        seed: of refutations and bootstrap.
        use: (U, D) bool, the days whose outcome may be used.
        discount: value of tomorrow relative to today.
        forecast: (U, D) valence as forecast the evening before, for days without a report.
        progress: where the answer to each question is kept.

    Raises:
        ConfigError: a ``causal_graph`` that cannot be used.
    """
    impressions = seen.impressions
    if settings.identification == "back-door":
        impressions = replace(impressions, has_skips=False)  # as if what was shown were not known
    told = nowcast(trace, use, seed) if settings.nowcast else None
    traits = traits_of(seen.catalogue, labels, settings.features)
    panel = make_panel(trace, impressions, seen.catalogue, use, traits, forecast, settings.days, told)
    knowledge = read_knowledge(settings.graph, panel.design) if settings.graph else None
    method = Method(
        graph=domain_graph(panel.design, knowledge),
        level=settings.level,
        placebos=settings.placebos,
        seed=seed,
        within_person=settings.within_person,
    )
    worth = worth_of_days(settings.days, discount, carry_over(np.where(use, trace.valence, np.nan)))
    return analyse(panel, method, settings.graph_samples, knowledge, show_progress, progress, worth)


def learn_responses(
    log: Log, beliefs: Beliefs, effects: Sequence[Mapping[str, Any]], of_items: ItemEffects, items: Catalogue,
    days: int,
) -> Responses:  # fmt: skip
    """How the people of a log respond, from its training days.

    Susceptibility is what tomorrow brings beyond what the reports foretold, held against what the day's feed promised. (The
    encoder's own forecast has read the day's exposure, so its error holds only what is left of the response.)

    Args:
        log, beliefs: of everybody.
        effects: what the causal stage found; of_items: the same of each item; items: what is known of them.
        days: after a feed on which its effect is looked for.
    """
    trace, shown = log.trace, log.impressions
    use = trace.role == TRAIN
    promised = log.past.usual_ratio(shown.day, shown.item) * of_items.valence[shown.item]
    uplift = UserDaySums(shown.user, shown.day, trace.users, trace.days).mean(promised)
    later = [np.where(shifted(use, -h, False), shifted(trace.valence, -h) - beliefs.tracked, np.nan) for h in range(1, days + 1)]
    return Responses(
        susceptibility(np.stack(later, axis=-1), uplift, _moderators(log, beliefs, use, items)),
        return_elasticity(effects, trace.present, trace.engagement, use),
    )


def _moderators(log: Log, beliefs: Beliefs, use: np.ndarray, items: Catalogue) -> np.ndarray:
    """What people are like, (U, M): home base, forecast risk of a negative day, usual exposures of either sign, profile."""
    trace = log.trace
    level = _mean_of(np.where(use, trace.valence, np.nan))
    risk = _mean_of(np.where(use & trace.present, beliefs.risk[:, : trace.days], np.nan))
    shown = log.impressions.take(use[log.impressions.user, log.impressions.day])
    count = np.maximum(np.bincount(shown.user, minlength=trace.users), 1)
    signs = (items.negative, items.positive)
    exposures = [np.bincount(shown.user, shown.watch_ratio * sign[shown.item], trace.users) / count for sign in signs]
    profile = np.eye(len(trace.profiles) + 1)[trace.profile][:, :-1]
    return np.column_stack([level, risk, *exposures, profile])


def _mean_of(value: np.ndarray) -> np.ndarray:
    """Each person's mean, drawn toward everybody's as if by one day; (U, D) → (U,)."""
    known = np.isfinite(value)
    everybody = float(value[known].mean()) if known.any() else 0.0
    return (np.where(known, value, 0.0).sum(axis=1) + everybody) / (known.sum(axis=1) + 1)
