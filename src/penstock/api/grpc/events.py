"""The stream of events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

import grpc

from penstock.api.grpc.asked import Asked, identified, word
from penstock.api.grpc.binding import Context
from penstock.api.grpc.statuses import Refusal, invalid
from penstock.api.grpc.structs import at, struct
from penstock.api.grpc.v1 import events_pb2 as pb
from penstock.model.attempt import RunId
from penstock.model.cloud_events import PUBLISHED, CloudEvent

PLACE: Final = "penstock-position"
"""Initial metadata: the position after which the stream begins."""
MOST_STREAMS: Final = 200
"""Streams of events at once, over all faces of one process."""


class Events:
    """Service penstock.v1.Events."""

    async def watch_events(
        self, asked: Asked, request: pb.WatchEventsRequest, context: Context
    ) -> AsyncGenerator[pb.Event]:
        """Every event after a position, and then what happens."""
        gateway, log = asked.gateway, asked.reach.events
        if gateway.streams >= MOST_STREAMS:
            detail = f"{MOST_STREAMS} streams are open here; ask another replica, or later."
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, detail, again=30)
        types = frozenset(word(each, "types", PUBLISHED) for each in request.types)
        run = None
        if request.HasField("execution_id"):
            wanted = identified(request.execution_id, "execution_id")
            run = RunId((await asked.operations.executions.show(wanted, org=asked.org)).number)
        place = request.after if request.HasField("after") else await log.last()
        if place < 0:
            raise invalid(f"after: {place} is no position; take one that an event had, or 0.")
        gateway.streams += 1
        try:
            await context.send_initial_metadata(((PLACE, str(place)),))
            async for event in log.follow(place, types=types, run=run, stopping=gateway.stopping):
                if event is not None:
                    yield _event(event)
        finally:
            gateway.streams -= 1


def _event(event: CloudEvent) -> pb.Event:
    return pb.Event(
        position=event.position,
        id=str(event.id),
        type=event.type,
        source=event.source,
        subject=str(event.run),
        time=at(event.time),
        pipeline=event.data.get("pipeline", ""),
        layer=event.data.get("step"),
        data=struct(event.data),
    )
