"""What each command of ``recbole-esmr`` does: calls the package, prints, writes; no logic of its own."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def _run(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.files import write_json
    from recbole_esmr.quick_start import run_recbole
    from recbole_esmr.report.tables import run_table

    result = run_recbole(_model(options), options.dataset, options.config_files, arguments=keys, resume=options.resume)
    options.say("\n" + run_table(result))
    if options.output:
        write_json(options.output, result)
    _say_written(options)
    _draw_forecast(options, result["emotion"])
    _write_page(options, result)


def _say_written(options: argparse.Namespace) -> None:
    if options.output:
        options.say(f"\nWritten: {options.output}")


def _write_page(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """The page of a result: in the folder, or beside the file, that the result was written to."""
    if options.report:
        from recbole_esmr.report.page import save_page
        from recbole_esmr.report.pages import page_of

        options.say(f"Written: {save_page(page_of_command(options), page_of([result], options.typed))}")


def page_of_command(options: argparse.Namespace) -> Path:
    """Where the page of ``--report`` goes."""
    from recbole_esmr.report.gathered import page_beside

    return page_beside(options.output, folder=options.command == "compare")


def _report(options: argparse.Namespace, _: list[str]) -> None:
    from recbole_esmr.report.gathered import page_beside, page_of_files
    from recbole_esmr.report.page import save_page

    path = options.output or page_beside(options.results[0])
    options.say(f"Written: {save_page(path, page_of_files(options.results))}")


def _model(options: argparse.Namespace) -> str:
    """The model that is named on the command line, or in a config file; ESMR where neither names one."""
    from recbole_esmr.files import read_yaml

    named = [read_yaml(file).get("model") for file in options.config_files]
    return str(options.model or next((name for name in reversed(named) if name), "ESMR"))


def _draw_forecast(options: argparse.Namespace, emotion: dict[str, Any] | None) -> None:
    if options.figures and emotion:
        from recbole_esmr.report.figures import save_forecast

        options.say("Written: " + ", ".join(map(str, save_forecast(options.figures, emotion["diagnostics"]))))


def _forecast(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.files import write_json
    from recbole_esmr.forecasting import forecast
    from recbole_esmr.report.tables import emotion_table

    result = forecast(options.dataset, options.config_files, arguments=keys)
    options.say(f"\n{result['dataset']}, seed {result['seed']}\n\n{emotion_table(result['emotion'])}")
    if options.output:
        write_json(options.output, result)
    _say_written(options)
    _draw_forecast(options, result["emotion"])


def _check(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.check import check
    from recbole_esmr.errors import DataError
    from recbole_esmr.files import write_json
    from recbole_esmr.report.found import check_table

    result = check(options.dataset, options.config_files, arguments=keys, model=_model(options))
    options.say(check_table(result))
    if options.output:
        write_json(options.output, result)
    _say_written(options)
    if result["refused"]:
        raise DataError(result["refused"])


def _pretrain(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.trainer.pretraining import pretrain

    done = pretrain(options.datasets.split(","), options.output, options.config_files, arguments=keys)
    size, days = len(done["feature_names"]), done["user_days"]
    options.say(
        f"Written: {done['output']}, an encoder of {size} columns trained on {days} reports of {len(done['datasets'])} data sets"
    )


def _compare(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.comparison import InWorld, compare
    from recbole_esmr.errors import ESMRError
    from recbole_esmr.report.comparison import comparison_text, failures
    from recbole_esmr.report.tables import protocol_table

    found = compare(
        options.models.split(","), options.dataset, range(options.seed, options.seed + options.seeds), options.config_files,
        arguments=keys, output=options.output, processes=options.processes, engine=options.engine, address=options.address,
        threads=options.threads, show_progress=options.bars,
        world=InWorld(options.world, options.users, options.items, options.days, options.days) if options.world else None,
    )  # fmt: skip
    options.say(f"\n{protocol_table(found.protocol)}\n\n{comparison_text(found.as_dict())}")
    if options.output:
        options.say(f"Written into {options.output}: comparison.md, comparison.tex, comparison.csv, comparison.json")
    _write_page(options, found.as_dict())
    if found.failed:
        raise ESMRError(f"not finished, the other rows stand: {failures(found.failed)}")


def _simulate(options: argparse.Namespace, _: list[str]) -> None:
    from recbole_esmr.simulation import load_world, simulate

    world, size = load_world(options.world), (options.users, options.items, options.days, options.seed)
    rows = simulate(world, *size, options.output, options.people, options.bars, options.captions)
    options.say(f"Written to {options.output}: " + ", ".join(f"{count} rows of .{suffix}" for suffix, count in rows.items()))
    if options.truth:
        from recbole_esmr.closed_loop import truth
        from recbole_esmr.files import write_json

        write_json(options.truth, truth(world, *size))
        options.say(f"Written: {options.truth}")


def _rollout(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.closed_loop import refuse_harm, rollout
    from recbole_esmr.evaluator.rollout import survival_curve
    from recbole_esmr.report.tables import groups_table, harm_lines, rollout_table

    result, rollouts = rollout(
        options.world, options.policy.split(","), options.users, options.items, options.days,
        range(options.seed, options.seed + options.seeds), options.log_days, options.log, options.people, options.new_people,
        keys, options.keep, options.replicates, options.bars, options.output,
    )  # fmt: skip
    options.say(f"\n{rollout_table(result)}\n\n{groups_table(result)}\n\n{harm_lines(result)}")
    _say_written(options)
    if options.figures:
        from recbole_esmr.report.figures import save_rollout

        by_day = {name: part.by_day for name, part in rollouts.items()}
        curves = {name: survival_curve(part.episodes) for name, part in rollouts.items()}
        options.say("Written: " + ", ".join(map(str, save_rollout(options.figures, result, by_day, curves))))
    _write_page(options, result)
    if options.strict:
        refuse_harm(result)


def _causal(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.files import write_json
    from recbole_esmr.quick_start import estimate_causal
    from recbole_esmr.report.tables import causal_table

    result, found = estimate_causal(
        options.dataset, options.config_files, arguments=keys, all_days=options.all_days,
        graph_samples=options.graph_samples,
    )  # fmt: skip
    options.say(f"\n{causal_table(result)}")
    if options.output:
        write_json(options.output, result)
    _say_written(options)
    if options.figures:
        from recbole_esmr.causal.graph import save_graph
        from recbole_esmr.report.figures import save_effects

        paths = save_effects(options.figures, result["effects"], result["graph"]["edges"], result["moments"]["effects"])
        options.say("Written: " + ", ".join(map(str, [*paths, *save_graph(options.figures, found.graph())])))
    _write_page(options, result)


def _power(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.power import power
    from recbole_esmr.report.tables import power_table

    result = power(
        options.world,
        options.people,
        options.items,
        options.days,
        options.logs,
        options.seed,
        options.effect,
        keys,
        options.output,
        options.bars,
    )
    options.say(f"\n{power_table(result)}")
    _say_written(options)
    if options.figures:
        from recbole_esmr.report.figures import save_power

        options.say(f"Written: {save_power(options.figures, result)}")
    _write_page(options, result)


def _audit(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.audit import audit
    from recbole_esmr.report.tables import audit_table

    result = audit(
        options.checkpoint, options.rounds, options.puppets, options.slate, options.offer, options.seed, options.amplifier,
        options.endpoint, _changes(keys), options.output, options.bars,
    )  # fmt: skip
    options.say(audit_table(result))
    _say_written(options)
    _write_page(options, result)


def _explain(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.explanation import explain
    from recbole_esmr.forget import names_of
    from recbole_esmr.report.tables import explanation_lines

    people = sorted(names_of(options.people, "--people")) if options.people else None
    result = explain(options.checkpoint, people, options.days, _changes(keys), options.output)
    options.say(explanation_lines(result))
    _say_written(options)


def _tune(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.report.tables import tuning_table
    from recbole_esmr.tuning import tune

    result = tune(
        _model(options), options.dataset, options.config_files, keys, options.params_file, options.algo, options.trials,
        options.output, options.bars,
    )  # fmt: skip
    options.say(tuning_table(result))
    _say_written(options)


def _evaluate(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.report.tables import evaluation_table
    from recbole_esmr.trained_models import evaluate

    result = evaluate(options.checkpoint, _changes(keys), options.output)
    options.say(evaluation_table(result))
    _say_written(options)


def _recommend(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.forget import names_of
    from recbole_esmr.trained_models import recommend
    from recbole_esmr.writing import written_whole

    users = sorted(names_of(options.users)) if options.users else None
    lists = recommend(options.checkpoint, users, options.topk, _changes(keys))
    if not options.output:
        options.say(lists.to_string(index=False))
        return
    with written_whole(options.output) as temporary:
        lists.to_csv(temporary, index=False)  # ids as they are, for programs
    options.say(f"Written: {options.output}, {len(lists)} items for {lists['user'].nunique()} people")


def _changes(keys: Sequence[str]) -> dict[str, Any]:
    """The keys that are changed of a checkpoint's config."""
    from recbole_esmr.errors import ConfigError
    from recbole_esmr.recbole_keys import converted

    wrong = next((word for word in keys if not word.startswith("--") or "=" not in word), None)
    if wrong is not None:
        raise ConfigError(f"{wrong} is no option. Write --key=value.")
    return converted(dict(word[2:].split("=", 1) for word in keys))


def _forget(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.forget import forget
    from recbole_esmr.report.forgotten import forgotten_lines

    done = forget(
        options.users, options.dataset, options.checkpoint, options.traces, options.config_files, keys, options.retrain,
        options.dry_run,
    )  # fmt: skip
    options.say(forgotten_lines(done, options.dry_run))


def _import(options: argparse.Namespace, _: list[str]) -> None:
    from recbole_esmr.data.importers import import_data
    from recbole_esmr.errors import ConfigError

    if options.draft:
        _draft(options)
        return
    if options.output is None:
        raise ConfigError("import needs --output=FOLDER to write to; its name becomes the data set's name.")
    report = import_data(options.format, options.input, options.output, options.mapping)
    for line in report.notes:
        options.say(f"  {line}")
    for line in report.warnings:
        options.say(f"warning: {line}")
    options.say(
        f"Written to {options.output}: " + ", ".join(f"{count} rows of .{suffix}" for suffix, count in report.rows.items())
    )


def _label(options: argparse.Namespace, _: list[str]) -> None:
    from recbole_esmr.emotion import load_taxonomy
    from recbole_esmr.errors import ConfigError
    from recbole_esmr.label.data_set import label_items
    from recbole_esmr.label.felt import label_felt
    from recbole_esmr.label.program import Program
    from recbole_esmr.label.vader import Vader
    from recbole_esmr.report.tables import felt_line, label_lines

    if options.felt:
        if options.text or options.program or options.human:
            raise ConfigError("--felt labels items by moods alone. Leave out --text, --command and --human.")
        options.say(felt_line(label_felt(options.dataset, options.replace), str(options.dataset)))
        return
    if not options.text:
        raise ConfigError("label reads texts: name their columns of .item with --text=title,caption (or label by --felt).")
    labeller = Program(options.program, load_taxonomy(options.taxonomy)) if options.program else Vader()
    columns = options.text.split(",")
    done = label_items(options.dataset, columns, labeller, options.replace, options.force, options.human)
    options.say(label_lines(done, labeller.name, str(options.dataset)))


def _draft(options: argparse.Namespace) -> None:
    from recbole_esmr.data.importers.draft import draft_mapping
    from recbole_esmr.errors import ConfigError
    from recbole_esmr.writing import written_whole

    if options.format != "csv":
        raise ConfigError(f"--draft is for csv; {options.format} needs no mapping.")
    if options.mapping is not None and options.mapping.exists():
        raise ConfigError(f"{options.mapping}: is there already, and a draft overwrites nothing. Give another file to --mapping.")
    text = draft_mapping(options.input)
    if options.mapping is None:
        options.say(text, end="")
        return
    with written_whole(options.mapping) as temporary:
        temporary.write_text(text, encoding="utf-8")
    options.say(f"Written: {options.mapping}, a draft. Read and mend it, then import with it.")


def _export(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.quick_start import load_data_and_model
    from recbole_esmr.report.serving import artifact_lines
    from recbole_esmr.serving.artifact import save_artifact
    from recbole_esmr.serving.export import exported

    config, model, dataset, *_ = load_data_and_model(options.checkpoint, {"state": "WARNING", **_changes(keys)})
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
        _say_written(options)
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
    _say_written(options)
    _write_page(options, result)


def _require(options: argparse.Namespace, *names: str) -> None:
    from recbole_esmr.errors import ConfigError

    missing = [f"--{name}" for name in names if getattr(options, name) is None]
    if missing:
        raise ConfigError(f"trial {options.what} needs {', '.join(missing)}. See recbole-esmr trial --help.")


ACTIONS: dict[str, Callable[[argparse.Namespace, list[str]], None]] = {
    "run": _run,
    "forecast": _forecast,
    "check": _check,
    "pretrain": _pretrain,
    "compare": _compare,
    "simulate": _simulate,
    "rollout": _rollout,
    "causal": _causal,
    "power": _power,
    "report": _report,
    "audit": _audit,
    "explain": _explain,
    "tune": _tune,
    "evaluate": _evaluate,
    "recommend": _recommend,
    "export": _export,
    "serve": _serve,
    "log": _log,
    "trial": _trial,
    "forget": _forget,
    "import": _import,
    "label": _label,
}
"""What each command of the parser does."""
