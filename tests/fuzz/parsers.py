"""What reads other people's files and values: small right inputs of each, and how they are read."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
import yaml

from recbole_esmr.causal.responses import Responses
from recbole_esmr.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from recbole_esmr.checkpoint.container import Block, parts
from recbole_esmr.checkpoint.tree import CONTENT, to_blocks
from recbole_esmr.closed_loop import _named
from recbole_esmr.config import Config
from recbole_esmr.data.importers import import_data
from recbole_esmr.data.importers.draft import draft_mapping
from recbole_esmr.data.importers.esmr_release import BEHAVIOUR
from recbole_esmr.data.importers.fields import names
from recbole_esmr.data.importers.table import read_table
from recbole_esmr.data.reading.schema import SCHEMA, read_atomic
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.files import read_yaml, shipped
from recbole_esmr.model.engagement_ranker import EngagementRanker
from recbole_esmr.model.learned import STAGES, Learned
from recbole_esmr.model.trees import Trees
from recbole_esmr.simulation import FeedEnv, load_world
from recbole_esmr.simulation.environment_state import load_state
from recbole_esmr.values import read_value
from tests.crafted import around
from tests.fuzz.mutation import Files


@dataclass(frozen=True)
class Parser:
    """One that reads files.

    Attributes:
        read: reads the files in a folder; raises nothing but ``ESMRError``.
        seeds: right inputs, from which the malformed ones are made.
    """

    read: Callable[[Path], object]
    seeds: tuple[Files, ...]


def _text(**files: str) -> Files:
    return {name.replace("__", "."): content.encode() for name, content in files.items()}


# -- atomic files ---------------------------------------------------------------------------------------------------------

_USERS, _ITEMS, _DAYS = range(4), range(5), range(1, 7)
_PAIRS = [(user, (user + day) % 5, day) for user in _USERS for day in _DAYS]
ATOMIC = _text(
    small__inter="user_id:token\titem_id:token\ttimestamp:float\tday:float\twatch_ratio:float\n"
    + "".join(f"u{user}\ti{item}\t{86_400 * day + user}\t{day}\t0.{day}\n" for user, item, day in _PAIRS),
    small__item="item_id:token\temotion:token\temotion_intensity:float\tcategory:token\tduration:float\n"
    + "".join(f"i{item}\t{'angry' if item % 2 else 'happy'}\t0.{item + 1}\tnews\t{item + 10}\n" for item in _ITEMS),
    small__user="user_id:token\tuser_profile:token\tconsent:float\ttimezone:token\n"
    + "".join(f"u{user}\tcasual\t1\tEurope/Berlin\n" for user in _USERS),
    small__day="user_id:token\tday:float\temotion:token\tvalence:float\tlogins:float\tchurned:float\n"
    + "".join(f"u{user}\t{day}\t{'angry' if day % 2 else ''}\t{-0.5 if day % 2 else ''}\t{day}\t0\n" for user, _, day in _PAIRS),
    small__imp="user_id:token\titem_id:token\tday:float\tposition:float\tpropensity:float\tlabel:float\n"
    + "".join(f"u{user}\ti{item}\t{day}\t0\t0.5\t1\n" for user, item, day in _PAIRS),
)
_DATES = _text(
    small__inter="user_id:token\titem_id:token\ttimestamp:token\nu1\ti1\t2024-03-24 21:00\n"
    "u1\ti2\t2024-03-25T08:00:00Z\nu2\ti1\t2024-03-24\n",
    small__day="user_id:token\tday:token\temotion:token\nu1\t2024-03-24\tangry\nu1\t2024-03-26T23:30+02:00\thappy\n",
)
_DATA_YAML = (
    "load_col: {inter: [user_id, item_id, timestamp, day, watch_ratio]}\n"
    "eval_args: {split: {LS: valid_and_test}, order: TO, group_by: user, mode: full}\n"
    "topk: [2]\nvalid_metric: NDCG@2\nmetrics: [NDCG]\nmax_day_gap: 60\n"
)


def _atomic(folder: Path) -> None:
    taxonomy = load_taxonomy("esmr")
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.removeprefix(".")
        if suffix in SCHEMA:
            read_atomic(path, suffix, names() | {"encoding": "utf-8"}, taxonomy)


def _config(folder: Path, model: str = "ESMR") -> Config:
    return Config(model, str(folder / "small"), config_dict={"state": "ERROR", "show_progress": False}, arguments=[])


def _dataset(folder: Path) -> None:
    from recbole_esmr.data.dataset import load_data

    load_data(_config(folder))


# -- importers ------------------------------------------------------------------------------------------------------------

_CSV = _text(
    views__csv="who,what,when\na,x,2024-03-24 21:00\na,y,2024-03-25 08:00\nb,x,2024-03-24 09:30\n",
    items__csv="what,feels,strength,long\nx,happy,0.5,20\ny,angry,1,30.5\n",
    diary__csv="who,date,mood,feels,steps,hour\na,2024-03-24,1,angry,10,21:00\na,2024-03-25,7,happy,20,8:00\nb,2024-03-24,4,,5,\n",
    map__yaml="timezone: Europe/Berlin\nemotions: {joy: happy}\nmissing: [NA]\n"
    "inter: {file: views.csv, columns: {user_id: who, item_id: what, timestamp: when}, duplicates: drop}\n"
    "item: {file: items.csv, columns: {item_id: what, emotion: feels, emotion_intensity: strength}, where: {long: 20}}\n"
    "day: {file: diary.csv, columns: {user_id: who, day: date, valence: mood, steps: steps}, scale: {valence: [1, 7]},\n"
    "  aggregate: {valence: mean, steps: sum}, order: hour}\n",
)
_CSV_NUMBERS = _text(
    one__csv="who;what;when;sec;long;zone;tick\na;x;1711314000;10,5;20;UTC;1\nb;y;1711400000;5;30;Europe/Berlin;0\n",
    map__yaml="file: one.csv\ndelimiter: semicolon\nencoding: latin-1\n"
    "user: {columns: {user_id: who, timezone: zone}}\n"
    "item: {columns: {item_id: what, duration: long}, multiply: {duration: 2}}\n"
    "inter: {columns: {user_id: who, item_id: what, timestamp: when, watch_seconds: sec, tick: tick}, decimal: ','}\n"
    "imp: {columns: {user_id: who, item_id: what, day: when, label: tick}}\n",
)
_LDOS = _text(
    **{
        "LDOS-CoMoDa__csv": "".join(
            ",".join(map(str, [user, film, 4, 30, 1, 1, 1, *[1] * 6, 1 + film % 7, 2, 1 + film % 3, *[1] * 14])) + "\n"
            for user in (15, 16)
            for film in (1, 2, 3)
        )
    }
)
_RELEASE = _text(
    content_dataset__csv="video_id,emotion,emotion_intensity,category,theme,video_duration\n0,happy,5,news,a,20\n1,angry,10,fun,b,30\n",
    engagement_dataset__csv=",".join(["user_id", "day", "user_profile", "churned", *BEHAVIOUR])
    + "\n"
    + "".join(f"{user},{day},casual,False,{','.join(['1'] * len(BEHAVIOUR))}\n" for user in (0, 1) for day in (1, 2)),
    watched__csv="user_id,video_id,day,position,watch_time\n0,0,1,1,10\n0,1,2,1,5\n1,0,1,2,20\n",
    user_emotion__csv="user_id,day,user_emotion\n0,1,angry\n0,2,happy\n1,1,churned\n1,2,lonely\n",
)
_PACKED = {name + (".gz" if name.startswith("w") else ""): content for name, content in _RELEASE.items()}
_PACKED["watched.csv.gz"] = gzip.compress(_RELEASE["watched.csv"], mtime=0)


def _import(name: str, mapping: str | None = None) -> Callable[[Path], object]:
    return lambda folder: import_data(name, folder, folder / "imported" / "small", folder / mapping if mapping else None)


def _tables(folder: Path) -> None:
    for path in sorted(folder.glob("*.csv*")):
        read_table([path])


# -- the world ------------------------------------------------------------------------------------------------------------

_WORLD = _text(
    mine__yaml="base: reference\nemotion_taxonomy: esmr\n"
    "catalogue: {emotion_share: {happy: 0.22, angry: 0.11}, intensity_mean: 0.5, duration_range: [10, 90], duration_median: 30}\n"
    "population: {profile_share: {casual: 0.5, engaged: 0.3, highly_active: 0.2}, home: {general: 0.3, vulnerable: 0}}\n"
    "affect: {inertia: 0.7, event_rate: {general: 0.05, vulnerable: 0.02}}\n"
    "exposure: {effect: {happy: 0.2, angry: -0.2}, strength: 1.0, habituation_days: 3}\n"
    "retention: {churn: {casual: 0.2, engaged: 0.1}, returning: {casual: 0.3, engaged: 0.5}}\n"
    "feed: {sessions: {casual: 1.4, engaged: 1.8}, session_size: 6, weekend_factor: 1.2, pool_share: 0.3}\n"
)
_WHOLE_WORLD = {"mine.yaml": yaml.safe_dump(read_yaml(shipped("properties") / "world" / "reference.yaml")).encode()}


def _live(env: FeedEnv, state: dict[str, Any] | None = None) -> None:
    """Two days of a world."""
    env.reset(options={"state": state} if state else None)
    for _ in range(2):
        morning = env.morning()
        slates = np.full((len(env.people), env.slate_width), -1)
        slates[:, 0] = np.flatnonzero(morning.pool)[0]
        hours = env.step(np.where(morning.active[:, None], slates, -1))[1]
        if not (np.isfinite(hours).all() and np.isfinite(env.valence).all()):
            raise FloatingPointError("a day of this world is no number")


def _world(folder: Path) -> None:
    _live(FeedEnv(load_world(str(folder / "mine.yaml")), users=3, items=5, seed=1))


def _people(folder: Path) -> None:
    found = load_state(folder / "people.npz")
    _live(FeedEnv(found.world, np.arange(found.users), found.items, found.seed), found.state)


def _state() -> bytes:
    env = FeedEnv(load_world("reference"), users=3, items=4, seed=1)
    env.reset()
    header = {"world": asdict(env.world), "users": 3, "items": 4, "seed": 1, "log": "0" * 64}
    file = io.BytesIO()
    np.savez_compressed(file, header=np.array(json.dumps(header)), **env.snapshot())
    return file.getvalue()


# -- values ---------------------------------------------------------------------------------------------------------------

_TAXONOMY = _text(mine__yaml="happy: [0.8, 0.4]\nangry: [-0.6, 0.7]\nneutral: [0, 0]\n")
_KEYS = (
    _DATA_YAML + "epochs: 2\nlearning_rate: 0.001\ntrain_batch_size: 64\nlearner: adam\nseed: 2020\nrepeatable: True\n"
    "gate: streak\nreward: emotion\nencoder_hidden_size: 16\nretriever: BPR\nretriever_config: {embedding_size: 8}\n"
    "emotion_taxonomy: esmr\nval_interval: {watch_ratio: '[0,1]'}\n"
    "user_inter_num_interval: '[1,inf)'\nday_split: [0.8, 0.1, 0.1]\n"
)
_ARGUMENTS = _text(
    arguments__txt="--epochs=2\n--topk=[2]\n--valid_metric=NDCG@2\n--learning_rate=1e-3\n--gate=never\n--metrics=['NDCG']\n"
    "--eval_args={'split': {'RS': [0.8, 0.1, 0.1]}, 'order': 'TO', 'group_by': 'user', 'mode': 'full'}\n--seed=1\n"
)
_POLICIES = _text(
    policies__txt="random\npop\nESMR+gate=streak+reward=emotion\nengagement:saved/a.pth\nBPR:b.pth\nESMR+gate=never\n"
)


def _arguments(folder: Path) -> None:
    lines = (folder / "arguments.txt").read_text(encoding="utf-8", errors="replace").split("\n")
    Config("ESMR", "esmr-mini", arguments=[line for line in lines if line])


def _policies(folder: Path) -> None:
    for line in filter(None, (folder / "policies.txt").read_text(encoding="utf-8", errors="replace").split("\n")):
        _named(line)


_VALUES = _text(
    values__txt="[10, 20]\n1e-3\n{LS: valid_and_test}\nsaved/model.pth\n(1, 2)\n'a b'\nNone\n0x1F\n"
    "{'split': {'RS': [0.8, 0.1, 0.1]}}\n"
)


def _values(folder: Path) -> None:
    for line in (folder / "values.txt").read_text(encoding="utf-8", errors="replace").split("\n"):
        read_value(line)


# -- checkpoints ----------------------------------------------------------------------------------------------------------


def _checkpoint() -> Files:
    """A checkpoint of hardly any weights."""
    weights = {"embedding.weight": torch.arange(6.0).reshape(3, 2), "count": torch.tensor(3)}
    state = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.001, "params": [0]}]}
    training = {"epoch": 2, "cur_step": 0, "best_valid_score": 0.5}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.pth"
        save_checkpoint(path, Checkpoint("BPR", {"seed": 1, "topk": [10]}, "0" * 64, weights, {}, state, training))
        return {"model.pth": path.read_bytes()}


def _blocks() -> dict[str, Block]:
    """A small checkpoint of ESMR, with two trees of LightGBM."""
    numbers = {"threshold": [0.5, 1.5, np.inf], "leaf_value": [0.1, -0.1, 0.2, 0.3, 0.4]}
    whole = {"feature": [0, 5, 2], "left": [1, -1, -1], "right": [-3, -2, -2]}
    trees = Trees(
        features=6,
        leaves=np.array([3, 2]),
        decision=np.array([2, 8, 10], dtype=np.int8),
        **{name: np.array(values, dtype=np.int32) for name, values in whole.items()},
        **{name: np.array(values) for name, values in numbers.items()},
    )
    learned = Learned(EngagementRanker(trees), EngagementRanker(), Responses(np.ones(4)), done=STAGES[:2])
    other = {**learned.to_parameters(), "retriever": {"w": scipy.sparse.lil_matrix(np.eye(3)), "text": "x" * 5000}}
    training = {"epoch": 3, "cur_step": 0, "best_valid_score": -np.inf}
    optimizer = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99), "params": [0]}]}
    others = {"config": {"seed": 1}, "state_dict": {"w": torch.arange(3.0)}, "progress": {}, "versions": {"torch": "2"}}
    return to_blocks(
        {"model": "ESMR", "ids": None, "other_parameter": other, "training": training, "optimizer": optimizer, **others}
    )


def _content(folder: Path) -> None:
    path = folder / "a.pth"
    if (folder / "body.safetensors").is_file():  # behind a hash that is right, so that it is read
        around(path, (folder / "body.safetensors").read_bytes())
    else:
        text = (folder / "content.json").read_bytes()
        around(path, b"".join(map(bytes, parts({**_blocks(), CONTENT: Block("U8", (len(text),), text)}))))
    other = load_checkpoint(path).other_parameter
    other.pop("retriever", None)
    learned = Learned.of_parameters(other, 4, 6)
    if not np.isfinite(learned.watch.predict(np.ones((3, 6)))).all():
        raise FloatingPointError("a chance is no number")


def _in_small(files: Files) -> Files:
    return {f"small/{name}": content for name, content in files.items()}


PARSERS: dict[str, Parser] = {
    "atomic": Parser(_atomic, (ATOMIC, _DATES)),
    "dataset": Parser(_dataset, (_in_small({**ATOMIC, "small.yaml": _DATA_YAML.encode()}),)),
    "table": Parser(_tables, (_CSV, _CSV_NUMBERS, _PACKED)),
    "csv": Parser(_import("csv", "map.yaml"), (_CSV, _CSV_NUMBERS)),
    "draft": Parser(draft_mapping, (_CSV, _CSV_NUMBERS, _RELEASE)),
    "ldos-comoda": Parser(_import("ldos-comoda"), (_LDOS,)),
    "esmr-release": Parser(_import("esmr-release"), (_RELEASE, _PACKED)),
    "people": Parser(_people, ({"people.npz": _state()},)),
    "world": Parser(_world, (_WORLD, _WHOLE_WORLD)),
    "taxonomy": Parser(lambda folder: load_taxonomy("mine.yaml", folder), (_TAXONOMY,)),
    "config": Parser(_config, (_in_small({**ATOMIC, "small.yaml": _KEYS.encode()}),)),
    "arguments": Parser(_arguments, (_ARGUMENTS,)),
    "values": Parser(_values, (_VALUES,)),
    "checkpoint": Parser(lambda folder: load_checkpoint(folder / "model.pth"), (_checkpoint(),)),
    "policies": Parser(_policies, (_POLICIES,)),
    "checkpoint-content": Parser(
        _content,
        ({"body.safetensors": b"".join(map(bytes, parts(_blocks())))}, {"content.json": bytes(_blocks()[CONTENT].data)}),
    ),
}
"""By the name that ``python -m benchmarks.trust.fuzz --parser=NAME`` takes."""
