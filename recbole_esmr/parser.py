"""The commands of ``recbole-esmr`` and their arguments; what they do stands in :mod:`~recbole_esmr.actions`."""

from __future__ import annotations

import argparse
from typing import Any

import recbole_esmr
from recbole_esmr import arguments as of_line
from recbole_esmr.engines import ENGINES, LOCAL
from recbole_esmr.terminal import OneLineParser

_RECBOLE_KEYS = "any RecBole or ESMR key as --key=value, for example --epochs=5 --gate=never"


def make_parser() -> argparse.ArgumentParser:
    """The parser of ``recbole-esmr``: ``command`` says which, ``takes_keys`` whether it takes RecBole's keys too."""
    parser = OneLineParser(prog="recbole-esmr", description="Emotion-aware recommendation on RecBole.")
    parser.add_argument("--version", action="version", version=f"recbole-esmr {recbole_esmr.__version__}")
    parser.add_argument(
        "--quiet", action="store_true", help="no progress bars (there are none but on a terminal), and no log below warnings"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = _command(commands, "run", "train and test one model", "run --model=ESMR --dataset=esmr-mini --output=run.json")
    run.add_argument("--model", help="ESMR or any RecBole model (default: `model` of a config file, or ESMR)")
    _json(run)
    run.add_argument("--resume", type=of_line.path, help="a checkpoint to continue from")
    _report(run)
    run.add_argument(
        "--figures", type=of_line.new_folder, help="ESMR: draw the forecast's reliability and confusion into this folder"
    )
    _data_arguments(run)

    foretell = _command(
        commands, "forecast", "how well tomorrow's mood is foretold; a diary without a feed is enough",
        "forecast --dataset=datasets/diary --output=forecast.json --figures=figures",
    )  # fmt: skip
    _json(foretell)
    foretell.add_argument("--figures", type=of_line.new_folder, help="draw reliability and confusion into this folder")
    _data_arguments(foretell)

    look = _command(
        commands, "check", "what is in a data set, what is odd, and whether a run would be refused",
        "check --dataset=datasets/mine --output=check.json",
    )  # fmt: skip
    look.add_argument("--model", help="whose run is asked about (default: `model` of a config file, or ESMR)")
    look.add_argument("--output", type=of_line.new_file, help="write what was found as JSON to this file")
    _data_arguments(look)

    pretrain = _command(
        commands, "pretrain", "train one emotion encoder on several data sets, to begin from on another",
        "pretrain --datasets=datasets/one,datasets/two --output=encoder.pth; recbole-esmr run --dataset=esmr-mini "
        "--pretrained_encoder=encoder.pth",
    )  # fmt: skip
    pretrain.add_argument("--datasets", required=True, help="names or folders, separated by commas")
    pretrain.add_argument("--output", type=of_line.new_file, required=True, help="the file to write")
    _config_files(pretrain)
    _takes_keys(pretrain)

    compare = _command(
        commands, "compare", "several models, same split, same metrics",
        "compare --models=ESMR,SASRec,BPR,Pop --dataset=esmr-mini --seeds=3 --output=comparison",
    )  # fmt: skip
    compare.add_argument("--models", required=True, help="names, separated by commas; ESMR+gate=streak is ESMR with another key")
    compare.add_argument("--seeds", type=of_line.positive, default=1, help="number of seeds, from --seed on (default: 1)")
    compare.add_argument("--seed", type=of_line.seed, default=2020, help="the first seed (default: %(default)s)")
    compare.add_argument("--output", type=of_line.new_folder, help="write CSV, Markdown, LaTeX and JSON into this folder")
    _report(compare)
    compare.add_argument(
        "--processes", type=of_line.positive, default=1, help="models that are trained at once (default: %(default)s)"
    )
    compare.add_argument(
        "--threads", type=of_line.positive, default=1,
        help="that each computes on; with the same number figures are the same wherever it runs (default: %(default)s)",
    )  # fmt: skip
    compare.add_argument("--engine", choices=ENGINES, default=LOCAL, help="where they are trained (default: %(default)s)")
    compare.add_argument("--address", help="--engine=ray: of the cluster, as of ray.init (default: one on this machine)")
    compare.add_argument("--world", help="a world in which the models are then trained and deployed, too: what they do to people")
    compare.add_argument("--users", type=of_line.positive, default=500, help="--world: people (default: %(default)s)")
    compare.add_argument("--items", type=of_line.positive, default=600, help="--world: videos (default: %(default)s)")
    compare.add_argument("--days", type=of_line.positive, default=30, help="--world: days of log and rollout (default: 30)")
    _data_arguments(compare)

    simulate = _command(
        commands, "simulate", "write the logs of a simulated world as atomic files",
        "simulate --world=reference --users=150 --items=200 --days=30 --seed=1 --output=datasets/esmr-sim",
    )  # fmt: skip
    _world(simulate)
    simulate.add_argument("--users", type=of_line.positive, default=1000, help="people (default: %(default)s)")
    simulate.add_argument("--items", type=of_line.positive, default=1000, help="videos (default: %(default)s)")
    simulate.add_argument("--days", type=of_line.positive, default=30, help="days (default: %(default)s)")
    simulate.add_argument("--seed", type=of_line.seed, default=1, help="same seed, same files (default: %(default)s)")
    simulate.add_argument(
        "--output", type=of_line.new_data_set, required=True, help="folder to write; its name becomes the data set's name"
    )
    simulate.add_argument(
        "--people", type=of_line.new_file, help="also save the people's environment state, so that rollout can go on with them"
    )
    simulate.add_argument("--captions", action="store_true", help="give every video a caption in which its emotion is written")
    simulate.add_argument("--truth", type=of_line.new_file, help="also write the world's true effects on these people, as JSON")

    live = _command(
        commands, "rollout", "let people live under several policies and judge what it does to them",
        "rollout --world=reference --policy=random,pop,engagement,ESMR,oracle --users=500 --seeds=3 --output=rollout.json",
    )  # fmt: skip
    _world(live)
    live.add_argument(
        "--policy", required=True,
        help="separated by commas: random, pop, positive, logging, engagement, oracle, informed, ESMR, any RecBole model; "
        "tabular, linucb, linucb-strategies, only+strategy=NAME, thompson, positive-while-negative; NAME:CHECKPOINT deploys a "
        "trained one, else it is trained on each "
        "seed's log; ESMR+gate=streak+reward=emotion is ESMR with other keys of gate, floor, reward or re-ranker",
    )  # fmt: skip
    live.add_argument("--users", type=of_line.positive, default=1000, help="people of each log (default: %(default)s)")
    live.add_argument("--items", type=of_line.positive, default=1000, help="videos (default: %(default)s)")
    live.add_argument("--days", type=of_line.positive, default=30, help="days of the rollout (default: %(default)s)")
    live.add_argument("--log_days", type=of_line.positive, default=30, help="days of the log before it (default: %(default)s)")
    live.add_argument("--seeds", type=of_line.positive, default=3, help="number of seeds, from --seed on (default: %(default)s)")
    live.add_argument("--seed", type=of_line.seed, default=1, help="the first seed (default: %(default)s)")
    live.add_argument("--log", type=of_line.path, help="go on with the people of this simulated data set (with --people)")
    live.add_argument("--people", type=of_line.path, help="the environment state that simulate --people wrote for --log")
    live.add_argument("--new_people", action="store_true", help="meet people who are not in the log")
    live.add_argument("--keep", type=of_line.new_folder, help="keep logs, states and checkpoints in this folder")
    live.add_argument(
        "--strict", action="store_true", help="exit with 3 where a trained policy leaves everybody, or a group, worse off on "
        "average than the policy compared with, beyond the interval of the difference",
    )  # fmt: skip
    live.add_argument("--replicates", type=of_line.positive, default=1000, help="of the bootstrap (default: %(default)s)")
    _json(live)
    live.add_argument("--figures", type=of_line.new_folder, help="write three figures into this folder")
    _report(live)
    _takes_keys(live, "What is trained takes")

    causal = _command(
        commands, "causal", "effects of the feed on tomorrow's mood, engagement and return, refuted, from a log",
        "causal --dataset=esmr-mini --output=effects.json --figures=figures",
    )  # fmt: skip
    causal.add_argument("--output", type=of_line.new_file, help="write effects and graph as JSON to this file")
    causal.add_argument(
        "--figures", type=of_line.new_folder, help="write forest plots and the graph (PNG, GML, DOT) into this folder"
    )
    _report(causal)
    causal.add_argument("--all_days", action="store_true", help="use the outcomes of test days too")
    causal.add_argument(
        "--graph_samples", type=of_line.count, default=20, help="bootstrap samples of the graph, 0 for none (default: 20)"
    )
    _data_arguments(causal)

    power = _command(
        commands, "power", "how many people it takes to find the effects of a world's feed, and to help by them",
        "power --world=weak --people=250,500,1000 --logs=10 --output=power.json --figures=figures",
    )  # fmt: skip
    _world(power)
    power.add_argument(
        "--effect", type=of_line.effect, help="scale all effects so that +0.1 exposure to the strongest emotion moves a day by "
        "so many within-person standard deviations (default: the world's own)",
    )  # fmt: skip
    power.add_argument(
        "--people",
        type=of_line.sizes,
        default=(100, 250, 500, 1000, 2000),
        help="sizes of the logs (default: 100,250,500,1000,2000)",
    )  # fmt: skip
    power.add_argument("--items", type=of_line.positive, default=600, help="videos (default: %(default)s)")
    power.add_argument("--days", type=of_line.positive, default=30, help="days of a log (default: %(default)s)")
    power.add_argument("--logs", type=of_line.positive, default=20, help="logs of each size (default: %(default)s)")
    power.add_argument("--seed", type=of_line.seed, default=1, help="of the first log (default: %(default)s)")
    _json(power)
    power.add_argument("--figures", type=of_line.new_folder, help="write the curve into this folder")
    _report(power)
    _takes_keys(power, "The estimation takes")

    page = _command(
        commands, "report", "one HTML page of results that were written as JSON, to look at and to send",
        "report results --output=report.html",
    )  # fmt: skip
    page.add_argument("results", type=of_line.path, nargs="+", help="JSON files, or folders that hold some")
    page.add_argument(
        "--output", type=of_line.new_file, help="the page (default: report.html in the first folder, or beside the first file)"
    )

    tune = _command(
        commands, "tune", "search the best keys by the validation part (RecBole's HyperTuning; needs hyperopt)",
        "tune --model=ESMR --dataset=esmr-mini --trials=20 --output=tuned.json",
    )  # fmt: skip
    tune.add_argument("--model", help="ESMR or any RecBole model (default: `model` of a config file, or ESMR)")
    tune.add_argument("--params_file", type=of_line.path, help="RecBole's file of ranges (default: the one shipped for ESMR)")
    tune.add_argument("--algo", choices=("bayes", "random", "exhaustive"), default="bayes", help="of the search (default: bayes)")
    tune.add_argument("--trials", type=of_line.positive, default=20, help="trainings, but for exhaustive (default: %(default)s)")
    tune.add_argument("--output", type=of_line.new_file, help="write every trial and the best as JSON to this file")
    _data_arguments(tune)

    judge = _command(
        commands, "evaluate", "a trained model on its validation and test part, again or by other metrics",
        "evaluate saved/ESMR.pth --metrics=\"['Recall','MRR']\" --valid_metric=MRR@10",
    )  # fmt: skip
    judge.add_argument("checkpoint", type=of_line.path, help="of any model that recbole-esmr trained")
    _json(judge)
    _takes_keys(judge)

    show = _command(
        commands, "recommend", "the best items for people, by a trained model",
        "recommend --checkpoint=saved/ESMR.pth --users=u1,u2 --topk=10 --output=lists.csv",
    )  # fmt: skip
    show.add_argument("--checkpoint", type=of_line.path, required=True, help="of any model that recbole-esmr trained")
    people = show.add_mutually_exclusive_group()
    people.add_argument("--users", help="ids, separated by commas, or @FILE with one a line (default: everybody)")
    people.add_argument("--all", action="store_true", help="everybody, as without --users")
    show.add_argument("--topk", type=of_line.positive, default=10, help="items for each (default: %(default)s)")
    show.add_argument(
        "--output",
        type=of_line.new_file,
        help="write user, rank, item and score to this file: CSV, or Parquet if it ends in .parquet",
    )
    show.add_argument("--processes", type=of_line.positive, default=1, help="cores that rank at once (default: %(default)s)")
    show.add_argument("--engine", choices=ENGINES, default=LOCAL, help="where they are (default: %(default)s)")
    show.add_argument("--address", help="--engine=ray: of the cluster, as of ray.init (default: one on this machine)")
    _takes_keys(show)

    check = _command(
        commands, "audit", "what a recommender shows to puppets that dwell on one emotion, beside a control and chance",
        "audit --checkpoint=saved/SASRec.pth --checkpoint=saved/ESMR.pth --amplifier=0.3 --output=audit.json --report",
    )  # fmt: skip
    check.add_argument(
        "--checkpoint", type=of_line.path, action="append", required=True, help="of a trained model; may be given again"
    )
    check.add_argument("--rounds", type=of_line.positive, default=30, help="slates that each is shown (default: %(default)s)")
    check.add_argument("--puppets", type=of_line.positive, default=20, help="of each group (default: %(default)s)")
    check.add_argument("--slate", type=of_line.positive, default=10, help="items of a slate (default: %(default)s)")
    check.add_argument("--offer", type=of_line.share, default=0.3, help="share of the items on offer in a round (default: 0.3)")
    check.add_argument("--amplifier", type=of_line.share, help="also a planted amplifier that keeps this share of a slate")
    check.add_argument(
        "--endpoint", action="append", default=[], metavar="URL",
        help="also a recommender behind this address (docs/audit.md says what it is asked); may be given again",
    )  # fmt: skip
    check.add_argument("--seed", type=of_line.seed, default=1, help="same seed, same walks (default: %(default)s)")
    _json(check)
    _report(check)
    _takes_keys(check)

    why = _command(
        commands, "explain", "why ESMR shows these items to this person on this day",
        "explain --checkpoint=saved/ESMR.pth --people=u1,u2 --days=31 --export_emotions=True",
    )  # fmt: skip
    why.add_argument("--checkpoint", type=of_line.path, required=True, help="of a trained ESMR")
    why.add_argument("--people", help="ids, separated by commas, or @FILE with one a line (default: everybody)")
    why.add_argument("--days", type=of_line.days, help="day numbers, separated by commas (default: the day after the last)")
    _json(why)
    _takes_keys(why, "By name only with --export_emotions=True. Takes")

    bundle = _command(
        commands, "export", "a trained ESMR as an artifact to serve: weights and items, and nobody",
        "export --checkpoint=saved/ESMR.pth --output=esmr-model",
    )  # fmt: skip
    bundle.add_argument("--checkpoint", type=of_line.path, required=True, help="of a trained ESMR")
    bundle.add_argument("--output", type=of_line.new_folder, required=True, help="folder to write")
    _takes_keys(bundle, "Takes keys of the gate, the limits and the floors to serve by, and")

    answer = _command(
        commands, "serve", "feeds over HTTP: rank, events, profiles, reasons (needs the extra serve)",
        "serve --artifact=esmr-model --store=people.sqlite --api_keys=keys.txt --host=0.0.0.0",
    )  # fmt: skip
    answer.add_argument("--artifact", type=of_line.path, required=True, help="folder that `recbole-esmr export` wrote")
    _store(answer)
    answer.add_argument(
        "--key", type=of_line.path, help="file of the keys that seal profiles and receipts; made where there is none "
        "(default: esmr.key in the current folder)",
    )  # fmt: skip
    answer.add_argument("--api_keys", type=of_line.path, help="file of keys, one a line; callers must send one of them")
    answer.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s); others than this machine's own need "
        "--api_keys",
    )  # fmt: skip
    answer.add_argument("--port", type=of_line.port, default=8000, help="(default: %(default)s)")
    answer.add_argument("--workers", type=of_line.positive, default=1, help="processes (default: %(default)s)")
    answer.add_argument(
        "--explore", type=of_line.part, default=0.0, help="share of the places of every slate that are drawn at random, with "
        "chances that are logged (default: 0)",
    )  # fmt: skip
    answer.add_argument(
        "--plan", type=of_line.path, help="of a trial, that `recbole-esmr trial design` wrote: arms get their feeds"
    )
    answer.add_argument("--rate", type=of_line.part_of(1e6), default=0.0, help="requests a second of a caller (default: any)")
    _takes_keys(answer, "Serves by the artifact's own gate, limits and floors unless they are given:")

    kept = _command(
        commands, "log", "what a server has logged, as a data set to train on",
        "log --artifact=esmr-model --store=people.sqlite --output=datasets/served",
    )  # fmt: skip
    kept.add_argument("--artifact", type=of_line.path, required=True, help="folder that `recbole-esmr export` wrote")
    _store(kept)
    kept.add_argument(
        "--output", type=of_line.new_data_set, required=True, help="folder to write; its name becomes the data set's name"
    )

    study = _command(
        commands, "trial", "a trial with people: plan it, assign, rehearse it in a world, analyse it as planned",
        "trial design --name=spring --start=2026-03-01 --days=30 --minimum_effect=0.03 --output=plan.yaml",
    )  # fmt: skip
    study.add_argument("what", choices=("design", "assign", "simulate", "analyse"), help="what to do")
    study.add_argument("--plan", type=of_line.path, help="assign, simulate, analyse: file that design wrote")
    study.add_argument("--artifact", type=of_line.path, help="assign, analyse: folder that `recbole-esmr export` wrote")
    _store(study)
    study.add_argument("--name", help="design: of the trial")
    study.add_argument("--start", help="design: first day, a date or a day's number")
    study.add_argument("--unit", default="person", help="design: person, or person-day (default: %(default)s)")
    study.add_argument("--days", type=of_line.positive, default=30, help="design: length (default: %(default)s)")
    study.add_argument("--baseline_days", type=of_line.count, default=14, help="design: of the pre-period (default: %(default)s)")
    study.add_argument("--treated", type=of_line.share, default=0.5, help="design: share of the units (default: %(default)s)")
    study.add_argument("--primary", default="negative_days", help="design: primary outcome (default: %(default)s)")
    study.add_argument(
        "--secondary", default="valence,watch_minutes,days_here", help="design: separated by commas (default: %(default)s)"
    )
    study.add_argument(
        "--minimum_effect", type=of_line.effect, help="design: smallest effect on the primary outcome that matters"
    )
    study.add_argument("--alpha", type=of_line.share, default=0.05, help="design: two-sided level (default: %(default)s)")
    study.add_argument("--power", type=of_line.share, default=0.8, help="design: to find that effect (default: %(default)s)")
    study.add_argument("--looks", default="0.5,1", help="design: shares of the trial (default: %(default)s)")
    study.add_argument(
        "--sd", type=of_line.effect, help="design: SD of the primary outcome between people (default: of --dataset)"
    )
    study.add_argument(
        "--correlation", type=of_line.part, help="design: of the primary outcome with the pre-period (default: of --dataset)"
    )
    study.add_argument("--dataset", help="design: a log of earlier days, to tell SD and correlation from")
    study.add_argument(
        "--explore", type=of_line.part, default=0.0, help="design: share of the places drawn at random (default: %(default)s)"
    )
    study.add_argument("--look", type=of_line.positive, help="analyse: which of the planned looks (default: the last)")
    _world(study)
    study.add_argument("--people", type=of_line.positive, default=500, help="simulate: (default: %(default)s)")
    study.add_argument("--items", type=of_line.positive, default=600, help="simulate: videos (default: %(default)s)")
    study.add_argument("--trials", type=of_line.positive, default=10, help="simulate: (default: %(default)s)")
    study.add_argument("--seed", type=of_line.seed, default=1, help="simulate: of world, log and training (default: %(default)s)")
    study.add_argument("--keep", type=of_line.new_folder, help="simulate: keep log and checkpoint in this folder")
    _json(study)
    _report(study)

    erase = _command(
        commands, "forget", "take people out of a data set, its caches, traces and checkpoints",
        "forget --users=u17,u21 --dataset=datasets/mine --checkpoint=saved/ESMR.pth",
    )  # fmt: skip
    erase.add_argument("--users", required=True, help="ids, separated by commas, or @FILE with one a line")
    erase.add_argument("--checkpoint", type=of_line.path, action="append", default=[], help="that knows them; may be given again")
    erase.add_argument(
        "--traces",
        type=of_line.path,
        action="append",
        default=[],
        help="another file or folder that may name them; may be given again",
    )
    erase.add_argument("--retrain", action="store_true", help="then train the checkpoints again on who is left")
    erase.add_argument("--dry_run", action="store_true", help="say what would be done, and do nothing")
    _data_arguments(erase)

    bring = _command(
        commands, "import", "turn other data into atomic files",
        "import ldos-comoda --input=LDOS-CoMoDa.csv --output=datasets/ldos-comoda",
    )  # fmt: skip
    bring.add_argument("format", help="esmr-release, ldos-comoda, open-play, situnes or csv")
    bring.add_argument("--input", type=of_line.path, required=True, help="the folder or file to read")
    bring.add_argument("--output", type=of_line.new_data_set, help="folder to write; its name becomes the data set's name")
    bring.add_argument(
        "--mapping", type=of_line.path, help="csv only: yaml file that says which column is what (see docs/data.md)"
    )
    bring.add_argument("--draft", action="store_true", help="csv only: print a mapping to begin with, or write it to --mapping")

    mark = _command(
        commands, "label", "label the items of a data set by their texts, with the words that each label rests on",
        "label --dataset=datasets/mine --text=title,caption",
    )  # fmt: skip
    mark.add_argument("--dataset", type=of_line.path, required=True, help="the folder of the data set")
    mark.add_argument("--text", help="columns of .item that hold text, separated by commas")
    mark.add_argument("--labeller", choices=("vader",), default="vader", help="pleasant or unpleasant, English (default: vader)")
    mark.add_argument("--command", dest="program", help="a program that reads and writes lines of JSON labels instead")
    mark.add_argument("--taxonomy", default="esmr", help="--command: the emotions that it names (default: esmr)")
    mark.add_argument("--human", type=of_line.path, help="CSV file with item_id and valence of some items: agreement with people")
    mark.add_argument("--replace", action="store_true", help="also where items have emotions already")
    mark.add_argument("--felt", action="store_true", help="label items by how people felt after them (.inter), not by texts")
    mark.add_argument("--force", action="store_true", help="also where the texts are not in the labeller's language")
    return parser


def _command(commands: Any, name: str, meaning: str, example: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=meaning,
        allow_abbrev=False,
        description=meaning[0].upper() + meaning[1:] + ".",
        epilog=f"example: recbole-esmr {example}",
    )
    command.set_defaults(takes_keys=False)
    return command


def _takes_keys(command: argparse.ArgumentParser, what: str = "Takes") -> None:
    command.description = f"{command.description} {what} {_RECBOLE_KEYS}."
    command.set_defaults(takes_keys=True)


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--output", type=of_line.new_file, help="write the result as JSON to this file")


def _report(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--report", action="store_true", help="also write one HTML page to look at and to send, beside --output or here"
    )


def _store(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--store", default="esmr.sqlite", help="file of SQLite, or URL of SQLAlchemy, that keeps people (default: %(default)s)"
    )


def _world(command: argparse.ArgumentParser) -> None:
    command.add_argument("--world", default="reference", help="a shipped world, or a yaml file (default: %(default)s)")


def _data_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--dataset", help="name of a data set in --data_path, or the path of its folder (default: `dataset` of a config file)"
    )
    _config_files(command)
    _takes_keys(command)


def _config_files(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config_files", action="extend", type=of_line.files, default=[], metavar="FILE",
        help="a RecBole config file, or several separated by spaces; may be given again, and a later one beats an earlier one",
    )  # fmt: skip
