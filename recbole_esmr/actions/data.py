"""Actions on data sets: check, import, label, forget."""

from __future__ import annotations

import argparse

from recbole_esmr.actions.written import Actions, model_of, say_written


def _check(options: argparse.Namespace, keys: list[str]) -> None:
    from recbole_esmr.check import check
    from recbole_esmr.errors import DataError
    from recbole_esmr.files import write_json
    from recbole_esmr.report.found import check_table

    result = check(options.dataset, options.config_files, arguments=keys, model=model_of(options))
    options.say(check_table(result))
    if options.output:
        write_json(options.output, result)
    say_written(options)
    if result["refused"]:
        raise DataError(result["refused"])


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


ACTIONS: Actions = {
    "check": _check,
    "forget": _forget,
    "import": _import,
    "label": _label,
}
