"""Stage 3: effects of the feed, as the settings ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from recbole_esmr.causal.analysis import Analysis, CausalSettings, analyse
from recbole_esmr.causal.carry_over import carry_over, worth_of_days
from recbole_esmr.causal.effects import Method
from recbole_esmr.causal.graph import domain_graph, read_knowledge
from recbole_esmr.causal.lagged import Worth
from recbole_esmr.causal.moments import MomentAnalysis, effects_of_moments
from recbole_esmr.causal.nowcast import nowcast
from recbole_esmr.causal.panel import Panel, make_panel
from recbole_esmr.causal.responses import Responses, mood_cost, return_elasticity
from recbole_esmr.causal.susceptibility import susceptibility_of
from recbole_esmr.causal.traits import traits_of
from recbole_esmr.data.impressions import Seen
from recbole_esmr.data.moments import Moments
from recbole_esmr.data.trace import Trace
from recbole_esmr.progress import Progress


def answers(
    question: tuple[Panel, Method, Worth],
    settings: CausalSettings,
    show_progress: bool = False,
    progress: Progress | None = None,
) -> Analysis:
    """All that a log says of its feed's effects.

    Args:
        question: what it is asked (:func:`causal_question`).
        settings: of the estimation.
        progress: where the answer to each question is kept.

    Raises:
        ConfigError: a ``causal_graph`` that cannot be used.
    """
    panel, method, worth = question
    knowledge = read_knowledge(settings.graph, panel.design) if settings.graph else None
    return analyse(panel, method, settings.graph_samples, knowledge, show_progress, progress, worth)


def causal_question(
    trace: Trace, seen: Seen, labels: Sequence[str], settings: CausalSettings, seed: int, use: np.ndarray,
    discount: float, forecast: np.ndarray | None = None,
) -> tuple[Panel, Method, Worth]:  # fmt: skip
    """What a log is asked, how, and what an effect counts on each day after.

    Args:
        trace: people's days.
        seen: all that was shown to them, what RecBole's filters took from the recommender included.
        labels: names of the emotions.
        settings: of the estimation.
        seed: of refutations and bootstrap.
        use: (U, D) bool, the days whose outcome may be used.
        discount: value of tomorrow relative to today.
        forecast: (U, D) valence as forecast the evening before, for days without a report.

    Raises:
        ConfigError: a ``causal_graph`` that cannot be used.
    """
    impressions = seen.impressions
    if settings.identification == "back-door":
        impressions = replace(impressions, has_skips=False)  # as if what was shown were not known
    told = nowcast(trace, use, seed) if settings.nowcast else None
    traits = traits_of(seen.catalogue, labels, settings.features, settings.by_state)
    panel = make_panel(trace, impressions, seen.catalogue, use, traits, forecast, settings.days, told)
    knowledge = read_knowledge(settings.graph, panel.design) if settings.graph else None
    method = Method(
        graph=domain_graph(panel.design, knowledge),
        level=settings.level,
        placebos=settings.placebos,
        seed=seed,
        within_person=settings.within_person,
    )
    kept = carry_over(np.where(use, trace.valence, np.nan))
    return panel, method, partial(worth_of_days, discount=discount, kept=kept)


def moments_answers(
    moments: Moments, trace: Trace, seen: Seen, labels: Sequence[str], settings: CausalSettings, use: np.ndarray,
    felt: bool = False,
) -> MomentAnalysis:  # fmt: skip
    """What a log says of how items leave people just after them.

    Args:
        moments: of the log.
        trace, seen, labels, settings: as of :func:`causal_question`.
        use: (U, D) bool, the days whose moments may be used.
        felt: whether the items' emotions were made of these very moments: then nothing can be asked of them.
    """
    kept = moments.take(use[moments.user, moments.day])
    features = [name for name in settings.features if not (felt and name == "emotion")]
    found = effects_of_moments(kept, traits_of(seen.catalogue, labels, features), settings.level)
    if felt and len(moments):
        found.warnings.append(
            "the emotions of the items were made of what people felt after them (label --felt), so what they do to how people "
            "feel just after them is not asked: it would be found in pure chance."
        )
    return found


def learn_responses(panel: Panel, effects: Sequence[Mapping[str, Any]], trace: Trace, use: np.ndarray) -> Responses:
    """How the people of a log respond, from the days that may be used.

    Args:
        panel: what the log was asked.
        effects: what it answered.
        trace: people's days.
        use: (U, D) bool, the days that may be read.
    """
    valence = np.where(use, trace.valence, np.nan)
    return Responses(
        susceptibility_of(panel, effects, trace.users),
        return_elasticity(effects, trace.present, trace.engagement, use),
        mood_cost(valence, trace.engagement, carry_over(valence)),
    )
