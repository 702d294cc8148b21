"""Several models judged by one protocol: checked before anything is trained, each finished row kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from logging import getLogger
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_esmr.checkpoint import package_versions
from recbole_esmr.config import Config
from recbole_esmr.data.recbole.columns import columns
from recbole_esmr.errors import ConfigError, DataError, ESMRError
from recbole_esmr.files import SCHEMA_VERSION
from recbole_esmr.protocol import BY_TIME, defaults, require_one, shared
from recbole_esmr.quick_start import check_buildable, train_into
from recbole_esmr.recbole_models import is_sequential, reads_features
from recbole_esmr.report.tables import write_comparison
from recbole_esmr.trainer.going_on import what_counts
from recbole_esmr.work import Work, hidden_beside


@dataclass
class Comparison:
    """What a comparison has found so far.

    Attributes:
        protocol: the keys that all models share (:data:`recbole_esmr.protocol.SHARED`).
        notes: what to know before the rows are compared, a sentence each.
        rows: one a finished model and seed: model, seed, RecBole's test metrics, seconds.
        failed: what kept a model and seed from finishing: model, seed, reason.
    """

    protocol: dict[str, Any]
    notes: list[str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def table(self) -> pd.DataFrame:
        """One row a finished model and seed; of the others, a row with the reason in a column ``failed``."""
        failed = [{"model": row["model"], "seed": row["seed"], "failed": row["reason"]} for row in self.failed]
        return pd.DataFrame([*self.rows, *failed])


def compare(
    models: Sequence[str],
    dataset: str,
    seeds: Sequence[int],
    config_file_list: Sequence[str | Path] | None = None,
    config_dict: dict[str, Any] | None = None,
    arguments: Sequence[str] | None = None,
    output: str | Path | None = None,
) -> Comparison:
    """Train and test several models on the same split, by the same protocol.

    What neither the data set's yaml nor the user sets comes for every model from :func:`recbole_esmr.protocol.defaults`: by time,
    the last interaction of each person is the test. All configs, and what each model makes of the data, are checked before
    anything is trained. A model that fails later leaves its reason in ``failed``, and the others go on.

    Args:
        models, seeds: each model is trained with each seed.
        dataset, config_file_list, config_dict, arguments: as of :func:`~recbole_esmr.quick_start.run_recbole`.
        output: a folder for the table as CSV, Markdown and LaTeX and ``protocol.json``, written together when the last row is
            there. Until then a hidden folder beside it holds what the same comparison goes on from when it was stopped.

    Raises:
        ESMRError: nothing is trained: a model's config or data are wrong, protocols differ, or there is no test part.
    """

    names = list(dict.fromkeys(name.strip() for name in models if name.strip()))
    if not names:
        raise ConfigError("no model is named to compare. Give names such as ESMR,BPR,Pop.")
    made = partial(configs_of, names, dataset, config_file_list, config_dict, arguments)
    configs = made(seeds[0])
    asked = {name: _asked(config) for name, config in configs.items()}
    found = Comparison(shared(configs[names[0]]), _notes(configs, asked))
    by_seed = {seed: made(seed) for seed in seeds}
    with Work.at(hidden_beside(output)) as work:
        for name in names:
            for seed in seeds:
                _add_row(found, name, seed, by_seed[seed][name], work)
        if output:
            write_comparison(found.table, _protocol(found, names, seeds), output)
        if not found.failed:
            work.removed()
    return found


def configs_of(
    models: Sequence[str],
    dataset: str,
    config_file_list: Sequence[str | Path] | None = None,
    config_dict: dict[str, Any] | None = None,
    arguments: Sequence[str] | None = None,
    seed: int = 2020,
) -> dict[str, Config]:
    """A config for each model, all of one protocol.

    Raises:
        ESMRError: a config is wrong, or the protocols differ all the same.
    """

    def config_of(model: str, given: Mapping[str, Any]) -> Config:
        return Config(model, dataset, config_file_list, {**(config_dict or {}), "seed": seed}, arguments, given)

    first = config_of(models[0], {**BY_TIME, "load_col": None})
    given = defaults(first, partial(columns, first))
    configs = {name: config_of(name, given) for name in models}
    require_one({name: shared(config) for name, config in configs.items()})
    return configs


def _asked(config: Config) -> pd.DataFrame:
    """The names of people and items of a model's test rows, once the model has been built on its data.

    Raises:
        ESMRError: the model cannot be built on the data, or nothing would be tested.
    """
    name, (dataset, test) = config["model"], check_buildable(config)
    rows = test._dataset.inter_feat
    if not len(rows):
        raise DataError(
            f"data set '{config['dataset']}': eval_args {config['eval_args']['split']} leaves {name} no test part, so there is "
            "nothing to compare. Give a split with a test part, or longer histories."
        )
    return pd.DataFrame({field: dataset.id2token(field, rows[field].numpy()) for field in (dataset.uid_field, dataset.iid_field)})


def _notes(configs: Mapping[str, Config], asked: Mapping[str, pd.DataFrame]) -> list[str]:
    """What differs between the models all the same, for RecBole asks some of them otherwise."""
    notes = []
    pairs = {name: set(rows.itertuples(index=False, name=None)) for name, rows in asked.items()}
    every = set.union(*pairs.values())
    fewer = [f"{name} on {len(own)}" for name, own in pairs.items() if own != every]
    if fewer:
        notes.append(
            f"Of {len(every)} test interactions {', '.join(fewer)}: a sequential model cannot be asked for a person's first one."
        )
    several = any(rows.duplicated(rows.columns[0]).any() for rows in asked.values())
    kinds = {is_sequential(name) for name in configs}
    load = next(iter(configs.values()))["load_col"]
    blind = [name for name in configs if reads_features(name)]
    if blind and load is not None and not ({"item", "user"} & set(load)):
        notes.append(
            f"{', '.join(blind)} would read features of items and people, and load_col loads none: they know ids alone. Add "
            "`item: '*'` and `user: '*'` to load_col."
        )
    if several and len(kinds) == 2:
        notes.append(
            "People have several test interactions: RecBole asks sequential models and ESMR for each of them, the others once a "
            "person, so the two kinds have means over different things. With split {LS: valid_and_test} they have not."
        )
    for note in notes:
        getLogger().warning(note)
    return notes


def _protocol(found: Comparison, models: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    """What ``protocol.json`` holds."""
    made = {"schema_version": SCHEMA_VERSION, "models": list(models), "seeds": list(seeds), "versions": package_versions()}
    return {**made, "protocol": found.protocol, "notes": found.notes}


def _add_row(found: Comparison, model: str, seed: int, config: Config, work: Work) -> None:
    """Add the row of a model and seed: one that is kept, or a new one, whose training goes on where it was stopped."""
    name, made_from = f"{model}-{seed}", what_counts(config)
    row = work.row(name, made_from)
    if row is not None:
        found.rows.append(row)
        return
    checkpoint = work.folder / f"{name}.pth"
    config["checkpoint_dir"] = str(work.folder)
    try:
        result = train_into(config, checkpoint)
    except Exception as error:  # what is finished must not be lost by what fails after it
        reason = str(error) if isinstance(error, ESMRError) else f"{type(error).__name__}: {error}"
        getLogger().debug("%s, seed %s", model, seed, exc_info=True)
        found.failed.append({"model": model, "seed": seed, "reason": " ".join(reason.split())})
        return
    seconds = sum(result["timings"][part] for part in ("load", "fit", "test"))
    row = {"model": model, "seed": seed, **result["test_result"], "seconds": round(seconds, 1)}
    work.keep_row(name, made_from, row)
    found.rows.append(row)
    checkpoint.unlink(missing_ok=True)
