"""The data set of ESMR: RecBole's sequential data set with people's days, impressions and item emotions beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.dataset import SequentialDataset
from recbole.utils import FeatureSource, FeatureType, init_logger, init_seed

from recbole_esmr.data.catalogue import load_catalogue
from recbole_esmr.data.embeddings import LATELY
from recbole_esmr.data.history import History
from recbole_esmr.data.impressions import Seen, make_impressions
from recbole_esmr.data.item_past import ItemPast
from recbole_esmr.data.log import Log
from recbole_esmr.data.moments import Moments
from recbole_esmr.data.proxy import label_by_behaviour
from recbole_esmr.data.reading.atomic import AtomicFile, read_atomic_file
from recbole_esmr.data.reading.felt import felt_names
from recbole_esmr.data.reading.records import read_records
from recbole_esmr.data.reading.schema import SCHEMA, checked
from recbole_esmr.data.recbole.histories import some_rows
from recbole_esmr.data.trace import TRAIN, Trace, make_trace, split_days
from recbole_esmr.data.window import first_day_read, memory_of_days, require_memory
from recbole_esmr.emotion import load_taxonomy
from recbole_esmr.errors import DataError

_OWN_SUFFIXES = ("day", "imp")


def load_data(config: Config) -> tuple[Any, Any, Any, Any]:
    """The data set that a config asks for, of any model, and RecBole's loaders of its training, validation and test parts."""
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    dataset = create_dataset(config)
    return dataset, *data_preparation(config, dataset)


def load_split(config: Config) -> Any:
    """The data set that a config asks for, split but without loaders: there may be nothing to train a recommender on.

    Raises:
        DataError: nobody has two interactions.
    """
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    dataset = create_dataset(config)
    dataset.build()
    return dataset


class ESMRDataset(SequentialDataset):
    """RecBole's sequential data set, and beside it what ESMR reads.

    Loads ``.inter``, ``.item`` and ``.user`` as RecBole does, after checking them, and ``.day`` and ``.imp`` (the suffixes in
    ``additional_feat_suffix``) with their missing values kept missing. What is not there degrades in steps, each with one
    warning: no ``.imp``: what was watched is all that was shown; no ``.day``: no person's emotion, so the gate stays closed;
    no ``day``: days from the timestamps; no timestamp either: each interaction is a step.

    Attributes:
        taxonomy: the emotions.
        catalogue: the items.
        impressions: what was shown, of RecBole's items.
        seen: all that was shown, of items that RecBole's filters removed too.
        trace: people's days.
        moments: what was felt before and after items; none where nobody was asked.
        history: what was watched before a day.
        past: what the days before say of each item.
        partners: how the ids of the files fit those of the interactions.
        consent: who consents to their days being read.

    Raises:
        DataError: a file that breaks the schema, or no emotion anywhere; the message names file, line, column and mend.
    """

    inter_feat: Any  # RecBole: a DataFrame while loading, an Interaction after
    reads_moments = True
    file_read: AtomicFile | None = None
    """The file that is being loaded, read and checked."""

    def __init__(self, config: Config) -> None:
        self.taxonomy = load_taxonomy(config["emotion_taxonomy"])
        self.day_field = str(config["DAY_FIELD"])
        self.ratio_field = str(config["WATCH_RATIO_FIELD"])
        self.proxy_label, self._labelled = config["label"] == "behaviour-clusters", False
        super().__init__(config)

    # -- loading -----------------------------------------------------------------------------------------------------

    def _get_load_and_unload_col(self, source):
        load, unload = super()._get_load_and_unload_col(source)
        suffix = source.value if isinstance(source, FeatureSource) else source
        if suffix in ("inter", "user"):
            roles = {str(self.config[column.role]) for column in SCHEMA[suffix]}
            load = load if load is None else load | roles
            unload = unload if unload is None else unload - roles
        return load, unload

    def _load_feat(self, filepath, source):
        suffix = source.value if isinstance(source, FeatureSource) else source
        if suffix in SCHEMA:
            self.file_read = read_atomic_file(filepath, self.config)
            checked(self.file_read, suffix, self.config, self.taxonomy)
        feat = super()._load_feat(filepath, source)
        self.file_read = None
        return feat

    def _load_data(self, token, dataset_path):
        super()._load_data(token, dataset_path)
        frame, user, item, time, day = self.inter_feat, self.uid_field, self.iid_field, self.time_field, self.day_field
        if day not in frame and frame.attrs.get("line_order"):
            self._take_lines_for_steps(token, dataset_path)
            self._add_float(day, frame.groupby(user).cumcount() + 1.0)
        if self.ratio_field not in frame:
            self._add_float(self.ratio_field, pd.Series(1.0, index=frame.index))
        names = {
            user: "user",
            item: "item",
            self.ratio_field: "watch_ratio",
            day if day in frame else time: "day" if day in frame else "seconds",
        }
        felt = {name: ours for ours, name in felt_names(self.config).items() if name in frame}
        names |= felt | ({str(self.config["RANDOM_FIELD"]): "random"} if str(self.config["RANDOM_FIELD"]) in frame else {})
        views = frame[list(names)].rename(columns=names)
        kept = {*(self.config["val_interval"] or {}), *(self.config["threshold"] or {})}
        for name in felt.keys() - kept:
            self._del_col(frame, name)
        self._records = read_records(token, dataset_path, self.config, self.taxonomy, views, self.logger.warning)
        if day not in frame:
            self._add_float(day, self._records.views["day"].astype(float))

    def _take_lines_for_steps(self, token: str, dataset_path: str) -> None:
        files = [f"{token}.{suffix}" for suffix in _OWN_SUFFIXES if (Path(dataset_path) / f"{token}.{suffix}").is_file()]
        if files and not self.config["days_are_steps"]:
            raise DataError(
                f"{token}.inter: has neither '{self.time_field}' nor '{self.day_field}', so its views have no place on the days "
                f"of {' and '.join(files)}. Add one; if those days count each person's views, set days_are_steps: True."
            )
        self.config["days_are_steps"] = True

    def _add_float(self, name: str, values: pd.Series) -> None:
        self.inter_feat[name] = values
        self.set_field_property(name, FeatureType.FLOAT, FeatureSource.INTERACTION, 1)

    def _load_additional_feat(self, token, dataset_path):
        suffixes = self.config["additional_feat_suffix"] or []
        self.config["additional_feat_suffix"] = [suffix for suffix in suffixes if suffix not in _OWN_SUFFIXES]
        super()._load_additional_feat(token, dataset_path)
        self.config["additional_feat_suffix"] = suffixes

    def _filter_inter_by_user_or_item(self):
        """RecBole's filter, by the files that ``load_col`` names: else ESMR alone would lose rows that other models keep."""
        people = getattr(self, "user_feat", None)
        if (self.config["load_col"] or {"user": "*"}).get("user") is None:
            self.user_feat = None
        super()._filter_inter_by_user_or_item()
        self.user_feat = people

    # -- the trace ---------------------------------------------------------------------------------------------------

    def _remap_ID_all(self):
        super()._remap_ID_all()
        if self.benchmark_filename_list is None:  # those files are cut by row, so their order is kept
            order = [self.uid_field, self.time_field]
            self.inter_feat = self.inter_feat.sort_values(order, kind="stable", ignore_index=True)
        self._make_views()

    def _normalize(self):
        """RecBole's scaling, but days stay days."""
        day = self.inter_feat[self.day_field].copy()
        super()._normalize()
        self.inter_feat[self.day_field] = day

    def _make_views(self) -> None:
        """Catalogue, impressions, history and trace, from the files' records; before RecBole fills or scales anything.

        What people saw, and for how long, is read from all rows: it does not depend on which of them RecBole's filters leave
        for a recommender to train on. Items that the filters removed have a number beyond RecBole's while the trace is made.
        """
        config, records = self.config, self._records
        self.partners, self.consent, people = records.partners, records.consent, records.people
        named = {"views": records.views, "shown": records.shown, "reports": records.reports}
        frames = {name: frame for name, frame in named.items() if frame is not None}
        del self._records, records, named  # as long as the log, and not needed once ids are numbers
        users, items = self.field2token_id[self.uid_field], self.field2token_id[self.iid_field]
        seen = pd.concat([frame["item"] for name, frame in frames.items() if name != "reports"]).unique()
        beyond = pd.Index(seen).difference(list(items), sort=False)
        numbers = items | {token: len(self.field2id_token[self.iid_field]) + place for place, token in enumerate(beyond)}
        rows = {name: _numbered(frames.pop(name), users, numbers) for name in list(frames)}
        first, last = self._calendar(pd.concat([frame["day"] for frame in rows.values()]))
        begin = first_day_read(first, last, config["max_days"])
        days, early = last - begin + 1, begin - first
        if early:
            self.logger.warning(
                f"max_days: the last {days:,} of {early + days:,} days are read as days. What was watched before them stays in "
                "people's histories, in the counts of items and in what the retriever learns from."
            )
        for frame in rows.values():
            frame["day"] = frame["day"].astype(int) - begin
        views, shown, reports = rows["views"], rows.get("shown"), rows.get("reports")
        self.moments = Moments.of(views[views["day"] >= 0])
        reports = None if reports is None else reports[reports["day"] >= 0]
        ever = Seen(make_impressions(shown, views), load_catalogue(self, self.taxonomy, beyond))
        del rows, views, shown
        self.past = ItemPast.of(
            ever.first(self.item_num).impressions, self.item_num, days, known=not config["days_are_steps"], early=early
        )
        self.seen = Seen(ever.impressions.take(ever.impressions.day >= 0), ever.catalogue) if early else ever
        known = self.seen.first(self.item_num)
        self.impressions, self.catalogue = known.impressions, known.catalogue
        kept = self.inter_feat[[self.uid_field, self.iid_field, self.day_field]].set_axis(["user", "item", "day"], axis=1)
        kept = kept.assign(day=kept["day"].astype(int) - begin).sort_values(["user", "day"], kind="stable")
        user, day, item = (kept[name].to_numpy() for name in ("user", "day", "item"))
        longest = max(int(config["MAX_ITEM_LIST_LENGTH"] or 1), LATELY if self.catalogue.embeddings else 1)
        self.history = History(user, day, item, days, longest=longest, early=early)
        believed = max(int(config["ranker_people"]), int(config["reranker_people"]))
        shown_to = self.seen.impressions, reports, self.seen.catalogue, self.taxonomy
        needed = memory_of_days(self.user_num, days, *shown_to, believed)
        require_memory(self.dataset_name, self.user_num - 1, days, needed, config["memory_limit"])
        profile, consent = self._people(people)
        self.trace: Trace = make_trace(
            first_day=begin,
            days=days,
            user_days=reports if reports is None else {str(name): reports[name].to_numpy() for name in reports},
            impressions=self.seen.impressions,
            catalogue=self.seen.catalogue,
            taxonomy=self.taxonomy,
            profile=profile,
            consent=consent,
            shared_calendar=not config["days_are_steps"],
        )
        if not self.catalogue.has_emotion and not self.trace.has_emotion and not self.proxy_label:
            emotion, intensity = config["EMOTION_FIELD"], config["INTENSITY_FIELD"]
            raise DataError(
                f"ESMR needs emotions and data set '{self.dataset_name}' has none: add '{emotion}:token' and "
                f"'{intensity}:float' to {self.dataset_name}.item, and '{emotion}:token' to {self.dataset_name}.day "
                f"({config['USER_ID_FIELD']}, {config['DAY_FIELD']}, {emotion}). Other RecBole models run without them."
            )
        if reports is not None and not self.trace.has_emotion and not self.proxy_label:
            self.logger.warning(f"No emotion in {self.dataset_name}.day: the engagement ranking is never re-ranked.")

    @property
    def log(self) -> Log:
        """All of it: every person by RecBole's internal id."""
        return Log(np.arange(self.user_num), self.trace, self.impressions, self.history, self.past)

    def _calendar(self, days: pd.Series) -> tuple[int, int]:
        """First and last day of all files together."""
        known = np.unique(days.to_numpy())
        gap = np.diff(known)
        limit = float(self.config["max_day_gap"])
        if (gap > limit).any():
            at = int(gap.argmax())
            raise DataError(
                f"data set '{self.dataset_name}': no row of any file lies between day {known[at]:g} and day {known[at + 1]:g}. "
                f"'{self.day_field}' counts calendar days and '{self.time_field}' seconds; if the gap is real, raise max_day_gap "
                f"(now {limit:g})."
            )
        return int(known[0]), int(known[-1])

    def _people(self, people: pd.DataFrame) -> tuple[tuple[np.ndarray, tuple[str, ...]], np.ndarray]:
        """Profile codes with their names, and consent, (U,) each."""
        people = _numbered(people, self.field2token_id[self.uid_field], {})
        profile, consent = np.full(self.user_num, -1), np.ones(self.user_num, dtype=bool)
        names = pd.Index(people["profile"].unique()).difference([""])  # sorted, whatever order the lines of .user have
        if self.config.known_ids is not None:
            names = self.config.known_ids.profiles(names)
        profile[people["user"]], consent[people["user"]] = names.get_indexer(people["profile"]), people["consent"]
        return (profile, tuple(str(name) for name in names)), consent

    # -- sequences and splits ----------------------------------------------------------------------------------------

    def _benchmark_presets(self):
        if self.iid_field + self.config["LIST_SUFFIX"] in self.inter_feat:
            super()._benchmark_presets()

    def build(self):
        """Split as RecBole does, and give every user-day its part: a day with a held-out interaction is held out whole."""
        datasets = super().build()
        role = split_days(self.trace.present, tuple(self.config["day_split"]))
        for part, dataset in enumerate(datasets):
            rows = dataset.inter_feat
            user, day = rows[self.uid_field].numpy(), self.day_index(rows[self.day_field].numpy())
            np.maximum.at(role, (user[day >= 0], day[day >= 0]), part)
        self.trace.role = np.maximum.accumulate(role, axis=1)
        if self.proxy_label and not self._labelled:
            label_by_behaviour(self.trace, self.taxonomy, int(self.config["seed"]))
            self._labelled = True
            self.logger.warning(
                "label: behaviour-clusters: emotions are made from people's behaviour (a proxy); today's scores are circular."
            )
        return datasets

    def on_training_days(self) -> ESMRDataset:
        """A copy with the interactions of training days only: what the retriever may learn from.

        RecBole's training part reaches into the held-out days; a retriever that had seen them would tell LightGBM, on the
        days that stop and judge it, what was watched on them.
        """
        rows = self.inter_feat
        user, day = rows[self.uid_field].numpy(), self.day_index(rows[self.day_field].numpy())
        training = (self.trace.role[user, np.maximum(day, 0)] == TRAIN) | (day < 0)
        if not training.any():
            raise DataError(f"data set '{self.dataset_name}': no interaction lies on a training day. Widen day_split.")
        return self.copy(some_rows(rows, torch.from_numpy(training)))

    def day_index(self, day: np.ndarray) -> np.ndarray:
        """Column of the trace for each calendar day, below 0 before its first; same shape, int."""
        return np.rint(day).astype(np.int64) - self.trace.first_day


def _numbered(frame: pd.DataFrame, users: dict[str, int], items: dict[str, int]) -> pd.DataFrame:
    """The rows of the people that RecBole knows, ids as numbers."""
    frame = frame.assign(user=frame["user"].map(users)).dropna(subset="user").astype({"user": int})
    return frame.assign(item=frame["item"].map(items).astype(int)) if "item" in frame else frame
