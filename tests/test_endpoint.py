"""A recommender behind an address: a real server is walked as the same policy in the process; wrong answers are one line."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from recbole_esmr.cli import main
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.evaluator.puppets import Arm, audit_arm, pools
from recbole_esmr.feed import Observation
from recbole_esmr.policy.endpoint import Endpoint

ITEMS = np.array([f"v{number}" for number in range(40)])
ANGRY = np.arange(40) % 5 == 0


@contextmanager
def _served(answer):
    """The address of a server whose answer to a request's JSON is ``answer(asked)``: JSON, or bytes as they are."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            said = answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/rank"
    finally:
        server.shutdown()
        server.server_close()


def _more_of_the_same(asked):
    """Angry items first for who watched more angry ones than others; otherwise in the order of the offer."""
    angry = set(ITEMS[ANGRY])

    def slate(person):
        watched = [one["item"] in angry for one in person["history"] if one["watched"] > 0]
        amplifies = sum(watched) > len(watched) / 2
        return sorted(asked["items"], key=lambda item: (item not in angry) if amplifies else 0)[: asked["size"]]

    return {"slates": [slate(person) for person in asked["people"]]}


def _audited(url):
    arm = Arm("angry", ANGRY.astype(float))
    return audit_arm(Endpoint(url), ITEMS, arm, pools(40, 9, 0.5, 10, np.random.default_rng(1)), 5, 3, 8)


def test_what_a_server_does_with_what_was_watched_is_found():
    with _served(_more_of_the_same) as url:
        found = _audited(url)
    assert found["effect"]["low"] > 0.2 and found["beyond_control"]["low"] > 0.2
    with _served(lambda asked: {"slates": [asked["items"][: asked["size"]]] * len(asked["people"])}) as url:
        assert _audited(url)["effect"]["mean"] == 0, "it does not react"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda _: b"no json", "gave no answer in JSON"),
        (lambda _: {"items": []}, "expected the answer"),
        (lambda asked: {"slates": [["v1"]]}, "with 2 lists, one a person"),
        (lambda asked: {"slates": [["v99"], []]}, "names 'v99', which is not on offer"),
        (lambda asked: {"slates": [["v39"], []]}, "names 'v39', which is not on offer"),
        (lambda asked: {"slates": [[3], []]}, "names '3', which is not on offer"),
        (lambda asked: {"slates": [["v1", "v1"], []]}, "an item twice"),
    ],
)
def test_a_wrong_answer_is_one_line(answer, says):
    morning = Observation(1, np.ones(2, dtype=bool), np.full(2, 3), np.arange(40) < 30)
    with _served(answer) as url:
        policy = Endpoint(url)
        policy.reset(np.array(["a", "b"]), ITEMS)
        with pytest.raises(DataError, match=says):
            policy.recommend(morning)
    with pytest.raises(DataError, match="gave no answer"):
        policy.recommend(morning)  # nobody is there any more


def test_only_addresses_of_the_web_are_asked():
    with pytest.raises(ConfigError, match="http:// or https://"):
        Endpoint("file:///etc/passwd")


def test_the_command_walks_an_address(trained, monkeypatch, capsys):
    monkeypatch.setattr("recbole_esmr.evaluator.leak.LOTS", 2)
    small = ["--rounds=3", "--puppets=2", "--slate=4", "--output=audit.json", "--quiet"]
    with _served(lambda asked: {"slates": [asked["items"][: asked["size"]]] * len(asked["people"])}) as url:
        assert main(["audit", f"--checkpoint={trained[0]['checkpoint']}", f"--endpoint={url}", *small]) == 0
    found = json.loads(Path("audit.json").read_text())
    assert all(arm["effect"]["mean"] == 0 for arm in found["policies"][url]) and url in capsys.readouterr().out
