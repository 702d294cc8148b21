"""Actions on a service and its trials: export, serve, log, plan and analyse."""

from __future__ import annotations

import argparse

from recbole_esmr.actions.written import Actions, changes_of, say_written, write_page


def _export(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.quick_start import load_data_and_model
    from recbole_esmr.report.serving import artifact_lines
    from recbole_esmr.serving.artifact import save_artifact
    from recbole_esmr.serving.export import exported

    config, model, dataset, *_ = load_data_and_model(options.checkpoint, {"state": "WARNING", **changes_of(keys)})
    artifact = save_artifact(exported(model, dataset, config), options.output, config["sign"])
    options.say(artifact_lines(artifact.card(), str(options.output)))


def _serve(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.serving.running import serve

    serve(options, keys, options.say)


def _log(options: argparse.Namespace, _: list[str]) -> None:
    from recbole_esmr.report.serving import log_lines
    from recbole_esmr.serving.artifact import load_artifact
    from recbole_esmr.serving.logged import write_log
    from recbole_esmr.serving.store import Store

    rows = write_log(Store.existing(options.store), load_artifact(options.artifact), options.output)
    options.say(log_lines(rows, str(options.output)))


def _trial(options: argparse.Namespace, _: list[str]) -> None:
    from recbole_esmr.files import write_json
    from recbole_esmr.report.serving import assigned_table, plan_lines, simulated_table, trial_table
    from recbole_esmr.serving.artifact import load_artifact
    from recbole_esmr.serving.store import Store
    from recbole_esmr.serving.trial.analysis import analysed
    from recbole_esmr.serving.trial.outcomes import observed
    from recbole_esmr.serving.trial.plan import read_plan, write_plan
    from recbole_esmr.serving.trial.registered import assign, hold_to
    from recbole_esmr.trial_design import designed
    from recbole_esmr.trial_in_world import simulate_trial

    if options.what == "design":
        _require(options, "name", "start", "minimum_effect", "output")
        plan, spread = designed(options)
        write_plan(options.output, plan)
        options.say(plan_lines(plan.hash, plan.people, plan.looks, spread))
        say_written(options)
        return
    _require(options, "plan")
    plan = read_plan(options.plan)
    if options.what == "simulate":
        result = simulate_trial(
            options.world, plan, options.people, options.items, trials=options.trials, seed=options.seed, keep=options.keep,
            output=options.output, show_progress=options.bars,
        )  # fmt: skip
        options.say(simulated_table(result))
    else:
        _require(options, "artifact")
        store, artifact = Store.existing(options.store), load_artifact(options.artifact)
        if options.what == "assign":
            options.say(assigned_table(assign(plan, store, artifact)))
            return
        hold_to(plan, store)
        result = analysed(plan, observed(store, artifact, plan), options.look)
        if options.output:
            write_json(options.output, result)
        options.say(trial_table(result))
    say_written(options)
    write_page(options, result)


def _require(options: argparse.Namespace, *names: str) -> None:
    from recbole_esmr.errors import ConfigError

    missing = [f"--{name}" for name in names if getattr(options, name) is None]
    if missing:
        raise ConfigError(f"trial {options.what} needs {', '.join(missing)}. See recbole-esmr trial --help.")


ACTIONS: Actions = {
    "export": _export,
    "serve": _serve,
    "log": _log,
    "trial": _trial,
}
