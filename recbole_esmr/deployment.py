"""A platform: a log, the people in it, and the models that are trained on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recbole_esmr.config import Config, ESMRSettings
from recbole_esmr.data.dataset import ESMRDataset, load_data
from recbole_esmr.errors import DataError
from recbole_esmr.quick_start import check_buildable, retrain_reranker, train_into
from recbole_esmr.recbole_models import MODEL_NAME
from recbole_esmr.settings import SERVING, flat_keys
from recbole_esmr.simulation import FeedEnv, World, simulate
from recbole_esmr.simulation.environment_state import EnvironmentState, load_state, log_fingerprint
from recbole_esmr.trainer.going_on import kept_training
from recbole_esmr.work import Work


@dataclass(frozen=True)
class Platform:
    """A log and the people in it, standing where the log ended.

    Attributes:
        environment: world, sizes, seed and environment state.
        log: folder of the atomic files.
        work: holds checkpoints and rollouts; done: the models that are known to be trained there.
        arguments: RecBole and ESMR keys for what is trained here.
        seed: of the training, and of what happens to the people from now on.
    """

    environment: EnvironmentState
    log: Path
    work: Work
    arguments: tuple[str, ...]
    seed: int
    done: set[str] = field(default_factory=set)

    def option(self, name: str) -> str | None:
        """The value of ``--name=…`` among the arguments."""
        return next((word.partition("=")[2] for word in self.arguments if word.startswith(f"--{name}=")), None)

    def trained(self, model: str) -> Path:
        """The checkpoint of a model trained on the log; one that is there is taken, or gone on from, if it is of the same."""
        path = self.work.folder / f"{model}.pth"
        if model not in self.done:
            config = self.config(model)
            kept = kept_training(path, config)
            if kept is None or "ended" not in kept.progress:
                train_into(config, path)
            self.done.add(model)
        return path

    def config(self, model: str, changes: Mapping[str, str] | None = None) -> Config:
        """The keys that a model is trained with here."""
        values = {"seed": self.seed, "checkpoint_dir": str(self.work.folder), "show_progress": False, "state": "WARNING"}
        return Config(model, str(self.log), config_dict={**values, **(changes or {})}, arguments=self.arguments)

    def check_trainable(self, model: str) -> None:
        """Refuse a model that cannot be built on the log; one that is trained already can.

        Raises:
            ESMRError: why, and the mend.
        """
        config = self.config(model)
        if kept_training(self.work.folder / f"{model}.pth", config) is None:
            check_buildable(config)

    def variant(self, changes: dict[str, str]) -> tuple[Path, dict[str, str]]:
        """A checkpoint of ESMR for changed keys, and those of them that are to be given when it is loaded.

        The stages that a change does not touch are those of :meth:`trained`, so that variants differ in nothing else.
        """
        base = self.trained(MODEL_NAME)
        learned = {key: value for key, value in changes.items() if key not in flat_keys(ESMRSettings, SERVING)}
        if not learned:
            return base, changes
        name = "+".join([MODEL_NAME, *(f"{key}={value}" for key, value in sorted(learned.items()))])
        path = self.work.folder / f"{name}.pth"
        if name not in self.done:
            retrain_reranker(base, {**learned, "sign": self.option("sign")}, path)
            self.done.add(name)
        return path, changes

    def env(self, users: np.ndarray) -> FeedEnv:
        """The world with the given people."""
        environment = self.environment
        return FeedEnv(environment.world, users, environment.items, environment.seed, rollout_seed=self.seed)

    def data(self) -> ESMRDataset:
        """The log as ESMR reads it."""
        dataset, *_ = load_data(Config(MODEL_NAME, str(self.log), arguments=self.arguments))
        return dataset


def logged(
    world: World, users: int, items: int, log_days: int, seed: int, work: Work, arguments: tuple[str, ...], show: bool
) -> Platform:
    """The platform of a simulated log; one of the same world, sizes and seed that is kept is not simulated again."""
    log, people = work.folder.resolve() / "log", work.folder / "people.npz"
    kept = _kept(log, people)
    asked = (world, users, items, seed, log_days + 1)
    if kept is None or (kept.world, kept.users, kept.items, kept.seed, int(kept.state["day"])) != asked:
        simulate(world, users, items, log_days, seed, log, people=people, show_progress=show)
        kept = load_state(people)
    return Platform(kept, log, work, arguments, seed)


def _kept(log: Path, people: Path) -> EnvironmentState | None:
    """The people of a log that was simulated here before; None where a kill has left one without the other."""
    try:
        environment = load_state(people)
    except DataError:
        return None
    return environment if fingerprint_of(log) == environment.log else None


def fingerprint_of(folder: str | Path) -> str | None:
    """Of a simulated log; None where the folder holds none."""
    try:
        return log_fingerprint(folder)
    except OSError:
        return None
