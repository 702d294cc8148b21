"""One part of a mapping: the user's columns become the fields of one atomic file."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from recbole_esmr.data.importers.fields import IDS, TIMEZONE, WATCH_SECONDS, known
from recbole_esmr.data.importers.mapping import AFFECT, CSVMapping, Part
from recbole_esmr.data.importers.moments import Zone, days, moments
from recbole_esmr.data.importers.numeric import Cells, are_numbers, check_range, is_amount, numbers, scaled, truths
from recbole_esmr.data.importers.plausible import odd_lengths
from recbole_esmr.data.importers.table import Table
from recbole_esmr.data.reading.times import has_offset, time_zone
from recbole_esmr.errors import DataError

AGAIN, AGAIN_MOST = 0.05, 10.0
"""Share of the views that may be longer than their item, and how many times as long."""

_BREAKS = "[\t\r\n\0]"


@dataclass
class Known:
    """What earlier parts told and what is to be said.

    Attributes:
        zones: time zone by person, where the part ``user`` has them.
        lengths: seconds by item, where the part ``item`` has them.
        notes, warnings: lines.
    """

    zones: pd.Series | None = None
    lengths: pd.Series = field(default_factory=lambda: pd.Series(dtype=float))
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_part(suffix: str, part: Part, table: Table, mapping: CSVMapping, known: Known) -> pd.DataFrame:
    """The fields of a part, a row a row of its table.

    Args:
        suffix: of the atomic file.
        part: what the mapping says of it.
        table: the user's rows.
        mapping: gives taxonomy, labels to rename and time zone.
        known: what earlier parts told; notes and warnings are added to it.

    Returns:
        one column a field, in the order of the mapping; ids and labels as str ("" where empty), all else as float; the index is
        the row of the table.

    Raises:
        DataError: the first cell that is wrong, with file, line, column and the mend.
    """
    return _Reader(suffix, part, table, mapping, known).read()


class _Reader:
    def __init__(self, suffix: str, part: Part, table: Table, mapping: CSVMapping, told: Known) -> None:
        self.suffix, self.part, self.table, self.mapping, self.told = suffix, part, table, mapping, told
        columns: list[str] = []
        for column in part.columns.values():
            columns += column.values() if isinstance(column, dict) else [column]
        self.raw = pd.DataFrame({column: table.column(column) for column in [*columns, *([part.order] if part.order else [])]})
        for column, cells in part.where.items():
            kept = table.column(column).str.strip().isin(cells)
            if not kept.any():
                raise DataError(
                    f"{mapping.path}: {suffix}: where: no row of {table.name} has {' or '.join(cells)} in the column '{column}'."
                )
            self.raw = self.raw[kept.loc[self.raw.index]]
        if part.duplicates == "drop":
            again = table.cells.loc[self.raw.index].duplicated()  # all columns: what is not mapped may tell two rows apart
            self.raw = self.raw[~again]
            told.notes.append(
                f"{table.name}: {int(again.sum())} rows that repeat an earlier one in every column are left out of .{suffix}"
            )

    def read(self) -> pd.DataFrame:
        columns = self.part.columns
        ids = {name: self._id(name) for name in IDS if name in columns}
        self.zone = self._zone(ids["user_id"]) if "user_id" in ids else self.mapping.timezone or "UTC"
        fields: dict[str, pd.Series] = {}
        for name in columns:
            if name == WATCH_SECONDS:
                fields["watch_ratio"] = self._watch_ratio(ids["item_id"])
            elif name == "duration" and WATCH_SECONDS in columns:
                continue
            else:
                fields[name] = ids[name] if name in ids else self._field(name)
        return pd.DataFrame(fields)

    def _cells(self, column: str) -> Cells:
        text = self.raw[column]
        return Cells(self.table, column, text.mask(text.str.strip().isin(self.part.missing), "") if self.part.missing else text)

    def _id(self, name: str) -> pd.Series:
        """Ids are kept exactly as they are written, spaces included."""
        cells = Cells(self.table, self.part.columns[name], self.raw[self.part.columns[name]])
        cells.refuse(cells.empty, f"Every row needs its {name}. Fill it in or leave the row out.")
        mend = "A tab, a line end or a NUL cannot be part of an id. Take it out wherever the id occurs."
        cells.refuse(cells.text.str.contains(_BREAKS), mend)
        return cells.text

    def _field(self, name: str) -> pd.Series:
        fields, column = known(self.suffix), self.part.columns[name]
        meant = fields.get(name)
        if isinstance(column, dict):
            return self._valence(column) if name == "valence" else self._shares(column)
        cells = self._cells(column)
        if meant is not None and meant.filled:
            cells.refuse(cells.empty, f"Every row needs its {name}. Fill it in or leave the row out.")
        if name in ("timestamp", "day"):
            read = moments if name == "timestamp" else days
            values, how = read(cells, name, self.zone, self.part.date_format.get(name), self.part.decimal)
            hint = ""
            if self.mapping.timezone is None and self.told.zones is None:
                if " without an offset" in how:
                    hint = "; if they are local times, say `timezone: Europe/Berlin`"
                away = has_offset(cells.text, self.part.date_format.get(name) or "ISO8601") & ~_of_utc(cells.text)
                if name == "timestamp" and away.any():
                    self.told.warnings.append(
                        f"{cells.where}: times have an offset from UTC (such as {cells.text[away].iloc[0].strip()}), and no time "
                        "zone is said, so days are cut at midnight in UTC, and an evening may fall on the next day. Say where "
                        "people live: `timezone: Europe/Berlin` in the mapping, or a column `timezone` in the part 'user'."
                    )
            self.told.notes.append(f"{name}: {how} ({cells.where}{hint})")
            return values
        if name == "emotion":
            return self._emotion(cells)
        if name == TIMEZONE and self.suffix == "user":
            return self._timezones(cells)
        is_text = meant.type == "token" if meant is not None else not is_amount(cells.text)
        return self._text(cells, name) if is_text else self._number(cells, name)

    def _number(self, cells: Cells, name: str) -> pd.Series:
        meant = known(self.suffix).get(name)
        if meant is not None and (meant.answer or (meant.whole and meant.high == 1)):
            written, cells = cells, truths(cells)
            if cells is not written:
                self.told.notes.append(f"{name}: true or yes became 1, false or no became 0 ({cells.where})")
        values, note = numbers(cells, self.part.decimal)
        self.told.notes += [note] if note else []
        if name in self.part.scale and meant is not None:
            start, end = self.part.scale[name]
            to = float(meant.low or 0), float(meant.high or 0)
            low, high = min(start, end), max(start, end)
            if values.max() - low <= 0.01 * (high - low):
                self.told.warnings.append(
                    f"{cells.where}: all values lie in the lowest hundredth of the scale from {low:g} to {high:g}. If they are "
                    "shares, give the ends of that scale, such as [0, 1]."
                )
            if name == "watch_ratio":
                values = self._seen_again(cells, values, end)
            values = scaled(cells, values, (start, end), name, to)
            self.told.notes.append(f"{name}: {start:g} to {end:g} became {to[0]:g} to {to[1]:g} ({cells.where})")
        values = values * self.part.multiply.get(name, 1.0)
        if meant is not None:
            check_range(cells, values, name, meant, self.suffix)
        return values

    def _seen_again(self, cells: Cells, values: pd.Series, end: float) -> pd.Series:
        """Ratios with the few that go beyond the whole item, which was watched again, cut to the whole."""
        over = values > end
        if 0 < over.mean() <= AGAIN and values.max() <= AGAIN_MOST * end:
            self.told.notes.append(f"watch_ratio: {int(over.sum())} above {end:g} (watched again) became {end:g} ({cells.where})")
            return values.clip(upper=end)
        return values

    def _valence(self, columns: dict[str, str]) -> pd.Series:
        """Positive minus negative affect, each brought to [0, 1]: in [−1, 1]."""
        start, end = self.part.scale["valence"]
        affect = {}
        for sign in AFFECT:
            cells = self._cells(columns[sign])
            values, note = numbers(cells, self.part.decimal)
            self.told.notes += [note] if note else []
            affect[sign] = scaled(cells, values, (start, end), f"{sign} affect", (0.0, 1.0))
        self.told.notes.append(
            f"valence: '{columns['positive']}' less '{columns['negative']}', each brought from {start:g} to {end:g} to 0 to 1"
        )
        return affect["positive"] - affect["negative"]

    def _shares(self, columns: dict[str, str]) -> pd.Series:
        """Votes or chances of emotions as shares of the taxonomy's emotions, in its order; "" where all are 0 or empty."""
        table = {}
        for label, column in columns.items():
            cells = self._cells(column)
            values, note = numbers(cells, self.part.decimal)
            self.told.notes += [note] if note else []
            cells.refuse(values < 0, "Expected votes or chances, at least 0.")
            table[label] = values.fillna(0.0)
        votes = pd.DataFrame(table).reindex(columns=list(self.mapping.taxonomy.labels), fill_value=0.0)
        total = votes.sum(axis=1)
        shares = votes.div(total.where(total > 0), axis=0)
        self.told.notes.append(
            f"emotion_share: {len(columns)} columns, brought to a sum of 1; {int((total <= 0).sum())} rows have none"
        )
        text = shares.apply(lambda row: " ".join(f"{share:.6g}" for share in row), axis=1)
        return text.where(total > 0, "")

    def _text(self, cells: Cells, name: str) -> pd.Series:
        """Text loses the spaces around it; a tab or a line end in it becomes a space."""
        broken = cells.text.str.contains(_BREAKS)
        if broken.any():
            self.told.notes.append(f"{name}: tabs and line ends became spaces in {int(broken.sum())} cells ({cells.where})")
        some = are_numbers(cells.text[~cells.empty])
        if name not in known(self.suffix) and some.any():
            if self.suffix == "day" and not some.all():
                numbers(cells, self.part.decimal)  # behaviour is read as numbers alone: names the cell that is none
            self.told.notes.append(f"{name}: kept as text ({cells.where})")
        return cells.text.str.replace(_BREAKS, " ", regex=True).str.strip()

    def _emotion(self, cells: Cells) -> pd.Series:
        taxonomy, renamed = self.mapping.taxonomy, self.mapping.emotions
        written = cells.text.str.strip()
        labels = written.replace(renamed)
        wrong = ~labels.isin(["", *taxonomy.labels])
        strange = list(dict.fromkeys(" ".join(str(label).split()) for label in labels[wrong]))
        lower = {label: label.lower() for label in strange if label.lower() in taxonomy.labels}
        ways = (
            [f"`emotions: {{{', '.join(f'{label}: {plain}' for label, plain in list(lower.items())[:12])}}}` renames"]
            if lower
            else []
        )
        others = [label for label in strange if label not in lower]
        if others:
            ways.append(f"`emotions: {{{others[0]}: LABEL}}` renames, with one of {', '.join(taxonomy.labels)} for LABEL")
            ways.append(f"`missing: [{others[0]}]` takes it for no report, `taxonomy: FILE.yaml` names a yaml that has it")
        mend = f"It is not an emotion of the taxonomy '{taxonomy.name}'. In the mapping {'; '.join(ways)}."
        cells.refuse(wrong, mend)
        return labels

    def _timezones(self, cells: Cells) -> pd.Series:
        zones = cells.text.str.strip()
        for name in zones[zones != ""].unique():
            try:
                time_zone(name)
            except DataError as error:
                cells.refuse(zones == name, f"{str(error)[0].upper()}{str(error)[1:]}")
        return zones

    def _zone(self, users: pd.Series) -> Zone:
        default = self.mapping.timezone or "UTC"
        if self.told.zones is None or self.suffix == "user":
            return default
        zone = users.map(self.told.zones).replace("", float("nan"))
        without = users[zone.isna()].unique()
        if self.suffix == "inter" and len(without) and self.mapping.timezone is None:
            self.told.warnings.append(
                f"{len(without)} of {users.nunique()} people of {self.table.name} have no time zone in the part 'user' (for "
                f"example {without[0]!r}): their local times are taken for UTC. Fill the zones in, or say that of all "
                "others in the mapping: `timezone: Europe/Berlin`."
            )
        return zone.fillna(default)

    def _watch_ratio(self, items: pd.Series) -> pd.Series:
        """Seconds watched by the length of the item, at most 1."""
        cells = self._cells(self.part.columns[WATCH_SECONDS])
        seconds = self._number(cells, WATCH_SECONDS)
        cells.refuse(cells.empty | (seconds < 0), "Expected the seconds that were watched, at least 0.")
        if "duration" in self.part.columns:
            length = self._number(self._cells(self.part.columns["duration"]), "duration")
        else:
            length = items.map(self.told.lengths).astype(float)
        unknown = ~(length > 0)
        lacking = items[unknown].nunique()
        Cells(self.table, self.part.columns["item_id"], items).refuse(
            unknown,
            f"The item has no `duration`, so its watch ratio is unknown ({lacking} such items). Give it, or leave it out.",
        )
        over = seconds > length
        self.told.notes.append(f"watch_ratio: seconds watched by the item's duration; {int(over.sum())} longer than it became 1")
        longer = WATCH_SECONDS if over.mean() > 0.5 else "duration"
        mend = f"`multiply: {{{longer}: 0.001}}` makes seconds of milliseconds."
        self.told.warnings += odd_lengths(cells.where, seconds, length, mend)
        return (seconds / length).clip(0, 1)


def _of_utc(text: pd.Series) -> pd.Series:
    """Whether times end with the offset of UTC itself."""
    return text.str.strip().str.contains(r"(?:Z|UTC|[+-]00(?::?00)?)$", na=False)
