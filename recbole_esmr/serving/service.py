"""A service: an artifact, people's profiles, and what all people share. Reading changes nothing; events do, each once."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from recbole_esmr.errors import DataError
from recbole_esmr.label.labeller import Label
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.serving.artifact import Artifact
from recbole_esmr.serving.checks import a_list, one_line
from recbole_esmr.serving.core import Request, Slate, beliefs_of, explained, log_of, rank_for, update
from recbole_esmr.serving.posts import RankedPosts, rank_posts
from recbole_esmr.serving.profile import REMEMBERED as REMEMBERED_EVENTS
from recbole_esmr.serving.profile import Event, Profile
from recbole_esmr.serving.sealing import Seal
from recbole_esmr.serving.spending import Receipt, Spending
from recbole_esmr.serving.stock import FIELDS, Stock
from recbole_esmr.serving.store import ITEMS, SPENDING, Store
from recbole_esmr.serving.trial.assignment import arm_of
from recbole_esmr.serving.trial.plan import TREATED, Plan
from recbole_esmr.serving.trial.registered import hold_to

PROFILE, RECEIPT = "profile", "receipt"
"""Kinds of sealed documents."""

MOST_EVENTS = REMEMBERED_EVENTS
"""Of a request: of who keeps their own profile no more are remembered."""

REMEMBERED = 1_000
"""People whose beliefs of the day are remembered, where the server keeps their profile."""


@dataclass(frozen=True)
class Served:
    """A slate as it is sent.

    Attributes:
        slate: what is shown.
        receipt: sealed, to come back with what was watched; of an event of which it counts once.
    """

    slate: Slate
    receipt: str


class Service:
    """Ranks for people whose profiles the server keeps, and for people who bring theirs. Both get the same slates.

    A call names a ``person``, whose profile is in the store, or brings a sealed ``profile``; of who brings one, nothing is
    written and nothing is remembered.

    Args:
        artifact: what ranks.
        store: keeps people, what they share, and changes of the items.
        seal: of profiles and receipts.
        explore: share of the places of every slate that are drawn at random, with chances that are logged.
        plan: of a trial, in whose days people whose profile the server keeps get what their arm says.

    Raises:
        ConfigError: the store is that of another trial.
    """

    def __init__(self, artifact: Artifact, store: Store, seal: Seal, explore: float = 0.0, plan: Plan | None = None) -> None:
        self._artifact, self._items, self._first = artifact, 0, artifact
        self._store, self._seal, self.explore = store, seal, explore
        self._start, self.plan = Spending.of(artifact), plan
        if plan is not None:
            hold_to(plan, store)
        self._beliefs: OrderedDict[str, tuple[str, Beliefs]] = OrderedDict()
        self._lock = threading.Lock()

    def artifact(self) -> Artifact:
        """With the items as they stand now."""
        with self._store.reading() as connection:
            return self._current(connection)

    # -- slates ----------------------------------------------------------------------------------------------------------

    def recommend(self, person: str | None, profile: str | None, request: Request, salt: str = "") -> Served:
        """A slate. The same request gives the same slate until something happens, and nothing is written.

        Args:
            person, profile: one of them.
            request: what is asked for; its share of draws is the service's.
            salt: tells apart requests of one day whose draws shall differ, such as two page loads.

        Raises:
            DataError: neither or both of ``person`` and ``profile``, or a request for what there is not.
            StoreError: the store cannot be read.
        """
        with self._store.reading() as connection:
            artifact, spending = self._current(connection), self._spending(connection)
            known, document = self._read(connection, artifact, person, profile)
        request = self._by_plan(replace(request, explore=self.explore), person, known)
        asked = json.dumps([self._items, document, request.day, request.size, request.items, request.goal, request.rerank, salt])
        draw = hashlib.sha256(f"{artifact.fingerprint}{person or ''}{asked}".encode()).hexdigest()
        request = replace(request, draw=draw)
        beliefs = self._remembered(artifact, person, known, request.day) if person is not None else None
        slate = rank_for(artifact, known, request, spending, beliefs)
        shown = {"slate": draw[:32], "day": request.day, "items": list(slate.items), "propensity": list(slate.propensity)}
        sealed = self._seal.closed(RECEIPT, {**shown, **slate.receipt.as_dict()})
        return Served(slate, sealed)

    def explain(self, person: str | None, profile: str | None, request: Request) -> dict[str, Any]:
        """Why a person gets the slate that :meth:`recommend` gives without draws.

        Raises:
            DataError, StoreError: as of :meth:`recommend`.
        """
        with self._store.reading() as connection:
            artifact, spending = self._current(connection), self._spending(connection)
            known, _ = self._read(connection, artifact, person, profile)
        return explained(artifact, known, self._by_plan(request, person, known), spending)

    def posts(self, person: str, labels: Sequence[Label], day: int) -> RankedPosts:
        """An order of posts that the server has never seen, for a person whose profile it keeps.

        Raises:
            DataError, StoreError: as of :meth:`recommend`.
        """
        with self._store.reading() as connection:
            artifact = self._current(connection)
            known, _ = self._read(connection, artifact, person, None)
        if not self._by_plan(Request(day), person, known).rerank:
            return RankedPosts(tuple(range(len(labels))), False)
        return rank_posts(artifact, known, labels, day)

    # -- events ----------------------------------------------------------------------------------------------------------

    def accept(self, person: str | None, profile: str | None, events: Any, latest: int | None = None) -> dict[str, Any]:
        """Read events: all of them, or none where anything is wrong.

        Args:
            person, profile: one of them.
            events: as :meth:`~recbole_esmr.serving.profile.Event.of_dict` reads them.
            latest: the last day that has come.

        Returns:
            ``new`` and ``known``, how many events counted and how many had before; of who brings a profile also ``profile``, the
            sealed one from now on.

        Raises:
            DataError: an event is wrong; nobody is touched.
            StoreError: the store cannot be written; the same can be sent again.
        """
        said = a_list(events, "events", MOST_EVENTS)
        with self._store.changing() as connection:
            artifact = self._current(connection)
            known, _ = self._read(connection, artifact, person, profile, change=True)
            read = [Event.of_dict(event, artifact, f"events[{place}]", latest) for place, event in enumerate(said)]
            receipts = [self._receipt(event, f"events[{place}]") for place, event in enumerate(read)]
            if person is not None:
                before = self._store.known_events(connection, person, [event.id for event in read])
                pairs = [pair for pair in zip(read, receipts, strict=True) if pair[0].id not in before]
            else:
                pairs = list(zip(read, receipts, strict=True))
            after, new = update(artifact, known, [event for event, _ in pairs])
            kept = {event.id for event in new}
            counted = {event.id: (event, receipt) for event, receipt in reversed(pairs) if event.id in kept}
            consents = consent_of_each(known.consent, new)
            self._spend(connection, artifact, [(*counted[event.id], told) for event, told in zip(new, consents, strict=True)])
            result: dict[str, Any] = {"new": len(new), "known": len(read) - len(new)}
            if person is None:
                return {**result, "profile": self._seal.closed(PROFILE, after.as_dict())}
            withdrawn = any(event.consent is False for event in new)
            if withdrawn:
                self._store.forget_emotions(connection, person)
            bodies = [_body(event, counted[event.id][1], told) for event, told in zip(new, consents, strict=True)]
            self._store.keep_events(connection, person, bodies)
            self._store.keep_profile(connection, person, after.to_json())
        if withdrawn:
            with self._lock:
                self._beliefs.pop(person, None)
        if withdrawn or self._store.unwiped:
            self._store.wipe()
        return result

    # -- profiles --------------------------------------------------------------------------------------------------------

    def profile(self, person: str | None, profile: str | None) -> dict[str, Any]:
        """All that is known of a person: the profile, and the events that the server keeps.

        Raises:
            DataError: nobody of that name is known, or the profile is none of this server's.
        """
        with self._store.reading() as connection:
            artifact = self._current(connection)
            known, _ = self._read(connection, artifact, person, profile)
            if person is not None and self._store.profile(connection, person) is None:
                raise DataError("person: nobody of that name is known. Send events first.")
            events = self._store.person_events(connection, person) if person is not None else []
        return {"profile": known.as_dict(), "events": events}

    def sealed(self, document: Any = None) -> str:
        """A sealed profile for who keeps their own: an empty one, or what :meth:`profile` gave.

        Raises:
            DataError: the document is no profile.
        """
        known = Profile() if document is None else Profile.of_dict(document, self.artifact())
        known = replace(known, unit=known.unit or secrets.token_hex(8))
        return self._seal.closed(PROFILE, known.as_dict())

    def delete(self, person: str) -> bool:
        """Forget a person, the file's free pages and log of changes included; false where nobody of that name was known."""
        name = one_line(person, "person", 200)
        with self._store.changing() as connection:
            gone = self._store.delete(connection, name)
        self._store.wipe()
        with self._lock:
            self._beliefs.pop(name, None)
        return gone

    # -- items -----------------------------------------------------------------------------------------------------------

    def put_items(self, items: Any) -> int:
        """Add items, or change those that are known; all of them or none.

        Raises:
            DataError: what is wrong with one.
        """
        said = a_list(items, "items", 10_000)
        with self._store.changing() as connection:
            artifact = self._current(connection)
            artifact.stock.with_items(said, artifact.taxonomy)
            self._store.change_items(connection, {str(item["item"]): dict(item) for item in said})
        return len(said)

    def withdraw_items(self, names: Any) -> int:
        """Show some items no more.

        Raises:
            DataError: a name that no item has; none is withdrawn.
        """
        said = [one_line(name, "items", 200) for name in a_list(names, "items", 10_000)]
        with self._store.changing() as connection:
            self._current(connection).stock.without(said)
            changed = self._store.changed_items(connection)
            gone = {name: {**(changed.get(name) or {"item": name}), "withdrawn": True} for name in said}
            self._store.change_items(connection, gone)
        return len(said)

    def ready(self) -> bool:
        """Whether the store can be read, and its items are those of this artifact's kind.

        Raises:
            StoreError: it cannot.
        """
        with self._store.reading() as connection:
            self._current(connection)
            return self._store.kept(connection, "schema") is not None

    def multiplier(self) -> float:
        """Of the budget that is shared, as it stands."""
        with self._store.reading() as connection:
            return self._spending(connection).multiplier

    # -- parts -----------------------------------------------------------------------------------------------------------

    def _by_plan(self, request: Request, person: str | None, known: Profile) -> Request:
        """The request as a person's arm of the trial has it; outside its days, and of who keeps their own profile, as it is."""
        if person is None or self.plan is None or not self.plan.runs_on(request.day):
            return request
        acts = arm_of(self.plan, person, request.day, known.arm) == TREATED
        return replace(request, rerank=request.rerank and acts, explore=max(self.plan.explore, request.explore))

    def _current(self, connection: Any) -> Artifact:
        """The artifact with the items as they stand; made anew where another process has changed them."""
        version = self._store.kept(connection, ITEMS) or 0
        if version != self._items:
            stock = current_stock(self._store, connection, self._first)
            artifact = self._first.with_stock(stock)
            _ = artifact.rankers  # made before anybody waits for it
            with self._lock:
                self._artifact, self._items = artifact, version
                self._beliefs.clear()
        return self._artifact

    def _spending(self, connection: Any, change: bool = False) -> Spending:
        kept = self._store.kept(connection, SPENDING, change)
        return self._start if kept is None or kept["artifact"] != self._first.fingerprint else self._start.restored(kept)

    def _spend(self, connection: Any, artifact: Artifact, rows: Sequence[tuple[Event, dict[str, Any] | None, bool]]) -> None:
        """Let what came of slates count, each slate once."""
        spending, changed = self._spending(connection, change=True), False
        for event, receipt, consent in rows:
            if receipt is None or not event.shown or self._store.spent(connection, receipt["slate"]):
                continue
            of_slate = Receipt.of_dict({name: receipt[name] for name in Receipt.__dataclass_fields__})
            spending, changed = spending.after(of_slate, event.shown, event.day, artifact, consent), True
        if changed:
            self._store.keep(connection, SPENDING, {**spending.as_dict(), "artifact": self._first.fingerprint})

    def _receipt(self, event: Event, where: str) -> dict[str, Any] | None:
        if event.slate is None:
            return None
        receipt: dict[str, Any] = self._seal.opened(RECEIPT, event.slate, f"{where}.slate")
        return receipt

    def _read(
        self, connection: Any, artifact: Artifact, person: str | None, profile: str | None, change: bool = False
    ) -> tuple[Profile, str]:
        """A person's profile, and its document as text."""
        if (person is None) == (profile is None):
            raise DataError("give either 'person', whose profile the server keeps, or 'profile', the sealed one that it gave.")
        if person is not None:
            name = one_line(person, "person", 200)
            if not name:
                raise DataError("person is empty. Give the person's id.")
            document = self._store.profile(connection, name, change)
            document = Profile().as_dict() if document is None else document
        else:
            document = self._seal.opened(PROFILE, profile, "profile")
        return Profile.of_dict(document, artifact), json.dumps(document, separators=(",", ":"))

    def _remembered(self, artifact: Artifact, person: str, profile: Profile, day: int) -> Beliefs:
        """What is believed of a person today; made once a day, or when what is known of the days before has changed."""
        known = f"{day} {self._items} {profile.before(day).to_json()}"
        past = hashlib.sha256(known.encode()).hexdigest()
        with self._lock:
            found = self._beliefs.get(person)
        if found is not None and found[0] == past:
            return found[1]
        beliefs = beliefs_of(artifact, log_of(artifact, [profile], day))
        with self._lock:
            self._beliefs[person] = past, beliefs
            self._beliefs.move_to_end(person)
            while len(self._beliefs) > REMEMBERED:
                self._beliefs.popitem(last=False)
        return beliefs


def current_stock(store: Store, connection: Any, artifact: Artifact) -> Stock:
    """The items of an artifact with what a store says of them since."""
    changed = store.changed_items(connection)
    stock = artifact.stock.with_items([_of_kind(said, artifact) for said in changed.values() if _says(said)], artifact.taxonomy)
    return stock.without([name for name, said in changed.items() if said.get("withdrawn") and name in stock.number])


def _of_kind(said: Mapping[str, Any], artifact: Artifact) -> dict[str, Any]:
    """What is said of an item, as far as the artifact knows such fields and emotions: another one may have been served before."""
    fields = {key: value for key, value in said.items() if key in (*FIELDS, *artifact.stock.catalogue.columns)}
    labels = {fields.get("emotion"), *(fields.get("share") or {})} - {None}
    return {key: v for key, v in fields.items() if key not in ("emotion", "share") or labels <= set(artifact.taxonomy.labels)}


def _says(said: Mapping[str, Any]) -> bool:
    """Whether anything is said of an item but that it is withdrawn."""
    return bool(said.keys() - {"item", "withdrawn"}) or not said.get("withdrawn")


def consent_of_each(before: bool, events: Sequence[Event]) -> list[bool]:
    """Whether what each event says of a mood may be kept: with the person's consent then, and no withdrawal after it."""
    found, now = [], before
    for event in events:
        now = now if event.consent is None else event.consent
        found.append(now)
    last = max((place for place, event in enumerate(events) if event.consent is False), default=-1)
    return [told and place > last for place, told in enumerate(found)]


def _body(event: Event, receipt: Mapping[str, Any] | None, consent: bool) -> dict[str, Any]:
    """An event as it is kept; without consent nothing that was felt, done or asked for."""
    body: dict[str, Any] = {"id": event.id, "day": event.day}
    chance: dict[str, float] = {}
    if receipt is not None:
        chance = dict(zip(receipt["items"], receipt["propensity"], strict=True))
        body["slate"] = receipt["slate"]
    if event.shown:
        body["shown"] = [[item, ratio, chance.get(item)] for item, ratio in event.shown]
    if consent:
        body |= {name: value for name in ("emotion", "behaviour", "goal") if (value := getattr(event, name))}
    body |= {name: value for name in ("consent", "group") if (value := getattr(event, name)) is not None}
    return body
