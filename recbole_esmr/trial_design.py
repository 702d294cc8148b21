"""A trial planned: what is asked for on the command line, and how many people it takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_split
from recbole_esmr.errors import ConfigError
from recbole_esmr.recbole_models import MODEL_NAME
from recbole_esmr.serving.profile import day_number
from recbole_esmr.serving.trial.outcomes import Observed
from recbole_esmr.serving.trial.plan import Plan, checked, people_needed, spread_of
from recbole_esmr.settings import parse


def designed(options: Any) -> tuple[Plan, dict[str, float]]:
    """The plan that the options of ``trial design`` describe, and the spread of its primary outcome.

    Raises:
        ConfigError: an option that is none, or nothing to tell the spread from.
    """
    start = options.start if not options.start.lstrip("-").isdigit() else int(options.start)
    values = {
        **{name: getattr(options, name) for name in ("name", "unit", "days", "baseline_days", "treated", "explore", "primary")},
        **{name: getattr(options, name) for name in ("minimum_effect", "alpha", "power")},
        "start": day_number(start, "--start"),
        "secondary": [name for name in options.secondary.split(",") if name and name != options.primary],
        "looks": _shares(options.looks),
        "people": 4,
    }
    checked(parse(Plan, values, "trial design"), "trial design")
    if options.sd is not None:
        sd, correlation = options.sd, options.correlation or 0.0
    elif options.dataset:
        sd, correlation = spread_in(options.dataset, options.primary, options.days, options.baseline_days)
    else:
        raise ConfigError(
            "trial design needs --dataset, a log of earlier days, or --sd and --correlation of the primary outcome."
        )
    size = options.minimum_effect, sd, correlation, options.treated, options.alpha, options.power
    plan = parse(Plan, {**values, "people": max(people_needed(*size), 4)}, "trial design")
    return plan, {"sd": sd, "correlation": correlation}


def spread_in(dataset: str, outcome: str, days: int, baseline_days: int) -> tuple[float, float]:
    """SD of an outcome between the people of a log over its last days, and its correlation with the days before them.

    Of a longer log the last days are read; one that is shorter than the trial is cut where the pre-period would end.

    Raises:
        ConfigError: nobody has the outcome.
    """
    trace = load_split(Config(MODEL_NAME, dataset, config_dict={"state": "WARNING"}, arguments=[])).trace
    first = max(trace.days - days - baseline_days, 0)
    before = round((trace.days - first) * baseline_days / (days + baseline_days))
    rows = np.flatnonzero(trace.consent & trace.present.any(axis=1))
    rows = rows[rows > 0]
    log = Observed(
        people=rows, group=np.full(len(rows), ""), stratum=np.full(len(rows), ""),
        valence=np.asarray(trace.valence)[rows, first:],
        minutes=60 * np.asarray(trace.engagement)[rows, first:], here=np.asarray(trace.present)[rows, first:],
        treated=np.zeros((len(rows), 0), dtype=bool), baseline=before,
    )  # fmt: skip
    after = log.outcome(outcome, slice(before, None))
    if np.isfinite(after).sum() < 3:
        raise ConfigError(
            f"--dataset={dataset}: too few people have {outcome} to tell how it spreads. Give --sd and --correlation."
        )
    return spread_of(after, log.outcome(outcome, slice(0, before)))


def _shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--looks={text}: expected shares such as 0.5,1.") from error
