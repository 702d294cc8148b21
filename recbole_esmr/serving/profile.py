"""What a service knows of one person: a small document that the person may hold themself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from recbole_esmr.data.reading.schema import LAST_DAY
from recbole_esmr.errors import DataError
from recbole_esmr.model.ranking import goals_of
from recbole_esmr.serving.artifact import LONGEST_WINDOW, Artifact
from recbole_esmr.serving.checks import a_list, in_range, known_fields, one_line, one_of, whole
from recbole_esmr.serving.stock import LONGEST_NAME

SCHEMA = 1
"""Version of the document."""

MOST_SHOWN = 500
"""Items of an event, at most."""

MOST_A_DAY = 5_000
"""Items that a person may see on a day."""

LONGEST_RECEIPT = 400_000
"""Characters of a slate's sealed receipt."""

REMEMBERED = 500
"""Ids of events that are remembered, so that none counts twice."""

LARGEST = 1e15
"""Of a behaviour column: the networks compute in 32 bits, where its square is still a number."""


@dataclass(frozen=True)
class Day:
    """What is known of a person's day.

    Attributes:
        day: its number.
        shown: pairs of an item and the share of it that was watched, 0 for a skip, in the order in which they were shown.
        emotion: the label that was reported last, None without a report.
        behaviour: numbers by column.
    """

    day: int
    shown: tuple[tuple[str, float], ...] = ()
    emotion: str | None = None
    behaviour: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """A person, as far as a service knows one.

    Attributes:
        consent: whether their emotion and behaviour may be read; without it neither is kept.
        group: of the groups that the training knew (the column ``profile`` of ``.user``), None where it is not said.
        goal: what they ask for, as of :func:`~recbole_esmr.model.ranking.rank`.
        arm: of a trial, None outside. stratum: in which it was dealt out.
        unit: an id by lot, of who keeps their own profile; None of others.
        since: the first day of which anything is known, None before it.
        days: in order, a window long.
        earlier: items watched before these days, the last ones, the oldest first.
        events: ids of the last events, the newest last.
    """

    consent: bool = False
    group: str | None = None
    goal: str | None = None
    arm: str | None = None
    stratum: str | None = None
    unit: str | None = None
    since: int | None = None
    days: tuple[Day, ...] = ()
    earlier: tuple[str, ...] = ()
    events: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The document."""
        days = [
            {
                "day": day.day,
                **({"shown": [list(pair) for pair in day.shown]} if day.shown else {}),
                **({"emotion": day.emotion} if day.emotion else {}),
                **({"behaviour": dict(day.behaviour)} if day.behaviour else {}),
            }
            for day in self.days
        ]
        return {
            "schema_version": SCHEMA,
            "consent": self.consent,
            "group": self.group,
            "goal": self.goal,
            "arm": self.arm,
            **({"stratum": self.stratum} if self.stratum else {}),
            **({"unit": self.unit} if self.unit else {}),
            "since": self.since,
            "days": days,
            "earlier": list(self.earlier),
            "events": list(self.events),
        }

    def before(self, day: int) -> Profile:
        """What was known on the morning of a day."""
        return replace(self, days=tuple(one for one in self.days if one.day < day), goal=None, arm=None, stratum=None, events=())

    def to_json(self) -> str:
        """The document as text."""
        return json.dumps(self.as_dict(), separators=(",", ":"), allow_nan=False)

    @classmethod
    def of_dict(cls, said: Any, artifact: Artifact, where: str = "profile") -> Profile:
        """Read a document.

        Items and columns that the artifact does not know are left out: another artifact may have written them.

        Raises:
            DataError: it is none; the message says where.
        """
        known_fields(said, where, (*Profile().as_dict(), "stratum", "unit"))
        if said.get("schema_version") != SCHEMA:
            raise DataError(f"{where}: schema_version is {said.get('schema_version')!r}; expected {SCHEMA}.")
        number, numbers = artifact.stock.number, artifact.behaviour
        days = []
        for place, one in enumerate(a_list(said.get("days", []), f"{where}.days", LONGEST_WINDOW + 1)):
            at = f"{where}.days[{place}]"
            known_fields(one, at, ("day", "shown", "emotion", "behaviour"))
            shown = [_shown(pair, f"{at}.shown") for pair in a_list(one.get("shown", []), f"{at}.shown", MOST_A_DAY)]
            emotion, behaviour = one.get("emotion"), one.get("behaviour", {})
            if not isinstance(behaviour, Mapping):
                raise DataError(f"{at}.behaviour: expected numbers by column.")
            days.append(
                Day(
                    day=whole(one.get("day"), f"{at}.day", -int(LAST_DAY), int(LAST_DAY)),
                    shown=tuple(pair for pair in shown if pair[0] in number),
                    emotion=emotion if emotion in artifact.taxonomy.labels else None,
                    behaviour={k: in_range(v, f"{at}.{k}", -LARGEST, LARGEST) for k, v in behaviour.items() if k in numbers},
                )
            )
        if [day.day for day in days] != sorted({day.day for day in days}):
            raise DataError(f"{where}.days: are not in order, or a day is there twice.")
        earlier = [one_line(name, f"{where}.earlier", LONGEST_NAME) for name in a_list(said.get("earlier", []), where, 10_000)]
        events = [one_line(name, f"{where}.events", LONGEST_NAME) for name in a_list(said.get("events", []), where, REMEMBERED)]
        since = said.get("since")
        if days:
            since = (
                days[0].day if since is None else min(whole(since, f"{where}.since", -int(LAST_DAY), int(LAST_DAY)), days[0].day)
            )
        profile = cls(
            consent=_yes_or_no(said.get("consent"), f"{where}.consent"),
            group=None if said.get("group") is None else one_line(said["group"], f"{where}.group", LONGEST_NAME),
            goal=None if said.get("goal") is None else one_line(said["goal"], f"{where}.goal", LONGEST_NAME),
            unit=None if said.get("unit") is None else one_line(said["unit"], f"{where}.unit", LONGEST_NAME),
            arm=None if said.get("arm") is None else one_line(said["arm"], f"{where}.arm", LONGEST_NAME),
            stratum=None if said.get("stratum") is None else one_line(said["stratum"], f"{where}.stratum", 2 * LONGEST_NAME),
            since=None if since is None else whole(since, f"{where}.since", -int(LAST_DAY), int(LAST_DAY)),
            days=tuple(days),
            earlier=tuple(name for name in earlier if name in number),
            events=tuple(events),
        )
        return profile if profile.consent else _without_emotion(profile)


@dataclass(frozen=True)
class Event:
    """Something that happened to a person, or that they said.

    Attributes:
        id: its own; an event with a known id counts once.
        day: on which it happened.
        shown: pairs of item and share watched, in order.
        emotion: a label of the taxonomy that the person reported.
        behaviour: numbers by column.
        consent, goal, group: what the person says from now on; None changes nothing, "" of a goal takes it back.
        slate: the sealed receipt of the slate that was shown, whose price then counts.
    """

    id: str
    day: int
    shown: tuple[tuple[str, float], ...] = ()
    emotion: str | None = None
    behaviour: Mapping[str, float] = field(default_factory=dict)
    consent: bool | None = None
    goal: str | None = None
    group: str | None = None
    slate: str | None = None

    @classmethod
    def of_dict(cls, said: Any, artifact: Artifact, where: str = "event", latest: int | None = None) -> Event:
        """Read what a client sends.

        Args:
            said: ``id``, ``day`` (a number, or a date such as 2026-03-01), and any of ``shown``, a list of
                ``{"item": …, "watch_ratio": …}``, ``emotion``, ``behaviour``, ``consent``, ``goal``, ``group``, ``slate``.
            artifact: whose items, emotions, columns and groups may be named.
            where: it was said, for messages.
            latest: the last day that may be named.

        Raises:
            DataError: anything else.
        """
        known_fields(said, where, cls.__dataclass_fields__)
        name = one_line(said.get("id"), f"{where}.id", LONGEST_NAME)
        if not name:
            raise DataError(f"{where}.id is empty. Give each event an id of its own.")
        day = day_number(said.get("day"), f"{where}.day")
        if latest is not None and day > latest:
            raise DataError(f"{where}.day is {said.get('day')!r}, which has not come yet. Send events once they have happened.")
        shown = []
        for place, one in enumerate(a_list(said.get("shown", []), f"{where}.shown", MOST_SHOWN)):
            at = f"{where}.shown[{place}]"
            known_fields(one, at, ("item", "watch_ratio"))
            item = one_line(one.get("item"), f"{at}.item", LONGEST_NAME)
            if item not in artifact.stock.number:
                raise DataError(f"{at}.item: there is no item {item!r}. Add it first, or leave it out.")
            shown.append((item, in_range(one.get("watch_ratio"), f"{at}.watch_ratio", 0, 1)))
        if len({item for item, _ in shown}) < len(shown):
            raise DataError(f"{where}.shown: an item is there twice. Send what was seen of it once.")
        emotion, goal, group = (said.get(part) for part in ("emotion", "goal", "group"))
        if emotion is not None:
            one_of(emotion, f"{where}.emotion", artifact.taxonomy.labels)
        if goal:
            one_of(goal, f"{where}.goal", goals_of(artifact.stock.catalogue.strategies))
        if group is not None:
            one_of(group, f"{where}.group", artifact.encoder.profiles)
        numbers = known_fields(said.get("behaviour", {}), f"{where}.behaviour", artifact.behaviour)
        return cls(
            id=name,
            day=day,
            shown=tuple(shown),
            emotion=emotion,
            behaviour={key: in_range(v, f"{where}.behaviour.{key}", -LARGEST, LARGEST) for key, v in numbers.items()},
            consent=None if said.get("consent") is None else _yes_or_no(said["consent"], f"{where}.consent"),
            goal=None if goal is None else one_line(goal, f"{where}.goal", LONGEST_NAME),
            group=group,
            slate=None if said.get("slate") is None else one_line(said["slate"], f"{where}.slate", LONGEST_RECEIPT),
        )


def updated(profile: Profile, events: Sequence[Event], window: int, longest: int) -> tuple[Profile, list[Event]]:
    """A profile after events, and those of them that are new; a pure function of its arguments.

    Args:
        profile: before.
        events: in the order in which they came. Of days that the window has left nothing is read but the ids.
        window: days that are kept.
        longest: items watched before these days that are kept.
    """
    known, new = set(profile.events), []
    for event in events:
        if event.id in known:
            continue
        known.add(event.id)
        new.append(event)
        profile = _after(profile, event, window, longest)
    ids = (*profile.events, *(event.id for event in new))[-REMEMBERED:]
    return replace(profile, events=ids), new


def _after(profile: Profile, event: Event, window: int, longest: int) -> Profile:
    if event.consent is not None:
        profile = replace(profile, consent=event.consent)
    profile = replace(
        profile,
        goal=profile.goal if event.goal is None else event.goal or None,
        group=event.group or profile.group,
    )
    if event.shown or event.emotion or event.behaviour:
        days = {day.day: day for day in profile.days}
        old = days.get(event.day, Day(event.day))
        if len(old.shown) + len(event.shown) > MOST_A_DAY:
            raise DataError(f"day {event.day}: more than {MOST_A_DAY:,} items were shown. Send what one person sees.")
        days[event.day] = Day(
            event.day, old.shown + event.shown, event.emotion or old.emotion, {**old.behaviour, **event.behaviour}
        )
        first = max(days) - window + 1
        left = [item for number in sorted(days) if number < first for item, ratio in days[number].shown if ratio > 0]
        profile = replace(
            profile,
            since=event.day if profile.since is None else min(profile.since, event.day),
            days=tuple(days[number] for number in sorted(days) if number >= first),
            earlier=(*profile.earlier, *left)[-longest:],
        )
    return profile if profile.consent else _without_emotion(profile)


def _without_emotion(profile: Profile) -> Profile:
    """The profile of who does not consent: what was watched, and nothing that was felt or done (a stratum tells of moods)."""
    return replace(profile, goal=None, stratum=None, days=tuple(replace(day, emotion=None, behaviour={}) for day in profile.days))


def day_number(said: Any, where: str) -> int:
    """The number of a day: a whole number as it is, a date as days since 1970-01-01.

    Raises:
        DataError: something else.
    """
    if isinstance(said, str):
        try:
            return (date.fromisoformat(said) - date(1970, 1, 1)).days
        except ValueError:
            raise DataError(f"{where} is {said[:40]!r}; expected a date such as 2026-03-01, or a day's number.") from None
    return whole(said, where, -int(LAST_DAY), int(LAST_DAY))


def _shown(pair: Any, where: str) -> tuple[str, float]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise DataError(f"{where}: expected pairs of an item and the share watched.")
    return one_line(pair[0], where, LONGEST_NAME), in_range(pair[1], where, 0, 1)


def _yes_or_no(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise DataError(f"{where} is {str(value)[:40]!r}; expected true or false.")
    return value
