"""What clients may send and what they get, as OpenAPI shows it. What the values mean is checked where they are read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

LongText = Annotated[str, Field(max_length=400_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[int, Field(ge=-100_000_000, le=100_000_000)]
Date = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Strict(BaseModel):
    """Unknown fields, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class Person(Strict):
    """Whose: a person whose profile the server keeps, or the sealed profile that somebody keeps themself. Give one of them."""

    person: Name | None = Field(None, description="id of a person whose profile the server keeps", examples=["p1"])
    profile: LongText | None = Field(None, description="sealed profile, as the server gave it")


class RecommendRequest(Person):
    """What is asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"person": "p1", "size": 10, "day": "2026-03-01"}]})

    day: Number | Date | None = Field(None, description="a date, or a day's number; today (UTC) unless given")
    size: int = Field(10, ge=1, le=500, description="items of the slate")
    items: list[Name] | None = Field(None, max_length=10_000, description="items on offer; all unless given")
    goal: Name | None = Field(None, description="what the person asks for: uplift, calm, prefer STRATEGY or avoid STRATEGY")
    rerank: bool = Field(True, description="false gives the engagement ranking alone")
    salt: Annotated[str, Field(max_length=200)] = Field("", description="tells apart requests whose draws shall differ")


class SlateItem(BaseModel):
    """An item of a slate."""

    item: str
    propensity: float = Field(description="chance to stand in this place, given those before it")
    drawn: bool = Field(description="whether the place was drawn at random")


class RecommendResponse(BaseModel):
    """A slate."""

    items: list[SlateItem]
    usual: list[str] = Field(description="what the engagement ranking would show")
    acted: bool = Field(description="whether the re-ranker changed anything")
    receipt: str = Field(description="send it back as `slate` of the event that says what was watched")


class ShownItem(Strict):
    """An item that was shown."""

    item: Name
    watch_ratio: float = Field(ge=0, le=1, description="share that was watched, 0 for a skip")


class EventIn(Strict):
    """Something that happened, or that the person said. Counts once an id."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"id": "e1", "day": "2026-03-01", "consent": True},
                {"id": "e2", "day": "2026-03-01", "shown": [{"item": "v1", "watch_ratio": 0.8}], "emotion": "happy"},
            ]
        }
    )

    id: Name
    day: Number | Date
    shown: list[ShownItem] = Field(default_factory=list, max_length=500)
    emotion: Name | None = Field(None, description="a label that the person reported")
    behaviour: dict[Name, float] = Field(default_factory=dict, description="numbers of the day by column")
    consent: bool | None = Field(None, description="whether emotion and behaviour may be read from now on")
    goal: Annotated[str, Field(max_length=200)] | None = Field(None, description="what the person asks for from now on")
    group: Name | None = Field(None, description="one of the groups that the training knew")
    slate: LongText | None = Field(None, description="the receipt of the slate that was shown")


class EventsRequest(Person):
    """Events of one person."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"person": "p1", "events": [{"id": "e1", "day": "2026-03-01", "consent": True}]}]}
    )

    events: list[EventIn] = Field(max_length=500)


class EventsResponse(BaseModel):
    """What was read."""

    new: int
    known: int = Field(description="events that had counted before")
    profile: str | None = Field(None, description="of who keeps their own: the sealed profile from now on")


class NewProfileRequest(Strict):
    """A profile that the person keeps from now on."""

    document: dict[str, Any] | None = Field(None, description="an exported profile to begin with; an empty one unless given")


class SealedProfile(BaseModel):
    """A profile that only this server can open."""

    profile: str


class PersonOnly(Strict):
    """A person whose profile the server keeps."""

    person: Name = Field(examples=["p1"])


class Deleted(BaseModel):
    """Whether somebody was forgotten."""

    deleted: bool


class ItemsRequest(Strict):
    """Items to add or change."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [{"item": "v900", "emotion": "happy", "intensity": 0.8, "duration": 20}]}]}
    )

    items: list[dict[str, Any]] = Field(max_length=10_000)


class WithdrawRequest(Strict):
    """Items that are shown no more."""

    items: list[Name] = Field(max_length=10_000, examples=[["v900"]])


class Changed(BaseModel):
    """How many items."""

    items: int


class Problem(BaseModel):
    """What is wrong, and how to mend it."""

    error: str


# -- the contract of the Prosocial Ranking Challenge; only what is read of it, all else may be there --------------------------


class Session(BaseModel):
    """Of a page view."""

    user_id: Name
    current_time: datetime


class Post(BaseModel):
    """A post or comment."""

    id: Name
    text: Annotated[str, Field(max_length=100_000)]
    title: Annotated[str, Field(max_length=10_000)] | None = None


class RankingRequest(BaseModel):
    """A page of posts in their original order (PyPI: ranking-challenge)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "session": {"user_id": "p1", "current_time": "2026-03-01 12:00:00"},
                    "items": [{"id": "a", "text": "What an awful day"}, {"id": "b", "text": "What a lovely day"}],
                }
            ]
        }
    )

    session: Session
    items: list[Post] = Field(max_length=1000)


class RankingMetadata(BaseModel):
    """Of the ranking."""

    intervention_on: bool


class RankingResponse(BaseModel):
    """The ids in the order in which they should be shown."""

    ranked_ids: list[str]
    metadata: RankingMetadata
