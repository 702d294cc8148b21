"""Several models judged by one protocol: checked before anything is trained, each finished row kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from recbole_esmr.cells import FAILED, RESOURCES, Cell, Variant, computing_on, run_cell, why
from recbole_esmr.checkpoint import package_versions
from recbole_esmr.config import Config, options_of_command
from recbole_esmr.data.recbole.columns import columns
from recbole_esmr.engines import LOCAL, check_engine, each
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.evaluator.by_person import smaller_is_better
from recbole_esmr.evaluator.comparing import summarise
from recbole_esmr.files import SCHEMA_VERSION
from recbole_esmr.protocol import BY_TIME, defaults, require_one, shared
from recbole_esmr.quick_start import check_buildable
from recbole_esmr.recbole_models import is_sequential, reads_features
from recbole_esmr.report.comparison import write_comparison
from recbole_esmr.work import Work, hidden_beside


@dataclass(frozen=True)
class InWorld:
    """A world in which the models of a comparison are also trained and deployed (:func:`~recbole_esmr.closed_loop.rollout`).

    Attributes:
        name: a shipped world or a yaml file.
        users, items, log_days: size of the log that they are trained on.
        days: that people then live under each.
    """

    name: str
    users: int = 500
    items: int = 600
    log_days: int = 30
    days: int = 30

    def policies(self, models: Sequence[str]) -> list[str]:
        """What is rolled out: the models between the engagement ranking and the oracle.

        Raises:
            ESMRError: there is no such world, or one of the models cannot be deployed in one.
        """
        from recbole_esmr.closed_loop import check_policies
        from recbole_esmr.simulation import load_world

        load_world(self.name)
        policies = ["engagement", *models, "oracle"]
        check_policies(policies)
        return policies

    def live(
        self, models: Sequence[str], seeds: Sequence[int], options: Sequence[str], keep: Path, show_progress: bool
    ) -> dict[str, Any]:
        """What the models do to people; ``keep`` holds what a stopped one goes on from."""
        from recbole_esmr.closed_loop import rollout

        return rollout(
            self.name, self.policies(models), self.users, self.items, self.days, seeds, self.log_days, arguments=options,
            keep=keep, show_progress=show_progress,
        )[0]  # fmt: skip


@dataclass
class Comparison:
    """What a comparison has found so far.

    Attributes:
        protocol: the keys that all models share (:data:`recbole_esmr.protocol.SHARED`).
        notes: what to know before the rows are compared, a sentence each.
        made_by: data set, models, seeds, threads, versions, and of which metrics the smaller value is the better one.
        rows: one a finished model and seed: model, seed, RecBole's test metrics, and what it cost
            (:data:`recbole_esmr.cells.RESOURCES`).
        failed: what kept a model and seed from finishing: model, seed, reason.
        summary: an entry a model and metric (:func:`~recbole_esmr.evaluator.comparing.summarise`).
        world: what the models do to people in a world, as ``rollout`` writes it; None unless it was asked for.
    """

    protocol: dict[str, Any]
    notes: list[str]
    made_by: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    summary: list[dict[str, Any]] = field(default_factory=list)
    world: dict[str, Any] | None = None

    @property
    def table(self) -> pd.DataFrame:
        """One row a finished model and seed; of the others, a row with the reason in a column ``failed``."""
        failed = [{"model": row["model"], "seed": row["seed"], FAILED: row["reason"]} for row in self.failed]
        return pd.DataFrame([*self.rows, *failed])

    def as_dict(self) -> dict[str, Any]:
        """What ``comparison.json`` holds."""
        parts = {
            "protocol": self.protocol,
            "notes": self.notes,
            "summary": self.summary,
            "rows": self.rows,
            "failed": self.failed,
        }
        return {"schema_version": SCHEMA_VERSION, **self.made_by, **parts, "world": self.world}


def compare(
    models: Sequence[str],
    dataset: str,
    seeds: Sequence[int],
    config_file_list: Sequence[str | Path] | None = None,
    config_dict: dict[str, Any] | None = None,
    arguments: Sequence[str] | None = None,
    output: str | Path | None = None,
    processes: int = 1,
    engine: str = LOCAL,
    address: str | None = None,
    threads: int = 1,
    world: InWorld | None = None,
    show_progress: bool = False,
) -> Comparison:
    """Train and test several models on the same split, by the same protocol.

    What neither the data set's yaml nor the user sets comes for every model from :func:`recbole_esmr.protocol.defaults`: by time,
    the last interaction of each person is the test. All configs, and what each model makes of the data, are checked before
    anything is trained. A model that fails later leaves its reason in ``failed``, and the others go on.

    Args:
        models, seeds: each model is trained with each seed; ``ESMR+gate=streak`` is ESMR with another key.
        dataset, config_file_list, config_dict, arguments: as of :func:`~recbole_esmr.quick_start.run_recbole`.
        output: a folder for the tables (CSV, Markdown, LaTeX, JSON), written together when the last row is there. Until then a
            hidden folder beside it holds what the same comparison goes on from when it was stopped.
        processes, engine, address: how many models are trained at once, and where (:func:`recbole_esmr.engines.each`). Machines
            of a cluster need to see data and output under the same paths.
        threads: that each model computes on; figures are the same wherever it is done, as long as this is.
        world: a world in which the models are then trained and deployed, too.
        show_progress: whether to show a bar.

    Raises:
        ESMRError: nothing is trained: a model's config or data are wrong, protocols differ, or there is no test part.
    """
    variants = list({variant.label: variant for variant in map(Variant.named, filter(str.strip, models))}.values())
    if not variants:
        raise ConfigError("no model is named to compare. Give names such as ESMR,BPR,Pop.")
    if not seeds:
        raise ConfigError("no seed is named. Give at least one.")
    check_engine(engine, processes, address)
    cell = _cells_of(variants, dataset, config_file_list, config_dict, arguments, threads)
    configs = _of_one_protocol([cell(variant, seeds[0], Path()) for variant in variants])
    asked = {name: _asked(config) for name, config in configs.items()}
    found = Comparison(shared(configs[variants[0].label]), _notes(configs, asked))
    found.made_by = {"dataset": found.protocol["dataset"], "models": list(configs), "seeds": list(seeds), "threads": threads}
    found.made_by |= {"versions": package_versions()}
    if world:
        world.policies(list(configs))
    with Work.at(hidden_beside(output)) as work:
        cells = [cell(variant, seed, work.folder) for variant in variants for seed in seeds]
        done = _done(cells, partial(each, processes=processes, engine=engine, address=address, cores=threads), show_progress)
        for one, row in zip(cells, done, strict=True):
            named = {"model": one.variant.label, "seed": one.seed}
            if FAILED in row:
                found.failed.append({**named, "reason": row[FAILED]})
            else:
                found.rows.append({**named, **row})
        found.summary = _summary(found.rows, cells, variants[0].label)
        found.made_by["smaller_is_better"] = sorted({one["metric"] for one in found.summary if smaller_is_better(one["metric"])})
        if world:
            failed = {one["model"] for one in found.failed}
            ready = [name for name in configs if name not in failed]
            try:
                with computing_on(threads):
                    found.world = world.live(ready, seeds, cells[0].arguments, work.folder / "world", show_progress)
            except Exception as error:  # what is finished must not be lost by what fails after it
                found.failed.append({"model": f"in the world {world.name}", "seed": seeds[0], "reason": why(error)})
        if output:
            write_comparison(found.table, found.as_dict(), output)
        if not found.failed:
            work.removed()
    return found


def _done(
    cells: Sequence[Cell], engine: Callable[..., Iterator[tuple[int, dict[str, Any]]]], show_progress: bool
) -> list[dict[str, Any]]:
    """The rows of all cells: those that are kept, and those that are made now."""
    kept = [one.kept() for one in cells]
    left = [place for place, row in enumerate(kept) if row is None]
    with tqdm(total=len(cells), initial=len(cells) - len(left), desc="compare", disable=not show_progress) as bar:
        for place, row in engine(run_cell, [cells[place] for place in left]):
            kept[left[place]] = row
            bar.update()
    return [row for row in kept if row is not None]


def _summary(rows: list[dict[str, Any]], cells: Sequence[Cell], first: str) -> list[dict[str, Any]]:
    by_cell = {(row["model"], row["seed"]): row for row in rows}
    people = {(one.variant.label, one.seed): one.by_person() for one in cells if (one.variant.label, one.seed) in by_cell}
    metrics = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in ("model", "seed", *RESOURCES)]
    return summarise(by_cell, people, metrics, np.random.default_rng(0), first=first)


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
    variants = [Variant.named(name) for name in models]
    cell = _cells_of(variants, dataset, config_file_list, config_dict, arguments)
    return _of_one_protocol([cell(variant, seed, Path()) for variant in variants])


def _cells_of(
    variants: Sequence[Variant],
    dataset: str,
    config_file_list: Sequence[str | Path] | None,
    config_dict: dict[str, Any] | None,
    arguments: Sequence[str] | None,
    threads: int = 1,
) -> Callable[[Variant, int, Path], Cell]:
    """What makes the cell of a variant and a seed in a folder; the first variant is asked for the names of fields."""
    first = Config(variants[0].model, dataset, config_file_list, config_dict, arguments, {**BY_TIME, "load_col": None})
    given, files = defaults(first, partial(columns, first)), tuple(map(str, config_file_list or ()))
    options = tuple(options_of_command() if arguments is None else arguments)
    return lambda variant, seed, folder: Cell(
        variant, seed, dataset, files, dict(config_dict or {}), options, given, str(folder.absolute()), threads
    )


def _of_one_protocol(cells: Sequence[Cell]) -> dict[str, Config]:
    configs = {cell.variant.label: cell.config() for cell in cells}
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
    kinds = {is_sequential(config["model"]) for config in configs.values()}
    load = next(iter(configs.values()))["load_col"]
    blind = [name for name, config in configs.items() if reads_features(config["model"])]
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
