"""Events: what happened, page by page, and what happens, as it comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import FastAPI, Header, Query, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from penstock.api.http.asked import Asked, TheGateway
from penstock.api.http.bodies import Closed, Object
from penstock.api.http.guard import needs, tagged
from penstock.api.http.paging import HIGHEST, Cursor, Limit, decode, encode
from penstock.api.http.problems import Problem
from penstock.model.cloud_events import CloudEvent
from penstock.model.errors import PenstockError
from penstock.operations.gateway import Gateway, Reach

HEARTBEAT = 15
"""Seconds between signs of life; as often it is seen whether the token is still in force."""
LOOKS = 15
MOST_STREAMS = 200

EventName = Literal[
    "execution.started", "execution.completed", "execution.failed", "layer.completed", "quality.issue_detected"
]
Types = Annotated[list[EventName] | None, Query(description="Only these; all by default.")]


class EventShown(Closed):
    """An event in the CloudEvents 1.0 envelope."""

    specversion: Literal["1.0"]
    id: UUID
    source: str
    type: EventName
    subject: UUID
    time: datetime
    datacontenttype: Literal["application/json"]
    partitionkey: str
    sequence: str
    data: Object


class EventPage(Closed):
    """Events, oldest first. `next_cursor` is always there: what comes later is after it."""

    items: list[EventShown]
    next_cursor: str


def register(app: FastAPI) -> None:
    """Add the routes."""
    tags, view = tagged("events"), needs("viewer")
    app.get("/api/v1/events", openapi_extra=view, tags=tags)(events)
    app.get(
        "/api/v1/events/stream",
        openapi_extra=view,
        tags=tags,
        response_class=Response,
        responses={200: {"description": "Events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )(stream)


async def events(asked: Asked, types: Types = None, limit: Limit = 100, cursor: Cursor = None) -> EventPage:
    """What happened, from the oldest event that is kept on."""
    place = decode("events", cursor) or 0
    found = await asked.events.after(place, types=types or (), limit=limit)
    following = encode("events", found[-1].position if found else place)
    return EventPage(items=[EventShown.model_validate(one.document()) for one in found], next_cursor=following)


async def stream(
    request: Request,
    gateway: TheGateway,
    asked: Asked,
    types: Types = None,
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> Response:
    """Server-sent events as they come. With Last-Event-ID those after it, so that none is missed; 0 is the first."""
    if gateway.streams >= MOST_STREAMS:
        detail = f"{MOST_STREAMS} streams are open here; ask another replica, or later."
        raise Problem("unavailable", detail, headers={"Retry-After": "30"})
    place = await asked.events.last() if last_event_id is None else _place(last_event_id)
    told = _told(request, gateway, asked, place, types or [])
    return EventSourceResponse(told, ping=HEARTBEAT, headers={"X-Accel-Buffering": "no"})


def _place(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > HIGHEST:
        raise Problem("invalid", "header.Last-Event-ID: it is the id of the last event that was had, a number.")
    return int(text)


async def _told(
    request: Request, gateway: Gateway, asked: Reach, place: int, types: list[Any]
) -> AsyncIterator[ServerSentEvent]:
    secret = request.headers["authorization"].partition(" ")[2].strip()
    looks = 0
    gateway.streams += 1
    try:
        yield ServerSentEvent(comment="listening", retry=2_000)
        async for event in asked.events.follow(place, types=types, stopping=gateway.stopping):
            if event is not None:
                yield _sent(event)
                continue
            looks += 1
            if looks % LOOKS == 0 and not await _in_force(gateway, secret):
                return
    except PenstockError:  # the ledger does not answer: the caller comes again with the last id that it had
        return
    finally:
        gateway.streams -= 1


async def _in_force(gateway: Gateway, secret: str) -> bool:
    return await gateway.tokens.authenticate(secret) is not None


def _sent(event: CloudEvent) -> ServerSentEvent:
    text = json.dumps(event.document(), ensure_ascii=False, separators=(",", ":"))
    return ServerSentEvent(text, event=event.type, id=str(event.position))
