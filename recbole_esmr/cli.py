"""The command ``recbole-esmr``: reads its arguments and runs an action; whatever becomes of it, it ends in one line."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from collections.abc import Sequence

from recbole_esmr.actions import ACTIONS
from recbole_esmr.actions.written import page_of_command
from recbole_esmr.outputs import check_output, on_a_terminal
from recbole_esmr.parser import make_parser
from recbole_esmr.stopping import Watch, going_on
from recbole_esmr.terminal import Printer, complain, line_of

_NEEDS = {
    "run": "recbole_esmr.quick_start",
    "check": "recbole_esmr.check",
    "pretrain": "recbole_esmr.trainer.pretraining",
    "compare": "recbole_esmr.comparison",
    "simulate": "recbole_esmr.simulation",
    "rollout": "recbole_esmr.closed_loop",
    "causal": "recbole_esmr.quick_start",
    "forecast": "recbole_esmr.forecasting",
    "power": "recbole_esmr.power",
    "report": "recbole_esmr.report.gathered",
    "audit": "recbole_esmr.audit",
    "explain": "recbole_esmr.explanation",
    "tune": "recbole_esmr.quick_start",
    "evaluate": "recbole_esmr.trained_models",
    "recommend": "recbole_esmr.trained_models",
    "export": "recbole_esmr.quick_start",
    "log": "recbole_esmr.serving.logged",
    "trial": "recbole_esmr.trial_in_world",
    "forget": "recbole_esmr.forget",
    "import": "recbole_esmr.data.importers",
    "label": "recbole_esmr.label.data_set",
}
"""What takes seconds to import of each command: it is imported while Ctrl-C ends the process at once."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0; 2 after one line on standard error where the user can mend something, 3 where somebody is worse off and that was asked
        (``rollout --strict``); 130 or 143 after one line where Ctrl-C or SIGTERM
        stopped it.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = [word for word in words if word != "--quiet"]  # wherever it stands
    say, quiet = Printer(), len(arguments) < len(words)
    with Watch(arguments) as watch:
        try:
            try:
                _run_command(arguments, watch, say, quiet)
            finally:
                say.flush()
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, KeyboardInterrupt) or watch.signal is not None:  # whatever became of the interrupt on its way
                complain(going_on(arguments, getattr(error, "checkpoint", None)))
                return 128 + (watch.signal or 2)
            return complain(line_of(error), getattr(error, "exit_code", 2))
    return complain(str(say.failed)) if say.failed else 0


def _run_command(arguments: Sequence[str], watch: Watch, say: Printer, quiet: bool) -> None:
    parser = make_parser()
    options, rest = parser.parse_known_args(
        arguments, argparse.Namespace(say=say, typed=shlex.join(["recbole-esmr", *arguments]))
    )
    if rest and not options.takes_keys:
        parser.error(f"unknown argument {rest[0]}; see recbole-esmr {options.command} --help")
    if options.command in _NEEDS:
        importlib.import_module(_NEEDS[options.command])
    watch.raising()
    if quiet and options.takes_keys:
        rest += [key for key in ("--show_progress=False", "--state=WARNING") if not _given(key, rest)]
    options.bars = on_a_terminal() and not quiet
    if getattr(options, "report", False):
        check_output(page_of_command(options))  # before the work
    ACTIONS[options.command](options, rest)


def _given(option: str, arguments: Sequence[str]) -> bool:
    return any(word.startswith(option.partition("=")[0] + "=") for word in arguments)


if __name__ == "__main__":
    from recbole_esmr.__main__ import main as command

    sys.exit(command())
