"""Actions on effects and worlds: simulate, live, estimate, and the page of any result."""

from __future__ import annotations

import argparse

from recbole_esmr.actions.written import Actions, say_written, write_page


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
    say_written(options)
    if options.figures:
        from recbole_esmr.report.figures import save_rollout

        by_day = {name: part.by_day for name, part in rollouts.items()}
        curves = {name: survival_curve(part.episodes) for name, part in rollouts.items()}
        options.say("Written: " + ", ".join(map(str, save_rollout(options.figures, result, by_day, curves))))
    write_page(options, result)
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
    say_written(options)
    if options.figures:
        from recbole_esmr.causal.graph import save_graph
        from recbole_esmr.report.figures import save_effects

        paths = save_effects(options.figures, result["effects"], result["graph"]["edges"], result["moments"]["effects"])
        options.say("Written: " + ", ".join(map(str, [*paths, *save_graph(options.figures, found.graph())])))
    write_page(options, result)


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
    say_written(options)
    if options.figures:
        from recbole_esmr.report.figures import save_power

        options.say(f"Written: {save_power(options.figures, result)}")
    write_page(options, result)


def _report(options: argparse.Namespace, _: list[str]) -> None:
    from recbole_esmr.report.gathered import page_beside, page_of_files
    from recbole_esmr.report.page import save_page

    path = options.output or page_beside(options.results[0])
    options.say(f"Written: {save_page(path, page_of_files(options.results))}")


ACTIONS: Actions = {
    "simulate": _simulate,
    "rollout": _rollout,
    "causal": _causal,
    "power": _power,
    "report": _report,
}
