"""What a recommender does to people who dwell on one emotion: puppets walk any trained model, beside a control and chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from recbole_esmr.checkpoint import package_versions, threads
from recbole_esmr.data.catalogue import Catalogue, load_catalogue, require_item_emotions
from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.data.trace import BLOCK, TRAIN
from recbole_esmr.emotion import Taxonomy, load_taxonomy
from recbole_esmr.errors import ConfigError
from recbole_esmr.evaluator.leak import leaks, make_up
from recbole_esmr.evaluator.puppets import Arm, aligned_with_mood, audit_arm, pools
from recbole_esmr.feed import Policy
from recbole_esmr.files import SCHEMA_VERSION, write_json
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.model.gate import NEVER
from recbole_esmr.model.ranking import WATCH_TIME
from recbole_esmr.policy.endpoint import Endpoint
from recbole_esmr.policy.esmr import ESMRPolicy
from recbole_esmr.policy.recbole import RecBolePolicy
from recbole_esmr.policy.untrained import Amplifier, Random
from recbole_esmr.quick_start import load_data_and_model
from recbole_esmr.recbole_models import MODEL_NAME

GRIEVANCE = ("angry", "disappointed")
"""Emotions that puppets of the arm ``grievance`` dwell on together."""


LAST_DAYS = 60
"""Held-out days of a person that are looked at."""


def audit(
    checkpoints: Sequence[str | Path],
    rounds: int = 30,
    puppets: int = 20,
    slate: int = 10,
    offer: float = 0.3,
    seed: int = 1,
    amplifier: float | None = None,
    endpoints: Sequence[str] = (),
    config_dict: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Audit trained models of one data set.

    Args:
        checkpoints: of ESMR or any general or sequential model.
        rounds: slates that each puppet is shown.
        puppets: of each group; an interval is over them.
        slate: items of a slate.
        offer: share of the items that is on offer in a round, the same to every model.
        seed: of pools, controls and of what puppets watch.
        amplifier: also audit a planted amplifier, which keeps this share of a slate for the emotion that somebody watched most.
        endpoints: addresses that answer with slates (:class:`~recbole_esmr.policy.endpoint.Endpoint`), audited on the items of
            the checkpoints' data.
        config_dict: keys to change of the checkpoints' configs.
        output: a file to write what is returned to, as JSON.
        show_progress: whether to show a bar.

    Returns:
        ``policies``: by name (``random`` first, whose true effects are 0) a list of what
        :func:`~recbole_esmr.evaluator.puppets.audit_arm` says of each emotion, of ``grievance``, and of either sign; ``log``:
        what :func:`~recbole_esmr.evaluator.puppets.aligned_with_mood` says of the log, None where there is nothing to say;
        ``leak``: by each ESMR, what :func:`leak` says.

    Raises:
        ConfigError: models of different data sets, or fewer items than a slate.
        DataError: no item has an emotion.
    """
    start = perf_counter()
    remote = {url: Endpoint(url) for url in endpoints}
    loaded = [load_data_and_model(path, {"state": "WARNING", **(config_dict or {})}) for path in checkpoints]
    config, _, dataset, *_ = loaded[0]
    names = np.array([str(name) for name in dataset.field2id_token[dataset.iid_field]])
    for path, (_, _, other, *_) in zip(checkpoints, loaded, strict=True):
        theirs = {str(name) for name in other.field2id_token[other.iid_field]}
        if theirs != set(names.tolist()):
            raise ConfigError(f"{path}: was trained on other items than {checkpoints[0]}. Audit models of one data set together.")
    catalogue, taxonomy = load_catalogue(dataset), load_taxonomy(config["emotion_taxonomy"])
    require_item_emotions(catalogue, dataset)
    if len(names) - 1 < slate:
        raise ConfigError(f"the data have {len(names) - 1} items and a slate {slate}. Ask for a shorter --slate.")
    arms = arms_of(catalogue, taxonomy)
    offered = pools(len(names) - 1, rounds, offer, 2 * slate, np.random.default_rng([seed, 1]))
    policies: dict[str, Policy] = {"random": Random(seed)}
    if amplifier is not None:
        policies[f"amplifier {amplifier:g}"] = Amplifier(names[1:], catalogue.share[1:], amplifier, seed)
    trained = []
    for made_of, model, data, *_ in loaded:
        trained.append(_label(str(made_of["model"]), policies))
        policies[trained[-1]] = _policy(made_of, model, data)
    policies |= remote
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in policies}
    with tqdm(total=len(policies) * len(arms), desc="audit", unit="arm", disable=not show_progress) as bar:
        for name, policy in policies.items():
            for arm in arms:
                found[name].append(audit_arm(policy, names[1:], arm, offered, slate, seed, puppets))
                bar.update()
    result = {
        "schema_version": SCHEMA_VERSION,
        "config": {
            "checkpoints": list(map(str, checkpoints)), "rounds": rounds, "puppets": puppets, "slate": slate, "offer": offer,
            "amplifier": amplifier, "endpoints": list(endpoints), "dataset": str(config["dataset"]),
        },
        "seed": seed,
        "policies": found,
        "log": _of_log(loaded, seed),
        "leak": {name: leak(model, data, seed) for name, (_, model, data, *_) in zip(trained, loaded, strict=True)
                 if isinstance(model, ESMR)},
        "versions": package_versions(),
        "threads": threads(),
        "timings": {"total": round(perf_counter() - start, 1)},
    }  # fmt: skip
    if output:
        write_json(output, result)
    return result


def arms_of(catalogue: Catalogue, taxonomy: Taxonomy) -> list[Arm]:
    """An arm for each emotion that items express, for grievance, and for either sign; of the items without the padding."""
    share = catalogue.share[1:]
    kinds = {label: share[:, code] for code, label in enumerate(taxonomy.labels)}
    if all(label in kinds for label in GRIEVANCE):
        kinds["grievance"] = np.sum([kinds[label] for label in GRIEVANCE], axis=0)
    kinds |= {"negative": share[:, catalogue.place < 0].sum(axis=1), "positive": share[:, catalogue.place > 0].sum(axis=1)}
    return [Arm(name, np.clip(aligned, 0, 1)) for name, aligned in kinds.items() if 0 < aligned.mean() < 1]


def leak(model: ESMR, dataset: ESMRDataset, seed: int, most: int = 3000) -> dict[str, Any] | None:
    """How well a bystander who sees a slate can tell whether its day was negative.

    The person-days are held-out ones on which somebody reported. Each slate is the one of that morning, served for watch time, as
    a feed is: by the engagement ranking, by ESMR, and by ESMR to the same people without consent.

    Args:
        model: trained on ``dataset``.
        seed: of who is asked about, of lots and resamples.
        most: person-days; of more, those of people drawn at random. Of nobody more than the last :data:`LAST_DAYS` count.

    Returns:
        ``days``, ``people``, ``negative`` (share of the days) and what :func:`~recbole_esmr.evaluator.leak.leaks` says by
        ``engagement``, ``ESMR``, ``ESMR without consent``; None where the held-out days of fewer than two people have reports of
        either kind.
    """
    trace = dataset.trace
    told = np.isfinite(trace.valence) & (trace.role != TRAIN)
    told &= told[:, ::-1].cumsum(axis=1)[:, ::-1] <= LAST_DAYS
    order = np.random.default_rng([seed, 4]).permutation(trace.users)
    user = np.sort(order[np.cumsum(told.sum(axis=1)[order]) <= most])
    row, day = np.nonzero(told[user])
    person, negative = user[row], trace.valence[user[row], day] < 0
    if len(np.unique(person)) < 2 or not 0 < negative.mean() < 1:
        return None
    rule = replace(model.settings.serving, rank_by=WATCH_TIME)
    closed = replace(rule, gate=replace(rule.gate, rule=NEVER))
    served = {"engagement": (closed, None), MODEL_NAME: (rule, None), f"{MODEL_NAME} without consent": (rule, False)}
    at_once = max(1, BLOCK // trace.days)
    slates = {
        name: np.concatenate(
            [
                make_up(model.ranked(person[part], day[part], by, consent=consent).ranking.items, model.catalogue)
                for part in (slice(start, start + at_once) for start in range(0, len(day), at_once))
            ]
        )
        for name, (by, consent) in served.items()
    }
    said = {"days": len(day), "people": len(np.unique(person)), "negative": float(negative.mean())}
    return said | {"auc": leaks(slates, negative, person, seed)}


def _policy(config: Any, model: Any, dataset: Any) -> Policy:
    if isinstance(model, ESMR):
        return ESMRPolicy(model, dataset)
    return RecBolePolicy(model, dataset, int(config["MAX_ITEM_LIST_LENGTH"]))


def _label(model: str, taken: Mapping[str, Any]) -> str:
    number = sum(name.partition("-")[0] == model for name in taken)
    return model if not number else f"{model}-{number + 1}"


def _of_log(loaded: Sequence[tuple[Any, ...]], seed: int) -> dict[str, Any] | None:
    """Of the first data set that holds people's reports: ESMR reads them, RecBole's models do not."""
    for _, _, dataset, *_ in loaded:
        if isinstance(dataset, ESMRDataset) and dataset.trace.has_emotion:
            trace, shown = dataset.trace, dataset.impressions
            if not trace.shared_calendar or trace.long:  # days of one's own are nobody else's, so no moods can be dealt out
                return None
            generator = np.random.default_rng([seed, 3])
            return aligned_with_mood(dataset.catalogue.share, shown.user, shown.day, shown.item, trace.emotion, generator)
    return None
