"""A person wants to be forgotten: out of a data set, its caches, traces and checkpoints; and a search says what is left."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recbole_esmr.checkpoint import Checkpoint, ids_of, load_checkpoint, save_checkpoint
from recbole_esmr.checkpoint.known_ids import KnownIds
from recbole_esmr.config import Config
from recbole_esmr.data.reading.consent import not_named
from recbole_esmr.data.reading.raw import raw_bytes
from recbole_esmr.erasure.rows import Cut, without_people
from recbole_esmr.erasure.search import MAGIC, found_in
from recbole_esmr.erasure.weights import Erased, erase
from recbole_esmr.errors import CheckpointError, ConfigError, DataError
from recbole_esmr.folders import written_together
from recbole_esmr.outputs import expanded
from recbole_esmr.quick_start import train_and_test
from recbole_esmr.recbole_keys import NOT_FROM_FILES, checked
from recbole_esmr.recbole_models import MODEL_NAME
from recbole_esmr.writing import written_whole


@dataclass
class Forgotten:
    """What was done to forget some people.

    Attributes:
        unknown: names that no file and no checkpoint knows, or knows any more.
        lines: how many each file lost.
        caches: files of RecBole that were deleted.
        checkpoints: of each, the tables in which rows were zeroed, those that may hold more, and whether it lost its signature.
        not_given: checkpoints beside the usual ones that know these people too.
        left: places in which a name still stands.
        searched: how many files were searched.
        trained: checkpoints that were trained again.
    """

    unknown: list[str] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    caches: list[str] = field(default_factory=list)
    checkpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
    not_given: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    searched: int = 0
    trained: list[str] = field(default_factory=list)


def forget(
    users: str | Sequence[str],
    dataset: str,
    checkpoints: Sequence[str | Path] = (),
    traces: Sequence[str | Path] = (),
    config_file_list: Sequence[str | Path] | None = None,
    arguments: Sequence[str] | None = None,
    retrain: bool = False,
    dry_run: bool = False,
) -> Forgotten:
    """Take people out of all that was written of them. Doing it again changes nothing more.

    All files are read, and what they will hold is made, before anything is written. The data set changes as a whole, each other
    file as a whole.

    Args:
        users: the people, as the files spell them; or ``u1,u2``, or ``@FILE`` with one a line.
        dataset: name of the data set, or path of its folder.
        checkpoints: that learned from them.
        traces: other files, or folders of files, that may name them.
        config_file_list, arguments: as of :func:`~recbole_esmr.quick_start.run_recbole`; they name the columns.
        retrain: whether the checkpoints are then trained again on who is left.
        dry_run: whether nothing is written, deleted or trained.

    Raises:
        ESMRError: no such data set, checkpoint or file.
    """
    names = names_of(users)
    config = Config(MODEL_NAME, dataset, config_file_list, None, arguments)
    folder, name = Path(str(config["data_path"])).resolve(), str(config["dataset"])
    done, known = Forgotten(), set[str]()
    given = _traces(traces)
    cuts = {path: cut for path in [*_files(folder), *given] if (cut := without_people(path, names, config)) is not None}
    erased = {path: _erased(path, names, known, config["trust"]) for path in map(expanded, checkpoints)}
    done.lines = {str(path): cut.lines for path, cut in cuts.items()}
    done.unknown = sorted(names.difference(known, *(cut.names for cut in cuts.values())))
    for path, of in erased.items():
        done.checkpoints[str(path)] = {
            "people": len(of.numbers),
            "tables": list(of.result.tables) if of.result else [],
            "unclear": list(of.result.unclear) if of.result else [],
            "signature": of.signed and of.result is not None and not config["sign"],
        }
    caches = list(_caches(config, name))
    done.caches = [str(path) for path in caches]
    done.not_given = list(_not_given(config, folder, names, list(erased)))
    if dry_run:
        return done
    _write(folder, cuts)
    for path, of in erased.items():
        if of.result is not None:
            save_checkpoint(path, of.result.checkpoint, config["sign"])
    for path in caches:
        path.unlink()
    if retrain:
        for path in erased:
            _train_again(path, folder, name, config["sign"])
            done.trained.append(str(path))
    searched = list(dict.fromkeys([*_files(folder), *given, *erased]))
    done.left = [f"{path}, {place}" for path in searched for place in found_in(path, names, config)]
    done.searched = len(searched)
    return done


def names_of(users: str | Sequence[str], option: str = "--users") -> set[str]:
    """The people's names; ``option`` is where they were given.

    Raises:
        ConfigError: none is given, or the file cannot be read.
    """
    if isinstance(users, str) and users.startswith("@"):
        path = expanded(users[1:])
        try:
            users = raw_bytes(path, "Give a UTF-8 file with one id a line.").decode("utf-8-sig").splitlines()
        except DataError as error:
            raise ConfigError(f"{option}=@{error}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{option}=@{path}: cannot be read ({error}). Give a UTF-8 file with one id a line.") from error
    elif isinstance(users, str):
        users = users.split(",")
    names = {name for name in users if name.strip()}
    if not names:
        raise ConfigError(f"no person is named. Give {option}=u1,u2, or {option}=@FILE with one id a line.")
    return names


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _traces(given: Sequence[str | Path]) -> list[Path]:
    found: list[Path] = []
    for path in map(expanded, given):
        if not path.exists():
            raise ConfigError(f"--traces={path}: no such file or folder. Leave it out, or mend the path.")
        found += _files(path) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Checkpoint:
    """A checkpoint and what is left of it; ``result`` is None where nobody in it is to be forgotten."""

    numbers: np.ndarray
    result: Erased | None
    signed: bool


def _erased(path: Path, names: set[str], known: set[str], trust: str | None) -> _Checkpoint:
    """What is left of a checkpoint without the people.

    Raises:
        CheckpointError: it cannot be used, or does not say whose its weights are.
    """
    checkpoint = load_checkpoint(path, trust=trust)
    ids, user = _ids(path, checkpoint)
    if ids is None:
        raise CheckpointError(f"{path}: does not say whose its weights are ({checkpoint.model}). Leave it out.")
    numbers = ids.numbers(user, sorted(names))
    known |= {name for name, number in zip(sorted(names), numbers, strict=True) if number}
    found = numbers[numbers > 0]
    with path.open("rb") as file:
        signed = b" ed25519=" in file.readline(1000)
    return _Checkpoint(found, erase(checkpoint, ids, found) if len(found) else None, signed)


def _ids(path: Path, checkpoint: Checkpoint) -> tuple[KnownIds | None, str]:
    """The ids of a checkpoint, None where it has none of people, and the name of its field of people.

    Raises:
        CheckpointError: they cannot be read.
    """
    try:
        ids, user = ids_of(checkpoint), str(checkpoint.config.get("USER_ID_FIELD"))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    items = str(checkpoint.config.get("ITEM_ID_FIELD"))
    return (ids if ids is not None and {user, items} <= set(ids.codes) else None), user


def _caches(config: Config, name: str) -> Iterator[Path]:
    """RecBole's pickles of the data set: nothing of ours reads them, and they hold everybody."""
    folder = expanded(str(config["checkpoint_dir"]))
    for pattern in (f"{name}-*Dataset.pth", f"{name}-for-*-dataloader.pth"):
        for path in sorted(folder.glob(pattern)) if folder.is_dir() else ():
            with path.open("rb") as file:
                if file.read(len(MAGIC)) != MAGIC:
                    yield path


def _not_given(config: Config, folder: Path, names: set[str], given: Sequence[Path]) -> Iterator[str]:
    """Checkpoints in ``checkpoint_dir`` that were trained on this data set, know the people, and are not to be changed."""
    place = expanded(str(config["checkpoint_dir"]))
    known = {path.resolve() for path in given}
    for path in sorted(place.glob("*.pth")) if place.is_dir() else ():
        with suppress(CheckpointError):  # a file of somebody else's
            if path.resolve() not in known:
                checkpoint = load_checkpoint(path)
                here = Path(str(checkpoint.config.get("data_path"))) / str(checkpoint.config.get("dataset"))
                ids, user = _ids(path, checkpoint)
                if here.resolve() == folder and ids is not None and ids.numbers(user, names).any():
                    yield str(path)


def _write(folder: Path, cuts: dict[Path, Cut]) -> None:
    """Write files, those of the data set all at once."""
    own = [path for path in cuts if path.parent == folder]
    if own:
        with written_together(folder) as new:
            for path in own:
                (new / path.name).write_bytes(cuts[path].content)
    for path in cuts:
        if path not in own:
            with written_whole(path) as temporary:
                temporary.write_bytes(cuts[path].content)


def _train_again(path: Path, folder: Path, name: str, sign: str | None) -> None:
    """Train a checkpoint's model again, with its config and on the data as they are now, and put it in its place."""
    checkpoint = load_checkpoint(path)
    values = checked(not_named(checkpoint.config), f"{path}: ", NOT_FROM_FILES)
    values |= {"data_path": str(folder.parent), "log_wandb": False, "show_progress": False}
    model, _ = values.pop("model", checkpoint.model), values.pop("dataset", None)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.again-") as place:
        result = train_and_test(Config(model, name, config_dict={**values, "checkpoint_dir": place}, arguments=[]))
        trained = load_checkpoint(result["checkpoint"])
        trained.config["checkpoint_dir"] = checkpoint.config.get("checkpoint_dir", os.fspath(path.parent))
        save_checkpoint(path, trained, sign)
