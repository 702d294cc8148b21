"""Before and after every request: who may ask, how much and how often; how long it took. Nothing of what was said is logged."""

from __future__ import annotations

import hmac
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOG = logging.getLogger("recbole_esmr.serving")

OPEN = ("/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json")
"""Paths that need no key."""

CALLERS = 10_000
"""Callers whose rate is remembered."""


@dataclass
class Bucket:
    """A token bucket: so many requests a second on average, and as many at once."""

    rate: float
    left: float = field(init=False)
    last: float = field(init=False)

    def __post_init__(self) -> None:
        self.left, self.last = self.rate, time.monotonic()

    def takes(self) -> bool:
        """Whether another request is within the rate."""
        now = time.monotonic()
        self.left, self.last = min(self.rate, self.left + (now - self.last) * self.rate), now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Guarded:
    """ASGI middleware: keys, sizes, rates, figures and one line of log a request.

    The line holds time, route, status and milliseconds. It never holds a person, an emotion, a text or a key.

    Args:
        app: behind it.
        keys: of which a caller must send one (``Authorization: Bearer KEY`` or ``X-API-Key``); none lets everybody in.
        largest: bytes of a request.
        rate: requests a second of a caller, on average; 0 for any number.
        measured: told route, status and seconds of each request.
    """

    def __init__(
        self, app: Any, keys: frozenset[str], largest: int, rate: float, measured: Callable[[str, int, float], None]
    ) -> None:
        self._app, self._keys, self._largest, self._rate, self._measured = app, keys, largest, rate, measured
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def sent(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refused = self._refused(scope)
            if refused is not None:
                await _answer(sent, *refused)
                return
            body = await self._body(receive)
            if body is None:
                await _answer(sent, 413, f"the request is larger than {self._largest:,} bytes. Send it in parts.")
                return
            await self._app(scope, _once(body, receive), sent)
        finally:
            seconds, route = time.perf_counter() - start, getattr(scope.get("route"), "path", "other")
            self._measured(route, status, seconds)
            line = {"time": round(time.time(), 3), "route": route, "status": status, "ms": round(1000 * seconds, 1)}
            LOG.info(json.dumps(line))

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ").strip()
        if self._keys and scope["path"] not in OPEN:
            right = [hmac.compare_digest(given.encode(), key.encode()) for key in self._keys]
            if not any(right):
                return 401, "no valid API key. Send one as `Authorization: Bearer KEY`."
        if self._rate > 0 and scope["path"] not in OPEN:
            caller = given if self._keys else str((scope.get("client") or ("",))[0])
            bucket = self._buckets.setdefault(caller, Bucket(self._rate))
            self._buckets.move_to_end(caller)
            while len(self._buckets) > CALLERS:
                self._buckets.popitem(last=False)
            if not bucket.takes():
                return 429, f"more than {self._rate:g} requests a second. Wait a moment, and send it again."
        return None

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body; None where it is too large."""
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b""
            part = message.get("body", b"")
            size += len(part)
            if size > self._largest:
                return None
            parts.append(part)
            more = message.get("more_body", False)
        return b"".join(parts)


def _once(body: bytes, receive: Receive) -> Receive:
    """The body again, for the application."""
    given = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _answer(send: Send, status: int, error: str) -> None:
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
