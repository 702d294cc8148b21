"""The service over HTTP: what each status means, whoever asks, however often, whatever they send."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from contextlib import contextmanager
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from recbole_esmr.errors import ConfigError
from recbole_esmr.label.labeller import Label
from recbole_esmr.serving.app import create_app
from recbole_esmr.serving.core import Request
from recbole_esmr.serving.posts import in_taxonomy, rank_posts
from recbole_esmr.serving.profile import Profile
from recbole_esmr.serving.running import _is_own, serving_keys
from recbole_esmr.serving.sealing import Seal
from recbole_esmr.serving.service import Service
from recbole_esmr.serving.store import Store, StoreError
from tests.test_report import BROWSER, seen_in_browser
from tests.test_serving_core import lived

TODAY = date(2026, 3, 10)


@pytest.fixture
def service(artifact, tmp_path):
    return Service(artifact, Store(tmp_path / "people.sqlite"), Seal.of_file(tmp_path / "key"))


@pytest.fixture
def client(service):
    return TestClient(create_app(service, today=lambda: TODAY), raise_server_exceptions=False)


def say(client, path, method="post", **body):
    answer = getattr(client, method)(path, json=body)
    return answer.status_code, answer.json()


def test_a_day_of_a_person(client):
    assert say(client, "/v1/events", person="p1", events=[{"id": "a", "day": "2026-03-01", "consent": True}])[1]["new"] == 1
    status, slate = say(client, "/v1/recommend", person="p1", size=4)
    assert status == 200 and len(slate["items"]) == 4 and all(item["propensity"] == 1 for item in slate["items"])
    shown = [{"item": item["item"], "watch_ratio": 0.5} for item in slate["items"]]
    event = {"id": "b", "day": "2026-03-10", "shown": shown, "emotion": "happy", "slate": slate["receipt"]}
    assert say(client, "/v1/events", person="p1", events=[event]) == (200, {"new": 1, "known": 0, "profile": None})
    known = say(client, "/v1/profile", person="p1")[1]
    assert known["profile"]["days"][0]["emotion"] == "happy" and len(known["events"]) == 2
    reasons = say(client, "/v1/explain", person="p1", size=4)[1]
    assert [item["item"] for item in reasons["items"]] == [item["item"] for item in slate["items"]], "today's events wait"
    assert say(client, "/v1/profile/delete", person="p1") == (200, {"deleted": True})
    assert say(client, "/v1/profile", person="p1")[0] == 422


def test_a_person_who_keeps_their_own_profile(client):
    sealed = say(client, "/v1/profile/new")[1]["profile"]
    said = [{"id": "a", "day": "2026-03-01", "consent": True, "emotion": "lonely"}]
    sealed = say(client, "/v1/events", profile=sealed, events=said)[1]["profile"]
    assert say(client, "/v1/recommend", profile=sealed, size=3)[0] == 200
    mine = say(client, "/v1/profile", profile=sealed)[1]
    assert mine["profile"]["days"][0]["emotion"] == "lonely" and mine["events"] == []
    moved = say(client, "/v1/profile/new", document=mine["profile"])[1]["profile"]
    assert say(client, "/v1/profile", profile=moved)[1] == mine


WRONG = {
    "nan": ('{"person":"p1","events":[{"id":"b","day":1,"shown":[{"item":"v1","watch_ratio":NaN}]}]}', "watch_ratio"),
    "percent": (
        '{"person":"p1","events":[{"id":"b","day":1,"shown":[{"item":"v1","watch_ratio":80}]}]}',
        "less than or equal to 1",
    ),
    "infinite": ('{"person":"p1","events":[{"id":"b","day":1,"behaviour":{"scrolling_time":Infinity}}]}', "finite"),
    "label": ('{"person":"p1","events":[{"id":"b","day":1,"emotion":"hapy"}]}', "Did you mean 'happy'"),
    "item": ('{"person":"p1","events":[{"id":"b","day":1,"shown":[{"item":"w1","watch_ratio":1}]}]}', "there is no item 'w1'"),
    "future": ('{"person":"p1","events":[{"id":"b","day":"2026-03-12"}]}', "has not come yet"),
    "text for a number": ('{"person":"p1","events":[{"id":"b","day":1,"shown":[{"item":"v1","watch_ratio":"1"}]}]}', "number"),
    "unknown field": ('{"person":"p1","events":[{"id":"b","day":1,"mood":"sad"}]}', "mood"),
    "nobody": ('{"events":[{"id":"b","day":1}]}', "give either 'person'"),
    "a name with a line end": ('{"person":"p\\n1","events":[]}', "printable"),
    "no json": ("{", "JSON"),
    "empty": ("", "Field required"),
    "a list": ("[]", "body"),
}


@pytest.mark.parametrize("body, message", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_422_and_changes_nothing(client, body, message):
    say(client, "/v1/events", person="p1", events=[{"id": "a", "day": 1, "consent": True}])
    before = say(client, "/v1/profile", person="p1"), say(client, "/v1/recommend", person="p1", day=2)[1]["items"]
    answer = client.post("/v1/events", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422 and message in answer.json()["error"]
    assert (say(client, "/v1/profile", person="p1"), say(client, "/v1/recommend", person="p1", day=2)[1]["items"]) == before


def test_items_over_http(client, artifact):
    offer = [*artifact.stock.names[1:4], "new"]
    assert say(client, "/v1/recommend", person="p1", items=offer)[0] == 422
    assert say(client, "/v1/items", "put", items=[{"item": "new", "emotion": "happy"}]) == (200, {"items": 1})
    assert len(say(client, "/v1/recommend", person="p1", items=offer)[1]["items"]) == 4
    assert say(client, "/v1/items/withdraw", items=["new"]) == (200, {"items": 1})
    assert len(say(client, "/v1/recommend", person="p1", items=offer)[1]["items"]) == 3
    assert say(client, "/v1/recommend", person="p1", items=["new"])[0] == 422


# -- who may ask, how much, how often ------------------------------------------------------------------------------------------


def test_keys_are_asked_for_wherever_people_are(service):
    client = TestClient(create_app(service, frozenset({"one", "two"})))
    for path in ("/v1/recommend", "/v1/events", "/v1/profile", "/v1/explain", "/v1/items", "/rank", "/v1/artifact"):
        for headers in ({}, {"X-API-Key": "three"}, {"Authorization": "Bearer "}):
            assert client.post(path, json={}, headers=headers).status_code == 401
    for headers in ({"X-API-Key": "one"}, {"Authorization": "Bearer two"}):
        assert client.post("/v1/recommend", json={"person": "p1"}, headers=headers).status_code == 200
    assert [client.get(path).status_code for path in ("/healthz", "/readyz", "/metrics", "/")] == [200] * 4


def test_a_large_or_hasty_caller_is_told_so(service):
    client = TestClient(create_app(service, rate=3.0))
    assert client.post("/v1/events", content=b" " * 4_000_001).status_code == 413
    assert client.post("/v1/events", content=(b" " * 1_000_000 for _ in range(5))).status_code == 413, "sent in parts"
    status = [client.post("/v1/recommend", json={"person": "p1", "size": 1}).status_code for _ in range(5)]
    assert 429 in status and client.get("/healthz").status_code == 200
    assert client.post("/v1/recommend", json={"person": "p1"}).headers.get("retry-after") == "1"


def test_a_store_that_is_gone_is_503(client, service, monkeypatch):
    def gone(*_, **__):
        raise StoreError("the store cannot be used now. Nothing was written: send the same again.")

    monkeypatch.setattr(service._store, "kept", gone)
    for path in ("/v1/recommend", "/v1/events"):
        status, said = say(client, path, person="p1", **({"events": []} if path == "/v1/events" else {}))
        assert status == 503 and "send the same again" in said["error"]
    assert client.get("/readyz").status_code == 503 and client.get("/healthz").status_code == 200


def test_nothing_that_was_said_is_logged(client, caplog):
    with caplog.at_level(logging.INFO, logger="recbole_esmr.serving"):
        say(client, "/v1/events", person="secret-person", events=[{"id": "a", "day": 1, "consent": True, "emotion": "lonely"}])
        say(client, "/v1/events", person="secret-person", events=[{"id": "a", "day": 1, "emotion": "lonelyy"}])
        say(client, "/v1/recommend", person="secret-person")
        posts = [{"id": "x", "text": "secret text"}, {"id": "y", "text": "another"}]
        say(client, "/rank", session={"user_id": "secret-person", "current_time": "2026-03-01 12:00:00"}, items=posts)
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "recbole_esmr.serving"]
    assert [line["route"] for line in lines] == ["/v1/events", "/v1/events", "/v1/recommend", "/rank"]
    assert not any(word in caplog.text for word in ("secret", "lonely"))
    figures = client.get("/metrics").text
    assert 'esmr_request_seconds_count{route="/v1/events",status="422"} 1.0' in figures and "secret" not in figures


# -- anything that may be sent -------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("person", "profile", "day", "size", "items", "goal", "rerank", "salt", "events", "document", "session")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(
        ["/v1/recommend", "/v1/events", "/v1/profile", "/v1/profile/new", "/v1/explain", "/v1/profile/delete", "/rank"]
    ),
    body=st.dictionaries(st.sampled_from(FIELDS), VALUES | st.sampled_from(["p1", "2026-03-01", 3]), max_size=4),
)
def test_nothing_that_is_sent_is_a_500(client, path, body):
    assert client.post(path, json=body).status_code in (200, 422)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    event=st.dictionaries(
        st.sampled_from(["id", "day", "shown", "emotion", "behaviour", "consent", "goal", "group", "slate"]), VALUES
    )
)
def test_no_event_is_a_500(client, event):
    answer = client.post("/v1/events", json={"person": "p1", "events": [{"id": "a", "day": 3, **event}]})
    assert answer.status_code in (200, 422) and client.post("/v1/recommend", json={"person": "p1", "day": 5}).status_code == 200


# -- posts ---------------------------------------------------------------------------------------------------------------------


class Words:
    """A labeller for tests: a text is what its first word says."""

    name, english, emotions = "words", False, {"unpleasant": [-1, 0], "neutral": [0, 0], "pleasant": [1, 0]}

    def label(self, texts):
        for text in texts:
            yield Label({text.split()[0]: 1.0})


def test_a_page_of_posts_is_reranked_by_the_published_contract(service):
    """What ranking-challenge's own classes send is read, and what they expect comes back."""
    challenge = pytest.importorskip("ranking_challenge.request")
    answer_of = pytest.importorskip("ranking_challenge.response").RankingResponse
    client = TestClient(create_app(service, labeller=Words()))
    texts = [f"{kind} {place}" for place, kind in enumerate(["unpleasant", "unpleasant", "neutral", "pleasant", "pleasant"] * 4)]
    posts = [
        challenge.ContentItem(
            id=f"post-{place}", text=text, author_name_hash="x", type="post", embedded_urls=[], created_at="2026-03-01 10:00:00",
            engagements={"retweet": 1, "like": 2, "comment": 3, "share": 4},
        )
        for place, text in enumerate(texts)
    ]  # fmt: skip
    session = challenge.Session(
        session_id="s", user_id="p1", user_name_hash="h", platform="twitter", url="https://x.com/home",
        current_time="2026-03-02 12:00:00",
    )  # fmt: skip
    asked = challenge.RankingRequest(session=session, items=posts).model_dump(mode="json")
    ids = [post.id for post in posts]
    answer = client.post("/rank", json=asked)
    found = answer_of(**answer.json())
    assert answer.status_code == 200 and found.ranked_ids == ids and not found.metadata.intervention_on, (
        "without consent as it came"
    )
    say(client, "/v1/events", person="p1", events=[{"id": "a", "day": "2026-03-01", "consent": True}])
    found = answer_of(**client.post("/rank", json=asked).json())
    assert sorted(found.ranked_ids) == sorted(ids) and found.metadata.intervention_on
    pleasant = [post.id for post in posts if post.text.startswith("pleasant")]
    assert sum(map(found.ranked_ids.index, pleasant)) < sum(map(ids.index, pleasant)), "they come earlier"
    assert say(client, "/rank", session={"user_id": "p1", "current_time": "2026-03-02 12:00:00"}, items=[])[1]["ranked_ids"] == []


def test_posts_keep_the_share_of_what_their_order_promises(artifact):
    import numpy as np

    labels = [Label({kind: 1.0}) for kind in ["unpleasant"] * 12 + ["pleasant"] * 12]
    profile = lived(artifact)
    found = rank_posts(artifact, profile, labels, 21)
    gain = 1 / np.log2(2 + np.arange(24))
    kept = gain[list(found.order[:10])].sum() / gain[:10].sum()
    assert found.acted and artifact.floor - 0.01 <= kept < 1
    assert rank_posts(artifact, Profile(), labels, 21).order == tuple(range(24)), "nothing is read without consent"
    assert rank_posts(artifact, profile, [], 21).order == () and rank_posts(artifact, profile, labels[:1], 21).order == (0,)


def test_a_labeller_of_polarity_is_read_by_the_emotions_of_the_artifact(artifact):
    found = in_taxonomy(artifact, [Label({"unpleasant": 0.6, "neutral": 0.4}), Label({"happy": 1.0})])
    valence = artifact.taxonomy.valence
    assert found.sum(axis=1) == pytest.approx([1, 1]) and found[0][valence < 0].sum() == pytest.approx(0.6)
    assert found[1, artifact.taxonomy.labels.index("happy")] == 1


# -- how it is started ---------------------------------------------------------------------------------------------------------


def test_keys_of_serving_alone_may_change():
    assert serving_keys(["--min_engagement=0.99", "--gate=never"]) == {"min_engagement": 0.99, "gate": "never"}
    with pytest.raises(ConfigError, match="Did you mean 'min_engagement'"):
        serving_keys(["--min_engagment=0.9"])
    with pytest.raises(ConfigError, match="unknown key --epochs"):
        serving_keys(["--epochs=3"])


@pytest.mark.parametrize(
    "host, own", [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("example.org", False)]
)
def test_only_this_machine_is_served_without_keys(host, own):
    assert _is_own(host) is own


# -- the page ----------------------------------------------------------------------------------------------------------------


@contextmanager
def served(app):
    """The app on a free port of this machine."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium (Debian: apt-get install chromium)")
def test_a_browser_shows_a_feed_and_what_changed_in_it(service, artifact):
    """What stands on the page is what the API says, a link asks by itself, and nothing comes out on the console."""
    for number in range(8):
        with service._store.changing() as connection:
            service._store.keep_profile(connection, f"p{number}", lived(artifact, seed=number).to_json())
    slates = {f"p{number}": service.recommend(f"p{number}", None, Request(21, 6)).slate for number in range(8)}
    person = next(name for name, slate in slates.items() if slate.acted)
    slate = slates[person]
    with served(create_app(service, today=lambda: TODAY)) as address:
        dom, console = seen_in_browser(f"{address}/#person={person}&day=21&size=6")
        wrong, _ = seen_in_browser(f"{address}/#person={person}&day=tomorrow")
        goal, _ = seen_in_browser(f"{address}/#person={person}&day=21&goal=prefer%20nothing-of-that-name")
    assert not console, console

    def column(name):
        lines = re.findall(r"<li(.*?)</li>", re.search(rf'id="{name}">(.*?)</ol>', dom, re.DOTALL)[1])
        return [(re.sub("<span.*", "", line.partition(">")[2]), "class=" in line) for line in lines]

    assert column("feed") == [(item, item not in slate.usual) for item in slate.items]
    assert column("usual") == [(item, item not in slate.items) for item in slate.usual]
    assert "of the expected engagement is kept" in dom and "left out" in dom and "shown instead" in dom
    assert re.search(r'id="said"[^>]*>Not shown: [^<]*day', wrong) and "<li" not in wrong
    assert re.search(r'id="said"[^>]*>Not shown: [^<]*goal', goal) and "<li" not in goal, "a goal that there is not is said"
