"""A service and its store: people's profiles here or there, each event once, items that change, nothing left of the deleted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_esmr.config import Config
from recbole_esmr.data.dataset import load_split
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.serving.core import Request
from recbole_esmr.serving.logged import write_log
from recbole_esmr.serving.sealing import Seal
from recbole_esmr.serving.service import Service
from recbole_esmr.serving.store import Store, StoreError

PERSON = "person-of-whom-nothing-stays"


@pytest.fixture
def service(artifact, tmp_path):
    return Service(artifact, Store(tmp_path / "people.sqlite"), Seal.of_file(tmp_path / "key"), explore=0.2)


def consenting(service, person="p1", day=1):
    service.accept(person, None, [{"id": "yes", "day": day, "consent": True}])


def a_day(service, day, emotion="lonely", person="p1", profile=None, size=6):
    """A slate, and the event that says what came of it."""
    served = service.recommend(person, profile, Request(day, size))
    rng = np.random.default_rng(day)
    ratio = [round(max(float(rng.random()) - 0.3, 0.0), 3) for _ in served.slate.items]
    shown = [{"item": item, "watch_ratio": share} for item, share in zip(served.slate.items, ratio, strict=True)]
    return served, {"id": f"e{day}", "day": day, "shown": shown, "emotion": emotion, "slate": served.receipt}


# -- profiles here and there -------------------------------------------------------------------------------------------------


def test_a_profile_that_is_kept_here_and_one_that_is_kept_there_give_the_same_slates(artifact, tmp_path):
    """Day after day, without draws (which follow from the person): the same items, parts and multiplier."""
    made = [Service(artifact, Store(tmp_path / f"{name}.sqlite"), Seal.of_file(tmp_path / "key")) for name in ("here", "there")]
    here, there = made
    consenting(here)
    sealed = there.accept(None, there.sealed(), [{"id": "yes", "day": 1, "consent": True}])["profile"]
    changed = 0
    for day in range(2, 14):
        served, event = a_day(here, day)
        other = there.recommend(None, sealed, Request(day, 6))
        assert other.slate.items == served.slate.items and other.slate.usual == served.slate.usual
        changed += served.slate.acted
        here.accept("p1", None, [event])
        sealed = there.accept(None, sealed, [{**event, "slate": other.receipt}])["profile"]
        assert here.multiplier() == there.multiplier()
    mine = there.profile(None, sealed)["profile"]
    assert changed and mine.pop("unit") and here.profile("p1", None)["profile"] == mine
    for word in (b"p1", b"lonely", *(item.encode() for item in ("v1", "v2"))):
        assert word not in b"".join(path.read_bytes() for path in tmp_path.glob("there.sqlite*")), (
            "of who brings one nothing is kept"
        )


def test_reading_writes_nothing_and_gives_the_same(service, tmp_path):
    consenting(service)
    for day in range(2, 6):
        service.accept("p1", None, [a_day(service, day)[1]])
    before = [path.read_bytes() for path in sorted(tmp_path.glob("people.sqlite*")) if not path.name.endswith("-shm")]
    slates = [service.recommend("p1", None, Request(6, 6)).slate.items for _ in range(10)]
    service.explain("p1", None, Request(6, 6))
    after = [path.read_bytes() for path in sorted(tmp_path.glob("people.sqlite*")) if not path.name.endswith("-shm")]
    assert len(set(slates)) == 1 and before == after
    salted = {service.recommend("p1", None, Request(6, 6), salt=str(load)).slate.items for load in range(10)}
    assert len(salted) > 1, "another page load has other draws"


def test_what_another_process_has_read_is_not_missed(service, artifact, tmp_path):
    """Beliefs of the day are remembered, until the days before are known otherwise."""
    consenting(service)
    for day in range(2, 9):
        service.accept("p1", None, [a_day(service, day)[1]])
    other = Service(artifact, Store(tmp_path / "people.sqlite"), Seal.of_file(tmp_path / "key"), explore=0.2)
    assert service.recommend("p1", None, Request(9, 6)).slate.items == other.recommend("p1", None, Request(9, 6)).slate.items
    other.accept("p1", None, [{"id": "late", "day": 8, "emotion": "happy"}])
    assert service.recommend("p1", None, Request(9, 6)).slate.items == other.recommend("p1", None, Request(9, 6)).slate.items


# -- events ------------------------------------------------------------------------------------------------------------------


def test_each_event_and_each_slate_counts_once(service):
    consenting(service)
    _, event = a_day(service, 2)
    assert service.accept("p1", None, [event]) == {"new": 1, "known": 0}
    once = service.multiplier(), service.profile("p1", None)
    assert service.accept("p1", None, [event, event]) == {"new": 0, "known": 2}
    service.accept("p1", None, [{**event, "id": "again", "emotion": None, "shown": event["shown"][:1]}])
    assert service.multiplier() == once[0], "the same slate pays once, whatever the event is called"
    assert len(service.profile("p1", None)["events"]) == 3


def test_a_wrong_event_touches_nobody(service):
    consenting(service)
    consenting(service, "p2")
    good = a_day(service, 2)[1]
    service.accept("p1", None, [good])
    before = [service.profile(person, None) for person in ("p1", "p2")]
    slates = [service.recommend(person, None, Request(3, 6)).slate.items for person in ("p1", "p2")]
    multiplier = service.multiplier()
    fine = {"id": "fine", "day": 2, "emotion": "angry"}
    for wrong in (
        {"emotion": "hapy"},
        {"shown": [{"item": "v1", "watch_ratio": float("nan")}]},
        {"slate": "forged"},
        {"day": 99},
    ):
        with pytest.raises(DataError, match=r"events\[1\]"):
            service.accept("p1", None, [fine, {"id": "bad", "day": 2, **wrong}], latest=50)
    assert [service.profile(person, None) for person in ("p1", "p2")] == before and service.multiplier() == multiplier
    assert [service.recommend(person, None, Request(3, 6)).slate.items for person in ("p1", "p2")] == slates


def test_a_profile_cannot_be_forged_read_or_taken_for_something_else(service):
    sealed = service.accept(None, service.sealed(), [{"id": "a", "day": 1, "consent": True, "emotion": "lonely"}])["profile"]
    assert "lonely" not in sealed
    receipt = service.recommend(None, sealed, Request(2, 4)).receipt
    changed = sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:]
    for wrong in (changed, receipt, "", "ü", "x" * 500_000, Seal.of_file(Path("other")).closed("profile", {})):
        with pytest.raises(DataError, match="Send back what the server gave"):
            service.recommend(None, wrong, Request(2, 4))
    with pytest.raises(DataError, match="give either 'person'"):
        service.recommend("p1", sealed, Request(2, 4))


def test_an_old_key_opens_what_it_sealed_after_a_new_one_came(tmp_path):
    old = Seal.of_file(tmp_path / "key")
    sealed = old.closed("profile", {"a": 1})
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    new = Seal.of_file(tmp_path / "new").closed("profile", {"a": 2})
    both = tmp_path / "both"
    both.write_bytes((tmp_path / "new").read_bytes() + (tmp_path / "key").read_bytes())
    assert [Seal.of_file(both).opened("profile", text, "profile") for text in (sealed, new)] == [{"a": 1}, {"a": 2}]
    (tmp_path / "key").write_text("secret")
    with pytest.raises(ConfigError, match="32 bytes in url-safe base64"):
        Seal.of_file(tmp_path / "key")


# -- consent and deletion ----------------------------------------------------------------------------------------------------


def _kept(folder):
    return b"".join(path.read_bytes() for path in folder.glob("people.sqlite*"))


def test_of_who_withdraws_no_emotion_stays_in_any_file(service, tmp_path):
    consenting(service)
    for day in range(2, 8):
        service.accept(
            "p1",
            None,
            [a_day(service, day, "disappointed")[1], {"id": f"b{day}", "day": day, "behaviour": {"scrolling_time": 12345.5}}],
        )
    assert b"disappointed" in _kept(tmp_path) and b"12345.5" in _kept(tmp_path)
    service.accept("p1", None, [{"id": "no", "day": 8, "consent": False}])
    assert b"disappointed" not in _kept(tmp_path) and b"12345.5" not in _kept(tmp_path)
    assert any("shown" in event for event in service.profile("p1", None)["events"])
    assert not service.recommend("p1", None, Request(9, 6)).slate.acted
    service.accept("p1", None, [{"id": "later", "day": 9, "emotion": "disappointed"}])
    assert b"disappointed" not in _kept(tmp_path), "nor is it taken in without consent"


def test_consent_counts_when_something_is_said(service, tmp_path):
    """In one request: what was felt before the consent, or before a withdrawal that was taken back, is not kept."""
    service.accept("p1", None, [{"id": "a", "day": 1, "emotion": "lonely"}, {"id": "b", "day": 1, "consent": True}])
    assert "emotion" not in service.profile("p1", None)["events"][0]
    service.accept("p1", None, [{"id": "c", "day": 2, "emotion": "disappointed"}])
    said = [
        {"id": "d", "day": 3, "emotion": "anxious"},
        {"id": "e", "day": 3, "consent": False},
        {"id": "f", "day": 3, "consent": True},
    ]
    service.accept("p1", None, [*said, {"id": "g", "day": 4, "emotion": "happy"}])
    felt = [event.get("emotion") for event in service.profile("p1", None)["events"]]
    assert felt == [None, None, None, None, None, None, "happy"] and b"disappointed" not in _kept(tmp_path)


def test_two_who_keep_their_own_profile_are_two(service):
    """Their slates have receipts of their own, and draws of their own."""
    served = [service.recommend(None, service.sealed(), Request(2, 20)) for _ in range(6)]
    assert len({one.slate.items for one in served}) > 1
    for one in served:
        shown = [{"item": one.slate.items[0], "watch_ratio": 0.5}]
        service.accept(None, service.sealed(), [{"id": "x", "day": 2, "shown": shown, "slate": one.receipt}])
    with service._store.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM receipts").scalar() == 6


def test_another_artifact_reads_what_was_stored(service, artifact, tmp_path):
    """A shorter window, and an item that it does not know."""
    consenting(service)
    for day in range(2, 12):
        service.accept("p1", None, [a_day(service, day)[1]])
    service.put_items([{"item": "new", "emotion": "happy"}])
    service.withdraw_items(["new"])
    later = Service(replace(artifact, window=3), Store(tmp_path / "people.sqlite"), Seal.of_file(tmp_path / "key"))
    assert later.recommend("p1", None, Request(12, 5)).slate.items and later.ready()


@pytest.mark.parametrize(
    "days", [[{"day": 3, "behaviour": 5}], [{"day": 3, "shown": [["v1", 0.5]]}], [{"day": 3, "emotion": ["happy"]}]]
)
def test_an_odd_document_is_refused_or_served(service, days):
    from recbole_esmr.serving.profile import Profile

    try:
        sealed = service.sealed({**Profile().as_dict(), "consent": True, "days": days})
    except DataError:
        return
    assert service.recommend(None, sealed, Request(4, 5)).slate.items


def test_of_who_is_deleted_nothing_stays_in_any_file(service, tmp_path):
    consenting(service, PERSON)
    consenting(service, "p2")
    for day in range(2, 8):
        service.accept(PERSON, None, [a_day(service, day, person=PERSON)[1]])
    assert PERSON.encode() in _kept(tmp_path)
    assert service.delete(PERSON) and PERSON.encode() not in _kept(tmp_path)
    assert not service.delete(PERSON) and service.profile("p2", None)["profile"]["consent"]
    with pytest.raises(DataError, match="nobody of that name is known"):
        service.profile(PERSON, None)


# -- items -------------------------------------------------------------------------------------------------------------------


def test_items_come_change_and_go_while_it_serves(service, artifact, tmp_path):
    consenting(service)
    other = Service(artifact, Store(tmp_path / "people.sqlite"), Seal.of_file(tmp_path / "key"))
    service.put_items([{"item": "new", "emotion": "happy", "intensity": 0.9, "duration": 12}])
    offer = (*artifact.stock.names[1:5], "new")
    assert "new" in other.recommend("p1", None, Request(2, 5, items=offer)).slate.items, "another worker knows it too"
    stock = other.artifact().stock
    number = stock.number["new"]
    assert (
        stock.catalogue.valence[number] > 0
        and stock.catalogue.duration[number] == 12
        and stock.catalogue.intensity[number] == 0.9
    )
    traits = other.artifact().traits
    assert traits.value[number, traits.names.index("exposure_happy")] == 0.9
    assert np.array_equal(traits.value[:number], artifact.traits.value), "what items were does not change with what comes"
    service.accept("p1", None, [{"id": "w", "day": 2, "shown": [{"item": "new", "watch_ratio": 1}]}])
    service.put_items([{"item": "new", "emotion": "lonely"}])
    service.withdraw_items(["new", artifact.stock.names[1]])
    slate = other.recommend("p1", None, Request(3, 5, items=offer)).slate
    assert set(slate.items) == set(artifact.stock.names[2:5])
    service.put_items([{"item": "new", "emotion": "happy"}])
    assert "new" in other.recommend("p1", None, Request(3, 5, items=offer)).slate.items, "it is offered again"


@pytest.mark.parametrize(
    "item, message",
    [
        ({}, "item is None"),
        ({"item": ""}, "has no name"),
        ({"item": "x", "emotion": ["happy"]}, "there is no emotion"),
        ({"item": "x", "emotion": "hapy"}, "no emotion 'hapy'. Did you mean 'happy'"),
        ({"item": "x", "share": {"happy": 0.5}}, "add up to 0.5; expected 1"),
        ({"item": "x", "share": {"happy": 1.0}, "emotion": "lonely"}, "both 'emotion' and 'share'"),
        ({"item": "x", "intensity": 2}, "intensity is 2"),
        ({"item": "x", "duration": float("nan")}, "duration is nan"),
        ({"item": "x", "duraton": 3}, "Did you mean 'duration'"),
        ("x", "such as"),
    ],
)
def test_a_wrong_item_changes_none(service, artifact, item, message):
    with pytest.raises(DataError, match=message):
        service.put_items([{"item": "fine"}, item])
    assert "fine" not in service.artifact().stock.number
    with pytest.raises(DataError, match="there is no item 'nothing'"):
        service.withdraw_items([artifact.stock.names[1], "nothing"])
    assert service.artifact().stock.offered[1]


# -- the store ---------------------------------------------------------------------------------------------------------------


def test_a_locked_or_missing_store_is_said_and_nothing_is_lost(service, tmp_path, monkeypatch):
    import sqlite3

    consenting(service)
    _, event = a_day(service, 2)
    monkeypatch.setattr("recbole_esmr.serving.store.PATIENCE", 0.1)
    quick = Service(service.artifact(), Store(tmp_path / "people.sqlite"), Seal.of_file(tmp_path / "key"))
    with sqlite3.connect(tmp_path / "people.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"database is locked.*send the same again"):
            quick.accept("p1", None, [event])
        assert quick.recommend("p1", None, Request(3, 6)).slate.items, "a reader does not wait"
        other.execute("ROLLBACK")
    assert quick.accept("p1", None, [event]) == {"new": 1, "known": 0}
    with pytest.raises(ConfigError, match="there is no such file"):
        Store.existing(tmp_path / "typo.sqlite")
    assert not (tmp_path / "typo.sqlite").exists()
    with pytest.raises(StoreError, match="unable to open"):
        Store(tmp_path / "no" / "folder" / "people.sqlite")
    with pytest.raises(ConfigError, match="neither a path nor a URL"):
        Store("nothing://")


def test_many_threads_lose_no_event(service):
    consenting(service)
    errors = []

    def send(thread):
        try:
            for number in range(10):
                said = {"id": f"{thread}-{number}", "day": 2, "shown": [{"item": f"v{number + 1}", "watch_ratio": 0.5}]}
                service.accept("p1", None, [said])
                service.recommend("p1", None, Request(3, 5))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=send, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    known = service.profile("p1", None)
    assert not errors and len(known["events"]) == 61 and len(known["profile"]["days"][0]["shown"]) == 60


WRITER = """
import sys
from recbole_esmr.serving.store import Store
store, number = Store(sys.argv[1]), 0
while True:
    with store.changing() as connection:
        known = store.profile(connection, "p1", change=True)
        count = 0 if known is None else known["count"]
        store.keep_events(connection, "p1", [{"id": f"{sys.argv[2]}-{number}", "day": 1}])
        store.keep_profile(connection, "p1", '{"count": %d}' % (count + 1))
    print(f"{sys.argv[2]}-{number}", flush=True)
    number += 1
"""


def test_a_killed_writer_loses_nothing_that_it_has_confirmed(tmp_path):
    """kill -9 in the middle of writing, five times: every confirmed event is there, and the profile agrees with the events."""
    confirmed, path = [], tmp_path / "people.sqlite"
    Store(path)
    for life in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(life)], stdout=subprocess.PIPE, text=True, env={**os.environ}
        )
        for _ in range(20 + 7 * life):
            confirmed.append(writer.stdout.readline().strip())
        writer.send_signal(signal.SIGKILL)
        confirmed += [line for line in writer.stdout.read().splitlines() if line.count("-") == 1 and not line.endswith("-")]
        writer.wait()
    store = Store(path)
    with store.reading() as connection:
        kept = [event["id"] for event in store.person_events(connection, "p1")]
        assert set(confirmed) <= set(kept) and len(kept) == len(set(kept))
        assert store.profile(connection, "p1")["count"] == len(kept)
        assert len(kept) - len(confirmed) <= 5, "what was written and not yet confirmed"


# -- the log -----------------------------------------------------------------------------------------------------------------


def test_a_log_is_a_data_set_with_chances_and_nobody_who_withdrew(service, artifact, tmp_path):
    for person in ("p1", "p2", "gone", "never"):
        if person != "never":
            consenting(service, person)
        for day in range(2, 8):
            service.accept(person, None, [a_day(service, day, person=person)[1]])
    service.accept("gone", None, [{"id": "no", "day": 9, "consent": False}])
    service.put_items([{"item": "new", "emotion": "happy"}])
    rows = write_log(service._store, artifact, tmp_path / "served")
    frames = {suffix: pd.read_csv(tmp_path / "served" / f"served.{suffix}", sep="\t") for suffix in rows}
    assert set(frames["inter"]["user_id:token"]) == set(frames["user"]["user_id:token"]) == {"p1", "p2"}
    assert rows["imp"] == 2 * 6 * 6 and frames["imp"]["propensity:float"].between(1e-4, 1).all()
    assert (frames["imp"]["propensity:float"] < 1).any() and "new" in set(frames["item"]["item_id:token"])
    data = load_split(Config("ESMR", str(tmp_path / "served"), config_dict={"state": "ERROR"}, arguments=[]))
    trace = data.trace
    assert trace.emotion[1:].max() == artifact.taxonomy.labels.index("lonely") and trace.days == 6
    seen = data.impressions
    assert len(seen) == 72 and np.isfinite(seen.propensity).all() and seen.has_skips
    number = {name: place for place, name in enumerate(data.field2id_token["item_id"])}
    for name in frames["inter"]["item_id:token"].unique():
        assert data.catalogue.share[number[name]] == pytest.approx(
            artifact.stock.catalogue.share[artifact.stock.number[name]], abs=1e-5
        )


def test_a_store_of_nobody_gives_no_log(service, artifact, tmp_path):
    with pytest.raises(DataError, match="nothing that was shown"):
        write_log(service._store, artifact, tmp_path / "served")
    assert not (tmp_path / "served").exists()


def test_a_budget_is_kept_over_people_who_come_one_by_one(artifact):
    """One newcomer after the other, each served once: together they keep the floor of the engagement, as a crowd would."""
    from recbole_esmr.serving.core import rank_for
    from recbole_esmr.serving.profile import Profile
    from recbole_esmr.serving.spending import Spending
    from tests.test_serving_core import lived

    people = [lived(artifact, days=4, seed=seed) for seed in range(8)]
    spending, kept, usual = replace(Spending.of(artifact), multiplier=1.0), 0.0, 0.0
    rng = np.random.default_rng(0)
    for number in range(450):
        profile = people[number % 8] if number % 3 else Profile(consent=True)
        offer = tuple(np.array(artifact.stock.names[1:])[rng.random(len(artifact.stock.names) - 1) < 0.6])
        receipt = rank_for(artifact, profile, Request(6, 6, items=offer), spending).receipt
        spending = spending.after(receipt, [], 6, artifact, True)
        if number >= 150:
            kept, usual = kept + receipt.kept, usual + receipt.usual
    assert kept / usual == pytest.approx(artifact.floor, abs=0.01), "whatever multiplier it began with"


def test_time_is_not_read(service, monkeypatch):
    """A slate is a function of what is asked: the clock is none of it."""
    consenting(service)
    one = service.recommend("p1", None, Request(5, 6)).slate.items
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert service.recommend("p1", None, Request(5, 6)).slate.items == one
