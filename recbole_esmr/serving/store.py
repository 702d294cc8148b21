"""What a server keeps in one SQLite file, or any SQL database: people, what all of them share, and changes of the items."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_esmr.errors import ConfigError, ESMRError, MissingPackageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

PATIENCE = 5.0
"""Seconds that a locked SQLite file is waited for."""

SPENDING, ITEMS, SCHEMA = "spending", "items", "schema"
"""Names of what is kept of no person: the shared state, how often the items have changed, and the version of the tables."""

VERSION = 1
"""Of the tables."""

_READS = "recbole_esmr_reads"


class StoreError(ESMRError):
    """The store cannot be reached, or is locked: nothing was written, and the same can be sent again."""


class Store:
    """Tables in an SQL database. Every change is one transaction: all of it is there, or nothing.

    Args:
        where: path of an SQLite file, or a URL of SQLAlchemy, such as ``postgresql+psycopg://user@host/base``.

    Raises:
        MissingPackageError: SQLAlchemy, or the driver of the URL, is not installed.
        ConfigError: the URL is none.
        StoreError: the database cannot be opened.
    """

    def __init__(self, where: str | Path) -> None:
        try:
            import sqlalchemy as sql
        except ImportError as error:
            raise MissingPackageError("a store needs SQLAlchemy: pip install 'recbole-esmr[serve]'.") from error
        self._sql, url = sql, str(where)
        if "://" not in url:
            url = f"sqlite:///{Path(url).absolute()}"
        self._lite, self.unwiped = url.startswith("sqlite"), False
        try:
            arguments = {"timeout": PATIENCE} if self._lite else {}
            self._engine = sql.create_engine(url, connect_args=arguments, pool_pre_ping=not self._lite)
        except ModuleNotFoundError as error:
            raise MissingPackageError(f"the store's URL needs a driver: pip install {error.name}.") from error
        except sql.exc.ArgumentError as error:
            raise ConfigError(f"--store: {str(where)[:100]!r} is neither a path nor a URL of SQLAlchemy ({error}).") from error
        if self._lite:
            sql.event.listen(self._engine, "connect", _prepared)
            sql.event.listen(self._engine, "begin", _begin)
        tables = sql.MetaData()
        body = sql.Text

        def key(name: str, longest: int = 200) -> Any:
            return sql.Column(name, sql.String(longest), primary_key=True)

        self.people = sql.Table("people", tables, key("person"), sql.Column("profile", body))
        self.events = sql.Table(
            "events", tables, key("person"), key("id"),
            sql.Column("number", sql.Float), sql.Column("day", sql.BigInteger), sql.Column("body", body),
        )  # fmt: skip
        self.receipts = sql.Table("receipts", tables, key("slate", 64))
        self.items = sql.Table("items", tables, key("item"), sql.Column("body", body))
        self.state = sql.Table("state", tables, key("name", 40), sql.Column("body", body))
        with self._reaching():
            tables.create_all(self._engine)
        with self.changing() as connection:
            found = self.kept(connection, SCHEMA)
            if found is None:
                self.keep(connection, SCHEMA, VERSION)
            elif found != VERSION:
                raise ConfigError(f"--store: holds tables of version {found}, and this recbole-esmr reads {VERSION}.")

    @classmethod
    def existing(cls, where: str | Path) -> Store:
        """A store that a server has written; none is made.

        Raises:
            ConfigError: there is no such file.
        """
        if "://" not in str(where) and not Path(where).is_file():
            raise ConfigError(f"--store={where}: there is no such file. Give the store that `recbole-esmr serve` writes.")
        return cls(where)

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """One transaction: what the block does is kept whole when it ends well, and not at all otherwise."""
        with self._reaching(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A look at what is there; a writer does not wait for it."""
        with self._reaching(), self._engine.connect().execution_options(**{_READS: True}) as connection:
            yield connection

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    # -- people --------------------------------------------------------------------------------------------------------

    def profile(self, connection: Connection, person: str, change: bool = False) -> Any:
        """The document of a person, None where there is none; with ``change`` nobody else may change it until the end."""
        wanted = self._sql.select(self.people.c.profile).where(self.people.c.person == person)
        found = connection.execute(wanted.with_for_update() if change else wanted).scalar()
        return None if found is None else json.loads(found)

    def keep_profile(self, connection: Connection, person: str, document: str) -> None:
        """Write the document of a person."""
        self._put(connection, self.people, {"person": person}, {"profile": document})

    def known_events(self, connection: Connection, person: str, ids: Sequence[str]) -> set[str]:
        """Those of some ids of which an event of the person is kept."""
        events = self.events.c
        wanted = self._sql.select(events.id).where(events.person == person, events.id.in_(list(ids)))
        return {str(name) for name in connection.execute(wanted).scalars()}

    def keep_events(self, connection: Connection, person: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Write events of a person, none of which is known."""
        now = time.time()
        rows = [
            {"person": person, "id": event["id"], "number": now + place / 1e6, "day": event["day"], "body": _text(event)}
            for place, event in enumerate(events)
        ]
        if rows:
            connection.execute(self._sql.insert(self.events), rows)

    def person_events(self, connection: Connection, person: str) -> list[dict[str, Any]]:
        """All events of a person in the order in which they came."""
        events = self.events.c
        wanted = self._sql.select(events.body).where(events.person == person).order_by(events.number)
        return [json.loads(body) for body in connection.execute(wanted).scalars()]

    def forget_emotions(self, connection: Connection, person: str) -> None:
        """Take what a person felt, did and asked for out of their events."""
        events = self.events.c
        for event in self.person_events(connection, person):
            kept = {name: value for name, value in event.items() if name not in ("emotion", "behaviour", "goal")}
            wanted = self._sql.update(self.events).where(events.person == person, events.id == event["id"])
            connection.execute(wanted.values(body=_text(kept)))

    def delete(self, connection: Connection, person: str) -> bool:
        """Forget a person; false where nobody of that name was known."""
        gone = 0
        for table in (self.people, self.events):
            gone += connection.execute(self._sql.delete(table).where(table.c.person == person)).rowcount
        return gone > 0

    def wipe(self) -> None:
        """Leave nothing of what was deleted in SQLite's log of changes; while others read it, that waits for the next time."""
        if not self._lite:
            return
        self.unwiped = True
        connection = self._engine.raw_connection()
        try:
            self.unwiped = bool(connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
        except sqlite3.Error:  # what was to be done is done; this waits
            return
        finally:
            connection.close()

    def everybody(self, connection: Connection) -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
        """Each person with their profile and events, by name."""
        for person in list(connection.execute(self._sql.select(self.people.c.person).order_by(self.people.c.person)).scalars()):
            yield str(person), self.profile(connection, person), self.person_events(connection, person)

    # -- what is of no person ------------------------------------------------------------------------------------------

    def spent(self, connection: Connection, slate: str) -> bool:
        """Whether the receipt of a slate has counted already; from now on it has."""
        receipts = self.receipts
        if connection.execute(self._sql.select(receipts.c.slate).where(receipts.c.slate == slate)).scalar() is not None:
            return True
        connection.execute(self._sql.insert(receipts).values(slate=slate))
        return False

    def kept(self, connection: Connection, name: str, change: bool = False) -> Any:
        """What is kept under a name, None where that is nothing; with ``change`` nobody else may change it until the end."""
        wanted = self._sql.select(self.state.c.body).where(self.state.c.name == name)
        found = connection.execute(wanted.with_for_update() if change else wanted).scalar()
        return None if found is None else json.loads(found)

    def keep(self, connection: Connection, name: str, value: Any) -> None:
        """Keep something under a name."""
        self._put(connection, self.state, {"name": name}, {"body": _text(value)})

    def change_items(self, connection: Connection, items: Mapping[str, Any]) -> None:
        """Write what some items are, None for one that is withdrawn."""
        for name, said in items.items():
            self._put(connection, self.items, {"item": name}, {"body": _text(said)})
        self.keep(connection, ITEMS, (self.kept(connection, ITEMS, change=True) or 0) + 1)

    def changed_items(self, connection: Connection) -> dict[str, Any]:
        """What has been said of items since the artifact was made, None for one that is withdrawn."""
        rows = connection.execute(self._sql.select(self.items.c.item, self.items.c.body))
        return {str(name): json.loads(body) for name, body in rows}

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _put(self, connection: Connection, table: Any, key: dict[str, str], values: dict[str, str]) -> None:
        where = [table.c[name] == value for name, value in key.items()]
        if connection.execute(self._sql.update(table).where(*where).values(**values)).rowcount == 0:
            connection.execute(self._sql.insert(table).values(**key, **values))

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        errors = self._sql.exc
        try:
            yield
        except (errors.OperationalError, errors.InterfaceError, errors.IntegrityError, errors.DatabaseError) as error:
            reason = str(getattr(error, "orig", error)).splitlines()[0][:120]
            raise StoreError(f"the store cannot be used now ({reason}). Nothing was written: send the same again.") from error


def _prepared(connection: Any, _: Any) -> None:
    """SQLite as a server needs it: readers beside a writer, each change on the disk, nothing left of what is deleted."""
    connection.isolation_level = None  # SQLAlchemy begins transactions itself
    for line in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {line}")


def _begin(connection: Connection) -> None:
    """Let writers come one after the other from their first look on, and readers not wait at all."""
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(_READS) else "BEGIN IMMEDIATE")


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
