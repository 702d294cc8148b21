"""The best keys by the validation part: RecBole's ``HyperTuning``, its file of ranges read without evaluating it."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from time import perf_counter
from typing import Any

from tqdm import tqdm

from recbole_esmr.errors import ConfigError, ESMRError
from recbole_esmr.files import SCHEMA_VERSION, shipped, write_json
from recbole_esmr.outputs import expanded
from recbole_esmr.values import MAX_FILE, read_value, shown

_RANGES = {"uniform": 2, "quniform": 3, "loguniform": 2}
"""RecBole's kinds of ranges, and how many numbers each takes."""


def tune(
    model: str,
    dataset: str | None,
    config_file_list: Sequence[str | Path] | None = None,
    arguments: Sequence[str] = (),
    params_file: str | Path | None = None,
    algo: str = "bayes",
    trials: int = 20,
    output: str | Path | None = None,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Train a model with many keys and say which are best by the validation result; the test part decides nothing.

    Args:
        model, dataset, config_file_list, arguments: as of :func:`~recbole_esmr.quick_start.run_recbole`.
        params_file: lines ``KEY choice [a,b]``, ``KEY uniform low,high``, ``KEY quniform low,high,step`` or ``KEY loguniform
            low,high`` (natural logarithms); the shipped ones for ESMR unless given.
        algo: ``bayes`` (a tree of Parzen estimators), ``random`` or ``exhaustive`` (of choices alone).
        trials: trainings at most; of an exhaustive search all.
        output: a file to write what is returned to, as JSON.
        show_progress: whether to show a bar.

    Returns:
        ``schema_version``, ``model``, ``dataset``, ``valid_metric``, ``best`` (the keys and their validation result) and
        ``trials``, best first.

    Raises:
        ConfigError: hyperopt is missing; a range is wrong or of a key that is set as well.
    """
    from recbole_esmr.config import Config
    from recbole_esmr.quick_start import check_buildable, run_recbole
    from recbole_esmr.recbole_keys import check_keys

    start, path = perf_counter(), Path(params_file) if params_file else shipped("properties") / "hyper" / f"{model}.hyper"
    try:
        from recbole.trainer import HyperTuning

        space = space_of_file(HyperTuning, path) if params_file or path.is_file() else {}
    except ImportError as error:
        raise ConfigError("tune needs hyperopt, which is not installed. Run `pip install 'recbole-esmr[tune]'`.") from error
    if not space:
        line = "`learning_rate choice [0.01,0.001]`"
        raise ConfigError(f"there are no ranges to search for {model}. Give them with --params_file, lines such as {line}.")
    set_too = [key for key in space if any(word.startswith(f"--{key}=") for word in arguments)]
    if set_too:
        raise ConfigError(f"--{set_too[0]} is set and searched as well. Leave out the option, or its line in {path}.")
    check_keys(space, f"{path}: unknown key")
    if algo == "exhaustive" and (ranged := [key for key, kind in kinds_of(path).items() if kind != "choice"]):
        raise ConfigError(f"{path}: {ranged[0]} is a range, and --algo=exhaustive tries choices alone. Write them out.")
    config = Config(model, dataset, config_file_list, None, arguments)
    check_buildable(config)
    bigger, made = bool(config["valid_metric_bigger"]), list[dict[str, Any]]()
    with tqdm(total=None if algo == "exhaustive" else trials, desc="tune", disable=not show_progress) as bar:

        def objective(keys: dict[str, Any], _: Any = None) -> dict[str, Any]:
            keys = {key: _plain(value) for key, value in keys.items()}
            quiet = {**keys, "show_progress": False, "state": "WARNING"}
            worst = -math.inf if bigger else math.inf
            score, valid, why = worst, {}, ""
            try:
                result = run_recbole(model, dataset, config_file_list, quiet, saved=False, arguments=arguments)
                score, valid = float(result["best_valid_score"]), result["best_valid_result"]
            except ESMRError as error:  # one trial that cannot be is not the end of the others
                why = str(error)
            score = score if math.isfinite(score) and valid else worst
            made.append({"keys": keys, "score": score, "valid": valid, "failed": why})
            bar.update()
            return {
                "model": model, "best_valid_score": score, "valid_score_bigger": bigger, "best_valid_result": valid,
                "test_result": {},
            }  # fmt: skip

        with _seeded(int(config["seed"])), redirect_stdout(io.StringIO()):  # RecBole prints every trial's test result
            HyperTuning(objective, space=space, algo=algo, max_evals=trials, early_stop=10**9).run()
    made.sort(key=lambda one: one["score"], reverse=bigger)
    if not math.isfinite(made[0]["score"]):
        reason = next((one["failed"] for one in made if one["failed"]), "nothing was validated")
        raise ConfigError(f"no trial has a figure of {config['valid_metric']} on the validation part: {reason}")
    result = {
        "schema_version": SCHEMA_VERSION, "model": model, "dataset": config["dataset"], "seed": config["seed"],
        "valid_metric": config["valid_metric"], "algo": algo, "best": made[0], "trials": made,
        "timings": {"total": round(perf_counter() - start, 1)},
    }  # fmt: skip
    if output:
        write_json(output, result)
    return result


def _plain(value: Any) -> Any:
    """A number of numpy's as Python's own; 8.0 as 8, which keys of whole numbers take, too."""
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """hyperopt draws by the seed that this variable of the environment holds."""
    name = "HYPEROPT_FMIN_SEED"
    before = os.environ.get(name)
    os.environ[name] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def space_of_file(_: Callable[..., Any], file: str | Path) -> dict[str, Any]:
    """``HyperTuning._build_space_from_file``: lines such as ``learning_rate choice [0.01,0.001]`` or ``dropout uniform 0,0.5``.

    Args:
        _: RecBole's own method, which evaluates the choices as Python.
        file: the file.

    Returns:
        hyperopt's space.

    Raises:
        ConfigError: the file cannot be read, or a line is none of these; the message names file and line.
    """
    from hyperopt import hp

    space: dict[str, Any] = {}
    for name, kind, given, where in _lines(expanded(file)):
        if kind == "choice":
            space[name] = hp.choice(name, _choices(given, where))
        elif kind in _RANGES:
            space[name] = getattr(hp, kind)(name, *_numbers(given, kind, where))
        else:
            raise ConfigError(f"{where} has the range {shown(kind)}; expected one of choice, {', '.join(_RANGES)}.")
    return space


def kinds_of(file: str | Path) -> dict[str, str]:
    """The kind of each key's range."""
    return {name: kind for name, kind, _, _ in _lines(expanded(file))}


def _lines(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Key, kind, what is given, and where, of each line that has them."""
    try:
        with path.open(encoding="utf-8") as lines:
            text = lines.read(MAX_FILE)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}). Give the path of a text file.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        name, kind, given = (*line.split(maxsplit=2), "", "", "")[:3]
        if given:
            yield name, kind, given, f"{path}, line {number}: {name}"


def _choices(given: str, where: str) -> list[Any]:
    try:
        choices = read_value(given)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    if not isinstance(choices, list) or not choices:
        raise ConfigError(f"{where} is {shown(given)}; expected a list of choices such as [0.01,0.001].")
    return choices


def _numbers(given: str, kind: str, where: str) -> list[float]:
    numbers = [read_value(part) for part in given.split(",")]
    if len(numbers) != _RANGES[kind] or not all(isinstance(number, int | float) for number in numbers):
        raise ConfigError(f"{where} is {shown(given)}; expected {_RANGES[kind]} numbers with commas between them.")
    if not numbers[0] < numbers[1]:
        raise ConfigError(f"{where} is {shown(given)}; expected the smaller number first.")
    return [float(number) for number in numbers]
