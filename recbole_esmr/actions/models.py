"""Actions on trained models: train, tune, judge and ask them."""

from __future__ import annotations

import argparse

from recbole_esmr.actions.written import Actions, changes_of, draw_forecast, model_of, say_written, write_page


def _run(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.files import write_json
    from recbole_esmr.quick_start import run_recbole
    from recbole_esmr.report.tables import run_table

    result = run_recbole(model_of(options), options.dataset, options.config_files, arguments=keys, resume=options.resume)
    options.say("\n" + run_table(result))
    if options.output:
        write_json(options.output, result)
    say_written(options)
    draw_forecast(options, result["emotion"])
    write_page(options, result)


def _forecast(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.files import write_json
    from recbole_esmr.forecasting import forecast
    from recbole_esmr.report.tables import emotion_table

    result = forecast(options.dataset, options.config_files, arguments=keys)
    options.say(f"\n{result['dataset']}, seed {result['seed']}\n\n{emotion_table(result['emotion'])}")
    if options.output:
        write_json(options.output, result)
    say_written(options)
    draw_forecast(options, result["emotion"])


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
    write_page(options, found.as_dict())
    if found.failed:
        raise ESMRError(f"not finished, the other rows stand: {failures(found.failed)}")


def _tune(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.report.tables import tuning_table
    from recbole_esmr.tuning import tune

    result = tune(
        model_of(options), options.dataset, options.config_files, keys, options.params_file, options.algo, options.trials,
        options.output, options.bars,
    )  # fmt: skip
    options.say(tuning_table(result))
    say_written(options)


def _evaluate(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.report.tables import evaluation_table
    from recbole_esmr.trained_models import evaluate

    result = evaluate(options.checkpoint, changes_of(keys), options.output)
    options.say(evaluation_table(result))
    say_written(options)


def _recommend(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.files import check_table, write_table
    from recbole_esmr.forget import names_of
    from recbole_esmr.trained_models import recommend

    if options.output:
        check_table(options.output)
    users = sorted(names_of(options.users)) if options.users else None
    lists = recommend(
        options.checkpoint, users, options.topk, changes_of(keys), options.processes, options.engine, options.address
    )
    if not options.output:
        options.say(lists.to_string(index=False))
        return
    write_table(options.output, lists)
    options.say(f"Written: {options.output}, {len(lists)} items for {lists['user'].nunique()} people")


def _explain(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.explanation import explain
    from recbole_esmr.forget import names_of
    from recbole_esmr.report.tables import explanation_lines

    people = sorted(names_of(options.people, "--people")) if options.people else None
    result = explain(options.checkpoint, people, options.days, changes_of(keys), options.output)
    options.say(explanation_lines(result))
    say_written(options)


def _audit(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.audit import audit
    from recbole_esmr.report.tables import audit_table

    result = audit(
        options.checkpoint, options.rounds, options.puppets, options.slate, options.offer, options.seed, options.amplifier,
        options.endpoint, changes_of(keys), options.output, options.bars,
    )  # fmt: skip
    options.say(audit_table(result))
    say_written(options)
    write_page(options, result)


ACTIONS: Actions = {
    "run": _run,
    "forecast": _forecast,
    "pretrain": _pretrain,
    "compare": _compare,
    "audit": _audit,
    "explain": _explain,
    "tune": _tune,
    "evaluate": _evaluate,
    "recommend": _recommend,
}
