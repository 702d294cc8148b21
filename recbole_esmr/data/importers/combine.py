"""Several rows of a user's file that say one thing: one row a person, an item, or a person's day."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from recbole_esmr.data.importers.mapping import Part
from recbole_esmr.data.importers.numeric import are_numbers
from recbole_esmr.data.importers.table import Table
from recbole_esmr.data.reading.times import date_of, is_date, seconds_of_dates
from recbole_esmr.emotion import Taxonomy
from recbole_esmr.errors import DataError


def once(frame: pd.DataFrame, key: str, table: Table, columns: Mapping[str, str]) -> pd.DataFrame:
    """One row a person or item, from all the rows that name it; an empty cell takes the value that another row has.

    Args:
        frame: fields, indexed by row.
        key: ``user_id`` or ``item_id``.
        table, columns: where the fields come from, for messages.

    Raises:
        DataError: two rows say different things of one person or item.
    """
    if not frame[key].duplicated().any():
        return frame
    known = frame.replace("", np.nan)
    for name in frame.columns.drop(key):
        first = known.groupby(key)[name].transform("first")
        differs = known[name].notna() & (known[name] != first)
        if differs.any():
            row = _first(differs)
            other = _first(known[name].notna() & (known[key] == known[key][row]))
            column = columns[name]
            table.refuse(
                differs,
                column,
                f"The cell of {table.place(other)} holds {table.cells[column][other]!r} for the same {key} {frame[key][row]!r}. "
                f"One {'person' if key == 'user_id' else 'item'} has one {name}.",
            )
    merged = known.groupby(key, sort=False, as_index=False).first()[list(frame.columns)]
    merged.index = frame.index[~frame[key].duplicated()]
    return _without_gaps(merged, frame)


def refuse_several(frame: pd.DataFrame, table: Table, columns: Mapping[str, str]) -> None:
    """Refuse several rows of one person's day where no rule says how they become one."""
    again = frame.duplicated(["user_id", "day"])
    if not again.any():
        return
    row = _first(again)
    user, day = frame["user_id"][row], int(frame["day"][row])
    first = table.place(_first((frame["user_id"] == user) & (frame["day"] == day)))
    when = date_of(day) if is_date(day) else str(day)
    mood = next((name for name in ("valence", "emotion") if name in frame), None)
    rule = f"{{{mood}: {'mean' if mood == 'valence' else 'last'}}}" if mood else "{FIELD: mean}"
    rules = "last, worst or most" if mood == "emotion" else "mean, last or worst"
    raise DataError(
        f"{table.place(row)}, column '{columns['day']}': {user!r} has several rows on day {when} (the first is {first}), in all "
        f"{int(again.sum())} rows too many. Say in the part 'day' of the mapping how they become one: `aggregate: {rule}` "
        f"({rules}). For rows that are there twice in every column, say `duplicates: drop`."
    )


def aggregated(frame: pd.DataFrame, rules: Mapping[str, str], order: pd.Series, taxonomy: Taxonomy) -> pd.DataFrame:
    """One row a person's day.

    Args:
        frame: user_id, day and what was said, indexed by row.
        rules: by field. Numbers without one are averaged, 0/1 columns and text take the last.
        order: what orders the rows of a day, (N,), indexed by row; rows of the same order stay in that of the file.
        taxonomy: tells which emotion is worst: the one of lowest valence.

    Returns:
        the same columns; the index is the first row of each day. Empty cells count for nothing. The emotion of most rows is, of
        several as frequent, the one that was said last.
    """
    keys = ["user_id", "day"]
    firsts = frame.index[~frame.duplicated(keys)]
    ordered = frame.loc[order.sort_values(kind="stable").index]
    known = ordered.replace("", np.nan)
    found = {}
    for name in frame.columns.drop(keys):
        rule = rules.get(name, default_rule(frame[name]))
        if name == "emotion" and rule != "last":
            found[name] = _label(known, rule, taxonomy)
        else:
            found[name] = known.groupby(keys, sort=False)[name].agg("min" if rule == "worst" else rule)
    days = pd.MultiIndex.from_frame(frame.loc[firsts, keys])
    merged = pd.DataFrame({name: values.reindex(days) for name, values in found.items()}, index=days).reset_index()
    merged = merged[list(frame.columns)].set_index(firsts)
    return _without_gaps(merged, frame)


def _without_gaps(merged: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Empty text where the columns that are text in ``frame`` hold nothing."""
    return merged.assign(**{str(name): merged[name].fillna("") for name in frame if not is_numeric_dtype(frame[name])})


def default_rule(values: pd.Series) -> str:
    """The rule of a field for which the mapping names none."""
    return "last" if not is_numeric_dtype(values) or values.dropna().isin([0, 1]).all() else "mean"


def order_of(table: Table, part: Part, rows: pd.Index) -> pd.Series:
    """What orders the rows of a day, (N,) float: the column that the mapping names, else the moments in the column of the day.

    Raises:
        DataError: a cell of the named column is no number, no time such as 21:00 and no date.
    """
    column = part.order or part.columns["day"]
    text = table.column(column).loc[rows].str.strip()
    said = text != ""
    if are_numbers(text[said]).all():
        return text.str.replace(",", ".", regex=False).where(said, "nan").astype(float)
    clock = text.str.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?")
    if clock[said].all():
        return pd.to_timedelta(text.where(text.str.count(":") == 2, text + ":00").where(said)).dt.total_seconds()
    seconds = seconds_of_dates(text, "UTC", part.date_format.get("day", "ISO8601") if part.order is None else "ISO8601")
    wrong = seconds.isna() & said
    if wrong.any():
        table.refuse(wrong, column, "What orders the rows of a day is a number, a time such as 21:00 or a date.")
    return seconds


def _first(rows: pd.Series) -> int:
    """The first row for which it is so."""
    return int(rows.index[int(rows.to_numpy().argmax())])


def _label(frame: pd.DataFrame, rule: str, taxonomy: Taxonomy) -> pd.Series:
    keys = ["user_id", "day"]
    said = frame.loc[frame["emotion"].notna(), [*keys, "emotion"]]
    if rule == "worst":
        valence = pd.Series(taxonomy.valence_of(taxonomy.encode(said["emotion"].to_numpy(str))), index=said.index)
        worst = valence.groupby([said[key] for key in keys], sort=False).idxmin()
        return said.loc[worst].set_index(keys)["emotion"]
    said = said.assign(place=np.arange(len(said)))
    votes = said.groupby([*keys, "emotion"], sort=False)["place"].agg(["size", "max"]).reset_index()
    most = votes.sort_values(["size", "max"]).drop_duplicates(keys, keep="last")
    return most.set_index(keys)["emotion"]
