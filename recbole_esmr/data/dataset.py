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
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType, init_logger, init_seed

from recbole_esmr.data.catalogue import load_catalogue
from recbole_esmr.data.history import History
from recbole_esmr.data.impressions import Impressions, make_impressions
from recbole_esmr.data.item_past import ItemPast
from recbole_esmr.data.log import Log
from recbole_esmr.data.proxy import label_by_behaviour
from recbole_esmr.data.schema import SCHEMA, read_atomic
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


class ESMRDataset(SequentialDataset):
    """RecBole's sequential data set, and beside it what ESMR reads.

    Loads ``.inter``, ``.item`` and ``.user`` as RecBole does, after checking them, and ``.day`` and ``.imp`` (the suffixes in
    ``additional_feat_suffix``) with their missing values kept missing. What is not there degrades in steps, each with one
    warning: no ``.imp``: what was watched is all that was shown; no ``.day``: no person's emotion, so the gate stays closed;
    no ``day``: days from the timestamps; no timestamp either: each interaction is a step.

    Attributes:
        taxonomy: the emotions.
        catalogue: the items.
        impressions: what was shown.
        trace: people's days.
        history: what was watched before a day.
        past: what the days before say of each item.

    Raises:
        DataError: a file that breaks the schema, or no emotion anywhere; the message names file, line, column and mend.
    """

    inter_feat: Any  # RecBole: a DataFrame while loading, an Interaction after

    def __init__(self, config: Config) -> None:
        self.taxonomy = load_taxonomy(str(config["emotion_taxonomy"]))
        self.day_field = str(config["DAY_FIELD"])
        self.ratio_field = str(config["WATCH_RATIO_FIELD"])
        self.proxy_label, self._labelled = config["label"] == "behaviour-clusters", False
        super().__init__(config)

    # -- loading -----------------------------------------------------------------------------------------------------

    def _get_load_and_unload_col(self, source):
        load, unload = super()._get_load_and_unload_col(source)
        suffix = source.value if isinstance(source, FeatureSource) else source
        if load is not None and suffix in SCHEMA:
            load = load | {str(self.config[column.role]) for column in SCHEMA[suffix]}
        return load, unload

    def _load_feat(self, filepath, source):
        suffix = source.value if isinstance(source, FeatureSource) else source
        if suffix in SCHEMA:
            read_atomic(filepath, suffix, self.config, self.taxonomy)
        return super()._load_feat(filepath, source)

    def _load_inter_feat(self, token, dataset_path):
        if self.benchmark_filename_list is None:
            path = Path(dataset_path) / f"{token}.inter"
            if not path.is_file():
                raise DataError(f"{path}: no such file. A data set NAME lies in a folder NAME with NAME.inter in it.")
        super()._load_inter_feat(token, dataset_path)
        self._add_missing_columns()

    def _add_missing_columns(self) -> None:
        frame, user, time, day = self.inter_feat, self.uid_field, self.time_field, self.day_field
        has_time, has_day = time in frame, day in frame
        if day not in frame and has_time:
            self.logger.warning(f"No field '{day}' in .inter: days are counted from '{time}', in seconds.")
            self._add_float(day, np.floor((frame[time] - frame[time].min()) / 86400) + 1)
        if day not in frame:
            self.logger.warning(f"Neither '{day}' nor '{time}' in .inter: each interaction of a person is a step.")
            self.config["days_are_steps"] = True
            self._add_float(day, frame.groupby(user).cumcount() + 1.0)
        if not has_time:
            in_order = pd.Series(np.arange(len(frame), dtype=float), index=frame.index)
            self._add_float(time, frame[day] if has_day else in_order)
        if self.ratio_field not in frame:
            self._add_float(self.ratio_field, pd.Series(1.0, index=frame.index))

    def _add_float(self, name: str, values: pd.Series) -> None:
        self.inter_feat[name] = values
        self.set_field_property(name, FeatureType.FLOAT, FeatureSource.INTERACTION, 1)

    def _load_additional_feat(self, token, dataset_path):
        suffixes = self.config["additional_feat_suffix"] or []
        self.config["additional_feat_suffix"] = [suffix for suffix in suffixes if suffix not in _OWN_SUFFIXES]
        super()._load_additional_feat(token, dataset_path)
        self.config["additional_feat_suffix"] = suffixes
        lost = {
            "day": "no person's emotion is known, so the engagement ranking is never re-ranked",
            "imp": "what was watched is all that is known to have been shown; negatives are sampled",
        }
        self._own_files: dict[str, pd.DataFrame] = {}
        for suffix in _OWN_SUFFIXES:
            path = Path(dataset_path) / f"{token}.{suffix}"
            if suffix in suffixes and path.is_file():
                self._own_files[suffix] = read_atomic(path, suffix, self.config, self.taxonomy)
            else:
                self.logger.warning(f"No {path.name}: {lost[suffix]}.")

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
        """Catalogue, impressions, history and trace, from the remapped frames; before RecBole fills or scales anything."""
        config, own = self.config, self._own_files
        self.catalogue = load_catalogue(self, self.taxonomy)
        watched = self.inter_feat[[self.uid_field, self.iid_field, self.day_field, self.ratio_field]]
        watched = watched.set_axis(["user", "item", "day", "watch_ratio"], axis=1)
        user_days, shown = self._known_rows("day"), self._known_rows("imp")
        calendars = [watched["day"]] + [frame["day"] for frame in (user_days, shown) if frame is not None]
        first, last = self._calendar(pd.concat(calendars))
        begin = first_day_read(first, last, config["max_days"])
        watched = watched.assign(day=watched["day"].astype(int) - begin).sort_values(["user", "day"], kind="stable")
        for frame in (user_days, shown):
            if frame is not None:
                frame["day"] = frame["day"].astype(int) - begin
        if user_days is not None:
            user_days = user_days[user_days["day"] >= 0]
        days, early = last - begin + 1, begin - first
        if early:
            self.logger.warning(
                f"max_days: the last {days:,} of {early + days:,} days are read as days. What was watched before them stays in "
                "people's histories, in the counts of items and in what the retriever learns from."
            )
        everything = make_impressions(shown, watched)
        user, day, item = (watched[name].to_numpy() for name in ("user", "day", "item"))
        self.history = History(user, day, item, days, longest=int(config["MAX_ITEM_LIST_LENGTH"] or 1), early=early)
        self.past = ItemPast.of(everything, self.item_num, days, known=not config["days_are_steps"], early=early)
        self.impressions: Impressions = everything.take(everything.day >= 0) if early else everything
        needed = memory_of_days(self.user_num, days, self.impressions, user_days, self.catalogue, self.taxonomy)
        require_memory(self.dataset_name, self.user_num - 1, days, needed, config["memory_limit"])
        self.trace: Trace = make_trace(
            first_day=begin,
            days=days,
            user_days=user_days if user_days is None else {str(name): user_days[name].to_numpy() for name in user_days},
            impressions=self.impressions,
            catalogue=self.catalogue,
            taxonomy=self.taxonomy,
            profile=self._profiles(),
            consent=self._consent(),
            shared_calendar=not config["days_are_steps"],
        )
        if not self.catalogue.has_emotion and not self.trace.has_emotion and not self.proxy_label:
            emotion, intensity = config["EMOTION_FIELD"], config["INTENSITY_FIELD"]
            raise DataError(
                f"ESMR needs emotions and data set '{self.dataset_name}' has none: add '{emotion}:token' and "
                f"'{intensity}:float' to {self.dataset_name}.item, and '{emotion}:token' to {self.dataset_name}.day "
                f"({config['USER_ID_FIELD']}, {config['DAY_FIELD']}, {emotion}). Other RecBole models run without them."
            )
        if "day" in own and not self.trace.has_emotion and not self.proxy_label:
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

    def _known_rows(self, suffix: str) -> pd.DataFrame | None:
        """The rows of ``.day`` or ``.imp`` whose user and item RecBole knows, with internal ids and the roles' names."""
        if suffix not in self._own_files:
            return None
        config, frame = self.config, self._own_files[suffix]
        roles = {
            "USER_ID_FIELD": "user",
            "ITEM_ID_FIELD": "item",
            "DAY_FIELD": "day",
            "EMOTION_FIELD": "emotion",
            "VALENCE_FIELD": "valence",
            "IMPRESSION_POSITION_FIELD": "position",
            "PROPENSITY_FIELD": "propensity",
            "IMPRESSION_LABEL_FIELD": "label",
            "CHURNED_FIELD": "churned",
        }
        frame = frame.rename(columns={str(config[role]): name for role, name in roles.items()})
        frame["user"] = frame["user"].map(self.field2token_id[self.uid_field])
        if suffix == "imp":
            frame["item"] = frame["item"].map(self.field2token_id[self.iid_field])
        known = frame.dropna(subset=[name for name in ("user", "item") if name in frame])
        if known.empty:
            raise DataError(
                f"{self.dataset_name}.{suffix}: none of its people (and items) is in {self.dataset_name}.inter. "
                "Use the same ids in all files."
            )
        frame = known
        if suffix == "imp":
            frame = frame.astype({"item": int})
            return frame.assign(**{name: frame.get(name, default) for name, default in (("position", 0), ("propensity", np.nan))})
        frame = frame.assign(emotion=frame.get("emotion", ""), valence=frame.get("valence", np.nan))
        numbers = frame.select_dtypes("number").columns.difference(["user", "day", "valence"])
        frame = frame[["user", "day", "emotion", "valence", *sorted(numbers)]]
        return frame.astype({"user": int, "emotion": str, "valence": float, **dict.fromkeys(numbers, float)})

    def _profiles(self) -> tuple[np.ndarray, tuple[str, ...]]:
        name, profile = str(self.config["PROFILE_FIELD"]), np.full(self.user_num, -1)
        if self.user_feat is None or name not in self.user_feat:
            return profile, ()
        codes = self.user_feat[name].to_numpy(float)
        profile[self.user_feat[self.uid_field].to_numpy()] = np.nan_to_num(codes, nan=0).astype(int) - 1
        return profile, tuple(str(token) for token in self.field2id_token[name][1:])

    def _consent(self) -> np.ndarray:
        name, consent = str(self.config["CONSENT_FIELD"]), np.ones(self.user_num, dtype=bool)
        if self.user_feat is not None and name in self.user_feat:
            consent[self.user_feat[self.uid_field].to_numpy()] = self.user_feat[name].to_numpy() != 0
        return consent

    # -- sequences and splits ----------------------------------------------------------------------------------------

    def _benchmark_presets(self):
        if self.iid_field + self.config["LIST_SUFFIX"] in self.inter_feat:
            super()._benchmark_presets()

    def data_augmentation(self):
        """RecBole's augmentation (each interaction is the target of those before it), without its loop over rows.

        Row *n* holds the last ``MAX_ITEM_LIST_LENGTH`` interactions of the same user before interaction *n*; the first
        interaction of each user is nobody's target.
        """
        self._aug_presets()
        self._check_field("uid_field", "time_field")
        longest = self.max_item_list_len
        user = self.inter_feat[self.uid_field].numpy()
        row = np.arange(len(user))
        first = np.maximum.accumulate(np.where(np.append(True, user[1:] != user[:-1]), row, 0))
        target = row[row > first]
        start = np.maximum(first[target], target - longest)
        length = target - start
        place = start[:, None] + np.arange(longest)
        inside = torch.from_numpy(place < target[:, None])
        place = torch.from_numpy(np.minimum(place, len(user) - 1))
        lists = {self.item_list_length_field: torch.from_numpy(length)}
        for name in self.inter_feat:
            if name != self.uid_field:
                value = self.inter_feat[name][place]
                keep = inside.reshape(inside.shape + (1,) * (value.dim() - 2))
                lists[getattr(self, f"{name}_list_field")] = torch.where(keep, value, torch.zeros_like(value))
        rows = self.inter_feat[target]
        rows.update(Interaction(lists))
        self.inter_feat = rows

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
        return self.copy(rows[torch.from_numpy(training)])

    def day_index(self, day: np.ndarray) -> np.ndarray:
        """Column of the trace for each calendar day, below 0 before its first; same shape, int."""
        return np.rint(day).astype(np.int64) - self.trace.first_day
