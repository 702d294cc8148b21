"""Stage 3: effects of the feed, as the settings ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recbole_esmr.causal.analysis import Analysis, analyse
from recbole_esmr.causal.effects import Method
from recbole_esmr.causal.graph import domain_graph, read_knowledge
from recbole_esmr.causal.panel import make_panel
from recbole_esmr.causal.responses import Responses, return_elasticity
from recbole_esmr.causal.susceptibility import susceptibility
from recbole_esmr.config import ESMRSettings
from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.trace import TRAIN, Trace
from recbole_esmr.model.esmr import ESMR


def causal_stage(
    trace: Trace, impressions: Impressions, catalogue: Catalogue, labels: Sequence[str], settings: ESMRSettings, seed: int,
    use: np.ndarray, forecast: np.ndarray | None = None, show_progress: bool = False,
) -> Analysis:  # fmt: skip
    """Estimate the effects of a log's feed.

    Args:
        trace, impressions, catalogue, labels: the log.
        settings: the keys that begin with ``causal_``.
        seed: of refutations and bootstrap.
        use: (U, D) bool, the days whose outcome may be used.
        forecast: (U, D) valence as forecast the evening before, for days without a report.

    Raises:
        ConfigError: a ``causal_graph`` that cannot be used.
    """
    if settings.causal_identification == "back-door":
        impressions = replace(impressions, has_skips=False)  # as if what was shown were not known
    panel = make_panel(trace, impressions, catalogue, use, labels, forecast)
    knowledge = read_knowledge(settings.causal_graph, panel.design) if settings.causal_graph else None
    method = Method(
        graph=domain_graph(panel.design, knowledge),
        level=settings.causal_level,
        placebos=settings.causal_placebos,
        seed=seed,
        within_person=settings.causal_within_person,
    )
    return analyse(panel, method, settings.causal_graph_samples, knowledge, show_progress)


def learn_responses(model: ESMR) -> Responses:
    """How the people of a log respond, from its training days, with the effects that the model holds."""
    trace, shown = model.trace, model.impressions
    use = trace.role == TRAIN
    vulnerable = model.believed_days()[0][shown.user, shown.day]
    usual = model.engagement_features().usual_ratio(shown.day, shown.item)
    promised = usual * model.item_effects().of(shown.item, vulnerable)
    cell = shown.user * trace.days + shown.day
    total, count = (np.bincount(cell, weights=x, minlength=trace.users * trace.days) for x in (promised, None))
    uplift = np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(trace.users, trace.days)
    surprise = np.full(uplift.shape, np.nan)
    surprise[:, :-1] = np.where(use[:, 1:], trace.valence[:, 1:] - model.day_state().mean[:, :-1].numpy(), np.nan)
    return Responses(
        susceptibility(surprise, uplift),
        return_elasticity(model.effects, trace.present, trace.engagement, use),
    )
