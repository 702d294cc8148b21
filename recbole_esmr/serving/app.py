"""The service over HTTP: routes, and what each status means. What is done stands in :mod:`~recbole_esmr.serving.service`."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import anyio.to_thread
import torch
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

import recbole_esmr
from recbole_esmr.errors import ESMRError
from recbole_esmr.label.labeller import Label, Labeller
from recbole_esmr.model.tree_walk import compiled
from recbole_esmr.serving import contracts as say
from recbole_esmr.serving import core
from recbole_esmr.serving.artifact import load_artifact
from recbole_esmr.serving.guarded import Guarded
from recbole_esmr.serving.profile import day_number
from recbole_esmr.serving.sealing import Seal
from recbole_esmr.serving.service import Service
from recbole_esmr.serving.store import Store, StoreError
from recbole_esmr.serving.trial.plan import read_plan

LARGEST = 4_000_000
"""Bytes of a request."""

ENVIRONMENT = "RECBOLE_ESMR_SERVE"
"""Variable by which worker processes are told how to serve."""

THREADS = 1
"""Requests that are worked on at once in a process: several would take turns at the interpreter's lock, and all be late."""

LABELS = 20_000
"""Texts whose labels are remembered."""

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    422: {"model": say.Problem, "description": "something is wrong with the request; nobody is touched"},
    503: {"model": say.Problem, "description": "the store cannot be used now; the same can be sent again"},
}


@dataclass(frozen=True)
class Serving:
    """How to serve.

    Attributes:
        artifact: folder that ``recbole-esmr export`` wrote.
        store: path of an SQLite file, or a URL of SQLAlchemy.
        key: file of the keys that seal profiles and receipts.
        api_keys: file of keys of which callers must send one, one a line; None lets everybody in.
        explore: share of the places that are drawn at random.
        rate: requests a second of a caller; 0 for any number.
        keys: of the gate, the limits and the floors, instead of the artifact's own.
        trust: file of the public key that must have signed the artifact.
        plan: file of a trial's plan.
    """

    artifact: str
    store: str
    key: str
    api_keys: str | None = None
    explore: float = 0.0
    rate: float = 0.0
    keys: tuple[tuple[str, Any], ...] = ()
    trust: str | None = None
    plan: str | None = None

    def service(self) -> Service:
        """What serves.

        Raises:
            ESMRError: a file that is missing, damaged or something else; a store that cannot be opened.
        """
        artifact = load_artifact(self.artifact, dict(self.keys), self.trust)
        plan = read_plan(self.plan) if self.plan else None
        compiled()  # before the first request waits for it
        return Service(artifact, Store(self.store), Seal.of_file(self.key), self.explore, plan)

    def callers(self) -> frozenset[str]:
        """The API keys."""
        return frozenset(Path(self.api_keys).read_text(encoding="utf-8").split()) if self.api_keys else frozenset()

    def in_environment(self) -> None:
        """Tell worker processes."""
        os.environ[ENVIRONMENT] = json.dumps(asdict(self))


def from_environment() -> FastAPI:
    """The application as :meth:`Serving.in_environment` says, for a worker process."""
    said = json.loads(os.environ[ENVIRONMENT])
    how = Serving(**{**said, "keys": tuple(tuple(pair) for pair in said["keys"])})
    torch.set_num_threads(1)
    return create_app(how.service(), how.callers(), how.rate)


def create_app(
    service: Service, callers: frozenset[str] = frozenset(), rate: float = 0.0, labeller: Labeller | None = None,
    today: Callable[[], date] = lambda: datetime.now(timezone.utc).date(),
) -> FastAPI:  # fmt: skip
    """The application.

    Args:
        service: what it serves.
        callers: API keys; none lets everybody in.
        rate: requests a second of a caller, on average; 0 for any number.
        labeller: of posts; VADER unless given.
        today: the day that it is.
    """
    figures = _Figures()

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        yield

    app = FastAPI(
        title="recbole-esmr",
        version=recbole_esmr.__version__,
        summary="Feeds that know a person's emotional trajectory, with the person's consent.",
        lifespan=life,
        responses=_PROBLEMS,
        redoc_url=None,
    )
    app.add_middleware(Guarded, keys=callers, largest=LARGEST, rate=rate, measured=figures.measured)
    labels = _Labels(labeller)

    def numbered(day: int | str | None) -> int:
        return day_number(today().isoformat() if day is None else day, "day")

    def request_of(asked: say.RecommendRequest) -> core.Request:
        items = None if asked.items is None else tuple(asked.items)
        return core.Request(numbered(asked.day), asked.size, items, asked.goal, asked.rerank)

    @app.exception_handler(RequestValidationError)
    def _refused(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][:12])
        return JSONResponse({"error": f"{where}: {first['msg']}"[:500]}, 422)

    @app.exception_handler(StoreError)
    def _unreachable(_: Request, error: StoreError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 503, {"Retry-After": "1"})

    @app.exception_handler(ESMRError)
    def _wrong(_: Request, error: ESMRError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 422)

    @app.post("/v1/recommend", tags=["feeds"])
    def recommend(asked: say.RecommendRequest) -> say.RecommendResponse:
        """A slate. The same request gives the same slate until something happens; nothing is written."""
        served = service.recommend(asked.person, asked.profile, request_of(asked), asked.salt)
        slate = served.slate
        figures.slate(slate.acted)
        rows = zip(slate.items, slate.propensity, slate.drawn, strict=True)
        items = [say.SlateItem(item=item, propensity=chance, drawn=drawn) for item, chance, drawn in rows]
        return say.RecommendResponse(items=items, usual=list(slate.usual), acted=slate.acted, receipt=served.receipt)

    @app.post("/v1/explain", tags=["feeds"])
    def explain(asked: say.RecommendRequest) -> dict[str, Any]:
        """Why the slate is as it is: each item's value in parts that add up to it."""
        return service.explain(asked.person, asked.profile, request_of(asked))

    @app.post("/rank", tags=["feeds"])
    def rank(asked: say.RankingRequest) -> say.RankingResponse:
        """A page of posts re-ranked, in the contract of the Prosocial Ranking Challenge."""
        texts = [f"{post.title}. {post.text}" if post.title else post.text for post in asked.items]
        day = (asked.session.current_time.date() - date(1970, 1, 1)).days
        found = service.posts(asked.session.user_id, labels.of(texts), day)
        figures.slate(found.acted)
        ids = [asked.items[place].id for place in found.order]
        return say.RankingResponse(ranked_ids=ids, metadata=say.RankingMetadata(intervention_on=found.acted))

    @app.post("/v1/events", tags=["people"])
    def events(asked: say.EventsRequest) -> say.EventsResponse:
        """What happened to a person. All events are read, or none; each counts once."""
        said = [event.model_dump(exclude_unset=True) for event in asked.events]
        latest = (today() - date(1970, 1, 1)).days + 1  # in some time zone it is tomorrow already
        return say.EventsResponse(**service.accept(asked.person, asked.profile, said, latest))

    @app.post("/v1/profile", tags=["people"])
    def profile(asked: say.Person) -> dict[str, Any]:
        """All that is known of a person."""
        return service.profile(asked.person, asked.profile)

    @app.post("/v1/profile/new", tags=["people"])
    def new_profile(asked: say.NewProfileRequest) -> say.SealedProfile:
        """A sealed profile that the person keeps; the server remembers nothing of it."""
        return say.SealedProfile(profile=service.sealed(asked.document))

    @app.post("/v1/profile/delete", tags=["people"])
    def delete(asked: say.PersonOnly) -> say.Deleted:
        """Forget a person."""
        return say.Deleted(deleted=service.delete(asked.person))

    @app.put("/v1/items", tags=["items"])
    def put_items(asked: say.ItemsRequest) -> say.Changed:
        """Add items, or change those that are known."""
        return say.Changed(items=service.put_items(asked.items))

    @app.post("/v1/items/withdraw", tags=["items"])
    def withdraw(asked: say.WithdrawRequest) -> say.Changed:
        """Show some items no more; what people saw of them still counts."""
        return say.Changed(items=service.withdraw_items(asked.items))

    @app.get("/v1/artifact", tags=["server"])
    def artifact() -> dict[str, Any]:
        """What is served: its emotions, columns, effects and keys."""
        return service.artifact().card()

    @app.get("/healthz", tags=["server"], responses={503: {}})
    def healthy() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["server"])
    def ready() -> dict[str, str]:
        """Whether it can serve: the artifact is loaded, and the store can be read."""
        service.ready()
        return {"status": "ready"}

    @app.get("/metrics", tags=["server"], response_class=Response)
    def metrics() -> Response:
        """Figures for Prometheus; none is of a person."""
        figures.multiplier.set(service.multiplier())
        return Response(figures.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    def page() -> HTMLResponse:
        return HTMLResponse(_page(), headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"})

    return app


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'"


@lru_cache
def _page() -> str:
    return (Path(__file__).parent / "feed.html").read_text(encoding="utf-8")


class _Labels:
    """Labels of texts, made once each; the labeller is loaded at the first text."""

    def __init__(self, labeller: Labeller | None) -> None:
        self._labeller = labeller
        self._one = lru_cache(LABELS)(self._label)

    def of(self, texts: list[str]) -> list[Label]:
        return [self._one(text) for text in texts]

    def _label(self, text: str) -> Label:
        if self._labeller is None:
            from recbole_esmr.label.vader import Vader

            self._labeller = Vader()
        return next(self._labeller.label([text]))


class _Figures:
    """What Prometheus reads; of several processes together where PROMETHEUS_MULTIPROC_DIR is set."""

    def __init__(self) -> None:
        self._shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self._registry = CollectorRegistry()
        at: dict[str, Any] = {"registry": None if self._shared else self._registry}
        labels = ["route", "status"]
        self._seconds = Histogram(
            "esmr_request_seconds", "seconds of requests", labels,
            buckets=(0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.1, 0.25, 1, 5), **at,
        )  # fmt: skip
        self._slates = Counter("esmr_slates", "slates made", ["acted"], **at)
        self.multiplier = Gauge("esmr_budget_multiplier", "of the engagement budget", multiprocess_mode="mostrecent", **at)

    def measured(self, route: str, status: int, seconds: float) -> None:
        """A request has been answered."""
        self._seconds.labels(route, str(status)).observe(seconds)

    def slate(self, acted: bool) -> None:
        """A slate has been made."""
        self._slates.labels(str(acted).lower()).inc()

    def text(self) -> bytes:
        """The figures as Prometheus reads them."""
        if not self._shared:
            return bytes(generate_latest(self._registry))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return bytes(generate_latest(registry))
