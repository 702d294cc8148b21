"""Stage 3: effects of the feed, as the settings ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recbole_esmr.causal.analysis import Analysis, analyse
from recbole_esmr.causal.effects import Method
from recbole_esmr.causal.graph import domain_graph, read_knowledge
from recbole_esmr.causal.panel import make_panel
from recbole_esmr.config import ESMRSettings
from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.trace import Trace


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
